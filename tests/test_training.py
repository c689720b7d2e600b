"""`snippets.training` does what a plain loop does, and refuses what goes wrong."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections import UserDict, namedtuple
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.optim import SGD, Adam
from torch.optim import lr_scheduler as schedulers
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from snippets.training import (
    History,
    TrainingError,
    accuracy,
    evaluate,
    fit,
    predict,
    train_epoch,
)

NAN, INF = math.nan, math.inf

# What the tests are made of.


def numbers(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def classes(rows, count=3, seed=1):
    return torch.arange(rows) * (seed + 1) % count


def batches(*tensors, size=4):
    """Pairs (or triples) of rows, the last of them smaller."""
    return list(zip(*[tensor.split(size) for tensor in tensors], strict=True))


def loader(*tensors, size=4, **options):
    return DataLoader(TensorDataset(*tensors), size, **options)


def linear(features=3, outputs=3, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Linear(features, outputs, dtype=dtype)


def network():
    """Layers that draw random numbers and that keep statistics."""
    torch.manual_seed(0)
    layers = nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4)
    return nn.Sequential(*layers, nn.Linear(8, 3))


def sgd(model, lr=0.1, momentum=0.9):
    return SGD(model.parameters(), lr=lr, momentum=momentum)


def adam(model, lr=0.01):
    return Adam(model.parameters(), lr=lr)


def nothing(*_):
    pass


def plain_loop(
    model,
    loader,
    loss_fn,
    optimizer,
    *,
    epochs=1,
    val_loader=(),
    clip=None,
    precision=nullcontext,
    after_step=nothing,
    after_epoch=nothing,
):
    """Train as in the tutorials; `after_epoch` is called with the validation loss."""
    for _ in range(epochs):
        model.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            with precision():
                loss = loss_fn(model(inputs), targets)
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            after_step()
        model.eval()
        with torch.no_grad():
            losses = [loss_fn(model(x), y).item() * len(y) for x, y in val_loader]
        after_epoch(sum(losses) / max(1, sum(len(y) for _, y in val_loader)))


def frozen_copy(value):
    """Everything in nested containers, with tensors as bytes: NaN equals NaN."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.detach().numpy().tobytes()
    if isinstance(value, Mapping):
        return {key: frozen_copy(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [frozen_copy(part) for part in value]
    return value


def state(model, optimizer=None):
    """Weights, buffers, modes, and the optimizer's state."""
    modes = [module.training for module in model.modules()]
    held = optimizer.state_dict() if optimizer else None
    return frozen_copy([model.state_dict(), modes, held])


@contextmanager
def unchanged(model, optimizer=None):
    """Neither weights, buffers, modes nor optimizer change, and no gradient is left."""
    before = state(model, optimizer)
    yield
    assert state(model, optimizer) == before
    assert all(parameter.grad is None for parameter in model.parameters())


@contextmanager
def refused(error, *words):
    """The error is raised, and its message holds all the words, none as a part."""
    with pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    for word in words:
        assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", str(caught.value)), word


X, Y = numbers(22, 3), classes(22)
VAL_X, VAL_Y = numbers(10, 3, seed=2), classes(10, seed=2)
CROSS_ENTROPY = nn.CrossEntropyLoss()
SQUARED = nn.MSELoss()


def mean_square(outputs, targets):
    return ((outputs - targets) ** 2).mean()


class Stream:
    """A loader without a length."""

    def __init__(self, found):
        self.found = found

    def __iter__(self):
        yield from self.found


class Rows(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


class Unsure(Stream):
    def __len__(self):
        raise NotImplementedError


def shuffled():
    return loader(X, Y, shuffle=True)


def as_list():
    return batches(X, Y)


def train(
    model, found=None, loss_fn=CROSS_ENTROPY, optimizer=None, *, epochs=1, **options
):
    """Call `fit`, with what most tests do not care about."""
    found = as_list() if found is None else found
    optimizer = optimizer or sgd(model)
    return fit(model, found, loss_fn, optimizer, epochs=epochs, **options)


# The same weights as the plain loop.


@pytest.mark.parametrize("val_loader", [(), batches(VAL_X, VAL_Y)])
@pytest.mark.parametrize("make_loader", [shuffled, as_list])
@pytest.mark.parametrize("make_optimizer", [sgd, adam])
def test_weights_and_random_numbers_are_those_of_the_plain_loop(
    make_optimizer, make_loader, val_loader
):
    """Bit for bit: weights, statistics, optimizer and generator, dropout included."""
    ends = []
    for loop in (plain_loop, fit):
        model = network()
        optimizer = make_optimizer(model)
        torch.manual_seed(7)
        options = {"val_loader": val_loader} if val_loader else {}
        loop(model, make_loader(), CROSS_ENTROPY, optimizer, epochs=3, **options)
        model.train()
        ends.append((state(model, optimizer), torch.get_rng_state().tolist()))
    assert ends[0] == ends[1]


def test_train_epoch_again_and_again_is_fit():
    """Epochs of one's own end with the weights and the losses of `fit`."""
    first, second = network(), network()
    optimizer = adam(first)
    torch.manual_seed(7)
    found = [train_epoch(first, as_list(), CROSS_ENTROPY, optimizer) for _ in range(3)]
    torch.manual_seed(7)
    history = train(second, optimizer=adam(second), epochs=3)
    assert state(first) == state(second)
    assert found == [{"loss": loss} for loss in history["train_loss"]]


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_gradients_are_clipped_as_in_the_plain_loop(clip):
    """A norm above the limit is scaled down; one below is left alone."""
    first, second = network(), network()
    torch.manual_seed(7)
    plain_loop(first, as_list(), CROSS_ENTROPY, sgd(first), clip=clip)
    torch.manual_seed(7)
    train(second, clip_grad_norm=clip)
    third = network()
    torch.manual_seed(7)
    train_epoch(third, as_list(), CROSS_ENTROPY, sgd(third), clip_grad_norm=clip)
    first.train()
    assert state(first) == state(second) == state(third)


def test_what_is_clipped_is_the_gradient_of_the_whole_window():
    """With accumulation the norm is that of the sum, not of each batch."""
    model, large = linear(), linear()
    train(model, found=batches(X[:8], Y[:8]), accumulate=2, clip_grad_norm=0.1)
    plain_loop(large, [(X[:8], Y[:8])], CROSS_ENTROPY, sgd(large), clip=0.1)
    torch.testing.assert_close(model.weight, large.weight)
    assert model.weight.grad.norm() < 0.1001


def test_frozen_parameters_in_the_optimizer_stay():
    """A parameter that needs no gradient is not moved, and is no reason to refuse."""
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    train(model)
    assert torch.equal(model[0].weight, before)


def test_a_loss_with_parameters_of_its_own_learns_too():
    """Parameters of the loss belong in the optimizer, and move."""
    scale = nn.Linear(3, 3, bias=False)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = scale

        def forward(self, outputs, targets):
            return F.cross_entropy(self.scale(outputs), targets)

    model, before = linear(), scale.weight.clone()
    both = SGD([*model.parameters(), *scale.parameters()], lr=0.1)
    train(model, loss_fn=Scaled(), optimizer=both)
    assert not torch.equal(scale.weight, before)
    after = scale.weight.clone()
    train_epoch(model, as_list(), Scaled(), both)
    assert not torch.equal(scale.weight, after)
    with refused(TrainingError, "lacks 1 parameters", "loss_fn.scale.weight"):
        train(model, loss_fn=Scaled())


def test_a_loss_may_be_an_object_without_a_hash():
    """What compares by value cannot be looked up among the known losses."""

    @dataclass
    class Weighted:
        weight: float

        def __call__(self, outputs, targets):
            return self.weight * F.cross_entropy(outputs, targets)

    model, plain = linear(), linear()
    train(model, loss_fn=Weighted(0.5))
    train(plain, optimizer=sgd(plain, lr=0.05))
    torch.testing.assert_close(model.weight, plain.weight)


def test_lazy_layers_get_their_shape_from_the_first_batch():
    """A model with lazy layers and lazy statistics trains."""
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 3))
    history = train(model, epochs=2)
    assert model[0].weight.shape == (4, 3)
    assert len(history) == 2


def test_a_lazy_layer_that_is_never_called_does_no_harm():
    """Not at the end of an epoch, nor in the search for a value that is not finite."""
    model = linear()
    model.unused = nn.LazyLinear(4)
    train(model)
    with refused(TrainingError, "the inputs of the batch, row 0"):
        train(model, [(X * NAN, Y)])


# Means over samples.

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def uneven(sizes, dtype=torch.float64):
    rows = sum(sizes)
    inputs = numbers(rows, 3, dtype=dtype)
    return (
        inputs,
        classes(rows),
        list(zip(inputs.split(sizes), classes(rows).split(sizes), strict=True)),
    )


def share_of_class_zero(outputs, targets):
    return (targets == 0).float().mean()


@settings(deadline=None, max_examples=15)
@given(SIZES, st.sampled_from(["mean", "sum"]))
def test_means_are_over_samples_at_every_batch_size(sizes, reduction):
    """Loss and metrics are those of all samples in one batch, in both kinds of loss."""
    inputs, targets, found = uneven(sizes)
    model = linear(dtype=torch.float64)
    loss_fn = nn.CrossEntropyLoss(reduction=reduction)
    metrics = {"accuracy": accuracy, "zero": share_of_class_zero}
    with torch.no_grad():
        outputs = model(inputs)
    expected = {
        "loss": F.cross_entropy(outputs, targets).item(),
        "accuracy": (outputs.argmax(1) == targets).double().mean().item(),
        "zero": (targets == 0).double().mean().item(),
    }
    measured = evaluate(model, found, loss_fn, metrics=metrics)
    assert measured == pytest.approx(expected, rel=1e-6)
    history = train(
        model,
        found=found,
        loss_fn=loss_fn,
        optimizer=SGD(model.parameters(), lr=0.0),
        epochs=2,
        metrics=metrics,
        val_loader=[(inputs, targets)],
    )
    for name, value in expected.items():
        assert history[f"train_{name}"] == pytest.approx([value] * 2, rel=1e-6)
        assert history[f"val_{name}"] == pytest.approx([value] * 2, rel=1e-6)


def test_the_loss_of_training_is_taken_along_the_way():
    """Each batch counts with the weights that it met."""
    model, plain = linear(), linear()
    optimizer, losses = sgd(plain), []
    for inputs, targets in as_list():
        optimizer.zero_grad()
        loss = CROSS_ENTROPY(plain(inputs), targets)
        loss.backward()
        optimizer.step()
        losses += [loss.item()] * len(inputs)
    history = train(model)
    assert history["train_loss"] == pytest.approx([sum(losses) / len(losses)])


def test_weighted_means_of_batches_count_by_their_samples():
    """A loss with weights gives its own mean for each batch; samples weight those."""
    loss_fn = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0]))
    model = linear()
    expected = sum(loss_fn(model(x), y).item() * len(y) for x, y in as_list()) / 22
    assert evaluate(model, as_list(), loss_fn) == {"loss": pytest.approx(expected)}


