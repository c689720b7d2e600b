r"""
.. _watch_training:

Watch a run with TensorBoard
============================

A training prints a line for each epoch: how does one see where it is going,
while it still runs, and beside the run of yesterday? After this page you can
record curves, histograms and images while a model learns, open them in the
browser, and read the files back with a program.

.. concepts: X01
.. claims: c0-97 c3-94
"""

import io
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from snippets.data import ArrayDataset, make_loader, split
from snippets.drawing import show_pictures
from snippets.training import accuracy, fit

# %%
# A file of events
# ----------------
#
# *TensorBoard* is a program of its own that draws curves in the browser. Your
# program does not talk to it. It writes an *event file* with a `SummaryWriter
# <https://docs.pytorch.org/docs/stable/tensorboard.html>`__, and TensorBoard
# reads the file, again and again. Each value has a name, the *tag*, and a
# step: its place on the x axis.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``tensorboardX`` is to be added later. Its writer has long
#    been part of torch; only ``tensorboard`` is installed besides. The heading
#    *Tools* stands empty: this chapter belongs below it.

folder = Path(tempfile.mkdtemp())  # in a project of yours: Path("runs")
losses = [0.75, 0.5, 0.25]
with SummaryWriter(folder / "first") as writer:
    for epoch, loss in enumerate(losses, 1):
        writer.add_scalar("loss", loss)  # something is missing
        writer.add_scalar("loss/train", loss, epoch)
files = [path.name.split(".")[:3] for path in (folder / "first").iterdir()]
print(files)

assert SummaryWriter.__module__.startswith("torch.utils.tensorboard")
assert files == [["events", "out", "tfevents"]]

# %%
# The writer collects, and writes every two minutes and when it is closed. The
# ``with`` block closes it, even after an error.
#
# Read it back
# ------------
#
# What TensorBoard will show, ``EventAccumulator`` tells a program. It keeps a
# sample of the histograms and images, unless 0 asks for all.


def read(run):
    """Return all events of a run."""
    keep = {"scalars": 0, "histograms": 0, "images": 0}
    return EventAccumulator(str(folder / run), keep).Reload()


def curve(run, tag):
    """Return the steps and the values of a tag."""
    points = read(run).Scalars(tag)
    return [p.step for p in points], [p.value for p in points]


for tag in ("loss", "loss/train"):
    print(tag, *curve("first", tag))

assert read("first").Tags()["scalars"] == ["loss", "loss/train"]
assert curve("first", "loss") == ([0, 0, 0], losses)
assert curve("first", "loss/train") == ([1, 2, 3], losses)

# %%
# The first mistake: without a step all points lie above 0, on a vertical line.
# The second: two runs in one folder become one curve, which jumps back.

with SummaryWriter(folder / "first") as writer:  # the same folder again
    for epoch, loss in enumerate(losses, 1):
        writer.add_scalar("loss/train", loss / 2, epoch)
steps, values = curve("first", "loss/train")
print(steps, values)

assert steps == [1, 2, 3, 1, 2, 3]
assert values == [*losses, 0.375, 0.25, 0.125]

# %%
# Watch a real training
# ---------------------
#
# A small network is to learn scikit-learn's handwritten digits. `fit
# <snippets.training.fit>` measures it after each epoch. These tags will hold
# the numbers; what stands before the slash becomes a group of charts.

digits = load_digits()
pixels = torch.tensor(digits.data / 16, dtype=torch.float32)  # (1797, 64)
generator = torch.Generator().manual_seed(0)
dataset = ArrayDataset(pixels, digits.target)
parts = split(dataset, (0.8, 0.2), generator=generator)
train, val = (
    make_loader(part, batch_size=32, shuffle=True, seed=0) for part in parts
)
tags = {
    "loss/train": "train_loss",
    "loss/val": "val_loss",
    "accuracy/val": "val_accuracy",
}
options = {"val_loader": val, "metrics": {"accuracy": accuracy}}
loss_fn = nn.CrossEntropyLoss()
print(len(train.dataset), "to learn from,", len(val.dataset), "to validate")

assert (len(train.dataset), len(val.dataset)) == (1438, 359)
assert (len(train), len(val)) == (45, 12) and pixels.max() == 1

# %%
# ``fit`` calls ``on_epoch_end`` with the record of each epoch: the place to
# write. Two runs, alike but for the learning rate, get two folders.


def watch(writer, weight):
    """Return a function that writes the record of an epoch."""
    edges = [number / 10 for number in range(-20, 21)]

    def write(record):
        for tag, name in tags.items():
            writer.add_scalar(tag, record[name], record["epoch"])
        writer.add_histogram("weight", weight, record["epoch"], bins=edges)

    return write


runs = {}
for rate in (0.02, 0.3):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with SummaryWriter(folder / f"rate {rate}") as writer:
        options["on_epoch_end"] = watch(writer, model[0].weight)
        history = fit(model, train, loss_fn, optimizer, epochs=12, **options)
    runs[f"rate {rate}"] = history

slow, fast = (history[-1]["val_accuracy"] for history in runs.values())
print(f"{list(runs)} reached {slow:.2f} and {fast:.2f}")
assert abs(slow - 0.76) < 0.03 and fast > 0.92

# %%
# The curves
# ----------
#
# The files hold what ``fit`` returned, rounded to float32. So the files are
# enough to draw what TensorBoard shows. The rate of 0.02 is not wrong, it is
# slow. With 20 seeds it came to 55 to 83 % in validation, the other rate to 92
# to 97 %.
#
# .. alt: Two charts with the loss over 12 epochs. At the left, with a rate of
#    0.02, the loss falls slowly from 2.3 to 1.4. At the right, with a rate of
#    0.3, it falls at once and ends near 0.1. Training and validation lie close
#    together.

