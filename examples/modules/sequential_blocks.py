r"""
.. _sequential_blocks:

Chain layers and build blocks
=============================

Must I write a class for every network, and how do I leave out a part of a
block that I use twenty times? After this page you can chain layers with
`torch.nn.Sequential`, build blocks with optional parts from a list, name and
pick the parts, and load the weights of one form into another.

.. concepts: M09
.. claims: c1-65 c2-22 c2-24 c3-76
"""

from collections import OrderedDict

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import PALETTE, show_pictures

# %%
# A chain needs no class
# ----------------------
#
# `torch.nn.Sequential` gives its input to the first layer, what comes out to
# the second, and so on: just what you would write by hand.

torch.manual_seed(0)
chain = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
batch = torch.rand(4, 3)
by_hand = chain[2](chain[1](chain[0](batch)))
print(tuple(chain(batch).shape), torch.equal(chain(batch), by_hand))

assert chain(batch).shape == (4, 2)
assert torch.equal(chain(batch), by_hand) is True

# %%
# Pick, cut and extend
# --------------------
#
# A chain is indexed and cut like a list. A slice is a new chain of the *same*
# layers, nothing is copied. ``chain[:-1]`` is all but the last. A star unpacks
# layers into a new chain, and ``append`` makes it longer.

trunk = chain[:-1]
longer = nn.Sequential(*trunk).append(nn.Linear(5, 7))
print(trunk)
print([len(part) for part in (chain, trunk, longer)])

assert (len(chain), len(trunk), len(longer)) == (3, 2, 3)
assert trunk[0] is chain[0] and trunk[-1] is chain[1]
assert trunk(batch).shape == (4, 5) and longer(batch).shape == (4, 7)

# %%
# A list of layers is not a chain
# -------------------------------
#
# To choose layers in code, collect them in a list. Two errors are common: a
# layer without its sizes, and a list where layers are wanted.

try:
    nn.Conv2d()
except TypeError as error:
    print(error)
    assert "missing 3 required positional arguments" in str(error)
else:
    raise AssertionError("a convolution must want its sizes")
try:
    nn.Sequential([nn.ReLU()])
except TypeError as error:
    print(error)
    assert "list is not a Module subclass" in str(error)
else:
    raise AssertionError("a list must not be a layer")

# %%
# Build a block from a list
# -------------------------
#
# Unpack the list with a star. Most image networks repeat a block of three: a
# convolution, a *norm*, which keeps its numbers in a good range, and an
# activation. Here the last two are optional.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The list is ``[nn.Conv2d(), nn.Conv2d() ...]``. It lacks the
#    sizes and is no Python. It should be a conv-norm-activation block, and has
#    only convolutions.


def block(inputs, outputs, *, norm=True, activation=True):
    """Return a convolution, then a norm and an activation if wanted."""
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    if activation:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


options = [(True, True), (True, False), (False, True), (False, False)]
blocks = [block(1, 4, norm=n, activation=a) for n, a in options]
parts = [[type(layer).__name__ for layer in made] for made in blocks]
print(*parts, sep="\n")

assert parts[0] == ["Conv2d", "BatchNorm2d", "ReLU"]
assert parts[1:] == [parts[0][:2], parts[0][::2], parts[0][:1]]
assert [made[0].bias is None for made in blocks] == [n for n, _ in options]

# %%
# The four blocks, drawn from what they hold:
#
# .. alt: Four rows of boxes, one for each choice of options. All begin with
#    Conv2d. BatchNorm2d is in the first and second row, ReLU in the first and
#    third. A dashed outline stands where a part is left out.

_, ax = plt.subplots(figsize=(5.6, 2.6), layout="constrained")
for row, names in enumerate(parts):
    for place, name in enumerate(parts[0]):
        look = {"color": PALETTE[place]}
        if name not in names:
            look = {"fill": False, "edgecolor": "#8a8f98", "linestyle": "--"}
        ax.barh(row, 0.9, left=place, height=0.7, align="center", **look)
        text = name if name in names else ""
        ax.text(place + 0.45, row, text, ha="center", va="center", color="k")
ax.set_yticks(range(4), [f"norm={n}\nactivation={a}" for n, a in options])
ax.tick_params(left=False)
ax.set_xticks([])
ax.invert_yaxis()
ax.spines[:].set_visible(False)
show_pictures()

