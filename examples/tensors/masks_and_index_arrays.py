r"""
.. _masks_and_index_arrays:

Boolean masks, torch.where and gather: select by condition or index
===================================================================

How do you take every score above 0.5, set all negative numbers to zero, or
look up in each row the probability of the true class? After this page you can
select and overwrite with a mask, join conditions, select with a tensor of
indices, and avoid the selections that silently return the wrong numbers.

.. concepts: P06 P07
.. claims: c0-04 c2-14 c2-17 c3-31
"""

import warnings

import torch

from snippets.drawing import draw_memory, draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# A comparison gives a *mask*: True and False in the same shape. In brackets,
# it selects where it is True. A tensor of integers selects by position.

scores = torch.tensor([0.9, 0.2, 0.6, 0.4, 0.8])

mask = scores > 0.5
print(mask)
print(scores[mask])  # the scores above 0.5
print(torch.where(mask, scores, 0))  # keep the shape, with 0 elsewhere
print(scores[torch.tensor([4, 0, 0])])  # positions 4, 0 and 0

probs = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
labels = torch.tensor([0, 2])  # column 0 of the first row, 2 of the second
print(probs[torch.arange(2), labels])  # one number from each row

assert mask.dtype == torch.bool
assert mask.tolist() == [True, False, True, False, True]
assert torch.equal(scores[mask], torch.tensor([0.9, 0.6, 0.8]))
filled = torch.tensor([0.9, 0, 0.6, 0, 0.8])
assert torch.equal(torch.where(mask, scores, 0), filled)
chosen = scores[torch.tensor([4, 0, 0])]
assert torch.equal(chosen, torch.tensor([0.8, 0.9, 0.9]))
picked = probs[torch.arange(2), labels]
assert torch.equal(picked, torch.tensor([0.7, 0.6]))

# %%
# Select with a mask
# ------------------
#
# On a table, ``table[mask]`` gives one long row. `torch.where` keeps the
# shape: it takes its second argument where the mask is True and its third
# elsewhere. A mask with one value for each row selects whole rows.

table = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])
above_11 = table > 11

print(table[above_11])
print(torch.where(above_11, table, 0))
print(table[table[:, 0] > 5])  # the rows that begin with more than 5

assert table[0].tolist() == [0, 1, 2, 3]
assert table[above_11].tolist() == [12, 13, 20, 21, 22, 23]
assert torch.where(above_11, table, 0).tolist() == [
    [0, 0, 0, 0],
    [0, 0, 12, 13],
    [20, 21, 22, 23],
]
assert table[table[:, 0] > 5].tolist() == [[10, 11, 12, 13], [20, 21, 22, 23]]

# %%
# .. alt: The table with the six numbers above 11 in orange; those six in one
#    row; and the table again with those six and zeros in all other cells.
# .. fold: picture

kept = table[above_11]
where = torch.where(above_11, table, 0)
draw_tensors(
    {"table > 11": table, "table[mask]": kept, "torch.where": where},
    groups=[above_11, torch.ones_like(kept), above_11],
)
show_pictures()

assert kept.shape == (6,)
assert where.shape == table.shape

# %%
# Write through a mask
# --------------------
#
# `torch.Tensor.masked_fill` returns a new tensor with another number where the
# mask is True. The old tensor stays as it was.

balance = torch.tensor([3.0, -1.0, 2.0, -5.0])

print(balance.masked_fill(balance < 0, 0))
print(balance)

assert balance.masked_fill(balance < 0, 0).tolist() == [3, 0, 2, 0]
assert balance.tolist() == [3, -1, 2, -5]

# %%
# With the mask in brackets on the left of ``=``, you overwrite the numbers of
# the tensor itself:

balance[balance < 0] = 0
print(balance)

assert balance.tolist() == [3, 0, 2, 0]

