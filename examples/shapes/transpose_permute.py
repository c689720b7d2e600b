r"""
.. _transpose_permute:

Swap and reorder dimensions
===========================

Your photo has its three colors first, and matplotlib wants them last. How do
you turn a tensor around without scrambling it? After this page you can swap
two dimensions, transpose every matrix of a batch without a deprecated call,
put any number of dimensions in a new order, and say what all this does to the
memory.

.. concepts: S03 S04
"""

import warnings

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_memory, draw_shape, draw_tensors

# %%
# Rows become columns
# -------------------
#
# `torch.Tensor.transpose` swaps the two dimensions that you name. A matrix has
# only two, so the short forms ``.T`` and ``.t()`` mean the same. None of them
# copies: a number written into the transpose is in the table too.

table = torch.tensor([[1, 2, 3], [4, 5, 6]])  # (2, 3)
turned = table.transpose(0, 1)  # (3, 2)
turned[2, 0] = 30
print(turned)
print(table)

assert turned.tolist() == [[1, 4], [2, 5], [30, 6]]
assert table.tolist() == [[1, 2, 30], [4, 5, 6]]
for same in (table.T, table.t()):
    assert torch.equal(same, turned)
    assert same.data_ptr() == table.data_ptr()

# %%
# With an underscore, `torch.Tensor.t_` turns the tensor itself around. Every
# other name for that tensor sees the new shape, so this is rarely what you
# want.

plan = torch.zeros(2, 3)
same_plan = plan  # a second name, not a copy
plan.t_()
print(tuple(same_plan.shape))

assert same_plan.shape == (3, 2)
assert same_plan.stride() == (1, 3)  # the numbers have not moved

# %%
# A batch of matrices
# -------------------
#
# Here are two matrices of shape (2, 3). You want each of them transposed:
# shape (2, 3, 2). But ``.T`` reverses *all* dimensions, batch included, and
# PyTorch warns that this will end. (It warns once in a program, unless told
# otherwise.)
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``.T`` is used on a tensor of three dimensions (claim c1-13). It still
#    works, with a warning, but is to become an error.

