r"""
.. _einsum:

einsum: write products and sums by naming dimensions
====================================================

What does ``torch.einsum("bqd,bkd->bqk", queries, keys)`` compute? After this
page you can read such a line, write one for dot products, matrix products,
batches and three tensors at once, understand the error when two sizes
disagree, and tell when plain ``@`` reads better.

.. concepts: A24
"""

import torch

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Give each dimension a letter, for every tensor that goes in and, after the
# arrow, for the result. Two rules do the rest:
#
# - The values are multiplied. Dimensions with the same letter run together.
# - A letter that is missing from the result is summed.
#
# With these rules, the matrix product is ``"ij,jk->ik"``: row i of the left
# meets column k of the right, j runs along both, and the products are summed.

left = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # i = 2, j = 3
right = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])  # j = 3, k = 2

print(torch.einsum("ij,jk->ik", left, right))  # (2, 3), (3, 2) -> (2, 2)

product = torch.einsum("ij,jk->ik", left, right)
assert product.tolist() == [[5, 11], [14, 23]]
assert torch.equal(product, left @ right)

# %%
# Read it as loops
# ----------------
#
# Each letter is a loop. The letters after the arrow say where a term is added;
# the letters before it say what is multiplied. ``einsum`` computes the same
# without a loop in Python.

result = torch.zeros(2, 2)
for i in range(2):
    for k in range(2):
        for j in range(3):
            result[i, k] += left[i, j] * right[j, k]
print("by loops:")
print(result)

assert torch.equal(result, torch.einsum("ij,jk->ik", left, right))

# %%
# If you keep j in the result, nothing is summed, and you see all the terms.
# In the picture, each block is one i, each row one j, each column one k. The
# terms of one color add up to the value of that color.
#
# .. alt: Two blocks of three rows and two columns hold the terms. Each column
#    of a block has one color of its own, four in all. To the right, the result
#    of two by two has the same four colors: 1 + 4 + 0 is 5, 0 + 2 + 9 is 11.
# .. fold: picture

terms = torch.einsum("ij,jk->ijk", left, right)  # (2, 3, 2)
colors = torch.tensor([[0, 1], [2, 3]])
draw_tensors(
    {"ij,jk->ijk": terms, "ij,jk->ik": left @ right},
    groups=[colors[:, None].expand(2, 3, 2), colors],
)
show_pictures()

assert terms.tolist()[0] == [[1, 0], [4, 2], [0, 9]]
assert torch.equal(terms.sum(dim=1), left @ right)

# %%
# One tensor: sums, transpose, diagonal
# -------------------------------------
#
# With one tensor there is nothing to multiply. Letters in another order
# transpose, missing letters sum, and a letter that stands twice walks along
# the diagonal. The sum of the diagonal is called the trace.

square = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

print("transpose:")
print(torch.einsum("ij->ji", square))
print("row sums:   ", torch.einsum("ij->i", square))
print("column sums:", torch.einsum("ij->j", square))
print("sum of all: ", torch.einsum("ij->", square))
print("diagonal:   ", torch.einsum("ii->i", square))
print("trace:      ", torch.einsum("ii->", square))

assert torch.einsum("ij->ji", square).tolist() == [[1, 3], [2, 4]]
assert torch.equal(torch.einsum("ij->ji", square), square.T)
assert torch.einsum("ij->i", square).tolist() == [3, 7]
assert torch.equal(torch.einsum("ij->i", square), square.sum(dim=1))
assert torch.einsum("ij->j", square).tolist() == [4, 6]
assert torch.einsum("ij->", square) == 10
assert torch.einsum("ii->i", square).tolist() == [1, 4]
assert torch.einsum("ii->", square) == 5
assert torch.einsum("ii->", square) == torch.trace(square)

# %%
# Two tensors: dot, outer and in between
# --------------------------------------
#
# The same two vectors give one number, a vector or a table. Only the letters
# differ.

u = torch.tensor([1.0, 2.0, 3.0])
v = torch.tensor([4.0, 0.0, 5.0])

print("dot:        ", torch.einsum("i,i->", u, v))  # as torch.dot(u, v)
print("by element: ", torch.einsum("i,i->i", u, v))  # as u * v
print("outer:")
print(torch.einsum("i,j->ij", u, v))  # as torch.outer(u, v)
print("matrix, vector:", torch.einsum("ij,j->i", left, u))  # as left @ u

