r"""
.. _broadcasting:

Broadcasting: add tensors of different shapes
=============================================

Why can you add a row of three numbers to a whole matrix, while a row of two
raises an error? After this page you can predict the shape of any broadcast,
read the error when two shapes clash, and find the broadcast that nobody asked
for: the one that gives a wrong number and no error.

.. concepts: P05
.. claims: c2-47 c1-41
"""

import torch

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# PyTorch can stretch tensors to a common shape. This is called *broadcasting*.
# Line the two shapes up from the right. Wherever the sizes differ, one of them
# must be 1, and a missing size counts as 1. That 1 is stretched to the other
# size, and nothing is copied.

column = torch.tensor([[0.0], [10.0], [20.0]])  # (3, 1)
row = torch.tensor([1.0, 2.0, 3.0, 4.0])  # (4,)

print(column + row)  # (3, 1) + (4,) -> (3, 4)

assert (column + row).shape == (3, 4)
assert (column + row)[0].tolist() == [1, 2, 3, 4]
assert (column + row)[1].tolist() == [11, 12, 13, 14]
assert (column + row)[2].tolist() == [21, 22, 23, 24]

# %%
# In the picture, a solid cell is a number in memory. A pale cell is the same
# number, read once more. You can make such a stretched tensor yourself, with
# `torch.Tensor.expand` (see :ref:`repeat_expand_split`).
#
# .. alt: The column 0, 10, 20 is solid and its copies to the right are pale;
#    the row 1 to 4 is solid and its copies below are pale; their sum is solid.
# .. fold: picture

wide = column.expand(3, 4)
tall = row.expand(3, 4)
draw_tensors({"column": wide, "row": tall, "column + row": wide + tall})
show_pictures()

assert wide.data_ptr() == column.data_ptr()
assert tall.data_ptr() == row.data_ptr()
assert torch.equal(wide + tall, column + row)

# %%
# A row for every sample
# ----------------------
#
# A row fits a batch of any size. The three samples below are the rows of a
# table, and the same row is added to each. The *bias* of a network layer works
# in this way: it has one number for each output, here two, and never a row for
# each sample.

outputs = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])  # 3 samples
bias = torch.tensor([0.5, -2.0])  # (2,)

print(outputs + bias)  # (3, 2) + (2,) -> (3, 2)

assert (outputs + bias).tolist() == [[1.5, 0], [3.5, 2], [5.5, 4]]
assert bias.shape == torch.nn.Linear(4, 2).bias.shape == (2,)

# %%
# When shapes clash
# -----------------
#
# A row of two does not fit a matrix with rows of three, although there is a 2
# in the matrix's shape. Read from the right:
#
# .. code-block:: text
#
#    matrix   (2, 3)        matrix   (2, 3)
#    three       (3)        two         (2)
#    result   (2, 3)        error     3 ≠ 2

matrix = torch.zeros(2, 3)
three = torch.tensor([1.0, 2.0, 3.0])
two = torch.tensor([1.0, 2.0])

print(matrix + three)  # (2, 3) + (3,) -> (2, 3)
with show_error("size of tensor a (3) must match the size of tensor b (2)"):
    matrix + two

assert (matrix + three).tolist() == [[1, 2, 3], [1, 2, 3]]

# %%
# The message ends with the place to look: in dimension 1, neither size is 1
# (that is what "non-singleton" means). If you meant one number for each row,
# make ``two`` a column. The index ``None`` inserts a dimension of size 1, as
# ``two.reshape(2, 1)`` does here:

print(two[:, None])  # (2,) -> (2, 1)
print(matrix + two[:, None])  # (2, 3) + (2, 1) -> (2, 3)

assert two[:, None].tolist() == two.reshape(2, 1).tolist() == [[1], [2]]
assert (matrix + two[:, None]).tolist() == [[1, 1, 1], [2, 2, 2]]

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "It worked for all my examples, until a table had as many rows as
#    columns." A square matrix accepts the row and the column alike, so no
#    error tells you that one factor for each row was used as one for each
#    column.

square = torch.ones(2, 2)
factors = torch.tensor([1.0, 10.0])  # meant: one for each row

print("by column, by accident:")
print(square * factors)  # (2, 2) * (2,)
print("by row, as meant:")
print(square * factors[:, None])  # (2, 2) * (2, 1)

