"""Draw tensors, shapes, memory and graphs with matplotlib.

Cells, boxes and memory strips for small tensors, and the graph that autograd keeps.
Every function takes the axes to draw on, or makes a figure of a fitting size, so one
call is a picture.
"""

from __future__ import annotations

import colorsys
import math
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import accumulate, pairwise
from statistics import fmean
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import Node

try:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.colors import to_hex, to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "snippets.drawing needs matplotlib, which is not installed. "
        "Run: python -m pip install matplotlib"
    ) from error

__all__ = [
    "draw_graph",
    "draw_memory",
    "draw_shape",
    "draw_tensor",
    "draw_tensors",
    "show_pictures",
]

PALETTE = ("#8ecae6", "#ffb870", "#a3d9a5", "#e0b0e6", "#f2a3a3", "#d9cf7c")
"""Fill colors: light enough that dark numbers read well on any background."""

INK, PALE_INK, LINE = "#1a1a1a", "#575757", "#6b7280"
CELL_INCHES = 0.5
MAX_CELLS = 256
MEMORY_LABEL = 2.2  # room, in cells, for the word at the left of a strip
MAX_NODES = 30
NODE_GAP, ROW_GAP = 0.2, 0.32  # inches between the boxes of a graph
TEXT_SIZE, LINE_HEIGHT, TEXT_MARGIN = 10, 0.17, 0.1  # points, inches, inches

Place: TypeAlias = Node | tuple[int, int]
"""A node, or where a long arrow passes a row: the number of each."""

Box: TypeAlias = tuple[float, float, float, float]
"""Center, top, width and height of a place, in inches."""


def show_pictures() -> None:
    """Show the figures in windows, or save them and say where if none can open.

    On a machine with a screen, and in a notebook, this is `matplotlib.pyplot.show`.
    Where no window can open, as over SSH or in a container, that function loses the
    figures with a warning. This one saves them as PNG files in a new temporary folder,
    prints their paths and closes them. Whoever asked for a backend, in ``MPLBACKEND``
    or with ``matplotlib.use``, gets what it does.

    Examples
    --------
    >>> draw_tensor(torch.eye(2))
    <Axes: >
    >>> show_pictures()  # opens windows, and waits  # doctest: +SKIP
    """
    is_chosen = os.environ.get("MPLBACKEND") or not mpl.rcParams["backend_fallback"]
    if is_chosen or mpl.get_backend().lower() != "agg":
        plt.show()
        return
    folder = tempfile.mkdtemp(prefix="pictures-")
    name = os.path.basename(sys.argv[0]).removesuffix(".py") or "picture"
    print("No window can open here; saved instead:")
    for number in plt.get_fignums():
        path = os.path.join(folder, f"{name}-{number}.png")
        plt.figure(number).savefig(path)
        print(f"  {path}")
    plt.close("all")


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


