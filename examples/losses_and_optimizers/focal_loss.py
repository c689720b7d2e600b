r"""
.. _focal_loss:

Write focal loss, and see what it changes
=========================================

Can a thousand easy samples drown the few hard ones that matter? After this
page you can build focal loss from softmax and ``gather``, test it against
three other losses, and tell what it does for a rare class and what it does
not.

.. concepts: L04
.. claims: c2-27 c2-30 c2-35
"""

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from snippets import losses
from snippets.drawing import draw_tensors, show_pictures

# %%
# The probability of the right class
# ----------------------------------
#
# Take an image of one row and three pixels, with two scores for each pixel:
# shape (N, classes, height, width). `torch.softmax` makes probabilities, and
# `torch.gather` picks that of the right class (see :ref:`indexing`).
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Softmax is called ``nn.softmax``, which does not exist; the
#    module is `torch.nn.Softmax`. It is given ``inputs``, which was never
#    defined.

scores = torch.tensor([[[[0.5, 2.0, -1.0]], [[1.5, 0.0, 1.0]]]])
labels = torch.tensor([[[0, 1, 1]]])  # (1, 1, 3): one for each pixel
try:
    nn.softmax(scores, dim=1)
except AttributeError as error:
    print(error)
    assert "has no attribute 'softmax'" in str(error)
else:
    raise AssertionError("torch.nn has only Softmax")
probabilities = torch.softmax(scores, dim=1)  # (1, 2, 1, 3)
picked = probabilities.gather(1, labels[:, None])  # (1, 1, 1, 3)
print(picked)

assert torch.equal(probabilities, nn.Softmax(dim=1)(scores))
assert torch.allclose(probabilities.sum(dim=1), torch.ones(1, 1, 3))
assert str(picked) == "tensor([[[[0.2689, 0.1192, 0.8808]]]])"

# %%
# In the picture, the color is the class.
#
# .. alt: Two rows of three probabilities, blue for class 0 and orange for
#    class 1, then the labels 0, 1, 1, then the picked row: 0.27 in blue, 0.12
#    and 0.88 in orange.

classes = torch.tensor([0, 1]).view(2, 1, 1).expand(2, 1, 3)
parts = {
    "probabilities": probabilities[0],
    "labels": labels[0],
    "picked": picked[0, 0],
}
draw_tensors(parts, groups=[classes, labels[0], labels[0]])
show_pictures()

assert picked[0, 0].tolist() == [
    [probabilities[0, c, 0, i].item() for i, c in enumerate([0, 1, 1])]
]

# %%
# The formula, and why not to write it so
# ---------------------------------------
#
# Cross entropy is ``-log(p)`` of that probability p. Focal loss multiplies it
# by ``(1 - p) ** gamma``, which is near 0 where p is near 1. Written so, it
# fails for a model that is sure and wrong: p rounds to 0, and its logarithm is
# minus infinity.


def naive(logits, target, gamma=2.0):
    """Take the logarithm of a probability."""
    p = logits.softmax(dim=1).gather(1, target[:, None])
    return ((1 - p) ** gamma * -p.log()).mean()


hopeless = torch.tensor([[200.0, 0.0]], requires_grad=True)
one = torch.tensor([1])
loss = naive(hopeless, one)
slopes = torch.autograd.grad(loss, hopeless)[0]
print(loss.item(), slopes.tolist())

assert loss == float("inf") and slopes.isnan().all()

# %%
# `torch.nn.functional.log_softmax` takes no such detour, and p is its
# exponential.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The snippet ends with the picked probabilities: no loss is computed. Here
#    is the rest.


def focal(logits, target, gamma=2.0):
    """Take the logarithm first, then the probability."""
    log_p = logits.log_softmax(dim=1).gather(1, target[:, None])
    return ((1 - log_p.exp()) ** gamma * -log_p).mean()


loss = focal(hopeless, one)
slopes = torch.autograd.grad(loss, hopeless)[0]
pixels = focal(scores, labels)
print(loss.item(), slopes.tolist(), f"image {pixels:.4f}")

assert loss == 200 and slopes.tolist() == [[1, -1]]
by_hand = ((1 - picked) ** 2 * -picked.log()).mean()
assert torch.isclose(pixels, by_hand) and f"{pixels:.4f}" == "0.7846"

