r"""
.. _squeeze_cat_stack:

squeeze, unsqueeze, cat, stack: add a dimension, join tensors
=============================================================

What is the difference between ``cat`` and ``stack``, and why does a program
that works on a batch of images fail on a single one? After this page you can
add and drop dimensions of size 1, join tensors along an old dimension or a new
one, and collect the results of all batches, the short one included.

.. concepts: S05 S06 S07
.. claims: c0-63 c1-16 c3-14 c3-16 c3-18 c3-92
"""

import torch

from snippets.drawing import draw_memory, draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# `torch.cat` joins tensors along a dimension that they have: it gets longer.
# `torch.stack` joins them along a new dimension, as long as the list.
# `torch.Tensor.unsqueeze` inserts a dimension of size 1, and
# `torch.Tensor.squeeze` drops one.

a = torch.tensor([1, 2, 3])
b = torch.tensor([4, 5, 6])

print(torch.cat([a, b]))  # (3,) and (3,) -> (6,)
print(torch.stack([a, b]))  # (3,) and (3,) -> (2, 3)
print(a.unsqueeze(0))  # (3,) -> (1, 3)
print(a.unsqueeze(0).squeeze(0))  # (1, 3) -> (3,)

assert torch.cat([a, b]).tolist() == [1, 2, 3, 4, 5, 6]
assert torch.stack([a, b]).tolist() == [[1, 2, 3], [4, 5, 6]]
assert a.unsqueeze(0).tolist() == [[1, 2, 3]]
assert torch.equal(a.unsqueeze(0).squeeze(0), a)

# %%
# Insert a dimension of size 1
# ----------------------------
#
# You say where it goes: before dimension 0, 1, or at the end with -1. The
# numbers and their order stay the same. Indexing with ``None`` does the same.
# (``unsqueeze`` repeats nothing: that is the work of ``expand``, see
# :ref:`repeat_expand_split`.)

table = torch.tensor([[1, 2, 3], [4, 5, 6]])

print(table.unsqueeze(0).shape)  # (2, 3) -> (1, 2, 3)
print(table.unsqueeze(1).shape)  # (2, 3) -> (2, 1, 3)
print(table.unsqueeze(-1).shape)  # (2, 3) -> (2, 3, 1)
print(table[:, None].shape)  # the same as unsqueeze(1)

assert table.unsqueeze(0).shape == (1, 2, 3)
assert table.unsqueeze(1).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
assert table.unsqueeze(-1).shape == (2, 3, 1)
assert torch.equal(table[:, None], table.unsqueeze(1))
assert table.unsqueeze(1).expand(2, 4, 3).shape == (2, 4, 3)

# %%
# Say which dimension to squeeze
# ------------------------------
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``squeeze()`` without a number drops *every* dimension of size 1. All goes
#    well until a batch holds a single sample: then the batch is dropped too.

predictions = torch.tensor([[0.2], [0.7], [0.1]])  # a batch of 3, as (3, 1)
last = torch.tensor([[0.9]])  # a batch of 1, as (1, 1)

print("batch of 3:", predictions.squeeze().shape)  # (3, 1) -> (3,)
print("batch of 1:", last.squeeze().shape)  # (1, 1) -> (): it is gone
print("as meant:  ", last.squeeze(1).shape)  # (1, 1) -> (1,)

assert predictions.squeeze().shape == (3,)
assert last.squeeze().shape == ()
assert last.squeeze(1).shape == (1,)

# %%
# If the dimension that you name has another size than 1, ``squeeze`` does
# nothing, and says nothing:

print(predictions.squeeze(0).shape)  # still (3, 1)

assert predictions.squeeze(0).shape == (3, 1)

# %%
# One image is not a batch
# ------------------------
#
# Here is a stand-in for a network: it flattens each image of a batch and
# multiplies it by weights. A single image has no batch dimension, and nothing
# adds one for you. Its three colors are taken for three images of 64 numbers:

torch.manual_seed(0)
weights = torch.rand(3 * 8 * 8, 2)


def network(images):
    """Return two scores for each image, (N, 3, 8, 8) -> (N, 2)."""
    return images.flatten(start_dim=1) @ weights


images = torch.rand(5, 3, 8, 8)  # (image, color, row, column)
image = images[0]  # (3, 8, 8)

print(network(images).shape)
with show_error("shapes cannot be multiplied (3x64 and 192x2)"):
    network(image)

assert network(images).shape == (5, 2)

# %%
# ``unsqueeze(0)`` makes it a batch of one. The result is a batch of one too,
# until you squeeze it.

scores = network(image.unsqueeze(0))  # (1, 3, 8, 8) -> (1, 2)
print(scores.shape)
print(scores.squeeze(0).shape)  # (1, 2) -> (2,)

assert scores.shape == (1, 2)
assert scores.squeeze(0).shape == (2,)
assert torch.allclose(scores[0], network(images)[0])

