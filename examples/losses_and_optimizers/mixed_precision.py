r"""
.. _mixed_precision:

Train with half the bits
========================

Would half the bits for each number not do, and save half the memory? After
this page you can choose between float16 and bfloat16, let autocast pick a
dtype for each operation, say when gradients need a scaler and when not, and
write a training step that does all of this on any device.

.. concepts: N07
.. claims: c2-20 c2-21 c3-100 c3-26
"""

import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from snippets.devices import best_device
from snippets.drawing import show_pictures

# %%
# Two ways to spend 16 bits
# -------------------------
#
# `torch.finfo` knows the limits of a dtype. float16 ends at 65504. bfloat16
# reaches as far as float32, but the next number after 1 is 1.0078.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    float16 is for GPUs and mixed precision. The CPU computes in
#    it too. What matters more: 70000 is infinity in it.

dtypes = torch.float32, torch.float16, torch.bfloat16
limits = {str(dtype)[6:]: torch.finfo(dtype) for dtype in dtypes}
print("          bytes  largest   step after 1")
rows = {}
for name, info in limits.items():
    rows[name] = f"{info.bits // 8:>5}  {info.max:.2e}  {info.eps:.1e}"
    print(f"{name:<9} {rows[name]}")
large = torch.tensor(70000.0)
print(large.half(), large.bfloat16())

assert rows["float32"].split() == ["4", "3.40e+38", "1.2e-07"]
assert rows["float16"].split() == ["2", "6.55e+04", "9.8e-04"]
assert rows["bfloat16"].split() == ["2", "3.39e+38", "7.8e-03"]
assert limits["float16"].max == 65504 and limits["bfloat16"].eps == 2**-7
assert large.half().isinf() and large.bfloat16() == 70144
ones = torch.ones(2, 2).half()
assert (ones @ ones).dtype == ones.dtype == torch.float16

# %%
# A dtype for each operation
# --------------------------
#
# Inside `torch.autocast`, matrix products run in the low dtype and losses in
# float32; most other operations take what they get. Softmax depends on the
# device: on the CPU it stays low, on a GPU it is float32.

device = best_device()
layer = nn.Linear(4, 3).to(device)
x = torch.ones(8, 4, device=device)
labels = torch.zeros(8, dtype=torch.int64, device=device)

table = {}
with torch.autocast(device.type, dtype=torch.bfloat16):
    out = layer(x)
    table["layer(x)"] = out.dtype
    table["relu"] = F.relu(out).dtype
    table["softmax"] = F.softmax(out, dim=1).dtype
    table["cross entropy"] = F.cross_entropy(out, labels).dtype
    table["out + float32"] = (out + torch.ones(3, device=device)).dtype
for name, dtype in table.items():
    print(f"{name:<14} {dtype}")

low, full = torch.bfloat16, torch.float32
softmax = low if device.type == "cpu" else full
assert list(table.values()) == [low, low, softmax, full, full]

# %%
# What stays in float32
# ---------------------
#
# The parameters, and so their gradients. Autocast makes low copies for the
# products. Memory is saved on the results that layers keep for ``backward``.
# Do not convert the model itself: small updates would be rounded away.

with torch.autocast(device.type, dtype=torch.bfloat16):
    loss = F.cross_entropy(layer(x), labels)
loss.backward()  # outside: it uses the dtypes of the forward pass
print(layer.weight.dtype, layer.weight.grad.dtype)
print("bytes per result:", out.element_size())

weight = torch.ones(3, dtype=torch.float16)
weight -= 0.0001
print(weight)

assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32
assert out.element_size() == 2 and layer.weight.element_size() == 4
assert weight.tolist() == [1, 1, 1]

# %%
# The kind of device, not the device
# ----------------------------------
#
# The first argument is ``device.type``, a string such as ``"cuda"``.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``str(device)`` is recommended. That may be ``"cuda:0"``,
#    which old releases refuse. Newer ones do not check it: without a GPU they
#    claim to be on, and nothing happens.

gpu = torch.device("cuda:0")
try:
    torch.autocast(gpu)
