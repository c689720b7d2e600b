r"""
.. _devices:

GPU or CPU: move a model and its data to a device
=================================================

How do you make a program use the GPU where there is one, and still run where
there is none? After this page you can pick the device in one line, train a
model on it, and fix the error that comes when two tensors are on different
devices. You need no GPU to follow.

.. concepts: N04 N05
.. claims: c0-02 c0-32 c0-34 c0-35 c0-36 c2-09 c2-11 c3-02 c3-40 c3-41 c3-42
"""

import matplotlib.pyplot as plt
import torch

from snippets.devices import best_device
from snippets.drawing import show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Pick the device once, at the top of the program. Send the model there once
# and the data batch by batch, a few samples at a time, and bring results back
# to the CPU. The same lines run on every machine: with an NVIDIA GPU the
# device is ``cuda``, and without any GPU it is ``cpu``. (The model here is a
# single ready-made layer, `torch.nn.Linear`, which turns the two numbers of
# each sample into one.)

device = best_device()
print("device:", device)

model = torch.nn.Linear(2, 1).to(device)  # the model: once
batch = torch.ones(3, 2).to(device)  # the data: each batch
result = model(batch).detach().cpu()  # back, for NumPy and plots
print("the result is on:", result.device)

assert model.weight.device.type == device.type
assert batch.device.type == device.type
assert model(batch).device.type == device.type
assert result.device.type == "cpu"

# %%
# ``best_device`` is a short function of ours (see `snippets.devices`). Without
# it, ask PyTorch whether there is an *accelerator*, and then which one: an
# NVIDIA or AMD GPU (``cuda``), the GPU of an Apple computer (``mps``) or
# another.

if torch.accelerator.is_available():
    device = torch.accelerator.current_accelerator()
else:
    device = torch.device("cpu")
print("device:", device)

assert device == best_device()
assert torch.accelerator.is_available() == (device.type != "cpu")

# %%
# In many programs, as in :ref:`hello_torch`, you read ``"cuda" if
# torch.cuda.is_available() else "cpu"``. That works, too, but finds no
# accelerator other than ``cuda``.
#
# Train on that device
# --------------------
#
# A taxi costs 3 to start and about 2 for each kilometer. Can a model find this
# out from 64 rides? The rides are on the CPU, as data is when you load it.
# Only the model moves now, before training:

torch.manual_seed(0)
kilometers = 5 * torch.rand(64, 1)
fares = 3 + 2 * kilometers + 0.5 * torch.randn(64, 1)

model = torch.nn.Linear(1, 1)  # fare = weight * kilometers + bias
model.to(device)

print("rides:", kilometers.device)
print("model:", model.weight.device)

assert kilometers.device.type == fares.device.type == "cpu"
assert model.weight.device.type == model.bias.device.type == device.type

# %%
# This is a training loop like those that you will write. It takes 16 rides at
# a time and changes the weight and the bias a little after each batch; one
# pass over all rides is an *epoch*. Later chapters teach what each of its
# lines does. For now, look at those with ``device`` in them.

optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for epoch in range(1, 61):
    for start in range(0, 64, 16):  # four batches of 16 rides
        inputs = kilometers[start : start + 16].to(device)
        targets = fares[start : start + 16].to(device)
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 20 == 0:
        print("epoch", epoch, "loss", round(loss.item(), 2))

print("start:    ", round(model.bias.item(), 1))
print("kilometer:", round(model.weight.item(), 1))

assert round(model.bias.item(), 1) == 3.0
assert round(model.weight.item(), 1) == 2.0
assert loss.item() < 0.35
assert epoch == 60
assert inputs.shape == (16, 1)
assert inputs.device.type == targets.device.type == device.type
assert loss.device.type == model.weight.device.type == device.type

# %%
# The model found the price: 3 to start and 2 for each kilometer. Three kinds
# of lines are about the device:
#
# - ``model.to(device)`` runs once, before the loop.
# - ``.to(device)`` runs for each batch, inputs and targets alike. The whole
#   data may be larger than the memory of the GPU; one batch fits.
# - ``.item()`` gives you a Python number on the CPU. A GPU works while your
#   program runs on, and ``.item()`` has to wait for it. So print the loss once
#   in a while, not after each batch.
#
# .. alt: Two boxes, the CPU at the left and the device at the right. An arrow
#    takes the model to the device, once. An arrow takes each batch there. An
#    arrow brings results back to the CPU.
# .. fold: picture

