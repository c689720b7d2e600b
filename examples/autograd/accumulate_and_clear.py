r"""
.. _accumulate_and_clear:

Add gradients up, or clear them
===============================

Why does a second ``backward`` raise an error, and why is the gradient twice
too large once it does not? After this page you can read that error and choose
the right way out, clear gradients, tell None from zeros, recognize a training
that forgot to clear, and add gradients up on purpose.

.. concepts: G06 O05
.. claims: c0-59 c0-60 c0-84 c0-85 c3-54 c3-56
"""

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from snippets.drawing import show_pictures

# %%
# Gradients add up
# ----------------
#
# A new tensor has no gradient: ``.grad`` is None. `torch.Tensor.backward` puts
# one there, and a later ``backward`` *adds* to it.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Gradients are said to need zeroing before ``backward``. The
#    first call needs no such thing. You clear between steps, because a sum of
#    old and new is seldom wanted.

w = torch.tensor(1.0, requires_grad=True)
history = [w.grad]
for slope in (3, 4):
    (slope * w).backward()
    history.append(w.grad.item())
print(history)

assert history == [None, 3, 3 + 4]

# %%
# The second time is an error
# ---------------------------
#
# To see a gradient double, one might call ``backward`` twice on one result:

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
z = (x**2).sum()
z.backward()
try:
    z.backward()
except RuntimeError as error:
    cause, _, advice, *_ = str(error).split(". ")
    print(cause)
    assert "Trying to backward through the graph a second time" in cause
    assert "retain_graph=True" in advice
else:
    raise AssertionError("the saved tensors must be gone")
assert x.grad.tolist() == [2, 4, 6]  # of the first call

# %%
# The slope of a square is ``2 * x``, so squaring *saved* ``x`` for later. The
# first ``backward`` used it and freed it. (A graph that saved nothing, such as
# that of ``x.sum()``, survives.)
#
# There are two ways out. Compute the result again, as every step of a training
# does. Or keep what was saved, with ``retain_graph=True``, and pay in memory.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A second ``z.backward()`` is to show how gradients accumulate. It raises
#    the error above. These two ways show it.

x.grad = None
for _ in range(2):
    (x**2).sum().backward()  # a new graph each time
computed_again = x.grad

x.grad = None
z = (x**2).sum()
z.backward(retain_graph=True)
z.backward()
print(computed_again, x.grad, sep="\n")

assert computed_again.tolist() == x.grad.tolist() == [4, 8, 12]

total = x.sum()
total.backward()
total.backward()  # no error: nothing was saved
assert x.grad.tolist() == [6, 10, 14]

# %%
# Two losses, one network
# -----------------------
#
# Two losses may share an output. Add them and call ``backward`` once: the
# gradient is the same, for half the work.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The output is computed anew before the loss, without a word on why.
#    Without it, the error above returns.

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
batch = torch.randn(4, 2)
out = net(batch)
out.mean().backward()
try:
    (out**2).mean().backward()
except RuntimeError:
    refused = True
(net(batch) ** 2).mean().backward()  # the output computed anew
in_two_calls = net[0].weight.grad

net.zero_grad()
out = net(batch)
(out.mean() + (out**2).mean()).backward()
same = torch.allclose(net[0].weight.grad, in_two_calls)
print("one call gives the same gradient:", same)

assert refused and same and in_two_calls.abs().sum() > 0

# %%
# Cleared means None
# ------------------
#
# ``zero_grad`` sets gradients to None, and ``zero_grad(set_to_none=False)`` to
# zeros. An optimizer skips a parameter without a gradient. Zeros are a
# gradient: weight decay, which pulls toward 0, still changes this weight.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``net.zero_grad()`` is said to set the gradients to zero.
#    Since version 2.0 of PyTorch it sets them to None.

for set_to_none, expected in ((True, 1.0), (False, 0.9)):
    w = nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.SGD([w], lr=0.5, weight_decay=0.2)
    (3 * w).backward()
    optimizer.zero_grad(set_to_none=set_to_none)
    cleared = None if w.grad is None else w.grad.item()
    optimizer.step()
    print(f"gradient {cleared}, weight after a step {w.item():.1f}")

    assert cleared == (None if set_to_none else 0)
    assert torch.isclose(w, torch.tensor(expected))

