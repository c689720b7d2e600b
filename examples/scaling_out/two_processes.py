r"""
.. _two_processes:

Train in two processes with torchrun
====================================

One process trains on one GPU, or on a few cores: how do two share the work and
still learn the same? After this page you can average gradients over processes
by hand, let PyTorch do it, and start one script in two processes with
``torchrun``, so that it ends with the weights and the measures of a single
process.

.. concepts: A16
"""

import inspect
import os
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from unittest import mock

import matplotlib.pyplot as plt
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from snippets.checkpointing import Checkpoint, load_checkpoint
from snippets.data import ArrayDataset, make_loader
from snippets.drawing import PALETTE, show_pictures
from snippets.training import TrainingError, accuracy, fit

# %%
# Half of the rows each
# ---------------------
#
# *Data parallel* training keeps the whole model in every process and deals out
# the rows of each batch. The gradient of a mean loss is a mean over rows, so
# the mean of two gradients is that of the whole batch:


def few_rows():
    """Return 8 rows of 2 numbers and their targets."""
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    return x, x @ torch.tensor([[2.0], [-1.0]])  # (8, 2) @ (2, 1) -> (8, 1)


def gradient(rows):
    """Return the gradient of the mean loss over some rows, at weights 0."""
    x, y = few_rows()
    weights = torch.zeros(2, 1, requires_grad=True)
    nn.functional.mse_loss(x[rows] @ weights, y[rows]).backward()
    return weights.grad.flatten()


whole = gradient(slice(0, 8))
halves = [gradient(slice(rank, 8, 2)) for rank in range(2)]  # every other row
assert torch.allclose((halves[0] + halves[1]) / 2, whole)
assert not torch.allclose(halves[0], whole, rtol=0.1)

# %%
# .. alt: Three lines from the point 0, 0 to one dot each. Those of process 0
#    and process 1 have other lengths and directions. The third, their mean and
#    the gradient of all rows, ends halfway between their dots.

fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
names = ["process 0: 4 rows", "process 1: 4 rows", "all 8 rows: their mean"]
for name, (a, b), color in zip(names, [*halves, whole], PALETTE, strict=False):
    ax.plot([0, a], [0, b], linewidth=4, color=color, label=name)
    ax.plot(a, b, "o", markersize=10, color=color)
ax.plot(*zip(*halves, strict=True), ":", color="gray")
ax.set(xlabel="gradient of weight 0", ylabel="gradient of weight 1")
ax.legend(fontsize=10)
show_pictures()

half_way = [(a + b) / 2 for a, b in zip(*halves, strict=True)]
assert torch.allclose(torch.stack(half_way), whole)

# %%
# That holds for halves of the same size. With 5 rows here and 3 there, each
# gradient has to count by its rows:

five, three = gradient(slice(0, 5)), gradient(slice(5, 8))
means = {
    "all rows": whole,
    "plain": (five + three) / 2,
    "by rows": (5 * five + 3 * three) / 8,
}
shown = {name: [f"{g:.2f}" for g in mean] for name, mean in means.items()}
for name, mean in shown.items():
    print(f"{name:8}", mean)

assert shown["all rows"] == shown["by rows"] == ["-1.26", "1.32"]
assert shown["plain"] == ["-1.38", "1.29"]
assert torch.allclose(means["by rows"], whole)

# %%
# Deal out the rows
# -----------------
#
# `torch.utils.data.DistributedSampler` deals rows like cards, for a
# `torch.utils.data.DataLoader` in each process. All get equally many, so of 7
# rows one is dealt twice, and a measure comes out wrong. A model that errs on
# row 0 alone is right in 6 of 7, but not here:

dealt = [
    list(DistributedSampler(range(7), 2, rank, shuffle=False))
    for rank in range(2)
]
right = torch.tensor([0.0, 1, 1, 1, 1, 1, 1])
by_process = [right[rows].mean().item() for rows in dealt]
print(dealt, by_process, f"true: {right.mean():.3f}")

