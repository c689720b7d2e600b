r"""
.. _loader_workers:

Read ahead with worker processes
================================

With ``num_workers=2`` two processes read the data, so why is the loop often
slower than before, or does it fail on another computer? After this page you
can tell when workers pay, write datasets and scripts that start everywhere,
and keep random numbers different in each worker and the same in each run.

.. concepts: A20
"""

import multiprocessing
import pickle
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    get_worker_info,
)

from snippets.data import ArrayDataset, make_loader
from snippets.drawing import draw_tensor, show_pictures

# %%
# Batches are dealt out like cards
# --------------------------------
#
# Each worker process makes whole batches. Worker 0 gets the first, worker 1
# the second, and so on in turn. They come out in order. In a worker,
# `torch.utils.data.get_worker_info` tells which one it is; elsewhere it gives
# ``None``. Below, a color is a worker.
#
# .. alt: Two rows of six cells. Each column is a batch of two samples, 0 and
#    1, 2 and 3, up to 10 and 11. The columns have two colors in turn, one for
#    each worker.


class Reader(Dataset):
    reads = 0

    def __len__(self):
        return 12

    def __getitem__(self, index):
        self.reads += 1
        return index, get_worker_info().id if get_worker_info() else -1


def load(dataset, **options):
    """Return the batches of an epoch."""
    # Python 3.12 warns of a fork beside threads, torch of too few cores.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(DataLoader(dataset, batch_size=2, **options))


two = {"num_workers": 2, "multiprocessing_context": "fork"}
reader = Reader()
samples, workers = map(torch.stack, zip(*load(reader, **two), strict=True))
draw_tensor(samples.T, groups=workers.T, title="a column is a batch")
show_pictures()

assert samples.flatten().tolist() == list(range(12))
assert workers.tolist() == 3 * [[0, 0], [1, 1]]

# %%
# A worker has a copy of the dataset
# ----------------------------------
#
# What it changes there never comes back: a counter, a cache, a list of broken
# files. The dataset above was asked for 12 samples and has counted none.

with_workers = reader.reads
load(reader)
print("counted with workers:", with_workers, " without:", reader.reads)

assert (with_workers, reader.reads) == (0, 12)

# %%
# Copies of a stream are worse. A `torch.utils.data.IterableDataset` decides
# itself what comes next, so each worker reads everything, and each sample
# comes twice. Let each worker take its share.


class Stream(IterableDataset):
    def __iter__(self):
        yield from range(6)


class SharedStream(Stream):
    def __iter__(self):
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        for place, sample in enumerate(super().__iter__()):
            if place % step == first:
                yield sample


read = {}
for stream in (Stream(), SharedStream()):
    name = type(stream).__name__
    read[name] = torch.cat(load(stream, **two)).tolist()
    print(f"{name}: {read[name]}")

assert read["Stream"] == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5]
assert read["SharedStream"] == [0, 2, 1, 3, 4, 5]
assert torch.cat(load(SharedStream())).tolist() == [0, 1, 2, 3, 4, 5]

# %%
# When do they pay?
# -----------------
#
# Starting processes takes time, and so does handing over each batch. Rows that
# are in memory can be read faster than that:


def seconds(loader):
    """Return how long the faster of two epochs takes."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            list(loader)
        times.append(time.perf_counter() - start)
    return min(times)


rows = torch.rand(400, 8)
alone, helped = DataLoader(rows, 4), DataLoader(rows, 4, **two)
slower = seconds(helped) / seconds(alone) > 5
print("in memory, two workers take over five times as long:", slower)

assert slower

# %%
# Where one has to *wait* for a sample, on a slow disk or a network, two
# workers wait for two samples at the same time. ``persistent_workers=True``
# keeps the workers for the next epoch.


class Slow(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        start = time.monotonic()
        time.sleep(0.03)
        return start, time.monotonic()


def most_at_once(loader):
    """Return for how many samples it waited at the same time, at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spans = [torch.stack(batch, 1) for _ in range(2) for batch in loader]
    waits = torch.cat(spans).tolist()  # start and end
    return max(sum(a <= now < b for a, b in waits) for now, _ in waits)


loader = DataLoader(Slow(), 2, **two, persistent_workers=True)
most = most_at_once(DataLoader(Slow(), 2)), most_at_once(loader)
print("at once without workers: {}, with two: {}".format(*most))

assert most == (1, 2) and len(multiprocessing.active_children()) == 2
del loader  # and with it the two

# %%
# How a worker starts
# -------------------
#
# ``fork`` copies the running process. It is the rule on Linux up to Python
# 3.13. ``spawn``, on Windows and macOS, and ``forkserver``, on Linux since
# Python 3.14, begin with a fresh process, to which the dataset is sent as a
# *pickle*, Python's format for objects. A lambda cannot be sent; a function
# with a name can.


def can_be_sent(dataset):
    """Tell whether a dataset can be pickled."""
    try:
        pickle.dumps(dataset)
    except (AttributeError, TypeError, pickle.PicklingError):
        return False
    else:
        return True


sent = {}
for transform in (torch.relu, lambda x: x.relu()):
    dataset = ArrayDataset([1.0, 2.0], transform=transform)
    sent[transform.__name__] = can_be_sent(dataset)
