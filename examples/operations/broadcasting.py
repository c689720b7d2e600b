r"""
.. _broadcasting:

Add tensors of different shapes
===============================

Why does a row of three numbers add to a whole matrix, while a row of two
raises an error? After this page you can predict the shape of any broadcast,
read the error when two shapes clash, and spot the broadcast that nobody asked
for: the one that gives a wrong number and no error.

.. concepts: P05
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_tensors

# %%
# One size stretches
# ------------------
#
# Two tensors of different shapes can be added when, for each dimension, their
# sizes agree or one of them is 1. A size of 1 stretches to meet the other.
# Here a column of three and a row of four meet in the middle:

column = torch.tensor([[0], [10], [20]])  # (3, 1)
row = torch.tensor([[1, 2, 3, 4]])  # (1, 4)
total = column + row  # (3, 4)
print(total)

assert total.shape == (3, 4)
assert total[2, 3] == column[2, 0] + row[0, 3] == 24
assert total[:, 0].tolist() == [1, 11, 21]
assert total[0].tolist() == [1, 2, 3, 4]

# %%
# Nothing is copied to do this. `torch.Tensor.expand` stretches without adding,
# so that we can look. In the picture, a solid cell has a place of its own in
# memory, and a pale cell is an earlier number read again.
#
# .. alt: The column 0, 10, 20 is solid and its three copies to the right are
#    pale. The row 1, 2, 3, 4 is solid and its two copies below are pale. Their
#    sum is a solid grid of three rows and four columns.

stretched = column.expand(3, 4)
draw_tensors(
    {"column": stretched, "row": row.expand(3, 4), "column + row": total}
)
plt.show()

assert stretched.data_ptr() == column.data_ptr()
assert stretched.stride() == (1, 0)  # one step right moves 0 in memory

# %%
# Shapes line up from the right
# -----------------------------
#
# When the number of dimensions differs, PyTorch writes one shape above the
# other, right aligned, and reads a missing size as 1:
#
# .. code-block:: text
#
#    matrix   (2, 3)        matrix   (2, 3)
#    three       (3)        two         (2)
#    result   (2, 3)        error     3 ≠ 2
#
# A row of two does not fit a matrix with rows of three, although 2 does occur
# in its shape. This is the error that you would meet:

matrix = torch.zeros(2, 3)
three = torch.tensor([1.0, 2.0, 3.0])
two = torch.tensor([1.0, 2.0])
fits = matrix + three  # (2, 3) + (3,)
print(fits)

try:
    matrix + two
except RuntimeError as error:
    print(error)
    assert "(3) must match the size of tensor b (2)" in str(error)
else:
    raise AssertionError("a row of two must not fit")
assert fits.tolist() == [[1, 2, 3], [1, 2, 3]]

# %%
# "Non-singleton dimension 1" is the place to look: in dimension 1, neither
# size is 1. If you meant one number for each row, say so. ``two[:, None]`` is
# a column, and its size of 1 can stretch.

per_row = matrix + two[:, None]  # (2, 3) + (2, 1)
print(per_row)

assert per_row.tolist() == [[1, 1, 1], [2, 2, 2]]

# %%
# Both sides can stretch at once
# ------------------------------
#
# The rule holds for any number of dimensions. Shapes (3, 1, 4) and (1, 2, 4)
# give (3, 2, 4): three blocks of two rows, each the sum of one row from the
# left and one from the right. `torch.broadcast_shapes` tells the shape
# without computing anything.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The drawing of such a sum ends in a fourth, empty block (claim c2-47).
#    There are exactly three. The picture below is drawn from the tensor.
#
# .. alt: Three blocks of one row, two rows of four, and their sum: three
#    blocks, each with two rows of four numbers.

left = torch.arange(12).reshape(3, 1, 4)
right = 100 * torch.arange(8).reshape(1, 2, 4)
blocks = left + right  # (3, 1, 4) + (1, 2, 4) -> (3, 2, 4)
draw_tensors({"left": left, "right": right, "left + right": blocks})
plt.show()

assert torch.broadcast_shapes(left.shape, right.shape) == blocks.shape
assert len(blocks) == 3 and blocks.shape == (3, 2, 4)
for i in range(3):
    for j in range(2):
        assert torch.equal(blocks[i, j], left[i, 0] + right[0, j])

# %%
# A bias is stretched too
# -----------------------
#
# A *linear layer* multiplies a batch by its weights and adds a *bias*, one
# number for each output. Every row of the batch gets the same bias.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A bias is shown as a matrix of 3 rows and 2 columns (claim c1-41). The
#    bias has shape (2,). What looked like a matrix was its broadcast over a
#    batch of three.

layer = torch.nn.Linear(4, 2)
batch = torch.ones(3, 4)
by_hand = batch @ layer.weight.T + layer.bias  # (3, 2) + (2,)
print(tuple(layer.bias.shape), tuple(by_hand.shape))

assert layer.bias.shape == (2,) and by_hand.shape == (3, 2)
assert torch.allclose(layer(batch), by_hand)

# %%
# The broadcast nobody asked for
# ------------------------------
#
# A model that predicts one number for each sample often returns shape (N, 1),
# while the targets have shape (N,). Their difference is not N numbers but an
# N × N table, and its mean looks like a perfectly good loss. These predictions
# are exactly right, so the error should be zero:

target = torch.tensor([1.0, 2.0, 3.0])  # (3,)
prediction = target[:, None]  # (3, 1), each value correct
wrong = ((prediction - target) ** 2).mean()  # mean of a (3, 3) table
as_meant = ((prediction.squeeze(1) - target) ** 2).mean()
print(f"by accident {wrong:.4f}, as meant {as_meant:.4f}")

assert (prediction - target).shape == (3, 3)
assert torch.isclose(wrong, torch.tensor(4 / 3)) and as_meant == 0

# %%
# The guard is one line before the subtraction: assert that the shapes are the
# same. A wrong shape then stops the program instead of spoiling its numbers.

try:
    assert prediction.shape == target.shape, "prediction and target differ"
except AssertionError as error:
    print(error)
    refused = True

assert refused

# %%
# What you learned
# ----------------
#
# Shapes line up from the right; sizes must agree or be 1; a 1 stretches
# without a copy. Two shapes that *happen* to broadcast are the ones to fear in
# a loss.
#
# Next: :ref:`view_reshape_flatten` changes shapes on purpose. To undo a
# stretch by summing over a dimension, see :ref:`reductions`. The pictures come
# from `snippets.drawing`.
