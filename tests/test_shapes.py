"""`snippets.shapes` says what torch itself would say, and changes nothing."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import itertools
import random
import re
import weakref
from collections import OrderedDict, namedtuple
from dataclasses import FrozenInstanceError
from unittest import mock

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from snippets.shapes import (
    ShapeError,
    ShapeRow,
    ShapeTable,
    check_shape,
    conv_output_size,
    trace_shapes,
)

# --------------------------------------------------------------------- conv_output_size

SIZES = range(1, 10)
WINDOWS = list(itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)))


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), WINDOWS)
def test_conv_output_size_is_that_of_the_layer(kernel, stride, padding, dilation):
    """Convolution and pooling agree with the formula, and refuse what it refuses."""
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    layers = [(nn.Conv1d(1, 1, kernel, **options), {})]
    if 2 * padding <= kernel:
        for ceil_mode in (False, True):
            pool = nn.MaxPool1d(kernel, ceil_mode=ceil_mode, **options)
            layers.append((pool, {"ceil_mode": ceil_mode}))
    for (layer, more), size in itertools.product(layers, SIZES):
        try:
            expected = layer(torch.zeros(1, 1, size)).shape[-1]
        except RuntimeError:
            with pytest.raises(ValueError, match="does not fit"):
                conv_output_size(size, kernel, **options, **more)
        else:
            assert conv_output_size(size, kernel, **options, **more) == expected


def test_conv_output_size_takes_a_number_for_each_dimension():
    """Two dimensions, each with its own options, as the layer takes them."""
    options = {"stride": (1, 2), "padding": (3, 1), "dilation": (2, 1)}
    layer = nn.Conv2d(1, 1, (4, 3), **options)
    expected = tuple(layer(torch.zeros(1, 1, 20, 31)).shape[2:])
    assert conv_output_size((20, 31), (4, 3), **options) == expected
    pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    expected = tuple(pool(torch.zeros(1, 1, 20, 31)).shape[2:])
    assert conv_output_size([20, 31], 3, stride=2, ceil_mode=True) == expected


@st.composite
def windows(draw):
    """A layer of one to three dimensions, its options and the size of its input."""
    dims = draw(st.integers(1, 3))

    def each(least, most):
        numbers = st.integers(least, most)
        return draw(numbers | st.tuples(*[numbers] * dims))

    kernel, size = each(1, 4), draw(st.tuples(*[st.integers(1, 9)] * dims))
    options = {"stride": each(1, 3), "dilation": each(1, 3)}
    if draw(st.booleans()):
        options["padding"] = each(0, 3)
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        return kind(1, 1, kernel, **options), kernel, size, options
    options["ceil_mode"] = draw(st.booleans())
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[dims - 1]
    return kind(kernel, **options), kernel, size, options


@settings(deadline=None, database=None, max_examples=150)
@given(windows())
def test_conv_output_size_agrees_with_any_layer(window):
    """Whatever the options, the layer's own output has this size, or both refuse."""
    layer, kernel, size, options = window
    try:
        expected = tuple(layer(torch.zeros(1, 1, *size)).shape[2:])
    except RuntimeError:
        with pytest.raises(ValueError, match="does not fit"):
            conv_output_size(size, kernel, **options)
    else:
        assert conv_output_size(size, kernel, **options) == expected


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv_output_size_reads_padding_in_words(padding):
    """The words mean what they mean to the layer."""
    layer = nn.Conv1d(1, 1, 4, dilation=2, padding=padding)
    expected = layer(torch.zeros(1, 1, 20)).shape[-1]
    assert conv_output_size(20, 4, dilation=2, padding=padding) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (4, 4), "kernel_size": (1, 2, 3)}, "kernel_size has 3 numbers, size"),
        ({"size": 4, "kernel_size": (1, 2)}, "kernel_size has 2 numbers, size has 1"),
        ({"kernel_size": 0}, "kernel_size is 0, but it must be at least 1"),
        ({"stride": 0}, "stride is 0, but it must be at least 1"),
        ({"size": 0, "padding": 1}, "size is 0, but it must be at least 1"),
        ({"dilation": 0}, "dilation is 0, but it must be at least 1"),
        ({"padding": -1}, "padding is -1: give a number"),
        ({"padding": "full"}, "padding is 'full': give a number"),
        ({"padding": "same", "stride": 2}, 'padding="same" needs stride=1'),
        ({"size": 2, "kernel_size": 2, "dilation": 4, "padding": 1}, "a window of 5"),
    ],
)
def test_conv_output_size_refuses_what_no_layer_takes(options, message):
    """The error says what was given and what to give."""
    with pytest.raises(ValueError, match=re.escape(message)):
        conv_output_size(**{"size": 4, "kernel_size": 2, **options})


@pytest.mark.parametrize("name", ["kernel_size", "stride", "padding", "dilation"])
def test_conv_output_size_wants_as_many_numbers_as_dimensions(name):
    """The error names the option and both counts."""
    said = f"^{name} has 3 numbers, size has 2: give one number, or one for each dim"
    with pytest.raises(ValueError, match=f"{said}ension$"):
        conv_output_size(**{"size": (9, 9), "kernel_size": 2, name: (1, 1, 1)})


def test_conv_output_size_says_how_much_room_there_is():
    """Both sides of the padding are counted."""
    with pytest.raises(ValueError, match=r"into a size of 6 \(size=2, padding=2\): "):
        conv_output_size(2, 9, padding=2)


# -------------------------------------------------------------------------- check_shape


@pytest.mark.parametrize(
    ("shape", "pattern", "expected"),
    [
        ((8, 3, 32, 32), "batch channels 32 32", {"batch": 8, "channels": 3}),
        ((5, 5), "n n", {"n": 5}),
        ((5, 6), "_ _", {}),
        ((), "", {}),
        ((), "...", {}),
        ((2, 3, 4), "... width", {"width": 4}),
        ((4,), "... width", {"width": 4}),
        ((2, 3, 4, 5), "batch ... width", {"batch": 2, "width": 5}),
        ((2, 3, 4), "batch ...", {"batch": 2}),
        ((0,), "empty", {"empty": 0}),
        ((10,), "10", {}),
    ],
)
def test_check_shape_learns_what_names_stand_for(shape, pattern, expected):
    """A name is the size in its place; numbers and the underscore bind nothing."""
    assert check_shape(torch.zeros(shape), pattern) == expected


def test_check_shape_binds_names_across_calls():
    """A later call knows the names of an earlier one, whose result stays as it was."""
    first = check_shape(torch.zeros(8, 3), "batch channels")
    second = check_shape(torch.zeros(8, 10), "batch classes", first)
    assert second == {"batch": 8, "channels": 3, "classes": 10}
    assert first == {"batch": 8, "channels": 3}
    with pytest.raises(ValueError, match="batch is 8"):
        check_shape(torch.zeros(9, 10), "batch classes", first)
    assert first == {"batch": 8, "channels": 3}


