r"""
.. _compare_floats:

allclose, isclose and NaN: compare floats with a tolerance
==========================================================

Why is 0.1 + 0.6 not 0.7 in a tensor, and how do you test a result when every
operation rounds a little? After this page you can compare tensors with a
tolerance that fits, write a test that lets no wrong shape through, and find
the NaN that spoils a whole mean.

.. concepts: A23
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Use ``==`` for integers. Floats are rounded, so ask whether they are close:

actual = torch.tensor([0.1, 0.1]) + torch.tensor([0.2, 0.6])
expected = torch.tensor([0.3, 0.7])

print(actual == expected)
print(torch.isclose(actual, expected))  # an answer for each element
print(torch.allclose(actual, expected))  # one answer, a Python bool

# In a test: an error if they are not close
torch.testing.assert_close(actual, expected)

assert (actual == expected).tolist() == [True, False]
assert torch.isclose(actual, expected).tolist() == [True, True]
assert torch.allclose(actual, expected) is True
assert torch.testing.assert_close(actual, expected) is None

# %%
# `torch.equal` is the strict one: it asks for the same shape and the same
# elements, to the last digit. It is right for integers, and for copies that
# must not differ.

print(torch.equal(actual, expected))
print(torch.equal(actual, actual.clone()))

assert torch.equal(actual, expected) is False
assert torch.equal(actual, actual.clone()) is True
assert torch.equal(actual, actual[None]) is False

# %%
# Why ``==`` fails
# ----------------
#
# A float has a limited number of binary digits. It cannot hold 0.1 or 0.7
# exactly, so it holds the nearest number that it can, and a sum is rounded
# again. Printed tensors show four digits and hide this; `torch.Tensor.item`
# shows it:

print("sum:", actual[1], "in full:", actual[1].item())
print("0.7:", expected[1], "in full:", expected[1].item())

assert actual[1].item() == 0.7000000476837158
assert expected[1].item() == 0.699999988079071

# %%
# Whether two results happen to be equal is luck, and it changes with the
# dtype. In float64, the type of Python's own floats, it is the other way
# round: 0.1 + 0.6 is 0.7, and 0.1 + 0.2 is famous for not being 0.3.

a = torch.tensor([0.1, 0.1], dtype=torch.float64)
b = torch.tensor([0.2, 0.6], dtype=torch.float64)
c = torch.tensor([0.3, 0.7], dtype=torch.float64)

print("float64:", a + b == c)
print("float32:", a.float() + b.float() == c.float())

assert (a + b == c).tolist() == [False, True]
assert (a.float() + b.float() == c.float()).tolist() == [True, False]

# %%
# What close means
# ----------------
#
# Two numbers are close if they differ by ``atol + rtol * abs(expected)`` at
# most, where ``expected`` is the second argument. ``rtol``, the *relative*
# tolerance, is 1e-5 by default: a hundred-thousandth of the expected number.
# ``atol``, the *absolute* tolerance, is 1e-8.

large = torch.tensor(100_000.0)
print(torch.isclose(large + 0.5, large))  # up to 1 is allowed
print(torch.isclose(large + 0.5, large, rtol=1e-6))  # up to 0.1

assert torch.isclose(large + 0.5, large).item() is True
assert torch.isclose(large + 0.5, large, rtol=1e-6).item() is False
assert torch.isclose(large + 0.99, large).item() is True
assert torch.isclose(large + 1.01, large).item() is False
assert torch.isclose(large + 0.09, large, rtol=1e-6).item() is True
assert torch.isclose(large + 0.12, large, rtol=1e-6).item() is False
zero = torch.tensor(0.0)
assert not torch.isclose(zero + 1, zero, rtol=1, atol=0)
assert torch.isclose(zero, zero + 1, rtol=1, atol=0)

# %%
# ``atol`` only matters near 0, where the relative part vanishes. In theory,
# the difference of ``actual`` and ``expected`` is 0. In fact it is 6e-8, more
# than the default allows:

difference = actual - expected
print(difference)
print(torch.isclose(difference, torch.zeros(2)))
print(torch.isclose(difference, torch.zeros(2), atol=1e-6))

assert difference[0] == 0
assert 5.5e-8 < difference[1] < 6.5e-8
assert torch.isclose(difference, torch.zeros(2)).tolist() == [True, False]
assert torch.isclose(difference, torch.zeros(2), atol=1e-6).all()

# %%
# The picture shows the difference that is allowed for numbers of any size, by
# ``allclose`` and by ``assert_close``, which has other defaults. Near 0 the
# lines are flat: there ``atol`` decides. The dashed line is about the gap from
# one float32 to the next. A tolerance below it asks for equality.
#
# .. alt: Allowed difference against the size of the expected number, both on
#    logarithmic scales. The line of allclose is flat at 1e-8 up to about 1e-3
#    and then rises. The line of assert_close is flat at 1e-5 up to about 10
#    and then rises, below that of allclose. The dashed gap of float32 rises
#    from far below and stays under both lines.
# .. fold: picture

size = torch.logspace(-8, 6, 100, dtype=torch.float64)
allclose_limit = 1e-8 + 1e-5 * size
assert_close_limit = 1e-5 + 1.3e-6 * size
gap = torch.finfo(torch.float32).eps * size
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.loglog(size, allclose_limit, color="#2f80c2", label="allclose")
ax.loglog(size, assert_close_limit, color="#d9731a", label="assert_close")
ax.loglog(size, gap, "--", color="gray", label="gap between float32")
ax.set(xlabel="expected number", ylabel="allowed difference")
ax.legend(frameon=False)
show_pictures()

assert torch.isclose(size + 0.99 * allclose_limit, size).all()
assert not torch.isclose(size + 1.01 * allclose_limit, size).any()
assert (gap < allclose_limit).all()
assert (gap < assert_close_limit).all()
assert torch.allclose(size + 0.99 * assert_close_limit, size, 1.3e-6, 1e-5)

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "My test passes whatever I compute." Numbers far below ``atol`` are close
#    to each other and to 0. Where your numbers are that tiny, set ``atol=0``.

tiny = torch.tensor([1e-9, 2e-9])

print(torch.allclose(tiny, 3 * tiny))
print(torch.allclose(tiny, 3 * tiny, atol=0))

assert torch.allclose(tiny, 3 * tiny) is True
assert torch.allclose(tiny, 3 * tiny, atol=0) is False
assert torch.allclose(tiny, torch.zeros(2)) is True

# %%
# In a test: assert_close
# -----------------------
#
# `torch.testing.assert_close` says what differs, by how much and where, and
# how much was allowed:

measured = torch.tensor([1.0, 2.0, 3.5])
wanted = torch.tensor([1.0, 2.0, 3.0])

with show_error("1 / 3", "0.5 at index (2,) (up to 1e-05 allowed)"):
    torch.testing.assert_close(measured, wanted)

assert (measured - wanted).tolist() == [0, 0, 0.5]
assert torch.isclose(measured, wanted).tolist() == [True, True, False]
# %%
# Its ``atol`` of 1e-5 is larger than that of ``allclose``, so it lets even
# more tiny numbers through. If you set one tolerance, you have to set both:

torch.testing.assert_close(tiny, 3 * tiny)  # no error
with show_error("not close", "up to 1e-05 allowed"):
    torch.testing.assert_close(tiny, 3 * tiny, rtol=1e-5, atol=0)
with show_error("Both 'rtol' and 'atol' must be either specified or omitted"):
    torch.testing.assert_close(tiny, 3 * tiny, atol=0)

assert torch.testing.assert_close(tiny, 3 * tiny) is None
few = torch.tensor([1e-6])
assert torch.testing.assert_close(few, 3 * few) is None
assert torch.allclose(few, 3 * few) is False

# %%
# ``assert_close`` chooses its tolerances by the dtype: those above are for
# float32. `torch.allclose` has the same ones for every dtype. For float16 they
# are smaller than the gap from one number to the next, so only equal numbers
# are close:

half = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float16)
nearly = half + 0.001  # rounded: the next float16 of each

print(nearly)
print(torch.allclose(nearly, half))
torch.testing.assert_close(nearly, half)  # no error

assert torch.allclose(nearly, half) is False
assert torch.testing.assert_close(nearly, half) is None
assert torch.finfo(torch.float16).eps > 1e-5
assert torch.equal(nearly, torch.nextafter(half, 2 * half))
assert not torch.isclose(nearly, half).any()
assert half.tolist() == [1, 2, 3]

# %%
# What allclose lets through
# --------------------------
#
# Like ``+``, `torch.allclose` broadcasts. So a single number can pass for a
# whole table of results. ``assert_close`` also compares the shapes:

one = torch.ones(1)
many = torch.ones(3, 2)

print(torch.allclose(one, many))  # (1,) and (3, 2): close!
with show_error("The values for attribute 'shape' do not match"):
    torch.testing.assert_close(one, many)

assert torch.allclose(one, many) is True
assert one.shape == (1,)
assert many.shape == (3, 2)
assert torch.equal(one, many) is False

# %%
# Two tensors of different dtypes stop ``allclose`` with an error, and
# ``assert_close`` too. Decide which dtype you want, and convert the other
# tensor:

exact = torch.tensor([0.1, 0.2], dtype=torch.float64)
rounded = torch.tensor([0.1, 0.2])

with show_error("Float did not match Double"):
    torch.allclose(rounded, exact)
with show_error("The values for attribute 'dtype' do not match"):
    torch.testing.assert_close(rounded, exact)
print(torch.allclose(rounded, exact.float()))

assert torch.allclose(rounded, exact.float()) is True
assert (rounded == exact).tolist() == [False, False]

# %%
# Where NaN and infinity come from
# --------------------------------
#
# Plain Python stops at a division by zero. A tensor goes on: with ``inf``,
# infinity, where a result grows without limit or is too large for its dtype,
# and with ``nan``, *not a number*, where there is no answer.

print(torch.tensor([1.0, -1.0, 0.0]) / 0)
print(torch.tensor([0.0, -1.0]).log())  # no logarithm below 0
print(torch.tensor([-1.0]).sqrt())  # no square root below 0
print(torch.tensor([10.0, 100.0]).exp())  # e**100 is too large

infinity = torch.tensor(float("inf"))
print(infinity - infinity, infinity * 0)

assert str(torch.tensor([1.0, -1.0, 0.0]) / 0) == "tensor([inf, -inf, nan])"
assert str(torch.tensor([0.0, -1.0]).log()) == "tensor([-inf, nan])"
assert torch.tensor([-1.0]).sqrt().isnan()
assert torch.tensor([10.0, 100.0]).exp().isinf().tolist() == [False, True]
assert (infinity - infinity).isnan()
assert (infinity * 0).isnan()
assert infinity > torch.finfo(torch.float32).max

# %%
# NaN is equal to nothing, not even to itself. All comparisons with it are
# false:
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I looked for NaN with ``x == float("nan")`` and found none." Ask
#    `torch.isnan`, or `torch.isfinite`, which is False for NaN and infinity.

x = torch.tensor([1.0, float("nan"), float("inf")])

print(x == float("nan"))
print(x == x)
print(x.isnan())
print(x.isfinite())

assert (x == float("nan")).tolist() == [False, False, False]
assert (x == x).tolist() == [True, False, True]
assert (x < 5).tolist() == [True, False, False]
assert (x > 5).tolist() == [False, False, True]
assert x.isnan().tolist() == [False, True, False]
assert x.isfinite().tolist() == [True, False, False]

# %%
# So no tensor with a NaN is close to its own copy. Where NaN is expected in
# the same places, say ``equal_nan=True``, to ``assert_close`` as well:

print(torch.allclose(x, x.clone()))
print(torch.allclose(x, x.clone(), equal_nan=True))

assert torch.allclose(x, x.clone()) is False
assert torch.allclose(x, x.clone(), equal_nan=True) is True
assert torch.testing.assert_close(x, x.clone(), equal_nan=True) is None

# %%
# One NaN spoils a mean
# ---------------------
#
# Nearly everything computed with NaN is NaN again: a sum, a mean, a maximum.
# If it stands for a missing value, `torch.nanmean` and `torch.nansum` leave it
# out.

readings = torch.tensor([[20.0, 5.0], [22.0, float("nan")], [24.0, 7.0]])

print(readings.mean(dim=0))
print(readings.nanmean(dim=0))
print(readings.max())

assert readings.mean(dim=0).isnan().tolist() == [False, True]
assert readings.mean(dim=0)[0] == 22
assert readings.nanmean(dim=0).tolist() == [22, 6]
assert readings.nansum(dim=0).tolist() == [66, 12]
assert readings.max().isnan()

# %%
# The NaN and what comes of it are orange:
#
# .. alt: A table of three rows and two columns, with an orange nan in the
#    second column. The means of the columns are 22 and an orange nan. With
#    nanmean they are 22 and 6.
# .. fold: picture

means = {
    "readings": readings,
    "mean(dim=0)": readings.mean(dim=0),
    "nanmean(dim=0)": readings.nanmean(dim=0),
}
draw_tensors(means, groups=[mean.isnan() for mean in means.values()])
show_pictures()

assert means["nanmean(dim=0)"].isfinite().all()

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I got rid of the NaN with `torch.nan_to_num`." It puts a 0 in the place
#    of each NaN, so the mean is still wrong, and now nothing shows it. First
#    find out where the NaN came from.
#
# ``nan_to_num`` also turns infinity into the largest float32. If you do want
# to replace such numbers, say by which:

print(readings.nan_to_num().mean(dim=0))  # 4, not 6, in the second column
print(x.nan_to_num())
print(x.nan_to_num(nan=-1.0, posinf=100.0))

assert readings.nan_to_num().mean(dim=0).tolist() == [22, 4]
largest = torch.finfo(torch.float32).max
assert x.nan_to_num().tolist() == [1, 0, largest]
assert x.nan_to_num(nan=-1.0, posinf=100.0).tolist() == [1, -1, 100]

# %%
# Look closer: the order of a sum
# -------------------------------
#
# Near a hundred million, float32 only has every eighth integer. Adding 1 is
# rounded away there, so the same three numbers give two sums:

big = torch.tensor(1e8)

print((big + 1) - big)
print((big - big) + 1)

assert (big + 1) - big == 0
assert (big - big) + 1 == 1
assert torch.nextafter(big, 2 * big) - big == 8

# %%
# Two correct programs can therefore differ, and so can a CPU and a GPU, which
# add in another order. Compare them with a tolerance.
#
# Try it
# ------
#
# .. exercise:: The same result?
#
#    Write ``same(actual, expected)`` for two tensors of the same dtype. It
#    returns True if they have the same shape and all elements are close, and
#    False otherwise.
#
#    .. hint:: `torch.allclose` looks at the elements. What does it not look
#       at, and when does it raise an error?


def same(actual, expected):
    """Return True if both have one shape and close elements, else False."""
    if actual.shape != expected.shape:
        return False
    return torch.allclose(actual, expected)


tenths = torch.tensor([0.1, 0.1]) + torch.tensor([0.2, 0.6])
wanted = torch.tensor([0.3, 0.7])
assert same(tenths, wanted), "rounding in the last digit is no difference"
assert not same(tenths, wanted + 0.1), "0.3 is not close to 0.4"
assert not same(torch.ones(1), torch.ones(3)), "shapes that broadcast differ"
assert not same(torch.ones(2), torch.ones(3)), "other shapes: False, no error"

# %%
# .. exercise:: Throw out the broken rows
#
#    Some rows of ``samples``, (N, F), contain NaN or infinity. Write
#    ``finite_rows(samples)``, which returns the other rows, whole and in
#    order.
#
#    .. hint:: A row is good if all of its elements are finite: ask `torch.all`
#       with a ``dim``. Then index with a mask of shape (N,).


def finite_rows(samples):
    """Return the rows of (N, F) in which every element is finite."""
    good = samples.isfinite().all(dim=1)  # (N, F) -> (N,)
    return samples[good]


nan = float("nan")
inf = float("inf")
samples = torch.tensor([[1.0, 2.0], [nan, 3.0], [4.0, 5.0], [6.0, -inf]])
kept = finite_rows(samples)
assert kept.dim() == 2, "whole rows are left, in a table: (rows, F)"
assert kept.isfinite().all(), "no NaN and no infinity is left"
assert kept.tolist() == [[1, 2], [4, 5]], "the rows [1, 2] and [4, 5] are good"

# %%
# .. exercise:: Fill in what is missing
#
#    In ``table``, (N, F), NaN marks a missing value. Write ``fill(table)``,
#    which returns a new table with the mean of its column in each such place.
#
#    .. hint:: `torch.where` chooses between two tensors by a mask, and it
#       broadcasts: means of shape (F,) fit a table of shape (N, F).


def fill(table):
    """Return a new (N, F) table, each NaN replaced by its column's mean."""
    means = table.nanmean(dim=0)  # (N, F) -> (F,)
    return torch.where(table.isnan(), means, table)


nan = float("nan")
table = torch.tensor([[1.0, 10.0], [nan, 20.0], [3.0, nan]])
filled = fill(table)
assert table.isnan().sum() == 2, "the table that was passed in must not change"
assert filled.shape == (3, 2), "the table keeps its shape, (N, F)"
assert not filled.isnan().any(), "no NaN is left"
assert filled[0].tolist() == [1, 10], "values that are there stay as they are"
assert filled[1, 0] == 2, "column 0 holds 1 and 3: their mean is 2"
assert filled[2, 1] == 15, "column 1 holds 10 and 20: their mean is 15"

# %%
# What you learned
# ----------------
#
# Compare floats with `torch.isclose` or `torch.allclose`, and in tests with
# ``assert_close``, which also looks at shape and dtype. Choose ``atol`` where
# numbers are near 0. NaN is equal to nothing and spoils what it touches: find
# it with `torch.isnan`, and ask where it came from before you replace it.
#
# Next: :ref:`products` multiplies and sums in one operation. The same tools
# find the fault in a training run in :ref:`debug_training`.
