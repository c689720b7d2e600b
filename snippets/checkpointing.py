"""Save a training and go on with it later, without losing anything.

One file holds the model, the optimizer, whatever else has a state, and plain values. It
is written beside the old one and takes its place when it is complete, and it is read
only if every bit of it is as it was written.
"""

from __future__ import annotations

import copy
import difflib
import errno
import importlib
import itertools
import os
import random
import re
import secrets
import shutil
import struct
import sys
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import IterableDataset

try:
    import fcntl
except ImportError:  # Windows refuses to delete a file in use by itself
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "RandomState",
    "ResumableLoader",
    "load_checkpoint",
    "save_checkpoint",
]

ABOUT = "__checkpoint__"
"""The entry of a file that describes its other entries."""

FORMAT = 1
TRAILER = re.compile(rb"..checkpoint format (\d+), CRC-32 [0-9a-f]{8}\Z", re.DOTALL)
CHUNK = 1 << 20

PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)
PLAIN_OF_TORCH = (torch.Size, torch.dtype, torch.device)
KEYS = (type(None), bool, int, float, str, bytes, tuple)
LARGEST_INT_BITS = 2000  # torch.load reads no longer ones

# Schedulers write these into the groups of an optimizer, and torch the names.
ADDED_OPTIONS = {"initial_lr", "param_names", "max_lr", "min_lr", "swa_lr"}
ADDED_OPTIONS |= {"base_momentum", "max_momentum"}

AS_IT_WAS = "Make it as it was when it was saved, or start anew without this file"

GENERATORS = (
    "generator",
    "sampler.generator",
    "batch_sampler.generator",
    "batch_sampler.sampler.generator",
    "dataset.generator",
)
"""Where a loader may have a generator of its own."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be saved or loaded; its message says what to do.

    Whenever it is raised, the file that was there before is still there, and no object
    was changed.
    """


def save_checkpoint(path: str | os.PathLike[str], **objects: Any) -> None:
    """Save objects and values into one file, all of them or nothing.

    The new file replaces the old one in one step, once it is complete and on the disk.
    A run killed while saving leaves the old checkpoint; what it had written of the new
    one is removed by the next save to the same path.

    Parameters
    ----------
    path : str or pathlib.Path
        The file. Missing folders are made; a link is followed.
    **objects
        By name, whatever is to be saved:

        - anything with ``state_dict`` and ``load_state_dict``: a `torch.nn.Module`, an
          optimizer, a scheduler, a `torch.amp.GradScaler`, a `RandomState`, a
          `ResumableLoader`, your own classes;
        - a `torch.Generator`;
        - plain values: tensors, numbers, strings, bytes, None, and lists, tuples, sets
          and dicts of them. What is of a class derived from list or dict, such as the
          history that ``fit`` returns or a `collections.defaultdict`, comes back as a
          plain list or dict of the same items.

    Raises
    ------
    CheckpointError
        If something cannot be saved in a way that could be loaded again (it names the
        place, such as ``history[3]['loss']``), or if the file cannot be written. The
        old file is then still in place.

    See Also
    --------
    load_checkpoint : The way back.

    Notes
    -----
    The file is an ordinary file of `torch.save`, with a checksum of all its bytes in
    the comment at the end of the zip archive. ``torch.load(path, weights_only=True)``
    reads it too, and finds for each name the state or the value.

    A parameter among the values is saved as a tensor without gradient, and a view as a
    tensor of its own, without the rest of the memory that it looks into.

    References
    ----------
    The notes "Serialization semantics" in torch's documentation,
    https://docs.pytorch.org/docs/stable/notes/serialization.html.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/run.pt"
    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> save_checkpoint(path, model=model, optimizer=optimizer, epoch=3)
    >>> load_checkpoint(path, model=model, optimizer=optimizer)
    {'epoch': 3}
    """
    target = Path(os.path.realpath(path))
    content = _collect(objects)
    if os.path.isdir(target):
        raise CheckpointError(
            f"{target} is a folder: give the name of a file in it, such as "
            f"{str(target / 'run.pt')!r}"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, content)
    except Exception as error:
        kept = (
            "The checkpoint from before is unchanged. "
            if os.path.exists(target)
            else ""
        )
        raise CheckpointError(
            f"{target} could not be saved: {error}. {kept}{_advice(error)}"
        ) from error


