r"""
.. _save_load:

Save a model and load it safely
===============================

The network has learned: how do its weights get into another program, on a
computer without your graphics card? After this page you can save and load a
state, read the error when names or shapes do not fit, and refuse a file that
would run a stranger's code.

.. concepts: D06
.. claims: c3-70 c3-71 c3-76
"""

import copy
import os
import pickle
import tempfile
import textwrap
from collections import OrderedDict
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from snippets.checkpointing import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from snippets.drawing import draw_memory, show_pictures

# %%
# A state is names and tensors
# ----------------------------
#
# `torch.nn.Module.state_dict` lists what a network has learned: its
# parameters, and its buffers, such as the mean that a `torch.nn.BatchNorm1d`
# keeps.


def network(classes=3):
    """Return a small network, not trained."""
    layers = [nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4, classes))


torch.manual_seed(0)
x = torch.randn(64, 2)
model = network()
model(x)  # in training mode, BatchNorm takes note of what it sees
shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
for name, shape in shapes.items():
    print(f"{name:22}{shape}")

buffers = dict(model.named_buffers())
parameters = dict(model.named_parameters())
assert buffers["1.running_mean"].any() and len(buffers) == 3
assert set(shapes) == set(parameters) | set(buffers)
assert shapes["0.weight"] == (4, 2) and shapes["1.num_batches_tracked"] == ()
assert shapes["3.weight"] == (3, 4) and len(shapes) == 9

# %%
# `torch.save` writes it. The other program builds the same network, and
# `torch.nn.Module.load_state_dict` copies in what `torch.load` has read.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    No more is said about saving. The file lacks the optimizer
#    (:ref:`resume_training`), the class, and the mode: call ``eval()``
#    yourself.

folder = tempfile.TemporaryDirectory()  # removed at the end of the page
path = Path(folder.name, "model.pt")
torch.save(model.state_dict(), path)

again = network()
state = torch.load(path, weights_only=True)
print("equal before:", torch.equal(again[0].weight, model[0].weight))
report = again.load_state_dict(state)
print(report)
same = torch.equal(again.eval()(x), model.eval()(x))
print("same outputs:", same)

assert same and list(state) == list(model.state_dict())
assert str(report) == "<All keys matched successfully>"
assert network().training and not torch.equal(network()(x), model(x))

# %%
# Why not the whole model?
# ------------------------
#
# ``torch.save(model, path)`` looks easier. But of the class, that file (a
# *pickle*) holds only the name, and whatever bears this name later will run.
# Here the class is edited after the model was saved:


