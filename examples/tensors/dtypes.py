r"""
.. _dtypes:

Choose the type of your numbers
===============================

Why does the mean of 1 and 2 raise an error, and how can 2048 + 1 be 2048? Both
answers lie in the *dtype*, the one type that all numbers of a tensor share.
After this page you can choose a dtype, translate the old names, convert
between types, and predict what gets lost.

.. concepts: T08 T09 T10
"""

import matplotlib.pyplot as plt
import torch

# %%
# The type you get
# ----------------
#
# `torch.tensor` looks at what you give it. Numbers with a decimal point become
# float32, the default (`torch.get_default_dtype`) in which most models train.

samples = {"1.5": 1.5, "1": 1, "True": True, "1 + 2j": 1 + 2j}
types = {text: torch.tensor(value).dtype for text, value in samples.items()}
for text, dtype in types.items():
    print(f"{text:6} -> {dtype}")

expected = [torch.float32, torch.int64, torch.bool, torch.complex64]
assert list(types.values()) == expected
assert torch.get_default_dtype() == torch.float32

# %%
# Types for whole numbers
# -----------------------
#
# Pixels come as uint8, class labels are int64, and models made small
# (*quantized*) hold int8. The number in a name counts the bits, eight to a
# byte. More bytes reach further, and `torch.iinfo` knows how far. uint8 begins
# at 0. The others reach one further below zero than above.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Five types are named in one place (claim c0-05), and twelve in another
#    (c3-35), with remarks in Chinese (c3-102). There are more, such as uint16
#    and the tiny float8. That int16 is rarely used (c3-30) is an opinion.

whole = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
table = [(t.itemsize, torch.iinfo(t).min, torch.iinfo(t).max) for t in whole]
print("type  bytes  largest number")
for dtype, (size, _, largest) in zip(whole, table, strict=True):
    name = str(dtype)[6:]  # without "torch."
    print(f"{name:6}{size:^5}  {largest:,}")
    assert name in (f"int{8 * size}", f"uint{8 * size}")

assert table[:2] == [(1, 0, 255), (1, -128, 127)]
for place, size in enumerate([2, 4, 8], start=2):
    beyond = 2 ** (8 * size - 1)
    assert table[place] == (size, -beyond, beyond - 1)
for more in (torch.uint16, torch.float8_e4m3fn, torch.float8_e5m2):
    assert more not in whole and isinstance(more, torch.dtype)

# %%
# Past its largest number a whole type starts again at its smallest, and
# nothing warns you. Beware when you add pixels:

pixel = torch.tensor([200], dtype=torch.uint8)
wrapped, as_meant = pixel + 100, pixel.int() + 100
print(wrapped, as_meant, sep="\n")

assert wrapped.item() == 300 - 256
assert as_meant.item() == 300

# %%
# Types for fractions
# -------------------
#
# `torch.finfo` tells the two limits of a float: its largest number and *eps*,
# the gap between 1 and the next number. ``e+04`` means "times 10,000". float64
# is for precise work. float16 and bfloat16 need half the memory of float32.
# bfloat16 reaches about as far as float32, with bigger gaps.

floats = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
limits = {t: (torch.finfo(t).max, torch.finfo(t).eps) for t in floats}
for dtype, (largest, eps) in limits.items():
    print(f"{dtype!s:15}up to {largest:.1e}, eps {eps:.1e}")

assert [eps for _, eps in limits.values()] == [2**-7, 2**-10, 2**-23, 2**-52]
tops = [f"{largest:.1e}" for largest, _ in limits.values()]
assert tops == ["3.4e+38", "6.6e+04", "3.4e+38", "1.8e+308"]
assert [t.itemsize for t in floats] == [2, 2, 4, 8]

# %%
# The gap grows with the number
# -----------------------------
#
# How far is it to the next number that the type can hold? `torch.nextafter`
# finds it. Where a line climbs over the dashed gap of 1, it begins to skip
# whole numbers. At the dot the gap is 2, and adding 1 changes nothing.
#
# .. alt: Gap against number, both on logarithmic scales: four rising
#    staircases. bfloat16 has the largest gaps, then float16, which ends before
#    100,000, then float32 and, far below, float64. Dots just above the dashed
#    gap of 1: bfloat16 at 256, float16 at 2048, float32 near 17 million.

colors = ("#d9731a", "#a05fb4", "#2f80c2", "#3a9a4b")
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
stuck = {}
for dtype, color in zip(floats, colors, strict=True):
    x = (2.0 ** torch.arange(-4, 31)).to(dtype)
    x = x[x.isfinite()]  # the last ones are too large for float16
    gap = torch.nextafter(x, 2 * x) - x
    stuck[dtype] = x[gap == 2]
    ax.loglog(x.float(), gap.float(), color, drawstyle="steps-post")
    ax.loglog(stuck[dtype].float(), [2] * len(stuck[dtype]), "o", c=color)
    ax.text(2 * x[-1].item(), gap[-1].item(), str(dtype)[6:], va="center")
