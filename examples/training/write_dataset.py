r"""
.. _write_dataset:

Wrap your own data in a Dataset
===============================

Your data is an array, a folder of pictures or one long file: how does a
training loop get samples of it? After this page you can write a Dataset for
each of these, read files only when they are needed, serve whole batches
several times faster, and recognize three datasets that go wrong without an
error.

.. concepts: D01
.. claims: c3-62 c3-64 c3-84
"""

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    random_split,
)

from snippets.data import ArrayDataset, FileDataset, split
from snippets.drawing import show_pictures

# %%
# Two questions
# -------------
#
# A *map-style* dataset answers two questions: how many samples are there, and
# what is number i? Derive a class from `torch.utils.data.Dataset`, write
# ``__len__`` and ``__getitem__``, and return a pair ``(x, y)``: an input and
# the answer expected. Here a NumPy array holds handwritten digits, with
# a brightness from 0 to 16.


class Digits(Dataset):
    """Handwritten digits, and which ones they are."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        x = torch.tensor(self.images[index], dtype=torch.float32)
        return x / 16, int(self.labels[index])


digits = load_digits()
dataset = Digits(digits.images, digits.target)
x, y = dataset[3]
print(len(dataset), "samples; number 3:", tuple(x.shape), x.dtype, y)

assert len(dataset) == 1797 and x.shape == (8, 8) and y == 3
assert x.dtype == torch.float32 and x.min() == 0 and x.max() <= 1
assert x[0, 2] == digits.images[3, 0, 2] / 16

# %%
# What is missing shows late
# --------------------------
#
# Without one of these methods, the error comes only when it is called, perhaps
# inside a loader.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    "You should override it" means these two methods; a
#    DataLoader is used as it is. And ``self.data = ...`` is real
#    Python: three dots, without a length.


class NoItem(Dataset):
    def __len__(self):
        return 3


class NoLength(Dataset):
    def __getitem__(self, index):
        return index


broken = {"no item": NoItem(), "no length": NoLength(), "dots": Digits(..., 0)}
errors = {}
for name, wrong in broken.items():
    try:
        len(wrong), wrong[0]
    except (RuntimeError, TypeError) as error:
        errors[name] = str(error)
        print(f"{name}: {error}")
    else:
        raise AssertionError(f"{name} must fail")

assert "should implement __getitem__" in errors["no item"]
assert errors["no length"] == "object of type 'NoLength' has no len()"
assert errors["dots"] == "object of type 'ellipsis' has no len()"

# %%
# Return a pair
# -------------
#
# A `torch.utils.data.DataLoader` stacks samples to batches. Of a dataset that
# returns inputs alone, a batch of 16 cannot be unpacked into ``x, y``. A batch
# of two can, and that is worse: ``y`` is the second picture.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``for x, y in tr_set`` meets a dataset that returns
#    ``data[index]``. It works only if that is a pair.


class Unlabeled(Digits):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


unlabeled = Unlabeled(digits.images, digits.target)
try:
    x, y = next(iter(DataLoader(unlabeled, batch_size=16)))
except ValueError as error:
    print(error)
    assert "too many values to unpack" in str(error)
else:
    raise AssertionError("16 pictures must not unpack into two names")

x, y = next(iter(DataLoader(unlabeled, batch_size=2)))
print("two pictures:", tuple(x.shape), tuple(y.shape))

assert x.shape == y.shape == (8, 8)
assert torch.equal(x, dataset[0][0]) and torch.equal(y, dataset[1][0])

# %%
# One file for each sample
# ------------------------
#
# Pictures often lie in folders named after their class. We write 60. A folder
# lists its files in any order, so sort them. Sorting compares characters, so
# numbers need leading zeros.


def read_picture(path):
    """Return the picture in a file, from 0 to 1."""
    with Image.open(path) as image:
        return torch.tensor(np.array(image)) / 240


folder = tempfile.TemporaryDirectory()
for number in range(60):
    name = str(digits.target[number])
    path = Path(folder.name, name, f"{number:03}.png")
    path.parent.mkdir(exist_ok=True)
    pixels = 15 * digits.images[number].astype("uint8")
    Image.fromarray(pixels).save(path)

paths = sorted(Path(folder.name).glob("*/*.png"))
names = [path.relative_to(folder.name).as_posix() for path in paths]
first = names[:4]
print(len(names), "files:", first)

assert len(names) == 60
assert first == ["0/000.png", "0/010.png", "0/020.png", "0/030.png"]
assert sorted(["2.png", "10.png"]) == ["10.png", "2.png"]
assert torch.equal(read_picture(paths[1]), dataset[10][0])

# %%
# The dataset keeps paths and reads a file when asked, so a folder may be
# larger than memory. It takes the label from the path. A list of labels in
# another order, such as that of the array, is wrong for most files, without an
# error.


class Pictures(Dataset):
    """PNG files, each in a folder named after its class."""

    def __init__(self, paths, transform=None):
        self.paths, self.transform = paths, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        x = read_picture(self.paths[index])
        if self.transform is not None:
            x = self.transform(x)
        return x, int(self.paths[index].parent.name)


pictures = Pictures(paths)
labels = [y for _, y in pictures]
in_array = digits.target[:60].tolist()
right = sum(a == b for a, b in zip(labels, in_array, strict=True))
print(f"labels in the order of the array: {right} of {len(pictures)} right")

assert sorted(in_array) == labels  # the same, in another order
assert right == 9 and len(pictures) == 60

# %%
# A transform changes what is read
# --------------------------------
#
# ``transform`` runs each time a sample is read. A random one makes many
# pictures of one file. Give it to the training data alone.
#
# .. alt: Six gray pictures of the same handwritten three. The first is as in
#    the file; in the other five it sits one pixel further to the left or
#    right, higher or lower.


def shift(x):
    """Move a picture at random, by one pixel at most."""
    down, right = torch.randint(3, (2,)).tolist()
    return F.pad(x, (1, 1, 1, 1))[down : down + 8, right : right + 8]


torch.manual_seed(4)
place = names.index("3/003.png")
shifting = Pictures(paths, transform=shift)
reads = [pictures[place][0], *(shifting[place][0] for _ in range(5))]
fig, axes = plt.subplots(1, 6, figsize=(6, 1.4), layout="constrained")
for ax, x, number in zip(axes, reads, range(6), strict=True):
    ax.imshow(x.numpy(), cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"read {number}" if number else "file", fontsize=10)
    ax.axis("off")
show_pictures()

kinds = {tuple(x.flatten().tolist()) for x in reads}
print(len(kinds), "different pictures")
assert len(kinds) == 6 and {x.shape for x in reads} == {(8, 8)}
assert torch.equal(reads[0], dataset[3][0])

# %%
# A stream: iterable-style
# ------------------------
#
# A log that grows line by line has no number i. A
# `torch.utils.data.IterableDataset` has one method, ``__iter__``, called once
# for each *epoch*, a pass over the data. Do not hand it a generator: that can
# be read once, and the second epoch is empty, without an error. With ``yield``
# in ``__iter__`` itself, each epoch begins anew.


class Once(IterableDataset):
    def __init__(self, source):
        self.source = source

    def __iter__(self):
        return iter(self.source)


class Lines(Once):
    def __iter__(self):
        for line in self.source.read_text().splitlines():
            yield float(line)


log = Path(folder.name, "log.txt")
log.write_text("1.5\n2.5\n4.0\n")
streams = {"generator": Once(n for n in range(3)), "lines": Lines(log)}
counts = {
    name: [len(list(stream)) for epoch in range(2)]
    for name, stream in streams.items()
}
print(counts)
assert counts == {"generator": [3, 0], "lines": [3, 3]}

# %%
# Batches work as before; a random order does not.

batches = [batch.tolist() for batch in DataLoader(Lines(log), batch_size=2)]
print(batches)
try:
    DataLoader(Lines(log), shuffle=True)
except ValueError as error:
    print(error)
    assert "expected unspecified shuffle option" in str(error)
else:
    raise AssertionError("a stream must not be shuffled")

assert batches == [[1.5, 2.5], [4.0]]

# %%
# A batch at a time
# -----------------
#
# Our first dataset makes and divides 1797 small tensors in each epoch. With
# ``__getitems__``, it is given the numbers of a whole batch and returns a list
# of samples. One conversion then serves 64 of them, and an epoch takes less
# than half of the processor's time.


class FastDigits(Digits):
    """The same samples, and a whole batch of them at once."""

    def __getitems__(self, indices):
        x = torch.tensor(self.images[indices], dtype=torch.float32)
        return list(zip(x / 16, self.labels[indices].tolist(), strict=True))


def seconds(dataset):
    """Return the processor time of an epoch, the best of five."""
    times = []
    for _ in range(5):
        start = time.process_time()
        list(DataLoader(dataset, batch_size=64))
        times.append(time.process_time() - start)
    return min(times)


fast = FastDigits(digits.images, digits.target)
twice = seconds(dataset) / seconds(fast) > 2
print("at least twice as fast:", twice)

(x, y), *others = fast.__getitems__([5, 3])
assert twice and len(others) == 1
assert torch.equal(x, dataset[5][0]) and y == dataset[5][1]

# %%
# Ready-made
# ----------
#
# `snippets.data.ArrayDataset` takes arrays and has ``__getitems__``.
# `snippets.data.FileDataset` takes paths and a function that reads one. It
# looks for all files at once; ours would miss one only when it comes to it,
# perhaps in the third hour of a training.

scaled = torch.tensor(digits.images, dtype=torch.float32) / 16
arrays = ArrayDataset(scaled, digits.target)
files = FileDataset(paths, read_picture, labels=labels)
for ours, by_hand in ((arrays, dataset), (files, pictures)):
    pairs = zip(ours, by_hand, strict=True)
    assert all(torch.equal(a, x) and b == y for (a, b), (x, y) in pairs)

lost = [*paths, Path("lost.png")]
try:
    FileDataset(lost, read_picture)
except FileNotFoundError as error:
    print(error)
    assert str(error) == "1 of 61 files do not exist: 'lost.png'"
else:
    raise AssertionError("a missing file must be found at once")
assert len(Pictures(lost)) == 61  # no complaint by hand

# %%
# Parts that share no row
# -----------------------
#
# Data that judge a network must be new to it. So a random order is cut in two.
# `snippets.data.split` does that, and so does
# `torch.utils.data.random_split`.

seeded = [torch.Generator().manual_seed(0) for _ in range(3)]
order = torch.randperm(1797, generator=seeded[0]).tolist()
train, val = split(dataset, [0.8, 0.2], generator=seeded[1])
theirs = random_split(dataset, [0.8, 0.2], generator=seeded[2])
print(len(train), "to learn from,", len(val), "to judge by")

assert len(train) == 1438 and train.indices == order[:1438]
assert len(val) == 359 and val.indices == order[1438:]
assert not set(train.indices) & set(val.indices)
assert [list(part.indices) for part in theirs] == [train.indices, val.indices]

folder.cleanup()
assert not Path(folder.name).exists()

# %%
# What you learned
# ----------------
#
# A map-style dataset has ``__len__`` and ``__getitem__`` and returns pairs. A
# stream has ``__iter__``, which begins anew each time. ``__getitems__`` serves
# a batch in one go.
#
# Next: :ref:`data_loader` makes batches of any of them. :ref:`image_to_tensor`
# has more transforms. The tested classes are in `snippets.data`.