def test_a_metric_gets_outputs_without_gradient():
    """So it may turn them into NumPy; the last batch is smaller."""
    seen = []

    def metric(outputs, targets):
        seen.append((outputs.requires_grad, outputs.numpy().shape, targets.shape))
        return 0

    model = linear()
    train(model, metrics={"m": metric})
    assert seen == [(False, (4, 3), (4,))] * 5 + [(False, (2, 3), (2,))]


# Accumulation.


@settings(deadline=None, max_examples=15)
@given(SIZES, st.integers(1, 4), st.sampled_from(["mean", "sum"]))
def test_accumulation_equals_the_large_batch(sizes, accumulate, reduction):
    """Uneven batches and a short last window included."""
    _, _, found = uneven(sizes)
    windows = [found[i : i + accumulate] for i in range(0, len(found), accumulate)]
    large = [tuple(map(torch.cat, zip(*window, strict=True))) for window in windows]
    loss_fn = nn.CrossEntropyLoss(reduction=reduction)
    model, other = linear(dtype=torch.float64), linear(dtype=torch.float64)
    steps = []
    history = train(
        model,
        found=found,
        loss_fn=loss_fn,
        epochs=2,
        accumulate=accumulate,
        on_step_end=lambda: steps.append(1),
    )
    plain_loop(other, large, loss_fn, sgd(other), epochs=2)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)
    assert len(steps) == 2 * len(windows)
    assert len(history) == 2


# Accuracy.


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_accuracy_of_classes_is_the_share_that_argmax_gets_right(shape):
    """Scores (N, C, ...) against classes (N, ...)."""
    scores = numbers(6, 4, *shape)
    targets = torch.randint(4, (6, *shape), generator=torch.Generator().manual_seed(3))
    right = [
        float(scores[(row, slice(None), *rest)].argmax() == targets[(row, *rest)])
        for row in range(6)
        for rest in (torch.ones(shape).nonzero().tolist() if shape else [[]])
    ]
    assert accuracy(scores, targets) == pytest.approx(
        sum(right) / len(right), abs=1e-12
    )


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_accuracy_of_logits_asks_which_are_above_zero(shape, dtype):
    """A logit of 0 is a guess for class 0."""
    logits = torch.tensor([2.0, -1.0, 0.0, 0.5]).reshape(shape)
    targets = torch.tensor([1, 1, 0, 1]).reshape(shape).to(dtype)
    assert accuracy(logits, targets) == 0.75


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [((4, 1), (4,)), ((4,), (4, 1)), ((4, 3), (3,)), ((4, 3), (4, 1)), ((4,), ())],
)
def test_accuracy_refuses_other_shapes(outputs, targets):
    """One column of scores is no choice between classes, so (N, 1) is refused too."""
    words = str(outputs), str(targets), "(N, C, ...) with C > 1", "or the same twice"
    with refused(ValueError, *words):
        accuracy(torch.ones(outputs), torch.ones(targets))


# Batches of all kinds.


class Adds(nn.Module):
    """Takes two inputs, by position or by keyword."""

    def __init__(self):
        super().__init__()
        self.layer = linear()

    def forward(self, first, second):
        return self.layer(first + 2 * second)


class TakesMapping(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = linear()

    def forward(self, inner, scale):
        return self.layer(inner["a"] + inner["b"][0]) * scale


Pair = namedtuple("Pair", "inputs targets")
Triple = namedtuple("Triple", "first second answers")
A, B = X[:8], X[8:16]
ONE, TWO, NESTED = linear()(A), linear()(A + 2 * B), linear()(A + B)
ANSWERS = Y[:8]


@pytest.mark.parametrize(
    ("make_model", "batch", "outputs"),
    [
        (linear, (A, ANSWERS), ONE),
        (linear, [A, ANSWERS], ONE),
        (linear, Pair(A, ANSWERS), ONE),
        (linear, {"x": A, "y": ANSWERS}, ONE),
        (linear, {"labels": ANSWERS, "pixels": A}, ONE),
        (linear, UserDict(x=A, target=ANSWERS), ONE),
        (linear, ([A], ANSWERS), ONE),
        (Adds, (A, B, ANSWERS), TWO),
        (Adds, [A, B, ANSWERS], TWO),
        (Adds, Triple(A, B, ANSWERS), TWO),
        (Adds, ((A, B), ANSWERS), TWO),
        (Adds, ([A, B], ANSWERS), TWO),
        (Adds, (Pair(A, B), ANSWERS), TWO),
        (Adds, ({"second": B, "first": A}, ANSWERS), TWO),
        (Adds, {"second": B, "first": A, "label": ANSWERS}, TWO),
        (Adds, {"x": (A, B), "targets": ANSWERS}, TWO),
        (
            TakesMapping,
            {"inner": {"a": A, "b": [B]}, "scale": 1.0, "y": ANSWERS},
            NESTED,
        ),
    ],
)
def test_a_batch_may_be_of_any_kind(make_model, batch, outputs):
    """Inputs reach the model by place or by keyword, and the loss is the same."""
    model = make_model()
    expected = CROSS_ENTROPY(outputs, ANSWERS).item()
    metrics = {"accuracy": accuracy}
    measured = evaluate(model, [batch], CROSS_ENTROPY, metrics=metrics)
    assert measured["loss"] == pytest.approx(expected)
    assert measured["accuracy"] == accuracy(outputs, ANSWERS)
    torch.testing.assert_close(predict(model, [batch]), outputs.detach())
    history = train(model, found=[batch], epochs=2)
    assert history["train_loss"][0] == pytest.approx(expected)
    assert history["train_loss"][1] < expected


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (X, ["a batch is a Tensor", "(inputs, targets)"]),
        (5, ["a batch is a int; expected (inputs, targets)"]),
        (X, ["or a mapping with one of ['label', 'labels'"]),
        ([X], ["list of length 1", "(inputs, targets)"]),
        ((), ["tuple of length 0"]),
        ({"x": X, "answer": Y}, ["['x', 'answer']", "'label', 'labels'"]),
        ({"x": X, "y": Y, "label": Y}, ["['x', 'y', 'label']"]),
        ({"y": Y}, ["['y']"]),
        ((1.0, 2.0), ["made of float and float", "(N, ...)"]),
        ((torch.tensor(1.0), torch.tensor(2.0)), ["no tensor with a batch dimension"]),
        ((X[:0], Y[:0]), ["a batch has no rows"]),
    ],
)
def test_a_batch_of_no_known_kind_is_refused(batch, words):
    """The message says what the batch is, and what it should be."""
    model = network()
    optimizer = sgd(model)
    for call in (
        lambda: train(model, found=[batch], optimizer=optimizer),
        lambda: evaluate(model, [batch], CROSS_ENTROPY),
    ):
        with unchanged(model, optimizer), refused(TrainingError, *words):
            call()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = nn.GRU(3, 4), nn.Linear(4, 3)

    def forward(self, sequences):
        assert isinstance(sequences, PackedSequence)
        return self.head(self.cell(sequences)[1][0])


def packed(*lengths):
    found = [numbers(length, 3, seed=length) for length in lengths]
    return pack_sequence(found, enforce_sorted=False)


@pytest.mark.parametrize("wrap", [lambda y: y, lambda y: {"class": y}])
def test_packed_sequences_are_inputs_and_count_by_their_sequences(wrap):
    """A batch of three sequences weighs three, however long they are."""
    model = Recurrent()

    def loss_fn(outputs, targets):
        if isinstance(targets, dict):
            targets = targets["class"]
        return F.cross_entropy(outputs, targets)

    short, long = (packed(2, 4, 3), classes(3)), (packed(9), classes(1))
    weighted = sum(loss_fn(model(x), y).item() * len(y) for x, y in (short, long))
    found = [(x, wrap(y)) for x, y in (short, long)]
    assert evaluate(model, found, loss_fn)["loss"] == pytest.approx(weighted / 4)
    assert predict(model, [packed(2, 4, 3), packed(9)]).shape == (4, 3)
    short, long = (packed(1, 4, 1), classes(3)), (packed(1), classes(1))
    weighted = sum(loss_fn(model(x), y).item() * len(y) for x, y in (short, long))
    found = [(x, wrap(y)) for x, y in (short, long)]
    mean = evaluate(model, found, loss_fn)["loss"]
    assert mean == pytest.approx(weighted / 4)
    train(model, found=found, loss_fn=loss_fn)


def test_packed_targets_count_by_their_sequences_too():
    """As where every step of a sequence has a target of its own."""
    model = nn.GRU(3, 3)

    def loss_fn(outputs, targets):
        return F.mse_loss(outputs[0].data, targets.data)

    found = [(packed(2, 4, 3), packed(2, 4, 3)), (packed(9), packed(9))]
    losses = [loss_fn(model(inputs), targets).item() for inputs, targets in found]
    expected = (3 * losses[0] + losses[1]) / 4
    assert evaluate(model, found, loss_fn) == {"loss": pytest.approx(expected)}


def test_samples_are_counted_in_the_targets_before_the_inputs():
    """Here the first input is one weight for each feature, not one for each sample."""

    class Weighs(nn.Module):
        def forward(self, weights, inputs):
            return inputs * weights

    def loss_fn(outputs, targets):
        return F.mse_loss(outputs, targets["y"])

    found = [((torch.ones(3), torch.ones(1, 3)), {"y": torch.ones(1, 3)})]
    found += [((torch.ones(3), torch.ones(5, 3)), {"y": torch.zeros(5, 3)})]
    assert evaluate(Weighs(), found, loss_fn) == {"loss": pytest.approx(5 / 6)}


class Detector(nn.Module):
    """Gives a mapping of outputs, as for boxes and their classes."""

    def __init__(self):
        super().__init__()
        self.boxes, self.kinds = linear(3, 4), linear(3, 3, seed=1)

    def forward(self, inputs):
        return {"boxes": self.boxes(inputs), "parts": (self.kinds(inputs), inputs)}


def detection_loss(outputs, targets):
    boxes = F.l1_loss(outputs["boxes"], targets["where"]["boxes"])
    return boxes + F.cross_entropy(outputs["parts"][0], targets["kinds"])


def test_outputs_and_targets_may_be_nested():
    """A loss and a metric get them whole; samples are counted in the targets."""
    model, boxes = Detector(), numbers(22, 4)
    found = [
        (x, {"where": {"boxes": box}, "kinds": y}) for x, box, y in batches(X, boxes, Y)
    ]
    whole = model(X)
    expected = sum(
        detection_loss(model(x), targets).item() * len(x) for x, targets in found
    )
    history = train(
        model,
        found=found,
        loss_fn=detection_loss,
        optimizer=SGD(model.parameters(), lr=0),
        metrics={"kind": lambda o, t: accuracy(o["parts"][0], t["kinds"])},
    )
    assert history[0]["train_loss"] == pytest.approx(expected / 22)
    kinds = accuracy(whole["parts"][0], Y)
    assert history[0]["train_kind"] == pytest.approx(kinds)
    predicted = predict(model, found)
    torch.testing.assert_close(predicted["boxes"], whole["boxes"])
    assert type(predicted["parts"]) is tuple
    assert torch.equal(predicted["parts"][1], X)