# %%
# The network's or the optimizer's
# --------------------------------
#
# `torch.nn.Module.zero_grad` clears all parameters of a module,
# `torch.optim.Optimizer.zero_grad` those that the optimizer was given. When
# only the last layer is trained, that is not the same. After three passes, the
# gradient of the first layer is three times as large:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Both are said to do the same. They do if the optimizer
#    holds every parameter.

body, head = nn.Linear(3, 2), nn.Linear(2, 1)
net = nn.Sequential(body, head)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
sizes = []
for _ in range(3):
    net(torch.ones(4, 3)).sum().backward()
    sizes.append(body.weight.grad.norm().item())
    optimizer.zero_grad()
growth = [round(size / sizes[0], 3) for size in sizes]
print("body:", growth, "head:", head.weight.grad)

assert growth == [1, 2, 3]
assert head.weight.grad is None and body.weight.grad is not None
net.zero_grad()
assert all(parameter.grad is None for parameter in net.parameters())

# %%
# A training that forgets
# -----------------------
#
# Without ``zero_grad``, every step follows the sum of all gradients so far.
# Let a layer learn the line :math:`y = 2x - 1` from noisy points. With
# clearing, it does:

torch.manual_seed(0)
points = torch.linspace(-1, 1, 50)[:, None]  # (50, 1)
targets = 2 * points - 1 + 0.1 * torch.randn(50, 1)


def train(*, clear, momentum=0.0):
    """Return the loss before each step, and the learned line."""
    torch.manual_seed(1)
    layer, losses = nn.Linear(1, 1), []
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum)
    for _ in range(80):
        if clear:
            optimizer.zero_grad()
        loss = F.mse_loss(layer(points), targets)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return losses, layer.weight.item(), layer.bias.item()


cleared, slope, intercept = train(clear=True)
print(f"y = {slope:.1f}x {intercept:+.1f}")
assert abs(slope - 2) < 0.15 and abs(intercept + 1) < 0.15

# %%
# Without clearing, the loss falls and climbs again, over and over, and no
# error is raised. That is SGD with a momentum of 1: a ball that rolls in a
# bowl without friction. (20 seeds tried: with clearing, all end at 0.01, the
# noise of the points; without, all come back to 0.9 times their first loss or
# more.)
#
# .. alt: Loss against step. The curve with zero_grad falls within 25 steps and
#    stays near zero. The curve without it swings up and down to the end, and
#    the dots of a momentum of 1 lie on it.

forgotten = train(clear=False)[0]
momentum_one = train(clear=True, momentum=1.0)[0]
end, comeback = cleared[-1], max(forgotten[-20:]) / forgotten[0]
print(f"cleared: {end:.2f}, forgotten: back to {comeback:.0%} of the first")

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
ax.plot(cleared, label="with zero_grad")
ax.plot(forgotten, label="without")
ax.plot(momentum_one, ".", color="C1", label="momentum=1")
ax.set(xlabel="step", ylabel="loss")
fig.legend(loc="outside upper center", ncols=3)
show_pictures()

assert points.shape == targets.shape and 0.004 < end < 0.016
assert 0.85 < comeback < 1.1 and cleared[0] == forgotten[0]
assert torch.allclose(torch.tensor(forgotten), torch.tensor(momentum_one))

# %%
# Adding up on purpose
# --------------------
#
# A batch too large for memory can go through in equal parts. Divide each mean
# loss by their number, and the sum is the mean over the whole batch. (More:
# :ref:`clip_accumulate`.)
#
# .. admonition:: In the notes
#    :class: note-check
#
#    "Always clear" is a rule for the start of a step, not for
#    every ``backward``.

layer = nn.Linear(1, 1)
F.mse_loss(layer(points), targets).backward()
whole = layer.weight.grad

layer.zero_grad()
for part in (slice(0, 25), slice(25, 50)):
    loss = F.mse_loss(layer(points[part]), targets[part]) / 2
    loss.backward()
same = torch.allclose(layer.weight.grad, whole)
print("two halves add up to the whole:", same)

assert same and whole.abs() > 0.1

# %%
# What you learned
# ----------------
#
# - ``backward`` adds to ``.grad`` and frees what the graph saved: compute the
#   result again for another one.
# - Cleared means None. An optimizer clears only what it holds.
# - A missing ``zero_grad`` raises no error. It acts as a momentum of 1.
#
# Next: :ref:`grad_limits` tells what has no gradient and how to record none.
# In :ref:`sgd_step`, ``zero_grad`` takes its place in every step.
