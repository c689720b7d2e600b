r"""
.. _create_by_shape:

zeros, ones, arange, rand: create a tensor of any shape
=======================================================

How do you get a table of zeros, the numbers from 0 to 9, or random numbers
that are the same tomorrow? After this page you can fill any shape with a
constant, write ranges that end where you expect, draw random numbers of four
kinds, and repeat them with a seed.

.. concepts: T05 T06 T13
.. claims: c0-12 c0-77 c1-09 c2-02 c2-38
"""

import random
import warnings

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_tensors, show_pictures

# %%
# The short answer
# ----------------
#
# Most functions here are named after what they fill a tensor with, and you
# give them the shape. ``arange`` counts, and stops before the number that you
# give.

print(torch.zeros(2, 3))  # 2 rows, 3 columns
print(torch.full((2, 3), 7))
print(torch.arange(5))  # 0 to 4

torch.manual_seed(0)  # the same random numbers in each run
print(torch.rand(2, 3))  # from 0 up to 1

assert torch.zeros(2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
assert torch.full((2, 3), 7).tolist() == [[7, 7, 7], [7, 7, 7]]
assert torch.arange(5).tolist() == [0, 1, 2, 3, 4]
torch.manual_seed(0)
drawn = torch.rand(2, 3)
torch.manual_seed(0)
assert torch.equal(drawn, torch.rand(2, 3))
assert drawn.shape == (2, 3)
assert drawn.min() >= 0
assert drawn.max() < 1

# %%
# The same number everywhere
# --------------------------
#
# `torch.zeros` and `torch.ones` make float32. They take the sizes one by one,
# or all in a tuple. `torch.full` needs the tuple, because the number follows
# it, and takes its dtype from that number. All of them take ``dtype=``, too.

zeros = torch.zeros(2, 3)
ones = torch.ones((2, 3))
sevens = torch.full((2, 3), 7)
flags = torch.zeros(4, dtype=torch.bool)

print(zeros.dtype, ones.dtype, sevens.dtype)
print(flags)

assert zeros.dtype == torch.float32
assert ones.dtype == torch.float32
assert sevens.dtype == torch.int64
assert torch.full((2, 3), 7.0).dtype == torch.float32
assert torch.full((2, 3), 7, dtype=torch.float32).dtype == torch.float32
assert torch.ones(2, dtype=torch.int64).dtype == torch.int64
assert flags.tolist() == [False, False, False, False]
assert torch.equal(torch.zeros((2, 3, 4)), torch.zeros(2, 3, 4))
assert not torch.zeros(2, 3, 4).any()

# %%
# .. alt: Three tensors of two rows and three columns: the first holds zeros,
#    the second ones, the third sevens.
# .. fold: picture

draw_tensors({"zeros": zeros, "ones": ones, "sevens": sevens})
show_pictures()

assert zeros.tolist() == [[0, 0, 0], [0, 0, 0]]
assert ones.tolist() == [[1, 1, 1], [1, 1, 1]]
assert sevens.tolist() == [[7, 7, 7], [7, 7, 7]]

# %%
# `torch.empty` only makes room, for a tensor that you are going to fill
# yourself. Its numbers are whatever was in that memory before, so write to
# every place before you read one. Here each line fills one row:

room = torch.empty(2, 3)
room[0] = 5  # every number of the first row
room[1] = 6
print(room)

assert room.tolist() == [[5, 5, 5], [6, 6, 6]]

# %%
# Like another tensor
# -------------------
#
# `torch.zeros_like`, `torch.ones_like`, `torch.full_like` and others whose
# names end in ``_like`` take the shape from another tensor, so you need not
# write it. They take its dtype and its device as well.
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I filled a tensor with 0.5 and got zeros." It was made like a tensor of
#    integers, which cannot hold a half. Name the dtype.

counts = torch.tensor([3, 1, 4])

print(torch.zeros_like(counts))
print(torch.full_like(counts, 0.5))  # integers again: the fraction is lost
print(torch.full_like(counts, 0.5, dtype=torch.float32))

assert torch.zeros_like(counts).tolist() == [0, 0, 0]
assert torch.zeros_like(counts).dtype == torch.int64
assert torch.zeros_like(counts).device == counts.device
assert torch.ones_like(counts).tolist() == [1, 1, 1]
assert torch.ones_like(counts).dtype == torch.int64
assert torch.full_like(counts, 0.5).tolist() == [0, 0, 0]
assert torch.full_like(counts, 0.5).dtype == torch.int64
halves = torch.full_like(counts, 0.5, dtype=torch.float32)
assert halves.tolist() == [0.5, 0.5, 0.5]
assert halves.dtype == torch.float32

# %%
# Ranges
# ------
#
# `torch.arange` counts like Python's ``range``, and the stop is left out. It
# takes floats as well. `torch.linspace` takes the number of points instead of
# the step, and includes both ends.

print(torch.arange(2, 10, 2))  # start, stop, step
print(torch.arange(0, 1, 0.25))
print(torch.linspace(0, 1, 5))  # start, end, number of points

assert torch.arange(2, 10, 2).tolist() == [2, 4, 6, 8]
assert torch.arange(2, 10, 2).dtype == torch.int64
assert torch.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
assert torch.arange(0, 1, 0.25).dtype == torch.float32
assert torch.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    A float as a step can let the stop in. A float cannot hold 0.1 exactly,
#    and a tiny error decides whether one more number fits.

print(torch.arange(1, 1.3, 0.1))  # expected: 1.0, 1.1, 1.2
print(torch.linspace(1, 1.2, 3))  # three numbers for sure
print(1 + torch.arange(3) * 0.1)  # or count in integers

assert len(torch.arange(1, 1.3, 0.1)) == 4
surprise = torch.tensor([1.0, 1.1, 1.2, 1.3])
assert torch.allclose(torch.arange(1, 1.3, 0.1), surprise)
as_meant = torch.tensor([1.0, 1.1, 1.2])
assert torch.allclose(torch.linspace(1, 1.2, 3), as_meant)
assert torch.allclose(1 + torch.arange(3) * 0.1, as_meant)

# %%
# Random numbers
# --------------
#
# `torch.rand` draws from 0 up to 1, without the 1 itself. `torch.randn` draws
# around 0 on both sides, from the *normal distribution*. `torch.randint` draws
# integers and leaves the upper end out, so a die needs 1 and 7. It wants the
# shape as a tuple, and ``(10,)`` is a row of ten. `torch.randperm` shuffles
# the numbers from 0 on.

torch.manual_seed(0)

print(torch.rand(3))
print(torch.randn(3))
print(torch.randint(1, 7, (10,)))  # ten rolls of a die
print(torch.randperm(5))

assert sorted(torch.randperm(5).tolist()) == [0, 1, 2, 3, 4]
rolls = torch.stack([torch.randint(1, 7, (10,)) for _ in range(100)])
assert rolls.shape == (100, 10)
assert rolls.unique().tolist() == [1, 2, 3, 4, 5, 6]
uniform = torch.stack([torch.rand(3) for _ in range(100)])
assert uniform.shape == (100, 3)
assert uniform.min() >= 0
assert uniform.max() < 1
gaussian = torch.stack([torch.randn(3) for _ in range(100)])
assert gaussian.shape == (100, 3)
assert gaussian.min() < 0
assert gaussian.max() > 1

# %%
# Here are 10,000 numbers of each of the first two kinds. Those of ``rand``
# are spread evenly. About two of three numbers of ``randn`` lie between -1 and
# 1, and larger ones get rarer and rarer.
#
# .. alt: Two histograms of 10,000 numbers on the same axes. That of rand is a
#    tall block from 0 to 1. That of randn is a bell around 0, less than half
#    as tall, that fades out near -3 and 3.
# .. fold: picture

torch.manual_seed(0)
even = torch.rand(10_000)
normal = torch.randn(10_000)

bins = torch.linspace(-4, 4, 81).tolist()  # each 0.1 wide
fig, (left, right) = plt.subplots(
    1, 2, figsize=(6, 2.6), sharex=True, sharey=True, layout="constrained"
)
left.hist(even.tolist(), bins, color="#2f80c2")
left.set(title="rand", xlabel="value", ylabel="how many")
right.hist(normal.tolist(), bins, color="#d9731a")
right.set(title="randn", xlabel="value")
show_pictures()

assert even.min() >= 0
assert even.max() < 1
for tenth in range(10):
    inside = (even >= tenth / 10) & (even < (tenth + 1) / 10)
    assert abs(inside.float().mean() - 0.1) < 0.01
assert abs(normal.mean()) < 0.03
assert abs(normal.std() - 1) < 0.03
assert abs((normal.abs() < 1).float().mean() - 2 / 3) < 0.03
assert (normal.abs() > 3).float().mean() < 0.01

# %%
# The same numbers again
# ----------------------
#
# The computer calculates its random numbers, one after the other, in a long
# sequence. `torch.manual_seed` sets where the sequence starts, so after the
# same seed come the same numbers. Each draw moves on in the sequence, so the
# second draw differs from the first.

torch.manual_seed(42)
first = torch.rand(3)
second = torch.rand(3)

torch.manual_seed(42)
again = torch.rand(3)

print("first: ", first)
print("second:", second)
print("again: ", again)

assert torch.equal(first, again)
assert not torch.equal(first, second)
assert torch.equal(torch.rand(3), second)  # it follows again, too

# %%
# Without a seed, each run of your program draws other numbers: nobody can
# check a result that you report, or see the bug that you want to show. Set
# the seed once, at the start.
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    "My noise is the same each time." With the seed inside a function or a
#    loop, the sequence starts again at every call, and no error tells you.


def noise():
    """Return three random numbers."""
    torch.manual_seed(42)  # does not belong here
    return torch.randn(3)


print(noise())
print(noise())

assert torch.equal(noise(), noise())
made = noise()
torch.manual_seed(42)
assert torch.equal(made, torch.randn(3))

# %%
# Look closer: what a seed covers
# -------------------------------
#
# `torch.manual_seed` is for PyTorch, on the CPU and on every GPU. A CPU and a
# GPU still draw different numbers from the same seed, and other releases of
# PyTorch may, too. Python's ``random`` has a seed of its own:

torch.manual_seed(42)
random.seed(42)
print(torch.rand(1), random.random())

torch.manual_seed(42)
print(torch.rand(1), random.random())  # random went on

assert torch.initial_seed() == 42
random.seed(42)
torch.manual_seed(42)
drawn = torch.rand(1)
assert drawn.shape == (1,)
from_python = random.random()
torch.manual_seed(42)
assert torch.equal(drawn, torch.rand(1))
assert random.random() != from_python
random.seed(42)
assert random.random() == from_python
uniform = torch.stack([torch.rand(1) for _ in range(100)])
assert uniform.min() >= 0
assert uniform.max() < 1
if torch.cuda.is_available():
    torch.manual_seed(42)
    on_gpu = torch.rand(3, device="cuda")
    torch.manual_seed(42)
    assert torch.equal(on_gpu, torch.rand(3, device="cuda"))
    assert not torch.equal(on_gpu.cpu(), first)

# %%
# All draws in your program share one sequence, and each of them moves it on. A
# `torch.Generator` has a sequence of its own, which no other draw disturbs.
# Hand it to a draw with ``generator=``:

generator = torch.Generator().manual_seed(0)
print(torch.rand(2, generator=generator))

torch.rand(100)  # from the shared sequence
print(torch.rand(2, generator=generator))

generator.manual_seed(0)
print(torch.rand(4, generator=generator))  # the same four

assert generator.initial_seed() == 0
generator.manual_seed(0)
four = torch.rand(4, generator=generator)
assert four.shape == (4,)
generator.manual_seed(0)
assert torch.equal(torch.rand(2, generator=generator), four[:2])
torch.rand(100)
assert torch.equal(torch.rand(2, generator=generator), four[2:])

# %%
# Look closer: torch.range in old code
# ------------------------------------
#
# `torch.range` still runs, with a warning: "its behavior is inconsistent with
# Python's range builtin". It includes the stop, and it makes floats. Write
# ``arange`` instead. (The ``with`` block below hides the warning.)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print(torch.range(0, 4))

print(torch.arange(0, 4))

assert torch.arange(0, 4).tolist() == [0, 1, 2, 3]
torch.set_warn_always(True)  # otherwise torch warns once in a program
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old = torch.range(0, 4)
torch.set_warn_always(False)
assert old.tolist() == [0, 1, 2, 3, 4]
assert old.dtype == torch.float32
message = " ".join(str(caught[0].message).split())
assert "its behavior is inconsistent with Python's range builtin" in message

# %%
# Try it
# ------
#
# .. exercise:: When was each sample taken?
#
#    A sensor takes ``rate`` samples a second, the first at 0 seconds. Write
#    ``times(count, rate)``, which returns the times of the first ``count``
#    samples in seconds. Four samples at 2 a second, for example, are taken at
#    0, 0.5, 1 and 1.5 seconds. The tensor has ``count`` elements, whatever the
#    rate.
#
#    .. hint:: A step of ``1 / rate`` is a float. Count the samples in
#       integers, and turn them into seconds afterward.


def times(count, rate):
    """Return the times of count samples in seconds, as floats (count,)."""
    return torch.arange(count) / rate


result = times(4, 2)
assert isinstance(result, torch.Tensor), "return a tensor"
assert result.shape == (4,), "one time for each sample: (count,)"
assert result[0] == 0, "the first sample is taken at 0 seconds"
assert result.tolist() == [0, 0.5, 1, 1.5], "at 2 a second, half a second each"
assert times(5, 3).shape == (5,), "5 samples at 3 a second are still 5"
assert abs(times(5, 3)[4] - 4 / 3) < 1e-5, "the fifth comes after 4 / 3 s"

# %%
# .. exercise:: Dice that can be thrown again
#
#    Write ``roll(count, seed)``. It rolls a die ``count`` times and returns
#    the rolls as a tensor. The same seed gives the same rolls, and the other
#    random numbers of the program must not be disturbed.
#
#    .. hint:: Which kind of random numbers are rolls of a die, and what has a
#       sequence of its own?


def roll(count, seed):
    """Return the rolls of a die, 1 to 6, as int64 of shape (count,)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 7, (count,), generator=generator)


rolls = roll(1000, seed=3)
assert rolls.shape == (1000,), "one number for each roll: (count,)"
assert rolls.dtype == torch.int64, "a die shows integers"
assert rolls.min() == 1, "the lowest roll of a die is 1"
assert rolls.max() == 6, "the highest roll of a die is 6"
assert torch.equal(roll(1000, seed=3), rolls), "one seed, one series of rolls"
assert not torch.equal(roll(1000, seed=4), rolls), "another seed, other rolls"
torch.manual_seed(0)
expected = torch.rand(1)
torch.manual_seed(0)
roll(10, seed=3)
assert torch.rand(1) == expected, "rolling disturbs the shared sequence"

# %%
# What you learned
# ----------------
#
# You make a tensor by a function's name and a shape. ``arange`` leaves the
# stop out, and ``linspace`` takes a number of points. Set a seed once to get
# the same numbers again, and use a generator where other draws must not
# interfere.
#
# Next: :ref:`inspect_and_print` asks a tensor about itself. For dtypes see
# :ref:`dtypes`, for seeds in training :ref:`reproducibility`.
