r"""
.. _custom_losses:

Write a loss of your own
========================

To promise too little time is worse than too much, and no common loss knows
that: how do you write one that does? After this page you can write a loss as a
function or as a module, test it well, tell which lines cut off the gradient,
and train a loss that has parameters of its own.

.. concepts: L05
.. claims: c3-101
"""

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from snippets.drawing import show_pictures

# %%
# A loss is a function
# --------------------
#
# For each hour that a promise is too short, the *pinball loss* charges 0.9,
# and for each hour that it is too long 0.1. Of the two products below,
# `torch.maximum` picks the positive one. ``backward`` needs nothing more.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The section on custom losses is empty. Any differentiable
#    tensor operations that end in one number make a loss.


def pinball(prediction, target, quantile=0.9):
    """Charge 0.9 for an hour too short, 0.1 for one too long."""
    missing = target - prediction
    return torch.maximum(quantile * missing, (quantile - 1) * missing).mean()


promised = torch.tensor([3.0, 3.0], requires_grad=True)
needed = torch.tensor([5.0, 1.0])  # the first is late, the second early
loss = pinball(promised, needed)
loss.backward()
print(f"loss {loss:.2f}, slopes {promised.grad}")

assert torch.isclose(loss, torch.tensor((1.8 + 0.2) / 2))
assert torch.allclose(promised.grad, torch.tensor([-0.9, 0.1]) / 2)

# %%
# The curve is lopsided. At quantile 0.5 both sides are the same.
#
# .. alt: The loss against prediction minus target, from -10 to 10. For
#    quantile 0.9 it falls steeply from 9 to 0 at the target and rises gently
#    to 1. For 0.5 it is a symmetric V from 5 to 0 to 5.

error = torch.linspace(-10, 10, 201)
curves = {
    q: [pinball(e, torch.zeros(()), q) for e in error] for q in (0.9, 0.5)
}

fig, ax = plt.subplots(figsize=(5.6, 2.6), layout="constrained")
for quantile, curve in curves.items():
    ax.plot(error, curve, label=quantile)
ax.set(xlabel="prediction minus target", ylabel="loss")
ax.legend(title="quantile", frameon=False)
show_pictures()

ends = torch.tensor([[curve[0], curve[-1]] for curve in curves.values()])
assert torch.allclose(ends, torch.tensor([[9.0, 1.0], [5.0, 5.0]]))

# %%
# Or a module
# -----------
#
# A `torch.nn.Module` remembers its settings, so that a training loop can call
# any loss as ``loss_fn(output, target)``. It is also the place for a look at
# the shapes: (N, 1) against (N,) would broadcast (see :ref:`losses`).


class Pinball(nn.Module):
    def __init__(self, quantile=0.9):
        super().__init__()
        self.quantile = quantile

    def forward(self, prediction, target):
        if prediction.shape != target.shape:
            shapes = tuple(prediction.shape), tuple(target.shape)
            raise ValueError("shapes differ: {} and {}".format(*shapes))
        return pinball(prediction, target, self.quantile)


loss_fn = Pinball(quantile=0.9)
print(loss_fn(promised, needed).item())
try:
    loss_fn(promised[:, None], needed)
except ValueError as error:
    print(error)
    assert str(error) == "shapes differ: (2, 1) and (2,)"
else:
    raise AssertionError("another shape must be refused")
assert torch.equal(loss_fn(promised, needed), loss)

# %%
# Test the value and the slope
# ----------------------------
#
# Find a setting where a built-in loss says the same: at quantile 0.5, twice
# the pinball loss is `torch.nn.functional.l1_loss`. But a right value may have
# a wrong slope. In the loss ``half`` below, a stray
# `~torch.Tensor.detach` leaves the value of the squared error and loses half
# of its slope. `torch.autograd.gradcheck` compares slopes with small
# differences. It wants float64, and points off the kinks.

