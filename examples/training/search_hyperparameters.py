r"""
.. _search_hyperparameters:

Search hyperparameters honestly
===============================

Which learning rate, how much weight decay, how wide a network, and was the
best result more than luck? After this page you can draw candidates at random
on the right scale, choose among them on validation data, tell a better setting
from a lucky seed, and open the test set once, for a number to trust.

.. concepts: A07
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from snippets.data import ArrayDataset, make_loader
from snippets.drawing import show_pictures
from snippets.training import accuracy, fit, predict

# %%
# Draw on a logarithmic scale
# ---------------------------
#
# A good learning rate may be 0.1 or 0.0001. Numbers drawn evenly between 0 and
# 1 nearly all lie above 0.1, so most of the search goes to one decade of four.
# Draw the *exponent* evenly instead.

torch.manual_seed(0)
evenly = torch.rand(1000)
by_exponent = 10 ** (4 * torch.rand(1000) - 4)  # 0.0001 to 1
shares = {}
for name, rates in (("evenly", evenly), ("by exponent", by_exponent)):
    shares[name] = (rates > 0.1).float().mean().item()
    print(f"{name:11} {shares[name]:.0%} above 0.1")

assert [f"{share:.0%}" for share in shares.values()] == ["90%", "24%"]
assert 1e-4 <= by_exponent.min() < 2e-4 and 0.9 < by_exponent.max() <= 1

# %%
# A second reason to draw: a grid of three settings each, for three
# hyperparameters, costs 27 trainings and has tried three rates. 27 random
# candidates have tried 27.
#
# .. alt: Three rows of dots on a logarithmic axis of learning rates from
#    0.0001 to 1. The grid has three places. Of those drawn evenly nearly all
#    crowd at the right end. Those drawn by exponent cover the whole axis.

rows = {
    "grid": torch.tensor([0.001, 0.01, 0.1]).repeat(9),
    "evenly": evenly[:27],
    "by exponent": by_exponent[:27],
}
fig, ax = plt.subplots(figsize=(6, 1.9), layout="constrained")
for height, rates in enumerate(rows.values()):
    ax.scatter(rates, [height] * 27, alpha=0.6)
ax.set(xscale="log", xlabel="learning rate", ylim=(2.5, -0.5))
ax.set_yticks(range(3), list(rows))
show_pictures()

tried = {name: len(rates.unique()) for name, rates in rows.items()}
assert tried == {"grid": 3, "evenly": 27, "by exponent": 27}

# %%
# One candidate, one number
# -------------------------
#
# 300 of scikit-learn's digits are to train on, 300 to validate with. The rest
# is the test set, which stays closed until the end.

digits = load_digits()
pixels = torch.tensor(digits.data, dtype=torch.float32) / 16
labels = torch.tensor(digits.target)
order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
train, val, test = (
    (pixels[rows], labels[rows]) for rows in order.split([300, 300, 1197])
)
print([len(targets) for _, targets in (train, val, test)])

assert [len(targets) for _, targets in (train, val, test)] == [300, 300, 1197]
assert pixels.shape == (1797, 64) and pixels.max() == 1
assert order.sort().values.equal(torch.arange(1797))

# %%
# Every candidate gets the same budget: 15 epochs.


def score(candidate, seed, data):
    """Train with a candidate's settings; return the accuracy on some data."""
    rate, decay, width = candidate
    torch.manual_seed(seed)
    layers = nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)
    model = nn.Sequential(*layers)
    settings = {"lr": rate, "weight_decay": decay}
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    dataset = ArrayDataset(*train)
    loader = make_loader(dataset, batch_size=30, shuffle=True, seed=seed)
    fit(model, loader, nn.CrossEntropyLoss(), optimizer, epochs=15)
    return accuracy(predict(model, [data[0]]), data[1])


first = score((0.01, 0.01, 32), 0, val)
print(f"{first:.0%} of the validation digits")
assert abs(first - 0.94) < 0.006

