"""A run of `fit` that was stopped and resumed ends as if it had never been stopped."""

from __future__ import annotations

import inspect
import os
import random
import signal
import threading
import time
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from snippets.checkpointing import Checkpoint, CheckpointError
from snippets.data import ArrayDataset, make_loader
from snippets.training import accuracy, fit

INPUTS = torch.randn(44, 6, generator=torch.Generator().manual_seed(1))
TARGETS = INPUTS[:, :3].argmax(dim=1)
EPOCHS = 4


class Noisy(Dataset):
    """Samples with noise of the global generators of torch, NumPy and Python."""

    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        noise = torch.rand(6) + np.random.rand() + random.random()
        return INPUTS[index] + noise / 100, TARGETS[index]


def shuffled():
    return DataLoader(TensorDataset(INPUTS, TARGETS), 8, shuffle=True)


def with_generator():
    generator = torch.Generator().manual_seed(5)
    return DataLoader(
        TensorDataset(INPUTS, TARGETS), 8, shuffle=True, generator=generator
    )


def noisy():
    return DataLoader(Noisy(), 8, shuffle=True)


def in_memory():
    dataset = ArrayDataset(INPUTS, TARGETS)
    return make_loader(dataset, batch_size=8, shuffle=True, seed=5)


def from_files():
    return make_loader(Noisy(), batch_size=8, shuffle=True, seed=5)


def as_list():
    return list(zip(INPUTS.split(8), TARGETS.split(8), strict=True))


LOADERS = [shuffled, with_generator, noisy, in_memory, from_files, as_list]


class KilledError(Exception):
    """Stands for whatever ends a process."""


def run(make_train_loader, checkpoint=None, *, kill_at=None, epochs=EPOCHS, **options):
    """Train from seed 0, or go on; return all that must come out the same."""
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedulers = {
        "step": torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=5),
        "epoch": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
    }
    steps = []

    def on_step_end():
        steps.append(1)
        if len(steps) == kill_at:
            raise KilledError

    train_loader, val_loader = make_train_loader(), shuffled()
    try:
        history = fit(
            model,
            train_loader,
            nn.CrossEntropyLoss(),
            optimizer,
            epochs=epochs,
            val_loader=val_loader,
            metrics={"accuracy": accuracy},
            scheduler=schedulers,
            checkpoint=checkpoint,
            on_step_end=on_step_end,
            **options,
        )
    except KilledError:
        return None
    random_numbers = random.random(), float(np.random.rand()), torch.rand(2)
    return (
        model.state_dict(),
        optimizer.state_dict()["state"],
        history,
        random_numbers,
        model.training,
    )


@pytest.mark.parametrize(
    "make_loader_", LOADERS, ids=lambda function: function.__name__
)
def test_a_checkpoint_changes_nothing(make_loader_, tmp_path):
    """Saving draws no random number and moves no weight."""
    saved = run(make_loader_, Checkpoint(tmp_path / "run.pt", every_steps=2))
    assert_same(saved, run(make_loader_))


@pytest.mark.parametrize(
    "make_loader_", LOADERS, ids=lambda function: function.__name__
)
@pytest.mark.parametrize("every_steps", [None, 1, 4])
def test_resumed_run_is_bit_equal(make_loader_, every_steps, tmp_path):
    """Killed again and again, it ends with the same weights, history and numbers."""
    checkpoint = Checkpoint(tmp_path / "run.pt", every_steps=every_steps)
    kills = [3, 5, 6, 4] if every_steps else [7, 8, 7]
    for kill_at in kills:
        assert run(make_loader_, checkpoint, kill_at=kill_at) is None
    assert_same(run(make_loader_, checkpoint), run(make_loader_))


@pytest.mark.parametrize("kill_at", range(1, 7))
def test_every_step_of_an_epoch_can_be_the_last(kill_at, tmp_path):
    """The last step of an epoch too, whose validation then comes after the resume."""
    checkpoint = Checkpoint(tmp_path / "run.pt", every_steps=1)
    run(with_generator, checkpoint, kill_at=kill_at + 6)
    assert_same(run(with_generator, checkpoint), run(with_generator))


def test_accumulated_batches_resume(tmp_path):
    """A window of several batches is saved as a whole."""
    checkpoint = Checkpoint(tmp_path / "run.pt", every_steps=1)
    run(shuffled, checkpoint, kill_at=5, accumulate=4)
    assert_same(run(shuffled, checkpoint, accumulate=4), run(shuffled, accumulate=4))


