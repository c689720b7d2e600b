r"""
.. _train_eval:

Switch a model between training and evaluation
==============================================

Why does my model answer differently when I ask the same thing twice, and why
is one sample an error? After this page you can say what ``train()`` and
``eval()`` change and what they do not, write a layer that switches, compute
dropout and batch normalization by hand, and keep a frozen layer still.

.. concepts: M14 M19
.. claims: c0-91 c2-40
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import draw_tensors, show_pictures
from snippets.fine_tuning import freeze

# %%
# One flag
# --------
#
# Every module has a flag, ``training``. It is True in a new model.
# `torch.nn.Module.eval` sets it to False in the model and all its parts,
# `torch.nn.Module.train` sets it back. No more than that happens; it is for
# the layers to look at it. This one adds noise, but only in training:


class AddNoise(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return x + 0.1 * torch.randn_like(x)


torch.manual_seed(0)
model = nn.Sequential(nn.Identity(), AddNoise())
x = torch.ones(1, 3)
flags, answer = [part.training for part in model.modules()], model(x)
model.eval()
eval_flags, eval_answer = [part.training for part in model.modules()], model(x)
is_noisy, eval_is_noisy = not answer.equal(x), not eval_answer.equal(x)
print("new model:", flags, "noisy:", is_noisy)
print("after eval():", eval_flags, "noisy:", eval_is_noisy)

assert flags == [True] * 3 and eval_flags == [False] * 3
assert is_noisy is True and eval_is_noisy is False
assert all(part.training for part in model.train().modules())

# %%
# The flag says nothing about gradients. `torch.no_grad` turns those off, and
# leaves the flag alone. To evaluate, you want both.

layer = nn.Linear(3, 1).eval()
tracked = layer(x).requires_grad
with torch.no_grad():
    layer.train()
    untracked = layer(x).requires_grad
print("after eval(), gradients:", tracked)
print("in no_grad(), gradients:", untracked, "training:", layer.training)

assert (tracked, untracked, layer.training) == (True, False, True)

# %%
# Dropout
# -------
#
# In training, `torch.nn.Dropout` sets each number to 0 with probability ``p``
# and divides the others by 1 − p, so that the mean stays about what it was.
# In evaluation it passes everything.
#
# .. alt: A grid of ones. In training a few cells are 0 and the others 1.33.
#    In evaluation all are 1 again.

torch.manual_seed(0)
dropout = nn.Dropout(p=0.25)
ones = torch.ones(4, 4)
views = {"x": ones, "train()": dropout(ones), "eval()": dropout.eval()(ones)}
draw_tensors(views)
show_pictures()

many = dropout.train()(torch.ones(100_000))
assert torch.allclose(many.unique(), torch.tensor([0, 1 / (1 - 0.25)]))
assert 0.24 < (many == 0).float().mean() < 0.26
assert 0.99 < many.mean() < 1.01 and torch.equal(views["eval()"], ones)

# %%
# Batch normalization, by hand
# ----------------------------
#
# In training, `torch.nn.BatchNorm1d` gives each column of a batch mean 0 and
# variance 1. (Then come a learned weight and bias, 1 and 0 at first.) On the
# way it stores *running statistics* for later: nine tenths of the old mean and
# variance and, by ``momentum=0.1``, a tenth of the new.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Batch normalization is said to use the biased variance. That
#    is half of it: the variance that divides by N normalizes the batch, the
#    one that divides by N − 1 is stored.

norm = nn.BatchNorm1d(1)
batch = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
output = norm(batch)
biased = batch.var(correction=0)  # 20 / 4
unbiased = batch.var()  # 20 / 3
by_hand = (batch - batch.mean()) / torch.sqrt(biased + norm.eps)
print([round(number, 2) for number in output.flatten().tolist()])
print("variances:", biased, unbiased)
print("stored:", norm.running_mean, norm.running_var)

assert torch.allclose(output, by_hand) and biased == 20 / 4
assert torch.isclose(unbiased, torch.tensor(20 / 3))
assert torch.allclose(norm.running_mean, torch.tensor([0.9 * 0 + 0.1 * 4]))
assert torch.allclose(norm.running_var, 0.9 * 1 + 0.1 * unbiased)

# %%
# Stored were 0.9 · 0 + 0.1 · 4 and 0.9 · 1 + 0.1 · 6.67. In evaluation the
# batch is not asked: what was stored normalizes. It takes some batches until
# that has become the mean and variance of the data, here 5 and 4:
#
# .. alt: Two curves over 60 batches. The running mean climbs from 0 to 5, the
#    running variance from 1 to 4, both fast at first. Then they keep close to
#    the dashed lines of the data's own mean and variance.

torch.manual_seed(0)
norm, history = nn.BatchNorm1d(1), []
for _ in range(60):
    norm(5 + 2 * torch.randn(64, 1))  # mean 5, variance 4
    history.append([norm.running_mean.item(), norm.running_var.item()])
_, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
ax.plot(history, label=["running mean", "running variance"])
for number in (5, 4):
    ax.axhline(number, linestyle="--", linewidth=1, color="#8a8f98")
ax.set(xlabel="batches", ylim=(0, 6))
ax.legend(loc="lower right")
show_pictures()

mean, variance = history[-1]
assert 4.8 < mean < 5.2 and 3.5 < variance < 4.5
expected = (6 - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
assert torch.allclose(norm.eval()(torch.tensor([[6.0]])), expected)

# %%
# When ``eval()`` is forgotten
# ----------------------------
#
# Then the answer for a sample depends on who else is in its batch. With one
# other it is 1 or −1, whatever the numbers. And asking changes the model, even
# under `torch.no_grad`:

sample, small, large = torch.tensor([[6.0], [3.0], [90.0]]).split(1)
with torch.no_grad():
    right = norm.eval()(sample).item()
    norm.train()  # or eval() forgotten
    with_small = norm(torch.cat([sample, small]))[0].item()
    with_large = norm(torch.cat([sample, large]))[0].item()
    wrong_now = norm.eval()(sample).item()  # the statistics have moved
print(f"evaluation: 6 becomes {right:.1f}")
print(f"training: next to 3 {with_small:.1f}, next to 90 {with_large:.1f}")
print(f"evaluation, later: {wrong_now:.1f}")

assert 0.4 < right < 0.6 and round(with_small, 3) == 1
assert round(with_large, 3) == -1 and -0.4 < wrong_now < 0
moved = 0.9 * (0.9 * mean + 0.1 * 4.5) + 0.1 * 48
assert abs(norm.running_mean.item() - moved) < 1e-3

# %%
# A single sample has no variance, so training mode refuses it. In evaluation
# it is welcome.

try:
    norm.train()(sample)
except ValueError as error:
    print(error)
    assert "more than 1 value per channel when training" in str(error)
else:
    raise AssertionError("a batch of one must be refused")
one = norm.eval()(sample)
print(tuple(one.shape))

assert one.shape == (1, 1)

# %%
# A training set whose last batch holds one sample brings this error late:
# ``drop_last=True`` of `torch.utils.data.DataLoader` leaves that batch out.
#
# Frozen, but still moving
# ------------------------
#
# To *freeze* a layer is to keep it as it is while others learn. Without
# gradients, no optimizer changes its weights. Its running statistics move on.
# Compare `snippets.fine_tuning.freeze`, which also keeps the layer in
# evaluation when the model around it is told to ``train()``:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    For little data of another kind, only the last layers are to be tuned. For
#    batch normalization, ``requires_grad=False`` alone does not keep the
#    others still. (And the advice is a rule of thumb.)

norm = nn.BatchNorm1d(2).requires_grad_(False)
model = nn.Sequential(norm, nn.Linear(2, 1))
nines = torch.full((8, 2), 9.0)
model.train()(nines)
drifted = norm.running_mean.clone()  # from 0 toward 9
freeze(norm)
model.train()(nines)
print("without gradients:", drifted)
print("one batch later, frozen:", norm.running_mean)

assert torch.allclose(drifted, torch.tensor([0.9, 0.9]))
assert torch.equal(norm.running_mean, drifted)
assert model[1].training and not norm.training

# %%
# What you learned
# ----------------
#
# ``train()`` and ``eval()`` set one flag, and layers read it. Dropout drops in
# training only. Batch normalization uses its batch in training and what it has
# stored in evaluation. Call ``eval()`` before you predict and ``train()``
# before you go on training.
#
# Before this: :ref:`parameters_buffers`, where running statistics are kept.
# Next: :ref:`image_to_tensor`. The function form of dropout knows no flag:
# :ref:`activations`. More on ``no_grad``: :ref:`grad_limits`.