drawn = [text.get_text() for text in ax.texts]
assert [drawn.count(name) for name in parts[0]] == [4, 2, 2]

# %%
# No bias before a norm
# ---------------------
#
# Why ``bias=not norm``? In training, `torch.nn.BatchNorm2d` subtracts the mean
# of each channel, and a bias moves just that mean. It would have no effect,
# and the norm has a bias of its own.

images = torch.rand(2, 1, 8, 8)
moved = []
for after in (nn.BatchNorm2d(4), nn.Identity()):
    made = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), after)
    with torch.no_grad():
        before = made(images)
        made[0].bias += 1
        moved.append((made(images) - before).abs().max().item())
print(f"with a norm {moved[0]:.3f}, without {moved[1]:.3f}")

assert moved[0] < 1e-4 and f"{moved[1]:.3f}" == "1.000"

# %%
# Where a chain is not enough
# ---------------------------
#
# If the input is needed twice, write ``forward``. A *residual* block adds its
# input to what a block makes of it and applies the activation last: that is
# what the option is for. It takes its place in a chain like any layer.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A network of two chains is said to contain two methods. They
#    are two attributes, each of them a `torch.nn.Sequential`.


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.inside = block(channels, channels, activation=False)

    def forward(self, x):
        return torch.relu(x + self.inside(x))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(block(1, 4), Residual(4), Residual(4))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 3))

    def forward(self, x):  # (batch, 1, 8, 8) -> (batch, 3)
        return self.head(self.features(x))


model = Classifier()
print([type(part).__name__ for part in (model.features, model.head)])
print(tuple(model(images).shape))

assert type(model.features) is type(model.head) is nn.Sequential
assert model(images).shape == (2, 3)

# %%
# Give the parts names
# --------------------
#
# Numbers say little, and change when a layer is put in. A
# `collections.OrderedDict` gives names. Parts are then reached both ways,
# ``named.last`` or ``named[2]``.

named = nn.Sequential(
    OrderedDict(first=nn.Linear(3, 5), bend=nn.ReLU(), last=nn.Linear(5, 2))
)
print(list(chain.state_dict()))
print(list(named.state_dict()))

assert named.last is named[2] and named(batch).shape == (4, 2)
assert list(chain.state_dict())[::2] == ["0.weight", "2.weight"]
assert list(named.state_dict())[::2] == ["first.weight", "last.weight"]

# %%
# The same network, other names
# -----------------------------
#
# Here is our chain as a class with one attribute for each layer. From the same
# seed it gives the same output. But its weights have other names, so that
# neither form can load what the other has saved:


class Explicit(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


torch.manual_seed(0)
explicit = Explicit()
print("same output:", torch.equal(explicit(batch), chain(batch)))
try:
    explicit.load_state_dict(chain.state_dict())
except RuntimeError as error:
    print(error)
    assert 'Missing key(s) in state_dict: "first.weight"' in str(error)
else:
    raise AssertionError("other names must not load")

assert torch.equal(explicit(batch), chain(batch))

# %%
# The numbers fit, only the names do not. Pair the new names with the old
# numbers, in order:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Both forms are said to be equal. They compute the same. What
#    they save differs, as the error above shows.

other = Explicit()  # other random weights
state = zip(other.state_dict(), chain.state_dict().values(), strict=True)
before = torch.equal(other(batch), chain(batch))
print(other.load_state_dict(dict(state)))
print("same output:", before, "before,", end=" ")
print(torch.equal(other(batch), chain(batch)), "after")

assert before is False and torch.equal(other(batch), chain(batch))
assert list(explicit.state_dict()) == list(named.state_dict())

# %%
# What you learned
# ----------------
#
# `torch.nn.Sequential` runs layers one after the other. Unpack a list to leave
# parts out, name the parts with an ``OrderedDict``, and write a class where
# the path forks. Names of weights depend on the form.
#
# Next: :ref:`parameters_buffers`, what a module trains, moves and saves. What
# a norm does while training is in :ref:`train_eval`, the padding of
# convolutions in :ref:`conv_sizes`, and how classes work in
# :ref:`define_module`.
