r"""
.. _repeat_expand_split:

repeat, expand, split, chunk: repeat a tensor, cut it into pieces
=================================================================

Do you need three copies of a row, or only a tensor that looks as if there were
three? After this page you can choose between ``repeat`` and ``expand``, know
what writing into an expanded tensor does, keep samples and labels together
when you repeat them, and cut a tensor into pieces of the sizes that you want.

.. concepts: A25
"""

import torch

from snippets.drawing import draw_memory, draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# `torch.Tensor.repeat` copies. You say how *often*, for each dimension.
# `torch.Tensor.expand` stretches a dimension of size 1 without a copy. You say
# the *sizes* of the result. `torch.Tensor.split` cuts a tensor into pieces of
# a given size, `torch.Tensor.chunk` into a given number of pieces.

row = torch.tensor([[1, 2, 3]])
print(row.repeat(2, 1))  # twice down, once across: (1, 3) -> (2, 3)
print(row.expand(2, 3))  # the same numbers, no copy: (1, 3) -> (2, 3)

line = torch.arange(6)
print(line.split(2))  # pieces of 2
print(line.chunk(2))  # 2 pieces

assert row.repeat(2, 1).tolist() == [[1, 2, 3], [1, 2, 3]]
assert row.expand(2, 3).tolist() == [[1, 2, 3], [1, 2, 3]]
assert row.expand(2, 3).data_ptr() == row.data_ptr()
assert [piece.tolist() for piece in line.split(2)] == [[0, 1], [2, 3], [4, 5]]
assert [piece.tolist() for piece in line.chunk(2)] == [[0, 1, 2], [3, 4, 5]]

# %%
# expand reads the same memory again
# ----------------------------------
#
# The *storage* of a tensor is the memory behind it. All three rows of the
# expanded tensor are one row in memory: three numbers of 8 bytes. The repeated
# tensor has nine numbers of its own.

expanded = row.expand(3, 3)
repeated = row.repeat(3, 1)
print("expanded:", expanded.untyped_storage().nbytes(), "bytes")
print("repeated:", repeated.untyped_storage().nbytes(), "bytes")

assert expanded.untyped_storage().nbytes() == 3 * 8
assert repeated.untyped_storage().nbytes() == 9 * 8

# %%
# Equal colors mark the same place in memory.
#
# .. alt: The row of 1, 2, 3 and three equal rows stand above one strip of
#    three cells. The three repeated rows have a strip of nine cells.
# .. fold: picture

draw_memory({"row": row, "expanded": expanded, "repeated": repeated})
show_pictures()

assert repeated.data_ptr() != row.data_ptr()

# %%
# In ``expand``, a -1 leaves a size as it is, and new dimensions come in front.
# Only a size of 1 can be stretched. ``repeat`` repeats any size:

print(row.expand(4, -1).shape)  # (1, 3) -> (4, 3)
print(row.expand(2, 4, 3).shape)  # (1, 3) -> (2, 4, 3)

with show_error("must match the existing size (3)"):
    row.expand(2, 6)

print(row.repeat(2, 2))  # (1, 3) -> (2, 6)

assert row.expand(4, -1).shape == (4, 3)
assert row.expand(2, 4, 3).shape == (2, 4, 3)
assert row.repeat(2, 2).tolist() == 2 * [[1, 2, 3, 1, 2, 3]]

# %%
# Arithmetic seldom needs either, because broadcasting stretches by itself.
# Functions that want equal sizes do need them, such as ``cat``. Here each
# sequence of a batch gets the same first row:

sequences = torch.arange(12).view(2, 3, 2)  # two sequences of three rows
start = torch.tensor([-1, -2])
starts = start.expand(2, 1, 2)  # (2,) -> (2, 1, 2)
print(torch.cat([starts, sequences], dim=1))  # -> (2, 4, 2)

assert torch.cat([starts, sequences], dim=1).tolist() == [
    [[-1, -2], [0, 1], [2, 3], [4, 5]],
    [[-1, -2], [6, 7], [8, 9], [10, 11]],
]

# %%
# Writing into an expanded tensor
# -------------------------------
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    You expand a row to a table and then set one number of the table. It
#    changes in every row, and in the original too. Before you write, use
#    ``repeat``, or ``expand(...).clone()``.

row = torch.tensor([[1, 2, 3]])
table = row.expand(3, 3)
table[0, 0] = 90
print(table)
print(row)

own = row.expand(3, 3).clone()
own[0, 1] = 70
print(own)

