r"""
.. _first_gradient:

Let PyTorch find a slope
========================

What is autograd for, and what does ``backward()`` do with my numbers? After
this page you can say what a gradient tells you, get one in three ways that
agree, and use it to walk downhill, as training does. You will also know what
``.grad`` holds, and what it does not.

.. concepts: G01 G02
.. claims: c0-38 c0-46 c1-20 c1-22 c1-23 c1-24 c1-25 c1-26 c1-27 c1-28
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import show_pictures

# %%
# A slope that you can see
# ------------------------
#
# Take :math:`y = 3x^2`. How steep is it at x = 5? Lay a straight line against
# the curve there, the *tangent*, and go one step to the right along it. It
# rises by 30: that is the *slope*, also called the *derivative*.
#
# .. alt: The curve 3 x squared from 0 to 8. A straight line touches it at
#    x = 5, y = 75. A triangle on the line goes 1 to the right and 30 up.


def f(x):
    """Return y for each x."""
    return 3 * x**2


line = torch.linspace(0, 8, 81)
tangent = f(5) + 30 * (line - 5)

fig, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
ax.plot(line, f(line), label="3x²")
ax.plot(line[30:], tangent[30:], label="tangent at 5")
ax.plot([5, 6, 6], [75, 75, 105], color="#8a8f98", linestyle="--")
ax.plot(5, 75, "o", color="C1")
ax.text(6.15, 84, "1 right, 30 up")
ax.set(xlabel="x", ylabel="y")
ax.legend()
show_pictures()

assert f(5) == 75 and (f(line) >= tangent).all()
assert torch.argmin(f(line) - tangent) == 50 and line[50] == 5

# %%
# By formula and by small steps
# -----------------------------
#
# The rules of calculus turn :math:`3x^2` into :math:`6x`, which is 30 at 5.
# Without rules, take a step, see how far y rises, and divide: a *finite
# difference*. The smaller the step, the closer it comes to 30.

by_formula = 6 * 5
by_steps = []
for h in (1, 0.1, 0.01, 0.001):
    by_steps.append(f"{(f(5 + h) - f(5)) / h:.3f}")
    print(f"step {h:<5}  slope {by_steps[-1]}")
print("formula     slope", by_formula)

assert by_steps == ["33.000", "30.300", "30.030", "30.003"]
assert by_formula == 30

# %%
# By autograd
# -----------
#
# ``requires_grad=True`` asks PyTorch to remember what is computed from x.
# `torch.Tensor.backward` walks back through that and leaves the slope in
# ``x.grad``. It starts from a single number; brackets do not matter.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A comment makes :math:`6x` 12: that is at x = 2. The slope
#    of :math:`x^2` is not :math:`6x` but :math:`2x`. And x is shown
#    by ``print(x)``, not by an assignment.

x = torch.tensor([5.0], requires_grad=True)
y = f(x)
y.backward()
print(x)
print(x.grad)

square = torch.tensor([5.0], requires_grad=True)
(square**2).backward()
print(square.grad)

assert str(x) == "tensor([5.], requires_grad=True)"
assert y.shape == (1,) and y.item() == 75
assert str(x.grad) == "tensor([30.])" and by_formula == 30 != 12
assert str(square.grad) == "tensor([10.])"

# %%
# The slope of code
# -----------------
#
# Nobody told PyTorch the rule :math:`6x`. It knows the slope of each single
# operation, and follows what the code did, so you need no formula. Here a loop
# works out :math:`x^3`, whose slope at 2 is 12.


def cube(x):
    """Return x * x * x."""
    y = 1.0
    for _ in range(3):
        y = y * x
    return y


def slope_of(function, place):
    """Return the slope of a function at one place."""
    x = torch.tensor(place, requires_grad=True)
    function(x).backward()
    return x.grad.item()


slopes = slope_of(cube, 2.0), slope_of(f, 5.0)
print(slopes)

assert slopes == (12, 30)

# %%
# What a slope is for
# -------------------
#
# A slope says which way is down: where it is positive, go left. Step by step
# (here 0.1 times the slope) you come to the lowest point without knowing where
# it is. Training a network is such a walk, *gradient descent*: y is its error,
# and in place of x there are all its weights.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    What autograd is for is left empty. It gives the slopes for
#    this walk.
#
# .. alt: The curve 3 x squared with five dots that come down along it, from
#    x = 5 by 2, 0.8 and 0.32 to 0.128, near the lowest point at 0.

places = [5.0]
for _ in range(4):
    slope = slope_of(f, places[-1])
    places.append(places[-1] - 0.1 * slope)
print([round(place, 3) for place in places])

fig, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
ax.plot(line - 2, f(line - 2))
ax.plot(places, [f(place) for place in places], "o--")
ax.set(xlabel="x", ylabel="y")
show_pictures()

assert [round(place, 3) for place in places] == [5, 2, 0.8, 0.32, 0.128]
assert f(places[-1]) < 0.05 < f(places[0])

# %%
# No magic
# --------
#
# A number can carry its slope along, by the rule for products: the slope of
# :math:`ab` is :math:`a'b + ab'`. PyTorch goes backward instead, which costs
# less where many inputs lead to one result.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Autograd is called unique to PyTorch. JAX, TensorFlow and
#    others have the like, and so do these lines.


class Dual:
    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def __mul__(self, other):
        slope = self.slope * other.value + self.value * other.slope
        return Dual(self.value * other.value, slope)


three, five = Dual(3.0, slope=0.0), Dual(5.0, slope=1.0)
product = three * five * five
print(product.value, product.slope)

assert product.value == y.item() == 75
assert product.slope == x.grad.item() == 30

# %%
# Numbers, not functions
# ----------------------
#
# ``backward()`` works at once. Before it ``.grad`` is None; after it, a tensor
# with the slope at the x that went in. Give x another value, and ``.grad``
# stays what it was. (`torch.no_grad` lets us write into x, see
# :ref:`grad_limits`.)
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``backward()`` is said to announce a derivative for later,
#    and ``.grad`` to be a function of x. For another x, compute
#    y and call ``backward()`` again.

x = torch.tensor(5.0, requires_grad=True)
y = f(x)
before = x.grad
y.backward()
after = x.grad.item()
with torch.no_grad():
    x.fill_(2.0)
print(before, after, "x is now", x.item(), "and x.grad", x.grad.item())

assert before is None and after == 30
assert x.item() == 2 and x.grad.item() == 30
assert slope_of(f, 2.0) == 12

# %%
# ``.grad`` is an attribute, a tensor, and a tensor cannot be called.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Adding ``.grad()`` is an error. And a network gets no
#    ``backward`` of its own: call that of a result, usually the loss.

try:
    x.grad()
except TypeError as error:
    print(error)
    assert "not callable" in str(error)
else:
    raise AssertionError("a tensor must not be callable")

layer = torch.nn.Linear(2, 1)  # computes w1*a + w2*b + bias
result = layer(torch.tensor([3.0, 4.0]))
result.backward()
print(layer.weight.grad, hasattr(layer, "backward"))

assert layer.weight.grad.tolist() == [[3, 4]]
assert hasattr(result, "backward") and not hasattr(layer, "backward")

# %%
# If you do want a function
# -------------------------
#
# `torch.func.grad` turns a function into its derivative, a function again.
# `torch.func.vmap` runs it for many inputs at once, so that we can draw it.
#
# .. alt: The derivative of 3 x squared is a straight line through 0. A dot
#    marks 30 at x = 5, another 12 at x = 2.

df = torch.func.grad(f)
found = df(torch.tensor(5.0)), df(torch.tensor(2.0))
print(found)

fig, ax = plt.subplots(figsize=(5.6, 2.6), layout="constrained")
slopes = torch.func.vmap(df)(line)
ax.plot(line, slopes)
ax.plot([5, 2], found, "o")
ax.set(xlabel="x", ylabel="slope of 3x² at x")
show_pictures()

assert found == (30, 12)
assert torch.equal(slopes, 6 * line)

# %%
# What you learned
# ----------------
#
# A gradient is a slope: a number, for the place where you stand. It says which
# way is down. ``backward()`` works it out from what the code did and puts it
# into ``.grad``.
#
# Next: :ref:`matrix_gradient` has one slope for each element of a tensor, and
# :ref:`graph_chain_rule` shows what PyTorch remembers. The walk downhill goes
# on in :ref:`sgd_step`.
