"""See and check shapes: of one tensor, of one layer's output, of a whole network.

`trace_shapes` shows what goes into and out of each layer without computing a single
number, `check_shape` states in words what a shape should be, and `conv_output_size`
says what a convolution or pooling layer makes of a length.
"""

from __future__ import annotations

import copy
import html
import operator
import random
import re
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

__all__ = [
    "ShapeError",
    "ShapeRow",
    "ShapeTable",
    "check_shape",
    "conv_output_size",
    "trace_shapes",
]


# ----------------------------------------------------------------- one layer's output


_Size = TypeVar("_Size", int, tuple[int, ...])


def conv_output_size(
    size: _Size,
    kernel_size: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: int | str | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
) -> _Size:
    """Compute the size that a convolution or pooling layer makes of a size.

    Parameters
    ----------
    size : int or tuple of int
        One length, or one for each dimension: ``(height, width)``.
    kernel_size : int or tuple of int
        As given to the layer; one number stands for every dimension, here and below.
    stride : int or tuple of int, optional
        The step of the window. For a pooling layer left to its default, give its
        kernel size.
    padding : int, str or tuple of int, optional
        What is added on either side; or ``"valid"`` or ``"same"``, as the convolution
        layers take them.
    dilation : int or tuple of int, optional
        The step between the elements of the kernel.
    ceil_mode : bool, optional
        As given to a pooling layer: count a last window that is not full.

    Returns
    -------
    int or tuple of int
        One length if ``size`` is one, otherwise one for each dimension.

    Raises
    ------
    ValueError
        If the window does not fit even once, if an argument is out of range, or if two
        arguments have different numbers of dimensions.

    References
    ----------
    The formula stands in the documentation of `torch.nn.Conv2d`, the rule for
    ``ceil_mode`` in that of `torch.nn.MaxPool2d`.

    Examples
    --------
    >>> conv_output_size(32, 5)
    28
    >>> conv_output_size((224, 200), 7, stride=2, padding=3)
    (112, 100)
    >>> conv_output_size(2, 3)
    Traceback (most recent call last):
    ...
    ValueError: a window of 3 (kernel_size=3, dilation=1) does not fit into a size of \
2 (size=2, padding=0): use a smaller kernel, more padding or a larger input
    """
    dims = 1 if isinstance(size, int) else len(size)
    options = {
        "size": size,
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    columns = [_for_each_dim(name, value, dims) for name, value in options.items()]
    counts = [_window_count(*row, ceil=ceil_mode) for row in zip(*columns, strict=True)]
    return counts[0] if isinstance(size, int) else tuple(counts)


def _for_each_dim(name: str, value: int | str | Sequence[int], dims: int) -> list[Any]:
    if isinstance(value, int | str):
        return [value] * dims
    if len(value) != dims:
        raise ValueError(
            f"{name} has {len(value)} numbers, size has {dims}: give one number, or "
            "one for each dimension"
        )
    return list(value)


def _window_count(
    size: int,
    kernel: int,
    stride: int,
    padding: int | str,
    dilation: int,
    *,
    ceil: bool,
) -> int:
    numbers = {"size": size, "kernel_size": kernel, "stride": stride}
    for name, value in (numbers | {"dilation": dilation}).items():
        if value < 1:
            raise ValueError(f"{name} is {value}, but it must be at least 1")
    if padding == "same":
        if stride != 1:
            raise ValueError(f'padding="same" needs stride=1, but stride is {stride}')
        return size
    border = 0 if padding == "valid" else padding
    if isinstance(border, str) or border < 0:
        raise ValueError(
            f'padding is {border!r}: give a number from 0 up, "valid" or "same"'
        )
    window = dilation * (kernel - 1) + 1
    room = size + 2 * border - window
    count = (room + (stride - 1 if ceil else 0)) // stride + 1
    # A last window that starts in the padding on the right would see no input at all.
    if ceil and (count - 1) * stride >= size + border:
        count -= 1
    if count < 1:
        raise ValueError(
            f"a window of {window} (kernel_size={kernel}, dilation={dilation}) does "
            f"not fit into a size of {size + 2 * border} (size={size}, "
            f"padding={border}): use a smaller kernel, more padding or a larger input"
        )
    return count


# ------------------------------------------------------------------- one tensor's shape


def check_shape(
    tensor: Tensor, pattern: str, sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Check a tensor's shape against words, and learn what the words stand for.

    Parameters
    ----------
    tensor : torch.Tensor
        Any shape, any dtype, any device.
    pattern : str
        One word for each dimension, with spaces between: a number is that size, a name
        is one size wherever it occurs, ``_`` is any size. One ``...`` stands for any
        number of dimensions, none included. The empty pattern is a single number.
    sizes : collections.abc.Mapping of str to int, optional
        What names stand for already: the result of an earlier call. It stays as it is.

    Returns
    -------
    dict of str to int
        ``sizes`` and the names of this pattern, each with its size.

    Raises
    ------
    ValueError
        If the shape does not match the pattern, or if the pattern cannot be read.
    TypeError
        If ``tensor`` is not a tensor.

    Examples
    --------
    >>> images, scores = torch.zeros(8, 3, 32, 32), torch.zeros(8, 10)
    >>> sizes = check_shape(images, "batch channels 32 32")
    >>> sizes
    {'batch': 8, 'channels': 3}
    >>> check_shape(scores, "batch classes", sizes)
    {'batch': 8, 'channels': 3, 'classes': 10}
    >>> check_shape(scores[:7], "batch 10", sizes)
    Traceback (most recent call last):
    ...
    ValueError: shape (7, 10) does not match "batch 10": dimension 0 (batch) is 7, \
but batch is 8
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"check_shape takes a tensor, not {type(tensor).__name__}")
    shape = tuple(tensor.shape)
    words = _read_pattern(pattern)
    found = dict(sizes or {})
    for dim, word in _pair_with_dims(words, shape, pattern):
        expected = int(word) if word.isdecimal() else found.get(word, shape[dim])
        if shape[dim] != expected:
            reason = f"it should be {word}"
            if not word.isdecimal():
                reason = f"{word} is {expected}"
            raise ValueError(
                f'shape {shape} does not match "{pattern}": dimension {dim} ({word}) '
                f"is {shape[dim]}, but {reason}"
            )
        if not word.isdecimal() and word != "_":
            found[word] = shape[dim]
    return found


def _read_pattern(pattern: str) -> list[str]:
    words = pattern.split()
    for word in words:
        number = word.isascii() and word.isdecimal()
        if not (number or word == "..." or word.isidentifier()):
            raise ValueError(
                f'"{word}" in the pattern "{pattern}" is no number, name, "_" or '
                '"...": write the dimensions with spaces between them'
            )
    if words.count("...") > 1:
        raise ValueError(f'the pattern "{pattern}" has "..." more than once: keep one')
    return words


def _pair_with_dims(
    words: list[str], shape: tuple[int, ...], pattern: str
) -> list[tuple[int, str]]:
    named = len(words) - words.count("...")
    at_least = "at least " if "..." in words else ""
    if len(shape) < named or (not at_least and len(shape) > named):
        raise ValueError(
            f'shape {shape} does not match "{pattern}": it has {len(shape)} '
            f"dimensions, but the pattern has {at_least}{named}"
        )
    if not at_least:
        return list(enumerate(words))
    before = words.index("...")
    after = words[before + 1 :]
    first = len(shape) - len(after)
    return [*enumerate(words[:before]), *enumerate(after, start=first)]


# -------------------------------------------------------------------- a whole network


class ShapeError(ValueError):
    """A layer was given a shape or a dtype that it cannot take.

    Attributes
    ----------
    path : str
        The layer's name as in `torch.nn.Module.named_modules`; ``""`` is the model.
    expected : object
        What the layer can take: a number of features or channels, a shape, a
        `torch.dtype`; None where it is not known.
    given : object
        What it was given in that place; None where it is not known.
    previous : str or None
        The path of the layer whose output this layer was given, or that ran before it.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        expected: object = None,
        given: object = None,
        previous: str | None = None,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.expected = expected
        self.given = given
        self.previous = previous


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One call of one layer, or a layer that is never called.

    Attributes
    ----------
    path : str
        The layer's name as in `torch.nn.Module.named_modules`; ``""`` is the model.
    type : str
        The name of the layer's class.
    input, output : object
        A `torch.Size` where there is one tensor. Several are a tuple or dict of such.
        Other values stand as they are if they are None, numbers or strings, otherwise
        as the name of their type.
    parameters : int
        Number of elements in the parameters that the layer itself holds, not its
        children. A parameter that has been counted in a row above is not counted again.
    multiply_adds : int or None
        Multiplications, each with its addition, of this layer alone, or None where they
        are not known. Known are linear, bilinear, convolution, recurrent and multi-head
        attention layers. Biases and element-wise work are not counted.
    called : bool
        False if the forward pass never calls the layer as a module: ``input`` and
        ``output`` are then None.
    """

    path: str
    type: str
    input: Any
    output: Any
    parameters: int
    multiply_adds: int | None
    called: bool = True


class ShapeTable(tuple[ShapeRow, ...]):
    """A tuple of rows that prints as a table and shows as one in a notebook.

    Rows stand in the order of the calls, a layer before its children. Layers that are
    never called come last, except those that only hold others.
    """

    @property
    def parameters(self) -> int:
        """Elements of all parameters, shared ones counted once."""
        return sum(row.parameters for row in self)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all rows where they are known."""
        return sum(row.multiply_adds or 0 for row in self)

    def __str__(self) -> str:
        rows = [_HEADINGS, *(_cells(row) for row in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if place >= _FIRST_NUMBER else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], *self._sum])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{text}</th>" for text in _HEADINGS)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(c)}</td>" for c in _cells(row))
            + "</tr>"
            for row in self
        )
        return (
            f"<table><caption>{'<br>'.join(self._sum)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    @property
    def _sum(self) -> list[str]:
        return [
            f"Parameters: {self.parameters:,}",
            f"Multiply-adds where known: {self.multiply_adds:,}",
        ]


_HEADINGS = ("Layer", "Type", "Input", "Output", "Parameters", "Multiply-adds")
_FIRST_NUMBER = 4


def _cells(row: ShapeRow) -> tuple[str, ...]:
    return (
        row.path or "(model)",
        row.type,
        _text(row.input) if row.called else "not called",
        _text(row.output) if row.called else "",
        f"{row.parameters:,}" if row.parameters else "-",
        "-" if row.multiply_adds is None else f"{row.multiply_adds:,}",
    )


def _text(value: object) -> str:
    """Write a description: shapes as (2, 3), several of them in square brackets."""
    if isinstance(value, torch.Size):
        return str(tuple(value))
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        items = (f"{key}: {_text(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    return str(value)


def trace_shapes(model: nn.Module, *inputs_or_sizes: Any, **kwargs: Any) -> ShapeTable:
    """Show what goes into and comes out of each layer of a network.

    A copy of the network runs on the meta device, where tensors have shapes and no
    numbers: no weight is copied and nothing is computed. If the network looks at values
    to decide what to do next, a full copy runs instead, which takes the memory of its
    weights once more. Both run in evaluation mode and without gradients.

    The network itself is never run. Its weights, buffers, modes, hooks and attributes,
    the inputs and the random number generators of Python, NumPy and torch stay as they
    are, also after an error. Your own hooks run in the copy.

    Parameters
    ----------
    model : torch.nn.Module
        Any network, on any device, the meta device included.
    *inputs_or_sizes : object
        What the network is called with. A tuple or list of integers, however deep in a
        tuple, list or dict it stands, is a size and becomes a tensor of the dtype of
        the network's first floating-point parameter: ``(2, 3, 224, 224)`` is a batch of
        two images. Whole-number inputs, such as words, are given as tensors. Numbers
        that are no size are passed on beside other inputs, or by name.
    **kwargs : object
        More of the same, by name.

    Returns
    -------
    ShapeTable
        A tuple of `ShapeRow`: ``print`` it, or let a notebook show it.

    Raises
    ------
    ShapeError
        If a layer is given a shape or a dtype that it cannot take, or if a forward pass
        fails with another error of torch; it says in which layer.
    TypeError
        If the network cannot be copied, or is given a bare number or an array that it
        does not take.

    Notes
    -----
    On the meta device all tensors count as on one device, and indices out of range go
    unnoticed: a table is no proof that the network runs. What torch loads at the first
    use of the meta device takes a second or two, once in a process. Making an optimizer
    or importing torchvision loads the same.

    References
    ----------
    `Meta device <https://docs.pytorch.org/docs/stable/meta.html>`__ in PyTorch's
    documentation.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 5), nn.Flatten(), nn.Linear(2304, 10))
    >>> print(trace_shapes(model, (2, 1, 28, 28)))
    Layer    Type        Input           Output          Parameters  Multiply-adds
    ------------------------------------------------------------------------------
    (model)  Sequential  (2, 1, 28, 28)  (2, 10)                  -              -
    0        Conv2d      (2, 1, 28, 28)  (2, 4, 24, 24)         104        115,200
    1        Flatten     (2, 4, 24, 24)  (2, 2304)                -              -
    2        Linear      (2, 2304)       (2, 10)             23,050         46,080
    Parameters: 23,154
    Multiply-adds where known: 161,280
    >>> trace_shapes(model, (2, 1, 32, 32))
    Traceback (most recent call last):
    ...
    snippets.shapes.ShapeError: 2 (Linear) expects in_features=2304, but its input of \
