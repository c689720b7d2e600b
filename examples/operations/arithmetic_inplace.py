r"""
.. _arithmetic_inplace:

Arithmetic and in-place operations: make a new tensor or change one
===================================================================

Why do ``x + y``, ``torch.add(x, y)`` and ``x.add_(y)`` all exist, and what
does the underscore do? After this page you can compute with whole tensors
without a loop, tell which operations overwrite a tensor, and find the line
that changed your data behind your back.

.. concepts: P01 P02
.. claims: c0-10 c0-12 c0-16
"""

import torch

from snippets.drawing import draw_memory, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Operators work element by element and give a new tensor. A method whose name
# ends in an underscore works *in place*: it writes its result into the tensor
# that it is called on.

x = torch.tensor([1, 2, 3])
y = torch.tensor([10, 20, 30])

print(x + y)  # element by element
print(x * y)
print(x + 100)  # a plain number goes to every element

x.add_(y)  # the underscore: x itself changes
print("x is now", x)

assert x.tolist() == [11, 22, 33]
assert y.tolist() == [10, 20, 30]
assert (x + y).tolist() == [21, 42, 63]
assert (x * y).tolist() == [110, 440, 990]
assert (x + 100).tolist() == [111, 122, 133]

# %%
# The operators
# -------------
#
# Use the operators that Python has for numbers: they mean the same. ``/``
# gives floats, even for integers. ``//`` rounds down, so -3.5 becomes -4.
# ``%`` is the remainder: -7 is 2 times -4, and 1 is left.

numbers = torch.tensor([7, -7])