# %%
# The sweep
# ---------
#
# 24 candidates, each trained once, all with the same seed. The five best:

generator = torch.Generator().manual_seed(0)
candidates = []
for _ in range(24):
    rate, decay, width = torch.rand(3, generator=generator).tolist()
    width = round(2 ** (3 + 4 * width))  # 8 to 128
    candidates.append((10 ** (4 * rate - 4), 10 ** (4 * decay - 4), width))
sweep = torch.tensor([score(settings, 0, val) for settings in candidates])
best = sweep.argsort(descending=True, stable=True)[:5].tolist()
print("accuracy   rate  decay  width")
for number in best:
    rate, decay, width = candidates[number]
    print(f"{sweep[number]:8.1%}  {rate:.3f}  {decay:.3f}  {width:5}")

right = (300 * sweep[best]).round()  # digits
assert len(set(candidates)) == 24 and sweep[best[0]] == sweep.max()
assert (right - torch.tensor([286, 286, 284, 284, 282])).abs().max() <= 1
assert [f"{part:.3g}" for part in candidates[0]] == ["0.00966", "0.118", "10"]
assert {candidates[number][2] for number in best} == {12, 24, 27, 74, 76}

# %%
# Drawn against each setting, the sweep tells what matters: the learning rate.
# All from 0.003 to 0.1 have learned, and those far from it have not. (The best
# are not at an edge of what was tried. Else draw again, beyond it.) Follow
# these ten blue dots into the other pictures: weight decay and width count
# little. The gray ones tell nothing there, for their rate has spoiled them.
#
# .. alt: Three pictures of the accuracy of 24 candidates. Against the learning
#    rate they form a hill: ten blue dots from 0.003 to 0.1 lie above 0.8, gray
#    ones fall to 0.1 on both sides. Against weight decay and against width,
#    the blue dots form an almost level row.

settings = torch.tensor(candidates).T  # (3, 24)
sensible = (settings[0] > 0.003) & (settings[0] < 0.1)
names = "learning rate", "weight decay", "width"
look = {"figsize": (6, 2.6), "sharey": True, "layout": "constrained"}
fig, axes = plt.subplots(1, 3, **look)
for ax, name, values in zip(axes, names, settings, strict=True):
    for rows, color in ((~sensible, "#8a8f98"), (sensible, "C0")):
        ax.scatter(values[rows], sweep[rows], color=color)
    ax.set(xscale="log", xlabel=name, ylim=(0, 1))
axes[0].set_ylabel("validation accuracy")
show_pictures()
good, poor = sweep[sensible].aminmax(), sweep[~sensible].aminmax()
print(f"{sensible.sum()} sensible rates: {good.min:.0%} to {good.max:.0%}")
print(f"the others: {poor.min:.0%} to {poor.max:.0%}")

assert sensible.sum() == 10 and 0.84 < good.min < 0.86 and good.max > 0.95
assert len(sensible) == 24 and poor.min < 0.12 and 0.90 < poor.max < 0.915

# %%
# Better, or lucky?
# -----------------
#
# The five best lie close together. Each was trained once, and a lucky seed may
# have carried it to the top. So these finalists get the same five new seeds.
# ± is the standard deviation from seed to seed.

seeds = range(1, 6)
rows = [[score(candidates[n], s, val) for s in seeds] for n in best]
finals = torch.tensor(rows)  # (finalist, seed)
means, spreads = finals.mean(dim=1), finals.std(dim=1)
print("sweep   new seeds")
for number, mean, spread in zip(best, means, spreads, strict=True):
    print(f"{sweep[number]:.1%}   {mean:.1%} ± {spread:.1%}")
lost = sweep[best].mean() - means.mean()
print(f"lost on average: {100 * lost:.1f} points")