# %%
# Join along an old dimension: cat
# --------------------------------
#
# Two days of measurements, each with two rooms and four hours. The dimension
# that you name gets longer, the other stays, and the result is a copy.

monday = torch.tensor([[11, 12, 13, 14], [15, 16, 17, 18]])  # (room, hour)
tuesday = torch.tensor([[21, 22, 23, 24], [25, 26, 27, 28]])

taller = torch.cat([monday, tuesday])  # dim=0: (4, 4)
wider = torch.cat([monday, tuesday], dim=1)  # (2, 8)
print("dim=0:", taller.shape)
print("dim=1:", wider.shape)

assert taller.tolist() == monday.tolist() + tuesday.tolist()
assert wider[0].tolist() == [11, 12, 13, 14, 21, 22, 23, 24]
assert wider[1].tolist() == [15, 16, 17, 18, 25, 26, 27, 28]
assert taller.data_ptr() != monday.data_ptr()

# %%
# Monday is blue, Tuesday orange.
#
# .. alt: Joined along dimension 0, two blue rows of Monday stand above two
#    orange rows of Tuesday. Along dimension 1, each row has four blue cells
#    and then four orange ones.
# .. fold: picture

draw_tensors(
    {"cat, dim=0": taller, "cat, dim=1": wider},
    groups=[taller // 10 - 1, wider // 10 - 1],  # a color for each day
)
show_pictures()

assert taller.shape == (4, 4) and wider.shape == (2, 8)

# %%
# All sizes must match, except along the dimension that joins: a morning of two
# hours fits beside Monday, but not below it. And mind the brackets: ``cat`` is
# a function that takes a list, not a method of tensors.

morning = torch.tensor([[31, 32], [35, 36]])  # (2, 2)
print(torch.cat([monday, morning], dim=1))  # (2, 4) and (2, 2) -> (2, 6)

with show_error("must match except in dimension 0"):
    torch.cat([monday, morning])

with show_error("cat()", "tuple of Tensors"):
    torch.cat(monday, tuesday)

assert torch.cat([monday, morning], dim=1).tolist() == [
    [11, 12, 13, 14, 31, 32],
    [15, 16, 17, 18, 35, 36],
]
assert not hasattr(torch.Tensor, "cat")

# %%
# Join along a new dimension: stack
# ---------------------------------
#
# ``stack`` keeps the days apart. The new dimension has the size 3, because the
# list holds three days; ``dim`` says where it goes.

wednesday = torch.tensor([[31, 32, 33, 34], [35, 36, 37, 38]])
days = [monday, tuesday, wednesday]  # three tensors of shape (2, 4)

print("dim=0:", torch.stack(days).shape)  # (day, room, hour)
print("dim=1:", torch.stack(days, dim=1).shape)  # (room, day, hour)
print("dim=2:", torch.stack(days, dim=2).shape)  # (room, hour, day)

assert torch.stack(days).shape == (3, 2, 4)
assert torch.stack(days, dim=1).shape == (2, 3, 4)
assert torch.stack(days, dim=2).shape == (2, 4, 3)
assert torch.stack(days[:2]).shape == (2, 2, 4)
assert torch.equal(torch.stack(days)[1], tuesday)
assert torch.equal(torch.stack(days, dim=1)[:, 2], wednesday)
assert torch.equal(torch.stack(days, dim=2)[:, :, 2], wednesday)

# %%
# Each day has a color. The blocks are those of the first dimension.
#
# .. alt: Stacked along dimension 0, three blocks, one for each day and of one
#    color. Along dimension 1, two blocks with a row of each color. Along
#    dimension 2, two blocks with a column of each color.
# .. fold: picture

stacks = {
    "dim=0": torch.stack(days),
    "dim=1": torch.stack(days, dim=1),
    "dim=2": torch.stack(days, dim=2),
}
draw_tensors(stacks, groups=[stack // 10 - 1 for stack in stacks.values()])
show_pictures()

assert stacks["dim=0"].shape == (3, 2, 4)

# %%
# A square table hides the mistake
# --------------------------------
#
# Three sensors gave three readings each. Stacked along the wrong dimension,
# the shape is the same (3, 3), and the mean of "each sensor" is the mean of
# each hour:

inside = torch.tensor([20.0, 21.0, 22.0])
outside = torch.tensor([5.0, 9.0, 13.0])
cellar = torch.tensor([11.0, 12.0, 13.0])
sensors = [inside, outside, cellar]

print("dim=0:", torch.stack(sensors).mean(dim=1))
print("dim=1:", torch.stack(sensors, dim=1).mean(dim=1))

assert torch.stack(sensors).mean(dim=1).tolist() == [21, 9, 12]
assert torch.stack(sensors, dim=1).mean(dim=1).tolist() == [12, 14, 16]
assert torch.stack(sensors).shape == torch.stack(sensors, dim=1).shape

# %%
# The last batch is short
# -----------------------
#
# Seven samples come in batches of three, so the last batch holds one. Collect
# the results in a list and join them once, at the end. ``cat`` takes batches
# of different sizes; ``stack`` does not.

samples = torch.arange(7.0).view(7, 1)
outputs = []
for start in range(0, 7, 3):
    batch = samples[start : start + 3]  # (3, 1), (3, 1), (1, 1)
    outputs.append(batch * 10)

print(torch.cat(outputs).squeeze(1))  # (7, 1) -> (7,)
with show_error("stack expects each tensor to be equal size"):
    torch.stack(outputs)

assert len(outputs) == 3 and outputs[2].shape == (1, 1)
assert torch.cat(outputs).squeeze(1).tolist() == [0, 10, 20, 30, 40, 50, 60]

# %%
# Look closer: what is copied
# ---------------------------
#
# ``unsqueeze`` and ``squeeze`` return views of the same memory. ``cat`` and
# ``stack`` copy all the numbers. (``stack`` is a ``cat`` of unsqueezed
# tensors.)

column = a.unsqueeze(1)  # (3,) -> (3, 1)
joined = torch.cat([a, b])  # (6,)
column[0, 0] = 10
print("a:     ", a)
print("joined:", joined)

assert a.tolist() == [10, 2, 3]
assert joined.tolist() == [1, 2, 3, 4, 5, 6]
assert column.squeeze(1).data_ptr() == a.data_ptr()
assert torch.stack([a]).data_ptr() != a.data_ptr()
unsqueezed = torch.cat([a.unsqueeze(0), b.unsqueeze(0)])
assert torch.equal(torch.stack([a, b]), unsqueezed)

# %%
# The 10 that was written into the column is in ``a``, but not in ``joined``.
#
# .. alt: The row a of 10, 2, 3 and its column stand above one strip of memory.
#    The joined row of 1 to 6 has a strip of its own.
# .. fold: picture

draw_memory({"a": a, "column": column, "joined": joined})
show_pictures()

assert column.data_ptr() == a.data_ptr()

# %%
# Try it
# ------
#
# .. exercise:: Predict for a single sample
#
#    ``predict`` is a function that takes a batch, (N, ...), and returns a
#    batch of results. Write ``predict_one(predict, sample)``, which takes one
#    sample without a batch dimension and returns its result without one.
#
#    .. hint:: Make it a batch of one, and undo exactly that at the end. What
#       if the result itself has a dimension of size 1?


def predict_one(predict, sample):
    """Return the result of one sample: add the batch dimension, drop it."""
    return predict(sample.unsqueeze(0)).squeeze(0)


two_rows = torch.tensor([[1.0, 3.0], [5.0, 9.0]])


def row_means(batch):
    """Return the mean of each row, (N, rows, columns) -> (N, rows)."""
    assert batch.dim() == 3, f"predict wants a batch, got {tuple(batch.shape)}"
    assert len(batch) == 1, f"predict wants a batch of one, got {len(batch)}"
    return batch.mean(dim=2)


answer = predict_one(row_means, two_rows)
assert answer.shape == (2,), (
    "the result has no batch dimension: (1, 2) -> (2,)"
)
assert answer.tolist() == [2, 7], "the result is that of the sample"
one_row = predict_one(row_means, two_rows[:1])
assert one_row.shape == (1,), "drop the batch dimension alone: (1, 1) -> (1,)"

# %%
# .. exercise:: Predict in batches
#
#    All samples at once do not fit into memory. Write ``predict_all(predict,
#    samples, batch_size)``, which calls ``predict`` on one batch after the
#    other and returns the results of all samples in one tensor.
#
#    .. hint:: ``range`` takes a step. A slice that reaches past the end holds
#       what is left.


def predict_all(predict, samples, batch_size):
    """Return predict's results for all samples, (N, ...), batch by batch."""
    results = []
    for start in range(0, len(samples), batch_size):
        results.append(predict(samples[start : start + batch_size]))
    return torch.cat(results)


sizes = []


def double(batch):
    """Return twice the batch, and note its size."""
    sizes.append(len(batch))
    return batch * 2


numbers = torch.arange(14.0).view(7, 2)
doubled = predict_all(double, numbers, 3)
assert max(sizes) <= 3, "a batch holds at most batch_size samples"
assert sum(sizes) == 7, "each sample belongs to one batch, the last ones too"
assert doubled.shape == (7, 2), "one result for each sample: (7, 2)"
assert torch.equal(doubled, numbers * 2), "the results keep the order"

# %%
# What you learned
# ----------------
#
# ``unsqueeze`` inserts a dimension of size 1; ``squeeze`` drops it, and should
# be told which. ``cat`` makes a dimension longer, ``stack`` makes a new one,
# as long as the list.
#
# Next: :ref:`repeat_expand_split` repeats a tensor and cuts it into pieces.
# Sizes of 1 also stretch by themselves: see :ref:`broadcasting`.
