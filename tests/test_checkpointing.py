"""`snippets.checkpointing` keeps all or nothing, and a resumed run ends the same."""

from __future__ import annotations

import contextlib
import copy
import errno
import itertools
import os
import pickle
import random
import signal
import stat
import struct
import sys
import threading
import time
import zipfile
import zlib
from collections import Counter, OrderedDict, defaultdict, namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    WeightedRandomSampler,
)

from snippets import checkpointing
from snippets.checkpointing import (
    Checkpoint,
    CheckpointError,
    RandomState,
    ResumableLoader,
    load_checkpoint,
    save_checkpoint,
)
from snippets.training import History

FLIPPED_BITS = 1000
KILLS = 60
NUMBER_AFTER_SAVE = 7.5


def small_model(*, width=5, inputs=4) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.BatchNorm1d(width),
        nn.Dropout(),
        nn.Linear(width, 3),
    )


def train(model, optimizer, *, steps=2) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()


def trained(optimizer_class=torch.optim.Adam, **options):
    """A model and its optimizer after two steps."""
    model = small_model()
    optimizer = optimizer_class(model.parameters(), lr=0.1, **options)
    train(model, optimizer)
    return model, optimizer


def freeze(value):
    """A value with tensors as bytes, to be compared with ==."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        raw = bytes(value.reshape(-1).view(torch.uint8).tolist())
        return ("tensor", str(value.dtype), tuple(value.shape), raw)
    if isinstance(value, dict):
        return {key: freeze(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [freeze(item) for item in value]
    return value


def everything(*objects):
    """The states of objects and of all random numbers."""
    return freeze([each.state_dict() for each in (*objects, RandomState())])


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run.pt"


@pytest.fixture(autouse=True)
def random_numbers():
    """Each test starts from the same random numbers, and leaves none behind."""
    before = RandomState().state_dict()
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    yield
    RandomState().load_state_dict(before)


def message(error) -> str:
    return str(error.value)


# What goes in comes out


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {"amsgrad": True}),
        (torch.optim.RMSprop, {"centered": True}),
        (torch.optim.Adagrad, {}),
        (torch.optim.Adadelta, {}),
        (torch.optim.NAdam, {}),
        (torch.optim.Adafactor, {}),
        (torch.optim.Rprop, {}),
    ],
)
def test_model_and_optimizer_go_on_as_if_never_saved(path, make, options):
    """After loading, the next steps give the same bits as those of the original."""
    model, optimizer = trained(make, **options)
    save_checkpoint(path, model=model, optimizer=optimizer, random=RandomState())
    train(model, optimizer)
    again = small_model()
    other = make(again.parameters(), lr=0.5, **options)
    load_checkpoint(path, model=again, optimizer=other, random=RandomState())
    train(again, other)
    assert everything(model, optimizer) == everything(again, other)


def test_lbfgs_goes_on_too(path):
    """Also an optimizer whose state has shapes of its own comes back."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def step(model, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = (model(torch.eye(2)) - 1).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)

    step(model, optimizer)
    save_checkpoint(path, model=model, optimizer=optimizer)
    again = nn.Linear(2, 1)
    other = torch.optim.LBFGS(again.parameters())
    load_checkpoint(path, model=again, optimizer=other)
    step(model, optimizer), step(again, other)
    assert everything(model, optimizer) == everything(again, other)


SCHEDULERS = {
    "StepLR": lambda o: torch.optim.lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 3]),
    "LambdaLR": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda n: 0.9**n),
    "OneCycleLR": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1, total_steps=9),
    "CosineAnnealingLR": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 9),
    "CyclicLR": lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.1, 1, 3),
    "SequentialLR": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.ConstantLR(o),
            torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
        ],
        [2],
    ),
}


@pytest.mark.filterwarnings("ignore:The epoch parameter in")  # torch 2.6 of itself
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_go_on(path, name):
    """A scheduler and its optimizer reach the same rates."""

    def rates(scheduler, optimizer, count):
        found = []
        for _ in range(count):
            optimizer.step(), scheduler.step()
            found.append(optimizer.param_groups[0]["lr"])
        return found

    _, optimizer = trained(torch.optim.SGD, momentum=0.5)
    scheduler = SCHEDULERS[name](optimizer)
    rates(scheduler, optimizer, 1)
    save_checkpoint(path, optimizer=optimizer, scheduler=scheduler)
    expected = rates(scheduler, optimizer, 4)
    other = torch.optim.SGD(small_model().parameters(), lr=0.1, momentum=0.5)
    resumed = SCHEDULERS[name](other)
    load_checkpoint(path, optimizer=other, scheduler=resumed)
    assert rates(resumed, other, 4) == expected


def test_plateau_scheduler_and_scaler_go_on(path):
    """ReduceLROnPlateau and GradScaler are saved like the rest."""
    _, optimizer = trained()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scheduler.step(3.0)
    save_checkpoint(path, scheduler=scheduler, scaler=scaler)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(trained()[1])
    fresh = torch.amp.GradScaler("cpu")
    load_checkpoint(path, scheduler=other, scaler=fresh)
    assert other.best == 3.0 and fresh.state_dict()["scale"] == 8.0


PLAIN_VALUES = {
    "none": None,
    "numbers": [True, 0, -1, 2**2000 - 1, 1.5, float("inf"), 1j],
    "texts": ("", "grüße \ud83d\ude00", b"\x00\xff", bytearray(b"ab")),
    "nested": {"a": [{"b": (1, (2,))}], 3: {None: {1, 2}}, (1, "x"): 1.0},
    "ordered": OrderedDict([("z", 1), ("a", 2)]),
    "counted": Counter("aab"),
    "torch": [torch.Size([2, 3]), torch.bfloat16, torch.device("cpu")],
    "name with a dash": "fine",
}


def test_plain_values_come_back_equal_and_of_the_same_type(path):
    """Everything in a list of plain values is read back as it was."""
    save_checkpoint(path, **PLAIN_VALUES)
    found = load_checkpoint(path)
    assert found == PLAIN_VALUES
    assert repr(found) == repr(PLAIN_VALUES)


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
        *(torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32),
    ],
    ids=str,
)
def test_tensors_of_every_dtype_come_back(path, dtype):
    """A tensor has the same bits, shape and dtype."""
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    save_checkpoint(path, tensor=tensor, empty=tensor[:0], number=tensor[0, 1])
    found = load_checkpoint(path)
    wanted = {"tensor": tensor, "empty": tensor[:0], "number": tensor[0, 1]}
    assert freeze(found) == freeze(wanted)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_special_tensors_come_back(path):
    """Sparse, transposed, conjugate and expanded tensors, parameters and graphs."""
    tensors = {
        "sparse": torch.eye(3).to_sparse(),
        "transposed": torch.arange(6.0).reshape(2, 3).t(),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "expanded": torch.ones(1).expand(4),
        "parameter": nn.Parameter(torch.ones(2)),
        "with a graph": torch.ones(2, requires_grad=True) * 2,
    }
    save_checkpoint(path, **tensors)
    found = load_checkpoint(path)
    for name, tensor in tensors.items():
        assert type(found[name]) is torch.Tensor
        assert not found[name].requires_grad
        assert torch.equal(found[name].to_dense(), tensor.to_dense())


def test_a_view_does_not_save_the_memory_behind_it(path):
    """One row of a large tensor is a small file; tied weights are stored once."""
    save_checkpoint(path, row=torch.zeros(1000, 1000)[0])
    assert path.stat().st_size < 10_000
    model = nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 100))
    model[1].weight = model[0].weight
    save_checkpoint(path, model=model)
    assert 40_000 < path.stat().st_size < 50_000


def test_plain_torch_reads_the_file(path):
    """torch.load with weights_only finds each state and value by its name."""
    model, optimizer = trained()
    save_checkpoint(path, model=model, optimizer=optimizer, epoch=3)
    for options in ({}, {"mmap": True}):
        found = torch.load(path, weights_only=True, **options)
        assert freeze(found["model"]) == freeze(model.state_dict())
        assert found["epoch"] == 3
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_versions_of_layers_are_kept(path):
    """The metadata by which torch reads states of older layers is in the file."""
    save_checkpoint(path, model=small_model())
    found = torch.load(path, weights_only=True)["model"]
    assert found._metadata["1"] == {"version": 2}


def test_only_what_is_asked_for_is_loaded(path):
    """The model alone can be loaded, and every plain value is returned."""
    model, optimizer = trained()
    save_checkpoint(path, model=model, optimizer=optimizer, epoch=1, loss=None)
    again = small_model()
    assert load_checkpoint(path, model=again) == {"epoch": 1, "loss": None}
    assert everything(model) == everything(again)


def test_generators_and_own_classes(path):
    """A generator goes on with the same numbers, and so does a class of one's own."""
    generator = torch.Generator().manual_seed(3)
    counter = OwnState(5)
    torch.rand(3, generator=generator)
    save_checkpoint(path, generator=generator, counter=counter)
    expected = torch.rand(3, generator=generator)
    other, fresh = torch.Generator(), OwnState(0)
    assert load_checkpoint(path, generator=other, counter=fresh) == {}
    assert torch.equal(torch.rand(3, generator=other), expected)
    assert fresh.value == 5


class OwnState:
    """Something with a state, in an attribute and in a list."""

    def __init__(self, value, *, fails=None):
        self.value, self.items, self.fails = value, [value], fails

    def state_dict(self):
        return {"value": self.value, "items": self.items}

    def load_state_dict(self, state):
        self.value = state["value"]
        self.items[:] = state["items"]
        if self.fails:
            raise self.fails


def test_module_extra_state_comes_back(path):
    """A module's extra state is in the file, and comes back after a failure."""

    class Extra(nn.Linear):
        extra = 1

        def get_extra_state(self):
            return {"extra": self.extra}

        def set_extra_state(self, state):
            self.extra = state["extra"]

    class Fails(nn.Linear):
        def load_state_dict(self, *_):
            assert other.extra == 8, "the other one is loaded before"
            raise ValueError("no")

    model, other = Extra(1, 1), Extra(1, 1)
    model.extra, other.extra = 8, 2
    save_checkpoint(path, model=model, later=nn.Linear(1, 1))
    later = Fails(1, 1)
    with pytest.raises(CheckpointError, match="'later' could not be loaded"):
        load_checkpoint(path, model=other, later=later)
    assert other.extra == 2
    load_checkpoint(path, model=other)
    assert other.extra == 8


