r"""
.. _graph_chain_rule:

Follow the graph back to a weight
=================================

How does PyTorch find its way from a loss back to a weight deep in a network?
And why has a tensor in between no gradient? After this page you can draw the
graph behind any result, multiply its slopes by hand, and tell which tensors
collect a gradient.

.. concepts: G04 G05
.. claims: c0-68 c1-37 c2-57 c3-48 c3-49 c3-50 c3-51
"""

import warnings

import matplotlib.pyplot as plt
import torch

from snippets.drawing import PALETTE, draw_graph, show_pictures

# %%
# What PyTorch remembers
# ----------------------
#
# Here is a network to work out in your head: a hidden neuron with weight w1,
# and an output with weight w2. The loss is the squared distance from 1.

x = torch.tensor(3.0)
w1 = torch.tensor(0.5, requires_grad=True)
w2 = torch.tensor(2.0, requires_grad=True)

z = w1 * x  # 0.5 * 3 = 1.5
h = torch.relu(z)  # 1.5, for relu keeps what is above 0
out = w2 * h  # 2 * 1.5 = 3
loss = (out - 1) ** 2  # 2 * 2 = 4
values = [tensor.item() for tensor in (z, h, out, loss)]
print(values)

assert values == [1.5, 1.5, 3, 4]

# %%
# Each operation left a *node*, the ``grad_fn`` of its result. Its
# ``next_functions`` are the nodes before it, so we can walk back:


def walk(node, depth=0):
    """Return a line for each node, indented by its distance from the loss."""
    lines = ["  " * depth + type(node).__name__]
    for source, _ in node.next_functions:
        if source is not None:  # None: this input needs no gradient
            lines += walk(source, depth + 1)
    return lines


lines = walk(loss.grad_fn)
print("\n".join(lines))

depths = [len(line) - len(line.lstrip()) for line in lines]
assert depths == [0, 2, 4, 6, 6, 8, 10]
assert x.grad_fn is None and w1.grad_fn is None

# %%
# At its ends, ``AccumulateGrad`` holds a weight and will add to its ``.grad``.
# The input x needs no gradient and is not part of the graph.
# `snippets.drawing.draw_graph` walks the same way and draws what it finds. The
# brackets hold shapes, () for one number.
#
# .. alt: From the top: w1 leads to mul, which is z, to relu, which is h. There
#    w2 joins, and both lead to mul, which is out, to sub and to pow, which is
#    the loss. The boxes of w1 and w2 are blue, those of operations gray.

names = {"w1": w1, "w2": w2, "z": z, "h": h, "out": out, "loss": loss}
ax = draw_graph(loss, names=names)
show_pictures()

assert len(ax.texts) == len(lines) == 7

# %%
# Multiply the slopes on the way
# ------------------------------
#
# Nudge w1, and z moves 3 times as much, since x is 3. Then h moves as much as
# z, out 2 times as much as h, and the loss 4 times as much as out. Together:
# 3 · 1 · 2 · 4 = 24. That is the *chain rule*. Autograd begins at the loss.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The backward pass is said to bring the loss to the front.
#    What goes back are slopes.

for_out = 2 * (out - 1)  # the slope of a square
for_w2 = for_out * h
for_h = for_out * w2
for_z = for_h * 1  # relu has slope 1 above 0
for_w1 = for_z * x
by_hand = [for_out, for_w2, for_h, for_z, for_w1]
by_hand = [slope.item() for slope in by_hand]

loss.backward(retain_graph=True)  # once more in the next cell
print(by_hand, w2.grad.item(), w1.grad.item())

assert by_hand == [4, 6, 8, 8, 24]
assert w1.grad == 24 and w2.grad == 6

# %%
# `torch.autograd.grad` returns the slopes for any tensors. Read the values to
# the right, the slopes to the left:
#
# .. alt: Two rows. Above, values from left to right: w1 0.5, z 1.5, h 1.5,
#    out 3, loss 4. Below, slopes from right to left: 1, times 4 is 4, times w2
#    is 8, times 1 is 8, times x is 24.

path = {"w1": w1, "z": z, "h": h, "out": out, "loss": loss}
slopes = torch.autograd.grad(loss, list(path.values()))
slopes = [slope.item() for slope in slopes]
print(slopes)

fig, ax = plt.subplots(figsize=(4.4, 2), layout="constrained")
middle = {"ha": "center", "va": "center"}
for k, (name, tensor) in enumerate(path.items()):
    for y, text in (1, f"{name}\n{tensor:g}"), (0, f"{slopes[k]:g}"):
        box = {"boxstyle": "round", "facecolor": PALETTE[2 - y]}
        ax.text(k, y, text, **middle, color="#1a1a1a", bbox=box)
for k, factor in enumerate(("× x", "× 1", "× w2", "× 4")):
    ax.text(k + 0.5, 0, f"{factor}\n←\n", **middle)
    ax.text(k + 0.5, 1, "→", **middle)
ax.set(xlim=(-0.4, 4.4), ylim=(-0.5, 1.5))
ax.set_axis_off()
show_pictures()

assert slopes == [24, 8, 8, 4, 1]

# %%
# Where ways meet, slopes add
# ---------------------------
#
# A tensor used several times reaches the result in several ways. Their slopes
# add. In ``a * a + a`` they are a, a and 1:
#
# .. alt: The box a has two arrows to mul, and one that runs past mul to add.

a = torch.tensor(3.0, requires_grad=True)
total = a * a + a
draw_graph(total, names={"a": a, "total": total})
show_pictures()

total.backward()
print(a.grad)

assert a.grad.item() == 3 + 3 + 1