torch.set_warn_always(True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    reversed_batch = torch.arange(12).view(2, 2, 3).T
torch.set_warn_always(False)
message = str(caught[0].message).split(". ")[0]
print(tuple(reversed_batch.shape), message, sep="\n")

assert reversed_batch.shape == (3, 2, 2)
assert "on tensors of dimension other than 2" in message
assert "is deprecated and it will throw an error" in message

# %%
# ``.mT`` transposes each matrix where it stands. It is short for
# ``transpose(-2, -1)``: swap the last two dimensions. Each row of the batch
# has a color here. Follow one: under ``.mT`` it becomes a column of the same
# block. Reversed, it is torn apart.
#
# .. alt: Two blocks of two rows, each row in a color of its own. Under mT,
#    each block has two columns in the same two colors. Reversed, there are
#    three blocks, and each holds one cell of every color.

batch = torch.arange(12).view(2, 2, 3)
color = torch.arange(4).view(2, 2, 1).expand(2, 2, 3)
draw_tensors(
    {"batch": batch, "batch.mT": batch.mT, "reversed": reversed_batch},
    groups=[color, color.mT, color.permute(2, 1, 0)],
)
plt.show()

assert batch.mT.tolist() == [
    [[0, 3], [1, 4], [2, 5]],
    [[6, 9], [7, 10], [8, 11]],
]
assert torch.equal(batch.mT, batch.transpose(-2, -1))
assert torch.equal(reversed_batch, batch.permute(2, 1, 0))  # no warning

# %%
# Any order: permute
# ------------------
#
# Layers for images want (N, C, H, W): images, colors, height, width. Most
# picture libraries put the colors last. `torch.Tensor.permute` takes the *old*
# positions in their *new* order: 0, 2, 3, 1 says "images, height, width, then
# colors". `torch.movedim` names only the one that moves.
#
# Drawn is one of the two images; the depth of a box is its first dimension:
#
# .. alt: On the left, a box 4 high, 6 wide and 3 deep. On the right, a box 6
#    high, 3 wide and 4 deep.

images = torch.arange(144).view(2, 3, 4, 6)  # (N, C, H, W)
colors_last = images.permute(0, 2, 3, 1)  # (N, H, W, C)
fig, (left, right) = plt.subplots(1, 2, figsize=(6, 2.8))
draw_shape(images.shape[1:], title="C, H, W", ax=left)
draw_shape(colors_last.shape[1:], title="H, W, C", ax=right)
plt.show()

assert colors_last.shape == (2, 4, 6, 3)
assert colors_last[1, 3, 5, 2] == images[1, 2, 3, 5]
assert torch.equal(colors_last, images.movedim(1, -1))

# %%
# The right shape with the wrong pixels
# -------------------------------------
#
# A reshape gives the very same shape, and no error. This photo of a sun stands
# as (color, row, column), and matplotlib wants the colors last:
#
# .. alt: Under permute, a yellow sun in a blue sky. Under reshape, nine small
#    suns, gray but for their edges, three on each of three gray stripes.

row = torch.linspace(-1, 1, 24)[:, None]
column = torch.linspace(-1.5, 1.5, 36)
sun = torch.tensor([1.0, 0.8, 0.1])[:, None, None]
sky = torch.tensor([0.3, 0.6, 0.9])[:, None, None]
photo = torch.where(row**2 + column**2 < 0.5, sun, sky)  # (3, 24, 36)
turned, scrambled = photo.permute(1, 2, 0), photo.reshape(24, 36, 3)
fig, axes = plt.subplots(1, 2, figsize=(6, 2.4), layout="constrained")
for ax, pixels in zip(axes, (turned, scrambled), strict=True):
    ax.imshow(pixels.numpy())
    ax.set_axis_off()
axes[0].set_title("permute(1, 2, 0)")
axes[1].set_title("reshape(24, 36, 3)")
plt.show()

assert turned.shape == scrambled.shape == (24, 36, 3)
assert torch.equal(turned[12, 18], sun.flatten())
assert torch.equal(scrambled[0, 0], photo[0, 0, :3])  # three reds, no color

# %%
# The reshape took three neighboring reds for the three colors of one pixel.
#
# What happens in memory
# ----------------------
#
# Nothing moves. A photo of four pixels has four reds in memory, then four
# greens, then four blues. With the colors last, a row of the tensor is one
# pixel, and its three numbers are picked from three places, four apart:
#
# .. alt: Above one strip of twelve cells stand three rows, the reds 10 to 13,
#    greens 20 to 23 and blues 30 to 33, and the same as four rows of three,
#    the pixels. Equal colors mark the same place in memory.

tiny = torch.tensor([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]])
pixels = tiny.permute(1, 0)  # (4, 3)
draw_memory({"colors first": tiny, "colors last": pixels})
plt.show()

assert pixels[0].tolist() == [10, 20, 30]
assert pixels.data_ptr() == tiny.data_ptr()
assert pixels.stride() == (1, 4)

# %%
# So a permuted tensor is no longer contiguous. Most operations do not mind.
# ``view`` does: use ``reshape``, or make the copy with
# `torch.Tensor.contiguous`, which lays the numbers out in the new order.

print(images.stride(), images.is_contiguous())
print(colors_last.stride(), colors_last.is_contiguous())
try:
    colors_last.view(2, -1)
except RuntimeError as error:
    print(error)
    assert "view size is not compatible" in str(error)
else:
    raise AssertionError("this view needs a copy")
copied = colors_last.contiguous().view(2, -1)

assert images.stride() == (72, 24, 6, 1) and images.is_contiguous()
assert colors_last.stride() == (72, 6, 1, 24)
assert not colors_last.is_contiguous()
assert copied[0, :6].tolist() == [0, 24, 48, 1, 25, 49]

# %%
# What you learned
# ----------------
#
# ``transpose`` swaps two dimensions, ``.mT`` the last two, and ``permute``
# puts all in the order that you list. They change strides and copy nothing.
# Keep ``.T`` for matrices.
#
# Next: :ref:`squeeze_cat_stack` adds, drops and joins dimensions. For what a
# view is and when it is refused, see :ref:`view_reshape_flatten`. The pictures
# come from `snippets.drawing`.