def test_loaded_optimizer_shares_no_memory_with_the_values(path):
    """Training on does not change the values that were returned."""
    model, optimizer = trained()
    save_checkpoint(path, optimizer=optimizer, kept=optimizer.state_dict())
    kept = load_checkpoint(path, optimizer=optimizer)["kept"]
    before = freeze(kept)
    train(model, optimizer)
    assert freeze(kept) == before


def test_newer_torch_options_take_the_present_value(path, monkeypatch):
    """An option that the torch of the file did not know keeps the value it has here."""
    model, optimizer = trained(torch.optim.SGD)
    del optimizer.param_groups[0]["nesterov"]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.0")
        save_checkpoint(path, optimizer=optimizer)
    other = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, nesterov=True)
    load_checkpoint(path, optimizer=other)
    assert other.param_groups[0]["nesterov"] is True
    assert other.param_groups[0]["lr"] == 0.1


@pytest.mark.filterwarnings("ignore:The epoch parameter in")  # torch 2.6 of itself
@pytest.mark.parametrize("name", [*SCHEDULERS, "SWALR"])
def test_options_that_a_scheduler_added_may_differ(path, name):
    """Saved with a scheduler, an optimizer loads without one, and vice versa."""
    schedulers = SCHEDULERS | {"SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.3)}
    model, optimizer = trained(torch.optim.SGD, momentum=0.5)
    options = set(optimizer.param_groups[0])
    save_checkpoint(path, optimizer=optimizer)
    scheduled = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.5)
    schedulers[name](scheduled)
    added = set(scheduled.param_groups[0]) - options
    assert added, "this scheduler shows nothing"
    load_checkpoint(path, optimizer=scheduled)
    assert set(scheduled.param_groups[0]) == options | added
    save_checkpoint(path, optimizer=scheduled)
    load_checkpoint(path, optimizer=optimizer)


def test_names_of_parameters_may_be_missing(path):
    """An optimizer made with names loads what one without names has saved."""
    model, optimizer = trained(torch.optim.SGD)
    save_checkpoint(path, optimizer=optimizer)
    named = torch.optim.SGD(model.named_parameters(), lr=1.0, momentum=0.9)
    load_checkpoint(path, optimizer=named)
    assert named.param_groups[0]["param_names"] == list(dict(model.named_parameters()))
    save_checkpoint(path, optimizer=named)
    load_checkpoint(path, optimizer=optimizer)


# Refused when saving

Pair = namedtuple("Pair", "a b")


class Record(list):
    """A list of a class of its own, such as the history of a training."""


class StatefulList(list):
    """A list that saves itself, and may have more to save than its items."""

    def state_dict(self):
        return {"items": list(self)}

    def load_state_dict(self, state):
        self[:] = state["items"]


class OwnTensor(torch.Tensor):
    """A tensor of a class of its own."""


class Untold:
    """Like an array, but it tells neither its dimensions nor its type."""

    def tolist(self):
        return []


def ordered_with_attribute(value):
    ordered = OrderedDict(a=1)
    ordered.mine = value
    return ordered


UNSAVABLE = {
    "array": (np.zeros(2), "x is of type numpy.ndarray", "torch.as_tensor"),
    "NumPy number": ([1, np.float64(2)], "x[1] is of type numpy.float64", "th .item()"),
    "NumPy flag": (np.bool_(True), "x is of type numpy.bool", "it with .item()"),
    "NumPy word": ([np.str_("a")], "x[0] is of type numpy.str_", "with str(...)"),
    "NumPy words": (np.array(["a"]), "x is of type numpy.ndarray", "with .tolist()"),
    "objects": (np.array([1], dtype=object), "x is of", "with .tolist()"),
    "stateful list": ([StatefulList()], "x[0] is of type tests", "name=object"),
    "list of arrays": (Record([np.ones(2)]), "x[0] is of type numpy.ndarray", "tensor"),
    "function": ({"a": {"b": len}}, "x['a']['b'] is of type", "tensors, numbers"),
    "class": (nn.Linear, "x is of type builtins.type", "tensors"),
    "path": ((0, Path("a")), "x[1] is of type pathlib", "tensors"),
    "generator inside": ([torch.Generator()], "x[0] is of type torch", "name=object"),
    "module inside": ({"m": nn.Linear(1, 1)}, "x['m'] is of type", "name=object"),
    "named tuple": (Pair(1, 2), "Pair", "tuples"),
    "range": (range(3), "builtins.range", "lists"),
    "frozen set": (frozenset([1]), "builtins.frozenset", "lists"),
    "key": ({np.int64(1): 1}, "the key ", "numpy.int64"),
    "meta tensor": (torch.ones(2, device="meta"), "x is on the meta device", "real"),
    "lazy": (nn.UninitializedParameter(), "x has no shape yet", "one batch"),
    "huge integer": ([2**5000], "x[0] is too large", "str("),
    "a bit too large": (2**2000, "x is too large an integer: save str(x)", ""),
    "huge key": ({2**5000: 1}, "x is too large an integer", "str("),
    "bytes of NumPy": (
        np.array([b"a"]),
        "x is of type numpy.ndarray",
        "with .tolist()",
    ),
    "like an array": (Untold(), "x is of type tests", "torch.as_tensor(...), or"),
    "own class of tensor": (
        [torch.ones(2).as_subclass(OwnTensor)],
        "x[0] is of type tests.test_checkpointing.OwnTensor",
        "torch.as_tensor",
    ),
    "in a dict in a dict": (
        OrderedDict(a=[len]),
        "x['a'][0] is of type builtins.builtin_function_or_method",
        "tensors, numbers",
    ),
    "beside an ordered dict": (
        ordered_with_attribute(len),
        "vars(x)['mine'] is of type builtins.builtin_function_or_method",
        "tensors, numbers",
    ),
}


@pytest.mark.parametrize("name", UNSAVABLE)
def test_what_could_not_be_read_is_refused_by_its_place(path, name):
    """The error names the place; the file from before is the same; nothing is left."""
    value, *parts = UNSAVABLE[name]
    save_checkpoint(path, epoch=1)
    before = path.read_bytes()
    for objects in ({"x": value}, {"x": OwnState(value)}):
        with pytest.raises(CheckpointError) as error:
            save_checkpoint(path, **objects)
        if not isinstance(objects["x"], OwnState):
            assert all(part in message(error) for part in parts), message(error)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["run.pt"]


class Named(dict):
    """A dict of a class of its own."""


class Ordered(OrderedDict):
    """An ordered dict of a class of its own."""


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Record([{"loss": 0.5}, Record()]), [{"loss": 0.5}, []]),
        (defaultdict(list, {"a": [1]}), {"a": [1]}),
        (Named(a=Record([1])), {"a": [1]}),
        (Ordered(b=1, a=2), {"b": 1, "a": 2}),
        ((Record([torch.Size([2])]),), ([torch.Size([2])],)),
    ],
)
def test_derived_lists_and_dicts_come_back_plain(path, value, plain):
    """Their items are saved; the class, which loading would have to run, is not."""
    save_checkpoint(path, value=value)
    (loaded,) = load_checkpoint(path).values()
    assert loaded == plain
    assert repr(loaded) == repr(plain)


def test_history_of_a_training_can_be_saved(path):
    """It is a list of records, and comes back as one."""
    history = History([{"epoch": 1, "train_loss": 0.5}])
    save_checkpoint(path, history=history)
    loaded = load_checkpoint(path)["history"]
    assert type(loaded) is list
    assert History(loaded) == history


def test_place_in_a_state_is_named(path):
    """The key path starts with the name of the object."""
    with pytest.raises(CheckpointError, match=r"^own\['items'\]\[0\] is of type numpy"):
        save_checkpoint(path, own=OwnState(np.ones(1)) and _with_items([np.ones(1)]))


def _with_items(items):
    own = OwnState(1)
    own.items = items
    return own


def test_learning_rate_of_numpy_is_named(path):
    """A NumPy number in an optimizer's options is found."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=np.float64(0.1))
    with pytest.raises(
        CheckpointError, match=r"optimizer\['param_groups'\]\[0\]\['lr'\].*float64"
    ):
        save_checkpoint(path, optimizer=optimizer)


def test_values_that_hold_themselves_are_refused(path):
    """A list in itself is an error, not an endless loop."""
    endless: list = []
    endless.append(endless)
    with pytest.raises(CheckpointError, match="x holds itself"):
        save_checkpoint(path, x=endless)


def test_calls_without_sense_are_refused(path):
    """Nothing to save, the name that we use, a state that raises, lazy models."""
    with pytest.raises(CheckpointError, match="nothing to save"):
        save_checkpoint(path)
    with pytest.raises(CheckpointError, match="'__checkpoint__' is taken"):
        save_checkpoint(path, __checkpoint__=1)
    with pytest.raises(CheckpointError, match=r"lazy.*no shape yet"):
        save_checkpoint(path, lazy=nn.LazyLinear(2))
    broken = OwnState(1)
    del broken.value
    with pytest.raises(
        CheckpointError, match=r"broken could not .*OwnState\.state_dict: .*was saved$"
    ):
        save_checkpoint(path, broken=broken)
    with pytest.raises(TypeError):
        save_checkpoint(3, epoch=1)
    assert not os.listdir(path.parent)


# Refused when writing


def in_a_child(action) -> str:
    """Run an action in a forked process, and return what it says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(action()).encode())
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return said


@pytest.mark.parametrize("limit", [1, 100, 5_000, 20_000, 39_000, 41_000])
def test_full_disk(path, limit):
    """Where writing ends too early, the old file stays, and the error says why."""
    import resource

    save_checkpoint(path, epoch=1)
    before = path.read_bytes()

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        save_checkpoint(path, model=nn.Linear(100, 100), epoch=2)

    said = in_a_child(save)
    assert said.startswith("CheckpointError: ")
    assert os.strerror(errno.EFBIG) in said
    assert "The checkpoint from before is unchanged. Make room" in said
    assert path.read_bytes() == before


def test_an_error_while_saving_says_that_the_old_file_is_kept(path, monkeypatch):
    """The error of the system is its cause."""
    save_checkpoint(path, epoch=1)

    def refuse(*_):
        raise OSError("no such luck")

    monkeypatch.setattr(os, "replace", refuse)
    whole = (
        r"could not be saved: no such luck\. The checkpoint from before is unchanged"
    )
    with pytest.raises(CheckpointError, match=whole):
        save_checkpoint(path, epoch=2)
    monkeypatch.undo()
    assert load_checkpoint(path) == {"epoch": 1}
    assert os.listdir(path.parent) == ["run.pt"]


