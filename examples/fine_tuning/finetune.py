r"""
.. _finetune:

Give a trained network a new task
=================================

My network knows the digits 0 to 4. Can it learn 5 to 9 from three examples
each, and which of its layers should learn? After this page you can replace a
head, freeze what is below it, give the optimizer what is left to learn, tell
what pretraining and freezing gain, and do the same with a network of
torchvision.

.. concepts: V04 V05
.. claims: c0-91 c0-92
"""

import collections
import copy
import itertools

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torchvision import models

from snippets.devices import best_device
from snippets.drawing import PALETTE, show_pictures
from snippets.fine_tuning import (
    fine_tune,
    freeze,
    param_groups,
    replace_head,
    unfreeze,
)
from snippets.training import accuracy

# %%
# The old task and the new
# ------------------------
#
# scikit-learn's digits of 8 × 8 pixels, each somewhere on a sheet of 12 × 12.


def lay_out(images):
    """Return sheets of 12 × 12, each with an image at a random place."""
    sheets = torch.zeros(len(images), 1, 12, 12)
    for sheet, image in zip(sheets, images, strict=True):
        top, left = torch.randint(5, (2,)).tolist()
        sheet[0, top : top + 8, left : left + 8] = image
    return sheets


digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32) / 16
labels = torch.tensor(digits.target)
old, new = images[labels < 5], images[labels >= 5]
old_labels, new_labels = labels[labels < 5], labels[labels >= 5]
print(len(old), len(new), tuple(lay_out(old).shape))

assert (len(old), len(new)) == (901, 896)
assert lay_out(old).shape == (901, 1, 12, 12)
assert torch.isclose(lay_out(old).sum(), old.sum())  # all ink is there

# %%
# The new classes have to be numbered from 0 again. Five outputs know no 9:

try:
    F.cross_entropy(torch.zeros(len(new), 5), new_labels)
except IndexError as error:
    print(error)
    assert "is out of bounds" in str(error)
else:
    raise AssertionError("a class above 4 must be refused")
new_labels = new_labels - 5
print(new_labels.unique())

assert new_labels.unique().tolist() == [0, 1, 2, 3, 4]

# %%
# Body and head
# -------------
#
# The *body* turns a sheet into 64 numbers, its features. The *head*, the last
# layer, makes scores of them.


class Digits(nn.Module):
    """A body that finds features, and a head that scores five classes."""

    def __init__(self):
        super().__init__()
        first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(16, 64, 3, padding=1), nn.ReLU()]
        pool = [nn.AdaptiveMaxPool2d(1), nn.Flatten()]
        self.body = nn.Sequential(*first, *second, *pool)
        self.head = nn.Linear(64, 5)

    def forward(self, sheets):
        return self.head(self.body(sheets))


