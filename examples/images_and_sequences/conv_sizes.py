r"""
.. _conv_sizes:

Compute the output size of a convolution
========================================

Where does the 28 come from, when a layer with a 5 by 5 kernel reads an image
of 32 by 32? After this page you can compute a number of a convolution by hand,
predict every output size, and read the error when something does not fit.

.. concepts: M10 M11
.. claims: c0-65 c1-46 c1-48 c1-49 c1-51 c1-52 c1-53 c1-57 c1-59
"""

import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import PALETTE, draw_tensors, show_pictures
from snippets.shapes import conv_output_size

# %%
# One window, by hand
# -------------------
#
# A convolution lays a small table of weights, the *kernel*, over a window of
# the image, multiplies number by number, and adds up. Then the window moves
# on. This kernel finds where the image gets brighter to the right.
#
# .. alt: An image of five rows: three columns of 1, then two of 5. A window of
#    three by three is marked at its right. The kernel has columns -1, 0, 1.
#    The output has three rows of 0, 12, 12; the cell of the window is marked.

image = torch.tensor([1, 1, 1, 5, 5]).expand(5, 5).clone()
kernel = torch.tensor([-1, 0, 1]).expand(3, 3).clone()
output = nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0]
window = image[1:4, 2:5]  # rows 1 to 3, columns 2 to 4
by_hand = (window * kernel).sum()
print("by hand:", by_hand.item())

in_window, in_output = torch.zeros_like(image), torch.zeros_like(output)
in_window[1:4, 2:5] = in_output[1, 2] = 1
parts = {"image": image, "kernel": kernel, "output": output}
draw_tensors(parts, groups=[in_window, None, in_output])
show_pictures()

assert by_hand == output[1, 2] == 3 * (5 - 1)
assert output.tolist() == [[0, 12, 12]] * 3

# %%
# A layer is many kernels
# -----------------------
#
# `torch.nn.Conv2d` takes the number of channels that come in, the number that
# go out, and the size of the kernel. Each channel that goes out has a kernel
# of its own: here eight, of 3 × 5 × 5. Images come as NCHW: number, channels,
# height, width.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    It is called ``nn.Conv2D``, and stride and padding must be given. The
#    ``d`` is small, and both have defaults.

layer = nn.Conv2d(3, 8, 5)
print(layer, tuple(layer.weight.shape), tuple(layer.bias.shape))
features = layer(torch.zeros(4, 3, 32, 32))
print(tuple(features.shape))

assert layer.weight.shape == (8, 3, 5, 5) and layer.bias.shape == (8,)
assert features.shape == (4, 8, 28, 28)
assert layer.stride == layer.dilation == (1, 1)
assert layer.padding == (0, 0) and layer.padding_mode == "zeros"
assert layer.groups == 1 and not hasattr(nn, "Conv2D")

# %%
# Change the batch, and only the first number of the output changes.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Of the output (3, 6, 5, 3), the first 3 is taken for the input channels,
#    5 and 3 for "planes", and the input is named ``t3322``. The input is (3,
#    5, 4, 2): a batch of 3, with 5 channels. Height and width come last.

small = nn.Conv2d(5, 6, kernel_size=2, padding=1)
three = small(torch.zeros(3, 5, 4, 2))
eight = small(torch.zeros(8, 5, 4, 2))
print(tuple(three.shape), tuple(eight.shape))

assert three.shape == (3, 6, 5, 3) and eight.shape == (8, 6, 5, 3)
assert small.in_channels == 5 and small.out_channels == 6

# %%
# Count the windows
# -----------------
#
# The output has a number for each place of the window. *Stride* is the step
# from place to place, *padding* adds zeros on both sides, *dilation* pulls the
# kernel apart. For a row of seven pixels and a kernel of three:
#
# .. alt: Four panels over pixels 0 to 6, each row of three squares one place
#    of the window. Plain: 5 places. Stride 2: 3 places. Padding 1: 7 places,
#    the first and the last reach one pixel outside. Dilation 2: 3 places, with
#    gaps between the squares.