print("can be sent:", sent)

assert sent == {"relu": True, "<lambda>": False}

# %%
# A fresh process also imports your script, to find the class of the dataset.
# If that started workers again, there would be no end, and Python stops it. So
# what starts them belongs below ``if __name__ == "__main__":``. This holds for
# any process: these two scripts do without PyTorch. (The page itself forks,
# since a page is not a script with such a guard.)

script = """
import multiprocessing
def work(): print("a worker runs")
context = multiprocessing.get_context("spawn")
"""
start = "context.Process(target=work).start()\n"
done = []
for last_line in (start, 'if __name__ == "__main__": ' + start):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.py")
        path.write_text(script + last_line)
        command = [sys.executable, str(path)]
        options = {"capture_output": True, "text": True, "timeout": 60}
        done.append(subprocess.run(command, **options))
words = " ".join(done[0].stderr.split()).partition("An attempt")
print("unguarded: An attempt" + words[2].partition(".")[0])
print("guarded:", done[1].stdout.strip())

assert words[2].startswith(" has been made to start a new process")
assert not done[0].stdout and done[1].stdout == "a worker runs\n"

# %%
# Random numbers in a worker
# --------------------------
#
# With the same random numbers, two workers would shift their pictures alike.
# So PyTorch seeds the global generators anew in each worker and epoch:
# Python's, its own and, since PyTorch 1.9, NumPy's. A generator that the
# dataset holds is only copied. Of the 16 numbers of two epochs, this many are
# different:

sources = "random", "numpy.random", "torch", "generator"


class Noise(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        r, n, t = random.random(), np.random.random(), torch.rand(()).item()
        return r, n, t, self.rng.random()


def draw_noise(num_workers=2, **options):
    """Return all numbers of two epochs, one column for each source."""
    options["generator"] = torch.Generator().manual_seed(0)
    options |= two | {"num_workers": num_workers}
    batches = [*load(Noise(), **options), *load(Noise(), **options)]
    return torch.cat([torch.stack(batch, dim=1) for batch in batches])


kinds = [len(set(column)) for column in draw_noise().T.tolist()]
print(dict(zip(sources, kinds, strict=True)))

assert kinds == [16, 16, 16, 4]

# %%
# ``worker_init_fn`` runs in each worker before it reads. There the dataset can
# get a new generator from the worker's own seed, which comes from the
# ``generator`` of the loader: the next run draws the same. Another number of
# workers gives other numbers.


def new_generator(worker_id):
    """Give the dataset of this worker random numbers of its own."""
    info = get_worker_info()
    info.dataset.rng = np.random.default_rng(info.seed)


run, again = (draw_noise(worker_init_fn=new_generator) for _ in range(2))
kinds = [len(set(column)) for column in run.T.tolist()]
one_worker = draw_noise(num_workers=1, worker_init_fn=new_generator)
print(dict(zip(sources, kinds, strict=True)))
print("the next run draws the same:", torch.equal(run, again))

assert kinds == [16, 16, 16, 16] and torch.equal(run, again)
assert not torch.equal(one_worker, run)

# %%
# `snippets.data.make_loader` seeds the global generators for each batch. So
# they repeat with any number of workers.


class Jitter(Noise):
    def __getitem__(self, index):
        return index + torch.rand(())


before = multiprocessing.get_start_method(allow_none=True)
multiprocessing.set_start_method("fork", force=True)  # for make_loader
epochs = []
for num_workers in (0, 1, 2):
    options = {"batch_size": 2, "shuffle": True, "seed": 0}
    loader = make_loader(Jitter(), **options, num_workers=num_workers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        epochs.append(torch.cat(list(loader)))
multiprocessing.set_start_method(before, force=True)
same = all(torch.equal(epoch, epochs[0]) for epoch in epochs)
print("the same with 0, 1 and 2 workers:", same)

assert same and epochs[0].unique().numel() == 8

# %%
# On to the GPU
# -------------
#
# A worker prepares batches on the CPU, and the main process moves them. A GPU
# copies faster from *pinned* memory, which the operating system leaves in its
# place. With ``non_blocking=True`` the program goes on meanwhile. Without a
# GPU there is nothing to gain, so ask first:

has_gpu = torch.cuda.is_available()
batch = next(iter(DataLoader(rows, batch_size=8, pin_memory=has_gpu)))
moved = batch.to("cuda" if has_gpu else "cpu", non_blocking=True)
print(f"there is a GPU: {has_gpu}, the batch is pinned: {batch.is_pinned()}")

assert batch.is_pinned() is has_gpu and moved.is_cuda is has_gpu
assert torch.equal(moved.cpu(), rows[:8])
assert not multiprocessing.active_children()  # no worker is left

# %%
# What you learned
# ----------------
#
# Workers make whole batches from copies of the dataset. They pay where reading
# has to wait, and cost where it does not: measure. Guard the script, keep
# lambdas out of the dataset, and give generators of your own a new seed in
# each worker.
#
# Next: :ref:`train_validate_test` trains on such batches, and
# :ref:`reproducibility` tells what a seed covers. The tested loader is in
# `snippets.data`.
