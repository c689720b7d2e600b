r"""
.. _inspect_and_print:

Shape, dtype, device, item: inspect and print a tensor
======================================================

A tensor prints ``1.0000``, and yet it is not equal to 1. What else does the
display leave out? After this page you can ask a tensor for its shape, dtype
and device, count its elements, read its brackets, take an exact number out of
it, and choose how much of it is printed.

.. concepts: T07 T12 T14
.. claims: c0-03 c0-24 c1-27 c2-37 c2-45 c3-90
"""

import pprint

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_shape, draw_tensor, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Ask for the shape first, because many errors come from a shape that nobody
# expected. Then ask for the dtype and the device. This tensor holds a batch of
# 8 color images. Each has 3 *channels*, for red, green and blue, and each
# channel has 32 rows and 32 columns.
#
# Often a tensor holds a single number, such as the *loss*, which tells how
# wrong a neural network still is. ``item()`` takes that number out.

images = torch.zeros(8, 3, 32, 32)

print(images.shape)
print(images.dtype)
print(images.device)
print("elements:", images.numel())

loss = torch.tensor(0.123456)
print(loss)  # rounded
print(loss.item())  # a Python number
print(f"loss: {loss.item():.2f}")

assert images.shape == (8, 3, 32, 32)
assert images.dtype == torch.float32
assert images.device.type == "cpu"
assert images.numel() == 8 * 3 * 32 * 32
assert str(loss) == "tensor(0.1235)"
assert abs(loss.item() - 0.123456) < 1e-7
assert isinstance(loss.item(), float)
assert f"loss: {loss.item():.2f}" == "loss: 0.12"

# %%
# Read the brackets
# -----------------
#
# A tensor has as many dimensions as there are brackets at the start of its
# display. The innermost brackets hold rows, and an empty line parts two
# blocks. Here ``reshape``, which :ref:`view_reshape_flatten` explains,
# arranges 24 numbers as 2 blocks of 3 rows and 4 columns.

x = torch.arange(24).reshape(2, 3, 4)

print(x)
print(x.shape)

assert str(x).startswith("tensor([[[ 0,  1,  2,  3],\n")
assert str(x).count("\n\n") == 1
assert x.shape == (2, 3, 4)
assert x[1].tolist() == [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]

# %%
# The shape names the sizes from the outermost to the innermost: 2 blocks, 3
# rows, 4 columns.
#
# .. alt: A box of depth 2, height 3 and width 4. Beside it the 24 numbers as
#    two blocks of three rows and four columns, one block below the other.
# .. fold: picture

fig, (left, right) = plt.subplots(1, 2, figsize=(6, 3.8), layout="constrained")
draw_shape(x.shape, title="the shape (2, 3, 4)", ax=left)
draw_tensor(x, title="its two blocks", ax=right)
show_pictures()

assert x.dim() == 3
assert x[0, 0].tolist() == [0, 1, 2, 3]

# %%
# Ask for sizes and counts
# ------------------------
#
# `torch.Tensor.shape` is a kind of tuple: you can take one size from it, or
# unpack it. The method `torch.Tensor.size` gives the same tuple, and
# ``size(0)`` gives its first size. `torch.Tensor.numel` counts the elements:
# it multiplies all sizes, so for images it counts every channel of every image
# in the batch, not only the pixels of one.

blocks, rows, columns = x.shape

print("rows:", rows)
print("last size:", x.shape[-1])
print("size():", x.size())
print("size(0):", x.size(0))
print("dimensions:", x.dim())
print("elements:", x.numel())

assert blocks == 2
assert rows == 3
assert columns == x.shape[-1] == 4
assert isinstance(x.shape, tuple)
assert x.size() == x.shape
assert x.size(0) == 2
assert x.dim() == 3
assert x.numel() == 2 * 3 * 4
assert torch.zeros(2, 3, 4, 5).numel() == 120

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``x.size == 24`` is false for every tensor, and nothing warns you. Without
#    parentheses ``size`` is the method itself. (In NumPy, ``size`` is the
#    number of elements.) And ``len(x)`` is only the first size.

print("x.size == 24:", x.size == 24)
print("x.numel() == 24:", x.numel() == 24)
print("len(x):", len(x))

assert (x.size == 24) is False
assert x.numel() == 24
assert len(x) == 2
assert x.numpy().size == 24
assert callable(x.size)

# %%
# Brackets without more numbers
# -----------------------------
#
# A dimension of size 1 is called a *singleton*. A batch of one image has one,
# for example. It adds brackets and no elements: this tensor holds three
# numbers, each in brackets of its own.