_, ax = plt.subplots(figsize=(6, 2.5), layout="constrained")
for left, name in ((0, "CPU"), (6.5, "device")):
    box = plt.Rectangle((left, 0), 2.5, 3, fill=False, edgecolor="#8a8f98")
    ax.add_patch(box)
    ax.text(left + 1.25, 3.15, name, ha="center")
steps = {
    "model": ("model.to(device), once", "-|>"),
    "batch": (".to(device), each batch", "-|>"),
    "results": (".item() or .cpu()", "<|-"),
}
for row, (what, (how, style)) in enumerate(steps.items()):
    y = 2.4 - row
    arrow = {"arrowstyle": style, "color": "#8a8f98"}
    ax.annotate("", (6.4, y), (2.6, y), arrowprops=arrow)
    ax.text(4.5, y + 0.12, how, ha="center")
    ax.text(1.25, y, what, ha="center", va="center")
    ax.text(7.75, y, what, ha="center", va="center")
ax.set(xlim=(-0.1, 9.1), ylim=(-0.1, 3.5))
ax.set_axis_off()
show_pictures()

assert type(loss.item()) is float
assert kilometers.device.type == "cpu"

# %%
# Whole tensors come back by ``.detach().cpu()``, as in :ref:`numpy_bridge`.
# You need that for a plot, too, because Matplotlib draws NumPy arrays.

ends = torch.tensor([[0.0], [5.0]])  # rides of 0 and of 5 kilometers
predicted = model(ends.to(device)).detach().cpu()

print(predicted)

assert predicted.device.type == "cpu"
assert not predicted.requires_grad
assert (predicted - torch.tensor([[3.0], [13.0]])).abs().max() < 0.1

# %%
# .. alt: 64 rides as points, the fare rising with the kilometers. A straight
#    line, which the model found, goes through them from 3 up to 13.
# .. fold: picture

_, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
ax.plot(kilometers.numpy(), fares.numpy(), ".", label="rides")
ax.plot(ends.numpy(), predicted.numpy(), label="model")
ax.set(xlabel="kilometers", ylabel="fare")
ax.legend()
show_pictures()

assert kilometers.min() > 0
assert kilometers.max() < 5

# %%
# A tensor is copied, a module moves
# ----------------------------------
#
# From here on, the device ``meta`` stands in for a GPU, because every machine
# has it. It keeps the shape of a tensor and no numbers, as you saw in
# :ref:`numpy_bridge`.
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I called ``batch.to(device)``, and the batch is still on the CPU."
#    `torch.Tensor.to` does not move a tensor. It returns a new one, which is
#    lost if you give it no name. `torch.nn.Module.to` does move a *module*,
#    which is a model or a layer of one. (It returns that same module, so
#    ``model = torch.nn.Linear(2, 1).to(device)`` works, too.)

layer = torch.nn.Linear(2, 1)
batch = torch.ones(3, 2)

layer.to("meta")  # moves the layer
batch.to("meta")  # makes a copy there, which is lost

print("layer:", layer.weight.device)
print("batch:", batch.device)

assert layer.weight.device.type == "meta"
assert batch.device.type == "cpu"
assert batch.shape == (3, 2)
assert layer.to("meta") is layer

# %%
# Give the copy a name, usually the same one. A tensor that is not on the CPU
# says so when you print it; on a GPU you read ``device='cuda:0'``.

batch = batch.to("meta")

print(batch)

assert batch.device.type == "meta"
assert str(batch).startswith("tensor(...")
assert "device='meta'" in str(batch)

# %%
# If a tensor is on the device already, ``to`` and ``cpu`` return that very
# tensor. A change in place then shows under both names:

numbers = torch.ones(3)
on_cpu = numbers.cpu()  # no copy: it is there already
on_cpu[0] = 7

print(numbers)

assert numbers.tolist() == [7, 1, 1]
assert on_cpu is numbers
assert numbers.to("cpu") is numbers
assert numbers.to("meta") is not numbers
assert batch.to("meta") is batch

# %%
# A new tensor need not be moved at all. Make it where you want it:

zeros = torch.zeros(3, device=device)  # not on the CPU first

print("made on:", zeros.device)

assert zeros.device.type == device.type
assert zeros.tolist() == [0, 0, 0]
assert torch.zeros(3, device="meta").device.type == "meta"

# %%
# The error for mixed devices
# ---------------------------
#
# PyTorch moves nothing by itself. The layer has moved to ``meta``. If the
# batch has not, you get an error. It names both devices, but not the tensor
# that is in the wrong place:

with show_error("is not on the expected device", "meta", "cpu"):
    layer(torch.ones(3, 2))

assert layer(torch.ones(3, 2, device="meta")).shape == (3, 1)
assert layer(torch.ones(3, 2, device="meta")).device.type == "meta"

# %%
# With a GPU, the message has other words, which are worth knowing. It goes on
# with the two devices, such as ``cuda:0`` and ``cpu``:
#
# .. code-block:: text
#
#    RuntimeError: Expected all tensors to be on the same device, but ...
#
# To find the culprit, print ``model.weight.device``, ``inputs.device`` and
# ``targets.device``. It is often the targets, or a tensor that a function made
# without saying where. Such a function should make it where its input is:


def add_noise(x):
    """Return x with a little noise, on the device of x."""
    noise = torch.randn(x.shape, device=x.device)
    return x + 0.1 * noise


print("from the CPU:  ", add_noise(torch.ones(3)).device)
print("from elsewhere:", add_noise(torch.ones(3, device="meta")).device)

assert add_noise(torch.ones(3)).device.type == "cpu"
assert add_noise(torch.ones(3, device="meta")).device.type == "meta"
assert add_noise(torch.ones(1, device=device)).device.type == device.type
assert 0.05 < add_noise(torch.zeros(1000)).std() < 0.2
like = torch.randn_like(torch.ones(3, device="meta", dtype=torch.float64))
assert like.device.type == "meta"
assert like.shape == (3,)
assert like.dtype == torch.float64

# %%
# `torch.randn_like` is a short form for such noise: ``torch.randn_like(x)``
# takes the shape, the dtype and the device of ``x``.
#
# There is one exception to the rule that all tensors must be on one device. A
# tensor without dimensions, which is a single number, may stay on the CPU. The
# result is where the other tensor is:

rate = torch.tensor(0.1)  # shape (), on the CPU
scaled = rate * torch.ones(3, device="meta")

print("rate:  ", rate.device)
print("scaled:", scaled.device)

assert rate.shape == ()
assert rate.device.type == "cpu"
assert scaled.device.type == "meta"
assert (rate * torch.ones(1, device=device)).device.type == device.type

# %%
# Several GPUs
# ------------
#
# GPUs are called ``cuda:0``, ``cuda:1`` and so on. ``cuda`` alone is the
# current one, which is ``cuda:0`` unless you change that. A `torch.device` is
# only a name: the first line below moves nothing, and it succeeds on a machine
# without any GPU. `torch.accelerator.device_count` tells you how many there
# are.

second = torch.device("cuda:1")

print(second.type, second.index)
print("accelerators here:", torch.accelerator.device_count())

assert second.type == "cuda"
assert second.index == 1
assert torch.device("cuda").index is None
assert torch.device("cuda:7").index == 7
assert (torch.accelerator.device_count() > 0) == (device.type != "cpu")

# %%
# To use the second GPU, write ``device = torch.device("cuda:1")`` and leave
# the rest of the program as it is. To use several at once takes more than
# their names: see :ref:`two_processes`.
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    "My tensor is on the GPU, but ``if x.device == torch.device("cuda")`` is
#    never true." The tensor is on ``cuda:0``, and that name differs from
#    ``cuda``. Compare the types.

first = torch.device("cuda:0")
current = torch.device("cuda")

print("equal:", first == current)
print("equal types:", first.type == current.type)

assert first != current
assert first.type == current.type
assert first.type == "cuda"
assert current.index is None

# %%
# Look closer: a default device
# -----------------------------
#
# Inside ``with torch.device(...)``, new tensors and new layers are made on
# that device, unless you say otherwise. `torch.set_default_device` does so for
# the rest of the program. What exists already stays where it is, and so does
# what you compute from it:

exists = torch.ones(2)
with torch.device("meta"):
    layer = torch.nn.Linear(2, 1)
    doubled = 2 * exists

print("new layer:", layer.weight.device)
print("old data: ", exists.device)
print("doubled:  ", doubled.device)

assert layer.weight.device.type == "meta"
assert exists.device.type == doubled.device.type == "cpu"
assert doubled.tolist() == [2, 2]
assert torch.ones(2).device.type == "cpu"
torch.set_default_device("meta")
assert torch.ones(2).device.type == "meta"
torch.set_default_device("cpu")

