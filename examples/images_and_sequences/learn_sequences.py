r"""
.. _learn_sequences:

Learn from sequences of different lengths
=========================================

A batch is a rectangle, but texts have different lengths: what happens to the
empty places? After this page you can pad and pack sequences, train a GRU that
judges unseen ones right in over 95 % of cases, and recognize the network that
reads padding instead of text.

.. concepts: A01
"""

import random
from itertools import accumulate

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import (
    pack_padded_sequence,
    pad_packed_sequence,
    pad_sequence,
)

from snippets.drawing import draw_tensor, show_pictures

# %%
# A task: do the brackets match?
# ------------------------------
#
# Reading from the left, add 1 for ``(`` and take 1 away for ``)``. The
# brackets of a text match if this depth never falls below 0 and ends at 0.


def matches(text):
    """Tell whether the brackets of a text match."""
    depths = list(accumulate(1 if sign == "(" else -1 for sign in text))
    return min(depths) >= 0 and depths[-1] == 0


answers = {text: matches(text) for text in ("(())()", "())(()", "(()")}
print(answers)

assert list(answers.values()) == [True, False, False]

# %%
# Texts to learn from have 8 to 20 brackets. Begin, end and counts never tell
# the answer: every text starts with ``(``, ends with ``)`` and has as many of
# both. One has to keep count, step by step. What also occurs among the texts
# to learn from is taken out of those to test with.


def draw(wanted, rng, few=3, many=9):
    """Return a random text whose brackets match, or do not."""
    signs = list("()") * rng.randint(few, many)
    while True:
        rng.shuffle(signs)
        text = "(" + "".join(signs) + ")"
        if matches(text) == wanted:
            return text


rng = random.Random(0)
seen = [draw(number % 2 == 0, rng) for number in range(2000)]
drawn = [draw(number % 2 == 0, rng) for number in range(1000)]
unseen = sorted(set(drawn) - set(seen))
share = sum(matches(text) for text in unseen) / len(unseen)
print(f"{len(unseen)} unseen texts, {share:.0%} of them match")

assert matches(seen[0]) and not matches(seen[1])
assert seen[1] == "()(()(()())))(()()" and len(seen) == 2000
assert matches(drawn[0]) and not matches(drawn[1]) and len(drawn) == 1000
assert {len(text) for text in seen} == set(range(8, 21, 2))
assert not set(seen) & set(unseen) and len(unseen) > 400
assert 0.45 < share < 0.55

# %%
# Pad to a rectangle
# ------------------
#
# Brackets become numbers, 1 and 2. Texts of different lengths do not stack.
# `torch.nn.utils.rnn.pad_sequence` fills the short rows up with 0, a number
# that no bracket has. Keep the lengths: the rectangle has lost them.
#
# .. alt: Three rows of eight cells. The first row ends after six numbers, the
#    second after two, the third fills all eight. The rest of the cells are 0
#    and have a color of their own.

texts = ["(())()", "()", "((()))()"]
rows = [torch.tensor(["()".index(s) + 1 for s in text]) for text in texts]
try:
    torch.stack(rows)
except RuntimeError as error:
    print(error)
    assert "expects each tensor to be equal size" in str(error)
else:
    raise AssertionError("rows of different lengths must not stack")

tokens = pad_sequence(rows, batch_first=True)  # (3, 8)
lengths = torch.tensor([len(row) for row in rows])
draw_tensor(tokens, groups=tokens, title="( is 1, ) is 2, padding is 0")
show_pictures()

assert lengths.tolist() == [6, 2, 8] and tokens.shape == (3, 8)
assert tokens[1].tolist() == [1, 2, 0, 0, 0, 0, 0, 0]

# %%
# An embedding gives each number its vector
# -----------------------------------------
#
# `torch.nn.Embedding` is a table with one row for each number. Its rows are
# learned. ``padding_idx=0`` keeps the row of the padding at zero: it gets no
# gradient.

torch.manual_seed(0)
embed = torch.nn.Embedding(3, 8, padding_idx=0)
vectors = embed(tokens)  # (3, 8, 8): batch, time, features
vectors.sum().backward()
gradients = embed.weight.grad[:, 0].tolist()
print(tuple(vectors.shape), "gradients:", gradients)

assert torch.equal(vectors[1, 1], embed.weight[2])
assert vectors.shape == (3, 8, 8) and not embed.weight[0].any()
assert gradients == [0, 8, 8]  # how often each occurs