def load_checkpoint(path: str | os.PathLike[str], **objects: Any) -> dict[str, Any]:
    """Load a file of `save_checkpoint` into objects, all of them or none.

    First the file is checked, bit by bit, then whether every object fits. Only then is
    the first one changed. If one of them fails even so, all get back what they had.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    **objects
        The objects that take up their states, by the names they were saved under. Leave
        out what you do not need: the model alone is enough to evaluate it. They may be
        on any device.

    Returns
    -------
    dict
        All plain values in the file by name, tensors on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no such file; names the near ones.
    CheckpointError
        If the file is damaged, incomplete, no checkpoint, of a newer format, or holds
        something other than tensors and plain values; if it lacks an object asked for;
        if a module has other names, shapes or dtypes, an optimizer other groups,
        options or parameter shapes, or an object another class. Nothing is changed.

    See Also
    --------
    save_checkpoint : How such a file is made.

    Notes
    -----
    Code in a file is never run: it is read with ``weights_only=True``. The checksum
    tells accidents, not attacks.

    Meanwhile, memory holds the file once more on the CPU, and so the present weights,
    to be able to go back. Modules and optimizers are loaded after objects of other
    classes, and random numbers last.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/run.pt"
    >>> save_checkpoint(path, model=nn.Linear(2, 1), classes=["cat", "dog"])
    >>> model = nn.Linear(2, 1)
    >>> load_checkpoint(path, model=model)["classes"]
    ['cat', 'dog']
    >>> try:
    ...     load_checkpoint(path, model=nn.Linear(3, 1))
    ... except CheckpointError as error:
    ...     print(str(error).split(" and ")[1].split(". ")[0])
    float32 of shape (1, 3) here
    """
    path = Path(path)
    content = _read(path)
    about = content.pop(ABOUT)
    kinds = about["kinds"]
    for name, target in objects.items():
        try:
            wrong = _misfit(name, target, content, about)
        except Exception as error:
            wrong = f"{name!r} cannot be compared ({type(error).__name__}: {error})"
        if wrong:
            raise CheckpointError(f"{path}: {wrong}. Nothing was loaded")
    _load_all(path, objects, content, kinds)
    return {name: value for name, value in content.items() if name not in kinds}


