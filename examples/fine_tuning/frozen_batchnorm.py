r"""
.. _frozen_batchnorm:

Freeze layers so that nothing moves
===================================

I froze my network and trained a new head: why does the frozen part answer
differently now, although no weight of it has changed? After this page you can
find what drifts, keep batch normalization and momentum truly still, and give
each layer a learning rate of its own instead of freezing it.

.. concepts: A11
"""

import copy

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from snippets.drawing import show_pictures
from snippets.fine_tuning import freeze, param_groups, unfreeze
from snippets.training import accuracy

# %%
# One body, two heads
# -------------------
#
# The body of our network, three blocks with `torch.nn.BatchNorm1d`, learns the
# handwritten digits 0 to 4. Later a second head will name 5 to 9, and the
# first should go on working: that is why we freeze the body. The new digits
# come from another scanner, with dark strokes on light paper.


def block(inputs):
    """Return a linear layer with batch normalization and ReLU."""
    return nn.Sequential(nn.Linear(inputs, 32), nn.BatchNorm1d(32), nn.ReLU())


digits = load_digits()
pixels = torch.tensor(digits.data, dtype=torch.float32) / 16
labels = torch.tensor(digits.target) % 5  # 0 to 4, for either head
old = torch.tensor(digits.target) < 5
old_x, old_y = pixels[old], labels[old]
new_x, new_y = 1 - pixels[~old], labels[~old]
print(tuple(old_x.shape), tuple(new_x.shape))

assert old_x.shape == (901, 64) and new_x.shape == (896, 64)
assert 0.3 < old_x.mean() < 0.32 and 0.69 < new_x.mean() < 0.71

# %%
# ``learn`` trains as everybody does, with ``model.train()`` before the step
# and ``model.eval()`` before something is measured.


def learn(model, optimizer, x, y, watch=lambda: None):
    """Take 40 steps; return what ``watch`` saw after each."""
    seen = []
    for _ in range(40):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        model.eval()
        seen.append(watch())
    return seen


torch.manual_seed(0)
base = nn.Sequential(block(64), block(32), block(32), nn.Linear(32, 5))
optimizer = torch.optim.Adam(base.parameters(), lr=0.01)
learn(base, optimizer, old_x, old_y)
known = accuracy(base(old_x), old_y)
print(f"old digits known: {known:.0%}")

assert known > 0.99

# %%
# No weight moved, and yet
# ------------------------
#
# ``requires_grad_(False)`` keeps every weight of the body as it is, bit for
# bit. But ``model.train()`` lets batch normalization update its *running
# statistics*, which are buffers and need no gradient. They now follow the new
# digits, and the old head does not know the body's features any more.


def add_head(body):
    """Return the body with a head of its own for the new digits."""
    torch.manual_seed(1)
    model = nn.Sequential(*body, nn.Linear(32, 5))
    return model, torch.optim.Adam(model[3].parameters(), lr=0.01)


def old_known(body):
    """Return how much the old head knows with this body."""
    return accuracy(base[3](body(old_x)), old_y)


body = copy.deepcopy(base[:3]).requires_grad_(False)
model, optimizer = add_head(body)
drifting = learn(model, optimizer, new_x, new_y, lambda: old_known(model[:3]))

pairs = zip(body.parameters(), base[:3].parameters(), strict=True)
same = all(torch.equal(mine, its) for mine, its in pairs)
means = base[0][1].running_mean, body[0][1].running_mean
far = ((means[1] - means[0]).norm() / means[0].norm()).item()
print("weights unchanged:", same)
print(f"running mean of block 0 moved by {far:.0%}")
print(f"old digits known: {drifting[-1]:.0%}")

assert same and 3.4 < far < 4 and 0.5 < drifting[-1] < 0.62

# %%
# Freeze the mode, too
# --------------------
#
# In evaluation mode, batch normalization uses its statistics and leaves them
# alone. By hand that takes ``body.eval()`` after *every* ``model.train()``,
# for ``train()`` reaches all parts again. `snippets.fine_tuning.freeze` holds
# the mode for you, of dropout layers too.

