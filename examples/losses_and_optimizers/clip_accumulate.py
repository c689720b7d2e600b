r"""
.. _clip_accumulate:

Accumulate and clip gradients
=============================

What if the batch that you want does not fit into memory, or one bad batch
throws the weights far away? After this page you can add up the gradients of
small batches so that they equal those of a large one, say when they do not,
and clip gradients at the right place in the loop.

.. concepts: O07
.. claims: c3-100 c3-56
"""

import copy

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from snippets.drawing import show_pictures
from snippets.training import train_epoch

# %%
# Small batches that add up
# -------------------------
#
# ``backward`` adds to the gradients that it finds, so several small batches
# can stand for a large one. First the large one: a linear model, 12 samples,
# and the gradient of the mean squared error.

torch.manual_seed(0)
x = torch.randn(12, 3, dtype=torch.float64)
y = torch.randn(12, 1, dtype=torch.float64)


def gradient(model, batches, shares):
    """Return the gradients of batches added up, each loss times a share."""
    model.zero_grad()
    for batch, share in zip(batches, shares, strict=True):
        loss = F.mse_loss(model(x[batch]), y[batch])
        (loss * share).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


model = torch.nn.Linear(3, 1, dtype=torch.float64)
whole = gradient(model, [torch.arange(12)], [1])
error = (model(x) - y).detach()
print(tuple(whole.shape))

assert whole.shape == (3 + 1,)  # three weights and a bias
assert torch.allclose(whole[:3], 2 * (error * x).mean(dim=0))
assert torch.allclose(whole[3], 2 * error.mean())

# %%
# Now three batches of four. Done without a thought, three *means* are added:
# the gradient is three times too large. Each loss must be divided by the
# number of batches.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Always clear the gradients, it says. Before each new step,
#    yes. Between the batches of one step they are kept on purpose.

batches = torch.arange(12).split(4)
added = gradient(model, batches, [1, 1, 1]) / whole
divided = gradient(model, batches, [1 / 3, 1 / 3, 1 / 3]) / whole
print("added:  ", added.round(decimals=6).tolist())
print("divided:", divided.round(decimals=6).tolist())

assert torch.allclose(added, torch.full_like(whole, 3))
assert torch.allclose(divided, torch.ones_like(whole))

# %%
# Batches of 5, 5 and 2 need more care. The mean of three means is *not* the
# mean of twelve samples: the last two count too much. Give each batch the
# share that it has of the samples.

batches = torch.arange(12).split(5)
sizes = [len(batch) for batch in batches]
by_batch = gradient(model, batches, [1 / 3, 1 / 3, 1 / 3])
by_sample = gradient(model, batches, [size / 12 for size in sizes])
off = [(g - whole).norm().item() for g in (by_batch, by_sample)]
print(sizes, "off by {:.2f} and {:.2f}".format(*off))

each = [gradient(model, [batch], [1]) for batch in batches]
assert torch.allclose(by_batch, sum(each) / 3)  # a mean of means
assert torch.allclose(by_sample, whole)
assert sizes == [5, 5, 2] and off[0] > 0.1 and off[1] < 1e-12

# %%
# Batch normalization sees each batch alone: it subtracts the mean of 4 samples
# where it would have subtracted that of 12. No share makes up for it. Layers
# that look at one sample at a time, such as `torch.nn.LayerNorm`, do not mind.

batches, off = torch.arange(12).split(4), {}
for norm in (torch.nn.BatchNorm1d, torch.nn.LayerNorm):
    net = torch.nn.Sequential(norm(3), torch.nn.Linear(3, 1)).double()
    large = gradient(net, [torch.arange(12)], [1])
    small = gradient(net, batches, [1 / 3, 1 / 3, 1 / 3])
    off[norm.__name__] = round((small - large).norm().item(), 2)
print(off)

assert off["BatchNorm1d"] > 0.1 and off["LayerNorm"] == 0