shape (2, 3136) has 3136. The layer before it is 1 (Flatten), with output (2, 3136). \
Linear(in_features=3136, ...) would fit.
    """
    if inputs_or_sizes and all(type(value) is int for value in inputs_or_sizes):
        given = ", ".join(map(str, inputs_or_sizes))
        size = f"({given})" if inputs_or_sizes[1:] else f"(1, {given})"
        raise TypeError(f"{given} is no shape: give a tuple such as {size}")
    tensors = [*model.parameters(), *_tensors_in((inputs_or_sizes, kwargs))]
    with _random_states_kept(tensors), torch.no_grad():
        try:
            return _run(model, inputs_or_sizes, kwargs, on_meta=True)
        except Exception as error:
            # A size that a layer cannot take is final. Anything else may be due to the
            # meta device itself, so that only a real run can tell.
            final = isinstance(error, ShapeError) and error.expected is not None
            if final or any(parameter.is_meta for parameter in model.parameters()):
                raise
        return _run(model, inputs_or_sizes, kwargs, on_meta=False)


def _run(
    model: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], *, on_meta: bool
) -> ShapeTable:
    copied = _copy_model(model, on_meta=on_meta)
    args = _copy_inputs(inputs, model, on_meta=on_meta)
    named = _copy_inputs(kwargs, model, on_meta=on_meta)
    recorder = _Recorder(copied)
    # A tensor that the forward pass creates belongs with the others.
    device = torch.device("meta") if on_meta else nullcontext()
    try:
        with device, recorder.operations:
            copied(*args, **named)
    except ShapeError:
        raise
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        raise recorder.explain(error) from error
    except Exception as error:
        for value in (*inputs, *kwargs.values()):
            if hasattr(value, "__array__") and not isinstance(value, Tensor):
                raise TypeError(_array_advice(value)) from error
        error.add_note(f"trace_shapes: in {recorder.where()}")
        raise
    finally:
        recorder.let_go()
    return recorder.table()


@contextmanager
def _random_states_kept(tensors: list[Tensor]) -> Iterator[None]:
    numpy_random = sys.modules.get("numpy.random")
    python_state = random.getstate()
    numpy_state = numpy_random.get_state() if numpy_random else None
    places = {t.device.index for t in tensors if t.is_cuda}
    with torch.random.fork_rng(devices=sorted(places)):
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy_random:
                numpy_random.set_state(numpy_state)


def _copy_model(model: nn.Module, *, on_meta: bool) -> nn.Module:
    """Copy the structure, each tensor replaced once, so that shared ones stay shared.

    A copy, instead of hooks on the network itself, also keeps its plain attributes.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            # deepcopy is slow at empty ones, and each module holds a dozen of them.
            if type(value) in (dict, OrderedDict, set) and not value:
                memo[id(value)] = type(value)()
            for tensor in _tensors_in(value):
                if id(tensor) not in memo:
                    memo[id(tensor)] = _copy_tensor(tensor, on_meta=on_meta)
    try:
        copied = copy.deepcopy(model, memo)
    except Exception as error:
        raise TypeError(
            f"trace_shapes works on a copy of the model, and {type(model).__name__} "
            f"cannot be copied: copy.deepcopy says: {error}"
        ) from error
    for module in copied.modules():
        module.training = False
    return copied