found = torch.tensor([0.945, 0.937, 0.947, 0.948, 0.917])
assert finals.shape == (5, 5) and 0.008 < lost < 0.010
assert (means - found).abs().max() < 0.003
assert spreads.min() > 0.008 and spreads.max() < 0.019

# %%
# The finalists lost, as winners do: who is chosen for a high score is chosen
# for luck as well, and luck does not come again. Stars are scores of the
# sweep, bars are means. The dots of one candidate lie farther apart than the
# means of the first four.
#
# .. alt: Five rows of five dots, validation accuracies from 0.90 to 0.96, with
#    a bar at each mean. The first four rows overlap widely, the last is lower.
#    A star marks the score in the sweep, at the bar or to the right of it.

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for row, dots in enumerate(finals):
    ax.scatter(dots, [row] * 5, color="C0", alpha=0.7)
    ax.plot(means[row], row, "|", color="C0", markersize=24)
    ax.plot(sweep[best[row]], row, "*", color="C1", markersize=14)
ax.set_yticks(range(5), [f"{candidates[n][2]} wide" for n in best])
ax.invert_yaxis()
ax.set_xlabel("validation accuracy")
show_pictures()

widest = finals.amax(dim=1) - finals.amin(dim=1)
assert (widest > means[:4].max() - means[:4].min()).all()
assert (sweep[best] > means).sum() >= 3

# %%
# A mean of five has an error of its own: the standard deviation divided by the
# root of five. Candidates that the best leads by less are as good as it. Of
# these take the cheapest, here the narrowest.

top = means.argmax()
error = spreads[top] / 5**0.5
tied = [n for n, m in zip(best, means, strict=True) if m >= means[top] - error]
chosen = min(tied, key=lambda number: candidates[number][2])
rate, decay, width = candidates[chosen]
print(f"{len(tied)} tied within {100 * error:.1f} points")
print(f"chosen: rate {rate:.3f}, decay {decay:.3f}, width {width}")

assert len(tied) == 3 and best[top] in tied and width == 24
assert abs(error - 0.0045) < 0.001

# %%
# Open the test set, once
# -----------------------
#
# One candidate is left, and nothing more will be chosen. Its five networks
# meet the 1197 digits that had no part in this.

tests = torch.tensor([score(candidates[chosen], s, test) for s in seeds])
numbers = {
    "best of 24 in the sweep": sweep.max(),
    "best of 25 in the finals": finals.max(),
    "chosen, mean of the finals": finals[best.index(chosen)].mean(),
    "chosen, mean on the test": tests.mean(),
}
for name, number in numbers.items():
    print(f"{name:26} {number:.1%}")
spread = tests.std()
print(f"on the test, from seed to seed: ± {spread:.1%}")

sweep_best, finals_best, validated, tested = numbers.values()
assert finals_best > sweep_best > validated > tested + 0.005
assert abs(validated - 0.947) < 0.003 and abs(tested - 0.935) < 0.003
assert abs(finals_best - 0.96) < 0.005 < spread < 0.009

# %%
# The last number is the one to report. The others hold luck of two kinds. The
# luck of a seed goes away with new seeds. The luck of the validation set does
# not: 300 digits are a draw as well, good for 1.3 points either way, and the
# candidates were chosen to suit them. Only new digits tell.
#
# In five other searches, with other digits, candidates and seeds, the
# finalists lost −0.2 to +1.4 points, and the test was from 0.8 points above to
# 2.6 points below the best of the sweep.
#
# What you learned
# ----------------
#
# Draw candidates at random, rates on a logarithmic scale. Look at the scores
# along each setting. Give the finalists new seeds; where they tie, take the
# cheap one. The best number of a search is more often too high than too low:
# report that of the test set, opened once.
#
# Libraries such as Optuna and Ray Tune stop hopeless candidates early. Luck is
# the same with them.
#
# Before this: :ref:`choose_on_validation`. Next: :ref:`save_load`. Why a
# candidate repeats with its seed is on :ref:`reproducibility`.
