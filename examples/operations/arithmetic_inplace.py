r"""
.. _arithmetic_inplace:

Add in four ways, and change a tensor in place
==============================================

Why do ``x + y``, ``torch.add(x, y)`` and ``x.add_(y)`` all exist, and what
does the underscore do? After this page you can pick the form that fits, write
a result into memory that you already have, tell who else sees an in-place
change, and read the three errors that refuse one.

.. concepts: P01 P02
"""

import warnings

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_memory

# %%
# Four ways to add
# ----------------
#
# Adding two tensors of one shape adds the numbers that stand in the same
# place. Both must be there first:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The first example adds ``x`` before any ``x`` exists (claim c0-10), which
#    fails. Its numbers are random without a seed (c0-12), so nobody can check
#    them. Ours you can add in your head.

y = torch.tensor([10, 20, 30])
try:
    x + y
except NameError as error:
    print(error)
    assert "'x' is not defined" in str(error)
else:
    raise AssertionError("there is no x yet")

assert y.tolist() == [10, 20, 30]

# %%
# The operator ``+`` is short for `torch.add`. With ``out=`` that function
# writes into a tensor which is there already. `torch.Tensor.add_` writes into
# the tensor that it is called on. All four agree:

x = torch.tensor([1, 2, 3])
operator, function = x + y, torch.add(x, y)
room = torch.zeros_like(x)
torch.add(x, y, out=room)
changed = y.clone()  # a copy, so that y stays as it is
changed.add_(x)
print(operator, function)
print(room, changed)

for total in (operator, function, room, changed):
    assert total.tolist() == [11, 22, 33]

# %%
# A plain number is added to every element, and the other operators work
# element by element too. The function has an extra: ``alpha`` multiplies what
# is added.

plus_one = x + 1
less, times = y - x, y * x
weighted = torch.add(x, y, alpha=2)  # x + 2 * y
print(plus_one, less, times)
print(weighted)

assert plus_one.tolist() == [2, 3, 4]
assert less.tolist() == [9, 18, 27] and times.tolist() == [10, 40, 90]
assert weighted.tolist() == [1 + 20, 2 + 40, 3 + 60]

# %%
# ``out=`` reuses memory
# ----------------------
#
# With ``out=`` the result needs no new memory, if the shape fits. A tensor of
# another shape is still resized, with a warning that this will end one day:

too_long = torch.zeros(4, dtype=torch.int64)
address = room.data_ptr()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    torch.add(x, 5, out=room)  # fits: no warning
    torch.add(x, 5, out=too_long)
message, _, outlook = str(caught[0].message).partition(", which")
print(message)

assert message.endswith("was resized since it had shape [4]")
assert "outputs will not be resized" in outlook
assert len(caught) == 1 and too_long.tolist() == [6, 7, 8]
assert room.tolist() == [6, 7, 8] and room.data_ptr() == address

# %%
# The underscore means: in place
# ------------------------------
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A method that ends in ``_`` is said to replace the *variable* by its
#    result (claim c0-16). What it overwrites is the *memory*, so every tensor
#    that reads this memory sees the change.
#
# Here a slice sees it, and only the clone does not:
#
# .. alt: Above one strip of memory with 11, 12, 13 stand the tensor points and
#    its slice points[:2], which show the same new numbers. The clone stands
#    above a strip of its own and still shows 1, 2, 3.

points = torch.tensor([1, 2, 3])
slice_, clone = points[:2], points.clone()
returned = points.add_(10)
draw_memory({"points": points, "points[:2]": slice_, "clone": clone})
plt.show()

assert returned is points  # the method also returns its tensor
assert points.tolist() == [11, 12, 13] and slice_.tolist() == [11, 12]
assert clone.tolist() == [1, 2, 3]

