r"""
.. _schedules:

Change the learning rate during training
========================================

Why begin with small steps, go on with large ones and end with tiny ones? After
this page you can write a schedule with ``LambdaLR``, call it in the right
place and as often as it expects, warm up and come down along a cosine, and
give the layers of one network different rates.

.. concepts: O06 O08
.. claims: c3-99
"""

import math
import warnings

import matplotlib.pyplot as plt
import torch
from torch.optim import lr_scheduler

from snippets.drawing import show_pictures
from snippets.schedules import warmup_cosine

# %%
# A factor for each step
# ----------------------
#
# A *scheduler* changes the rate in an optimizer.
# `~torch.optim.lr_scheduler.LambdaLR` multiplies the rate that you gave by the
# factor that your function returns for a step, counted from 0. ``get_last_lr``
# reads the rate back, one for each group of parameters.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The heading LambdaLR has nothing below. In short: rate times
#    factor; the optimizer steps first; a plain function is not saved with the
#    scheduler.

w = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.8)
scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
rates = []
for _ in range(4):
    rates.append(scheduler.get_last_lr()[0])
    optimizer.step()  # after zero_grad, forward and backward
    scheduler.step()
print(rates)

assert rates == [0.8, 0.4, 0.2, 0.1]
assert optimizer.param_groups[0]["lr"] == 0.8 * 0.5**4
assert scheduler.state_dict()["lr_lambdas"] == [None]

# %%
# The other way round, the first update already has the second rate. PyTorch
# warns about it, once:

optimizer = torch.optim.SGD([w], lr=0.8)
scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
rates = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
said = str(caught[0].message).split(". ")[0]
print(rates)
print(said)

assert rates == [0.4, 0.2, 0.1] and len(caught) == 1
assert "`lr_scheduler.step()` before `optimizer.step()`" in said

# %%
# Warm up, then come down
# -----------------------
#
# The first gradients of a network are rough, so many runs *warm up* with small
# rates. Then the rate falls along half a cosine: slowly, fast, slowly. The
# tested `snippets.schedules.warmup_cosine` agrees, and its numbers are saved
# with the scheduler.


