"""Runs of `fit` that come out the same in one process and in several.

`test_training_processes.py` starts this file under ``torchrun``, with a folder for the
results of each process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from snippets.checkpointing import Checkpoint
from snippets.data import ArrayDataset, make_loader
from snippets.training import accuracy, evaluate, fit

ROWS, BATCH, EPOCHS = 33, 8, 3
INPUTS = torch.randn(
    ROWS, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
)
TARGETS = INPUTS[:, :3].argmax(dim=1)
PROCESSES = 2


class Branching(nn.Module):
    """A network with a layer that takes part in no forward pass."""

    def __init__(self, normed=False):
        super().__init__()
        norm = nn.BatchNorm1d(4, dtype=torch.float64)
        self.norm = norm if normed else nn.Identity()
        self.used = nn.Linear(4, 3, dtype=torch.float64)
        self.unused = nn.Linear(4, 3, dtype=torch.float64)

    def forward(self, inputs):
        return self.used(self.norm(inputs))


def in_memory(rows=ROWS):
    """Return a loader whose last batch has one row, so that a process gets none."""
    dataset = ArrayDataset(INPUTS[:rows], TARGETS[:rows])
    return make_loader(dataset, batch_size=BATCH, shuffle=True, seed=3)


class WholeBatches:
    """In one process, the batches of which `DistributedSampler` gives out shares."""

    def __init__(self):
        self.epoch = 0
        self.sampler = self

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        for rows in torch.randperm(32, generator=generator).split(BATCH):
            yield INPUTS[rows], TARGETS[rows]


def sampled():
    """Return the usual loader of a process: a DataLoader with its own share."""
    if not dist.is_initialized():
        return WholeBatches()
    dataset = TensorDataset(INPUTS[:32], TARGETS[:32])
    sampler = DistributedSampler(dataset, seed=0)
    return DataLoader(dataset, BATCH // PROCESSES, sampler=sampler)


class Shares:
    """Batches of which the second has one row, so that a process has none of it."""

    def __iter__(self):
        rank, size = 0, 1
        if dist.is_initialized():
            rank, size = dist.get_rank(), dist.get_world_size()
        for rows in torch.arange(ROWS).split([8, 1, 8, 16]):
            mine = rows[rank::size]
            yield INPUTS[mine], TARGETS[mine]


def train(loader, *, loss_fn=None, wrap=False, seed=0, normed=False, **options):
    """Return the trained weights, the history, and what `evaluate` measures."""
    torch.manual_seed(seed)
    model = Branching(normed)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01
    )
    if wrap and dist.is_initialized():
        trained = DistributedDataParallel(model, find_unused_parameters=True)
    else:
        trained = model
    loss_fn = loss_fn or nn.CrossEntropyLoss()
    metrics = {"accuracy": accuracy}
    options = {"epochs": EPOCHS, "val_loader": in_memory(), **options}
    history = fit(trained, loader, loss_fn, optimizer, metrics=metrics, **options)
    measured = evaluate(model, in_memory(), loss_fn, metrics=metrics)
    return model.state_dict(), list(history), measured


def killed_and_resumed(folder):
    """Train with a break in the middle of an epoch."""
    checkpoint = Checkpoint(folder / "run.pt", every_steps=1)
    steps = []

    def on_step_end():
        steps.append(1)
        if len(steps) == 8:
            raise InterruptedError

    try:
        train(in_memory(), checkpoint=checkpoint, on_step_end=on_step_end)
    except InterruptedError:
        if dist.is_initialized():
            dist.barrier()  # the one that writes has written
        return train(in_memory(), checkpoint=checkpoint, seed=9)
    raise AssertionError("nothing stopped it")


def all_runs(folder):
    """Return every result by name."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    return {
        "shares of each batch": train(in_memory()),
        "one process has no row": train(in_memory(), accumulate=1, epochs=1),
        "accumulated": train(in_memory(), accumulate=2),
        "clipped": train(in_memory(), clip_grad_norm=0.1),
        "sum": train(in_memory(), loss_fn=nn.CrossEntropyLoss(reduction="sum")),
        "sampler": train(sampled()),
        "DistributedDataParallel": train(
            in_memory(32), wrap=True, checkpoint=Checkpoint(folder / "parallel.pt")
        ),
        "other weights at the start": train(in_memory(), seed=rank),
        "resumed": killed_and_resumed(folder),
        "no row in between": train(Shares(), val_loader=Shares()),
        "no row of several": train(Shares(), accumulate=3),
        "running statistics": train(in_memory(32), normed=True),
    }


def main():
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    results = all_runs(folder)
    torch.save(results, folder / f"rank{dist.get_rank()}.pt")
    dist.barrier()  # torch aborts now and then where one leaves long before the other
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # and where its threads are not done when Python ends


if __name__ == "__main__":
    main()