def test_the_first_error_is_told_where_cleaning_up_fails_too(path, monkeypatch):
    """What went wrong, not that the temporary file could not be removed."""

    def refuse(said):
        def call(*_):
            raise OSError(said)

        return call

    monkeypatch.setattr(os, "replace", refuse("no such luck"))
    monkeypatch.setattr(Path, "unlink", refuse("not even that"))
    with pytest.raises(CheckpointError, match="no such luck"):
        save_checkpoint(path, epoch=1)


def test_an_error_that_is_not_of_the_system(path, monkeypatch):
    """It has no number, and the advice is a general one."""

    def refuse(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(CheckpointError, match=r"no such luck.*Save to another place"):
        save_checkpoint(path, epoch=1)


def test_a_save_leaves_no_file_open(path):
    """Neither the file nor its folder: a long training saves a thousand times."""
    save_checkpoint(path, epoch=1)
    before = len(os.listdir("/dev/fd"))
    save_checkpoint(path, epoch=2)
    assert len(os.listdir("/dev/fd")) == before


def test_a_folder_that_looks_like_a_leftover_is_left_alone(path):
    """It cannot be opened, which hides no other leftover and fails no save."""
    folder = path.with_name(f".{path.name}.abc.part")
    folder.mkdir()
    leftover = path.with_name(f".{path.name}.def.part")
    leftover.touch()
    save_checkpoint(path, epoch=1)
    assert folder.is_dir() and not leftover.exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_failures_of_the_system(path, monkeypatch, step, number):
    """A failure at the last step leaves the old file and no other."""
    save_checkpoint(path, epoch=1)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(CheckpointError) as error:
            save_checkpoint(path, epoch=2)
    advice = {errno.ENOSPC: "Make room", errno.EACCES: "Choose a folder"}
    assert str(path) in message(error) and os.strerror(number) in message(error)
    assert message(error).split(". ")[-1].startswith(advice.get(number, "Save to "))
    assert load_checkpoint(path) == {"epoch": 1}
    assert os.listdir(path.parent) == ["run.pt"]


def test_folder_without_permission(path):
    """Where one may not write, the error says so."""
    save_checkpoint(path, epoch=1)

    def save():
        os.chmod(path.parent, 0o500)
        if os.getuid() == 0:
            os.setuid(65534)
        save_checkpoint(path, epoch=2)

    said = in_a_child(save)
    os.chmod(path.parent, 0o700)
    assert os.strerror(errno.EACCES) in said
    assert "Choose a folder that you may write to" in said
    assert load_checkpoint(path) == {"epoch": 1}


def test_the_order_of_writing(path, monkeypatch):
    """The file is flushed to the disk, then renamed, then the folder is flushed."""
    done = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        kind = os.fstat(descriptor).st_mode
        done.append("folder" if stat.S_ISDIR(kind) else "file")
        if not stat.S_ISDIR(kind):
            [part] = path.parent.glob(".run.pt.*.part")
            checkpointing._read(part)  # complete before it is renamed
        fsync(descriptor)

    def record_replace(source, target):
        done.append("replace")
        assert Path(source).parent == Path(target).parent
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    save_checkpoint(path, model=small_model())
    assert done == ["file", "replace", "folder"]


def test_a_system_that_cannot_flush_folders(path, monkeypatch):
    """Windows opens no folders: the save is good without."""

    def refuse(folder):
        raise PermissionError(folder)

    monkeypatch.setattr(checkpointing, "_sync_folder", refuse)
    save_checkpoint(path, epoch=1)
    assert load_checkpoint(path) == {"epoch": 1}


@pytest.mark.parametrize("locks", ["none", "not on this disk"])
def test_a_system_without_locks(path, monkeypatch, locks):
    """Without file locks, leftovers are still removed."""

    class NoLocks:
        LOCK_EX = LOCK_NB = 0

        def flock(self, *_):
            raise OSError(errno.ENOLCK, "no locks")

    fcntl = None if locks == "none" else NoLocks()
    monkeypatch.setattr(checkpointing, "fcntl", fcntl)
    leftover = path.with_name(".run.pt.0123.part")
    leftover.touch()
    save_checkpoint(path, epoch=1)
    assert os.listdir(path.parent) == ["run.pt"]


def test_leftovers_are_removed_and_nothing_else(path):
    """The next save removes what killed ones left, but not what others still write."""
    dead = path.with_name(".run.pt.00ff.part")
    others = [
        ".run.pt.part",
        ".run.ptx.00ff.part",
        ".a.run.pt.00.part",
        "run.pt.00.part",
    ]
    for name in [dead.name, *others]:
        path.with_name(name).write_bytes(b"x")
    with open(path.with_name(".run.pt.busy.part"), "wb") as busy:
        checkpointing._lock(busy)
        save_checkpoint(path, epoch=1)
        assert Path(busy.name).exists() and not dead.exists()
    save_checkpoint(path, epoch=1)
    assert set(os.listdir(path.parent)) == {*others, "run.pt"}


@pytest.mark.parametrize("taken", ["locked", "removed"])
def test_a_new_file_taken_for_a_leftover(path, monkeypatch, taken):
    """If another save takes our file before it is locked, we write another one."""
    lock, seen = checkpointing._lock, []

    def lock_late(file):
        seen.append(file.name)
        if len(seen) == 1:
            os.unlink(file.name)
            return taken == "removed"
        return lock(file)

    monkeypatch.setattr(checkpointing, "_lock", lock_late)
    save_checkpoint(path, epoch=1)
    assert len(set(seen)) == 2 and load_checkpoint(path) == {"epoch": 1}


def test_failed_save_removes_no_leftovers_but_its_own(path, monkeypatch):
    """Ctrl-C while saving leaves nothing, and is not turned into another error."""

    def interrupt(*_):
        raise KeyboardInterrupt

    save_checkpoint(path, epoch=1)
    for where, name in ((os, "fsync"), (os, "replace"), (zlib, "crc32")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(path, epoch=2)
        assert os.listdir(path.parent) == ["run.pt"]
    assert load_checkpoint(path) == {"epoch": 1}


def test_folders_links_and_permissions(tmp_path):
    """Missing folders are made, a link stays one, and permissions are kept."""
    path = tmp_path / "a" / "b" / "run.pt"
    save_checkpoint(str(path), epoch=1)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o604)
    link = tmp_path / "link.pt"
    link.symlink_to(path)
    save_checkpoint(link, epoch=2)
    assert link.is_symlink() and load_checkpoint(path) == {"epoch": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    advice = r"is a folder: give the name of a file in it, such as '.*/run\.pt'$"
    with pytest.raises(CheckpointError, match=advice):
        save_checkpoint(tmp_path, epoch=1)
    nothing_kept = r"could not be saved: .*: '[^']*'\. Save to another place$"
    with pytest.raises(CheckpointError, match=nothing_kept):
        save_checkpoint(path / "file.pt", epoch=1)


@pytest.mark.slow
def test_killed_while_saving(tmp_path):
    """After each of many kills, the file is one of the two last complete ones."""
    path = tmp_path / "run.pt"
    model = nn.Linear(300, 300)
    chance = random.Random(1)
    newest, outcomes = 0, Counter()
    save_checkpoint(path, model=model, number=newest)
    for _ in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            for number in itertools.count(newest + 1):
                os.write(writing, struct.pack("q", number))
                with torch.no_grad():
                    model.weight.fill_(number)
                save_checkpoint(path, model=model, number=number)
        os.read(reading, 8)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.set_blocking(reading, False)
        begun = newest + 1
        with contextlib.suppress(BlockingIOError):
            while said := os.read(reading, 8):
                begun = struct.unpack("q", said)[0]
        os.close(reading), os.close(writing)
        found = load_checkpoint(path, model=model)["number"]
        assert found in (begun - 1, begun)
        assert bool((model.weight == found).all()) or found == 0
        outcomes[begun - found] += 1
        newest = found
        outcomes["left"] += len(list(tmp_path.glob(".*.part"))) > 0
    save_checkpoint(path, number=newest)
    assert os.listdir(tmp_path) == ["run.pt"]
    assert outcomes[1] > KILLS / 4, "too few kills hit a save"
    assert outcomes["left"] > KILLS / 10, "too few kills hit the writing"


@pytest.mark.slow
def test_readers_and_writers_at_the_same_time(path):
    """Whoever reads while others write gets one complete checkpoint."""
    errors, counts = [], Counter()
    save_checkpoint(path, number=0, tensor=torch.zeros(1000))
    limit = time.monotonic() + 60  # a busy machine is slow, and threads are not fair

    def work(action):
        try:
            while min(counts["read"], counts["write"]) <= 50:
                assert time.monotonic() < limit, counts
                action()
                counts[action.__name__] += 1
        except BaseException as error:
            errors.append(error)

    def read():
        found = load_checkpoint(path)
        assert (found["tensor"] == found["number"]).all()

    def write():
        number = random.randrange(100)
        save_checkpoint(path, number=number, tensor=torch.full((1000,), float(number)))

    threads = [
        threading.Thread(target=work, args=[action]) for action in (read, write) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert counts["read"] > 50 and counts["write"] > 50
    assert os.listdir(path.parent) == ["run.pt"]


# Damaged and foreign files


def target_objects():
    """Objects to load into that differ from all that is saved in these tests."""
    model = small_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.7)
    train(model, optimizer, steps=1)
    return {"model": model, "optimizer": optimizer, "random": RandomState()}


def save_good(path) -> None:
    model, optimizer = trained()
    save_checkpoint(
        path, model=model, optimizer=optimizer, random=RandomState(), epoch=1
    )


def refuses(path, objects) -> str:
    """Loading raises CheckpointError and changes nothing; return what it said."""
    before = everything(*objects.values())
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, **objects)
    assert everything(*objects.values()) == before
    assert str(path) in message(error)
    return message(error)


def test_every_flipped_bit_is_refused(path):
    """A thousand single bits, anywhere in the file, and all bits of its end."""
    save_checkpoint(path, model=nn.Linear(2, 2), number=1)
    good = bytearray(path.read_bytes())
    places = random.Random(0).sample(range(8 * len(good)), FLIPPED_BITS)
    places += range(8 * (len(good) - 70), 8 * len(good))
    model = nn.Linear(2, 2)
    before = freeze(model.state_dict())
    for place in places:
        good[place // 8] ^= 1 << place % 8
        path.write_bytes(good)
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(path, model=model)
        good[place // 8] ^= 1 << place % 8
        assert "damaged" in message(error) or "checksum" in message(error), place
    assert freeze(model.state_dict()) == before
    path.write_bytes(good)
    assert load_checkpoint(path, model=model) == {"number": 1}


def signed(raw: bytes, version: int = 1) -> bytes:
    """What an attacker would write: a file of torch.save with a good checksum."""
    return raw[:-2] + checkpointing._trailer(zlib.crc32(raw), version)


class Malicious:
    def __reduce__(self):
        return (os.mkdir, (os.environ["MALICIOUS_FOLDER"],))


def saved_by_torch(content, path) -> bytes:
    torch.save(content, path, pickle_protocol=2)
    return path.read_bytes()


def legacy(content, path) -> bytes:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path.read_bytes()


def zipped(names, path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path.read_bytes()


ABOUT = {"version": 1, "torch": "2.6", "kinds": {}}
MODULE = {"role": "module", "class": "M"}
SAFETENSORS = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'


def bytes_of_bad_file(name, good, path) -> bytes:
    """Make one of the bad files below."""
    half = len(good) // 2
    bad = {
        "empty": lambda: b"",
        "one byte": lambda: good[:1],
        "cut to the first half": lambda: good[:half],
        "cut by one byte": lambda: good[:-1],
        "cut by the checksum": lambda: good[:-8],
        "cut by the comment": lambda: good[:-40],
        "cut at the start": lambda: good[64:],
        "one byte more": lambda: good + b"\0",
        "a line break more": lambda: good + b"\n",
        "two files in one": lambda: good + good,
        "trailing garbage of 64 KB": lambda: good + bytes(65536),
        "zeros in the middle": lambda: good[:half] + bytes(64) + good[half + 64 :],
        "all zeros": lambda: bytes(len(good)),
        "two blocks swapped": lambda: (
            good[:512] + good[1024:1536] + good[512:1024] + good[1536:]
        ),
        "a bit of a weight": lambda: (
            good[:half] + bytes([good[half] ^ 1]) + good[half + 1 :]
        ),
        "checksum in capitals": lambda: good[:-8] + b"ABCDEFAB",
        "line ends converted": lambda: good.replace(b"\n", b"\r\n"),
        "model.state_dict() by torch.save": lambda: saved_by_torch(
            small_model().state_dict(), path
        ),
        "whole model by torch.save": lambda: saved_by_torch(small_model(), path),
        "legacy torch.save": lambda: legacy(small_model().state_dict(), path),
        "pickle": lambda: pickle.dumps({"model": 1}),
        "old pickle": lambda: pickle.dumps({"model": 1}, protocol=0),
        "safetensors": lambda: (
            struct.pack("<Q", len(SAFETENSORS)) + SAFETENSORS + b"\0"
        ),
        "zip": lambda: zipped(["a.txt", "b.txt"], path),
        "empty zip": lambda: zipped([], path),
        "text": lambda: b"epoch,loss\n1,0.5\n",
        "picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
        "web page": lambda: b"<!DOCTYPE html><title>404</title>",
        "pointer of Git LFS": lambda: b"version https://git-lfs.github.com/spec/v1\n",
        "newer format": lambda: signed(saved_by_torch({"__checkpoint__": 2}, path), 2),
        "signed, runs code": lambda: signed(
            saved_by_torch({"__checkpoint__": ABOUT, "model": Malicious()}, path)
        ),
        "signed, a whole model": lambda: signed(saved_by_torch(small_model(), path)),
        "signed, a list": lambda: signed(saved_by_torch([1, 2], path)),
        "signed, no description": lambda: signed(saved_by_torch({"model": {}}, path)),
        "signed, odd description": lambda: signed(
            saved_by_torch(
                {"__checkpoint__": {"kinds": {"model": 1}}, "model": 1}, path
            )
        ),
        "signed, described but not there": lambda: signed(
            saved_by_torch({"__checkpoint__": {"kinds": {"model": MODULE}}}, path)
        ),
        "signed, number for a model": lambda: signed(
            saved_by_torch(
                {"__checkpoint__": {"kinds": {"model": MODULE}}, "model": 1}, path
            )
        ),
        "signed, no zip": lambda: signed(b"hello" + bytes(22)),
    }
    return bad[name]()


BAD_FILES = {
    "empty": "is empty: take another copy, or an older checkpoint",
    "one byte": "is not a checkpoint",
    "cut to the first half": "is missing. Take another copy, or an older checkpoint",
    "cut by one byte": "damaged",
    "cut by the checksum": "damaged",
    "cut by the comment": "damaged",
    "cut at the start": "damaged",
    "one byte more": "damaged",
    "a line break more": "damaged",
    "two files in one": "damaged",
    "trailing garbage of 64 KB": "damaged",
    "zeros in the middle": "damaged",
    "all zeros": "is not a checkpoint",
    "two blocks swapped": "damaged",
    "a bit of a weight": "damaged: its bytes do not give the checksum they had when it "
    "was saved. Take another copy, or an older checkpoint",
    "checksum in capitals": "damaged",
    "line ends converted": "damaged",
    "model.state_dict() by torch.save": "torch.load(path, weights_only=True)",
    "whole model by torch.save": "if torch.save wrote it",
    "legacy torch.save": "Python pickle",
    "pickle": "so read it only if you trust who wrote it",
    "old pickle": "it begins with b'(dp0",
    "safetensors": "safetensors package",
    "zip": "is a zip file, but not a checkpoint",
    "empty zip": "it begins with b'PK",
    "text": "it begins with b'epoch,lo'",
    "picture": "it begins with b'\\x89PNG",
    "web page": "it begins with b'<!DOCTYP'",
    "pointer of Git LFS": "it begins with b'version '",
    "newer format": "has format 2, and this program reads format 1: load it with the "
    "version of the program that saved it, or a newer one",
    "signed, runs code": "(posix.mkdir), and was not read further: use it only if you "
    "know who wrote it, and how",
    "signed, a whole model": "other than tensors and plain values",
    "signed, a list": "was not written by save_checkpoint",
    "signed, no description": "was not written by save_checkpoint",
    "signed, odd description": "was not written by save_checkpoint",
    "signed, described but not there": "was not written by save_checkpoint",
    "signed, number for a model": "cannot be compared",
    "signed, no zip": "Error), and was not read further",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(path, monkeypatch, name):
    """Each kind of bad file is an error that says what it is, and changes nothing."""
    folder = path.with_name("made by code in a file")
    monkeypatch.setenv("MALICIOUS_FOLDER", str(folder))
    save_good(path)
    path.write_bytes(bytes_of_bad_file(name, path.read_bytes(), path))
    objects = target_objects()
    del objects["random"], objects["optimizer"]
    assert BAD_FILES[name] in refuses(path, objects)
    assert not folder.exists()


def test_the_malicious_file_is_one(path, monkeypatch):
    """Read without weights_only, the file of the test above would run its code."""
    folder = path.with_name("made by code in a file")
    monkeypatch.setenv("MALICIOUS_FOLDER", str(folder))
    path.write_bytes(bytes_of_bad_file("signed, runs code", b"", path))
    torch.load(path, weights_only=False)
    assert folder.exists()


def test_missing_file_is_an_error_with_its_number_and_name(path):
    """As the system's own errors have them, for a file and for a folder."""
    for missing in (path, path.parent / "no folder" / "run.pt"):
        with pytest.raises(FileNotFoundError) as error:
            load_checkpoint(missing)
        assert error.value.errno == errno.ENOENT
        assert error.value.filename == str(missing)


def test_near_files_are_three_at_most(path):
    """The nearest first; a folder full of checkpoints is not listed whole."""
    for number in range(5):
        save_checkpoint(path.with_name(f"run{number}.pt"), epoch=1)
    with pytest.raises(FileNotFoundError) as error:
        load_checkpoint(path)
    assert str(error.value).count(" or ") == 2


def test_missing_file_names_the_near_ones(path):
    """FileNotFoundError, with what is in the folder."""
    save_checkpoint(path, epoch=1)
    with pytest.raises(FileNotFoundError, match=r"did you mean 'run\.pt'\?.*runs\.pt"):
        load_checkpoint(path.with_name("runs.pt"))
    with pytest.raises(FileNotFoundError, match="no such file; save_checkpoint makes"):
        load_checkpoint(path.with_name("entirely_different"))
    with pytest.raises(FileNotFoundError, match="no such folder as"):
        load_checkpoint(path.parent / "other" / "run.pt")
    with pytest.raises(CheckpointError, match="is a folder: give the name of a file"):
        load_checkpoint(path.parent)
    with pytest.raises(CheckpointError, match="could not be read"):
        load_checkpoint(path / "run.pt")
    with pytest.raises(TypeError):
        load_checkpoint(0)


def test_the_checksum_is_the_comment_of_the_archive(path):
    """Any program for zip archives shows it, and finds the archive whole."""
    save_checkpoint(path, epoch=1)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        comment = archive.comment
        assert archive.testzip() is None
    text = b"checkpoint format 1, CRC-32 "
    checksum = zlib.crc32(raw[: -len(comment) - 2] + b"\0\0" + text)
    assert comment == text + b"%08x" % checksum
    assert raw.endswith(len(comment).to_bytes(2, "little") + comment)


@pytest.mark.parametrize("last", [1, 2, 0])
def test_large_files_are_read_piece_by_piece(path, monkeypatch, last):
    """The checksum of all pieces is that of the whole, also where one byte is left."""
    save_checkpoint(path, epoch=1)
    checked = path.stat().st_size - len(checkpointing._trailer(0))
    monkeypatch.setattr(checkpointing, "CHUNK", checked - last)
    assert load_checkpoint(path) == {"epoch": 1}
    monkeypatch.setattr(checkpointing, "CHUNK", 100)
    assert load_checkpoint(path) == {"epoch": 1}


def test_a_file_that_shrinks_while_it_is_read(path):
    """Less than was expected is a wrong checksum, not an endless loop."""
    save_checkpoint(path, epoch=1)
    with open(path, "rb") as file:
        whole = checkpointing._checksum(file, path.stat().st_size)
        assert checkpointing._checksum(file, path.stat().st_size + 9) == whole


# Objects that do not fit


def adam(model, **options):
    return torch.optim.Adam(model.parameters(), lr=0.1, **options)


def two_groups(model):
    first, *rest = model.parameters()
    return torch.optim.Adam([{"params": [first]}, {"params": rest}])


def other_split(model):
    *rest, last = model.parameters()
    return torch.optim.Adam([{"params": rest}, {"params": [last]}])


def renamed(model):
    return nn.Sequential(OrderedDict(body=model))


class LikeCompiled(nn.Module):
    """What torch.compile returns has the names of this."""

    def __init__(self, model):
        super().__init__()
        self._orig_mod = model


AS_IT_WAS = "Make it as it was when it was saved, or start anew without this file"

MISFITS = {
    "no such object": (
        lambda m: {"modle": m},
        lambda m: {"model": m},
        "it holds no 'model', but 'modle', 'good', 'random' (did you mean 'modle'?)",
    ),
    "nothing to load": (
        lambda m: {"epoch": 1},
        lambda m: {"model": m},
        "it holds no 'model', but 'good', 'random' (leave it out, or start anew "
        "without this file). Nothing was loaded",
    ),
    "plain value asked for": (
        lambda m: {"model": m, "epoch": 1},
        lambda m: {"model": m, "epoch": 3},
        "epoch is a int, which has no state to load into: plain values are returned",
    ),
    "state saved as a value": (
        lambda m: {"model": m.state_dict()},
        lambda m: {"model": m},
        "'model' is a plain value in the file, not the state of an object: it is "
        "returned, load_checkpoint(...)[name]. Nothing",
    ),
    "other width": (
        lambda m: {"model": small_model(width=6)},
        lambda m: {"model": m},
        "'0.weight' is float32 of shape (6, 4) in the file and float32 of shape (5, 4)",
    ),
    "many shapes": (
        lambda m: {"model": small_model(width=6)},
        lambda m: {"model": m},
        " and 3 more",
    ),
    "other dtype": (
        lambda m: {"model": copy.deepcopy(m).double()},
        lambda m: {"model": m},
        "'0.weight' is float64 of shape (5, 4) in the file and float32 of shape (5, 4)",
    ),
    "missing layer": (
        lambda m: {"model": m[:3]},
        lambda m: {"model": m},
        f"missing in the file: '3.weight', '3.bias'. {AS_IT_WAS}. Nothing was loaded",
    ),
    "additional layer": (
        lambda m: {"model": m},
        lambda m: {"model": m[:3]},
        f"only in the file: '3.weight', '3.bias'. {AS_IT_WAS}. Nothing was loaded",
    ),
    "four are listed": (
        lambda m: {"model": nn.ParameterList(torch.ones(1) for _ in range(4))},
        lambda m: {"model": nn.ParameterList()},
        f"only in the file: '0', '1', '2', '3'. {AS_IT_WAS}",
    ),
    "of five, one more": (
        lambda m: {"model": nn.ParameterList(torch.ones(1) for _ in range(5))},
        lambda m: {"model": nn.ParameterList()},
        f"only in the file: '0', '1', '2', '3' and 1 more. {AS_IT_WAS}",
    ),
    "both, and another shape": (
        lambda m: {"model": nn.ModuleDict({"a": nn.Linear(1, 2), "q": nn.PReLU()})},
        lambda m: {"model": nn.ModuleDict({"a": nn.Linear(1, 3), "w": nn.PReLU()})},
        "missing in the file: 'w.weight'; only in the file: 'q.weight'; 'a.weight' is "
        "float32 of shape (2, 1) in the file and float32 of shape (3, 1) here, "
        "'a.bias' is float32 of shape (2,) in the file and float32 of shape (3,) here; "
        f"did you mean 'q.weight'? {AS_IT_WAS}",
    ),
    "near name": (
        lambda m: {"model": nn.ModuleDict({"encoder": nn.Linear(1, 1)})},
        lambda m: {"model": nn.ModuleDict({"encodr": nn.Linear(1, 1)})},
        "did you mean 'encoder.weight'",
    ),
    "parallel wrapper": (
        lambda m: {"model": nn.DataParallel(m)},
        lambda m: {"model": m},
        "'module.' comes from DistributedDataParallel, DataParallel",
    ),
    "compiled": (
        lambda m: {"model": m},
        lambda m: {"model": LikeCompiled(m)},
        "'_orig_mod.' comes from torch.compile: save and load the model inside it",
    ),
    "lazy optimizer": (
        lambda m: {"optimizer": adam(m)},
        lambda m: {"optimizer": adam(nn.LazyLinear(1))},
        "'optimizer' cannot be compared (RuntimeError: ",
    ),
    "lazy layer": (
        lambda m: {"model": nn.Linear(3, 2)},
        lambda m: {"model": nn.LazyLinear(2)},
        "'weight' has no shape yet: pass one batch",
    ),
    "optimizer for a model": (
        lambda m: {"model": adam(m)},
        lambda m: {"model": m},
        "'model' is the state of Adam (optimizer), not of Sequential (module)",
    ),
    "other optimizer": (
        lambda m: {"optimizer": torch.optim.SGD(m.parameters())},
        lambda m: {"optimizer": adam(m)},
        "'optimizer' is the state of SGD (optimizer), not of Adam (optimizer). "
        f"{AS_IT_WAS}. Nothing was loaded",
    ),
    "AdamW for Adam": (
        lambda m: {"optimizer": torch.optim.AdamW(m.parameters())},
        lambda m: {"optimizer": adam(m)},
        "is the state of AdamW",
    ),
    "number of groups": (
        lambda m: {"optimizer": two_groups(m)},
        lambda m: {"optimizer": adam(m)},
        "'optimizer' does not fit: 2 parameter groups in the file, 1 here. "
        f"{AS_IT_WAS}. Nothing was loaded",
    ),
    "sizes of groups": (
        lambda m: {"optimizer": two_groups(m)},
        lambda m: {"optimizer": other_split(m)},
        "group 0 has 1 parameters in the file, 5 here",
    ),
    "shape of a parameter": (
        lambda m: {"optimizer": adam(small_model(width=6))},
        lambda m: {"optimizer": adam(m)},
        "parameter 0 of group 0 has shape (6, 4) in the file, (5, 4) here",
    ),
    "options": (
        lambda m: {"optimizer": adam(m)},
        lambda m: {
            "optimizer": torch.optim.Adam([{"params": m.parameters(), "mine": 1}])
        },
        "group 0 has other options: mine",
    ),
    "order of parameters": (
        lambda m: {"optimizer": torch.optim.SGD(m.named_parameters(), lr=1)},
        lambda m: {"optimizer": torch.optim.SGD(renamed(m).named_parameters(), lr=1)},
        "group 0 has its parameters in another order",
    ),
    "other scheduler": (
        lambda m: {"scheduler": SCHEDULERS["StepLR"](adam(m))},
        lambda m: {"scheduler": SCHEDULERS["CosineAnnealingLR"](adam(m))},
        "is the state of StepLR (object), not of CosineAnnealingLR (object)",
    ),
    "generator for a model": (
        lambda m: {"model": torch.Generator()},
        lambda m: {"model": m},
        "'model' is the state of a torch.Generator on cpu, not of Sequential (module)",
    ),
    "model for a generator": (
        lambda m: {"generator": m},
        lambda m: {"generator": torch.Generator()},
        "not of a torch.Generator on cpu",
    ),
    "own class": (
        lambda m: {"own": OwnState(1)},
        lambda m: {"own": RandomState()},
        "'own' is the state of OwnState (object), not of RandomState (object)",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("first", [True, False])
def test_objects_that_do_not_fit_are_refused(path, name, first):
    """Each is found before any object is changed, wherever it stands in the call."""
    save, load, said = MISFITS[name]
    model, _ = trained()
    with_good = {"good": OwnState(1), "random": RandomState()}
    save_checkpoint(path, **save(model), **with_good)
    good = {"good": OwnState(2), "random": RandomState()}
    objects = {**load(small_model()), **good} if first else {**good, **load(model)}
    states = [o for o in objects.values() if hasattr(o, "load_state_dict")]
    lazy = name == "lazy layer"
    before = None if lazy else everything(*states)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, **objects)
    assert said in message(error) and str(path) in message(error)
    assert lazy or everything(*states) == before
    assert good["good"].value == 2


def test_a_file_of_plain_values_holds_no_objects(path):
    """The error says so, and changes nothing."""
    save_checkpoint(path, epoch=1)
    said = refuses(path, {"model": small_model()})
    assert "it holds no 'model', but plain values alone (leave it out" in said


def test_scheduler_state_of_another_kind(path):
    """A scheduler of the same name whose state lacks something is refused."""

    def make(base):
        class Schedule(base):
            pass

        return Schedule

    _, optimizer = trained()
    lr = torch.optim.lr_scheduler
    save_checkpoint(path, scheduler=make(lr.ExponentialLR)(optimizer, 0.9))
    other = make(lr.StepLR)(optimizer, 1)
    with pytest.raises(CheckpointError, match="its state in the file lacks step_size"):
        load_checkpoint(path, scheduler=other)


def test_generator_state_of_another_size(path, monkeypatch):
    """A generator's state that is no such state is refused, and the generator kept."""
    generator = torch.Generator()
    size = len(generator.get_state())
    for bad, said in (
        (3, rf"'generator' does not fit: its state has sizes \(3, {size}\)\. Make it"),
        (size, r"'generator' could not .*\. All objects are as they were before$"),
    ):
        numbers = torch.zeros(bad, dtype=torch.uint8)
        with monkeypatch.context() as patch:
            patch.setattr(checkpointing, "_state", lambda _, bad=numbers: bad)
            save_checkpoint(path, generator=generator)
        before = generator.get_state()
        with pytest.raises(CheckpointError, match=said):
            load_checkpoint(path, generator=generator)
        assert torch.equal(generator.get_state(), before)


def test_a_generator_loaded_before_another_fails_goes_back(path, monkeypatch):
    """Generators are loaded one after the other, and given back what they had."""
    good, bad = torch.Generator().manual_seed(1), torch.Generator()
    numbers = torch.zeros_like(bad.get_state())
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpointing, "_state", lambda g: numbers if g is bad else g.get_state()
        )
        save_checkpoint(path, good=good, bad=bad)
    good.manual_seed(2)
    before = good.get_state()
    with pytest.raises(CheckpointError, match="'bad' could not be loaded"):
        load_checkpoint(path, good=good, bad=bad)
    assert torch.equal(good.get_state(), before)


def test_own_classes_come_first_then_models_then_random_numbers(path, monkeypatch):
    """What may fail is loaded first, and what others may draw from is loaded last."""
    model, optimizer = trained()
    generator = torch.Generator()
    objects = {
        "generator": generator, "random": RandomState(), "model": model,
        "optimizer": optimizer, "own": OwnState(1),
    }  # fmt: skip
    save_checkpoint(path, **objects)
    loaded = []
    monkeypatch.setattr(
        checkpointing, "_load", lambda target, *_: loaded.append(target)
    )
    load_checkpoint(path, **objects)
    names = ["own", "model", "optimizer", "generator", "random"]
    assert loaded == [objects[name] for name in names]


def test_a_class_may_have_more_to_save_than_it_had(path):
    """Only schedulers are asked for what they need: other classes decide themselves."""

    class Grown(OwnState):
        def state_dict(self):
            return {**super().state_dict(), "new": 1}

    Grown.__name__ = "OwnState"
    save_checkpoint(path, own=OwnState(1))
    own = Grown(2)
    load_checkpoint(path, own=own)
    assert own.value == 1


def test_extra_state_that_became_a_tensor_is_told(path):
    """Only its module understands it, so the error says what it is not."""

    class Extra(nn.Module):
        def __init__(self, extra):
            super().__init__()
            self.extra = extra

        def get_extra_state(self):
            return self.extra

    save_checkpoint(path, model=Extra([1]))
    said = refuses(path, {"model": Extra(torch.ones(2))})
    assert "is no tensor in the file and float32 of shape (2,) here" in said


def test_only_a_scheduled_optimizer_is_marked_as_stepped(path):
    """Otherwise, torch would miss its warning of a scheduler that steps too early."""
    _, optimizer = trained()
    save_checkpoint(path, optimizer=optimizer)
    other = adam(small_model())
    load_checkpoint(path, optimizer=other)
    assert not hasattr(other, "_opt_called")


@pytest.mark.parametrize("order", [*itertools.permutations(("fails", "model", "rest"))])
@pytest.mark.parametrize("error", [ValueError("half way"), KeyboardInterrupt()])
def test_an_object_that_fails_half_way(path, order, error):
    """All objects get back what they had, in whatever order they are given."""
    model, optimizer = trained()
    generator, own = torch.Generator().manual_seed(1), OwnState(1)
    loader = ResumableLoader([1, 2])
    save_checkpoint(
        path, model=model, optimizer=optimizer, generator=generator, loader=loader,
        own=own, fails=OwnState(1), random=RandomState(),
    )  # fmt: skip
    target = target_objects()
    failing = OwnState(2, fails=error)
    rest = {"own": OwnState(2), "loader": loader, "generator": torch.Generator()}
    groups = {"fails": {"fails": failing}, "model": target, "rest": rest}
    objects = {k: v for name in order for k, v in groups[name].items()}
    states = [o for o in objects.values() if not isinstance(o, torch.Generator)]
    batches = iter(loader)
    next(batches)
    before, number = everything(*states), rest["generator"].get_state()
    parameters = list(target["model"].parameters())
    kept_items = failing.items
    expected = CheckpointError if isinstance(error, Exception) else KeyboardInterrupt
    with pytest.raises(expected) as raised:
        load_checkpoint(path, **objects)
    if expected is CheckpointError:
        assert "'fails' could not be loaded (ValueError: half way)" in message(raised)
        assert raised.value.__cause__ is error
    assert everything(*states) == before
    assert torch.equal(rest["generator"].get_state(), number)
    assert all(map(torch.Tensor.is_set_to, target["model"].parameters(), parameters))
    assert failing.items is kept_items
    assert list(batches) == [2] and list(loader) == [1, 2]


@pytest.mark.parametrize("kind", ["module", "optimizer"])
def test_modules_and_optimizers_that_fail_half_way(path, kind):
    """Also what is loaded last can fail, and everything goes back."""

    class Model(nn.Linear):
        fails = False

        def load_state_dict(self, state, *args, **kwargs):
            result = super().load_state_dict(state, *args, **kwargs)
            if self.fails:
                raise ValueError("model")
            return result

    class Optimizer(torch.optim.SGD):
        fails = False

        def load_state_dict(self, state):
            super().load_state_dict(state)
            if self.fails:
                raise ValueError("optimizer")

    def make():
        model = Model(2, 1)
        optimizer = Optimizer(model.parameters(), lr=0.1, momentum=0.9)
        model(torch.randn(3, 2)).sum().backward()
        optimizer.step()
        return {
            "model": model,
            "optimizer": optimizer,
            "own": OwnState(model.bias[0].item()),
        }

    save_checkpoint(path, **make())
    objects = make()
    objects["model" if kind == "module" else kind].fails = True
    group = objects["optimizer"].param_groups[0]
    refuses(path, objects)
    assert objects["optimizer"].param_groups[0] is group
    assert group["params"][0] is objects["model"].weight


class WithExtraState(nn.Module):
    """A buffer, and a state of its own that loading changes in place."""

    def __init__(self, value, *, fails=False):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(value))
        self.register_buffer("count", torch.tensor(value))
        self.seen, self.fails = [[value]], fails

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, state):
        self.seen[0][:] = state[0]

    def load_state_dict(self, state, *args, **kwargs):
        super().load_state_dict(state, *args, **kwargs)
        if self.fails:
            raise ValueError("no")


def test_buffers_and_extra_state_of_a_module_go_back(path):
    """All that its state holds is as before, also what was changed in place."""
    save_checkpoint(path, model=WithExtraState(1.0))
    model = WithExtraState(2.0, fails=True)
    refuses(path, {"model": model})
    assert (model.weight.item(), model.count.item(), model.seen) == (2.0, 2.0, [[2.0]])


def test_extra_state_that_never_loads_keeps_no_weight_from_going_back(path):
    """The error is told, and the rest of the module is as before."""

    class Refuses(WithExtraState):
        def set_extra_state(self, state):
            raise ValueError("never")

    save_checkpoint(path, model=WithExtraState(1.0))
    model = Refuses(2.0)
    assert "(ValueError: never)" in refuses(path, {"model": model})
    assert (model.weight.item(), model.count.item()) == (2.0, 2.0)


def test_an_attribute_that_a_failed_load_added_is_gone(path):
    """The object has the attributes that it had, no others."""

    class Adds(OwnState):
        def load_state_dict(self, state):
            self.added = True
            super().load_state_dict(state)

    save_checkpoint(path, own=Adds(1))
    own = Adds(2, fails=ValueError("no"))
    refuses(path, {"own": own})
    assert sorted(vars(own)) == ["fails", "items", "value"]


def test_an_object_without_attributes_goes_back_too(path):
    """A class with slots keeps what it has elsewhere."""

    class Slotted:
        __slots__ = ("value",)

        def state_dict(self):
            return {"value": self.value}

        def load_state_dict(self, state):
            self.value = state["value"]
            if self.value == 1:
                raise ValueError("no")

    own = Slotted()
    own.value = 1
    save_checkpoint(path, own=own)
    own.value = 2
    assert "(ValueError: no)" in refuses(path, {"own": own})
    assert own.value == 2


def test_random_numbers_drawn_while_loading_do_not_count(path):
    """Random numbers are loaded last, whatever the others draw."""

    class Draws(OwnState):
        def load_state_dict(self, state):
            super().load_state_dict(state)
            torch.rand(1), random.random()

    save_checkpoint(path, random=RandomState(), draws=Draws(1))
    expected = torch.rand(2), random.random()
    load_checkpoint(path, random=RandomState(), draws=Draws(2))
    assert torch.equal(torch.rand(2), expected[0]) and random.random() == expected[1]


def test_going_back_draws_no_random_numbers_either(path):
    """After a failure, the global random numbers are as before, asked for or not."""

    class Draws(OwnState):
        def load_state_dict(self, state):
            torch.rand(1), random.random(), np.random.rand()
            super().load_state_dict(state)

    save_checkpoint(path, own=Draws(1))
    refuses(path, {"own": Draws(2, fails=ValueError("no"))})


def test_going_back_works_after_attributes_were_lost(path):
    """What the failed load replaced is put back before the state is loaded again."""

    class Careless(OwnState):
        def load_state_dict(self, state):
            self.items[len(self.items) - 1 :] = state["items"]
            self.items = None
            raise ValueError("no")

    class Recovers(Careless):
        def load_state_dict(self, state):
            if self.value == state["value"]:
                self.items[:] = state["items"]
            else:
                super().load_state_dict(state)

    Careless.__name__ = "Recovers"
    save_checkpoint(path, own=Careless(1))
    own = Recovers(2)
    refuses(path, {"own": own})
    assert own.items == [2]


# Random numbers


def draw():
    numbers = [*torch.rand(2).tolist(), random.random(), random.gauss(0, 1)]
    return [*numbers, *np.random.rand(2).tolist(), np.random.randn()]


def test_random_state_repeats_all_generators(path):
    """Python, NumPy and torch draw the same again, also half a pair of normals."""
    random.gauss(0, 1), np.random.randn(1)
    save_checkpoint(path, random=RandomState())
    expected = draw()
    load_checkpoint(path, random=RandomState())
    assert draw() == expected


def test_random_state_of_another_numpy_generator(path):
    """A bit generator that the program chose for NumPy is saved as well."""
    original = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(5))
        save_checkpoint(path, random=RandomState())
        expected = np.random.rand(3).tolist()
        load_checkpoint(path, random=RandomState())
        assert np.random.rand(3).tolist() == expected
    finally:
        np.random.set_bit_generator(original)


def test_random_state_without_numpy(path, monkeypatch):
    """Where NumPy is not there, nothing of it is saved, and a state with it loads."""
    state = RandomState().state_dict()
    expected = torch.rand(1)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert set(RandomState().state_dict()) & {"numpy"} == set()
    RandomState().load_state_dict(state)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("key", ["python", "torch", "numpy"])
@pytest.mark.parametrize("bad", ["missing", "nonsense"])
def test_bad_random_state_changes_nothing(key, bad):
    """ValueError, and the generators are as they were."""
    state = RandomState().state_dict()
    draw()
    if bad == "nonsense":
        state[key] = {"x": 1}
    elif key != "numpy":
        del state[key]
    else:
        state = None
    before = everything()
    whole = r"no state of random .*Error: .*: give what RandomState\(\).state_dict\(\)"
    with pytest.raises(ValueError, match=whole):
        RandomState().load_state_dict(state)
    assert everything() == before


class FakeAccelerator:
    """As much of torch.cuda as RandomState needs."""

    def __init__(self, count, *, initialized=True):
        self.states = [torch.full((4,), number) for number in range(count)]
        self.is_initialized = lambda: initialized

    def get_rng_state_all(self):
        return [state.clone() for state in self.states]

    def set_rng_state(self, state, number):
        self.states[number] = state


class FakeSingle:
    """As much of torch.mps as RandomState needs."""

    state = torch.ones(1)

    def get_rng_state(self):
        return self.state

    def set_rng_state(self, state):
        self.state = state


def pretend(monkeypatch, module, count, name="cuda"):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda: torch.device(name)
    )
    monkeypatch.setattr(
        torch, "get_device_module", lambda device: {name: module}[device.type]
    )


@pytest.mark.parametrize(("there", "here"), [(2, 2), (3, 1), (1, 3)])
def test_random_state_of_accelerators(monkeypatch, there, here):
    """Each device's generator is saved; with fewer devices, the first ones are set."""
    with monkeypatch.context() as patch:
        pretend(patch, FakeAccelerator(there), there)
        state = RandomState().state_dict()
    assert len(state["accelerator"]["states"]) == there
    module = FakeAccelerator(here)
    module.states = [value + 10 for value in module.states]
    pretend(monkeypatch, module, here)
    RandomState().load_state_dict(state)
    first = [value[0].item() for value in module.states]
    assert first == [*range(min(there, here)), *range(10 + there, 10 + here)]


def test_random_state_on_other_machines(monkeypatch):
    """One device, an unused one, another kind of accelerator, or none at all."""
    single = FakeSingle()
    with monkeypatch.context() as patch:
        pretend(patch, single, 1, "mps")
        state = RandomState().state_dict()
        single.state = torch.zeros(1)
        RandomState().load_state_dict(state)
        assert single.state == 1
    RandomState().load_state_dict({**state, "accelerator": {"type": "cuda"}})
    module = FakeAccelerator(1, initialized=False)
    with monkeypatch.context() as patch:
        pretend(patch, module, 1)
        unused = {"type": "cuda", "states": []}
        assert RandomState().state_dict()["accelerator"] == unused
        RandomState().load_state_dict(state)
        assert module.states[0][0] == 0


@pytest.mark.gpu
def test_checkpoint_of_an_accelerator_loads_on_the_cpu_and_back(path, accelerator):
    """Weights, optimizer and random numbers go from one device to the other."""
    model = small_model().to(accelerator)
    optimizer = adam(model)
    model(torch.randn(8, 4, device=accelerator)).sum().backward()
    optimizer.step()
    save_checkpoint(path, model=model, optimizer=optimizer, random=RandomState(), x=1)
    expected = torch.rand(3, device=accelerator)
    for device in ("cpu", accelerator):
        again = small_model().to(device)
        other = adam(again)
        load_checkpoint(path, model=again, optimizer=other, random=RandomState())
        assert freeze(again.state_dict()) == freeze(model.state_dict())
        assert freeze(other.state_dict()) == freeze(optimizer.state_dict())
        assert torch.equal(torch.rand(3, device=accelerator), expected)
    objects = {"model": model, "optimizer": optimizer, "random": RandomState()}
    save_checkpoint(path, **target_objects(), own=OwnState(1))
    assert "'own' could not" in refuses(
        path, {**objects, "own": OwnState(2, fails=ValueError("no"))}
    )


# The loader


class Noisy(Dataset):
    """Samples with random noise of all global generators."""

    def __len__(self):
        return 23

    def __getitem__(self, index):
        noise = torch.rand(2).sum() + random.random() + np.random.rand()
        return torch.tensor([float(index), float(noise)], dtype=torch.float64)


class Stream(IterableDataset):
    """Samples without a length, shuffled by the global generator at the start."""

    def __iter__(self):
        for index in torch.randperm(23).tolist():
            yield Noisy()[index]


class OwnGenerator(Noisy):
    def __init__(self):
        self.generator = torch.Generator().manual_seed(9)

    def __getitem__(self, index):
        return super().__getitem__(index) + torch.rand(1, generator=self.generator)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def loader_with_distinct_generators():
    sampler = RandomSampler(Noisy(), generator=seeded(1))
    batches = BatchSampler(sampler, 4, drop_last=False)
    return DataLoader(Noisy(), batch_sampler=batches, generator=seeded(2))


class OwnBatches(torch.utils.data.Sampler):
    """Draws whole batches from a generator of its own."""

    def __init__(self):
        self.generator = seeded(5)

    def __iter__(self):
        order = torch.randperm(len(Noisy()), generator=self.generator)
        return iter([some.tolist() for some in order.split(4)])


LOADERS = {
    "in order": lambda: DataLoader(Noisy(), batch_size=4),
    "shuffled": lambda: DataLoader(Noisy(), batch_size=4, shuffle=True),
    "own generator": lambda: DataLoader(
        Noisy(), batch_size=4, shuffle=True, generator=seeded(3)
    ),
    "sampler's generator": lambda: DataLoader(
        Noisy(), batch_size=4, sampler=RandomSampler(Noisy(), generator=seeded(4))
    ),
    "drawn with replacement": lambda: DataLoader(
        Noisy(), batch_size=7,
        sampler=RandomSampler(
            Noisy(), replacement=True, num_samples=90, generator=seeded(4)
        ),
    ),
    "weighted": lambda: DataLoader(
        Noisy(), batch_size=4, sampler=WeightedRandomSampler([1.0, 2.0] * 10, 20)
    ),
    "distinct generators": loader_with_distinct_generators,
    "dataset's generator": lambda: DataLoader(OwnGenerator(), batch_size=4),
    "no batches": lambda: DataLoader(Noisy(), batch_size=None, shuffle=True),
    "no batches, sampler's generator": lambda: DataLoader(
        Noisy(), batch_size=None, sampler=RandomSampler(Noisy(), generator=seeded(4))
    ),
    "batch sampler's generator": lambda: DataLoader(
        Noisy(), batch_sampler=OwnBatches()
    ),
    "stream": lambda: DataLoader(Stream(), batch_size=4),
    "list": lambda: [torch.full((4, 2), float(k)) for k in range(6)],
    "two workers": lambda: DataLoader(
        Noisy(), batch_size=4, shuffle=True, num_workers=2
    ),
    "two workers, own generator": lambda: DataLoader(
        Noisy(), batch_size=4, shuffle=True, num_workers=2, generator=seeded(3)
    ),
    "two workers, stream": lambda: DataLoader(Stream(), batch_size=4, num_workers=2),
}  # fmt: skip


def run(loader, epochs, *, resume=None, save_at=None, path=None):
    """Iterate as a training would, drawing numbers at each step; return all seen."""
    state, seen, step = RandomState(), [], 0
    epoch = 0
    if resume:
        epoch, step = load_checkpoint(resume, loader=loader, random=state)["at"]
    while epoch < epochs:
        for batch in loader:
            seen.append(freeze([batch, draw()]))
            step += 1
            if step == save_at:
                save_checkpoint(path, random=state, loader=loader, at=[epoch, step])
        epoch += 1
        if (epoch, "end") == save_at:
            save_checkpoint(path, random=state, loader=loader, at=[epoch, step])
    return seen, everything()


def start_over(seed=0):
    torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)


