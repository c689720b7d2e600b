r"""
.. _few_labels:

Fine-tune with few labels: what pays?
=====================================

I have a trained network and only a handful of labels for my own classes. Do
I train the head, the last layers or everything, and is it worth it at all?
After this page you can run such a comparison yourself, count what each way
costs, and tell which of six well-known rules a measurement supports.

.. concepts: A10
.. claims: c0-90 c0-91 c0-92 c0-93 c0-94 c0-95
"""

import copy

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from snippets.drawing import show_pictures
from snippets.fine_tuning import freeze, param_groups, replace_head
from snippets.training import accuracy

# %%
# Old digits and new ones
# -----------------------
#
# The old task: the handwritten digits 0 to 4, from 901 examples. The new one:
# 5 to 9, from few. Each image of 8 × 8 pixels lies somewhere on a sheet of
# 12 × 12. So there is something to know beforehand: a digit that moves stays
# the same.
#
# .. alt: Two rows of five small images: the digits 0 to 4 and 5 to 9 in light
#    strokes, each at another place of its dark sheet.


def place(images):
    """Return sheets of 12 × 12 with each image at a random place."""
    sheets = torch.zeros(len(images), 1, 12, 12)
    for sheet, image in zip(sheets, images, strict=True):
        top, left = torch.randint(5, (2,)).tolist()
        sheet[0, top : top + 8, left : left + 8] = image
    return sheets


digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32) / 16
old = torch.tensor(digits.target) < 5
labels = torch.tensor(digits.target) % 5  # 0 to 4, in either task

torch.manual_seed(0)
fig, axes = plt.subplots(2, 5, figsize=(5, 2.1), layout="constrained")
for ax, sheet in zip(axes.flat, place(images[:10]), strict=True):
    ax.imshow(sheet[0].numpy(), cmap="gray")
    ax.axis("off")
show_pictures()

assert old.sum() == 901 and (~old).sum() == 896
assert digits.target[:10].tolist() == list(range(10))

# %%
# Train on the old digits
# -----------------------
#
# Three blocks and a head. Only the largest value of each feature map goes to
# the head (`torch.nn.AdaptiveMaxPool2d`), so any size of sheet will do.


def network():
    """Return three blocks and a head for five classes."""
    nn = torch.nn
    pool, flat = nn.AdaptiveMaxPool2d(1), nn.Flatten()
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU()),
        nn.Sequential(
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        ),
        nn.Sequential(nn.Conv2d(16, 64, 2), nn.ReLU(), pool, flat),
        nn.Linear(64, 5),
    )


def step(model, optimizer, x, y):
    """Take one step on a batch."""
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


sizes = [sum(p.numel() for p in part.parameters()) for part in network()]
print("weights of each part:", sizes)

assert sizes == [80, 1168, 4160, 325]

# %%
# Where labels are few, luck decides much. So we have five seeds, each with a
# trained network of its own, the *base*, and its own draw of labels. A base
# sees each old digit at four places. At new places, it knows nearly all.

tasks, known = [], []
for seed in range(5):
    torch.manual_seed(seed)
    base = network()
    optimizer = torch.optim.Adam(base.parameters(), lr=0.01)
    x, y = place(images[old].repeat(4, 1, 1)), labels[old].repeat(4)
    for _ in range(150):
        rows = torch.randint(len(x), (64,))
        step(base, optimizer, x[rows], y[rows])
    known.append(accuracy(base(place(images[old])), labels[old]))
    order = torch.randperm(896)
    tasks.append((base, place(images[~old])[order], labels[~old][order]))
print("old digits known:", [f"{share:.0%}" for share in known])

assert min(known) > 0.92 and len(known) == 5
assert all(len(sheets) == 500 + 396 for _, sheets, _ in tasks)

# %%
# Five ways to the new digits
# ---------------------------
#
# The functions of :ref:`finetune` put in a head, freeze, and set the rates.
# Each way takes 40 steps. Scratch starts anew and learns everything. In the
# fifth way, the old layers learn ten times slower than the head.

WAYS = ("scratch", "head", "last block", "everything", "slower")
MOMENTS = (5, 10, 20, 40)


def prepare(way, base, rate):
    """Return a model for the new digits and the groups that will learn."""
    model = network() if way == "scratch" else copy.deepcopy(base)
    replace_head(model, 5)
    for name in {"head": "012", "last block": "01"}.get(way, ""):
        freeze(model, name)
    slower = rate / 10 if way == "slower" else rate
    return model, param_groups(model, lr=slower, head_lr=rate)


