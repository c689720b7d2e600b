r"""
.. _look_inside:

Look inside a model
===================

What is inside this model, how many numbers does it train, and what shape comes
out of each layer? After this page you know what printing a model tells and
what it hides. You can list, count and walk its parts, and write a summary with
shapes yourself, before you reach for a tool.

.. concepts: M05 M06 M17
.. claims: c2-49 c2-50 c3-68 c3-69 c3-94
"""

import matplotlib.pyplot as plt
import torch
import torchinfo
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook

from snippets.drawing import PALETTE, show_pictures
from snippets.shapes import trace_shapes

# %%
# Print it
# --------
#
# A printed model lists the layers that ``__init__`` has assigned, with their
# settings. It has not run, so there are no shapes and no counts. What only
# ``forward`` does is missing: here the pooling and the flattening. And a layer
# that ``forward`` never uses is listed like any other.


class DigitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.spare = nn.Linear(36, 5)  # forgotten, never used
        self.out = nn.Linear(36, 10)
        self.register_buffer("mean", torch.tensor(8.0))  # kept, not trained

    def forward(self, images):  # (batch, 1, 8, 8) -> (batch, 10)
        maps = self.features(images - self.mean)  # (batch, 4, 6, 6)
        maps = F.max_pool2d(maps, 2)  # (batch, 4, 3, 3)
        return self.out(maps.flatten(1))


model = DigitNet()
print(model)

text = str(model)
assert "(spare): Linear(in_features=36, out_features=5, bias=True)" in text
assert "(0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))" in text
assert "out_features=10" in text and "(1): ReLU()" in text
assert "pool" not in text and "flatten" not in text and "mean" not in text

# %%
# ``print`` shows a model and returns nothing. To keep the text, write
# ``text = str(model)``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``model = print(model)`` is said to show a summary. It
#    shows the layers, and then the model is gone.

lost = DigitNet()
lost = print(lost.out)
try:
    lost(torch.zeros(2, 1, 8, 8))
except TypeError as error:
    print(error)
    assert lost is None and "'NoneType' object is not callable" in str(error)
else:
    raise AssertionError("what print returns must not be a model")

# %%
# List and count what it trains
# -----------------------------
#
# `torch.nn.Module.named_parameters` gives the name and the tensor of all that
# is trained, in the layers of layers too. Count the elements with
# `torch.Tensor.numel`. A *frozen* parameter, one that requires no gradient, is
# listed as well.

for name, parameter in model.named_parameters():
    print(f"{name:18}{tuple(parameter.shape)!s:15}{parameter.numel():4}")
model.spare.requires_grad_(False)  # freezes its weight and its bias
total = sum(p.numel() for p in model.parameters())
trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
print(f"{trained} of {total} are trained")

shapes = [tuple(p.shape) for p in model.parameters()]
assert shapes == [(4, 1, 3, 3), (4,), (5, 36), (5,), (10, 36), (10,)]
assert trained == (4 * 9 + 4) + (10 * 36 + 10) == 410
assert total == trained + (5 * 36 + 5) == 595

# %%
# A list that is used up
# ----------------------
#
# `torch.nn.Module.parameters` returns a *generator*: it gives each parameter
# once. Count with it, and there is nothing left for the optimizer.

parameters = model.parameters()
count = sum(parameter.numel() for parameter in parameters)
try:
    torch.optim.SGD(parameters, lr=0.1)
except ValueError as error:
    print(count, error)
    assert count == 595 and "empty parameter list" in str(error)
else:
    raise AssertionError("a generator must be used up")

# %%
# Ask anew each time, or keep ``list(model.parameters())``. *Buffers*, tensors
# that a model keeps and does not train, have a list of their own,
# `torch.nn.Module.named_buffers`.
#
# Walk through its parts
# ----------------------
#
# `torch.nn.Module.children` gives the parts directly inside.
# `torch.nn.Module.modules` gives all, however deep, the model itself first.
# Both come with names: ``named_children`` and ``named_modules``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``parameters()`` is said to return all parameters: once, and
#    without buffers. ``Model.Modules()`` is said to manage the parts. It is
#    written ``modules()``, and only lists them.

print([name for name, _ in model.named_children()])
print([name for name, _ in model.named_modules()])
try:
    model.Modules()
except AttributeError as error:
    print(error)
    assert "has no attribute 'Modules'" in str(error)
else:
    raise AssertionError("modules has no capital")

children = [name for name, _ in model.named_children()]
assert children == ["features", "spare", "out"]
everything = [name for name, _ in model.named_modules()]
inside = ["features.0", "features.1"]
assert everything == ["", "features", *inside, "spare", "out"]
assert [name for name, _ in model.named_buffers()] == ["mean"]
assert not any(parameter is model.mean for parameter in model.parameters())

# %%
# The tree that ``modules()`` walks, from top to bottom:
#
# .. alt: A tree. The model, DigitNet, is at the top. Its three children are
#    features, spare and out. features.0 and features.1 are inside of features.

_, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
rows = {name: row for row, (name, _) in enumerate(model.named_modules())}
for name, module in model.named_modules():
    depth = len(name.split(".")) if name else 0
    parent = name.rpartition(".")[0]
    if name:
        corner = [rows[parent], rows[name], rows[name]]
        ax.plot([depth - 0.9, depth - 0.9, depth], corner, "#8a8f98", zorder=0)
    label = f"{name or 'model'}: {type(module).__name__}"
    box = {"facecolor": PALETTE[depth], "edgecolor": "none"}
    ax.text(depth, rows[name], label, va="center", bbox=box, color="#1a1a1a")
ax.set(xlim=(-0.1, 4), ylim=(5.5, -0.5))
ax.axis("off")
show_pictures()

assert [text.get_position()[0] for text in ax.texts] == [0, 1, 2, 2, 1, 1]

# %%
# Write a summary with shapes
# ---------------------------
#
# Shapes exist only while the model runs. A *hook* is a function of yours that
# is called each time a layer has run. One layer takes it by
# `torch.nn.Module.register_forward_hook`. Here one hook is for all layers, and
# ``with`` takes it away again. A summary needs ten lines:


def summarize(model, images):
    """Return name, output shape and own parameters of each layer that runs."""
    names = {layer: name for name, layer in model.named_modules()}
    rows = []

    def note(layer, inputs, output):
        count = sum(p.numel() for p in layer.parameters(recurse=False))
        rows.append((names[layer], tuple(output.shape), count))

    with register_module_forward_hook(note):
        model(images)
    return rows


rows = summarize(model, torch.zeros(2, 1, 8, 8))
for name, shape, count in rows:
    print(f"{name:12}{shape!s:14}{count:4}")

maps = (2, 4, 6, 6)
assert rows[:2] == [("features.0", maps, 40), ("features.1", maps, 0)]
assert rows[2:4] == [("features", maps, 0), ("out", (2, 10), 370)]
assert rows[4:] == [("", (2, 10), 0)]

# %%
# A layer calls the hook when it is done, so the model, whose name is empty,
# comes last. The forgotten layer ``spare`` never runs and is missing: 40 + 370
# is not 595.
#
# Tools that do it for you
# ------------------------
#
# `snippets.shapes.trace_shapes` agrees, and names the layer that is not
# called. Nothing is computed: a copy runs that has shapes and no numbers.
# ``print(table)`` would show the shapes too.

table = trace_shapes(model, (2, 1, 8, 8))
for row in table:
    state = "" if row.called else "  not called"
    print(f"{row.path:12}{row.type:12}{row.parameters:4}{state}")
print("multiply-adds:", table.multiply_adds)

traced = {(r.path, r.output, r.parameters) for r in table if r.called}
assert traced == set(rows) and len(table) == len(rows) + 1
assert [row.path for row in table if not row.called] == ["spare"]
assert table.parameters == total
assert table.multiply_adds == 2 * (36 * 36 + 360) == 3312  # of 2 images

# %%
# ``torchinfo``, a package of its own, draws a tree. It gives the forgotten
# parameters to the model itself, and tells trained from frozen ones. Its
# multiply-adds count the biases too, so they are more than above.

info = torchinfo.summary(model, (2, 1, 8, 8), verbose=0, col_width=12)
lines = [line for line in str(info).splitlines()[:8] if "==" not in line]
tree = [line[:23] + line[41:] for line in lines]  # without the wide gap
print("\n".join(tree))
print("trained:", info.trainable_params, "of", info.total_params)
print("multiply-adds:", info.total_mult_adds)

assert tree[0] == "Layer (type:depth-idx) Output Shape Param #"
assert tree[1] == "DigitNet               [2, 10]      185"
assert tree[5] == tree[-1] == "├─Linear: 1-2          [2, 10]      370"
assert (info.total_params, info.trainable_params) == (total, trained)
assert info.total_mult_adds == 3312 + 2 * (36 * 4 + 10)

# %%
# What ten lines cannot do
# ------------------------
#
# Our hook wants one tensor from each layer. `torch.nn.LSTM` returns a tuple.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The tool shown is ``torchsummary``, last released in 2018.
#    It takes the size without the batch, and fails here like our hook. Use one
#    of the two above. A heading *Tools* has nothing below it.

lstm, sequence = nn.LSTM(4, 8), (5, 2, 4)  # steps, batch, features
try:
    summarize(lstm, torch.zeros(sequence))
except AttributeError as error:
    print(error)
    assert "'tuple' object has no attribute 'shape'" in str(error)
else:
    raise AssertionError("a tuple must not have a shape")
outputs, (hidden, cell) = trace_shapes(lstm, sequence)[0].output
counted = torchinfo.summary(lstm, sequence, verbose=0).total_params
print("outputs", tuple(outputs), "parameters", counted)

assert outputs == (5, 2, 8) and hidden == cell == (1, 2, 8)
assert counted == 4 * 8 * (4 + 8 + 2) == 448  # four gates, two biases each

# %%
# What you learned
# ----------------
#
# ``print`` shows layers and settings, ``named_parameters()`` what is trained,
# ``modules()`` all parts. Shapes need a run: by hooks of your own, by
# `snippets.shapes.trace_shapes`, or by ``torchinfo``.
#
# Next: :ref:`sequential_blocks` builds models from parts. For what a module
# trains, keeps and saves see :ref:`parameters_buffers`, for the LSTM
# :ref:`rnn_shapes`.
