r"""
.. _sgd_step:

Take one step of gradient descent
=================================

``backward`` has filled in the gradients, and yet the network is as bad as
before: who changes the weights? After this page you can do one step of SGD by
hand, put ``zero_grad``, ``backward`` and ``step`` in their order and say what
each of them changes, and choose a learning rate, momentum and weight decay.

.. concepts: O01 O02 O03
.. claims: c0-74 c0-83 c0-85 c0-87
"""

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from snippets.drawing import show_pictures

# %%
# The rule
# --------
#
# A gradient says where the loss grows. *Gradient descent* goes the other way:
# each weight minus the *learning rate* times its gradient. `torch.optim.SGD`
# does this to every parameter that it is given. The loss here is a sum of
# squares, with the gradient ``2 * w``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The headings on losses and optimizers stand twice, once with nothing
#    below. In short: a loss gives gradients, an optimizer uses them.

w = torch.tensor([3.0, -2.0], requires_grad=True)
loss = (w**2).sum()
loss.backward()
by_hand = w.detach() - 0.1 * w.grad

optimizer = torch.optim.SGD([w], lr=0.1)
optimizer.step()
print("gradient", w.grad)
print("by hand ", by_hand)
print("PyTorch ", w.detach())

assert w.grad.tolist() == [6, -4]
assert torch.allclose(by_hand, torch.tensor([3 - 0.6, -2 + 0.4]))
assert torch.allclose(w.detach(), by_hand)

# %%
# What each call changes
# ----------------------
#
# Training repeats four lines. Below they run twice on one weight. Only
# ``step`` changes the weight. Only ``backward`` computes a gradient, and
# ``step`` leaves it there. As ``backward`` *adds* to what it finds (see
# :ref:`accumulate_and_clear`), each round begins by clearing it.

w = torch.tensor(5.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.25)
table = []


def note(call):
    """Write a row of the table."""
    grad = None if w.grad is None else w.grad.item()
    table.append((w.item(), grad))
    print(f"{call:<11} w = {w.item()}   w.grad = {grad}")


for _ in range(2):
    optimizer.zero_grad()
    note("zero_grad()")
    loss = (w - 1) ** 2
    note("loss = ...")
    loss.backward()
    note("backward()")
    optimizer.step()
    note("step()")

assert [weight for weight, _ in table] == [5, 5, 5, 3, 3, 3, 3, 2]
assert [grad for _, grad in table] == [None, None, 8, 8, None, None, 4, 4]

# %%
# ``backward`` frees the graph that it walked: a second one through the same
# loss is an error. That loss is also out of date. Each step needs a forward
# pass of its own.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The output is computed again before ``loss.backward()``, and nothing says
#    why. An earlier ``backward`` had used up its graph.

try:
    loss.backward()
except RuntimeError as error:
    print(str(error).split(" (")[0])
    assert "backward through the graph a second time" in str(error)
else:
    raise AssertionError("a used graph must not be walked again")
new_loss = (w - 1) ** 2
print(f"before the step {loss.item()}, after it {new_loss.item()}")

assert loss.item() == (3 - 1) ** 2 and new_loss.item() == (2 - 1) ** 2

# %%
# From one step to a fit
# ----------------------
#
# Forty points lie around the line ``2 * x - 1``. A `torch.nn.Linear` with one
# weight and one bias is to find it.

torch.manual_seed(0)
x = torch.linspace(-1, 1, 40)[:, None]
y = 2 * x - 1 + 0.3 * torch.randn(40, 1)
print(tuple(x.shape), tuple(y.shape))

assert x.shape == y.shape == (40, 1)

# %%
# Each step sees a *batch* of 8 random points (the S of SGD is *stochastic*).
# Five steps make an *epoch*, a pass over all the data.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    One step with one sample is called a full pass of the data.
#    Here a full pass takes 5 steps, and learning takes 30 passes.


def fit(**settings):
    """Return the model and its guesses before training and after each step."""
    torch.manual_seed(1)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), **settings)
    guesses = [model(x).detach()]
    for _ in range(30):  # epochs
        for batch in torch.randperm(40).view(5, 8):  # steps
            optimizer.zero_grad()
            F.mse_loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
            guesses.append(model(x).detach())
    return model, guesses


model, guesses = fit(lr=0.1)
losses = [F.mse_loss(guess, y).item() for guess in guesses]
steps, first, last = len(losses) - 1, losses[0], losses[-1]
print(f"{steps} steps, loss {first:.2f} -> {last:.2f}")

assert steps == 30 * 5 and first > 1 > 0.1 > last
assert first == max(losses) and last < 1.1 * min(losses)

# %%
# For a line, `torch.linalg.lstsq` also gives the best weights at once. With 20
# other seeds, too, SGD ended within 0.03 of them.
#
# .. alt: Left: forty points around a rising line. The line before training
#    misses them, the one after 5 steps is nearer, and the one after 150 steps
#    runs through the points. Right: the loss falls steeply, then stays low.

fig, (left, right) = plt.subplots(1, 2, figsize=(6, 2.7), layout="constrained")
left.scatter(x, y, s=12, color="#8a8f98")
for step in (0, 5, 150):
    left.plot(x, guesses[step], label=f"step {step}")
left.set(xlabel="x", ylabel="y")
left.legend(fontsize=10, frameon=False)
right.plot(losses)
right.set(xlabel="step", ylabel="loss", ylim=0)
show_pictures()

columns = torch.cat([x, torch.ones(40, 1)], dim=1)
best = torch.linalg.lstsq(columns, y).solution.flatten()
found = torch.cat([model.weight.flatten(), model.bias]).detach()
print("best  {:.2f} x {:+.2f}".format(*best.tolist()))
print("found {:.2f} x {:+.2f}".format(*found.tolist()))

