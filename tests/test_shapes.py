"""`snippets.shapes` says what torch itself would say, and changes nothing."""

from __future__ import annotations

import contextlib
import copy
import gc
import itertools
import random
import re
import weakref
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
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
        ((5,), "a-b", '"a-b" in the pattern "a-b" is no number, name'),
        ((5,), "-5", '"-5" in the pattern'),
        ((5,), "²", '"²" in the pattern'),
        ((5,), "... ...", '"..." more than once'),
    ],
)
def test_check_shape_says_which_dimension_is_wrong(shape, pattern, message):
    """The error holds the shape, the pattern, the dimension and the name."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_shape(torch.zeros(shape), pattern)


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
    assert trace_shapes(layer, shape)[0].multiply_adds == expected


# --------------------------------------------------------------------------- mismatches


def wrong_network(layer):
    body = nn.Sequential(OrderedDict(layer=layer))
    return nn.Sequential(OrderedDict(before=nn.Identity(), body=body))


MISMATCHES = [
    (nn.Linear(5, 2), (4, 6), 5, 6, "Linear(in_features=6, ...) would fit"),
    (nn.Linear(24, 2), (4, 6, 4), 24, 4, "flatten(input, 1), of shape (4, 24), would"),
    (nn.Conv2d(3, 4, 1), (2, 5, 8, 8), 3, 5, "Conv2d(in_channels=5, ...) would fit"),
    (nn.Conv1d(3, 4, 1), (5, 8), 3, 5, "Conv1d(in_channels=5, ...) would fit"),
    (nn.Conv2d(3, 4, 1), (2, 5), 4, 2, "A tensor of 4 dims would fit"),
    (nn.Conv2d(3, 4, 5, padding=1), (2, 3, 9, 2), (3, 3), (9, 2), "a smaller kernel"),
    (nn.ConvTranspose2d(3, 4, 1), (2, 5, 8, 8), 3, 5, "ConvTranspose2d(in_channels=5"),
    (nn.BatchNorm2d(3), (2, 5, 4, 4), 3, 5, "BatchNorm2d(num_features=5, ...) would"),
    (nn.InstanceNorm1d(3, affine=True), (2, 5, 4), 3, 5, "(num_features=5, ...) would"),
    (nn.GroupNorm(1, 3), (2, 5, 4), 3, 5, "GroupNorm(num_channels=5, ...) would fit"),
    (nn.LayerNorm((3, 4)), (2, 3, 5), (3, 4), (3, 5), "LayerNorm((3, 5)) would fit"),
    (nn.LSTM(3, 4), (5, 2, 6), 3, 6, "LSTM(input_size=6, ...) would fit"),
    (nn.GRUCell(3, 4), (2, 6), 3, 6, "GRUCell(input_size=6, ...) would fit"),
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
        trace_shapes(nn.Bilinear(5, 6, 2), (4, 6), (4, 6))
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

    with pytest.raises(ShapeError, match="cannot be multiplied") as caught:
        trace_shapes(Product(), (2, 3))
    assert (caught.value.path, caught.value.previous) == ("", None)
    assert (caught.value.expected, caught.value.given) == (5, 3)


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
        trace_shapes(nn.Linear(3, 2), (2, 3), mask=None)
    assert caught.value.__notes__ == ["trace_shapes: in (model) (Linear)"]


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


# ------------------------------------------------------------------- real architectures


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", (1, 3, 64, 64)),
        ("mobilenet_v3_small", (1, 3, 64, 64)),
        ("vit_b_16", (1, 3, 224, 224)),
        ("swin_t", (1, 3, 64, 64)),
        ("googlenet", (1, 3, 64, 64)),
        ("inception_v3", (1, 3, 96, 96)),
    ],
)
def test_trace_shapes_of_torchvision_classifiers(name, size):
    """Each has 1000 outputs, all its parameters, and is built on the meta device."""
    models = pytest.importorskip("torchvision.models")
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = models.get_model(name, weights=None, **options)
    table = trace_shapes(model, size)
    assert table[0].output == (1, 1000)
    assert table.parameters == sum(p.numel() for p in model.parameters())
    rows = {row.path for row in table}
    leaves = {p for p, m in model.named_modules() if not any(m.children())}
    assert leaves <= rows


def test_trace_shapes_of_resnet18_equals_a_real_forward():
    """Shapes of all calls, bit-equal weights, flags and hooks, on real weights."""
    models = pytest.importorskip("torchvision.models")
    model = models.resnet18(weights=None).train()
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
    detection = pytest.importorskip("torchvision.models.detection")
    model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, min_size=64, max_size=64
    )
    before = snapshot(model)
    table = trace_shapes(model, [(3, 64, 48)])
    assert_unchanged(before, model)
    assert set(table[0].output[0]) == {"boxes", "labels", "scores"}
    assert table.parameters == sum(p.numel() for p in model.parameters())
