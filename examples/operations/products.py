r"""
.. _products:

matmul, @ and dot: multiply vectors, matrices and batches
=========================================================

Is ``a * b`` the matrix product, or is it ``a @ b``? After this page you know
what ``*``, ``@``, `torch.dot`, `torch.mv`, `torch.outer` and `torch.bmm` each
compute, can predict the shape of a product before you run it, and can read
the error "mat1 and mat2 shapes cannot be multiplied".

.. concepts: P04
.. claims: c1-15
"""

import torch

from snippets.drawing import draw_tensors, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# The matrix product is ``@``. Here each row of ``basket`` says how many pears,
# figs and plums one person buys, and each column of ``price`` holds the prices
# of one shop. What does each person pay in each shop?

basket = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])  # 2 people, 3 fruits
price = torch.tensor([[4.0, 5.0], [2.0, 1.0], [3.0, 3.0]])  # 3 fruits, 2 shops

print(basket @ price)  # (2, 3) @ (3, 2) -> (2, 2)

assert (basket @ price).tolist() == [[10, 11], [9, 6]]
assert torch.equal(torch.matmul(basket, price), basket @ price)
assert torch.equal(torch.mm(basket, price), basket @ price)

# %%
# The result has a row for each person and a column for each shop. Its first
# number, 10, is 2 · 4 + 1 · 2 + 0 · 3: the first row of ``basket`` times the
# first column of ``price``, place by place, and then the sum.
#
# The operator ``@`` is `torch.matmul`. What it computes depends on how many
# dimensions the two tensors have, and each of these cases has a function of
# its own, too, such as `torch.mm`:
#
# .. code-block:: text
#
#           left       right          result
#    dot    (n,)       (n,)       ->  ()          vector times vector
#    mv     (n, m)     (m,)       ->  (n,)        matrix times vector
#    mm     (n, m)     (m, p)     ->  (n, p)      matrix times matrix
#    bmm    (b, n, m)  (b, m, p)  ->  (b, n, p)   batch times batch
#
# You will mostly write ``@``. The functions accept their own case and nothing
# else, so they notice a tensor of the wrong shape that ``@`` would take.

# %%
# The shape rule
# --------------
#
# A row on the left must be as long as a column on the right. This length, the
# *inner size*, is summed away, and the two outer sizes stay:
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
# .. fold: picture

left = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
right = torch.tensor(
    [[1.0, 0.0, 2.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 2.0]]
)
in_left = torch.zeros(2, 3)
in_left[0] = 1
in_right = torch.zeros(3, 4)
in_right[:, 3] = 1
in_product = torch.zeros(2, 4)
in_product[0, 3] = 1
draw_tensors(
    {"left": left, "right": right, "left @ right": left @ right},
    groups=[in_left, in_right, in_product],
)
show_pictures()

assert (left @ right).tolist() == [[4, 5, 4, 7], [0, 1, 1, 0]]
assert (left @ right)[0, 3] == (left[0] * right[:, 3]).sum()

# %%
# When the inner sizes differ
# ---------------------------
#
# The error calls the two matrices ``mat1`` and ``mat2`` and writes their
# shapes with an x. Compare the two numbers in the middle, here 3 and 2. Often
# one matrix lies on its side. Here the prices of a shop stand in a row, and
# ``.T``, which swaps rows and columns, puts them into a column:

# 2 shops, 3 fruits
price_by_shop = torch.tensor([[4.0, 2.0, 3.0], [5.0, 1.0, 3.0]])

with show_error("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"):
    basket @ price_by_shop
print(basket @ price_by_shop.T)  # (2, 3) @ (3, 2) -> (2, 2)

assert torch.equal(price_by_shop.T, price)
assert torch.equal(basket @ price_by_shop.T, basket @ price)
assert (basket @ price_by_shop.T).tolist() == [[10, 11], [9, 6]]

# %%
# The mistake without an error
# ----------------------------
#
# .. admonition:: Common mistake
#    :class: mistake
#
#    You write ``*`` for the matrix product. It multiplies the values that
#    stand in the same place. On two square tables of the same size there is
#    no error, and the result even has the right shape.