singletons = torch.zeros(1, 3, 1)

print(singletons)
print("elements:", singletons.numel())

assert str(singletons).startswith("tensor([[[0.],\n")
assert str(singletons).count("[0.]") == 3
assert singletons.shape == (1, 3, 1)
assert singletons.numel() == 3

# %%
# ``tensor([5.])`` is a row of one number, and ``tensor(5.)`` is a number
# without any dimension. They look alike, but their shapes differ:

row = torch.tensor([5.0])
number = torch.tensor(5.0)

print(row, row.shape)
print(number, number.shape)

assert row.shape == (1,)
assert number.shape == ()
assert str(row) == "tensor([5.])"
assert str(number) == "tensor(5.)"

# %%
# The display rounds
# ------------------
#
# A printed tensor shows at most four digits after the decimal point. It holds
# more of them, so do not compare it with a number copied from the screen. Here
# two numbers look equal, and ``==``, which compares each of them with 1, says
# that only the second one is:

nearly = torch.tensor([0.99999, 1.0])

print(nearly)
print(nearly == 1)

assert str(nearly) == "tensor([1.0000, 1.0000])"
assert (nearly == 1).tolist() == [False, True]

# %%
# Numbers out of a tensor
# -----------------------
#
# `torch.Tensor.item` gives the exact value as a Python number. It needs a
# tensor of one element, whatever its shape. For more elements there is
# `torch.Tensor.tolist`, which makes lists of Python numbers. Both also fetch
# the numbers from a GPU, so you need not call ``cpu()`` before them.
#
# The digits after 0.3333333 are no mistake: float32 cannot hold 1/3 exactly,
# and this is the nearest number that it can hold.

third = torch.tensor([1 / 3])

print(third.item())
print(nearly.tolist())
with show_error("Tensor with 2 elements cannot be converted"):
    nearly.item()

assert third.item() == 0.3333333432674408
assert float(str(third.item())) == third.item()
for limit in (0.0, 1.0):  # the numbers next to it are farther from 1/3
    neighbor = torch.nextafter(third, torch.tensor(limit)).item()
    assert abs(neighbor - 1 / 3) > abs(third.item() - 1 / 3)
assert torch.tensor([[7]]).item() == 7
assert isinstance(torch.tensor([[7]]).item(), int)
assert nearly.tolist() == [0.9999899864196777, 1.0]
assert third.cpu().item() == third.item()
if torch.cuda.is_available():
    assert third.to("cuda").item() == third.item()
    assert nearly.to("cuda").tolist() == nearly.tolist()

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "Unsupported format string": a tensor with a dimension cannot be formatted
#    like a number. Take the number out with ``item()``.

with show_error("unsupported format string passed to Tensor.__format__"):
    print(f"{third:.2f}")

print(f"{third.item():.2f}")

assert f"{third.item():.2f}" == "0.33"

# %%
# Print more digits, or all numbers
# ---------------------------------
#
# Where numbers differ much in size, all of them switch to scientific notation:
# ``e-04`` means "divided by 10,000", and ``e+03`` "times 1,000". Here
# ``sci_mode=False`` forbids it, and ``precision=5`` asks for five digits.
# `torch.set_printoptions` changes how all tensors print, until you reset it
# with ``profile="default"``.

mixed = torch.tensor([0.00012, 1000.0])
print(mixed)

torch.set_printoptions(sci_mode=False, precision=5)
print(mixed)
torch.set_printoptions(profile="default")

assert str(mixed) == "tensor([1.2000e-04, 1.0000e+03])"
torch.set_printoptions(sci_mode=False, precision=5)
assert str(mixed).replace(" ", "") == "tensor([0.00012,1000.00000])"
torch.set_printoptions(profile="default")
assert str(mixed) == "tensor([1.2000e-04, 1.0000e+03])"

# %%
# Above 1000 elements the display shows the first three and the last three of
# each dimension. The tensor still holds the numbers between them, and
# ``profile="full"`` prints them all. That would fill the screen, so here we
# only count the lines:

many = torch.arange(2000)
print(many)

torch.set_printoptions(profile="full")
text = str(many)  # the text that print shows
torch.set_printoptions(profile="default")
print("lines in full:", len(text.splitlines()))

assert str(many) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
assert "..." not in text
assert text.count(",") == many.numel() - 1
assert len(text.splitlines()) == 167
assert "..." not in str(torch.arange(1000))
assert "..." in str(torch.arange(1001))

