r"""
.. _reductions:

Reductions (sum, mean, max): choose dim and keepdim
===================================================

You have a table and want one number for each row: is that ``dim=0`` or
``dim=1``? After this page you can say which dimension a sum removes, keep it
with size 1 where the next step needs it, find the largest number and where it
stands, count with masks, and choose between the two variances.

.. concepts: P03
.. claims: c2-39 c3-11
"""

import torch

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# A *reduction* makes one number of many, such as their sum or their mean.
# ``dim`` names the dimension that disappears. Here is the rain of three days
# in two towns: a row for each town, a column for each day.

rain = torch.tensor([[7.0, 0.0, 2.0], [1.0, 6.0, 8.0]])  # (2 towns, 3 days)

print("in all:   ", rain.sum())  # (2, 3) -> ()
print("each day: ", rain.sum(dim=0))  # (2, 3) -> (3,): no towns left
print("each town:", rain.sum(dim=1))  # (2, 3) -> (2,): no days left

assert rain.sum() == 24
assert rain.sum().shape == ()
assert rain.sum(dim=0).tolist() == [8, 6, 10]
assert rain.sum(dim=1).tolist() == [9, 15]

# %%
# Towns are dimension 0, so many people write ``dim=0`` to get a number for
# each town. But ``dim=0`` adds up *over* the towns. In the picture, cells of
# one color end up in one result:
#
# .. alt: The table of two rows and three columns twice. First each column has
#    a color of its own, and the three sums 8, 6 and 10 have the colors of
#    their columns. Then each row has its own color, and the two sums 9 and 15
#    have the colors of their rows.
# .. fold: picture

by_day = torch.tensor([[0, 1, 2], [0, 1, 2]])
by_town = torch.tensor([[3, 3, 3], [4, 4, 4]])
draw_tensors(
    {"rain": rain, "rain.sum(dim=0)": rain.sum(dim=0)},
    groups=[by_day, by_day[0]],
)
draw_tensors(
    {"rain": rain, "rain.sum(dim=1)": rain.sum(dim=1)},
    groups=[by_town, by_town[:, 0]],
)
show_pictures()

assert by_day.shape == by_town.shape == rain.shape

# %%
# `torch.mean` and the other reductions take ``dim`` in the same way. Negative
# numbers count from the end, so ``dim=-1`` is the last dimension. A tuple
# removes several at once: in a batch of images of shape (images, height,
# width), ``dim=(1, 2)`` leaves one number for each image.

# 3 images of 2 × 2 pixels; those of the first are 0, 1, 2 and 3
images = torch.arange(12.0).reshape(3, 2, 2)

print(rain.mean(dim=-1))  # (2, 3) -> (2,)
print(images.mean(dim=(1, 2)))  # (3, 2, 2) -> (3,)

assert rain.mean(dim=-1).tolist() == rain.mean(dim=1).tolist() == [3, 5]
assert images.mean(dim=(1, 2)).tolist() == [1.5, 5.5, 9.5]
assert images[0].tolist() == [[0, 1], [2, 3]]

# %%
# ``keepdim`` keeps the place
# ---------------------------
#
# Which fraction of a town's rain fell on each day? Each row has to be divided
# by its sum. The plain sums do not fit: they have lost a dimension, and shapes
# line up from the right (see :ref:`broadcasting`), so two sums meet three
# days. With ``keepdim=True`` the dimension stays, with size 1, and each sum is
# stretched along its own row:

with show_error("size of tensor a (3) must match the size of tensor b (2)"):
    rain / rain.sum(dim=1)  # (2, 3) / (2,)

sums = rain.sum(dim=1, keepdim=True)  # (2, 3) -> (2, 1)
print(sums)
print(rain / sums)  # (2, 3) / (2, 1) -> (2, 3)

assert sums.tolist() == [[9], [15]]
assert torch.equal((rain / sums)[0], rain[0] / 9)
assert torch.equal((rain / sums)[1], rain[1] / 15)

# %%
# The sums stand in a column, each beside its own row:
#
# .. alt: The table, each row in its own color. Without keepdim the sums 9 and
#    15 lie in a row. With keepdim they stand in a column, each beside its row.
# .. fold: picture

draw_tensors(
    {"rain": rain, "sum(dim=1)": rain.sum(dim=1), "keepdim": sums},
    groups=[by_town, by_town[:, 0], by_town[:, :1]],
)
show_pictures()