def test_finished_run_returns_its_history(tmp_path):
    """The same call again trains no step and gives the trained model."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    first = run(shuffled, checkpoint)
    whole = "holds 4 of 4 epochs, so nothing is trained: raise epochs, or .*=False$"
    with pytest.warns(UserWarning, match=whole) as caught:
        second = run(shuffled, checkpoint, kill_at=1)
    lines, start = inspect.getsourcelines(run)
    assert caught[0].filename == __file__
    assert start <= caught[0].lineno < start + len(lines), "where fit was called"
    assert_same(second, first)


def test_more_epochs_go_on(tmp_path):
    """A run of two epochs, called again with four, is one of four."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    run(shuffled, checkpoint, epochs=2)
    assert_same(run(shuffled, checkpoint), run(shuffled))


def test_resume_false_starts_anew(tmp_path):
    """The old file is then replaced at the end of the first epoch."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    run(shuffled, checkpoint, epochs=2)
    assert_same(run(shuffled, checkpoint, resume=False), run(shuffled))


def test_patience_survives_a_stop(tmp_path):
    """The best weights so far are in the file."""
    checkpoint = Checkpoint(tmp_path / "run.pt", every_steps=3)
    for kill_at in (8, 9):
        run(shuffled, checkpoint, kill_at=kill_at, patience=1, epochs=12)
    resumed = run(shuffled, checkpoint, patience=1, epochs=12)
    assert_same(resumed, run(shuffled, patience=1, epochs=12))


ADVICE = r"\]: call fit as before, or start anew with resume=False\)"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"scheduler": {}},
            r"a run with the objects \['model', .*" + ADVICE,
        ),
        (
            {"metrics": {}},
            r"a run with the measures \['loss', .*" + ADVICE,
        ),
        (
            {"val_loader": as_list()},
            r"a run with the loaders \['train_.*" + ADVICE,
        ),
        ({"autocast": torch.float16}, "scaler"),
    ],
)
def test_another_call_is_refused(change, said, tmp_path):
    """A call that would measure or step otherwise does not mix with the old run."""

    def call(**options):
        model = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        options = {
            "scheduler": {"epoch": scheduler},
            "metrics": {"accuracy": accuracy},
            **options,
        }
        before = model.weight.clone()
        try:
            fit(
                model,
                as_list(),
                nn.CrossEntropyLoss(),
                optimizer,
                epochs=1,
                checkpoint=Checkpoint(tmp_path / "run.pt"),
                **options,
            )
        except CheckpointError:
            assert torch.equal(model.weight, before)
            raise

    call()
    with pytest.raises(CheckpointError, match=said) as caught:
        call(**change)
    assert "start anew with resume=False" in caught.value.__notes__[0]


def test_a_checkpoint_names_what_it_holds(tmp_path):
    """So that others can take the model from it, or look at the rest."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    run(shuffled, checkpoint)
    content = torch.load(checkpoint.path, weights_only=True)
    names = ["model", "optimizer", "step_scheduler", "epoch_scheduler", "run"]
    assert [name for name in content if not name.startswith("__")] == names
    state = content["run"]
    assert state["objects"] == names
    assert state["loaders"] == ["train_loader", "val_loader", "random_state"]
    (process,) = state["processes"]
    assert list(process) == [*state["loaders"], "averages"]


def test_steps_that_are_saved_are_not_trained_again(tmp_path):
    """After a stop at the third step, as many steps are left."""
    checkpoint = Checkpoint(tmp_path / "run.pt", every_steps=1)
    assert run(shuffled, checkpoint, kill_at=4) is None
    left = 6 * EPOCHS - 3  # a step is saved after the call that ends the run
    assert run(shuffled, checkpoint, kill_at=left + 1) is not None


class ScaledLoss(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs * self.scale, targets)


def plain_loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


@pytest.mark.parametrize("make_loss", [ScaledLoss, lambda: plain_loss])
@pytest.mark.parametrize("autocast", [None, torch.float16])
def test_losses_and_scalers_resume(make_loss, autocast, tmp_path):
    """What the loss has learned, and the scale that was found, are in the file too."""

    def train(checkpoint=None, kill_at=None):
        torch.manual_seed(0)
        model, loss_fn, steps = nn.Linear(6, 3), make_loss(), []
        with torch.no_grad():
            model.weight *= 300  # so that gradients overflow at the first scale
        own = list(loss_fn.parameters()) if isinstance(loss_fn, nn.Module) else []
        optimizer = torch.optim.SGD([*model.parameters(), *own], lr=0.1)

        def on_step_end():
            steps.append(1)
            if len(steps) == kill_at:
                raise KilledError

        options = {"checkpoint": checkpoint, "autocast": autocast}
        try:
            history = fit(
                model,
                as_list(),
                loss_fn,
                optimizer,
                epochs=2,
                on_step_end=on_step_end,
                **options,
            )
        except KilledError:
            return None
        return model.state_dict(), [p.detach().clone() for p in own], history

    checkpoint = Checkpoint(tmp_path / "run.pt", every_steps=1)
    assert train(checkpoint, kill_at=8) is None
    assert_same(train(checkpoint), train())


