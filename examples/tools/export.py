r"""
.. _export:

Export a model that runs without its code
=========================================

A file of weights is useless without the Python class that they belong to: how
does a model get into a program that lacks this class, or Python itself? After
this page you can export a model with `torch.export` and as ONNX, let the size
of its batches vary, and prove that the copy computes the same.

.. concepts: A15
"""

import importlib
import io
import tempfile
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.export import Dim, export
from torch.nn import functional as F

from snippets.drawing import PALETTE, show_pictures
from snippets.training import fit

# %%
# A network that has learned
# --------------------------
#
# It reads scikit-learn's digits. That pixels go from 0 to 16 is known to the
# network itself, which divides them. So whoever gets the file need not know.


class DigitReader(nn.Module):
    """Read a digit of 8 by 8 pixels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8 * 6 * 6, 10)

    def forward(self, pixels):  # (N, 1, 8, 8), from 0 to 16
        maps = torch.relu(self.conv(pixels / 16))  # (N, 8, 6, 6)
        return self.head(self.drop(maps.flatten(1)))  # (N, 10)


assert DigitReader()(torch.zeros(5, 1, 8, 8)).shape == (5, 10)

# %%
# It learns 1200 digits. The other 597 are to show that a copy computes the
# same.

digits = load_digits()
pixels = torch.tensor(digits.images, dtype=torch.float32)[:, None]
labels = torch.tensor(digits.target)
new, new_labels = pixels[1200:], labels[1200:]
batches = zip(pixels[:1200].split(50), labels[:1200].split(50), strict=True)

torch.manual_seed(0)
model = DigitReader()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
fit(model, list(batches), F.cross_entropy, optimizer, epochs=4)
model.eval().requires_grad_(False)  # learned, so no gradients from here on
expected = model(new)
right = (expected.argmax(dim=1) == new_labels).float().mean().item()
print("more than 85 % of the new digits are right:", right > 0.85)

assert right > 0.85 and expected.shape == (597, 10)

# %%
# From code to a list of operations
# ---------------------------------
#
# `torch.export.export` calls the model with an example and writes down each
# operation on a tensor. What comes out holds this list and the weights, but no
# Python: no class, no ``forward``, no ``self``.

program = export(model, (new[:2],))
operations = [n for n in program.graph.nodes if n.op == "call_function"]
for node in operations:
    print(f"{node.target!s:26}{tuple(node.meta['val'].shape)}")

names = [str(node.target).split(".")[1] for node in operations]
assert names == ["div", "conv2d", "relu", "flatten", "dropout", "linear"]
assert operations[1].meta["val"].shape == (2, 8, 6, 6)
assert operations[4].args[1:] == (0.2, False)  # switched off by model.eval()
assert program.state_dict.keys() == model.state_dict().keys()

# %%
# A batch of any size
# -------------------
#
# The example had two digits, and this two is now part of the program. Five
# are refused:

try:
    program.module()(new[:5])
except (AssertionError, RuntimeError) as error:
    refusal = str(error).splitlines()[0]
else:
    refusal = "none"
print(refusal)

assert "size()[0] == 2" in refusal or "shape[0] to be equal to 2" in refusal

# %%
# `torch.export.Dim` gives a dimension a name instead of a number. The key is
# the name of the argument in ``forward``, and 0 is the dimension.

any_size = {"pixels": {0: Dim("batch")}}
program = export(model, (new[:2],), dynamic_shapes=any_size)
reader = program.module()
same = {}
for size in (1, 2, 5, 597):
    some = new[:size]
    same[size] = torch.equal(reader(some), model(some))
print("the same as the model:", same)

assert same == {1: True, 2: True, 5: True, 597: True}

# %%
# The shapes of this program have an open size, called N here:


def shape(node):
    """Return the shape of what a node gives, with N for an open size."""
    sizes = [n if isinstance(n, int) else "N" for n in node.meta["val"].shape]
    return f"({', '.join(map(str, sizes))})"


sources = program.graph_signature.inputs_to_parameters
nodes = [n for n in program.graph.nodes if n.name not in sources][:-1]
shapes = [shape(node) for node in nodes]
print("in:", shapes[0], "out:", shapes[-1])

assert shapes[0] == "(N, 1, 8, 8)" and shapes[-1] == "(N, 10)"
assert len(shapes) == 1 + len(names) == 7

# %%
# This is all of it. The weights come in from the left.
#
# .. alt: Seven boxes, one below the other, joined by arrows: pixels, div,
#    conv2d, relu, flatten, dropout and linear. At the right is the shape of
#    each result, from (N, 1, 8, 8) over (N, 8, 6, 6) to (N, 10). From the
#    left, conv.weight and conv.bias go into conv2d, head.weight and head.bias
#    into linear.

style = {"color": "#1a1a1a", "ha": "center", "va": "center"}
fig, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
for row, node in enumerate(nodes):
    box = {"boxstyle": "round", "facecolor": PALETTE[row > 0]}
    ax.text(0, -row, ["pixels", *names][row], **style, bbox=box)
    ax.text(0.5, -row, shapes[row], va="center")
    own = [sources.get(n.name) for n in node.all_input_nodes[1:]]
    if own:
        ax.text(-0.4, -row, " + ".join(own) + " →", va="center", ha="right")
    if row > 0:
        ax.text(0, 0.5 - row, "↓", ha="center", va="center")
    assert not own or own == [f"{own[0][:4]}.weight", f"{own[0][:4]}.bias"]
ax.set(xlim=(-1.9, 1.5), ylim=(0.6 - len(nodes), 0.6))
ax.set_axis_off()
show_pictures()

assert shapes[2] == shapes[3] == "(N, 8, 6, 6)"

# %%
# Save it, and lose the class
# ---------------------------
#
# `torch.load` of a whole model needs its class, as :ref:`save_load` shows.
# `torch.export.load` does not. Here class and model are gone before it runs:

folder = tempfile.TemporaryDirectory()  # removed at the end of the page
path = Path(folder.name, "digits.pt2")
torch.export.save(program, path)
del DigitReader, model, program, reader

loaded = torch.export.load(path)
answers = loaded.module()(new)
print("the same answers:", torch.equal(answers, expected))

assert torch.equal(answers, expected) and "DigitReader" not in globals()

# %%
# Take such files only from people whom you trust, as parts of them are read as
# a pickle. And keep your code: a later version of PyTorch may refuse the file.
#
# The mode is part of the program
# -------------------------------
#
# Did you forget ``eval()``? Then dropout stays on, and nobody can switch it
# off afterward. No error says so.

torch.manual_seed(0)
ones = torch.ones(1000)
forgotten = nn.Sequential(nn.Dropout(0.5))  # in training mode, as if new
careless = export(forgotten, (ones,)).module()
kept = (careless(ones) > 0).float().mean().item()
print("about half of the numbers are kept:", 0.4 < kept < 0.6)
try:
    careless.eval()
except NotImplementedError as error:
    print(error)
    assert "eval() is not supported" in str(error)
else:
    raise AssertionError("the mode must be fixed")

assert 0.4 < kept < 0.6
assert torch.equal(export(forgotten.eval(), (ones,)).module()(ones), ones)

# %%
# What cannot be exported
# -----------------------
#
# There is one list of operations for all inputs. So an ``if`` on the numbers
# *in* a tensor has no place in it:


class Shrink(nn.Module):
    """Move all numbers by 1 against their sum."""

    def forward(self, x):
        if x.sum() > 0:
            return x - 1
        return x + 1


three = torch.tensor([-1.0, 0.0, 2.0])
try:
    with redirect_stderr(io.StringIO()):  # where the unfinished graph goes
        export(Shrink(), (three,), strict=True)
except RuntimeError as error:
    reason = str(error).splitlines()[0]
    print(reason)
    assert "branching" in reason or "control flow" in reason
else:
    raise AssertionError("an if on data must be refused")

# %%
# ``strict=True`` reads the Python code while it exports, so that its message
# names the cause. The way out is an operation that picks: `torch.where`
# computes both sides.


class Pick(nn.Module):
    """Move all numbers by 1 against their sum."""

    def forward(self, x):
        return torch.where(x.sum() > 0, x - 1, x + 1)


pick = export(Pick(), (three,)).module()
print(pick(three).tolist(), pick(-three).tolist())

assert pick(three).tolist() == Shrink()(three).tolist() == [-2, -1, 1]
assert pick(-three).tolist() == Shrink()(-three).tolist() == [2, 1, -1]

# %%
# What depends on Python alone is worked out once. A loop is unrolled, and its
# number of rounds is fixed:


class Double(nn.Module):
    """Double all numbers, again and again."""

    def __init__(self, rounds):
        super().__init__()
        self.rounds = rounds

    def forward(self, x):
        for _ in range(self.rounds):
            x = x * 2
        return x


double = export(Double(rounds=3), (three,)).module()
double.rounds = 1
print(double(three).tolist())

assert double(three).tolist() == [-8, 0, 16]

# %%
# ONNX: where there is no PyTorch
# -------------------------------
#
# Browsers, phones and programs in other languages read *ONNX*, a format of its
# own for lists of operations. ``torch.onnx.export(..., dynamo=True)``
# translates our program. It needs the packages ``onnx`` and ``onnxscript``,
# and ``onnxruntime`` runs the file. Where one of them is missing, this page
# says so and leaves the rest out.

needed = ["onnx", "onnxscript", "onnxruntime"]
missing = [name for name in needed if find_spec(name) is None]
onnx_path = Path(folder.name, "digits.onnx")
if missing:
    print("NOT RUN here, for want of:", ", ".join(missing))
else:
    translated = torch.onnx.export(loaded, dynamo=True, verbose=False)
    translated.save(onnx_path)
    content = importlib.import_module("onnx").load(onnx_path)
    steps = [node.op_type for node in content.graph.node]
    print(steps)
    assert steps == ["Div", "Conv", "Relu", "Reshape", "Gemm"]

assert onnx_path.exists() != bool(missing)

# %%
# The names are those of ONNX: ``Gemm`` is a matrix product plus a bias. And
# the translator has left out the dropout, which does nothing. ONNX Runtime is
# a program of its own: it reads NumPy arrays, and its sums may differ in the
# last digits.

if missing:
    print("NOT RUN here, for want of:", ", ".join(missing))
else:
    runtime = importlib.import_module("onnxruntime")
    cpu = ["CPUExecutionProvider"]
    session = runtime.InferenceSession(onnx_path, providers=cpu)
    feed = {session.get_inputs()[0].name: new.numpy()}
    (found,) = session.run(None, feed)
    found = torch.from_numpy(found)
    print("close:", torch.allclose(found, expected, rtol=1e-4, atol=1e-4))
    guesses = found.argmax(dim=1)
    print("the same guesses:", torch.equal(guesses, expected.argmax(dim=1)))
    assert found.shape == (597, 10)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(guesses, expected.argmax(dim=1))

folder.cleanup()
assert not path.exists() and not onnx_path.exists()

# %%
# What you learned
# ----------------
#
# Call ``eval()``, export with an example, and name the dimensions that vary.
# Decisions on data become operations. Compare the outputs of the file with
# those of the model before you hand it on.
#
# A file for PyTorch programs is written by `torch.export.save`, one for all
# others is ONNX. To go on training, save the weights: :ref:`save_load`. To run
# faster in Python, capture the graph in place: :ref:`compile`.
