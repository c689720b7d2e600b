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
# Give each dimension a letter: first those of the tensors that go in, with a
# comma between the tensors, then, after the arrow, those of the result. Two
# rules do the rest:
#
# - The values of the tensors are multiplied. The same letter in two places is
#   the same index, so their values pair up along it.
# - A letter that is missing from the result is summed.
#
# With these rules, the matrix product is ``"ij,jk->ik"``. Row i of the left
# meets column k of the right. They share the letter j, so their values pair up
# and are multiplied, and j is missing from the result, so the products are
# summed.

left = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])  # i = 2, j = 3
right = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])  # j = 3, k = 2

product = torch.einsum("ij,jk->ik", left, right)  # (2, 3), (3, 2) -> (2, 2)
print(product)
print(left @ right)  # the same

assert product.tolist() == [[5, 11], [14, 23]]
assert torch.equal(product, left @ right)

# %%
# Read it as loops
# ----------------
#
# Each letter is a loop. The letters before the arrow say which values are
# multiplied; those after it say where in the result the product is added.
# ``einsum`` computes the same, without a slow loop in Python.

result = torch.zeros(2, 2)
for i in range(2):
    for k in range(2):
        for j in range(3):
            result[i, k] += left[i, j] * right[j, k]
print("by loops:")
print(result)

assert torch.equal(result, torch.einsum("ij,jk->ik", left, right))

# %%
# If you keep j in the result, as ``"ij,jk->ijk"`` does, nothing is summed, and
# you see each product by itself. In the picture, each block is one i, each row
# one j, each column one k. The products of one color add up to the value of
# that color.
#
# .. alt: Two blocks of three rows and two columns hold the products. Each
#    column of a block has one color of its own, four in all. To the right, the
#    result of two by two has the same four colors: 1 + 4 + 0 is 5, 0 + 2 + 9
#    is 11.
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
# With one tensor there is nothing to multiply, but the letters can do more
# than that. Letters in another order transpose the tensor, and a missing
# letter is summed. In ``"ii"`` the row and the column have the same index:
# these are the values of the diagonal. Their sum is called the *trace*.

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
# differ. The last line multiplies a matrix by a vector.

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
# A batch is one letter more, and it stays in the result. Now you can read the
# line at the top of this page. It comes from models for text, which compare
# vectors called *queries* with vectors called *keys*, and its letters say what
# they mean: b for the samples of the batch, q for the queries, k for the keys,
# d for the numbers in each vector. Only d is missing from the result. So the
# line takes the dot product of each query with each key of the same sample.

# b = 2 samples, q = 2 queries, d = 2
queries = torch.tensor([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]])
# b = 2 samples, k = 3 keys, d = 2
keys = torch.tensor(
    [
        [[3.0, 1.0], [0.0, 5.0], [1.0, 1.0]],
        [[2.0, 0.0], [1.0, 4.0], [0.0, 6.0]],
    ]
)

scores = torch.einsum("bqd,bkd->bqk", queries, keys)
print(scores)  # (2, 2, 2), (2, 3, 2) -> (2, 2, 3)

assert scores[0].tolist() == [[3, 0, 1], [7, 5, 3]]
assert scores[1].tolist() == [[0, 4, 6], [2, 5, 6]]
assert torch.equal(scores, queries @ keys.mT)
many, others = torch.ones(4, 2, 5), torch.arange(60.0).reshape(4, 5, 3)
product = torch.einsum("bij,bjk->bik", many, others)
assert torch.equal(product, torch.bmm(many, others))

# %%
# Three tensors: a bilinear form
# ------------------------------
#
# Three tensors follow the same rules. Some models score how well two things
# match, say a user and a film. A vector describes each of them, and a matrix
# ``w`` has a weight for each pair of their numbers. The score is the sum of
# ``x[i] * w[i, j] * y[j]`` over i and j, which is called a *bilinear form*.
# For a batch of users and films, add the letter n and keep it in the result.

w = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])  # i = 2, j = 3
x = torch.tensor([[1.0, 1.0], [2.0, 0.0]])  # n = 2, i = 2
y = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]])  # n = 2, j = 3

print("one pair:", torch.einsum("i,ij,j->", x[0], w, y[0]))
print("a batch: ", torch.einsum("ni,ij,nj->n", x, w, y))
print("with @:  ", ((x @ w) * y).sum(dim=1))