def draw_graph(
    result: Tensor,
    *,
    names: Mapping[str, Tensor] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the graph that autograd keeps behind a tensor.

    Each operation that has a gradient is a gray box, with the name that autograd gives
    it. Each leaf that collects a gradient is a colored box with its shape. Arrows run
    in the order of the computation, from the leaves at the top down to the result;
    `torch.Tensor.backward` walks them the other way. What needs no gradient is not
    part of the graph, so it is not drawn. The names of operations differ a little from
    one version of PyTorch to the next.

    Parameters
    ----------
    result : torch.Tensor
        A tensor of any shape, dtype and device, computed from a tensor with
        ``requires_grad=True``; at most 30 operations and leaves are behind it.
    names : collections.abc.Mapping of str to torch.Tensor, optional
        What to call the leaves, and the tensors between them and the result. Others
        are called "leaf" and "result", or bear no name.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure of a fitting size if left out.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If ``result`` has no graph, if its graph is too large, or if a tensor of
        ``names`` is not part of it.

    Examples
    --------
    >>> w = torch.tensor([2.0, 3.0], requires_grad=True)
    >>> ax = draw_graph((w * 5).sum(), names={"w": w})
    >>> [text.get_text() for text in ax.texts]
    ['sum\nresult ()', 'mul', 'w (2,)']

    References
    ----------
    https://docs.pytorch.org/docs/stable/notes/autograd.html
    """
    inputs = _walk_graph(result)
    labels = _node_labels(result, inputs, names or {})
    boxes, arrows = _graph_layout(inputs, labels)
    width = max(center + across / 2 for center, _, across, _ in boxes.values())
    height = max(top + down for _, top, _, down in boxes.values())
    if ax is None:
        scale = min(1, 5.9 / (width + 0.2))
        size = max((width + 0.2) * scale + 0.1, 1.5), (height + 0.2) * scale + 0.1
        _, ax = plt.subplots(figsize=size, layout="constrained")
    _frame(ax, width, height, "")
    points = TEXT_SIZE * _fit_inches(ax)
    for node, label in labels.items():
        _draw_node(ax, boxes[node], label, points, is_leaf=_is_leaf(node))
    for arrow, shift in zip(arrows, _shifts(arrows), strict=True):
        _draw_arrow(ax, [boxes[place] for place in arrow], shift)
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


def _walk_graph(result: Tensor) -> dict[Node, list[Node]]:
    """Return each node behind a tensor with the nodes that its inputs come from."""
    if result.grad_fn is None:
        raise ValueError(
            f"no graph behind a tensor of shape {tuple(result.shape)}: its grad_fn is "
            "None. Give a tensor computed, outside torch.no_grad, from one with "
            "requires_grad=True"
        )
    # A node is known by its Python object, which lives as long as somebody holds it.
    inputs: dict[Node, list[Node]] = {}
    waiting = [result.grad_fn]
    while waiting:
        node = waiting.pop(0)
        if node not in inputs:
            inputs[node] = [
                source for source, _ in node.next_functions if source is not None
            ]
            waiting += inputs[node]
        if len(inputs) > MAX_NODES:
            raise ValueError(
                f"the graph is too large to draw: expected at most {MAX_NODES} "
                "operations and leaves. Draw the graph of an earlier result, or detach "
                "what you do not want to see"
            )
    return inputs


def _is_leaf(node: Node) -> bool:
    return node.name().endswith("AccumulateGrad")


def _leaf(node: Any) -> Tensor:
    """Return the tensor whose gradient a node collects."""
    leaf: Tensor = node.variable
    return leaf


def _operation(node: Node) -> str:
    """Return a readable name: "log_softmax" for LogSoftmaxBackward0."""
    name = node.name().split("::")[-1]
    if name.endswith("Backward"):  # written in Python: the class has a name of its own
        return name.removesuffix("Backward")
    name = re.sub(r"Backward\d+$", "", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _node_labels(
    result: Tensor, inputs: Mapping[Node, list[Node]], names: Mapping[str, Tensor]
) -> dict[Node, str]:
    """Return the lines of text for each node: its operation, its tensors' names."""
    named: dict[Node, list[str]] = {node: [] for node in inputs}
    for name, tensor in names.items():
        named[_node_of(name, tensor, inputs)].append(_name_and_shape(name, tensor))
    for node, texts in named.items():
        if not texts and _is_leaf(node):
            texts.append(_name_and_shape("leaf", _leaf(node)))
        elif not texts and node is result.grad_fn:
            texts.append(_name_and_shape("result", result))
        if not _is_leaf(node):
            texts.insert(0, _operation(node))
    return {node: "\n".join(texts) for node, texts in named.items()}


def _name_and_shape(name: str, tensor: Tensor) -> str:
    return f"{name} {tuple(tensor.shape)}"


def _node_of(name: str, tensor: Tensor, inputs: Mapping[Node, list[Node]]) -> Node:
    for node in inputs:
        if node is tensor.grad_fn or (_is_leaf(node) and _leaf(node) is tensor):
            return node
    why = "the result was not computed from it"
    if not tensor.requires_grad:
        why = "it does not require a gradient"
    raise ValueError(f"{name!r} is not in the graph: {why}. Leave it out of names")


def _graph_layout(
    inputs: Mapping[Node, list[Node]], labels: Mapping[Node, str]
) -> tuple[dict[Place, Box], list[list[Place]]]:
    """Return the box of each place, and for each arrow its places, source to target."""
    rows = _graph_rows(inputs)
    arrows = _arrows(inputs, rows)
    widths: dict[Place, float] = dict.fromkeys(rows, 0.0)
    heights = dict.fromkeys(rows.values(), 0.0)
    for node, label in labels.items():
        widths[node], height = _label_size(label)
        # All boxes of a row are as high as the highest, so that no arrow meets one.
        heights[rows[node]] = max(height, heights[rows[node]])
    centers = _columns(arrows, rows, widths)
    left = min(centers[place] - widths[place] / 2 for place in rows)
    boxes = {}
    for place, row in rows.items():
        top = sum(heights[above] + ROW_GAP for above in heights if above > row)
        boxes[place] = centers[place] - left, top, widths[place], heights[row]
    return boxes, arrows


def _graph_rows(inputs: Mapping[Node, list[Node]]) -> dict[Place, int]:
    """Return for each node its longest way to the result, which has 0."""
    leaves_first = list(TopologicalSorter(inputs).static_order())
    rows: dict[Place, int] = dict.fromkeys(leaves_first, 0)
    for node in reversed(leaves_first):
        for source in inputs[node]:
            rows[source] = max(rows[source], rows[node] + 1)
    return rows


def _arrows(
    inputs: Mapping[Node, list[Node]], rows: dict[Place, int]
) -> list[list[Place]]:
    """Return the places of each arrow, and add those where it passes a row."""
    arrows: list[list[Place]] = []
    for target, sources in inputs.items():
        for source in sources:
            passed = range(rows[source] - 1, rows[target], -1)
            between: dict[Place, int] = {(len(arrows), row): row for row in passed}
            arrows.append([source, *between, target])
            rows.update(between)
    return arrows


def _columns(
    arrows: list[list[Place]], rows: Mapping[Place, int], widths: Mapping[Place, float]
) -> dict[Place, float]:
    """Return the center of each place: above what it leads to, as near as it fits."""
    below: dict[Place, list[Place]] = {}
    for source, target in (step for arrow in arrows for step in pairwise(arrow)):
        below.setdefault(source, []).append(target)
    centers = {place: 0.0 for place, row in rows.items() if row == 0}
    for row in range(1, max(rows.values()) + 1):
        wanted = {
            place: fmean(centers[target] for target in targets)
            for place, targets in below.items()
            if rows[place] == row
        }
        # What ends at the same place keeps its order: the left operand is on the left.
        places = sorted(wanted, key=lambda place: round(wanted[place], 6))
        found = _spread([wanted[at] for at in places], [widths[at] for at in places])
        centers.update(zip(places, found, strict=True))
    return centers


def _spread(wanted: list[float], widths: list[float]) -> list[float]:
    """Return the centers nearest to those wanted, in order, that leave a gap."""
    steps = [(a + b) / 2 + NODE_GAP for a, b in pairwise(widths)]
    offsets = list(accumulate(steps, initial=0.0))
    # Boxes that would overlap become one block, at the mean of what they want.
    blocks: list[list[float]] = []
    for center, offset in zip(wanted, offsets, strict=True):
        blocks.append([center - offset])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = [fmean(block) for block in blocks for _ in block]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _label_size(label: str) -> tuple[float, float]:
    """Return width and height of a node's box, in inches."""
    lines = label.split("\n")
    points = max(
        TextPath((0, 0), line, size=TEXT_SIZE).get_extents().width for line in lines
    )
    return points / 72 + 2 * TEXT_MARGIN, len(lines) * LINE_HEIGHT + TEXT_MARGIN


def _shifts(arrows: list[list[Place]]) -> list[float]:
    """Return how far to the right each arrow goes, so that equals stand apart."""
    ends = [(arrow[0], arrow[-1]) for arrow in arrows]
    return [
        0.16 * (ends[:number].count(pair) - (ends.count(pair) - 1) / 2)
        for number, pair in enumerate(ends)
    ]


def _fit_inches(ax: Axes) -> float:
    """Return the size of an inch of the drawing, 1 at most: a small one gets room."""
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()  # so that the layout is known
    left, right = ax.get_xlim()
    scale = ax.bbox.width / (figure.dpi * (right - left))
    if scale > 1:
        ax.set_xlim(_stretch((left, right), scale))
        ax.set_ylim(_stretch(ax.get_ylim(), scale))
    return min(1, scale)


def _stretch(ends: tuple[float, float], factor: float) -> tuple[float, float]:
    middle, half = fmean(ends), factor * (ends[1] - ends[0]) / 2
    return middle - half, middle + half


def _draw_node(ax: Axes, box: Box, label: str, points: float, *, is_leaf: bool) -> None:
    center, top, across, down = box
    corner = center - across / 2, top
    if is_leaf:
        fill = PALETTE[0]
        ax.add_patch(Rectangle(corner, across, down, facecolor=fill, edgecolor=LINE))
    else:
        style = "round,pad=0,rounding_size=0.1"
        fill = _lighten(LINE, 0.8)
        ax.add_patch(
            FancyBboxPatch(
                corner, across, down, boxstyle=style, facecolor=fill, edgecolor=LINE
            )
        )
    ax.text(
        center,
        top + down / 2,
        label,
        ha="center",
        va="center",
        color=INK,
        fontsize=points,
    )


def _draw_arrow(ax: Axes, boxes: list[Box], shift: float) -> None:
    """Draw an arrow from the first box down to the last, straight through others."""
    ends = [(center + shift, top, top + down) for center, top, _, down in boxes]
    points = [(x, y) for x, top, bottom in ends for y in (top, bottom)]
    ax.add_patch(
        FancyArrowPatch(
            path=Path(points[1:-1]), arrowstyle="-|>", mutation_scale=10, color=LINE
        )
    )


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
