r"""
.. _restart_after_failure:

Go on when a process dies
=========================

A training runs for days, on many machines: what is left of it when one process
dies in the night? After this page you can let ``torchrun`` restart a run that
was killed in the middle of an epoch, have it go on from its last checkpoint,
and prove that it ends bit for bit where a run without any trouble ends.

.. concepts: A17
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

from snippets.checkpointing import Checkpoint
from snippets.data import ArrayDataset, make_loader
from snippets.drawing import PALETTE, show_pictures
from snippets.training import fit

# %%
# A restart begins at the first line
# ----------------------------------
#
# ``torchrun`` watches the processes that it starts. When one fails, it ends
# the others and starts all of them again, as often as ``--max-restarts`` says.
# Each new *attempt* is the same script from its first line, with nothing in
# its variables. So the script itself has to look for what it saved.
#
# `snippets.training.fit` does, if it is given a
# `snippets.checkpointing.Checkpoint`: here every 10 steps, of 30 in an epoch.
# The weights alone would not do. This training draws random numbers in every
# step, for the order of rows and for dropout, and its optimizer has a memory,
# the momentum. All of that is in the file.


def train(path, on_step_end=None):
    """Learn which of 3 numbers is the largest, or go on learning it."""
    x = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    data = ArrayDataset(x, x[:, :3].argmax(dim=1))
    torch.manual_seed(0)
    layers = nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3)
    model = nn.Sequential(*layers)
    return fit(
        model,
        make_loader(data, batch_size=20, shuffle=True, seed=0),
        nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        epochs=3,
        checkpoint=Checkpoint(path, every_steps=10),
        on_step_end=on_step_end,
    )


assert "every_steps=10" in inspect.getsource(train)

# %%
# Kill one of two
# ---------------
#
# In the first attempt, process 1 kills itself after its step 47, in the middle
# of the second epoch. SIGKILL is what a machine short of memory sends, and no
# program can catch it. ``torchrun`` tells each process how often it restarted.


def count(steps):
    """Count a step; kill process 1 after step 47 of the first attempt."""
    steps.append(len(steps) + 1)
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    if len(steps) == 47 and dist.get_rank() == 1 and attempt == 0:
        print("47 steps, killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


assert signal.SIGKILL == 9  # so "kill -9" from a terminal does the same

# %%
# The processes meet in a *store*, a small dictionary that ``torchrun`` serves,
# where each leaves its address. It outlives an attempt: the second one can
# read addresses of processes that are gone, and fail (`issue 135712
# <https://github.com/pytorch/pytorch/issues/135712>`__). So each attempt gets
# a corner of its own in it, named after the number of restarts. And a process
# that waits for the others in vain gives up after a minute.


def join():
    """Connect this process to the others of the same attempt."""
    names = ("RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    rank, processes, port, attempt = (int(os.environ[name]) for name in names)
    host, limit = os.environ["MASTER_ADDR"], timedelta(minutes=1)
    store = dist.TCPStore(host, port, is_master=False, timeout=limit)
    store = dist.PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=processes, timeout=limit
    )


assert not dist.is_initialized()  # this page is one process, and stays so

# %%
# The script trains with that. Then it trains once more from the beginning,
# with nobody in the way, to have something to compare with.

IMPORTS = """\
import os, signal
from datetime import timedelta
import torch, torch.distributed as dist
from torch import nn
from snippets.checkpointing import Checkpoint
from snippets.data import ArrayDataset, make_loader
from snippets.training import fit
"""
CALLS = """\
join()
steps = []
train("killed.pt", lambda: count(steps))
print(len(steps), "steps, done")
train("undisturbed.pt")
dist.barrier()
dist.destroy_process_group()
"""
parts = [IMPORTS, *map(inspect.getsource, (train, count, join)), CALLS]

assert parts[1].startswith("def train(path") and "SIGKILL" in parts[2]

# %%
# Launch it
# ---------
#
# As in :ref:`two_processes`, ``launch`` runs ``torchrun``. What a process
# prints is in a file for each attempt, and here all attempts are read.


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
# Process 0 prints nothing in the first attempt: it waits for the other one's
# gradients in step 48, in vain, and ``torchrun`` ends it.

scratch = tempfile.TemporaryDirectory()  # removed at the end of this page
folder = Path(scratch.name)
(folder / "train.py").write_text("\n\n".join(parts))
printed = launch(folder / "train.py", "--max-restarts=1", "--nproc-per-node=2")
places = [(attempt, rank) for attempt in range(2) for rank in range(2)]
for (attempt, rank), output in zip(places, printed, strict=True):
    print(f"attempt {attempt}, process {rank}: {output.strip()}")

assert printed == ["", "47 steps, killed\n"] + ["50 steps, done\n"] * 2

# %%
# 47 steps and then 50, for a training of 90: the second attempt began after
# step 40, where the last checkpoint was. Seven steps were taken twice, and
# nothing else was lost.
#
# .. alt: Two bars over an axis of 90 steps. That of attempt 0 runs from 0 to
#    47, its last part, from 40 on, striped. That of attempt 1 runs from 40 to
#    90. Dots mark the checkpoints, every 10 steps.

resumed = 90 - 50
fig, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
ax.barh(1, resumed, color=PALETTE[0])
ax.barh(1, 47 - resumed, left=resumed, color=PALETTE[4], hatch="//")
ax.barh(0, 50, left=resumed, color=PALETTE[2])
dots = {"marker": "o", "linestyle": "", "color": "gray"}
ax.plot(range(10, 47, 10), [1] * 4, label="checkpoint", **dots)
ax.plot(range(50, 91, 10), [0] * 5, **dots)
ax.set_yticks([1, 0], ["attempt 0", "attempt 1"])
ax.set(xlabel="step", xlim=(0, 92))
ax.legend(fontsize=10, loc="lower left")
show_pictures()

assert resumed == 40 and 47 - resumed == 7 and 47 + 50 == 90 + 7

# %%
# The same bits
# -------------
#
# The two files hold the same weights, the same momentum and the same history:
# not nearly the same, but every bit.

files = [
    torch.load(folder / f"{name}.pt") for name in ("killed", "undisturbed")
]
runs = []
for file in files:
    states = file["optimizer"]["state"].values()
    momentum = [state["momentum_buffer"] for state in states]
    runs.append([*file["model"].values(), *momentum])
same = [torch.equal(one, other) for one, other in zip(*runs, strict=True)]
histories = [file["run"]["history"] for file in files]
equal = histories[0] == histories[1]
scratch.cleanup()
print(f"{sum(same)} of {len(same)} tensors are equal")
print("histories are equal:", equal)

assert same == [True] * 8 and equal
assert [record["epoch"] for record in histories[0]] == [1, 2, 3]
assert histories[0][-1]["train_loss"] < histories[0][0]["train_loss"] / 2
assert not folder.exists()

# %%
# Fewer processes
# ---------------
#
# Each process has random numbers and a place in the data of its own, and the
# file has them all:

states = files[0]["run"]["processes"]
print(f"states of {len(states)} processes: {', '.join(states[0])}")

assert [list(state) for state in states] == [
    ["train_loader", "random_state", "averages"]
] * 2

# %%
# So another number of processes cannot go on bit for bit, and ``fit`` refuses
# to. Where machines can be lost for good, ``--nnodes=1:4`` lets ``torchrun``
# go on with those that are left. Then load the weights alone, with
# `snippets.checkpointing.load_checkpoint`, and begin an epoch anew.
#
# A failure costs half of the interval between two saves on average: save more
# often where steps are slow, and less often where saving is.
#
# What you learned
# ----------------
#
# A restart is the same script from its first line. It goes on if the script
# finds a checkpoint with everything in it: weights, optimizer, random numbers
# and the place in the data. Whatever belongs to one attempt has to be named
# after it.
#
# Next: :ref:`shard_parameters`. What a checkpoint holds is the subject of
# :ref:`resume_training`; `snippets.checkpointing` and `snippets.training.fit`
# do the work.