torch.manual_seed(0)
p = torch.randn(8, dtype=torch.float64, requires_grad=True)
t = torch.randn(8, dtype=torch.float64)


def half(prediction, target):
    """Compute a square whose one factor has no slope."""
    error = prediction - target
    return (error.detach() * error).mean()


same = torch.isclose(2 * pinball(p, t, 0.5), F.l1_loss(p, t)).item()
same_half = torch.isclose(half(p, t), F.mse_loss(p, t)).item()
good = gradcheck(pinball, (p, t), raise_exception=False)
bad = gradcheck(half, (p, t), raise_exception=False)
print(f"pinball: value {same}, slope {good}")
print(f"half:    value {same_half}, slope {bad}")

assert (same, good) == (True, True) and (same_half, bad) == (True, False)

# %%
# What cuts off the gradient
# --------------------------
#
# Autograd follows tensors, through operations that have a slope.
# `torch.argmax` has none: where the largest score stands does not change a
# little. This loss counts errors, and ``backward`` finds no way to the scores.

scores = torch.tensor([[0.2, 1.4], [0.9, 0.3]], requires_grad=True)
right = torch.tensor([0, 0])
wrong_count = (scores.argmax(dim=1) != right).float().sum()
try:
    wrong_count.backward()
except RuntimeError as error:
    print(wrong_count, error)
    assert "does not require grad" in str(error)
else:
    raise AssertionError("a count has no slope")
assert wrong_count == 1 and not wrong_count.requires_grad

# %%
# The function below says what arrives at the weights that a prediction ``p``
# comes from: a gradient, only zeros, nothing as the line is cut off, or an
# error.

t = torch.tensor([1.0, 2.0, 3.0])


def arrives(line):
    """Tell whether a gradient gets through a line of code."""
    weights = torch.tensor([0.2, 1.4, 0.6], requires_grad=True)
    try:
        loss = line(2 * weights).sum()
        if not loss.requires_grad:
            return "cut off"
        loss.backward()
    except RuntimeError:
        return "error"
    else:
        return "gradient" if weights.grad.any() else "only zeros"


print("squared error:", arrives(lambda p: (p - t) ** 2))

assert arrives(lambda p: (p - t) ** 2) == "gradient"
assert arrives(lambda p: 0 * p) == "only zeros"

# %%
# These are the usual suspects. Numbers, NumPy arrays and new tensors made from
# them are out of autograd's sight. Rounding has a slope of zero. The last line
# changes in place what ``backward`` still needs. Use soft relatives: sigmoid
# in place of a comparison, softmax in place of ``argmax``.

suspects = {
    "torch.where(p > t, p, t)": lambda p: torch.where(p > t, p, t),
    "p.clamp(max=1)": lambda p: p.clamp(max=1),
    "p.round() - t": lambda p: p.round() - t,
    "(p > t).float()": lambda p: (p > t).float(),
    "p.detach() - t": lambda p: p.detach() - t,
    "p.mean().item() - t": lambda p: p.mean().item() - t,
    "torch.tensor(p.tolist())": lambda p: torch.tensor(p.tolist()),
    "p.numpy()": lambda p: p.numpy(),
    "p.sigmoid().mul_(t)": lambda p: p.sigmoid().mul_(t),
}
table = {text: arrives(line) for text, line in suspects.items()}
for text, result in table.items():
    print(f"{text:<25}{result}")

results = ["gradient"] * 2 + ["only zeros"] + ["cut off"] * 4 + ["error"] * 2
assert list(table.values()) == results

# %%
# Put to work
# -----------
#
# Deliveries take longer, and less certainly so, with the distance. One linear
# model learns two lines: at quantile 0.9, to promise, and at 0.1. Between them
# should lie about eight deliveries in ten. The quantile may be a tensor, one
# for each output.