def _tensors_in(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in _tensors_in(item)]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _tensors_in(item)]
    return []


def _copy_tensor(tensor: Tensor, *, on_meta: bool) -> Tensor:
    if is_lazy(tensor):
        device = "meta" if on_meta else tensor.device
        kind: Any = type(tensor)
        lazy: Tensor = kind(
            requires_grad=tensor.requires_grad, device=device, dtype=tensor.dtype
        )
        return lazy
    new = tensor.detach()
    new = torch.empty_like(new, device="meta") if on_meta else new.clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(new, requires_grad=tensor.requires_grad)
    return new


def _copy_inputs(value: Any, model: nn.Module, *, on_meta: bool) -> Any:
    if isinstance(value, Tensor):
        return _copy_tensor(value, on_meta=on_meta)
    if _is_size(value):
        return _new_input(value, model, on_meta=on_meta)
    if isinstance(value, Mapping):
        same: Any = copy.copy(value)
        for key, item in value.items():
            same[key] = _copy_inputs(item, model, on_meta=on_meta)
        return same
    if isinstance(value, tuple | list):
        parts = [_copy_inputs(item, model, on_meta=on_meta) for item in value]
        # A named tuple takes its fields one by one.
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return copy.deepcopy(value)


def _array_advice(array: Any) -> str:
    # Not before it failed: some networks take arrays.
    return (
        f"an input is a {type(array).__name__}, which the network does not take: give "
        f"torch.as_tensor(...) of it, or its shape {tuple(array.shape)}"
    )


