r"""
.. _create_from_data:

Turn your numbers into a tensor
===============================

You have numbers in a list, an array or a variable: how do they become a
tensor, and of which type? After this page you can make a tensor of the type
you want, choose between two names that differ by one capital letter, copy a
tensor without a warning, and pass a plain number to the functions of PyTorch.

.. concepts: T03 T04 T15
"""

import math
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch

from snippets.drawing import draw_memory

# %%
# The type follows the data
# -------------------------
#
# All numbers of a tensor have one type, its *dtype*. `torch.tensor` picks it
# by looking at your data. Whole numbers stay whole and become int64, which has
# 64 bits for each. A single float among them makes all of them float32, with
# 32 bits. True and False become bool.

whole = torch.tensor([0, 1])
mixed = torch.tensor([0, 1.5])
truth = torch.tensor([False, True])
for tensor in (whole, mixed, truth):
    print(tensor, tensor.dtype)

assert (whole.tolist(), whole.dtype) == ([0, 1], torch.int64)
assert (mixed.tolist(), mixed.dtype) == ([0, 1.5], torch.float32)
assert (truth.tolist(), truth.dtype) == ([False, True], torch.bool)

# %%
# If you meant floats and wrote whole numbers, you may find out later. A mean,
# for example, is seldom whole, so `torch.mean` refuses them all:

try:
    whole.mean()
except RuntimeError as error:
    print(error)
    assert "floating point or complex" in str(error)
    assert str(error).endswith("Got: Long")
else:
    raise AssertionError("the mean of whole numbers must fail")

# %%
# Say what you mean
# -----------------
#
# ``Long`` is an older name of int64. To get floats, write one of the numbers
# with a point, or name the dtype. A NumPy array passes its own dtype on.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Whole numbers are printed as floats, ``[[1., -1.], [-1., 1.]]``, when made
#    by `torch.tensor` and by `torch.from_numpy` (claims c3-06, c3-07). Both
#    keep them whole.

signs = torch.tensor([[1, -1], [-1, 1]])
from_array = torch.from_numpy(np.array([[1, -1], [-1, 1]]))
floats = torch.tensor([[1, -1], [-1, 1]], dtype=torch.float32)
print(signs)
print(floats)

assert str(signs) == "tensor([[ 1, -1],\n        [-1,  1]])"
assert str(floats) == "tensor([[ 1., -1.],\n        [-1.,  1.]])"
assert torch.equal(from_array, signs)
assert not from_array.is_floating_point()
assert torch.from_numpy(np.array([0.5])).dtype == torch.float64  # NumPy's own

# %%
# Copied or shared
# ----------------
#
# `torch.tensor` always copies. `torch.as_tensor` copies only where it must:
# given an array, it reads the array's own memory. So a change of the array
# shows in one of the two tensors:

array = np.array([1, 2, 3])
copied = torch.tensor(array)
shared = torch.as_tensor(array)
array[0] = 9
print(copied, shared)

assert copied.tolist() == [1, 2, 3]
assert shared.tolist() == [9, 2, 3]

# %%
# Two names above one strip of memory read the same numbers. ``copied`` has a
# strip of its own.
#
# .. alt: The array and the shared tensor stand above one strip of memory with
#    the numbers 9, 2, 3. The copied tensor stands above a strip of its own
#    with the numbers 1, 2, 3.

draw_memory({"array": array, "shared": shared, "copied": copied})
plt.show()

assert shared.data_ptr() == array.ctypes.data
assert copied.data_ptr() != array.ctypes.data

# %%
# Copy a tensor
# -------------
#
# When the source is a tensor already, PyTorch suspects a mistake:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    `torch.tensor` also turns a tensor into a tensor (claim c1-06). It does,
#    but it warns, and the warning names the better way.

original = torch.tensor([1.0, 2.0], requires_grad=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    twin = torch.tensor(original)
print(caught[0].message)

assert torch.equal(twin, original) and len(caught) == 1
assert str(caught[0].message).startswith("To copy construct from a tensor")

# %%
# `~torch.Tensor.detach` leaves behind what PyTorch keeps for gradients, and
# `~torch.Tensor.clone` copies the numbers. A change of the copy then stays
# in the copy:

duplicate = original.detach().clone()
duplicate[0] = 9
print(duplicate, original.tolist())

assert duplicate.tolist() == [9, 2] and original.tolist() == [1, 2]
assert not duplicate.requires_grad

# %%
# One capital letter
# ------------------
#
# `torch.Tensor` is the class that all tensors belong to. Called with a list,
# it makes everything float32, which keeps about seven digits: 16777217 loses
# its last one. Called with 3, it makes three numbers that nobody has set:
# whatever was in memory. The function does what you mean in both cases.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Tensors are made by ``torch.Tensor([[1, 2, 3], ...])`` (claim c1-18).
#    This gives floats and says nothing. Use the function, `torch.tensor`.

by_class, by_function = torch.Tensor([16777217]), torch.tensor([16777217])
print(f"{by_class.item():.0f} is not {by_function.item()}")
three, one = torch.Tensor(3), torch.tensor(3)
print(tuple(three.shape), "is not", tuple(one.shape))

assert (by_class.dtype, by_class.item()) == (torch.float32, 16777216)
assert (by_function.dtype, by_function.item()) == (torch.int64, 16777217)
assert three.shape == (3,) and one.shape == () and one == 3
assert isinstance(one, torch.Tensor)

# %%
# Functions want tensors
# ----------------------
#
# PyTorch's mathematics is made for tensors, and a Python number is not one:

try:
    torch.sqrt(4)
except TypeError as error:
    print(error)
    assert "must be Tensor, not int" in str(error)
else:
    raise AssertionError("a plain number must be refused")

# %%
# Wrap the number, or use Python's own ``math`` where no tensor is needed. For
# a root, whole numbers will do: the result is a float anyway.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The number must first become a float32 tensor (claim c2-05), by
#    ``torch.tensor(int, dtype=torch.float32)`` (claim c2-03). int64 will do as
#    well, and that line fails: put your number in place of ``int``.

root = torch.sqrt(torch.tensor(4))
print(root, root.dtype)
try:
    torch.tensor(int, dtype=torch.float32)
except TypeError as error:
    print(error)
    assert "not type" in str(error)
else:
    raise AssertionError("a type must be refused")

assert root == math.sqrt(4) == 2 and root.dtype == torch.float32

# %%
# What you learned
# ----------------
#
# `torch.tensor` copies your data and takes its dtype from it; name the dtype
# where it matters. Copy a tensor with ``detach().clone()``, leave the class
# `torch.Tensor` alone, and wrap a number before you pass it on.
#
# Next: :ref:`create_by_shape` makes tensors without any data. For all the
# types see :ref:`dtypes`, for shared memory :ref:`numpy_bridge`. The picture
# comes from `snippets.drawing`.