except ValueError as error:
    print(error)
    assert "`device_type` of type `str`" in str(error)
else:
    raise AssertionError("a torch.device must be refused")
claims = {}
for name in (gpu.type, str(gpu)):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "CUDA is not available"
        with torch.autocast(name):
            claims[name] = torch.is_autocast_enabled("cuda")
print(claims)

assert claims == {"cuda": torch.cuda.is_available(), "cuda:0": True}

# %%
# Without a ``dtype``, autocast takes bfloat16 on the CPU and float16 on CUDA.
# On the CPU either one works, and no third.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``dtype=torch.float16`` is given for any device. It does run
#    on the CPU, but training in it needs the scaler described below.

a = torch.ones(2, 2)
results = {}
for dtype in (None, torch.float16, torch.float64):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.autocast("cpu", dtype=dtype):
            used = (a @ a).dtype
    results[dtype] = used, len(caught)
    print(dtype, "->", used)
warning = str(caught[0].message).splitlines()[0]
print(warning)

assert results[None] == (torch.bfloat16, 0)
assert results[torch.float16] == (torch.float16, 0)
assert results[torch.float64] == (torch.float32, 1)  # a warning, and it is off
assert "dtype is not supported" in warning
assert torch.get_autocast_dtype("cuda") == torch.float16

# %%
# Gradients that become zero
# --------------------------
#
# Here a slope of 1e-8 becomes 0 in float16. Multiply the loss by a large
# *scale*, and every gradient is multiplied too, and fits. Divided by the scale
# in float32, it is back.

scale = 2.0**15


def slope(dtype, factor):
    """Return the gradient of a tiny loss, times a factor."""
    weight = torch.ones((), dtype=dtype, requires_grad=True)
    loss = weight * 1e-4 * 1e-4
    (loss * factor).backward()
    return weight.grad


lost = slope(torch.float16, 1)
scaled = slope(torch.float16, scale)
kept = slope(torch.bfloat16, 1)
back = scaled.float() / scale
print(f"float16:  {lost:.1e}, scaled {scaled:.1e}, divided {back:.1e}")
print(f"bfloat16: {kept:.1e}")

assert lost == 0 and scaled.isfinite()
tiny = {"rtol": 1e-2, "atol": 0}
assert torch.isclose(back, torch.tensor(1e-8), **tiny)
assert torch.isclose(kept.float(), torch.tensor(1e-8), **tiny)

# %%
# Of ten thousand made-up gradients, those in the gray zone become 0. The
# dashed line is 65504. Scaling moves the whole heap between the two.
#
# .. alt: Two bell-shaped heaps on an axis of powers of ten. The unscaled one
#    lies around 1e-7 and a third of it is in the gray zone below 3e-8. The
#    scaled one lies around 3e-3, between the zone and 65504.

torch.manual_seed(0)
gradients = 10 ** (1.2 * torch.randn(10_000) - 7)
both = {"unscaled": gradients, "scaled": gradients * scale}

fig, ax = plt.subplots(figsize=(5.8, 2.8), layout="constrained")
zeros = {}
for name, values in both.items():
    zeros[name] = (values.half() == 0).float().mean().item()
    ax.hist(values.log10(), bins=60, label=name, alpha=0.8)
    print(f"{name:<9} {zeros[name]:.1%} become zero")
ax.axvspan(-12, torch.tensor(2.0**-25).log10(), color="gray", alpha=0.3)
ax.axvline(torch.tensor(65504.0).log10(), color="gray", linestyle="--")
ax.set(xlabel="power of ten", ylabel="gradients", xlim=(-12, 10))
ax.legend(frameon=False, loc="upper right")
show_pictures()

assert 0.3 < zeros["unscaled"] < 0.4 and zeros["scaled"] < 0.001
assert (both["scaled"].half().isfinite()).all()
assert (gradients.bfloat16() > 0).all()

# %%
# The scaler
# ----------
#
# `torch.amp.GradScaler` does this in training. Its ``step`` divides the
# gradients by the scale; if one of them is infinite, it skips the step, and
# ``update`` halves the scale. float16 needs it. bfloat16 does not: with
# ``enabled=False`` it passes everything through.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    "Optimizer Wrappers" is an empty heading, and `torch.optim`
#    has no such class. A scaler does go around an optimizer.

