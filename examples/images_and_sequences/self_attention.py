r"""
.. _self_attention:

Let every step look at every other
==================================

A recurrent network reads one step after the other: how can a Transformer read
all of them at once and still know which belong together? After this page you
can compute self-attention by hand, give a mask the right way around, build an
encoder layer, and see what a trained one looks at.

.. concepts: A02
"""

import math

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from snippets.drawing import draw_tensors, show_pictures

# %%
# Queries, keys and values
# ------------------------
#
# Each step sends out a *query*: what it looks for. Each step also shows a
# *key*, what it has to offer, and holds a *value*, what it tells when asked.
# All three are the step's vector times a matrix that is learned. A query times
# all keys gives scores, `torch.softmax` turns them into weights that sum to 1,
# and the answer is the weighted mean of the values.

torch.manual_seed(0)
x = torch.randn(5, 8)  # five steps, eight numbers each
to_query, to_key, to_value = torch.randn(3, 8, 8) / math.sqrt(8)
query, key, value = x @ to_query, x @ to_key, x @ to_value

scores = query @ key.T / math.sqrt(8)  # (5, 5): who asks, who is asked
weights = scores.softmax(dim=1)
answer = weights @ value
print(tuple(weights.shape), tuple(answer.shape))

expected = F.scaled_dot_product_attention(query, key, value)
assert torch.allclose(answer, expected, atol=1e-5)
assert torch.allclose(weights.sum(dim=1), torch.ones(5))
assert weights.shape == (5, 5) and answer.shape == (5, 8)

# %%
# `torch.nn.functional.scaled_dot_product_attention` does the same in one call.
# *Scaled* is the division by √8. The wider the vectors, the larger the scores,
# and a softmax of large scores hears only one step. Divided by the root of the
# width, they spread alike at any width:

for width in (8, 512):
    left, right = torch.randn(2, 10_000, width)
    spread = (left * right).sum(dim=1).std().item()
    scaled = spread / math.sqrt(width)
    print(f"width {width}: spread {spread:.0f}, scaled {scaled:.1f}")
    assert round(scaled, 1) == 1

# %%
# Several heads
# -------------
#
# `torch.nn.MultiheadAttention` keeps the three matrices in one, cuts the
# vectors into *heads* that look at the sequence independently, and mixes their
# answers with one more linear layer. As in :ref:`rnn_shapes`, write
# ``batch_first=True``, or batch and time change places without a word.

attention = torch.nn.MultiheadAttention(8, num_heads=2, batch_first=True)
batch = torch.randn(3, 5, 8)  # (batch, time, features)
mixed = F.linear(batch, attention.in_proj_weight, attention.in_proj_bias)
heads = [
    part.unflatten(2, (2, 4)).transpose(1, 2)  # (3, 2, 5, 4)
    for part in mixed.chunk(3, dim=2)
]
answers = F.scaled_dot_product_attention(*heads)  # (3, 2, 5, 4)
by_hand = attention.out_proj(answers.transpose(1, 2).flatten(2))

output, weights = attention(batch, batch, batch)
print(tuple(mixed.shape), tuple(output.shape), tuple(weights.shape))
assert mixed.shape == (3, 5, 24) and output.shape == (3, 5, 8)
assert torch.allclose(by_hand, output, atol=1e-5)
assert weights.shape == (3, 5, 5)  # the mean of both heads

# %%
# A mask, the wrong way around
# ----------------------------
#
# To predict the next step, no step may see a later one: the mask is *causal*.
# In ``scaled_dot_product_attention``, True means: look here. In
# ``MultiheadAttention`` and all Transformer layers, True means: do *not* look.
# The wrong way around, on the left, each step sees only the future, and the
# last one nothing at all.
#
# .. alt: Two grids of attention weights, five by five. Left, with the mask the
#    wrong way around, all weights are above the diagonal and the last row is
#    nan. Right, the first row is 1, 0, 0, 0, 0, and each row has one more
#    weight than the one above it.

keep = torch.ones(5, 5, dtype=torch.bool).tril()  # True: look here
_, wrong = attention(batch, batch, batch, attn_mask=keep)
output, right = attention(batch, batch, batch, attn_mask=~keep)
grids = {"attn_mask=keep": wrong[0], "attn_mask=~keep": right[0]}
looks = [(grid > 0).int() for grid in grids.values()]
draw_tensors(grids, groups=looks)
show_pictures()

assert torch.equal(looks[0][:-1] > 0, ~keep[:-1])
assert torch.equal(looks[1] > 0, keep) and wrong[0, -1].isnan().all()
answers = F.scaled_dot_product_attention(*heads, attn_mask=keep)
by_hand = attention.out_proj(answers.transpose(1, 2).flatten(2))
assert torch.allclose(by_hand, output, atol=1e-5)

# %%
# Padding is masked too
# ---------------------
#
# Rows of different lengths are padded (see :ref:`learn_sequences`), and nobody
# may look there. ``key_padding_mask`` has shape (batch, time) and is True for
# padding. To test it, we put other numbers into the padding and see whether
# the answer of the first step changes.

lengths = torch.tensor([4, 3, 2])
padding = torch.arange(5) >= lengths[:, None]  # (3, 5)
other = batch.clone()
other[padding] += 1

changes = {}
masks = {"none": None, "~padding": ~padding, "padding": padding}
for name, mask in masks.items():
    answer, _ = attention(batch, batch, batch, key_padding_mask=mask)
    second, _ = attention(other, other, other, key_padding_mask=mask)
    changes[name] = not torch.allclose(answer[:, 0], second[:, 0], atol=1e-6)
