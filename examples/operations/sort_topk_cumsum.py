r"""
.. _sort_topk_cumsum:

sort, topk, unique, cumsum: rank and count values
=================================================

Which two students have the best scores, and who are they? After this page you
can sort values and still know where each one came from, take the largest few,
count how often each value occurs, keep a running total, hold values within
limits, and ask whether any or all of them meet a condition.

.. concepts: P08 A22
"""

import torch

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Sorting gives two tensors: the values in order, and their *indices*, which
# say where each value stood before. Unpack the two, as here, or write
# ``.values`` or ``.indices`` if you want only one of them.

scores = torch.tensor([61, 95, 70, 88])

values, indices = scores.sort(descending=True)
print("sorted: ", values)
print("indices:", indices)
print("the best two: ", scores.topk(2).values)
print("running total:", scores.cumsum(dim=0))
print("at most 90:   ", scores.clamp(max=90))
print("any above 90: ", (scores > 90).any())
print("each label once:", torch.tensor([7, 2, 7, 7]).unique())

assert values.tolist() == [95, 88, 70, 61]
assert indices.tolist() == [1, 3, 2, 0]
assert scores.topk(2).values.tolist() == [95, 88]
assert scores.cumsum(dim=0).tolist() == [61, 156, 226, 314]
assert scores.clamp(max=90).tolist() == [61, 90, 70, 88]
assert (scores > 90).any().item() is True
assert torch.tensor([7, 2, 7, 7]).unique().tolist() == [2, 7]
assert scores.tolist() == [61, 95, 70, 88]  # nothing changed in place

# %%
# Where each value came from
# --------------------------
#
# With the indices you can bring other data into the same order. If you need
# only them, `torch.argsort` is enough. Without ``descending=True``, both put
# the smallest value first. A Python list takes no tensor of indices, so the
# names are looked up one by one.

names = ["Ada", "Ben", "Cleo", "Dan"]
ages = torch.tensor([35, 24, 28, 20])

order = scores.argsort(descending=True)
print("order: ", order)
print("scores:", scores[order])
print("ages:  ", ages[order])
print("names: ", [names[i] for i in order])

assert torch.equal(order, indices)
assert scores.sort().values.tolist() == [61, 70, 88, 95]
assert scores.argsort().tolist() == [0, 2, 3, 1]
assert torch.equal(scores[order], values)
assert ages[order].tolist() == [24, 20, 28, 35]
assert [names[i] for i in order] == ["Ben", "Dan", "Cleo", "Ada"]
try:
    names[order]
except TypeError:
    pass
else:
    raise AssertionError("a list took a tensor of indices")

# %%
# Each student has a color here. One ``order`` moves scores and ages alike.
#
# .. alt: Four rows of four cells: the scores, the scores in order, the ages
#    and the ages in order. The cells of one student have one color in all
#    four, and both rows in order show the colors in the same sequence.
# .. fold: picture

student = torch.arange(4)
draw_tensors(
    {
        "scores": scores[:, None],
        "scores[order]": scores[order][:, None],
        "ages": ages[:, None],
        "ages[order]": ages[order][:, None],
    },
    groups=[
        student[:, None],
        student[order][:, None],
        student[:, None],
        student[order][:, None],
    ],
)
show_pictures()

assert torch.equal(student[order], order)

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    To sort the rows of a table, you write ``table.sort(dim=0)``. That sorts
#    every column by itself, so the rows are torn apart, and no error says so.
#    Instead, ``argsort`` the one column that counts, and use its indices to
#    take whole rows.

table = torch.tensor([[61, 35], [95, 20], [70, 28]])  # score, age

print("torn apart:")
print(table.sort(dim=0).values)
print("rows kept:")
print(table[table[:, 0].argsort()])

assert table.sort(dim=0).values.tolist() == [[61, 20], [70, 28], [95, 35]]
assert table[table[:, 0].argsort()].tolist() == [[61, 35], [70, 28], [95, 20]]

# %%
# The largest few
# ---------------
#
# A classifier gives each class a probability, and you want the two best
# guesses for each photo. `torch.topk` finds them in every row, the largest
# first: the values are the probabilities, and the indices are the classes.
# With ``largest=False`` it finds the smallest. You cannot ask for more values
# than a row has.