two_fruits = basket[:, :2]  # pears and figs alone: 2 people, 2 fruits
two_prices = price[:2]  # 2 fruits, 2 shops

print("by accident:")
print(two_fruits * two_prices)
print("as meant:")
print(two_fruits @ two_prices)

assert (two_fruits * two_prices).tolist() == [[8, 5], [0, 3]]
assert (two_fruits @ two_prices).tolist() == [[10, 11], [6, 3]]
assert (two_fruits * two_prices).shape == (two_fruits @ two_prices).shape

# %%
# The order counts too. With square tables the swapped product runs as well,
# and it means nothing: it pairs shops with people. So write the names of
# the dimensions beside your tensors, as above, and look whether the two in the
# middle agree. In (fruits, shops) @ (people, fruits) they do not.

print("swapped:")
print(two_prices @ two_fruits)

assert (two_prices @ two_fruits).tolist() == [[8, 19], [4, 5]]
assert not torch.equal(two_prices @ two_fruits, two_fruits @ two_prices)

# %%
# Vectors
# -------
#
# `torch.dot` multiplies two vectors place by place and sums: one number.
# `torch.mv` does so with each row of a matrix. ``@`` computes both, and it
# also takes a vector on the left of a matrix, which then counts as a row: (3,)
# @ (3, 2) gives (2,). A vector needs no ``.T``: it has only one dimension.

first_person = basket[0]  # 3 fruits
first_shop = price[:, 0]  # 3 fruits

print("dot:", torch.dot(first_person, first_shop))  # (3,), (3,) -> ()
print("mv: ", torch.mv(basket, first_shop))  # (2, 3), (3,) -> (2,)

print("@, one person, one shop: ", first_person @ first_shop)
print("@, all people, one shop: ", basket @ first_shop)
print("@, one person, all shops:", first_person @ price)

assert torch.dot(first_person, first_shop) == 10
assert torch.dot(first_person, first_shop).shape == ()
assert torch.mv(basket, first_shop).tolist() == [10, 9]
assert (first_person @ first_shop).tolist() == 10
assert torch.equal(basket @ first_shop, torch.mv(basket, first_shop))
assert torch.equal(first_person @ price, (basket @ price)[0])
assert (first_person @ price).tolist() == [10, 11]

# %%
# If you come from NumPy, mind the name: `numpy.dot` also multiplies
# matrices, and `torch.dot` takes two vectors and nothing else.

with show_error("1D tensors expected"):
    torch.dot(basket, price)

assert torch.mm(basket, price).tolist() == [[10, 11], [9, 6]]
# Each function accepts its own case and nothing else.
for function, other in (
    (torch.dot, price),
    (torch.mv, price),
    (torch.mm, first_shop),
    (torch.bmm, price),
):
    try:
        function(basket, other)
    except RuntimeError:
        pass
    else:
        raise AssertionError(f"{function.__name__} took {other.shape}")

# %%
# `torch.outer` goes the other way: it multiplies each value of one vector by
# each value of the other and sums nothing, so two vectors make a table. You
# know it from broadcasting: it is ``tens[:, None] * ones``.

tens = torch.tensor([10.0, 20.0])
ones = torch.tensor([1.0, 2.0, 3.0])

print(torch.outer(tens, ones))  # (2,), (3,) -> (2, 3)

assert torch.outer(tens, ones).tolist() == [[10, 20, 30], [20, 40, 60]]
assert torch.equal(torch.outer(tens, ones), tens[:, None] * ones)

# %%
# A batch of matrices
# -------------------
#
# With three dimensions, a tensor is a batch of matrices, and the first
# dimension numbers them. `torch.bmm` multiplies the first matrix of one batch
# by the first of the other, the second by the second, and so on. Here two days
# have their own baskets and their own prices; on the second day, everything
# costs 1 more.