# %%
# Zeros are read too
# ------------------
#
# A zero vector still changes the state of a GRU. Below, the text ``()`` stands
# alone, and then in the second row of our batch. Its last state differs: the
# answer about a text would depend on its neighbors.

gru = torch.nn.GRU(8, 32, batch_first=True)
with torch.no_grad():
    alone = gru(vectors[1, :2])[1][-1]
    padded = gru(vectors)[1][-1, 1]
    again = gru(vectors[1])[1][-1]
first = alone[0].item(), padded[0].item()
print("{:.3f} alone, {:.3f} after six steps of padding".format(*first))

assert torch.allclose(padded, again, atol=1e-6) and padded.shape == (32,)
assert [*first] == torch.stack([alone, padded]).T.tolist()[0]
assert (alone - padded).abs().max() > 0.05

# %%
# `torch.nn.utils.rnn.pack_padded_sequence` takes the padding out. It holds the
# 16 brackets and how many rows are still running at each step. Now ``h_n`` is
# each row's state after its *own* last step. By default it wants the longest
# row first; ``enforce_sorted=False`` sorts, and sorts back afterwards.

settings = {"batch_first": True, "enforce_sorted": False}
packed = pack_padded_sequence(vectors, lengths, **settings)
output, h_n = gru(packed)
print(tuple(packed.data.shape), packed.batch_sizes.tolist())

assert packed.data.shape == (16, 8) and lengths.sum() == 16
assert packed.batch_sizes.tolist() == [3, 3, 2, 2, 2, 2, 1, 1]
assert torch.allclose(h_n[-1, 1], alone, atol=1e-6)
try:
    pack_padded_sequence(vectors, lengths, batch_first=True)
except RuntimeError as error:
    assert "sorted in decreasing order" in str(error)
else:
    raise AssertionError("unsorted lengths must be refused")

# %%
# Which state is the last one?
# ----------------------------
#
# On :ref:`rnn_shapes`, ``output[:, -1]`` equals ``h_n[-1]``. With padding it
# does not: once unpacked, the last column has numbers only for the longest
# row, and zeros for the others.

readings = {
    "last column": lambda output, h_n: output[:, -1],
    "last state": lambda output, h_n: h_n[-1],
}
unpacked, _ = pad_packed_sequence(output, batch_first=True)
zeros = {
    name: (read(unpacked, h_n) == 0).all(dim=1).tolist()
    for name, read in readings.items()
}
print("only zeros:", zeros)

assert zeros["last column"] == [True, True, False]
assert zeros["last state"] == [False, False, False]
last_column = readings["last column"](unpacked, h_n)
assert torch.equal(last_column, unpacked[:, 7])
assert torch.equal(unpacked[2, -1], h_n[-1, 2])

# %%
# We build one network that can read in either way. Reading the last column, it
# gives all shorter texts the same score, whatever they say.


class Judge(torch.nn.Module):
    """Score texts: above 0 for brackets that match."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        self.embed = torch.nn.Embedding(3, 8, padding_idx=0)
        self.gru = torch.nn.GRU(8, 32, batch_first=True)
        self.head = torch.nn.Linear(32, 1)

    def forward(self, tokens, lengths):
        vectors = self.embed(tokens)
        packed = pack_padded_sequence(vectors, lengths, **settings)
        output, h_n = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True)
        return self.head(self.read(output, h_n)).squeeze(1)


scores = {name: Judge(r)(tokens, lengths) for name, r in readings.items()}
kinds = {name: len(set(s.tolist())) for name, s in scores.items()}
print("different scores for three texts:", kinds)

assert kinds == {"last column": 2, "last state": 3}

# %%
# From texts to tensors
# ---------------------
#
# The targets are 1 where brackets match and 0 where they do not. A model's
# *score* says yes when it is above 0.


def encode(texts):
    """Return tokens, lengths and targets of texts."""
    rows = [torch.tensor(["()".index(s) + 1 for s in text]) for text in texts]
    lengths = torch.tensor([len(row) for row in rows])
    targets = torch.tensor([float(matches(text)) for text in texts])
    return pad_sequence(rows, batch_first=True), lengths, targets


@torch.no_grad()
def accuracy(model, texts):
    """Return the share of texts that a model judges right."""
    tokens, lengths, targets = encode(texts)
    yes = model(tokens, lengths) > 0
    return (yes == targets.bool()).float().mean().item()


tokens, lengths, targets = encode(seen)
print(tuple(tokens.shape), "to learn from")

assert tokens.shape == (2000, 20) and targets.mean() == 0.5
assert targets[:4].tolist() == [1, 0, 1, 0]
assert torch.equal(lengths, (tokens > 0).sum(dim=1))
assert not Judge(readings["last state"]).embed.weight[0].any()
always = accuracy(lambda tokens, lengths: 0.5 + 0 * lengths, unseen)
assert abs(always - share) < 1e-6  # a score of 0.5 for all says yes to all

# %%
# Train: the wrong way first
# --------------------------
#
# Gradients through many steps can grow large, so
# `torch.nn.utils.clip_grad_norm_` shortens those above 1 (see
# :ref:`clip_accumulate`). First learns the network that reads the last column.


def train(model):
    """Train for 8 epochs; return the accuracy on unseen texts after each."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    reached = []
    for _ in range(8):
        for rows in torch.randperm(len(tokens)).split(64):
            scores = model(tokens[rows], lengths[rows])
            loss = F.binary_cross_entropy_with_logits(scores, targets[rows])
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
        reached.append(accuracy(model, unseen))
    return reached