@pytest.mark.parametrize("name", LOADERS)
def test_loader_goes_on_bit_equal(path, name):
    """In the middle of an epoch and at its end, and in the epochs that follow."""
    make = LOADERS[name]
    start_over()
    plain, _ = run(make(), 3)
    start_over()
    whole, end = run(ResumableLoader(make()), 3)
    assert plain == whole, "it yields what the loader yields"
    an_epoch = len(whole) // 3
    few = (1, an_epoch + 2) if "workers" in name else range(1, 2 * an_epoch + 1)
    for save_at in [*few, (1, "end")]:
        start_over()
        run(ResumableLoader(make()), 2, save_at=save_at, path=path)
        start_over(99)
        resumed = ResumableLoader(make())
        seen, end_of_resumed = run(resumed, 3, resume=path)
        done = an_epoch if save_at == (1, "end") else save_at
        assert seen == whole[done:]
        assert end_of_resumed == end


def test_order_of_loading_does_not_matter(path):
    """Random numbers before the loader or after it: the rest is the same."""
    make = LOADERS["shuffled"]
    loader = ResumableLoader(make())
    batches = iter(loader)
    next(batches), draw()
    states = loader.state_dict(), RandomState().state_dict()
    expected = [freeze(batch) for batch in batches], draw()
    for first in (True, False):
        start_over(5)
        resumed = ResumableLoader(make())
        if first:
            RandomState().load_state_dict(states[1])
        resumed.load_state_dict(states[0])
        if not first:
            RandomState().load_state_dict(states[1])
        assert ([freeze(batch) for batch in resumed], draw()) == expected


