r"""
.. _debug_training:

Find out why a run does not learn
=================================

The loss stays where it was, and no error says why: where do you look first?
After this page you have a checklist of six short checks, from the data to the
updates of each layer. You will have found the mistakes in three broken runs
with it, and know which mistake each check can see.

.. concepts: A06
"""

import math
import warnings
from functools import partial

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from snippets.drawing import PALETTE, show_pictures
from snippets.training import TrainingError, accuracy, fit, predict

# %%
# A run that learns
# -----------------
#
# First see what health looks like. This network learns scikit-learn's digits,
# stored as bytes from 0 to 255 and divided by 255.


def sgd(model, rate=0.1):
    """Return an optimizer for a model."""
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)


def network():
    """Return an untrained network for ten digits."""
    first = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*first, nn.Linear(64, 10))


def healthy():
    """Return a model, its optimizer, images and labels."""
    model = network()
    return model, sgd(model), pixels / 255, labels


digits = load_digits()
pixels = torch.tensor(digits.data, dtype=torch.float32) * (255 / 16)
labels = torch.tensor(digits.target)
low, high = pixels.min().item(), pixels.max().item()
print(f"{tuple(pixels.shape)}, from {low:.0f} to {high:.0f}")

assert pixels.shape == (1797, 64) and labels.bincount().min() > 170
assert (low, high) == (0, 255)
assert network()(pixels).shape == (1797, 10) and len(network()) == 5
assert sgd(network()).param_groups[0]["lr"] == 0.1

# %%
# Three runs that do not
# ----------------------
#
# They have the same network, optimizer and digits, and one mistake each. Can
# you see it?


def run_a():
    """Return a run that will not learn."""
    model = network()
    x = pixels[torch.randperm(1797)] / 255
    y = labels[torch.randperm(1797)]
    return model, sgd(model), x, y


def run_b():
    """Return a run that will not learn."""
    model = network()
    return model, sgd(model), pixels, labels


def run_c():
    """Return a run that will not learn."""
    model = network()
    optimizer = sgd(model)
    model = network()  # start again with new weights
    return model, optimizer, pixels / 255, labels


runs = {"healthy": healthy, "A": run_a, "B": run_b, "C": run_c}
for _, _, x, y in (run() for run in runs.values()):
    assert x.shape == (1797, 64) and x.max() in (1, 255)
    assert torch.equal(y.bincount(), labels.bincount())

# %%
# Each learns 1200 images, five times over. There is no error and no warning,
# and three of the four end with guessing. So they did with each of 20 seeds,
# where the healthy run reached 90 to 97 %.


def learn(model, optimizer, x, y):
    """Learn 1200 images; return the losses, and the accuracy on the others."""
    chosen, others = torch.randperm(1797).tensor_split([1200])
    losses = []
    for _ in range(5):
        for rows in chosen[torch.randperm(1200)].split(32):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, accuracy(predict(model, [x[others]]), y[others])


curves = {}
for name, run in runs.items():
    torch.manual_seed(0)
    curves[name], right = learn(*run())
    print(f"{name:7}  {right:4.0%} right")
    assert right > 0.85 if name == "healthy" else right < 0.25

# %%
# Only one loss falls.
#
# .. alt: Loss over 190 steps. The line of the healthy run falls from 2.3 to
#    about 0.2. Those of A, B and C are flat and lie on each other at 2.3. Only
#    B has a few peaks at the beginning, which leave the picture.

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, style in zip(curves, ("-", "-", "--", ":"), strict=True):
    ax.plot(curves[name], style, label=name)
ax.set(xlabel="step", ylabel="loss", ylim=(0, 4))
ax.legend(fontsize=10, ncols=2, loc=(0.6, 0.28))
show_pictures()

ends = {name: sum(losses[-20:]) / 20 for name, losses in curves.items()}
assert ends.pop("healthy") < 0.5 and len(curves["A"]) == 190
assert all(abs(end - math.log(10)) < 0.2 for end in ends.values())

# %%
# The first loss
# --------------
#
# A network that knows nothing should give ten classes about the same
# probability: a loss of ln 10 = 2.30. B begins far above. It is sure, and
# wrong: its inputs are still bytes.


def first_loss(model, optimizer, x, y):
    """Return the loss before the first step."""
    with torch.no_grad():
        return F.cross_entropy(model(x), y).item()


torch.manual_seed(0)
firsts = {name: first_loss(*run()) for name, run in runs.items()}
print({name: round(loss, 1) for name, loss in firsts.items()})

for name, loss in firsts.items():
    assert loss > 4 if name == "B" else abs(loss - math.log(10)) < 0.1