# %%
# Join conditions with ``&``, ``|`` and ``~``
# -------------------------------------------
#
# ``&`` means *and*, ``|`` *or*, ``~`` *not*, element by element. Python's own
# ``and`` does not work here: it wants a single True or False on each side. Put
# each comparison in parentheses: without them, Python reads ``0.3 & scores``
# first.

doubtful = (scores > 0.3) & (scores < 0.7)
print(scores[doubtful])
print(scores[~doubtful])

with show_error("more than one value is ambiguous"):
    doubtful = scores > 0.3 and scores < 0.7
with show_error("bitwise_and", "not implemented for 'Float'"):
    doubtful = scores > 0.3 & scores < 0.7

assert torch.equal(scores[doubtful], torch.tensor([0.6, 0.4]))
assert torch.equal(scores[~doubtful], torch.tensor([0.9, 0.2, 0.8]))
either = (scores < 0.3) | (scores > 0.7)
assert torch.equal(either, ~doubtful)

# %%
# The second message (it says ``bitwise_and_cuda`` on a GPU) means that ``&``
# takes no floats. Compare first, so that both sides are bool.
#
# Suppose that the scores tell how sure a model is that there is a cat in each
# of five photos, and that the true answers are stored as floats: 1.0 for a
# cat, 0.0 for none. How often is the model right?
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    ``(predicted & truth).sum()`` counts only the cats that were found. To
#    call a photo without a cat "no cat" is right, too: count with ``==``.

answers = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
predicted = scores > 0.5
truth = answers == 1

print("cats found:", (predicted & truth).sum())
print("correct:   ", (predicted == truth).sum())

assert (predicted & truth).sum() == 2
assert (predicted == truth).sum() == 3
assert (predicted & truth).tolist() == [True, False, False, False, True]

# %%
# Select with a tensor of indices
# -------------------------------
#
# A tensor of integers selects in any order, even the same element twice. On a
# table it selects rows. Use int64, the type of the indices that PyTorch makes
# itself, called *long* in the message. int32 (*int*) works as well; int16 and
# floats do not.

order = torch.tensor([2, 0, 2])

print(scores[order])
print(table[order])  # rows 2, 0 and 2
with show_error("must be long, int, byte or bool"):
    scores[order.short()]  # int16
with show_error("must be long, int, byte or bool"):
    scores[order.float()]

assert torch.equal(scores[order], torch.tensor([0.6, 0.9, 0.6]))
assert torch.equal(scores[order.int()], scores[order])
assert table[order][:, 0].tolist() == [20, 0, 20]
assert table[order].shape == (3, 4)
assert scores.argmax().dtype == torch.int64
assert scores.argsort().dtype == torch.int64

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    Integers 0 and 1 are no mask. They are *indices*, so you get elements 0
#    and 1 over and over. Convert them to bool.

zeros_and_ones = torch.tensor([1, 0, 0, 0, 1])

print(scores[zeros_and_ones])  # elements 1, 0, 0, 0, 1
print(scores[zeros_and_ones.bool()])  # the first and the last

assert torch.equal(scores[zeros_and_ones.bool()], torch.tensor([0.9, 0.8]))
wrong = torch.tensor([0.2, 0.9, 0.9, 0.9, 0.2])
assert torch.equal(scores[zeros_and_ones], wrong)

# %%
# One number from each row
# ------------------------
#
# A classifier gives each photo a probability for each class, and a label is
# the number of the true class. ``probs[:, labels]`` looks right, but it takes
# four columns *in every row*. Give the rows as well: two tensors of indices
# are read as pairs, here (0, 0), (1, 2), (2, 1) and (3, 1).

probs = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1], [0.3, 0.2, 0.5]]
)
labels = torch.tensor([0, 2, 1, 1])
rows = torch.arange(len(labels))  # 0, 1, 2, 3

print(probs[:, labels].shape)  # not what was meant
print(probs[rows, labels])  # (4,)