for way in WAYS:
    groups = prepare(way, tasks[0][0], 0.01)[1]
    shown = [(g["lr"], sum(p.numel() for p in g["params"])) for g in groups]
    print(f"{way:10}", "  ".join(f"{n} weights at {lr}" for lr, n in shown))
    assert shown[-1] == (0.01, 325) and len(shown) == 1 + (way != "head")
    below = {"head": 0, "last block": 4160}.get(way, sum(sizes[:3]))
    assert sum(n for _, n in shown) == below + 325

# %%
# Accuracy against labels
# -----------------------
#
# Labels are drawn from 500 sheets with new digits; the other 396 test. A step
# sees all of these labels. ``measure`` returns accuracies for each seed, at
# four moments.


def measure(way, count, alter=torch.clone, rate=0.01):
    """Return accuracies, shape (seeds, moments), with ``count`` a class."""
    curves = []
    for seed, (base, sheets, y) in enumerate(tasks):
        torch.manual_seed(seed)
        model, groups = prepare(way, base, rate)
        optimizer, x, curve = torch.optim.Adam(groups), alter(sheets), []
        picks = [(y[:500] == c).nonzero()[:count, 0] for c in range(5)]
        rows = torch.cat(picks)
        for number in range(1, 41):
            step(model, optimizer, x[rows], y[rows])
            if number in MOMENTS:
                with torch.no_grad():
                    curve.append(accuracy(model(x[500:]), y[500:]))
        curves.append(curve)
    return torch.tensor(curves)


COUNTS = (2, 10, 50)
runs = {way: [measure(way, count) for count in COUNTS] for way in WAYS}
print("models trained:", sum(len(run) for r in runs.values() for run in r))

assert all(run.shape == (5, 4) for r in runs.values() for run in r)

# %%
# Means over five seeds in percent, and the standard deviation. With two labels
# a class, whatever has been trained before beats starting from scratch. With
# fifty, scratch has caught up, and the head alone is far behind.
#
# .. alt: Accuracy against labels a class: five lines with error bars. At 2
#    labels scratch is lowest, near 32 percent, the others near 40. At 50,
#    scratch and everything are near 85; last block and slower follow, and the
#    head is far below.

end = {way: torch.stack(run)[:, :, -1] for way, run in runs.items()}
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
print("labels        2       10       50")
for (way, last), mark in zip(end.items(), "osD^v", strict=True):
    mean, spread = 100 * last.mean(1), 100 * last.std(1)
    ax.errorbar(COUNTS, mean, spread, label=way, marker=mark, capsize=3)
    pairs = zip(mean, spread, strict=True)
    print(f"{way:10}", "".join(f"{m:5.0f} ± {s:.0f}" for m, s in pairs))
ax.set(xscale="log", xlabel="labels a class", ylabel="accuracy in %")
ax.set_xticks(COUNTS, COUNTS)
ax.minorticks_off()
ax.legend(fontsize=10)
show_pictures()

usual = [[32, 61, 85], [40, 57, 62], [41, 63, 77], [37, 67, 84], [39, 62, 73]]
means = torch.stack([100 * last.mean(1) for last in end.values()])
spreads = torch.stack([100 * last.std(1) for last in end.values()])
apart = [[2, 4, 2], [5, 5, 2], [4, 4, 6], [4, 3, 2], [5, 4, 5]]
assert (means - torch.tensor(usual)).abs().max() < 2
assert (spreads - torch.tensor(apart)).abs().max() < 2
assert means[1:, 0].min() > means[0, 0] + 3

# %%
# Accuracy against cost
# ---------------------
#
# Below the lowest layer that learns, no gradient is needed: the backward pass
# ends early. ``FlopCounterMode`` of torch counts the multiply-adds of forward
# and backward, here for one sheet.

costs = {}
for way in WAYS:
    model, _ = prepare(way, base, 0.01)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(x[:1]), y[:1]).backward()
    costs[way] = counter.get_total_flops() // 2
print("multiply-adds:", costs)

assert costs["head"] == 61_088 and costs["last block"] == 77_792
assert costs["scratch"] == costs["slower"] == costs["everything"] == 179_712

# %%
# With 10 labels a class, the last block gets far for little. The head alone is
# cheap and soon at its end.
#
# .. alt: Accuracy against millions of multiply-adds, with 10 labels a class.
#    Last block passes 60 percent near 80 million. Everything ends a little
#    higher at more than twice the cost. The head stays below 60.

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for way, mark in zip(WAYS, "osD^v", strict=True):
    spent = [costs[way] * 50 * moment / 1e6 for moment in MOMENTS]
    ax.plot(spent, 100 * runs[way][1].mean(0), marker=mark, label=way)