assert (square * factors).tolist() == [[1, 10], [1, 10]]
assert (square * factors[:, None]).tolist() == [[1, 1], [10, 10]]

# %%
# The broadcast nobody asked for
# ------------------------------
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    A model that predicts one number for each sample often returns shape
#    (N, 1), while the targets have shape (N,). Their difference is no column
#    of N numbers but an N × N table. The mean of that table looks like a loss,
#    and it is a wrong one.
#
# These three predictions are exactly right, so the mean of the squared errors
# should be 0:

target = torch.tensor([1.0, 2.0, 3.0])  # (3,)
prediction = target[:, None]  # (3, 1), as models give it

print(prediction - target)  # a (3, 3) table
print("by accident:", ((prediction - target) ** 2).mean())
print("as meant:   ", ((prediction - target[:, None]) ** 2).mean())

assert (prediction - target).shape == (3, 3)
assert (prediction - target)[0].tolist() == [0, -1, -2]
assert torch.isclose(((prediction - target) ** 2).mean(), torch.tensor(4 / 3))
assert ((prediction - target[:, None]) ** 2).mean() == 0

# %%
# One line in the code that computes a loss stops such a program:


def squared_error(prediction, target):
    """Return the mean squared error of tensors of the same shape."""
    assert prediction.shape == target.shape, (prediction.shape, target.shape)
    return ((prediction - target) ** 2).mean()


with show_error("torch.Size([3, 1]), torch.Size([3])"):
    squared_error(prediction, target)

assert squared_error(prediction, target[:, None]) == 0
assert squared_error(target, target + 2) == 4

# %%
# In place, nothing grows
# -----------------------
#
# An in-place operation writes into memory that is there, and there is no more
# of it. The other tensor may be stretched, but not the one that is changed:

sums = torch.zeros(3)

sums += 1.0  # the 1.0 is stretched
print(sums)
with show_error("output with shape [3]", "the broadcast shape [2, 3]"):
    sums += torch.ones(2, 3)
print(sums + torch.ones(2, 3))  # a new tensor: (3,) + (2, 3) -> (2, 3)

assert sums.tolist() == [1, 1, 1]
assert (sums + torch.ones(2, 3)).tolist() == [[2, 2, 2], [2, 2, 2]]

# %%
# Look closer: both sides stretch at once
# ---------------------------------------
#
# The rule holds for any number of dimensions. `torch.broadcast_shapes` tells
# the shape of a result without computing it:

print(torch.broadcast_shapes((3, 1, 4), (1, 2, 4)))
print(torch.broadcast_shapes((8, 1, 6, 1), (7, 1, 5)))

left = 10.0 * torch.arange(3).reshape(3, 1, 1)  # 0, 10, 20
right = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # (2, 2)
total = left + right  # (3, 1, 1) + (2, 2) -> (3, 2, 2)
print(total)

assert torch.broadcast_shapes((3, 1, 4), (1, 2, 4)) == (3, 2, 4)
assert torch.broadcast_shapes((8, 1, 6, 1), (7, 1, 5)) == (8, 7, 6, 5)
assert total.shape == torch.broadcast_shapes(left.shape, right.shape)
assert total.tolist() == [
    [[1, 2], [3, 4]],
    [[11, 12], [13, 14]],
    [[21, 22], [23, 24]],
]

# %%
# The sum has three blocks of two rows. Each block of ``left`` is one number,
# which is added to the whole of ``right``:
#
# .. alt: Three tensors of three blocks each, one block below the other. Each
#    block of left is one number, 0, 10 or 20, solid in its first cell and pale
#    in the others. The first block of right, 1 to 4, is solid, and the two
#    below it are pale. The blocks of the sum are solid.
# .. fold: picture

stretched = {"left": left.expand(3, 2, 2), "right": right.expand(3, 2, 2)}
draw_tensors(stretched | {"left + right": total})
show_pictures()

assert torch.equal(stretched["left"] + stretched["right"], total)
assert len(total) == 3

# %%
# Stretching costs no memory, but the result does: (N, 1) with (N,) makes N²
# numbers. For 100,000 points in float32 that is a table of 40 GB.

