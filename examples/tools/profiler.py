r"""
.. _profiler:

Find the slow step with the profiler
====================================

An epoch takes longer than it should: which line is to blame, and how does one
know before rewriting the wrong one? After this page you can label the steps of
a loop, count every operation inside of them, prove that a repair has helped,
and open a trace of the run in the browser.

.. concepts: A13
"""

import json
import shutil
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from snippets.drawing import PALETTE, show_pictures

# %%
# A loop with a slow step
# -----------------------
#
# A network learns 1536 handwritten digits in six batches, and counts its right
# answers. Two `torch.profiler.record_function` blocks give the halves of a
# step a name. They cost next to nothing, so they can stay.

digits = load_digits()
pixels = torch.tensor(digits.data[:1536] / 16, dtype=torch.float32)
labels = torch.tensor(digits.target[:1536])
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)


def epoch(count_right, after_step=lambda: None):
    """Learn all digits once, and return the part that was answered right."""
    right = 0
    for x, y in zip(pixels.split(256), labels.split(256), strict=True):
        with record_function("learn"):
            optimizer.zero_grad()
            outputs = model(x)  # (256, 10)
            F.cross_entropy(outputs, y).backward()
            optimizer.step()
        with record_function("count"):
            right += count_right(outputs.argmax(dim=1), y)
        after_step()
    return right / len(pixels)


assert pixels.shape == (1536, 64) and labels.shape == (1536,)

# %%
# Right answers are counted as one would in plain Python: digit by digit. What
# takes the time? One might bet on *learn*, with its network, gradients and
# optimizer.


def one_by_one(guesses, labels):
    """Count the right answers."""
    right = 0
    for guess, label in zip(guesses, labels, strict=True):
        right += (guess == label).item()
    return right


parts = [epoch(one_by_one) for _ in range(20)]
first, last = parts[0], parts[-1]
print(f"right in the epochs 1 and 20: {first:.0%} and {last:.0%}")

assert first < 0.5 and last > 0.9 and pixels.max() == 1

# %%
# Ask the profiler
# ----------------
#
# `torch.profiler.profile` notes each operation, with its name, begin and end.
# Its ``key_averages()`` sums them up by name. The first epoch,
# which loads code and reserves memory, ran above: measure a later one.


def profiled(count_right, **options):
    """Return the profile of an epoch."""
    with profile(activities=[ProfilerActivity.CPU], **options) as prof:
        epoch(count_right)
    return prof


def calls(prof):
    """Return how often each operation was called."""
    return {row.key: row.count for row in prof.key_averages()}


before = profiled(one_by_one)
for name in ("learn", "aten::addmm", "count", "aten::eq", "aten::item"):
    print(f"{name:12}{calls(before)[name]:5} calls")

found = calls(before)
assert found["learn"] == found["count"] == 6  # batches
assert found["aten::addmm"] == 6 * 2  # two layers
assert found["aten::eq"] == found["aten::item"] == 1536

# %%
# The network is not to blame
# ---------------------------
#
# Two layers and six batches make 12 matrix products. But there are 1536
# comparisons, and 1536 times a number is taken out of a tensor. To see times,
# print ``before.key_averages().table(sort_by="self_cpu_time_total")``. *CPU
# total* is the time of a call, *self CPU* leaves out the operations inside of
# it. Times differ from run to run, so this page prints only what follows.


def milliseconds(prof, label):
    """Return the time of the fastest of the blocks with a label."""
    spans = [event for event in prof.events() if event.name == label]
    return min(span.cpu_time_total for span in spans) / 1000


ratio = milliseconds(before, "count") / milliseconds(before, "learn")
longer = ratio > 1
print("counting takes longer than learning:", longer)

assert longer and ratio > 1.2

# %%
# The repair
# ----------
#
# Compare all 256 in one operation, and take one number out of the sum.


def at_once(guesses, labels):
    """Count the right answers."""
    return (guesses == labels).sum().item()


after = profiled(at_once)
rest = calls(after)
for name in ("aten::addmm", "aten::eq", "aten::item"):
    print(f"{name:12}{found[name]:5} calls before,{rest[name]:3} after")

assert rest["aten::addmm"] == found["aten::addmm"] == 12
assert rest["aten::eq"] == rest["aten::item"] == 6

# %%
# Operations call others: ``aten::linear`` calls ``aten::addmm``. With all of
# them counted, a step to learn has 110. To count took sixteen times as many.
#
# .. alt: Bars of the operations in a step. Before the repair there are 110 to
#    learn and 1796 to count. After it there are 110 to learn and 12 to count,
#    a bar too short to see.


def inside(event):
    """Return how many operations ran inside of another."""
    return sum(1 + inside(child) for child in event.cpu_children)


names = ["learn", "count", "learn", "count, repaired"]
steps = [
    [event for event in prof.events() if event.name in names][:2]
    for prof in (before, after)
]
sizes = [inside(event) for step in steps for event in step]
fig, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
bars = ax.barh(range(4), sizes, color=PALETTE[:2])
ax.bar_label(bars, padding=4)
ax.set(xlabel="operations in a step", xlim=(0, 2100))
ax.set_yticks(range(4), names)
ax.invert_yaxis()
show_pictures()

assert [event.name for step in steps for event in step] == names[:2] * 2
assert sizes[0] == sizes[2] > 5 * sizes[3] and 90 < sizes[0] < 130
assert 15 * sizes[0] < sizes[1] < 18 * sizes[0]

# %%
# Measure without the profiler
# ----------------------------
#
# The profiler takes some time for each operation, so it makes many small ones
# look worse than they are. The proof of a repair is a clock. Let both take
# turns, several times, and compare the fastest of each: whatever else the
# machine does can only add to a time.


