r"""
.. _old_names:

Read old notes: names that changed, and slips
=============================================

An example from some years ago stops with an ``AttributeError``, or runs with a
warning: was the name never right, or has it changed? After this page you can
find the right spelling, know what replaced an old name, tell a layer from a
function and an attribute from a method, and clean a listing before you run it.

.. concepts: X03
.. claims: c0-09 c0-11 c0-81 c0-98 c1-04 c1-16 c1-25 c1-31 c1-59 c1-63 c2-27
   c2-62 c3-23 c3-69
"""

import difflib
import re
import textwrap
import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.autograd import Variable
from torch.nn import functional as F
from torchvision import models, transforms

from snippets.drawing import PALETTE, show_pictures

# %%
# Names that never were
# ---------------------
#
# Layers and optimizers are classes and have capitals: ``MaxPool2d``. Functions
# and methods have none. Whether a name is there, Python tells:


def exists(path):
    """Return whether a dotted name is there."""
    module, *names = path.split(".")
    found = {"torch": torch, "nn": nn}[module]
    for name in names:
        found = getattr(found, name, None)
    return found is not None


print(exists("nn.MaxPool2d"), exists("torch.max_pool2d"), exists("nn.maxpool"))

assert exists("nn.MaxPool2d") and exists("torch.max_pool2d")
assert not exists("nn.maxpool")

# %%
# .. admonition:: In the notes
#    :class: note-check
#
#    Nine names in them do not exist. They stand at the left, the right ones
#    beside them.

SLIPS = {
    "torch.ChartTensor": "torch.CharTensor",
    "torch.optim.RMSProp": "torch.optim.RMSprop",
    "torch.Tensor.cat": "torch.cat",
    "nn.linear": "nn.Linear",
    "nn.Conv2D": "nn.Conv2d",
    "nn.maxpool": "nn.MaxPool2d",
    "nn.flatten": "nn.Flatten",
    "nn.softmax": "nn.Softmax",
    "nn.Module.Modules": "nn.Module.modules",
}
for written, right in SLIPS.items():
    print(f"{written:20}{exists(written)!s:6} {right:20}{exists(right)}")

assert [exists(written) for written in SLIPS] == [False] * 9
assert [exists(right) for right in SLIPS.values()] == [True] * 9

# %%
# To find the right spelling, compare with what there is, without capitals:


def nearest(module, name):
    """Return the name in a module that is most like this one."""
    names = {each.lower(): each for each in dir(module) if each[0] != "_"}
    found = difflib.get_close_matches(name.lower(), names, n=1)
    return names[found[0]] if found else None


print(nearest(torch.optim, "RMSProp"), nearest(nn, "Conv2D"))
print(nearest(torch, "ChartTensor"), nearest(nn, "bananas"))

assert nearest(torch.optim, "RMSProp") == "RMSprop"
assert nearest(nn, "Conv2D") == "Conv2d" and nearest(nn, "bananas") is None
assert nearest(torch, "ChartTensor") == "CharTensor"

# %%
# A layer is made, then called
# ----------------------------
#
# With capitals it is a class: ``nn.Softmax(dim=1)`` makes a layer, which then
# takes the tensor. The function, in lowercase in `torch.nn.functional` or
# `torch`, takes the tensor at once. Mostly both compute the same. Not here:
# `torch.nn.Flatten` spares the batch, `torch.flatten` does not.

batch = torch.arange(24.0).reshape(3, 4, 2)
by_layer, by_function = nn.Softmax(dim=1)(batch), F.softmax(batch, dim=1)
print("softmax, the same:", torch.equal(by_layer, by_function))
print("nn.Flatten:", tuple(nn.Flatten()(batch).shape), end="; ")
print("torch.flatten:", tuple(torch.flatten(batch).shape))
both = torch.cat([batch, batch], dim=0)  # no method: it has many tensors
print("torch.cat:", tuple(both.shape))

assert torch.equal(by_layer, by_function)
assert nn.Flatten()(batch).shape == (3, 8) and both.shape == (6, 4, 2)
assert torch.flatten(batch).shape == (24,)

# %%
# Attributes and methods
# ----------------------
#
# An attribute is there without parentheses.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``.grad()`` is called. ``grad`` is an attribute: a tensor,
#    or None before the first ``backward()``.

x = torch.tensor([5.0], requires_grad=True)
before = x.grad
(3 * x**2).backward()
try:
    x.grad()
except TypeError as error:
    print(error)
    assert "not callable" in str(error)
else:
    raise AssertionError("a tensor must not be callable")
print(before, x.grad)

assert before is None and x.grad.item() == 2 * 3 * 5

# %%
# ``children()`` and ``modules()`` are methods. They manage nothing, they list:
# the parts of a model, or the model with the parts of its parts.
#
# .. alt: A tree. The model at the top holds a Sequential and a Linear, in
#    orange: its children. The Sequential holds a Linear and a ReLU, in blue.
#    Model and all the others together are its modules.

inner = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
model = nn.Sequential(inner, nn.Linear(8, 2))
children, modules = list(model.children()), list(model.modules())
places = {model: (1.5, 2), inner: (0.8, 1), model[1]: (2.4, 1)}
places |= {inner[0]: (0.3, 0), inner[1]: (1.3, 0)}