class Scale(nn.Module):
    """Multiply by a learned factor."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.factor * x


whole = Path(folder.name, "whole.pt")
torch.save(Scale(), whole)
ten = torch.tensor(10.0)
twenty = Scale()(ten)
print("saved:", twenty.item())
Scale.forward = lambda self, x: x - self.factor
loaded = torch.load(whole, weights_only=False)
print("loaded:", loaded(ten).item())

assert twenty == 20 and loaded(ten) == 10 - 2 and loaded.factor == 2

# %%
# Or the class gets a better name:

Multiply = Scale
del Scale
try:
    torch.load(whole, weights_only=False)
except AttributeError as error:
    reason = str(error).split(" on ")[0]
    print(reason)
    assert reason == "Can't get attribute 'Scale'"
else:
    raise AssertionError("a class that is gone must not load")
assert isinstance(loaded, Multiply)

# %%
# A checkpoint from a stranger is code
# ------------------------------------
#
# A pickle may name *any* function, and reading it calls that function. This
# file has all the right weights, and one call more. It makes a folder, which
# is harmless and easy to see. It could as well delete yours.


class Trap:
    """Have the reader of a file make a folder."""

    def __reduce__(self):
        return os.mkdir, (str(mark),)


mark = Path(folder.name, "the file did this")
gift = Path(folder.name, "gift.pt")
torch.save({**model.state_dict(), "trap": Trap()}, gift)
try:
    torch.load(gift, weights_only=True)
except pickle.UnpicklingError as error:
    reason = next(s for s in str(error).splitlines() if "GLOBAL" in s)
    print(reason)
    assert f"GLOBAL {os.mkdir.__module__}.mkdir" in reason
else:
    raise AssertionError("a file that calls a function must be refused")
print("folder made:", mark.exists())

assert not mark.exists()

# %%
# ``weights_only=True``, the default since torch 2.6, refuses the file before
# anything runs. The full message also says that ``weights_only=False`` "will
# likely succeed". It does:

stolen = torch.load(gift, weights_only=False)
print("folder made:", mark.exists())
again.load_state_dict({name: stolen[name] for name in state})
print("and the weights are right:", torch.equal(again(x), model(x)))

assert mark.is_dir() and torch.equal(again(x), model(x))
mark.rmdir()

# %%
# Saved on a GPU, read without one
# --------------------------------
#
# A file remembers the device of each tensor. We write the name of a graphics
# card into this one that the computer lacks. ``map_location="cpu"`` reads it
# anyway; then move the network with ``model.to(device)``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The file is read without ``map_location``, which works only
#    where that device exists.

elsewhere = Path(folder.name, "elsewhere.pt")
name = "torch.serialization.location_tag"
with mock.patch(name, return_value="cuda:99"):
    torch.save(model.state_dict(), elsewhere)
try:
    torch.load(elsewhere, weights_only=True)
except RuntimeError as error:
    reason = str(error).split(". ")[0]
    print(reason)
    assert "Attempting to deserialize object on" in reason
else:
    raise AssertionError("there must be no such card")
state = torch.load(elsewhere, map_location="cpu", weights_only=True)
print("read to:", state["0.weight"].device)

assert {tensor.device.type for tensor in state.values()} == {"cpu"}
assert torch.equal(state["0.weight"], model[0].weight)

# %%
# Other names
# -----------
#
# The same layers under other names do not fit. *Missing* is what the model
# wants and the file lacks; *unexpected* is the reverse. ``strict=False``
# silences the error, and not one number is loaded!
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A plain ``Sequential`` and layers with names are said to be the same
#    model. They compute the same, and do not fit each other's files.

names = ["hidden", "norm", "bend", "head"]
named = nn.Sequential(OrderedDict(zip(names, network(), strict=True)))
try:
    named.load_state_dict(state)
except RuntimeError as error:
    for line in str(error).splitlines():
        print(textwrap.shorten(line, 60))
    assert 'Missing key(s) in state_dict: "hidden.weight"' in str(error)
    assert 'Unexpected key(s) in state_dict: "0.weight"' in str(error)
else:
    raise AssertionError("other names must not fit")
before = copy.deepcopy(named.state_dict())
report = named.load_state_dict(state, strict=False)
after = named.state_dict()
changed = [name for name in after if not before[name].equal(after[name])]
print("changed by strict=False:", changed)

assert not changed and set(report.unexpected_keys) == set(state)
assert {"hidden.weight", "head.bias"} < set(report.missing_keys)

# %%
# A state is a dictionary: rename its keys. Both list the same layers in the
# same order.

renamed = dict(zip(named.state_dict(), state.values(), strict=True))
print(named.load_state_dict(renamed))

assert torch.equal(named.eval()(x), model(x))
assert list(renamed)[-2:] == ["head.weight", "head.bias"]

# %%
# Another shape
# -------------
#
# ``strict=False`` forgives names, never shapes. For a head with five classes,
# leave the old one out, and read the report: only the head may be missing. And
# beware: the try that failed has copied what did fit.

five = network(classes=5)
try:
    five.load_state_dict(state, strict=False)
except RuntimeError as error:
    reason = str(error).splitlines()[1].strip()
    print(reason)
    assert "3.weight" in reason and "[3, 4]" in reason and "[5, 4]" in reason
else:
    raise AssertionError("another shape must not fit")
assert torch.equal(five[0].weight, model[0].weight)

# %%
# The layer before it has been loaded by then: the model is half loaded. Leave
# out by name what does not fit, and read the report of what is missing:

body = {name: t for name, t in state.items() if not name.startswith("3.")}
report = five.load_state_dict(body, strict=False)
print(report)

assert report.missing_keys == ["3.weight", "3.bias"]
assert not report.unexpected_keys and len(body) == 7

# %%
# The best weights that were not kept
# -----------------------------------
#
# A state is no copy. It is the network's own memory, and follows the training.
# To keep the best weights, copy them, or save them.

best = model.state_dict()
kept = copy.deepcopy(best)
with torch.no_grad():
    model[3].bias.fill_(7.0)  # what training might do
print("state_dict():", best["3.bias"].tolist())
print("a copy is as it was:", torch.equal(kept["3.bias"], state["3.bias"]))

assert best["3.bias"].tolist() == [7.0, 7.0, 7.0]
assert torch.equal(kept["3.bias"], state["3.bias"]) and 7 not in kept["3.bias"]

# %%
# A slice takes its whole memory along
# ------------------------------------
#
# A row of a table is saved with all of the table. A clone has a memory of its
# own.
#
# .. alt: A table of three rows of four and its first row stand above one strip
#    of twelve cells in memory. The clone of the row stands above a strip of
#    its own with four cells.

table = torch.arange(12.0).view(3, 4)
draw_memory({"table": table, "row": table[0], "clone": table[0].clone()})
show_pictures()

large = torch.zeros(1000, 100)
sizes = {}
for name, tensor in {"row": large[0], "clone": large[0].clone()}.items():
    torch.save(tensor, path)
    sizes[name] = path.stat().st_size // 1000
print("kilobytes:", sizes)

assert 400 <= sizes["row"] < 405 and sizes["clone"] < 4

# %%
# A file that cannot hold code
# ----------------------------
#
# Many models are passed on as *safetensors*, a format with room for names,
# shapes and numbers alone. It refuses two names for one tensor, which
# `torch.save` keeps.

safe = Path(folder.name, "model.safetensors")
save_file(state, safe)
from_safe = load_file(safe)
print(len(from_safe), "tensors")
tied = {"in": table, "out": table}
torch.save(tied, path)
both = torch.load(path, weights_only=True)
try:
    save_file(tied, safe)
except RuntimeError as error:
    reason = str(error).strip().split(",")[0]
    print(reason)
    assert reason == "Some tensors share memory"
else:
    raise AssertionError("shared memory must be refused")

assert from_safe.keys() == state.keys() and len(from_safe) == 9
assert all(torch.equal(from_safe[n], t) for n, t in state.items())
assert both["in"].data_ptr() == both["out"].data_ptr()

# %%
# A flipped bit
# -------------
#
# Disks and downloads go wrong. In this file, one bit of the number 0.5 is
# flipped, and `torch.load` says nothing.


def flip(path, value):
    """Flip one bit of a number in a file."""
    content = bytearray(path.read_bytes())
    content[content.find(value.numpy().tobytes()) + 3] ^= 0b0100_0000
    path.write_bytes(content)


half = torch.tensor([0.5])
torch.save(half, path)
flip(path, half)
wrong = torch.load(path, weights_only=True)
print("torch.load:", wrong)

assert wrong.item() == 2.0**127

# %%
# A file of `snippets.checkpointing.save_checkpoint` carries a checksum. What
# is damaged or comes from elsewhere is refused, and code never runs:

save_checkpoint(path, half=half, model=model)
fresh = network()
print("save_checkpoint:", load_checkpoint(path, model=fresh))
assert torch.equal(fresh.eval()(x), model(x))

# %%
# A flipped bit is found, and so is a file that has no checksum:

flip(path, half)
for file in (path, gift):
    try:
        load_checkpoint(file, model=fresh)
    except CheckpointError as error:
        reason = str(error).replace(str(file), file.name).split(":")[0]
        print(reason)
        wanted = "is damaged" if file == path else "has no checksum"
        assert reason.startswith(f"{file.name} {wanted}")
    else:
        raise AssertionError("a bad file must be refused")

folder.cleanup()
assert not mark.exists() and not path.exists()

# %%
# What you learned
# ----------------
#
# Save the state, not the object. Load it with ``weights_only=True`` and
# ``map_location="cpu"``. A state follows its network until it is copied.
#
# Next: :ref:`resume_training` saves all that a training needs to go on, and
# :ref:`finetune` gives a network a new head. What belongs to a state is on
# :ref:`parameters_buffers`; the checked files are in `snippets.checkpointing`.
