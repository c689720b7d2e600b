r"""
.. _indexing:

Tensor indexing and slicing: pick rows, columns and blocks
==========================================================

How do you take one column of a table, the last two rows, or the middle of
every image in a batch? After this page you can index and slice in any
dimension, predict the shape that comes out, overwrite a part of a tensor, and
tell when a change to the part also changes the whole.

.. concepts: T11
.. claims: c0-04
"""

import torch

from snippets.drawing import draw_memory, draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Square brackets take one index for each dimension, the row first, then the
# column. They count from 0, or backward from -1. A colon alone means all, and
# so does what you leave out at the end. In this table each number tells its
# own place: 12 is in row 1, column 2.

table = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])

print(table[1])  # row 1
print(table[:, 2])  # column 2
print(table[1, 2])  # one number
print(table[-2:])  # the last two rows
print(table[1:, 0:2])  # a block: rows 1 and 2, columns 0 and 1

assert table[1].tolist() == [10, 11, 12, 13]
assert torch.equal(table[1], table[1, :])
assert table[:, 2].tolist() == [2, 12, 22]
assert table[1, 2].shape == ()
assert table[1, 2].item() == 12
assert table[-2:].tolist() == [[10, 11, 12, 13], [20, 21, 22, 23]]
assert table[1:, 0:2].tolist() == [[10, 11], [20, 21]]

# %%
# An index removes a dimension, a slice keeps it
# ----------------------------------------------
#
# A slice ``start:stop:step`` ends before its ``stop``, as in a Python list,
# and you may leave out each of the three. With an index, ``table[1]`` takes a
# row out of the table. With a slice, ``table[1:2]`` is still a table, of a
# single row. You see the difference in the shape.

print(table[1].shape)  # (3, 4) -> (4,)
print(table[1:2].shape)  # (3, 4) -> (1, 4)
print(table[1:, ::2].shape)  # every second column: (3, 4) -> (2, 2)

assert table[1].shape == (4,)
assert table[1:2].shape == (1, 4)
assert table[1:, ::2].tolist() == [[10, 12], [20, 22]]

# %%
# Orange is what the brackets above each table pick:
#
# .. alt: The same table of three rows and four columns three times. Orange in
#    the first is row 1, in the second column 2, and in the third rows 1 and 2
#    of columns 0 and 2.
# .. fold: picture

picked = torch.zeros(3, 3, 4)
picked[0][1:2] = 1
picked[1][:, 2] = 1
picked[2][1:, ::2] = 1
tables = {"table[1:2]": table, "table[:, 2]": table, "table[1:, ::2]": table}
draw_tensors(tables, groups=list(picked))
show_pictures()

assert picked[0].tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
assert picked[1].tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
assert picked[2].tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0]]

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``table[:][1]`` is not column 1. The first brackets take the whole table,
#    and the second take its row 1. Put both into one pair of brackets.

print(table[:][1])  # a row
print(table[:, 1])  # the column

assert table[:][1].tolist() == [10, 11, 12, 13]
assert table[:, 1].tolist() == [1, 11, 21]

# %%
# Past the end
# ------------
#
# An index beyond the end raises an error that names the dimension. A slice
# gives what there is, even if that is nothing:

with show_error("index 4 is out of bounds for dimension 1 with size 4"):
    table[0, 4]

print(table[1:100].shape)  # two rows were left
print(table[5:].shape)  # no rows at all

assert table[1:100].shape == (2, 4)
assert table[5:].shape == (0, 4)

# %%
# More dimensions: ``...`` and ``None``
# -------------------------------------
#
# Three dots stand for as many colons as fit. So ``images[..., 0]`` takes
# column 0 of each image, whatever stands before: one image, a batch, or a
# batch with colors. ``None`` adds a dimension of size 1, where a function
# wants a table and you have a single row, or a batch and you have a single
# image.

images = torch.zeros(2, 3, 4, 5)  # batch, colors, height, width
row = table[0]

print(images[:, 0].shape)  # color 0 of each image: (2, 4, 5)
print(images[..., 0].shape)  # column 0 of each image: (2, 3, 4)
print(row[None].shape)  # a table of one row: (4,) -> (1, 4)
print(row[:, None].shape)  # a table of one column: (4,) -> (4, 1)

assert images[:, 0].shape == (2, 4, 5)
assert images[..., 0].shape == (2, 3, 4)
assert images[..., 0].data_ptr() == images[:, :, :, 0].data_ptr()
assert images[..., 0].stride() == images[:, :, :, 0].stride()
assert table[..., 0].tolist() == [0, 10, 20]
assert row[None].tolist() == [[0, 1, 2, 3]]
assert row[:, None].tolist() == [[0], [1], [2], [3]]

# %%
# A slice is a view of the same memory
# ------------------------------------
#
# Slices and indices copy nothing. They give a *view*, which reads a part of
# the same numbers, so a change of the part changes the whole. A slice of a
# Python list is a copy; here you have to ask for one, with
# `~torch.Tensor.clone`, where the original has to stay as it is.

prices = torch.tensor([5, 6, 7, 8])
view = prices[1:3]
copy = prices[1:3].clone()
view[0] = 60

print("prices:", prices)
print("view:  ", view)
print("copy:  ", copy)