@pytest.mark.parametrize(
    ("shape", "pattern", "message"),
    [
        (
            (8, 3, 32, 31),
            "batch channels 32 32",
            'shape (8, 3, 32, 31) does not match "batch channels 32 32": dimension 3 '
            "(32) is 31, but it should be 32",
        ),
        ((5, 6), "n n", 'match "n n": dimension 1 (n) is 6, but n is 5'),
        ((7, 5, 6), "... n n", "dimension 2 (n) is 6, but n is 5"),
        ((7, 4, 5), "n ... n", "dimension 2 (n) is 5, but n is 7"),
        ((5,), "a b", 'match "a b": it has 1 dimensions, but the pattern has 2'),
        ((5, 6, 7), "a b", "it has 3 dimensions, but the pattern has 2"),
        ((5,), "a ... b", "it has 1 dimensions, but the pattern has at least 2"),
        (
            (5,),
            "a-b",
            '"a-b" in the pattern "a-b" is no number, name, "_" or "...": write the '
            "dimensions with spaces between them",
        ),
        ((5,), "-5", '"-5" in the pattern'),
        ((5,), "²", '"²" in the pattern'),
        ((5,), "... ...", '"..." more than once'),
    ],
)
def test_check_shape_says_which_dimension_is_wrong(shape, pattern, message):
    """The error holds the shape, the pattern, the dimension and the name."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_shape(torch.zeros(shape), pattern)


@settings(deadline=None, database=None)
@given(st.data())
def test_check_shape_holds_exactly_where_a_plain_loop_does(data):
    """Names and numbers drawn for a shape match, if each name keeps one size."""
    shape = data.draw(st.lists(st.integers(0, 3), max_size=4))
    words = data.draw(
        st.lists(
            st.sampled_from(["a", "b", "_", "0", "1", "2", "3"]),
            min_size=len(shape),
            max_size=len(shape),
        )
    )
    known = data.draw(st.dictionaries(st.sampled_from("ab"), st.integers(0, 3)))
    expected, fits = dict(known), True
    for word, size in zip(words, shape, strict=True):
        if word.isdecimal():
            fits &= int(word) == size
        elif word != "_":
            fits &= expected.setdefault(word, size) == size
    tensor, pattern = torch.empty(shape), " ".join(words)
    if fits:
        assert check_shape(tensor, pattern, known) == expected
    else:
        with pytest.raises(ValueError, match="does not match"):
            check_shape(tensor, pattern, known)


def test_check_shape_takes_only_tensors():
    """An array has a shape too, but is no tensor."""
    with pytest.raises(TypeError, match="takes a tensor, not ndarray"):
        check_shape(np.zeros(3), "n")


# ------------------------------------------------------------------------- trace_shapes


class Residual(nn.Module):
    """A shared activation, a tied weight, a bare parameter, an unused layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(6)
        self.scale = nn.Parameter(torch.full((6,), 2.0))
        self.unused = nn.Sequential(nn.Linear(6, 9), nn.Identity())
        self.extra = nn.ParameterList([torch.zeros(4)])
        self.table = torch.arange(6.0)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        y = self.act(self.second(self.act(self.first(x))))
        return self.norm(x + y) * self.scale + self.table + torch.ones(6)


