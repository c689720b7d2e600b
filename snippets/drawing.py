"""Draw tensors, shapes and memory with matplotlib.

Cells, boxes and memory strips for small tensors. Every function takes the axes to draw
on, or makes a figure of a fitting size, so one call is a picture.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

try:
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.colors import to_hex, to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon, Rectangle
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "snippets.drawing needs matplotlib, which is not installed. "
        "Run: python -m pip install matplotlib"
    ) from error

__all__ = ["draw_memory", "draw_shape", "draw_tensor", "draw_tensors"]

PALETTE = ("#8ecae6", "#ffb870", "#a3d9a5", "#e0b0e6", "#f2a3a3", "#d9cf7c")
"""Fill colors: light enough that dark numbers read well on any background."""

INK, PALE_INK, LINE = "#1a1a1a", "#575757", "#6b7280"
CELL_INCHES = 0.5
MAX_CELLS = 256
MEMORY_LABEL = 2.2  # room, in cells, for the word at the left of a strip


def draw_tensor(
    values: Tensor,
    *,
    title: str = "",
    groups: Tensor | None = None,
    color: str = PALETTE[0],
    ax: Axes | None = None,
) -> Axes:
    """Draw a tensor as a grid of cells, one number in each.

    A cell that reads a place in memory already read by an earlier cell is pale: this is
    what a broadcast or `torch.Tensor.expand` looks like.

    Parameters
    ----------
    values : torch.Tensor
        Shape (), (columns,), (rows, columns) or (blocks, rows, columns), any dtype, at
        most 256 elements. The blocks of three dimensions stand one below the other.
    title : str, optional
        Written above the cells.
    groups : torch.Tensor, optional
        Integers of the same shape as ``values``: cells of one group share a color, so
        that a result shows which of its sources each number came from.
    color : str, optional
        The fill color where there are no groups.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure of a fitting size if left out.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If ``values`` has more than three dimensions or more than 256 elements, or if
        ``groups`` has another shape.

    Examples
    --------
    >>> ax = draw_tensor(torch.tensor([[1, 2, 3]]).expand(2, 3), title="(2, 3)")
    >>> [text.get_text() for text in ax.texts]
    ['1', '2', '3', '1', '2', '3']
    """
    _check_drawable(values)
    if groups is not None and groups.shape != values.shape:
        raise ValueError(
            f"groups has shape {tuple(groups.shape)}, values {tuple(values.shape)}: "
            "give one group number for each element"
        )
    blocks, rows, columns = _grid_size(values.shape)
    height = blocks * rows + 0.5 * (blocks - 1)
    if ax is None:
        ax = _new_axes(columns, height)
    fills = _fill_colors(groups, color, values.numel())
    seen: set[int] = set()
    addresses = _memory_positions(values).flatten().tolist()
    for place, (number, address) in enumerate(
        zip(values.detach().cpu().flatten().tolist(), addresses, strict=True)
    ):
        block, row, column = _unravel(place, rows, columns)
        top = block * (rows + 0.5) + row
        _draw_cell(ax, column, top, _format(number), fills[place], pale=address in seen)
        seen.add(address)
    _frame(ax, max(columns, 1), max(height, 1), title)
    return ax


def draw_tensors(
    tensors: Mapping[str, Tensor], *, groups: Sequence[Tensor | None] | None = None
) -> Figure:
    """Draw tensors side by side, each with its title and a color of its own.

    Parameters
    ----------
    tensors : collections.abc.Mapping of str to torch.Tensor
        Title to tensor; see `draw_tensor` for the shapes.
    groups : collections.abc.Sequence of torch.Tensor or None, optional
        For each tensor its group numbers, or None: a number picks the color of the
        tensor at that place, so a result shows its sources.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, its cells of one size.

    Raises
    ------
    ValueError
        If there is nothing to draw, if ``groups`` has another length, or for a tensor
        that `draw_tensor` refuses.

    Examples
    --------
    >>> a, b = torch.zeros(1, 2), torch.ones(1, 2)
    >>> fig = draw_tensors({"a": a, "b": b, "both": torch.cat([a, b])})
    >>> [ax.get_title() for ax in fig.axes]
    ['a', 'b', 'both']
    """
    if not tensors:
        raise ValueError("no tensors to draw: give at least one title with its tensor")
    if groups is None:
        groups = [None] * len(tensors)
    if len(groups) != len(tensors):
        raise ValueError(f"{len(tensors)} tensors but {len(groups)} groups: give each")
    for values in tensors.values():
        _check_drawable(values)
    sizes = [_grid_size(values.shape) for values in tensors.values()]
    widths = [max(columns, 1.0) for _, _, columns in sizes]
    height = max(blocks * rows + 0.5 * (blocks - 1) for blocks, rows, _ in sizes)
    fig, axes = plt.subplots(
        1,
        len(tensors),
        figsize=_figure_size(sum(widths) + 1.2 * len(widths), height),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    for place, (title, values) in enumerate(tensors.items()):
        draw_tensor(
            values,
            title=title,
            groups=groups[place],
            color=PALETTE[place % len(PALETTE)],
            ax=axes[0, place],
        )
    return fig


def draw_shape(
    shape: Sequence[int], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw a shape as a box whose edges carry the sizes.

    One dimension is a row, two are a rectangle, three a block whose depth is the first
    dimension, four a row of such blocks. Long edges are drawn shortened.

    Parameters
    ----------
    shape : collections.abc.Sequence of int
        Up to four sizes, such as ``tensor.shape``; an empty shape is a single number.
    title : str, optional
        Written above the box.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if left out.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there are more than four sizes or one of them is negative.

    Examples
    --------
    >>> ax = draw_shape((3, 4), title="three rows of four")
    >>> sorted(text.get_text() for text in ax.texts)
    ['3', '4']
    """
    sizes = list(shape)
    if len(sizes) > 4 or any(size < 0 for size in sizes):
        raise ValueError(
            f"cannot draw the shape {tuple(sizes)}: "
            "expected up to four sizes, none of them negative"
        )
    width = _edge(sizes[-1]) if sizes else 1.0
    height = _edge(sizes[-2]) if len(sizes) > 1 else 1.0
    depth = 0.5 * _edge(sizes[-3]) if len(sizes) > 2 else 0.0
    copies = min(sizes[0], 3) if len(sizes) == 4 else 1
    step = width + depth + 0.7
    if ax is None:
        ax = _new_axes(copies * step + 1, height + depth + 1)
    for copy in range(copies):
        _draw_box(ax, copy * step, width, height, depth)
    for label, x, y in _edge_labels(sizes, width, height, depth, copies * step):
        ax.text(x, y, label, ha="center", va="center")
    _frame(ax, copies * step - 0.7, height + depth, title, margin=0.9)
    return ax


