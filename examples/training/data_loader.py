r"""
.. _data_loader:

Make batches with a DataLoader
==============================

Which samples meet in one batch, will the next run see the same ones, and what
becomes of those left over? After this page you can batch and shuffle a dataset
with a seed of its own, deal with a last batch that is too small, and join
samples of different lengths.

.. concepts: D02
.. claims: c3-61 c3-66
"""

import time

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, TensorDataset

from snippets.data import make_loader
from snippets.drawing import draw_tensors, show_pictures

# %%
# Stack samples
# -------------
#
# A network takes many samples at once: a *batch*. So somebody has to ask the
# dataset for samples, one by one, and stack them. Here the samples are ten
# numbers with their squares, and a batch has four:


def batches(dataset, batch_size):
    """Yield the samples of a dataset, stacked to batches."""
    for start in range(0, len(dataset), batch_size):
        rows = range(len(dataset))[start : start + batch_size]
        inputs, targets = zip(*[dataset[row] for row in rows], strict=True)
        yield [torch.stack(inputs), torch.stack(targets)]


inputs = torch.arange(10.0)
ten = TensorDataset(inputs, inputs**2)
for x, y in batches(ten, batch_size=4):
    print(x.tolist(), y.tolist())

assert [len(x) for x, _ in batches(ten, batch_size=4)] == [4, 4, 2]
assert x.tolist() == [8, 9] and y.tolist() == [64, 81]

# %%
# A `torch.utils.data.DataLoader` does the same. Each batch is a list ``[x,
# y]``, and the last one is smaller if there is a rest. Loop over the loader
# again for the next epoch.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A DataLoader is said to enable multiprocessing: only with
#    ``num_workers``, which is 0 by default. And the example call
#    has the right form, but ``batch_size`` has no value there.

loader = DataLoader(ten, batch_size=4)
default = DataLoader(ten)
print(len(loader), "batches,", type(next(iter(loader))).__name__)
print("defaults:", default.batch_size, default.num_workers)

pairs = zip(batches(ten, batch_size=4), loader, strict=True)
for (x, y), (its_x, its_y) in pairs:
    assert torch.equal(x, its_x) and torch.equal(y, its_y)
assert len(loader) == len(list(loader)) == 3
assert isinstance(next(iter(loader)), list)
assert (default.batch_size, default.num_workers) == (1, 0)
assert DataLoader(ten, 4, shuffle=True).batch_size == 4

# %%
# Shuffle from a generator
# ------------------------
#
# Data often lie sorted. Here each color is a class of four samples, and each
# row is a batch. Without ``shuffle=True`` a network would meet one class after
# the other. With it, each epoch has a new order, drawn from the ``generator``.
#
# .. alt: Three grids of three rows, one row for each batch of four numbers,
#    and a color for each class. Without shuffle the rows are 0 to 3, 4 to 7
#    and 8 to 11, each of one color. In epochs 1 and 2 the colors are mixed, in
#    two different orders.