def _is_size(value: object) -> bool:
    if not isinstance(value, (tuple, list)):
        return False
    numbers = len(value) > 0 and all(type(n) is int for n in value)
    return numbers or isinstance(value, torch.Size)


def _new_input(size: Sequence[int], model: nn.Module, *, on_meta: bool) -> Tensor:
    example = next((p for p in model.parameters() if p.is_floating_point()), None)
    dtype = torch.get_default_dtype() if example is None else example.dtype
    if on_meta:
        return torch.empty(tuple(size), dtype=dtype, device="meta")
    device = torch.get_default_device() if example is None else example.device
    # Different numbers, the same ones every time.
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(tuple(size), generator=generator, device="cpu")
    return values.to(device=device, dtype=dtype)


@dataclass(eq=False)
class _Call:
    """A call of a module that has begun."""

    module: nn.Module
    path: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    input: Any = None
    output: Any = None
    multiply_adds: int | None = None
    calls_others: bool = False


class _Operations(TorchFunctionMode):
    """Remembers what an operation of torch that failed was given."""

    error: Exception | None = None
    tensors: Sequence[Tensor] = ()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func is batch_norm and _keeps_its_shape(*args, **named):
            return torch.empty_like(args[0])
        try:
            return func(*args, **named)
        except Exception as error:
            self.error, self.tensors = error, _tensors_in((args, named))
            raise


