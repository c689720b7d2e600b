r"""
.. _optimizers:

Choose an optimizer
===================

Adam, RMSprop, Adagrad, LBFGS: what do they do that plain SGD does not, and
which one should you take? After this page you can swap one optimizer for
another, compute a step of Adam by hand, tell AdamW's weight decay from Adam's,
save an optimizer together with its model, and judge a race between them.

.. concepts: O04
.. claims: c0-81 c3-98
"""

import copy

import matplotlib.pyplot as plt
import torch

from snippets.drawing import show_pictures

# %%
# One line to swap
# ----------------
#
# All optimizers of `torch.optim` are made and used in the same way. Only the
# name changes, and capitals matter.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    One name is written RMSProp, and the heading Optimizers has
#    nothing below. These nine exist, with these default rates,
#    and new releases add more.

try:
    torch.optim.RMSProp
except AttributeError as error:
    print(error)
    assert "RMSProp" in str(error)
else:
    raise AssertionError("only the p is small in RMSprop")

names = ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"]
names += ["NAdam", "RAdam", "Adafactor", "LBFGS"]
weights = [torch.zeros(2)]
rates = {n: getattr(torch.optim, n)(weights).defaults["lr"] for n in names}
print(rates)

assert rates["SGD"] == rates["Adam"] == rates["AdamW"] == 0.001
assert rates["RMSprop"] == rates["Adagrad"] == 0.01 and rates["LBFGS"] == 1

# %%
# A rate for each weight
# ----------------------
#
# Let one weight have the gradient 100, another 0.01. With SGD, no rate suits
# both: one moves 10,000 times as far. The others divide each gradient by its
# usual size, so both weights move equally far. At the first step of Adagrad
# and Adam, that is the rate itself.

moved = {}
for name in ("SGD", "Adagrad", "RMSprop", "Adam"):
    w = torch.zeros(2, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], lr=0.1)
    w.grad = torch.tensor([100.0, 0.01])
    optimizer.step()
    moved[name] = [round(move, 3) for move in w.tolist()]
    print(f"{name:<8} {moved[name]}")

assert moved["SGD"] == [-10, -0.001] and moved["RMSprop"] == [-1, -1]
assert moved["Adagrad"] == moved["Adam"] == [-0.1, -0.1]

# %%
# Adam by hand
# ------------
#
# Adam keeps two running averages for each weight: of the gradient, like
# momentum, and of its square. It steps by the first, divided by the root of
# the second. Both start at 0, so at first they are too small. Dividing by
# ``1 - 0.9**step`` and ``1 - 0.999**step`` makes up for it.

gradients = torch.tensor([[4.0, 0.04], [2.0, 0.08], [-1.0, 0.04]])
w = torch.zeros(2, requires_grad=True)
optimizer = torch.optim.Adam([w], lr=0.1)
hand, mean, square = torch.zeros(2), 0.0, 0.0
for step, gradient in enumerate(gradients, 1):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient**2
    size = (square / (1 - 0.999**step)).sqrt()
    hand = hand - 0.1 * mean / (1 - 0.9**step) / (size + 1e-8)

    w.grad = gradient
    optimizer.step()
    assert torch.allclose(w.detach(), hand)

print("PyTorch", w.detach())
print("by hand", hand)

assert step == 3
assert torch.allclose(hand, torch.tensor([-0.2496, -0.2907]), atol=1e-4)

# %%
# Weight decay: Adam or AdamW
# ---------------------------
#
# `torch.optim.Adam` adds the decay to the gradient, like SGD. Then it divides
# by the usual size, and what you asked for is gone: 0.1 and 0.001 decay alike.
# `torch.optim.AdamW` takes the decay off the weight itself. Here the loss has
# no slope, so this is decay alone, from 2.

decayed = {}
for name in ("Adam", "AdamW"):
    for amount in (0.1, 0.001):
        w = torch.tensor(2.0, requires_grad=True)
        kind = getattr(torch.optim, name)
        optimizer = kind([w], lr=0.1, weight_decay=amount)
        w.grad = torch.tensor(0.0)
        optimizer.step()
        decayed[name, amount] = round(w.item(), 4)
        print(f"{name:<5} {amount:<5} {decayed[name, amount]}")

assert decayed["Adam", 0.1] == decayed["Adam", 0.001] == 2 - 0.1
assert decayed["AdamW", 0.1] == 2 * (1 - 0.1 * 0.1)
assert decayed["AdamW", 0.001] == 2 * (1 - 0.1 * 0.001)

# %%
# LBFGS wants a closure
# ---------------------
#
# `torch.optim.LBFGS` looks at the loss several times in one step. It needs a
# function that computes loss and gradients, the *closure*. Others take one
# too, and call it once.

calls = []


def closure():
    """Compute the loss of ``w``, and its gradient."""
    optimizer.zero_grad()
    loss = (w - 3) ** 2
    loss.backward()
    calls.append(loss.item())
    return loss


w = torch.tensor(0.0, requires_grad=True)
optimizer = torch.optim.LBFGS([w])
try:
    optimizer.step()
except TypeError as error:
    print(error)
    assert "closure" in str(error)
else:
    raise AssertionError("LBFGS must ask for a closure")
optimizer.step(closure)
print("losses seen in one step:", calls, "w:", w.item())

assert calls == [9, 4, 0] and w == 3

# %%
# A race
# ------
#
# The loss is a bent valley, easy to enter and slow to follow. Its lowest point
# is at (1, 1).


def surface(x, y):
    """Return the height of the valley at a point."""
    return (1 - x) ** 2 + 3 * (y - x**2) ** 2


start, goal = (-1.5, -1.0), (1.0, 1.0)
print("from", surface(*start), "down to", surface(*goal))

