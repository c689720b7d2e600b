r"""
.. _grad_limits:

Decide what autograd records
============================

Why can a tensor of whole numbers have no gradient, and how do you switch the
recording off when you only want an answer? After this page you know which
tensors can require gradients, can take a second derivative, and can choose
between ``no_grad``, ``inference_mode`` and ``detach`` by a table.

.. concepts: G07 G08 G10
.. claims: c3-58 c3-59 c3-93
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import show_pictures

# %%
# Whole numbers have no slope
# ---------------------------
#
# A slope asks what a *tiny* nudge does. A whole number cannot be nudged by
# 0.001, so PyTorch refuses. Floats are welcome, here in a
# `torch.nn.Parameter`, a tensor that a network trains:

try:
    torch.tensor([1, 2, 3], requires_grad=True)
except RuntimeError as error:
    print(error)
    assert "floating point and complex dtype can require" in str(error)
else:
    raise AssertionError("integers must not require gradients")
parameter = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))  # floats
print(parameter)

assert parameter.requires_grad and parameter.tolist() == [1, 2, 3]

# %%
# Write ``1.0`` and not ``1``, or call ``.float()``. Complex numbers are
# allowed. Their gradient holds two slopes: along the real axis, and along the
# imaginary one.

allowed = []
for dtype in (torch.float16, torch.complex64, torch.int64, torch.bool):
    try:
        torch.ones(2, dtype=dtype, requires_grad=True)
    except RuntimeError:
        continue
    else:
        allowed.append(dtype)
print(*allowed)

z = torch.tensor(3 + 4j, requires_grad=True)
(z.real**2 + z.imag**2).backward()
print(z.grad)

assert allowed == [torch.float16, torch.complex64]
assert z.grad == 2 * 3 + 2j * 4

# %%
# A gradient is an ordinary tensor
# --------------------------------
#
# You may print, copy and change it. Nothing of how it came about is recorded
# in it.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``.grad`` is called a buffer. Buffers are tensors that a
#    module keeps and saves; a gradient is an attribute of a tensor, and no
#    module saves it.

layer = nn.Linear(2, 1)
layer(torch.ones(4, 2)).sum().backward()
gradient = layer.weight.grad
gradient *= 0.5  # in place, in the layer too
print(layer.weight.grad, gradient.requires_grad)

assert layer.weight.grad.tolist() == [[2, 2]]
assert not gradient.requires_grad and gradient.grad_fn is None
assert list(layer.buffers()) == []
assert list(layer.state_dict()) == ["weight", "bias"]

# %%
# The slope of the slope
# ----------------------
#
# A second derivative is the gradient of a gradient. Taken from ``.grad``, it
# fails:

x = torch.tensor(5.0, requires_grad=True)
(x**3).backward()
print(x.grad)
try:
    x.grad.backward()
except RuntimeError as error:
    print(error)
    assert "does not require grad" in str(error)
else:
    raise AssertionError("a gradient has no graph by default")
assert x.grad == 3 * 5**2

# %%
# Ask for the gradient's own graph with ``create_graph=True``.
# `torch.autograd.grad` suits this best: it returns the gradient and leaves
# ``.grad`` alone.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A gradient is said to be no part of the graph. With
#    ``create_graph=True`` it is.

(first,) = torch.autograd.grad(x**3, x, create_graph=True)
(second,) = torch.autograd.grad(first, x, create_graph=True)
(third,) = torch.autograd.grad(second, x)
print(first.item(), second.item(), third.item())

assert (first, second, third) == (3 * 5**2, 6 * 5, 6)
assert first.requires_grad and not third.requires_grad

# %%
# Here is a hill with its slope and its bend. The sum gives every point its own
# slope (see :ref:`matrix_gradient`). The slope is 0 on the top. The bend is
# negative where the hill is round like a dome, and positive at its feet.
#
# .. alt: Three curves from -3 to 3. The hill f has its top at 0. Its slope f'
#    is positive on the left, 0 on the top, negative on the right. The bend f''
#    is -1 on the top and positive beyond -1 and 1.

x = torch.linspace(-3, 3, 121, requires_grad=True)
hill = torch.exp(-(x**2) / 2)
(slope,) = torch.autograd.grad(hill.sum(), x, create_graph=True)
(bend,) = torch.autograd.grad(slope.sum(), x)

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
curves = {"f, the hill": hill, "f′, its slope": slope, "f″, its bend": bend}
for label, curve in curves.items():
    ax.plot(x.detach(), curve.detach(), label=label)
ax.axhline(0, color="gray", linewidth=0.8)
ax.set(xlabel="x")
fig.legend(loc="outside upper center", ncols=3)
show_pictures()

assert torch.allclose(slope, -x * hill, atol=1e-6)
assert torch.allclose(bend, (x**2 - 1) * hill, atol=1e-6)
assert abs(slope[60]) < 1e-6 and bend.argmin() == 60

# %%
# Recording costs memory
# ----------------------
#
# For a later ``backward``, each step keeps what its slope will need. Inside
# `torch.no_grad` it keeps nothing. The hook below counts the kept numbers:

net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
batch = torch.ones(100, 4)
kept = []


def count(tensor):
    """Note how many numbers are kept for backward."""
    kept.append(tensor.numel())
    return tensor


with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
    net(batch)
    recorded = sum(kept)
    with torch.no_grad():
        net(batch)
more = sum(kept) - recorded
print(f"kept with recording {recorded}, in no_grad {more}")
assert recorded == 400 + 2 * 800 + 8 and more == 0

# %%
# Three ways to record nothing
# ----------------------------
#
# `torch.no_grad` and `torch.inference_mode` switch recording off for a block
# of code, `torch.Tensor.detach` for one tensor. Here are some results to
# compare, and a question to each: may it be used in a recorded computation
# later?

w = torch.tensor([2.0, 3.0], requires_grad=True)
made = {"w * 2": w * 2}
with torch.no_grad():
    made["no_grad"] = w * 2
    made["new in no_grad"] = torch.ones(2, requires_grad=True)
with torch.inference_mode():
    made["inference_mode"] = w * 2
made["detach"] = w.detach()
made["detach, clone"] = w.detach().clone()


def later(tensor):
    """Tell whether a product of this tensor with w can go backward."""
    try:
        (w * tensor).sum().backward()
    except RuntimeError:
        return False
    else:
        return True


assert made["inference_mode"].is_inference()
assert made["no_grad"].tolist() == made["inference_mode"].tolist() == [4, 6]

# %%
# The table tells whether each requires gradients (``grad``), was recorded
# (``graph``), shares its memory with ``w`` (``shared``), and can be used later
# (``later``). Note the tensor that was made new inside ``no_grad``: it asked
# for gradients and got them.

print(f"{'':15}grad  graph shared later")
rows = {}
for name, tensor in made.items():
    shared = tensor.data_ptr() == w.data_ptr()
    recorded = tensor.grad_fn is not None
    answers = (tensor.requires_grad, recorded, shared, later(tensor))
    rows[name] = "   ".join("yes" if yes else "-  " for yes in answers)
    print(f"{name:15}{rows[name]}")

assert rows["w * 2"].split() == ["yes", "yes", "-", "yes"]
assert rows["no_grad"].split() == ["-", "-", "-", "yes"]
assert rows["new in no_grad"].split() == ["yes", "-", "-", "yes"]
assert rows["inference_mode"].split() == ["-", "-", "-", "-"]
assert rows["detach"].split() == ["-", "-", "yes", "yes"]
assert rows["detach, clone"].split() == ["-", "-", "-", "yes"]

# %%
# So ``inference_mode`` is for answers that never meet autograd again. It is
# the fastest, says the documentation. ``no_grad`` is for all others. A
# detached tensor shares memory: NumPy accepts it, and what you write into it
# is in ``w`` as well.

try:
    w.numpy()
except RuntimeError as error:
    print(error)
    assert "Use tensor.detach().numpy() instead" in str(error)
else:
    raise AssertionError("NumPy must refuse a tensor with gradients")
array = w.detach().numpy()
array[0] = 7
print(w.detach())

assert w.tolist() == [7, 3]

# %%
# For evaluation, as a decorator
# ------------------------------
#
# ``@torch.no_grad()`` covers a whole function. It does not change what layers
# do: dropout still drops. That is what ``eval()`` is for (see
# :ref:`train_eval`), which in turn leaves recording on. Evaluation needs both.


@torch.no_grad()
def evaluate(network, batch):
    """Return the network's answer without dropout and without a graph."""
    network.eval()
    return network(batch)


torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1))
with torch.no_grad():
    differ = not torch.equal(net(batch), net(batch))
answer = evaluate(net, batch)
print("no_grad alone: dropout drops:", differ)
print("eval alone: recorded:", net(batch).requires_grad)
print("both: recorded:", answer.requires_grad)

assert differ and net(batch).requires_grad and not answer.requires_grad
assert torch.equal(answer, net(batch)) and torch.is_grad_enabled()

# %%
# What no_grad does not prevent
# -----------------------------
#
# A weight is not locked. If it has a gradient from before, an optimizer still
# moves it:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``no_grad`` is said to disable autograd and so to prevent training on test
#    data by accident. It only stops recording; even so, a tensor
#    made inside can require gradients, as in the table.

weight = nn.Parameter(torch.tensor(2.0))
optimizer = torch.optim.SGD([weight], lr=0.5)
(3 * weight).backward()
with torch.no_grad():
    optimizer.step()
print(weight.item())

assert weight.item() == 2 - 0.5 * 3

# %%
# What you learned
# ----------------
#
# - Only floating point and complex tensors can require gradients.
# - ``.grad`` is an ordinary tensor. With ``create_graph=True`` a gradient has
#   a graph, and so a gradient of its own.
# - ``no_grad`` and ``inference_mode`` record nothing, ``detach`` cuts one
#   tensor off. None of them replaces ``eval()``.
#
# Next: :ref:`neuron_to_network` puts gradients to work in a network. How the
# gradient reaches every part of it is shown in :ref:`graph_chain_rule`.