fig, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
for part, (across, up) in places.items():
    for child in part.children():
        left, down = places[child]
        ax.plot([across, left], [up, down], color="#6b7280", zorder=1)
    color = PALETTE[1] if part in children else PALETTE[0]
    box = {"fc": color, "ec": "#6b7280", "pad": 5}
    name = "model" if part is model else type(part).__name__
    ax.text(across, up, name, ha="center", va="center", bbox=box, c="#1a1a1a")
ax.axis([-0.2, 3, -0.4, 2.4])
ax.axis("off")
show_pictures()

assert len(children) == 2 and children == [inner, model[1]]
assert len(modules) == 5 and set(modules) == set(places)
assert modules[0] is model and not hasattr(model, "Modules")

# %%
# What old names do today
# -----------------------
#
# Other names were right once. To see what an old name does today, run it, and
# watch for warnings and errors.

a, b = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.zeros(2, 2)
names = {"a": a, "b": b, "loss": torch.tensor(1.5), "torch": torch, "nn": nn}
names |= {"F": F, "Variable": Variable}
names |= {"models": models, "transforms": transforms}


def today(code):
    """Run an expression; return what became of it, and its result."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = eval(code, names)
        except (AttributeError, IndexError, RuntimeError) as error:
            return "gone", str(error)
        else:
            return ("warns" if caught else "works"), result


print(today("transforms.Scale(8)"))

assert today("transforms.Scale(8)")[0] == "gone"
assert "has no attribute 'Scale'" in today("transforms.Scale(8)")[1]
assert today("loss.item()") == ("works", 1.5)

# %%
# A dozen old names, each with what took its place. The new ones all work:

OLD_AND_NEW = {
    "Variable(a)": "a",
    "a.data": "a.detach()",
    "torch.FloatTensor([1, 2])": "torch.tensor([1.0, 2.0])",
    "F.sigmoid(a)": "torch.sigmoid(a)",
    "F.softmax(a)": "F.softmax(a, dim=1)",
    "nn.init.constant(b, 1)": "nn.init.constant_(b, 1)",
    "F.upsample(a[None], size=4)": "F.interpolate(a[None], size=4)",
    "F.l1_loss(a, b, size_average=False)": "F.l1_loss(a, b, reduction='sum')",
    "models.resnet18(pretrained=False)": "models.resnet18(weights=None)",
    "loss.data[0]": "loss.item()",
    "torch.symeig(a)": "torch.linalg.eigh(a)",
    "transforms.Scale(8)": "transforms.Resize(8)",
}
new_outcomes = {today(new)[0] for new in OLD_AND_NEW.values()}
print("new names:", new_outcomes)

assert new_outcomes == {"works"} and len(OLD_AND_NEW) == 12

# %%
# What does the old name do, here above the new one? Where it still works, both
# give the same.

outcomes = []
for old, new in OLD_AND_NEW.items():
    (outcome, old_result), (_, new_result) = today(old), today(new)
    outcomes.append(outcome)
    print(f"{outcome:6} {old}\n       {new}")
    if isinstance(old_result, torch.Tensor):
        assert torch.equal(old_result, new_result)

assert outcomes == ["works"] * 4 + ["warns"] * 5 + ["gone"] * 3

# %%
# Code, and what it printed
# -------------------------
#
# A listing from a notebook holds prompts, indents and results, and does not
# run as it stands. Without the indent, Python objects to line 4 alone: it
# takes ``In [3]: x`` for a variable with a type. Keep the lines with a prompt.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Statements and their output stand in one block, with prompts
#    left over. Text indented by four spaces passes for code,
#    and lists count 1, 1, 1. The conversion did that; PyTorch has no
#    part in it.

listing = """
    In [3]: x = torch.zeros(4, 4)
    In [10]: print(x.shape, x.view(2, 8).shape)
    torch.Size([4, 4]) torch.Size([2, 8])
"""
for text in (listing, textwrap.dedent(listing)):
    try:
        compile(text, "listing", "exec")
    except SyntaxError as error:
        print(f"line {error.lineno}: {error.msg}")
        refused_at = error.lineno
    else:
        raise AssertionError("a result must not pass for code")
code = "\n".join(re.findall(r"In \[\d+\]: (.*)", listing))
print(code)

exec(code)

assert refused_at == 4
assert code.splitlines()[0] == "x = torch.zeros(4, 4)"
assert x.shape == (4, 4) and x.view(2, 8).shape == (2, 8)

# %%
# A link to a version
# -------------------
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Links lead to the documentation of release 1.9.1. What you
#    read there may be gone. ``stable`` is always the newest.


def current(link):
    """Return a link to the same page for the newest release."""
    page = re.sub(r"^https://[^/]+/docs/[\d.]+/", "", link)
    return f"https://docs.pytorch.org/docs/stable/{page}"


old_link = "https://pytorch.org/docs/1.9.1/generated/torch.nn.Conv2d.html"
print(current(old_link))

release = tuple(int(part) for part in torch.__version__.split(".")[:2])
assert release > (1, 9)
assert current(old_link).endswith(
    "/docs/stable/generated/torch.nn.Conv2d.html"
)

# %%
# What you learned
# ----------------
#
# Ask ``hasattr`` whether a name is there and ``difflib`` for one like it. A
# class has capitals and is called twice, a function is called once, an
# attribute never. Read warnings: they name what comes next.
#
# Old names of types are in :ref:`dtypes`. What ``weights`` says in place of
# ``pretrained``: :ref:`models_and_weights`. Next:
# :ref:`watch_training`.