# %%
# The same with matrices
# ----------------------
#
# Let :math:`Y = X^2`, element by element, and z the sum over Y.
#
# .. math::
#
#    \frac{\partial z}{\partial X}
#    = \frac{\partial z}{\partial Y} \cdot \frac{\partial Y}{\partial X}
#    = 1 \cdot 2X
#
# .. admonition:: In the notes
#    :class: note-check
#
#    This drawing and this formula are missing.
#
# .. alt: X, of shape (2, 2), leads to pow, which is Y of the same shape, and
#    on to sum, which is z, a single number.

X = torch.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
Y = X**2
z = Y.sum()
draw_graph(z, names={"X": X, "Y": Y, "z": z})
show_pictures()

Y.retain_grad()  # keep the slope in between, see below
z.backward()
print(Y.grad, X.grad, sep="\n")

assert Y.grad.tolist() == [[1, 1], [1, 1]]
assert X.grad.tolist() == [[2, -4], [6, 1]] == (2 * X).tolist()

# %%
# Read the names, do not rely on them
# -----------------------------------
#
# A layer is a few operations too. Which, depends on the version of PyTorch and
# the shape of the input.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``AddBackward0`` stands at the output of a linear layer.
#    Today it has other names, and more than one.
#
# .. alt: The weight, of shape (2, 4), leads to t, which turns it. That and the
#    bias, of shape (2,), lead to addmm, a product and a sum in one.

layer = torch.nn.Linear(4, 2)
batch = layer(torch.ones(3, 4))
sample = layer(torch.ones(4))
draw_graph(batch, names={**dict(layer.named_parameters()), "batch": batch})
show_pictures()

same = type(batch.grad_fn) is type(sample.grad_fn)
print("same operation for a batch and a sample:", same)

assert same is False and torch.equal(batch[0], batch[1])
assert torch.allclose(batch[0], sample)

# %%
# Which tensors collect a gradient?
# ---------------------------------
#
# A tensor where a graph starts is a *leaf*; `torch.Tensor.is_leaf` tells. Here
# are ten ways to make a tensor. Guess: which are leaves, and which will have a
# gradient?

w = torch.ones(2, requires_grad=True)
data = torch.ones(2)
retained = w * 3
retained.retain_grad()
with torch.no_grad():
    untracked = w * 3
tensors = {
    "data": data,
    "data * 3": data * 3,
    "requires_grad=True": w,
    "nn.Parameter(data)": torch.nn.Parameter(data),
    "w * 3": w * 3,
    "w * 3, retain_grad": retained,
    "w * 3 in no_grad": untracked,
    "w.detach()": w.detach(),
    "w.clone()": w.clone(),
    "w.double()": w.double(),
}

assert w.is_leaf and retained.retains_grad

# %%
# .. admonition:: In the notes
#    :class: note-check
#
#    A leaf is called a parameter made by the user, and any
#    intermediate result a non-leaf. What requires no gradient is a
#    leaf too.


def facts(made):
    """Return is_leaf, requires_grad, and whether a gradient is left."""
    (made * w).sum().backward()  # through w there always is a graph
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the next cell shows it
        return made.is_leaf, made.requires_grad, made.grad is not None


table = {name: facts(made) for name, made in tensors.items()}
print(f"{'':20}leaf  requires  .grad")
for name, row in table.items():
    words = ["yes" if fact else "-" for fact in row]
    print("{:20}{:6}{:10}{}".format(name, *words))

inner = ["w * 3", "w * 3, retain_grad", "w.clone()", "w.double()"]
own = ["requires_grad=True", "nn.Parameter(data)"]
for name, (is_leaf, requires_grad, has_gradient) in table.items():
    assert is_leaf == (name not in inner)
    assert requires_grad == (name in inner + own)
    assert has_gradient == (name in [*own, "w * 3, retain_grad"])

# %%
# A gradient stays in a leaf that requires one, and where you asked for it with
# `torch.Tensor.retain_grad`, before ``backward``.
#
# The last line is a trap. Cast a weight, or move it to a GPU, and you hold a
# copy; the leaf is lost. Its gradient reads None, with a warning:

w = torch.ones(2, requires_grad=True).double()
w.sum().backward()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(w.grad)
    assert w.grad is None
message = str(caught[0].message).split(". ")[0]
print(message)

w = torch.ones(2, dtype=torch.float64, requires_grad=True)
w.sum().backward()
print(w.grad)

assert "not a leaf Tensor is being accessed" in message
assert w.grad.dtype == torch.float64 and w.grad.tolist() == [1, 1]

# %%
# Give type and device when you make the leaf. And where no gradient is
# required, none can be kept:

try:
    data.retain_grad()
except RuntimeError as error:
    print(error)
    assert "requires_grad=False" in str(error)
else:
    raise AssertionError("data has no gradient to keep")
assert data.grad is None

# %%
# What registering is for
# -----------------------
#
# A module *registers* a ``Parameter`` that becomes its attribute, but no plain
# tensor.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Registering is said to put a tensor into the graph;
#    ``requires_grad`` does. Registered tensors are trained, moved, saved.

module = torch.nn.Module()
module.plain = torch.ones(2, requires_grad=True)
module.weight = torch.nn.Parameter(torch.ones(2))
(3 * module.plain * module.weight).sum().backward()
registered = [name for name, _ in module.named_parameters()]
print(module.plain.grad, module.weight.grad, registered)

assert module.plain.grad.tolist() == module.weight.grad.tolist() == [3, 3]
assert registered == ["weight"]

# %%
# What you learned
# ----------------
#
# ``backward`` walks from node to node and multiplies slopes; where ways meet,
# it adds. A leaf that requires a gradient collects it, a tensor in between
# only after ``retain_grad``. A cast or moved weight is no leaf.
#
# Next: :ref:`accumulate_and_clear` shows what a second ``backward`` does, and
# :ref:`neuron_to_network` the passes through a whole network.