# %%
# Gamma
# -----
#
# With gamma 0 it is cross entropy. At gamma 2, a sample with p = 0.9 counts a
# hundredth of that, one with p = 0.1 still four fifths.
#
# .. alt: Four curves of the loss against the probability of the right class,
#    for gamma 0, 1, 2 and 5. The larger gamma, the lower the curve, and the
#    earlier it lies flat on zero.

p = torch.linspace(0.01, 1, 100)
curves = {gamma: (1 - p) ** gamma * -p.log() for gamma in (0, 1, 2, 5)}

fig, ax = plt.subplots(figsize=(5.6, 3), layout="constrained")
for gamma, curve in curves.items():
    ax.plot(p, curve, label=gamma)
ax.set(xlabel="probability of the right class", ylabel="loss", ylim=(-0.1, 4))
ax.legend(title="gamma", frameon=False)
show_pictures()

left_over = curves[2] / curves[0]
assert torch.isclose(p[89], torch.tensor(0.9))
assert torch.isclose(left_over[89], torch.tensor(0.01), atol=1e-6)
assert torch.isclose(left_over[9], torch.tensor(0.81))

# %%
# Three others agree
# ------------------
#
# Ours equals `torch.nn.functional.cross_entropy` at gamma 0,
# `snippets.losses.focal_loss`, and, for two classes,
# `torchvision.ops.sigmoid_focal_loss`: softmax of 0 and x is sigmoid of x.
# The last one also weighs yes and no by its ``alpha``; -1 turns that off.

torch.manual_seed(0)
logits, target = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
x, yes = torch.randn(5), torch.tensor([0, 1, 0, 0, 1])
two = torch.stack([torch.zeros(5), x], dim=1)  # (5, 2)
options = {"alpha": -1, "gamma": 2, "reduction": "mean"}
ours = focal(logits, target, 0), focal(logits, target), focal(two, yes)
theirs = (
    F.cross_entropy(logits, target),
    losses.focal_loss(logits, target),
    sigmoid_focal_loss(x, yes.float(), **options),
)
for name, numbers in {"ours": ours, "theirs": theirs}.items():
    print("{:<7}{:.4f} {:.4f} {:.4f}".format(name, *numbers))

assert [f"{number:.4f}" for number in ours] == ["1.2048", "0.6531", "0.1712"]
assert torch.allclose(torch.stack(ours), torch.stack(theirs))
# %%
# Unbalanced data
# ---------------
#
# Three samples in a hundred are of the rare class 1: a round cloud beside the
# large one of class 0, and half inside it. As we made the data, Bayes' rule
# gives the exact probability that a point is rare.
#
# .. alt: A large cloud of blue points around (0, 0) and a few orange points
#    around (1.5, 1.5), many of them within the blue cloud.

RATE = 0.03


def draw(count, seed):
    """Draw points, of which a few are of class 1."""
    torch.manual_seed(seed)
    y = (torch.rand(count) < RATE).long()
    x = torch.randn(count, 2) + 1.5 * y[:, None]
    return x, y


def exact(x):
    """Return the true probability of class 1, by Bayes' rule."""
    log_odds = torch.tensor(RATE / (1 - RATE)).log()
    return torch.sigmoid(log_odds + 1.5 * x.sum(dim=1) - 1.5**2)


test_x, test_y = draw(50_000, seed=1234)
fig, ax = plt.subplots(figsize=(4.4, 3.2), layout="constrained")
for label in 0, 1:
    ax.scatter(*test_x[:1000][test_y[:1000] == label].T, s=6, label=label)
ax.set(xlabel="first input", ylabel="second input")
ax.legend(title="class", bbox_to_anchor=(1, 1), frameon=False, markerscale=2)
show_pictures()

assert len(test_x) == 50_000 and abs(test_y.float().mean() - RATE) < 0.002
assert abs(exact(test_x).mean() - RATE) < 0.002

# %%
# The same linear model learns with cross entropy, with focal loss, and with
# cross entropy and a larger weight for the rare class, each from 10 seeds.

rare_weight = (1 - RATE) / RATE  # 32.3: both classes count the same in all
ways = {
    "cross entropy": F.cross_entropy,
    "focal loss": focal,
    "class weight": nn.CrossEntropyLoss(torch.tensor([1.0, rare_weight])),
}


def fit(loss_fn, seed):
    """Train a linear model on its own draw of points."""
    x, y = draw(6000, seed)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    return model.requires_grad_(False)


