"""Make random numbers repeat from run to run.

One seed for Python's `random`, for NumPy and for torch, and the same for the workers of
a `torch.utils.data.DataLoader`.
"""

from __future__ import annotations

import importlib
import numbers
import os
import random
from types import ModuleType

import torch
from torch.utils.data import get_worker_info

__all__ = ["seed_everything", "seed_worker"]

SEEDS = 2**32
"""How many seeds there are: NumPy takes 0 to ``SEEDS - 1``, torch and Python more."""


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed the global generators of Python, of NumPy and of torch on every device.

    Call it once, at the top of a script, before the model and the loaders are made.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1, the range of NumPy, whether NumPy is installed or not. An
        integer of NumPy is as good; a bool, a float or a tensor is refused.
    deterministic : bool, optional
        Also choose algorithms that give the same bits each time: turns on
        `torch.use_deterministic_algorithms` and
        ``torch.backends.cudnn.deterministic``, turns off
        ``torch.backends.cudnn.benchmark``, and sets the environment variable
        ``CUBLAS_WORKSPACE_CONFIG`` to ``:4096:8`` where it has no value. Operations
        without such an algorithm then raise RuntimeError; others may be slower. cuBLAS
        reads its variable once, so call this before the first work on a GPU. False
        leaves all of these as they are: it turns nothing off.

    Raises
    ------
    TypeError
        If ``seed`` is no integer.
    ValueError
        If ``seed`` is out of range. Nothing is seeded then.

    See Also
    --------
    seed_worker : The same for the worker processes of a loader.

    Notes
    -----
    A seed does not cover:

    - generators of your own: `torch.Generator`, `random.Random` and what
      `numpy.random.default_rng` returns have their own seeds;
    - the order of a set of strings, which depends on ``PYTHONHASHSEED``, set before
      Python starts;
    - other processes, and libraries with random numbers of their own;
    - another version of torch, another machine, another device, or another number of
      threads, where sums may be rounded differently;
    - a changed program: one more random number drawn early changes all that follow.

    References
    ----------
    The page "Reproducibility" of torch's documentation,
    https://docs.pytorch.org/docs/stable/notes/randomness.html.

    Examples
    --------
    >>> seed_everything(7)
    >>> first = torch.rand(3), random.random()
    >>> seed_everything(7)
    >>> torch.equal(torch.rand(3), first[0]), random.random() == first[1]
    (True, True)
    """
    seed = _check_seed(seed)
    _seed_python_and_numpy(seed)
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def seed_worker(worker_id: int) -> None:
    """Seed Python's `random` and NumPy in a worker of a loader from its torch seed.

    For ``worker_init_fn`` of `torch.utils.data.DataLoader`. torch's own seed differs
    from worker to worker and from epoch to epoch, and comes from the ``generator`` of
    the loader, or from torch's global one. So the random numbers of a dataset differ
    between workers, and repeat in the next run with the same seed and the same number
    of workers.

    Parameters
    ----------
    worker_id : int
        The number of the worker, given by the loader. torch's seed already counts it.

    Raises
    ------
    RuntimeError
        If this is not a worker: then there is nothing to seed, and the main process
        keeps its random numbers.

    Notes
    -----
    Recent versions of `torch.utils.data.DataLoader` seed both by themselves. This
    function says so in your program, by the rule that torch documents.

    References
    ----------
    The page "Reproducibility" of torch's documentation,
    https://docs.pytorch.org/docs/stable/notes/randomness.html.

    Examples
    --------
    >>> loader = torch.utils.data.DataLoader(
    ...     torch.arange(8),
    ...     shuffle=True,
    ...     num_workers=2,
    ...     worker_init_fn=seed_worker,
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    """
    if get_worker_info() is None:
        raise RuntimeError(
            f"seed_worker({worker_id!r}) was called outside a worker of a DataLoader: "
            "pass the function itself, worker_init_fn=seed_worker, or call "
            "seed_everything in the main process"
        )
    _seed_python_and_numpy(torch.initial_seed() % SEEDS)


def _seed_python_and_numpy(seed: int) -> None:
    random.seed(seed)
    numpy = _find_numpy()
    if numpy is not None:
        numpy.random.seed(seed)


def _find_numpy() -> ModuleType | None:
    # torch works without NumPy, and so does this file.
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


def _check_seed(seed: int) -> int:
    # NumPy's integers count as integral numbers, its bools do not, but Python's do.
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
        raise TypeError(
            f"seed is {seed!r}, of type {type(seed).__name__}: give an integer "
            f"from 0 to {SEEDS - 1}"
        )
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed is {seed}: give an integer from 0 to {SEEDS - 1}")
    return int(seed)
