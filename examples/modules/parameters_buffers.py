r"""
.. _parameters_buffers:

What a module trains, moves and saves
=====================================

I keep a tensor in my module: will it be trained, will it go to the GPU with
the model, will it be in the saved file? After this page you can answer this
for parameters, buffers, plain tensors and lists, train a parameter of your
own, and keep what is not trained in the right place.

.. concepts: M15 M16 N06
.. claims: c2-18 c2-56 c2-57 c2-59 c2-61 c3-59
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import PALETTE, show_pictures
from snippets.explain import show_error

# %%
# A parameter of your own
# -----------------------
#
# A cup of tea cools toward the temperature of the room. How fast, and how warm
# is the room? Two numbers to learn: two times `torch.nn.Parameter`, which is a
# tensor that requires a gradient. To assign one to ``self`` is to *register*
# it. Where the tea started was measured, so ``start`` is a *buffer*: kept, but
# not trained.


class Cooling(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.room = nn.Parameter(torch.tensor(10.0))  # a guess
        self.rate = nn.Parameter(torch.tensor(0.3))  # another one
        self.register_buffer("start", torch.tensor(start))

    def forward(self, minutes):
        left = torch.exp(-self.rate * minutes)
        return self.room + (self.start - self.room) * left


tea = Cooling(start=90.0)
parameters = [name for name, _ in tea.named_parameters()]
buffers = [name for name, _ in tea.named_buffers()]
print("parameters", parameters, "buffers", buffers)

assert parameters == ["room", "rate"] and buffers == ["start"]
assert isinstance(tea.room, torch.Tensor) and tea.room.requires_grad
assert tea(torch.tensor(0.0)) == 90  # after 0 minutes

# %%
# An optimizer gets the parameters, and nothing else. Our measurements are made
# up: a room of 20 degrees, a rate of 0.1, and half a degree of error.

torch.manual_seed(0)
minutes = torch.arange(0.0, 31, 2)
measured = 20 + 70 * torch.exp(-0.1 * minutes) + torch.randn(16) / 2
guessed = tea(minutes).detach()

optimizer = torch.optim.Adam(tea.parameters(), lr=0.1)
for _ in range(1500):
    loss = ((tea(minutes) - measured) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
room, rate, start = tea.room.item(), tea.rate.item(), tea.start.item()
print(f"room {room:.0f}, rate {rate:.1f}, start {start:.0f}")

assert 19 < room < 21 and 0.09 < rate < 0.11
assert start == 90 and loss < 1

# %%
# It found the room and the rate; ``start`` stayed. In 20 seeds tried, the room
# came out between 19 and 21, the rate between 0.09 and 0.11.
#
# .. alt: Sixteen measured points that fall from 90 degrees toward 20. A dashed
#    curve, the guess before training, falls too fast and too far. A solid
#    curve, after training, goes through the points.

_, ax = plt.subplots(figsize=(5.4, 3), layout="constrained")
ax.plot(minutes, measured, "o", label="measured")
ax.plot(minutes, guessed, "--", label="before training")
ax.plot(minutes, tea(minutes).detach(), label="after training")
ax.set(xlabel="minutes", ylabel="degrees")
ax.legend()
show_pictures()

_, dashed, solid = (torch.as_tensor(line.get_ydata()) for line in ax.lines)
assert (solid - measured).abs().max() < 2 < (dashed - measured).abs().max()

# %%
# Whole numbers cannot be trained
# -------------------------------
#
# A whole number cannot move along a slope, so it is no parameter. A counter is
# a buffer.

try:
    nn.Parameter(torch.tensor([1, 2, 3]))
except RuntimeError as error:
    print(error)
    assert "Only Tensors of floating point and complex dtype" in str(error)
else:
    raise AssertionError("whole numbers must not be parameters")

# %%
# Eight ways to keep a tensor
# ---------------------------
#
# A module notices what is assigned to it, if it is a parameter, a buffer or a
# module. It does not look into a Python list. `torch.nn.ParameterList` and
# `torch.nn.ModuleList` are lists that register what they hold.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A parameter is said to register itself. The module registers
#    it, when it is assigned. In a plain list it stays unknown.


class Keeper(nn.Module):
    def __init__(self):
        super().__init__()
        self.single = nn.Parameter(torch.ones(1))
        self.weights = nn.ParameterList([torch.ones(1)])
        self.layers = nn.ModuleList([nn.Linear(1, 1)])
        self.register_buffer("mean", torch.ones(1))
        self.register_buffer("cache", torch.ones(1), persistent=False)
        self.plain = torch.ones(1)
        self.weight_list = [nn.Parameter(torch.ones(1))]
        self.layer_list = [nn.Linear(1, 1)]


keeper = Keeper()
registered = [name for name, _ in keeper.named_parameters()]
print(registered)

expected = ["single", "weights.0", "layers.0.weight", "layers.0.bias"]
assert registered == expected

# %%
# Does a gradient depend on that? No. It goes to all that require one, in a
# list or not. These get none:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Registering is said to bring a tensor into the graph. That
#    is up to ``requires_grad``.


def kept(keeper):
    """Return one tensor for each way to keep it."""
    return {
        "Parameter": keeper.single,
        "ParameterList": keeper.weights[0],
        "ModuleList": keeper.layers[0].weight,
        "buffer": keeper.mean,
        "buffer, not persistent": keeper.cache,
        "plain tensor": keeper.plain,
        "list of parameters": keeper.weight_list[0],
        "list of layers": keeper.layer_list[0].weight,
    }


sum(kept(keeper).values()).backward()
has_gradient = [t.grad is not None for t in kept(keeper).values()]
without = [name for name, t in kept(keeper).items() if t.grad is None]
print(without)

assert without == ["buffer", "buffer, not persistent", "plain tensor"]
assert has_gradient == [True] * 3 + [False] * 3 + [True] * 2

# %%
# Trained, moved, saved
# ---------------------
#
# Let an optimizer take a step, look into `torch.nn.Module.state_dict`, which
# is what gets saved, and convert the module to float64. Moving to a device
# goes the same way; this works without one.

before = [tensor.clone() for tensor in kept(keeper).values()]
torch.optim.SGD(keeper.parameters(), lr=0.1).step()
pairs = zip(before, kept(keeper).values(), strict=True)
trained = [not torch.equal(old, new) for old, new in pairs]

stored = {tensor.data_ptr() for tensor in keeper.state_dict().values()}
saved = [tensor.data_ptr() in stored for tensor in kept(keeper).values()]

keeper.to(torch.float64)
moved = [t.dtype == torch.float64 for t in kept(keeper).values()]
print(sum(trained), "trained,", sum(moved), "moved,", sum(saved), "saved")

assert trained == [True] * 3 + [False] * 5
assert moved == [True] * 5 + [False] * 3
assert saved == [True] * 4 + [False] * 4

# %%
# The table, drawn from these results. The last two rows are the trap: they get
# a gradient, and no step uses it.
#
# .. alt: A table with eight rows. Parameter, ParameterList and ModuleList have
#    yes for gradient, trained, moved and saved. A buffer is moved and saved;
#    one that is not persistent is only moved. A plain tensor has no yes. A
#    list of parameters and a list of layers have yes for the gradient only.

columns = {"gradient": has_gradient, "trained": trained}
columns |= {"moved": moved, "saved": saved}
_, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
for x, answers in enumerate(columns.values()):
    for y, answer in enumerate(answers):
        look = {"color": PALETTE[2]} if answer else {"color": "#8a8f9830"}
        ax.barh(y, 0.94, left=x, height=0.88, **look)
        if answer:
            ax.text(x + 0.47, y, "yes", ha="center", va="center", color="k")
ax.set_xticks([x + 0.47 for x in range(4)], columns)
ax.set_yticks(range(8), kept(keeper))
ax.tick_params(length=0, labeltop=True, labelbottom=False)
ax.invert_yaxis()
ax.spines[:].set_visible(False)
show_pictures()

assert len(ax.texts) == 5 + 3 + 5 + 4

# %%
# Keep it on the right device
# ---------------------------
#
# Move the model once, with ``to(device)``. Parameters and buffers go along; a
# plain tensor stays behind. The device ``meta`` stands in for a GPU:


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("mean", torch.zeros(2))
        self.offset = torch.ones(2)  # a plain tensor

    def forward(self, x):
        return (x - self.mean) * self.weight + self.offset


scale = Scale().to("meta")
print(scale.weight.device, scale.mean.device, scale.offset.device)
with show_error("device cpu is not on the expected device meta"):
    scale(torch.ones(2, device="meta"))

assert scale.weight.device.type == scale.mean.device.type == "meta"
assert scale.offset.device.type == "cpu"

# %%
# Make the constant a buffer. Only a tensor that ``forward`` makes needs to be
# told where:


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.tensor([10.0, 20.0]))

    def forward(self, x):
        place = torch.arange(2, device=x.device)
        return x + self.offset + place


print(Shift()(torch.ones(2)))
print(Shift().to("meta")(torch.ones(2, device="meta")))

assert Shift()(torch.ones(2)).tolist() == [11, 22]
on_meta = Shift().to("meta")(torch.ones(2, device="meta"))
assert on_meta.device.type == "meta"

# %%
# A buffer that counts
# --------------------
#
# Buffers hold what a module finds out without a slope. This one keeps the mean
# of all that it has seen in training. `torch.nn.Buffer` makes a buffer by
# assignment, like a parameter.


class RunningMean(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(size))
        self.seen = nn.Buffer(torch.tensor(0))

    def forward(self, x):  # (batch, size) -> (batch, size)
        if self.training:  # until eval() is called
            with torch.no_grad():
                self.seen += len(x)
                self.mean += (x - self.mean).sum(dim=0) / self.seen
        return x - self.mean


running = RunningMean(2)
running(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
running(torch.tensor([[8.0, 80.0]]))
print(running.seen, running.mean, list(running.state_dict()))

assert running.seen == 3 and running.mean.tolist() == [4, 40]
assert list(running.state_dict()) == ["mean", "seen"]
assert list(running.parameters()) == []

# %%
# Both buffers are saved, so a loaded one counts on:

loaded = RunningMean(2)
loaded.load_state_dict(running.state_dict())
loaded(torch.tensor([[8.0, 80.0]]))
loaded.eval()
loaded(torch.tensor([[500.0, 0.0]]))  # not counted
print(loaded.seen, loaded.mean)

assert loaded.seen == 4 and loaded.mean.tolist() == [5, 50]
layer = nn.Linear(2, 2)
for _ in range(2):  # behind a layer that is trained
    loaded.train()(layer(torch.ones(1, 2))).sum().backward()
assert layer.weight.grad.tolist() == [[2, 2], [2, 2]]
assert loaded.seen == 6

# %%
# Register in time
# ----------------
#
# The method `torch.nn.Module.register_buffer` does the same, and is what older
# code uses. Like a layer, a buffer has to wait for ``super().__init__()``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``self.register_buffer(...)`` stands alone. It belongs in
#    ``__init__``. Buffers are said to get no gradient: not by
#    default, but one made from a tensor that requires it does. And ``.grad``
#    is called a buffer. It is an attribute of a tensor.


class TooEarly(nn.Module):
    def __init__(self):
        self.register_buffer("mean", torch.zeros(2))


try:
    TooEarly()
except AttributeError as error:
    print(error)
    assert "before Module.__init__() call" in str(error)
else:
    raise AssertionError("a buffer must wait for super().__init__()")
odd = nn.Module()
odd.register_buffer("kept", torch.ones(2, requires_grad=True))
(odd.kept * 3).sum().backward()
print(odd.kept.grad, [name for name, _ in odd.named_buffers()])

assert odd.kept.grad.tolist() == [3, 3] and list(odd.parameters()) == []
assert [name for name, _ in odd.named_buffers()] == ["kept"]
assert tea.room.grad is not None and len(list(tea.buffers())) == 1

# %%
# What you learned
# ----------------
#
# Trained: a parameter. Kept, moved and saved, but not trained: a buffer. Only
# moved: a buffer with ``persistent=False``. Several of them: a
# `torch.nn.ParameterList` or `torch.nn.ModuleList`, no Python list.
#
# Next: :ref:`train_eval`, where layers use their buffers. Moving a model to a
# GPU is in :ref:`devices`, counting its parameters in :ref:`look_inside`, and
# the optimizer's step in :ref:`sgd_step`.