assert dealt == [[0, 2, 4, 6], [1, 3, 5, 0]]
assert by_process == [3 / 4, 3 / 4]
assert torch.isclose(right.mean(), torch.tensor(6 / 7))

# %%
# Two more traps: without ``set_epoch`` every epoch has the same order, and the
# batch size is that of *each* process, so that two take half as many steps.

sampler = DistributedSampler(range(8), 2, 0, seed=0)
epochs = [list(sampler), list(sampler)]
sampler.set_epoch(1)
epochs.append(list(sampler))
steps = [len(DataLoader(range(8), 4, sampler=s)) for s in (None, sampler)]
print(epochs, "steps alone and together:", steps)

assert epochs == [[4, 7, 2, 1], [4, 7, 2, 1], [5, 2, 7, 1]]
assert steps == [2, 1]

# %%
# The script: join the others
# ---------------------------
#
# ``torchrun`` starts the same script several times and gives each process its
# number, the *rank*, in the environment. The processes talk through NCCL where
# each has a GPU of its own, else through Gloo. One that waits for the other in
# vain gives up after a minute. ``average`` is the mean from above:
# `torch.distributed.all_reduce` gives every process the sum over all.


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


def average(model):
    """Replace each gradient by its mean over the processes."""
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()


assert not dist.is_initialized()  # this page is one process, and stays so

# %%
# The script: by hand, and by DistributedDataParallel
# ---------------------------------------------------
#
# `torch.nn.parallel.DistributedDataParallel`, DDP for short, wraps a model. It
# gives all processes the weights of process 0, and takes the plain mean of
# gradients during ``backward()``, while other layers are still at work.


def compare(device):
    """Print the gradient of the 8 rows, averaged in two ways."""
    rank, count = dist.get_rank(), dist.get_world_size()
    x, y = (tensor[rank::count].to(device) for tensor in few_rows())
    model = nn.Linear(2, 1, bias=False).to(device)
    nn.init.zeros_(model.weight)
    nn.functional.mse_loss(model(x), y).backward()
    print("my rows:", [f"{g:.2f}" for g in model.weight.grad[0]])
    average(model)
    print("by hand:", [f"{g:.2f}" for g in model.weight.grad[0]])
    model.zero_grad()
    parallel = nn.parallel.DistributedDataParallel(model)
    nn.functional.mse_loss(parallel(x), y).backward()
    print("by DDP: ", [f"{g:.2f}" for g in model.weight.grad[0]])


assert "/= dist.get_world_size()" in inspect.getsource(average)

# %%
# The script: the training
# ------------------------
#
# Nothing here knows of processes but the name of a file.
# `snippets.training.fit` averages gradients by rows; a model in DDP it leaves
# to DDP. `snippets.data.make_loader` deals out each batch, no row twice.