class Nested(nn.Module):
    """Dicts, tuples and None go in and come out."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 3)

    def forward(self, batch, pair, *, mask=None, factor=1.0):
        out = self.lin(batch["x"]) * factor
        return {"out": out, "pair": (pair[0], pair[1]), "mask": mask}


class Branching(nn.Module):
    """Looks at values, draws random numbers and writes to a buffer and a weight."""

    def __init__(self, out_features=3):
        super().__init__()
        self.lin = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.embed = nn.Embedding(5, 4, max_norm=0.1)
        self.drop = nn.Dropout()
        self.other = nn.Linear(out_features, 2)

    def forward(self, x):
        self.seen += 1
        self.lin.weight.data.mul_(2)
        noise = torch.rand(1) + random.random() + float(np.random.rand())
        x.add_(self.embed(torch.tensor([1])))
        if float(noise) >= 0 and x.isfinite().all():
            return self.other(self.drop(self.lin(x)))
        return x


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, **options)

    def forward(self, query, key, value):
        return self.attend(query, key, value=value)


def snapshot(model):
    """Everything that a trace must leave as it was."""
    return {
        "state": copy.deepcopy(dict(model.state_dict())),
        "addresses": {n: p.data_ptr() for n, p in model.named_parameters()},
        "versions": [p._version for p in model.parameters()],
        "grads": [(p.requires_grad, p.grad) for p in model.parameters()],
        "devices": [p.device for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        "attributes": [
            {k: v for k, v in vars(m).items() if isinstance(v, int | str)}
            for m in model.modules()
        ],
        "random": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "global": (torch.is_grad_enabled(), torch.get_default_device()),
    }


def assert_unchanged(before, model):
    after = snapshot(model)
    for name in ("state", "random"):
        torch.testing.assert_close(after.pop(name), before[name], rtol=0, atol=0)
    for old, new in zip(before["numpy"], after.pop("numpy"), strict=True):
        assert np.array_equal(old, new)
    assert after == {name: before[name] for name in after}


def outputs_of_a_real_forward(model, *args, **kwargs):
    """Path and output shape of each call, in the order in which calls end."""
    seen, real = [], copy.deepcopy(model).eval()
    for path, module in real.named_modules():

        def hook(module, args, out, path=path):
            seen.append((path, out.shape if isinstance(out, torch.Tensor) else None))

        module.register_forward_hook(hook)
    with torch.no_grad():
        real(*args, **kwargs)
    return seen


def small_models():
    """Name, model and input."""
    conv = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, (3, 2), groups=2, stride=2),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(54, 3, bias=False),
    )
    weights = nn.Sequential(
        parametrizations.weight_norm(nn.Conv1d(2, 3, 2)),
        parametrizations.spectral_norm(nn.Linear(6, 3)),
    )
    yield "convolutions", conv, torch.rand(2, 2, 9, 10)
    yield "residual", Residual(), torch.rand(5, 6)
    yield "branching", Branching(), torch.rand(2, 4)
    yield "parametrized", weights, torch.rand(2, 2, 7)
    yield "transformer", nn.TransformerEncoderLayer(8, 2, 16), torch.rand(5, 2, 8)
    yield "identity", nn.Identity(), torch.rand(3)
    yield "double", nn.Linear(3, 2, dtype=torch.float64), torch.rand(2, 3).double()


MODELS = {name: (model, x) for name, model, x in small_models()}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("give", ["tensor", "size"])
def test_trace_shapes_has_the_shapes_of_a_real_forward(name, training, give):
    """Each call has the output of a real forward; nothing is changed."""
    model, x = copy.deepcopy(MODELS[name])
    model.train(training)
    given, before = x.clone(), snapshot(model)
    table = trace_shapes(model, x if give == "tensor" else tuple(x.shape))
    assert torch.equal(x, given)
    assert_unchanged(before, model)
    real = outputs_of_a_real_forward(model, x.clone())
    traced = [row for row in table if row.called]
    assert table[0].path == "" and table[0].input == x.shape
    shapes = [
        (row.path, row.output) for row in traced if isinstance(row.output, torch.Size)
    ]
    assert sorted(shapes) == sorted((p, s) for p, s in real if s is not None)
    assert len(traced) == len(real)
    assert table.parameters == sum(p.numel() for p in model.parameters())


@st.composite
def small_networks(draw):
    """Layers that fit, one after the other, but for a slip now and then."""
    channels, side = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    size, layers = (2, channels, side, side), []
    for kind in draw(st.lists(st.sampled_from("cbgtprdl"), min_size=1, max_size=6)):
        given = channels + draw(st.sampled_from([0] * 9 + [1]))
        wide = 2 * draw(st.integers(1, 2))
        if kind == "c":
            kernel, padding = draw(
                st.sampled_from([(1, 0), (2, 1), (3, 0), (3, "same"), (2, "valid")])
            )
            layers.append(nn.Conv2d(given, wide, kernel, padding=padding))
        elif kind == "t":
            layers.append(nn.ConvTranspose2d(given, wide, 2, stride=2))
        elif kind == "l":
            layers.append(nn.Sequential(nn.AdaptiveAvgPool2d(given), nn.LayerNorm(3)))
        else:
            others = {
                "b": nn.BatchNorm2d(given, affine=draw(st.booleans())),
                "g": nn.GroupNorm(1, given),
                "p": nn.MaxPool2d(2, ceil_mode=draw(st.booleans())),
                "r": nn.ReLU(inplace=draw(st.booleans())),
                "d": nn.Dropout2d(),
            }
            layers.append(others[kind])
        channels = wide if kind in "ct" else channels
    return nn.Sequential(*layers), size


@settings(deadline=None, database=None)
@given(small_networks())
def test_trace_shapes_agrees_with_the_forward_of_any_small_network(drawn):
    """The same shapes where it runs; where it does not, the layer at which it stops."""
    model, size = drawn
    x, reached = torch.rand(size), []
    real = copy.deepcopy(model).eval()
    for path, module in real.named_modules():
        module.register_forward_pre_hook(lambda *_, path=path: reached.append(path))
    before = snapshot(model)
    try:
        expected = sorted(outputs_of_a_real_forward(real, x))
    except (RuntimeError, ValueError):
        with pytest.raises(ShapeError) as caught:
            trace_shapes(model, size)
        assert caught.value.path == reached[-1]
    else:
        rows = trace_shapes(model, size)
        assert sorted((row.path, row.output) for row in rows) == expected
    assert_unchanged(before, model)


def test_trace_shapes_counts_shared_tied_bare_and_unused_parts():
    """Every layer has its row, and each parameter is counted once."""
    rows = trace_shapes(Residual(), (5, 6))
    assert [(r.path, r.parameters, r.multiply_adds, r.called) for r in rows] == [
        ("", 6, None, True),
        ("first", 42, 180, True),
        ("act", 0, None, True),
        ("second", 6, 180, True),
        ("act", 0, None, True),
        ("norm", 12, None, True),
        ("unused.0", 63, None, False),
        ("unused.1", 0, None, False),
        ("extra", 4, None, False),
    ]
    assert [r.input for r in rows][-3:] == [r.output for r in rows][-3:] == [None] * 3
    assert rows.multiply_adds == 360
    assert rows.parameters == 133


def test_trace_shapes_names_a_shared_layer_by_the_place_of_the_call():
    """One layer under two names appears under each; its parameters count once."""
    shared = nn.Linear(3, 3)
    inner = nn.Sequential(shared, nn.ReLU(), shared)
    rows = trace_shapes(nn.Sequential(inner, shared), (2, 3))
    assert [row.path for row in rows] == ["", "0", "0.0", "0.1", "0.2", "1"]
    assert [row.parameters for row in rows] == [0, 0, 12, 0, 0, 0]
    assert [row.multiply_adds for row in rows] == [None, None, 18, None, 18, 18]


def test_trace_shapes_describes_nested_values():
    """Dicts, tuples, None and plain values stand in the row as they were given."""
    given = {"x": (2, 4)}, [torch.zeros(1), None]
    rows = trace_shapes(Nested(), *given, mask=(2, 2), factor=0.5)
    size = torch.Size
    inputs = {"x": size([2, 4])}, (size([1]), None)
    assert rows[0].input == (*inputs, {"mask": size([2, 2]), "factor": 0.5})
    assert rows[0].output == {
        "out": size([2, 3]),
        "pair": (size([1]), None),
        "mask": size([2, 2]),
    }
    line = str(rows).splitlines()[2]
    assert "[{x: (2, 4)}, [(1,), None], {mask: (2, 2), factor: 0.5}]" in line
    assert "{out: (2, 3), pair: [(1,), None], mask: (2, 2)}" in line


def test_trace_shapes_keeps_the_kind_of_its_inputs():
    """Named tuples, other mappings and objects reach the model as what they are."""
    pair_type = namedtuple("pair_type", "left right")

    class Fields(nn.Module):
        def forward(self, pair, items, flag, size):
            assert isinstance(items, OrderedDict) and flag is True
            return pair.left + items["right"] + size, object()

    items = OrderedDict(right=torch.zeros(3))
    pair = pair_type(torch.zeros(3), None)
    rows = trace_shapes(Fields(), pair, items, True, torch.Size([]))
    assert rows[0].output == (torch.Size([3]), "object")
    assert torch.equal(items["right"], torch.zeros(3))


def test_trace_shapes_makes_float_tensors_of_sizes():
    """A size gets the dtype of the model, on either road."""
    seen = []

    class Look(nn.Module):
        def __init__(self, values):
            super().__init__()
            self.values, self.lin = values, nn.Linear(3, 2, dtype=torch.bfloat16)

        def forward(self, x):
            seen.append((x.dtype, x.device.type))
            if self.values:
                x.sum().item()
            return self.lin(x)

    trace_shapes(Look(False), (2, 3))
    assert seen == [(torch.bfloat16, "meta")]
    trace_shapes(Look(True), [2, 3])
    assert seen[1:] == [(torch.bfloat16, "meta"), (torch.bfloat16, "cpu")]


def test_trace_shapes_runs_lazy_layers_without_filling_them():
    """Lazy layers learn their sizes in the copy alone."""
    model = nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten())
    rows = trace_shapes(model, (2, 4, 5, 5))
    assert rows[0].output == (2, 27)
    assert rows[1].parameters == 3 * 4 * 9 + 3
    assert isinstance(model[0], nn.LazyConv2d) and model[0].has_uninitialized_params()
    assert isinstance(model[1], nn.LazyBatchNorm2d)


def test_a_lazy_layer_that_is_never_called_has_no_parameters_yet():
    """Their number is not known."""

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.lazy = nn.LazyLinear(3)

        def forward(self, x):
            return x

    rows = trace_shapes(Unused(), (2, 3))
    assert [(r.path, r.parameters, r.called) for r in rows][1] == ("lazy", 0, False)


def test_trace_shapes_shows_a_model_that_lives_on_the_meta_device():
    """A network too large for any memory has a table."""
    with torch.device("meta"):
        layers = [nn.Linear(100_000, 100_000, bias=False) for _ in range(10)]
    rows = trace_shapes(nn.Sequential(*layers), (4, 100_000))
    assert rows.parameters == 100_000_000_000
    assert rows.multiply_adds == 400_000_000_000


def test_trace_shapes_of_a_meta_model_that_branches_on_values_is_refused():
    """Without numbers there is no real run to fall back on."""
    with torch.device("meta"):
        model = Branching()
    with pytest.raises(ShapeError, match="\\(model\\) \\(Branching\\) stopped"):
        trace_shapes(model, (2, 4))


def test_trace_shapes_runs_the_hooks_of_the_user():
    """Hooks that change the result belong to the model."""
    model = nn.Linear(3, 2)
    model.register_forward_hook(lambda module, args, out: out.repeat(1, 2))
    before = snapshot(model)
    assert trace_shapes(model, (5, 3))[0].output == (5, 4)
    assert_unchanged(before, model)


# ------------------------------------------------------------------------ multiply-adds


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.Linear(5, 7), [(2, 3, 5)]),
        (nn.Conv1d(4, 6, 3, groups=2, padding="same"), [(2, 4, 9)]),
        (nn.Conv2d(4, 6, (3, 2), stride=2, dilation=2), [(2, 4, 9, 8)]),
        (nn.Conv3d(2, 3, 2), [(2, 4, 4, 4)]),
        (nn.ConvTranspose2d(4, 6, 3, groups=2, stride=2), [(2, 4, 5, 6)]),
        (Attention(), [(5, 2, 8), (7, 2, 8), (7, 2, 8)]),
        (
            Attention(batch_first=True, kdim=3, vdim=4),
            [(2, 5, 8), (2, 7, 3), (2, 7, 4)],
        ),
        (Attention(add_bias_kv=True, add_zero_attn=True), [(5, 2, 8)] * 3),
    ],
)
def test_multiply_adds_are_half_of_torchs_own_count(layer, sizes):
    """PyTorch's counter counts a multiplication and its addition as two."""
    inputs = [torch.rand(size) for size in sizes]
    with FlopCounterMode(display=False) as counter:
        layer(*inputs)
    total = counter.get_total_flops()
    assert trace_shapes(layer, *sizes).multiply_adds * 2 == total > 0


