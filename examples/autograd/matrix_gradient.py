r"""
.. _matrix_gradient:

Take the gradient of a matrix
=============================

Your loss depends on a whole matrix. What shape does its gradient have, and how
do you know that the numbers are right? And what does PyTorch want when it says
that a gradient "can be implicitly created only for scalar outputs"? After this
page you can derive such a gradient, check it, and call ``backward`` on a
result with many numbers.

.. concepts: G03 G09
.. claims: c3-44 c3-45 c3-46 c3-47
"""

import warnings

import torch
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian

from snippets.drawing import draw_tensors, show_pictures

# %%
# One number from a matrix
# ------------------------
#
# Let :math:`X` be a matrix with entries :math:`x_{ij}`, and let :math:`z` be
# the sum of their squares:
#
# .. math::
#
#    X = \begin{pmatrix} x_{11} & x_{12} \\ x_{21} & x_{22} \end{pmatrix},
#    \qquad z = \sum_{i,j} x_{ij}^2
#
# Nudge one entry, and only one term of the sum changes: that entry squared.
# So there is one slope for each entry, and together they are a matrix again:
#
# .. math::
#
#    \frac{\partial z}{\partial x_{ij}} = 2 x_{ij},
#    \qquad \frac{\partial z}{\partial X} = 2 X
#
# With numbers:
#
# .. math::
#
#    X = \begin{pmatrix} 1 & 0 \\ -1 & 1 \end{pmatrix}
#    \quad \Rightarrow \quad
#    \frac{\partial z}{\partial X}
#    = \begin{pmatrix} 2 & 0 \\ -2 & 2 \end{pmatrix}
#
# .. admonition:: In the notes
#    :class: note-check
#
#    These formulas are missing, and only the words around them are left. Here
#    they stand again, in order.

X = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], requires_grad=True)
z = (X**2).sum()
z.backward()
print(z.item(), X.grad, sep="\n")

assert z.item() == 3 and X.grad.shape == X.shape
assert X.grad.tolist() == [[2, 0], [-2, 2]]
assert torch.equal(X.grad, 2 * X.detach())

# %%
# Read each entry as a slope. Where :math:`X` holds 0, the square is at its
# lowest point: a small nudge changes nothing. At -1, a nudge upward makes
# :math:`z` *smaller*, by twice the nudge.
#
# .. alt: Three grids of two rows and two columns. X holds 1, 0, -1, 1, its
#    squares are 1, 0, 1, 1, and the gradient is 2, 0, -2, 2.

nudged = X.detach().clone()
nudged[1, 0] += 0.001
slope = ((nudged**2).sum() - z.detach()) / 0.001
print(f"slope at -1: {slope:.2f}")

draw_tensors({"X": X, "X²": X**2, "∂z / ∂X": X.grad})
show_pictures()

assert torch.isclose(slope, X.grad[1, 0], atol=0.002)

# %%
# Let PyTorch check every entry
# -----------------------------
#
# `torch.autograd.gradcheck` nudges every entry and compares the slopes with
# what ``backward`` says. The usual float32 is too coarse for its tiny nudges,
# and a correct gradient fails:


def sum_of_squares(x):
    """Return the z of above."""
    return (x**2).sum()


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        gradcheck(sum_of_squares, X)
    except RuntimeError as error:
        print(error)
        assert "Jacobian mismatch for output 0" in str(error)
        assert str(error).count("1.9073") == 3
    else:
        raise AssertionError("float32 must be too coarse")
assert "not a double precision floating point" in str(caught[0].message)

# %%
# It also warned that this input "is not a double precision floating point".
# In float64 the check passes. And it finds mistakes: this other function hides
# a factor from autograd with ``detach`` (see :ref:`grad_limits`).


def half_hidden(x):
    """Return the same number, but only one of two factors is seen."""
    return (x * x.detach()).sum()


precise = X.detach().double().requires_grad_()
verdicts = [
    gradcheck(function, precise, raise_exception=False)
    for function in (sum_of_squares, half_hidden)
]
print(verdicts)

assert verdicts == [True, False]
assert half_hidden(precise) == sum_of_squares(precise)

# %%
# When the result is not one number
# ---------------------------------
#
# A slope says how fast *one* number changes. Here a function returns three,
# and ``backward`` has to ask which of them you mean:


def three_results(x):
    """Return three numbers made from two."""
    return torch.stack([x[0] ** 2, x[0] * x[1], 3 * x[1]])


x = torch.tensor([2.0, 5.0], requires_grad=True)
y = three_results(x)
print(y.detach())
try:
    y.backward()
