r"""
.. _losses:

Choose a loss and feed it right
===============================

Which single number tells a network how wrong it is? After this page you can
compute mean squared error and cross entropy by hand, choose a loss for your
task, and give it the shapes and dtypes that it expects. You will also
recognize four accidents that give a wrong loss and no error.

.. concepts: L01 L02 L03 L06
.. claims: c0-77 c3-31 c3-85
"""

import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from snippets.drawing import show_pictures

# %%
# Numbers: mean squared error
# ---------------------------
#
# Square each difference between prediction and target, and take the mean.
# `torch.nn.MSELoss` is that sentence as a module,
# `torch.nn.functional.mse_loss` as a function. ``reduction="none"`` takes no
# mean and keeps a loss for each element, to look at or to weigh.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    An untrained network has a loss of 28.92 for the targets 0 to 9. Without
#    its seed nobody gets that again. A network that answers 0 everywhere has
#    28.5.

prediction = torch.tensor([2.0, 0.0, 5.0])
target = torch.tensor([3.0, 0.0, 1.0])
by_hand = ((prediction - target) ** 2).mean()  # (1 + 0 + 16) / 3
loss_fn = nn.MSELoss()
loss = loss_fn(prediction, target)
each = F.mse_loss(prediction, target, reduction="none")
answers_zero = loss_fn(torch.zeros(1, 10), torch.arange(10.0)[None])
print(f"by hand {by_hand:.4f}, MSELoss {loss:.4f}")
print(f"each {each}, all zero {answers_zero}")

assert torch.isclose(by_hand, torch.tensor(17 / 3))
assert torch.equal(loss, by_hand) and loss.shape == ()
assert each.tolist() == [1, 0, 16] and answers_zero == 28.5

# %%
# Accident 1: shapes that broadcast
# ---------------------------------
#
# A model often returns (N, 1) where the targets are (N,). Every prediction
# here is right, and yet the loss is not 0: each was compared with all three
# targets (see :ref:`broadcasting`). PyTorch only warns.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A model's (N, 1) goes into ``MSELoss`` with labels whose shape is not
#    shown. Give them a second dimension too, as below.

output = target[:, None]  # (3, 1), every value right
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    accident = loss_fn(output, target)  # (3, 1) against (3,)
print(caught[0].message)
as_meant = loss_fn(output, target[:, None])  # (3, 1) against (3, 1)
print(f"by accident {accident:.4f}, as meant {as_meant:.4f}")

assert len(caught) == 1
assert "(torch.Size([3])) that is different" in str(caught[0].message)
assert torch.isclose(accident, torch.tensor(28 / 9)) and as_meant == 0

# %%
# Classes: cross entropy
# ----------------------
#
# A classifier returns a score for each class, the *logits*. Softmax makes
# probabilities of them: exponentials, divided by their sum. The loss is *minus
# the logarithm of the probability of the right class*.
# `torch.nn.CrossEntropyLoss` does all of it: give it logits, and the number of
# the right class.

logits = torch.tensor([[4.0, 0.0, 0.0]])  # one sample, three classes
label = torch.tensor([0])
probabilities = logits.exp() / logits.exp().sum()
by_hand = -probabilities[0, 0].log()
cross_entropy = nn.CrossEntropyLoss()(logits, label)
print(f"probability of the right class {probabilities[0, 0]:.4f}")
print(f"by hand {by_hand:.4f}, CrossEntropyLoss {cross_entropy:.4f}")

assert torch.allclose(probabilities, logits.softmax(dim=1))
assert torch.isclose(cross_entropy, by_hand)
assert f"{probabilities[0, 0]:.4f} {by_hand:.4f}" == "0.9647 0.0360"
assert torch.equal(F.cross_entropy(logits, label), cross_entropy)

# %%
# To be sure and right costs nothing; to be sure and wrong costs without limit.
# To guess among three costs ``log(3)``: about there an untrained classifier
# of three classes should start.
#
# .. alt: A curve of the loss against the probability of the right class. It
#    falls from above 4 near probability 0 to 0 at probability 1. Points mark
#    sure and wrong at 0.02, a guess at one third, and sure and right at 0.96.

p = torch.linspace(0.01, 1, 200)
marks = {"sure, wrong": 0.02, "guess": 1 / 3, "sure, right": 0.9647}
costs = [-torch.tensor(x).log() for x in marks.values()]

fig, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
ax.plot(p, -p.log())
for (name, x), cost in zip(marks.items(), costs, strict=True):
    ax.plot(x, cost, "o", color="C1")
    side = "right" if x > 0.5 else "left"
    ax.text(x + 0.02, cost + 0.2, f"{name}: {cost:.2f}", ha=side)
ax.set(xlabel="probability of the right class", ylabel="loss", xlim=(0, 1.02))
show_pictures()

assert torch.isclose(F.cross_entropy(torch.zeros(1, 3), label), costs[1])
assert costs[0] > 3.9 and torch.isclose(costs[2], cross_entropy, atol=1e-4)

# %%
# Accident 2: softmax before cross entropy
# ----------------------------------------
#
# The loss applies softmax itself. If the model has done so before, it happens
# twice, without an error. The sample above then costs 0.574 and not 0.036, and
# a model that is entirely sure and right still pays 0.551.

sure = torch.tensor([[100.0, 0.0, 0.0]])
table = {}
for name, scores in {"above": logits, "sure": sure}.items():
    right = F.cross_entropy(scores, label)
    wrong = F.cross_entropy(scores.softmax(dim=1), label)
    table[name] = f"logits: {right:.3f}   probabilities: {wrong:.3f}"
    print(f"{name:<5}  {table[name]}")

assert table["above"] == "logits: 0.036   probabilities: 0.574"
assert table["sure"] == "logits: 0.000   probabilities: 0.551"

