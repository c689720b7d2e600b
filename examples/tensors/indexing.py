r"""
.. _indexing:

Pick the numbers you want
=========================

How do you take one column of a table, every score above a limit, or from each
row just the number that its label points at? After this page you can slice a
tensor, select with a condition, join conditions with ``&``, look up one entry
in each row, and count which values occur.

.. concepts: T11 P06 P07 P08
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_tensors

# %%
# One row, one column, one number
# -------------------------------
#
# Square brackets take one index for each dimension: row first, then column,
# counted from 0, or backward from -1. A colon alone stands for all of them.
# In this table each number tells its own place: 12 is in row 1 and column 2.

table = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])
row, column = table[1], table[:, 2]
number, last = table[1, 2], table[-1, -1]
print(row, column, number, last, sep="\n")

assert row.tolist() == [10, 11, 12, 13] and column.tolist() == [2, 12, 22]
assert number == 12 and last == 23
assert number.shape == ()  # one number is still a tensor

# %%
# Slices cut out a block
# ----------------------
#
# A slice ``start:stop:step`` ends before its ``stop``, as in a Python list,
# and each of the three may be left out. An index removes its dimension and a
# slice keeps it: ``table[1]`` is a row of four, ``table[1:2]`` a table with
# one row.
#
# A slice is a window and not a copy: writing to it writes to the tensor. Here
# three tables of zeros get a 1 wherever a slice points, orange in the drawing.
#
# .. alt: The same table of three rows and four columns three times. Orange in
#    the first is row 1, in the second column 2, and in the third rows 1 and 2
#    of columns 0 and 2.

marks = torch.zeros(3, 3, 4)
marks[0][1:2] = 1
marks[1][:, 2] = 1
marks[2][1:, ::2] = 1
draw_tensors(
    {"table[1:2]": table, "table[:, 2]": table, "table[1:, ::2]": table},
    groups=list(marks),
)
plt.show()

assert table[1:2].shape == (1, 4) and table[1].shape == (4,)
assert marks[0].tolist() == [[0] * 4, [1] * 4, [0] * 4]
assert marks[1].tolist() == [[0, 0, 1, 0]] * 3
assert marks[2].tolist() == [[0] * 4, [1, 0, 1, 0], [1, 0, 1, 0]]

# %%
# What differs from NumPy
# -----------------------
#
# ``[::-1]`` turns Python lists and NumPy arrays around. A tensor refuses: use
# `torch.flip`.

backward = row.flip(0)
print(backward)
try:
    row[::-1]
except ValueError as error:
    print(error)
    assert "step must be greater than zero" in str(error)
else:
    raise AssertionError("a negative step must fail")

assert backward.tolist() == row.tolist()[::-1] == [13, 12, 11, 10]

# %%
# A tensor of integers picks places in any order, even twice.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Indexing is said to work as in NumPy (claim c0-04). It mostly does, but
#    PyTorch refuses backward steps and places given as int16.

chosen = row[torch.tensor([3, 0, 0])]
print(chosen)
try:
    row[torch.tensor([3, 0, 0], dtype=torch.int16)]
except IndexError as error:
    print(error)
    assert "must be long, int, byte or bool" in str(error)
else:
    raise AssertionError("places given as int16 must be refused")

assert chosen.tolist() == [13, 10, 10]

# %%
# Select with a condition
# -----------------------
#
# A comparison gives a *mask*: a tensor of the same shape that holds True and
# False. Used as an index, it picks the numbers where it is True, as one long
# row. `torch.where` keeps the shape: it takes its second argument where the
# mask is True and its third elsewhere.
#
# .. alt: The table with the six numbers above 11 in orange; those six in one
#    row; and the table again with those six and zeros in all other cells.

mask = table > 11
kept = table[mask]
filled = torch.where(mask, table, 0)
draw_tensors(
    {"table > 11": table, "table[mask]": kept, "torch.where": filled},
    groups=[mask, torch.ones_like(kept), mask],
)
plt.show()

assert mask.dtype == torch.bool and mask.shape == table.shape
assert kept.tolist() == [12, 13, 20, 21, 22, 23]
assert filled.tolist() == [[0] * 4, [0, 0, 12, 13], [20, 21, 22, 23]]

# %%
# Two conditions at once
# ----------------------
#
# ``&`` means *and*, ``|`` *or*, ``~`` *not*. Here a model scores five photos
# (is it a cat?), and the true answers come as floats. Joining floats fails, so
# compare first. A comparison is a mask already, without `torch.where`.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The error names ``bitwise_and_cuda`` (claim c2-14), as it does on a GPU.
#    On the CPU it names ``bitwise_and_cpu``.

scores = torch.tensor([0.9, 0.2, 0.6, 0.4, 0.8])
answers = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
try:
    scores & answers
except RuntimeError as error:
    print(error)
    assert "\"bitwise_and_cpu\" not implemented for 'Float'" in str(error)
else:
    raise AssertionError("floats must not be joined with &")
predicted, is_cat = scores > 0.5, answers == 1
found = predicted & is_cat
print(found)

assert predicted.tolist() == [True, False, True, False, True]
assert found.tolist() == [True, False, False, False, True]
assert (predicted | is_cat).tolist() == [True, False, True, True, True]
assert (~is_cat).tolist() == [False, True, True, False, False]

# %%
# How many photos did the model get right, and which scores are in doubt?
# Python joins with ``&`` before it compares, so comparisons need brackets.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Correct predictions are counted as ``(predicted & labels).sum()`` (claim
#    c2-17). That misses the dogs that were not called cats: count with ``==``.

wrong_count = (predicted & is_cat).sum()
right_count = (predicted == is_cat).sum()
doubtful = scores[(scores > 0.3) & (scores < 0.7)]
print(f"with & {wrong_count} of 5, with == {right_count} of 5")
print("doubtful scores:", doubtful)

assert wrong_count == 2 and right_count == 3
assert torch.equal(doubtful, torch.tensor([0.6, 0.4]))

# %%
# One entry from each row
# -----------------------
#
# A classifier gives each photo one probability per class, and a label is the
# number of the true class. Which probability did each true class get?
# ``probs[:, labels]`` looks right, but picks four columns *for every row*.
# `torch.gather` along dimension 1 takes from each row the entry that its label
# points at. For this the labels must be a column: ``labels[:, None]``.
#
# .. alt: A table of four rows and three columns, one cell orange in each row,
#    in columns 0, 2, 1 and 1; the labels 0, 2, 1, 1 as a green column; and the
#    four orange numbers as a column.

probs = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1], [0.3, 0.2, 0.5]]
)
labels = torch.tensor([0, 2, 1, 1])
picked = probs.gather(1, labels[:, None])  # (4, 3), (4, 1) -> (4, 1)
one_hot = torch.nn.functional.one_hot(labels, 3)  # 1 at the label, else 0
orange, green = torch.ones(4, 1), torch.full((4, 1), 2)
draw_tensors(
    {"probs": probs, "labels": labels[:, None], "gather": picked},
    groups=[one_hot, green, orange],
)
plt.show()

assert probs[:, labels].shape == (4, 4)  # not what was meant
assert torch.equal(picked[:, 0], torch.tensor([0.7, 0.6, 0.5, 0.2]))

# %%
# `torch.nn.functional.one_hot` puts ones in the orange cells. Multiplying by
# it and summing each row gives the same numbers. Float labels fail:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    int32 is said to be the type of indices (claim c3-31). It can index, but
#    the indices that PyTorch makes, as in `torch.argmax`, are int64.

summed = (probs * one_hot).sum(1)
print(summed)
try:
    probs.gather(1, labels.float()[:, None])
except RuntimeError as error:
    print(error)
    assert "int64 for index" in str(error)
else:
    raise AssertionError("float indices must be refused")

assert torch.equal(summed, picked[:, 0])
assert labels.dtype == probs.argmax(1).dtype == torch.int64
assert torch.equal(row[labels.int()], row[labels])

# %%
# Which values occur, and how often?
# ----------------------------------
#
# `torch.unique` lists the values in order. On request it also tells each
# element's place in that list, and how often a value occurs.

values, places, counts = labels.unique(return_inverse=True, return_counts=True)
for value, count in zip(values, counts, strict=True):
    print(f"class {value}: {count}")
print("places:", places)

assert values.tolist() == [0, 1, 2] and counts.tolist() == [1, 2, 1]
assert torch.equal(values[places], labels)

# %%
# What you learned
# ----------------
#
# An index removes a dimension; a slice keeps it and shares memory; a mask
# selects. Join masks with ``&``; count agreement with ``==``.
# `torch.gather` takes one entry from each row.
#
# Next: :ref:`arithmetic_inplace` computes with whole tensors. The pictures
# come from `snippets.drawing`.
