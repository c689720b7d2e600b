r"""
.. _image_to_tensor:

Turn a photograph into a tensor
===============================

Why does a photograph come out as colored stripes after a reshape, although
every shape was right? After this page you can turn an image into the tensor
that a network wants and back, bring its numbers to a useful range, and change
it at random in a way that you can repeat.

.. concepts: V01
.. claims: c1-69 c1-70
"""

import warnings

import matplotlib.pyplot as plt
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image
from torchvision.transforms import v2

from snippets.drawing import draw_tensor, show_pictures

# %%
# A photograph is a table of whole numbers
# ----------------------------------------
#
# scikit-learn brings two photographs. Each is a NumPy array of rows, columns
# and, for each pixel, its red, green and blue: 0 to 255, dtype ``uint8``.
# Every fourth row and column is enough here. The array is read-only; we take
# a copy that PyTorch may write to.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The photograph is opened from a private Google Drive, where
#    nobody else can reach it. Those on this page come with a package.

photograph = load_sample_image("china.jpg")[::4, ::4].copy()
darkest, brightest = photograph.min(), photograph.max()
print(photograph.shape, photograph.dtype, darkest, brightest)

try:
    Image.open("MilkyWay.jpg")
except FileNotFoundError as error:
    print("FileNotFoundError:", error)
    assert "MilkyWay.jpg" in str(error)
else:
    raise AssertionError("nobody else has this file")
assert photograph.shape == (107, 160, 3) and photograph.dtype == "uint8"
assert (darkest, brightest) == (0, 255)

# %%
# Channels first: permute, never reshape
# --------------------------------------
#
# The array has height, width, channels: HWC. PyTorch's layers want a table for
# each color: channels, height, width, or CHW. `torch.Tensor.reshape` gives
# that shape, and a ruined picture: it keeps the numbers in their order and
# cuts them into three pieces. `torch.Tensor.permute` moves the dimensions.
# (For matplotlib, which wants HWC, they move back.)
#
# .. alt: Three pictures. After reshape, nothing but red and yellow stripes.
#    After permute, a red and green pagoda above a lake. The red channel alone
#    is a gray picture of the same pagoda.

hwc = torch.from_numpy(photograph)  # (107, 160, 3)
wrong = hwc.reshape(3, 107, 160)
chw = hwc.permute(2, 0, 1)  # (3, 107, 160)

fig, axes = plt.subplots(1, 3, figsize=(6, 1.7), layout="constrained")
axes[0].imshow(wrong.permute(1, 2, 0).numpy(), interpolation="none")
axes[1].imshow(chw.permute(1, 2, 0).numpy(), interpolation="none")
axes[2].imshow(chw[0].numpy(), cmap="gray", interpolation="none")
for ax, title in zip(axes, ("reshape", "permute", "chw[0], red"), strict=True):
    ax.set_title(title, fontsize=11)
    ax.axis("off")
show_pictures()

assert wrong.shape == chw.shape == (3, 107, 160)
assert torch.equal(chw[:, 50, 80], hwc[50, 80])  # the same pixel
assert not torch.equal(wrong[:, 50, 80], hwc[50, 80])

# %%
# From whole numbers to fractions
# -------------------------------
#
# A ``uint8`` holds nothing above 255: counting starts again at 0, and a pixel
# that was made brighter turns dark. So divide by 255 first.

pixel = torch.tensor([40, 100, 200], dtype=torch.uint8)
brighter = pixel + 100
fraction = pixel / 255
print(brighter, fraction)

assert brighter.tolist() == [140, 200, 44]  # 300 - 256 = 44
assert fraction.dtype == torch.float32
assert [round(x, 4) for x in fraction.tolist()] == [0.1569, 0.3922, 0.7843]

# %%
# The transforms of torchvision, `torchvision.transforms.v2`, do both steps:
# `~torchvision.transforms.v2.ToImage` moves the channels, and
# `~torchvision.transforms.v2.ToDtype` with ``scale=True`` divides. The result
# is a `torchvision.tv_tensors.Image`: a tensor that knows that it is a
# picture.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``transforms.ToTensor`` is called PyTorch's easy way. It is
#    torchvision's, and in v2 it warns that it will go. The two steps below
#    give the same numbers.

to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
image = to_tensor(photograph)
print(type(image).__name__, tuple(image.shape), image.dtype)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    outdated = v2.ToTensor()(photograph)
warning = str(caught[0].message).split(" and ")[0]
print(warning)

assert torch.allclose(image, chw / 255) and image.dtype == torch.float32
assert torch.allclose(outdated, image)
assert "`ToTensor()` is deprecated" in warning

# %%
# Only uint8 is divided by 255
# ----------------------------
#
# ``scale=True`` divides by the largest number that the *dtype* can hold.
# Floats are taken to be fractions already, and left alone. The same gray of
# 200, in four dtypes:

results = {}
for dtype in (torch.uint8, torch.int16, torch.int64, torch.float32):
    gray = torch.full((1, 1, 1), 200, dtype=dtype)
    scaled = v2.functional.to_dtype(gray, torch.float32, scale=True)
    results[dtype] = f"{scaled.item():.3g}"
    print(f"{dtype!s:14}", results[dtype])