assert sums.shape == (2, 1)

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "It works without ``keepdim``, too." On a *square* table there is no
#    error, but the sums line up with the columns: the first column is divided
#    by the sum of the first row, the second by that of the second.
#
# The fractions of a row should add up to 1, and none can be larger. Below, one
# of them is 3:

square = rain[:, 1:]  # (2, 2): the last two days

fractions = square / square.sum(dim=1)  # (2, 2) / (2,)
print(fractions)
print("rows add up to:", fractions.sum(dim=1))

assert square.sum(dim=1).tolist() == [2, 14]
assert torch.allclose(fractions.sum(dim=1), torch.tensor([1 / 7, 25 / 7]))
assert torch.equal(fractions[:, 0], square[:, 0] / 2)  # the sum of row 0
assert torch.equal(fractions[:, 1], square[:, 1] / 14)  # the sum of row 1
assert fractions[1, 0] == 3
right = square / square.sum(dim=1, keepdim=True)
assert torch.allclose(right.sum(dim=1), torch.ones(2))

# %%
# The largest, and where it is
# ----------------------------
#
# Without ``dim``, `torch.max` gives the largest number of all. With it, you
# get a pair: the largest values and their indices. `torch.amax` gives the
# values alone and `torch.argmax` the indices alone. The smallest numbers come
# from `torch.min`, `torch.amin` and `torch.argmin`.

print(rain.max())

values, indices = rain.max(dim=1)
print(values)
print(indices)

print(rain.amax(dim=1))
print(rain.argmax(dim=1))

assert rain.max() == 8
assert rain.min() == 0
assert values.tolist() == [7, 8]
assert indices.tolist() == [0, 2]
assert torch.equal(rain.amax(dim=1), values)
assert torch.equal(rain.argmax(dim=1), indices)
assert rain.min(dim=1).values.tolist() == rain.amin(dim=1).tolist() == [0, 1]
assert rain.argmin(dim=1).tolist() == [1, 0]

# %%
# A classifier gives each sample a score for each class, in a table of shape
# (samples, classes). Its prediction is the class with the highest score.
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    Without ``dim``, ``argmax`` gives one number for the whole table, counted
#    as if its rows stood in one line.

scores = torch.tensor([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.2, 0.0, 0.9]])

print("predictions:", scores.argmax(dim=1))
print("without dim:", scores.argmax())  # 8: row 2, column 2

assert scores.argmax(dim=1).tolist() == [1, 0, 2]
assert scores.argmax() == 8 == 2 * 3 + 2

# %%
# Count, and take the mean of integers
# ------------------------------------
#
# In a sum, True counts as 1 and False as 0. So the sum of a mask is a count,
# and its mean is a fraction, such as an accuracy. But PyTorch only takes the
# mean of floats, because a mean is seldom an integer. Convert masks and
# integers first:

wet = rain > 1
print("wet days:", wet.sum(dim=1))

goals = torch.tensor([2, 1, 0, 3])
with show_error("must be either a floating point or complex dtype"):
    goals.mean()

print("mean of the goals:   ", goals.float().mean())
print("fraction of wet days:", wet.float().mean())

assert wet.sum(dim=1).tolist() == [2, 2]
assert (rain > 0).sum(dim=1).tolist() == [2, 3]
assert goals.float().mean() == goals.mean(dtype=torch.float32) == 1.5
assert torch.equal(wet.float().mean(), torch.tensor(4 / 6))
assert goals.sum().dtype == torch.int64

# %%
# Look closer: two variances
# --------------------------
#
# A variance tells how widely numbers are spread: add up the squares of their
# distances from the mean, and divide. To describe these very numbers, divide
# by N, their count. Often the numbers are only a sample of a larger group, and
# you want to estimate the variance of that group. Dividing by N then gives too
# little on average (it is *biased*), and dividing by N - 1 is right on average
# (*unbiased*). `torch.var` divides by N minus ``correction``, which is 1
# unless you say otherwise.

waits = torch.tensor([1.0, 3.0, 4.0, 5.0, 7.0])  # minutes, 4 on average

squares = (waits - waits.mean()) ** 2
print("squares:", squares)
print("sum / 5:", squares.sum() / 5, waits.var(correction=0))
print("sum / 4:", squares.sum() / 4, waits.var())

