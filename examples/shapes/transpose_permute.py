r"""
.. _transpose_permute:

transpose, permute, .T and .mT: put dimensions in another order
===============================================================

Your photo has its three colors in the first dimension, and matplotlib wants
them in the last. How do you turn a tensor around without scrambling it? After
this page you can swap two dimensions, transpose every matrix of a batch, put
any number of dimensions in a new order, and see when a picture has the right
shape and the wrong pixels.

.. concepts: S03 S04
.. claims: c1-13
"""

import warnings

import matplotlib.pyplot as plt
import torch

from snippets.drawing import (
    draw_memory,
    draw_shape,
    draw_tensors,
    show_pictures,
)
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# `torch.Tensor.transpose` swaps the two dimensions that you name. For a matrix
# you can write ``.T``, for a batch of matrices ``.mT``.
# `torch.Tensor.permute` puts all dimensions in the order that you list. All of
# them return views: nothing is copied.

table = torch.tensor([[1, 2, 3], [4, 5, 6]])
print(table.T)  # (2, 3) -> (3, 2)

batch = torch.zeros(8, 2, 3)
print(batch.mT.shape)  # (8, 2, 3) -> (8, 3, 2)

photo = torch.zeros(3, 48, 64)  # (color, row, column)
print(photo.permute(1, 2, 0).shape)  # (3, 48, 64) -> (48, 64, 3)

assert table.T.tolist() == [[1, 4], [2, 5], [3, 6]]
assert torch.equal(table.T, table.transpose(0, 1))
assert batch.mT.shape == (8, 3, 2)
assert photo.permute(1, 2, 0).shape == (48, 64, 3)
assert photo.permute(1, 2, 0).data_ptr() == photo.data_ptr()

# %%
# Rows become columns
# -------------------
#
# The transpose reads the same memory in another order, so a number written
# into it is in the table too:

turned = table.transpose(0, 1)  # (2, 3) -> (3, 2)
turned[2, 0] = 30
print(turned)
print(table)

assert turned.tolist() == [[1, 4], [2, 5], [30, 6]]
assert table.tolist() == [[1, 2, 30], [4, 5, 6]]

# %%
# A vector has one dimension and nothing to swap it with. `torch.Tensor.t`
# transposes a matrix, but returns a vector as it is. To make a column, insert
# a dimension:

row = torch.tensor([1, 2, 3])
print(row.t().shape)  # still (3,)
print(row[:, None])  # (3,) -> (3, 1)

assert row.t().shape == (3,)
assert torch.equal(table.t(), table.T)
assert row[:, None].tolist() == [[1], [2], [3]]

# %%
# Transpose each matrix of a batch
# --------------------------------
#
# ``.mT`` transposes each matrix where it stands. It is short for
# ``transpose(-2, -1)``: swap the last two dimensions.

batch = torch.arange(12).view(2, 2, 3)
print(batch.mT)  # (2, 2, 3) -> (2, 3, 2)

assert batch.mT.tolist() == [
    [[0, 3], [1, 4], [2, 5]],
    [[6, 9], [7, 10], [8, 11]],
]
assert torch.equal(batch.mT, batch.transpose(-2, -1))

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``.T`` on a batch reverses *all* its dimensions, and the batch comes last.
#    PyTorch warns that this will become an error. Write ``.mT``, or
#    ``permute`` if you do want to reverse them all.
#
# Each row of the batch has a color here. Under ``.mT`` it becomes a column of
# the same block. Reversed, as by ``.T``, it is torn apart.
#
# .. alt: Two blocks of two rows, each row in a color of its own. Under mT,
#    each block has two columns in the same two colors. Reversed, there are
#    three blocks, and each holds one cell of every color.
# .. fold: picture

reversed_batch = batch.permute(2, 1, 0)  # (2, 2, 3) -> (3, 2, 2)
color = torch.arange(4).view(2, 2, 1).expand(2, 2, 3)
draw_tensors(
    {"batch": batch, "batch.mT": batch.mT, "reversed": reversed_batch},
    groups=[color, color.mT, color.permute(2, 1, 0)],
)
show_pictures()