assert torch.allclose(found, best, atol=0.05)
assert torch.allclose(best, torch.tensor([2.0, -1.0]), atol=0.2)

# %%
# The learning rate
# -----------------
#
# On the bowl ``w**2`` each step multiplies ``w`` by ``1 - 2 * lr``. A small
# rate creeps. At 0.9 each step jumps across and ends lower. At 1.05 it ends
# higher: the steps *diverge*, and no error tells you.
#
# .. alt: Three times the same bowl with eight steps. At rate 0.1 the points
#    creep down one side. At 0.9 they jump from side to side and come down. At
#    1.05 they jump from side to side and climb out.

bowl, ends = torch.linspace(-2.4, 2.4, 50), []
look = {"figsize": (6, 2.5), "sharey": True, "layout": "constrained"}
fig, axes = plt.subplots(1, 3, **look)
for ax, lr in zip(axes, (0.1, 0.9, 1.05), strict=True):
    path = [1.0]
    for _ in range(8):
        path.append(path[-1] - lr * 2 * path[-1])
    ends.append(round(path[-1], 2))
    ax.plot(bowl, bowl**2, color="#8a8f98")
    ax.plot(path, [w**2 for w in path], ".-")
    ax.set(title=f"lr={lr}", xlabel="w", xticks=(-2, 0, 2))
print("after eight steps:", ends)
axes[0].set_ylabel("loss")
show_pictures()

assert ends == [round(f**8, 2) for f in (0.8, -0.8, -1.1)]
assert abs(ends[0]) == abs(ends[1]) < 1 < abs(ends[2])

# %%
# For the forty points, too, 1.1 is too large. A small rate fails as quietly:
# at 0.001 the fit has hardly begun after 150 steps.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    SGD is said to need a learning rate. It did once. Now it
#    takes 0.001, fitting or not: always give one.

tried = {"not given": {}} | {lr: {"lr": lr} for lr in (0.001, 0.1, 1.1)}
reached = {}
for rate, settings in tried.items():
    reached[rate] = F.mse_loss(fit(**settings)[1][-1], y).item()
    print(f"rate {rate!s:<9}  loss {reached[rate]:.1g}")

assert reached["not given"] == reached[0.001] > 0.6 * first
assert reached[0.1] == last and reached[1.1] > 1e9 * first
assert torch.optim.SGD([w], 0.1).defaults["lr"] == 0.1  # also without "lr="

# %%
# Momentum and weight decay by hand
# ---------------------------------
#
# *Weight decay* adds a share of the weight to its gradient, which pulls all
# weights toward 0. *Momentum* keeps a *velocity*: a share of the last one plus
# the gradient. *Nesterov* momentum looks one such move ahead. This is all of
# SGD. It and PyTorch get the same two gradients, 4 and 2, from ``w = 2``:


def sgd(w, grad, velocity, lr, momentum=0, weight_decay=0, nesterov=False):
    """Return the weights and the velocity after one step."""
    grad = grad + weight_decay * w
    velocity = momentum * velocity + grad
    change = grad + momentum * velocity if nesterov else velocity
    return w - lr * change, velocity


push = {"momentum": 0.5}
ends = []
for extras in ({}, {"weight_decay": 0.5}, push, push | {"nesterov": True}):
    w = torch.tensor(2.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, **extras)
    hand, velocity = 2.0, 0.0
    for gradient in (4.0, 2.0):
        w.grad = torch.tensor(gradient)
        optimizer.step()
        hand, velocity = sgd(hand, gradient, velocity, lr=0.1, **extras)
        assert abs(w.item() - hand) < 1e-6
    ends.append(round(w.item(), 3))
    print(f"{ends[-1]:<6}", extras or "plain")

assert ends == [1.4, 1.225, 1.2, 1.0]

# %%
# Momentum helps in a narrow valley, here 25 times as steep across as along.
# Across, the slope changes its sign and the velocity cancels out; along, all
# steps add up. Too much momentum rolls far past the goal. (A sudden dip is the
# moment of passing it.)
#
# .. alt: Loss over 60 steps on a logarithmic scale. Without momentum it falls
#    slowly. With momentum 0.8 it falls much faster, with Nesterov momentum
#    faster still. With momentum 0.99 it goes up and down, and stays high.

kinds = {"none": {}, "0.8": {"momentum": 0.8}, "0.99": {"momentum": 0.99}}
kinds["0.8 Nesterov"] = {"momentum": 0.8, "nesterov": True}
steepness, curves = torch.tensor([1.0, 25.0]), {}
for name, extras in kinds.items():
    at, velocity, curves[name] = torch.tensor([2.0, 1.0]), 0.0, []
    for _ in range(60):
        curves[name].append((steepness * at**2).sum().item() / 2)
        at, velocity = sgd(at, steepness * at, velocity, lr=0.02, **extras)

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, curve in curves.items():
    ax.semilogy(curve, label=name)
ax.set(xlabel="step", ylabel="loss")
ax.legend(title="momentum", fontsize=10, frameon=False)
show_pictures()

none, good, much, nesterov = (curve[-1] for curve in curves.values())
assert much > 1 > none > 0.1 > 1e-4 > good > 10 * nesterov

# %%
# What you learned
# ----------------
#
# A step is ``w - lr * gradient``; momentum and weight decay change what stands
# for the gradient. Clear, forward, backward, step, many times. A rate too
# large diverges, one too small wastes time.
#
# Next: :ref:`optimizers`, which choose a rate for every weight, and
# :ref:`schedules`, which change it over time. A whole training loop is in
# `snippets.training`.