ax.axhline(1, linestyle="--", color="gray")
ax.set(xlabel="number", ylabel="gap to the next number", xlim=(0.03, 1e12))
plt.show()

for dtype in floats[:3]:
    assert stuck[dtype].item() == 2 / limits[dtype][1]
    assert stuck[dtype] + 1 == stuck[dtype]
assert stuck[torch.bfloat16] == 256 and stuck[torch.float16] == 2048

# %%
# float16 also ends early: beyond its largest number, 65504, comes infinity,
# ``inf``. Below, 1 is added in vain, and doubling goes too far.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    float16 is for GPUs and mixed precision (claim c3-26). It pays off there,
#    but the CPU computes in it too.

half = torch.tensor([2048, 60000], dtype=torch.float16)
plus_one, doubled = half + 1, half * 2
print(plus_one, doubled, sep="\n")

assert plus_one.tolist() == [2048, 60000]
assert doubled.tolist() == [4096, float("inf")]
assert limits[torch.float16][0] == 65504
assert (half @ half).dtype == torch.float16  # the CPU multiplies it, too

# %%
# Old names
# ---------
#
# Old code calls types by class names such as ``FloatTensor``, and
# `torch.Tensor.type` still answers with them. Translate them with this list,
# and write ``dtype=torch.float32`` in new code.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Types are asked for by such names (claim c0-07), which is out of date.
#    Byte and char are set apart from the numeric types (c0-08), but they hold
#    whole numbers. Char is once spelled chart (c0-09), and bfloat16 is said to
#    have no name (c3-27): the right names are in this list.

old_names = {
    "FloatTensor": torch.float32,
    "DoubleTensor": torch.float64,
    "HalfTensor": torch.float16,
    "BFloat16Tensor": torch.bfloat16,
    "LongTensor": torch.int64,
    "IntTensor": torch.int32,
    "ShortTensor": torch.int16,
    "CharTensor": torch.int8,
    "ByteTensor": torch.uint8,
    "BoolTensor": torch.bool,
}
for name, dtype in old_names.items():
    print(f"{name:15} {dtype}")
    assert torch.zeros(1, dtype=dtype).type() == f"torch.{name}"
    assert getattr(torch, name)([1]).dtype == dtype

assert not hasattr(torch, "ChartTensor")

# %%
# Change the type
# ---------------
#
# `torch.Tensor.to` takes any type. The ten types of the list above have a
# short method each, in the same order: `~torch.Tensor.float`,
# `~torch.Tensor.double`, `~torch.Tensor.half`, `~torch.Tensor.bfloat16`,
# `~torch.Tensor.long`, `~torch.Tensor.int`, `~torch.Tensor.short`,
# `~torch.Tensor.char`, `~torch.Tensor.byte` and `~torch.Tensor.bool`. A whole
# type cuts off the fraction, unless you call `~torch.Tensor.round` first. A
# bool keeps only "not zero".
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``.bool()`` is given for a conversion to int (claim c2-15), ``.float()``
#    for one to any type (c2-13). Each makes its own type alone. And
#    ``float32 x = x.long()`` (c3-38) is no Python: a ``#`` is missing.

x = torch.tensor([1.9, -1.9, 0.3, 0.0])
print(x.int())
print(x.round().int())
print(x.bool())

assert x.int().tolist() == x.to(torch.int32).tolist() == [1, -1, 0, 0]
assert x.round().int().tolist() == [2, -2, 0, 0]
assert x.bool().tolist() == [True, True, True, False]
methods = ["float", "double", "half", "bfloat16"]
methods += ["long", "int", "short", "char", "byte", "bool"]
made = [getattr(torch.ones(1), method)().dtype for method in methods]
assert made == list(old_names.values())
assert x.to(torch.float32) is x  # nothing to do: the same tensor

# %%
# The mean needs a float
# ----------------------
#
# The mean of whole numbers is seldom whole. PyTorch guesses no type for it.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``x.mean()`` is called on whole numbers (claim c3-11). It fails: convert
#    first.

counts = torch.tensor([1, 2])
try:
    counts.mean()
except RuntimeError as error:
    print(error)
    assert "must be either a floating point or complex dtype" in str(error)
else:
    raise AssertionError("the mean of whole numbers must fail")
average = counts.float().mean()
print(average)

assert average == counts.mean(dtype=torch.float32) == 1.5

# %%
# What you learned
# ----------------
#
# float32 for models, int64 for labels, bool for yes or no, uint8 for pixels.
# Whole types wrap around and cut off fractions; small floats skip numbers and
# overflow.
#
# Next: :ref:`indexing` selects with bool and looks up with int64.
# :ref:`numpy_bridge` tells what NumPy's float64 does to a tensor.
