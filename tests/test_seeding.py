"""`snippets.seeding` makes random numbers repeat."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from snippets.seeding import seed_everything, seed_worker

# What a machine with one core, and a Python that minds forks, warn of.
quiet_workers = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create",
    "ignore:.*multi-threaded, use of fork",
)


@pytest.fixture(autouse=True)
def global_state(monkeypatch):
    """Give back the generators and flags that a test changes."""
    # Set before it is deleted, so that what a test sets is taken away again.
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    random.setstate(generators[0])
    np.random.set_state(generators[1])
    torch.set_rng_state(generators[2])
    cudnn.deterministic, cudnn.benchmark = flags
    torch.use_deterministic_algorithms(deterministic)


def draw() -> tuple[float, float, float]:
    """One number of each library."""
    return random.random(), float(np.random.rand()), torch.rand(()).item()


def flags() -> tuple[bool, bool, bool, str | None]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


class Noise(Dataset):
    """Each item: its worker, that worker's seed, and one number of each library."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index):
        return get_worker_info().id, torch.initial_seed(), *draw()


def noise(*, seed=0, epochs=1) -> list[list[tuple]]:
    """The items of each epoch, from two workers."""
    loader = DataLoader(
        Noise(),
        batch_size=None,
        num_workers=2,
        worker_init_fn=seed_worker,
        generator=torch.Generator().manual_seed(seed),
    )
    return [[tuple(item) for item in loader] for _ in range(epochs)]


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_every_library_draws_as_with_its_own_seed(seed):
    """The numbers are those of random.seed, numpy.random.seed and torch.manual_seed."""
    seed_everything(seed)
    torch_numbers = torch.Generator().manual_seed(seed)
    assert draw() == (
        random.Random(seed).random(),
        np.random.RandomState(seed).rand(),
        torch.rand((), generator=torch_numbers).item(),
    )


def test_the_same_seed_repeats_and_another_does_not():
    """Two calls give the same run; another seed changes every library."""
    runs = []
    for seed in (3, 3, 4):
        seed_everything(seed)
        runs.append(draw())
    assert runs[0] == runs[1]
    assert all(a != b for a, b in zip(runs[0], runs[2], strict=True))


@pytest.mark.gpu
def test_the_accelerator_repeats_too(accelerator):
    """Numbers drawn on the accelerator are the same after the same seed."""
    runs = []
    for seed in (5, 5, 6):
        seed_everything(seed)
        runs.append(torch.rand(100, device=accelerator))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("seed", [np.int64(9), np.uint32(9)])
def test_an_integer_of_numpy_is_a_seed(seed):
    """It gives the numbers of the same Python integer."""
    seed_everything(seed)
    first = draw()
    seed_everything(9)
    assert draw() == first


@pytest.mark.parametrize(
    "seed", [True, np.True_, 1.0, "1", None, torch.tensor(1)], ids=repr
)
def test_a_seed_of_another_type_is_refused(seed):
    """The error names the type; no generator and no flag changes."""
    seed_everything(1)
    expected, before = draw(), flags()
    seed_everything(1)
    kind, seeds = type(seed).__name__, "from 0 to 4294967295$"
    with pytest.raises(TypeError, match=f"type {kind}: give an integer {seeds}"):
        seed_everything(seed, deterministic=True)
    assert draw() == expected and flags() == before


@pytest.mark.parametrize("seed", [-1, 2**32, -(2**70)])
def test_a_seed_out_of_range_is_refused(seed):
    """The error says the range; no generator and no flag changes."""
    seed_everything(1)
    expected, before = draw(), flags()
    seed_everything(1)
    message = f"seed is {seed}: give an integer from 0 to 4294967295$"
    with pytest.raises(ValueError, match=message):
        seed_everything(seed, deterministic=True)
    assert draw() == expected and flags() == before


def test_without_numpy_the_rest_is_seeded(monkeypatch):
    """NumPy is not needed: torch and Python repeat without it."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    seed_everything(2)
    first = random.random(), torch.rand(()).item()
    seed_everything(2)
    assert (random.random(), torch.rand(()).item()) == first


def test_flags_stay_unless_determinism_is_asked_for():
    """A plain seed neither turns determinism on nor off."""
    torch.backends.cudnn.benchmark = True
    before = flags()
    seed_everything(0)
    assert flags() == before
    seed_everything(0, deterministic=True)
    asked = flags()
    seed_everything(0)
    assert flags() == asked != before


def test_deterministic_sets_what_the_documentation_lists():
    """Algorithms, cuDNN and cuBLAS; and the seed counts as well."""
    torch.backends.cudnn.benchmark = True
    seed_everything(4, deterministic=True)
    assert flags() == (True, True, False, ":4096:8")
    assert random.random() == random.Random(4).random()


def test_a_workspace_of_your_own_is_kept(monkeypatch):
    """The smaller of the two deterministic workspaces stays if it was chosen."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    seed_everything(0, deterministic=True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_deterministic_refuses_an_operation_that_is_not():
    """Writing twice to one place has no fixed winner, and raises."""
    seed_everything(0, deterministic=True)
    with pytest.raises(RuntimeError, match="put_ does not have a deterministic"):
        torch.zeros(2).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))


@quiet_workers
def test_workers_draw_by_their_torch_seed():
    """The first numbers in a worker are those of torch's seed, cut to 32 bits."""
    first = {}
    for worker, seed, python, numpy, _ in noise()[0]:
        first.setdefault(int(worker), (int(seed) % 2**32, python, numpy))
    assert sorted(first) == [0, 1]
    for seed, python, numpy in first.values():
        assert python == random.Random(seed).random()
        assert numpy == np.random.RandomState(seed).rand()


@quiet_workers
def test_workers_repeat_per_run_and_differ_from_each_other():
    """One seed, one run; but no number comes twice, in no worker and no epoch."""
    run, again, other = noise(epochs=2), noise(epochs=2), noise(seed=1, epochs=2)
    assert run == again
    for place in (2, 3, 4):
        drawn = [float(item[place]) for epoch in run for item in epoch]
        assert len(set(drawn)) == 16
        assert not set(drawn) & {float(item[place]) for e in other for item in e}


def test_seed_worker_in_the_main_process_is_refused():
    """Called instead of passed, it says so and leaves all numbers alone."""
    seed_everything(1)
    expected = draw()
    seed_everything(1)
    message = r"seed_worker\(0\) was.* worker_init_fn=seed_worker, or.* seed_everything"
    with pytest.raises(RuntimeError, match=message):
        DataLoader(Noise(), num_workers=2, worker_init_fn=seed_worker(0))
    assert draw() == expected