@pytest.mark.parametrize(
    "found",
    [
        Stream(as_list()),
        Unsure(as_list()),
        DataLoader(Rows(), 4),
        tuple(as_list()),
    ],
    ids=["generator", "no length", "iterable dataset", "tuple"],
)
def test_a_loader_needs_no_length_to_be_evaluated(found):
    """Anything that gives batches does."""
    expected = evaluate(linear(), as_list(), CROSS_ENTROPY)["loss"]
    measured = evaluate(linear(), found, CROSS_ENTROPY)["loss"]
    assert measured == pytest.approx(expected)


@pytest.mark.parametrize(
    "found", [Stream(as_list()), Unsure(as_list()), DataLoader(Rows(), 4)]
)
def test_a_loader_needs_no_length_to_train_on(found):
    """The weights are those of a list of the same batches."""
    model, other = linear(), linear()
    first = train(model, found=found, epochs=2)
    second = train(other, epochs=2)
    assert state(model) == state(other)
    assert first == second


class DrawsAnOrder:
    """A sampler that shuffles by the epoch, as a distributed one does."""

    def __init__(self):
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __len__(self):
        return len(X)

    def __iter__(self):
        return iter(range(len(X)))


def test_a_sampler_that_shuffles_by_the_epoch_is_told_the_epoch():
    """Without it a distributed sampler would give the same order each time."""
    sampler, model = DrawsAnOrder(), linear()
    found = loader(X, Y, sampler=sampler)
    train(model, found=found, epochs=3)
    assert sampler.epochs == [0, 1, 2]


def test_progress_wraps_the_training_loader_once_an_epoch():
    """Each epoch has a bar of its own, which all batches go through."""
    bars = []

    class Bar(list):
        """Stands for tqdm; holds the batches that went through."""

        def __init__(self, iterable):
            self.iterable, self.length = iterable, len(iterable)
            bars.append(self)

        def __iter__(self):
            for batch in self.iterable:
                self.append(batch)
                yield batch

    found, validate, model = shuffled(), batches(VAL_X, VAL_Y), linear()
    options = {"epochs": 3, "val_loader": validate, "progress": Bar}
    train(model, found=found, **options)
    assert [(bar.iterable, len(bar)) for bar in bars] == [(found, 6)] * 3
    evaluate(model, validate, CROSS_ENTROPY, progress=Bar)
    predict(model, validate, progress=Bar)
    train_epoch(model, found, CROSS_ENTROPY, sgd(model), progress=Bar)
    assert [bar.iterable for bar in bars[3:]] == [validate, validate, found]
    assert [len(bar) for bar in bars[3:]] == [3, 3, 6]


# Predictions.


@pytest.mark.parametrize(
    "found",
    [
        as_list(),
        X.split(4),
        [[x] for x in X.split(4)],
        [(x,) for x in X.split(4)],
        [{"input": x} for x in X.split(4)],
        [{"input": x, "y": y} for x, y in as_list()],
        loader(X, Y),
        loader(X),
    ],
)
def test_predict_gives_the_outputs_in_order_with_or_without_targets(found):
    """They are those of all inputs at once, on the CPU, without gradient."""
    model = linear()
    outputs = predict(model, found)
    torch.testing.assert_close(outputs, model(X).detach())
    assert not outputs.requires_grad
    assert outputs.device.type == "cpu"


def test_predict_hands_a_mapping_without_targets_over_by_keyword():
    """Several inputs without targets are a mapping; a pair would hold targets."""
    model = Adds()
    found = [{"first": a, "second": b} for a, b in batches(A, B)]
    torch.testing.assert_close(predict(model, found), TWO.detach())


def test_predict_does_not_share_memory_with_the_data():
    """One batch that the model returns as it is comes back as a copy."""
    inputs = torch.zeros(2, 1)
    predict(nn.Identity(), [inputs]).fill_(1)
    assert inputs.tolist() == [[0], [0]]


@pytest.mark.parametrize("kind", [tuple, list, lambda parts: Pair(*parts)])
def test_predict_keeps_the_kind_of_the_outputs(kind):
    """A tuple, a list or a namedtuple of tensors comes back as one."""

    class Gives(nn.Module):
        def forward(self, inputs):
            return kind([inputs, -inputs])

    outputs = predict(Gives(), X.split(4))
    assert type(outputs) is type(kind([X, X]))
    assert torch.equal(outputs[0], X)
    assert torch.equal(outputs[1], -X)


@pytest.mark.parametrize(
    ("output", "word"),
    [(torch.tensor(1.0), "a tensor of shape ()"), (None, "None"), (2.5, "2.5")],
)
def test_predict_refuses_outputs_without_rows(output, word):
    """A mean over the batch, say, cannot be put in order of the samples."""

    class Gives(nn.Module):
        def forward(self, inputs):
            return output

    with refused(TrainingError, f"returned {word}", "a row for each sample"):
        predict(Gives(), X.split(4))


def test_predict_refuses_no_batches():
    """There is nothing to put together."""
    with refused(TrainingError, "no batches"):
        predict(linear(), [])


# Modes.


class Watched(nn.Module):
    """Records the modes of itself and of its layers in each forward pass."""

    def __init__(self, fail_at=None):
        super().__init__()
        self.inner = network()
        self.seen, self.gradients, self.fail_at = [], [], fail_at

    def forward(self, inputs):
        modes = {module.training for module in self.modules()}
        self.seen.append(modes.pop() if len(modes) == 1 else None)
        self.gradients.append(torch.is_grad_enabled())
        if len(self.seen) == self.fail_at:
            raise ZeroDivisionError
        return self.inner(inputs)


def mixed_modes(model):
    """Training at the top, evaluation below, training in one layer."""
    model.train()
    model.inner.eval()
    model.inner[3].train()
    return [module.training for module in model.modules()]


def test_training_is_in_training_mode_and_validation_is_not():
    """And only training records gradients; each epoch begins with it again."""
    model = Watched()
    mixed_modes(model)
    val_loader = [(VAL_X, VAL_Y)]
    found = batches(X, Y, size=11)
    train(model, found=found, epochs=2, val_loader=val_loader)
    assert model.seen == [True, True, False] * 2
    assert model.gradients == model.seen


def test_a_module_may_refuse_training_mode():
    """One that overrides `train` keeps its statistics, and then its own flag."""

    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    model = nn.Sequential(Frozen(3), linear())
    model[0].requires_grad_(False).eval()
    before = frozen_copy(model[0].state_dict())
    train(model)
    assert frozen_copy(model[0].state_dict()) == before
    model[0].training = True
    train(model)
    assert [module.training for module in model.modules()] == [True] * 3


@pytest.mark.parametrize("fail_at", [None, 1, 6, 7])
def test_every_module_gets_its_mode_back(fail_at):
    """After `fit`, also after an error in training or in validation."""
    model = Watched(fail_at)
    modes = mixed_modes(model)
    try:
        train(model, val_loader=[(VAL_X, VAL_Y)])
    except ZeroDivisionError:
        assert len(model.seen) == fail_at
    else:
        assert fail_at is None
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("fail_at", [None, 2])
@pytest.mark.parametrize(
    ("call", "mode"),
    [
        (lambda model: evaluate(model, as_list(), CROSS_ENTROPY), False),
        (lambda model: predict(model, as_list()), False),
        (lambda model: train_epoch(model, as_list(), CROSS_ENTROPY, sgd(model)), True),
    ],
)
def test_the_parts_keep_the_modes_too(call, mode, fail_at):
    """Evaluation and prediction run in evaluation mode, without gradients."""
    model = Watched(fail_at)
    modes = mixed_modes(model)
    before = frozen_copy(model.state_dict())
    try:
        call(model)
    except ZeroDivisionError:
        assert fail_at == 2
    assert set(model.seen) == set(model.gradients) == {mode}
    assert [module.training for module in model.modules()] == modes
    assert (frozen_copy(model.state_dict()) == before) is not mode
    assert torch.is_grad_enabled()


# Schedulers and callbacks.


def planted(val_losses):
    """A loss that adds 1 to the weight of `counter` a step.

    In evaluation it gives these values, one for each batch.
    """
    left = iter(val_losses)

    def loss_fn(outputs, targets):
        return -outputs.mean() if outputs.requires_grad else torch.tensor(next(left))

    return loss_fn