except RuntimeError as error:
    print(error)
    assert "only for scalar outputs" in str(error)
else:
    raise AssertionError("three numbers have no single gradient")
assert y.tolist() == [4, 10, 15]

# %%
# "Scalar" means one element here: a tensor of shape (1,) will do.
#
# All slopes at once form a table, the *Jacobian*: one row for each result, one
# column for each input. `torch.autograd.functional.jacobian` computes it, and
# so does `torch.func.jacrev`.

one = torch.tensor([5.0], requires_grad=True)  # shape (1,)
(3 * one**2).backward()
print(one.grad)

table = jacobian(three_results, x.detach())  # (3, 2)
print(table)

assert one.grad.tolist() == [30]
assert table.tolist() == [[2 * 2, 0], [5, 2], [0, 3]]

# %%
# The vector says how much each result counts
# -------------------------------------------
#
# ``backward`` wants a vector :math:`v` with one number for each result. Each
# row of the Jacobian :math:`J` is multiplied by its number, and the rows are
# added up: the *vector-Jacobian product* :math:`v^\top J`. A row and its
# number have one color here.
#
# .. alt: A column v with 1, 2, 3. Beside it the Jacobian with the rows 4, 0
#    and 5, 2 and 0, 3. Then the weighted rows 4, 0 and 10, 4 and 0, 9. At the
#    right their sum, 14, 13.

v = torch.tensor([1.0, 2.0, 3.0])
y.backward(v)
print(x.grad)

rows = torch.arange(3)[:, None]
colors = [rows, rows.expand(3, 2), rows.expand(3, 2), torch.tensor([[4, 4]])]
weighted = v[:, None] * table
parts = {"v": v[:, None], "Jacobian": table, "v · rows": weighted}
draw_tensors({**parts, "x.grad": x.grad[None]}, groups=colors)
show_pictures()

assert x.grad.tolist() == [1 * 4 + 2 * 5 + 3 * 0, 1 * 0 + 2 * 2 + 3 * 3]
assert torch.equal(weighted.sum(0), v @ table)
assert torch.equal(x.grad, v @ table)

# %%
# Two vectors to know
# -------------------
#
# A vector of ones counts all results alike: that is the gradient of their sum.
# A 1 among zeros picks one result: one row of the Jacobian. `torch.func.vjp`
# returns the results and a function that takes the vector.

results, product = torch.func.vjp(three_results, x.detach())
(of_sum,) = product(torch.ones(3))
(second_row,) = product(torch.tensor([0.0, 1.0, 0.0]))
print(of_sum, second_row)

(expected,) = torch.autograd.grad(three_results(x).sum(), x)
assert torch.equal(of_sum, expected) and of_sum.tolist() == [9, 5]
assert torch.equal(second_row, table[1])
assert torch.equal(results, y)

# %%
# The vector must have the shape of the result, whatever that is. Two numbers
# for three results are refused:

try:
    three_results(x).backward(torch.ones(2))
except RuntimeError as error:
    print(error)
    assert "grad_output[0] has a shape of torch.Size([2])" in str(error)
    assert "output[0] has a shape of torch.Size([3])" in str(error)
else:
    raise AssertionError("the vector must have three numbers")

# %%
# Why not always the whole Jacobian?
# ----------------------------------
#
# It is large. Squaring our matrix has 4 results and 4 inputs, so 16 slopes,
# most of them 0. Squaring a million entries would have 10¹² slopes.
# ``backward`` computes the product without ever making that table.

squares = jacobian(torch.square, X.detach()).reshape(4, 4)
print(f"{squares.count_nonzero()} of {squares.numel()} slopes are not 0")

big = torch.full((1000, 1000), 0.5, requires_grad=True)
big.square().backward(torch.ones(1000, 1000))
terabytes = big.numel() ** 2 * big.element_size() / 1e12
slope = big.grad.unique().item()
print(f"gradient {slope} everywhere, without a table of {terabytes:.0f} TB")

assert squares.count_nonzero() == 3 and squares.numel() == 16
assert torch.equal(squares, torch.diag(2 * X.detach().flatten()))
assert torch.equal(big.grad, torch.ones(1000, 1000)) and terabytes == 4

# %%
# What you learned
# ----------------
#
# - The gradient of one number has the shape of what it is taken for. For a sum
#   of squares it is :math:`2X`.
# - `torch.autograd.gradcheck` checks a gradient by nudging, in float64.
# - Several results need a vector that says how much each counts; ones give
#   the gradient of the sum.
#
# Next: :ref:`graph_chain_rule` shows what ``backward`` walks through, and
# :ref:`accumulate_and_clear` why a second one adds to the first.
