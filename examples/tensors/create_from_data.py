r"""
.. _create_from_data:

torch.tensor: turn lists and numbers into tensors
=================================================

You have numbers in a list: how do they become a tensor, and why is it full of
integers when you wanted floats? After this page you can make a tensor of the
type you want, copy it so that the copy keeps its numbers, and choose between
`torch.tensor` and `torch.Tensor`, two names that differ by one capital letter.

.. concepts: T03 T04 T15
.. claims: c1-06 c1-18 c2-03 c2-05 c3-06
"""

import math
import warnings

import torch

from snippets.drawing import draw_memory, draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Give a list or a number to `torch.tensor`. All numbers of a tensor have one
# type, its *dtype*. It follows from your data, or you name it with ``dtype=``.

counts = torch.tensor([3, 1, 4])
prices = torch.tensor([3.5, 1.0, 4.0])
floats = torch.tensor([3, 1, 4], dtype=torch.float32)

print(counts, counts.dtype)
print(prices, prices.dtype)
print(floats, floats.dtype)

assert counts.tolist() == [3, 1, 4]
assert counts.dtype == torch.int64
assert prices.tolist() == [3.5, 1, 4]
assert prices.dtype == torch.float32
assert floats.tolist() == [3, 1, 4]
assert floats.dtype == torch.float32
assert str(counts) == "tensor([3, 1, 4])"
assert str(floats) == "tensor([3., 1., 4.])"

# %%
# The dtype follows the data
# --------------------------
#
# Integers become int64, which has 64 bits for each number. A single float in
# the list makes all of them float32, with 32 bits: half as many as a Python
# float has, so a tensor needs less memory. True and False become bool.

integers = torch.tensor([0, 1, 2])
mixed = torch.tensor([0, 1, 2.5])
truths = torch.tensor([True, False])

print(integers.dtype)
print(mixed, mixed.dtype)
print(truths, truths.dtype)

assert integers.dtype == torch.int64
assert mixed.tolist() == [0, 1, 2.5]
assert mixed.dtype == torch.float32
assert truths.tolist() == [True, False]
assert truths.dtype == torch.bool
assert torch.int64.itemsize == 8
assert torch.float32.itemsize == 4

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I stored 2.9 in my tensor, and it holds 2." The tensor was made from
#    integers, so it stays a tensor of integers. It drops the fraction and says
#    nothing.

scores = torch.tensor([0, 0, 0])
scores[0] = 2.9  # as in a list, [0] is the first place

print(scores)

assert scores.tolist() == [2, 0, 0]
assert scores.dtype == torch.int64

# %%
# Start with floats if fractions may follow:

scores = torch.tensor([0.0, 0.0, 0.0])
scores[0] = 2.9

print(scores)

assert torch.equal(scores, torch.tensor([2.9, 0, 0]))
assert str(scores) == "tensor([2.9000, 0.0000, 0.0000])"

# %%
# Some operations do not drop a fraction but refuse integers from the start. A
# mean is seldom an integer, so `torch.Tensor.mean` asks for floats. Here are
# ``counts`` and ``floats`` from the short answer. *Long*, in the message, is
# an older name of int64.

with show_error("mean()", "floating point", "Got: Long"):
    counts.mean()

print(floats.mean())

assert str(floats.mean()) == "tensor(2.6667)"
assert counts.dtype == torch.long

# %%
# A list of lists becomes a table
# -------------------------------
#
# Each inner list is a row. The dtype still follows from all the numbers: these
# integers stay integers, and a single decimal point would make all of them
# floats.

matrix = torch.tensor([[1, -1, 0], [-1, 1, 2]])

print(matrix)
print(matrix.shape)

assert str(matrix) == "tensor([[ 1, -1,  0],\n        [-1,  1,  2]])"
assert matrix.shape == (2, 3)
assert matrix.dtype == torch.int64
one_point = torch.tensor([[1, -1, 0], [-1, 1.0, 2]])
assert one_point.dtype == torch.float32

# %%
# .. alt: A table of two rows and three columns. The first row holds 1, -1, 0
#    and the second row -1, 1, 2.
# .. fold: picture

draw_tensors({"matrix": matrix})
show_pictures()

assert matrix[0].tolist() == [1, -1, 0]
assert matrix[1].tolist() == [-1, 1, 2]

# %%
# A tensor has no gaps, so the rows must be equally long. Here the first row
# has two numbers and the second has one. The message counts dimensions from 0:
# dim 0 goes from row to row, and dim 1 goes along a row. Fill the short row
# up, for example with a zero:

with show_error("expected sequence of length 2 at dim 1 (got 1)"):
    torch.tensor([[1, 2], [3]])

print(torch.tensor([[1, 2], [3, 0]]))

assert torch.tensor([[1, 2], [3, 0]]).tolist() == [[1, 2], [3, 0]]

# %%
# Copy a tensor
# -------------
#
# `torch.tensor` copies the numbers of your list. An equals sign copies
# nothing: ``same = original`` gives the same tensor a second name, so a change
# by one name shows under the other. `torch.Tensor.clone` makes a copy.

original = torch.tensor([1.0, 2.0, 3.0])
same = original
copy = original.clone()

original[0] = 9

print("same:", same)
print("copy:", copy)

assert original.tolist() == [9, 2, 3]
assert same.tolist() == [9, 2, 3]
assert copy.tolist() == [1, 2, 3]
numbers = [1.0, 2.0]
from_list = torch.tensor(numbers)
from_list[0] = 9
assert numbers == [1, 2]

# %%
# Two names stand above the same memory, and the copy has memory of its own:
#
# .. alt: The names original and same stand above one strip of memory with the
#    numbers 9, 2, 3. The copy stands above a strip of its own with 1, 2, 3.
# .. fold: picture