def counter():
    """A model whose weight is the number of steps so far, with its optimizer."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model, SGD(model.parameters(), lr=1.0)


ONES = [(torch.ones(2, 1), torch.ones(2, 1))]


def test_a_scheduler_for_each_step_steps_after_each_step():
    """The weights are those of the plain loop; accumulated batches count once."""
    model, plain = network(), network()
    ours, theirs = sgd(model), sgd(plain)
    every = [schedulers.ExponentialLR(each, 0.9) for each in (ours, theirs)]
    torch.manual_seed(7)
    train(model, optimizer=ours, epochs=2, scheduler={"step": every[0]})
    torch.manual_seed(7)
    plain_loop(
        plain, as_list(), CROSS_ENTROPY, theirs, epochs=2, after_step=every[1].step
    )
    assert frozen_copy(model.state_dict()) == frozen_copy(plain.state_dict())
    assert every[0].last_epoch == every[1].last_epoch == 12
    train(model, optimizer=ours, accumulate=4, scheduler={"step": every[0]})
    assert every[0].last_epoch == 14


def test_a_scheduler_for_each_epoch_steps_after_each_epoch():
    """And the history holds the rate that each epoch was trained with."""
    model, plain = network(), network()
    ours, theirs = sgd(model, 0.5), sgd(plain, 0.5)
    every = [schedulers.ExponentialLR(each, 0.5) for each in (ours, theirs)]
    torch.manual_seed(7)
    history = train(model, optimizer=ours, epochs=3, scheduler={"epoch": every[0]})
    torch.manual_seed(7)
    plain_loop(
        plain,
        as_list(),
        CROSS_ENTROPY,
        theirs,
        epochs=3,
        after_epoch=lambda loss: every[1].step(),
    )
    assert frozen_copy(model.state_dict()) == frozen_copy(plain.state_dict())
    assert history["lr"] == [0.5, 0.25, 0.125]
    assert ours.param_groups[0]["lr"] == 0.0625


def test_a_scheduler_on_a_plateau_gets_the_validation_loss():
    """The rate falls after each epoch whose validation loss is no new minimum."""
    model, optimizer = counter()
    plateau = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    history = train(
        model,
        found=ONES,
        loss_fn=planted([3.0, 2.0, 2.5, 1.0, 1.5]),
        optimizer=optimizer,
        epochs=5,
        val_loader=ONES,
        scheduler={"plateau": plateau},
    )
    assert history["lr"] == [1, 1, 1, 0.5, 0.5]
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert history["val_loss"] == [3.0, 2.0, 2.5, 1.0, 1.5]


def test_plateau_without_validation_is_refused():
    """It would have no loss to watch."""
    model, optimizer = counter()
    plateau = schedulers.ReduceLROnPlateau(optimizer)
    with refused(ValueError, "plateau watches the validation loss", "val_loader"):
        train(model, found=ONES, optimizer=optimizer, scheduler={"plateau": plateau})


def test_schedulers_of_all_kinds_go_together():
    """Each at its own time; the rate in the history is the one after the last step."""
    model = linear()
    optimizer = sgd(model, 1.0)
    step = schedulers.LambdaLR(optimizer, lambda count: 1 / (1 + count))
    epoch = schedulers.StepLR(optimizer, 1000)
    plateau = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=99)
    history = train(
        model,
        optimizer=optimizer,
        epochs=2,
        scheduler={"step": step, "epoch": epoch, "plateau": plateau},
        val_loader=as_list(),
    )
    assert (step.last_epoch, epoch.last_epoch, plateau.last_epoch) == (12, 2, 2)
    assert history["lr"] == pytest.approx([1 / 7, 1 / 13])


def test_train_epoch_takes_a_scheduler_for_each_step():
    """It is handed over as it is."""
    model = linear()
    optimizer = sgd(model)
    scheduler = schedulers.ExponentialLR(optimizer, 0.9)
    train_epoch(model, as_list(), CROSS_ENTROPY, optimizer, scheduler=scheduler)
    assert scheduler.last_epoch == 6


OPTIMIZER = sgd(linear())


@pytest.mark.parametrize(
    ("given_schedulers", "words"),
    [
        ({"batch": None}, ["{'step': ...}", "{'epoch': ...}", "['batch']"]),
        (
            schedulers.StepLR(OPTIMIZER, 1),
            ["when each one steps", "given: one of type StepLR"],
        ),
        (
            {"step": schedulers.ReduceLROnPlateau(OPTIMIZER)},
            ["scheduler['step']", "ReduceLROnPlateau", "'plateau'"],
        ),
        (
            {"plateau": schedulers.StepLR(OPTIMIZER, 1)},
            ["scheduler['plateau']", "StepLR"],
        ),
        ({"epoch": schedulers.StepLR(OPTIMIZER, 1)}, ["'epoch'", "another optimizer"]),
    ],
)
def test_a_scheduler_without_its_time_or_for_another_optimizer_is_refused(
    given_schedulers, words
):
    """Before anything is trained."""
    model = linear()
    optimizer = sgd(model)
    with unchanged(model, optimizer), refused(ValueError, *words):
        train(
            model,
            optimizer=optimizer,
            scheduler=given_schedulers,
            val_loader=as_list(),
        )


def test_what_is_no_scheduler_is_refused():
    """A number, or the class of a scheduler instead of one."""
    model = linear()
    optimizer = sgd(model)
    for wrong, words in [(0.5, "of type float"), (schedulers.StepLR, "class StepLR")]:
        expected = "expected an object of torch.optim.lr_scheduler"
        with (
            unchanged(model, optimizer),
            refused(TypeError, "'epoch'", words, expected),
        ):
            train(model, optimizer=optimizer, scheduler={"epoch": wrong})


def test_train_epoch_refuses_a_scheduler_that_it_cannot_step():
    """One of another optimizer, one for a plateau, or the mapping that `fit` takes."""
    model = linear()
    optimizer = sgd(model)
    own = schedulers.StepLR(optimizer, 1)
    for scheduler in (
        schedulers.StepLR(OPTIMIZER, 1),
        schedulers.ReduceLROnPlateau(optimizer),
        {"step": own},
    ):
        with unchanged(model, optimizer), pytest.raises((TypeError, ValueError)):
            train_epoch(model, as_list(), CROSS_ENTROPY, optimizer, scheduler=scheduler)


def test_on_step_end_is_called_after_each_step():
    """It sees the weights that the step has made."""
    model, optimizer = counter()
    seen = []
    train(
        model,
        found=ONES * 3,
        loss_fn=planted([]),
        optimizer=optimizer,
        epochs=2,
        on_step_end=lambda: seen.append(model.weight.item()),
    )
    assert seen == [1, 2, 3, 4, 5, 6]
    train_epoch(
        model,
        ONES * 2,
        planted([]),
        optimizer,
        on_step_end=lambda: seen.append(model.weight.item()),
    )
    assert seen[6:] == [7, 8]


def test_on_epoch_end_is_called_with_each_record():
    """It is the record that the history holds, from epoch 1 on."""
    model, seen = linear(), []
    history = train(
        model,
        epochs=2,
        val_loader=[(VAL_X, VAL_Y)],
        metrics={"accuracy": accuracy},
        on_epoch_end=lambda record: seen.append((record, model.weight[0, 0].item())),
    )
    assert [record for record, _ in seen] == history
    assert seen[0][1] != seen[1][1]
    assert history["epoch"] == [1, 2]
    assert history.columns == [
        "epoch",
        "lr",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
    ]


@pytest.mark.parametrize(
    ("val_losses", "patience", "ran", "best"),
    [
        ([3.0, 2.0, 4.0, 5.0, 1.0], 2, 4, 2),
        ([3.0, 2.0, 4.0, 5.0, 1.0], 1, 3, 2),
        ([3.0, 2.0, 4.0, 5.0, 1.0], 3, 5, 5),
        ([3.0, 2.0, 4.0, 5.0, 6.0], 9, 5, 2),
        ([1.0, 1.0, 1.0, 1.0, 0.5], 3, 4, 1),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 1, 5, 5),
    ],
)
def test_patience_stops_and_gives_the_best_weights_back(
    val_losses, patience, ran, best
):
    """Stops after so many epochs without a new minimum; an equal loss is none."""
    model, optimizer = counter()
    history = train(
        model,
        found=ONES,
        loss_fn=planted(val_losses),
        optimizer=optimizer,
        epochs=5,
        val_loader=ONES,
        patience=patience,
    )
    assert history["val_loss"] == val_losses[:ran]
    assert model.weight.item() == best


def test_without_patience_the_last_weights_stay():
    """Nothing stops early, and nothing is put back."""
    model, optimizer = counter()
    train(
        model,
        found=ONES,
        loss_fn=planted([1.0, 2.0, 3.0]),
        optimizer=optimizer,
        epochs=3,
        val_loader=ONES,
    )
    assert model.weight.item() == 3


# The history.

RECORDS = [
    {"epoch": 1, "lr": 0.1, "train_loss": 1.23456, "val_loss": 2.0},
    {"epoch": 10000, "lr": 0.01, "train_loss": 0.5, "val_loss": 1e-05},
]


def test_a_history_is_a_list_of_records_with_columns():
    """Numbers and slices give records, names give columns."""
    history = History(RECORDS)
    assert history == RECORDS
    assert history[-1] == RECORDS[1]
    assert history[:1] == RECORDS[:1]
    assert history["train_loss"] == [1.23456, 0.5]
    assert history.columns == ["epoch", "lr", "train_loss", "val_loss"]


def test_a_history_says_which_columns_there_are():
    """A misspelled name is met with all names."""
    with pytest.raises(KeyError, match=r"no 'loss' was recorded.*'train_loss'"):
        History(RECORDS)["loss"]
    with pytest.raises(KeyError, match="no 'epoch' was recorded"):
        History()["epoch"]


def test_a_history_prints_as_a_table():
    """Columns are flush right; four digits of a measure, all of an epoch."""
    assert repr(History(RECORDS)) == (
        "epoch    lr  train_loss  val_loss\n"
        "    1   0.1       1.235         2\n"
        "10000  0.01         0.5     1e-05"
    )
    assert repr(History()) == "no epochs"


def test_a_history_is_a_table_in_a_notebook():
    """With a head of names and a row for each epoch."""
    html = History([{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 0.25}])._repr_html_()
    assert html == (
        "<table><tr><th>epoch</th><th>lr</th></tr>"
        "<tr><td>1</td><td>0.1</td></tr><tr><td>2</td><td>0.25</td></tr></table>"
    )


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("loss", {"train_loss": [1.23456, 0.5], "val_loss": [2.0, 1e-05]}),
        ("lr", {"lr": [0.1, 0.01]}),
        ("train_loss", {"train_loss": [1.23456, 0.5]}),
    ],
)
def test_a_history_draws_training_and_validation_together(name, lines):
    """Over the epochs, with a legend; any other column alone."""
    axes = Figure().add_subplot()
    assert History(RECORDS).plot(axes, name) is axes
    drawn = {line.get_label(): line for line in axes.lines}
    assert {label: list(line.get_ydata()) for label, line in drawn.items()} == lines
    assert all(list(line.get_xdata()) == [1, 10000] for line in drawn.values())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", name)


def test_a_history_draws_the_loss_unless_told_otherwise():
    """What was not recorded is refused, and nothing is drawn."""
    axes = Figure().add_subplot()
    with pytest.raises(KeyError, match="no 'accuracy' was recorded"):
        History(RECORDS).plot(axes, "accuracy")
    assert not axes.lines
    History([{"epoch": 1, "train_loss": 1.0}]).plot(axes)
    (line,) = axes.lines
    assert line.get_label() == "train_loss"
    assert line.get_marker() == ".", "a line of one epoch would not be seen"


# Arguments of the wrong kind.


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epochs": 0}, ValueError, ["epochs is 0", "at least 1"]),
        ({"epochs": 2.0}, TypeError, ["epochs is 2.0", "an int"]),
        ({"epochs": "3"}, TypeError, ["epochs is '3'"]),
        ({"epochs": None}, TypeError, ["epochs is None"]),
        ({"epochs": True}, TypeError, ["epochs is True"]),
        ({"accumulate": 0}, ValueError, ["accumulate is 0"]),
        ({"accumulate": None}, TypeError, ["accumulate is None"]),
        ({"patience": 0, "val_loader": as_list()}, ValueError, ["patience is 0"]),
        ({"patience": 1}, ValueError, ["validation loss", "give a val_loader"]),
        ({"clip_grad_norm": 0}, ValueError, ["clip_grad_norm is 0", "more than 0"]),
        ({"clip_grad_norm": -1.0}, ValueError, ["clip_grad_norm is -1.0"]),
        ({"clip_grad_norm": NAN}, ValueError, ["clip_grad_norm is nan"]),
        ({"metrics": {"loss": accuracy}}, ValueError, ["'loss'", "rename it"]),
        ({"metrics": [accuracy]}, TypeError, ["of type list", "'accuracy'"]),
        ({"autocast": torch.float32}, ValueError, ["torch.float32", "torch.bfloat16"]),
        ({"autocast": "bfloat16"}, ValueError, ["'bfloat16'", "torch.float16"]),
        ({"loss_fn": nn.MSELoss}, TypeError, ["the class MSELoss", "nn.MSELoss()"]),
        ({"loss_fn": "mse"}, TypeError, ["loss_fn is of type str"]),
        ({"model": nn.Linear}, TypeError, ["the class Linear", "torch.nn"]),
        ({"model": "net"}, TypeError, ["model is of type str"]),
        (
            {"optimizer": Adam},
            TypeError,
            ["optimizer is the class Adam", "torch.optim"],
        ),
        ({"optimizer": CROSS_ENTROPY}, TypeError, ["of type CrossEntropyLoss"]),
        ({"loader": 5}, TypeError, ["train_loader", "int", "iterable of batches"]),
        ({"loader": TensorDataset(X, Y)}, TypeError, ["TensorDataset", "iterable"]),
        ({"val_loader": 5}, TypeError, ["val_loader", "int"]),
        ({"loader": iter(as_list()), "epochs": 2}, TypeError, ["train_loader", "2"]),
        ({"val_loader": iter(as_list()), "epochs": 2}, TypeError, ["val_loader"]),
        (
            {"loader": iter(as_list()), "epochs": 2},
            TypeError,
            ["give a DataLoader, or list(...) of its batches"],
        ),
        ({"patience": 1}, ValueError, ["patience watches the validation loss"]),
        (
            {"patience": None, "accumulate": 0},
            ValueError,
            ["accumulate is 0; expected at least 1"],
        ),
        ({"loader": []}, TrainingError, ["train_loader", "no batches"]),
        ({"val_loader": []}, TrainingError, ["val_loader", "no batches"]),
        (
            {"loader": loader(X, Y, size=23, drop_last=True)},
            TrainingError,
            ["train_loader", "drop_last=True"],
        ),
        ({"loader": iter([])}, TrainingError, ["no batches", "already used up"]),
        ({"loader": Stream([])}, TrainingError, ["no batches"]),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(options, error, words):
    """The message says what was given and what is expected; nothing has changed."""
    model = network()
    optimizer = sgd(model)
    given = {
        "model": model,
        "loader": as_list(),
        "loss_fn": CROSS_ENTROPY,
        "optimizer": optimizer,
        "epochs": 1,
    } | options
    with unchanged(model, optimizer), refused(error, *words):
        fit(*[given.pop(name) for name in list(given)[:4]], **given)


@pytest.mark.parametrize(
    "call",
    [
        lambda found: train_epoch(linear(), found, CROSS_ENTROPY, SGD([X.clone()], 1)),
        lambda found: evaluate(linear(), found, CROSS_ENTROPY),
        lambda found: predict(linear(), found),
    ],
    ids=["train_epoch", "evaluate", "predict"],
)
def test_the_parts_of_fit_have_one_loader(call):
    """They refuse what is none by the name that it has there, before all else."""
    with refused(TypeError, "loader is a int"):
        call(5)


def test_predict_refuses_a_loader_that_is_used_up():
    """There is nothing to put one after another."""
    with refused(TrainingError, "the loader gave no batches"):
        predict(linear(), iter([]))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"accumulate": 0}, ValueError),
        ({"clip_grad_norm": 0}, ValueError),
        ({"metrics": {"loss": accuracy}}, ValueError),
        ({"autocast": torch.float64}, ValueError),
        ({"loader": []}, TrainingError),
        ({"optimizer": SGD(linear().parameters())}, TrainingError),
    ],
)
def test_train_epoch_refuses_what_fit_refuses(options, error):
    """The parts make the same checks."""
    model = network()
    given = {"loader": as_list(), "optimizer": sgd(model)} | options
    found, optimizer = given.pop("loader"), given.pop("optimizer")
    with unchanged(model, optimizer), pytest.raises(error):
        train_epoch(model, found, CROSS_ENTROPY, optimizer, **given)


def test_evaluate_and_predict_refuse_what_they_cannot_use():
    """A model that is none, a loss that is a class, and a loader without batches."""
    with refused(TypeError, "model is of type int"):
        evaluate(1, as_list(), CROSS_ENTROPY)
    with refused(TypeError, "the class Linear"):
        predict(nn.Linear, as_list())
    with refused(TypeError, "the class MSELoss"):
        evaluate(linear(), as_list(), nn.MSELoss)
    with refused(TrainingError, "no batches"):
        evaluate(linear(), iter([]), CROSS_ENTROPY)
    with refused(ValueError, "torch.int8"):
        predict(linear(), as_list(), autocast=torch.int8)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, **wrong: train(model, **wrong),
        lambda model, **wrong: predict(model, as_list(), **wrong),
    ],
)
def test_a_refused_call_does_not_move_the_model(call):
    """A wrong dtype is found before the model goes to the device."""
    model = linear()
    with refused(ValueError, "autocast is torch.float64"):
        call(model, device="meta", autocast=torch.float64)
    assert model.weight.device.type == "cpu"


# An optimizer that does not belong to the model.


def emptied(model):
    optimizer = sgd(model)
    optimizer.param_groups[0]["params"] = []
    return optimizer


@pytest.mark.parametrize(
    ("make_optimizer", "words"),
    [
        (emptied, ["lacks 6 parameters", "0.weight, 0.bias, 1.weight)", "freeze"]),
        (emptied, ["or freeze them with requires_grad_(False)"]),
        (lambda m: SGD(m[4].parameters()), ["lacks 4 parameters", "SGD(model"]),
        (
            lambda m: Adam(network().parameters()),
            ["6 of the 6", "Adam(model", "(shapes [(8, 3), (8,), (8,)])"],
        ),
        (
            lambda m: SGD([*m.parameters(), nn.Parameter(torch.ones(7))]),
            ["1 of the 7", "[(7,)]", "another model"],
        ),
    ],
)
def test_an_optimizer_of_other_parameters_is_refused(make_optimizer, words):
    """Whether it lacks some or holds foreign ones; the message names them."""
    model = network()
    optimizer = make_optimizer(model)
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, optimizer=optimizer)


def test_large_weights_are_finite():
    """Their sum may overflow; what is refused is a weight that has."""
    model = linear()
    model.far = nn.Parameter(torch.full((4,), 3e38), requires_grad=False)
    assert len(train(model)) == 1
    model.far[0] = INF
    with refused(TrainingError, "parameter 'far' is not finite"):
        train(model)


def test_predict_leaves_what_is_no_tensor_to_the_error():
    """It says what the model returned."""

    class Named(nn.Module):
        def forward(self, x):
            return {"outputs": x, "name": "first"}

    with refused(TrainingError, "the model returned 'first' for a batch"):
        predict(Named(), [X])


def test_a_model_with_nothing_to_train_is_refused():
    """All parameters frozen, or none at all."""
    model = linear().requires_grad_(False)
    optimizer = sgd(model)
    said = "the model has 2 parameters, and none has requires_grad=True"
    with unchanged(model, optimizer), refused(TrainingError, "nothing to train", said):
        train(model, optimizer=optimizer)
    with refused(TrainingError, "nothing to train", "has 0 parameters"):
        train(nn.ReLU(), optimizer=optimizer)


def test_parameters_left_out_because_they_are_frozen_are_no_reason_to_refuse():
    """An optimizer of the head alone is right when the rest is frozen."""
    model = network()
    model[:4].requires_grad_(False)
    train(model, optimizer=sgd(model[4]))


# A loss that is no finite scalar.


def loss_detached(outputs, targets):
    return F.cross_entropy(outputs.detach(), targets)


@pytest.mark.parametrize(
    ("loss_fn", "words"),
    [
        (nn.CrossEntropyLoss(reduction="none"), ["shape (4,)", "reduction='mean'"]),
        (lambda o, t: F.cross_entropy(o, t)[None], ["shape (1,)", ".mean()"]),
        (lambda o, t: F.cross_entropy(o, t).item(), ["the loss is 1", "shape ()"]),
        (lambda o, t: None, ["the loss is None"]),
        (loss_detached, ["does not depend on any parameter", ".detach()"]),
        (lambda o, t: (o.argmax(1) - t).double().mean(), ["argmax"]),
    ],
)
def test_a_loss_that_is_no_scalar_to_learn_from_is_refused(loss_fn, words):
    """Before the step; statistics of BatchNorm go back too."""
    model = network()
    optimizer = sgd(model)
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, loss_fn=loss_fn, optimizer=optimizer)


def with_value(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


class Logarithm(nn.Module):
    def forward(self, inputs):
        return inputs.log()


def logarithmic():
    """The first output that is not finite is that of the second layer."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), Logarithm(), nn.BatchNorm1d(3))