# %%
# Worse than the number is the slope. At the left, where the model is sure and
# wrong, the right curve is steep. The other is flat: nothing to learn from.
#
# .. alt: Two curves against the score of the right class, from -8 to 8. With
#    logits the loss falls steadily from near 9 to 0. With probabilities it
#    lies between 1.55 and 0.55 and is flat at both ends.

x = torch.linspace(-8, 8, 161, requires_grad=True)
rows = torch.stack([x, 0 * x, 0 * x], dim=1)  # (161, 3)
labels = torch.zeros(161, dtype=torch.int64)

fig, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
slopes = {}
for name, given in ("logits", rows), ("probabilities", rows.softmax(dim=1)):
    y = F.cross_entropy(given, labels, reduction="none")
    ax.plot(x.detach(), y.detach(), label=name)
    slopes[name] = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
ax.set(xlabel="score of the right class, others 0", ylabel="loss")
ax.legend(title="given to the loss", frameon=False)
show_pictures()

assert slopes["logits"][0] < -0.99 and slopes["probabilities"][0] > -0.001

# %%
# Labels: class numbers or probabilities
# --------------------------------------
#
# Logits have shape (N, classes). Labels are class numbers, int64 of shape
# (N,), or probabilities, floats of shape (N, classes). *Label smoothing*
# spreads a share of each label over all classes.

logits = torch.tensor([[4.0, 0.0, 0.0], [1.0, 2.0, 3.0]])  # (2, 3)
labels = torch.tensor([0, 1])  # (2,)
shares = F.one_hot(labels, 3).float()  # (2, 3)
by_number = F.cross_entropy(logits, labels)
by_share = F.cross_entropy(logits, shares)
smoothed = F.cross_entropy(logits, 0.9 * shares + 0.1 / 3)
print(f"{by_number:.4f} {by_share:.4f}, smoothed {smoothed:.4f}")

assert torch.isclose(by_number, by_share)
assert f"{by_number:.4f} {smoothed:.4f}" == "0.7218 0.8551"
smoothing = nn.CrossEntropyLoss(label_smoothing=0.1)
assert torch.isclose(smoothing(logits, labels), smoothed)

# %%
# Accident 3: swapped arguments
# -----------------------------
#
# The output comes first, the target second. Swapped class numbers are refused.
# Swapped probabilities are not, and the number is wrong.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    int32 is said to be for indices. Cross entropy refuses it;
#    ``labels.long()`` makes int64.

calls = {"swapped": (labels, logits), "int32": (logits, labels.int())}
refused = {}
for name, arguments in calls.items():
    try:
        F.cross_entropy(*arguments)
    except RuntimeError as error:
        refused[name] = str(error)
        print(f"{name}: {error}")
    else:
        raise AssertionError(f"{name}: must be refused")
swapped = F.cross_entropy(shares, logits)
print(f"right {by_share:.4f}, swapped {swapped:.4f}")

assert "not implemented for 'Long'" in refused["swapped"]
assert "Long" in refused["int32"] and "Int" in refused["int32"]
assert f"{swapped:.4f}" == "4.7572"

# %%
# Yes or no: binary cross entropy
# -------------------------------
#
# `torch.nn.BCEWithLogitsLoss` takes a logit for each question, and a float 1
# or 0 *of the same shape*; another shape is an error. Sigmoid makes the logit
# a probability p. A yes costs ``-log(p)``, a no ``-log(1 - p)``.

scores = torch.tensor([2.0, -1.0, 0.0])  # (3,)
answers = torch.tensor([1.0, 0.0, 1.0])  # (3,)
p = scores.sigmoid()
by_hand = -torch.where(answers == 1, p, 1 - p).log().mean()
binary = nn.BCEWithLogitsLoss()(scores, answers)
print(f"by hand {by_hand:.4f}, BCEWithLogitsLoss {binary:.4f}")
try:
    nn.BCEWithLogitsLoss()(scores[:, None], answers)
except ValueError as error:
    print(error)
    assert "must be the same as input size (torch.Size([3, 1]))" in str(error)
else:
    raise AssertionError("(3, 1) and (3,) must not fit")
assert torch.isclose(by_hand, binary) and f"{binary:.4f}" == "0.3778"

# %%
# Accident 4: sigmoid before the logarithm
# ----------------------------------------
#
# `torch.nn.BCELoss` takes probabilities, so sigmoid comes first, and rounds.
# It turns the score 200 into exactly 1. A no should now cost 200, with a slope
# of 1. It costs 100, with a slope of 0. "WithLogits" rounds nothing away.

score = torch.tensor([200.0], requires_grad=True)
no = torch.zeros(1)
apart = nn.BCELoss()(score.sigmoid(), no)
in_one = nn.BCEWithLogitsLoss()(score, no)
slopes = [torch.autograd.grad(y, score)[0].item() for y in (apart, in_one)]
print(apart.item(), in_one.item(), slopes)

assert (apart, in_one) == (100, 200) and slopes == [0, 1]

# %%
# What you learned
# ----------------
#
# .. list-table::
#    :header-rows: 1
#
#    * - To learn
#      - Loss
#      - Target
#    * - a number
#      - `~torch.nn.MSELoss`
#      - float, same shape
#    * - a class
#      - `~torch.nn.CrossEntropyLoss`
#      - int64, shape (N,)
#    * - yes or no
#      - `~torch.nn.BCEWithLogitsLoss`
#      - float, same shape
#
# Output first, target second, no softmax or sigmoid before, and a look at the
# shapes, for example with `snippets.shapes.check_shape`. Next:
# :ref:`focal_loss` for rare classes, :ref:`custom_losses` for your own, and
# :ref:`sgd_step`, which makes the loss smaller.
