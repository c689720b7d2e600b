"""`fit` under ``torchrun`` does what one process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
import warnings
from contextlib import nullcontext
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn

from snippets.training import TrainingError, fit
from tests.pages import ROOT
from tests.training_processes import PROCESSES, all_runs

PROGRAM = ROOT / "tests" / "training_processes.py"
RUNS = [
    "shares of each batch",
    "one process has no row",
    "accumulated",
    "clipped",
    "sum",
    "sampler",
    "DistributedDataParallel",
    "other weights at the start",
    "resumed",
    "no row in between",
    "no row of several",
    "running statistics",
]
# Each process normalizes its own rows, so that these are not those of one process.
OF_THEIR_OWN = {"running statistics"}


def run_with_torchrun(folder):
    """Run everything in new processes, as users do."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "error", "-m", "torch.distributed.run"),
            *("--standalone", f"--nproc-per-node={PROCESSES}", PROGRAM, folder),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def run_in_forks(folder):
    """Run everything in forks of this process, which saves them the imports."""
    store = f"file://{folder}.store"
    children = set()
    for rank in range(PROCESSES):
        child = os.fork()
        if child == 0:
            run_as(rank, store, folder)
        children.add(child)
    failed = False
    while children:
        child, status = os.wait()
        children.remove(child)
        if status and not failed:
            failed = True
            for other in children:  # which would wait for this one
                os.kill(other, signal.SIGKILL)
    assert not failed, "see above what went wrong"


def run_as(rank, store, folder):
    """Run everything as one of some processes, and end this process."""
    code = 1
    try:
        torch.set_num_threads(1)  # a fork lacks the threads of its parent
        limit = timedelta(seconds=60)
        dist.init_process_group("gloo", store, limit, PROCESSES, rank)
        torch.save(all_runs(folder), folder / f"rank{rank}.pt")
        dist.barrier()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


@pytest.fixture(
    scope="module",
    params=[run_in_forks, pytest.param(run_with_torchrun, marks=pytest.mark.slow)],
)
def folder(request, tmp_path_factory):
    """Run everything in several processes and return the folder of results."""
    folder = tmp_path_factory.mktemp("processes")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        request.param(folder)
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(PROCESSES)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return all_runs(tmp_path_factory.mktemp("alone"))


def test_every_run_is_compared(alone):
    """No run of the program is left out below."""
    assert list(alone) == RUNS


@pytest.mark.parametrize("name", [name for name in RUNS if name not in OF_THEIR_OWN])
def test_processes_train_as_one(name, results, alone):
    """Weights, history and evaluation are those of one process, in float tolerance."""
    for rank in range(PROCESSES):
        torch.testing.assert_close(results[rank][name], alone[name])


@pytest.mark.parametrize("name", RUNS)
def test_processes_end_with_the_same_weights(name, results):
    """Bit for bit, so that they do not drift apart."""
    first, second = (result[name][0] for result in results)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_resumed_run_is_bit_equal(results):
    """Stopped in the middle of an epoch, two processes end as without the stop."""
    for result in results:
        stopped, whole = result["resumed"], result["shares of each batch"]
        assert stopped[1:] == whole[1:]
        assert all(torch.equal(stopped[0][key], whole[0][key]) for key in whole[0])


def test_nothing_is_left_behind(results, folder):
    """Only the results and the one checkpoint that rank 0 wrote."""
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["parallel.pt", "rank0.pt", "rank1.pt", "run.pt"]


def test_a_parallel_model_is_saved_as_the_model_in_it(results, folder):
    """So that one process loads what several have trained."""
    model = torch.load(folder / "parallel.pt", weights_only=True)["model"]
    assert model.keys() == results[0]["DistributedDataParallel"][0].keys()


@pytest.mark.parametrize(
    ("size", "rank", "refused"),
    [("2", "0", True), ("3", "1", True), ("1", "0", False), ("2", None, False)],
)
def test_processes_that_are_not_connected_are_refused(monkeypatch, size, rank, refused):
    """Else each would train a model of its own, and nobody would notice."""
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.delenv("RANK", raising=False)
    if rank:
        monkeypatch.setenv("RANK", rank)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.ones(1, 1), torch.ones(1, 1))]
    said = rf"one of {size} processes that are not connected: .*init_process_group\(\)"
    with pytest.raises(TrainingError, match=said) if refused else nullcontext():
        fit(model, batches, nn.MSELoss(), optimizer, epochs=1)