twelve = torch.arange(12)  # 0 to 3 are of class 0, 4 to 7 of class 1, ...
generator = torch.Generator().manual_seed(0)
shuffled = DataLoader(twelve, batch_size=4, shuffle=True, generator=generator)
orders = {
    "no shuffle": torch.stack(list(DataLoader(twelve, batch_size=4))),
    "epoch 1": torch.stack(list(shuffled)),
    "epoch 2": torch.stack(list(shuffled)),
}
classes = [order // 4 for order in orders.values()]
draw_tensors(orders, groups=classes)
show_pictures()

for order in orders.values():
    assert sorted(order.flatten().tolist()) == twelve.tolist()
assert [len(row.unique()) for row in classes[0]] == [1, 1, 1]
assert [len(row.unique()) for row in classes[1]] == [3, 3, 3]
assert not torch.equal(orders["epoch 1"], orders["epoch 2"])

# %%
# Without a ``generator``, the order comes from PyTorch's global random
# numbers. Whatever else draws some changes the order: a layer that is
# initialized, or a loop over another loader, even one that does not shuffle.


def first_batch(draw_before, generator):
    """Return the first shuffled batch after something else drew numbers."""
    torch.manual_seed(0)
    draw_before()
    options = {"batch_size": 4, "shuffle": True, "generator": generator}
    return next(iter(DataLoader(twelve, **options))).tolist()


draws = {
    "nothing": lambda: None,
    "a layer": lambda: torch.nn.Linear(2, 2),
    "another loader": lambda: list(DataLoader(twelve)),
}
shared = []
for name, draw in draws.items():
    shared.append(first_batch(draw, None))
    own = first_batch(draw, torch.Generator().manual_seed(0))
    print(f"{name}: global {shared[-1]}, own {own}")
    assert own == orders["epoch 1"][0].tolist()

assert shared == [[6, 11, 9, 8], [10, 1, 3, 8], [11, 0, 3, 9]]

# %%
# The last batch
# --------------
#
# Ten samples in threes leave one over. `torch.nn.BatchNorm1d` cannot train on
# a single row, which has no spread, and the run ends with an error in the last
# step of its first epoch.

norm = torch.nn.BatchNorm1d(1)
threes = DataLoader(ten, batch_size=3)
steps = 0
try:
    for x, _ in threes:
        norm(x[:, None])
        steps += 1
except ValueError as error:
    print(f"after {steps} steps:", error)
    assert "Expected more than 1 value per channel" in str(error)
else:
    raise AssertionError("a batch of one must be refused")

assert steps == 3 and len(threes) == 4

# %%
# ``drop_last=True`` leaves a smaller batch out. In training that costs little:
# the next shuffle leaves out another one. For testing, leave nothing out:
# every sample is to be judged, and in evaluation mode BatchNorm takes any
# number of rows.

generator = torch.Generator().manual_seed(0)
options = {"shuffle": True, "drop_last": True, "generator": generator}
dropping = DataLoader(ten, batch_size=3, **options)
left_out = []
for _ in range(5):
    seen = torch.cat([x for x, _ in dropping]).tolist()
    left_out.extend(set(range(10)) - set(seen))
print(len(dropping), "batches; left out in five epochs:", left_out)

assert len(dropping) == 3 and left_out == [4, 8, 9, 5, 0]
assert sum(len(norm.eval()(x[:, None])) for x, _ in threes) == 10

# %%
# Samples of different lengths
# ----------------------------
#
# Sentences, sounds and lists of boxes do not stack. The function given as
# ``collate_fn`` gets the list of samples and makes the batch: here it fills up
# with zeros and keeps the lengths, without which nobody knows what was filled.

texts = [torch.ones(length) for length in (3, 1, 2)]


def pad(samples):
    """Return the padded samples, and how long each was."""
    lengths = torch.tensor([len(sample) for sample in samples])
    return pad_sequence(samples, batch_first=True), lengths


try:
    next(iter(DataLoader(texts, batch_size=3)))
except RuntimeError as error:
    print(error)
    assert "stack expects each tensor to be equal size" in str(error)
else:
    raise AssertionError("texts of different lengths must not stack")

padded, lengths = next(iter(DataLoader(texts, batch_size=3, collate_fn=pad)))
print(padded, lengths)

assert padded.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
assert lengths.tolist() == [3, 1, 2]

# %%
# The snippet gives the same batches
# ----------------------------------
#
# `snippets.data.make_loader` takes a seed, makes the generator of its own and
# gives the very batches of a DataLoader, in each epoch. Data that are in
# memory it does not ask for one by one: an epoch takes less than a third of
# the processor's time. It can also go on in the middle of an epoch: see
# :ref:`resume_training`.


def seconds(loader):
    """Return the processor time of an epoch, the best of five."""
    times = []
    for _ in range(5):
        start = time.process_time()
        list(loader)
        times.append(time.process_time() - start)
    return min(times)


many = TensorDataset(torch.rand(2000, 8), torch.arange(2000))
generator = torch.Generator().manual_seed(7)
options = {"batch_size": 32, "shuffle": True}
plain = DataLoader(many, **options, generator=generator)
ours = make_loader(many, **options, seed=7)
for _ in range(3):  # epochs
    for (x, y), (our_x, our_y) in zip(plain, ours, strict=True):
        assert torch.equal(x, our_x) and torch.equal(y, our_y)

three_times = seconds(plain) / seconds(ours) > 3
print("the same batches, at least three times as fast:", three_times)
assert three_times

# %%
# What you learned
# ----------------
#
# A DataLoader asks for samples and stacks them. Give each loader a generator
# of its own, so that nothing else changes its order. Leave a small last batch
# out in training only. ``collate_fn`` joins what does not stack.
#
# Next: :ref:`loader_workers` on reading in several processes at once, and
# :ref:`train_validate_test`, where the batches meet a network. The tested
# loader is in `snippets.data`; :ref:`learn_sequences` goes on with padding.