torch.manual_seed(0)
wrong = train(Judge(readings["last column"]))
at_the_end = f"{wrong[-1]:.1%}"
print(f"last column: {at_the_end} of unseen texts judged right")

assert at_the_end == f"{wrong[7]:.1%}"
assert max(wrong) < 0.75 and len(wrong) == 8

# %%
# No error, no warning, and little better than guessing: it learns from the
# longest rows of a batch and guesses the rest. Now the last state. With each
# of 20 seeds it reached at least 99 %, and the last column at most 67 %.
#
# .. alt: Accuracy on unseen texts after each of eight epochs. The line for
#    the last state rises above 0.95 within two or three epochs. The line for
#    the last column stays flat near 0.6, not far above the dashed line of
#    guessing at 0.5.

torch.manual_seed(0)
model = Judge(readings["last state"])
right = train(model)
at_the_end = f"{right[-1]:.1%}"
print(f"last state: {at_the_end} of unseen texts judged right")

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
ax.plot(range(1, 9), right, "o-", label="last state")
ax.plot(range(1, 9), wrong, "s-", label="last column")
ax.axhline(0.5, color="#8a8f98", linestyle="--", label="guessing")
ax.set(xlabel="epoch", ylabel="accuracy on unseen", ylim=(0.4, 1.03))
ax.legend(loc=(0.7, 0.5), fontsize=10)
show_pictures()

assert at_the_end == f"{right[7]:.1%}" and len(right) == 8
assert right[-1] > 0.95 and min(right) > max(wrong)

# %%
# What it has learned
# -------------------
#
# Does the network now count, or does it know its texts by heart? We ask about
# texts of 24 to 30 brackets, longer than any that it has seen. Most answers
# are right, though fewer than before. And a text has the same score alone as
# among longer ones.

longer = [draw(number % 2 == 0, rng, few=11, many=14) for number in range(400)]
reached = accuracy(model, longer)
print(f"{reached:.0%} of the longer texts are judged right")

tokens, lengths, _ = encode(["(()(()))", *longer])
with torch.no_grad():
    alone = model(tokens[:1, :8], lengths[:1]).item()
    together = model(tokens, lengths)[0].item()
print(f"score of one text: {alone:.1f} alone, {together:.1f} among the longer")

assert 0.85 < reached <= right[-1] and tokens.shape == (401, 30)
assert {*lengths[1:].tolist()} == {24, 26, 28, 30} and lengths[0] == 8
assert matches(longer[0]) and not matches(longer[1])
assert alone > 0 and abs(alone - together) < 1e-3

# %%
# What you learned
# ----------------
#
# `torch.nn.utils.rnn.pad_sequence` makes a rectangle and forgets the lengths,
# so keep them. Packing leaves the padding out, and ``h_n[-1]`` is the state
# after each row's own end; ``output[:, -1]`` is not. Look at the baseline
# before you praise an accuracy.
#
# Next: :ref:`self_attention` reads all steps at once and takes a mask instead
# of lengths. :ref:`rnn_shapes` has the shapes, :ref:`losses` the loss.