def draw_memory(tensors: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Draw tensors and arrays above the memory that they read.

    Tensors that share memory stand above one strip of cells; a copy has a strip of its
    own. A cell of a tensor has the color of the place in memory that it reads.

    Parameters
    ----------
    tensors : collections.abc.Mapping of str to torch.Tensor or numpy.ndarray
        Name to tensor or NumPy array, of one or two dimensions, on the CPU. The memory
        behind each may hold at most 24 elements.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure of a fitting size if left out.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If there is nothing to draw, or if a tensor is too large or not on the CPU.

    Examples
    --------
    >>> x = torch.arange(4)
    >>> ax = draw_memory({"x": x, "x.view(2, 2)": x.view(2, 2), "a copy": x.clone()})
    >>> sum(text.get_text() == "memory" for text in ax.texts)
    2
    """
    if not tensors:
        raise ValueError("no tensors to draw: give at least one name with its tensor")
    shared: dict[int, list[tuple[str, Tensor]]] = {}
    for name, values in tensors.items():
        tensor = _check_memory(name, torch.as_tensor(values).detach())
        shared.setdefault(tensor.untyped_storage().data_ptr(), []).append(
            (name, tensor)
        )
    widths, heights = zip(*map(_strip_extent, shared.values()), strict=True)
    width, height = max(widths), sum(heights)
    if ax is None:
        ax = _new_axes(width + MEMORY_LABEL, height - 1)
    top = 0.0
    for group, group_height in zip(shared.values(), heights, strict=True):
        _draw_strip(ax, group, top)
        top += group_height
    _frame(ax, width, height - 0.6, "")
    ax.set_xlim(left=-MEMORY_LABEL)
    return ax


def _draw_strip(ax: Axes, group: list[tuple[str, Tensor]], top: float) -> None:
    """Draw the tensors of one storage and, below them, the storage itself."""
    storage = _storage_values(group[0][1])
    colors = _gradient(len(storage))
    rows = max(_grid_size(tensor.shape)[1] for _, tensor in group)
    left = 0.0
    for name, tensor in group:
        _, height, columns = _grid_size(tensor.shape)
        shift = top + 0.8 + rows - height
        ax.text(left, shift - 0.2, name, va="bottom")
        places = _memory_positions(tensor).flatten().tolist()
        for place, address in enumerate(places):
            _, row, column = _unravel(place, height, columns)
            text = _format(storage[address])
            _draw_cell(ax, left + column, shift + row, text, colors[address])
        left += max(columns, len(name) * 0.24) + 0.8
    strip = top + rows + 1.6
    ax.text(-0.2, strip + 0.5, "memory", ha="right", va="center", style="italic")
    for address, number in enumerate(storage):
        _draw_cell(ax, address, strip, _format(number), colors[address])


def _strip_extent(group: list[tuple[str, Tensor]]) -> tuple[float, float]:
    """Return the width and height of one storage with its tensors, in cells."""
    grids = [_grid_size(tensor.shape) for _, tensor in group]
    across = sum(
        max(columns, len(name) * 0.24) + 0.8
        for (name, _), (_, _, columns) in zip(group, grids, strict=True)
    )
    stored = len(_storage_values(group[0][1]))
    return max(across - 0.8, stored), max(rows for _, rows, _ in grids) + 3.2


def _storage_values(tensor: Tensor) -> list[Any]:
    whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
    return list(whole.tolist())


def _check_memory(name: str, tensor: Tensor) -> Tensor:
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    if tensor.device.type != "cpu" or not 1 <= tensor.dim() <= 2 or stored > 24:
        raise ValueError(
            f"cannot draw {name!r}: expected one or two dimensions on the CPU and at "
            f"most 24 stored elements, got shape {tuple(tensor.shape)} on "
            f"{tensor.device} with {stored} stored"
        )
    return tensor


def _check_drawable(values: Tensor) -> None:
    if values.dim() > 3 or values.numel() > MAX_CELLS:
        raise ValueError(
            f"cannot draw a tensor of shape {tuple(values.shape)}: expected at most "
            f"three dimensions and {MAX_CELLS} elements. Draw a slice of it"
        )


def _grid_size(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return blocks, rows and columns for up to three dimensions."""
    blocks, rows, columns = [1] * (3 - len(shape)) + list(shape)
    return blocks, rows, columns


def _unravel(place: int, rows: int, columns: int) -> tuple[int, int, int]:
    return place // (rows * columns), place // columns % rows, place % columns


def _memory_positions(values: Tensor) -> Tensor:
    """Return, for each element, its position in the storage, counted in elements."""
    positions = torch.tensor(values.storage_offset())
    for size, stride in zip(values.shape, values.stride(), strict=True):
        positions = positions[..., None] + torch.arange(size) * stride
    return positions


def _fill_colors(groups: Tensor | None, color: str, count: int) -> list[str]:
    if groups is None:
        return [color] * count
    return [PALETTE[int(group) % len(PALETTE)] for group in groups.flatten().tolist()]


def _gradient(count: int) -> list[str]:
    """Return light colors that run around the color wheel, one for each place."""
    hues = [0.9 * place / count for place in range(count)]
    return [_lighten(to_hex(colorsys.hsv_to_rgb(hue, 1, 1)), 0.6) for hue in hues]


def _lighten(color: str, share: float) -> str:
    red, green, blue = (part + (1 - part) * share for part in to_rgb(color))
    return to_hex((red, green, blue))


def _format(number: Any) -> str:
    """Return the number in a few characters, so that it fits a cell."""
    if not isinstance(number, float) or not math.isfinite(number):
        return str(number)
    # Not 0.01: in 32 bits that number is a little less.
    if (number and abs(number) < 0.0095) or abs(number) >= 1000:
        digit, exponent = f"{number:.0e}".split("e")
        return f"{digit}e{int(exponent)}"
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _draw_cell(
    ax: Axes, left: float, top: float, text: str, fill: str, *, pale: bool = False
) -> None:
    face = _lighten(fill, 0.75) if pale else fill
    ax.add_patch(Rectangle((left, top), 1, 1, facecolor=face, edgecolor=LINE))
    ax.text(
        left + 0.5,
        top + 0.5,
        text,
        ha="center",
        va="center",
        color=PALE_INK if pale else INK,
        fontsize=min(10, 34 / len(text)),
    )


def _edge(size: int) -> float:
    """Return a drawn length: true to size up to 6, growing slowly beyond."""
    return float(size) if size <= 6 else 6 + math.log2(size / 6)


def _draw_box(ax: Axes, left: float, width: float, height: float, depth: float) -> None:
    """Draw a front face and, where there is depth, the top and the right side."""
    right, bottom = left + width, depth + height
    faces = [
        [(left, depth), (right, depth), (right, bottom), (left, bottom)],
        [(left, depth), (left + depth, 0), (right + depth, 0), (right, depth)],
        [
            (right, depth),
            (right + depth, 0),
            (right + depth, height),
            (right, bottom),
        ],
    ]
    shades = 0.0, 0.55, 0.3
    for face, shade in zip(faces if depth else faces[:1], shades, strict=False):
        fill = _lighten(PALETTE[0], shade)
        ax.add_patch(Polygon(face, facecolor=fill, edgecolor=LINE))


def _edge_labels(
    sizes: list[int], width: float, height: float, depth: float, across: float
) -> list[tuple[str, float, float]]:
    """Return text and place of each size: columns, rows, depth, number of blocks."""
    places = [
        (width / 2, depth + height + 0.45),
        (-0.45, depth + height / 2),
        (depth / 2 - 0.35, depth / 2 - 0.1),
        (across + 0.2, depth + height / 2),
    ]
    labels = [str(size) for size in reversed(sizes)]
    if len(sizes) == 4:
        labels[3] = f"× {sizes[0]}"
    return [(label, x, y) for label, (x, y) in zip(labels, places, strict=False)]


def _figure_size(width: float, height: float) -> tuple[float, float]:
    """Return inches for a drawing of so many cells: 6 wide at most."""
    scale = min(CELL_INCHES, 6 / width)
    return max(width * scale, 1.5), max((height + 1) * scale + 0.3, 1.0)


def _new_axes(width: float, height: float) -> Axes:
    _, ax = plt.subplots(figsize=_figure_size(width + 1, height), layout="constrained")
    return ax


def _frame(
    ax: Axes, width: float, height: float, title: str, *, margin: float = 0.1
) -> None:
    """Set limits in cells, the first row on top, and hide everything else."""
    ax.set_xlim(-margin, width + margin)
    ax.set_ylim(height + margin, -margin)
    ax.set_aspect("equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=11)