# 2 days, 2 people, 3 fruits
baskets = torch.tensor(
    [
        [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]],
        [[0.0, 0.0, 5.0], [1.0, 1.0, 1.0]],
    ]
)
# 2 days, 3 fruits, 2 shops
prices = torch.tensor(
    [
        [[4.0, 5.0], [2.0, 1.0], [3.0, 3.0]],
        [[5.0, 6.0], [3.0, 2.0], [4.0, 4.0]],
    ]
)

print(torch.bmm(baskets, prices))  # (2, 2, 3), (2, 3, 2) -> (2, 2, 2)

assert torch.bmm(baskets, prices)[0].tolist() == [[10, 11], [9, 6]]
assert torch.bmm(baskets, prices)[1].tolist() == [[20, 20], [12, 12]]
assert torch.equal(prices[1], prices[0] + 1)
assert torch.equal(torch.bmm(baskets, prices)[0], basket @ price)
large = torch.bmm(torch.ones(10, 8, 6), torch.ones(10, 6, 9))
assert large.shape == (10, 8, 9)

# %%
# If all days share one table of prices, ``bmm`` refuses: it wants two batches
# of the same length, and it calls them ``batch1`` and ``batch2``. ``@`` uses
# the one matrix for every day. Its rule for any number of dimensions: the last
# two follow the shape rule, and all before them broadcast.

with show_error("batch2 must be a 3D tensor"):
    torch.bmm(baskets, price)
print(baskets @ price)  # (2, 2, 3) @ (3, 2) -> (2, 2, 2)

assert (baskets @ price).tolist() == [[[10, 11], [9, 6]], [[15, 15], [9, 9]]]
assert torch.equal((baskets @ price)[1], baskets[1] @ price)
refusal = "no error"
try:
    torch.bmm(baskets, price[None])  # a batch of one matrix
except RuntimeError as error:
    refusal = str(error)
assert "Expected size for first two dimensions of batch2" in refusal, refusal
assert (torch.ones(5, 1, 2, 3) @ torch.ones(4, 3, 6)).shape == (5, 4, 2, 6)

# %%
# Each day has a color here, and both meet the one green table of prices:
#
# .. alt: Two blocks of two rows and three columns, the baskets of two days,
#    one blue and one orange; one green block, the prices; two blocks of two by
#    two, the bills, in the colors of their days.
# .. fold: picture

day = torch.arange(2)[:, None, None]
draw_tensors(
    {"baskets": baskets, "price": price, "baskets @ price": baskets @ price},
    groups=[
        day.expand(2, 2, 3),
        torch.full((3, 2), 2),
        day.expand(2, 2, 2),
    ],
)
show_pictures()

assert torch.equal((baskets @ price)[0], basket @ price)

# %%
# One dtype, and floats
# ---------------------
#
# ``*`` mixes dtypes. A matrix product does not: both sides need the same one.
# The error calls float32 *float* and float64 *double*. Convert one side.
#
# Use floats, too. On the CPU you can multiply matrices of integers, but on an
# NVIDIA GPU that is an error, which is why all tables here hold floats.

exact_price = price.double()  # float64

with show_error("same dtype"):
    basket @ exact_price
print(basket @ exact_price.float())

assert (basket * exact_price.T).dtype == torch.float64
assert torch.equal(basket @ exact_price.float(), basket @ price)
whole = torch.tensor([[1, 2], [3, 4]], device="cpu")
assert (whole @ whole).tolist() == [[7, 10], [15, 22]]
refusal = "not implemented for 'Long'"  # as a GPU says it
if torch.cuda.is_available():
    refusal = "no error"
    try:
        whole.cuda() @ whole.cuda()
    except RuntimeError as error:
        refusal = str(error)
assert "not implemented for" in refusal, refusal

# %%
# Look closer: where to put the parentheses
# -----------------------------------------
#
# The product of (n, m) and (m, p) takes n · m · p multiplications, and p is 1
# for a vector. But for rounding, ``(a @ b) @ v`` and ``a @ (b @ v)`` are the
# same vector. The first makes a matrix of (500, 300) on the way, the second
# only a vector of 400, so it needs far fewer multiplications:

a = torch.ones(500, 400)
b = torch.ones(400, 300)
v = torch.ones(300)