# %%
# Clip by norm
# ------------
#
# All gradients together are one long vector, and its length is their *norm*.
# `torch.nn.utils.clip_grad_norm_` shortens it, in place, where it is too long.
# It returns the norm from *before*.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The heading Optimizer Wrappers has nothing below, and
#    `torch.optim` has no such class. Other libraries wrap what takes a few
#    lines: accumulating, clipping, :ref:`averages <average_weights>` and
#    :ref:`mixed_precision`.


def clip(gradients, max_norm):
    """Return clipped gradients and their norm before that."""
    norm = torch.cat(gradients).norm()
    factor = min(1, max_norm / norm.item())
    return [g * factor for g in gradients], norm


weight, bias = torch.zeros(2), torch.zeros(1)
for max_norm in (20, 6.5):
    weight.grad, bias.grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
    hand, norm = clip([weight.grad, bias.grad], max_norm)
    before = clip_grad_norm_([weight, bias], max_norm)
    print(before, "->", weight.grad, bias.grad)
    assert before == norm == (3**2 + 4**2 + 12**2) ** 0.5
    assert torch.allclose(hand[0], weight.grad)
    assert torch.allclose(hand[1], bias.grad)

assert torch.allclose(weight.grad, torch.tensor([1.5, 2.0]))
assert not [name for name in dir(torch.optim) if "wrap" in name.lower()]

# %%
# `torch.nn.utils.clip_grad_value_` cuts each number on its own, to at most 1
# here. That turns the gradient to another direction, so clip by norm unless
# you have a reason.
#
# .. alt: Three arrows from the origin. The gradient goes far to the right and
#    a little up. Clipped by norm it is shorter and goes the same way. Clipped
#    by value it goes up at 45 degrees.

arrows = {"gradient": torch.tensor([4.0, 1.0])}
for kind in (clip_grad_norm_, clip_grad_value_):
    w = torch.zeros(2)
    w.grad = arrows["gradient"].clone()
    kind([w], 1.0)
    arrows[kind.__name__] = w.grad

fig, ax = plt.subplots(figsize=(6, 2.3), layout="constrained")
for place, (name, arrow) in enumerate(arrows.items()):
    look = {"color": f"C{place}", "width": 0.05 - 0.01 * place}
    look["length_includes_head"] = True
    ax.arrow(0, 0, *arrow.tolist(), label=name, **look)
ax.set(aspect="equal", xlabel="first number", ylabel="second number")
ax.legend(fontsize=10, frameon=False)
show_pictures()

slopes = [(up / right).item() for right, up in arrows.values()]
assert slopes == [0.25, 0.25, 1]
assert torch.isclose(arrows["clip_grad_norm_"].norm(), torch.tensor(1.0))

# %%
# Backward, clip, step
# --------------------
#
# There is one right place: after ``backward``, before ``step``. In the other
# places clipping has no effect, and no error tells you. From 10, with the
# gradient 20 and the rate 0.1, the clipped step is 0.1 and the other one 2.