def test_state_between_epochs_is_the_start_of_the_next():
    """Before the first epoch and after each, there is nothing to read again."""
    loader = ResumableLoader(LOADERS["own generator"]())
    for _ in range(2):
        state = loader.state_dict()
        assert state["position"] == 0 and state["start"] is None
        list(loader)


def test_saving_right_after_loading_keeps_the_place():
    """The state that was loaded is the state until the next iteration."""
    loader = ResumableLoader([1, 2, 3])
    batches = iter(loader)
    next(batches)
    resumed = ResumableLoader([1, 2, 3])
    resumed.load_state_dict(loader.state_dict())
    assert freeze(resumed.state_dict()) == freeze(loader.state_dict())
    assert list(resumed) == [2, 3]
    assert resumed.state_dict()["position"] == 0


def test_loading_ends_the_epoch_that_was_under_way():
    """A place between epochs, loaded in the middle of one, is the new place."""
    loader = ResumableLoader([1, 2, 3])
    between = loader.state_dict()
    next(iter(loader))
    loader.load_state_dict(between)
    assert loader.state_dict()["position"] == 0
    assert list(loader) == [1, 2, 3]


def test_state_after_the_last_batch_before_the_end():
    """Saved in the last step, the epoch ends at once, and the next one is whole."""
    loader = ResumableLoader([1, 2])
    batches = iter(loader)
    next(batches), next(batches)
    resumed = ResumableLoader([1, 2])
    resumed.load_state_dict(loader.state_dict())
    assert list(resumed) == [] and list(resumed) == [1, 2]