n = 100_000
rows, columns = torch.broadcast_shapes((n, 1), (n,))
print(rows * columns * torch.float32.itemsize / 1e9, "GB")

assert rows * columns * torch.float32.itemsize / 1e9 == 40

# %%
# Try it
# ------
#
# .. exercise:: One factor for each row
#
#    ``table`` has shape (N, M), ``factors`` has shape (N,). Write
#    ``scale_rows(table, factors)``, which multiplies row number i by factor
#    number i.
#
#    .. hint:: As it is, (N,) lines up with the columns. Which shape would
#       line up with the rows?


def scale_rows(table, factors):
    """Return the table, (N, M), each row times its own factor of (N,)."""
    return table * factors[:, None]


table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
factors = torch.tensor([1.0, 10.0])
scaled = scale_rows(table, factors)
assert scaled.shape == (2, 2), "the table keeps its shape, (N, M)"
assert scaled[0].tolist() == [1, 2], "the factor of the first row is 1"
assert scaled[1].tolist() == [30, 40], "the factor of the second row is 10"
assert table.tolist() == [[1, 2], [3, 4]], "the table itself must not change"
longer = scale_rows(torch.ones(2, 3), factors)
assert longer.tolist() == [[1, 1, 1], [10, 10, 10]], "M may differ from N"

# %%
# .. exercise:: Which places hold real words?
#
#    Sentences of different lengths stand in one table, a row for each, and the
#    short ones are filled up at the end (this is called *padding*).
#    ``lengths`` has shape (N,) and holds how many words each sentence has.
#    Write ``real_words(lengths, size)``, which returns a table of bools of
#    shape (N, size): True where a word stands, False where the row was filled
#    up. Use no loop.
#
#    .. hint:: ``torch.arange(size)`` numbers the places of a row from 0. Which
#       of them are below the length of the row?


def real_words(lengths, size):
    """Return an (N, size) table of bools: True for the first lengths[i]."""
    places = torch.arange(size)  # (size,)
    return places < lengths[:, None]  # (size,) < (N, 1) -> (N, size)


mask = real_words(torch.tensor([2, 3, 0]), 3)
assert mask.shape == (3, 3), "a row for each sentence: (N, size)"
wider = real_words(torch.tensor([1, 4]), 5)
assert wider.shape == (2, 5), "a row for each sentence: (N, size)"
assert mask.dtype == torch.bool, "the table holds bools"
assert mask[0].tolist() == [True, True, False], "2 words: places 0 and 1"
assert mask[1].tolist() == [True, True, True], "3 words fill all 3 places"
assert mask[2].tolist() == [False, False, False], "0 words: no place is real"

# %%
# .. exercise:: The distance between any two points
#
#    ``points`` has shape (N, 2): the x and the y of N points. Write
#    ``distances(points)``, which returns the (N, N) table of distances,
#    without a loop. Two points whose x differs by 3 and y by 4 are 5 apart.
#
#    .. hint:: Here the broadcast that nobody asked for is the one to ask for:
#       (N, 1) minus (N,) is the difference of each x to each other.


def distances(points):
    """Return the distance of each point of (N, 2) to each other, (N, N)."""
    x = points[:, 0]
    y = points[:, 1]
    dx = x[:, None] - x  # (N, 1) - (N,) -> (N, N)
    dy = y[:, None] - y
    return (dx**2 + dy**2).sqrt()


corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
table = distances(corners)
assert table.shape == (3, 3), "one distance for each pair: (N, N)"
assert table[0, 0] == 0, "a point is 0 away from itself"
assert table[0].tolist() == [0, 3, 5], "the first corner is 0, 3 and 5 away"
assert table[1].tolist() == [3, 0, 4], "the second corner is 3, 0 and 4 away"
assert table[:, 0].tolist() == [0, 3, 5], "from a to b is as far as back"

# %%
# What you learned
# ----------------
#
# Shapes line up from the right. Sizes agree, or one of them is 1 and is
# stretched without a copy. Square tables and (N, 1) against (N,) go wrong
# without an error, so in a loss, compare the shapes before you subtract.
#
# Next: :ref:`reductions` goes the other way and makes one number of a row or
# a column. :ref:`view_reshape_flatten` changes shapes on purpose.
