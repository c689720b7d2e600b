"""Feed data to a model: datasets, exact splits, and batches that repeat.

One seed gives the same batches in each run, with any number of workers. Data in memory
is gathered many batches at a time, not sample by sample.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
)

__all__ = ["ArrayDataset", "BatchLoader", "FileDataset", "make_loader", "split"]

CHUNK_BYTES = 4 * 2**20
"""How much is gathered at a time: it stays in a processor's cache until it is used.

Larger chunks took twice as long in our measurements, and more memory.
"""


class ArrayDataset(Dataset[Any]):
    """A dataset of tensors or arrays that are in memory.

    Sample number i holds row i of each: the row itself where there is one array, a
    tuple of rows where there are several.

    Parameters
    ----------
    *arrays : torch.Tensor, numpy.ndarray or list
        The input first, then the target or whatever else belongs to it; each of shape
        (rows, ...), on any device. What is no tensor goes through `torch.as_tensor`:
        the memory of a NumPy array is shared, a list is copied. Dtypes stay, so make
        float64 arrays float32 yourself if the model's weights are.
    transform : callable, optional
        Applied to the first row of each sample: ``transform(row)``. It runs sample by
        sample, which is slower than a dataset without one.

    Attributes
    ----------
    arrays : tuple of torch.Tensor
        The tensors.
    transform : callable or None
        As given.

    Raises
    ------
    TypeError
        If there is no array, or one cannot become a tensor.
    ValueError
        If an array has no rows, or their numbers of rows differ.
    IndexError
        On reading a sample that is not there.
    RuntimeError
        If ``transform`` fails on a sample: it names the index, and has the original
        error as its cause.

    Notes
    -----
    A `torch.utils.data.DataLoader` fetches whole batches of it by ``__getitems__``.

    Examples
    --------
    >>> dataset = ArrayDataset([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    >>> len(dataset), dataset[-1]
    (2, (tensor([3., 4.]), tensor(1)))
    """

    def __init__(
        self, *arrays: Any, transform: Callable[[Tensor], Any] | None = None
    ) -> None:
        if not arrays:
            raise TypeError("no arrays: give at least one, such as ArrayDataset(x, y)")
        self.arrays = tuple(_as_rows(array, at) for at, array in enumerate(arrays))
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"the arrays have {lengths} rows: give one row per sample in each"
            )
        if not lengths[0]:
            raise ValueError("the arrays have 0 rows: is the file or the filter right?")
        self.transform = transform

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> Any:
        place = _position(index, self)
        return self._finish(place, tuple(array[place] for array in self.arrays))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the samples of one batch."""
        if type(self).__getitem__ is not ArrayDataset.__getitem__:
            # A derived class that changes single samples changes those of a batch.
            return [self[index] for index in indices]
        if not indices:
            return []
        for extreme in (min(indices), max(indices)):
            _position(extreme, self)
        places = torch.tensor(indices, device="cpu")
        if min(indices) < 0:
            places = places.remainder(len(self))
        columns = [
            array.index_select(0, places.to(array.device)).unbind()
            for array in self.arrays
        ]
        samples = zip(*columns, strict=True)
        if self.transform is None and len(columns) > 1:
            return list(samples)
        return list(map(self._finish, places.tolist(), samples))

    def _finish(self, place: int, rows: tuple[Any, ...]) -> Any:
        if self.transform is not None:
            failure = f"the transform failed at index {place}"
            rows = _call(self.transform, rows[0], failure), *rows[1:]
        return rows if len(rows) > 1 else rows[0]


class FileDataset(Dataset[Any]):
    """A dataset that reads one file for each sample, when the sample is asked for.

    Sample number i is ``read(paths[i])``, or the pair of it and ``labels[i]``.

    Parameters
    ----------
    paths : list of str or pathlib.Path
        The files, in a list or another iterable. Sort what a folder lists: its order
        differs between machines.
    read : callable
        ``read(path)`` returns what is in the file, such as a tensor.
    labels : torch.Tensor, numpy.ndarray or list, optional
        One label for each file.
    transform : callable, optional
        Applied to what was read: ``transform(read(path))``.

    Attributes
    ----------
    paths : list
        The files, as given.
    read, labels, transform
        As given.

    Raises
    ------
    TypeError
        If ``paths`` is a single path, or ``read`` cannot be called.
    ValueError
        If there are no paths, or their number is not that of the labels.
    FileNotFoundError
        If files are missing: says how many, and the first of them. They are looked for
        at once, not in the third hour of a training.
    IndexError
        On reading a sample that is not there.
    RuntimeError
        If a file cannot be read or transformed: it names the file and the index, and
        has the original error as its cause. It arrives from a worker as well.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "sample.txt")
    ...     _ = path.write_text("1 2 3")
    ...     dataset = FileDataset([path], pathlib.Path.read_text, labels=[7])
    ...     dataset[0]
    ('1 2 3', 7)
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        read: Callable[[Any], Any],
        *,
        labels: Sequence[Any] | Tensor | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if isinstance(paths, str | bytes | os.PathLike):
            raise TypeError(f"paths is the single path {paths!r}: give a list of paths")
        if not callable(read):
            raise TypeError(f"read is {read!r}: give a function that reads one file")
        self.paths = list(paths)
        _check_files(self.paths)
        if labels is not None and len(labels) != len(self.paths):
            raise ValueError(
                f"there are {len(self.paths)} paths and {len(labels)} labels: "
                "give one label for each path"
            )
        self.read = read
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        place = _position(index, self)
        path = self.paths[place]
        where = f"{os.fspath(path)!r}, index {place}"
        sample = _call(self.read, path, f"reading failed on {where}")
        if self.transform is not None:
            failure = f"the transform failed on {where}"
            sample = _call(self.transform, sample, failure)
        return sample if self.labels is None else (sample, self.labels[place])


def split(
    dataset: Dataset[Any],
    fractions: Iterable[float],
    *,
    generator: torch.Generator,
    labels: Iterable[Any] | None = None,
) -> list[Subset[Any]]:
    """Split a dataset at random into parts that share no row and leave none out.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Any dataset with a length, or a range or list; arrays are wrapped in an
        `ArrayDataset` first.
    fractions : list of float
        The size of each part, such as ``[0.8, 0.1, 0.1]``; their sum is 1.
    generator : torch.Generator
        Where the random order comes from: the same state gives the same parts.
    labels : torch.Tensor, numpy.ndarray or list, optional
        The class of each row, of shape (rows,): numbers or words. It stratifies the
        split, as ``stratify=`` does in scikit-learn: each part then has each class in
        about the same share.

    Returns
    -------
    list of torch.utils.data.Subset
        The parts, in random order.

    Raises
    ------
    TypeError
        If the dataset has no length or is a tuple, ``fractions`` is a single number,
        ``generator`` is no generator, or a label is neither a number nor another
        hashable value.
    ValueError
        If a fraction is negative, their sum is not 1, a part would have no rows, or the
        number of labels is not that of the rows.

    Notes
    -----
    The sizes are the exact shares, rounded by the method of the largest remainder: each
    part has its share rounded down, and the rows left over go to the parts that lost
    most by it, the first ones if there is a tie. Labels change no size. A class differs
    from its exact share of a part by at most one row; with four parts or more, two
    cannot always be avoided. So a class of few rows may be missing in a small part.

    Examples
    --------
    >>> dataset = ArrayDataset(torch.arange(10))
    >>> generator = torch.Generator().manual_seed(0)
    >>> parts = split(dataset, [0.75, 0.25], generator=generator)
    >>> [len(part) for part in parts]
    [8, 2]
    """
    length = _length(dataset)
    shares = _check_fractions(fractions)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator is {generator!r}: give torch.Generator().manual_seed(...), "
            "so that the parts are the same in the next run"
        )
    classes = _check_labels(labels, length)
    sizes = _largest_remainder(_quotas(shares, length))
    if 0 in sizes:
        raise ValueError(
            f"fractions {shares} of {length} rows give parts of {sizes} rows: "
            "give each part at least one row"
        )
    order = torch.randperm(length, generator=generator, device=generator.device)
    parts = _deal(order.tolist(), classes, shares, sizes)
    return [Subset(dataset, rows) for rows in parts]


def make_loader(
    dataset: Dataset[Any],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    drop_last: bool = False,
    num_workers: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
) -> BatchLoader:
    """Return an object that gives the batches of a dataset, epoch after epoch.

    The batches are those of ``DataLoader(dataset, batch_size=batch_size,
    shuffle=shuffle, generator=torch.Generator().manual_seed(seed))`` of
    `torch.utils.data`, bit for bit and in each epoch.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Any dataset with a length. An `ArrayDataset` without transform, a
        `torch.utils.data.TensorDataset` and a `torch.utils.data.Subset` of these are
        gathered in memory, which is several times faster; their batches stay on the
        device of the data.
    batch_size : int
        The rows of a batch; the last one of an epoch may be smaller.
    shuffle : bool
        Whether each epoch has a random order of its own.
    seed : int
        Where the order and the random numbers of the dataset come from; not negative.
    drop_last : bool, optional
        Leave out a last batch that is smaller.
    num_workers : int, optional
        How many processes read samples ahead. They pay off where reading a sample takes
        long, and cost time where it does not; data in memory is read without them.
    collate_fn : callable, optional
        Makes a batch of a list of samples, such as texts of unequal length. Left out,
        `torch.utils.data.default_collate` stacks them. The dataset is then read sample
        by sample.

    Returns
    -------
    BatchLoader
        To be iterated once for each epoch.

    Raises
    ------
    TypeError
        If the dataset has no length or no indexing or is a tuple, or an integer is
        something else.
    ValueError
        If there are no rows, ``drop_last`` leaves no batch, or a number is too small.

    Notes
    -----
    *Random numbers* that a dataset draws from Python's `random`, from NumPy's global
    generator or from torch on the CPU, in a transform for example, are seeded for each
    batch. So they are the same with any number of workers and after a resume, differ
    from epoch to epoch, and leave the random numbers of your program alone. Generators
    of the dataset's own are its own business.

    *Several processes.* Under ``torchrun``, once `torch.distributed` is initialized,
    each process gets its own rows of each batch, so that all of them together see the
    batches of one process. ``batch_size`` is that of the whole batch. A process may get
    a share of 0 rows of a batch smaller than the number of processes. Random transforms
    draw other numbers than in one process.

    *Memory.* Batches are copies: writing into one does not change the dataset. Batches
    of data in memory share a block of about 4 MiB with their neighbors, so clone what
    you keep for long or save to a file.

    The dataset is expected to keep its length, and a Subset its indices.

    References
    ----------
    The page "torch.utils.data" of torch's documentation,
    https://docs.pytorch.org/docs/stable/data.html.

    Examples
    --------
    >>> dataset = ArrayDataset(torch.arange(5.0), [0, 1, 0, 1, 0])
    >>> loader = make_loader(dataset, batch_size=2, shuffle=False, seed=0)
    >>> for x, y in loader:
    ...     print(x, y)
    tensor([0., 1.]) tensor([0, 1])
    tensor([2., 3.]) tensor([0, 1])
    tensor([4.]) tensor([0])
    """
    return BatchLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        num_workers=num_workers,
        collate_fn=collate_fn,
    )


class BatchLoader:
    """What `make_loader` returns: its parameters, errors and notes are told there.

    Attributes
    ----------
    dataset, batch_size, shuffle, seed, drop_last, num_workers, collate_fn
        As given to `make_loader`.

    Notes
    -----
    An epoch that is left by ``break`` is over: the next iteration starts a new one, as
    with a plain loader. Only after `load_state_dict` does it go on in the middle.

    Examples
    --------
    >>> dataset = ArrayDataset(torch.arange(6))
    >>> loader = make_loader(dataset, batch_size=2, shuffle=False, seed=0)
    >>> for batch in loader:
    ...     if 3 in batch:
    ...         state = loader.state_dict()
    >>> loader.load_state_dict(state)
    >>> list(loader), len(list(loader))
    ([tensor([4, 5])], 3)
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        drop_last: bool = False,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self._rows = _length(dataset)
        self.dataset = dataset
        self.batch_size = _check_integer("batch_size", batch_size, least=1)
        self.shuffle = bool(shuffle)
        self.seed = _check_integer("seed", seed, least=0)
        self.drop_last = bool(drop_last)
        self.num_workers = _check_integer("num_workers", num_workers, least=0)
        self.collate_fn = collate_fn
        if not len(self):
            raise ValueError(
                f"the dataset has {self._rows} rows: with batch_size={batch_size} and "
                f"drop_last={drop_last} that makes no batch"
            )
        self._memory = _find_memory(dataset) if collate_fn is None else None
        self._generator = torch.Generator().manual_seed(self.seed)
        self._start = 0
        self._epoch: _Epoch | None = None

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        whole, rest = divmod(self._rows, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """Return the batches of a new epoch, or of the rest of a resumed one."""
        epoch = _Epoch(self._generator, self._generator.get_state(), self._start)
        self._epoch, self._start = epoch, 0
        # A DataLoader draws the seed of its workers here, the order at the first batch.
        seed = torch.empty((), dtype=torch.int64, device="cpu")
        seed.random_(generator=epoch.generator)
        return self._batches(epoch, int(seed))

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the epoch.

        Returns
        -------
        dict
            ``"position"``, the number of batches given, 0 before the first epoch and
            after the end of one; ``"generator"``, the state of the generator at the
            start of the epoch; ``"loader"``, what the loader is: its seed, batch size,
            rows and flags. It is safe to load with ``weights_only=True``.
        """
        if self._epoch is not None:
            generator, position = self._epoch.start, self._epoch.position
        else:
            generator, position = self._generator.get_state(), self._start
        return {
            "position": position,
            "generator": generator,
            "loader": self._describe(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier place: the next iteration gives the next batch.

        No batch before it is read again, and the number of workers and of processes may
        be another one.

        Parameters
        ----------
        state : collections.abc.Mapping
            What `state_dict` returned, of this loader or of one made alike.

        Raises
        ------
        ValueError
            If it is no such state, or that of a loader with another seed, batch size,
            number of rows, ``shuffle`` or ``drop_last``. Nothing is changed then.
        """
        position, generator = _check_state(state, self._describe(), len(self))
        # A new generator: an iteration that still runs keeps the old one.
        self._generator = generator
        self._start = position
        self._epoch = None

    def _describe(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "rows": self._rows,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def _batches(self, epoch: _Epoch, seed: int) -> Iterator[Any]:
        plan = _Plan(self._draw_order(epoch), self.batch_size, seed, *_process())
        numbers = range(epoch.position, len(self))
        if self._memory is not None:
            batches = _gather(self._memory, plan, numbers)
        else:
            batches = self._read(plan, numbers)
        for batch in batches:
            epoch.position += 1
            if epoch.position * self.batch_size > self._rows:
                # To fill a short batch, a sampler has come to its end before.
                self._end_order(epoch)
            yield batch
        self._end_order(epoch)
        if self._epoch is epoch:
            self._epoch = None

    def _draw_order(self, epoch: _Epoch) -> Tensor:
        if self.shuffle:
            return torch.randperm(self._rows, generator=epoch.generator, device="cpu")
        return torch.arange(self._rows, device="cpu")

    def _end_order(self, epoch: _Epoch) -> None:
        # RandomSampler draws a second order at its end, of which it takes no row.
        if not epoch.order_ended:
            self._draw_order(epoch)
            epoch.order_ended = True

    def _read(self, plan: _Plan, numbers: range) -> Iterator[Any]:
        loader = DataLoader(
            _PlannedBatches(self.dataset, plan, self.collate_fn or default_collate),
            batch_size=None,
            sampler=numbers,
            num_workers=self.num_workers,
            collate_fn=_as_is,
            # Without one of its own, it draws from the global generator.
            generator=torch.Generator(),
        )
        # Its own seed has to be where its generator is, whatever the default device.
        with torch.device("cpu"):
            return iter(loader)


@dataclass
class _Epoch:
    """How far an iteration is, and the generator's state when it began."""

    generator: torch.Generator
    start: Tensor
    position: int
    order_ended: bool = False


@dataclass
class _Plan:
    """Which rows each batch of an epoch has, in this process."""

    order: Tensor
    batch_size: int
    seed: int
    process: int
    processes: int

    def rows(self, number: int) -> Tensor:
        """Return the rows of one batch."""
        start = number * self.batch_size
        batch = self.order[start : start + self.batch_size]
        share = len(batch) * self.process, len(batch) * (self.process + 1)
        return batch[share[0] // self.processes : share[1] // self.processes]

    def block(self, numbers: range) -> tuple[Tensor, int | list[int]]:
        """Return the rows of batches in a row, and how to split them."""
        if self.processes == 1:
            first, last = numbers[0] * self.batch_size, numbers[-1] * self.batch_size
            return self.order[first : last + self.batch_size], self.batch_size
        groups = [self.rows(number) for number in numbers]
        return torch.cat(groups), [len(group) for group in groups]


class _Memory(NamedTuple):
    """A dataset that is in memory: its tensors, and the rows of them that count."""

    tensors: tuple[Tensor, ...]
    rows: Tensor | None  # None means all of them
    bare: bool  # a sample is a row, not a tuple of rows


def _find_memory(dataset: Any) -> _Memory | None:
    """Return what `_gather` needs, or None for a dataset of another kind."""
    # A class derived from these may do anything: it is read sample by sample.
    if type(dataset) is Subset:
        inner = _find_memory(dataset.dataset)
        if inner is None:
            return None
        chosen = [operator.index(index) for index in _as_list(dataset.indices)]
        rows = inner.rows
        if rows is None:
            rows = torch.arange(len(inner.tensors[0]), device="cpu")
        # Indexing refuses what is out of range, and counts from the end below 0.
        return inner._replace(rows=rows[torch.tensor(chosen, device="cpu")])
    if type(dataset) is ArrayDataset and dataset.transform is None:
        tensors, bare = dataset.arrays, len(dataset.arrays) == 1
    elif type(dataset) is TensorDataset:
        tensors, bare = dataset.tensors, False
    else:
        return None
    # Batches cut from one gathered block would share one graph, or have no views.
    if any(item.requires_grad or item.layout != torch.strided for item in tensors):
        return None
    return _Memory(tensors, None, bare)


def _gather(memory: _Memory, plan: _Plan, numbers: range) -> Iterator[Any]:
    """Yield batches cut from blocks that hold many of them."""
    row_bytes = sum(
        tensor.element_size() * tensor[0].numel() for tensor in memory.tensors
    )
    step = max(1, CHUNK_BYTES // max(1, row_bytes * plan.batch_size))
    for at in range(0, len(numbers), step):
        chosen, sizes = plan.block(numbers[at : at + step])
        rows = chosen if memory.rows is None else memory.rows[chosen]
        columns = [
            _pieces(tensor.index_select(0, rows.to(tensor.device)), sizes)
            for tensor in memory.tensors
        ]
        for batch in zip(*columns, strict=True):
            yield batch[0] if memory.bare else list(batch)


def _pieces(block: Tensor, sizes: int | list[int]) -> list[Tensor]:
    """Split a block into batches that begin where a tensor of their own would."""
    # Kernels for another alignment round sums in another way: without this, the last
    # bits of a training would depend on where a batch lies in its block.
    boundary = 64 if block.device.type == "cpu" else 512
    return [
        piece.clone() if piece.data_ptr() % boundary else piece
        for piece in torch.split(block, sizes)
    ]


class _PlannedBatches(Dataset[Any]):
    """A dataset whose item number n is batch number n; it can go to a worker."""

    def __init__(
        self, dataset: Any, plan: _Plan, collate: Callable[[list[Any]], Any]
    ) -> None:
        self.dataset = dataset
        self.plan = plan
        self.collate = collate

    def __getitem__(self, number: int) -> Any:
        plan = self.plan
        rows = plan.rows(number).tolist()
        start = number * plan.batch_size
        # Without a row of its own, a process still has to see what a batch looks like.
        read = rows or plan.order[start : start + 1].tolist()
        with _random_numbers(f"{plan.seed} {number} {plan.process}"):
            batch = self._join(read)
        return batch if rows else _without_rows(batch)

    def _join(self, rows: list[int]) -> Any:
        samples = _samples(self.dataset, rows)
        try:
            return self.collate(samples)
        except Exception as error:
            error.add_note(f"while joining rows {rows} of the dataset to a batch")
            raise


def _samples(dataset: Any, rows: Sequence[int]) -> list[Any]:
    """Return samples, and name the index where one cannot be had."""
    while type(dataset) is Subset:
        dataset, rows = dataset.dataset, [dataset.indices[row] for row in rows]
    if hasattr(dataset, "__getitems__"):
        return list(dataset.__getitems__(rows))
    samples = []
    for row in rows:
        try:
            samples.append(dataset[row])
        except Exception as error:
            error.add_note(f"at index {row} of the {type(dataset).__name__}")
            raise
    return samples


@contextmanager
def _random_numbers(seed: str) -> Iterator[None]:
    """Seed the global generators for a while, and put them back."""
    number = random.Random(seed).getrandbits(64)
    # Not imported here: a dataset that draws from NumPy has done it.
    numpy = sys.modules.get("numpy")
    before = random.getstate(), numpy and numpy.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(number)
            torch.default_generator.manual_seed(number)
            if numpy:
                numpy.random.seed(number % 2**32)
            yield
        finally:
            random.setstate(before[0])
            if numpy:
                numpy.random.set_state(before[1])


def _without_rows(batch: Any) -> Any:
    """Cut a batch to 0 rows: each tensor in it, and each list of samples."""
    if isinstance(batch, Tensor):
        return batch[:0] if batch.ndim else batch
    if isinstance(batch, Mapping):
        return {key: _without_rows(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        fields = [
            _without_rows(item)
            for item in batch
            if isinstance(item, Tensor | Mapping | list | tuple)
        ]
        return type(batch)(*fields) if hasattr(batch, "_fields") else fields
    return batch


def _as_is(batch: Any) -> Any:
    return batch


def _process() -> tuple[int, int]:
    """Return the number of this process, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _quotas(shares: list[float], rows: int) -> list[float]:
    # Rounded, since 0.29 * 100 is a little less than 29.
    return [round(share * rows, 6) for share in shares]


def _largest_remainder(quotas: list[float]) -> list[int]:
    """Round to integers of the same sum."""
    sizes = [math.floor(quota) for quota in quotas]
    missing = round(sum(quotas)) - sum(sizes)
    losses = _losses(quotas, sizes)
    by_loss = sorted(range(len(sizes)), key=lambda part: -losses[part])
    for part in by_loss[:missing]:
        sizes[part] += 1
    return sizes


def _losses(quotas: list[float], counts: list[int]) -> list[float]:
    # Rounded, since 8.4 - 8 is a little more than 2.4 - 2.
    return [round(a - b, 6) for a, b in zip(quotas, counts, strict=True)]


def _deal(
    order: list[int], classes: list[Any], shares: list[float], sizes: list[int]
) -> list[list[int]]:
    """Give each row to a part: classes in their shares, parts of the right sizes."""
    members: dict[Any, list[int]] = {}
    for row in order:
        members.setdefault(classes[row], []).append(row)
    counts = _class_counts([len(rows) for rows in members.values()], shares, sizes)
    part_of: dict[int, int] = {}
    for rows, row_counts in zip(members.values(), counts, strict=True):
        parts = (part for part, count in enumerate(row_counts) for _ in range(count))
        part_of.update(zip(rows, parts, strict=True))
    dealt: list[list[int]] = [[] for _ in sizes]
    for row in order:
        dealt[part_of[row]].append(row)
    return dealt


def _class_counts(
    class_sizes: list[int], shares: list[float], sizes: list[int]
) -> list[list[int]]:
    """Return how many rows of each class go to each part."""
    quotas = [_quotas(shares, size) for size in class_sizes]
    counts = [[math.floor(quota) for quota in row] for row in quotas]
    missing = [
        size - sum(column)
        for size, column in zip(sizes, zip(*counts, strict=True), strict=True)
    ]
    for size, quota, count in zip(class_sizes, quotas, counts, strict=True):
        for _ in range(size - sum(count)):
            # Serving the parts that miss most first leaves the later classes a choice;
            # a loss below 0 is that of a part already served by this class.
            losses = _losses(quota, count)
            ranks = [
                (rows > 0, loss >= 0, rows, loss)
                for rows, loss in zip(missing, losses, strict=True)
            ]
            part = ranks.index(max(ranks))
            count[part] += 1
            missing[part] -= 1
    return counts


def _call(function: Callable[[Any], Any], value: Any, failure: str) -> Any:
    """Call a function of the user; an error of any kind says where it happened."""
    try:
        return function(value)
    except Exception as error:
        # A plain error crosses from a worker; an IndexError or StopIteration passed on
        # as such would end a loop over the dataset without a word.
        raise RuntimeError(f"{failure}: {type(error).__name__}: {error}") from error


def _position(index: int, dataset: ArrayDataset | FileDataset) -> int:
    length = len(dataset)
    if not -length <= operator.index(index) < length:
        raise IndexError(
            f"index {index} is out of range: the {type(dataset).__name__} has "
            f"{length} rows, 0 to {length - 1}"
        )
    return operator.index(index) % length


def _as_rows(array: Any, number: int) -> Tensor:
    try:
        tensor = torch.as_tensor(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"array {number}, of type {type(array).__name__}, cannot become a tensor: "
            f"{str(error).rstrip('.')}{_array_advice(array)}"
        ) from error
    if not tensor.ndim:
        raise ValueError(f"array {number} is the scalar {array!r}: give rows")
    return tensor


def _array_advice(array: Any) -> str:
    """Say how a table or a column of words becomes an array of numbers."""
    if hasattr(array, "columns"):
        return '. Give frame.to_numpy(dtype="float32")'
    is_column = isinstance(array, Iterable) and not isinstance(array, Mapping)
    if is_column and isinstance(next(iter(array), None), str):
        return (
            ". Number the words: classes, numbers = np.unique(names, "
            "return_inverse=True), and give the numbers"
        )
    return ". Give series.to_numpy()" if hasattr(array, "to_numpy") else ""


def _as_list(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _check_files(paths: list[Any]) -> None:
    if not paths:
        raise ValueError("there are 0 paths: is the pattern or the folder right?")
    missing = [os.fspath(path) for path in paths if not os.path.exists(path)]
    if missing:
        names = ", ".join(map(repr, missing[:3])) + (", ..." if missing[3:] else "")
        raise FileNotFoundError(
            f"{len(missing)} of {len(paths)} files do not exist: {names}"
        )


def _check_fractions(fractions: Iterable[float]) -> list[float]:
    if not isinstance(fractions, Iterable):
        raise TypeError(
            f"fractions is {fractions}: give one for each part, such as (0.8, 0.2)"
        )
    shares = [float(fraction) for fraction in fractions]
    if not all(share >= 0 for share in shares):
        raise ValueError(f"fractions is {shares}: give numbers from 0 to 1")
    total = math.fsum(shares)
    if not math.isclose(total, 1, abs_tol=1e-5):
        raise ValueError(f"fractions is {shares}, with a sum of {total:g}: make it 1")
    return [share / total for share in shares]


def _check_labels(labels: Iterable[Any] | None, length: int) -> list[Any]:
    if labels is None:
        return [0] * length
    # Tensors are equal to nothing but themselves in a dict.
    classes = [
        label.item() if isinstance(label, Tensor) and label.numel() == 1 else label
        for label in _as_list(labels)
    ]
    if len(classes) != length:
        raise ValueError(
            f"there are {length} rows and {len(classes)} labels: give one for each row"
        )
    for label in classes:
        if isinstance(label, list | dict | Tensor):
            raise TypeError(f"the label {label!r} is no single value: give class names")
    return classes


def _check_integer(name: str, value: int, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"{name} is {value!r}, of type {type(value).__name__}: give an integer"
        )
    if not least <= value < 2**64:
        raise ValueError(f"{name} is {value}: give an integer of {least} or more")
    return int(value)


def _length(dataset: Any) -> int:
    if isinstance(dataset, tuple):
        raise TypeError(
            f"the dataset is a tuple of {len(dataset)}: if these are arrays, wrap "
            "them: ArrayDataset(X, y); if they are samples, make it a list"
        )
    advice = "give one with __len__ and __getitem__, or use torch's DataLoader itself"
    if isinstance(dataset, IterableDataset):
        raise TypeError(
            f"{type(dataset).__name__} is an IterableDataset, without rows to choose "
            f"from: {advice}"
        )
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TypeError(
            f"the dataset is a {type(dataset).__name__}, without a length or without "
            f"indexing: {advice}"
        )
    return len(dataset)


def _check_state(
    state: Mapping[str, Any], described: dict[str, Any], batches: int
) -> tuple[int, torch.Generator]:
    """Return the position and the generator, if the state fits this loader."""
    expected = {"position", "generator", "loader"}
    if not isinstance(state, Mapping) or set(state) != expected:
        raise ValueError(
            f"this is no state of a BatchLoader, which has the keys {sorted(expected)}"
        )
    if state["loader"] != described:
        raise ValueError(
            f"the state is that of another loader: it has {state['loader']}, "
            f"this one {described}. Make the loader as it was when it was saved, or "
            "start anew without this state"
        )
    position = state["position"]
    if type(position) is not int or not 0 <= position <= batches:
        raise ValueError(f"the position is {position!r}: expected 0 to {batches}")
    generator = torch.Generator()
    try:
        generator.set_state(state["generator"].cpu())
    except (AttributeError, TypeError, RuntimeError) as error:
        raise ValueError(f"the state of the generator is broken: {error}") from error
    return position, generator
