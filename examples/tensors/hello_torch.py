r"""
.. _hello_torch:

PyTorch in ten minutes: your first tensors and gradients
========================================================

What does PyTorch do that plain Python does not, and what do its first lines
look like? After this page you can compute with many numbers at once, arrange
them in a row, a table or a stack of tables, and let PyTorch find a gradient,
which is what neural networks learn from.

.. concepts: T01 T02
.. claims: c0-40 c3-02
"""

import matplotlib.pyplot as plt
import torch
import torch.nn as nn
import torch.nn.functional as F

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# PyTorch gives you *tensors*, which hold many numbers and compute with all of
# them at once, and *gradients*, which tell how fast a result changes when a
# number changes. Install it with ``pip install torch``, or by the line that
# `pytorch.org <https://pytorch.org/get-started/locally/>`__ shows for your
# computer. In your program you need one import, ``import torch``. The others
# above are for the pictures and the end of this page, and ``snippets`` is a
# folder of this site. Read the code below once; the next sections explain it.

x = torch.tensor([1.0, 2.0, 3.0])
print(x * 10)
print(x.sum())

side = torch.tensor(3.0, requires_grad=True)
area = side**2
area.backward()
print("gradient:", side.grad)

assert (x * 10).tolist() == [10, 20, 30]
assert x.sum() == 6
assert area == 9
assert side.grad == 6

# %%
# Compute without a loop
# ----------------------
#
# You make a tensor from a list with `torch.tensor`. It looks like a list, but
# it computes: ``* 2`` repeats a list, and doubles each number of a tensor. You
# write no loop, because it runs inside PyTorch, in compiled code.

prices = [1.5, 2.0, 4.5]
tensor = torch.tensor(prices)

print(prices * 2)
print(tensor * 2)
print(tensor + 1)
print(tensor.mean())

assert (tensor * 2).tolist() == [3, 4, 9]
assert str(tensor * 2) == "tensor([3., 4., 9.])"
assert prices * 2 == prices + prices
assert (tensor + 1).tolist() == [2.5, 3, 5.5]
assert str(tensor.mean()) == "tensor(2.6667)"
assert str(tensor + 1) == "tensor([2.5000, 3.0000, 5.5000])"

# %%
# A decimal point, as in ``3.``, says that the numbers are floats. If all of
# them are whole, the display leaves out the zeros after the point. Otherwise
# it shows four digits after each point. Even the mean, a single number, is a
# tensor: nearly every function takes tensors and returns one.
#
# From a number to a stack of tables
# ----------------------------------
#
# Numbers rarely come alone: a gray image is a table of numbers, and several
# images, a *batch*, are a stack of tables. You make such tensors from lists
# inside lists. A tensor has as many *dimensions* as there are brackets at its
# start, and ``dim()`` counts them. Its *shape* holds one size for each
# dimension, the outermost first.

number = torch.tensor(7)
row = torch.tensor([1, 2, 3])
table = torch.tensor([[1, 2, 3], [4, 5, 6]])
stack = torch.tensor(
    [
        [[1, 2, 3], [4, 5, 6]],
        [[7, 8, 9], [10, 11, 12]],
    ]
)

print("number:", number.dim(), number.shape)
print("row:   ", row.dim(), row.shape)
print("table: ", table.dim(), table.shape)
print("stack: ", stack.dim(), stack.shape)

assert number.dim() == 0
assert number.shape == ()
assert row.dim() == 1
assert row.shape == (3,)
assert table.dim() == 2
assert table.shape == (2, 3)
assert stack.dim() == 3
assert stack.shape == (2, 2, 3)
assert isinstance(stack.shape, tuple)

# %%
# `torch.Size` is a kind of tuple. That of a single number is empty, because
# a single number has no dimension. The stack holds 2 tables, each with 2 rows
# and 3 columns. In the picture, its tables stand one below the other.
#
# .. alt: Four tensors. The number is one cell with 7. The row has three cells.
#    The table has two rows and three columns. The stack is two such tables,
#    the second below the first, with the numbers 1 to 12.
# .. fold: picture