print("padding changes the answer:", changes)

assert changes == {"none": True, "~padding": True, "padding": False}
assert padding.sum(dim=1).tolist() == [1, 2, 3]

# %%
# Attention does not know the order
# ---------------------------------
#
# Nothing above depends on where a step stands. Shuffle the steps, and the
# answers come out shuffled in the same way. So each place gets a vector of its
# own, which is added to what stands there. Then order counts.

order = torch.tensor([2, 0, 4, 1, 3])
places = torch.randn(5, 8)  # in a network they are learned
same = {}
for name, added in (("without places", 0), ("with places", places)):
    straight, shuffled = batch + added, batch[:, order] + added
    answer, _ = attention(straight, straight, straight)
    second, _ = attention(shuffled, shuffled, shuffled)
    same[name] = torch.allclose(answer[:, order], second, atol=1e-5)
print("same answers, shuffled:", same)

assert same == {"without places": True, "with places": False}

# %%
# An encoder layer
# ----------------
#
# A `torch.nn.TransformerEncoderLayer` does two things, and adds each result to
# what it had: attention between the steps, then a small network for each step
# alone. After each sum, `torch.nn.LayerNorm` brings every step to mean 0 and
# variance 1. Our version agrees, but not at once: a new layer is in training
# mode, with dropout. See :ref:`train_eval`.

layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


def encode(x):
    """Do by hand what an encoder layer does without dropout."""
    x = layer.norm1(x + layer.self_attn(x, x, x)[0])
    return layer.norm2(x + layer.linear2(F.relu(layer.linear1(x))))


agrees = {}
for mode in ("train", "eval"):
    layer.train(mode == "train")
    agrees[mode] = torch.allclose(layer(batch), encode(batch), atol=1e-5)
print("agrees:", agrees)

assert agrees == {"train": False, "eval": True}
assert torch.allclose(encode(batch).mean(dim=2), torch.zeros(3, 5), atol=1e-5)

# %%
# A task that needs to look back
# ------------------------------
#
# At each step, name the symbol that stood three steps earlier. There are eight
# symbols, in random order, so nothing but looking back helps.

keep = torch.ones(12, 12, dtype=torch.bool).tril()


class LookBack(torch.nn.Module):
    """Score, at each of 12 steps, which of 8 symbols stood 3 steps earlier."""

    def __init__(self, use_places):
        super().__init__()
        self.use_places = use_places
        self.symbols = torch.nn.Embedding(8, 32)
        self.places = torch.nn.Parameter(torch.randn(12, 32))
        self.layer = torch.nn.TransformerEncoderLayer(
            32, 1, 64, dropout=0.0, batch_first=True
        )
        self.head = torch.nn.Linear(32, 8)

    def vectors(self, tokens):
        return self.symbols(tokens) + self.use_places * self.places

    def forward(self, tokens):
        return self.head(self.layer(self.vectors(tokens), src_mask=~keep))


scores = LookBack(use_places=True)(torch.zeros(2, 12, dtype=torch.long))
print(tuple(scores.shape))
assert scores.shape == (2, 12, 8)

# %%
# Every batch is new, so there is nothing to learn by heart. The first network
# does without places, the second gets them.


def train(model):
    """Train on new batches; return the accuracy on 500 sequences more."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(150):
        tokens = torch.randint(8, (64, 12))
        scores = model(tokens)[:, 3:]  # the first three have no answer
        loss = F.cross_entropy(scores.flatten(0, 1), tokens[:, :-3].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tokens = torch.randint(8, (500, 12))
    guesses = model(tokens).argmax(dim=2)
    return (guesses[:, 3:] == tokens[:, :-3]).float().mean().item()


reached = {}
for name in ("without places", "with places"):
    torch.manual_seed(0)
    model = LookBack(use_places=name == "with places")
    reached[name] = train(model)
    print(f"{name}: {reached[name]:.0%} right")

assert reached["with places"] > 0.95 and reached["without places"] < 0.5

# %%
# Without places, the network can only guess among the symbols that it sees.
# With 20 seeds it was right at 34 to 36 % of the steps, the other at all of
# them. What does that one look at? Three steps back:
#
# .. alt: A grid of twelve by twelve steps, dark where the weight is near 1.
#    From the fourth row on, the dark cells lie on a diagonal, three steps to
#    the left of the step that asks.

tokens = torch.randint(8, (1, 12))
with torch.no_grad():
    x = model.vectors(tokens)
    _, weights = model.layer.self_attn(x, x, x, attn_mask=~keep)
looked_at = weights[0].argmax(dim=1)
print("steps 3 to 11 look at", looked_at[3:].tolist())

fig, ax = plt.subplots(figsize=(4.2, 3.4), layout="constrained")
image = ax.imshow(weights[0].numpy(), cmap="Blues", vmin=0, vmax=1)
fig.colorbar(image, label="weight")
ax.set(xlabel="step that is asked", ylabel="step that asks")
show_pictures()

assert torch.equal(looked_at[3:], torch.arange(9))
assert weights[0, 3:].amax(dim=1).min() > 0.7

# %%
# What you learned
# ----------------
#
# Attention is a look-up: weights from queries and keys, a mean of values. In
# ``scaled_dot_product_attention`` True means look, in ``MultiheadAttention``
# it means do not. Test a mask as above: change what must not be seen. Without
# places there is no order.
#
# Next: :ref:`train_eval` on dropout, :ref:`schedules` on the warm-up that deep
# Transformers want, :ref:`learn_sequences` for the recurrent way.
