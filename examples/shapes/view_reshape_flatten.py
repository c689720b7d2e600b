r"""
.. _view_reshape_flatten:

view, reshape, flatten: give the same numbers a new shape
=========================================================

What is the difference between ``view`` and ``reshape``, and which of them
should you write? After this page you can change the shape of a tensor, leave
one size to PyTorch, tell a reshape from a transpose, and flatten a batch
without mixing up its samples.

.. concepts: S01 S02 S08
.. claims: c0-21 c1-11 c1-63 c1-66
"""

import torch

from snippets.drawing import draw_memory, draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Both return the same numbers in a new shape, and both keep their order.
# `torch.Tensor.view` never copies: it raises an error where a copy would be
# needed. `torch.Tensor.reshape` copies only where it must. Write ``reshape``
# when you just want the shape, and ``view`` when the result must share its
# memory with the original. `torch.Tensor.flatten` turns several dimensions
# into one.

line = torch.arange(6)
print(line.view(2, 3))  # (6,) -> (2, 3)
print(line.reshape(3, -1))  # -1 means "whatever is left": (6,) -> (3, 2)

images = torch.zeros(10, 3, 8, 8)  # (image, color, row, column)
print(images.flatten(start_dim=1).shape)  # (10, 3, 8, 8) -> (10, 192)

assert line.view(2, 3).tolist() == [[0, 1, 2], [3, 4, 5]]
assert line.reshape(3, -1).tolist() == [[0, 1], [2, 3], [4, 5]]
assert line.reshape(3, -1).data_ptr() == line.data_ptr()
assert images.flatten(start_dim=1).shape == (10, 192)

# %%
# A view shares its memory
# ------------------------
#
# In memory, the numbers of a tensor stand in one long line. The shape says how
# to cut the line into rows. A view cuts it in another way and leaves the
# numbers where they are, so a 40 written into ``grid`` is in ``line`` too:

line = torch.arange(8)
grid = line.view(2, 4)  # (8,) -> (2, 4)
grid[1, 0] = 40
print(grid)
print(line)

assert grid.tolist() == [[0, 1, 2, 3], [40, 5, 6, 7]]
assert line.tolist() == [0, 1, 2, 3, 40, 5, 6, 7]

# %%
# Equal colors mark the same place in memory.
#
# .. alt: A row of eight numbers and two rows of four stand above one strip of
#    memory. Equal colors mark equal places; all three show the 40.
# .. fold: picture

draw_memory({"line": line, "grid": grid})
show_pictures()

assert grid.data_ptr() == line.data_ptr()

# %%
# Leave one size to PyTorch
# -------------------------
#
# One of the sizes may be -1: PyTorch works it out from the others. To take
# over the shape of another tensor, pass its ``shape``.

print(line.view(-1, 2))  # 8 numbers in rows of 2: (4, 2)

other = torch.zeros(2, 2, 2)
print(line.view(other.shape))

assert line.view(-1, 2).tolist() == [[0, 1], [2, 3], [40, 5], [6, 7]]
assert line.view(other.shape).tolist() == [
    [[0, 1], [2, 3]],
    [[40, 5], [6, 7]],
]

# %%
# A new shape must use every number and invent none. Two rows of five would
# need ten numbers:

with show_error("shape '[2, 5]' is invalid for input of size 8"):
    line.view(2, 5)

assert line.numel() == 8

# %%
# A reshape is not a transpose
# ----------------------------
#
# Two students, one row each, took three exams. You want one row for each exam,
# shape (3, 2), to compute the mean of each exam. ``reshape`` gives that shape
# and no error, but the wrong means:

# (student, exam)
scores = torch.tensor([[11.0, 12.0, 13.0], [21.0, 22.0, 23.0]])
scrambled = scores.reshape(3, 2)
turned = scores.T  # swaps rows and columns: (2, 3) -> (3, 2)

print("reshaped:  ", scrambled.mean(dim=1))
print("transposed:", turned.mean(dim=1))

assert scrambled.mean(dim=1).tolist() == [11.5, 17, 22.5]
assert turned.mean(dim=1).tolist() == [16, 17, 18]
assert torch.equal(turned.mean(dim=1), scores.mean(dim=0))

