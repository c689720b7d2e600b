r"""
.. _torchvision_tour:

Find your way around torchvision
================================

When an image is flipped, who moves the boxes that mark what is in it? After
this page you know what torchvision has to offer, can try your code without
downloading anything, and can flip, resize and crop an image together with its
boxes and masks.

.. concepts: V02
.. claims: c3-95
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits, load_sample_image
from torchvision import datasets, models, ops, tv_tensors, utils
from torchvision.transforms import v2

from snippets.drawing import PALETTE, show_pictures

# %%
# A dataset without a download
# ----------------------------
#
# torchvision is PyTorch's package for images. Its parts:
#
# - `torchvision.datasets`: known collections of images;
# - `torchvision.transforms.v2`: what can be done to an image;
# - `torchvision.tv_tensors`: tensors that know what they stand for;
# - `torchvision.utils`: pictures of tensors;
# - `torchvision.ops`: arithmetic with boxes and masks;
# - `torchvision.models`: networks, trained or not.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The part on torchvision is empty. This page fills it.
#
# Most collections have to be fetched. `torchvision.datasets.FakeData` makes
# noise with labels, the same each time: enough to see whether a program runs.

fake = datasets.FakeData(
    size=6, image_size=(3, 16, 16), num_classes=4, transform=v2.ToImage()
)
image, label = fake[0]
again, same_label = fake[0]
print(len(fake), tuple(image.shape), image.dtype, "label", label)

assert len(fake) == 6 and image.shape == (3, 16, 16)
assert image.dtype == torch.uint8
assert torch.equal(image, again) and label == same_label == 1
assert all(0 <= label < 4 for _, label in fake)

# %%
# A real collection is fetched once and then stays on your disk. This page is
# built without the internet, so these lines have not been run:
#
# .. code-block:: python
#
#    train = datasets.CIFAR10(
#        "data", train=True, download=True, transform=v2.ToImage()
#    )
#    image, label = train[0]
#
# Many images in one
# ------------------
#
# `torchvision.utils.make_grid` lays a batch out as a single image, to look at
# it. Every image gets a frame, and a gray one gets three channels.
#
# .. alt: Sixteen small handwritten digits in two rows of eight, 0 to 9 and
#    then 0 to 5, light on black, each in a gray frame.

digits = torch.from_numpy(load_digits().images[:16]) / 16
batch = digits[:, None]  # (16, 1, 8, 8)
grid = utils.make_grid(batch, nrow=8, padding=1, pad_value=0.5)
print(tuple(batch.shape), "->", tuple(grid.shape))

fig, ax = plt.subplots(figsize=(6, 1.7), layout="constrained")
ax.imshow(grid.permute(1, 2, 0).numpy())
ax.axis("off")
show_pictures()

assert batch.shape == (16, 1, 8, 8)
assert grid.shape == (3, 2 * (8 + 1) + 1, 8 * (8 + 1) + 1)
assert torch.equal(grid[0, 1:9, 1:9], digits[0])

# %%
# A scene with boxes and masks
# ----------------------------
#
# Finding objects needs more than a label: a box around each, or a *mask* that
# marks its pixels. Here are two flowers. A box is left, top, right, bottom,
# counted in pixels from the upper left corner. The masks are pixels that are
# red enough, and `torchvision.ops.masks_to_boxes` confirms the boxes.

photograph = load_sample_image("flower.jpg")[::4, 140:580:4].copy()
scene = v2.functional.to_image(photograph)  # (3, 107, 110)
red = scene[0] > 150
upper = torch.arange(107)[:, None] < 92
masks = tv_tensors.Mask(torch.stack([red & upper, red & ~upper]))
boxes = tv_tensors.BoundingBoxes(
    [[7, 21, 77, 90], [37, 93, 81, 107]], format="XYXY", canvas_size=(107, 110)
)
difference = (ops.masks_to_boxes(masks) - boxes).abs().max().item()
agree = difference <= 2  # pixels
print(tuple(masks.shape), tuple(boxes.shape), "boxes agree:", agree)

assert scene.shape == (3, 107, 110)
assert masks.shape == (2, 107, 110) and boxes.shape == (2, 4)
assert agree is True

# %%
# Flip everything together
# ------------------------
#
# Flip the image alone, and boxes and masks are where nothing is. Give all
# three to one transform, and it knows from their types what to do: pixels of
# the image and the masks are mirrored, a box gets new corners. By hand, a
# right edge at 77 of 110 becomes a left edge at 110 - 77.

flip = v2.RandomHorizontalFlip(p=1)  # p=1: always
flipped, moved_boxes, moved_masks = flip(scene, boxes, masks)
print(boxes.tolist(), "->", moved_boxes.tolist())

by_hand = [[110 - 77, 21, 110 - 7, 90], [110 - 81, 93, 110 - 37, 107]]
assert boxes.tolist() == [[7, 21, 77, 90], [37, 93, 81, 107]]  # as before
assert moved_boxes.tolist() == by_hand
assert torch.equal(moved_masks, masks.flip(-1))
assert torch.equal(flip(scene), flipped)  # the boxes would have stayed

# %%
# The picture is drawn with `torchvision.utils.draw_segmentation_masks` and
# `torchvision.utils.draw_bounding_boxes`.
#
# .. alt: Three pictures of two orange flowers, each flower tinted blue and in
#    a white box. In the first, tint and box fit. In the second the flowers
#    are mirrored and the tint and boxes stand beside them. In the third they
#    fit again.


def overlay(image, boxes, masks):
    """Tint the masks and frame the boxes."""
    tinted = utils.draw_segmentation_masks(
        image, masks, colors=["blue", "blue"], alpha=0.6
    )
    return utils.draw_bounding_boxes(tinted, boxes, colors="white")


pictures = {
    "as taken": overlay(scene, boxes, masks),
    "image alone": overlay(flipped, boxes, masks),
    "all together": overlay(flipped, moved_boxes, moved_masks),
}
fig, axes = plt.subplots(1, 3, figsize=(6, 2.2), layout="constrained")
for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="none")
    ax.set_title(title, fontsize=11)
    ax.axis("off")
show_pictures()

assert [tuple(p.shape) for p in pictures.values()] == [(3, 107, 110)] * 3

# %%
# Resize, crop, and drop what is gone
# -----------------------------------
#
# A sample may be a dict. Twice the size, then the middle 120 by 120 pixels:
# the lower flower is cut away, and its box becomes empty.
# `torchvision.transforms.v2.SanitizeBoundingBoxes` drops it, with its mask and
# its label.

sample = {"image": scene, "boxes": boxes, "masks": masks}
sample["labels"] = torch.tensor([0, 1])
crop = v2.Compose([v2.Resize((214, 220)), v2.CenterCrop(120)])
cropped = crop(sample)
clean = v2.SanitizeBoundingBoxes()(cropped)
print(cropped["boxes"].tolist(), "->", clean["boxes"].tolist())

corner = torch.tensor([50, 47, 50, 47])  # (220 - 120) / 2 and (214 - 120) / 2
by_hand = (2 * boxes - corner).clamp(0, 120)
assert cropped["boxes"].tolist() == by_hand.tolist()
assert by_hand.tolist() == [[0, 0, 104, 120], [24, 120, 112, 120]]
assert clean["boxes"].tolist() == [[0, 0, 104, 120]]
assert clean["labels"].tolist() == [0] and len(clean["masks"]) == 1
assert clean["image"].shape == (3, 120, 120)

# %%
# How well do two boxes agree?
# ----------------------------
#
# `torchvision.ops.box_iou` divides the area that two boxes share by the area
# that they cover together: 1 for the same box, 0 for boxes apart. A detector
# finds the same thing several times; `torchvision.ops.nms` keeps the box with
# the best score and drops those that agree with it too well.
#
# .. alt: Three boxes with their scores. Those with 0.9 and 0.8 cover almost
#    the same place, that with 0.7 stands apart.

found = torch.tensor([[0, 0, 8, 8], [1, 1, 9, 9], [11, 3, 16, 9]]).float()
scores = torch.tensor([0.9, 0.8, 0.7])
overlap = ops.box_iou(found, found)
kept = ops.nms(found, scores, iou_threshold=0.5)
first_two = overlap[0, 1]
print(f"overlap of the first two: {first_two:.3f}")
print("kept:", kept.tolist())

fig, ax = plt.subplots(figsize=(4, 2.5), layout="constrained")
for box, score, color in zip(found.tolist(), scores, PALETTE, strict=False):
    (left, top, right, bottom), x = box, [box[0], box[2], box[2], box[0]]
    ax.fill(x, [top, top, bottom, bottom], color, alpha=0.7, ec="#6b7280")
    ax.text(left + 0.2, top + 0.9, f"{score:.1f}", color="#1a1a1a")
ax.axis([-0.5, 16.5, 9.5, -0.5])
show_pictures()

shared, together = 7 * 7, 8 * 8 + 8 * 8 - 7 * 7
assert torch.isclose(first_two, torch.tensor(shared / together))
assert overlap[0, 0] == 1 and overlap[0, 2] == overlap[1, 2] == 0
assert kept.tolist() == [0, 2]

# %%
# Networks, with and without what they learned
# --------------------------------------------
#
# ``weights=None`` builds a network that has learned nothing, and downloads
# nothing. The description of trained weights is part of the package: which
# classes they know, and which transforms they expect.

net = models.resnet18(weights=None)
weights = models.ResNet18_Weights.DEFAULT
expected, (fish, *others) = weights.transforms(), weights.meta["categories"]
count = sum(parameter.numel() for parameter in net.parameters())
print(f"{count:,} numbers; classes: {fish} and {len(others)} others")
print("crop", expected.crop_size, "mean", expected.mean)

assert count == weights.meta["num_params"] == 11_689_512
assert fish == "tench" and len(others) == 999
assert 46e6 < 4 * count < 47.5e6  # bytes
assert expected.crop_size == [224] and expected.mean == [0.485, 0.456, 0.406]
assert net.eval()(expected(scene)[None]).shape == (1, 1000)

# %%
# The trained weights themselves are a download: four bytes for each number,
# about 47 MB. These lines have not been run either:
#
# .. code-block:: python
#
#    net = models.resnet18(weights=weights).eval()
#    scores = net(weights.transforms()(scene)[None])
#    print(weights.meta["categories"][scores.argmax()])
#
# What you learned
# ----------------
#
# Tensors that know what they stand for let one transform move an image, its
# boxes and its masks together. Fake data, bare networks and the descriptions
# of weights work offline; collections and weights are downloads.
#
# Before this: :ref:`image_to_tensor`. Next: :ref:`conv_sizes`, the layer that
# these networks are made of, and :ref:`small_cnn`, a network of our own.
