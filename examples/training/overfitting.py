r"""
.. _overfitting:

Notice overfitting, and what helps against it
=============================================

The training loss falls and falls: why do the answers on new data get worse?
After this page you can see in two curves where a network begins to learn by
heart, stop there and keep the best weights, and judge over several seeds what
weight decay, dropout, more data and changed copies of it really do.

.. concepts: A05
"""

import copy
import math

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn
from torch.nn import functional as F

from snippets.data import ArrayDataset, make_loader
from snippets.drawing import show_pictures
from snippets.training import accuracy, fit, predict

# %%
# Few patients, ten measurements
# ------------------------------
#
# scikit-learn brings 442 diabetes patients: ten measurements each, and how far
# the disease had come a year later. 150 are to learn from, 146 validate and
# 146 are kept for a test. Targets are scaled by the 150, so that a loss of
# about 1 is no knowledge at all: always answering the mean.


def draw(seed):
    """Return patients to train on, to validate with and to test with."""
    patients = load_diabetes()
    x = torch.tensor(patients.data, dtype=torch.float32) * 442**0.5
    y = torch.tensor(patients.target, dtype=torch.float32)[:, None]
    order = torch.randperm(442, generator=torch.Generator().manual_seed(seed))
    train, *others = order.split([150, 146, 146])
    y = (y - y[train].mean()) / y[train].std()
    return [(x[rows], y[rows]) for rows in (train, *others)]


train, val, test = draw(seed=3)
no_knowledge = F.mse_loss(torch.zeros(146, 1), val[1]).item()
print([tuple(inputs.shape) for inputs, _ in (train, val, test)])
print(f"always the mean: {no_knowledge:.1f}")

assert train[0].shape == (150, 10) and val[0].shape == test[0].shape
assert test[1].shape == (146, 1) and 0.95 < no_knowledge < 1.05
assert abs(train[1].mean()) < 1e-5 and abs(train[1].std() - 1) < 1e-5
assert 0.9 < train[0].std() < 1.1  # so are the measurements

# %%
# The network has 5000 weights for 150 patients.


def start(seed, data, *, weight_decay=0.0, dropout=0.0):
    """Return an untrained network, its optimizer and its batches."""
    torch.manual_seed(seed)
    layers = [nn.Linear(10, 64), nn.ReLU(), nn.Dropout(dropout)]
    layers += [nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(64, 1))
    settings = {"lr": 0.003, "weight_decay": weight_decay}
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    dataset = ArrayDataset(*data)
    loader = make_loader(dataset, batch_size=30, shuffle=True, seed=seed)
    return model, optimizer, loader


model, optimizer, loader = start(0, train)
weights = sum(parameter.numel() for parameter in model.parameters())
print(weights, "weights,", len(loader), "batches")

assert weights == 11 * 64 + 65 * 64 + 65 == 4929 and len(loader) == 5

# %%
# The two curves part
# -------------------
#
# After each epoch we measure the loss on the patients that are learned and on
# those that are not, both in evaluation mode.


def learn(model, optimizer, loader):
    """Go through the training data once."""
    model.train()
    for inputs, targets in loader:
        optimizer.zero_grad()
        F.mse_loss(model(inputs), targets).backward()
        optimizer.step()


@torch.no_grad()
def loss_on(model, data):
    """Return the loss on some patients, in evaluation mode."""
    return F.mse_loss(model.eval()(data[0]), data[1]).item()


learned, new = [], []
for _ in range(40):
    learn(model, optimizer, loader)
    learned.append(loss_on(model, train))
    new.append(loss_on(model, val))
print(f"epochs: {len(new)}, batches: {40 * len(loader)}")
assert len(new) == len(learned) == 40 and len(loader) == 5

# %%
# The network ends by knowing its patients almost by heart, noise included, and
# does worse with new ones than after a few epochs. With each of 20 seeds, the
# lowest point came between epochs 2 and 10, and the last loss was 1.2 to 1.9
# times as high.
#
# .. alt: Loss over 40 epochs. On the patients that are learned it falls from
#    0.8 to almost 0. On new patients it falls to a star near epoch 6, and then
#    climbs.

lowest = new.index(min(new))
print(f"lowest on new patients: {new[lowest]:.2f}, epoch {lowest + 1}")
print(f"after 40 epochs: learned {learned[-1]:.2f}, new {new[-1]:.2f}")

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
epochs = range(1, 41)
ax.plot(epochs, learned, label="learned patients")
ax.plot(epochs, new, label="new patients")
ax.plot(lowest + 1, new[lowest], "*", markersize=14, color="#e0a800")
ax.set(xlabel="epoch", ylabel="loss", ylim=(0, 1))
ax.legend(fontsize=10)
show_pictures()

assert learned[-1] < 0.15 < learned[lowest] < new[lowest] < 0.65
assert 2 <= lowest < 15 and new[-1] > 1.2 * new[lowest]

# %%
# Stop early
# ----------
#
# Stop when the validation loss has found no new minimum for ten epochs, and go
# back to the weights of the minimum. The wrong way first: ``state_dict()``
# holds the weights themselves, and they go on changing. A copy stays.