assert probs[:, labels].shape == (4, 4)
true_class = torch.tensor([0.7, 0.6, 0.5, 0.2])
assert torch.equal(probs[rows, labels], true_class)

# %%
# In other people's code you will meet two more ways. `torch.gather` needs no
# row numbers, but it wants the labels as a column and returns a column. Its
# argument 1 means dimension 1: each label names a column.
# `torch.nn.functional.one_hot` makes a table with a 1 at each label. Used as a
# mask, the table selects the same four numbers.

column = labels[:, None]  # (4,) -> (4, 1)
gathered = probs.gather(1, column)  # (4, 3), (4, 1) -> (4, 1)
one_hot = torch.nn.functional.one_hot(labels, 3)  # three classes: (4, 3)

print(gathered)
print(one_hot)
print(probs[one_hot.bool()])

assert torch.equal(gathered[:, 0], true_class)
assert one_hot.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0]]
assert torch.equal(probs[one_hot.bool()], true_class)

# %%
# Each label tells which column to take from its row:
#
# .. alt: A table of four rows and three columns, one cell orange in each row,
#    in columns 0, 2, 1 and 1; the labels 0, 2, 1, 1 as a green column; and the
#    four orange numbers as a column.
# .. fold: picture

orange = torch.ones(4, 1)
green = torch.full((4, 1), 2)
draw_tensors(
    {"probs": probs, "labels": column, "gather": gathered},
    groups=[one_hot, green, orange],
)
show_pictures()

assert one_hot.sum() == 4
assert gathered.shape == (4, 1)

# %%
# Masks and index tensors copy
# ----------------------------
#
# A slice is a view. What a mask or an index tensor selects is a copy, even
# where a slice would select the same elements: compare ``view`` and ``copy``.
# So ``x[mask] = 0`` changes ``x``, but ``x[mask][0] = 100`` changes a copy
# that nobody keeps.

x = torch.tensor([5, 6, 7, 8])
view = x[1:3]
copy = x[torch.tensor([1, 2])]

x[x > 7][0] = 100  # lost
x[x > 5] = 0  # this one changes x
print("x:   ", x)
print("view:", view)
print("copy:", copy)

assert x.tolist() == [5, 0, 0, 0]
assert view.tolist() == [0, 0]
assert copy.tolist() == [6, 7]

# %%
# The view reads the zeros in the memory of ``x``, and the copy has kept its 6
# and 7:
#
# .. alt: Above one strip of memory with 5, 0, 0, 0 stand x and view, which
#    reads two of the zeros. Above a strip of its own stands copy with 6 and 7.
# .. fold: picture

draw_memory({"x": x, "view": view, "copy": copy})
show_pictures()

assert view.data_ptr() == x.data_ptr() + x.itemsize
assert copy.data_ptr() != view.data_ptr()

# %%
# Look closer: the same index twice
# ---------------------------------
#
# Where an index occurs three times, ``+=`` still adds once: it reads the
# selected elements, adds 1 to each copy, and writes them back, three times the
# same number. To count, use `torch.bincount`.

votes = torch.tensor([0, 2, 2, 2])  # one vote for 0, three votes for 2
counts = torch.zeros(3)
counts[votes] += 1

print("with +=:      ", counts)
print("with bincount:", torch.bincount(votes))

assert counts.tolist() == [1, 0, 1]
assert torch.bincount(votes).tolist() == [1, 0, 3]

# %%
# Look closer: masks of uint8 in old code
# ---------------------------------------
#
# Why does the error for int16 allow *byte*, which is uint8? Before PyTorch had
# bool, a mask was a tensor of uint8, and it is still read as one, with a
# warning that asks for bool. So keep indices out of uint8: they would select
# like a mask.

old_mask = torch.tensor([1, 0, 0, 0, 1], dtype=torch.uint8)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print("as uint8:", scores[old_mask])
print("as int64:", scores[old_mask.long()])