def test_multiply_adds_of_a_bilinear_layer_follow_the_formula():
    """Each output multiplies each pair of inputs by its weight."""
    table = trace_shapes(nn.Bilinear(3, 4, 5), (2, 3), (2, 4))
    assert table.multiply_adds == 2 * 5 * 3 * 4


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.RNN(3, 4), (5, 2, 3), 10 * (12 + 16)),
        (nn.GRU(3, 4, bidirectional=True), (5, 2, 3), 2 * 3 * 10 * (12 + 16)),
        (nn.LSTM(3, 4, num_layers=2), (5, 2, 3), 4 * 10 * (12 + 16 + 16 + 16)),
        (nn.LSTM(3, 4, proj_size=2), (5, 2, 3), 10 * (4 * 4 * (3 + 2) + 4 * 2)),
        (nn.GRUCell(3, 4), (2, 3), 3 * 2 * (12 + 16)),
        (nn.MaxPool1d(2), (2, 3, 4), None),
    ],
)
def test_multiply_adds_of_recurrent_layers_follow_the_formula(layer, shape, expected):
    """Each step multiplies each weight matrix once for each sequence of the batch."""
    counted = trace_shapes(layer, shape)[0].multiply_adds
    assert counted == expected and type(counted) is type(expected)


# --------------------------------------------------------------------------- mismatches


def wrong_network(layer):
    body = nn.Sequential(OrderedDict(layer=layer))
    return nn.Sequential(OrderedDict(before=nn.Identity(), body=body))


MISMATCHES = [
    (nn.Linear(5, 2), (4, 6), 5, 6, "Linear(in_features=6, ...) would fit"),
    (nn.Linear(24, 2), (4, 6, 4), 24, 4, "flatten(input, 1), of shape (4, 24), would"),
    (nn.Conv2d(3, 4, 1), (2, 5, 8, 8), 3, 5, "Conv2d(in_channels=5, ...) would fit"),
    (nn.Conv1d(3, 4, 1), (5, 8), 3, 5, "Conv1d(in_channels=5, ...) would fit"),
    (nn.Conv2d(3, 4, 1), (2, 5), 4, 2, "expects 4 dimensions (batch, channels and 2"),
    (nn.Conv2d(3, 4, 5, padding=1), (2, 3, 9, 2), (3, 3), (9, 2), "A smaller kernel"),
    (nn.ConvTranspose2d(3, 4, 1), (2, 5, 8, 8), 3, 5, "ConvTranspose2d(in_channels=5"),
    (nn.BatchNorm2d(3), (2, 5, 4, 4), 3, 5, "BatchNorm2d(num_features=5, ...) would"),
    (nn.InstanceNorm1d(3, affine=True), (2, 5, 4), 3, 5, "(num_features=5, ...) would"),
    (nn.GroupNorm(1, 3), (2, 5, 4), 3, 5, "GroupNorm(num_channels=5, ...) would fit"),
    (nn.LayerNorm((3, 4)), (2, 3, 5), (3, 4), (3, 5), "LayerNorm((3, 5)) would fit"),
    (nn.LSTM(3, 4), (5, 2, 6), 3, 6, "LSTM(input_size=6, ...) would fit"),
    (nn.GRUCell(3, 4), (2, 6), 3, 6, "GRUCell(input_size=6, ...) would fit"),
    (nn.Linear(5, 2), (6,), 5, 6, "Linear(in_features=6, ...) would fit"),
    (nn.BatchNorm1d(3), (2, 5), 3, 5, "BatchNorm1d(num_features=5, ...) would"),
    (nn.Conv2d(3, 4, 1), (2, 5), 4, 2, "2 more), but its input of shape (2, 5) has 2"),
    (nn.LayerNorm(3), (2, 5), (3,), (5,), "input of shape (2, 5) ends in (5,)"),
]


@pytest.mark.parametrize(("layer", "shape", "expected", "given", "advice"), MISMATCHES)
def test_a_mismatch_says_where_and_what_would_fit(
    layer, shape, expected, given, advice
):
    """Path, expected and given size, the layer before and the fitting value."""
    model = wrong_network(layer)
    before = snapshot(model)
    with pytest.raises(ShapeError, match=re.escape(advice)) as caught:
        trace_shapes(model, shape)
    assert_unchanged(before, model)
    error = caught.value
    assert (error.path, error.previous) == ("body.layer", "before")
    assert (error.expected, error.given) == (expected, given)
    kind = type(layer).__name__
    assert str(error).startswith(f"body.layer ({kind}) expects ")
    assert f"before it is before (Identity), with output {shape}." in str(error)
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        model(torch.rand(shape))


def test_a_mismatch_of_a_layer_with_two_inputs_is_that_of_the_first():
    """Bilinear layers are held to their first size, as attention is to its query."""
    with pytest.raises(ShapeError, match="in1_features=6") as caught:
        trace_shapes(nn.Bilinear(5, 6, 2), (4, 5, 6), (4, 5, 6))
    assert (caught.value.path, caught.value.previous) == ("", None)
    with pytest.raises(ShapeError, match="embed_dim=6") as caught:
        trace_shapes(Attention(), *[(4, 2, 6)] * 3)
    assert (caught.value.path, caught.value.expected) == ("attend", 8)


