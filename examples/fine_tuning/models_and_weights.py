r"""
.. _models_and_weights:

Start from a ready-made model
=============================

Which networks can I have instead of inventing one, what have they seen, and
must my images be 224 by 224? After this page you can build a model of
torchvision without a download, read what its weights were trained on, prepare
images for them, and tell which sizes it takes.

.. concepts: V03 V06
.. claims: c0-44 c0-89 c0-93 c0-94 c3-96
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits, load_sample_image
from torch import nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings
from torchvision.transforms.v2 import functional as transform

from snippets.drawing import draw_tensors, show_pictures

# %%
# A list of names
# ---------------
#
# `torchvision.models.list_models` tells what there is,
# `torchvision.models.get_model` builds it. With ``weights=None``, the default,
# its numbers are random and nothing is downloaded.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Inheriting from `torch.nn.Module` is said to give a ready-made model, and
#    the heading for models is empty. That class has no layers. Models are in
#    `torchvision.models`.

resnets = models.list_models(module=models, include="resnet*")
detectors = models.list_models(module=models.detection, include="retina*")
print(resnets, detectors, sep="\n")

torch.manual_seed(0)
model = models.get_model("resnet18", weights=None)
another = models.get_model("resnet18")
count = sum(isinstance(part, nn.Conv2d) for part in model.modules())
print(f"resnet18: {count} convolutions; at the end, {model.fc}")

assert resnets == [f"resnet{depth}" for depth in (101, 152, 18, 34, 50)]
assert detectors == ["retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"]
assert count == 20 and model.fc.weight.shape == (1000, 512)
assert not torch.equal(model.fc.weight, another.fc.weight)  # random
assert not [*nn.Module().children(), *nn.Module().parameters()]

# %%
# Too large to try?
# -----------------
#
# On the device ``meta`` (see :ref:`devices`) tensors have shapes and no
# numbers. A model of 2.5 GB takes no memory and still tells its output shape.

with torch.device("meta"):
    giant = models.get_model("vit_h_14").eval()
    scores = giant(torch.zeros(2, 3, 224, 224))
count = sum(parameter.numel() for parameter in giant.parameters())
print(f"{count:,} numbers, {4 * count / 1e9:.1f} GB as float32")
print(tuple(scores.shape), scores.device)

assert count == 632_045_800 and round(4 * count / 1e9, 1) == 2.5
assert scores.shape == (2, 1000) and scores.is_meta
assert all(parameter.is_meta for parameter in giant.parameters())

# %%
# What weights were trained on
# ----------------------------
#
# `torchvision.models.get_model_weights` lists the trained weights of a model.
# They are a download; their description ``meta`` is not.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    All are said to be pretrained on ImageNet. Those that
#    classify images are. Others have seen scenes (COCO) or videos (Kinetics).

known = {}
for name in ("resnet50", *detectors[:1], "deeplabv3_resnet50", "r3d_18"):
    meta = models.get_model_weights(name).DEFAULT.meta
    known[name] = *meta["_metrics"], len(meta["categories"])
    print(f"{name:22}", known[name])

assert known == {
    "resnet50": ("ImageNet-1K", 1000),
    "retinanet_resnet50_fpn": ("COCO-val2017", 91),
    "deeplabv3_resnet50": ("COCO-val2017-VOC-labels", 21),
    "r3d_18": ("Kinetics-400", 400),
}

# %%
# The description tells the accuracy, too. Size alone does not help:
# ``alexnet`` has 49 times the numbers of ``squeezenet1_1`` and is right less
# often.
#
# .. alt: Accuracy on ImageNet against the number of parameters, from 1 to 600
#    million on a logarithmic scale, one dot a model. Most dots rise from 58 to
#    88 percent. alexnet and vgg16 lie far below the others of their size.

found = {}
for name in models.list_models(module=models):
    meta = models.get_model_weights(name).DEFAULT.meta
    accuracy = meta["_metrics"]["ImageNet-1K"]["acc@1"]
    found[name] = meta["num_params"] / 1e6, accuracy

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.scatter(*zip(*found.values(), strict=True), s=18)
for name in ("alexnet", "squeezenet1_1", "vgg16", "resnet18", "vit_h_14"):
    ax.annotate(name, found[name], (5, -12), textcoords="offset points")
ax.set(xscale="log", xlabel="million parameters", ylabel="right, in %")
ax.set(xlim=(0.9, 2500), ylim=(53, 91))
show_pictures()

assert found["alexnet"] == (61.10084, 56.522)
assert found["squeezenet1_1"] == (1.235496, 58.178)
assert 49 < found["alexnet"][0] / found["squeezenet1_1"][0] < 50
assert max(found, key=lambda name: found[name][1]) == "vit_h_14"

# %%
# Weights come with their transforms
# ----------------------------------
#
# An image prepared otherwise than in training gives a worse answer and no
# error, so weights bring their ``transforms()``. By hand: resize the shorter
# side, cut out the middle, subtract the mean of ImageNet's colors and divide
# by their deviation.

china = torch.from_numpy(load_sample_image("china.jpg").copy())
photograph = china.permute(2, 0, 1) / 255  # (3, 427, 640), 0..1
mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
shapes = []
for name in ("ResNet18", "ResNet50", "Inception_V3"):
    weights = models.get_weight(f"{name}_Weights.DEFAULT")
    prepare = weights.transforms()
    image = prepare(photograph)
    shapes.append((*prepare.resize_size, *image.shape))
    print(f"{name:13} resize to {shapes[-1][0]}, cut out {shapes[-1][2:]}")

    by_hand = transform.resize(photograph, prepare.resize_size)
    by_hand = transform.center_crop(by_hand, prepare.crop_size)
    assert torch.allclose(image, (by_hand - mean) / deviation, atol=1e-5)

assert shapes[0] == (256, 3, 224, 224) and shapes[1] == (232, 3, 224, 224)
assert shapes[2] == (342, 3, 299, 299)

# %%
# The real weights
# ----------------
#
# This page is built without the internet, so these lines have not been run:
#
# .. code-block:: python
#
#    weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
#    net = models.squeezenet1_1(weights=weights).eval()
#    scores = net(weights.transforms()(photograph)[None])
#    print(weights.meta["categories"][scores.argmax()])
#
# The file is kept in the folder ``checkpoints`` of `torch.hub.get_dir`, where
# you may also copy it. Here our own stands in, random numbers under the real
# name:

weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
stand_in = models.squeezenet1_1()
usual_place = torch.hub.get_dir()
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "checkpoints", Path(weights.url).name)
    file.parent.mkdir()
    torch.save(stand_in.state_dict(), file)
    torch.hub.set_dir(folder)
    net = models.squeezenet1_1(weights=weights).eval()
    print(file.name)
torch.hub.set_dir(usual_place)

assert file.name == "squeezenet1_1-b8a52dc0.pth"
loaded = zip(net.parameters(), stand_in.parameters(), strict=True)
assert all(torch.equal(new, old) for new, old in loaded)
assert net(weights.transforms()(photograph)[None]).shape == (1, 1000)

# %%
# Which image sizes?
# ------------------
#
# Let a model try, without memory:


def takes(model, size):
    """Return whether the model takes square images of this size."""
    try:
        model(torch.zeros(1, 3, size, size, device="meta"))
    except (RuntimeError, AssertionError):
        return False
    else:
        return True


print("a giant, 224 and 256:", takes(giant, 224), takes(giant, 256))

assert takes(giant, 224) and not takes(giant, 256)

# %%
# .. admonition:: In the notes
#    :class: note-check
#
#    New images must have the size of the old ones. Of seven
#    models, that is true of two.

sizes, table = (32, 64, 160, 224, 256, 320), {}
names = "alexnet vgg11 resnet18 convnext_tiny swin_t maxvit_t vit_b_16"
print(" " * 13, *(f"{size:3}" for size in sizes))
for name in names.split():
    with torch.device("meta"):
        model = models.get_model(name).eval()
    table[name] = [takes(model, size) for size in sizes]
    marks = ["yes" if taken else "  -" for taken in table[name]]
    print(f"{name:13}", *marks)

only_224 = [size == 224 for size in sizes]
assert table.pop("maxvit_t") == table.pop("vit_b_16") == only_224
assert table.pop("alexnet") == [False, *[True] * 5]
assert [*table.values()] == [[True] * 6] * 4

# %%
# Convolutions slide over any size, while something is left: ``alexnet``
# shrinks 32 pixels to nothing. The linear layer at the end needs a fixed
# number. Between them, `torch.nn.AdaptiveAvgPool2d` is told the size of its
# *output* and chooses windows to fit. Each result is the mean of one.
#
# .. alt: Sixteen numbers in four rows, colored in four blocks of 2 by 2, and
#    beside them their four means. Then 36 numbers in four blocks of 3 by 3,
#    and again four means.

pool = nn.AdaptiveAvgPool2d(2)
corners = torch.tensor([[0, 1], [2, 3]])
tensors, groups = {}, []
for window in (2, 3):
    values = torch.arange((2.0 * window) ** 2).reshape(2 * window, -1)
    pooled = pool(values[None])[0]
    tensors |= {f"{2 * window} × {2 * window}": values}
    tensors |= {f"pooled{' ' * window}": pooled}  # titles must differ
    rows = corners.repeat_interleave(window, 0)
    groups += [rows.repeat_interleave(window, 1), corners]
    assert torch.equal(pooled, F.avg_pool2d(values[None], window)[0])
draw_tensors(tensors, groups=groups)
show_pictures()

below_head = nn.Sequential(*list(another.children())[:-2])  # of resnet18
maps = [below_head(torch.zeros(1, 3, n, n)).shape for n in (224, 320)]
print([tuple(shape) for shape in maps], "->", another.avgpool.output_size)

assert pooled.tolist() == [[7, 10], [25, 28]]
assert maps == [(1, 512, 7, 7), (1, 512, 10, 10)]
assert another.avgpool.output_size == (1, 1)

# %%
# What it takes, and what it knows
# --------------------------------
#
# Put such a pooling into a network that was trained without it, on digits of
# 8 × 8. There each window is one number: it answers exactly as before. It now
# takes 16 × 16 as well, but has seen no strokes so thick. Two epochs of them
# help.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Layers added for another size are said to cost much accuracy. The pooling
#    costs none; the new size does, until it is learned.

digits = load_digits()
labels = torch.from_numpy(digits.target)
small = torch.from_numpy(digits.images).float()[:, None] / 16
large = F.interpolate(small, size=16, mode="bilinear")


def network(pool):
    """Return a network for digits, with a pooling below its head."""
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), pool]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(512, 10))


def learn(model, images, rows, epochs, lr):
    """Train a network on some of the digits."""
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    for _ in range(epochs):
        for batch in rows[torch.randperm(len(rows))].split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()


print(tuple(small.shape), tuple(large.shape))
assert small.shape == (1797, 1, 8, 8) and large.shape == (1797, 1, 16, 16)

# %%
# Each seed splits anew: 1347 digits to learn, 450 to test.


@torch.no_grad()
def share_right(model, images, rows):
    """Return the accuracy on some of the digits."""
    answers = model(images[rows]).argmax(dim=1)
    return (answers == labels[rows]).float().mean().item()


results = []
for seed in range(5):
    torch.manual_seed(seed)
    train, test = torch.randperm(1797).split([1347, 450])
    fixed = network(nn.Identity())
    learn(fixed, small, train, epochs=6, lr=0.05)
    flexible = network(nn.AdaptiveAvgPool2d(4))
    flexible.load_state_dict(fixed.state_dict())  # pooling has no weights
    assert torch.equal(flexible(small[test]), fixed(small[test]))
    row = [share_right(flexible, images, test) for images in (small, large)]
    learn(flexible, large, train, epochs=2, lr=0.02)
    results.append([*row, share_right(flexible, large, test)])
print(len(results), "seeds")

assert len(results) == 5

# %%
# The mean of these seeds, the lowest and the highest. (20 seeds: 95 to 99, 68
# to 90, 93 to 98 %.)


names = "8 × 8", "16 × 16", "16 × 16, learned"
columns = torch.tensor(results).T
for name, column in zip(names, columns, strict=True):
    low, high = column.min(), column.max()
    print(f"{name:17}{column.mean():.0%}  ({low:.0%} to {high:.0%})")

known, new, learned = columns
assert known.min() > 0.93 and learned.min() > 0.92
assert new.max() < known.min() - 0.04 and new.mean() < 0.87

# %%
# One position for each patch
# ---------------------------
#
# A vision transformer cuts the image into patches and learns a vector for each
# position: 224 pixels in patches of 14 are 16 × 16, and one more. Other sizes
# are refused, until these are interpolated. A small one shows it:

options = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
vit = models.VisionTransformer(image_size=32, patch_size=8, **options)
try:
    vit(torch.zeros(1, 3, 40, 40))
except AssertionError as error:
    print(error)
    assert "Expected 32 but got 40" in str(error)
else:
    raise AssertionError("40 pixels must be refused")
state = interpolate_embeddings(40, 8, vit.state_dict())
wider = models.VisionTransformer(image_size=40, patch_size=8, **options)
wider.load_state_dict(state)
scores = wider(torch.zeros(1, 3, 40, 40))
positions = [model.encoder.pos_embedding.shape[1] for model in (vit, wider)]
print(positions, tuple(scores.shape))

assert positions == [1 + 4 * 4, 1 + 5 * 5] and scores.shape == (1, 1000)
assert giant.encoder.pos_embedding.shape == (1, 1 + 16 * 16, 1280)

# %%
# What you learned
# ----------------
#
# Models come by name, random unless you ask for weights; weights tell what
# they know and how to prepare images. Adaptive pooling lets a network take
# other sizes. How well it reads them is to be measured.
#
# Before this: :ref:`torchvision_tour`, :ref:`conv_sizes`. Next:
# :ref:`finetune` puts a new head on such a model.