model, optimizer, loader = start(0, train)
best, waited, losses = math.inf, 0, []
while waited < 10:
    learn(model, optimizer, loader)
    losses.append(loss_on(model, val))
    waited += 1
    if losses[-1] < best:
        best, waited = losses[-1], 0
        followed = model.state_dict()
        kept = copy.deepcopy(model.state_dict())

restored = []
for state in (followed, kept):
    model.load_state_dict(state)
    restored.append(loss_on(model, val))
print(f"stopped after {len(losses)} epochs")
print(f"no copy {restored[0]:.2f}, copy {restored[1]:.2f}, best {best:.2f}")

assert losses == new[: lowest + 11] and best == new[lowest]
assert restored == [losses[-1], best] and losses[-1] > 1.05 * best

# %%
# `snippets.training.fit` does the same for ``patience=10``: the same epochs,
# the same losses, and the model has the weights of the minimum.

stopped, optimizer, loader = start(0, train)
history = fit(
    stopped,
    loader,
    nn.MSELoss(),
    optimizer,
    epochs=40,
    val_loader=[val],
    patience=10,
)
same = [torch.equal(w, kept[name]) for name, w in stopped.named_parameters()]
print(len(history), "epochs, best weights kept:", all(same))

assert len(history) == len(losses) and all(same)
assert torch.allclose(*map(torch.tensor, (history["val_loss"], losses)))

# %%
# Weight decay and dropout
# ------------------------
#
# *Regularization* makes it harder to learn by heart. With ``weight_decay``,
# `torch.optim.AdamW` also shrinks every weight a little at each step.
# `torch.nn.Dropout` hides random features in training. One run proves little:
# here are five seeds, each with other patients and other first weights.

recipes = {
    "nothing": {},
    "weight decay 0.01": {"weight_decay": 0.01},  # AdamW's default
    "weight decay 3": {"weight_decay": 3.0},
    "dropout 0.5": {"dropout": 0.5},
}
curves = torch.empty(len(recipes), 5, 2, 40)  # recipe, seed, data, epoch
for recipe, settings in enumerate(recipes.values()):
    for seed in range(5):
        train, val, _ = draw(seed)
        model, optimizer, loader = start(seed, train, **settings)
        for epoch in range(40):
            learn(model, optimizer, loader)
            both = loss_on(model, train), loss_on(model, val)
            curves[recipe, seed, :, epoch] = torch.tensor(both)
last = curves[..., -1].mean(dim=1)  # recipe, data
print("new, last epoch:", [round(loss, 2) for loss in last[:, 1].tolist()])

assert last[0, 0] < 0.15 and last[:2].diff(dim=0).abs().max() < 0.05
assert (last[2:, 0] > 0.2).all() and (last[2:, 1] < 0.8 * last[0, 1]).all()

# %%
# AdamW's default of 0.01 changes nothing here. 3 does, and so does dropout:
# less is known by heart, and the climb is nearly gone.
#
# .. alt: Three pictures of loss over 40 epochs, thin lines for five seeds and
#    thick ones for their means. With nothing, the line of learned patients
#    falls to 0.1 and that of new ones climbs from 0.5 to 0.8. With weight
#    decay 3 and with dropout 0.5 both are flat, learned near 0.3, new near
#    0.55.

look = {"figsize": (6, 2.8), "sharey": True, "layout": "constrained"}
fig, axes = plt.subplots(1, 3, **look)
for ax, recipe in zip(axes, (0, 2, 3), strict=True):
    for data, name in enumerate(("learned", "new")):
        runs, line = curves[recipe, :, data], {"color": f"C{data}"}
        ax.plot(epochs, runs.T, linewidth=0.7, alpha=0.5, **line)
        ax.plot(epochs, runs.mean(dim=0), linewidth=2.5, label=name, **line)
    ax.set_title(list(recipes)[recipe], fontsize=11)
    ax.set(xlabel="epoch", ylim=(0, 1.2))
axes[0].set_ylabel("loss")
axes[0].legend(fontsize=10)
show_pictures()

rise = curves[:, :, 1, -1] - curves[:, :, 1].amin(dim=2)  # recipe, seed
assert (rise[0] > 0.1).all() and (rise[2:] < 0.7 * rise[0]).all()

# %%
# But the *lowest* points, which early stopping keeps, are the same. Seeds
# differ far more than recipes do. On these data, regularization replaces early
# stopping and does not beat it.

lowest = curves[:, :, 1].amin(dim=2)  # recipe, seed
for name, losses in zip(recipes, lowest, strict=True):
    print(f"{name:17}  {losses.mean():.2f} ± {losses.std():.2f}")

assert 0.4 < lowest[0].mean() < 0.6 and lowest.mean(dim=1).std() < 0.02
assert (lowest.std(dim=1) > 0.06).all() and (lowest.std(dim=1) < 0.16).all()

