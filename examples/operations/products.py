r"""
.. _products:

Multiply vectors, matrices and batches
======================================

Is ``a * b`` the matrix product, or is it ``a @ b``? After this page you know
what ``*``, ``@``, `torch.dot`, `torch.mv`, `torch.mm` and `torch.bmm` each
compute, can predict the shape of a product before you run it, and can read the
error when two shapes do not fit.

.. concepts: P04
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import draw_tensors

# %%
# ``*`` is not the matrix product
# -------------------------------
#
# Two people buy fruit: each row of ``basket`` holds one person's pears and
# figs. Two shops ask different prices: each column of ``price`` is a shop.
# What does each person pay in each shop? Many reach for ``*`` first:

basket = torch.tensor([[2, 1], [0, 3]])  # (2 people, 2 fruits)
price = torch.tensor([[4, 5], [2, 1]])  # (2 fruits, 2 shops)
by_element = basket * price
print(by_element)

assert by_element.tolist() == [[2 * 4, 1 * 5], [0 * 2, 3 * 1]]

# %%
# No error, and nonsense: ``*`` multiplied numbers that stand in the same
# place, figs with pears. The matrix product ``@`` walks along a *row* of the
# left and down a *column* of the right, multiplies as it goes, and sums.

to_pay = basket @ price
print(to_pay)

assert to_pay.tolist() == [
    [2 * 4 + 1 * 2, 2 * 5 + 1 * 1],
    [0 * 4 + 3 * 2, 0 * 5 + 3 * 1],
]
assert torch.equal(torch.mm(basket, price), to_pay)

# %%
# The inner sizes meet and vanish
# -------------------------------
#
# The row and the column must be equally long. That length, the inner size, is
# summed away, and the outer sizes stay:
#
# .. code-block:: text
#
#    (2, 3) @ (3, 4)   ->   (2, 4)
#        |     |
#        +-----+  equal, and gone
#
# In the picture, the first row of ``left`` and the last column of ``right``
# make the last number of the first row: 1 · 1 + 2 · 0 + 3 · 2 = 7.
#
# .. alt: Three grids: left of two rows and three columns, right of three rows
#    and four columns, and their product of two rows and four columns. The
#    first row of left, the last column of right and the 7 in the first row and
#    last column of the product are orange; all else is blue.

left = torch.tensor([[1, 2, 3], [0, 1, 0]])  # (2, 3)
right = torch.tensor([[1, 0, 2, 1], [0, 1, 1, 0], [1, 1, 0, 2]])  # (3, 4)
product = left @ right  # (2, 4)
marks = [torch.zeros_like(grid) for grid in (left, right, product)]
marks[0][0], marks[1][:, 3], marks[2][0, 3] = 1, 1, 1
draw_tensors(
    {"left": left, "right": right, "left @ right": product}, groups=marks
)
plt.show()

assert product.tolist() == [[4, 5, 4, 7], [0, 1, 1, 0]]
assert product[0, 3] == (left[0] * right[:, 3]).sum()

# %%
# When the inner sizes differ, there is an error. It calls the two matrices
# ``mat1`` and ``mat2`` and writes their shapes with an x. Newer versions put
# the name of the operation in front.

rows = torch.tensor([[1, 0, 1], [0, 2, 0]])  # (2, 3)
try:
    left @ rows  # (2, 3) @ (2, 3)
except RuntimeError as error:
    print(error)
    assert "shapes cannot be multiplied (2x3 and 2x3)" in str(error)
else:
    raise AssertionError("inner sizes 3 and 2 must not fit")

# %%
# Read the two inner numbers, here 3 and 2. If the numbers to pair stand in the
# *rows* of both, transpose the right one with ``.T`` to make them columns.
# Each result is then one row of ``left`` with one row of ``rows``:

paired = left @ rows.T  # (2, 3) @ (3, 2) -> (2, 2)
print(paired)

assert paired.tolist() == [[1 + 3, 2 * 2], [0, 1 * 2]]
assert paired[0, 1] == (left[0] * rows[1]).sum()

# %%
# Vectors have functions of their own
# -----------------------------------
#
# `torch.dot` takes two vectors and gives one number; `torch.mv` takes a matrix
# and a vector. Their inner size vanishes in the same way.

pears_figs = torch.tensor([3, 2])  # (2,)
first_shop = price[:, 0]  # (2,), the prices 4 and 2
bill = torch.dot(pears_figs, first_shop)  # (2,) and (2,) -> ()
bills = torch.mv(basket, first_shop)  # (2, 2) and (2,) -> (2,)
print(bill, bills)

assert bill == 3 * 4 + 2 * 2 and bill.shape == ()
assert bills.tolist() == [2 * 4 + 1 * 2, 0 * 4 + 3 * 2]
assert pears_figs @ first_shop == bill
assert torch.equal(basket @ first_shop, bills)

# %%
# .. admonition:: In the notes
#    :class: note-check
#
#    Dot products are said to be done with ``@`` (claim c1-15). That holds for
#    two vectors. For two matrices ``@`` is the matrix product, for more
#    dimensions a batch of them. `torch.dot` takes vectors and refuses the
#    rest:

try:
    torch.dot(basket, price)
except RuntimeError as error:
    print(error)
    assert "1D tensors expected" in str(error)
else:
    raise AssertionError("dot must refuse matrices")

assert pears_figs.dim() == 1 and basket.dim() == 2

# %%
# A batch of matrices at once
# ---------------------------
#
# With three dimensions the first counts matrices. `torch.bmm`, the batched
# matrix product, multiplies the first with the first, the second with the
# second, and so on: (b, n, m) and (b, m, p) give (b, n, p). Here `torch.stack`
# makes three tables into such a batch.

days = torch.stack([basket, basket + 1, 2 * basket])  # (3, 2, 2)
prices = torch.stack([price, price, price + 1])  # dearer on the third day
daily = torch.bmm(days, prices)  # (3, 2, 2)
print(daily[2])

assert daily[2].tolist() == [[4 * 5 + 2 * 3, 4 * 6 + 2 * 2], [18, 12]]
for day in range(3):
    assert torch.equal(daily[day], days[day] @ prices[day])

# %%
# If the same prices hold every day, one matrix is enough, but not for
# `torch.bmm`. It wants two batches of the same length, and ``price[None]`` is
# a batch of one:

try:
    torch.bmm(days, price[None])  # (3, 2, 2) and (1, 2, 2)
except RuntimeError as error:
    print(error)
    assert "to be: [3, 2] but got: [1, 2]" in str(error)
else:
    raise AssertionError("bmm must not broadcast")

# %%
# The operator ``@``, which is `torch.matmul`, uses the one matrix for every
# day. The last two dimensions are the matrices and follow the product rule.
# All before them are batch dimensions: there, a missing size or a size of 1
# stretches, as :ref:`broadcasting` explains.
#
# .. alt: Three blocks of two by two numbers, the days, in three colors; one
#    block, the prices; three blocks, the bills, in the colors of their days.

same_price = days @ price  # (3, 2, 2) @ (2, 2) -> (3, 2, 2)
block = torch.stack([torch.full((2, 2), day) for day in range(3)])
draw_tensors(
    {"days": days, "price": price, "days @ price": same_price},
    groups=[block, torch.full_like(price, 3), block],
)
plt.show()

assert same_price[1].tolist() == [[3 * 4 + 2 * 2, 3 * 5 + 2 * 1], [12, 9]]
assert torch.equal(same_price[0], to_pay)
assert torch.equal(torch.matmul(days, price), same_price)
assert (torch.ones(5, 1, 2, 3) @ torch.ones(4, 3, 6)).shape == (5, 4, 2, 6)

# %%
# Both sides need one dtype
# -------------------------
#
# ``*`` mixes whole numbers and floats and gives floats. A product of matrices
# does not: convert one side first.

half_off = torch.tensor([[0.5, 0.0], [0.0, 0.5]])
try:
    to_pay @ half_off  # int64 and float32
except RuntimeError as error:
    print(error)
    assert "same dtype" in str(error)
else:
    raise AssertionError("two dtypes must not fit")
halved = to_pay.float() @ half_off
print(halved)

assert halved.tolist() == [[5, 5.5], [3, 1.5]]
assert (to_pay * half_off).dtype == torch.float32

# %%
# What you learned
# ----------------
#
# ``*`` pairs the numbers in the same place. ``@`` multiplies rows by columns;
# the inner sizes meet and vanish. The named functions each take one kind of
# shape, which guards against surprises; ``@`` takes them all:
#
# .. code-block:: text
#
#    dot   (n,)       (n,)       ->  ()
#    mv    (n, m)     (m,)       ->  (n,)
#    mm    (n, m)     (m, p)     ->  (n, p)
#    bmm   (b, n, m)  (b, m, p)  ->  (b, n, p)
#
# Next: :ref:`broadcasting` tells how sizes line up and stretch, and
# :ref:`transpose_permute` what ``.T`` does. Summing along one dimension is in
# :ref:`reductions`. The pictures come from `snippets.drawing`.