assert table.tolist() == 3 * [[90, 2, 3]]
assert row.tolist() == [[90, 2, 3]]
assert own.tolist() == [[90, 70, 3], [90, 2, 3], [90, 2, 3]]

# %%
# PyTorch refuses arithmetic in place on the whole table, and its message names
# the way out. But do not count on this: a single number was written without a
# word.

with show_error("more than one element of the written-to tensor", "clone()"):
    table += 1

assert row.tolist() == [[90, 2, 3]]

# %%
# Repeat each element: repeat_interleave
# --------------------------------------
#
# ``repeat`` puts the whole tensor after itself.
# `torch.Tensor.repeat_interleave` repeats each element where it stands. (In
# NumPy, the first is called ``tile``, and the second ``repeat``.)

labels = torch.tensor([0, 1, 2])
print("repeat:           ", labels.repeat(2))  # (3,) -> (6,)
print("repeat_interleave:", labels.repeat_interleave(2))  # (3,) -> (6,)

assert labels.repeat(2).tolist() == [0, 1, 2, 0, 1, 2]
assert labels.repeat_interleave(2).tolist() == [0, 0, 1, 1, 2, 2]
assert labels.tile(2).tolist() == labels.repeat(2).tolist()
assert labels.numpy().repeat(2).tolist() == [0, 0, 1, 1, 2, 2]

# %%
# A silent mistake is to repeat samples in one way and their labels in the
# other. Each label has a color here, and each sample the color of its label.
# With ``repeat``, four of the six labels stand beside the wrong sample.
#
# .. alt: Samples 0, 0, 10, 10, 20, 20 in three colors, two of each. The
#    repeated labels 0, 1, 2, 0, 1, 2 beside them have other colors in four
#    rows; the interleaved labels 0, 0, 1, 1, 2, 2 have the same.
# .. fold: picture