# 2 photos, 3 classes
probabilities = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]])

best = probabilities.topk(2, dim=1)  # (2, 3) -> values, indices: both (2, 2)
print("probabilities:", best.values)
print("classes:", best.indices)
print("least likely:", probabilities.topk(1, dim=1, largest=False).indices)
with show_error("selected index k out of range"):
    probabilities.topk(4, dim=1)

assert best.indices.tolist() == [[1, 2], [0, 2]]
assert torch.equal(best.values, torch.tensor([[0.6, 0.3], [0.5, 0.4]]))
assert torch.equal(best.values, probabilities.gather(1, best.indices))
least = probabilities.topk(1, dim=1, largest=False).indices
assert least.tolist() == [[0], [1]]

# %%
# Ties
# ----
#
# Three players have 3 points each. Which two are the best? PyTorch promises no
# order among equal values. With ``stable=True``, ``sort`` and ``argsort`` keep
# them in the order in which they stood. `torch.topk` has no such option: where
# ties matter, sort and take the first few.

points = torch.tensor([3, 1, 3, 1, 3])

places = points.argsort(descending=True, stable=True)
print("all:     ", places)
print("best two:", places[:2])

assert places.tolist() == [0, 2, 4, 1, 3]
assert places[:2].tolist() == [0, 2]

# %%
# Count the values
# ----------------
#
# `torch.unique` returns each value once, in ascending order. With
# ``return_counts=True`` it also returns how often each one occurs.

labels = torch.tensor([5, 2, 9, 5, 9, 5])

classes, counts = labels.unique(return_counts=True)
print("classes:", classes)
print("counts: ", counts)

assert classes.tolist() == [2, 5, 9]
assert counts.tolist() == [1, 3, 2]

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    You read ``counts[2]`` as "how often label 2 occurs". It belongs to
#    ``classes[2]``, which is label 9. `torch.bincount` counts by the label
#    itself: for each integer from 0 to the largest label, how often it occurs.

print("counts[2]:  ", counts[2])
print("label 2:    ", counts[classes == 2])
print("bincount:   ", labels.bincount())
print("bincount[2]:", labels.bincount()[2])

assert counts[2] == 2
assert classes[2] == 9
assert counts[classes == 2].tolist() == [1]
assert labels.bincount().tolist() == [0, 0, 1, 0, 0, 3, 0, 0, 0, 2]
assert labels.bincount()[2] == 1

# %%
# Running totals and differences
# ------------------------------
#
# `torch.cumsum` adds up along a dimension and keeps every total on the way.
# `torch.diff` goes back: it subtracts from each value the one before it.
# Nothing stands before the first, so the result is one shorter, and the 4 of
# the first day is not in it.

rain = torch.tensor([4, 0, 7, 2])  # on four days

total = rain.cumsum(dim=0)  # (4,) -> (4,)
print("total:", total)
print("diff: ", total.diff())  # (4,) -> (3,)

assert total.tolist() == [4, 4, 11, 13]
assert torch.equal(total.diff(), rain[1:])

# %%
# Limits
# ------
#
# `torch.clamp` sets what lies below ``min`` to ``min``, and what lies above
# ``max`` to ``max``. You can give one of the two or both.
#
# `torch.maximum` compares two tensors place by place and keeps the larger
# value of each pair, `torch.minimum` the smaller one. ``monday.max()`` is
# something else: the largest value within one tensor.

monday = torch.tensor([-3, 8, 21])  # the temperature in three towns
tuesday = torch.tensor([1, 5, 24])

print("held within 0 and 20:", monday.clamp(min=0, max=20))
print("warmer of the two days:", torch.maximum(monday, tuesday))
print("colder of the two days:", torch.minimum(monday, tuesday))
print("highest on Monday:", monday.max())

assert monday.clamp(min=0, max=20).tolist() == [0, 8, 20]
assert torch.maximum(monday, tuesday).tolist() == [1, 8, 24]
assert torch.minimum(monday, tuesday).tolist() == [-3, 5, 21]
assert monday.max() == 21