class RandomState:
    """The random numbers of Python, NumPy, torch and the accelerator, to save.

    It holds nothing itself: `state_dict` reads the global generators, and
    `load_state_dict` sets them.

    Notes
    -----
    NumPy's generator is saved if the program has imported NumPy. An accelerator's are
    saved, one for each device, once the program has used it; on a machine with fewer
    devices the first ones are set, and without an accelerator none. Generators that you
    made yourself are not part of it: save a `torch.Generator` under a name of its own.

    Examples
    --------
    >>> state = RandomState().state_dict()
    >>> first = torch.rand(3), random.random()
    >>> RandomState().load_state_dict(state)
    >>> torch.equal(torch.rand(3), first[0]), random.random() == first[1]
    (True, True)
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors and plain values.

        Returns
        -------
        dict
            ``"python"``, ``"torch"``, and where there is one ``"numpy"`` and
            ``"accelerator"``.
        """
        state: dict[str, Any] = {
            "python": random.getstate(),
            "torch": torch.get_rng_state(),
        }
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            state["numpy"] = _plain_numpy(numpy.random.get_state(legacy=False))
        if torch.accelerator.is_available():
            state["accelerator"] = _accelerator_state()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the generators to an earlier state.

        Parameters
        ----------
        state : collections.abc.Mapping
            What `state_dict` returned.

        Raises
        ------
        ValueError
            If it is no such state. The generators are then unchanged.
        """
        before = self.state_dict()
        try:
            _set_random_state(state)
        except Exception as error:
            _set_random_state(before)
            raise ValueError(
                f"this is no state of random numbers ({type(error).__name__}: {error})"
                ": give what RandomState().state_dict() returned"
            ) from error


@dataclass
class _Epoch:
    """How an epoch started, and how many of its batches were yielded."""

    start: dict[str, Any]
    position: int = 0


class ResumableLoader:
    """A loader whose place in the epoch can be saved.

    It yields what the loader yields. After `load_state_dict`, the next iteration goes
    on with the batch after the last one that was yielded, and the batches are the same
    bits as without the interruption, in that epoch and in later ones.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader or list
        Anything that gives its batches again in each iteration; a DataLoader may have
        any number of workers. Its attributes, such as ``dataset``, can be read from
        here.

    Attributes
    ----------
    loader : torch.utils.data.DataLoader or list
        The loader.

    Raises
    ------
    TypeError
        If it cannot be iterated, or only once.
    ValueError
        If it has ``persistent_workers=True``: their random numbers run on from epoch to
        epoch, where nobody can read them.

    Notes
    -----
    The state has the random numbers at the start of the epoch, global ones (see
    `RandomState`) and those of the loader's generators (``loader.generator`` and the
    same of its sampler, batch sampler and dataset). To resume, the epoch is begun from
    there, the batches already seen are read again and dropped, and the present random
    numbers are put back. So save a `RandomState` beside it, and load both in any order.

    After ``break``, the saved place is in the epoch that was left; a new iteration
    without loading starts a new epoch. Out of reach is what a loader keeps elsewhere
    from epoch to epoch, and batches that depend on how many global random numbers the
    training drew while the epoch ran (samplers that shuffle as they go).

    Examples
    --------
    >>> batches = [1, 2, 3, 4]
    >>> loader = ResumableLoader(batches)
    >>> for batch in loader:
    ...     if batch == 2:
    ...         state = loader.state_dict()
    >>> resumed = ResumableLoader(batches)
    >>> resumed.load_state_dict(state)
    >>> list(resumed), list(resumed)
    ([3, 4], [1, 2, 3, 4])
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        if not isinstance(loader, Iterable) or isinstance(loader, Iterator):
            raise TypeError(
                f"loader is of type {type(loader).__name__}, which cannot be iterated "
                "again and again: give a DataLoader, a list, or an object whose "
                "__iter__ starts a new epoch"
            )
        if getattr(loader, "persistent_workers", False):
            raise ValueError(
                "the loader has persistent_workers=True, whose random numbers cannot "
                "be saved: make it with persistent_workers=False"
            )
        self.loader = loader
        self._epoch: _Epoch | None = None
        self._to_resume: dict[str, Any] | None = None

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return len(self.loader)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the loader."""
        if name == "loader":  # not there yet: this is being copied
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        """Return the batches of a new epoch, or of the rest of a resumed one."""
        epoch = _Epoch(self._random_numbers())
        if self._to_resume is None:
            batches = iter(self.loader)
        else:
            batches = self._replay(self._to_resume, epoch)
            self._to_resume = None
        self._epoch = epoch
        return self._count(batches, epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the epoch.

        Returns
        -------
        dict
            ``"position"``, the number of batches yielded, 0 before the first epoch and
            after the end of one; ``"start"``, the random numbers the epoch started
            with, or None; ``"generators"``, the present states of the loader's own;
            and ``"loader"``, which describes it.
        """
        if self._to_resume is not None:
            start, position = self._to_resume["start"], self._to_resume["position"]
        elif self._epoch is not None:
            start, position = self._epoch.start, self._epoch.position
        else:
            start, position = None, 0
        return {
            "position": position,
            "start": start,
            "generators": self._generator_states(),
            "loader": _describe_loader(self.loader),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier place at the next iteration.

        The loader's own generators are set at once.

        Parameters
        ----------
        state : collections.abc.Mapping
            What `state_dict` returned.

        Raises
        ------
        ValueError
            If it is no such state, if the loader has generators in other places, or, in
            the middle of an epoch, another length, batch size, number of workers or
            kind of sampler.
        """
        _check_loader_state(state, self)
        before = self._generator_states()
        try:
            self._set_generators(state["generators"])
        except Exception as error:
            self._set_generators(before)
            raise ValueError(f"the state of a generator does not fit: {error}") from (
                error
            )
        self._epoch = None
        self._to_resume = None if state["start"] is None else dict(state)

    def _replay(self, state: dict[str, Any], epoch: _Epoch) -> Iterator[Any]:
        """Begin the epoch as it once began, and pass the batches already seen."""
        now, epoch.start, epoch.position = epoch.start, state["start"], 0
        try:
            self._set_random_numbers(epoch.start)
            batches = iter(self.loader)
            for _ in itertools.islice(batches, state["position"]):
                epoch.position += 1
        finally:
            self._set_random_numbers(now)
        if epoch.position < state["position"]:
            raise RuntimeError(
                f"the loader ended after {epoch.position} batches, but "
                f"{state['position']} were seen before the checkpoint: it is not the "
                "same loader. Make it as it was, over the same data"
            )
        return batches

    def _count(self, batches: Iterator[Any], epoch: _Epoch) -> Iterator[Any]:
        for batch in batches:
            epoch.position += 1
            yield batch
        if self._epoch is epoch:
            self._epoch = None

    def _random_numbers(self) -> dict[str, Any]:
        return {
            "random": RandomState().state_dict(),
            "generators": self._generator_states(),
        }

    def _set_random_numbers(self, state: Mapping[str, Any]) -> None:
        RandomState().load_state_dict(state["random"])
        self._set_generators(state["generators"])

    def _generator_states(self) -> dict[str, Tensor]:
        found = _find_generators(self.loader)
        return {place: generator.get_state() for place, generator in found.items()}

    def _set_generators(self, states: Mapping[str, Tensor]) -> None:
        for place, generator in _find_generators(self.loader).items():
            generator.set_state(states[place])


class Checkpoint:
    """A place for the checkpoint of a run, and how often to save it.

    Parameters
    ----------
    path : str or pathlib.Path
        The file. Folders that are missing are made at the first save.
    every_steps : int, optional
        How many steps of the optimizer lie between two saves; left out, a training
        saves at the end of each epoch alone. This class only keeps the number.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    every_steps : int or None
        As given.

    Raises
    ------
    TypeError
        If ``path`` is no path, or ``every_steps`` no integer.
    ValueError
        If ``every_steps`` is less than 1, or if no such file could be written: it is a
        folder, or lies in something that is not a folder or not writable.

    Examples
    --------
    >>> import tempfile
    >>> checkpoint = Checkpoint(tempfile.mkdtemp() + "/run.pt", every_steps=100)
    >>> checkpoint.exists()
    False
    >>> checkpoint.save(epoch=1)
    >>> checkpoint.load()
    {'epoch': 1}
    """

    def __init__(
        self, path: str | os.PathLike[str], *, every_steps: int | None = None
    ) -> None:
        self.path = Path(path)
        self.every_steps = every_steps
        _check_every_steps(every_steps)
        _check_writable(self.path)

    def exists(self) -> bool:
        """Return whether there is a file to load."""
        return self.path.is_file()

    def save(self, **objects: Any) -> None:
        """Save objects and values; see `save_checkpoint`."""
        save_checkpoint(self.path, **objects)

    def load(self, **objects: Any) -> dict[str, Any]:
        """Load objects and return the plain values; see `load_checkpoint`."""
        return load_checkpoint(self.path, **objects)

    def resumable(self, loader: Iterable[Any]) -> Any:
        """Return the loader itself if it has a state, or else a `ResumableLoader`."""
        return loader if _is_stateful(loader) else ResumableLoader(loader)

    def random_state(self) -> RandomState:
        """Return a `RandomState`, to be saved with the rest."""
        return RandomState()


# What goes into a file


def _is_stateful(value: Any) -> bool:
    methods = ("state_dict", "load_state_dict")
    return not isinstance(value, type) and all(
        callable(getattr(value, method, None)) for method in methods
    )


def _collect(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file will hold, all of it readable by `torch.load`."""
    if not objects:
        raise CheckpointError("nothing to save: name the objects, model=model")
    if ABOUT in objects:
        raise CheckpointError(f"the name {ABOUT!r} is taken: choose another")
    kinds: dict[str, dict[str, Any]] = {}
    content: dict[str, Any] = {}
    for name, value in objects.items():
        try:
            kind = _kind(value)
            state = _state(value) if kind else value
        except Exception as error:
            raise CheckpointError(
                f"{name} could not tell its state ({type(value).__name__}.state_dict: "
                f"{error}). Nothing was saved"
            ) from error
        if kind:
            kinds[name] = kind
        content[name] = _plain_top(state, name)
    about = {"torch": str(torch.__version__), "kinds": kinds}
    return {ABOUT: about, **content}


def _kind(value: Any) -> dict[str, Any]:
    """Describe an object that has a state; nothing for a plain value."""
    if isinstance(value, torch.Generator):
        return {"role": "generator", "class": value.device.type}
    if not _is_stateful(value):
        return {}
    name = type(value).__name__
    if isinstance(value, nn.Module):
        return {"role": "module", "class": name}
    if isinstance(value, Optimizer):
        shapes = [[tuple(p.shape) for p in g["params"]] for g in value.param_groups]
        # torch warns of a scheduler's step before the first one of the optimizer.
        stepped = bool(getattr(value, "_opt_called", False))
        return {
            "role": "optimizer", "class": name, "shapes": shapes, "stepped": stepped
        }  # fmt: skip
    return {"role": "object", "class": name}


def _state(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value.state_dict()


def _plain_top(value: Any, name: str) -> Any:
    try:
        return _plain(value, name)
    except RecursionError:
        raise CheckpointError(
            f"{name} holds itself, or is nested too deep to be saved: flatten it"
        ) from None


def _plain(value: Any, place: str) -> Any:
    """Return a value as it will be read, in containers of its own."""
    kind = type(value)
    if kind is int and value.bit_length() > LARGEST_INT_BITS:
        raise CheckpointError(f"{place} is too large an integer: save str({place})")
    if kind in PLAIN or isinstance(value, PLAIN_OF_TORCH):
        return value
    if isinstance(value, Tensor):
        return _plain_tensor(value, place)
    if _is_stateful(value):
        _refuse(value, place)
    if kind in (tuple, set) or isinstance(value, list):
        # torch.load would refuse another class; the values in it are what counts.
        plain = list if isinstance(value, list) else kind
        return plain(_plain(item, f"{place}[{i}]") for i, item in enumerate(value))
    if isinstance(value, dict):
        return _plain_dict(value, place)
    _refuse(value, place)


def _plain_dict(value: Any, place: str) -> Any:
    for key in value:
        if type(key) not in KEYS:
            _refuse(key, f"the key {key!r} of {place}")
    pairs = ((_plain(k, place), _plain(v, f"{place}[{k!r}]")) for k, v in value.items())
    kind = type(value) if type(value) in (OrderedDict, Counter) else dict
    rebuilt = kind(dict(pairs))
    if type(value) is OrderedDict:  # a module's has its layers' versions as attribute
        vars(rebuilt).update(_plain(vars(value), f"vars({place})"))
    return rebuilt


def _plain_tensor(tensor: Tensor, place: str) -> Tensor:
    if is_lazy(tensor):
        raise CheckpointError(
            f"{place} has no shape yet: pass one batch through the model first"
        )
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.is_nested:
        _refuse(tensor, place)
    if tensor.is_meta:
        raise CheckpointError(
            f"{place} is on the meta device, without numbers to save: load or "
            "initialize it on a real device first"
        )
    tensor = tensor.detach()
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return tensor
    # torch.save writes the whole memory behind a view.
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()


def _refuse(value: Any, place: str) -> NoReturn:
    kind = type(value)
    advice = "tensors, numbers, strings, lists, tuples and dicts can be saved"
    if isinstance(value, torch.Generator) or _is_stateful(value):
        advice = "pass it as an argument of its own, name=object"
    elif isinstance(value, str):
        advice = "convert it with str(...)"
    elif hasattr(value, "tolist"):
        advice = "convert it with torch.as_tensor(...), or a number with .item()"
        if not getattr(value, "ndim", 1):
            advice = "convert it with .item()"
        elif getattr(getattr(value, "dtype", None), "kind", None) in ("U", "S", "O"):
            advice = "convert it with .tolist()"
    raise CheckpointError(
        f"{place} is of type {kind.__module__}.{kind.__qualname__}, which could not be "
        f"loaded safely: {advice}. Nothing was saved"
    )


# Writing


class _ChecksumWriter:
    """A file to write to that keeps the CRC-32 of what was written.

    torch.save hides an error of its file behind one of its own: so it is kept here.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.checksum = 0
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self.checksum = zlib.crc32(data, self.checksum)
                self.file.write(data)
            except BaseException as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Do nothing: what follows flushes, once the end is written."""


def _write(target: Path, content: dict[str, Any]) -> None:
    with _open_beside(target) as file:
        temporary = Path(file.name)
        try:
            writer = _ChecksumWriter(file)
            torch.save(content, writer)  # type: ignore[arg-type]
            if writer.error is not None:
                raise writer.error
            file.seek(-2, os.SEEK_END)
            file.write(_trailer(writer.checksum))
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    with suppress(OSError):  # the save itself has succeeded
        _sync_folder(target.parent)
        _remove_leftovers(target)


def _open_beside(target: Path) -> BinaryIO:
    """Return a new file in the same folder, locked as long as it is open."""
    while True:
        name = f".{target.name}.{secrets.token_hex(8)}.part"
        file = open(target.with_name(name), "xb")  # noqa: SIM115
        # Another save may have taken it for a leftover just before it was locked.
        if _lock(file) and os.path.exists(file.name):
            return file
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or its process dies; False if another has it."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # this file system has no locks
    return True


def _trailer(checksum: int, version: int = FORMAT) -> bytes:
    """Return the end of a file: the zip archive's comment after its length.

    The checksum is that of the archive without a comment, whose length is two zeros.
    """
    text = b"checkpoint format %d, CRC-32 " % version
    length = struct.pack("<H", len(text) + 8)
    return length + text + b"%08x" % zlib.crc32(text, checksum)


def _sync_folder(folder: Path) -> None:
    """Put a changed folder on the disk, which only some systems know to do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    """Remove what killed saves left, but not what others are writing just now."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[^.]+\.part")
    for leftover in target.parent.iterdir():
        if name.fullmatch(leftover.name):
            with suppress(OSError), open(leftover, "rb") as file:
                if _lock(file):
                    leftover.unlink()


def _advice(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Make room on that disk, or save to another one"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Choose a folder that you may write to"
    return "Save to another place"


# Reading


def _read(path: Path) -> dict[str, Any]:
    """Return the checked content of a file."""
    try:
        with open(path, "rb") as file:
            _verify(file, path)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise _not_found(path) from error
    except IsADirectoryError as error:
        raise CheckpointError(
            f"{path} is a folder: give the name of a file in it"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} could not be read: {error}") from error
    except (CheckpointError, Warning):
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path} holds something other than tensors and plain values "
            f"({_what_else(error)}), and was not read further: use it only if you know "
            "who wrote it, and how"
        ) from error
    if not isinstance(content, dict) or not _is_about(content.get(ABOUT), content):
        raise CheckpointError(
            f"{path} has no list of what is in it: it was not written by "
            "save_checkpoint"
        )
    return content