def test_the_best_weights_survive_a_stop(tmp_path):
    """Also where nothing better comes after it."""

    def train(checkpoint=None, kill_at=None):
        torch.manual_seed(0)
        model = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        epochs = []

        def on_epoch_end(record):
            epochs.append(1)
            optimizer.param_groups[0]["lr"] = 10.0  # worse and worse from now on
            if len(epochs) == kill_at:
                raise KilledError

        options = {"patience": 3, "epochs": 4, "val_loader": as_list()}
        try:
            fit(
                model,
                as_list(),
                nn.CrossEntropyLoss(),
                optimizer,
                checkpoint=checkpoint,
                on_epoch_end=on_epoch_end,
                **options,
            )
        except KilledError:
            return None
        return model.state_dict()

    checkpoint = Checkpoint(tmp_path / "run.pt")
    assert train(checkpoint, kill_at=2) is None
    assert_same(train(checkpoint), train())


def test_broken_weights_are_never_saved(tmp_path):
    """A NaN gradient under a finite loss breaks the model, not the file."""
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss_fn(outputs, targets):
        return (outputs - outputs).abs().sqrt().mean()  # 0, with the gradient NaN

    path = tmp_path / "run.pt"
    checkpoint = Checkpoint(path, every_steps=1)
    where = "parameter 'weight' is not finite before epoch 1, step 2"
    with pytest.raises(RuntimeError, match=where):
        fit(model, as_list(), loss_fn, optimizer, epochs=1, checkpoint=checkpoint)
    assert not path.exists()


@pytest.fixture
def _ctrl_c():
    """Have Ctrl-C heard, which a job in a shell's background ignores."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("_ctrl_c")
@pytest.mark.parametrize("moment", ["step", "validation"])
def test_ctrl_c_saves_and_goes_on_later(moment, tmp_path):
    """Interrupted by SIGINT, `fit` raises KeyboardInterrupt at the end of the step."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    usual = signal.getsignal(signal.SIGINT)
    calls = []

    def interrupt(outputs, targets):
        calls.append(1)
        if len(calls) == (15 if moment == "step" else 20):
            os.kill(os.getpid(), signal.SIGINT)
        return accuracy(outputs, targets)

    def train(metric, **options):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        history = fit(
            model,
            shuffled(),
            nn.CrossEntropyLoss(),
            optimizer,
            epochs=3,
            val_loader=as_list(),
            metrics={"accuracy": metric},
            **options,
        )
        return model.state_dict(), history, torch.rand(1)

    with pytest.raises(KeyboardInterrupt, match=r"saved in .*run\.pt, epoch \d; "):
        train(interrupt, checkpoint=checkpoint)
    assert len(calls) == (15 if moment == "step" else 24)
    assert signal.getsignal(signal.SIGINT) is usual
    assert_same(train(accuracy, checkpoint=checkpoint), train(accuracy))