orders = ["clip backward step", "backward step clip"]  # both wrong
orders += ["backward clip step"]
ends = {}
for order in orders:
    w = torch.tensor(10.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    for call in order.split():
        if call == "backward":
            (w**2).backward()
        elif call == "clip":
            clip_grad_norm_([w], max_norm=1.0)
        else:
            optimizer.step()
    ends[order] = round(w.item(), 3)
    print(order, ends[order])

assert list(ends.values()) == [8, 8, 9.9]

# %%
# Clipping mends no nan
# ---------------------
#
# One ``nan`` makes the norm ``nan``, and then every gradient. With
# ``error_if_nonfinite=True`` you learn of it in time.

bad = torch.zeros(3)
bad.grad = torch.tensor([1.0, float("nan"), 2.0])
try:
    clip_grad_norm_([bad], max_norm=1.0, error_if_nonfinite=True)
except RuntimeError as error:
    print(str(error).split(". ")[0])
    assert "non-finite, so it cannot be clipped" in str(error)
else:
    raise AssertionError("a nan must be refused")
print(bad.grad, "is left alone")
assert bad.grad[0] == 1 and bad.grad[2] == 2

# %%
# Without that argument the norm is nan, and so is every gradient after it:

norm = clip_grad_norm_([bad], max_norm=1.0)
print(norm, bad.grad)

assert norm.isnan() and bad.grad.isnan().all()

# %%
# A cliff
# -------
#
# Clipping helps where the loss is a cliff, as in a recurrent network, which
# multiplies by the same weights again and again. Here one weight is used 20
# times, and the result should be 1. At 1.3 the gradient is over a million.
# The free step goes to -1104, and the next ones to infinity and nan.


def descend(max_norm=None):
    """Take 40 steps from 1.3 and return the weights on the way."""
    w = torch.tensor(1.3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.001)
    path = [w.item()]
    for _ in range(40):
        optimizer.zero_grad()
        ((w**20 - 1) ** 2).backward()
        if max_norm:
            clip_grad_norm_([w], max_norm)
        optimizer.step()
        path.append(w.item())
    return path


free, clipped = descend(), descend(max_norm=10)
print("free:   ", *(f"{w:.4g}" for w in free[:4]))
print("clipped:", *(f"{w:.4g}" for w in clipped[:4]), "...", clipped[40])

assert -1200 < free[1] < -1000 and free[2] > 1e30 and free[3] != free[3]
assert abs(clipped[3] - (1.3 - 3 * 0.01)) < 1e-5 and clipped[40] == 1

# %%
# A clipped step is never longer than the rate times ``max_norm``, 0.01 here.
# Step by step, it climbs down and finds the goal.
#
# .. alt: The loss over the weight, flat up to 1.1 and then rising like a wall.
#    Dots climb down the wall from 1.3 in equal steps and gather at 1. An arrow
#    goes from 1.3 far to the left: without clipping, to -1104.

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
at = torch.linspace(0.85, 1.32, 100)
ax.plot(at, (at**20 - 1) ** 2, color="#8a8f98")
ax.plot(clipped, [(w**20 - 1) ** 2 for w in clipped], ".")
way = {"arrowstyle": "<-", "color": "#8a8f98"}  # the head is at the text
text = "without clipping,\nto -1104"
ax.annotate(text, (1.3, 35700), (0.86, 33000), arrowprops=way)
ax.set(xlabel="weight", ylabel="loss", ylim=(-1500, 4e4))
show_pictures()

steps = [clipped[k] - clipped[k + 1] for k in range(40)]
assert max(steps) < 0.01 + 1e-6

# %%
# All of it in one loop
# ---------------------
#
# Six batches, a step after every third, clipped once before the step. Here the
# loop stands beside `snippets.training.train_epoch`, which does the same and
# also weights batches of different sizes.

hand, tested = copy.deepcopy(model), copy.deepcopy(model)
loader = list(zip(x.split(2), y.split(2), strict=True))
optimizer = torch.optim.SGD(hand.parameters(), lr=0.1)
norms = []
for number, (inputs, targets) in enumerate(loader, 1):
    (F.mse_loss(hand(inputs), targets) / 3).backward()
    if number % 3 == 0:
        norms.append(clip_grad_norm_(hand.parameters(), max_norm=1.0))
        optimizer.step()
        optimizer.zero_grad()
print(f"{len(norms)} steps, norms before", *(f"{norm:.1f}" for norm in norms))

optimizer = torch.optim.SGD(tested.parameters(), lr=0.1)
extras = {"accumulate": 3, "clip_grad_norm": 1.0}
train_epoch(tested, loader, F.mse_loss, optimizer, **extras)
print("by hand", hand.weight.data)
print("tested ", tested.weight.data)

assert len(norms) == 2 and min(norms) > 1
assert torch.isclose(norms[0], gradient(model, [range(6)], [1]).norm())
assert torch.allclose(hand.weight, tested.weight)
assert torch.allclose(hand.bias, tested.bias)

# %%
# What you learned
# ----------------
#
# Gradients add up: give each batch its share, and clear after the step. Batch
# normalization does not play along. Clip by norm between ``backward`` and
# ``step``, and watch the norm that is returned: it tells you when training
# gets rough.
#
# Next: :ref:`average_weights`, and :ref:`mixed_precision`, where gradients
# must be unscaled before they are clipped.