@pytest.mark.parametrize(
    ("layer", "x", "expected"),
    [
        (nn.Linear(3, 2), torch.zeros(2, 3, dtype=torch.float64), torch.float32),
        (nn.Linear(3, 2), torch.zeros(2, 3, dtype=torch.int64), torch.float32),
        (nn.Conv1d(3, 2, 1, bias=False), torch.zeros(2, 3, 4).double(), torch.float32),
        (nn.LayerNorm(3), torch.zeros(2, 3).double(), torch.float32),
        (nn.BatchNorm1d(3), torch.zeros(2, 3).double(), torch.float32),
        (nn.GroupNorm(1, 3), torch.zeros(2, 3).double(), torch.float32),
        (nn.Embedding(3, 2), torch.zeros(2, 3), torch.int64),
    ],
)
def test_a_wrong_dtype_is_found_though_the_meta_device_lets_it_pass(layer, x, expected):
    """The error names both dtypes; a real forward refuses as well."""
    with pytest.raises(
        ShapeError, match=f"{expected}.* but is given {x.dtype}"
    ) as caught:
        trace_shapes(wrong_network(layer), x)
    assert caught.value.path == "body.layer"
    assert (caught.value.expected, caught.value.given) == (expected, x.dtype)
    advice = f"Convert the input with .to({expected}), or the model."
    if isinstance(layer, nn.Embedding):
        advice = "A tensor such as torch.zeros((2, 3), dtype=torch.int64) would fit."
    assert str(caught.value).endswith(advice)
    with pytest.raises(RuntimeError):
        layer.eval()(x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_normalization_in_single_precision_takes_half_precision(dtype):
    """What torch takes is not refused."""
    x = torch.rand(2, 4, 3, 3).to(dtype)
    layer = nn.GroupNorm(2, 4).eval()
    assert trace_shapes(layer, x)[0].output == layer(x).shape


def test_autocast_switches_the_check_of_dtypes_off():
    """Under autocast torch converts the input itself."""
    x = torch.rand(2, 3, dtype=torch.bfloat16)
    with torch.autocast("cpu"):
        assert trace_shapes(nn.Linear(3, 2), x)[0].output == (2, 2)


def test_a_subclass_with_a_forward_of_its_own_takes_what_it_likes():
    """Only layers that run torch's own forward are held to its rules."""

    class Casting(nn.Linear):
        def forward(self, x):
            return super().forward(x.to(self.weight.dtype))

    x = torch.zeros(2, 3, dtype=torch.int64)
    assert trace_shapes(Casting(3, 2), x)[0].output == (2, 2)


@pytest.mark.parametrize("size", [(2, 5), (2, 3, 5)])
def test_a_mismatch_of_a_layer_called_by_keyword_is_told_alike(size):
    """The input is what it is given, under whatever name."""

    class ByKeyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(input=x)

    with pytest.raises(ShapeError) as error:
        trace_shapes(ByKeyword(), size)
    assert (error.value.path, error.value.expected, error.value.given) == (
        "layer",
        4,
        5,
    )
    with pytest.raises(ShapeError, match="layer") as positional:
        trace_shapes(nn.Sequential(OrderedDict(layer=nn.Linear(4, 2))), size)
    assert str(error.value) == str(positional.value)


def test_a_mismatch_between_layers_names_the_module_around_them():
    """A sum of two branches is wrong in the module that adds."""

    class Add(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(3, 4), nn.Linear(3, 5)

        def forward(self, x):
            return self.left(x) + self.right(x)

    with pytest.raises(ShapeError, match="size of tensor a") as caught:
        trace_shapes(nn.Sequential(nn.ReLU(), Add()), (2, 3))
    error = caught.value
    assert (error.path, error.previous) == ("1", "0")
    assert (error.expected, error.given) == (4, 5)


def test_a_matrix_product_in_a_forward_has_its_sizes():
    """The sizes come from torch's message."""

    class Product(nn.Module):
        def forward(self, x):
            return x @ torch.zeros(5, 2)

    with pytest.raises(ShapeError, match="must have same reduction dim") as caught:
        trace_shapes(Product(), (2, 3))
    assert (caught.value.path, caught.value.previous) == ("", None)
    assert (caught.value.expected, caught.value.given) == (5, 3)


class UsesWeights(nn.Module):
    """Takes the weights of its layers and never calls them."""

    def __init__(self, out_features=3, in_features=3):
        super().__init__()
        self.first = nn.Linear(3, out_features)
        self.second = nn.Linear(in_features, 2)

    def forward(self, x):
        x = nn.functional.linear(x, self.first.weight, self.first.bias)
        return nn.functional.linear(input=x, weight=self.second.weight)


@pytest.mark.parametrize(
    ("sizes", "x", "path", "expected", "given"),
    [
        ((3, 4), (5, 3), "1.second", 4, 3),
        ((6, 3), (5, 3), "1.second", 3, 6),
        ((3, 3), (5, 2, 7), "1.first", 3, 7),
    ],
)
def test_a_layer_whose_weight_is_used_without_a_call_is_named(
    sizes, x, path, expected, given
):
    """The weight belongs to the layer that is wrong, not to the one that is running."""
    model = nn.Sequential(nn.ReLU(), UsesWeights(*sizes))
    with pytest.raises(ShapeError, match=f"in_features={given}, ...") as caught:
        trace_shapes(model, x)
    error = caught.value
    assert (error.path, error.expected, error.given) == (path, expected, given)
    assert error.previous == "0"


def test_a_subclass_is_held_to_what_its_operation_is_given():
    """A layer that turns its input around expects the size where it then stands."""

    class ChannelsLast(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.transpose(1, -1)).transpose(1, -1)

    model = wrong_network(ChannelsLast(5))
    assert trace_shapes(model, (2, 5, 7))[0].output == (2, 5, 7)
    with pytest.raises(ShapeError) as caught:
        trace_shapes(model, (2, 6, 5))
    error = caught.value
    assert (error.path, error.expected, error.given) == ("body.layer", (5,), (6,))


def test_an_operation_that_failed_and_was_caught_is_not_blamed_later():
    """The weights of another failure have no part in this one."""

    class Retry(UsesWeights):
        def forward(self, x):
            with contextlib.suppress(RuntimeError):
                super().forward(x)
            raise ValueError("something else")

    with pytest.raises(ShapeError, match="stopped: something else") as caught:
        trace_shapes(Retry(3, 4), (5, 3))
    assert (caught.value.path, caught.value.expected) == ("", None)


def test_a_convolution_by_a_bare_weight_has_its_channels():
    """The real run says what the meta device does not."""

    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 3, 2))

        def forward(self, x):
            return nn.functional.conv1d(x, self.weight)

    with pytest.raises(ShapeError, match="to have 3 channels") as caught:
        trace_shapes(nn.Sequential(Bare()), (2, 5, 8))
    error = caught.value
    assert (error.path, error.expected, error.given) == ("0", 3, 5)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3), (2, 5, 3), (1, 4), (4,), (1, 1)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("statistics", [False, True])