def broken_weight():
    model = network()
    with torch.no_grad():
        model[4].bias[1] = NAN
    return model


def bare_output():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, inputs):
            return (inputs.abs() * self.weight).sum(0) / 0 * torch.ones(len(inputs), 3)

    return Bare()


SQUARE_TARGETS = numbers(22, 3, seed=5)


@pytest.mark.parametrize(
    ("make_model", "inputs", "targets", "loss_fn", "words"),
    [
        (
            network,
            with_value(X, (2, 1), NAN),
            Y,
            CROSS_ENTROPY,
            ["nan", "inputs", "row 2"],
        ),
        (network, with_value(X, (3, 0), INF), Y, CROSS_ENTROPY, ["inputs", "row 3"]),
        (
            network,
            X,
            with_value(SQUARE_TARGETS, (1, 2), INF),
            SQUARED,
            [
                "the loss is inf",
                "in the targets of the batch, row 1: look for others in all your data "
                "with torch.isfinite",
            ],
        ),
        (
            lambda: nn.Sequential(linear(3, 1), nn.Flatten(0)),
            X,
            with_value(X[:, 0], 3, NAN),
            SQUARED,
            ["in the targets of the batch, row 3"],
        ),
        (logarithmic, X, SQUARE_TARGETS, SQUARED, ["the output of 1 (Logarithm)"]),
        (broken_weight, X, Y, CROSS_ENTROPY, ["parameter '4.bias'", "an earlier step"]),
        (bare_output, X, SQUARE_TARGETS, SQUARED, ["the output of the model (Bare)"]),
        (
            network,
            X,
            Y,
            lambda o, t: F.cross_entropy(o, t) * INF,
            ["the loss is inf", "the loss itself", "logarithm"],
        ),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_not_finite_is_refused_with_its_first_cause(
    make_model, inputs, targets, loss_fn, words, accumulate
):
    """The message says where training was; model and optimizer are as before."""
    model = make_model()
    optimizer = sgd(model, 0.25)
    words = [*words, "epoch 1, step 1 (learning rate 0.25)", "as before this step"]
    rng = torch.get_rng_state()
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(
            model,
            found=batches(inputs, targets),
            loss_fn=loss_fn,
            optimizer=optimizer,
            accumulate=accumulate,
        )
    assert not any(module._forward_hooks for module in model.modules())
    torch.set_rng_state(rng)


@pytest.mark.parametrize("reason", ["scalar", "pair"])
def test_the_cause_is_found_in_inputs_of_any_shape(reason):
    """Also in a tensor without dimensions, or in one of two inputs."""
    model = Adds()
    bad = {"scalar": torch.tensor(NAN), "pair": with_value(B, (5, 0), NAN)}[reason]
    word = {"scalar": "row 0", "pair": "row 5"}[reason]
    with refused(TrainingError, "in the inputs of the batch", word):
        train(model, found=[(A, bad, ANSWERS)])


def test_looking_for_the_cause_draws_no_random_numbers():
    """The second forward pass leaves the generator where the first one left it."""
    states = []
    for loss_fn in (lambda o, t: o.sum() * NAN, lambda o, t: o.sum()):
        model = network()
        torch.manual_seed(3)
        try:
            train(model, found=[(X, Y)], loss_fn=loss_fn)
        except TrainingError:
            states.append("refused")
        states.append(torch.get_rng_state().tolist())
    assert states[0] == "refused"
    assert states[1] == states[2]


def test_a_bad_loss_in_mid_training_leaves_the_steps_before_it():
    """Weights, statistics and momentum are those of the plain loop up to there."""
    found = as_list()
    found[3] = (with_value(found[3][0], (1, 1), NAN), found[3][1])
    model, plain = network(), network()
    ours, theirs = sgd(model), sgd(plain)
    with refused(TrainingError, "epoch 1, step 4", "inputs of the batch, row 1"):
        torch.manual_seed(7)
        train(model, found=found, optimizer=ours)
    torch.manual_seed(7)
    plain_loop(plain, found[:3], CROSS_ENTROPY, theirs)
    plain.train()
    assert state(model, ours) == state(plain, theirs)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_place_counts_epochs_and_steps_from_one():
    """Steps are counted over all epochs, and the rate is the one of now."""
    model, optimizer = counter()
    scheduler = schedulers.ExponentialLR(optimizer, 0.5)

    def loss_fn(outputs, targets):
        return -outputs.mean() * (INF if optimizer.param_groups[0]["lr"] < 0.1 else 1)

    with refused(TrainingError, "epoch 2, step 5 (learning rate 0.0625)"):
        train(
            model,
            found=ONES * 3,
            loss_fn=loss_fn,
            optimizer=optimizer,
            epochs=3,
            scheduler={"step": scheduler},
        )


def test_evaluation_refuses_a_loss_that_is_not_finite():
    """With the same search for the cause, and without a change."""
    model = network()
    found = [(X, Y), (with_value(VAL_X, (7, 0), NAN), VAL_Y)]
    words = ["nan in evaluation", "in the inputs of the batch, row 7"]
    with unchanged(model), refused(TrainingError, *words):
        evaluate(model, found, CROSS_ENTROPY)


def test_evaluation_looks_for_the_cause_in_targets_and_outputs_too():
    """Targets that are not finite, and outputs too large for the loss."""
    model = linear(3, 1)
    bad = with_value(VAL_X[:, :1], (4, 0), INF)
    with refused(TrainingError, "inf in evaluation", "in the targets of the batch"):
        evaluate(model, [(VAL_X, bad)], SQUARED)
    with refused(TrainingError, "the loss itself, of outputs as large as 1e+25"):
        evaluate(nn.Identity(), [(torch.full((2, 1), 1e25), VAL_X[:2, :1])], SQUARED)


class BadGradient(torch.autograd.Function):
    """Gives its input, and a gradient that is not a number."""

    @staticmethod
    def forward(context, value):
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * NAN


def bad_gradient_loss(outputs, targets):
    return F.cross_entropy(BadGradient.apply(outputs), targets)


def test_a_gradient_that_is_not_finite_is_caught_by_the_next_loss():
    """The loss was finite, so the step broke the weights; the next step does not."""
    model = linear()
    with refused(TrainingError, "step 2", "parameter 'weight'", "an earlier step"):
        train(model, loss_fn=bad_gradient_loss)


def test_a_gradient_that_is_not_finite_is_caught_at_the_end_of_an_epoch():
    """So a broken model is never the result of a training that seemed to go well."""
    words = ["parameter 'weight' is not finite", "epoch 1, step 2", "clip_grad_norm"]
    words += ["last step was not, though its loss was. Lower the learning rate, or"]
    for call in (
        lambda m: train(m, found=[(X, Y)], loss_fn=bad_gradient_loss),
        lambda m: train_epoch(m, [(X, Y)], bad_gradient_loss, sgd(m)),
    ):
        with refused(TrainingError, *words):
            call(linear())


def test_clipping_catches_a_gradient_that_is_not_finite_before_the_step():
    """It looks at the gradients anyway."""
    model = network()
    optimizer = sgd(model)
    words = ["norm of the gradients is nan", "epoch 1, step 1", "the loss is finite"]
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, loss_fn=bad_gradient_loss, optimizer=optimizer, clip_grad_norm=1.0)


def test_an_error_of_the_model_comes_through_as_it_is():
    """And leaves model and optimizer as they were."""
    model = network()
    optimizer = sgd(model)
    with (
        unchanged(model, optimizer),
        pytest.raises(RuntimeError, match="mat1 and mat2"),
    ):
        train(model, found=[(X[:, :2], Y)], optimizer=optimizer)


# Outputs and targets that do not fit.


def through_function(outputs, targets):
    return F.mse_loss(outputs, targets)


@pytest.mark.parametrize(
    "loss_fn",
    [
        nn.MSELoss(),
        nn.L1Loss(),
        nn.SmoothL1Loss(),
        nn.HuberLoss(),
        nn.BCEWithLogitsLoss(),
        F.mse_loss,
        F.l1_loss,
        F.smooth_l1_loss,
        F.huber_loss,
        F.binary_cross_entropy_with_logits,
        mean_square,
        through_function,
        lambda outputs, targets: nn.L1Loss()(outputs, targets),
        lambda outputs, targets: torch.sub(targets, outputs).abs().mean(),
        lambda outputs, targets: (targets * outputs.exp() - outputs).mean(),
    ],
)
@pytest.mark.parametrize("shape", [(22, 1), (22,)])
def test_outputs_and_targets_that_would_broadcast_are_refused(loss_fn, shape):
    """(N, 1) against (N), either way; a loss of one's own included."""
    torch.manual_seed(0)
    flatten = nn.Identity() if len(shape) == 2 else nn.Flatten(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1), flatten)
    optimizer = sgd(model)
    targets = (X[:, 0] > 0).float().reshape(22 if len(shape) == 2 else (22, 1))
    words = [
        f"outputs have shape {shape}",
        f"targets {tuple(targets.shape)}",
        "which the loss would compare crosswise; give both the same shape: "
        "targets.reshape(-1, 1) in the dataset, or nn.Flatten(0) at the end of the "
        "model",
    ]
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, found=[(X, targets)], loss_fn=loss_fn, optimizer=optimizer)
    train(
        model, found=[(X, targets.reshape(shape))], loss_fn=loss_fn, optimizer=optimizer
    )