# %%
# ``x += 1`` is in place, ``x = x + 1`` is not
# --------------------------------------------
#
# The first changes the tensor. The second makes a new one and gives it the old
# name; whoever held the old tensor keeps it. Python's own ``__add__`` ends in
# an underscore as well, but it is what ``+`` calls, and it changes nothing.
#
# .. alt: Two strips of memory. Above the first stands alias with 11, 12. Above
#    the second, a new one, stands count with 111, 112.

count = torch.tensor([1, 2])
alias = count
count += 10  # alias changes as well
count.__add__(1000)  # its result is thrown away
count = count + 100  # alias stays behind
draw_memory({"alias": alias, "count": count})
plt.show()

assert alias.tolist() == [11, 12] and count.tolist() == [111, 112]

# %%
# This bites in functions. An argument is an alias too, so ``+=`` reaches the
# caller's tensor:


def add_bonus(grades):
    """Add five points to each grade."""
    grades += 5
    return grades


before = torch.tensor([60, 70])
after = add_bonus(before)
print(before, after)

assert after is before and before.tolist() == [65, 75]  # not what we wanted

# %%
# Without ``+=`` the function leaves its argument alone:


def with_bonus(grades):
    """Return new grades, each five points higher."""
    return grades + 5


raised = with_bonus(before)
print(before, raised)

assert before.tolist() == [65, 75] and raised.tolist() == [70, 80]

# %%
# More such methods
# -----------------
#
# Many operations have a twin with an underscore. `torch.Tensor.copy_` fills a
# tensor with the numbers of another and converts them to its own dtype.
# `torch.Tensor.t_` transposes a matrix: it gets another shape, and its numbers
# stay where they are in memory.

grid = torch.zeros(2, 3)
grid.copy_(x)  # a row of integers, repeated in both rows
first_row = grid[0]
grid.t_()
print(grid)

assert grid.dtype == torch.float32 and first_row.tolist() == [1, 2, 3]
assert grid.tolist() == [[1, 1], [2, 2], [3, 3]]
assert grid.data_ptr() == first_row.data_ptr()
assert grid.stride() == (1, 3)  # a row down: 1 place on in memory; right: 3

# %%
# When in place is refused
# ------------------------
#
# The memory is fixed, and so is what it can hold. Integers have no room for
# fractions, and two numbers no room for six:

pair = torch.tensor([1, 2])
changes = {"dtype": torch.tensor([0.5, 0.5]), "shape": torch.ones(3, 2).long()}
parts = {"dtype": "Float can't be cast", "shape": "output with shape [2]"}
for what, change in changes.items():
    try:
        pair.add_(change)
    except RuntimeError as error:
        print(f"{what}: {error}")
        assert parts[what] in str(error)
    else:
        raise AssertionError(f"a change of {what} must be refused")

assert pair.tolist() == [1, 2]
assert (pair + changes["dtype"]).tolist() == [1.5, 2.5]
assert (pair + changes["shape"]).shape == (3, 2)

# %%
# Without the underscore both work, because a new tensor may have any dtype and
# shape. The third refusal comes up when you train. A *leaf* is a tensor that
# you made yourself; if it also records gradients, an in-place change would
# spoil the record. `torch.no_grad` says that the change is not part of it.

weight = torch.tensor([1.0, 2.0], requires_grad=True)
try:
    weight.sub_(0.5)
except RuntimeError as error:
    print(error)
    assert "a leaf Variable that requires grad" in str(error)
else:
    raise AssertionError("a leaf that requires grad must refuse")
with torch.no_grad():
    weight.sub_(0.5)
print(weight)

assert weight.tolist() == [0.5, 1.5] and weight.requires_grad

# %%
# What you learned
# ----------------
#
# ``+`` and `torch.add` make a new tensor; ``out=``, a final ``_`` and ``+=``
# write into an old one, and everyone who shares its memory sees that. An
# in-place change that needs another dtype or more room is refused.
#
# Next: :ref:`reductions` turns many numbers into one, and :ref:`broadcasting`
# adds tensors of different shapes. Which tensors share memory is a question in
# :ref:`view_reshape_flatten`. The pictures come from `snippets.drawing`.