def test_state_after_break_and_ctrl_c_is_in_the_middle():
    """What was left is gone on with; without loading, a new epoch starts."""
    loader = ResumableLoader([1, 2, 3])
    with contextlib.suppress(KeyboardInterrupt):
        for batch in loader:
            if batch == 2:
                raise KeyboardInterrupt
    state = loader.state_dict()
    assert state["position"] == 2
    assert list(loader) == [1, 2, 3]
    loader.load_state_dict(state)
    assert list(loader) == [3]


def test_the_last_iteration_counts():
    """With two iterators at work, the state is that of the younger one."""
    loader = ResumableLoader([1, 2, 3])
    first = iter(loader)
    next(first)
    second = iter(loader)
    next(second), list(first)
    assert loader.state_dict()["position"] == 1
    assert list(second) == [2, 3] and loader.state_dict()["position"] == 0


def test_resumed_epoch_can_be_saved_again():
    """Interrupted twice in an epoch, the third run reads only what is left."""
    states, seen = [None], []
    start_over()
    expected = [freeze(batch) for batch in LOADERS["shuffled"]()]
    start_over()
    while len(seen) < len(expected):
        loader = ResumableLoader(LOADERS["shuffled"]())
        if states[-1] is not None:
            loader.load_state_dict(states[-1])
        batches = iter(loader)
        seen += [freeze(batch) for batch in itertools.islice(batches, 2)]
        states.append(loader.state_dict())
    assert seen == expected