assert reversed_batch.shape == (3, 2, 2)
torch.set_warn_always(True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warned = batch.T
torch.set_warn_always(False)
assert torch.equal(warned, reversed_batch)
assert "is deprecated and it will throw an error" in str(caught[0].message)

# %%
# Any order: permute
# ------------------
#
# PyTorch keeps images as (N, C, H, W): images, colors, height, width. Most
# picture libraries put the colors last. ``permute`` takes the *old* positions
# in their *new* order: 0, 2, 3, 1 says "images, height, width, then colors".
# `torch.movedim` moves one dimension and keeps the order of the others.

images = torch.arange(144).view(2, 3, 4, 6)  # (N, C, H, W)
colors_last = images.permute(0, 2, 3, 1)  # (N, H, W, C)
print("permute:", colors_last.shape)
print("movedim:", images.movedim(1, -1).shape)  # dimension 1 to the end

assert colors_last.shape == (2, 4, 6, 3)
assert colors_last[1, 3, 5, 2] == images[1, 2, 3, 5]
assert torch.equal(colors_last, images.movedim(1, -1))

# %%
# One of the images, before and after. The depth of a box is the first of the
# three dimensions.
#
# .. alt: On the left, a box 4 high, 6 wide and 3 deep. On the right, a box 6
#    high, 3 wide and 4 deep.
# .. fold: picture

fig, (left, right) = plt.subplots(1, 2, figsize=(6, 2.8))
draw_shape(images.shape[1:], title="C, H, W", ax=left)
draw_shape(colors_last.shape[1:], title="H, W, C", ax=right)
show_pictures()

assert images.shape[1:] == (3, 4, 6)
assert colors_last.shape[1:] == (4, 6, 3)

# %%
# The right shape, the wrong pixels
# ---------------------------------
#
# Here is a square photo: a yellow sun above a green meadow, (color, row,
# column). Three ways lead to the shape that matplotlib wants, and only one of
# them is right:

row = torch.linspace(-1, 1, 24)[:, None]  # (24, 1)
column = torch.linspace(-1, 1, 24)  # (24,)
sun = torch.tensor([1.0, 0.8, 0.1]).view(3, 1, 1)
sky = torch.tensor([0.4, 0.7, 0.95]).view(3, 1, 1)
meadow = torch.tensor([0.3, 0.6, 0.2]).view(3, 1, 1)

photo = torch.where((row + 0.3) ** 2 + column**2 < 0.2, sun, sky)
photo = torch.where(row > 0.5, meadow, photo)  # (3, 24, 24)

upright = photo.permute(1, 2, 0)
on_its_side = photo.permute(2, 1, 0)
scrambled = photo.reshape(24, 24, 3)
print("permute(1, 2, 0):", upright.shape)
print("permute(2, 1, 0):", on_its_side.shape)
print("reshape:         ", scrambled.shape)

assert upright.shape == on_its_side.shape == scrambled.shape == (24, 24, 3)
assert torch.equal(upright[20, 3], meadow.flatten())
assert torch.equal(upright[3, 20], sky.flatten())
assert torch.equal(upright[8, 12], sun.flatten())
assert torch.equal(on_its_side, upright.transpose(0, 1))
assert torch.equal(scrambled[0, 0], photo[0, 0, :3])

# %%
# ``permute(2, 1, 0)`` took columns for rows, so the picture lies on its side.
# The reshape took three neighboring reds for the three colors of one pixel.
# No error tells you: look at your pictures.
#
# .. alt: Under permute(1, 2, 0), a yellow sun in a blue sky above a green
#    meadow. Under permute(2, 1, 0), the same with the meadow on the right.
#    Under reshape, nine small suns on three bands of gray.
# .. fold: picture

fig, axes = plt.subplots(1, 3, figsize=(6, 2.4), layout="constrained")
axes[0].imshow(upright.numpy())
axes[0].set_title("permute(1, 2, 0)")
axes[1].imshow(on_its_side.numpy())
axes[1].set_title("permute(2, 1, 0)")
axes[2].imshow(scrambled.numpy())
axes[2].set_title("reshape(24, 24, 3)")
for ax in axes:
    ax.set_axis_off()
show_pictures()

assert torch.equal(on_its_side[3, 20], meadow.flatten())
assert (scrambled[0, :8] == photo[0, 0].view(8, 3)).all()

# %%
# Look closer: nothing moves in memory
# ------------------------------------
#
# A photo of four pixels has four reds in memory, then four greens, then four
# blues. With the colors last, a row is one pixel, and its three numbers are
# read from three places, four apart. The *strides* say so: one step down is 1
# place in memory, one step to the right is 4.

tiny = torch.tensor([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]])
pixels = tiny.permute(1, 0)  # (3, 4) -> (4, 3)
print(pixels[0])
print("colors first:", tiny.stride())
print("colors last: ", pixels.stride())