# %%
# One batch by heart
# ------------------
#
# A network should learn 32 images by heart, whatever their labels are. Give it
# a hundred steps on one batch. Where the loss does not come near 0, look at
# model, loss and optimizer: B and C. Where it does, at the data: A.


def one_batch(model, optimizer, x, y):
    """Return the loss after a hundred steps on the same batch."""
    for _ in range(100):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[:32]), y[:32])
        loss.backward()
        optimizer.step()
    return loss.item()


torch.manual_seed(0)
tried = {name: run() for name, run in runs.items()}
stuck = {name: one_batch(*parts) for name, parts in tried.items()}
print({name: round(loss, 1) for name, loss in stuck.items()})

assert max(stuck["healthy"], stuck["A"]) < 0.1
assert min(stuck["B"], stuck["C"]) > 1.5

# %%
# The data
# --------
#
# Look at what the network gets, *after* all preparation and with its labels.
# Here are the first images of A. Even without a network, one can ask how often
# the most similar other image has the same label.
#
# .. alt: Seven images of digits in a row. Above each stands its label in run
#    A, and most labels name another digit than the one in the image.


def neighbors_agree(model, optimizer, x, y):
    """Return how often the nearest other image has the same label."""
    distances = torch.cdist(x, x).fill_diagonal_(math.inf)  # (1797, 1797)
    return (y[distances.argmin(dim=1)] == y).float().mean().item()


agree = {name: neighbors_agree(*parts) for name, parts in tried.items()}
print({name: f"{share:.0%}" for name, share in agree.items()})
x, y = tried["A"][2:]
fig, axes = plt.subplots(1, 7, figsize=(6, 1.3), layout="constrained")
for ax, image, label in zip(axes, x.reshape(-1, 8, 8), y, strict=False):
    ax.imshow(image.numpy(), cmap="gray")
    ax.set_title(label.item(), fontsize=12)
    ax.axis("off")
show_pictures()

assert agree.pop("A") < 0.2 and min(agree.values()) > 0.95

# %%
# A has shuffled images and labels each in an order of its own.
#
# What comes out of each layer
# ----------------------------
#
# A *hook* looks at a layer's output while the model runs (see
# :ref:`look_inside`). A ReLU unit that is 0 for every image is *dead*: its
# weights get no gradient, so it hardly ever comes back. After the hundred
# steps, most units of one of B's layers are dead.


def dead_units(model, optimizer, x, y):
    """Return for each ReLU which part of its units is 0 for all images."""
    shares = []

    def look(module, arguments, output):
        shares.append((output == 0).all(dim=0).float().mean().item())

    relus = [layer for layer in model if isinstance(layer, nn.ReLU)]
    handles = [relu.register_forward_hook(look) for relu in relus]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return shares


dead = {name: dead_units(*parts) for name, parts in tried.items()}
for name, shares in dead.items():
    print(f"{name:7}", " ".join(f"{share:4.0%}" for share in shares))
    assert max(shares) > 0.7 if name == "B" else max(shares) < 0.5

# %%
# How far each layer moves
# ------------------------
#
# Gradients alone say little: what counts is the step that the optimizer makes
# of them, compared with the weights. Some thousandths are healthy. B throws
# its weights away in one step. In C the gradients are fine, and nothing moves:
# its optimizer holds the weights of the first network.


def updates(model, optimizer, x, y):
    """Take a step; return gradients and updates / weights, for each layer."""
    optimizer.zero_grad()
    F.cross_entropy(model(x[:32]), y[:32]).backward()
    weights = [p for p in model.parameters() if p.dim() > 1]
    old = [weight.detach().clone() for weight in weights]
    optimizer.step()
    pairs = list(zip(weights, old, strict=True))
    ratios = [((new - w).norm() / w.norm()).item() for new, w in pairs]
    return [weight.grad.norm().item() for weight in weights], ratios


torch.manual_seed(0)
for name, run in runs.items():
    gradients, ratios = updates(*run())
    shown = "  ".join(f"{ratio:.3f}" for ratio in ratios)
    smallest = min(gradients)
    print(f"{name:7}  gradient {smallest:7.1f}  updates {shown}")
    assert 0.05 < smallest == sorted(gradients)[0] and len(ratios) == 3
    low, high = {"B": (0.1, 99), "C": (0, 0)}.get(name, (5e-4, 0.03))
    assert low <= min(ratios) <= max(ratios) <= high

# %%
# What a loop can tell you
# ------------------------
#
# Some mistakes a training loop can see by itself.
# `snippets.training.fit` refuses C before the first step:


def complaint(model, optimizer, x, y):
    """Return what fit says to one batch: an error, a warning or nothing."""
    batches = [(x[:32], y[:32])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fit(model, batches, nn.CrossEntropyLoss(), optimizer, epochs=1)
        except (TrainingError, UserWarning) as error:
            return str(error)
        else:
            return ""


said = {name: complaint(*run()) for name, run in runs.items()}
print(said["C"])

strangers = "6 of the 6 parameters in the optimizer are not the model's"
assert strangers in said["C"]
assert [name for name, text in said.items() if text] == ["C"]

# %%
# Which check sees which mistake?
# -------------------------------
#
# Here are more mistakes that one meets: a line forgotten, wrong rates, and two
# other networks.


def variant(*, build=network, rate=0.1, forget=False):
    """Return a run with one thing changed."""
    model = build()
    optimizer = sgd(model, rate)
    if forget:
        optimizer.zero_grad = lambda: None  # as if the line were missing
    return model, optimizer, pixels / 255, labels


forgetful = variant(forget=True)[1]
assert forgetful.zero_grad() is None and forgetful.defaults["lr"] == 0.1
assert variant(rate=10.0)[1].param_groups[0]["lr"] == 10

# %%
# One has a softmax before a loss that brings its own. The other is so deep,
# with sigmoids, that the gradient fades away on its way back.


def with_softmax():
    """Return the network with a softmax at its end."""
    return network().append(nn.Softmax(dim=1))


def with_sigmoids():
    """Return a deep network with sigmoids in place of ReLUs."""
    pairs = [(nn.Linear(64, 64), nn.Sigmoid()) for _ in range(6)]
    return nn.Sequential(*sum(pairs, ()), nn.Linear(64, 10))


more = {
    "no zero_grad": partial(variant, forget=True),
    "rate × 100": partial(variant, rate=10.0),
    "rate / 10 000": partial(variant, rate=1e-5),
    "softmax at the end": partial(variant, build=with_softmax),
    "six sigmoids": partial(variant, build=with_sigmoids),
}
torch.manual_seed(0)
gradients, _ = updates(*more["six sigmoids"]())
fades = gradients[0] / gradients[-1]
print(f"six sigmoids, gradient of the first layer / last: {fades:.0e}")

assert gradients == sorted(gradients) and 0 < fades < 1e-4
assert len(with_softmax()) == 6 and len(gradients) == 7

# %%
# All checks on all runs. An orange square is an alarm.


def alarms(run):
    """Return for each check whether it raises an alarm."""
    torch.manual_seed(0)
    parts, again = run(), run()
    found = {"data": neighbors_agree(*parts) < 0.9}
    found["first\nloss"] = abs(first_loss(*parts) - math.log(10)) > 0.2
    found["one\nbatch"] = one_batch(*parts) > 0.1
    found["dead\nunits"] = max(dead_units(*parts), default=0) > 0.5
    ratios = updates(*again)[1]
    found["updates"] = min(ratios) < 1e-5 or max(ratios) > 0.1
    return found | {"fit": complaint(*run()) != ""}


table = {name: alarms(run) for name, run in (runs | more).items()}
named = {name: [c for c in row if row[c]] for name, row in table.items()}
print("healthy:", named["healthy"], " A:", named["A"])

assert named["healthy"] == [] and named["A"] == ["data"]

# %%
# .. alt: A grid of nine runs and six checks, with orange squares for alarms.
#    The healthy run has none, and A only that of the data. All others have the
#    alarm of one batch, and each of them at least one more.

colors = ListedColormap(["#ffffff00", PALETTE[1]])
grid = torch.tensor([list(row.values()) for row in table.values()]).int()
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.pcolormesh(grid.numpy(), cmap=colors, edgecolors="#8a8f98")
ax.set_xticks(torch.arange(6) + 0.5, list(table["healthy"]))
ax.set_yticks(torch.arange(9) + 0.5, list(table))
ax.xaxis.tick_top()
ax.tick_params(length=0)
ax.invert_yaxis()
show_pictures()

rows = ["".join(map(str, row)) for row in grid.tolist()]
assert rows[:4] == ["000000", "100000", "011110", "001011"]
assert rows[4:7] == ["001100", "001110", "001010"]  # zero_grad and rates
assert rows[7:] == ["001001", "001010"]  # softmax and sigmoids

# %%
# One batch, learned by heart, sees all of them but A. The others say where to
# look. And a loop that is tested cannot forget ``zero_grad``.
#
# What you learned
# ----------------
#
# A run that does not learn is asked in this order: Are data and labels what
# you think, as they enter the network? Is the first loss the logarithm of the
# number of classes? Does one batch go to 0? Is a layer dead? Does each layer
# move by some thousandths? And what does a tested loop say?
#
# Next: :ref:`search_hyperparameters`, for a run that learns, and could learn
# better. Before this: :ref:`overfitting`, and :ref:`clip_accumulate` for
# gradients that explode. Softmax before the loss: :ref:`losses`.
