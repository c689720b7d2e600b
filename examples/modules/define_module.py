r"""
.. _define_module:

Write a network of your own
===========================

What must a network of your own contain, and why does mine stop with an error,
or run and learn nothing? After this page you can write a module in seven
lines, fix its two classic errors, find your way in `torch.nn`, use ``while``
inside a network, and build its layers in the right place.

.. concepts: M01 M03 M04 M21
.. claims: c0-44 c0-46 c1-01 c1-31 c1-45
"""

import types

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import draw_graph, show_pictures

# %%
# A class with two methods
# ------------------------
#
# A network is a class that inherits from `torch.nn.Module`. Its ``__init__``
# builds the layers. Its ``forward`` says what they do with an input, and
# ``model(batch)`` runs it.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A ready network is said to be inherited. `torch.nn.Module`
#    has no layers at all. Ready-made networks are in `torchvision.models`.


class TwoLayers(nn.Module):
    def __init__(self, inputs, neurons):
        super().__init__()
        self.hidden = nn.Linear(inputs, neurons)
        self.out = nn.Linear(neurons, 1)

    def forward(self, x):  # (batch, inputs) -> (batch, 1)
        return self.out(torch.tanh(self.hidden(x)))


torch.manual_seed(0)
model = TwoLayers(inputs=3, neurons=4)
batch = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
names = [name for name, _ in model.named_parameters()]
print(model(batch).shape, names, sep="\n")

assert model(batch).shape == (2, 1) and model.hidden.weight.shape == (4, 3)
assert names == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
assert list(nn.Module().children()) == list(nn.Module().parameters()) == []

# %%
# First classic error: no super().__init__()
# ------------------------------------------
#
# ``super().__init__()`` makes the list in which a module keeps its layers, so
# it comes first. Without it:


class NoSuper(nn.Module):
    def __init__(self):
        self.hidden = nn.Linear(3, 4)


try:
    NoSuper()
except AttributeError as error:
    print(error)
    assert "before Module.__init__() call" in str(error)
else:
    raise AssertionError("a layer must not fit before super().__init__()")

# %%
# Second classic error: no forward
# --------------------------------
#
# Making such a model works, calling it fails. Look for a ``forward`` that is
# misspelled, or indented so far that it is part of ``__init__``.


class Misspelled(nn.Module):
    def foward(self, x):
        return 2 * x


misspelled = Misspelled()
try:
    misspelled(batch)
except NotImplementedError as error:
    print(error)
    assert 'missing the required "forward" function' in str(error)
else:
    raise AssertionError("a module without forward must not run")

# %%
# A map of torch.nn
# -----------------
#
# What can stand in ``__init__``? Classes begin with a capital:
#
# .. list-table::
#    :header-rows: 1
#    :widths: 28 72
#
#    * - For
#      - Classes, among others
#    * - your own
#      - `~torch.nn.Module`, `~torch.nn.Parameter`
#    * - weights
#      - `~torch.nn.Linear`, `~torch.nn.Conv2d`, `~torch.nn.Embedding`,
#        `~torch.nn.LSTM`, `~torch.nn.MultiheadAttention`
#    * - activation
#      - `~torch.nn.ReLU`, `~torch.nn.GELU`, `~torch.nn.Sigmoid`,
#        `~torch.nn.Softmax`
#    * - steady training
#      - `~torch.nn.BatchNorm2d`, `~torch.nn.LayerNorm`, `~torch.nn.Dropout`
#    * - shape
#      - `~torch.nn.MaxPool2d`, `~torch.nn.AdaptiveAvgPool2d`,
#        `~torch.nn.Flatten`
#    * - containers
#      - `~torch.nn.Sequential`, `~torch.nn.ModuleList`,
#        `~torch.nn.ModuleDict`
#    * - losses
#      - `~torch.nn.MSELoss`, `~torch.nn.CrossEntropyLoss`
#
# All but `~torch.nn.Parameter` are modules like your own, the losses too. The
# plain functions of `torch.nn.functional` have no capital and keep no weights.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    `torch.nn` is called a class, with layers such as
#    ``.linear()``. It is a module in Python's sense, code to
#    import, and the layer is `torch.nn.Linear`.

parts = [nn.Linear, nn.ReLU, nn.Dropout, nn.Sequential, nn.MSELoss, TwoLayers]
inherit = [issubclass(part, nn.Module) for part in parts]
print(type(nn))
print("all inherit from nn.Module:", all(inherit))
try:
    nn.linear(3, 4)
except AttributeError as error:
    print(error)
    assert "has no attribute 'linear'" in str(error)
else:
    raise AssertionError("nn.linear must not exist")

assert type(nn) is types.ModuleType and inherit == [True] * 6

# %%
# Nothing to write for the way back
# ---------------------------------
#
# Autograd records what ``forward`` does, and ``backward`` walks that record.
# For the sum of two outputs, the last bias has the slope 2, and a last weight
# the sum of what its hidden neuron puts out.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    PyTorch is said to write the network's ``backward``. The
#    network has no such method; the result does, `torch.Tensor.backward`.

model(batch).sum().backward()
hidden = torch.tanh(model.hidden(batch)).detach()
print("the model has a backward:", hasattr(model, "backward"))
print("slope of the last bias:", model.out.bias.grad)

