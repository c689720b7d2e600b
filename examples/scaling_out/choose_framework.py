r"""
.. _choose_framework:

Decide whether you need a framework
===================================

Accelerate, Lightning, Ray Train, DeepSpeed: does my training need one of them?
After this page you can compute from sizes what a training has to hold, read
from that which kind of parallel training it takes, and name what each
framework would add to the loop that you have.

.. concepts: A19
"""

import math

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import show_pictures

# %%
# Bytes for each parameter
# ------------------------
#
# The first question is not which framework, but whether the model fits. Each
# parameter takes 4 bytes in float32, its gradient 4 more, and the optimizer
# has its own numbers. They can be counted after one step:


def bytes_held(optimizer_class, **options):
    """Return how many bytes one step leaves in memory for each parameter."""
    model = nn.Linear(512, 512)
    parameters = list(model.parameters())
    optimizer = optimizer_class(parameters, lr=0.1, **options)
    model(torch.ones(4, 512)).sum().backward()
    optimizer.step()
    held = [*parameters, *(p.grad for p in parameters)]
    for state in optimizer.state.values():
        held += [value for value in state.values() if torch.is_tensor(value)]
    numbers = sum(p.numel() for p in parameters)
    return round(sum(tensor.nbytes for tensor in held) / numbers)


sizes = {
    "SGD": bytes_held(torch.optim.SGD),
    "SGD with momentum": bytes_held(torch.optim.SGD, momentum=0.9),
    "AdamW": bytes_held(torch.optim.AdamW),
}
print(sizes)

assert list(sizes.values()) == [8, 12, 16]

# %%
# Bytes for each row
# ------------------
#
# What the forward pass saves for ``backward()`` comes on top, and it grows
# with the batch. `torch.autograd.graph.saved_tensors_hooks` sees every tensor
# that is saved:


def bytes_saved(rows):
    """Return the bytes saved for the backward pass, weights left out."""
    model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512))
    weights = {p.data_ptr() for p in model.parameters()}
    saved = {}

    def note(tensor):
        saved[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(torch.ones(rows, 512))
    return sum(size for at, size in saved.items() if at not in weights)


saved = {rows: bytes_saved(rows) for rows in (32, 64)}
print(saved)

# Two layers, 512 numbers a row, 4 bytes each.
assert saved == {32: 32 * 2 * 512 * 4, 64: 64 * 2 * 512 * 4}

# %%
# So memory is 16 bytes for each parameter with AdamW, and room for the rows.
# Rows can be cut: by a smaller batch with :ref:`clip_accumulate`. The 16 bytes
# cannot, as long as all weights are trained in float32.
#
# From sizes to a plan
# --------------------
#
# On the device ``meta``, a layer of any size takes no memory, but it can be
# counted. Here are four transformers:


def transformer(width, layers):
    """Return the number of parameters, embeddings left out."""
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(width, 8, 4 * width)
    return layers * sum(p.numel() for p in layer.parameters())


shapes = [(512, 6), (2048, 24), (4096, 32), (8192, 80)]
counts = [transformer(*shape) for shape in shapes]
millions = [count / 1e6 for count in counts]
gigabytes = [16 * count / 1e9 for count in counts]
for count, size in zip(millions, gigabytes, strict=True):
    print(f"{count:6.0f} million parameters: {size:6.1f} GB")

assert [round(count) for count in millions] == [19, 1209, 6444, 64433]
assert [round(size, 1) for size in gigabytes] == [0.3, 19.3, 103.1, 1030.9]

# %%
# .. alt: Gigabytes of a training against parameters, both on logarithmic axes.
#    Four points lie on a rising line. One is far below the dotted line of a
#    GPU with 24 GB, one just below it, one above that of 80 GB, and the last
#    above that of 8 times 80 GB.

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.loglog(counts, gigabytes, "o-", label="training with AdamW")
for memory, style in ((24, ":"), (80, "--"), (8 * 80, "-.")):
    name = f"{memory} GB"
    ax.axhline(memory, color="gray", linestyle=style, label=name)
ax.set(xlabel="parameters", ylabel="gigabytes")
ax.legend(fontsize=10)
show_pictures()

assert gigabytes[1] < 24 < 80 < gigabytes[2] < 640 < gigabytes[3]

# %%
# The plan follows from the numbers. A part of each GPU is kept free for the
# rows, here 30 %.


def plan(parameters, gpus, memory):
    """Say which training fits on some GPUs with so many gigabytes each."""
    needed, room = 16 * parameters / 1e9, 0.7 * memory
    least = math.ceil(needed / room)
    if least == 1:
        return "one process" if gpus == 1 else "copies"
    return "shards" if least <= gpus else f"needs {least}"


machines = [(1, 24), (8, 24), (8, 80)]
names = [f"{gpus} x {memory} GB" for gpus, memory in machines]
print("parameters   " + "".join(f"{name:>13}" for name in names))
plans = [[plan(count, *machine) for machine in machines] for count in counts]
for count, row in zip(millions, plans, strict=True):
    print(f"{count:5.0f} million" + "".join(f"{x:>13}" for x in row))

assert names == ["1 x 24 GB", "8 x 24 GB", "8 x 80 GB"]
assert plans[0] == ["one process", "copies", "copies"]
assert plans[1] == ["needs 2", "shards", "copies"]
assert plans[2:] == [
    ["needs 7", *["shards"] * 2],
    ["needs 62"] * 2 + ["needs 19"],
]

# %%
# Copies are :ref:`two_processes`, shards are :ref:`shard_parameters`, and both
# are torch alone. A framework starts the same for you, and some can keep a
# part of the bytes outside of the GPUs.
#
# What a framework adds
# ---------------------
#
# None of the following code is run here, because none of the four is installed
# where this site is built.
#
# **Accelerate** keeps your loop and takes over devices and processes. How many
# there are, and copies or shards, is set when it is launched.
#
# .. code-block:: python
#
#    accelerator = Accelerator()
#    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
#    for x, y in loader:
#        optimizer.zero_grad()
#        accelerator.backward(loss_fn(model(x), y))
#        optimizer.step()
#
# **Lightning** has the loop ready, with callbacks and loggers around it. You
# write the step as a class.
#
# .. code-block:: python
#
#    class Task(lightning.LightningModule):
#        def __init__(self):
#            super().__init__()
#            self.model = network()
#
#        def training_step(self, batch, number):
#            x, y = batch
#            return loss_fn(self.model(x), y)
#
#        def configure_optimizers(self):
#            return torch.optim.AdamW(self.parameters())
#
#    lightning.Trainer(max_epochs=3, devices=2).fit(Task(), loader)
#
# **Ray Train** runs your function on the machines of a Ray cluster, starts it
# anew where one fails, and works with Ray's search for hyperparameters.
#
# .. code-block:: python
#
#    TorchTrainer(
#        train,
#        scaling_config=ScalingConfig(num_workers=16, use_gpu=True),
#        run_config=RunConfig(failure_config=FailureConfig(max_failures=3)),
#    ).fit()
#
# **DeepSpeed** shards as FSDP2 does, and can keep the optimizer's numbers in
# the memory of the machine or on its disks.
#
# .. code-block:: python
#
#    offload = {"device": "nvme", "nvme_path": "/fast"}
#    zero = {"stage": 3, "offload_optimizer": offload}
#    engine, *_ = deepspeed.initialize(
#        model=model,
#        model_parameters=model.parameters(),
#        config=config | {"zero_optimization": zero},
#    )
#    for x, y in loader:
#        engine.backward(loss_fn(engine(x), y))
#        engine.step()
#
# From needs to a name
# --------------------
#
# Write down what you need. The first line that has all of it will do.

ADDS = {
    "torch alone": {"copies", "shards", "restarts"},
    "Accelerate": {"settings at launch", "trackers"},
    "Lightning": {"ready loop", "callbacks", "trackers"},
    "Ray Train": {"cluster", "search"},
    "DeepSpeed": {"optimizer on disk"},
}


def choose(*needs):
    """Return the first that has everything needed beyond torch itself."""
    beyond = set(needs) - ADDS["torch alone"]
    fitting = [name for name, adds in ADDS.items() if beyond <= adds]
    return fitting[0] if fitting else "a combination"


assert choose() == "torch alone"
assert choose("trackers") == "Accelerate"

# %%
# Six trainings and what they need:

stories = [
    ("shards", "restarts"),
    ("shards", "settings at launch"),
    ("copies", "callbacks"),
    ("cluster", "search"),
    ("shards", "optimizer on disk"),
    ("callbacks", "optimizer on disk"),
]
chosen = [choose(*needs) for needs in stories]
for needs, name in zip(stories, chosen, strict=True):
    print(f"{' and '.join(needs)}: {name}")

assert chosen == [*ADDS, "a combination"]

# %%
# The last one exists: Lightning can drive DeepSpeed, as Accelerate can, and
# Ray Train can run each of them on a cluster.
#
# What you learned
# ----------------
#
# A training with AdamW holds 16 bytes for each parameter, and more for the
# rows. That number, with the GPUs that you have, decides between one process,
# copies and shards. A framework is chosen for what stands around the loop.
# Start without one.
#
# What each costs in time, where networks are small, is measured in
# :doc:`/benchmarks`. To need less, train fewer weights:
# :ref:`low_rank_adapters`.