print("same result:", torch.allclose((a @ b) @ v, a @ (b @ v)))
print(f"(a @ b) @ v: {500 * 400 * 300 + 500 * 300:,} multiplications")
print(f"a @ (b @ v): {400 * 300 + 500 * 400:,} multiplications")

assert torch.allclose((a @ b) @ v, a @ (b @ v))
assert torch.allclose((a @ b) @ v, torch.full((500,), 120_000.0))
assert (a @ b).shape == (500, 300)
assert (b @ v).shape == (400,)
assert a.numel() * b.shape[1] + (a @ b).numel() == 500 * 400 * 300 + 500 * 300
assert b.numel() + a.numel() == 400 * 300 + 500 * 400

# %%
# Try it
# ------
#
# .. exercise:: Cosine similarity of all pairs
#
#    The *cosine* of two vectors is their dot product, divided by the length of
#    each; the length is the root of the sum of squares. A cosine is 1 if both
#    point the same way, 0 at a right angle, and -1 if they are opposite. Write
#    ``cosines(a, b)``, which compares each row of ``a`` with each row of
#    ``b``, without a loop.
#
#    .. hint:: Divide each row by its length first; with ``keepdim=True`` the
#       lengths broadcast. Then one matrix product makes all dot products.


def cosines(a, b):
    """Return the cosine of each row of ``a`` with each row of ``b``.

    ``a`` has shape (N, D), ``b`` has shape (M, D), the result has (N, M).
    """
    a = a / (a**2).sum(dim=1, keepdim=True).sqrt()  # (N, D) / (N, 1)
    b = b / (b**2).sum(dim=1, keepdim=True).sqrt()  # (M, D) / (M, 1)
    return a @ b.T  # (N, D) @ (D, M) -> (N, M)


one = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
two = torch.tensor([[6.0, 8.0], [4.0, 0.0], [-3.0, -4.0]])
found = cosines(one, two)
assert found.shape == (2, 3), "one cosine for each pair of rows: (N, M)"
assert found.abs().max() < 1.001, (
    "a cosine lies between -1 and 1: divide each row by its own length"
)
assert torch.allclose(found[0], torch.tensor([1.0, 0.6, -1.0])), (
    "(3, 4) has the cosines 1, 0.6 and -1 with (6, 8), (4, 0) and (-3, -4)"
)
assert torch.allclose(found[1], torch.tensor([0.8, 0.0, -0.8])), (
    "(0, 2) has the cosines 0.8, 0 and -0.8 with (6, 8), (4, 0) and (-3, -4)"
)

# %%
# .. exercise:: Every day has its own prices
#
#    ``baskets`` has shape (days, people, fruits), and ``prices`` has shape
#    (days, fruits): there is one shop, and its prices change every day. Write
#    ``daily_bills(baskets, prices)``, which returns what each person pays on
#    each day.
#
#    .. hint:: ``@`` takes ``prices`` for one matrix. Make it a batch of
#       columns, (days, fruits, 1), and drop the 1 from the result.


def daily_bills(baskets, prices):
    """Return what each person pays on each day, (days, people).

    ``baskets`` has shape (days, people, fruits), ``prices`` has shape
    (days, fruits).
    """
    bills = baskets @ prices[:, :, None]  # -> (days, people, 1)
    return bills[:, :, 0]


two_days = torch.tensor(
    [[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]]
)
their_prices = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
paid = daily_bills(two_days, their_prices)
assert paid.shape == (2, 2), "one bill for each day and person: (days, people)"
assert paid[0].tolist() == [7, 2], "on the first day, all pay prices[0]"
assert paid[1].tolist() == [70, 30], "on the second day, all pay prices[1]"

# %%
# What you learned
# ----------------
#
# ``*`` pairs the values in the same place. ``@`` multiplies rows by columns:
# the inner sizes must agree and vanish, the outer sizes stay, and dimensions
# before the last two are batches. Use floats of one dtype.
#
# Next: :ref:`einsum` writes products with names for the dimensions. What
# ``.T`` does to memory is told in :ref:`transpose_permute`, and how sizes
# stretch in :ref:`broadcasting`.