def _is_about(about: Any, content: dict[str, Any]) -> bool:
    kinds = about.get("kinds") if isinstance(about, dict) else None
    return isinstance(kinds, dict) and all(
        name in content and isinstance(kind, dict) and {"role", "class"} <= set(kind)
        for name, kind in kinds.items()
    )


def _verify(file: BinaryIO, path: Path) -> None:
    """Raise unless all bytes are as `save_checkpoint` wrote them."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 64))
    end = TRAILER.search(file.read())
    if end is None:
        raise CheckpointError(f"{path} {_what_is_it(file, size)}")
    checksum = _checksum(file, size - len(end[0]))
    version = int(end[1])
    if end[0] != _trailer(checksum, version):
        raise CheckpointError(
            f"{path} is damaged: its bytes do not give the checksum they had when it "
            "was saved. Take another copy, or an older checkpoint"
        )
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version}, and this program reads format {FORMAT}: "
            "load it with the version of the program that saved it, or a newer one"
        )


def _checksum(file: BinaryIO, size: int) -> int:
    """Return the CRC-32 of the first bytes of a file and of two zeros."""
    file.seek(0)
    checksum = 0
    buffer = memoryview(bytearray(CHUNK))
    while size > 0:
        # A file that shrinks meanwhile gives nothing more, and a wrong checksum.
        count = file.readinto(buffer[: min(size, CHUNK)])  # type: ignore[attr-defined]
        if not count:
            break
        checksum = zlib.crc32(buffer[:count], checksum)
        size -= count
    return zlib.crc32(b"\0\0", checksum)


def _what_is_it(file: BinaryIO, size: int) -> str:
    """Say what a file without our trailer probably is, and what to do."""
    file.seek(0)
    head = file.read(16)
    if size == 0:
        return "is empty: take another copy, or an older checkpoint"
    if head.startswith(b"PK\x03\x04"):
        return _what_zip_is_it(file)
    if head.startswith(b"\x80"):
        return (
            "is a Python pickle, not a checkpoint of save_checkpoint: a pickle can "
            "run any code, so read it only if you trust who wrote it"
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "looks like a safetensors file: read it with the safetensors package"
    return f"is not a checkpoint of save_checkpoint: it begins with {head[:8]!r}"


def _what_zip_is_it(file: BinaryIO) -> str:
    try:
        names = zipfile.ZipFile(file).namelist()
    except Exception:
        return (
            "is incomplete or damaged: its end is missing. Take another copy, or an "
            "older checkpoint"
        )
    if any(name.endswith("data.pkl") for name in names):
        return (
            "has no checksum of save_checkpoint at its end: if torch.save wrote it, "
            "read it with torch.load(path, weights_only=True) and call load_state_dict "
            "yourself; if save_checkpoint did, it is damaged"
        )
    return "is a zip file, but not a checkpoint of save_checkpoint"


def _not_found(path: Path) -> FileNotFoundError:
    folder = path.parent
    if not folder.is_dir():
        return FileNotFoundError(
            errno.ENOENT, f"no such folder as {folder}, so no checkpoint", str(path)
        )
    near = _near(path.name, [file.name for file in folder.iterdir()])
    advice = near or "save_checkpoint makes it"
    return FileNotFoundError(errno.ENOENT, f"no such file; {advice}", str(path))


def _near(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else ""


def _what_else(error: Exception) -> str:
    # torch's own message goes on with how to switch the check off.
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else type(error).__name__


# Checking whether objects fit


def _misfit(
    name: str, target: Any, content: Mapping[str, Any], about: Mapping[str, Any]
) -> str:
    """Say why an object cannot take up its state in a file; nothing if it can."""
    kinds, own = about["kinds"], _kind(target)
    if not own:
        return (
            f"{name} is a {type(target).__name__}, which has no state to load into: "
            "plain values are returned, load_checkpoint(...)[name]"
        )
    if name not in kinds:
        if name in content:
            return (
                f"{name!r} is a plain value in the file, not the state of an object: "
                "it is returned, load_checkpoint(...)[name]"
            )
        listed = ", ".join(map(repr, kinds)) or "plain values alone"
        near = _near(name, kinds) or "leave it out, or start anew without this file"
        return f"it holds no {name!r}, but {listed} ({near})"
    saved = kinds[name]
    both_modules = own["role"] == saved["role"] == "module"
    if not both_modules and _title(own) != _title(saved):
        title = f"{_title(saved)}, not of {_title(own)}"
        return f"{name!r} is the state of {title}. {AS_IT_WAS}"
    same_torch = about.get("torch") == str(torch.__version__)
    wrong = _state_misfit(target, content[name], saved, same_torch)
    end = "" if wrong.endswith("?") else "."
    return wrong and f"{name!r} does not fit: {wrong}{end} {AS_IT_WAS}"


def _title(kind: Mapping[str, Any]) -> str:
    """Return the class of an object in words."""
    if kind["role"] == "generator":
        return f"a torch.Generator on {kind['class']}"
    return f"{kind['class']} ({kind['role']})"


def _state_misfit(
    target: Any, state: Any, saved: Mapping[str, Any], same_torch: bool
) -> str:
    if isinstance(target, torch.Generator):
        sizes = len(state), len(target.get_state())
        return "" if sizes[0] == sizes[1] else f"its state has sizes {sizes}"
    if isinstance(target, nn.Module):
        return _module_misfit(target.state_dict(), state)
    if isinstance(target, Optimizer):
        shapes = _kind(target)["shapes"]
        wrong = _shapes_misfit(shapes, saved["shapes"])
        return wrong or _options_misfit(target, state["param_groups"], same_torch)
    if isinstance(target, LRScheduler) and same_torch:
        missing = sorted(set(target.state_dict()) - set(state))
        return f"its state in the file lacks {_few(missing)}" if missing else ""
    return ""


def _module_misfit(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Compare names, shapes and dtypes of two states of modules."""
    lazy = [name for name, value in own.items() if is_lazy(value)]
    if lazy:
        return f"{lazy[0]!r} has no shape yet: pass one batch through the model first"
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    unlike = [
        f"{name!r} is {_describe(state[name])} in the file and {_describe(value)} here"
        for name, value in own.items()
        if name in state and _describe(state[name]) != _describe(value)
    ]
    parts = [("missing in the file: ", missing), ("only in the file: ", unexpected)]
    said = [word + _few(map(repr, names)) for word, names in parts if names]
    hint = _names_hint(missing, unexpected)
    return "; ".join(said + ([_few(unlike)] if unlike else []) + ([hint] * bool(hint)))


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{dtype} of shape {tuple(value.shape)}"
    return "no tensor"  # extra state, which only its module understands