body = copy.deepcopy(base[:3])
model, optimizer = add_head(body)
body.eval()
model.train()
by_hand = [norm.training for norm in (body[0][1], body[1][1], body[2][1])]
freeze(model, "0", "1", "2")
model.train()
frozen = [part.training for part in model]
print("after train():", by_hand, "frozen:", frozen)

assert by_hand == [True, True, True]
assert frozen == [False, False, False, True]

# %%
# The same training again. Now the features are the same to the last bit, and
# the old head knows what it knew.
#
# .. alt: Accuracy on the old digits over 40 steps of training a new head. With
#    freeze the line stays at 100 percent. With requires_grad_(False) it falls
#    within ten steps to less than 70 percent.

still = learn(model, optimizer, new_x, new_y, lambda: old_known(model[:3]))

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, line in {"freeze": still, "requires_grad_": drifting}.items():
    ax.plot(range(1, 41), [100 * share for share in line], label=name)
ax.set(xlabel="steps of the new head", ylabel="old digits known in %")
ax.set_ylim(0, 105)
ax.legend(fontsize=10)
show_pictures()

assert torch.equal(model[:3](old_x), base[:3](old_x))
assert still == [known] * 40 and len(drifting) == 40

# %%
# Zero is not None
# ----------------
#
# Freezing in the middle of a training has a trap of its own. An optimizer
# passes over a parameter whose ``.grad`` is None. A gradient of *zero* it
# takes for news: momentum rolls on, weight decay goes on shrinking. Below, one
# weight is trained for five steps and then frozen. ``zero_grad`` gives None
# unless you ask it for zeros.


def path(make, to_none):
    """Return a weight after each of 25 steps, frozen after the fifth."""
    weight, places = nn.Parameter(torch.tensor(1.0)), []
    optimizer = make([weight])
    for number in range(25):
        if number == 5:
            weight.requires_grad_(False)
        optimizer.zero_grad(set_to_none=to_none)
        if number < 5:
            (weight**2).backward()
        optimizer.step()
        places.append(weight.item())
    return places


plain = path(lambda w: torch.optim.SGD(w, lr=0.25), to_none=False)
print(plain[:7])

assert plain[:7] == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125, 0.03125]

# %%
# Plain SGD stands still with zeros, too: a gradient of zero is a step of
# length zero. The others do more than follow the gradient of the day.

SGD, Adam = torch.optim.SGD, torch.optim.Adam
makers = {
    "plain SGD": lambda w: SGD(w, lr=0.05),
    "momentum": lambda w: SGD(w, lr=0.01, momentum=0.9),
    "weight decay": lambda w: SGD(w, lr=0.05, weight_decay=0.5),
    "Adam": lambda w: Adam(w, lr=0.03),
}
zeros = {name: path(make, False) for name, make in makers.items()}
nones = {name: path(make, True) for name, make in makers.items()}
moved = {name: round(p[24] - p[4], 2) for name, p in zeros.items()}
print("moved after freezing:", moved)

assert list(moved.values()) == [0, -0.59, -0.2, -0.22]
assert all(set(p[4:]) == {p[4]} for p in nones.values())

# %%
# With None, all four stand still.
#
# .. alt: A weight over 25 steps, frozen at step 5. Solid lines, gradients of
#    zero: with momentum the weight falls far below its place at step 5, with
#    Adam and weight decay a little, with plain SGD it stays. Dashed lines,
#    None: all are level from step 5.

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, solid in zeros.items():
    (line,) = ax.plot(range(1, 26), solid, label=name)
    ax.plot(range(1, 26), nones[name], "--", color=line.get_color())
ax.axvline(5, color="#8a8f98", linewidth=1)
ax.set(xlabel="step", ylabel="weight")
fig.legend(loc="outside right upper", title="dashed: None", fontsize=10)
show_pictures()

assert all(zeros[name][:5] == nones[name][:5] for name in makers)

# %%
# Thaw without an old push
# ------------------------
#
# The optimizer also remembers the speed that the weight had, and after thawing
# goes on with it. ``freeze`` sets the gradient to None and, given the
# optimizer, drops that memory. Here we freeze after five steps, thaw, and take
# one step where the loss is flat.