# %%
# Look closer: when the GPU is not found
# --------------------------------------
#
# You have an NVIDIA GPU, and the device is ``cpu`` all the same?
# `torch.cuda.is_available` does not tell whether the computer has a GPU, but
# whether this PyTorch can use one.
#
# - If the first line below says False, you installed a PyTorch without CUDA.
#   Take the command for your system from `pytorch.org
#   <https://pytorch.org/get-started/locally/>`__ and choose CUDA there.
# - If only the second line says False, PyTorch found no GPU, or no driver that
#   it can use. The command ``nvidia-smi`` in a terminal shows what the driver
#   finds.
#
# In both cases ``.to("cuda")`` is an error, and its words depend on what you
# installed. (AMD GPUs, too, go by the name ``cuda``. On an Apple computer both
# lines say False, and the device is ``mps``.)

print("made for CUDA:  ", torch.backends.cuda.is_built())
print("can use one now:", torch.cuda.is_available())

assert torch.backends.cuda.is_built() or not torch.cuda.is_available()
can_use = True
try:
    torch.ones(2).to("cuda")
except (AssertionError, RuntimeError):  # which one depends on the build
    can_use = False
assert torch.cuda.is_available() == can_use

# %%
# Try it
# ------
#
# .. exercise:: Move a whole batch
#
#    Data often comes as a dict: names and tensors, and perhaps a text, such as
#    the name of a file. Write ``to_device(batch, device)``. It returns a new
#    dict in which each tensor is on the device and everything else is as
#    before. The given dict must not change.
#
#    .. hint:: ``isinstance(value, torch.Tensor)`` tells which values can move.
#       What does ``value.to(device)`` do to ``value``?


def to_device(batch, device):
    """Return a new dict like ``batch``, with its tensors on the device."""
    moved = {}
    for name, value in batch.items():
        if isinstance(value, torch.Tensor):
            value = value.to(device)
        moved[name] = value
    return moved


batch = {
    "image": torch.zeros(2, 3),
    "label": torch.tensor([0, 1]),
    "file": "cats.npy",
}
moved = to_device(batch, "meta")
assert isinstance(moved, dict), "return a dict"
assert moved is not batch, "return a new dict"
assert list(moved) == ["image", "label", "file"], "keep all the names"
assert moved["image"].device.type == "meta", (
    "the image must be on the device: did you keep what to() returned?"
)
assert moved["label"].device.type == "meta", "the label must move as well"
assert moved["file"] == "cats.npy", "what is no tensor stays as it is"
assert batch["image"].device.type == "cpu", "the given dict must not change"

# %%
# .. exercise:: A mask on any device
#
#    ``lengths`` has shape (N,): how many words each of N sentences has. Write
#    ``word_mask(lengths, longest)``. It returns a bool tensor of shape
#    (N, longest), True where a sentence has a word: for lengths 1 and 3 and
#    ``longest=3``, the rows True, False, False and True, True, True. The mask
#    must be on the device of ``lengths``.
#
#    .. hint:: Compare the positions 0, 1, 2, ... with ``lengths[:, None]``. On
#       which device does `torch.arange` make the positions?


def word_mask(lengths, longest):
    """Return a bool mask (N, longest), True where a sentence has a word."""
    positions = torch.arange(longest, device=lengths.device)  # (longest,)
    return positions < lengths[:, None]  # (longest,) < (N, 1) -> (N, longest)


mask = word_mask(torch.tensor([1, 3]), 3)
assert mask.dtype == torch.bool, "True or False for each word"
assert mask.shape == (2, 3), "one row for each sentence: (N, longest)"
assert mask.tolist() == [[True, False, False], [True, True, True]], (
    "True for as many words as the sentence has"
)
assert word_mask(torch.tensor([2]), 4).tolist() == [
    [True, True, False, False]
], "longest may be more than any sentence has"
elsewhere = word_mask(torch.tensor([1, 3], device="meta"), 5)
assert elsewhere.device.type == "meta", "the mask is where the lengths are"
assert elsewhere.shape == (2, 5), "one row for each sentence: (N, longest)"

# %%
# What you learned
# ----------------
#
# Pick ``device`` once and write the rest without naming any hardware. A module
# moves, a tensor is copied: keep what ``to`` returns. A function makes new
# tensors with ``device=x.device``.
#
# Next: :ref:`first_gradient` explains what ``backward`` in the loop does. How
# a model of your own takes all its tensors along is in
# :ref:`parameters_buffers`, and the whole loop in :ref:`train_validate_test`.
