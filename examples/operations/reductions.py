r"""
.. _reductions:

Sum, average and find the largest along a dimension
===================================================

You have a table and want one number for each row: is that ``dim=0`` or
``dim=1``? After this page you can say which dimension a sum removes, keep it
when you need it later, find the largest number and its place, and choose the
variance that divides by N or the one that divides by N − 1.

.. concepts: P03
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_tensors

# %%
# Many numbers become one
# -----------------------
#
# Here is the rain of three days in two towns: a row for each town, a column
# for each day. `torch.sum` and `torch.mean` *reduce* it to one number.
# `torch.pow` is no reduction: it keeps the shape.

rain = torch.tensor([[7.0, 0.0, 2.0], [1.0, 6.0, 8.0]])  # (2 towns, 3 days)
total, average, squared = rain.sum(), rain.mean(), rain.pow(2)
print(total, average)
print(squared)

assert total.shape == () and total == 24 and average == 24 / 6
assert squared.tolist() == [[49, 0, 4], [1, 36, 64]]

# %%
# ``dim`` is the one that disappears
# ----------------------------------
#
# How much rain fell in each town? Towns are dimension 0, so many people write
# ``dim=0`` first. But we have two towns, and three numbers come out:

per_day = rain.sum(dim=0)  # (2, 3) -> (3,)
print(per_day)

assert per_day.tolist() == [7 + 1, 0 + 6, 2 + 8]

# %%
# ``dim`` names the dimension that is used up. Summing over ``dim=0`` crosses
# out the 2 of (2, 3): the towns are gone, and a number for each day is left.
# In the picture, cells of one color end up in one result.
#
# .. alt: A table of two rows and three columns, each column in its own color.
#    To its right the three sums 8, 6 and 10 in the colors of their columns.

by_day = torch.tensor([[0, 1, 2], [0, 1, 2]])  # a color for each day
draw_tensors(
    {"rain (2, 3)": rain, "rain.sum(dim=0) (3,)": per_day},
    groups=[by_day, by_day[0]],
)
plt.show()

assert rain.shape == (2, 3) and per_day.shape == (3,)

# %%
# For a number per town the *days* must disappear: ``dim=1``. Counted from the
# end this is ``dim=-1``, the last one.

per_town = rain.sum(dim=1)  # (2, 3) -> (2,)
print(per_town)

assert per_town.tolist() == [7 + 0 + 2, 1 + 6 + 8]
assert torch.equal(rain.sum(dim=-1), per_town)

# %%
# ``keepdim`` keeps its place
# ---------------------------
#
# Which share of a town's rain fell on each day? Dividing each row by its sum
# fails, because the sums have lost a dimension:

try:
    rain / rain.sum(dim=1)  # (2, 3) / (2,)
except RuntimeError as error:
    print(error)
    assert "(3) must match the size of tensor b (2)" in str(error)
else:
    raise AssertionError("two sums must not fit rows of three")

# %%
# With ``keepdim=True`` the used-up dimension stays, with size 1. The sums then
# stand in a column, each beside its row:
#
# .. alt: The table, each row in its own color. Without keepdim the sums 9 and
#    15 lie in a row. With keepdim they stand in a column, each beside its row.

standing = rain.sum(dim=1, keepdim=True)  # (2, 1)
by_town = torch.tensor([[0, 0, 0], [1, 1, 1]])  # a color for each town
draw_tensors(
    {"rain": rain, "sum(dim=1)": per_town, "keepdim": standing},
    groups=[by_town, by_town[:, 0], by_town[:, :1]],
)
plt.show()

assert standing.tolist() == [[9], [15]]

# %%
# A size of 1 stretches (see :ref:`broadcasting`), so each row now meets its
# own sum. Mind square tables: without ``keepdim`` they raise no error and
# divide by the *wrong* sums. The last line below has a "share" of 3.

share = rain / standing  # (2, 3) / (2, 1)
square = rain[:, 1:]  # rows 0, 2 and 6, 8
wrong = square / square.sum(dim=1)  # (2, 2) / (2,)
print(share)
print(wrong)

assert torch.equal(wrong[:, 0], square[:, 0] / (0 + 2))  # row 0's sum
assert torch.equal(wrong[:, 1], square[:, 1] / (6 + 8)) and wrong[1, 0] == 3
assert torch.equal(share[0], rain[0] / 9)
assert torch.equal(share[1], rain[1] / 15)
assert torch.allclose(share.sum(dim=1), torch.ones(2))

# %%
# Several dimensions can go at once. `torch.stack` makes one tensor of two
# tables. Of (weeks, towns, days), ``dim=(0, 2)`` leaves the towns:

weeks = torch.stack([rain, rain + 1])  # (2, 2, 3)
mean_of_town = weeks.mean(dim=(0, 2))  # (2,)
print(mean_of_town)

assert mean_of_town.tolist() == [(9 + 12) / 6, (15 + 18) / 6]

# %%
# The largest, and where it is
# ----------------------------
#
# With a ``dim``, `torch.max` gives the values and their indices.
# `torch.argmax` gives the indices alone: a classifier's prediction is the
# index of the largest score in each row. Without ``dim`` it counts through the
# table as if its rows stood in one line, so 5 means row 1, column 2.

largest, day = rain.max(dim=1)
place = rain.argmax()
print(largest, day)
print(place)

assert largest.tolist() == [7, 8] and day.tolist() == [0, 2]
assert torch.equal(rain.argmax(dim=1), day)
assert place == 5 and rain[1, 2] == rain.max() == rain.flatten()[place]

# %%
# Whole numbers have no mean
# --------------------------
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``x.mean()`` follows a tensor of whole numbers (claim c3-11). It raises
#    the error below. Ask for a dtype with fractions.

goals = torch.tensor([[2, 1], [0, 3]])
try:
    goals.mean()
except RuntimeError as error:
    print(error)
    assert "must be either a floating point or complex dtype" in str(error)
else:
    raise AssertionError("the mean of integers must fail")
average = goals.mean(dtype=torch.float32)
print(average)

assert average == goals.float().mean() == 6 / 4
assert average.dtype == torch.float32 and goals.sum().dtype == torch.int64

# %%
# Two variances
# -------------
#
# A variance is the mean squared distance from the mean. To describe these very
# numbers, divide by N: the *biased* variance. To estimate the spread of the
# larger group that they were drawn from, divide by N − 1: the *unbiased* one.
# `torch.var` divides by N minus its ``correction``, which is 1 by default.

waits = torch.tensor([1.0, 3.0, 4.0, 5.0, 7.0])  # minutes, 4 on average
squares = (waits - waits.mean()).pow(2)
biased, unbiased = waits.var(correction=0), waits.var()
print(squares)
print(biased, unbiased)

assert squares.tolist() == [9, 1, 0, 1, 9]  # 20 in all
assert biased == 20 / 5 == 4
assert unbiased == waits.var(correction=1) == 20 / (5 - 1) == 5

# %%
# .. admonition:: In the notes
#    :class: note-check
#
#    ``torch.var(unbiased=False)`` should give the biased variance (claim
#    c2-39). Without a tensor it is a TypeError. With one it works, and
#    ``correction=0`` is today's spelling.

try:
    torch.var(unbiased=False)
except TypeError as error:
    print(type(error).__name__)
else:
    raise AssertionError("there is nothing to take the variance of")
assert torch.var(waits, unbiased=False) == biased

# %%
# Batch normalization uses both
# -----------------------------
#
# `torch.nn.BatchNorm1d`, a part of many networks, subtracts each feature's
# mean and divides by the root of its variance. What it stores for later,
# ``running_var``, starts at 1 and moves a tenth of the way.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Batch normalization is said to use the biased variance (claim c2-40). It
#    *normalizes* with the biased 4, but *stores* the unbiased 5.

norm = torch.nn.BatchNorm1d(1)
assert norm.running_var == 1
normalized = norm(waits[:, None]).detach()  # five samples of one feature
print(normalized.T)
print(norm.running_var)

by_hand = (waits - 4) / (4 + norm.eps) ** 0.5
assert torch.allclose(normalized.T, by_hand[None], atol=1e-6)
assert normalized.shape == (5, 1) and not normalized.requires_grad
assert torch.allclose(norm.running_var, torch.tensor(0.9 * 1 + 0.1 * 5))

# %%
# What you learned
# ----------------
#
# ``dim`` is the dimension that disappears; ``keepdim=True`` leaves a 1 in its
# place. The mean wants floats, and ``correction`` is what the variance takes
# from N.
#
# Next: :ref:`products`, where numbers are multiplied and then summed. The
# pictures come from `snippets.drawing`.