def _names_hint(missing: list[str], unexpected: list[str]) -> str:
    """Say what other names for the same tensors could mean."""
    if not missing or not unexpected:
        return ""
    for prefix, maker in (
        ("_orig_mod.", "torch.compile"),
        ("module.", "DistributedDataParallel, DataParallel or AveragedModel"),
    ):
        if {name.replace(prefix, "") for name in missing} == {
            name.replace(prefix, "") for name in unexpected
        }:
            return (
                f"{prefix!r} comes from {maker}: save and load the model inside "
                "it, or wrap it both times"
            )
    return _near(missing[0], unexpected)


def _shapes_misfit(own: list[Any], saved: list[Any]) -> str:
    """Compare the shapes of the parameters in each group of two optimizers."""
    if len(own) != len(saved):
        return f"{len(saved)} parameter groups in the file, {len(own)} here"
    for number, (mine, theirs) in enumerate(zip(own, saved, strict=True)):
        if len(mine) != len(theirs):
            return (
                f"group {number} has {len(theirs)} parameters in the file, "
                f"{len(mine)} here"
            )
        for place, (shape, there) in enumerate(zip(mine, theirs, strict=True)):
            if shape != there:
                return (
                    f"parameter {place} of group {number} has shape {there} in the "
                    f"file, {shape} here"
                )
    return ""