def test_probabilities_of_another_shape_than_their_targets_are_refused():
    """`nn.BCELoss` is one of the losses that compare element by element."""
    model = nn.Sequential(linear(3, 1), nn.Sigmoid())
    for loss_fn in (nn.BCELoss(), F.binary_cross_entropy):
        with refused(TrainingError, "(22, 1)", "(22,)"):
            train(model, found=[(X, torch.ones(22))], loss_fn=loss_fn)
        train(model, found=[(X, torch.ones(22, 1))], loss_fn=loss_fn)


def test_shapes_that_no_reshape_makes_alike_get_shorter_advice():
    """Which of them is meant, nobody can tell from here."""
    with pytest.raises(TrainingError, match=r"crosswise; give both the same shape$"):
        train(linear(3, 1), found=[(X, X[:, :2])], loss_fn=SQUARED)


def test_a_loss_of_ones_own_may_pass_options_on():
    """The first step, which is watched, calls with the same keywords."""

    def doubled(outputs, targets):
        return torch.sub(outputs, targets, alpha=2).square().mean()

    def of_column(outputs, targets):
        return torch.sub(outputs, targets.mean(), alpha=2).square().mean()

    for loss_fn in (doubled, of_column):
        model, other = linear(3, 1), linear(3, 1)
        train(model, found=[(X, X[:, :1])], loss_fn=loss_fn)
        plain_loop(other, [(X, X[:, :1])], loss_fn, sgd(other), epochs=1)
        assert frozen_copy(model.state_dict()) == frozen_copy(other.state_dict())


def test_a_product_as_large_as_the_outputs_is_no_accident():
    """(N, 1) times (1, 1), with the shapes of a single row, grows nothing."""

    def scaled(outputs, targets):
        return (outputs * targets[:1, 0]).square().mean() + targets.mean()

    train(linear(3, 1), found=[(X[:1], X[:1, :1])], loss_fn=scaled)


def test_shapes_are_compared_in_every_batch_and_in_evaluation():
    """A known loss is looked at each time, not only in the first step."""
    model = linear(3, 1)
    found = [(X, X[:, :1]), (X, X[:, 0])]
    with refused(TrainingError, "(22, 1)", "(22,)"):
        train(model, found=found, loss_fn=SQUARED)
    with refused(TrainingError, "(22, 1)", "(22,)"):
        evaluate(model, found, SQUARED)


def test_a_loss_of_ones_own_is_watched_in_the_first_step_alone():
    """Watching costs time; shapes that fit in one batch fit in the others."""
    model = linear(3, 1)
    fits, broadcasts = (X, X[:, :1]), (X, X[:, 0])
    train(model, [fits, broadcasts], mean_square)
    with refused(TrainingError, "(22, 1)", "(22,)"):
        train(model, [fits, broadcasts], mean_square, accumulate=2)


def squeezed(outputs, targets):
    return F.mse_loss(outputs.squeeze(1), targets)


def weighted_by_column(outputs, targets):
    errors = (outputs - targets.unsqueeze(1).expand_as(outputs)) ** 2
    return (errors * torch.ones(outputs.shape[1])).mean()


def of_pairs(outputs, targets):
    """Compares every pair of samples, within outputs and within targets."""
    apart = outputs - outputs.T
    return F.softplus(-apart * (targets[:, None] - targets).sign()).mean()


def against_the_mean(outputs, targets):
    return ((outputs - targets.mean()) ** 2).mean() + outputs.mean() * targets.sum()


def to_the_nearest_of_five(outputs, targets):
    apart = (outputs - torch.linspace(-1, 1, 5)).abs()
    return apart.amin(1).mean() + apart.mean() * targets.mean()


@pytest.mark.parametrize(
    "loss_fn",
    [squeezed, weighted_by_column, of_pairs, against_the_mean, to_the_nearest_of_five],
)
def test_a_loss_may_squeeze_weight_and_compare_pairs(loss_fn):
    """What broadcasts on purpose is not taken for a mistake."""
    model, other = linear(3, 1), linear(3, 1)
    train(model, found=[(X, X[:, 0])], loss_fn=loss_fn, epochs=2)
    plain_loop(other, [(X, X[:, 0])], loss_fn, sgd(other), epochs=2)
    assert frozen_copy(model.state_dict()) == frozen_copy(other.state_dict())


def test_weights_of_classes_may_broadcast():
    """Weights (C) times logarithms (N, C) in a loss of one's own."""

    def loss_fn(outputs, targets):
        weights = torch.tensor([1.0, 2.0, 3.0])
        return -(weights * outputs.log_softmax(1) * F.one_hot(targets, 3)).mean()

    model = linear()
    assert len(train(model, loss_fn=loss_fn)) == 1


CLASS_LOSSES = [nn.CrossEntropyLoss(), F.cross_entropy, nn.NLLLoss(), F.nll_loss]


@pytest.mark.parametrize("loss_fn", CLASS_LOSSES)
@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (Y.int(), ["torch.int32", "expected torch.int64", "targets.long()"]),
        (Y.float(), ["torch.float32", "targets.long()"]),
        (Y[:, None], ["outputs have shape (22, 3)", "targets (22, 1)", "shape (22,)"]),
        (Y[:20], ["targets (20,)", "expected a class for each sample"]),
        (with_value(Y, 5, 3), ["from 0 to 3", "3 outputs", "expected 0 to 2"]),
        (with_value(Y, 5, -1), ["from -1 to 2", "expected 0 to 2"]),
    ],
)
def test_classes_that_do_not_fit_are_refused(loss_fn, targets, words):
    """The message says what they are and what they should be."""
    model = nn.Sequential(nn.BatchNorm1d(3), linear(), nn.LogSoftmax(1))
    optimizer = sgd(model)
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, found=[(X, targets)], loss_fn=loss_fn, optimizer=optimizer)
    with refused(TrainingError, *words):
        evaluate(model, [(X, targets)], loss_fn)


