r"""
.. _create_by_shape:

Make a tensor of any shape
==========================

How do you get a thousand zeros, the numbers from 0 to 9, or random numbers
that are the same tomorrow? After this page you can fill any shape with a
constant, write ranges that end where you expect, choose between two kinds of
random numbers, and say what a seed covers and what it does not.

.. concepts: T05 T06 T13
"""

import random
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch

from snippets.drawing import PALETTE, draw_tensors

# %%
# The same number everywhere
# --------------------------
#
# Name the shape instead of writing every number. `torch.zeros` and
# `torch.ones` take the sizes one by one or as a tuple, and give floats.
# `torch.full` takes the shape as a tuple, then the number, and takes its dtype
# from that number.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``zeros((2, 3, 4))`` is called a tensor of ones (claim c1-09). The name
#    tells the truth: it holds zeros.
#
# .. alt: Three tensors of two rows and three columns: the first holds zeros,
#    the second ones, the third sevens.

zeros, ones = torch.zeros(2, 3), torch.ones((2, 3))
sevens = torch.full((2, 3), 7)
draw_tensors({"zeros": zeros, "ones": ones, "full of 7": sevens})
plt.show()

assert zeros.tolist() == [[0, 0, 0], [0, 0, 0]]
assert ones.tolist() == [[1, 1, 1], [1, 1, 1]]
assert sevens.tolist() == [[7, 7, 7], [7, 7, 7]]
assert zeros.dtype == ones.dtype == torch.float32
assert sevens.dtype == torch.int64
assert torch.zeros((2, 3, 4)).count_nonzero() == 0

# %%
# `torch.empty` only makes room. Its numbers are whatever was in that memory
# before, so write to every place before you read one:

room = torch.empty(2, 3)
room[0] = 5
room[1] = 6
print(room)

assert room.tolist() == [[5, 5, 5], [6, 6, 6]]

# %%
# As large as another tensor
# --------------------------
#
# Names that end in ``_like`` copy the shape of another tensor, and its dtype
# and device too. That is often what you want, but whole numbers cannot hold a
# half:

counts = torch.tensor([3, 1, 4])
cut = torch.full_like(counts, 0.5)
halves = torch.full_like(counts, 0.5, dtype=torch.float32)
print(cut, halves)

assert (cut.tolist(), cut.dtype) == ([0, 0, 0], torch.int64)
assert halves.tolist() == [0.5, 0.5, 0.5] and halves.dtype == torch.float32

# %%
# Ranges
# ------
#
# `torch.arange` counts like Python's ``range``: the stop is left out. Whole
# numbers give int64, and one float among the arguments gives float32.

five = torch.arange(5)
quarters = torch.arange(0, 1, 0.25)
print(five, quarters)

assert (five.tolist(), five.dtype) == ([0, 1, 2, 3, 4], torch.int64)
assert quarters.tolist() == [0, 0.25, 0.5, 0.75]
assert quarters.dtype == torch.float32

# %%
# A step that floats cannot hold exactly, such as 0.1, can let the stop in
# after all. `torch.linspace` takes the count of numbers instead of the step,
# so the length is never a surprise. It includes both ends.

surprise = torch.arange(1, 1.3, 0.1)  # three numbers expected
as_meant = torch.linspace(1, 1.2, 3)
print(surprise)
print(as_meant)

assert torch.allclose(surprise, torch.tensor([1.0, 1.1, 1.2, 1.3]))
assert torch.allclose(as_meant, torch.tensor([1.0, 1.1, 1.2]))

# %%
# Old code may contain `torch.range`. It still runs, with a warning:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    It is deprecated because its *signature* differs from that of Python's
#    ``range`` (claim c2-02). What differs is the behavior: it includes the
#    stop and gives floats.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old_range = torch.range(0, 4)
print(old_range)
print(caught[0].message)