fig, axes = plt.subplots(
    1, 2, figsize=(6, 2.8), sharey=True, layout="constrained"
)
for ax, run in zip(axes, runs, strict=True):
    for tag in ("loss/train", "loss/val"):
        ax.plot(*curve(run, tag), marker=".", label=tag)
    ax.set(title=run, xlabel="epoch", xticks=range(0, 13, 4))
axes[0].set_ylabel("loss")
axes[1].legend(fontsize=10)
show_pictures()

for run, history in runs.items():
    for tag, name in tags.items():
        expected = torch.tensor(history[name]).tolist()  # as float32
        assert curve(run, tag) == (list(range(1, 13)), expected)

# %%
# Histograms
# ----------
#
# A histogram for each epoch tells whether weights spread, vanish, or do not
# move at all. It takes more room than a number: in a long training, write one
# every ten epochs.
#
# .. alt: Two outlines of histograms of the first layer's weights, narrow hills
#    around 0. After epoch 1 all lie between about -0.5 and 0.6. After epoch 12
#    the hill is a little lower and has long tails, from about -1.2 to 1.7.

events = read("rate 0.3").Histograms("weight")
saved = [event.histogram_value for event in events]
fig, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
for epoch in (1, 12):
    counts, edges = saved[epoch - 1].bucket, saved[epoch - 1].bucket_limit
    ax.stairs(counts[1:], edges, label=f"epoch {epoch}", linewidth=1.5)
ax.set(xlabel="weight of the first layer", ylabel="how many of 1024")
ax.legend(fontsize=10)
show_pictures()

last, weight = saved[-1], model[0].weight.detach()  # (16, 64)
assert [event.step for event in events] == list(range(1, 13))
assert (last.min, last.max) == (weight.min().item(), weight.max().item())
assert [sum(part.bucket) for part in saved] == [weight.numel()] * 12
assert last.max - last.min > 1.5 * (saved[0].max - saved[0].min)

# %%
# Images
# ------
#
# Each of the 16 units has 64 weights, one for each pixel: an image of what it
# looks for. Floats must lie between 0 and 1. What is less becomes black,
# without a word: here all negative weights. `torchvision.utils.make_grid` puts
# many images into one, and scales them with ``normalize=True``.
#
# .. alt: Two rows of eight small images, twice. Above, the images are black
#    with a few bright spots, and some are all black. Below, they are gray,
#    with bright and dark spots, and some are of an even gray.

units = weight.reshape(16, 1, 8, 8)
raw, scaled = (
    make_grid(units, padding=1, pad_value=1, normalize=scale)  # (3, 19, 73)
    for scale in (False, True)
)
with SummaryWriter(folder / "images") as writer:
    writer.add_image("raw", raw, 12)
    writer.add_image("scaled", scaled, 12)

fig, axes = plt.subplots(2, 1, figsize=(6, 3.6), layout="constrained")
for ax, tag in zip(axes, ("raw", "scaled"), strict=True):
    (event,) = read("images").Images(tag)
    shown = plt.imread(io.BytesIO(event.encoded_image_string))  # (19, 73, 3)
    ax.imshow(shown)
    ax.set_title(f"{tag}: {(shown == 0).mean():.0%} black")
    ax.axis("off")
show_pictures()

lost = (raw < 1 / 255).float().mean()
titles = [ax.get_title() for ax in axes]
assert titles == [f"raw: {lost:.0%} black", "scaled: 0% black"] and lost > 0.3
assert (shown * 255 == (scaled * 255).byte().permute(1, 2, 0).numpy()).all()

# %%
# Some images are of an even gray: these units have learned nothing. Their ReLU
# gives 0 for nearly every digit, and then no gradient comes back. The accuracy
# did not tell.

fires = (model[:2](pixels) > 0).float().mean(dim=0)  # (16,)
quiet = fires < 0.02
print(int(quiet.sum()), "of 16 units answer to less than 2 % of the digits")

assert quiet.sum() == 4 and model(pixels).shape == (1797, 10)
assert weight[quiet].abs().max() < 0.25 < 0.8 < weight.abs().max()

# %%
# Open it
# -------
#
# In a terminal, name the folder that holds the folders of the runs, and open
# the address that it prints, ``http://localhost:6006``:
#
# .. code-block:: bash
#
#    tensorboard --logdir runs
#
# It reads on while a run goes on. In a notebook, write ``%load_ext
# tensorboard`` and ``%tensorboard --logdir runs``. From another machine,
# ``ssh -L 6006:localhost:6006 machine`` brings the address to yours.
#
# For one short run, the history draws the same curve:

line = runs["rate 0.3"].plot().lines[0]
plt.close()
shutil.rmtree(folder)  # in a project of yours, keep it
print(len(line.get_ydata()), "points of", line.get_label())

assert list(line.get_ydata()) == runs["rate 0.3"]["train_loss"]
assert line.get_label() == "train_loss" and not folder.exists()

# %%
# What you learned
# ----------------
#
# A ``SummaryWriter`` takes a tag, a value and a step; each run has its folder;
# ``on_epoch_end`` is the place to write. What was written can be read back.
#
# Next: :ref:`profiler` finds where the time of a run goes. What is in a model
# and which shapes it makes, ``torchinfo`` and `snippets.shapes` show on
# :ref:`look_inside`. What to do about odd curves is on :ref:`debug_training`
# and :ref:`overfitting`.