def test_ignored_classes_are_not_among_those_that_do_not_fit():
    """The range that the message tells is that of the others."""
    targets = with_value(with_value(Y, 5, 7), 6, 255)
    with refused(TrainingError, "from 0 to 7"):
        train(
            linear(),
            found=[(X, targets)],
            loss_fn=nn.CrossEntropyLoss(ignore_index=255),
        )


@pytest.mark.parametrize(
    ("targets", "loss_fn"),
    [
        (with_value(Y, 5, -100), CROSS_ENTROPY),
        (with_value(Y, 5, 7), nn.CrossEntropyLoss(ignore_index=7)),
        (F.one_hot(Y, 3).float(), CROSS_ENTROPY),
        (Y.byte(), CROSS_ENTROPY),
    ],
)
def test_ignored_classes_and_probabilities_are_targets_too(targets, loss_fn):
    """As for PyTorch itself."""
    model, other = linear(), linear()
    train(model, found=[(X, targets)], loss_fn=loss_fn)
    plain_loop(other, [(X, targets)], loss_fn, sgd(other))
    assert frozen_copy(model.state_dict()) == frozen_copy(other.state_dict())


@pytest.mark.parametrize("targets", [Y * 0, Y, Y.float()])
@pytest.mark.parametrize("last", [nn.Identity(), nn.Flatten(0)])
def test_one_output_is_no_choice_between_classes(last, targets):
    """PyTorch takes some of these in silence, and nothing is learned."""
    model = nn.Sequential(linear(3, 1), last)
    optimizer = sgd(model)
    words = [
        "outputs have shape (22,",
        "expected (N, C), with an output for "
        "each of two classes or more. For one output and targets of 0 and 1 take "
        "nn.BCEWithLogitsLoss()",
    ]
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, [(X, targets)], optimizer=optimizer)


def test_an_error_of_another_loss_gets_a_note_of_the_shapes():
    """The error itself is PyTorch's; the note tells what the loss was given."""

    def loss_fn(outputs, targets):
        return (outputs - targets).mean()

    model = linear()
    with pytest.raises(RuntimeError, match="must match the size") as caught:
        train(model, found=[(X, torch.ones(22, 2))], loss_fn=loss_fn)
    note = "outputs: (22, 3), torch.float32, cpu; targets: (22, 2), torch.float32, cpu"
    assert caught.value.__notes__ == [note]


@pytest.mark.parametrize(
    "loss_fn", [nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits]
)
@pytest.mark.parametrize(("value", "word"), [(2.0, "0 to 2"), (-1.0, "-1 to 1")])
def test_binary_targets_outside_of_zero_to_one_are_refused(loss_fn, value, word):
    """Such a loss has no minimum; probabilities between are accepted."""
    model = linear(3, 1)
    optimizer = sgd(model)
    targets = (X[:, :1] > 0).float()
    with (
        unchanged(model, optimizer),
        refused(
            TrainingError, word, "binary targets are 0 and 1, or a probability between"
        ),
    ):
        train(
            model,
            found=[(X, with_value(targets, 4, value))],
            loss_fn=loss_fn,
            optimizer=optimizer,
        )
    train(model, found=[(X, targets * 0.9)], loss_fn=loss_fn, optimizer=optimizer)


# Devices. The device `meta` stands for another one.


@pytest.mark.parametrize(
    ("inputs", "targets", "loss_fn"),
    [
        (X.to("meta"), Y, CROSS_ENTROPY),
        (X, Y.to("meta"), lambda outputs, targets: F.cross_entropy(outputs, targets)),
        (X, SQUARE_TARGETS.to("meta"), SQUARED),
        (X.to("meta"), Y.to("meta"), CROSS_ENTROPY),
    ],
)
def test_data_on_another_device_than_the_model_are_refused(inputs, targets, loss_fn):
    """The message names both devices, and says what to do."""
    model = network()
    optimizer = sgd(model)
    words = ["a batch is on meta, the model on cpu", "model.to('meta')"]
    words += ["before the optimizer is made, or leave the data on the CPU"]
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, found=[(inputs, targets)], loss_fn=loss_fn, optimizer=optimizer)
    with unchanged(model), refused(TrainingError, *words):
        evaluate(model, [(inputs, targets)], loss_fn)


def test_predict_refuses_data_on_another_device():
    """In whatever they are nested."""
    words = ["a batch is on meta, the model on cpu"]
    for batch in (X.to("meta"), {"input": X.to("meta")}, [[X.to("meta")], Y]):
        with refused(TrainingError, *words):
            predict(linear(), [batch])


class OnMeta(nn.Module):
    """Takes data on `meta`, and gives some on the CPU, where they have values."""

    def __init__(self):
        super().__init__()
        self.register_buffer("place", torch.zeros(1))
        self.layer = linear()

    def forward(self, inputs, more):
        assert inputs.device == more[0]["deep"].device == self.place.device
        return torch.ones(len(inputs), 3)


def test_the_device_moves_the_model_the_loss_and_the_data():
    """All parts of a batch go to where the model is told to go."""
    loss_fn = nn.CrossEntropyLoss(weight=torch.ones(3))
    seen = []

    def watched(outputs, targets):
        seen.append(targets.device.type)
        return outputs.mean()

    batch = ((A, [{"deep": B}]), ANSWERS)
    for call in (
        lambda model: evaluate(model, [batch], watched, device="meta"),
        lambda model: predict(model, [batch], device=torch.device("meta")),
        lambda model: train(model, found=[batch], loss_fn=loss_fn, device="meta"),
    ):
        model = OnMeta()
        try:
            call(model)
        except (RuntimeError, NotImplementedError):
            assert loss_fn.weight.device.type == "meta"  # a loss on `meta` has no value
        assert {tensor.device.type for tensor in model.state_dict().values()} == {
            "meta"
        }
    assert seen == ["meta"]
    assert loss_fn.weight.device.type == "meta"


def test_an_optimizer_with_state_keeps_the_model_where_it_is():
    """Momentum would stay behind; to where the model is it may be told to go."""
    model = linear()
    optimizer = adam(model)
    options = {"epochs": 1, "device": "cpu"}
    train(model, optimizer=optimizer, **options)
    model.zero_grad()
    words = ["state already", "cannot move to meta", "before the optimizer is made"]
    with unchanged(model, optimizer), refused(TrainingError, *words):
        train(model, optimizer=optimizer, device="meta")
    train(model, optimizer=optimizer, **options)


# Mixed precision.


def test_bfloat16_gives_the_weights_of_the_plain_loop_with_autocast():
    """The model computes in bfloat16, and its weights stay float32."""
    seen = []

    class Seen(nn.Linear):
        def forward(self, inputs):
            outputs = super().forward(inputs)
            seen.append(outputs.dtype)
            return outputs

    torch.manual_seed(0)
    model = Seen(3, 3)
    plain = copy.deepcopy(model)

    history = train(model, epochs=2, autocast=torch.bfloat16, val_loader=as_list())
    assert set(seen) == {torch.bfloat16}
    plain_loop(
        plain,
        as_list(),
        CROSS_ENTROPY,
        sgd(plain),
        epochs=2,
        precision=lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    )
    assert model.weight.dtype == torch.float32
    assert torch.equal(model.weight, plain.weight)
    assert all(map(math.isfinite, history["train_loss"]))
    seen.clear()
    predicted = predict(model, as_list(), autocast=torch.bfloat16)
    evaluate(model, as_list(), CROSS_ENTROPY, autocast=torch.bfloat16)
    train_epoch(model, as_list(), CROSS_ENTROPY, sgd(model), autocast=torch.bfloat16)
    assert predicted.dtype == torch.bfloat16
    assert seen == [torch.bfloat16] * 18
    predict(model, as_list())
    assert seen[-1] == torch.float32
    assert predict(model, as_list(), autocast=torch.float16).dtype == torch.float16


def test_an_accidental_broadcast_is_refused_under_autocast_too():
    """The first step is watched whatever it computes in."""
    with refused(TrainingError, "(4, 1)", "(4,)"):
        train(
            linear(3, 1),
            found=batches(X, X[:, 0]),
            loss_fn=mean_square,
            autocast=torch.bfloat16,
        )


def half_precision_loop(model, loader, optimizer, scheduler):
    """As in PyTorch's examples of automatic mixed precision."""
    scaler = torch.amp.GradScaler("cpu")
    for inputs, targets in loader:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = SQUARED(model(inputs), targets)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if scaler.get_scale() >= before:
            scheduler.step()
    return scaler


def counted(model):
    """An optimizer and its scheduler, and a list that grows with every step."""
    optimizer, steps = sgd(model, 0.01), []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    return optimizer, schedulers.ExponentialLR(optimizer, 0.9), steps


# With targets of 2 and one row, the first gradients overflow at the initial scale.
FAR = [(numbers(1, 3, seed=i) / 10, torch.full((1, 1), 2.0)) for i in range(6)]


def test_float16_scales_and_a_step_that_overflows_is_skipped():
    """The scheduler of steps does not step then either; all is as in PyTorch's loop."""
    model, plain = linear(3, 1), linear(3, 1)
    ours, theirs = counted(model), counted(plain)
    train(
        model,
        found=FAR,
        loss_fn=SQUARED,
        optimizer=ours[0],
        autocast=torch.float16,
        clip_grad_norm=1.0,
        scheduler={"step": ours[1]},
    )
    half_precision_loop(plain, FAR, *theirs[:2])
    assert 0 < len(ours[2]) < len(FAR)
    assert ours[1].last_epoch == len(ours[2]) == len(theirs[2])
    assert frozen_copy(model.state_dict()) == frozen_copy(plain.state_dict())


def test_float16_scales_on_the_device_of_the_model(monkeypatch):
    """A scaler for another device would do nothing."""
    places = []
    scaler = torch.amp.GradScaler

    def noted(place):
        places.append(place)
        return scaler(place)

    monkeypatch.setattr(torch.amp, "GradScaler", noted)
    train(linear(3, 1), found=FAR, loss_fn=SQUARED, autocast=torch.float16)
    assert places == ["cpu"]


def test_train_epoch_goes_on_with_the_scale_of_its_scaler():
    """A scaler that is handed over remembers what it has found."""
    model, scaler = linear(3, 1), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer, _, steps = counted(model)
    options = {"autocast": torch.float16, "scaler": scaler}
    train_epoch(model, FAR, SQUARED, optimizer, **options)
    assert len(steps) == len(FAR)
    assert scaler.get_scale() == 2.0**10
    train_epoch(model, FAR[:1], SQUARED, optimizer, autocast=torch.float16)
    assert len(steps) == len(FAR), "a scaler of its own begins too high"


# On an accelerator.


@pytest.mark.gpu
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
def test_training_on_an_accelerator_moves_the_data(accelerator, autocast):
    """From the CPU, in whatever they are nested; measures come out as on the CPU."""
    loss_fn = nn.CrossEntropyLoss(weight=torch.ones(3))
    model, other = Adds(), Adds()
    found = [{"second": b, "first": a, "y": y} for a, b, y in batches(A, B, ANSWERS)]
    options = {"epochs": 3, "metrics": {"accuracy": accuracy}, "val_loader": found}
    expected = train(other, found=found, **options)
    history = train(
        model,
        found=found,
        loss_fn=loss_fn,
        device=accelerator,
        autocast=autocast,
        **options,
    )
    assert model.layer.weight.device.type == accelerator.type
    tolerance = 1e-4 if autocast is None else 0.1
    assert history["val_loss"] == pytest.approx(expected["val_loss"], rel=tolerance)
    assert predict(model, found).device.type == "cpu"
    train(model, found=found, loss_fn=loss_fn, device=accelerator)


