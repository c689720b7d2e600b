r"""
.. _dtypes:

Tensor dtypes: choose and convert the type of your numbers
==========================================================

float32, int64, uint8, bool: which type should your tensor have, and what gets
lost when you convert it? After this page you can read and set the type, the
*dtype*, convert a tensor, say where each type runs out of range or of digits,
and translate old names such as FloatTensor.

.. concepts: T08 T09 T10
.. claims: c0-05 c0-07 c0-08 c0-09 c2-13 c2-15 c3-26 c3-27 c3-30 c3-35
   c3-38 c3-102
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# All numbers of a tensor have one dtype. These four cover most of your work.
# PyTorch picks the first three by itself, and the fourth you ask for:

weights = torch.tensor([0.5, -1.25])  # float32: all that has fractions
labels = torch.tensor([2, 0, 1])  # int64: class labels, indices, counts
is_cat = torch.tensor([True, False])  # bool: yes or no
pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)  # images, 0 to 255

print(weights.dtype, labels.dtype, is_cat.dtype, pixels.dtype)
print(pixels.float() / 255)  # convert: pixels as floats from 0 to 1

assert weights.dtype == torch.float32
assert torch.get_default_dtype() == torch.float32
assert labels.dtype == torch.int64
assert is_cat.dtype == torch.bool
assert pixels.dtype == torch.uint8
assert torch.equal(pixels.float() / 255, torch.tensor([0, 0.2, 1]))
assert torch.iinfo(torch.uint8).min == 0
assert torch.iinfo(torch.uint8).max == 255

# %%
# Convert a tensor
# ----------------
#
# `torch.Tensor.to` converts to any dtype. The common types also have a short
# method each, by a name that you will meet in error messages, too:
#
# .. code-block:: text
#
#    x.float()    float32      x.long()    int64
#    x.double()   float64      x.int()     int32
#    x.half()     float16      x.bool()    bool
#
# Mind the first one: Python's own ``float`` has 64 bits, like ``double``, and
# `torch.Tensor.float` makes 32.

prices = torch.tensor([1.9, -1.9, 0.3, 0.0])

print(prices.to(torch.float64))
print(prices.long())  # cuts the fraction off
print(prices.round().long())  # rounds first
print(prices.bool())  # all that is not zero becomes True

assert prices.to(torch.float64).dtype == prices.double().dtype == torch.float64
assert prices.long().tolist() == [1, -1, 0, 0]
assert prices.round().long().tolist() == [2, -2, 0, 0]
assert prices.bool().tolist() == [True, True, True, False]
assert labels.float().dtype == torch.float32
assert prices.half().dtype == torch.float16
assert prices.long().dtype == torch.int64
assert prices.int().dtype == torch.int32
assert prices.bool().dtype == torch.bool

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``x.float()`` on a line of its own changes nothing. It returns another
#    tensor, and you have to keep that one: ``x = x.float()``.

labels.float()  # lost
print(labels.dtype)  # as before

labels_as_floats = labels.float()
print(labels_as_floats.dtype)

assert labels.dtype == torch.int64
assert labels_as_floats.dtype == torch.float32
assert labels_as_floats.data_ptr() != labels.data_ptr()

# %%
# Integer types: how far they reach
# ---------------------------------
#
# The number in a type's name counts its bits, and eight bits are a byte. The u
# of uint8 means *unsigned*: it has no negative numbers. `torch.iinfo` knows
# the smallest and the largest integer of a type. Besides int64 and uint8 you
# will see int8 in models made small (*quantized* models), int16 in sound, and
# int32 where another library wants it.

integers = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
for dtype in integers:
    limits = torch.iinfo(dtype)
    print(dtype, "bytes:", dtype.itemsize)
    print(f"  from {limits.min:,} to {limits.max:,}")

assert [dtype.itemsize for dtype in integers] == [1, 1, 2, 4, 8]
assert torch.iinfo(torch.uint8).max == 255
assert torch.iinfo(torch.int8).min == -128
for dtype in integers[1:]:
    assert str(dtype) == f"torch.int{8 * dtype.itemsize}"
    assert torch.iinfo(dtype).min == -(2 ** (8 * dtype.itemsize - 1))
    assert torch.iinfo(dtype).max == 2 ** (8 * dtype.itemsize - 1) - 1
assert (limits.min, limits.max) == (-(2**63), 2**63 - 1)

# %%
# If you write down an integer that is too large for its type, PyTorch refuses
# it. If one comes out of a conversion or a computation, it *wraps around*,
# like a clock: after 255 comes 0. Nothing warns you.

with show_error("value cannot be converted to type uint8", "without overflow"):
    torch.tensor([300], dtype=torch.uint8)

large = torch.tensor([255, 256, 300])
print("converted:", large.to(torch.uint8))  # 300 - 256 is 44
print("brighter: ", pixels + 100)  # 255 + 100 - 256 is 99
print("as meant: ", pixels.int() + 100)

assert large.to(torch.uint8).tolist() == [255, 0, 300 - 256]
assert (pixels + 100).tolist() == [100, 151, 355 - 256]
assert (pixels.int() + 100).tolist() == [100, 151, 355]

# %%
# Float types: how far and how fine
# ---------------------------------
#
# `torch.finfo` tells two limits of a float type: its largest number, and
# *eps*, the gap between 1 and the next number that it can hold. The two small
# types need half the memory of float32: float16 spends its bits on fine steps,
# bfloat16 on reach. Both are common on GPUs, and the CPU computes in them as
# well. Take float64 where digits matter more than memory and speed.

floats = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
for dtype in floats:
    limits = torch.finfo(dtype)
    print(dtype, "bytes:", dtype.itemsize)
    print(f"  up to {limits.max:.1e}, eps {limits.eps:.1e}")

assert [dtype.itemsize for dtype in floats] == [2, 2, 4, 8]
eps = [torch.finfo(dtype).eps for dtype in floats]
assert eps == [2**-7, 2**-10, 2**-23, 2**-52]
largest = [f"{torch.finfo(dtype).max:.1e}" for dtype in floats]
assert largest == ["3.4e+38", "6.6e+04", "3.4e+38", "1.8e+308"]
assert (limits.eps, limits.max) == (2**-52, torch.finfo(torch.float64).max)
for dtype in (torch.bfloat16, torch.float16):
    small = torch.ones(2, 2, dtype=dtype)
    assert (small @ small).dtype == dtype
    assert (small @ small).tolist() == [[2, 2], [2, 2]]

# %%
# The gap grows with the number: at 2 it is twice as wide as at 1, and at 4
# four times as wide. Where a line climbs above the dashed gap of 1, the type
# begins to skip integers. At the dot the gap is 2, and adding 1 changes
# nothing: for float16 at 2048, for float32 at 16,777,216. The line of float16
# stops where its numbers stop; the others go on beyond the picture.
#
# .. alt: Gap against number, both on logarithmic scales: four rising
#    staircases. bfloat16 has the largest gaps, then float16, which ends before
#    100,000, then float32 and, far below, float64. Dots just above the dashed
#    gap of 1: bfloat16 at 256, float16 at 2048, float32 near 17 million.
# .. fold: picture

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
colors = ["#d9731a", "#a05fb4", "#2f80c2", "#3a9a4b"]
for dtype, color in zip(floats, colors):
    limits = torch.finfo(dtype)
    numbers = [2.0**k for k in range(-4, 31) if 2.0**k < limits.max]
    gaps = [limits.eps * number for number in numbers]
    ax.loglog(numbers, gaps, color=color, drawstyle="steps-post")
    ax.text(2 * numbers[-1], gaps[-1], str(dtype)[6:], va="center")
    if 2 / limits.eps < numbers[-1]:
        ax.loglog(2 / limits.eps, 2, "o", color=color)
ax.axhline(1, linestyle="--", color="gray")
ax.set_xlabel("number")
ax.set_ylabel("gap to the next number")
ax.set_xlim(0.03, 1e12)
show_pictures()

assert 2 / torch.finfo(torch.bfloat16).eps == 256
assert 2 / torch.finfo(torch.float16).eps == 2048
assert 2 / torch.finfo(torch.float32).eps == 16_777_216
for dtype in floats:
    for exponent in (-4, 0, 1, 2, 8, 15):  # the gap is eps times the number
        number = torch.tensor(2.0**exponent, dtype=dtype)
        gap = torch.finfo(dtype).eps * number
        assert number + gap > number
        assert number + gap / 2 == number
    stuck = torch.tensor(2 / torch.finfo(dtype).eps, dtype=dtype)
    assert stuck + 1 == stuck
    assert stuck - 1 != stuck
    assert (torch.finfo(dtype).max > 1e12) == (dtype != torch.float16)

# %%
# float16 also ends early. Beyond 65504 comes infinity, printed as ``inf``:

half = torch.tensor([2048, 60000], dtype=torch.float16)

print(half + 1)  # 2049 falls into a gap
print(half * 2)  # 120000 is too large

assert (half + 1).tolist() == [2048, 60000]
assert (half * 2).tolist() == [4096, float("inf")]
assert torch.finfo(torch.float16).max == 65504

# %%
# Look closer: old names, rare types and text
# -------------------------------------------
#
# Older code names a type by a class, such as ``FloatTensor``, and
# `torch.Tensor.type` still returns these names. Read them with this list, and
# write ``dtype=`` yourself:
#
# .. code-block:: text
#
#    FloatTensor     torch.float32     LongTensor    torch.int64
#    DoubleTensor    torch.float64     IntTensor     torch.int32
#    HalfTensor      torch.float16     ShortTensor   torch.int16
#    BFloat16Tensor  torch.bfloat16    CharTensor    torch.int8
#    BoolTensor      torch.bool        ByteTensor    torch.uint8

print(weights.type())
print(labels.type())
print(torch.CharTensor([65, 66]))

assert weights.type() == "torch.FloatTensor"
assert labels.type() == "torch.LongTensor"
assert torch.CharTensor([65, 66]).tolist() == [65, 66]
old_names = {
    "FloatTensor": torch.float32,
    "DoubleTensor": torch.float64,
    "HalfTensor": torch.float16,
    "BFloat16Tensor": torch.bfloat16,
    "BoolTensor": torch.bool,
    "LongTensor": torch.int64,
    "IntTensor": torch.int32,
    "ShortTensor": torch.int16,
    "CharTensor": torch.int8,
    "ByteTensor": torch.uint8,
}
for name, dtype in old_names.items():
    assert torch.zeros(1, dtype=dtype).type() == f"torch.{name}"
    assert getattr(torch, name)([1]).dtype == dtype
assert not hasattr(torch, "ChartTensor")

# %%
# The 65 is not shown as the letter A: char and byte are small integers, and no
# dtype holds text. If you try, the message takes the words for more
# dimensions. Give each word a number instead. There are more types for special
# work, such as complex64, uint16, and float8 with a single byte.

with show_error("too many dimensions 'str'"):
    torch.tensor(["cat", "dog"])

print(torch.tensor(1 + 2j).dtype)
print(torch.float8_e4m3fn, "bytes:", torch.float8_e4m3fn.itemsize)

assert torch.tensor(1 + 2j).dtype == torch.complex64
assert torch.float8_e4m3fn.itemsize == 1
assert torch.zeros(2, dtype=torch.uint16).dtype == torch.uint16

# %%
# Try it
# ------
#
# .. exercise:: Save an image as pixels
#
#    A model returns an image with values from 0 to 1. Write
#    ``to_pixels(image)``, which returns it as uint8 from 0 to 255, each value
#    rounded to the nearest pixel value.
#
#    .. hint:: The order matters: scale, then round, then convert.


def to_pixels(image):
    """Return a float image with values from 0 to 1 as uint8, 0 to 255."""
    return (image * 255).round().to(torch.uint8)


image = torch.tensor([[0.0, 0.25], [0.999, 1.0]])
result = to_pixels(image)
assert result.dtype == torch.uint8, "pixels are uint8"
assert result.shape == image.shape, "the image keeps its shape"
assert result[0, 1] == 64, "0.25 * 255 is 63.75: scale, then round to 64"
assert result[0, 0] == 0, "0 stays 0"
assert result[1].tolist() == [255, 255], "0.999 and 1 both round to 255"

# %%
# .. exercise:: Does it survive?
#
#    Write ``survives(numbers, dtype)``, which tells whether ``numbers`` can be
#    converted to ``dtype`` and back without any change, as True or False.
#    `torch.equal` says whether two tensors hold the same numbers.
#
#    .. hint:: Convert there and back: ``numbers.dtype`` is the way back.


def survives(numbers, dtype):
    """Return whether a tensor comes back from a dtype unchanged, as a bool."""
    there_and_back = numbers.to(dtype).to(numbers.dtype)
    return torch.equal(there_and_back, numbers)


ids = torch.tensor([0, 1, 2049])
answer = survives(ids, torch.float32)
assert isinstance(answer, bool), "return True or False, not a tensor"
assert answer, "float32 holds 2049 exactly"
assert survives(ids, torch.int16), "int16 reaches to 32767"
assert not survives(ids, torch.uint8), "uint8 wraps 2049 around"
assert not survives(ids, torch.float16), "float16 turns 2049 into 2048"
halves = torch.tensor([0.5, 2.0])
assert survives(halves, torch.float16), "float16 holds a half exactly"
assert not survives(halves, torch.int64), "integers cut off the half"

# %%
# What you learned
# ----------------
#
# Take float32 for what has fractions, int64 for labels, bool for yes or no,
# and uint8 for pixels. A conversion to integers cuts off the fraction, and
# integers that get too large wrap around. Small floats skip integers and
# overflow to infinity.
#
# Next: :ref:`type_promotion` tells which dtype comes out when two meet.
# :ref:`numpy_bridge` tells what NumPy's float64 does to a tensor.