def places(size, kernel, stride=1, padding=0, dilation=1):
    """List which pixels the window reads at each of its places."""
    last = size + padding - dilation * (kernel - 1)
    starts = range(-padding, last, stride)
    return [[left + dilation * i for i in range(kernel)] for left in starts]


cases = {"plain": None, "stride": 2, "padding": 1, "dilation": 2}
fig, axes = plt.subplots(2, 2, figsize=(6, 4.2), layout="constrained")
counts = {}
for ax, (name, value) in zip(axes.flat, cases.items(), strict=True):
    options = {name: value} if value else {}
    counts[name] = len(places(7, 3, **options))
    for row, pixels in enumerate(places(7, 3, **options)):
        ax.scatter(pixels, [row] * 3, 130, PALETTE[row % 6], marker="s")
    ax.axvspan(-0.5, 6.5, color=PALETTE[0], alpha=0.2)  # the image
    ax.set(xlim=(-1.7, 7.7), ylim=(6.7, -0.7), xticks=range(7), yticks=[])
    ax.set_title(f"{name} {value or ''} → {counts[name]}", fontsize=11)
show_pictures()

assert counts == {"plain": 5, "stride": 3, "padding": 7, "dilation": 3}

# %%
# The formula
# -----------
#
# A kernel of :math:`k` with dilation :math:`d` covers :math:`d(k-1)+1` of the
# :math:`n + 2p` padded pixels. That is the first place; each step of :math:`s`
# that still fits is one more:
#
# .. math::
#
#    \text{out} = \left\lfloor
#    \frac{n + 2p - d\,(k-1) - 1}{s} \right\rfloor + 1
#
# .. admonition:: In the notes
#    :class: note-check
#
#    For the formula they point to a chapter that is missing.
#    This is it, for height and width alike.
#
# The real layer agrees, and so does `snippets.shapes.conv_output_size`:

options = "kernel_size", "stride", "padding", "dilation"
rows = [(3, 1, 0, 1), (5, 1, 0, 1), (3, 1, 1, 1), (5, 1, 2, 1)]
rows += [(3, 2, 1, 1), (4, 2, 1, 1), (3, 1, 0, 2), (3, 1, 2, 2)]
sizes = []
print("k  s  p  d   out of 32")
for k, s, p, d in rows:
    sizes.append((32 + 2 * p - d * (k - 1) - 1) // s + 1)
    print(f"{k}  {s}  {p}  {d}   {sizes[-1]}")
    given = dict(zip(options, (k, s, p, d), strict=True))
    real = nn.Conv2d(1, 1, **given)(torch.zeros(1, 1, 32, 32))
    assert sizes[-1] == real.shape[-1] == conv_output_size(32, **given)
    assert sizes[-1] == len(places(32, k, s, p, d))

assert sizes == [30, 28, 32, 32, 16, 16, 28, 32]
assert [row[0] for row in rows] == [3, 5, 3, 5, 3, 4, 3, 3]

# %%
# Worth remembering: an odd kernel with padding (k - 1) / 2 keeps the size, and
# stride 2 then halves it.
#
# When it does not fit
# --------------------
#
# Give the layer images with their channels last, and the error names the
# number that it took for the channels:

try:
    layer(torch.zeros(4, 32, 32, 3))  # NHWC
except RuntimeError as error:
    message = str(error).split(", expected ")[1]
    print(message)
else:
    raise AssertionError("32 channels must not fit")
assert message.startswith("input[4, 32, 32, 3] to have 3 channels")
assert message.endswith("but got 32 channels instead")

# %%
# .. admonition:: In the notes
#    :class: note-check
#
#    The kernel may not exceed the input, and ``out_channels`` is any integer.
#    The *padded* input is the limit, here 4. The channels are positive, and a
#    multiple of ``groups`` where that is given.

narrow = torch.zeros(1, 1, 2, 2)
fits = nn.Conv2d(1, 1, 4, padding=1)(narrow)
print("kernel 4:", tuple(fits.shape))
attempts = {
    "kernel 5": lambda: nn.Conv2d(1, 1, 5, padding=1)(narrow),
    "-1 channels": lambda: nn.Conv2d(1, -1, 2),
    "0 channels": lambda: nn.Conv2d(1, 0, 2)(narrow),
    "5 in 2 groups": lambda: nn.Conv2d(4, 5, 2, groups=2),
}
for name, attempt in attempts.items():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "0 channels" also warns
        try:
            attempt()
        except (RuntimeError, ValueError):
            print(name, "refused")
        else:
            raise AssertionError(f"{name} must be refused")
assert fits.shape == (1, 1, 1, 1)

# %%
# What one number has seen
# ------------------------
#
# The pixels that can change a number are its *receptive field*. Autograd finds
# them: with all weights 1, a gradient counts the ways from each pixel to the
# number in the middle. Three layers of 3 × 3 see as far as one of 7 × 7.
#
# .. alt: Three grids of seven by seven pixels. One layer has seen the three by
#    three in the middle, two layers five by five, three layers all of it. The
#    numbers grow toward the middle: up to 1, 9 and 49.


def seen_by(layers):
    """Count the ways from each of 7 × 7 pixels to the middle of the output."""
    pixels = torch.zeros(1, 1, 7, 7, requires_grad=True)
    weight, result = torch.ones(1, 1, 3, 3), pixels
    for _ in range(layers):
        result = nn.functional.conv2d(result, weight, padding=1)
    result[0, 0, 3, 3].backward()
    return pixels.grad[0, 0].int()


ways = {f"{layers} × (3 × 3)": seen_by(layers) for layers in (1, 2, 3)}
draw_tensors(ways, groups=[(number > 0).int() for number in ways.values()])
show_pictures()

widths = [int((number[3] > 0).sum()) for number in ways.values()]
assert widths == [3, 5, 7]
assert [number.max().item() for number in ways.values()] == [1, 9, 49]

# %%
# Max pooling
# -----------
#
# `torch.nn.MaxPool2d` keeps the largest number of each window, channel by
# channel. The formula holds, but the default stride is the size of the window:
# no two overlap, and the size is halved.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Pooling by 2 makes (3, 6, 4, 2) of (3, 6, 5, 3), called downsampling. With
#    their ``stride=1`` it only trims one pixel. The default would give 2 and
#    1.
#
# .. alt: A four by four input in four colored blocks. MaxPool2d(2) keeps one
#    number of each block: 7, 8, 9, 6. With stride 1 the output is three by
#    three.

numbers = torch.tensor(
    [[1, 7, 2, 0], [4, 5, 8, 3], [9, 0, 1, 6], [2, 3, 4, 5]]
)
pooled = nn.MaxPool2d(2)(numbers[None].float())[0]
trimmed = nn.MaxPool2d(2, stride=1)(numbers[None].float())[0]
blocks = torch.tensor([[0, 1], [2, 3]])
colors = blocks.repeat_interleave(2, 0).repeat_interleave(2, 1)
titles = "input", "MaxPool2d(2)", "stride=1"
grids = dict(zip(titles, (numbers, pooled, trimmed), strict=True))
draw_tensors(grids, groups=[colors, blocks, torch.full((3, 3), 4)])
show_pictures()

assert pooled.tolist() == [[7, 8], [9, 6]]
assert trimmed.tolist() == [[7, 8, 8], [9, 8, 8], [9, 4, 6]]
notes = torch.zeros(3, 6, 5, 3)
assert nn.MaxPool2d(2, stride=1)(notes).shape == (3, 6, 4, 2)
assert nn.MaxPool2d(2)(notes).shape == (3, 6, 2, 1)
assert conv_output_size((5, 3), 2, stride=2) == (2, 1)

# %%
# What you learned
# ----------------
#
# The output of a convolution has a number for each place of the window and a
# channel for each kernel. Padding keeps the size, stride and pooling reduce
# it.
#
# Before this: :ref:`image_to_tensor`. Next: :ref:`small_cnn` puts these layers
# in a row and follows the sizes to the end.