draw_tensors({"number": number, "row": row, "table": table, "stack": stack})
show_pictures()

assert number == 7
assert row.tolist() == [1, 2, 3]
assert torch.equal(stack[0], table)
assert stack[1].tolist() == [[7, 8, 9], [10, 11, 12]]

# %%
# How fast does a result change?
# ------------------------------
#
# How fast does the area of a square grow when its side is 3? You can try it
# out: make the side 0.001 longer, and divide what the area gains by 0.001.
# PyTorch finds the exact value, 6, in the three steps of the short answer. You
# mark the side with ``requires_grad=True``, and compute the area. Then
# `~torch.Tensor.backward` goes back from the area to the side, and puts the
# gradient into ``side.grad``.

by_hand = (3.001**2 - 3**2) / 0.001

side = torch.tensor(3.0, requires_grad=True)
area = side**2
area.backward()

print("by hand:   ", by_hand)
print("by PyTorch:", side.grad)

assert abs(by_hand - 6.001) < 1e-6
assert side.grad == 6

# %%
# The picture shows why: a longer side adds two strips, each 3 long, and 3 + 3
# is 6. (The strips are drawn much wider than 0.001.) The small corner between
# them is why the trial by hand is off by 0.001.
#
# .. alt: A square with sides of length 3. Along its right and its upper edge
#    lies a narrow strip, each 3 long. A tiny square fills the corner.
# .. fold: picture

longer = 0.25  # wide enough to be seen
fig, ax = plt.subplots(figsize=(3.2, 3.2), layout="constrained")
ax.add_patch(plt.Rectangle((0, 0), 3, 3, color="#8ecae6"))
ax.add_patch(plt.Rectangle((3, 0), longer, 3, color="#ffb870"))
ax.add_patch(plt.Rectangle((0, 3), 3, longer, color="#ffb870"))
ax.add_patch(plt.Rectangle((3, 3), longer, longer, color="#f2a3a3"))
ax.text(1.5, 3.35, "3", ha="center", va="bottom")
ax.text(3.4, 1.5, "3", va="center")
ax.set_xlim(-0.1, 3.8)
ax.set_ylim(-0.1, 3.8)
ax.set_aspect("equal")
ax.set_axis_off()
show_pictures()

assert 2 * 3 * longer / longer == side.grad  # the strips
assert (3 + longer) ** 2 - 3**2 == 2 * 3 * longer + longer**2
assert abs(by_hand - side.grad - 0.001) < 1e-6

# %%
# One call for all gradients
# --------------------------
#
# A neural network has thousands or millions of numbers to adjust, its
# *parameters*. One call of ``backward`` finds the gradient for every one of
# them. Here are two numbers, the sides of a rectangle:

width = torch.tensor(4.0, requires_grad=True)
height = torch.tensor(3.0, requires_grad=True)

area = width * height
area.backward()

print("width: ", width.grad)  # a wider one gains a strip, 3 high
print("height:", height.grad)  # a higher one gains a strip, 4 wide

assert width.grad == 3
assert height.grad == 4

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    Integers have no gradient, because they cannot change by a little. If you
#    see this error, write ``3.0`` instead of ``3``.
#
# ``show_error`` comes from this site. It prints the error of the line below
# it, and the program goes on. *Dtype*, in the message, is the type of the
# numbers in a tensor.

with show_error("Only Tensors of floating point", "can require gradients"):
    torch.tensor(3, requires_grad=True)

assert not row.is_floating_point()
assert torch.tensor(3.0, requires_grad=True).is_floating_point()

# %%
# The same code on a GPU
# ----------------------
#
# A tensor lies on a *device*, and its computations run there. Every computer
# has the device ``"cpu"``, the processor, and PyTorch uses it unless you say
# otherwise. A graphics card (GPU) computes large tensors faster. If you have
# one from NVIDIA, it is called ``"cuda"``, and the first line below chooses
# it. The rest of the code stays as it is. Only the printed tensor then ends
# with ``device='cuda:0'``, where 0 is the number of the first GPU. For other
# devices see :ref:`devices`.