# %%
# More images, or changed ones
# ----------------------------
#
# A copy that is changed, but means the same, is almost a new sample: this is
# *augmentation*. For scikit-learn's digits we try two changes. One moves each
# by up to a pixel each way. The other swaps left and right, which suits cats.


def shift(images):
    """Move each image by up to one pixel down or up, right or left."""
    corners = torch.randint(0, 3, (len(images), 2)).tolist()
    pairs = zip(F.pad(images, (1, 1, 1, 1)), corners, strict=True)
    return torch.stack([x[:, i : i + 8, j : j + 8] for x, (i, j) in pairs])


def mirror(images):
    """Swap left and right in about half of the images."""
    chosen = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(chosen, images.flip(3), images)


digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
labels = torch.tensor(digits.target)
torch.manual_seed(0)
swapped = (mirror(images) != images).flatten(1).any(dim=1).float().mean()
print(f"{tuple(images.shape)}, mirrored: {swapped:.1f}")

assert images.shape == (1797, 1, 8, 8) and 0.46 < swapped < 0.54
assert images.max() == 1 and shift(images).shape == images.shape

# %%
# From above: as they are, shifted, mirrored.
#
# .. alt: Three rows of six small images of the digits 2 to 7: as they are,
#    shifted by a pixel, and mirrored. Most of the mirrored ones are no digits.

some = images[2:8]
shown = torch.cat([some, shift(some), some.flip(3)]).numpy()
fig, axes = plt.subplots(3, 6, figsize=(5, 2.6), layout="constrained")
for ax, image in zip(axes.flat, shown, strict=True):
    ax.imshow(image[0], cmap="gray")
    ax.axis("off")
show_pictures()

assert labels[2:8].tolist() == [2, 3, 4, 5, 6, 7]

# %%
# A small convolutional network learns from 50 digits, without changes. It is
# tested on 800 others, as they are and shifted.


def score(seed, *, change=None, count=50):
    """Learn a few digits; return the accuracy on others, plain and shifted."""
    torch.manual_seed(seed)
    few, _, others = torch.randperm(1797).tensor_split([count, 997])
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        for rows in few[torch.randperm(count)].split(25):
            x = change(images[rows]) if change else images[rows]
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels[rows]).backward()
            optimizer.step()
    tests = images[others], shift(images[others])
    outputs = [predict(model, [test]) for test in tests]
    return [accuracy(output, labels[others]) for output in outputs]


plain, moved = score(seed=0)
print(f"as they are {plain:.0%}, shifted {moved:.0%}")
assert 0.92 > plain > 0.7 > 0.55 > moved > 0.25

# %%
# Digits a pixel off are strange to it. Do changed copies help, or more digits?

changes = {
    "nothing": {},
    "mirrored": {"change": mirror},
    "shifted": {"change": shift},
    "50 more": {"count": 100},
}
rows = [[score(s, **how) for s in range(5)] for how in changes.values()]
reached = torch.tensor(rows)  # change, seed, test
means = reached.mean(dim=1)
for name, (plain, moved) in zip(changes, means.tolist(), strict=True):
    print(f"{name:8} {plain:.0%}, shifted {moved:.0%}")

nothing, mirrored, shifted, more = means
assert nothing[0] > 0.75 and nothing[1] < 0.55
assert mirrored[0] < nothing[0] - 0.02 and more[0] > nothing[0] + 0.04
assert shifted[1] > nothing[1] + 0.2 and more[1] < nothing[1] + 0.12

# %%
# More digits help most with more of the same. Mirrored digits are wrong
# digits. Shifted copies cost a little on digits that are centered, and gain
# much on those that are not: a network learns to ignore what its copies vary.
# The means of 20 seeds say the same.
#
# .. alt: Accuracies of five seeds each as dots. On digits as they are, nothing
#    and shifted lie near 0.8, mirrored below, 50 more near 0.9. On shifted
#    digits all lie between 0.3 and 0.5, but for shifted, near 0.7.

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for test, name in enumerate(("digits as they are", "shifted digits")):
    for row, dots in enumerate(reached[:, :, test]):
        label = name if row == 0 else None
        height = [3 - row + 0.15 - 0.3 * test] * 5
        ax.scatter(dots, height, color=f"C{test}", label=label)
ax.set_yticks(range(4), list(changes)[::-1])
ax.set(xlabel="accuracy, five seeds", xlim=(0.25, 1))
fig.legend(loc="outside upper center", ncols=2, fontsize=10)
show_pictures()

assert (reached[3, :, 0] > reached[0, :, 0]).all()
assert (reached[2, :, 1] > reached[[0, 1, 3], :, 1].amax(dim=0)).all()

# %%
# What you learned
# ----------------
#
# Overfitting shows in two curves: one falls on, the other turns. Stop there,
# with a *copy* of the best weights. Judge a remedy over several seeds, and
# beside early stopping. The best one is more data; changed copies help where
# new data vary in just that way.
#
# Next: :ref:`debug_training`, for networks that do not even learn their own
# data, and :ref:`search_hyperparameters`, to choose how much of a remedy.
# Before this: :ref:`choose_on_validation`; on dropout, :ref:`train_eval`.