assert squares.tolist() == [9, 1, 0, 1, 9]
assert waits.var(correction=0) == squares.sum() / 5 == 4
assert waits.var() == waits.var(correction=1) == squares.sum() / 4 == 5
assert torch.var(waits, unbiased=False) == 4
assert torch.var(waits, unbiased=True) == 5
assert waits.std(correction=0) == 2
assert waits.numpy().var() == 4
group = torch.tensor([0.0, 2.0])
samples = torch.cartesian_prod(group, group)  # all samples of two
assert group.var(correction=0) == 1
assert samples.var(dim=1, correction=0).mean() == 0.5
assert samples.var(dim=1).mean() == 1

# %%
# Older code writes ``unbiased=False`` for ``correction=0``. `torch.std`, the
# standard deviation, is the root of the variance and has the same option.
# NumPy divides by N unless told otherwise, so its result differs from
# PyTorch's.
#
# Try it
# ------
#
# .. exercise:: The accuracy of a classifier
#
#    ``scores`` has shape (N, C), a score for each class, and ``labels`` has
#    shape (N,), the true class of each sample. Write
#    ``accuracy(scores, labels)``, which returns the fraction of samples whose
#    highest score is the one of their true class.
#
#    .. hint:: Three steps: the predicted classes, a mask of where they are
#       right, and the mean of that mask.


def accuracy(scores, labels):
    """Return the fraction of N predictions that are right, between 0 and 1."""
    predicted = scores.argmax(dim=1)  # (N, C) -> (N,)
    return (predicted == labels).float().mean()


scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
result = accuracy(scores, torch.tensor([0, 1, 1, 0]))
assert result == 0.75, "three of four predictions are right: 0.75"
assert accuracy(scores, torch.tensor([1, 0, 1, 1])) == 0, "none is right: 0"

# %%
# .. exercise:: Put features on one scale
#
#    Each column of ``table``, (N, F), is one feature: a height in meters, an
#    income in euros. Write ``standardize_columns(table)``, which gives each
#    column the mean 0 and the standard deviation 1. Use the deviation that
#    `torch.std` gives by itself, without options.
#
#    .. hint:: Subtract the mean of the column, then divide by its standard
#       deviation. Which dimension has to disappear?


def standardize_columns(table):
    """Return the table, (N, F), each column with mean 0 and deviation 1."""
    mean = table.mean(dim=0)  # (N, F) -> (F,)
    deviation = table.std(dim=0)
    return (table - mean) / deviation


people = torch.tensor([[1.0, 30.0], [2.0, 10.0], [3.0, 20.0]])
result = standardize_columns(people)
assert result.shape == (3, 2), "the table keeps its shape, (N, F)"
expected = torch.tensor([-1.0, 0.0, 1.0])
assert torch.allclose(result[:, 0], expected), "column 0 has mean 2, std 1"
expected = torch.tensor([1.0, -1.0, 0.0])
assert torch.allclose(result[:, 1], expected), "column 1 has mean 20, std 10"
assert people[0, 0] == 1, "the table that was passed in must not change"

# %%
# .. exercise:: Vectors of length 1
#
#    Each row of ``vectors``, (N, D), is a vector. Write
#    ``unit_rows(vectors)``, which divides each row by its length, the root of
#    the sum of its squares. Search engines compare texts by such vectors.
#
#    .. hint:: N lengths must meet N rows: they have to stand in a column.


def unit_rows(vectors):
    """Return the vectors, (N, D), each row divided by its own length."""
    lengths = (vectors**2).sum(dim=1, keepdim=True).sqrt()  # (N, 1)
    return vectors / lengths


vectors = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
units = unit_rows(vectors)
assert units.shape == (2, 2), "the vectors keep their shape, (N, D)"
assert units[1].tolist() == [0, 1], "[0, 2] has length 2"
first = torch.tensor([0.6, 0.8])
assert torch.allclose(units[0], first), "[3, 4] has length 5"
assert unit_rows(torch.ones(5, 4))[4, 3] == 0.5, "D may differ from N"

# %%
# What you learned
# ----------------
#
# ``dim`` is the dimension that disappears, and ``keepdim=True`` leaves a 1 in
# its place, which you need to divide each row by its own sum. The sum of a
# mask is a count. A mean wants floats, and a variance divides by N minus
# ``correction``.
#
# Next: :ref:`sort_topk_cumsum` puts numbers in order, adds them up step by
# step, and asks of a mask whether any or all of it is True. To average numbers
# of which some are missing, see :ref:`compare_floats`.