samples = torch.tensor([[0], [10], [20]]).repeat_interleave(2, dim=0)
wrong = labels.repeat(2)[:, None]
right = labels.repeat_interleave(2)[:, None]
draw_tensors(
    {"samples": samples, "repeat": wrong, "interleave": right},
    groups=[samples // 10, wrong, right],
)
show_pictures()

assert samples.flatten().tolist() == [0, 0, 10, 10, 20, 20]
assert (wrong != samples // 10).sum() == 4
assert torch.equal(right, samples // 10)

# %%
# Cut into pieces: split and chunk
# --------------------------------
#
# ``split`` takes the size of a piece; the last piece may be smaller. It also
# takes a list of sizes, which must add up.

numbers = torch.arange(10)
print(numbers.split(4))  # 4, 4 and the 2 that are left
print(numbers.split([6, 2, 2]))

with show_error("expects split_sizes to sum exactly to 10"):
    numbers.split([6, 2, 1])

assert [len(piece) for piece in numbers.split(4)] == [4, 4, 2]
assert [len(piece) for piece in numbers.split([6, 2, 2])] == [6, 2, 2]
assert torch.equal(torch.cat(numbers.split(4)), numbers)
assert torch.equal(torch.cat(numbers.split([6, 2, 2])), numbers)

# %%
# Like ``cat``, they cut along dimension 0 unless you name another:

table = torch.arange(12).view(2, 6)
left, right = table.split([4, 2], dim=1)
print(left)  # (2, 4)
print(right)  # (2, 2)

assert left.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
assert right.tolist() == [[4, 5], [10, 11]]

# %%
# ``chunk`` rounds the size of a piece up, so it may return fewer pieces than
# you asked for: 9 numbers in four pieces are three each, and nothing is left
# for the fourth. `torch.Tensor.tensor_split` returns as many as you ask for.

nine = torch.arange(9)
print("chunk:", nine.chunk(4))  # three pieces
print("tensor_split:", nine.tensor_split(4))  # four pieces

with show_error("not enough values to unpack (expected 4, got 3)"):
    first, second, third, fourth = nine.chunk(4)

assert [len(piece) for piece in nine.chunk(4)] == [3, 3, 3]
assert [len(piece) for piece in nine.tensor_split(4)] == [3, 2, 2, 2]
assert torch.equal(torch.cat(nine.chunk(4)), nine)
assert torch.equal(torch.cat(nine.tensor_split(4)), nine)

# %%
# `torch.Tensor.unbind` takes a tensor apart along a dimension and drops that
# dimension. It is the reverse of ``stack``.

points = torch.tensor([[0, 1], [2, 3], [4, 5]])  # (point, coordinate)
x, y = points.unbind(dim=1)  # (3, 2) -> two of (3,)
print(x)
print(y)

assert x.tolist() == [0, 2, 4]
assert y.tolist() == [1, 3, 5]
assert torch.equal(torch.stack([x, y], dim=1), points)

# %%
# Pieces are views
# ----------------
#
# All of these return views. A number written into a piece is in the whole:

whole = torch.arange(6)
first, second = whole.chunk(2)
second[0] = 30
print(whole)

assert whole.tolist() == [0, 1, 2, 30, 4, 5]
assert first.tolist() == [0, 1, 2]
assert nine.split(4)[0].data_ptr() == nine.data_ptr()
assert nine.tensor_split(4)[0].data_ptr() == nine.data_ptr()
assert points.unbind()[0].data_ptr() == points.data_ptr()
assert nine.chunk(4)[0].data_ptr() == nine.data_ptr()

# %%
# Each piece is a part of the same memory.
#
# .. alt: The line 0, 1, 2, 30, 4, 5 and its pieces 0, 1, 2 and 30, 4, 5 stand
#    above one strip of memory.
# .. fold: picture

draw_memory({"whole": whole, "first": first, "second": second})
show_pictures()

assert first.data_ptr() == whole.data_ptr()

# %%
# Look closer: a stride of 0
# --------------------------
#
# How can three rows be one? The stride of the expanded dimension is 0: the
# next row begins 0 places further on in memory. Broadcasting does the same.

print("expanded:", expanded.stride())
print("repeated:", repeated.stride())

assert expanded.stride() == (0, 1)
assert repeated.stride() == (3, 1)
broadcast, _ = torch.broadcast_tensors(row, torch.zeros(3, 1))
assert broadcast.stride() == (0, 1)

# %%
# Try it
# ------
#
# .. exercise:: Several copies of each sample
#
#    To train on noisy copies, you need each sample several times, with its
#    label. Write ``multiply(samples, labels, times)``, which returns both:
#    each sample ``times`` times in a row, and its label as often.
#
#    .. hint:: Both have to come in the same order. Name the dimension of the
#       samples: without it, ``repeat_interleave`` flattens.


def multiply(samples, labels, times):
    """Return samples (N, ...) and labels (N,), each ``times`` times."""
    more_samples = samples.repeat_interleave(times, dim=0)
    more_labels = labels.repeat_interleave(times)
    return more_samples, more_labels


few = torch.tensor([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
few_labels = torch.tensor([0, 1, 2])
many, many_labels = multiply(few, few_labels, 4)
assert many.shape == (12, 2), "three samples of 2, four times: (12, 2)"
assert many_labels.shape == (12,), "one label for each of the 12 samples"
assert many[:5, 0].tolist() == [0, 0, 0, 0, 1], (
    "the first sample comes four times in a row, then the second"
)
assert torch.equal(many[:, 0].long(), many_labels), (
    "each sample stands at the place of its own label"
)
assert torch.equal(many[::4], few), "no sample is changed"

# %%
# .. exercise:: Training, validation and test data
#
#    The samples are shuffled already. Write ``three_parts(samples)``, which
#    cuts them into three: one tenth for validation and one tenth for the test,
#    each rounded down, and all others for training, which come first.
#
#    .. hint:: The sizes must add up for any number of samples. Which of the
#       three is best computed last?


def three_parts(samples):
    """Return the training, validation and test part of samples (N, ...)."""
    tenth = len(samples) // 10
    return samples.split([len(samples) - 2 * tenth, tenth, tenth])


data = torch.arange(58).view(29, 2)
training, validation, test = three_parts(data)
assert len(validation) == 2, "a tenth of 29 samples, rounded down, is 2"
assert len(test) == 2, "the test part is as large as the validation part"
assert len(training) == 25, "all the others are for training"
assert torch.equal(torch.cat([training, validation, test]), data), (
    "each sample is in one part, in order: training, validation, test"
)

# %%
# What you learned
# ----------------
#
# ``repeat`` copies and takes counts; ``expand`` stretches without a copy and
# takes sizes. Never write into an expanded tensor. ``split``, ``chunk`` and
# ``unbind`` return views, and ``chunk`` may return fewer than you asked for.
#
# Next: :ref:`numpy_bridge` takes tensors to NumPy and back. To put pieces
# together again, see :ref:`squeeze_cat_stack`.