assert surface(*start) == 2.5**2 + 3 * 3.25**2 and surface(*goal) == 0

# %%
# In a fair race, all look at the gradient equally often: 100 times, however
# many steps that makes.


def run(name, lr, **extras):
    """Return the points visited, one for each look, and their losses."""
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], lr=lr, **extras)
    path, losses = [], []

    def look():
        optimizer.zero_grad()
        loss = surface(*w)
        loss.backward()
        path.append(w.tolist())
        losses.append(loss.item())
        return loss

    while len(losses) < 100:
        optimizer.step(look)
    return path, losses


path, losses = run("SGD", lr=0.02)
assert path[0] == list(start) and losses[0] == surface(*start)
assert len(losses) == 100 and losses == sorted(losses, reverse=True)

# %%
# Six start, each at three rates. The table has their last losses, and ``inf``
# where the steps diverged. LBFGS aside, each rate has another winner: momentum
# at 0.02, RMSprop at 0.1, Adam at 0.5. A race at one common rate proves
# nothing.

runners = {"SGD": ("SGD", {}), "momentum": ("SGD", {"momentum": 0.9})}
runners |= {n: (n, {}) for n in ("Adagrad", "RMSprop", "Adam", "LBFGS")}
rates, runs, ends = (0.02, 0.1, 0.5), {}, {}
print("rate     ", *(f"{rate:<7}" for rate in rates))
for runner, (name, extras) in runners.items():
    runs[runner] = [run(name, lr=rate, **extras) for rate in rates]
    last = torch.tensor([losses[99] for _, losses in runs[runner]])
    ends[runner] = last.nan_to_num(nan=torch.inf)
    print(f"{runner:<9}", *(f"{end:<7.2g}" for end in ends[runner]))

table = torch.stack(list(ends.values()))  # (6 runners, 3 rates)
winners = [list(runners)[row] for row in table[:-1].argmin(dim=0)]
assert winners == ["momentum", "RMSprop", "Adam"]
assert table.isinf().nonzero().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]

# %%
# Here is each at its best rate. SGD creeps along the bottom. Momentum swings
# past the goal and back. Adagrad divides by the sum of *all* past squares, so
# it slows down. RMSprop and Adam forget old squares. LBFGS learns from past
# gradients how the surface bends, and is there after a few looks.
#
# .. alt: Six pictures of the same valley, bent like a U, each with the path of
#    one runner from the lower left. SGD and Adagrad stop short of the goal,
#    momentum loops around it, RMSprop comes close, Adam swings past it and
#    returns, LBFGS goes there nearly straight.

x, y = torch.linspace(-2.2, 2.2, 120), torch.linspace(-1.6, 2.9, 120)
height = surface(*torch.meshgrid(x, y, indexing="xy"))
look = {"sharex": True, "sharey": True, "layout": "constrained"}
fig, axes = plt.subplots(2, 3, figsize=(6, 4.4), **look)
levels = (0.1, 0.5, 2, 5, 12, 30)
for ax, runner, k in zip(axes.flat, runners, table.argmin(dim=1), strict=True):
    path, losses = runs[runner][k]
    ax.contour(x, y, height, levels, colors="#8a8f98", linewidths=0.6)
    ax.plot(*goal, "*", markersize=13, color="#e0a800")
    ax.plot(*zip(*path, strict=True), ".-", markersize=4, linewidth=1.2)
    ax.set_title(f"{runner}, {rates[k]}")
fig.supxlabel("x")
fig.supylabel("y")
show_pictures()

best = table.min(dim=1).values
assert best.argsort().tolist() == [5, 4, 1, 3, 0, 2]  # LBFGS, Adam, momentum
assert best.max() < 0.3 and losses[20] < 0.01

# %%
# What an optimizer remembers
# ---------------------------
#
# Averages and the count of steps are the optimizer's *state*. ``state_dict``
# returns it with the settings, to be saved beside the model, as
# `snippets.checkpointing` does. Does it matter? Here are five steps of Adam, a
# pause, and five more.


def train(w, optimizer):
    """Take five steps down the valley and return where they lead."""
    for _ in range(5):
        optimizer.zero_grad()
        surface(*w).backward()
        optimizer.step()
    return w.detach().clone()


w = torch.tensor(start, requires_grad=True)
adam = torch.optim.Adam([w], lr=0.1)
paused = train(w, adam)
saved = copy.deepcopy(adam.state_dict())  # adam goes on changing its own
unbroken = train(w, adam)
print(list(saved["state"][0]), saved["param_groups"][0]["lr"])

assert sorted(saved["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
assert saved["state"][0]["step"] == 5 and saved["param_groups"][0]["lr"] == 0.1
assert not torch.allclose(paused, unbroken, atol=0.1)

# %%
# Without its state, the run goes another way from the same weights. With it,
# the run goes on exactly as if there had been no pause.

errors = []
for kept in (False, True):
    w = paused.clone().requires_grad_()
    adam = torch.optim.Adam([w], lr=0.1)
    if kept:
        adam.load_state_dict(saved)
    errors.append((train(w, adam) - unbroken).norm().item())
    print(f"state kept: {kept!s:<5}  distance {errors[-1]:.2f}")

assert errors[1] == 0 and 0.05 < errors[0] < 0.2

# %%
# What you learned
# ----------------
#
# Adam and its relatives divide a gradient by its usual size, so that all
# weights move at a similar pace. For weight decay take AdamW. No race tells
# which optimizer is best for your network: try a few rates with each of two,
# say AdamW and SGD with momentum.
#
# Next: :ref:`schedules` change the rate during training. Before this:
# :ref:`sgd_step` for momentum by hand.