@pytest.mark.gpu
def test_classes_out_of_range_leave_the_accelerator_usable(accelerator):
    """They are refused before the loss would fail on the device."""
    model = linear().to(accelerator)
    optimizer = sgd(model)
    with refused(TrainingError, "from 0 to 3", "expected 0 to 2"):
        train(model, found=[(X, with_value(Y, 5, 3))], optimizer=optimizer)
    assert model.weight.sum().isfinite()
    train(model, optimizer=optimizer)


@pytest.mark.gpu
def test_data_on_the_accelerator_and_a_model_on_the_cpu_are_refused(accelerator):
    """The message says how to move the model."""
    model = linear()
    with refused(TrainingError, "the model on cpu", "model.to("):
        train(model, found=[(X.to(accelerator), Y)])
    with refused(TrainingError, "the model on cpu", "model.to("):
        train(model, found=[(X, Y.to(accelerator))])


@pytest.mark.parametrize("given", [X, TensorDataset(X, Y), 3])
def test_rows_are_no_batches(given):
    """A tensor or a dataset gives samples, which would be taken for batches."""
    model = linear()
    calls = [
        lambda: predict(model, given),
        lambda: evaluate(model, given, CROSS_ENTROPY),
        lambda: train_epoch(model, given, CROSS_ENTROPY, sgd(model)),
        lambda: train(model, found=given),
    ]
    for call in calls:
        with refused(TypeError, type(given).__name__, "make_loader(dataset, ...)"):
            call()


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_inputs_of_another_dtype_are_explained(dtype):
    """NumPy's floats are float64; the message says how to convert them."""
    model = linear()
    batches = [(X.to(dtype), Y)]
    words = [
        f"inputs are {dtype}, the weights of the model torch.float32: give the dataset "
        "inputs.to(torch.float32); in NumPy, array.astype('float32')"
    ]
    for call in (lambda: train(model, found=batches), lambda: predict(model, batches)):
        with refused(TrainingError, *words):
            call()


def test_inputs_of_another_size_get_a_note():
    """The message of torch stays; the note says which tool names the layer."""
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        train(linear(), found=[(X[:, :2], Y)])
    assert caught.value.__notes__ == [
        f"inputs of shape {(len(X), 2)}: trace_shapes(model, ...) of snippets.shapes "
        "names the layer that they do not fit"
    ]


class Refuses(nn.Module):
    """A model that takes no batch, and says so in words of its own."""

    def __init__(self, words, *layers):
        super().__init__()
        self.words, self.layers = words, nn.ModuleList(layers)

    def forward(self, *inputs):
        raise RuntimeError(self.words)


@pytest.mark.parametrize("layers", [[], [linear()]])
@pytest.mark.parametrize("words", ["no dtype of mine", "no size of mine"])
def test_an_error_that_is_not_about_other_dtypes_gets_a_note(layers, words):
    """Integers may be what a model wants, and it may have no weights at all."""
    other = X[:, :2] if "dtype" in words else Y
    with pytest.raises(RuntimeError, match=words) as caught:
        evaluate(Refuses(words, *layers), [((X, other), Y)], CROSS_ENTROPY)
    note = f"inputs of shape (22, 3), {tuple(other.shape)}: trace_shapes"
    assert caught.value.__notes__[0].startswith(note)


def test_classes_out_of_range_leave_out_those_that_are_ignored():
    """The loss's own ignore_index, or that of the function, is no class."""
    for loss_fn, ignored in (
        (nn.CrossEntropyLoss(ignore_index=-1), -1),
        (F.cross_entropy, -100),
    ):
        targets = with_value(with_value(Y, 0, ignored), 1, 7)
        with refused(TrainingError, "classes go from 0 to 7"):
            train(linear(), found=[(X, targets)], loss_fn=loss_fn)
        with refused(TrainingError, "classes go from 0 to 7"):
            evaluate(linear(), [(X, targets)], loss_fn)


def test_classes_of_every_place_are_looked_at():
    """Outputs (N, C, L) have targets (N, L)."""
    model = nn.Sequential(linear(), nn.Unflatten(1, (3, 1)))
    targets = with_value(Y, 1, 7)[:, None]
    with refused(TrainingError, "classes go from 0 to 7"):
        train(model, found=[(X, targets)], loss_fn=CROSS_ENTROPY)


def test_outputs_may_hold_more_than_tensors():
    """A metric gets them as they are, without their graph."""

    class Tells(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = linear()

        def forward(self, inputs):
            return {"logits": self.layer(inputs), "name": "linear"}

    def loss_fn(outputs, targets):
        return CROSS_ENTROPY(outputs["logits"], targets)

    def named(outputs, targets):
        assert not outputs["logits"].requires_grad
        return float(outputs["name"] == "linear")

    history = train(Tells(), loss_fn=loss_fn, metrics={"named": named})
    assert history[0]["train_named"] == 1


@pytest.mark.parametrize("loss_fn", [nn.MSELoss(), nn.BCEWithLogitsLoss()])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_targets_that_are_no_floats_are_explained(loss_fn, dtype):
    """They would fail in the loss, or in the backward pass."""
    model = nn.Linear(3, 1)
    targets = (X[:, :1] > 0).to(dtype)
    with refused(TrainingError, f"targets are {dtype}", "targets.float()"):
        train(model, found=[(X, targets)], loss_fn=loss_fn)


def test_arrays_in_a_batch_are_explained():
    """What is no tensor cannot be counted."""
    with refused(TrainingError, "made of ndarray and ndarray", "torch.as_tensor"):
        train(linear(), found=[(X.numpy(), Y.numpy())])


@pytest.mark.parametrize(
    ("end", "loss_fn", "targets"),
    [
        (nn.Softmax(dim=1), CROSS_ENTROPY, Y),
        (nn.Softmax(dim=1), nn.functional.cross_entropy, Y),
        (nn.Sigmoid(), nn.BCEWithLogitsLoss(), nn.functional.one_hot(Y, 3).float()),
    ],
)
def test_probabilities_instead_of_logits_are_warned_of(end, loss_fn, targets):
    """Once: the loss makes probabilities of what it is given."""
    model = nn.Sequential(linear(), end)
    assert warnings_of(model, [(X, targets)] * 2, loss_fn) == [LOOKS_LIKE_PROBABILITIES]


LOOKS_LIKE_PROBABILITIES = (
    "the outputs look like probabilities, but this loss expects logits and makes "
    "probabilities of them itself: leave out the softmax or sigmoid at the end of the "
    "model"
)


def warnings_of(model, found, loss_fn):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, found=found, loss_fn=loss_fn, epochs=2)
    return [str(warning.message) for warning in caught]


class Makes(nn.Module):
    """Probabilities of a kind, whatever the inputs."""

    def __init__(self, make):
        super().__init__()
        self.layer, self.make = linear(), make

    def forward(self, inputs):
        return self.make(self.layer(inputs))


@pytest.mark.parametrize(
    ("make", "rows", "said"),
    [
        (lambda x: (x * 1e4).softmax(1), 22, True),  # exactly 0 and 1
        (lambda x: x.softmax(1) * 0.9995, 22, True),  # of half precision
        (lambda x: (x * 0).softmax(1), 22, True),  # all alike
        (lambda x: x.softmax(1) * 0.99, 22, False),
        (lambda x: x.softmax(1).repeat(1, 2)[:, :4], 4, False),  # 16, of another sum
        (lambda x: x.sigmoid() + 0.5, 22, False),
    ],
)
def test_what_counts_as_probabilities_for_classes(make, rows, said):
    """Numbers from 0 to 1, with a sum of 1 up to the precision of half floats."""
    found = [(X[:rows], Y[:rows])]
    expected = [LOOKS_LIKE_PROBABILITIES] * said
    assert warnings_of(Makes(make), found, CROSS_ENTROPY) == expected


def test_outputs_beyond_1_are_no_probabilities():
    """A score of 1.5 is one of logits, even if none is below 0."""
    model = Makes(lambda outputs: outputs.sigmoid() * 1.5)
    found = [(X, F.one_hot(Y, 3).float())]
    assert warnings_of(model, found, nn.BCEWithLogitsLoss()) == []


@pytest.mark.parametrize(("rows", "said"), [(15, False), (16, True)])
def test_sixteen_outputs_between_0_and_1_are_no_chance(rows, said):
    """Also where there is one output for each sample, without a dimension for it."""
    model = nn.Sequential(linear(3, 1), nn.Sigmoid(), nn.Flatten(0))
    found = [(X[:rows], (X[:rows, 0] > 0).float())]
    expected = [LOOKS_LIKE_PROBABILITIES] * said
    assert warnings_of(model, found, nn.BCEWithLogitsLoss()) == expected


@pytest.mark.parametrize(
    ("end", "loss_fn", "targets"),
    [
        (nn.LogSoftmax(dim=1), nn.NLLLoss(), Y),
        (nn.Sigmoid(), nn.BCELoss(), nn.functional.one_hot(Y, 3).float()),
        (nn.Sigmoid(), CROSS_ENTROPY, Y),  # odd, but no distribution
        (nn.Softmax(dim=1), nn.MSELoss(), nn.functional.one_hot(Y, 3).float()),
        (nn.Identity(), CROSS_ENTROPY, Y),
    ],
)
def test_other_outputs_are_not_warned_of(end, loss_fn, targets):
    """Warnings are errors here."""
    train(nn.Sequential(linear(), end), found=[(X, targets)], loss_fn=loss_fn)


def test_few_outputs_between_0_and_1_may_be_chance():
    """Below 16 numbers there is no warning."""
    train(
        nn.Sequential(linear(), nn.Softmax(dim=1)),
        found=[(X[:5], Y[:5])],
        loss_fn=CROSS_ENTROPY,
    )


@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        ("checkpoint", "run.pt", ["'run.pt'", "Checkpoint('run.pt')"]),
        ("checkpoint", "run.pt", ["of snippets.checkpointing"]),
        ("progress", True, ["True", "tqdm"]),
    ],
)
def test_options_of_another_kind_are_refused(option, given, words):
    """With what to give instead."""
    with refused(TypeError, option, *words):
        train(linear(), **{option: given})


def test_outputs_that_grew_are_blamed_on_the_rate():
    """An overflow is no fault of the loss."""
    model = nn.Linear(3, 1)
    nn.init.constant_(model.weight, 1e30)
    words = [
        "the loss itself, of outputs as large as",
        "learning rate 10 times smaller",
    ]
    with refused(TrainingError, *words):
        train(model, found=[(X, X[:, :1])], loss_fn=nn.MSELoss())


def test_history_draws_on_the_current_axes():
    """Without axes, it takes those of pyplot."""
    history = History([{"epoch": 1, "train_loss": 0.5}])
    axes = pyplot.figure().gca()
    assert history.plot() is axes
    pyplot.close("all")
