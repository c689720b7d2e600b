r"""
.. _hello_torch:

Run your first lines of PyTorch
===============================

What can PyTorch do that plain Python cannot, and how do you begin? After
this page you can import PyTorch the usual way, name its two core features, and
tell apart a number, a row, a table and a stack of tables. If you come from
NumPy, you will also know which of your habits mislead here.

.. concepts: T01 T02
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from snippets.drawing import draw_tensors

# %%
# Three names to know
# -------------------
#
# Nearly all PyTorch code begins with imports like those above. `torch` makes
# tensors and computes with them. ``nn`` is short for `torch.nn`, the parts
# that networks are built from. ``F`` is short for `torch.nn.functional`, the
# same mathematics as plain functions. The other imports are for pictures and
# for NumPy, which comes later. ``assert`` checks what the text says: the
# program stops where that is not true.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The version shown is 1.0.0, from 2018 (claim c0-40). These pages are for
#    2.6 and later. What stands after a plus names the build.

print("PyTorch", torch.__version__)
print(nn.__name__, "and", F.__name__)

assert torch.__version__ >= (2, 6)
assert nn.__name__ == "torch.nn" and F.__name__ == "torch.nn.functional"

# %%
# First feature: tensors
# ----------------------
#
# A *tensor* is a box of numbers, all of one type. You compute with the whole
# box at once, without a loop. Its *device* is where the work is done: here the
# CPU, the processor that every computer has. A point after a printed number,
# as in ``10.``, says that it is a float.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Tensors are introduced as NumPy on a GPU (claim c3-02). No GPU is needed.
#    With one, only the first line changes: see :ref:`devices`.

device = "cpu"
numbers = torch.tensor([1.0, 2.0, 3.0], device=device)
tenfold = numbers * 10
total = numbers.sum()
print(tenfold)
print(total, "computed on the", total.device.type)

assert str(tenfold) == "tensor([10., 20., 30.])" and str(total) == "tensor(6.)"
assert total.device.type == device

# %%
# Second feature: gradients
# -------------------------
#
# A *gradient* says how fast a result changes when an input changes a little.
# Networks learn by following gradients, so PyTorch finds them for you. How
# fast does the area of a square grow with its side, when the side is 3? Mark
# the side with ``requires_grad=True``, compute the area, call
# `~torch.Tensor.backward`, and read the answer in ``side.grad``. To compare,
# make the side 0.001 longer by hand:

side = torch.tensor(3.0, requires_grad=True)
area = side**2
area.backward()
by_hand = (3.001**2 - 3**2) / 0.001
print(side.grad, f"and by hand {by_hand:.3f}")

assert area == 9 and side.grad == 6  # the derivative of x² is 2x
assert abs(by_hand - 6.001) < 1e-6

# %%
# The answer is 6: a longer side adds two thin strips to the square, each 3
# long. The step by hand comes close; PyTorch is exact.
#
# Zero to three dimensions
# ------------------------
#
# A single number has no dimension, a row has one, a table two, and a stack of
# tables three: as many as there are brackets at the start. The *shape* holds
# one size for each dimension, the outermost first.

number = torch.tensor(7)
row = torch.tensor([1, 2, 3])
table = torch.tensor([[1, 2, 3], [4, 5, 6]])
stack = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
for tensor in (number, row, table, stack):
    print("dim", tensor.dim(), "shape", tuple(tensor.shape))

assert (number.dim(), number.shape) == (0, ())
assert (row.dim(), row.shape) == (1, (3,))
assert (table.dim(), table.shape) == (2, (2, 3))
assert (stack.dim(), stack.shape) == (3, (2, 2, 3))

# %%
# Here are all four, the two tables of the stack one below the other.
#
# .. alt: Four tensors. 0-D is one cell with 7. 1-D is a row of three cells.
#    2-D is a table of two rows and three columns. 3-D is two such tables, the
#    second below the first, with the numbers 1 to 12.

draw_tensors({"0-D": number, "1-D": row, "2-D": table, "3-D": stack})
plt.show()

assert stack.flatten().tolist() == list(range(1, 13))
assert torch.equal(stack[0], table)  # the first table of the stack

# %%
# Habits from NumPy that mislead
# ------------------------------
#
# NumPy is Python's older library for boxes of numbers. Its box is called
# `~numpy.ndarray`. Many names are the same in both, but some mean something
# else. Here are six zeros in each:

array = np.zeros((2, 3))
tensor = torch.zeros(2, 3)
array_has_six, tensor_has_six = array.size == 6, tensor.size == 6
print("size == 6:", array_has_six, "and", tensor_has_six)
print("dtype:", array.dtype, "and", tensor.dtype)

assert array_has_six is True and tensor_has_six is False
assert array.dtype == np.float64 and tensor.dtype == torch.float32

# %%
# There was no error, only a wrong answer. ``array.size`` is a number, while
# `torch.Tensor.size` is a method, and a method never equals 6. Called, it
# gives the shape; the count is `torch.Tensor.numel`. The second line shows the
# type of the numbers, the *dtype*: new floats have 64 bits in NumPy, 32 here.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Basic operations are called the same as NumPy's, ``size`` among them
#    (claim c0-03). The names agree; meaning and dtype may differ.

print("count", tensor.numel(), "and shape", tuple(tensor.size()))

assert tensor.numel() == array.size == 6
assert tensor.size() == tensor.shape == array.shape == (2, 3)

# %%
# Last, the parts of a network compute with tensors alone. `torch.nn.ReLU`
# turns negative numbers into 0 and keeps the rest. It refuses a list:

relu = nn.ReLU()
try:
    relu([-1.0, 2.0])
except TypeError as error:
    print(error)
    assert "must be Tensor, not list" in str(error)
else:
    raise AssertionError("a list must be refused")

# %%
# Make a tensor of the list first. The function in ``F`` then agrees:

kept = relu(torch.tensor([-1.0, 2.0]))
print(kept)

assert kept.tolist() == [0, 2]
assert torch.equal(kept, F.relu(torch.tensor([-1.0, 2.0])))

# %%
# What you learned
# ----------------
#
# PyTorch gives you tensors, which compute on any device, and gradients, which
# tell how a result changes. A tensor's shape tells how long each of its
# dimensions is.
#
# Next: :ref:`create_from_data` turns your own numbers into tensors. If you
# work with NumPy, see :ref:`numpy_bridge`. The picture comes from
# `snippets.drawing`.