torch.manual_seed(0)
distance = torch.rand(400, 1)  # (400, 1)
hours = 1 + 2 * distance + distance * torch.randn(400, 1)
both = hours.expand(400, 2)  # the target of both outputs
model, loss_fn = nn.Linear(1, 2), Pinball(torch.tensor([0.1, 0.9]))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for _ in range(400):
    optimizer.zero_grad()
    loss_fn(model(distance), both).backward()
    optimizer.step()
below = (hours < model(distance)).float().mean(0)
print("below the lines:", [f"{share:.2f}" for share in below])

assert torch.allclose(below, torch.tensor([0.1, 0.9]), atol=0.03)

# %%
# Tried with 20 seeds, 0.09 to 0.11 of the points lay below the lower line, and
# 0.89 to 0.91 below the upper one.
#
# .. alt: A cloud of points that rises and widens to the right. Two straight
#    lines run along its lower and its upper edge, farther apart at the right.

line = torch.tensor([[0.0], [1.0]])

fig, ax = plt.subplots(figsize=(5.6, 3), layout="constrained")
ax.plot(distance, hours, "o", markersize=3, alpha=0.6)
labels = ["quantile 0.1", "quantile 0.9"]
ax.plot(line, model(line).detach(), label=labels, linewidth=2)
ax.set(xlabel="distance", ylabel="hours")
ax.legend(frameon=False)
show_pictures()

# Of a bell curve, 0.8 lie within 1.28 of the middle, here 1 + 2 * distance.
exact = torch.tensor([[1.0, 1.0], [3 - 1.28, 3 + 1.28]])
assert torch.allclose(model(line), exact, atol=0.7)
assert distance.shape == hours.shape == (400, 1)

# %%
# A loss that learns too
# ----------------------
#
# A loss may have a `torch.nn.Parameter`. This one takes errors to be spread
# like a bell curve, and learns how wide. Its built-in relative is
# `torch.nn.functional.gaussian_nll_loss`, which wants the squared spread.


class Spread(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_spread = nn.Parameter(torch.zeros(()))  # exp() is positive

    def forward(self, prediction, target):
        error = (prediction - target) / self.log_spread.exp()
        return (error**2 / 2 + self.log_spread).mean()


prediction, target = torch.randn(2, 6)
spread_loss = Spread()
nn.init.constant_(spread_loss.log_spread, -0.5)
ours = spread_loss(prediction, target)
squared = torch.full((6,), -0.5).exp() ** 2
built_in = F.gaussian_nll_loss(prediction, target, squared)
print(f"ours {ours:.3f}, built in {built_in:.3f}")

assert torch.isclose(ours, built_in)

# %%
# The parameter belongs in the optimizer. Forget it, and nothing complains: the
# line is learned and the spread stays at 1. These data have a spread of 0.3.
# (20 seeds tried: 0.27 to 0.33 when it is learned.)

x = torch.linspace(-1, 1, 200)[:, None]
y = 3 * x + 0.3 * torch.randn(200, 1)


def learn(with_loss):
    """Fit a line; return its slope and the spread."""
    model, loss_fn = nn.Linear(1, 1), Spread()
    modules = nn.ModuleList([model, loss_fn] if with_loss else [model])
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    return model.weight.item(), loss_fn.log_spread.exp().item()


forgotten, learned = learn(with_loss=False), learn(with_loss=True)
print("without the loss: slope {:.1f}, spread {:.1f}".format(*forgotten))
print("with the loss:    slope {:.1f}, spread {:.1f}".format(*learned))

assert abs(forgotten[0] - 3) < 0.2 and forgotten[1] == 1
assert abs(learned[0] - 3) < 0.2 and abs(learned[1] - 0.3) < 0.05

# %%
# What you learned
# ----------------
#
# A loss is any chain of differentiable operations down to one number. Compare
# its value with a built-in loss and its slope with ``gradcheck``, refuse
# shapes that differ, look for lines that leave autograd, and give its
# parameters to the optimizer.
#
# Before this: :ref:`losses` and :ref:`focal_loss`. What autograd can follow is
# the subject of :ref:`grad_limits`. Next: :ref:`sgd_step`.