assert pixels[0].tolist() == [10, 20, 30]
assert pixels.data_ptr() == tiny.data_ptr()
assert tiny.stride() == (4, 1)
assert pixels.stride() == (1, 4)

# %%
# .. alt: Above one strip of twelve cells stand three rows, the reds 10 to 13,
#    greens 20 to 23 and blues 30 to 33, and the same as four rows of three,
#    the pixels. Equal colors mark the same place in memory.
# .. fold: picture

draw_memory({"colors first": tiny, "colors last": pixels})
show_pictures()

assert pixels.tolist()[3] == [13, 23, 33]

# %%
# So a permuted tensor is no longer contiguous. Most operations do not mind.
# ``view`` does: write ``reshape``, or let `torch.Tensor.contiguous` copy the
# numbers into the new order.

with show_error("view size is not compatible"):
    pixels.view(12)

print(pixels.reshape(12))
print(pixels.contiguous().stride())

assert not pixels.is_contiguous()
assert pixels.reshape(12).tolist()[:6] == [10, 20, 30, 11, 21, 31]
assert pixels.reshape(12).tolist()[6:] == [12, 22, 32, 13, 23, 33]
assert torch.equal(pixels.reshape(12), pixels.contiguous().view(12))
assert pixels.contiguous().stride() == (3, 1)

# %%
# With an underscore, `torch.Tensor.t_` turns the tensor itself. Every other
# name for it sees the new shape, so you will rarely want this.

plan = torch.zeros(2, 3)
same_plan = plan  # a second name, not a copy
plan.t_()
print(same_plan.shape)

assert same_plan.shape == (3, 2)

# %%
# Try it
# ------
#
# .. exercise:: Prepare pictures for a network
#
#    A picture library gives you ``pixels``: shape (N, H, W, C), whole numbers
#    from 0 to 255. Write ``to_network(pixels)``, which returns them as
#    (N, C, H, W), floats from 0 to 1.
#
#    .. hint:: List the old positions in their new order: first N, then C, then
#       H, then W.


def to_network(pixels):
    """Return pixels (N, H, W, C) of 0 to 255 as (N, C, H, W) of 0 to 1."""
    return pixels.permute(0, 3, 1, 2) / 255


pictures = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
pictures[1, 3, 0] = torch.tensor([255, 0, 51])  # one pixel, at row 3, column 0
ready = to_network(pictures)
assert ready.shape == (2, 3, 4, 4), "the colors come second: (N, C, H, W)"
assert ready.dtype == torch.float32, "floats, not whole numbers"
assert ready.max() == 1, "255 becomes 1"
pixel = ready[1, :, 3, 0]
assert torch.allclose(pixel, torch.tensor([1.0, 0.0, 0.2])), (
    "the pixel at row 3, column 0 is still there, with its three colors"
)

# %%
# .. exercise:: Pictures side by side
#
#    ``pictures`` has shape (N, H, W). Write ``side_by_side(pictures)``, which
#    returns one wide picture, (H, N * W), with the first picture on the left.
#
#    .. hint:: A row of the wide picture holds one row of each picture. Which
#       dimension comes first, then? ``reshape`` does the rest.


def side_by_side(pictures):
    """Return pictures (N, H, W) in one wide picture, (H, N * W)."""
    n, height, width = pictures.shape
    return pictures.permute(1, 0, 2).reshape(height, n * width)


digits = torch.arange(12).view(2, 2, 3)  # two pictures of 2 × 3
wide = side_by_side(digits)
assert wide.shape == (2, 6), (
    "as high as one picture, as wide as all: (H, N * W)"
)
assert torch.equal(wide[:, :3], digits[0]), "the first picture is on the left"
assert torch.equal(wide[:, 3:], digits[1]), "the second picture is next to it"
assert torch.equal(side_by_side(digits[:1]), digits[0]), "one picture stays"

# %%
# What you learned
# ----------------
#
# ``transpose`` swaps two dimensions, ``.mT`` the last two, and ``permute``
# puts all in the order that you list. They copy nothing. Keep ``.T`` for
# matrices, and never reshape to reorder.
#
# Next: :ref:`squeeze_cat_stack` adds, drops and joins dimensions. What a view
# is and when it is refused stands in :ref:`view_reshape_flatten`.