def _options_misfit(
    optimizer: Optimizer, saved: list[dict[str, Any]], same_torch: bool
) -> str:
    """Compare the names of the options, which change from torch to torch."""
    for number, (own, group) in enumerate(
        zip(optimizer.param_groups, saved, strict=True)
    ):
        different = (set(own) ^ set(group)) - ADDED_OPTIONS
        if different and same_torch:
            return f"group {number} has other options: {_few(sorted(different))}"
        names = own.get("param_names"), group.get("param_names")
        if None not in names and names[0] != names[1]:
            return f"group {number} has its parameters in another order"
    return ""


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(listed[:4]) + more


# Loading


def _load_all(
    path: Path,
    objects: Mapping[str, Any],
    content: Mapping[str, Any],
    kinds: Mapping[str, Any],
) -> None:
    """Load all objects; if one fails, give all of them back what they had."""
    undo: list[Callable[[], None]] = [_undo(RandomState())]
    name = ""
    try:
        for name in objects:
            undo.append(_undo(objects[name]))
        for name in sorted(objects, key=lambda name: _turn(objects[name])):
            _load(objects[name], content[name], kinds[name])
    except BaseException as error:
        for put_back in reversed(undo):  # random numbers last
            put_back()
        if not isinstance(error, Exception):
            raise
        raise CheckpointError(
            f"{path}: {name!r} could not be loaded ({type(error).__name__}: {error}). "
            "All objects are as they were before"
        ) from error