# %%
# One student is blue and the other orange. ``reshape`` reads row by row and
# writes row by row, so the second exam gets two scores that belong to
# different exams. To swap what the dimensions *mean*, transpose.
#
# .. alt: Scores with a blue row 11, 12, 13 and an orange row 21, 22, 23. After
#    reshape, 13 and 21 share a row. After the transpose, the first column is
#    all blue and the second all orange.
# .. fold: picture

student = torch.tensor([[0, 0, 0], [1, 1, 1]])
draw_tensors(
    {"scores": scores, "reshape(3, 2)": scrambled, "scores.T": turned},
    groups=[student, student.reshape(3, 2), student.T],
)
show_pictures()

assert scrambled.tolist() == [[11, 12], [13, 21], [22, 23]]
assert turned.tolist() == [[11, 21], [12, 22], [13, 23]]

# %%
# Flatten, but keep the batch
# ---------------------------
#
# A network often wants one row of numbers for each image. ``flatten`` starts
# at dimension 0 unless told otherwise, and makes one row of all the images.
# The layer `torch.nn.Flatten`, which networks use for this, starts at
# dimension 1. (There is no ``nn.flatten``: its F is a capital letter.)

images = torch.arange(90.0).view(3, 5, 6)  # three images of 5 × 6 pixels
print("from 0:", images.flatten().shape)  # (3, 5, 6) -> (90,)
print("from 1:", images.flatten(start_dim=1).shape)  # -> (3, 30)

assert images.flatten().shape == (90,)
assert images.flatten(start_dim=1).shape == (3, 30)
assert torch.equal(torch.nn.Flatten()(images), images.flatten(start_dim=1))
assert not hasattr(torch.nn, "flatten")

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``flatten()``, ``view(-1)`` and ``reshape(-1)`` swallow the batch. The
#    program runs on, and gives one answer for all the images together.
#
# A network multiplies images by weights. Somebody made these weights for the
# 90 numbers of all three images. Three images go in, one row of two answers
# comes out, and when the last image turns black, both answers change:

torch.manual_seed(0)
weights = torch.rand(90, 2)
images = torch.rand(3, 5, 6)
one_black = images.clone()
one_black[2] = 0

print(images.flatten() @ weights)  # (90,) @ (90, 2) -> (2,)
print(one_black.flatten() @ weights)

assert (images.flatten() @ weights).shape == (2,)
assert torch.equal(images.view(-1), images.flatten())
assert torch.equal(images.reshape(-1), images.flatten())
change = images.flatten() @ weights - one_black.flatten() @ weights
assert torch.allclose(change, images[2].flatten() @ weights[60:])
assert (change > 1).all()

# %%
# The error comes late, with the first batch of another size:

with show_error("shapes cannot be multiplied (1x60 and 90x2)"):
    images[:2].flatten() @ weights

assert images[:2].flatten().shape == (60,)

# %%
# Keep dimension 0, and count the numbers of *one* image. Now any batch fits,
# and each image has its own row of answers.

weights = torch.rand(30, 2)
print(images.flatten(start_dim=1) @ weights)  # (3, 30) @ (30, 2) -> (3, 2)
print(one_black.flatten(start_dim=1) @ weights)

assert (images.flatten(start_dim=1) @ weights).shape == (3, 2)
assert (images[:2].flatten(start_dim=1) @ weights).shape == (2, 2)
answers = images.flatten(start_dim=1) @ weights
for i in range(3):
    assert torch.allclose(answers[i], images[i].flatten() @ weights)
darker = one_black.flatten(start_dim=1) @ weights
assert torch.allclose(darker[:2], answers[:2])
assert darker[2].tolist() == [0, 0]

# %%
# With ``view``, give the -1 to the pixels. If you give it to the batch, larger
# images silently become more images:

large = torch.zeros(3, 10, 6)  # three images of 60 pixels
print("wrong:", large.view(-1, 30).shape)  # six rows, but three images
print("right:", large.view(len(large), -1).shape)

assert large.view(-1, 30).shape == (6, 30)
assert large.view(len(large), -1).shape == (3, 60)