assert old_range.tolist() == [0, 1, 2, 3, 4]
assert old_range.dtype == torch.float32 and len(caught) == 1
assert "its behavior is inconsistent" in str(caught[0].message)

# %%
# Two kinds of chance
# -------------------
#
# `torch.rand` draws numbers from 0 up to, but not including, 1, each as likely
# as any other. `torch.randn` draws around 0, on both sides, and about two of
# three lie between -1 and 1.
#
# .. alt: Two histograms of 10,000 numbers on the same axes. That of rand is a
#    tall block from 0 to 1. That of randn is a bell around 0, less than half
#    as tall, that fades out near -3 and 3.

torch.manual_seed(0)
flat, bell = torch.rand(10_000), torch.randn(10_000)
bins = torch.linspace(-4, 4, 81).numpy()  # each 0.1 wide
fig, axes = plt.subplots(
    1, 2, figsize=(6, 2.6), sharex=True, sharey=True, layout="constrained"
)
for ax, values, color in zip(axes, (flat, bell), PALETTE, strict=False):
    ax.hist(values.numpy(), bins, color=color)
    ax.set(xlabel="value", xticks=range(-4, 5, 2))
axes[0].set(title="rand", ylabel="how many")
axes[1].set(title="randn")
plt.show()

assert flat.min() >= 0 and flat.max() < 1 and abs(flat.mean() - 0.5) < 0.02
assert abs(bell.mean()) < 0.05 and abs(bell.std() - 1) < 0.05
assert abs((bell.abs() < 1).float().mean() - 0.683) < 0.02

# %%
# The same numbers again
# ----------------------
#
# `torch.manual_seed` sets where the sequence of random numbers starts. The
# same seed starts the same sequence. Each draw moves on in it.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Four equal sums and a network's result of 28.92 come from random numbers
#    without a seed (claims c0-12, c0-77). Nobody can get these numbers again.

torch.manual_seed(42)
first, second = torch.rand(3), torch.rand(3)
torch.manual_seed(42)
again = torch.rand(3)
print("the next draw is the same?", torch.equal(first, second))
print("and after the same seed?", torch.equal(first, again))

assert not torch.equal(first, second)
assert torch.equal(first, again)

# %%
# What a seed does not cover
# --------------------------
#
# The seed is for PyTorch alone. NumPy and Python's ``random`` have their own,
# so a script that uses all three needs three seeds. Nor is it a promise that
# other releases of PyTorch or other machines draw the same.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``manual_seed(42)`` seeds both the CPU and the GPU (claim c2-38). The
#    documentation agrees, and warns that the two may still differ.


def one_of_each():
    """Seed PyTorch, then draw from torch, Python and NumPy."""
    torch.manual_seed(42)
    return torch.rand(1).item(), random.random(), np.random.random()


same = [a == b for a, b in zip(one_of_each(), one_of_each(), strict=True)]
print("torch, random and numpy the same?", *same)

assert same == [True, False, False]
assert torch.initial_seed() == 42

# %%
# A sequence of your own
# ----------------------
#
# All code that draws from the common sequence moves it on, so one draw more
# changes all that follow. A `torch.Generator` has a sequence of its own:

generator = torch.Generator().manual_seed(0)
undisturbed = torch.rand(4, generator=generator)
generator.manual_seed(0)
left = torch.rand(2, generator=generator)
torch.rand(100)  # from the common sequence
right = torch.rand(2, generator=generator)
same = undisturbed.tolist() == left.tolist() + right.tolist()
print("the generator went on where it was?", same)

assert same

# %%
# What you learned
# ----------------
#
# A shape and a function's name make a tensor. ``arange`` leaves the stop out,
# and ``linspace`` takes a count. Seed PyTorch to get the same numbers again,
# and pass a generator where other draws must not interfere.
#
# Next: :ref:`inspect_and_print` asks a tensor about itself. For dtypes see
# :ref:`dtypes`. The first picture comes from `snippets.drawing`.