ax.set(xscale="log", xlabel="million multiply-adds", ylabel="accuracy in %")
ax.set_xticks((20, 50, 100, 200, 400), (20, 50, 100, 200, 400))
ax.minorticks_off()
ax.legend(fontsize=10)
show_pictures()

middle = {way: run[1].mean(0) for way, run in runs.items()}
assert middle["last block"][1] > 0.5 and middle["head"][3] < 0.61
assert costs["last block"] < 0.45 * costs["everything"]

# %%
# Other data, another size, another rate
# --------------------------------------
#
# What if the new digits are dark on light paper? If the sheets are larger? Was
# 0.01 a lucky rate? With 10 labels a class:


def negative(sheets):
    """Return dark strokes on light sheets."""
    return 1 - sheets


def enlarge(sheets):
    """Return the sheets drawn larger, 16 × 16."""
    return F.interpolate(sheets, size=(16, 16), mode="bilinear")


def final(ways, **change):
    """Return for each of the ways the accuracies of the five seeds."""
    return {way: measure(way, 10, **change)[:, -1] for way in ways}


dark = final(("scratch", "last block", "everything"), alter=negative)
large = final(("scratch", "everything"), alter=enlarge)
fast = final(("everything", "slower"), rate=0.03)
others = {"negatives": dark, "16 × 16": large, "rate 0.03": fast}
for title, finals in others.items():
    values = [f"{way} {100 * f.mean():.0f} %" for way, f in finals.items()]
    print(f"{title:10}", ", ".join(values))

means = [f.mean() for finals in others.values() for f in finals.values()]
usual = torch.tensor([49, 41, 46, 74, 76, 59, 65])
assert (100 * torch.tensor(means) - usual).abs().max() < 2.5

# %%
# The untouched bases take larger sheets, too, but know fewer of their own
# digits there.

larger = [
    accuracy(base(enlarge(place(images[old]))), labels[old])
    for base, _, _ in tasks
]
print("old digits known:", [f"{share:.0%}" for share in larger])

assert abs(sum(larger) / 5 - 0.75) < 0.04
assert min(larger) > 0.5 and max(larger) < min(known) - 0.08

# %%
# Six rules, measured
# -------------------
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Six rules for fine-tuning, and what this comparison says of them:
#
#    .. csv-table::
#       :header: Rule, In words, Measured here
#
#       1, "Similar data: only the last layer", "good with 2 labels,
#       as the others are; bad with 50"
#       2, "Few, different data: the last layers", "not supported:
#       behind scratch on negatives"
#       3, "If that fails: everything", "beats rule 2, about level
#       with scratch"
#       4, "Images must keep their size", "refuted: 16 × 16 runs"
#       5, "Another size costs accuracy", "true of the untouched base,
#       refuted after fine-tuning"
#       6, "Old layers ten times slower", "depends: worse at rate 0.01,
#       better at 0.03"
#
# Differences of the means, in points of percent. Four other groups of five
# seeds gave the same verdicts.

scratch, head, full, slow = (end[way] for way in WAYS if way != "last block")
pairs = {
    "1: head, 2 labels": (head[0], scratch[0]),
    "1: head, 50 labels": (head[2], scratch[2]),
    "2: last block, negatives": (dark["last block"], dark["scratch"]),
    "3: everything, negatives": (dark["everything"], dark["scratch"]),
    "5: everything, larger": (large["everything"], full[1]),
    "6: slower, rate 0.01": (slow[1], full[1]),
    "6: slower, rate 0.03": (fast["slower"], fast["everything"]),
}
gains = [100 * (one - other).mean().item() for one, other in pairs.values()]
for name, gain in zip(pairs, gains, strict=True):
    print(f"{name:26}{gain:+4.0f}")

usual = (8, -23, -8, -3, 9, -5, 6)
assert all(abs(g - u) < 3 for g, u in zip(gains, usual, strict=True))
assert gains[2] < gains[3] < 2

# %%
# What you learned
# ----------------
#
# With very few labels a trained network is worth a lot, and which part you
# train matters little. With many, let everything learn. Freezing saves cost.
# Rules of thumb depend on data, rate and luck: measure on your own task, over
# several seeds.
#
# Before this: :ref:`finetune`. Next: :ref:`frozen_batchnorm`, on layers that
# are frozen and change all the same. Which sizes real models take:
# :ref:`models_and_weights`.