# %%
# Look closer: why ``view`` refuses
# ---------------------------------
#
# A *stride* says how far apart in memory the neighbors of a dimension are. In
# ``scores``, the next row is 3 places on, the next column 1. A transpose moves
# no number: it swaps the strides. Read row by row, ``turned`` now jumps back
# and forth: it is not *contiguous*.

print("scores:", scores.stride(), scores.is_contiguous())
print("turned:", turned.stride(), turned.is_contiguous())

assert scores.stride() == (3, 1) and scores.is_contiguous()
assert turned.stride() == (1, 3) and not turned.is_contiguous()
assert turned.data_ptr() == scores.data_ptr()

# %%
# No single stride leads from 11 to 21 to 12, so ``turned`` cannot be viewed as
# one line. The message names the way out:

with show_error("view size is not compatible", "Use .reshape(...) instead"):
    turned.view(6)

flat = turned.reshape(6)  # (3, 2) -> (6,), a copy
print(flat)

assert flat.tolist() == [11, 21, 12, 22, 13, 23]
assert torch.equal(flat, turned.contiguous().view(6))

# %%
# ``turned`` reads the memory of ``scores``. The reshaped line is a copy, with
# memory of its own.
#
# .. alt: Above one strip of memory, 11, 12, 13, 21, 22, 23, stand scores and
#    its transpose. Below, the reshaped line 11, 21, 12, 22, 13, 23 has a strip
#    of its own, in that order.
# .. fold: picture

draw_memory({"scores": scores, "turned": turned, "turned.reshape(6)": flat})
show_pictures()

assert flat.data_ptr() != turned.data_ptr()
assert scores.reshape(6).data_ptr() == scores.data_ptr()

# %%
# Try it
# ------
#
# .. exercise:: The mean of each week
#
#    ``daily`` holds one number for each day, shape (N,). Write
#    ``weekly_means(daily)``, which returns the mean of each week, without a
#    loop. Days that are left over at the end and fill no week are dropped.
#
#    .. hint:: How many days make up whole weeks? Slice first, then put each
#       week in a row of its own.


def weekly_means(daily):
    """Return the mean of each whole week of ``daily``, (N,) -> (N // 7,)."""
    weeks = len(daily) // 7
    return daily[: weeks * 7].reshape(weeks, 7).mean(dim=1)


three_weeks = torch.arange(21.0)
means = weekly_means(three_weeks)
assert means.shape == (3,), "21 days are three weeks: one mean for each week"
assert means.tolist() == [3, 10, 17], "each mean takes seven days in a row"
assert weekly_means(torch.arange(17.0)).tolist() == [3, 10], (
    "17 days are two weeks, and the last three days are dropped"
)

# %%
# .. exercise:: Take its own mean from each image
#
#    ``images`` has shape (N, C, H, W). Write ``center(images)``, which
#    subtracts from each image the mean of all its own numbers.
#
#    .. hint:: Flatten each image to compute its mean. Then give the N means a
#       shape that broadcasts against (N, C, H, W).


def center(images):
    """Return the images (N, C, H, W), each with a mean of 0."""
    means = images.flatten(start_dim=1).mean(dim=1)  # (N,)
    return images - means.view(-1, 1, 1, 1)


dark_and_light = torch.tensor([1.0, 5.0]).view(2, 1, 1, 1)
batch = dark_and_light + torch.tensor([[0.0, 2.0], [0.0, 2.0]])  # (2, 1, 2, 2)
centered = center(batch)
assert centered.shape == batch.shape, "the shape stays (N, C, H, W)"
assert centered[0, 0].tolist() == [[-1, 1], [-1, 1]], (
    "the first image, 1 and 3, loses its own mean of 2"
)
assert centered[1, 0].tolist() == [[-1, 1], [-1, 1]], (
    "the second image, 5 and 7, loses its own mean of 6"
)
assert center(torch.ones(4, 3, 5, 6)).abs().max() == 0, (
    "one mean for each image, whatever N, C, H and W are"
)

# %%
# What you learned
# ----------------
#
# ``view`` shares memory or fails, ``reshape`` copies where it must, and both
# keep the order of the numbers. Neither is a transpose. Flatten a batch from
# dimension 1 on.
#
# Next: :ref:`transpose_permute` swaps dimensions, :ref:`squeeze_cat_stack`
# adds and drops dimensions of size 1.