def network():
    """Return a small network, the same in every process."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def batches(folder, rows):
    """Return a loader of some of the digits."""
    x, y = torch.load(folder / "digits.pt")
    dataset = ArrayDataset(x[rows], y[rows])
    return make_loader(dataset, batch_size=25, shuffle=True, seed=0)


assert sum(part.numel() for part in network().parameters()) == 2410

# %%
# It learns 900 digits in 3 epochs and is tested on all others.


def train(device, folder):
    """Learn, test and save."""
    model = network().to(device)
    rank = os.environ.get("RANK", "alone")
    return fit(
        model,
        batches(folder, slice(900)),
        nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=0.5),
        epochs=3,
        val_loader=batches(folder, slice(900, None)),
        metrics={"accuracy": accuracy},
        checkpoint=Checkpoint(folder / f"{rank}.pt"),
        on_epoch_end=lambda record: print("end of epoch", record["epoch"]),
    )


assert "RANK" not in os.environ  # so this page saves as alone.pt

# %%
# First in one process, that of this page:

scratch = tempfile.TemporaryDirectory()  # removed at the end of this page
folder = Path(scratch.name)
digits = load_digits()
pixels = torch.tensor(digits.data, dtype=torch.float32) / 16
torch.save((pixels, torch.tensor(digits.target)), folder / "digits.pt")

history = train(torch.device("cpu"), folder)
reached = history["val_accuracy"][-1]
print(f"test accuracy {reached:.2f}")

assert len(pixels) == 1797 and 0.84 < reached < 0.9
assert history["epoch"] == [1, 2, 3]

# %%
# Then in two. The script has imports, the functions from above as
# ``inspect.getsource`` copies them,

IMPORTS = """\
import os
from datetime import timedelta
from pathlib import Path
import torch, torch.distributed as dist
from torch import nn
from snippets.checkpointing import Checkpoint
from snippets.data import ArrayDataset, make_loader
from snippets.training import accuracy, fit
"""
functions = (few_rows, join, average, compare, network, batches, train)
parts = [IMPORTS, *map(inspect.getsource, functions)]

assert all(part.startswith("def ") for part in parts[1:])

# %%
# and these calls:

CALLS = """\
device = join()
compare(device)
history = train(device, Path.cwd())
print(f"test accuracy {history['val_accuracy'][-1]:.2f}")
dist.barrier()
dist.destroy_process_group()
"""
(folder / "train.py").write_text("\n\n".join([*parts, CALLS]))

assert CALLS.index("compare") < CALLS.index("train")

# %%
# Launch it
# ---------
#
# In a terminal: ``torchrun --standalone --nproc-per-node=2 train.py``, where
# ``--standalone`` takes a free port of this machine. Here, each process prints
# into a file of its own, and after Ctrl-C ``torchrun`` ends its processes.


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
# Two processes start, train and end.

outputs = launch(folder / "train.py", "--nproc-per-node=2")
for rank, output in enumerate(outputs):
    print(f"process {rank}", output, sep="\n")

for rank, lines in enumerate(output.splitlines() for output in outputs):
    mine = [f"{g:.2f}" for g in halves[rank]]
    mean = [f"{g:.2f}" for g in whole]
    assert lines[0] == f"my rows: {mine}"
    assert lines[1:3] == [f"by hand: {mean}", f"by DDP:  {mean}"]
    assert abs(float(lines[-1].split()[-1]) - reached) < 0.01
assert [output.count("end of epoch") for output in outputs] == [3, 0]

# %%
# Each process had a gradient of its own, and both took the mean, that of all 8
# rows. Only process 0 reported the epochs. The accuracy is that of all test
# digits in both, although each saw half of them.
#
# The same result, saved once
# ---------------------------
#
# Each process named a file of its own, and ``fit`` let only process 0 write.
# Two processes round differently from one; otherwise the weights agree.

saved = sorted(path.name for path in folder.glob("*.pt"))
model = network()
load_checkpoint(folder / "alone.pt", model=model)
alone = nn.utils.parameters_to_vector(model.parameters())
load_checkpoint(folder / "0.pt", model=model)
together = nn.utils.parameters_to_vector(model.parameters())
same = bool((alone - together).abs().max() < 1e-4)
scratch.cleanup()
print(saved, f"{len(alone)} weights, equal to 4 digits: {same}")

assert saved == ["0.pt", "alone.pt", "digits.pt"] and not folder.exists()
assert len(alone) == 2410 and same and alone.abs().max() > 0.1

# %%
# The processes that never met
# ----------------------------
#
# Without `torch.distributed.init_process_group`, a loop of your own runs under
# ``torchrun`` without an error: each process trains a model of its own.
# ``fit`` looks at the environment and refuses.

model = nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.ones(1, 1), torch.ones(1, 1))]
with mock.patch.dict(os.environ, {"RANK": "0", "WORLD_SIZE": "2"}):
    try:
        fit(model, batches, nn.MSELoss(), optimizer, epochs=1)
    except TrainingError as error:
        print(error)
        assert "2 processes that are not connected" in str(error)
    else:
        raise AssertionError("a process that is not connected must not train")

# %%
# What you learned
# ----------------
#
# Every process has the whole model and a share of each batch. Gradients are
# averaged by rows, so all take the same step. Measures count each row once,
# and one process writes.
#
# Next: :ref:`restart_after_failure`, when one of the processes dies, and
# :ref:`shard_parameters`, when the model is too large for one.