def test_loader_looks_like_the_one_inside():
    """Length and attributes are those of the loader, and copies work."""
    inner = LOADERS["shuffled"]()
    loader = ResumableLoader(inner)
    assert len(loader) == 6 and loader.batch_size == 4
    assert loader.dataset is inner.dataset
    with pytest.raises(AttributeError, match="nonsense"):
        _ = loader.nonsense
    with pytest.raises(TypeError):
        len(ResumableLoader(LOADERS["stream"]()))
    assert list(copy.copy(ResumableLoader([1]))) == [1]
    with pytest.raises(AttributeError, match=r"^loader$"):
        _ = object.__new__(ResumableLoader).loader


def test_length_of_a_stream_is_not_asked_for():
    """A stream that gives more than it said warns no sooner than without us."""

    class Longer(Stream):
        def __len__(self):
            return 4

    loader = ResumableLoader(DataLoader(Longer(), batch_size=4))
    batches = iter(loader)
    next(batches)
    loader.state_dict()
    assert len(list(batches)) == 5


@pytest.mark.parametrize(
    "loader",
    [iter([1]), (x for x in [1]), 3, None, map(str, [1])],
    ids=lambda loader: type(loader).__name__,
)
def test_what_can_be_read_once_is_refused(loader):
    """Iterators and what cannot be iterated are a TypeError."""
    kind = type(loader).__name__
    whole = rf"of type {kind}, which cannot be iterated again .* starts a new epoch$"
    with pytest.raises(TypeError, match=whole):
        ResumableLoader(loader)


