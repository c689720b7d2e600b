r"""
.. _shard_parameters:

Share a model that is too large for one process
===============================================

Data parallel training puts a whole copy of the model into every process: what
if one copy is too large for a GPU? After this page you can count what a
training has to hold, share parameters, gradients and optimizer state between
processes by hand, and let FSDP2, the function ``fully_shard``, do it with the
same result.

.. concepts: A18
"""

import inspect
import os
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen

import matplotlib.pyplot as plt
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

from snippets.drawing import PALETTE, show_pictures

# %%
# Count what a training holds
# ---------------------------
#
# For each parameter, a step needs its gradient too, and Adam keeps two numbers
# more. So a training holds four times the model, before it has computed a
# single activation. This is one in one process, to compare with later. It uses
# float64, so that rounding hides nothing.


def network():
    """Return a small network, the same in every process."""
    torch.manual_seed(0)
    layers = nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    return nn.Sequential(*layers).double()


def batch():
    """Return 8 rows and their classes."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, 64, dtype=torch.float64, generator=generator)
    return x, x[:, :10].argmax(dim=1)


def step(model, optimizer, x, y):
    """Take the step of any training."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


assert sum(p.numel() for p in network().parameters()) == 2410

# %%
# Five steps, and what they left in memory:

alone = network()
optimizer = torch.optim.Adam(alone.parameters(), lr=0.01)
for _ in range(5):
    step(alone, optimizer, *batch())

adam = [optimizer.state[p] for p in alone.parameters()]
held = {
    "parameters": sum(p.numel() for p in alone.parameters()),
    "gradients": sum(p.grad.numel() for p in alone.parameters()),
    "Adam": sum(2 * state["exp_avg"].numel() for state in adam),
}
print(held, "in all", sum(held.values()))

assert held == {"parameters": 2410, "gradients": 2410, "Adam": 4820}
assert all(s["exp_avg"].shape == s["exp_avg_sq"].shape for s in adam)

# %%
# The idea: each process holds a part of all of that, and whole parameters only
# for as long as it computes with them.
#
# .. alt: Two stacked bars of 9640 numbers, one for each process with a whole
#    copy: parameters, gradients and, half of the bar, Adam. Beside them two
#    bars of half the height, for two processes that share.

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
places = ["copy 0", "copy 1", "share 0", "share 1"]
below = torch.zeros(4)
for (name, numbers), color in zip(held.items(), PALETTE, strict=False):
    heights = torch.tensor([numbers, numbers, numbers / 2, numbers / 2])
    ax.bar(places, heights, bottom=below, label=name, color=color)
    below += heights
ax.set(ylabel="numbers held", ylim=(0, 13500))
ax.legend(fontsize=10, ncols=3, loc="upper center")
show_pictures()

assert below.tolist() == [9640, 9640, 4820, 4820]

# %%
# By hand
# -------
#
# Each process keeps its part of every parameter: half of its rows. Before a
# step, all get the whole parameters from all, with
# `torch.distributed.all_gather`. After ``backward()``, each keeps its part of
# the mean gradient and forgets the rest.


def gather(whole, parts):
    """Put parameters together from the parts of all processes."""
    for parameter, part in zip(whole, parts, strict=True):
        pieces = [torch.empty_like(part) for _ in range(dist.get_world_size())]
        dist.all_gather(pieces, part)
        parameter.data = torch.cat(pieces)


def scatter(whole, parts):
    """Keep the gradient of this process's parts, and forget what is whole."""
    rank, count = dist.get_rank(), dist.get_world_size()
    for parameter, part in zip(whole, parts, strict=True):
        dist.all_reduce(parameter.grad)
        part.grad = parameter.grad.chunk(count)[rank] / count
        parameter.grad, parameter.data = None, part


weight = network()[0].weight
assert torch.equal(torch.cat(weight.chunk(2)), weight)

# %%
# The optimizer sees the parts alone, so its two numbers for each parameter are
# shared by that.


def by_hand(device):
    """Train on parts of the parameters, and return the parts."""
    rank, count = dist.get_rank(), dist.get_world_size()
    x, y = (tensor[rank::count].to(device) for tensor in batch())
    model = network().to(device)
    whole = list(model.parameters())
    parts = [p.detach().chunk(count)[rank].clone() for p in whole]
    optimizer = torch.optim.Adam(parts, lr=0.01)
    for _ in range(5):
        gather(whole, parts)
        nn.functional.cross_entropy(model(x), y).backward()
        scatter(whole, parts)
        optimizer.step()
    return parts


assert all(len(p) % 2 == 0 for p in network().parameters())  # equal halves

# %%
# By fully_shard
# --------------
#
# `fully_shard
# <https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html>`__
# does the same to a model, layer by layer, so that one layer at a time is
# whole. Each parameter becomes a *DTensor*, which knows its whole shape and
# holds a part. ``mesh`` says which processes share.
#
# The trap is the order. The parameters are *replaced*, and an optimizer that
# was made before still holds the old ones. ``too_early`` makes that mistake.


def by_fully_shard(device, too_early):
    """Train a model in parts, and return it."""
    rank, count = dist.get_rank(), dist.get_world_size()
    x, y = (tensor[rank::count].to(device) for tensor in batch())
    model = network().to(device)
    early = torch.optim.Adam(model.parameters(), lr=0.01)
    mesh = dist.init_device_mesh(device.type, (count,))
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=mesh)
    late = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        step(model, early if too_early else late, x, y)
    return model


works_on_cpu = torch.__version__ >= "2.7"
assert hasattr(torch.cpu.Stream, "record_event") == works_on_cpu

# %%
# Launch it
# ---------
#
# As in :ref:`two_processes`, the processes talk through NCCL where each has a
# GPU, else through Gloo.


