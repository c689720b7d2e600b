r"""
.. _type_promotion:

Type promotion: predict the dtype when two tensors meet
=======================================================

Which type comes out when you add integers to floats, and why does ``x /= 2``
fail where ``x = x / 2`` works? After this page you can predict the dtype of a
result, ask PyTorch for it beforehand, read the errors that refuse a mix of
types, and find the conversions that silently lose numbers.

.. concepts: A21
.. claims: c3-11
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import PALETTE, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# There are four kinds of types, and they form a ladder: bool, integers,
# floats, complex numbers. Where two tensors meet, the higher kind wins, and
# within a kind the larger type. A plain Python number counts by its kind
# alone: it changes the dtype only if its kind is higher, and a Python float
# makes float32 of integers.

whole = torch.tensor([1, 2])  # int64
single = torch.tensor([0.5, 0.5])  # float32
double = torch.tensor([0.5, 0.5], dtype=torch.float64)

print(whole + single)  # int64 and float32 -> float32
print(single + double)  # float32 and float64 -> float64
print(single * 2.5)  # float32 and a Python float -> float32
print(whole * 2.5)  # int64 and a Python float -> float32

assert (whole + single).dtype == torch.float32
assert (whole + single).tolist() == [1.5, 2.5]
assert (single + double).dtype == torch.float64
assert (single + double).tolist() == [1, 1]
assert (single * 2.5).dtype == torch.float32
assert (single * 2.5).tolist() == [1.25, 1.25]
assert (whole * 2.5).dtype == torch.float32
assert (whole * 2.5).tolist() == [2.5, 5]
assert (whole + torch.tensor([True, False])).tolist() == [2, 2]
assert (single * 2j).dtype == torch.complex64

# %%
# Row and column name the two types that meet, the cell names the type of the
# result, and its color tells the kind. Two results may surprise you. The large
# int64 gives way to the small float16, because floats are the higher kind. And
# float16 with bfloat16 gives float32, because neither of them can hold all
# numbers of the other. (In the same way, uint8 with int8 gives int16.)
#
# .. alt: A table of seven by seven dtypes: bool, uint8, int64, float16,
#    bfloat16, float32 and float64. Each cell names the dtype of the result;
#    mostly it is the type that stands further down or to the right. Only
#    float16 with bfloat16 gives a third one, float32.
# .. fold: picture

dtypes = [torch.bool, torch.uint8, torch.int64, torch.float16]
dtypes += [torch.bfloat16, torch.float32, torch.float64]
names = [str(dtype)[6:] for dtype in dtypes]  # without "torch."
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for row, first in enumerate(dtypes):
    for column, second in enumerate(dtypes):
        result = torch.promote_types(first, second)
        kind = 2 if result.is_floating_point else int(result != torch.bool)
        cell = plt.Rectangle((column - 0.5, row - 0.5), 1, 1)
        cell.set(facecolor=PALETTE[kind], edgecolor="#6b7280")
        ax.add_patch(cell)
        ax.text(column, row, str(result)[6:], size=9, color="#1a1a1a")
for text in ax.texts:
    text.set(ha="center", va="center")
ax.set(xlim=(-0.55, 6.55), ylim=(6.55, -0.55), frame_on=False)
ax.set_xticks(range(7), names)
ax.set_yticks(range(7), names)
ax.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=9)
show_pictures()

assert torch.promote_types(torch.int64, torch.float16) == torch.float16
assert torch.promote_types(torch.float16, torch.bfloat16) == torch.float32
assert torch.promote_types(torch.uint8, torch.int8) == torch.int16
for row, first in enumerate(dtypes):
    for column, second in enumerate(dtypes):
        found = (
            torch.zeros(1, dtype=first) + torch.zeros(1, dtype=second)
        ).dtype
        assert found == torch.promote_types(first, second)
        if {first, second} != {torch.float16, torch.bfloat16}:
            assert found == dtypes[max(row, column)]

# %%
# Division is the exception
# -------------------------
#
# ``/`` gives floats even for two integers, as in Python. ``//`` keeps them
# integers and rounds down, so that -3.5 becomes -4.

seven = torch.tensor([7, -7])

print(seven / 2)
print(seven // 2)
print(seven / torch.tensor([7, 7]))

assert (seven / 2).dtype == torch.float32
assert (seven / 2).tolist() == [3.5, -3.5]
assert (seven // 2).dtype == torch.int64
assert (seven // 2).tolist() == [3, -4]
assert (seven / torch.tensor([7, 7])).dtype == torch.float32
assert (seven / torch.tensor([7, 7])).tolist() == [1, -1]

# %%
# A tensor without dimensions acts like a Python number
# -----------------------------------------------------
#
# A tensor of shape ``()``, such as the mean of a batch, also counts by its
# kind alone. So a single number of float64 does not turn a whole batch of
# float32 into float64. A tensor of shape ``(1,)`` holds a single number, too,
# but it has a dimension, and its dtype counts in full. `torch.result_type`
# tells which dtype would come out, without computing.

number = torch.tensor(2.0, dtype=torch.float64)  # shape ()
row = torch.tensor([2.0], dtype=torch.float64)  # shape (1,)

print("shape ():  ", torch.result_type(single, number))
print("shape (1,):", torch.result_type(single, row))
print("number 2.5:", torch.result_type(single, 2.5))
print("integers:  ", torch.result_type(whole, number))

assert (single * number).dtype == torch.float32
assert torch.result_type(single, number) == torch.float32
assert (single * row).dtype == torch.float64
assert torch.result_type(single, row) == torch.float64
assert torch.result_type(single, 2.5) == torch.float32
assert (whole * number).dtype == torch.float64
assert torch.result_type(whole, number) == torch.float64

# %%
# In the last line the number is of a higher kind than the integers, so it
# changes the dtype. A Python float would make float32 of them, as above; a
# tensor brings its own dtype along, here float64.
#
# In place, the dtype stays
# -------------------------
#
# ``x += y`` and ``x /= y`` work *in place*: they write the result into the
# memory of ``x``, whose dtype is fixed. A result of a higher kind is refused.
# Write ``x = x / 2``, which makes a new tensor. In the message, Float is
# float32 and Long is int64.

counts = torch.tensor([2, 4])

with show_error("result type Float can't be cast", "output type Long"):
    counts /= 2
counts = counts / 2
print(counts)

assert counts.dtype == torch.float32
assert counts.tolist() == [1, 2]

# %%
# `torch.can_cast` tells which results may be written where. Floats may not
# become integers. Everything within one kind is allowed, however small the
# target: below, 100001 is more than float16 can hold and becomes infinity.

small = torch.tensor([1.0, 2.0], dtype=torch.float16)
large = torch.tensor([100000.0, 1.0])  # float32

print("float32 to int64:  ", torch.can_cast(torch.float32, torch.int64))
print("float32 to float16:", torch.can_cast(torch.float32, torch.float16))
small += large
print(small)

assert torch.can_cast(torch.float32, torch.int64) is False
assert torch.can_cast(torch.float32, torch.float16) is True
assert torch.can_cast(torch.int64, torch.uint8) is True
assert small.dtype == torch.float16
assert small.tolist() == [float("inf"), 3]

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``+=`` refuses a float, but ``=`` does not: put into a tensor of integers,
#    it loses its fraction, and no error tells you. Begin with
#    ``torch.zeros(3)``, which holds floats.

scores = torch.tensor([0, 0, 0])
scores[0] = 0.9
print(scores)

scores_as_floats = torch.zeros(3)
scores_as_floats[0] = 0.9
print(scores_as_floats)

assert scores.tolist() == [0, 0, 0]
assert scores.dtype == torch.int64
assert torch.equal(scores_as_floats, torch.tensor([0.9, 0, 0]))

# %%
# Silent traps
# ------------
#
# Promotion looks at the types and never at the numbers. Three results below
# are wrong, and nothing warns you: a difference of pixels below 0, a sum of
# votes above 1, and integers that do not fit into the float that wins.

photo = torch.tensor([100, 200], dtype=torch.uint8)
later = torch.tensor([110, 190], dtype=torch.uint8)
ann = torch.tensor([True, True, False])  # her votes on three questions
bob = torch.tensor([True, False, False])
places = torch.tensor([2049, 70000])
half = torch.tensor([0.5, 0.5], dtype=torch.float16)

print(photo - later)  # 100 - 110 wraps around to 246
print(ann + bob)  # bool + bool -> bool, meant were 2, 1, 0
print(places + half)  # int64 + float16 -> float16

assert (photo - later).tolist() == [246, 10]
assert (photo - later).dtype == torch.uint8
assert (ann + bob).tolist() == [True, True, False]
assert (ann + bob).dtype == torch.bool
assert (places + half).dtype == torch.float16
assert (places + half).tolist() == [2048, float("inf")]

# %%
# Convert first, and all three come out as meant. The ``sum()`` of a single
# tensor of bools does not need it, because it counts in int64:

print(photo.int() - later.int())
print(ann.int() + bob.int())
print(places + half.double())
print("Ann said yes:", ann.sum())

assert (photo.int() - later.int()).tolist() == [-10, 10]
assert (ann.int() + bob.int()).tolist() == [2, 1, 0]
assert ann.sum() == 2
assert ann.sum().dtype == torch.int64
assert (places + half.double()).tolist() == [2049.5, 70000.5]

# %%
# Look closer: what does not promote
# ----------------------------------
#
# Some functions refuse rather than choose a type for you. The mean of integers
# is seldom an integer, so you say which float it should be. And ``@``, the
# product of two matrices that layers of a network compute, wants one dtype on
# both sides. You meet its error when float64 data from NumPy (the ``double``
# of the message) comes to a model of float32 (its ``float``). Convert the
# data.

grades = torch.tensor([1, 2])
data = torch.ones(3, 2, dtype=torch.float64)
weights = torch.ones(2, 1)  # float32

with show_error("must be either a floating point or complex dtype"):
    grades.mean()
print(grades.float().mean())

with show_error("to have the same dtype"):
    data @ weights
print((data.float() @ weights).dtype)  # (3, 2) @ (2, 1) -> (3, 1)

assert grades.float().mean() == 1.5
assert grades.mean(dtype=torch.float32) == 1.5
assert (data.float() @ weights).dtype == torch.float32
assert (data.float() @ weights).tolist() == [[2], [2], [2]]

# %%
# Try it
# ------
#
# .. exercise:: What changed between two photos?
#
#    ``before`` and ``after`` are uint8 images of the same shape. Write
#    ``difference(before, after)``, which returns how far apart they are at
#    each pixel, from 0 to 255, as uint8.
#
#    .. hint:: uint8 has no room for -10. `torch.Tensor.abs` makes it 10 while
#       it is still -10.


def difference(before, after):
    """Return the distance of two uint8 images at each pixel, as uint8."""
    change = after.int() - before.int()
    return change.abs().to(torch.uint8)


before = torch.tensor([[100, 200], [0, 255]], dtype=torch.uint8)
after = torch.tensor([[110, 190], [255, 255]], dtype=torch.uint8)
result = difference(before, after)
assert result.dtype == torch.uint8, "the result is an image: uint8"
assert result[0, 0] == 10, "100 and 110 are 10 apart"
assert result[0, 1] == 10, "200 and 190 are 10 apart, not 246: -10 wraps"
assert result[1].tolist() == [255, 0], "0 and 255 are 255 apart"

# %%
# .. exercise:: Blend two photos
#
#    Write ``blend(first, second, share)``: at each pixel, ``share`` of the
#    first uint8 image (0.25, say) and the rest of the second, rounded to the
#    nearest pixel value, as uint8.
#
#    .. hint:: Which dtype does a Python float make of uint8? What has to be
#       done before you convert back?


def blend(first, second, share):
    """Return share * first + (1 - share) * second, uint8 as both images."""
    mixed = share * first + (1 - share) * second  # float32
    return mixed.round().to(torch.uint8)


first = torch.tensor([100, 200, 255], dtype=torch.uint8)
second = torch.tensor([0, 100, 255], dtype=torch.uint8)
unchanged = first.clone()
result = blend(first, second, 0.5)
assert result.dtype == torch.uint8, "the blend is an image: uint8"
assert result.tolist() == [50, 150, 255], "half of each: 50, 150 and 255"
assert torch.equal(first, unchanged), "the first image stays as it was"
quarter = blend(first, second, 0.25)
assert quarter[0] == 25, "a quarter of the first, the rest of the second"
tenth = blend(torch.tensor([9], dtype=torch.uint8), second[:1], 0.1)
assert tenth[0] == 1, "0.9 rounds to 1"

# %%
# What you learned
# ----------------
#
# The higher kind wins, then the larger type; Python numbers and tensors
# without dimensions count by their kind alone. In place, the dtype of the
# target stays. Promotion never looks at the numbers, so convert before small
# types meet large numbers.
#
# Next: :ref:`indexing` picks rows, columns and blocks. More about ``@`` stands
# in :ref:`products`, and about float64 from NumPy in :ref:`numpy_bridge`.