assert torch.equal(scores[old_mask.long()], wrong)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert torch.equal(scores[old_mask], torch.tensor([0.9, 0.8]))
assert "use a dtype torch.bool" in str(caught[0].message)

# %%
# Try it
# ------
#
# .. exercise:: How many alarms were right?
#
#    A smoke detector raises an alarm where its score is above ``threshold``,
#    and ``truth`` is 1.0 where there was a fire and 0.0 elsewhere. Write
#    ``precision(scores, truth, threshold)``, which returns the fraction of
#    the alarms that were right.
#
#    .. hint:: Make two masks. Where are both True? By which of the two counts
#       do you divide?


def precision(scores, truth, threshold):
    """Return right alarms divided by alarms; scores and truth are (N,)."""
    alarm = scores > threshold
    right = alarm & (truth == 1)
    return right.sum() / alarm.sum()


scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.2, 0.1])
truth = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0])
assert precision(scores, truth, 0.5) == 0.75, (
    "3 of the 4 alarms above 0.5 were right"
)
assert precision(scores, truth, 0.05) == 0.625, "5 of all 8 alarms were right"
assert precision(scores, truth, 0.85) == 1, "the only alarm was right"

# %%
# .. exercise:: Fill the gaps
#
#    A sensor writes ``missing`` (-999, say) where it failed. Write
#    ``fill_gaps(values, missing)``, which returns a new tensor with the mean
#    of the good values in each gap.
#
#    .. hint:: One mask serves twice: for the mean, and for the gaps.


def fill_gaps(values, missing):
    """Return values, any shape, each ``missing`` replaced by their mean."""
    gaps = values == missing
    return torch.where(gaps, values[~gaps].mean(), values)


values = torch.tensor([[1.0, -999.0, 3.0], [-999.0, 8.0, 4.0]])
given = values.clone()
filled = fill_gaps(values, -999)
assert torch.equal(values, given), "the tensor that was given stays as it was"
assert filled.shape == (2, 3), "the result keeps the shape: (2, 3)"
assert filled[0, 1] == 4, "the mean of the good values 1, 3, 8 and 4 is 4"
assert filled.tolist() == [[1, 4, 3], [4, 8, 4]], "only the gaps change"

# %%
# .. exercise:: Soft targets
#
#    *Label smoothing* asks a model to be a little less sure of itself. Its
#    targets are ``peak`` (0.9, say) for the true class and ``rest`` for each
#    other class. Write ``soft_targets(labels, classes, peak, rest)``, which
#    returns the table of these targets: one row for each label, and one column
#    for each of the ``classes``.
#
#    .. hint:: Begin with `torch.full`. Then write to one element of each row.


def soft_targets(labels, classes, peak, rest):
    """Return (N, classes) of ``rest``, with ``peak`` at labels (N,)."""
    targets = torch.full((len(labels), classes), rest)
    targets[torch.arange(len(labels)), labels] = peak
    return targets


labels = torch.tensor([2, 0, 2, 1])
targets = soft_targets(labels, 3, 0.75, 0.125)
assert targets.shape == (4, 3), "one row a label, one column a class: (4, 3)"
assert targets[0].tolist() == [0.125, 0.125, 0.75], (
    "the peak of row 0 stands at its label 2 and nowhere else"
)
assert targets[1].tolist() == [0.75, 0.125, 0.125], (
    "the peak of row 1 stands at its label 0"
)
assert targets.sum() == 4, "0.75 + 0.125 + 0.125 is 1 in each of the 4 rows"

# %%
# What you learned
# ----------------
#
# A mask selects by condition, a tensor of integers by position, and both copy.
# Join masks with ``&``, each comparison in parentheses, and count agreement
# with ``==``. Rows and labels together select one number from each row.
#
# Next: :ref:`arithmetic_inplace` computes with whole tensors.
# :ref:`sort_topk_cumsum` sorts, finds the largest and lists the values that
# occur.
