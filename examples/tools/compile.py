r"""
.. _compile:

Make a model faster with torch.compile
======================================

One line promises a faster model: what does `torch.compile` do with your
code, what does it not like, and when is it worth the wait? After this page you
can look at the graph that it captures, find where it breaks and why it
compiles again, and tell from how many steps on it pays.

.. concepts: A14
"""

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from snippets.drawing import show_pictures

# %%
# What it captures
# ----------------
#
# `torch.compile` wraps a function or a model, and does nothing yet. The first
# call runs your Python code once to find out which tensor operations it makes.
# This list is the *graph*. A *backend* turns the graph into a program.
#
# The usual backend, ``"inductor"``, writes C++ for a CPU, or Triton for a GPU,
# and puts many operations into one. It needs a compiler and some seconds. This
# page brings a backend of its own, which notes the operations and runs them as
# they are: nothing gets faster, but one sees what happens.

graphs = []


def watch(graph, inputs):
    """Note the names of the operations, and run the graph as it is."""
    nodes = [n for n in graph.graph.nodes if n.op.startswith("call")]
    graphs.append([getattr(n.target, "__name__", n.target) for n in nodes])
    return graph.forward


def polynomial(x):
    """Compute x ** 3 + x + 2, step by step."""
    y = torch.ones_like(x)
    for power in range(3):
        y = y * x
        if power > 0:
            y = y + power
    return y


compiled = torch.compile(polynomial, backend=watch)
assert not graphs

# %%
# Nothing is captured yet. The first call does that:

x = torch.tensor([-1.0, 0.0, 2.0])
print(compiled(x).tolist(), graphs)

assert torch.equal(compiled(x), polynomial(x))
assert graphs == [["ones_like", "mul", "mul", "add", "mul", "add"]]

# %%
# The loop and the ``if`` are gone. Both depended on Python's numbers alone, so
# they were worked out while capturing. The second call above used the graph
# that was there already.
#
# The same training
# -----------------
#
# A model is wrapped in the same way, and shares its weights with the wrapper.
# Gradients work as before.