def test_batch_norm_as_a_function_is_what_torch_makes_of_it(
    shape, training, statistics
):
    """Shape, dtype and refusal are torch's own, though its way there is cut short."""

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.BatchNorm1d(4)

        def forward(self, x):
            buffers = (self.lin.running_mean, self.lin.running_var)
            given = buffers if statistics else (None, None)
            x = nn.functional.batch_norm(x, *given, self.lin.weight, training=training)
            return x, x.dtype == torch.bfloat16

    model, x = Norm(), torch.rand(shape).to(torch.bfloat16)
    try:
        expected = copy.deepcopy(model)(x)[0].shape
    except (RuntimeError, ValueError, IndexError):
        with pytest.raises(ShapeError):
            trace_shapes(model, x)
    else:
        assert trace_shapes(model, x)[0].output == (expected, True)


def test_batch_norm_as_a_function_checks_each_of_its_tensors():
    """One of the wrong size among others of the right one is refused, as by torch."""

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.weight = nn.BatchNorm1d(4), nn.Parameter(torch.ones(5))

        def forward(self, x):
            buffers = self.norm.running_mean, self.norm.running_var
            return nn.functional.batch_norm(x, *buffers, self.weight)

    with pytest.raises(RuntimeError):
        Norm()(torch.zeros(2, 4))
    with pytest.raises(ShapeError):
        trace_shapes(Norm(), (2, 4))


def test_padding_in_words_decides_whether_a_kernel_fits():
    """With "same" any size is large enough, with "valid" only that of the kernel."""
    same, valid = (nn.Conv1d(1, 1, 5, padding=word) for word in ("same", "valid"))
    assert trace_shapes(same, (1, 1, 2))[0].output == same(torch.zeros(1, 1, 2)).shape
    assert trace_shapes(valid, (1, 1, 5))[0].output == (1, 1, 1)
    with pytest.raises(ShapeError, match="at least \\(5,\\), but is given \\(4,\\)"):
        trace_shapes(valid, (1, 1, 4))


def test_the_layer_before_is_the_one_that_made_the_input():
    """Not the one that ran last, where there are branches."""

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(3, 5), nn.Linear(5, 1)

        def forward(self, x):
            a = self.a(x)
            self.b(x)
            return self.c(a)

    with pytest.raises(ShapeError) as caught:
        trace_shapes(Branches(), (2, 3))
    assert caught.value.previous == "a"