assert torch.einsum("i,i->", u, v) == 19
assert torch.equal(torch.einsum("i,i->", u, v), torch.dot(u, v))
assert torch.einsum("i,i->i", u, v).tolist() == [4, 0, 15]
assert torch.equal(torch.einsum("i,i->i", u, v), u * v)
assert torch.equal(torch.einsum("i,j->ij", u, v), torch.outer(u, v))
assert torch.einsum("i,j->ij", u, v)[1].tolist() == [8, 0, 10]
assert torch.einsum("i,j->ij", u, v).tolist()[::2] == [[4, 0, 5], [12, 0, 15]]
assert torch.einsum("ij,j->i", left, u).tolist() == [14, 32]
assert torch.equal(torch.einsum("ij,j->i", left, u), left @ u)

# %%
# Batches
# -------
#
# A batch is one letter more, and it stays in the result. Choose letters that
# say what they mean: b for the batch, q for queries, k for keys, d for the
# features that are multiplied and summed. So the line at the top of this page
# takes the dot product of each query with each key of the same batch. With
# ``@`` you would have to swap the last two dimensions of ``keys`` first.

queries = torch.tensor([[[1.0, 0.0], [2.0, 1.0]]])  # bqd: (1, 2, 2)
keys = torch.tensor([[[3.0, 1.0], [0.0, 5.0], [1.0, 1.0]]])  # bkd: (1, 3, 2)

scores = torch.einsum("bqd,bkd->bqk", queries, keys)
print(scores)  # (1, 2, 2), (1, 3, 2) -> (1, 2, 3)

assert scores.tolist() == [[[3, 0, 1], [7, 5, 3]]]
assert torch.equal(scores, queries @ keys.mT)
many, others = torch.ones(4, 2, 5), torch.arange(60.0).reshape(4, 5, 3)
product = torch.einsum("bij,bjk->bik", many, others)
assert torch.equal(product, torch.bmm(many, others))

# %%
# Three tensors: a bilinear form
# ------------------------------
#
# A *bilinear form* gives every pair of values from two vectors a weight: it is
# the sum of ``x[i] * w[i, j] * y[j]`` over i and j. For a batch of vectors,
# add the letter n and keep it.

w = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])  # i = 2, j = 3
x = torch.tensor([[1.0, 1.0], [2.0, 0.0]])  # n = 2, i = 2
y = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]])  # n = 2, j = 3

print("one pair:", torch.einsum("i,ij,j->", x[0], w, y[0]))
print("a batch: ", torch.einsum("ni,ij,nj->n", x, w, y))
print("with @:  ", (x @ w * y).sum(dim=1))

assert torch.einsum("i,ij,j->", x[0], w, y[0]) == 1 * 1 + 2 * 3 + 3 * 2
assert torch.einsum("ni,ij,nj->n", x, w, y).tolist() == [13, 4]
assert (x @ w * y).sum(dim=1).tolist() == [13, 4]

# %%
# When sizes disagree
# -------------------
#
# One letter stands for one size. Here j is 3 in ``left`` and 2 in ``other``,
# and the error names the letter. If ``other`` lies on its side, swap its
# letters; no ``.T`` is needed.

other = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])  # (2, 3)

with show_error("subscript j has size 2", "previously seen size 3"):
    torch.einsum("ij,jk->ik", left, other)
print(torch.einsum("ij,kj->ik", left, other))

assert torch.einsum("ij,kj->ik", left, other).tolist() == [[5, 11], [14, 23]]
assert torch.equal(torch.einsum("ij,kj->ik", left, other), left @ other.T)

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    You leave out the arrow. Then the letters that occur once make the
#    result, in *alphabetical* order: ``"nd,dc"`` means ``"nd,dc->cn"``, the
#    transpose of what you wanted. Always write the arrow.

samples = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])  # n = 3, d = 2
weights = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])  # d = 2, c = 3

print("without arrow:")
print(torch.einsum("nd,dc", samples, weights))
print("with arrow:")
print(torch.einsum("nd,dc->nc", samples, weights))

assert samples.shape == (3, 2)
without = torch.einsum("nd,dc", samples, weights)
with_arrow = torch.einsum("nd,dc->nc", samples, weights)
assert with_arrow.tolist() == [[1, 2, 3], [3, 4, 7], [5, 6, 11]]
assert torch.equal(with_arrow, samples @ weights)
assert without.tolist() == [[1, 3, 5], [2, 4, 6], [3, 7, 11]]
assert torch.equal(without, torch.einsum("nd,dc->cn", samples, weights))