def _turn(target: Any) -> int:
    """Return when to load: what may fail first, random numbers last."""
    if isinstance(target, torch.Generator | RandomState):
        return 2
    return 1 if isinstance(target, nn.Module | Optimizer) else 0


def _load(target: Any, state: Any, kind: Mapping[str, Any]) -> None:
    if isinstance(target, torch.Generator):
        target.set_state(state)
        return
    if not isinstance(target, nn.Module):
        # These keep what they are given, and the values may share memory with it.
        state = copy.deepcopy(state)
    if isinstance(target, Optimizer):
        for own, group in zip(target.param_groups, state["param_groups"], strict=True):
            for option in set(own) - set(group) - {"params"}:
                group[option] = own[option]
    target.load_state_dict(state)
    if kind.get("stepped"):
        target._opt_called = True


def _undo(target: Any) -> Callable[[], None]:
    """Return a call that gives an object back the state that it has now."""
    if isinstance(target, nn.Module):
        return _undo_module(target)
    if isinstance(target, torch.Generator):
        numbers = target.get_state()

        def put_numbers_back() -> None:
            target.set_state(numbers)

        return put_numbers_back
    state = copy.deepcopy(target.state_dict())
    attributes = dict(getattr(target, "__dict__", {}))

    def put_back() -> None:
        # Attributes first, so that what was changed in place is the right thing; and
        # last, for objects of which even this load fails, or that give new ones.
        _set_attributes(target, attributes)
        with suppress(BaseException):
            target.load_state_dict(state)
        _set_attributes(target, attributes)

    return put_back