assert hasattr(model, "backward") is False
assert model.out.bias.grad.tolist() == [2]
assert torch.allclose(model.out.weight.grad[0], hidden.sum(dim=0))

# %%
# Python inside forward
# ---------------------
#
# ``forward`` may use ``if``, ``for``, ``while`` and ``print``. Here the input
# decides how often it is multiplied. Three times gives f³ · x, and its sum has
# the slope 3f² · (3 + 4) for the factor f.


class ShrinkUntilSmall(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))  # a number to train

    def forward(self, x):
        while x.norm() > 1:
            x = x * self.factor
        return x


shrink = ShrinkUntilSmall()
large, small = torch.tensor([3.0, 4.0]), torch.tensor([0.9, 1.2])
shrunk = shrink(large)
shrunk.sum().backward()
print(shrunk.tolist(), "slope", shrink.factor.grad.item())

assert shrunk.tolist() == [3 / 8, 4 / 8]
assert shrink.factor.grad == 3 * 0.5**2 * (3 + 4) == 5.25

# %%
# `torch.autograd.gradcheck` compares slopes for the input with finite
# differences. Autograd records only what ran: three rounds for the large
# input, one for the small.
#
# .. alt: Two graphs. On the left, factor has an arrow to each of three boxes
#    named mul, which follow one another. On the right, factor leads to a
#    single mul.

point = large.double().requires_grad_()
checked = torch.autograd.gradcheck(ShrinkUntilSmall().double(), point)
print("finite differences agree:", checked)

_, axes = plt.subplots(1, 2, figsize=(5, 3.2), layout="constrained")
draw_graph(shrink(large), names={"factor": shrink.factor}, ax=axes[0])
draw_graph(shrink(small), names={"factor": shrink.factor}, ax=axes[1])
axes[0].set_title("large input")
axes[1].set_title("small input")
show_pictures()

drawn = ["".join(text.get_text() for text in ax.texts) for ax in axes]
assert checked is True and [text.count("mul") for text in drawn] == [3, 1]

# %%
# Layers made inside forward never learn
# --------------------------------------
#
# What if you build a layer where you use it? New layers have new random
# weights, so two calls with the same input disagree. Nor does the model know
# the layer: only ``out`` is among its parameters.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    One function builds layers and applies them: the same
#    fault. Build them once, in ``__init__``.


class BuildsEveryTime(nn.Module):
    def __init__(self, inputs, neurons):
        super().__init__()
        self.inputs, self.neurons = inputs, neurons
        self.out = nn.Linear(neurons, 1)

    def forward(self, x):
        hidden = nn.Linear(self.inputs, self.neurons)  # on every call
        return self.out(torch.tanh(hidden(x)))


wrong = BuildsEveryTime(inputs=3, neurons=4)
names = [name for name, _ in wrong.named_parameters()]
print("built every time:", torch.equal(wrong(batch), wrong(batch)), names)
print("built once:", torch.equal(model(batch), model(batch)))

assert not torch.equal(wrong(batch), wrong(batch))
assert names == ["out.weight", "out.bias"]
assert torch.equal(model(batch), model(batch))

# %%
# Training such a model raises no error. Let both learn the curve y = x², and
# compare with always answering the mean of y:

x = torch.linspace(-1, 1, 50)[:, None]
y = x**2


def train(model):
    """Return the loss before each of 200 steps."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.02), []
    for _ in range(200):
        loss = ((model(x) - y) ** 2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


torch.manual_seed(0)
once, every_time = train(TwoLayers(1, 16)), train(BuildsEveryTime(1, 16))
always_mean = y.var(correction=0).item()
flat = sum(every_time[-50:]) / 50
print(f"loss if built once {once[-1]:.2f}, every time {flat:.2f}")
print(f"loss of the mean {always_mean:.2f}")

assert once[-1] < 0.005 and min(every_time) > 0.08
assert f"{flat:.2f}" == f"{always_mean:.2f}" == "0.10"

# %%
# Built every time, the network gets no further than the mean. In 20 seeds
# tried, its loss stayed above 0.08; built once, it ended below 0.003.
#
# .. alt: The loss over 200 steps. Built once, it falls to almost zero. Built
#    every time, it comes down at first and then stays on a dashed line at 0.1,
#    the loss of always answering the mean.

_, ax = plt.subplots(figsize=(5.4, 3), layout="constrained")
ax.plot(every_time, label="built every time")
ax.plot(once, label="built once")
ax.axhline(always_mean, color="#8a8f98", linestyle="--")
ax.text(200, always_mean * 1.1, "always the mean", ha="right", va="bottom")
ax.set(xlabel="step", ylabel="loss", ylim=(0, 0.3))
ax.legend()
show_pictures()

jitters, falls = (line.get_ydata() for line in ax.lines[:2])
assert max(falls[-50:]) < 0.01 < 0.08 < min(jitters)

# %%
# What you learned
# ----------------
#
# Call ``super().__init__()`` first, build layers in ``__init__``, use them in
# ``forward``. The way back needs no code.
#
# Next: :ref:`look_inside` prints and counts what a model holds. For chains
# without a class see :ref:`sequential_blocks`, for what else a module keeps
# :ref:`parameters_buffers`. The graphs come from `snippets.drawing`.