device = "cuda" if torch.cuda.is_available() else "cpu"

x = torch.tensor([1.0, 2.0, 3.0], device=device)
tenfold = x * 10

print(tenfold)
print("computed on:", tenfold.device)

assert tenfold.tolist() == [10, 20, 30]
assert tenfold.device.type == device
assert torch.tensor([1.0]).device.type == "cpu"
assert ("device='cuda:0'" in str(tenfold)) == (device == "cuda")

# %%
# Look closer: the names nn and F, and your version
# -------------------------------------------------
#
# Most programs also import `torch.nn` as ``nn``, which has the layers that
# networks are built from, and `torch.nn.functional` as ``F``, which has plain
# functions. Some things exist in both. *ReLU*, for example, turns negative
# numbers into 0. From ``nn`` you make a layer first and then call it. The
# function in ``F`` you call at once:

x = torch.tensor([-1.0, 2.0])
relu = nn.ReLU()

print(relu(x))
print(F.relu(x))

assert relu(x).tolist() == [0, 2]
assert F.relu(x).tolist() == [0, 2]

# %%
# These pages are written for PyTorch 2.6 and later. This line tells which
# version you have. If there is a plus sign in it, the letters after it name
# the hardware that PyTorch was built for, such as ``cpu`` or a CUDA version:

print(torch.__version__)

assert torch.__version__ >= (2, 6)

# %%
# Try it
# ------
#
# .. exercise:: Degrees Fahrenheit
#
#    Write ``to_fahrenheit(celsius)``. It takes a list of temperatures in
#    degrees Celsius and returns a tensor of the same temperatures in
#    Fahrenheit, without a loop: times 1.8, plus 32.
#
#    .. hint:: Make the list a tensor first. Then write the formula as if there
#       were only one temperature.


def to_fahrenheit(celsius):
    """Return a list of N temperatures as a tensor in Fahrenheit, (N,)."""
    return torch.tensor(celsius) * 1.8 + 32


result = to_fahrenheit([0.0, 10.0, 100.0])
assert isinstance(result, torch.Tensor), "return a tensor, not a list"
assert result.shape == (3,), "one temperature for each of the list"
assert result[0] == 32, "water freezes at 32 degrees Fahrenheit"
assert torch.allclose(result, torch.tensor([32.0, 50.0, 212.0])), (
    "0, 10 and 100 degrees are 32, 50 and 212: times 1.8, then plus 32"
)

# %%
# .. exercise:: A growing cube
#
#    How fast does the volume of a cube grow with its side? Write
#    ``growth(side)``. It takes the length of the side, a float, and returns
#    the gradient of the volume, a tensor.
#
#    .. hint:: Mark the side, compute the volume, and go backward. Where does
#       the gradient stand then?


def growth(side):
    """Return the gradient of a cube's volume at a side, a float, as ()."""
    x = torch.tensor(side, requires_grad=True)
    volume = x**3
    volume.backward()
    return x.grad


result = growth(2.0)
assert result is not None, "call backward() before you read .grad"
assert isinstance(result, torch.Tensor), "return the tensor in .grad"
assert result.shape == (), "one side has one gradient"
assert result != 8, "8 is the volume; the gradient stands in .grad of the side"
assert result == 12, "at side 2, three faces grow, each 2 times 2: 12"
assert growth(3.0) == 27, "at side 3, three faces grow, each 3 times 3: 27"

# %%
# What you learned
# ----------------
#
# A tensor computes with all its numbers at once, on the CPU or a GPU, and its
# shape tells the size of each dimension. After ``backward()``, ``.grad`` holds
# how fast the result changes with a number.
#
# Next: :ref:`create_from_data` turns your own lists into tensors. If you know
# NumPy, a tensor is much like its ``ndarray``, and :ref:`numpy_bridge` shows
# where they differ. :ref:`first_gradient` continues with gradients.