def join():
    """Connect this process to the others, and return its device."""
    rank = int(os.environ["LOCAL_RANK"])
    count = int(os.environ["LOCAL_WORLD_SIZE"])
    with_gpus = torch.cuda.device_count() >= count
    device = torch.device(f"cuda:{rank}" if with_gpus else "cpu")
    if with_gpus:
        torch.cuda.set_device(device)
    limit = timedelta(minutes=1)
    dist.init_process_group("nccl" if with_gpus else "gloo", timeout=limit)
    return device


assert not dist.is_initialized()  # this page is one process, and stays so

# %%
# A part can be had with ``to_local()``. The whole is gathered with
# ``full_tensor()``, by all processes together, and one of them saves it.


def save(model, path):
    """Gather the parameters from all processes; one of them saves."""
    state = model.state_dict()
    whole = {name: part.full_tensor().cpu() for name, part in state.items()}
    if dist.get_rank() == 0:
        torch.save(whole, path)


def show(model):
    """Print the shape of each parameter, and of what this process holds."""
    for name, part in model.named_parameters():
        print(name, tuple(part.shape), "here", tuple(part.to_local().shape))


assert "full_tensor" in inspect.getsource(save)

# %%
# The script has imports and the functions from above, as ``inspect.getsource``
# copies them.

IMPORTS = """\
import os
from datetime import timedelta
import torch, torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
"""
data, hand = (network, batch, step), (gather, scatter, by_hand)
functions = *data, *hand, by_fully_shard, join, save, show
parts = [IMPORTS, *map(inspect.getsource, functions)]
assert all(part.startswith("def ") for part in parts[1:])

# %%
# Then it calls them. On a CPU, ``fully_shard`` can train since torch 2.7.
# Older versions share the parameters and then fail at the first step, with the
# error that is caught here.

CALLS = """\
device = join()
torch.save(by_hand(device), f"by_hand_{dist.get_rank()}.pt")
try:
    save(by_fully_shard(device, too_early=True), "too_early.pt")
    model = by_fully_shard(device, too_early=False)
    show(model)
    save(model, "fully_shard.pt")
except AttributeError as error:
    print("before torch 2.7:", error)
dist.barrier()
dist.destroy_process_group()
"""
script = "\n\n".join([*parts, CALLS])
assert script.count("\ndef ") == 10

# %%
# ``torchrun`` starts it twice.


def launch(script, *options):
    """Run a script with torchrun, and return what each process printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--redirects=1", "--log-dir=logs", *options, script.name]
    folder = script.parent
    env = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)  # so that it finds the same
    # Ctrl-C is for this page alone, and not before it can end torchrun.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    torchrun = Popen(command, cwd=folder, env=env, stderr=PIPE)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _, errors = torchrun.communicate(timeout=600)
    finally:
        torchrun.terminate()  # does nothing to one that has ended
        torchrun.communicate()  # until the last process has closed its end
    assert torchrun.returncode == 0, errors.decode()
    return [log.read_text() for log in sorted(folder.rglob("stdout.log"))]


# %%
# Each process prints the shapes that parameters have, and those that it holds.

scratch = tempfile.TemporaryDirectory()  # removed at the end of this page
folder = Path(scratch.name)
(folder / "train.py").write_text(script)
outputs = launch(folder / "train.py", "--nproc-per-node=2")
print(outputs[0])

trained = works_on_cpu or torch.cuda.device_count() >= 2
expected = """\
0.weight (32, 64) here (16, 64)
0.bias (32,) here (16,)
2.weight (10, 32) here (5, 32)
2.bias (10,) here (5,)
"""
assert outputs[0] == outputs[1]
if trained:
    assert outputs[0] == expected
else:
    assert outputs[0].startswith("before torch 2.7: 'Stream' object has no")

# %%
# The same result
# ---------------
#
# Put together again, the halves that were trained by hand are the parameters
# of one process.


def difference(some, others):
    """Return the largest difference between two lists of tensors."""
    pairs = zip(some, others, strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


halves = [
    torch.load(folder / f"by_hand_{rank}.pt", map_location="cpu")
    for rank in range(2)
]
numbers = [sum(part.numel() for part in half) for half in halves]
together = [torch.cat(pair) for pair in zip(*halves, strict=True)]
same = difference(together, alone.parameters()) < 1e-12
print("parameters in each process:", numbers)
print("by hand, equal to 12 digits:", same)

assert numbers == [1205, 1205] and same

# %%
# Those of ``fully_shard`` are the same too. With the optimizer that was made
# too early, nothing was learned and nothing complained: all parameters are
# those of a new network.

if trained:
    late, early = (
        torch.load(folder / name)
        for name in ("fully_shard.pt", "too_early.pt")
    )
    same = difference(late.values(), alone.parameters()) < 1e-12
    untrained = difference(early.values(), network().parameters()) == 0
    print("fully_shard, equal to 12 digits:", same)
    print("too early, untrained:", untrained)
    assert same and untrained

learned = difference(alone.parameters(), network().parameters())
saved = sorted(path.name for path in folder.glob("[ft]*.pt"))
scratch.cleanup()
assert learned > 0.01 and not folder.exists()
assert saved == ["fully_shard.pt", "too_early.pt"][: 2 * trained]

# %%
# What you learned
# ----------------
#
# A training with Adam holds four numbers for each parameter. Shared by N
# processes, each holds an Nth of them, and pays with messages: parameters
# before each layer, gradients after it. Make the optimizer after
# ``fully_shard``. Activations are not shared: they grow with the rows that a
# process has.
#
# A model that fits needs none of this: :ref:`two_processes`. Next:
# :ref:`choose_framework` computes from sizes what is needed.