assert torch.einsum("i,ij,j->", x[0], w, y[0]) == 1 * 1 + 2 * 3 + 3 * 2
assert torch.einsum("ni,ij,nj->n", x, w, y).tolist() == [13, 4]
assert ((x @ w) * y).sum(dim=1).tolist() == [13, 4]

# %%
# When sizes disagree
# -------------------
#
# One letter stands for one size. Here j is 3 in ``left`` and 2 in ``other``.
# The error names the letter and the tensor: *operand 1* is the second one,
# counted from 0. If ``other`` lies on its side, swap its letters; no ``.T`` is
# needed.

other = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])  # (2, 3)

with show_error("subscript j has size 2", "previously seen size 3"):
    torch.einsum("ij,jk->ik", left, other)
print(torch.einsum("ij,kj->ik", left, other))

assert torch.einsum("ij,kj->ik", left, other).tolist() == [[5, 11], [14, 23]]
assert torch.equal(torch.einsum("ij,kj->ik", left, other), left @ other.T)

# %%
# Always write the arrow
# ----------------------
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    You leave out the arrow. Then the letters that occur once make the
#    result, in *alphabetical* order: ``"nd,dc"`` means ``"nd,dc->cn"``, the
#    transpose of what you wanted. With other letters, such as ``"ij,jk"``, it
#    works by luck.

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
assert torch.equal(torch.einsum("ij,jk", samples, weights), with_arrow)

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
#    "bqd,bkd->bqk"     rather than   swapping dimensions of keys for @
#    "ni,ij,nj->n"      rather than   ((x @ w) * y).sum(dim=1)
#
# As with ``@``, use floats of one dtype.

# %%
# Look closer: dots and sizes of 1
# --------------------------------
#
# Three dots stand for all dimensions that you do not name, as many as there
# are. So the same line multiplies one matrix or any stack of matrices:

stack = torch.ones(5, 4, 2, 3)
print(torch.einsum("...ij,jk->...ik", left, right).shape)  # (2, 3), (3, 2)
print(torch.einsum("...ij,jk->...ik", stack, right).shape)

assert torch.einsum("...ij,jk->...ik", stack, right).shape == (5, 4, 2, 2)
dotted = torch.einsum("...ij,jk->...ik", stack, right)
assert torch.equal(dotted, stack @ right)
dotted = torch.einsum("...ij,jk->...ik", left, right)
assert torch.equal(dotted, left @ right)

# %%
# The error for sizes that disagree spoke of *broadcast*. Indeed, a letter
# broadcasts: a size of 1 is stretched to the size that the letter has
# elsewhere. That is no error, so it may hide a mistake. ``left @ single``
# would stop here, because 3 is not 1.

single = torch.tensor([[1.0, 2.0]])  # j = 1, k = 2
print(torch.einsum("ij,jk->ik", left, single))  # j = 3 in left

assert torch.einsum("ij,jk->ik", left, single).tolist() == [[6, 12], [15, 30]]
assert torch.equal(
    torch.einsum("ij,jk->ik", left, single), left @ single.expand(3, 2)
)
refusal = "no error"
try:
    left @ single
except RuntimeError as error:
    refusal = str(error)
assert "shapes cannot be multiplied (2x3 and 1x2)" in refusal, refusal

# %%
# Try it
# ------
#
# .. exercise:: A weighted mean
#
#    ``values`` has shape (N, T, D): N texts of T words, and D numbers that
#    describe each word. ``weights`` has shape (N, T) and says how much each
#    word counts, 0 for not at all. Write ``weighted_mean(values, weights)``,
#    which returns for each text the weighted mean over its words: the sum of
#    weight times value, divided by the sum of the weights.
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
#    Models for text often cut each query and each key into H parts, called
#    *heads*, and compare part by part. ``queries`` has shape (B, Q, H, D), and
#    ``keys`` has shape (B, K, H, D). Write ``head_scores(queries, keys)``,
#    which returns the dot product of each query with each key of the same
#    sample and head, in shape (B, H, Q, K).
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
# Letters name dimensions. Values pair up along a letter that they share and
# are multiplied, and a letter that is missing after the arrow is summed.
# Always write the arrow, and use ``@`` and ``sum`` where they say the same.
#
# Next: :ref:`view_reshape_flatten` changes shapes without any arithmetic.
# The products themselves are in :ref:`products`, and :ref:`self_attention`
# puts the scores of queries and keys to work.