draw_memory({"original": original, "same": same, "copy": copy})
show_pictures()

assert same.data_ptr() == original.data_ptr()
assert copy.data_ptr() != original.data_ptr()

# %%
# You can also give a tensor ``x`` to `torch.tensor`. You get a copy, and a
# warning that begins "To copy construct from a tensor". Write
# ``x.detach().clone()`` instead. `~torch.Tensor.detach` leaves the gradients
# out, which matters for a tensor with ``requires_grad=True``: a plain
# ``clone()`` of it would take part in finding the gradients, too.

weight = torch.tensor([1.0, 2.0], requires_grad=True)
snapshot = weight.detach().clone()
snapshot[0] = 9

print(weight)
print(snapshot)

assert weight.tolist() == [1, 2]
assert weight.requires_grad
assert snapshot.tolist() == [9, 2]
assert not snapshot.requires_grad
assert weight.clone().requires_grad
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    copied = torch.tensor(weight)
assert torch.equal(copied, weight)
warning = str(caught[0].message)
assert warning.startswith("To copy construct from a tensor")
assert "detach()" in warning and "clone()" in warning

# %%
# torch.tensor or torch.Tensor
# ----------------------------
#
# Use the function, `torch.tensor`. With a capital letter, `torch.Tensor` is
# the class of all tensors. You can call it, too, but it surprises you twice.
# It turns everything into float32, which keeps only about seven digits. And it
# takes a number for a size: ``torch.Tensor(3)`` makes a tensor of three
# numbers that nobody has set, whatever was in memory.

product_id = 16777217

print(torch.tensor([product_id])[0])
print(torch.Tensor([product_id])[0])  # the number of another product

print(torch.tensor(3).shape)
print(torch.Tensor(3).shape)

assert torch.tensor([product_id])[0] == 16777217
assert torch.Tensor([product_id])[0] == 16777216
assert torch.Tensor([product_id]).dtype == torch.float32
assert torch.tensor(3) == 3
assert torch.tensor(3).shape == ()
assert torch.Tensor(3).shape == (3,)
assert isinstance(counts, torch.Tensor)

# %%
# Functions want tensors
# ----------------------
#
# The mathematical functions of PyTorch take tensors, and a plain Python number
# is not one. Make it a tensor, or use Python's own ``math`` where you need no
# tensor. Unlike ``mean()``, `torch.sqrt` accepts a tensor of integers, and its
# root comes out as a float.

with show_error("sqrt()", "must be Tensor, not int"):
    torch.sqrt(4)

print(torch.sqrt(torch.tensor(4)))
print(math.sqrt(4))

assert torch.sqrt(torch.tensor(4)) == 2
assert torch.sqrt(torch.tensor(4)).dtype == torch.float32
assert math.sqrt(4) == torch.tensor(2)
assert torch.sqrt(torch.tensor(4, dtype=torch.float32)) == 2

# %%
# Try it
# ------
#
# .. exercise:: Fill up short rows
#
#    A program that reads text gives each word a number, so that a sentence
#    becomes a list such as ``[5, 2]``. Sentences differ in length, but the
#    rows of a tensor do not. Write ``pad(rows)``, which fills the shorter
#    lists up with zeros at their end and returns a tensor. The lists must not
#    change.
#
#    .. hint:: In Python, ``[5, 2] + [0] * 3`` is ``[5, 2, 0, 0, 0]``, a new
#       list. How many zeros does each row lack?


def pad(rows):
    """Return N lists of integers as an int64 tensor, (N, longest)."""
    longest = max(len(row) for row in rows)
    padded = []
    for row in rows:
        padded.append(row + [0] * (longest - len(row)))
    return torch.tensor(padded)


rows = [[5, 2], [7, 1, 3, 8], [4]]
result = pad(rows)
assert rows == [[5, 2], [7, 1, 3, 8], [4]], "the lists must not change"
assert isinstance(result, torch.Tensor), "return a tensor, not a list"
assert result.dtype == torch.int64, "word numbers are integers: int64"
assert result.shape == (3, 4), "a row for each list, as long as the longest"
assert result[1].tolist() == [7, 1, 3, 8], "the longest row stays as it is"
assert result[0].tolist() == [5, 2, 0, 0], "zeros fill the end of a short row"
assert result[2].tolist() == [4, 0, 0, 0], "each row gets the zeros it lacks"

# %%
# .. exercise:: Change a copy
#
#    Write ``replaced(x, place, value)``. It returns a tensor with the numbers
#    of ``x``, but with ``value`` at the given place, counted from 0. The
#    tensor ``x`` itself must not change.
#
#    .. hint:: Which line makes a tensor with memory of its own, and must it
#       stand before or after the change?


def replaced(x, place, value):
    """Return a copy of x, of shape (N,), with value at one place."""
    result = x.clone()
    result[place] = value
    return result


x = torch.tensor([1.0, 2.0, 3.0])
result = replaced(x, 1, 0.5)
assert x.tolist() == [1, 2, 3], "x itself must not change"
assert isinstance(result, torch.Tensor), "return a tensor"
assert result.tolist() == [1, 0.5, 3], "the value stands at the given place"
assert replaced(x, 0, 7.0).tolist() == [7, 2, 3], "only one place changes"

# %%
# What you learned
# ----------------
#
# `torch.tensor` copies your data and takes the dtype from it: write a decimal
# point, or ``dtype=torch.float32``, where you mean floats. ``clone()`` copies
# a tensor, and an equals sign does not.
#
# Next: :ref:`create_by_shape` makes tensors without any list. :ref:`dtypes`
# lists all types, and :ref:`numpy_bridge` takes numbers from NumPy.