weight = nn.Parameter(torch.tensor([1.0, 1.0]))
optimizer = torch.optim.SGD([weight], lr=0.1)
scaler = torch.amp.GradScaler("cpu")
history = []
for target in (torch.tensor([3.0, 4.0]), torch.tensor([float("inf"), 4.0])):
    optimizer.zero_grad()
    scaler.scale((weight * target).sum()).backward()  # the gradient is target
    scaler.step(optimizer)
    scaler.update()
    history.append((weight.tolist(), scaler.get_scale()))
    print(weight.detach(), scaler.get_scale())

assert torch.allclose(weight, torch.tensor([1 - 0.3, 1 - 0.4]))
assert history[0][0] == history[1][0]
assert [scale for _, scale in history] == [2.0**16, 2.0**15]
off = torch.amp.GradScaler("cpu", enabled=False)
assert off.scale(loss) is loss and not hasattr(torch.optim, "OptimWrapper")

# %%
# Clip after ``unscale_``
# -----------------------
#
# After ``backward`` the gradients still contain the scale. Clipped now to a
# norm of 1 and then divided, next to nothing is left of them. ``unscale_``
# divides early, and ``step`` will not divide again.


def clipped(early):
    """Clip before or after unscaling; return where the step leads."""
    weight = nn.Parameter(torch.tensor([0.0, 0.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale((weight * torch.tensor([3.0, 4.0])).sum()).backward()
    if early:
        scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_([weight], max_norm=1.0)
    scaler.step(optimizer)
    return weight.detach()


wrong, right = clipped(early=False), clipped(early=True)
print(f"too early {wrong.norm():.6f}, unscaled {right.norm():.6f}")

assert torch.allclose(right, torch.tensor([-0.6, -0.8]))
assert torch.allclose(wrong * 2**16, right)

# %%
# Older code takes the scaler and autocast from ``cuda.amp``. That is
# deprecated.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    torch.cuda.amp.GradScaler(enabled=False)
print(caught[0].message)

assert len(caught) == 1 and caught[0].category is FutureWarning
assert "use `torch.amp.GradScaler('cuda', args...)`" in str(caught[0].message)

# %%
# The whole step
# --------------
#
# This loop is a template for any device. It learns whether a point lies in a
# circle. The scaler is on for float16, autocast for both low dtypes.

torch.manual_seed(0)
x = torch.randn(256, 2).to(device)
y = ((x**2).sum(dim=1) < 1.2).long()


def train(dtype, low):
    """Train, in a low precision if asked to, and return the accuracy."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.to(device).parameters(), lr=0.02)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    for _ in range(150):
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=dtype, enabled=low):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        scaler.step(optimizer)
        scaler.update()
    return (model(x).argmax(dim=1) == y).float().mean().item()


assert len(y) == 256 and torch.equal(y == 1, x.norm(dim=1) < 1.2**0.5)

# %%
# All three dtypes learn it. (20 seeds tried for each: 99 % or more.)

full = torch.float32
reached = {dtype: train(dtype, low=dtype != full) for dtype in dtypes}
for dtype, accuracy in reached.items():
    print(f"{dtype!s:<15} {accuracy:.1%}")

assert 0.95 < min(reached.values()) <= max(reached.values()) <= 1
assert list(reached) == list(dtypes) and x.min() < -1 and x.max() > 1

# %%
# What you learned
# ----------------
#
# Autocast around forward pass and loss, ``backward`` outside, parameters in
# float32. Prefer bfloat16 where the device has it; float16 needs a scaler, and
# ``unscale_`` before clipping. Nothing here promises speed: that comes from
# hardware with units for these dtypes, not from this CPU. Measure.
#
# Before this: :ref:`dtypes`, :ref:`devices` and :ref:`clip_accumulate`. The
# device line is `snippets.devices.best_device`, and
# `snippets.training.fit` takes ``autocast=``.