def step(model, optimizer, x, y):
    """Take one step; return the loss before it."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


print(tuple(Digits().body(lay_out(new[:3])).shape))

assert Digits().body(lay_out(new[:3])).shape == (3, 64)

# %%
# Pretraining is an ordinary training on the old digits, here of 120 steps.
# Everything on this page is done with five seeds.

device = best_device()


def pretrain(seed):
    """Return a network that has learned the old digits, and its accuracy."""
    torch.manual_seed(seed)
    model = Digits().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = lay_out(old.repeat(4, 1, 1)).to(device)
    y = old_labels.repeat(4).to(device)
    for rows in torch.randint(len(x), (120, 64)):
        step(model, optimizer, x[rows], y[rows])
    sheets = lay_out(old).to(device)  # at other places
    return model, accuracy(model(sheets), y[: len(old)])


bases, known = zip(*map(pretrain, range(5)), strict=True)
print("old digits known:", [f"{share:.0%}" for share in known])

assert min(known) > 0.98 and len(bases) == 5

# %%
# Three new digits of each class are there to learn from; the other 881 test.
# Each seed draws anew.


def draw(seed):
    """Return 15 sheets and labels to learn from, and all the others."""
    torch.manual_seed(seed)
    order = torch.randperm(len(new))
    x, y = lay_out(new[order]).to(device), new_labels[order].to(device)
    few = torch.cat([(y == c).nonzero()[:3, 0] for c in range(5)])
    others = y >= 0  # all of them
    others[few] = False
    return (x[few], y[few]), (x[others], y[others])


tasks = [(base, *draw(seed)) for seed, base in enumerate(bases)]
base, few, test = tasks[0]
print(tuple(few[0].shape), few[1].tolist(), tuple(test[0].shape))

assert few[0].shape == (15, 1, 12, 12) and test[0].shape == (881, 1, 12, 12)
assert few[1].tolist() == [c for c in range(5) for _ in range(3)]

# %%
# Freeze the body, replace the head
# ---------------------------------
#
# `torch.nn.Module.requires_grad_` freezes: what needs no gradient gets none,
# and an optimizer skips it. A new head is a new layer where the old one was.
# But mind the order. An optimizer that was made before holds the *old* head;
# the new one never moves, and no error says so.

model = copy.deepcopy(base)
model.body.requires_grad_(False)
too_early = torch.optim.Adam(model.parameters(), lr=0.01)
torch.manual_seed(0)
model.head = nn.Linear(64, 5).to(device)
losses = [step(model, too_early, *few) for _ in range(40)]
print(f"optimizer made before: loss {losses[0]:.2f} to {losses[-1]:.2f}")

optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
after = [step(model, optimizer, *few) for _ in range(40)]
print(f"optimizer made after:  loss {after[0]:.2f} to {after[-1]:.2f}")
names = [name for name, each in model.named_parameters() if each.requires_grad]
print("learning:", names)

assert len(losses) == len(after) == 40
assert max(losses) - min(losses) < 1e-4
assert abs(losses[0] - 1.84) < 0.02 and abs(after[-1] - 0.13) < 0.02
assert names == ["head.weight", "head.bias"]
pairs = zip(model.body.parameters(), base.body.parameters(), strict=True)
assert all(torch.equal(mine, its) for mine, its in pairs)

# %%
# Pretrained or not, frozen or not
# --------------------------------
#
# Two choices make four corners. The head is always new. How many numbers are
# left to learn?

CORNERS = list(itertools.product(["pretrained", "random"], ["frozen", "free"]))


def prepare(base, body, mode):
    """Return a network with a new head, and an optimizer of what learns."""
    model = Digits()
    if body == "pretrained":
        model.load_state_dict(base.state_dict())
    model.body.requires_grad_(mode == "free")
    model.head = nn.Linear(64, 5)
    model.to(device)
    learning = [each for each in model.parameters() if each.requires_grad]
    return model, torch.optim.Adam(learning, lr=0.01)


counts = []
for corner in CORNERS:
    learning = prepare(base, *corner)[1].param_groups[0]["params"]
    counts.append(sum(each.numel() for each in learning))
print(counts)

assert counts == [325, 325 + 9440] * 2

# %%
# Blue is pretrained, orange is random, hatched is frozen:
#
# .. alt: Four networks, each a body below and a head above. The heads are all
#    orange. The bodies: blue and hatched, 325 numbers learn; blue, 9765;
#    orange and hatched, 325; orange, 9765.

fig, axes = plt.subplots(1, 4, figsize=(6, 1.9), layout="constrained")
for ax, corner, count in zip(axes, CORNERS, counts, strict=True):
    weight = prepare(base, *corner)[0].body[0].weight
    kept = torch.equal(weight, base.body[0].weight)
    hatch = None if weight.requires_grad else "///"
    ax.bar(0, 0.9, color=PALETTE[not kept], hatch=hatch)
    ax.bar(0, 0.9, bottom=1, color=PALETTE[1])
    ax.set(title=f"{corner[0]},\n{corner[1]}", xlabel=f"{count} learn")
    ax.set(xticks=[], yticks=[0.45, 1.45], yticklabels=["body", "head"])
    assert corner == ("pretrained" if kept else "random", corner[1])
    assert corner[1] == ("frozen" if hatch else "free")
show_pictures()

# %%
# Each takes 40 steps that see all 15 labels, with each of the five seeds.

MOMENTS = (1, 3, 5, 10, 20, 40)


@torch.no_grad()
def share_right(model, x, y):
    """Return the accuracy on sheets that are not learned from."""
    return accuracy(model(x), y)


def learn(corner, base, few, test):
    """Return the accuracies at six moments of 40 steps."""
    model, optimizer = prepare(base, *corner)
    curve = []
    for number in range(1, 41):
        step(model, optimizer, *few)
        if number in MOMENTS:
            curve.append(share_right(model, *test))
    return curve


torch.manual_seed(0)
runs = {c: torch.tensor([learn(c, *task) for task in tasks]) for c in CORNERS}

assert all(run.shape == (5, 6) for run in runs.values())

# %%
# The mean of the five, in a band of one standard deviation.
#
# .. alt: Accuracy on new digits over 40 steps, four lines with bands. At the
#    end the two pretrained ones are on top, free a little above frozen. Then
#    comes random and free, and far below random and frozen.

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for corner, run in runs.items():
    mean, spread = 100 * run.mean(dim=0), 100 * run.std(dim=0)
    ax.plot(MOMENTS, mean, marker="o", label=", ".join(corner))
    ax.fill_between(MOMENTS, mean - spread, mean + spread, alpha=0.15)
ax.set(xlabel="step", ylabel="accuracy in %", xscale="log")
ax.set_xticks(MOMENTS, MOMENTS)
ax.legend(fontsize=10)
show_pictures()

assert all(run[:, 0].mean() < run[:, -1].mean() for run in runs.values())

# %%
# The last points as a table:

ends = {corner: 100 * run[:, -1] for corner, run in runs.items()}
print(f"{'body':12}{'frozen':11}free")
for body in ("pretrained", "random"):
    row = [ends[body, mode] for mode in ("frozen", "free")]
    shown = [f"{end.mean():.0f} ± {end.std():.0f} %" for end in row]
    print(f"{body:12}{shown[0]:11}{shown[1]}")

means = [ends[corner].mean().item() for corner in CORNERS]
spreads = [ends[corner].std().item() for corner in CORNERS]
usual = 69, 73, 47, 65, 2, 3, 5, 6
assert all(abs(m - u) < 2 for m, u in zip(means + spreads, usual, strict=True))
assert means[0] - means[2] > 12 > means[1] - means[3] > 3

# %%
# Pretraining gains most where the body may not learn, and random features are
# all that the other has. Freezing costs little here, and leaves 325 numbers to
# learn in place of 9765.
#
# By three functions
# ------------------
#
# `snippets.fine_tuning` does the same to any network: it finds the head, and
# puts into parameter groups what is left to learn.


def loop(model, optimizer):
    """Take 40 steps; return the accuracy on the other new digits."""
    for _ in range(40):
        step(model, optimizer, *few)
    return share_right(model, *test)


torch.manual_seed(0)
ours = copy.deepcopy(base)
ours.body.requires_grad_(False)
ours.head = nn.Linear(64, 5, device=device)
share = loop(ours, torch.optim.Adam(ours.head.parameters(), lr=0.01))

torch.manual_seed(0)
theirs = copy.deepcopy(base)
frozen, head = freeze(theirs, "body"), replace_head(theirs, 5)
loop(theirs, torch.optim.Adam(param_groups(theirs, lr=0.01)))
print("frozen:", frozen)
print("replaced:", head)

assert frozen == [n for n, _ in base.body.named_parameters(prefix="body")]
assert head == ["head"]
pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
assert all(torch.allclose(mine, its, atol=1e-4) for mine, its in pairs)

# %%
# `snippets.fine_tuning.fine_tune` is all of that in one call, and goes on:
# given ``lr``, it then trains everything, here the body ten times slower.

torch.manual_seed(0)
rates = {"head_lr": 0.01, "lr": 0.001, "optimizer": torch.optim.Adam}
model = copy.deepcopy(base)
shares = fine_tune(model, 5, loop, **rates)
print("head, then everything:", [f"{share:.0%}" for share in shares])

assert abs(shares[0] - share) < 0.01
assert 0.64 < shares[0] < 0.76 and 0.67 < shares[1] < 0.79
assert not torch.equal(model.body[0].weight, base.body[0].weight)

# %%
# A network of torchvision
# ------------------------
#
# A resnet18 without trained weights shows the same steps; its head is called
# ``fc``. The trained weights come with a head for 1000 classes. If you load
# them from a file, drop that head: ``strict=False`` forgives missing keys, but
# no wrong shapes.

state = models.resnet18(weights=None).state_dict()  # stands for a file
net = models.resnet18(weights=None)
net.fc = nn.Linear(net.fc.in_features, 5)
try:
    net.load_state_dict(state, strict=False)
except RuntimeError as error:
    print(str(error).splitlines()[1].strip())
    assert "size mismatch for fc.weight" in str(error)
else:
    raise AssertionError("a head for 1000 classes must be refused")
body = {key: value for key, value in state.items() if key[:3] != "fc."}
answer = net.load_state_dict(body, strict=False)
print(answer.missing_keys, tuple(net(torch.rand(2, 3, 64, 64)).shape))

assert answer.missing_keys == ["fc.weight", "fc.bias"]
assert not answer.unexpected_keys and len(body) == 120
assert net(torch.rand(2, 3, 64, 64)).shape == (2, 5)
assert torch.equal(net.conv1.weight, state["conv1.weight"])

# %%
# What moves in one step, with all but the head frozen?
#
# .. admonition:: In the notes
#    :class: note-check
#
#    With few labels of another kind, tune the last layers, if
#    that fails, everything. But everything is for many labels, in the
#    usual advice:
#
#    .. csv-table::
#       :header: new data, few labels, many labels
#
#       similar, the head, everything
#       other, "a head on earlier features", everything
#
#    Part of that is measured in :ref:`few_labels`. And ``requires_grad`` does
#    not hold batch normalization still:


def moved(net):
    """Return the keys of the state that one step of training changes."""
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    step(net.train(), optimizer, torch.rand(4, 3, 64, 64), torch.arange(4))
    after = net.state_dict()
    return [key for key in before if not torch.equal(before[key], after[key])]


torch.manual_seed(0)
net.requires_grad_(False)
net.fc.requires_grad_(True)
kinds = collections.Counter(key.split(".")[-1] for key in moved(net))
print(dict(kinds))
freeze(net)
unfreeze(net, "fc")
still = moved(net)
print("after freeze:", still)

statistics = "running_mean", "running_var", "num_batches_tracked"
assert [kinds[name] for name in statistics] == [20, 20, 20]
assert kinds.total() == 62 and still == ["fc.weight", "fc.bias"]
assert sum(each.numel() for each in net.parameters()) == 11_179_077

# %%
# Twenty layers of batch normalization drifted away from what they had learned:
# see :ref:`frozen_batchnorm`. All eleven million numbers and a few labels are
# no good match, either.
#
# The real weights are a download. This page is built without one, so these
# lines have not been run:
#
# .. code-block:: python
#
#    weights = models.ResNet18_Weights.DEFAULT
#    net = models.resnet18(weights=weights)
#    transform = weights.transforms()  # for each image
#    fine_tune(net, 5, loop, head_lr=1e-3, lr=1e-4)  # loop: your own
#
# What you learned
# ----------------
#
# Freeze the body, put in a new head, then make the optimizer. With few labels,
# a pretrained body is worth more than a random one, most where it is frozen.
#
# Before this: :ref:`models_and_weights`. Next: :ref:`few_labels`, which
# measures the choices, and :ref:`frozen_batchnorm`.
