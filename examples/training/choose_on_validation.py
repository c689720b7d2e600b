r"""
.. _choose_on_validation:

Choose by validation, test once
===============================

Thirty networks were tried, and the best of them is right on 96 % of the test
images. Is it right on 96 % of all images? After this page you can say why not,
measure how much too high such a number is, and choose among networks so that
the number you report holds.

.. concepts: A04
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch.distributions import Binomial
from torch.nn import functional as F

from snippets.drawing import show_pictures

# %%
# The best of many who know nothing
# ---------------------------------
#
# A hundred candidates answer questions with yes or no by tossing a coin. Each
# will be right in 50 % of cases, in the long run. On 100 questions some are
# lucky, and the best of them looks as if it knew something. We repeat this
# 2000 times, so that luck itself averages out.

torch.manual_seed(0)
best = {}
for questions in (100, 1000):
    right = Binomial(questions, torch.tensor(0.5)).sample((2000, 100))
    best[questions] = (100 * right / questions).cummax(dim=1).values
    mean = best[questions].mean(dim=0)  # (100,): best of 1, of 2, ...
    shown = [f"{mean[k - 1]:.0f} %" for k in (1, 10, 100)]
    print(f"{questions} questions, best of 1, 10 and 100:", *shown)

assert best[100].shape == best[1000].shape == (2000, 100)
few, many = best[100].mean(dim=0), best[1000].mean(dim=0)
assert abs(few[0] - 50) < 0.5 and abs(many[0] - 50) < 0.2
assert 57 < few[9] < 58.5 and 62 < few[99] < 63
assert 52 < many[9] < 53 and 53.5 < many[99] < 54.5

# %%
# The more candidates, the better the best looks, and the fewer questions, the
# more so. Nothing was learned in any of these cases.
#
# .. alt: Score of the best against the number of candidates, 1 to 100. On 100
#    questions it rises from 50 to 62 %, fast at first; on 1000 questions from
#    50 to 54 %. Shaded bands hold 80 % of the repetitions. A dashed line at
#    50 % is the truth.

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
bands = {}
for questions, scores in best.items():
    bands[questions] = scores.quantile(torch.tensor([0.1, 0.9]), dim=0)
    ax.fill_between(range(1, 101), *bands[questions], alpha=0.3)
    ax.plot(range(1, 101), scores.mean(dim=0), label=f"{questions} questions")
ax.axhline(50, color="#8a8f98", linestyle="--", label="the truth")
ax.set(xlabel="candidates to choose from", ylabel="score of the best, %")
ax.set_ylim(40, 66)
ax.legend(loc="lower right", ncols=3, fontsize=10)
show_pictures()

assert (bands[100][0, 20:] > bands[1000][1, 20:]).all()
assert (bands[1000][0, 20:] > 50).all()

# %%
# Real candidates
# ---------------
#
# Now networks that do learn. 100 of scikit-learn's digits are for learning, 50
# for validation and 50 for the test. The other 1597, which nobody has in real
# life, will tell the truth.

digits = load_digits()
x = torch.tensor(digits.data, dtype=torch.float32) / 16  # (1797, 64)
y = torch.tensor(digits.target)


def split():
    """Return the rows of four parts at random."""
    return torch.randperm(1797).split([100, 50, 50, 1597])


parts = split()
print([len(rows) for rows in parts])

assert torch.cat(parts).sort().values.equal(torch.arange(1797))
assert [len(rows) for rows in parts] == [100, 50, 50, 1597]
assert x.max() == 1 and x.shape == (1797, 64)

# %%
# A grid of settings, six learning rates times five rates of dropout, makes
# thirty networks. To be fast, they learn side by side: their weights are
# stacked, and ``@`` broadcasts the images over them (:ref:`broadcasting`).

sizes = (30, 64, 32), (30, 1, 32), (30, 32, 10), (30, 1, 10)
rates = torch.linspace(0.5, 1.0, 6).repeat(5).view(30, 1, 1)
drops = torch.linspace(0.0, 0.4, 5).repeat_interleave(6).view(30, 1, 1)


def scores(weights, images, drop=0.0):
    """Return what each network says: (networks, images, 10)."""
    hidden = torch.relu(images @ weights[0] + weights[1])
    kept = torch.rand_like(hidden) >= drop  # all, where drop is 0
    return (hidden * kept / (1 - drop)) @ weights[2] + weights[3]


torch.manual_seed(0)
weights = [torch.randn(size) / 8 for size in sizes]
alone = [part[:1] for part in weights]  # the first network
print(tuple(scores(weights, x).shape), tuple(scores(alone, x).shape))

first, among = scores(alone, x)[0], scores(weights, x)[0]
assert torch.allclose(first, among, atol=1e-5) and among.shape == (1797, 10)
assert torch.cat([rates, drops], dim=2).unique(dim=0).shape == (30, 1, 2)

# %%
# Untrained, they are right in a tenth of cases:


def accuracy(weights, rows):
    """Return how many percent of some rows each network has right."""
    answers = scores(weights, x[rows]).argmax(dim=2)
    return 100 * (answers == y[rows]).float().mean(dim=1)


untrained = accuracy(weights, parts[3])
print(f"{len(untrained)} networks, right: {untrained.mean():.0f} %")

assert untrained.shape == (30,) and 7 < untrained.mean() < 13
assert accuracy(alone, parts[3])[0] == untrained[0]

# %%
# Each network counts at four moments of its training. To look at a test after
# several epochs and keep the best is to choose as well. That makes 120
# candidates.


def learn(rows):
    """Return the weights of 30 networks, each after 30, 40, 50, 60 steps."""
    weights, candidates = [torch.randn(size) / 8 for size in sizes], []
    for step in range(1, 61):
        weights = [part.requires_grad_() for part in weights]
        guesses = scores(weights, x[rows], drops).flatten(0, 1)
        loss = 30 * F.cross_entropy(guesses, y[rows].repeat(30))
        slopes = torch.autograd.grad(loss, weights)  # of 30 separate losses
        pairs = zip(weights, slopes, strict=True)
        weights = [(part - rates * slope).detach() for part, slope in pairs]
        if step in (30, 40, 50, 60):
            candidates.append(weights)
    return [torch.cat(parts) for parts in zip(*candidates, strict=True)]


train, val, test, fresh = parts
weights = learn(train)
truth = accuracy(weights, fresh)
print(
    f"{len(truth)} candidates, right: {truth.min():.0f} to {truth.max():.0f} %"
)

assert len(truth) == 120 and truth.max() < 95 and truth[90:].mean() > 80

# %%
# The mistake
# -----------
#
# Ask all candidates the 50 test images, keep the best, and report its score:

on_test = accuracy(weights, test)
chosen = on_test.argmax()
print(f"reported: {on_test[chosen]:.0f} %, truth: {truth[chosen]:.0f} %")

assert on_test[chosen] == on_test.max() > truth[chosen] + 2

# %%
# The score holds two things: how good the network is, and how lucky it was
# with these 50 images. The largest of 120 scores has good luck, almost surely.
#
# The right way
# -------------
#
# Choose on the validation images. The winner's score there is as lucky, so it
# is not for the report. *Then* ask the test images, this one network only.
# They had no part in the choice: their luck can go either way.

on_val = accuracy(weights, val)
chosen = on_val.argmax()
print(f"best on validation: {on_val[chosen]:.0f} %")
print(f"reported: {on_test[chosen]:.0f} %, truth: {truth[chosen]:.0f} %")

assert on_val[chosen] == on_val.max() > truth[chosen] + 2
assert abs(on_test[chosen] - truth[chosen]) < 12

# %%
# Thirty times
# ------------
#
# One split proves nothing. In thirty, each with networks of its own, by how
# much is each number above the truth?


def errors(seed):
    """Return three numbers minus the truth, and the truth for both choices."""
    torch.manual_seed(seed)
    train, val, test, fresh = split()
    weights = learn(train)
    on_val, on_test = accuracy(weights, val), accuracy(weights, test)
    best = torch.stack([on_test.argmax(), on_val.argmax()])
    a, b = accuracy([part[best] for part in weights], fresh)  # the truth
    return [on_test.max() - a, on_val.max() - b, on_test[best[1]] - b, a, b]


table = torch.tensor([errors(seed) for seed in range(30)])  # (30, 5)
names = "best on test", "best on validation", "its test score"
means, spread = table.mean(dim=0), table.std(dim=0)
for name, mean, deviation in zip(names, means, spread, strict=False):
    error = deviation / 30**0.5  # of the mean
    print(f"{name:<18} {mean:+.1f} ± {error:.1f}, spread {deviation:.1f}")

assert table.shape == (30, 5) and (spread[:3] < 8).all()
assert (means[:2] > 3).all() and means[2].abs() < 2.5

# %%
# Each dot below is one split. A test of 50 images is off by several points
# either way: its spread is luck, its mean is right. Choosing adds an error in
# one direction, and no number of splits averages it out. In seven other sets
# of thirty splits, the best on the test was 4.5 to 5.6 points too high, the
# test score of the best on validation off by −1.1 to +1.1.
#
# .. alt: Three rows of thirty dots, points above the truth. Best on test and
#    best on validation lie nearly all to the right of zero, around +5. The
#    test scores of those chosen on validation lie on both sides of zero, with
#    their mean close to it. A bar marks each mean.

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for row, errors_of_row in enumerate(table[:, :3].T):
    heights = row + torch.linspace(-0.25, 0.25, 30)
    ax.plot(errors_of_row, heights, "o", markersize=4, alpha=0.7)
    ax.plot([means[row]] * 2, [row - 0.38, row + 0.38], color=f"C{row}", lw=3)
ax.axvline(0, color="#8a8f98", linestyle="--")
ax.set_yticks(range(3), names)
ax.invert_yaxis()
ax.set_xlabel("points above the truth")
show_pictures()

above = (table[:, :3] > 0).sum(dim=0).tolist()
print("above the truth, of 30:", dict(zip(names, above, strict=True)))
assert min(above[:2]) > 20 and 5 < above[2] < 25

# %%
# What does honesty cost?
# -----------------------
#
# Fifty images, and no quality: the networks chosen on validation are as good
# as those chosen on the test. Choosing works in both cases. What is wrong
# after the mistake is only the number.

print(
    f"truth, chosen on test {means[3]:.0f} %, on validation {means[4]:.0f} %"
)

assert (means[3:] > 83).all() and abs(means[3] - means[4]) < 2

# %%
# What you learned
# ----------------
#
# Whatever you compare is a candidate: settings, seeds, epochs, features. The
# best score among them is too high, the more so the more candidates and the
# fewer samples there are. Choose on validation data. Then ask the test data
# once, and report that number even if you do not like it: trying again would
# be choosing.
#
# Before this: :ref:`train_validate_test`. Next: :ref:`train_cnn` keeps to
# these rules, from raw images on. To try many settings:
# :ref:`search_hyperparameters`.