def by_hand(step, warmup=10, total=100):
    """Return the factor of a step: up along a line, down along a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    way = (step - warmup) / (total - warmup)  # from 0 to 1
    return (1 + math.cos(math.pi * way)) / 2


tested = warmup_cosine(warmup_steps=10, total_steps=100)
shown = (0, 9, 10, 55, 99)
print({step: round(by_hand(step), 4) for step in shown})

assert all(math.isclose(by_hand(k), tested(k)) for k in range(100))
saved = lr_scheduler.LambdaLR(optimizer, tested).state_dict()["lr_lambdas"]
assert saved[0]["warmup_steps"] == 10 and saved[0]["total_steps"] == 100
assert [round(tested(k), 4) for k in shown] == [0.1, 1, 1, 0.5, 0.0003]

# %%
# Does it pay? A thousand weights start at 10. Their goal is 0, and their
# gradients are noisy, as they are with batches. After 100 steps, which rate is
# nearest?


def descend(factor):
    """Return the mean distance of 1000 weights from 0 after each step."""
    torch.manual_seed(0)
    w = torch.full((1000,), 10.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    distances = []
    for _ in range(100):
        w.grad = w.detach() + torch.randn(1000)
        optimizer.step()
        scheduler.step()
        distances.append(w.detach().abs().mean().item())
    return distances


runs = {"0.5": descend(lambda step: 1.0), "0.01": descend(lambda step: 0.02)}
runs["0.5, scheduled"] = descend(tested)
ends = {name: round(run[99], 2) for name, run in runs.items()}
print(ends)

for end, usual in zip(ends.values(), (0.46, 3.66, 0.14), strict=True):
    assert abs(end - usual) < 0.03

# %%
# A large rate arrives fast and then trembles around the goal. A small one is
# still on its way. The schedule arrives, and comes to rest. With 20 other
# seeds, the last distances were within 0.02 of these.
#
# .. alt: Mean distance from the goal over 100 steps, on a logarithmic scale.
#    At rate 0.5 it falls fast, then stays near 0.5. At 0.01 it falls slowly to
#    3.7. With the schedule it falls fast, then slowly on, and ends lowest.

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, distances in runs.items():
    ax.semilogy(distances, label=name)
ax.set(xlabel="step", ylabel="distance")
ax.legend(title="rate", fontsize=10, frameon=False)
show_pictures()

middle = {name: run[40] for name, run in runs.items()}
assert middle["0.5"] < 0.6 and middle["0.5, scheduled"] < 0.6
assert middle["0.01"] > 6

# %%
# The schedules of PyTorch
# ------------------------
#
# `~torch.optim.lr_scheduler.SequentialLR` chains schedulers: it goes on to the
# next at the steps in ``milestones``, and only the chain is called. Each
# counts from its own start. This chain has the same rates as our function.


def rates_of(make):
    """Return the rates of 100 steps with the scheduler that ``make`` makes."""
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    with warnings.catch_warnings():  # PyTorch 2.6 warns of its own chain
        warnings.filterwarnings("ignore", "The epoch parameter")
        for _ in range(100):
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
    return rates


def chain(optimizer):
    """Return a scheduler: 10 steps up, 90 steps down."""
    up = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=9)
    down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
    return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[10])


chained = rates_of(chain)
print({step: round(chained[step], 4) for step in shown})

assert all(math.isclose(chained[k], 0.1 * tested(k)) for k in range(100))

# %%
# *Step* cuts the rate every 30 steps. *One cycle* goes up for 30 of its 100
# steps and ends near nothing.
#
# .. alt: Learning rate over 100 steps. The chain: up along a line in 10 steps,
#    down along a cosine. Step: a staircase going down. One cycle: up in a
#    curve until step 30, then down to nearly zero.

cycle = {"max_lr": 0.1, "total_steps": 100, "cycle_momentum": False}
curves = {
    "chain": chained,
    "step": rates_of(lambda o: lr_scheduler.StepLR(o, 30, gamma=0.5)),
    "one cycle": rates_of(lambda o: lr_scheduler.OneCycleLR(o, **cycle)),
}
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, rates in curves.items():
    ax.plot(rates, label=name)
ax.set(xlabel="step", ylabel="learning rate")
ax.legend(fontsize=10, frameon=False)
show_pictures()

assert sorted(set(curves["step"])) == [0.0125, 0.025, 0.05, 0.1]
assert max(curves["one cycle"]) == curves["one cycle"][29] > 0.0999
assert curves["one cycle"][-1] < 1e-4

# %%
# Each step or each epoch?
# ------------------------
#
# A scheduler counts its own calls and knows no epochs. Our function is made
# for 100 calls. Call it once an *epoch* in 5 epochs of 20 batches, and the
# training ends in the middle of the warm-up.


def last_rate(*, each_step):
    """Return the rate after 5 epochs of 20 batches."""
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = lr_scheduler.LambdaLR(optimizer, tested)
    for _ in range(5):
        for _ in range(20):
            optimizer.step()
            if each_step:
                scheduler.step()
        if not each_step:
            scheduler.step()
    return scheduler.get_last_lr()[0]


ends = [last_rate(each_step=False), last_rate(each_step=True)]
print("called each epoch {:.2f}, each step {:.2f}".format(*ends))

assert math.isclose(ends[0], 0.1 * 6 / 10) and ends[1] == 0

# %%
# `~torch.optim.lr_scheduler.ReduceLROnPlateau` is called each epoch, with the
# number that you watch, such as the validation loss. With ``patience=1`` it
# forgives one epoch without progress and lowers the rate at the second.

optimizer = torch.optim.SGD([w], lr=0.1)
scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
try:
    scheduler.step()
except TypeError as error:
    print(error)
    assert "metrics" in str(error)
else:
    raise AssertionError("a plateau cannot be seen without the loss")

rates = []
for loss in (0.9, 0.6, 0.6, 0.6, 0.5, 0.5, 0.5):
    scheduler.step(loss)
    rates.append(scheduler.get_last_lr()[0])
print(rates)

assert rates == [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025]

# %%
# A rate for each layer
# ---------------------
#
# An optimizer takes *groups* of parameters with settings of their own; what a
# group leaves out comes from the call. Layers that were trained before often
# get a tenth of the rate of new ones. One function changes all groups alike; a
# list has one for each. Here the first group rests for two steps.

body, head = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)
groups = [{"params": body.parameters(), "lr": 0.01}]
groups += [{"params": head.parameters()}]
optimizer = torch.optim.SGD(groups, lr=0.1)
factors = [lambda step: float(step >= 2), lambda step: 0.5**step]
scheduler = lr_scheduler.LambdaLR(optimizer, factors)
table = []
for _ in range(4):
    table.append(scheduler.get_last_lr())
    optimizer.step()
    scheduler.step()
print("body, head:", *table)

assert [rate for rate, _ in table] == [0, 0, 0.01, 0.01]
assert [rate for _, rate in table] == [0.1, 0.05, 0.025, 0.0125]

# %%
# Groups also choose what decays: usually the weights, not the biases. A
# parameter may be in one group only, or there is an error:

parameters = [*body.parameters(), *head.parameters()]
weights = [p for p in parameters if p.dim() > 1]
biases = [p for p in parameters if p.dim() == 1]
try:
    torch.optim.AdamW([{"params": parameters}, {"params": biases}])
except ValueError as error:
    print(error)
    assert "more than one parameter group" in str(error)
else:
    raise AssertionError("the biases are in two groups")
assert len(weights) == len(biases) == 2

# %%
# One that is in no group is never trained, and no error says so: count them.
# Below, all gradients are 0, so the step is decay alone. It leaves the weights
# a factor of 0.98, and the biases whole.

groups = [{"params": weights, "weight_decay": 0.2}, {"params": biases}]
optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.0)
sizes = [p.norm().item() for p in parameters]
for p in parameters:
    p.grad = torch.zeros_like(p)
optimizer.step()
pairs = zip(parameters, sizes, strict=True)
left = [round(p.norm().item() / size, 4) for p, size in pairs]
print(left)

assert sum(len(group["params"]) for group in groups) == len(parameters)
assert left == [1 - 0.1 * 0.2, 1, 1 - 0.1 * 0.2, 1]

# %%
# What you learned
# ----------------
#
# A scheduler writes a new rate into the optimizer at each call: after
# ``optimizer.step()``, as often as its numbers were made for. Groups give
# layers a rate and a decay of their own.
#
# Next: :ref:`clip_accumulate`, for what else happens around a step. More
# schedules are in `snippets.schedules`.