def test_persistent_workers_are_refused():
    """Their random numbers are out of reach."""
    loader = DataLoader(Noisy(), num_workers=1, persistent_workers=True)
    whole = "persistent_workers=True, whose .* make it with persistent_workers=False$"
    with pytest.raises(ValueError, match=whole):
        ResumableLoader(loader)


def middle(loader):
    loader = ResumableLoader(loader)
    next(iter(loader))
    return loader.state_dict()


CHANGED = {
    "batch size": ({"batch_size": 5}, "batch_size was 4, now 5"),
    "length": ({"dataset": range(24)}, "length was 5, now 6"),
    "workers": ({"num_workers": 2}, r"was 0, now 2\. Make it as it was$"),
    "shuffle": ({"shuffle": True}, "sampler was 'SequentialSampler', now 'RandomSamp"),
    "generator": (
        {"generator": seeded(1)},
        r"at \[\], and this one has .*: make it as it was$",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_loader_is_refused(name):
    """In the middle of an epoch, the error says what changed; nothing is loaded."""
    options, said = CHANGED[name]
    base = {"dataset": range(20), "batch_size": 4}
    state = middle(DataLoader(**base))
    other = ResumableLoader(DataLoader(**{**base, **options}))
    before = freeze(other.state_dict())
    with pytest.raises(ValueError, match=said):
        other.load_state_dict(state)
    assert freeze(other.state_dict()) == before


def test_changed_loader_between_epochs_is_welcome():
    """The next epoch may have another batch size."""
    state = ResumableLoader(DataLoader(range(20), batch_size=4)).state_dict()
    other = ResumableLoader(DataLoader(range(20), batch_size=5))
    other.load_state_dict(state)
    assert len(list(other)) == 4


def test_loader_that_became_shorter():
    """Fewer batches than were seen: an error, and the random numbers are kept."""
    batches = list(range(3))
    state = middle(LOADERS["stream"]())
    state["position"] = 50
    loader = ResumableLoader(LOADERS["stream"]())
    loader.load_state_dict(state)
    before = everything()
    for _ in range(2):
        with pytest.raises(
            RuntimeError, match=r"after 6 batches, but 50 were .* over the same data$"
        ):
            iter(loader)
        assert everything() == before
    assert batches


def test_loader_that_tells_little_of_itself():
    """What is no number is not kept, and no length is none."""

    class Odd:
        batch_size = "eight"

        def __iter__(self):
            return iter([1, 2])

        def __len__(self):
            raise NotImplementedError

    described = middle(Odd())["loader"]
    assert described == {
        "length": None, "batch_size": None, "num_workers": None, "sampler": "NoneType"
    }  # fmt: skip


@pytest.mark.parametrize("state", [None, {}, {"position": 1}, [1]])
def test_no_loader_state(state):
    """Anything else is a ValueError that says what to give."""
    with pytest.raises(ValueError, match=r"give what ResumableLoader\.state_dict"):
        ResumableLoader([1]).load_state_dict(state)


def test_bad_generator_state_changes_nothing():
    """The loader's generators are as they were."""
    loader = ResumableLoader(loader_with_distinct_generators())
    state = loader.state_dict()
    torch.rand(1, generator=loader.generator)
    before = freeze(loader.state_dict())
    first, second = state["generators"]
    state["generators"] = {first: state["generators"][first], second: torch.zeros(1)}
    with pytest.raises(ValueError, match="the state of a generator does not fit"):
        loader.load_state_dict(state)
    assert freeze(loader.state_dict()) == before


# A whole training


def training(path, *, optimizer_class, options, workers=0, epochs=3, stop=None):
    """A plain loop that resumes; with stop, it ends after so many steps."""
    torch.manual_seed(7)
    inputs = torch.randn(40, 4)
    data = torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True))
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    optimizer = optimizer_class(model.parameters(), lr=0.05, **options)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loader = ResumableLoader(
        DataLoader(data, batch_size=8, shuffle=True, num_workers=workers)
    )
    checkpoint = Checkpoint(path, every_steps=1)
    run = {
        "model": model, "optimizer": optimizer, "scheduler": scheduler,
        "loader": loader, "random": checkpoint.random_state(),
    }  # fmt: skip
    at = {"epoch": 0, "step": 0, "history": []}
    if checkpoint.exists():
        at = checkpoint.load(**run)
    while at["epoch"] < epochs:
        for x, y in loader:
            loss = (model(x) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            at["step"] += 1
            at["history"].append(loss.item())
            if at["step"] == stop:
                return checkpoint.save(**run, **at)
        scheduler.step()
        at["epoch"] += 1
        if (at["epoch"], "end") == stop:
            return checkpoint.save(**run, **at)
    return everything(model, optimizer, scheduler, loader), at


@pytest.mark.parametrize("stop", [1, 4, 5, 8, 14, (1, "end"), (2, "end")], ids=str)
@pytest.mark.parametrize(
    ("optimizer_class", "options"),
    [(torch.optim.SGD, {"momentum": 0.9}), (torch.optim.Adam, {})],
)
def test_resumed_training_ends_bit_equal(path, optimizer_class, options, stop):
    """Weights, optimizer, rates, losses and random numbers, wherever it stopped."""
    settings = {"optimizer_class": optimizer_class, "options": options}
    expected = training(path.with_name("never"), **settings)
    assert training(path, stop=stop, **settings) is None
    start_over(1)
    assert training(path, **settings) == expected


@pytest.mark.parametrize("stop", [2, 8])
def test_resumed_training_with_workers_ends_bit_equal(path, stop):
    """The same with two worker processes, in the middle of an epoch."""
    settings = {"optimizer_class": torch.optim.Adam, "options": {}, "workers": 2}
    expected = training(path.with_name("never"), **settings)
    training(path, stop=stop, **settings)
    assert training(path, **settings) == expected


# Checkpoint


def test_checkpoint_saves_and_loads(path):
    """It keeps the path and how often, and calls the two functions."""
    checkpoint = Checkpoint(str(path), every_steps=3)
    assert (checkpoint.path, checkpoint.every_steps) == (path, 3)
    assert not checkpoint.exists()
    model, other = small_model(), small_model()
    checkpoint.save(model=model, epoch=2)
    assert checkpoint.exists()
    assert checkpoint.load(model=other) == {"epoch": 2}
    assert everything(model) == everything(other)
    assert Checkpoint(path).every_steps is None
    assert isinstance(checkpoint.random_state(), RandomState)


def test_checkpoint_makes_loaders_resumable(path):
    """A loader with a state is taken as it is, another one is wrapped."""
    checkpoint = Checkpoint(path)
    batches = [1, 2]
    wrapped = checkpoint.resumable(batches)
    assert isinstance(wrapped, ResumableLoader) and wrapped.loader is batches
    assert checkpoint.resumable(wrapped) is wrapped
    own = OwnState(1)
    assert checkpoint.resumable(own) is own


@pytest.mark.parametrize("every_steps", [True, 1.0, "1", torch.tensor(1)], ids=repr)
def test_every_steps_is_an_integer(path, every_steps):
    """Anything else is a TypeError."""
    kind = type(every_steps).__name__
    with pytest.raises(TypeError, match=rf"is .*, of type {kind}: give a number of st"):
        Checkpoint(path, every_steps=every_steps)


@pytest.mark.parametrize("every_steps", [0, -3])
def test_every_steps_is_positive(path, every_steps):
    """0 and less are a ValueError."""
    with pytest.raises(ValueError, match="or leave it out to save at the end of each"):
        Checkpoint(path, every_steps=every_steps)


def test_checkpoint_checks_its_path(tmp_path, monkeypatch):
    """A folder, or a place where nothing can be written, is refused at once."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="is a folder: give the name of a file in it"):
        Checkpoint(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        Checkpoint(file / "run.pt")
    with pytest.raises(TypeError):
        Checkpoint(3)
    assert not Checkpoint(tmp_path / "new" / "run.pt").exists()
    assert not (tmp_path / "new").exists()
    asked = []
    monkeypatch.setattr(os, "access", lambda *call: asked.append(call))
    with pytest.raises(ValueError, match="is not writable"):
        Checkpoint(tmp_path / "run.pt")
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]