def seconds(function, *arguments):
    """Return how long a call takes."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


guesses = model(pixels).argmax(dim=1)
right = [count(guesses, labels) for count in (one_by_one, at_once)]
rounds = [
    [seconds(epoch, one_by_one), seconds(epoch, at_once)] for _ in range(10)
]
slow, fast = (min(column) for column in zip(*rounds, strict=True))
same, faster = right[0] == right[1], slow / fast > 1.5
print("the same count:", same)
print("the epoch is 1.5 times as fast, or more:", faster)
slower = seconds(profiled, one_by_one) > slow
print("slower under the profiler:", slower)

assert same and faster and slower and right[1] > 0.9 * 1536

# %%
# Which layer is it?
# ------------------
#
# ``record_shapes=True`` notes the shapes of the arguments, and so tells calls
# of the same name apart: here the two layers.

shaped = profiled(at_once, record_shapes=True)
layers = [
    (row.input_shapes[:3], row.count)
    for row in shaped.key_averages(group_by_input_shape=True)
    if row.key == "aten::addmm"
]
for (bias, batch, weight), count in sorted(layers):
    print(f"{count} times {batch} @ {weight} + {bias}")

first, second = ([64], [256, 64], [64, 64]), ([10], [256, 64], [64, 10])
assert sorted(layers) == [(list(second), 6), (list(first), 6)]

# %%
# A few steps of a long run
# -------------------------
#
# A whole training would fill the memory with notes. `torch.profiler.schedule`
# picks steps: here it waits for two, warms up in one, whose notes are thrown
# away, and keeps the next two. The loop tells it where a step ends, by
# `torch.profiler.profile.step`.

kept = []
with profile(
    activities=[ProfilerActivity.CPU],
    schedule=schedule(wait=2, warmup=1, active=2, repeat=1),
    on_trace_ready=lambda prof: kept.append(calls(prof)),
) as prof:
    epoch(at_once, after_step=prof.step)
print(len(kept), "profile of", kept[0]["learn"], "steps out of 6")

assert len(kept) == 1 and kept[0]["learn"] == kept[0]["count"] == 2
assert prof.step_num == 6

# %%
# Look at the trace
# -----------------
#
# A trace shows each operation at its time. ``export_chrome_trace()`` writes it
# into a file. Drag the file onto `ui.perfetto.dev
# <https://ui.perfetto.dev>`__, which reads it inside of your browser, or open
# it in Chrome at ``chrome://tracing``.

folder = Path(tempfile.mkdtemp())
after.export_chrome_trace(str(folder / "epoch.json"))
trace = json.loads((folder / "epoch.json").read_text("utf-8"))
shutil.rmtree(folder)
spans = [event for event in trace["traceEvents"] if "dur" in event]
names = [span["name"] for span in spans]
print(
    names.count("learn"), "spans to learn,", names.count("count"), "to count"
)

assert names.count("learn") == names.count("count") == 6
assert names.count("aten::eq") == 6 and not folder.exists()

# %%
# In a trace, what lies below a box ran inside of it, and width is time. Times
# change, so the picture here gives each operation one unit, and room for those
# inside of it.


def boxes(event, left, depth=0):
    """Yield the name and the place of an operation and of those inside."""
    yield event.name, left, depth, 1 + inside(event)
    left += 1
    for child in event.cpu_children:
        yield from boxes(child, left, depth + 1)
        left += 1 + inside(child)


learn, count = steps[1]
drawn = [*boxes(learn, 0), *boxes(count, 1 + inside(learn))]
begins = {name: left for name, left, _, _ in reversed(drawn)}
print(len(drawn), "boxes")

assert len(drawn) == 1 + sizes[2] + 1 + sizes[3] and begins["learn"] == 0
assert begins["count"] == 1 + sizes[2] and drawn[-1][1] == len(drawn) - 1

# %%
# One step after the repair:
#
# .. alt: Nested boxes of one step. In the top row there is a wide box, learn,
#    and a small one, count. Below learn lies first the forward part, then the
#    backward part, twice as wide, and at the end the step of the optimizer.
#    Each is cut into smaller boxes, up to six rows deep.

fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
for name, left, depth, width in drawn:
    color = PALETTE[depth % len(PALETTE)]
    ax.barh(-depth, width, 1, left, align="edge", color=color)
    ax.plot([left, left], [-depth, 1 - depth], "#1a1a1a", linewidth=0.5)
    if depth == 0:
        ax.text(left + 1, 0.5, name, va="center", color="#1a1a1a")
parts = ["aten::linear", "aten::ones_like", "Optimizer.step#SGD.step"]
places = [begins[part] for part in parts]
ax.set_xticks(places, ["forward", "backward", "step"], ha="left")
ax.set_yticks([])
ax.set_xlim(0, len(drawn))
show_pictures()

assert 0 < places[0] < places[1] < places[2] < begins["count"]

# %%
# On a GPU
# --------
#
# Add ``ProfilerActivity.CUDA`` to the activities. There, Python only starts
# the operations; they run later. `torch.Tensor.item` waits for all of them, so
# it looks slow where others do the work. Before you read a clock, call
# `torch.accelerator.synchronize`.
#
# What you learned
# ----------------
#
# Name the steps with ``record_function``, profile a later epoch, and look at
# the number of calls first. Repair one thing, check that the result is the
# same, and measure without the profiler.
#
# Next: :ref:`compile` puts many small operations together. A loader that is
# too slow is on :ref:`write_dataset` and :ref:`data_loader`, curves are on
# :ref:`watch_training`.