def train(wrap):
    """Fit a sine in 100 steps, and yield the loss of each."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    call = wrap(model)
    x = torch.linspace(-2, 2, 64)[:, None]  # (64, 1)
    for _ in range(100):
        loss = F.mse_loss(call(x), x.sin())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


graphs.clear()
plain = list(train(lambda model: model))
same = list(train(lambda model: torch.compile(model, backend=watch)))
print(graphs, "the same losses:", same == plain)

assert graphs == [["linear", "tanh", "linear"]]
assert same == plain and plain[-1] < 0.1 * plain[0]

# %%
# With ``"inductor"`` the numbers differ in the last digits, as sums are taken
# in another order.
#
# When it compiles again
# ----------------------
#
# A graph holds for what it has seen. With each call, *guards* ask whether
# shapes, dtypes, Python's numbers, ``train()`` or ``eval()`` and gradients are
# still the same. If not, the code is captured again. By default, at
# ``dynamic=None``, the second graph takes any size of the dimension that has
# changed. With ``dynamic=True`` the first one does so, with ``dynamic=False``
# none. A training with a smaller last batch, and larger ones for validation:
#
# .. alt: Three lines over eight calls with batches of 32, 32, 20, 32, 32, 20,
#    64 and 50. With dynamic=False there are four graphs at the end, one for
#    each size. With dynamic=None there are two from the third call on. With
#    dynamic=True there is one all the time.

sizes = [32, 32, 20, 32, 32, 20, 64, 50]
counts = {}
for dynamic in (False, None, True):
    graphs.clear()
    torch.compiler.reset()  # forget what was compiled
    compiled = torch.compile(polynomial, backend=watch, dynamic=dynamic)
    counts[dynamic] = []
    for size in sizes:
        compiled(torch.ones(size))
        counts[dynamic].append(len(graphs))

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for width, (dynamic, ys) in zip((8, 5, 2), counts.items(), strict=True):
    style = {"linewidth": width, "markersize": width + 4, "where": "post"}
    ax.step(range(8), ys, "o-", **style, label=f"dynamic={dynamic}")
ax.set(xlabel="size of the batch", ylabel="graphs", ylim=(0, 4.5))
ax.set_xticks(range(8), sizes)
ax.legend(fontsize=10)
show_pictures()

assert counts[False] == [1, 1, 2, 2, 2, 2, 3, 4]
assert counts[None] == [1, 1, 2, 2, 2, 2, 2, 2] and counts[True] == [1] * 8

# %%
# These calls ask for a new graph as well. A number is like a size: from its
# second value on, any value is allowed.


def scaled(x, factor):
    """Multiply by a factor."""
    return x * factor


graphs.clear()
torch.compiler.reset()
compiled = torch.compile(scaled, backend=watch)
x, grown = torch.ones(3), {}
for name, arguments in {
    "first call": (x, 0.1),
    "second number": (x, 0.2),
    "third number": (x, 0.3),
    "other dtype": (x.double(), 0.3),
    "needs a gradient": (x.clone().requires_grad_(), 0.3),
}.items():
    seen = len(graphs)
    compiled(*arguments)
    grown[name] = len(graphs) - seen
print(grown)

assert list(grown.values()) == [1, 1, 0, 1, 1]

# %%
# Where the graph breaks
# ----------------------
#
# An ``if`` on the values of a tensor cannot be worked out while capturing. The
# graph ends there. Python decides, and a second graph goes on: a *graph
# break*. The result is right, but operations of two graphs are never put
# together.


def shrink(x):
    """Double all numbers, and move them by 1 against their sum."""
    x = x * 2
    if x.sum() > 0:
        return x - 1
    return x + 1


graphs.clear()
torch.compiler.reset()
compiled = torch.compile(shrink, backend=watch)
results = [compiled(x), compiled(-x)]
print(graphs)

assert torch.equal(results[0], shrink(x))
assert torch.equal(results[1], shrink(-x))
assert graphs == [["mul", "sum", "gt"], ["sub"], ["add"]]

# %%
# ``fullgraph=True`` makes a break an error, which names the line. With
# `torch.where` both sides are computed and one is picked: no ``if``, one
# graph. ``print`` and `torch.Tensor.item` break graphs too. To see breaks and
# new graphs in a program of yours, start it with
# ``TORCH_LOGS=graph_breaks,recompiles``.


def shrink_at_once(x):
    """Double all numbers, and move them by 1 against their sum."""
    x = x * 2
    return torch.where(x.sum() > 0, x - 1, x + 1)


graphs.clear()
torch.compiler.reset()
try:
    torch.compile(shrink, backend=watch, fullgraph=True)(x)
except RuntimeError as error:
    print("refused, because of a condition on data")
    assert "branching" in str(error) or "control flow" in str(error)
else:
    raise AssertionError("a break must be an error")
compiled = torch.compile(shrink_at_once, backend=watch, fullgraph=True)
print(compiled(x).tolist(), compiled(-x).tolist(), len(graphs), "graph")

assert torch.equal(compiled(x), shrink(x))
assert torch.equal(compiled(-x), shrink(-x)) and len(graphs) == 1

# %%
# Save the model, not the wrapper
# -------------------------------
#
# In the state of the wrapper, all names begin with ``_orig_mod.``, and no
# plain model takes them. The weights are the same tensors: save those of the
# model that you have wrapped.

model = nn.Linear(3, 1)
compiled = torch.compile(model, backend=watch)
try:
    nn.Linear(3, 1).load_state_dict(compiled.state_dict())
except RuntimeError as error:
    print(list(compiled.state_dict()))
    assert 'Missing key(s) in state_dict: "weight", "bias"' in str(error)
else:
    raise AssertionError("the names must not fit")
fresh = nn.Linear(3, 1)
print(fresh.load_state_dict(model.state_dict()))

assert list(compiled.state_dict()) == ["_orig_mod.weight", "_orig_mod.bias"]
assert compiled.weight is model.weight
assert torch.equal(fresh(x), model(x))

# %%
# When it pays
# ------------
#
# Each new graph costs seconds, each step then saves a little. Suppose that
# compiling takes 20 seconds, and a step 8 milliseconds instead of 10:


def break_even(seconds, step, compiled_step):
    """Return after how many steps compiling has paid for itself."""
    return seconds / (step - compiled_step)


steps = break_even(20, step=0.010, compiled_step=0.008)
torch.compiler.reset()
print(f"{steps:.0f} steps")

assert round(steps) == 10000
assert round(20 + steps * 0.008) == round(steps * 0.010) == 100

# %%
# What can be saved depends on the network: chains of small operations gain
# most, since they are put together; large matrix products were fast before.
# :doc:`How fast is it? </benchmarks>` has times measured on a CPU, and from
# how many steps on they pay.
#
# What you learned
# ----------------
#
# `torch.compile` captures a graph at the first call, checks guards at every
# call, and captures again when they fail. Keep sizes few and breaks out of the
# part that counts. Save the model inside. Measure before you keep it.
#
# Next: :ref:`export` takes a graph to other programs. To find the slow step
# first, see :ref:`profiler`.