# %%
# When plain code reads better
# ----------------------------
#
# Everybody knows ``x @ w`` and ``x.sum(dim=1)`` at sight, so keep them where
# they fit. Take ``einsum`` when you would have to transpose, add dimensions
# or remember which ``dim`` is which:
#
# .. code-block:: text
#
#    x @ w              rather than   "ij,jk->ik"
#    x.sum(dim=1)       rather than   "ij->i"
#    x * y              rather than   "ij,ij->ij"
#    "bqd,bkd->bqk"     rather than   swapping dimensions for @
#    "ni,ij,nj->n"      rather than   (x @ w * y).sum(dim=1)
#
# As with ``@``, use floats of one dtype.

# %%
# Look closer: dots and sizes of 1
# --------------------------------
#
# Three dots stand for all dimensions that you do not name, as many as there
# are. They broadcast. A letter does so too: a size of 1 is stretched without
# an error, which may hide a mistake.

stack = torch.ones(5, 4, 2, 3)
print(torch.einsum("...ij,jk->...ik", stack, right).shape)

single = torch.tensor([[1.0, 2.0]])  # j = 1, k = 2
print(torch.einsum("ij,jk->ik", left, single))  # j is 3, and stretched to 3

assert torch.einsum("...ij,jk->...ik", stack, right).shape == (5, 4, 2, 2)
dotted = torch.einsum("...ij,jk->...ik", stack, right)
assert torch.equal(dotted, stack @ right)
assert torch.einsum("ij,jk->ik", left, single).tolist() == [[6, 12], [15, 30]]
assert torch.equal(
    torch.einsum("ij,jk->ik", left, single), left @ single.expand(3, 2)
)

# %%
# Try it
# ------
#
# .. exercise:: A weighted mean
#
#    ``values`` has shape (N, T, D): N texts of T words, D features for each
#    word. ``weights`` has shape (N, T), with 0 for words that do not count.
#    Write ``weighted_mean(values, weights)``, the mean over the words.
#
#    .. hint:: Sum the products over t with ``einsum``, then divide by the sum
#       of the weights of each text. Which shape must that sum have?


def weighted_mean(values, weights):
    """Return the mean of ``values`` over T by ``weights``, shape (N, D).

    ``values`` has shape (N, T, D), ``weights`` has shape (N, T).
    """
    total = torch.einsum("ntd,nt->nd", values, weights)
    return total / weights.sum(dim=1, keepdim=True)  # (N, D) / (N, 1)


texts = torch.tensor(
    [
        [[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]],
        [[0.0, 8.0], [4.0, 0.0], [0.0, 0.0]],
    ]
)
words = torch.tensor([[1.0, 1.0, 0.0], [3.0, 1.0, 0.0]])
means = weighted_mean(texts, words)
assert means.shape == (2, 2), "one mean for each text and feature: (N, D)"
assert means[0].tolist() == [2, 3], (
    "weights 1, 1, 0: the mean of (1, 2) and (3, 4) is (2, 3)"
)
assert means[1].tolist() == [1, 6], (
    "weights 3, 1, 0: divide by the sum of the weights of this text, 4"
)

# %%
# .. exercise:: Attention scores with heads
#
#    Attention splits the features into H heads. ``queries`` has shape
#    (B, Q, H, D), and ``keys`` has shape (B, K, H, D). Write
#    ``head_scores(queries, keys)``, which returns the dot product of each
#    query with each key of the same batch and head, in shape (B, H, Q, K).
#
#    .. hint:: Write down the letters of both shapes, then those of the result.
#       Only d is summed.


def head_scores(queries, keys):
    """Return the dot product of each query with each key, (B, H, Q, K).

    ``queries`` has shape (B, Q, H, D), ``keys`` has shape (B, K, H, D).
    """
    return torch.einsum("bqhd,bkhd->bhqk", queries, keys)


asked = torch.arange(144.0).reshape(2, 3, 4, 6)  # b 2, q 3, h 4, d 6
offered = torch.arange(240.0).reshape(2, 5, 4, 6)  # b 2, k 5, h 4, d 6
heads = head_scores(asked, offered)
assert heads.shape == (2, 4, 3, 5), "batch, heads, queries, keys: (B, H, Q, K)"
assert heads[1, 3, 0, 2] == torch.dot(asked[1, 0, 3], offered[1, 2, 3]), (
    "scores[b, h, q, k] is the dot product of queries[b, q, h] and "
    "keys[b, k, h]: both have the letters b, h and d"
)

# %%
# What you learned
# ----------------
#
# Letters name dimensions. Those with the same letter run together, the values
# are multiplied, and a letter that is missing after the arrow is summed.
# Always write the arrow, and use ``@`` and ``sum`` where they say the same.
#
# Next: :ref:`view_reshape_flatten` changes shapes without any arithmetic.
# The products themselves are in :ref:`products`, and :ref:`self_attention`
# puts the scores of queries and keys to work.