models = {n: [fit(way, seed) for seed in range(10)] for n, way in ways.items()}
best = F.binary_cross_entropy(exact(test_x), test_y.float())
for model in models["cross entropy"]:
    assert best < F.cross_entropy(model(test_x), test_y) < 1.1 * best


# %%
# A find has a probability above one half. *Recall* is the share of rare
# samples that are found, *precision* the share of finds that are rare. "Top"
# is the share of rare ones among the 1500 likeliest of 50 000 new samples, and
# "mean" the mean probability.


def judge(p, threshold=0.5):
    """Return recall, precision, precision of the top, and the mean."""
    found, rare = p > threshold, test_y == 1
    both = (found & rare).sum()
    top = rare[p.topk(1500).indices].float().mean()
    return torch.stack([both / rare.sum(), both / found.sum(), top, p.mean()])


def chance(model):
    """Return what a model takes for the probability of class 1."""
    return model(test_x).softmax(dim=1)[:, 1]


rows = {"exact": judge(exact(test_x))}

assert torch.isclose(rows["exact"][3], torch.tensor(RATE), atol=0.002)

# %%
# Each row below is the mean of ten networks:

for name, fits in models.items():
    rows[name] = torch.stack([judge(chance(m)) for m in fits]).mean(0)
print(f"{'':<13} recall prec.  top mean")
for name, row in rows.items():
    print("{:<13}{:>7.2f}{:>6.2f}{:>5.2f}{:>5.2f}".format(name, *row))

best, plain, faded, weighted = rows.values()
assert torch.allclose(plain, best, atol=0.03)
assert torch.allclose(faded[:3], plain[:3], atol=0.02)
assert faded[3] > 3 * RATE and weighted[3] > 5 * RATE
assert weighted[0] > plain[0] + 0.4 and weighted[1] < plain[1] - 0.4
assert torch.isclose(weighted[2], plain[2], atol=0.01)

# %%
# Focal loss does not find more, and expects 14 % rare samples where there are
# 3 %. (With 20 seeds tried, either loss found between 0.23 and 0.30 of them.)
# The class weight finds more and pays with false alarms. As all three rank
# alike, cross entropy with a lower threshold gets there too:

each = [judge(chance(model), RATE) for model in models["cross entropy"]]
lower = torch.stack(each).mean(0)
print(f"threshold {RATE}: recall {lower[0]:.2f}, precision {lower[1]:.2f}")

assert torch.allclose(lower[:3], weighted[:3], atol=0.02)
assert len(each) == 10 and f"{rare_weight:.1f}" == "32.3"

# %%
# The picture shows the probabilities. Those of cross entropy are nearly
# true. Focal
# loss pulls them toward one half and crosses the diagonal there, so decisions
# stay. The class weight lifts them all.
#
# .. alt: Predicted against exact probability. Cross entropy lies on the
#    dashed diagonal. Focal loss is above it left of one half and below it to
#    the right. The class weight rises at once to near 1.

diagonal = torch.linspace(-3, 4, 200)[:, None].expand(200, 2)
true_p = exact(diagonal)
fig, ax = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
drawn = {}
for name, fits in models.items():
    each = torch.stack([m(diagonal).softmax(dim=1)[:, 1] for m in fits])
    drawn[name] = each.mean(dim=0)
    ax.plot(true_p, drawn[name], label=name)
ax.plot([0, 1], [0, 1], "--", color="gray")
ax.set(xlabel="exact probability", ylabel="predicted probability")
ax.legend(frameon=False)
show_pictures()

low, high = true_p < 0.3, true_p > 0.7
assert (drawn["cross entropy"] - true_p).abs().max() < 0.06
assert (drawn["focal loss"] > true_p)[low].all()
assert (drawn["focal loss"] < true_p)[high].all()

# %%
# What you learned
# ----------------
#
# Focal loss is ``(1 - p) ** gamma`` times cross entropy, from log-softmax and
# ``gather``. It was invented for detectors, which look at countless easy
# backgrounds. Elsewhere compare it with a weight and with a threshold, and do
# not take its probabilities at their word.
#
# Before this: :ref:`losses`. Next: :ref:`custom_losses`.
# `snippets.losses.focal_loss` and `snippets.losses.binary_focal_loss` are the
# tested versions with weights and smoothing.
