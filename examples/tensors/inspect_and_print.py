r"""
.. _inspect_and_print:

Read what a tensor tells you
============================

A tensor prints ``1.0000``, and yet it is not equal to 1. What else does the
display leave out? After this page you can ask a tensor for its shape, count,
type and device, read its brackets, get the exact value out of it, and make it
print as much or as little as you need.

.. concepts: T07 T12 T14
"""

import pprint

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_shape, draw_tensor

# %%
# Count the brackets
# ------------------
#
# A tensor has as many dimensions as brackets open at the start of its display.
# The innermost brackets hold rows, and an empty line parts two blocks. To try
# it, ``reshape`` puts 24 numbers into 2 blocks of 3 rows and 4 columns.

x = torch.arange(24.0).reshape(2, 3, 4)
print(x)

assert str(x).startswith("tensor([[[ 0.,  1.,  2.,  3.],")
assert str(x).count("\n\n") == 1 and x.dim() == 3
assert x[1, 2].tolist() == [20, 21, 22, 23]  # block 1, row 2

# %%
# The *shape* lists how long each dimension is, from the outermost to the
# innermost: (2, 3, 4).
#
# .. alt: A box of depth 2, height 3 and width 4. Beside it the 24 numbers as
#    two blocks of three rows and four columns, one block below the other.

fig, (left, right) = plt.subplots(1, 2, figsize=(6, 3.8), layout="constrained")
draw_shape(x.shape, title="the shape (2, 3, 4)", ax=left)
draw_tensor(x, title="its two blocks", ax=right)
plt.show()

assert x.shape == (2, 3, 4)
assert len(x) == 2 and x[0].shape == (3, 4)

# %%
# Ask for what you need
# ---------------------
#
# ``shape`` is an attribute and `torch.Tensor.size` a method. Both give the
# same `torch.Size`, a kind of tuple. ``size(0)`` asks for one dimension.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Size is said to work as in NumPy (claim c0-03) and not to differ from
#    shape (c2-45). But `numpy.ndarray.size` is a count, like ``numel()``
#    here, and ``tensor.size`` has to be called.

facts = {
    "shape": x.shape,
    "size()": x.size(),
    "size(0)": x.size(0),
    "dim()": x.dim(),
    "numel()": x.numel(),
    "dtype": x.dtype,
    "device": x.device,
}
for question, answer in facts.items():
    print(f"{question:8} {answer}")

assert isinstance(x.shape, tuple) and x.shape == x.size() == (2, 3, 4)
assert facts["size(0)"] == 2 and facts["dim()"] == 3
assert facts["numel()"] == x.numpy().size == 24 and callable(x.size)
assert x.dtype == torch.float32 and x.device.type == "cpu"

# %%
# Count the elements
# ------------------
#
# `torch.Tensor.numel` counts every element. A dimension of size 1 is called
# a *singleton*: it adds brackets, but no elements, and `torch.squeeze` drops
# it.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``numel()`` of images is given as batch size × height × width (claim
#    c2-37). It multiplies all dimensions, channels too.

images = torch.zeros(2, 3, 4, 5)  # batch, channels, height, width
single = torch.zeros(1, 3, 1)
print(images.numel(), single.numel(), single.squeeze().shape)

assert images.numel() == 2 * 3 * 4 * 5 == 120 != 2 * 4 * 5
assert single.numel() == 3 and single.squeeze().shape == (3,)

# %%
# The display rounds
# ------------------
#
# A printed tensor shows at most four digits after the point. What it holds is
# more exact, so never copy a printed number into a test. These two print
# alike:

nearly = torch.tensor([0.99999, 1.0])
is_one = nearly == 1
print(nearly, is_one, sep="\n")

assert str(nearly) == "tensor([1.0000, 1.0000])"
assert is_one.tolist() == [False, True]

# %%
# One number out of a tensor
# --------------------------
#
# `torch.Tensor.item` gives the exact value as a Python number. It needs one
# element, however many brackets stand around it. For more elements there is
# `torch.Tensor.tolist`.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The digits of one value have a gap and a stray "b" (claim c0-24). What
#    item prints, Python can read back. And ``loss.cpu().item()`` (c3-90) works
#    without ``cpu()``: item fetches the number from any device.

third = torch.tensor([[1 / 3]])
print(third)
print(third.item())
try:
    nearly.item()
except RuntimeError as error:
    print(error)
    assert "Tensor with 2 elements cannot be converted" in str(error)
else:
    raise AssertionError("item must refuse two elements")
print(nearly.tolist())

assert float(str(third.item())) == third.item() == third.cpu().item()
assert third.item() == 0.3333333432674408
assert nearly.tolist() == [0.9999899864196777, 1.0] != [0.99999, 1.0]

# %%
# The last digits are no mistake: float32 cannot hold 1/3 or 0.99999 exactly
# and keeps the nearest number that it can.
#
# Choose how tensors print
# ------------------------
#
# When numbers differ much in size, all switch to scientific notation: ``e-04``
# means "divided by 10,000". `torch.set_printoptions` changes the display of
# every tensor until you reset it with ``profile="default"``.

mixed = torch.tensor([0.00012, 1000.0])
usual = str(mixed)
torch.set_printoptions(sci_mode=False, precision=5)
plain = str(mixed)
torch.set_printoptions(profile="default")
print(usual, plain, sep="\n")

assert usual == str(mixed) == "tensor([1.2000e-04, 1.0000e+03])"
assert plain.replace(" ", "") == "tensor([0.00012,1000.00000])"

# %%
# Beyond 1000 elements you see only the first and last three of each dimension.
# The numbers behind the dots are there: ``profile="full"`` prints them all.

many = torch.arange(2000)
short = str(many)
torch.set_printoptions(profile="full")
full = str(many)
torch.set_printoptions(profile="default")
print(short)
print("lines in full:", len(full.splitlines()))

assert short == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
assert "..." not in full and full.count(",") == many.numel() - 1
assert len(full.splitlines()) == 167 and str(many) == short

# %%
# What a notebook shows
# ---------------------
#
# A notebook shows the value of a cell's last line, if that line has one. The
# text it shows comes from ``repr``. After the numbers stands what is unusual,
# such as another dtype. ``pprint``, made for nested lists, changes nothing.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``x = torch.tensor([5.], requires_grad=True)`` is followed by its display
#    (claim c1-27). An assignment displays nothing: a line with only ``x`` is
#    missing there.

weight = torch.tensor([5.0], requires_grad=True)
shown = [repr(weight), repr(weight.double().detach())]
print(*shown, sep="\n")

assert shown[0] == "tensor([5.], requires_grad=True)"
assert shown[1] == "tensor([5.], dtype=torch.float64)"
assert pprint.pformat(weight) == shown[0]

# %%
# What you learned
# ----------------
#
# Ask for the shape, ``numel()``, ``dtype`` and ``device`` rather than guessing
# them from the display, which rounds and leaves out. `torch.Tensor.item` gives
# the exact number, and print options last until you reset them.
#
# Next: :ref:`dtypes` tells which types there are, and later
# :ref:`squeeze_cat_stack` adds and drops dimensions of size 1. The pictures
# come from `snippets.drawing`.
