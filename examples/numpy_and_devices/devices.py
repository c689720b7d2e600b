r"""
.. _devices:

Write code that runs on any device
==================================

Will this script run without a GPU, and use the GPU where there is one? After
this page you can pick the device in one line, move tensors and models there,
and read the error that comes when two tensors are on different devices. No GPU
is needed to follow.

.. concepts: N04 N05 N06
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import PALETTE

# %%
# One line picks the device
# -------------------------
#
# New tensors are on the CPU. `torch.accelerator` knows of anything faster that
# this build of PyTorch can use: an NVIDIA or AMD GPU (``cuda``), an Apple GPU
# (``mps``) and others. Ask whether there is one before you ask which.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Computing on a GPU stands inside ``if torch.cuda.is_available():`` (claims
#    c0-02, c3-02, c0-35, c0-36), so without one nothing happens. Here the same
#    sum runs anywhere, and only the name of the device differs.

has_accelerator = torch.accelerator.is_available()
device = torch.accelerator.current_accelerator() if has_accelerator else "cpu"

x = torch.tensor([-0.25])
total = x.to(device) + torch.ones(1, device=device)
print(total.device, total.cpu())

assert x.device.type == "cpu"
assert has_accelerator == (total.device.type != "cpu")
assert str(total.cpu()) == "tensor([0.7500])"

# %%
# What "CUDA is available" says
# -----------------------------
#
# Moving to a device that is missing is an error. Its type and its words depend
# on the build of PyTorch, so ask first.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    `torch.cuda.is_available` is said to tell whether the computer has an
#    NVIDIA GPU (claim c3-41). It tells whether this build can use one: False
#    with a CPU build or no driver, True for an AMD GPU with a ROCm build.

can_use_cuda = True
try:
    torch.ones(2).to("cuda")
except Exception:  # which one depends on the build
    can_use_cuda = False
told_truth = torch.cuda.is_available() == can_use_cuda
print("is_available told the truth:", told_truth)

assert told_truth is True
is_built, count = torch.backends.cuda.is_built(), torch.cuda.device_count()
assert (is_built and count > 0) or not can_use_cuda

# %%
# A device is only a name
# -----------------------
#
# Making a `torch.device` moves nothing, and succeeds for hardware that nobody
# has. GPUs are ``cuda:0``, ``cuda:1`` and so on; ``cuda`` alone means the
# current one. `torch.accelerator.device_count` tells how many there are.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    `torch.device` is said to move tensors (claim c0-34); `torch.Tensor.to`
#    does. Nor does naming several GPUs (claim c3-42) spread work over them.

eighth = torch.device("cuda:7")
print(eighth.type, eighth.index, torch.device("cuda").index, x.device)

assert (eighth.type, eighth.index) == ("cuda", 7)
assert torch.device("cuda").index is None and x.device.type == "cpu"
assert torch.accelerator.device_count() > 0 or not has_accelerator

# %%
# A tensor is copied, a module moves
# ----------------------------------
#
# The device ``meta`` keeps shapes and no numbers. Every machine has it, so it
# stands in for a GPU here. `torch.Tensor.to` returns a copy there, or the very
# same tensor if there is nothing to do. A *module* is a network or a part of
# one: `torch.nn.Module.to` moves it and returns it. Below, both results are
# thrown away: the layer has moved, the batch has not. Write
# ``batch = batch.to(device)``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``.to("cuda")`` and ``.cpu()`` are said to create a tensor (claims c2-09,
#    c2-11) or to move it (claims c0-32, c3-40). They return another tensor, or
#    the same one, and the device must exist. ``device=`` creates one there.

layer = torch.nn.Linear(2, 1)
batch = torch.ones(3, 2)
layer.to("meta")  # moves the layer
batch.to("meta")  # the copy is lost
print("layer:", layer.weight.device, " batch:", batch.device)

assert layer.weight.device.type == "meta" and batch.device.type == "cpu"
assert batch.to("meta").device.type == "meta"
assert batch.cpu() is batch and batch.to("cpu") is batch
assert layer.to("meta") is layer
assert torch.ones(2, device="meta").device.type == "meta"

# %%
# What moves with a module
# ------------------------
#
# A module moves its *parameters*, the tensors that are trained, and its
# *buffers*, which it keeps but does not train. A tensor that is a plain
# attribute stays behind. (``forward`` is what a module computes when called.)


class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("mean", torch.zeros(2))
        self.offset = torch.ones(2)

    def forward(self, x):
        return (x - self.mean) * self.weight + self.offset


scale = Scale().to("meta")
kinds = {"weight": "parameter", "mean": "buffer", "offset": "attribute"}
moved = [getattr(scale, name).device.type == "meta" for name in kinds]
print(dict(zip(kinds, moved, strict=True)))

assert moved == [True, True, False]

# %%
# The picture is drawn from what the tensors themselves say of their devices:
#
# .. alt: Two columns, cpu and meta. The bars of the parameter weight and the
#    buffer mean have gone from cpu to meta and left a dashed outline. The bar
#    of the plain attribute offset is still at cpu.

fig, ax = plt.subplots(figsize=(5.6, 2.2), layout="constrained")
for row, (name, kind) in enumerate(kinds.items()):
    left = 3 if moved[row] else 0
    ax.barh(row, 2.5, fill=False, edgecolor="#8a8f98", linestyle="--")
    ax.barh(row, 2.5, left=left, color=PALETTE[row])
    label = f"{name} ({kind})"
    ax.text(left + 0.1, row, label, va="center", color="#1a1a1a")
    ax.text(2.6, row, "→" if moved[row] else "", va="center", fontsize=16)
ax.set_xticks([1.25, 4.25], ["cpu", "meta, in place of a GPU"])
ax.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False)
ax.set_yticks([])
ax.invert_yaxis()
ax.spines[:].set_visible(False)
plt.show()

assert [text.get_text() for text in ax.texts].count("→") == 2

# %%
# The error for mixed devices
# ---------------------------
#
# With its offset left behind, the module fails on an input that is where its
# weight is. Operations move no tensors for you, except a single number without
# dimensions from the CPU:

try:
    scale(torch.ones(2, device="meta"))
except RuntimeError as error:
    print(error)
    assert "device cpu is not on the expected device meta" in str(error)
else:
    raise AssertionError("tensors on two devices must not be added")
number = torch.tensor(1.0)  # shape (), on the CPU
assert (number + torch.ones(2, device="meta")).device.type == "meta"

# %%
# With a real GPU it reads "Expected all tensors to be on the same device". The
# fix is the same: keep constants in buffers, and make tensors inside
# ``forward`` where the input is, with ``device=x.device``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Adding ``.to(X.device)`` to a custom model is called crucial (claim
#    c2-18). Move the model once. After that, only what ``forward`` makes needs
#    a device.


class Shift(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.tensor([10.0, 20.0]))

    def forward(self, x):
        place = torch.arange(2, device=x.device)
        return x + self.offset + place


shifted = Shift().to(device)(torch.ones(2, device=device))
on_meta = Shift().to("meta")(torch.ones(2, device="meta"))
print(shifted.cpu(), on_meta.device)

assert shifted.device.type == total.device.type
assert shifted.tolist() == [11, 22] and on_meta.device.type == "meta"

# %%
# What you learned
# ----------------
#
# Pick ``device`` once, make or move tensors with it, and move a model whole.
# What a model keeps is a parameter or a buffer; what it makes follows its
# input.
#
# Before this: :ref:`numpy_bridge`, where a tensor on a GPU needs ``.cpu()``.