print(numbers - 1)
print(numbers / 2)
print(numbers // 2)
print(numbers % 2)
print(numbers**2)

assert (numbers - 1).tolist() == [6, -8]
assert (numbers / 2).tolist() == [3.5, -3.5]
assert (numbers / 7).dtype == torch.float32
assert (numbers // 2).tolist() == [3, -4]
assert (numbers % 2).tolist() == [1, 1]
assert (numbers**2).tolist() == [49, 49]
assert torch.equal(numbers // 2 * 2 + numbers % 2, numbers)

# %%
# ``*`` multiplies element by element, for matrices too. The matrix product is
# ``@``, which :ref:`products` explains.
#
# Functions such as `torch.sqrt`, the square root, and `torch.abs`, the
# absolute value, work element by element as well. Each is also a method of the
# tensor:

areas = torch.tensor([4.0, 9.0])
errors = torch.tensor([-3.0, 2.0])

print(torch.sqrt(areas))
print(areas.sqrt())  # the same
print(errors.abs())

assert torch.sqrt(areas).tolist() == areas.sqrt().tolist() == [2, 3]
assert torch.abs(errors).tolist() == errors.abs().tolist() == [3, 2]

# %%
# Four ways to add
# ----------------
#
# ``+`` is short for `torch.add`. With ``out=``, that function writes its
# result into a tensor that you already have. The fourth way,
# `torch.Tensor.add_`, writes it into the tensor before the dot, here ``a``.
# All four compute the same sums:

a = torch.tensor([1.0, 2.0])
b = torch.tensor([0.5, 0.5])

print(a + b)
print(torch.add(a, b))

result = torch.empty(2)  # room for two numbers
torch.add(a, b, out=result)
print(result)

a.add_(b)
print(a)

assert a.tolist() == [1.5, 2.5]
assert torch.equal(result, a)
assert torch.equal(torch.add(a, b), a + b)
assert b.tolist() == [0.5, 0.5]
address = result.data_ptr()
assert torch.add(a, b, out=result).data_ptr() == address
assert result.tolist() == [2, 3]

# %%
# Write ``+`` unless you have a reason not to. ``out=`` and ``add_`` save the
# memory for a new result. Another reason is ``alpha``, an option of
# `torch.add` and ``add_`` that multiplies what is added. Code that trains a
# network moves its weights by a small part of a step in this way:

start = torch.tensor([1.0, 2.0])
step = torch.tensor([10.0, 20.0])

print(torch.add(start, step, alpha=0.1))  # start + 0.1 * step
print(start)  # unchanged

assert torch.add(start, step, alpha=0.1).tolist() == [2, 4]
assert start.add(step, alpha=0.1).tolist() == [2, 4]
assert start.clone().add_(step, alpha=0.1).tolist() == [2, 4]
assert start.tolist() == [1, 2]

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I called ``x.add(5)``, and ``x`` did not change." Without the underscore
#    the method returns a new tensor. Keep it, ``x = x.add(5)``, or write
#    ``x.add_(5)``.

score = torch.tensor([1, 2])

score.add(5)  # the result is lost
print(score)

score.add_(5)
print(score)

assert score.tolist() == [6, 7]
assert score.add(5).tolist() == [11, 12]
assert score.tolist() == [6, 7]

# %%
# Everyone who shares the memory sees the change
# ----------------------------------------------
#
# An in-place operation overwrites the memory of a tensor. A slice reads the
# same memory, so it changes too. A clone has memory of its own.

points = torch.tensor([1, 2, 3])
first_two = points[:2]
copy = points.clone()

points.add_(10)
print(first_two)
print(copy)

assert first_two.tolist() == [11, 12]
assert copy.tolist() == [1, 2, 3]
assert first_two.data_ptr() == points.data_ptr() != copy.data_ptr()

# %%
# The picture shows each tensor above the memory that it reads:
#
# .. alt: Above one strip of memory with 11, 12, 13 stand the tensor points and
#    its slice first_two, which show the same new numbers. The clone, copy,
#    stands above a strip of its own and still shows 1, 2, 3.
# .. fold: picture

draw_memory({"points": points, "first_two": first_two, "copy": copy})
show_pictures()

assert points.tolist() == [11, 12, 13]

# %%
# ``x += 1`` changes the tensor, ``x = x + 1`` makes another
# ----------------------------------------------------------
#
# ``+=``, ``-=``, ``*=`` and ``/=`` are in place, without any underscore, just
# as ``+=`` changes a Python list. A second name for the same tensor, such as
# ``backup`` below, is no copy:

count = torch.tensor([1, 2])
backup = count  # two names, one tensor

count += 10
print("after += :", backup)

count = count + 100
print("after  + :", backup)
print("count    :", count)

assert backup.tolist() == [11, 12]
assert count.tolist() == [111, 112]
assert backup.data_ptr() != count.data_ptr()

# %%
# ``count = count + 100`` made a new tensor and gave it the name ``count``. The
# old one stays as it was, under its other name:
#
# .. alt: Two strips of memory. Above the first stands backup with 11, 12.
#    Above the second, a new one, stands count with 111, 112.
# .. fold: picture

draw_memory({"backup": backup, "count": count})
show_pictures()

assert torch.equal(count, backup + 100)

# %%
# A function that changes its caller's data
# -----------------------------------------
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    "My function gives another result when I call it again, with the same
#    data." Look for ``+=`` or an underscore in it: inside a function, the
#    argument is the caller's tensor, not a copy.


def to_fahrenheit(celsius):
    """Convert temperatures, and overwrite them by accident."""
    celsius *= 1.8
    celsius += 32
    return celsius


week = torch.tensor([0.0, 10.0, 20.0])
print(to_fahrenheit(week))
print(to_fahrenheit(week))  # converted twice
print("week:", week)

assert to_fahrenheit(torch.tensor([0.0, 10.0, 20.0])).tolist() == [32, 50, 68]
assert torch.allclose(week, torch.tensor([89.6, 122.0, 154.4]))
assert to_fahrenheit(week) is week

# %%
# With plain operators the function leaves its argument alone:


def celsius_to_fahrenheit(celsius):
    """Return temperatures in Fahrenheit, as a new tensor."""
    return celsius * 1.8 + 32


week = torch.tensor([0.0, 10.0, 20.0])
print(celsius_to_fahrenheit(week))
print("week:", week)

assert celsius_to_fahrenheit(week).tolist() == [32, 50, 68]
assert week.tolist() == [0, 10, 20]

# %%
# What an in-place operation cannot do
# ------------------------------------
#
# The memory stays the same, and so does the dtype of what it holds. A tensor
# of integers has no room for fractions (:ref:`type_promotion` shows more such
# cases):

goals = torch.tensor([1, 2])

with show_error("Float can't be cast to the desired output type Long"):
    goals += 0.5

goals = goals + 0.5  # a new tensor may have another dtype
print(goals)

assert goals.tolist() == [1.5, 2.5]
assert goals.dtype == torch.float32

# %%
# The size of a tensor is fixed as well, as :ref:`broadcasting` shows. Tensors
# that record gradients, as in training, can refuse an in-place change for a
# third reason: see :ref:`grad_limits`.
#
# Look closer: more ways to overwrite
# -----------------------------------
#
# Many methods have a twin with an underscore. A few exist in place alone:
# `torch.Tensor.zero_` and `torch.Tensor.fill_` set every element, and
# `torch.Tensor.copy_` copies the elements of another tensor into this one and
# converts them to its dtype. An assignment to a slice is in place, too.

room = torch.empty(3)

room.fill_(7)
print(room)

room.copy_(torch.tensor([1, 2, 3]))
print(room)

room[:1] = 0
print(room)

assert room.tolist() == [0, 2, 3]
assert room.dtype == torch.float32
address = room.data_ptr()
assert room.fill_(7).tolist() == [7, 7, 7]
assert room.zero_().add_(1) is room
assert room.tolist() == [1, 1, 1]
assert room.__add__(1).tolist() == [2, 2, 2]
assert room.tolist() == [1, 1, 1]
assert room.data_ptr() == address
assert not hasattr(room, "zero")
assert not hasattr(room, "fill")
assert not hasattr(room, "copy")

# %%
# Each such method also returns its tensor, so calls can be chained:
# ``room.zero_().add_(1)``. Only a *single* underscore at the end counts: names
# such as ``__add__`` are Python's own, and ``__add__`` is what ``+`` calls.
#
# Should you prefer in-place operations? They save the memory for a result,
# which matters when your tensors nearly fill a GPU. Otherwise write the code
# that is easier to read, and that surprises nobody who shares the tensor.
#
# Try it
# ------
#
# .. exercise:: Rescale an image
#
#    The pixels of ``image`` lie between ``low`` and ``high``. Write
#    ``rescale(image, low, high)``, which returns them as floats between -1
#    and 1. The image itself must stay as it is, since others still use it.
#
#    .. hint:: First bring the pixels to 0 to 1: take away ``low``, and divide
#       by the distance between ``low`` and ``high``.


def rescale(image, low, high):
    """Return a new tensor: low becomes -1, high becomes 1. Same shape."""
    share = (image - low) / (high - low)
    return share * 2 - 1


image = torch.tensor([[20.0, 40.0], [60.0, 100.0]])
scaled = rescale(image, 20, 100)
assert image.tolist() == [[20, 40], [60, 100]], "the image must stay as it is"
assert scaled.shape == (2, 2), "one result for each pixel"
assert scaled[0, 0] == -1, "low, here 20, must become -1"
assert scaled[1, 1] == 1, "high, here 100, must become 1"
assert scaled[1, 0] == 0, "60, in the middle of 20 and 100, must become 0"
assert scaled[0, 1] == -0.5, "40, a quarter of the way, must become -0.5"

# %%
# .. exercise:: A running average, in place
#
#    Training code often smooths a value that jumps: it keeps 90 % of the old
#    average and adds 10 % of the new value. Write
#    ``update(average, new, keep)``, where ``keep`` is the fraction to keep,
#    such as 0.9. It does this *inside* ``average``, so that every part of a
#    program that holds this tensor sees the new average.
#
#    .. hint:: Two in-place operations are enough. ``alpha`` multiplies what
#       `torch.Tensor.add_` adds.


def update(average, new, keep):
    """Change average to keep * average + (1 - keep) * new; return nothing."""
    average *= keep
    average.add_(new, alpha=1 - keep)


average = torch.tensor([8.0, 0.0])
new = torch.tensor([4.0, 2.0])
held_elsewhere = average
update(average, new, 0.5)
assert held_elsewhere.tolist() != [8, 0], "change the tensor, make no new one"
assert new.tolist() == [4, 2], "the new value must stay as it is"
assert average.tolist() == [6, 1], "0.5 * [8, 0] + 0.5 * [4, 2] is [6, 1]"
update(average, new, 0.75)
assert average.tolist() == [5.5, 1.25], "keep is the weight of the old average"

# %%
# What you learned
# ----------------
#
# Operators and plain methods make new tensors. A final underscore, ``+=`` and
# ``out=`` overwrite memory that is there, and whoever shares it sees the
# change. In a function, prefer operators, so that your caller's data stay as
# they are.
#
# Next: :ref:`broadcasting` adds tensors of different shapes, and
# :ref:`reductions` turns many numbers into one. Which tensors share memory is
# a question in :ref:`view_reshape_flatten`.