# %%
# Any and all
# -----------
#
# An ``if`` wants one answer, but a comparison of tensors gives one for each
# value. `torch.any` asks whether at least one of them is True, `torch.all`
# whether every one is. With ``dim``, they ask along a dimension.

with show_error("more than one value is ambiguous"):
    if monday < 0:
        print("frost")

if (monday < 0).any():
    print("frost somewhere")

week = torch.tensor([[-3, 8, 21], [1, 5, 4]])  # 2 towns, 3 days
cold = week < 10
print("cold on every day:", cold.all(dim=1))  # (2, 3) -> (2,)

assert (monday < 0).any()
assert not (monday < 0).all()
assert cold.tolist() == [[True, True, False], [True, True, True]]
assert cold.all(dim=1).tolist() == [False, True]

# %%
# Look closer: sort by two columns
# --------------------------------
#
# You want a list of players by team, and within each team by score. Work
# backward: sort by score first, then by team. With ``stable=True``, the second
# sort leaves the players of one team in the order of their scores.

players = torch.tensor([[2, 70], [1, 95], [2, 88], [1, 61]])  # team, score

by_score = players[players[:, 1].argsort()]
by_team = by_score[by_score[:, 0].argsort(stable=True)]
print("by score:")
print(by_score)
print("by team, then by score:")
print(by_team)

assert by_score.tolist() == [[1, 61], [2, 70], [2, 88], [1, 95]]
assert by_team.tolist() == [[1, 61], [1, 95], [2, 70], [2, 88]]

# %%
# Try it
# ------
#
# .. exercise:: Top-k accuracy
#
#    A prediction counts as a hit if the right label is among the ``k`` classes
#    with the highest scores. Write ``topk_accuracy(scores, labels, k)``, which
#    returns the fraction of samples that are hits.
#
#    .. hint:: ``scores.topk(k, dim=1).indices`` has shape (N, k), ``labels``
#       has shape (N,). Compare them as (N, k) and (N, 1).


def topk_accuracy(scores, labels, k):
    """Return the fraction of samples whose label is among the top k.

    ``scores`` has shape (N, classes), ``labels`` has shape (N,). The result
    is one float between 0 and 1, as a tensor of shape ().
    """
    classes = scores.topk(k, dim=1).indices  # (N, k)
    hits = (classes == labels[:, None]).any(dim=1)  # (N, k) -> (N,)
    return hits.float().mean()


four = torch.tensor(
    [[0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
)
right = torch.tensor([1, 2, 0, 0])
assert topk_accuracy(four, right, 1) == 0.5, (
    "k=1: for 2 of 4 samples, the label has the highest score of its row"
)
assert topk_accuracy(four, right, 2) == 0.75, (
    "k=2: for 3 of 4 samples, the label is one of the two highest of its row"
)
assert topk_accuracy(four, right, 3) == 1, "k=3: all classes are in the top 3"

# %%
# .. exercise:: The most common label
#
#    Write ``most_common(labels)``, which returns the label that occurs most
#    often.
#
#    .. hint:: ``argmax`` of the counts tells the place of the largest count.
#       Which label stands in that place?


def most_common(labels):
    """Return the label that occurs most often in ``labels``, shape (N,)."""
    classes, counts = labels.unique(return_counts=True)
    return classes[counts.argmax()]


drawn = torch.tensor([4, 9, 12, 9, 4, 9])
assert most_common(drawn) != 1, "1 is a place among the counts: which label?"
assert most_common(drawn) != 3, "3 is how often it occurs: which label is it?"
assert most_common(drawn) == 9, "9 occurs three times, 4 twice and 12 once"

# %%
# What you learned
# ----------------
#
# Indices tell where sorted values came from and bring other tensors into the
# same order. Counts belong to the values of ``unique``, in the same places.
# ``any`` and ``all`` turn a mask into the one answer that an ``if`` needs.
#
# Next: :ref:`compare_floats` tells when two floats are equal enough. Sums and
# means along a dimension are in :ref:`reductions`, and
# :ref:`masks_and_index_arrays` picks values with a mask or with indices.