def _undo_module(module: nn.Module) -> Callable[[], None]:
    state = module.state_dict()
    extra = {k: copy.deepcopy(v) for k, v in state.items() if not isinstance(v, Tensor)}
    named = itertools.chain(module.parameters(), module.buffers())
    tensors = [(tensor, tensor.detach().to("cpu", copy=True)) for tensor in named]

    def put_back() -> None:
        with suppress(BaseException):
            nn.Module.load_state_dict(module, extra, strict=False)
        with torch.no_grad():
            for tensor, values in tensors:
                tensor.copy_(values)

    return put_back


def _set_attributes(target: Any, attributes: dict[str, Any]) -> None:
    if attributes:
        vars(target).clear()
        vars(target).update(attributes)


# Random numbers


def _plain_numpy(state: Any) -> Any:
    """Return the state of a bit generator with lists in place of arrays."""
    if isinstance(state, dict):
        return {key: _plain_numpy(value) for key, value in state.items()}
    return state.tolist() if hasattr(state, "tolist") else state


def _accelerator_state() -> dict[str, Any]:
    device = torch.accelerator.current_accelerator()
    assert device is not None
    module = torch.get_device_module(device)
    if not getattr(module, "is_initialized", lambda: True)():
        return {"type": device.type, "states": []}  # not used so far
    if hasattr(module, "get_rng_state_all"):
        states = module.get_rng_state_all()
    else:
        states = [module.get_rng_state()]
    return {"type": device.type, "states": states}


def _set_random_state(state: Mapping[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(state["torch"])
    if "numpy" in state:
        # Without NumPy, nothing here will ask for its random numbers.
        with suppress(ImportError):
            importlib.import_module("numpy").random.set_state(state["numpy"])
    if "accelerator" in state and torch.accelerator.is_available():
        _set_accelerator_state(state["accelerator"])


def _set_accelerator_state(state: Mapping[str, Any]) -> None:
    device = torch.accelerator.current_accelerator()
    if device is None or device.type != state["type"]:
        return
    module = torch.get_device_module(device)
    if not hasattr(module, "get_rng_state_all"):
        for numbers in state["states"]:
            module.set_rng_state(numbers)
        return
    here = range(torch.accelerator.device_count())
    for number, numbers in zip(here, state["states"], strict=False):
        module.set_rng_state(numbers, number)


# The loader's own


def _find_generators(loader: Any) -> dict[str, torch.Generator]:
    """Return the generators of a loader by place, each once."""
    found: dict[str, torch.Generator] = {}
    for place in GENERATORS:
        part: Any = loader
        for name in place.split("."):
            part = getattr(part, name, None)
        if isinstance(part, torch.Generator) and all(
            part is not other for other in found.values()
        ):
            found[place] = part
    return found


def _describe_loader(loader: Any) -> dict[str, Any]:
    """Return what must be the same in the middle of an epoch."""
    length = None
    # Asked for its length, a loader warns later if an iterable dataset has another.
    if not isinstance(getattr(loader, "dataset", None), IterableDataset):
        with suppress(TypeError, NotImplementedError):
            length = len(loader)
    described = {
        "length": length,
        "batch_size": getattr(loader, "batch_size", None),
        "num_workers": getattr(loader, "num_workers", None),
    }
    plain = {
        key: value if isinstance(value, int) else None
        for key, value in described.items()
    }
    return {**plain, "sampler": type(getattr(loader, "sampler", None)).__name__}


def _check_loader_state(state: Mapping[str, Any], loader: ResumableLoader) -> None:
    now = loader.state_dict()
    if not isinstance(state, Mapping) or set(state) != set(now):
        raise ValueError(
            f"expected a state with {sorted(now)}: give what "
            "ResumableLoader.state_dict returned"
        )
    there, here = sorted(state["generators"]), sorted(now["generators"])
    if there != here:
        raise ValueError(
            f"the loader had generators at {there}, and this one has them at {here}: "
            "make it as it was"
        )
    changed = [
        f"{name} was {state['loader'].get(name)!r}, now {value!r}"
        for name, value in now["loader"].items()
        if state["loader"].get(name) != value
    ]
    if changed and state["start"] is not None:
        raise ValueError(
            f"the loader changed in the middle of an epoch: {', '.join(changed)}. "
            "Make it as it was"
        )


def _check_every_steps(every_steps: int | None) -> None:
    if every_steps is None:
        return
    if not isinstance(every_steps, int) or isinstance(every_steps, bool):
        raise TypeError(
            f"every_steps is {every_steps!r}, of type {type(every_steps).__name__}: "
            "give a number of steps, 1 or more"
        )
    if every_steps < 1:
        raise ValueError(
            f"every_steps is {every_steps}: give 1 or more, or leave it out to save "
            "at the end of each epoch"
        )


def _check_writable(path: Path) -> None:
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file in it")
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir():
        raise ValueError(f"{path}: {folder} is not a folder. Choose another path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: the folder {folder} is not writable. Choose another")