class EndsWorkers:
    """A loader whose workers Ctrl-C ends first, as a terminal's does."""

    def __init__(self, loader, at):
        self.loader, self.at, self.given = loader, at, 0

    def __iter__(self):
        for batch in self.loader:
            if self.given == self.at:
                self.at = None
                os.kill(os.getpid(), signal.SIGINT)
                raise RuntimeError("DataLoader worker exited unexpectedly")
            self.given += 1
            yield batch


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_that_ends_the_workers_saves_too(tmp_path):
    """Between two steps, what has been done so far is kept."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    first = []
    said = r"saved in .*run\.pt, epoch 2; the same call of fit goes on there$"
    with pytest.raises(KeyboardInterrupt, match=said):
        run(
            lambda: EndsWorkers(shuffled(), at=9),
            checkpoint,
            on_epoch_end=lambda _: first.append(checkpoint.path.read_bytes()),
        )
    assert [checkpoint.path.read_bytes()] != first, "three steps have been saved since"
    whole = run(lambda: EndsWorkers(shuffled(), at=None))
    resumed = run(lambda: EndsWorkers(shuffled(), at=None), checkpoint)
    assert_same(resumed, whole)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_that_ends_the_workers_within_a_step(tmp_path):
    """With batches that have not made a step yet, the last save stays as it is."""
    checkpoint = Checkpoint(tmp_path / "run.pt")
    loader = EndsWorkers(shuffled(), at=9)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(lambda: loader, checkpoint, accumulate=4)
    assert isinstance(caught.value.__cause__, RuntimeError)
    whole = run(lambda: EndsWorkers(shuffled(), at=None), accumulate=4)
    again = run(lambda: EndsWorkers(shuffled(), None), checkpoint, accumulate=4)
    assert_same(again, whole)


def test_an_error_of_the_loader_is_no_ctrl_c(tmp_path):
    """It comes out as it is, and nothing of the epoch is saved."""
    checkpoint = Checkpoint(tmp_path / "run.pt")

    def broken():
        yield from as_list()[:2]
        raise RuntimeError("no such file")

    class Broken:
        def __iter__(self):
            return broken()

    with pytest.raises(RuntimeError, match="no such file"):
        run(Broken, checkpoint)
    assert not checkpoint.exists()


@pytest.mark.usefixtures("_ctrl_c")
def test_second_ctrl_c_does_not_wait(tmp_path):
    """Whoever presses Ctrl-C twice wants to leave now; the old file stays."""
    checkpoint = Checkpoint(tmp_path / "run.pt")

    calls = []

    def interrupt(outputs, targets):
        os.kill(os.getpid(), signal.SIGINT)
        calls.append("once")
        os.kill(os.getpid(), signal.SIGINT)
        calls.append("twice")
        return 0.0

    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            as_list(),
            nn.CrossEntropyLoss(),
            optimizer,
            epochs=1,
            metrics={"never": interrupt},
            checkpoint=checkpoint,
        )
    assert calls == ["once"]
    assert not checkpoint.exists()


def interrupted_at_once(checkpoint=None):
    """Train with a Ctrl-C in the first step; return how many steps there were."""
    calls = []

    def interrupt(outputs, targets):
        if not calls:
            os.kill(os.getpid(), signal.SIGINT)
        calls.append(1)
        return 0.0

    model = nn.Linear(6, 3)
    options = {"epochs": 1, "metrics": {"calls": interrupt}, "checkpoint": checkpoint}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    try:
        fit(model, as_list(), nn.CrossEntropyLoss(), optimizer, **options)
    except KeyboardInterrupt:
        return -len(calls)
    return len(calls)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_without_a_checkpoint_is_as_usual():
    """There is nothing to wait for."""
    assert interrupted_at_once() == 0


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_stays_ignored_where_it_is(tmp_path):
    """As for a job in a shell's background, whatever `fit` is given."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert interrupted_at_once(Checkpoint(tmp_path / "run.pt")) == len(as_list())


def test_a_thread_may_train(tmp_path):
    """Only the main thread hears of Ctrl-C, so that no other may ask for it."""
    results = []
    checkpoint = Checkpoint(tmp_path / "run.pt")
    thread = threading.Thread(target=lambda: results.append(run(shuffled, checkpoint)))
    thread.start()
    thread.join()
    assert_same(results[0], run(shuffled))


KILLS = 100
"""How many times the runs below are killed with SIGKILL, at random moments."""


@pytest.fixture
def one_thread():
    """A forked process lacks the threads of its parent, and would wait for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train_in_child(path, make_train_loader):
    """Run in a forked process, which ends here whatever happens."""
    code = 1
    warnings.simplefilter("ignore")  # a run that was killed at its very end is complete
    try:
        checkpoint = Checkpoint(path, every_steps=1)
        result = run(make_train_loader, checkpoint, epochs=8)
        torch.save((result[0], list(result[2]), result[3]), f"{path}.result")
        code = 0
    finally:
        os._exit(code)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are of POSIX")
@pytest.mark.parametrize("make_train_loader", [shuffled, in_memory])
@pytest.mark.usefixtures("one_thread")
def test_killed_at_random_moments(make_train_loader, tmp_path):
    """In saves and between them: each file left is good, and the end is the same."""
    whole = run(make_train_loader, epochs=8)
    moments = random.Random(7)
    start = time.perf_counter()
    run(make_train_loader, Checkpoint(tmp_path / "timed.pt", every_steps=1), epochs=8)
    duration = time.perf_counter() - start
    kills, number = 0, 0
    while kills < KILLS // 2:
        path = tmp_path / f"run{number}.pt"
        number += 1
        for _ in range(KILLS):  # until a child ends by itself
            child = os.fork()
            if not child:
                train_in_child(path, make_train_loader)
            time.sleep(moments.uniform(0, duration / 4))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                assert os.WEXITSTATUS(status) == 0
                break
            kills += 1
        weights, history, numbers = torch.load(f"{path}.result", weights_only=True)
        assert_same(weights, whole[0])
        assert_same(history, list(whole[2]))
        assert_same(numbers, whole[3])
        Checkpoint(path).save(done=True)  # a save removes what the kills left
        assert not list(tmp_path.glob(f".{path.name}*"))
    assert kills >= KILLS // 2


def assert_same(first, second):
    """Compare nested values bit by bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second


def test_assert_same_notices():
    """The comparison above fails where a bit differs."""
    values = [{"a": (torch.zeros(2), 1.0)}, {"a": (torch.tensor([0.0, 1e-9]), 1.0)}]
    for one, other in pairwise(values):
        with pytest.raises(AssertionError):
            assert_same(one, other)