# %%
# Look closer: what stands after the numbers
# ------------------------------------------
#
# After the numbers, the display names what is unusual: a dtype that the
# numbers do not show, a device other than the CPU, as in ``device='cuda:0'``,
# and ``requires_grad=True``. Here float64 is a float with 64 bits. Python's
# ``pprint``, which lays out nested lists and dicts, prints a tensor as
# ``print`` does.
#
# In a notebook, the last line of a cell displays its value, and an assignment
# displays nothing: to see ``weight``, write a line with ``weight`` alone.

weight = torch.tensor([5.0], requires_grad=True)

print(weight)
print(torch.tensor([5.0], dtype=torch.float64))
pprint.pprint(weight)

assert str(weight) == repr(weight) == "tensor([5.], requires_grad=True)"
double = torch.tensor([5.0], dtype=torch.float64)
assert str(double) == "tensor([5.], dtype=torch.float64)"
assert torch.float64.itemsize == 8
assert pprint.pformat(weight) == str(weight)
assert "device='meta'" in str(torch.zeros(2, device="meta"))
assert "device" not in str(torch.zeros(2))
if torch.cuda.is_available():
    assert "device='cuda:0'" in str(torch.zeros(2, device="cuda"))

# %%
# Try it
# ------
#
# .. exercise:: One line about a tensor
#
#    While you look for an error, you want to see the shape, dtype and device
#    of a tensor, not thousands of numbers. Write ``describe(x)``, which
#    returns them as a text such as ``"(2, 3) torch.float32 on cpu"``.
#
#    .. hint:: ``tuple(x.shape)`` prints without the words "torch.Size". Put
#       the three answers into an f-string.


def describe(x):
    """Return shape, dtype and device of a tensor as a text of one line."""
    return f"{tuple(x.shape)} {x.dtype} on {x.device}"


text = describe(torch.zeros(2, 3))
assert isinstance(text, str), "return a text; do not print it"
assert text.startswith("(2, 3) "), "begin with the shape as a tuple: (2, 3)"
assert "torch.float32" in text, "name the dtype"
assert text == "(2, 3) torch.float32 on cpu", "shape, dtype, on, device"
assert describe(torch.arange(4)) == "(4,) torch.int64 on cpu", (
    "ask the tensor itself: this one has four integers"
)

# %%
# .. exercise:: The mean of some losses
#
#    You collected losses in a list. Each is a tensor of one element, but the
#    shapes differ: ``tensor(0.5)``, ``tensor([1.25])`` and so on. Write
#    ``mean_loss(losses)``, which returns their mean as a Python float.
#
#    .. hint:: Take the number out of each tensor before you add.


def mean_loss(losses):
    """Return the mean of N tensors of one element each, as a float."""
    return sum(loss.item() for loss in losses) / len(losses)


losses = [torch.tensor(0.5), torch.tensor([1.25]), torch.tensor([[0.00001]])]
result = mean_loss(losses)
assert not isinstance(result, torch.Tensor), "take the numbers out with item()"
assert isinstance(result, float), "return one float"
assert abs(result - 1.75001 / 3) < 1e-7, "add all losses, divide by how many"

# %%
# .. exercise:: All the numbers, this once
#
#    Write ``full_text(x)``. It returns the display of a tensor with all of its
#    elements, as a text, and leaves the print options at their default.
#
#    .. hint:: ``str(x)`` is the text that ``print`` shows, with the print
#       options that are set at that moment.


def full_text(x):
    """Return the display of a tensor with all its elements, as a text."""
    torch.set_printoptions(profile="full")
    text = str(x)
    torch.set_printoptions(profile="default")
    return text


text = full_text(torch.arange(3000))
afterward = str(torch.arange(3000))
torch.set_printoptions(profile="default")
assert isinstance(text, str), "return the text; do not print it"
assert text.startswith("tensor("), "the display of a tensor begins: tensor("
assert "..." not in text, "dots stand for the numbers that are left out"
assert "1500" in text, "the numbers in the middle belong to it"
assert "..." in afterward, "set the print options back to their default"

# %%
# What you learned
# ----------------
#
# Ask for ``shape``, ``dtype``, ``device`` and ``numel()``; do not guess from
# the display, which rounds and leaves out. ``item()`` gives the exact number,
# and print options last until you reset them.
#
# Next: :ref:`dtypes` tells which types of numbers there are. Later,
# :ref:`squeeze_cat_stack` adds and drops dimensions of size 1.