largest = {torch.uint8: 255, torch.int16: 2**15 - 1, torch.int64: 2**63 - 1}
for dtype, number in largest.items():
    assert results[dtype] == f"{200 / number:.3g}"
assert results[torch.float32] == "200" and len(results) == 4

# %%
# So pixels that became ``int64`` or ``float64`` on their way keep a wrong
# scale in silence: check the largest value. scikit-learn's handwritten digits
# are such a case. They are floats from 0 to 16, without a channel: ``ToImage``
# adds the channel, but dividing by 16 is left to you.
#
# .. alt: Left, a handwritten zero of 8 by 8 pixels. Right, the table of its
#    numbers: 0 where the paper is, up to 15 where the ink is.

digits = torch.from_numpy(load_digits().images)  # (1797, 8, 8)
untouched = to_tensor(digits[0].numpy())
scaled = untouched / 16
blackest = untouched.max().item(), scaled.max().item()
print(tuple(untouched.shape), blackest)

fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
axes[0].imshow(digits[0].numpy(), cmap="gray_r")
axes[0].axis("off")
draw_tensor(digits[0].int(), ax=axes[1])
show_pictures()

assert digits.max() == 16 and untouched.shape == (1, 8, 8)
assert blackest == (15, 15 / 16)

# %%
# Back to a picture, and what a file may hold
# -------------------------------------------
#
# ``to_pil_image`` makes an image that Pillow, the package ``PIL``, can save.
# Its ``size`` puts the width first. A file may have one channel for gray, or
# four with transparency: ``convert("RGB")`` makes it three.

picture = v2.functional.to_pil_image(image)
print(picture.size, tuple(image.shape))
converted = {mode: picture.convert(mode) for mode in ("RGB", "RGBA", "L")}
channels = {mode: len(to_tensor(other)) for mode, other in converted.items()}
print(channels)

assert picture.size == (160, 107) and image.shape == (3, 107, 160)
assert torch.equal(to_tensor(picture), image)  # nothing was lost
assert channels == {"RGB": 3, "RGBA": 4, "L": 1}
assert len(to_tensor(converted["RGBA"].convert("RGB"))) == 3

# %%
# Normalize: mean 0, spread 1
# ---------------------------
#
# Networks learn more easily from numbers around zero. Take the mean and the
# standard deviation of each channel over all *training* images, and use these
# numbers for every later image. A network from somewhere else wants those
# that it was trained with. To draw a normalized image, undo it first.

flower = to_tensor(load_sample_image("flower.jpg")[::4, ::4].copy())
batch = torch.stack([image, flower])  # (2, 3, 107, 160)
mean, std = batch.mean(dim=(0, 2, 3)), batch.std(dim=(0, 2, 3))
normalize = v2.Normalize(mean.tolist(), std.tolist())
normal = normalize(batch)
low, high = normal.min().item(), normal.max().item()
print("means", [round(number, 2) for number in mean.tolist()])
print(f"normalized: from {low:.1f} to {high:.1f}")

assert mean.shape == (3,) and 0.35 < mean.min() < mean.max() < 0.45
assert -1.6 < low < -1.2 and 1.7 < high < 2.1
assert normal.mean(dim=(0, 2, 3)).abs().max() < 1e-5
assert (normal.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-4
undone = normal * std[:, None, None] + mean[:, None, None]
assert torch.allclose(undone, batch, atol=1e-6)

# %%
# Augment: one photograph, many views
# -----------------------------------
#
# Random crops, flips and colors show the network more than you have
# photographed. They are for training images only. The random numbers are
# PyTorch's: `torch.manual_seed` repeats them.
#
# .. alt: Six square pictures of the same pagoda: cut out differently, tilted
#    a little, some mirrored, some brighter or with paler colors.

augment = v2.Compose(
    [
        v2.RandomRotation(8),
        v2.RandomResizedCrop(64, scale=(0.3, 0.8)),
        v2.RandomHorizontalFlip(p=0.5),
        v2.ColorJitter(brightness=0.3, saturation=0.6),
    ]
)
large = to_tensor(load_sample_image("china.jpg").copy())
torch.manual_seed(4)
views = torch.stack([augment(large) for _ in range(6)])
torch.manual_seed(4)
again = torch.stack([augment(large) for _ in range(6)])

fig, axes = plt.subplots(2, 3, figsize=(6, 4), layout="constrained")
for ax, view in zip(axes.flat, views, strict=True):
    ax.imshow(view.permute(1, 2, 0).numpy(), interpolation="none")
    ax.axis("off")
show_pictures()

assert views.shape == (6, 3, 64, 64) and torch.equal(views, again)
assert not torch.equal(views[0], views[1])

# %%
# What you learned
# ----------------
#
# An image becomes a tensor in three steps: channels first, fractions from 0 to
# 1, then mean 0 and spread 1. Reshape ruins it in silence, and the scale
# depends on the dtype: look at the picture and at the largest number.
#
# Before this: :ref:`transpose_permute` and :ref:`dtypes`. Next:
# :ref:`torchvision_tour` moves boxes and masks along with an image, and
# :ref:`conv_sizes` reads images with a layer.