pushes = {}
for memory in ("kept", "dropped"):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = SGD(layer.parameters(), lr=0.01, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        (layer.weight**2).sum().backward()
        optimizer.step()
    freeze(layer, optimizer=optimizer if memory == "dropped" else None)
    without = layer.weight.grad
    unfreeze(layer)
    before = layer.weight.item()
    layer.weight.grad = torch.zeros(1, 1)
    optimizer.step()
    pushes[memory] = round(layer.weight.item() - before, 3)
    assert without is None
print("pushed by:", pushes)

assert pushes == {"kept": -0.068, "dropped": 0}

# %%
# Slower instead of frozen
# ------------------------
#
# Freezing is all or nothing. *Layer-wise rate decay* goes down in steps: each
# layer learns by a constant factor slower than the one above it. By hand that
# is one group of parameters for each part; `snippets.fine_tuning.param_groups`
# finds the parts itself.

by_hand = [
    {"params": list(part.parameters()), "lr": 0.01 * 0.3 ** (3 - depth)}
    for depth, part in enumerate(base)
]
groups = param_groups(base, lr=0.01, layer_decay=0.3)
for group in groups:
    print(f"{group['name']:5} {group['lr']:.5f}")

rates = [round(group["lr"], 5) for group in groups]
assert rates == [0.00027, 0.0009, 0.003, 0.01]
for mine, its in zip(by_hand, groups, strict=True):
    assert round(mine["lr"], 5) == round(its["lr"], 5)
    assert [id(p) for p in mine["params"]] == [id(p) for p in its["params"]]

# %%
# ``0.0`` is the linear layer of block 0, and its norm goes along. Now all of
# the network trains on the new digits, once with the same rate for every part
# and once with the decay. How far do the weights go?


def distances(decay):
    """Return how far each part's weights go, relative to their length."""
    model = copy.deepcopy(base)
    groups = param_groups(model, lr=0.01, layer_decay=decay)
    learn(model, Adam(groups), new_x, new_y)
    ways = []
    for part, start in zip(model, base, strict=True):
        was = next(start.parameters()).detach()
        way = next(part.parameters()).detach() - was
        ways.append((way.norm() / was.norm()).item())
    return ways


same, decay = distances(1.0), distances(0.3)
print("same rate:", [f"{part:.0%}" for part in same])
print("decay 0.3:", [f"{part:.0%}" for part in decay])

usual = [0.89, 0.76, 0.67, 0.31, 0.06, 0.16, 0.51, 0.8]
for part, its in zip(same + decay, usual, strict=True):
    assert abs(part - its) < 0.05

# %%
# With the same rate for all, the block next to the pixels goes farthest. With
# the decay it stays almost where it was.
#
# .. alt: Two bar charts, for blocks 0, 1, 2 and the head. Left, the rates: the
#    same for all, or rising with the decay from 0.00027 to 0.01. Right, how
#    far the weights moved. With the same rate block 0 moves most and the head
#    least. With the decay block 0 hardly moves and the head most.

names = ["block 0", "block 1", "block 2", "head"]
parts = torch.arange(4).numpy()
fig, axes = plt.subplots(1, 2, figsize=(6, 2.8), layout="constrained")
axes[0].barh(parts - 0.2, [0.01] * 4, 0.36, label="same rate")
axes[0].barh(parts + 0.2, rates, 0.36, label="decay 0.3")
axes[1].barh(parts - 0.2, [100 * part for part in same], 0.36)
axes[1].barh(parts + 0.2, [100 * part for part in decay], 0.36)
axes[0].set(xscale="log", xlabel="rate", yticks=parts, yticklabels=names)
axes[1].set(xlabel="moved in %", yticks=[])
fig.legend(loc="outside upper center", ncols=2, fontsize=10)
show_pictures()

assert len(same) == len(decay) == len(rates) == len(names)

# %%
# What you learned
# ----------------
#
# ``requires_grad_(False)`` stops gradients and nothing else. Running
# statistics follow the mode, momentum and weight decay follow gradients of
# zero. Freeze the mode, leave no gradient, drop the memory, and check on one
# batch that the features are the same. Or let the old layers learn, slower.
#
# Before this: :ref:`finetune` and, measured, :ref:`few_labels`. Next:
# :ref:`low_rank_adapters` leaves all old weights alone and adds few new ones.
# :ref:`schedules` has more on groups, `snippets.fine_tuning` the functions.