def _keeps_its_shape(x: Tensor, *args: Any, training: bool, **kwargs: Any) -> bool:
    """Tell if a batch norm is an easy one: on meta, torch takes ten steps for each."""
    if training or not x.is_meta or x.dim() < 2:
        return False
    sizes = [len(t) for t in (*args, *kwargs.values()) if isinstance(t, Tensor)]
    return sizes.count(x.shape[1]) == len(sizes) >= 2


@dataclass(eq=False)
class _Recorder:
    """Writes down what each module of a network is given and gives back."""

    model: nn.Module
    calls: list[_Call] = field(default_factory=list)
    open: list[_Call] = field(default_factory=list)
    last: _Call | None = None
    makers: dict[int, tuple[weakref.ref[Tensor], _Call]] = field(default_factory=dict)
    paths: dict[nn.Module, list[str]] = field(default_factory=dict)
    times: dict[nn.Module, int] = field(default_factory=dict)
    hooks: list[RemovableHandle] = field(default_factory=list)
    operations: _Operations = field(default_factory=_Operations)

    def __post_init__(self) -> None:
        for path, module in self.model.named_modules(remove_duplicate=False):
            self.paths.setdefault(module, []).append(path)
        for module in self.paths:
            self.hooks += [
                module.register_forward_pre_hook(self.begin, with_kwargs=True),
                module.register_forward_hook(self.end, with_kwargs=True),
            ]

    def let_go(self) -> None:
        """Break the circle of model and recorder, so that the copy is freed at once."""
        for hook in self.hooks:
            hook.remove()
        self.operations.error = None

    def begin(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        call = _Call(module, self.path_of(module), args, kwargs)
        call.input = _describe_arguments(args, kwargs)
        if self.open:
            self.open[-1].calls_others = True
        self.calls.append(call)
        self.open.append(call)
        wrong = _silent_mismatch(module, _first_tensor(args, kwargs))
        if wrong:
            raise self.error(call, wrong)

    def end(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
    ) -> None:
        # A call that raised, and whose error the network caught, is still open.
        while (call := self.open.pop()).module is not module:
            pass
        call.output = _describe(out)
        call.multiply_adds = _multiply_adds(module, args, kwargs, out)
        # Kept no longer than needed: in a real run these are the activations.
        call.args, call.kwargs = (), {}
        for tensor in _tensors_in(out):
            maker = self.maker_of(tensor)
            if not call.calls_others or maker is None:
                self.makers[id(tensor)] = (weakref.ref(tensor), call)
        if not call.calls_others:
            self.last = call

    def path_of(self, module: nn.Module) -> str:
        """Tell by which of its names a shared module is called: they take turns."""
        names = self.paths[module]
        if self.open:
            caller = self.open[-1].path
            inside = [n for n in names if not caller or n.startswith(caller + ".")]
            names = inside or names
        turn = self.times.get(module, 0)
        self.times[module] = turn + 1
        return names[turn % len(names)]

    def maker_of(self, tensor: Tensor | None) -> _Call | None:
        reference, call = self.makers.get(id(tensor), (None, None))
        return call if reference is not None and reference() is tensor else None

    def where(self) -> str:
        return _name(self.open[-1]) if self.open else "the model"

    def explain(self, error: Exception) -> ShapeError:
        """Say in terms of the network what an error of torch means."""
        if not self.open:
            return ShapeError(f"the model stopped before its first layer: {error}")
        for call in self.suspects(error):
            wrong = _mismatch(call.module, _first_tensor(call.args, call.kwargs))
            if wrong:
                return self.error(call, wrong)
        return self.error(self.open[-1], _read_message(str(error)))

    def suspects(self, error: Exception) -> list[_Call]:
        """List the layers whose weights the failed operation used, then the open one.

        A weight may be used without a call of its layer, and a layer may do something
        to its input first, so that what counts is what the operation was given.
        """
        current, calls = self.open[-1], []
        if self.operations.error is error:
            owners = {id(p): m for m in self.paths for p in m.parameters(recurse=False)}
            tensors = self.operations.tensors
            given = tuple(t for t in tensors if id(t) not in owners)
            for module in dict.fromkeys(
                owners[id(t)] for t in tensors if id(t) in owners
            ):
                path = self.paths[module][0]
                if module is current.module:
                    path = current.path
                calls.append(_Call(module, path, given, {}))
        return [*calls, current] if _runs_as_written(current.module) else calls

    def error(self, call: _Call, wrong: _Mismatch) -> ShapeError:
        sentences = [f"{_name(call)} {wrong.sentence}."]
        tensor = _first_tensor(call.args, call.kwargs)
        before = self.maker_of(tensor) or self.last
        if before is not None:
            output = _text(before.output)
            sentences.append(
                f"The layer before it is {_name(before)}, with output {output}."
            )
        if wrong.advice:
            sentences.append(f"{wrong.advice}.")
        return ShapeError(
            " ".join(sentences),
            path=call.path,
            expected=wrong.expected,
            given=wrong.given,
            previous=None if before is None else before.path,
        )

    def table(self) -> ShapeTable:
        counted: set[int] = set()
        rows = [_row(call, counted) for call in self.calls]
        called = {call.module for call in self.calls}
        for module, (path, *_) in self.paths.items():
            own = any(True for _ in module.parameters(recurse=False))
            if module not in called and (own or not any(module.children())):
                rows.append(_row(_Call(module, path, (), {}), counted, called=False))
        return ShapeTable(rows)


def _row(call: _Call, counted: set[int], *, called: bool = True) -> ShapeRow:
    parameters = 0
    for parameter in call.module.parameters(recurse=False):
        if id(parameter) not in counted and not is_lazy(parameter):
            parameters += parameter.numel()
        counted.add(id(parameter))
    kind = type(call.module).__name__
    known = call.multiply_adds
    return ShapeRow(call.path, kind, call.input, call.output, parameters, known, called)


def _name(call: _Call) -> str:
    return f"{call.path or '(model)'} ({type(call.module).__name__})"


def _describe(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, Mapping):
        return {key: _describe(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_describe(item) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return type(value).__name__


def _describe_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not kwargs:
        return _describe(args[0] if len(args) == 1 else args)
    return _describe((*args, kwargs) if args else kwargs)


def _first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    return next(iter(_tensors_in((args, kwargs))), None)


# ---------------------------------------------------------------- what a layer can take


@dataclass(frozen=True)
class _Mismatch:
    """Why a layer refuses an input: the end of a sentence that starts with its name."""

    sentence: str
    expected: object = None
    given: object = None
    advice: str = ""


def _silent_mismatch(module: nn.Module, tensor: Tensor | None) -> _Mismatch | None:
    """Find what torch refuses on a real device but lets pass on the meta device."""
    if tensor is None or not _runs_as_written(module):
        return None
    wrong = _mismatch(module, tensor) if isinstance(module, _ConvNd) else None
    return wrong or _dtype_mismatch(module, tensor)


_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


def _runs_as_written(module: nn.Module) -> bool:
    """Tell if a layer has torch's own forward pass, not one of a subclass."""
    return type(module).forward.__module__.startswith("torch.nn.modules")


def _dtype_mismatch(module: nn.Module, tensor: Tensor) -> _Mismatch | None:
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return _index_mismatch(tensor)
    # Not module.weight: reading it would run a parametrization.
    weight = module._parameters.get("weight")
    if weight is None or not isinstance(module, (nn.Linear, _ConvNd, *_NORMS)):
        return None
    if tensor.dtype == weight.dtype:
        return None
    autocast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    # Normalization takes half precision with weights in single precision.
    low = tensor.dtype in (torch.float16, torch.bfloat16)
    mixed = isinstance(module, _NORMS) and weight.dtype == torch.float32 and low
    if autocast or mixed:
        return None
    return _Mismatch(
        f"expects an input of dtype {weight.dtype}, as its weight, but is given "
        f"{tensor.dtype}",
        weight.dtype,
        tensor.dtype,
        f"Convert the input with .to({weight.dtype}), or the model",
    )


def _index_mismatch(tensor: Tensor) -> _Mismatch | None:
    if tensor.dtype in (torch.int64, torch.int32):
        return None
    return _Mismatch(
        f"expects whole numbers of dtype {torch.int64}, but is given {tensor.dtype}",
        torch.int64,
        tensor.dtype,
        f"A tensor such as torch.zeros({tuple(tensor.shape)}, dtype=torch.int64) would "
        "fit",
    )


def _mismatch(module: nn.Module, tensor: Tensor | None) -> _Mismatch | None:
    """Compare an input with what a layer of torch's own was built for."""
    if tensor is None:
        return None
    shape = tuple(tensor.shape)
    if isinstance(module, _ConvNd):
        return _conv_mismatch(module, shape)
    if isinstance(module, nn.LayerNorm):
        return _layer_norm_mismatch(module, shape)
    for kinds, option, dim in _EXPECTED_SIZES:
        if isinstance(module, kinds) and len(shape) >= (1 if dim < 0 else 2):
            return _compare(module, option, shape, dim)
    return None


_EXPECTED_SIZES: tuple[tuple[Any, str, int], ...] = (
    (nn.Linear, "in_features", -1),
    (nn.Bilinear, "in1_features", -1),
    ((nn.RNNBase, nn.RNNCellBase), "input_size", -1),
    (nn.MultiheadAttention, "embed_dim", -1),
    (_NormBase, "num_features", 1),
    (nn.GroupNorm, "num_channels", 1),
)


def _compare(
    module: nn.Module, option: str, shape: tuple[int, ...], dim: int
) -> _Mismatch | None:
    expected, given = int(getattr(module, option)), shape[dim]
    if given == expected:
        return None
    advice = f"{type(module).__name__}({option}={given}, ...) would fit"
    flat = torch.Size(shape[1:]).numel()
    if isinstance(module, nn.Linear) and len(shape) > 2 and flat == expected:
        advice = f"torch.flatten(input, 1), of shape ({shape[0]}, {flat}), would fit"
    sentence = (
        f"expects {option}={expected}, but its input of shape {shape} has {given}"
    )
    return _Mismatch(sentence, expected, given, advice)


def _conv_mismatch(module: _ConvNd, shape: tuple[int, ...]) -> _Mismatch | None:
    spatial = len(module.kernel_size)
    if len(shape) not in (spatial + 1, spatial + 2):
        sentence = (
            f"expects {spatial + 2} dimensions (batch, channels and {spatial} more), "
            f"but its input of shape {shape} has {len(shape)}"
        )
        return _Mismatch(sentence, spatial + 2, len(shape))
    wrong = _compare(module, "in_channels", shape, -spatial - 1)
    least, given = _least_size(module), shape[-spatial:]
    if wrong or all(map(operator.ge, given, least)):
        return wrong
    sentence = f"expects an input of at least {least}, but is given {given}"
    advice = "A smaller kernel, more padding or a larger input would fit"
    return _Mismatch(sentence, least, given, advice)


def _least_size(module: _ConvNd) -> tuple[int, ...]:
    """Compute what a kernel needs to fit in once."""
    kernel, border = module.kernel_size, module.padding
    if isinstance(module, _ConvTransposeNd) or border == "same":
        return (1,) * len(kernel)
    if isinstance(border, str):
        border = (0,) * len(kernel)
    rows = zip(kernel, module.dilation, border, strict=True)
    return tuple(max(step * (k - 1) + 1 - 2 * edge, 1) for k, step, edge in rows)


def _layer_norm_mismatch(
    module: nn.LayerNorm, shape: tuple[int, ...]
) -> _Mismatch | None:
    expected = tuple(module.normalized_shape)
    given = shape[-len(expected) :]
    if given == expected:
        return None
    return _Mismatch(
        f"expects normalized_shape={expected}, but its input of shape {shape} ends in "
        f"{given}",
        expected,
        given,
        f"LayerNorm({given}) would fit",
    )


# What torch says where no layer of its own is at fault.
_MESSAGES = (
    r"cannot be multiplied \(\d+x(?P<given>\d+) and (?P<expected>\d+)x",
    r"reduction dim, but got \[\d+, (?P<given>\d+)\] X \[(?P<expected>\d+),",
    r"to have (?P<expected>\d+) channels, but got (?P<given>\d+) channels",
    r"size of tensor a \((?P<expected>\d+)\) must .* tensor b \((?P<given>\d+)\)",
)


def _read_message(message: str) -> _Mismatch:
    sentence = f"stopped: {message.rstrip('.')}"
    for pattern in _MESSAGES:
        if found := re.search(pattern, message):
            return _Mismatch(sentence, int(found["expected"]), int(found["given"]))
    return _Mismatch(sentence)


# ------------------------------------------------------------------------ multiply-adds


def _multiply_adds(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> int | None:
    tensor = _first_tensor(args, kwargs)
    if tensor is None:
        return None
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        weights = (p for n, p in module.named_parameters() if n.startswith("weight"))
        steps = tensor.numel() // module.input_size
        return steps * sum(weight.numel() for weight in weights)
    if isinstance(module, nn.MultiheadAttention):
        return _attention_multiply_adds(module, args, kwargs)
    if isinstance(module, nn.Linear):
        return int(output.numel()) * module.in_features
    if isinstance(module, nn.Bilinear):
        return int(output.numel()) * module.in1_features * module.in2_features
    if isinstance(module, _ConvNd):
        # Each element of one side meets one window of the other.
        transposed = isinstance(module, _ConvTransposeNd)
        side = tensor if transposed else output
        channels = module.out_channels if transposed else module.in_channels
        window = torch.Size(module.kernel_size).numel()
        return int(side.numel()) * window * channels // module.groups
    return None


def _attention_multiply_adds(
    module: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> int:
    given = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
    query, key, value = given["query"], given["key"], given["value"]
    width = module.embed_dim
    along = -2 if module.batch_first or query.dim() == 2 else 0
    seen = key.shape[along] + (module.bias_k is not None) + int(module.add_zero_attn)
    projections = 2 * query.numel() * width + (key.numel() + value.numel()) * width
    return int(projections + 2 * query.numel() * seen)
