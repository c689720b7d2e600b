r"""
.. _view_reshape_flatten:

Give the same numbers a new shape
=================================

Eight numbers in a row, and a layer that wants two rows of four: do you need
a new tensor, or just another look at the old one? After this page you can
change shapes with ``view`` and ``reshape``, tell a reshape from a transpose,
read the error when a shape is refused, and flatten a batch without mixing up
its samples.

.. concepts: S01 S02 S08
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import draw_memory, draw_tensors

# %%
# A view is another look at the same memory
# -----------------------------------------
#
# In memory, the numbers of a tensor stand in one long line. The shape says how
# to cut it into rows. `torch.Tensor.view` cuts it in another way and leaves
# the numbers where they are. A 40 written through ``grid`` is in ``line`` too:
#
# .. alt: A row of eight numbers and two rows of four stand above one strip of
#    memory. Equal colors mark equal places; all three show the 40.

line = torch.arange(8)
grid = line.view(2, 4)
grid[1, 0] = 40
draw_memory({"line": line, "grid": grid})
plt.show()

assert grid.tolist() == [[0, 1, 2, 3], [40, 5, 6, 7]]
assert line.tolist() == [0, 1, 2, 3, 40, 5, 6, 7]
assert grid.data_ptr() == line.data_ptr()

# %%
# Leave one size to PyTorch
# -------------------------
#
# One of the sizes may be -1: "whatever is left". To borrow the shape of
# another tensor, pass its ``shape``, or use `torch.Tensor.view_as`.

pairs = line.view(-1, 2)  # 8 elements / 2 = 4 rows
other = torch.zeros(2, 2, 2)
blocks = line.view(other.shape)
print(tuple(pairs.shape), tuple(blocks.shape))

assert pairs.shape == (4, 2) and blocks.shape == (2, 2, 2)
assert torch.equal(blocks, line.view_as(other))

# %%
# A new shape has to use every element and invent none. Ten places for eight
# numbers, rows of five, and two unknown sizes are all refused:

refusals = []
for shape in [(2, 5), (-1, 5), (-1, -1)]:
    try:
        line.view(shape)
    except RuntimeError as error:
        refusals.append(str(error))
    else:
        raise AssertionError(f"{shape} must be refused")
print("\n".join(refusals))

assert refusals[0] == "shape '[2, 5]' is invalid for input of size 8"
assert refusals[1] == "shape '[-1, 5]' is invalid for input of size 8"
assert refusals[2] == "only one dimension can be inferred"

# %%
# A reshape is not a transpose
# ----------------------------
#
# Two students, one row each, sat three exams. You want one row for each exam,
# shape (3, 2). `torch.Tensor.reshape` gives that shape, with four of the six
# numbers in the wrong place, and no error. Colors tell the students apart:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``reshape`` is shown on zeros only (claim c1-11). They cannot show that
#    the numbers keep their reading order.
#
# .. alt: Scores with a blue row 11, 12, 13 and an orange row 21, 22, 23. After
#    reshape, 13 and 21 share a row. After the transpose, the first column is
#    all blue and the second all orange.

scores = torch.tensor([[11, 12, 13], [21, 22, 23]])  # (student, exam)
student = torch.tensor([[0, 0, 0], [1, 1, 1]])
scrambled, turned = scores.reshape(3, 2), scores.T
draw_tensors(
    {"scores": scores, "reshape(3, 2)": scrambled, "T": turned},
    groups=[student, student.reshape(3, 2), student.T],
)
plt.show()

assert scrambled.tolist() == [[11, 12], [13, 21], [22, 23]]
assert turned.tolist() == [[11, 21], [12, 22], [13, 23]]
assert (scrambled != turned).sum() == 4

# %%
# A reshape reads row by row and writes row by row. To swap what the dimensions
# *mean*, transpose.
#
# When a view is refused
# ----------------------
#
# Strides say how far apart in memory neighbors are. In ``scores``, the next
# row is 3 places on and the next column 1. The transpose moves no number: it
# swaps the strides. Read row by row, it jumps around in memory: it is no
# longer *contiguous*. No single step leads from 11 to 21 to 12, so it cannot
# be viewed as one line.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``view`` changes dimensions, with no condition (claim c0-21). There is
#    one: it never copies, so the strides must allow the new shape.

print(scores.stride(), scores.is_contiguous())
print(turned.stride(), turned.is_contiguous())
try:
    turned.view(6)
except RuntimeError as error:
    print(error)
    assert "view size is not compatible" in str(error)
    assert "Use .reshape(...) instead" in str(error)
else:
    raise AssertionError("a transpose cannot be viewed as one line")

assert scores.stride() == (3, 1) and scores.is_contiguous()
assert turned.stride() == (1, 3) and not turned.is_contiguous()

# %%
# ``reshape`` returns a view where it can and a copy where it must. Here it
# must, and the copy has a strip of memory of its own:
#
# .. alt: Above one strip of memory, 11, 12, 13, 21, 22, 23, stand scores and
#    its transpose. Below, the reshaped line 11, 21, 12, 22, 13, 23 has a strip
#    of its own, in that order.

flat = turned.reshape(6)
draw_memory({"scores": scores, "turned": turned, "turned.reshape(6)": flat})
plt.show()

assert flat.tolist() == [11, 21, 12, 22, 13, 23]
assert torch.equal(flat, turned.contiguous().view(6))  # the copy, spelled out
assert flat.data_ptr() != turned.data_ptr()  # a copy
assert scores.reshape(6).data_ptr() == scores.data_ptr()  # a view

# %%
# Flatten, but keep the batch
# ---------------------------
#
# A linear layer wants one row of numbers for each sample. The function
# `torch.flatten` starts at dimension 0 unless told otherwise, and swallows the
# batch. The layer `torch.nn.Flatten` starts at dimension 1.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Layers are called ``nn.flatten()`` and ``nn.maxpool()`` (claim c1-63).
#    They are `torch.nn.Flatten` and `torch.nn.MaxPool2d`.

images = torch.arange(90).view(3, 1, 5, 6)  # 3 samples of 1 * 5 * 6
everything = torch.flatten(images)
rows = torch.flatten(images, start_dim=1)
print(tuple(everything.shape), tuple(rows.shape))

assert everything.shape == (90,) and rows.shape == (3, 30)
assert torch.equal(rows, nn.Flatten()(images))
assert torch.equal(rows, images.view(images.size(0), -1))
assert not hasattr(nn, "flatten") and not hasattr(nn, "maxpool")

# %%
# The batch that went missing
# ---------------------------
#
# `torch.nn.Sequential` calls layers one after the other. The first here, a
# *convolution*, turns each image into two smaller ones. Then this network
# flattens all three images together. It runs, and its answer has shape (4,)
# where (3, 4) is due. Blank out one image, and the one answer changes: it
# mixes all three.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A network does the same: its last layer counts the samples among its
#    inputs (claim c1-66).

torch.manual_seed(0)
images = torch.rand(3, 1, 5, 6)
wrong = nn.Sequential(
    nn.Conv2d(1, 2, kernel_size=3),  # (3, 2, 3, 4)
    nn.Flatten(start_dim=0),  # (72,): the batch is gone
    nn.Linear(3 * 2 * 3 * 4, 4),
)
print(tuple(wrong(images).shape))

one_blank = images.clone()
one_blank[2] = 0
assert wrong(images).shape == (4,)
assert not torch.allclose(wrong(one_blank), wrong(images))

# %%
# The accident shows when a batch has another size, often the last one:

try:
    wrong(images[:2])
except RuntimeError as error:
    print(error)
    assert "shapes cannot be multiplied (1x48 and 72x4)" in str(error)
else:
    raise AssertionError("two samples must not fit")

# %%
# The cure: keep dimension 0, and count the numbers of *one* sample. Any batch
# fits, and no sample changes another's answer.

right = nn.Sequential(wrong[0], nn.Flatten(), nn.Linear(2 * 3 * 4, 4))
three, two = right(images), right(images[:2])
print(tuple(three.shape), tuple(two.shape))

assert three.shape == (3, 4) and two.shape == (2, 4)
assert torch.allclose(right(one_blank)[:2], three[:2])

# %%
# What you learned
# ----------------
#
# ``view`` never copies, and is refused where the strides do not allow the new
# shape. ``reshape`` copies when it must. Both keep the reading order. In a
# network, flatten from dimension 1 on.
#
# Next: :ref:`transpose_permute` swaps and reorders dimensions. To add or drop
# a dimension of size 1, see :ref:`squeeze_cat_stack`. The pictures come from
# `snippets.drawing`.