assert prices.tolist() == [5, 60, 7, 8]
assert view.tolist() == [60, 7]
assert copy.tolist() == [6, 7]

# %%
# The same color means the same place in memory, and each strip marked "memory"
# belongs to the tensors above it:
#
# .. alt: Above one strip of memory with 5, 60, 7, 8 stand prices and view,
#    which reads the 60 and the 7 in the middle. Above a strip of its own
#    stands copy with 6 and 7.
# .. fold: picture

draw_memory({"prices": prices, "view": view, "copy": copy})
show_pictures()

assert view.data_ptr() == prices.data_ptr() + prices.itemsize
assert copy.data_ptr() != view.data_ptr()

# %%
# Write into a part
# -----------------
#
# Brackets on the left of ``=`` overwrite that part. The right side is one
# number for all places, or a tensor of the same shape as the part.

board = torch.zeros(3, 4)
board[0] = 1  # row 0
board[1:, ::2] = 5  # rows 1 and 2, every second column
board[:, 3] = torch.tensor([7.0, 8.0, 9.0])  # column 3
print(board)

assert board.tolist() == [[1, 1, 1, 7], [5, 0, 5, 8], [5, 0, 5, 9]]

# %%
# Backward: ``flip`` instead of ``[::-1]``
# ----------------------------------------
#
# The brackets above mean the same in NumPy. One thing differs: a step cannot
# be negative. Where a list or a NumPy array takes ``[::-1]``, a tensor needs
# `torch.flip`, which is told the dimension to turn around and returns a copy.

with show_error("step must be greater than zero"):
    row[::-1]

print(row.flip(0))  # dimension 0 backward

assert row.flip(0).tolist() == [3, 2, 1, 0]
assert row.flip(0).untyped_storage().data_ptr() != row.data_ptr()
assert row.numpy()[::-1].tolist() == [3, 2, 1, 0]
assert table.numpy()[1:, ::2].tolist() == table[1:, ::2].tolist()

# %%
# Look closer: a small view keeps the whole tensor
# ------------------------------------------------
#
# The memory of a tensor lives as long as any view of it. Keep one row of a
# large result in a list, and the whole result stays in memory with it. A clone
# holds only its own numbers.

result = torch.zeros(1000, 1000)
first = result[0]

print("bytes behind the view: ", first.untyped_storage().nbytes())
print("bytes behind the clone:", first.clone().untyped_storage().nbytes())

assert first.untyped_storage().nbytes() == 4 * 1000 * 1000
assert first.clone().untyped_storage().nbytes() == 4 * 1000

# %%
# Try it
# ------
#
# .. exercise:: Cut off the border
#
#    Write ``crop(images, border)``, which cuts ``border`` pixels off each of
#    the four sides. The last two dimensions are height and width; before them
#    may stand any others. A border of 0 cuts off nothing.
#
#    .. hint:: ``-0`` is 0, so ``0:-0`` is empty. Count the stop from the
#       front: ``height - border``.


def crop(images, border):
    """Return images (..., H, W) without the pixels at their four sides."""
    height, width = images.shape[-2:]
    return images[..., border : height - border, border : width - border]


image = torch.arange(20).reshape(4, 5)
batch = torch.zeros(2, 3, 8, 6)
assert crop(image, 1).tolist() == [[6, 7, 8], [11, 12, 13]], (
    "a border of 1 leaves the 2 rows and 3 columns in the middle"
)
assert crop(batch, 2).shape == (2, 3, 4, 2), (
    "only height and width shrink: (2, 3, 8, 6) becomes (2, 3, 4, 2)"
)
assert torch.equal(crop(image, 0), image), "a border of 0 cuts off nothing"

# %%
# .. exercise:: Hide a part of an image
#
#    Models learn to look at the whole picture when a part is hidden at random.
#    Write ``erase(image, top, left, size)``, which returns a copy with a
#    square of zeros in every color: ``size`` rows from row ``top`` on, and
#    ``size`` columns from column ``left`` on. The last two dimensions are
#    height and width. The image that was given stays as it was.
#
#    .. hint:: A slice is a view. What do you have to do before you write?


def erase(image, top, left, size):
    """Return a copy of image (..., H, W), its square at (top, left) zero."""
    result = image.clone()
    result[..., top : top + size, left : left + size] = 0
    return result


image = torch.ones(3, 4, 5)
erased = erase(image, 1, 2, 2)
assert image.sum() == 60, "the image that was given has to stay as it was"
assert erased.shape == (3, 4, 5), "the copy has the shape of the image"
assert erased[0].tolist() == [
    [1, 1, 1, 1, 1],
    [1, 1, 0, 0, 1],
    [1, 1, 0, 0, 1],
    [1, 1, 1, 1, 1],
], "zeros in rows top to top + size, columns left to left + size"
assert erased.sum() == 48, "the square is hidden in each of the three colors"

# %%
# What you learned
# ----------------
#
# An index removes its dimension, a slice keeps it, and both give a view: if
# you write to it, you write to the tensor. Three dots stand for all the
# dimensions that you do not name, and ``None`` adds one.
#
# Next: :ref:`masks_and_index_arrays` selects by a condition or by a list of
# places. :ref:`squeeze_cat_stack` adds and removes dimensions of size 1.
