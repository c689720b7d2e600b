r"""
.. _linear:

Compute what a linear layer computes
====================================

You ask ``nn.Linear(3, 2)`` for three inputs and two outputs; why does its
weight then have the shape (2, 3)? After this page you can work out a linear
layer by hand, predict the shape of its output for any input, read its most
common error, and say how large its first, random weights are.

.. concepts: M07 M20
.. claims: c1-35 c1-37 c1-39 c1-40 c1-41
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import draw_shape, draw_tensors, show_pictures

# %%
# Three in, two out
# -----------------
#
# A `torch.nn.Linear` makes new numbers from old ones, each a sum of all
# inputs times weights, plus a bias. Say that a basket holds apples, pears and
# melons, and we want its price and its load in kilograms: 3 numbers in, 2 out.
# The layer holds one *row* of weights for each output.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The weight of a layer with 4 inputs and 2 outputs is drawn as 4 × 2 and
#    its bias as 3 × 2. They have the shapes (2, 4) and (2,): outputs first,
#    and one bias for each output.

layer = nn.Linear(3, 2)
print(layer)
for name, parameter in layer.named_parameters():
    print(name, tuple(parameter.shape))

assert str(layer) == "Linear(in_features=3, out_features=2, bias=True)"
assert [tuple(p.shape) for p in layer.parameters()] == [(2, 3), (2,)]
assert nn.Linear(4, 2).weight.shape == (2, 4)
assert nn.Linear(4, 2).bias.shape == (2,)

# %%
# New weights are random. We put in our own: for each fruit its price and its
# kilograms, and as the bias what the bag costs and weighs.

prices = [1.0, 2.0, 5.0]  # an apple, a pear, a melon
kilograms = [0.25, 0.5, 2.0]
with torch.no_grad():
    layer.weight.copy_(torch.tensor([prices, kilograms]))
    layer.bias.copy_(torch.tensor([0.5, 0.25]))  # the bag
basket = torch.tensor([4.0, 0.0, 1.0])  # four apples and a melon
answer = layer(basket).tolist()
print(answer)

price = 4 * 1.0 + 0 * 2.0 + 1 * 5.0 + 0.5
load = 4 * 0.25 + 0 * 0.5 + 1 * 2.0 + 0.25
assert answer == [price, load] == [9.5, 3.25]

# %%
# A batch: x @ W.T + b
# --------------------
#
# Samples stand in rows: four baskets are a tensor of shape (4, 3). Textbooks
# often write :math:`Wx + b`, and so do many people:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The layer is said to compute ``A.x + b``. With samples in
#    rows that fails. It computes ``x @ A.T + b``.

baskets = torch.tensor([[4.0, 0, 1], [0, 2, 0], [1, 1, 1], [0, 0, 0]])
try:
    layer.weight @ baskets + layer.bias  # (2, 3) @ (4, 3)
except RuntimeError as error:
    print(error)
    assert "shapes cannot be multiplied (2x3 and 4x3)" in str(error)
else:
    raise AssertionError("(2, 3) @ (4, 3) must fail")

# %%
# A row of ``x`` has to meet a row of ``W``, so ``W`` is transposed: (4, 3) @
# (3, 2) gives (4, 2), and each row gets the bias. In the picture, orange is
# all about prices and green about kilograms. The empty basket is just the bag.
#
# .. alt: Four grids. x has four rows of three, one for each basket. W.T has
#    three rows of two, the left column orange, the right one green. b has two
#    cells, 0.5 and 0.25. The result has four rows of two, in the same colors:
#    9.5 and 3.25, 4.5 and 1.25, 8.5 and 3, 0.5 and 0.25.

by_hand = baskets @ layer.weight.T + layer.bias
parts = {
    "x (4, 3)": baskets,
    "W.T (3, 2)": layer.weight.T,
    "b (2,)": layer.bias,
    "x @ W.T + b": by_hand,
}
colors = torch.tensor([1, 2])  # of the two outputs
groups = [None, colors.expand(3, 2), colors, colors.expand(4, 2)]
draw_tensors(parts, groups=groups)
show_pictures()

assert torch.equal(layer(baskets), by_hand) and by_hand.shape == (4, 2)
assert by_hand[:, 0].tolist() == [9.5, 4.5, 8.5, 0.5]
assert by_hand[:, 1].tolist() == [3.25, 1.25, 3.0, 0.25]

# %%
# Only the last dimension matters
# -------------------------------
#
# The layer works on the last dimension and leaves those before it alone. It
# may be a single sample, a batch, or a batch of sequences.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The shape of an output, (2, 3, 2), is called that of the input: inputs end
#    in ``in_features``, outputs in ``out_features``. The output's ``grad_fn``
#    is shown as ``AddBackward0``. There is one, but its name depends on the
#    input's shape and on the version.

shapes = [(3,), (4, 3), (2, 4, 3), (5, 2, 4, 3)]
outputs = [layer(torch.ones(shape)) for shape in shapes]
out_shapes = [tuple(output.shape) for output in outputs]
print(shapes, out_shapes, sep="\n")

assert shapes == [(3,), (4, 3), (2, 4, 3), (5, 2, 4, 3)]
assert out_shapes == [(2,), (4, 2), (2, 4, 2), (5, 2, 4, 2)]
assert all(output.grad_fn is not None for output in outputs)

# %%
# One such step, drawn:
#
# .. alt: Two boxes. The input is 2 deep, 4 high and 3 wide, the output 2 deep,
#    4 high and 2 wide: only the width has changed.

x = torch.ones(2, 4, 3)  # two batches of four baskets
_, axes = plt.subplots(1, 2, figsize=(5, 2.6), layout="constrained")
draw_shape(x.shape, title="x", ax=axes[0])
draw_shape(layer(x).shape, title="layer(x)", ax=axes[1])
show_pictures()

assert layer(x).shape == (2, 4, 2) and (layer(x) == layer(x)[0, 0]).all()

# %%
# The last dimension must fit
# ---------------------------
#
# Five pictures of 4 × 8 pixels have 32 numbers each. Given as they are, they
# end in 8:

pictures = torch.zeros(5, 4, 8)
classify = nn.Linear(4 * 8, 10)
try:
    classify(pictures)
except RuntimeError as error:
    print(error)
    assert "cannot be multiplied (20x8 and 32x10)" in str(error)
else:
    raise AssertionError("rows of 8 must not fit 32 inputs")
scores = classify(pictures.flatten(1))  # (5, 32) -> (5, 10)
print(tuple(scores.shape))

assert scores.shape == (5, 10)

# %%
# The error says: 20 rows (5 · 4) of **8** came to a layer of **32** inputs.
# `torch.Tensor.flatten` from dimension 1 on makes one row of each picture.
#
# Layers in a row
# ---------------
#
# One layer's ``out_features`` are the next one's ``in_features``. In between
# stands an activation; see :ref:`activations`.

model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
counts = [p.numel() for p in model.parameters()]
end = model(torch.zeros(5, 10))  # (5, 10) -> (5, 20) -> (5, 1)
print("parameters", counts, "output", tuple(end.shape))

assert counts == [10 * 20, 20, 20 * 1, 1] and end.shape == (5, 1)

# %%
# How large are new weights?
# --------------------------
#
# They are drawn at random: any number within ±1 / √(number of inputs) is as
# likely as any other. The more inputs there are to add, the smaller the
# weights, so that sums keep their size. From inputs of standard deviation 1
# come sums of √(1/3) ≈ 0.58, whatever the number of inputs.
#
# .. alt: Histograms of the weights of three layers: flat boxes around 0, from
#    -0.5 to 0.5 with 4 inputs, half as wide and twice as high with 16, and
#    again with 64.

torch.manual_seed(0)
new = [nn.Linear(size, 2000, bias=False) for size in (4, 16, 64)]
largest = [round(each.weight.abs().max().item(), 3) for each in new]
samples = [torch.randn(1000, each.in_features) for each in new]
spread = [each(x).std().item() for each, x in zip(new, samples, strict=True)]
print("largest weights", largest)
print("spread of sums", [round(number, 1) for number in spread])

_, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
for each in new:
    label = f"{each.in_features} inputs"
    ax.hist(each.weight.flatten().tolist(), 30, density=True, label=label)
ax.set(xlabel="weight", ylabel="density")
ax.legend()
show_pictures()

assert largest == [0.5, 0.25, 0.125] == [4**-0.5, 16**-0.5, 64**-0.5]
assert all(0.55 < number < 0.61 for number in spread)

# %%
# The bias has the same bound. So has a convolution, where the inputs of one
# output are channels · kernel height · kernel width. Other ways to begin are
# in `torch.nn.init`.

torch.manual_seed(0)
flat = nn.Linear(1350, 2000)
convolution = nn.Conv2d(1, 2000, kernel_size=3)  # 1 * 3 * 3 inputs
tensors = flat.weight, flat.bias, convolution.weight, convolution.bias
largest = [round(each.abs().max().item(), 3) for each in tensors]
nn.init.zeros_(convolution.bias)
print(largest, convolution.bias.sum().item())

bounds = [round(inputs**-0.5, 3) for inputs in (1350, 1350, 9, 9)]
assert largest == bounds == [0.027, 0.027, 0.333, 0.333]
assert convolution.bias.tolist() == [0] * 2000

# %%
# What you learned
# ----------------
#
# A linear layer is ``x @ W.T + b``, with ``W`` of shape (outputs, inputs) and
# ``b`` of shape (outputs,). It changes the last dimension, which must be
# ``in_features``, and no other.
#
# Before this: :ref:`products` and :ref:`broadcasting`. Next:
# :ref:`activations`, without which two layers are no better than one. To see
# the shapes in a whole network, use `snippets.shapes.trace_shapes`.