@pytest.mark.parametrize("looks_at_values", [False, True])
def test_the_copy_is_freed_at_once(looks_at_values):
    """No copy of the weights waits for the garbage collector."""
    copies = []

    class Remember(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(3, 2)

        def forward(self, x):
            copies.append(weakref.ref(self.lin.weight))
            return self.lin(x) if not looks_at_values or x.sum() >= 0 else x

    gc.disable()
    try:
        trace_shapes(Remember(), (2, 3))
        assert [copied() for copied in copies] == [None] * (1 + looks_at_values)
    finally:
        gc.enable()


@pytest.mark.gpu
def test_a_trace_leaves_a_model_on_an_accelerator_as_it_was(accelerator):
    """Weights, modes and the accelerator's random numbers, on either road."""
    for model in (Residual().to(accelerator), nn.Sequential(nn.Dropout(), Sums())):
        model.to(accelerator)
        before, state = snapshot(model), torch.cuda.get_rng_state(accelerator)
        table = trace_shapes(model, torch.ones(2, 6, device=accelerator))
        assert table[0].output == (2, 6)
        assert_unchanged(before, model)
        assert torch.equal(torch.cuda.get_rng_state(accelerator), state)


class Sums(nn.Module):
    """Looks at values and draws a number on the device of its input."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6)

    def forward(self, x):
        noise = torch.rand_like(x)
        return self.lin(x) + noise if x.sum() > 0 else x


def test_the_layer_before_is_a_leaf_also_across_plain_functions():
    """Neither the container of that layer nor a step between hides it."""

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4))
            self.head = nn.Linear(5, 1)

        def forward(self, x):
            x = self.body(x)
            return self.head(x if x.dim() == 2 else x.flatten(1))

    for size in ((2, 3), (2, 2, 3)):
        with pytest.raises(ShapeError) as caught:
            trace_shapes(Flat(), size)
        assert (caught.value.path, caught.value.previous) == ("head", "body.0")


def test_a_shared_layer_is_named_by_its_caller_however_often_it_runs():
    """A loop in one place does not shift the names in the other."""

    class Loop(nn.Module):
        def __init__(self, lin, times):
            super().__init__()
            self.lin, self.times = lin, times

        def forward(self, x):
            for _ in range(self.times):
                x = self.lin(x)
            return x

    lin = nn.Linear(3, 3)
    rows = trace_shapes(nn.Sequential(Loop(lin, 3), Loop(lin, 2)), (2, 3))
    paths = ["", "0", "0.lin", "0.lin", "0.lin", "1", "1.lin", "1.lin"]
    assert [row.path for row in rows] == paths


@pytest.mark.parametrize(("device", "out_features"), [("cpu", 7), ("meta", 3)])
def test_what_no_second_run_can_change_runs_once(device, out_features):
    """A known mismatch, or a model without numbers, is not tried for real."""
    runs = []

    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 3, device=device)
            self.head = nn.Linear(out_features, 2, device=device)

        def forward(self, x):
            runs.append(x.device.type)
            x = self.head(self.body(x))
            return x if x.sum() > 0 else -x

    with pytest.raises(ShapeError):
        trace_shapes(Once(), (2, 4))
    assert runs == ["meta"]


def test_a_mismatch_after_a_look_at_values_leaves_all_as_it_was():
    """The real run fails in the copy, and says as much as the other."""
    model = Branching(out_features=7).train()
    x = torch.ones(2, 4)
    before = snapshot(model)
    with pytest.raises(ShapeError) as caught:
        trace_shapes(model, x)
    assert_unchanged(before, model)
    assert torch.equal(x, torch.ones(2, 4))
    error = caught.value
    assert (error.path, error.expected, error.given) == ("other", 7, 3)
    assert error.previous == "drop"


def test_an_error_that_a_network_catches_does_not_shift_the_paths():
    """A layer that raised and was caught is not the one that is blamed later."""

    class Retry(nn.Module):
        def __init__(self, features):
            super().__init__()
            self.inner = nn.Sequential(nn.LayerNorm(9))
            self.second = nn.Linear(features, 4)

        def forward(self, x):
            with contextlib.suppress(RuntimeError, ValueError):
                self.inner(x)
            return self.second(x)

    rows = trace_shapes(nn.Sequential(Retry(3), nn.Linear(4, 2)), (2, 3))
    paths = ["", "0", "0.inner", "0.inner.0", "0.second", "1"]
    assert [row.path for row in rows] == paths
    assert [row.output for row in rows][2:4] == [None, None]
    with pytest.raises(ShapeError) as caught:
        trace_shapes(nn.Sequential(Retry(5), nn.Linear(4, 2)), (2, 3))
    assert caught.value.path == "0.second"


def test_errors_of_other_kinds_keep_their_type_and_gain_a_place():
    """A bug in a forward is reported as itself, with the path of the module."""

    class Bug(nn.Module):
        def forward(self, x):
            return x.no_such_attribute

    with pytest.raises(AttributeError, match="no_such_attribute") as caught:
        trace_shapes(nn.Sequential(nn.ReLU(), Bug()), (2, 3))
    assert caught.value.__notes__ == ["trace_shapes: in 1 (Bug)"]
    with pytest.raises(TypeError) as caught:
        trace_shapes(nn.Linear(3, 2), torch.zeros(2, 3), mask=None)
    assert caught.value.__notes__ == ["trace_shapes: in (model) (Linear)"]


class Named(nn.Module):
    """Calls its layers by keyword."""

    def __init__(self, features=4):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(features, 2)

    def forward(self, *, x):
        return self.second(input=self.first(input=x))


def test_inputs_given_by_keyword_count_too():
    """In the rows, in multiply-adds, and in the search for a mismatch."""
    table = trace_shapes(Named(), x=(5, 3))
    assert table[0].input == {"x": (5, 3)}
    assert [row.multiply_adds for row in table] == [None, 60, 40]
    with pytest.raises(ShapeError) as caught:
        trace_shapes(Named(6), x=(5, 3))
    error = caught.value
    assert (error.path, error.previous) == ("second", "first")
    assert (error.expected, error.given) == (6, 4)
    with pytest.raises(ShapeError, match="expects an input of dtype") as caught:
        trace_shapes(Named(), x=torch.zeros(5, 3, dtype=torch.float64))
    assert caught.value.path == "first"


def test_everything_stands_on_the_meta_device_at_first():
    """Inputs of all kinds, lazy layers and new tensors, so that one run is enough."""
    devices = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.lazy = nn.LazyLinear(3, dtype=torch.float64)
            self.norm = nn.BatchNorm1d(3, dtype=torch.float64)

        def forward(self, x, pair, *, scale):
            new = torch.ones(3, dtype=torch.float64)
            out = self.norm(self.lazy(x)) * scale + new + pair["a"][0]
            given = (x, pair["a"][0], scale, new, self.lazy.weight, out)
            devices.append([tensor.device.type for tensor in given])
            assert self.lazy.weight.dtype == torch.float64
            return out

    x, a, scale = torch.ones(5, 4), torch.ones(5, 3), torch.ones(3)
    pair = {"a": [a.double()]}
    table = trace_shapes(Watched(), x.double(), pair, scale=scale.double())
    assert table[0].output == (5, 3)
    assert devices == [["meta"] * 6]


def test_parameters_that_cannot_learn_are_copied():
    """Whole numbers have no gradient, and torch refuses to be asked for one."""
    layer = nn.Linear(3, 2)
    layer.steps = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    assert trace_shapes(layer, (4, 3))[0].parameters == 10


def test_inputs_that_are_no_tensors_are_copied_whole():
    """A forward pass may change what it is given."""

    class Settings:
        def __init__(self):
            self.seen = []

    class Counts(nn.Module):
        def forward(self, x, settings):
            settings.seen.append(1)
            return x

    settings = Settings()
    trace_shapes(Counts(), (2, 3), settings)
    assert settings.seen == []


class LooksAtValues(nn.Module):
    """Needs a run with real numbers, and keeps them."""

    def __init__(self, seen):
        super().__init__()
        self.seen = [seen]  # in a list, which the copy of the model shares

    def __deepcopy__(self, memo):
        return LooksAtValues(self.seen[0])

    def forward(self, x):
        normed = nn.functional.batch_norm(x, torch.zeros(3), torch.full((3,), 4.0))
        if x.sum() > 0:
            self.seen[0].append((x.clone(), normed.clone()))
        return normed


def test_a_real_run_has_different_numbers_always_the_same():
    """They come from a seed of their own, and layers compute with them in earnest."""
    seen = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        trace_shapes(LooksAtValues(seen), (5, 3))
    (first, normed), (second, _) = seen
    assert torch.equal(first, second) and first.unique().numel() == first.numel()
    torch.testing.assert_close(normed, first / (4 + 1e-5) ** 0.5)


def test_a_product_that_fails_with_real_numbers_has_its_sizes_too():
    """There torch says it in other words than on the meta device."""

    class Product(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                x = x @ torch.ones(5, 2)
            return x

    with pytest.raises(ShapeError, match="cannot be multiplied") as caught:
        trace_shapes(Product(), (3, 4))
    assert (caught.value.expected, caught.value.given) == (5, 4)


def test_what_is_not_understood_is_said_as_torch_says_it():
    """Without sizes, and with one full stop."""

    class Odd(nn.Module):
        def forward(self, x):
            raise RuntimeError("odd sizes.")

    with pytest.raises(ShapeError) as caught:
        trace_shapes(nn.Sequential(nn.Identity(), Odd()), (2, 3))
    error = caught.value
    assert str(error).startswith("1 (Odd) stopped: odd sizes. The layer before it is 0")
    assert str(error).endswith("with output (2, 3).")
    assert (error.expected, error.given) == (None, None)
    assert ShapeError("said").path == ""


@pytest.mark.parametrize("kind", [RuntimeError, KeyError])
def test_a_hook_that_fails_before_the_first_layer_is_no_layer(kind):
    """Then the place is the model."""

    def fail(*_):
        raise kind("a hook")

    model = nn.Linear(3, 2)
    model.register_forward_pre_hook(fail)
    with pytest.raises((ShapeError, KeyError)) as caught:
        trace_shapes(model, (4, 3))
    if kind is KeyError:
        assert caught.value.__notes__ == ["trace_shapes: in the model"]
    else:
        said = "the model stopped before its first layer: a hook"
        assert str(caught.value) == said


def test_a_layer_with_a_forward_of_its_own_is_not_blamed_for_another_operation():
    """What it does first to its input, nobody knows."""

    class Slices(nn.Linear):
        def forward(self, x):
            return x[..., :3] @ torch.ones(4, 2)

    with pytest.raises(ShapeError) as caught:
        trace_shapes(Slices(3, 2), (2, 5))
    assert (caught.value.expected, caught.value.given) == (4, 3)


def test_an_uncalled_module_with_parameters_of_its_own_has_a_row():
    """Also where it holds other modules."""

    class Scaled(nn.Sequential):
        def __init__(self):
            super().__init__(nn.ReLU())
            self.scale = nn.Parameter(torch.ones(7))

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = Scaled()

        def forward(self, x):
            return x

    rows = trace_shapes(Unused(), (2, 3))
    assert [(r.path, r.parameters, r.called) for r in rows] == [
        ("", 0, True),
        ("part", 7, False),
        ("part.0", 0, False),
    ]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((13,), r"^13 is no shape: give a tuple such as \(1, 13\)$"),
        ((2, 13), r"^2, 13 is no shape: give a tuple such as \(2, 13\)$"),
    ],
)
def test_bare_numbers_are_no_shape(sizes, message):
    """Each would be an input of its own; the error has the tuple that is one."""
    with pytest.raises(TypeError, match=message):
        trace_shapes(nn.Linear(13, 3), *sizes)


class Repeated(nn.Module):
    """Takes a number and an array as they are."""

    def forward(self, inputs, times, array=None):
        more = 0 if array is None else len(array)
        return inputs.repeat(1, times + more)


def test_numbers_beside_other_inputs_stay_numbers():
    """Only bare numbers alone are taken for a shape without parentheses."""
    assert trace_shapes(Repeated(), (2, 3), 4)[0].output == (2, 12)
    table = trace_shapes(Repeated(), (2, 3), times=1, array=np.ones(2))
    assert table[0].output == (2, 9)


@pytest.mark.parametrize(
    "call",
    [
        lambda array: trace_shapes(nn.Linear(13, 3), array),
        lambda array: trace_shapes(nn.Linear(13, 3), input=array),
    ],
)
def test_an_array_that_a_network_does_not_take_is_named(call):
    """The error says what to give; a network that takes arrays is let be."""
    message = r"an input is a ndarray, .*torch.as_tensor\(...\) of it.* \(2, 13\)$"
    with pytest.raises(TypeError, match=message) as error:
        call(np.ones((2, 13)))
    assert "must be Tensor" in str(error.value.__cause__)


def test_a_model_that_cannot_be_copied_is_refused():
    """The error says why."""
    model = nn.Linear(3, 2)
    model.source = (number for number in range(3))
    with pytest.raises(TypeError, match="Linear cannot be copied"):
        trace_shapes(model, (2, 3))


# ---------------------------------------------------------------------------- the table


def test_the_table_prints_a_line_for_each_row():
    """Headings, a rule, the rows and the sums; repr is the same."""
    table = trace_shapes(Residual(), (5, 6))
    lines = str(table).splitlines()
    assert lines[0].split() == [
        *("Layer", "Type", "Input", "Output", "Parameters", "Multiply-adds"),
    ]
    assert set(lines[1]) == {"-"} and len(lines[1]) == max(map(len, lines[:-2]))
    assert not any(line.endswith(" ") for line in lines)
    assert len(lines) == 2 + len(table) + 2
    assert lines[2].split() == ["(model)", "Residual", *["(5,", "6)"] * 2, "6", "-"]
    assert lines[8].split() == ["unused.0", "Linear", "not", "called", "63", "-"]
    assert lines[-2:] == ["Parameters: 133", "Multiply-adds where known: 360"]
    assert repr(table) == str(table)


def test_the_table_shows_as_html():
    """A cell for each value, with what could be markup made harmless."""
    row = ShapeRow("a<b>", "Linear", torch.Size([1]), {"<k>": None}, 1234, 5678)
    text = ShapeTable([row])._repr_html_()
    assert "<td>a&lt;b&gt;</td><td>Linear</td><td>(1,)</td>" in text
    assert "<td>{&lt;k&gt;: None}</td><td>1,234</td><td>5,678</td></tr>" in text
    assert "Parameters: 1,234<br>Multiply-adds where known: 5,678</caption>" in text
    assert text.count("<tr>") == 2 and text.count("<th>") == 6
    two = ShapeTable([row, row])._repr_html_()
    assert "</th><th>" in two and "</td></tr><tr><td>" in two and "XX" not in two


def test_a_row_cannot_be_changed():
    """It is what was measured; unless told otherwise, of a layer that was called."""
    row = ShapeRow("", "Linear", (1,), (1,), 2, 3)
    assert row.called is True
    with pytest.raises(FrozenInstanceError):
        row.parameters = 1


# ------------------------------------------------------------------- real architectures


def family_of(name):
    """The part of torchvision where a model stands: classification has none."""
    place = torchvision.models.get_model_builder(name).__module__.split(".")
    return place[2] if len(place) > 3 else ""


def torchvision_model(name):
    """Build a model without weights to load, and without numbers if that can be."""
    family, options = family_of(name), {"weights": None}
    if family in ("detection", "segmentation"):
        options["weights_backbone"] = None
    if name.endswith(("googlenet", "inception_v3")):
        options["init_weights"] = False
    if family == "detection" and not name.startswith("ssd"):
        options |= {"min_size": 64, "max_size": 64}
    if "rcnn" in name:
        options |= {"rpn_pre_nms_top_n_test": 8, "rpn_post_nms_top_n_test": 8}
    build = functools.partial(torchvision.models.get_model, name, **options)
    if family == "detection":
        return build()
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:
        # It looks at numbers to decide on its sizes. Filling its weights takes long.
        with without_initialization():
            return build()


def without_initialization():
    patches = contextlib.ExitStack()
    for name in dir(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            keep = mock.patch.object(nn.init, name, lambda tensor, *_, **__: tensor)
            patches.enter_context(keep)
    return patches


def torchvision_inputs(name):
    """Sizes that are small, but not too small for the model."""
    family = family_of(name)
    if family == "detection":
        return [[(3, 64, 48)]]
    if family == "optical_flow":
        return [(1, 3, 128, 128), (1, 3, 128, 128)]
    if family == "video":
        return [(1, 3, 16, 224, 224)]
    large = name.startswith(("vit", "maxvit")) or name.endswith("inception_v3")
    side = 224 if large else 64
    return [(1, 3, side, side)]


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models())
def test_trace_shapes_of_every_torchvision_model(name):
    """Its outputs, all its parameters, each once, and a row for each of its layers."""
    model = torchvision_model(name)
    options = {"num_flow_updates": 2} if name.startswith("raft") else {}
    table = trace_shapes(model, *torchvision_inputs(name), **options)
    output = table[0].output
    if family_of(name) == "detection":
        assert {"boxes", "labels", "scores"} <= set(output[0])
    elif family_of(name) == "segmentation":
        assert output["out"] == (1, 21, 64, 64)
    elif family_of(name) == "optical_flow":
        assert output == ((1, 2, 128, 128),) * 2
    else:
        classes = 1000 if family_of(name) in ("", "quantization") else 400
        assert output == (1, classes)
    assert table.parameters == sum(p.numel() for p in model.parameters())
    leaves = {path for path, m in model.named_modules() if not any(m.children())}
    assert leaves <= {row.path for row in table}


def test_trace_shapes_of_resnet18_equals_a_real_forward():
    """Shapes of all calls, bit-equal weights, flags and hooks, on real weights."""
    model = torchvision.models.resnet18(weights=None).train()
    before = snapshot(model)
    table = trace_shapes(model, (1, 3, 32, 32))
    assert_unchanged(before, model)
    real = outputs_of_a_real_forward(model, torch.rand(1, 3, 32, 32))
    assert sorted((row.path, row.output) for row in table) == sorted(real)
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.rand(1, 3, 32, 32))
    assert table.multiply_adds * 2 == counter.get_total_flops()


def test_trace_shapes_of_a_detection_model_runs_for_real():
    """Detection looks at the values of its boxes."""
    model = torchvision_model("fasterrcnn_mobilenet_v3_large_320_fpn")
    before = snapshot(model)
    table = trace_shapes(model, [(3, 64, 48)])
    assert_unchanged(before, model)
    assert set(table[0].output[0]) == {"boxes", "labels", "scores"}
    assert table.parameters == sum(p.numel() for p in model.parameters())
