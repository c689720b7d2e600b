"""`snippets.drawing` draws what the tensor really is."""

from __future__ import annotations

import colorsys
import itertools
import math
import os
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from snippets.drawing import (
    INK,
    PALE_INK,
    PALETTE,
    draw_graph,
    draw_memory,
    draw_shape,
    draw_tensor,
    draw_tensors,
    show_pictures,
)
from tests.pages import ROOT

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no figure behind, and find none that an example has left."""
    mpl.pyplot.close("all")
    yield
    mpl.pyplot.close("all")


def cells(ax) -> list[tuple[float, float, str]]:
    """Left, top and color of each cell, in the order drawn."""
    return [
        (*patch.get_xy(), to_hex(patch.get_facecolor()))
        for patch in ax.patches
        if isinstance(patch, Rectangle)
    ]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def places(ax) -> list[tuple[str, float, float]]:
    """Each text and where it stands, in cells from the top left."""
    found = [(text.get_text(), *text.get_position()) for text in ax.texts]
    return [(text, round(x, 6), round(y, 6)) for text, x, y in found]


def limits(ax) -> tuple[float, ...]:
    """What the axes show: left, right, bottom, top."""
    return tuple(round(float(x), 6) for x in (*ax.get_xlim(), *ax.get_ylim()))


def inches(ax) -> tuple[float, ...]:
    return tuple(round(float(x), 6) for x in ax.figure.get_size_inches())


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0,), (2, 0)])
def test_draw_tensor_has_a_cell_for_each_element(shape):
    """Cells stand in rows and columns as the elements do."""
    values = torch.arange(torch.Size(shape).numel()).reshape(shape)
    ax = draw_tensor(values)
    assert texts(ax) == [str(v) for v in values.flatten().tolist()]
    rows, columns = ([1, 1, *shape])[-2:]
    for place, (left, top, _) in enumerate(cells(ax)):
        block, within = divmod(place, rows * columns)
        assert left == within % columns
        assert top == block * (rows + 0.5) + within // columns


def test_draw_tensor_is_pale_where_memory_is_read_again():
    """An expanded column has one solid column; all of a copy is solid."""
    column = torch.tensor([[1], [2]])
    colors = [color for *_, color in cells(draw_tensor(column.expand(2, 3)))]
    assert [color == PALETTE[0] for color in colors] == [True, False, False] * 2
    copied = [color for *_, color in cells(draw_tensor(column.repeat(1, 3)))]
    assert set(copied) == {PALETTE[0]}


def test_draw_tensor_colors_by_group():
    """Cells of one group share a color; after the last color comes the first."""
    ax = draw_tensor(torch.ones(2, 3), groups=torch.tensor([[0, 1, 5], [1, 6, 7]]))
    assert [c for *_, c in cells(ax)] == [PALETTE[i] for i in (0, 1, 5, 1, 0, 1)]


def test_draw_tensor_fills_with_a_given_color():
    """It stands where there are no groups."""
    assert cells(draw_tensor(torch.ones(1), color="#ABCDEF"))[0][2] == "#abcdef"


def test_each_number_stands_in_the_middle_of_its_cell():
    """A cell is a square of 1; a long number is smaller, so that it fits."""
    ax = draw_tensor(torch.tensor([True, False]))
    for cell in ax.patches:
        assert (cell.get_width(), cell.get_height()) == (1, 1)
        assert to_hex(cell.get_edgecolor()) == "#6b7280"
    assert places(ax) == [("True", 0.5, 0.5), ("False", 1.5, 0.5)]
    aligned = {(text.get_ha(), text.get_va(), text.get_color()) for text in ax.texts}
    assert aligned == {("center", "center", INK)}
    sizes = [text.get_fontsize() for text in ax.texts]
    assert sizes == pytest.approx([34 / 4, 34 / 5])
    sizes = [text.get_fontsize() for text in draw_tensor(torch.tensor([1, 999])).texts]
    assert sizes == [10, 10]


def test_a_pale_cell_is_three_quarters_white():
    """And its number is gray."""
    ax = draw_tensor(torch.tensor([1]).expand(2), color="#004080")
    assert [color for *_, color in cells(ax)] == ["#004080", "#bfcfdf"]
    assert [text.get_color() for text in ax.texts] == [INK, PALE_INK]


@pytest.mark.parametrize(
    ("shape", "shown", "size"),
    [
        ((), (-0.1, 1.1, 1.1, -0.1), (1.5, 1.3)),
        ((5,), (-0.1, 5.1, 1.1, -0.1), (3, 1.3)),
        ((3, 4, 2), (-0.1, 2.1, 13.1, -0.1), (1.5, 7.3)),
        ((2, 0), (-0.1, 1.1, 2.1, -0.1), (1.5, 1.8)),
        ((0, 2), (-0.1, 2.1, 1.1, -0.1), (1.5, 1)),
        ((0, 2, 3), (-0.1, 3.1, 1.1, -0.1), (2, 1)),
        ((2, 40), (-0.1, 40.1, 2.1, -0.1), (6, 1)),
    ],
)
def test_draw_tensor_shows_all_cells_and_nothing_else(shape, shown, size):
    """The first row is on top; a cell is half an inch, less in a wide picture."""
    ax = draw_tensor(torch.zeros(shape))
    assert limits(ax) == shown
    assert inches(ax) == size
    assert (ax.get_aspect(), ax.axison, ax.get_title()) == (1, False, "")
    assert type(ax.figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"


def test_a_title_is_a_little_larger_than_a_number():
    """Eleven points."""
    assert draw_tensor(torch.ones(1), title="one").title.get_fontsize() == 11


def test_draw_tensor_draws_as_many_cells_as_can_be_read():
    """256 are drawn, 257 are not."""
    assert len(cells(draw_tensor(torch.ones(16, 16)))) == 256
    with pytest.raises(ValueError, match=r"shape \(257,\).*256 elem.*a slice"):
        draw_tensor(torch.ones(257))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (0.333333, "0.33"),
        (0.01, "0.01"),
        (0.0096, "0.01"),
        (0.0094, "9e-3"),
        (-2e-12, "-2e-12"),
        (100.0, "100"),
        (999.0, "999"),
        (1000.0, "1e3"),
        (-1e30, "-1e30"),
        (1e-5, "1e-5"),
        (12345.0, "1e4"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers_fit_their_cells(number, text):
    """Floats are shortened; a value that is not zero never looks like zero."""
    assert texts(draw_tensor(torch.tensor([number]))) == [text]


def test_draw_tensor_shows_other_types():
    """Booleans, integers and tensors that require a gradient can be drawn."""
    assert texts(draw_tensor(torch.tensor([True, False]))) == ["True", "False"]
    assert texts(draw_tensor(torch.ones(1, requires_grad=True))) == ["1"]
    assert texts(draw_tensor(torch.tensor([2.5], dtype=torch.bfloat16))) == ["2.5"]
    assert texts(draw_tensor(torch.tensor([0.0095], dtype=torch.float64))) == ["0.01"]


def test_draw_tensor_draws_on_given_axes():
    """A picture can be part of a larger one."""
    _, ax = mpl.pyplot.subplots()
    assert draw_tensor(torch.ones(2), title="ones", ax=ax) is ax
    assert ax.get_title() == "ones"


def test_draw_tensor_refuses_what_it_cannot_show():
    """The message says what was given and what to do; no figure is left open."""
    with pytest.raises(ValueError, match=r"shape \(1, 1, 1, 1\).*three dim.*slice"):
        draw_tensor(torch.ones(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"shape \(300,\).*256 elements"):
        draw_tensor(torch.ones(300))
    with pytest.raises(ValueError, match=r"groups.* \(3,\), values \(2,\).* for each"):
        draw_tensor(torch.ones(2), groups=torch.zeros(3))
    assert not mpl.pyplot.get_fignums()


def test_draw_tensors_stands_them_side_by_side():
    """Each has its title; without groups each has a color of its own."""
    fig = draw_tensors({"a": torch.ones(2), "b": torch.zeros(3)})
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]
    assert [cells(ax)[0][2] for ax in fig.axes] == [PALETTE[0], PALETTE[1]]


def test_draw_tensors_gives_each_the_room_it_needs():
    """Cells have one size, and the highest tells the height; colors come again."""
    tensors = [torch.ones(2, 1, 2), torch.ones(0), *[torch.ones(1)] * 5]
    fig = draw_tensors({str(k): tensor for k, tensor in enumerate(tensors)})
    widths = fig.axes[0].get_gridspec().get_width_ratios()
    assert list(widths) == [2, 1, 1, 1, 1, 1, 1]
    scale = 6 / (8 + 7 * 1.2)
    assert inches(fig.axes[0]) == (6, round((2.5 + 1) * scale + 0.3, 6))
    assert cells(fig.axes[6])[0][2] == PALETTE[0]
    fig = draw_tensors({"a": torch.ones(2), "b": torch.ones(3, 4)})
    assert inches(fig.axes[0]) == (4.2, 2.3)
    assert type(fig.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"


def test_draw_tensors_shows_sources_by_color():
    """A joined tensor wears the colors of its parts."""
    a, b = torch.ones(1, 2), torch.zeros(1, 2)
    sources = torch.tensor([[0, 0], [1, 1]])
    fig = draw_tensors(
        {"a": a, "b": b, "joined": torch.cat([a, b])}, groups=[None, None, sources]
    )
    assert [c for *_, c in cells(fig.axes[2])] == [*PALETTE[:1] * 2, *PALETTE[1:2] * 2]


def test_draw_tensors_refuses():
    """Nothing to draw, another number of groups, a tensor too large."""
    with pytest.raises(ValueError, match="no tensors to draw: give at least one title"):
        draw_tensors({})
    with pytest.raises(ValueError, match="1 tensors but 2 groups"):
        draw_tensors({"a": torch.ones(1)}, groups=[None, None])
    with pytest.raises(ValueError, match="256 elements"):
        draw_tensors({"a": torch.ones(1), "b": torch.ones(300)})
    assert not mpl.pyplot.get_fignums()


@pytest.mark.parametrize(
    ("shape", "labels", "faces"),
    [
        ((), [], 1),
        ((5,), ["5"], 1),
        ((2, 5), ["2", "5"], 1),
        ((0, 5), ["0", "5"], 1),
        ((3, 2, 5), ["2", "3", "5"], 3),
        ((2, 3, 4, 5), ["3", "4", "5", "× 2"], 6),
        ((32, 3, 4, 5), ["3", "4", "5", "× 32"], 9),
    ],
)
def test_draw_shape_labels_each_edge(shape, labels, faces):
    """Three dimensions make a block with three visible faces, four a row of blocks."""
    ax = draw_shape(shape)
    assert sorted(texts(ax)) == labels
    assert sum(isinstance(patch, Polygon) for patch in ax.patches) == faces


def corners(ax) -> list[list[tuple[float, float]]]:
    """The corners of each face, the first of them once."""
    faces = [patch.get_xy()[:-1].tolist() for patch in ax.patches]
    return [[(round(x, 6), round(y, 6)) for x, y in face] for face in faces]


def test_draw_shape_draws_blocks_in_a_row():
    """Front, top and side of each, the sizes beside the edges, and room around."""
    ax = draw_shape((2, 3, 4, 5), title="two blocks")
    front = [(0, 1.5), (5, 1.5), (5, 5.5), (0, 5.5)]
    top = [(0, 1.5), (1.5, 0), (6.5, 0), (5, 1.5)]
    side = [(5, 1.5), (6.5, 0), (6.5, 4), (5, 5.5)]
    second = [[(x + 7.2, y) for x, y in face] for face in (front, top, side)]
    assert corners(ax) == [front, top, side, *second]
    assert places(ax) == [
        ("5", 2.5, 5.95),
        ("4", -0.45, 3.5),
        ("3", 0.4, 0.65),
        ("× 2", 14.6, 3.5),
    ]
    assert {(text.get_ha(), text.get_va()) for text in ax.texts} == {("center",) * 2}
    assert limits(ax) == (-0.9, 14.6, 6.4, -0.9)
    assert inches(ax) == (6, round(7.5 * 6 / 16.4 + 0.3, 6))
    assert ax.get_title() == "two blocks"


def test_draw_shape_shades_the_faces():
    """The front has the color, the top is the lightest."""
    shades = [patch.get_facecolor()[0] for patch in draw_shape((1, 1, 1)).patches]
    red = 0x8E / 255
    light = [red + (1 - red) * share for share in (0, 0.55, 0.3)]
    assert shades == pytest.approx(light, abs=0.003)
    edges = {to_hex(patch.get_edgecolor()) for patch in draw_shape((1, 1, 1)).patches}
    assert edges == {"#6b7280"}


@pytest.mark.parametrize(
    ("shape", "front", "size"),
    [
        ((), (1, 1), (1.85, 1.8)),
        ((4,), (4, 1), (3.35, 1.8)),
        ((2, 4), (4, 2), (3.35, 2.3)),
        ((6, 6), (6, 6), (4.35, 4.3)),
        ((12, 24), (8, 7), (5.35, 4.8)),
    ],
)
def test_draw_shape_draws_a_rectangle(shape, front, size):
    """Up to 6 an edge is true to size; from there, doubled, it grows by 1."""
    ax = draw_shape(shape)
    width, height = front
    assert corners(ax) == [[(0, 0), (width, 0), (width, height), (0, height)]]
    assert ax.get_title() == ""
    assert limits(ax) == (-0.9, width + 0.9, height + 0.9, -0.9)
    assert inches(ax) == size


def test_draw_shape_draws_on_given_axes():
    """A picture can be part of a larger one."""
    _, ax = mpl.pyplot.subplots()
    assert draw_shape((2, 3), ax=ax) is ax


def test_draw_shape_shortens_long_edges():
    """A size of 1000 is longer than one of 100, but not ten times."""

    def width(size):
        corners = draw_shape((1, size)).patches[0].get_xy()
        return corners[:, 0].max()

    assert width(6) == 6
    assert width(7) == 6 + math.log2(7 / 6)
    assert width(100) < width(1000) < 2 * width(100)


@pytest.mark.parametrize("shape", [(1, 2, 3, 4, 5), (2, -1)])
def test_draw_shape_refuses(shape):
    """Five dimensions and negative sizes have no box."""
    message = rf"draw the shape \({shape[0]}, .*up to four sizes, none of them negative"
    with pytest.raises(ValueError, match=message):
        draw_shape(shape)


def test_draw_memory_groups_what_shares_memory():
    """A view and a NumPy bridge read one strip; a clone has its own."""
    x = torch.arange(4)
    ax = draw_memory(
        {"x": x, "view": x.view(2, 2), "array": x.numpy(), "clone": x.clone()}
    )
    assert texts(ax).count("memory") == 2
    assert len(cells(ax)) == (3 * 4 + 4) + (4 + 4)


def test_draw_memory_colors_a_cell_by_its_place():
    """A transposed matrix takes its numbers from the same places, in another order."""
    x = torch.arange(6).view(2, 3)
    drawn = [color for *_, color in cells(draw_memory({"x": x, "x.t()": x.t()}))]
    original, transposed, strip = drawn[:6], drawn[6:12], drawn[12:]
    assert original == strip
    assert transposed == [strip[i] for i in (0, 3, 1, 4, 2, 5)]
    assert len(set(strip)) == 6


def test_draw_memory_shows_all_that_is_stored():
    """A slice stands above the whole memory that it is a part of."""
    x = torch.arange(5)
    ax = draw_memory({"x[1:3]": x[1:3]})
    assert texts(ax) == ["x[1:3]", "1", "2", "memory", *"01234"]
    drawn = [color for *_, color in cells(ax)]
    assert drawn[:2] == drawn[3:5]


def test_draw_memory_has_a_layout():
    """Tensors side by side on one line, their strip below them; then the next."""
    x = torch.arange(4)
    ax = draw_memory({"x": x, "view": x.view(2, 2), "copy": x[:2].clone()})
    assert places(ax) == [
        ("x", 0, 1.6),
        *((str(k), k + 0.5, 2.3) for k in range(4)),
        ("view", 4.8, 0.6),
        *(("0", 5.3, 1.3), ("1", 6.3, 1.3), ("2", 5.3, 2.3), ("3", 6.3, 2.3)),
        ("memory", -0.2, 4.1),
        *((str(k), k + 0.5, 4.1) for k in range(4)),
        *(("copy", 0, 5.8), ("0", 0.5, 6.5), ("1", 1.5, 6.5)),
        *(("memory", -0.2, 8.3), ("0", 0.5, 8.3), ("1", 1.5, 8.3)),
    ]
    tops = [round(top, 6) for _, top, _ in cells(ax)]
    assert tops == [1.8] * 4 + [0.8] * 2 + [1.8] * 2 + [3.6] * 4 + [6] * 2 + [7.8] * 2
    assert limits(ax) == (-2.2, 6.9, 8.9, -0.1)
    assert inches(ax) == (5, 5)
    assert ax.get_title() == ""


def test_draw_memory_goes_on_to_the_right_and_down():
    """The third tensor stands behind the second, the third strip below the second."""
    x, y, z = torch.ones(3), torch.ones(3), torch.ones(3)
    ax = draw_memory({"a": x, "b": x, "c": x, "d": y, "e": z})
    named = {text: (x, y) for text, x, y in places(ax) if text in "abcde"}
    assert named == {
        "a": (0, 0.6),
        "b": (3.8, 0.6),
        "c": (7.6, 0.6),
        "d": (0, 4.8),
        "e": (0, 9),
    }


def test_draw_memory_aligns_its_words():
    """Names begin with their cells; "memory" ends before the strip, in italics."""
    name, _, word, _ = draw_memory({"x": torch.ones(1)}).texts
    assert (name.get_ha(), name.get_va()) == ("left", "bottom")
    assert (word.get_ha(), word.get_va()) == ("right", "center")
    assert (name.get_style(), word.get_style()) == ("normal", "italic")


def test_draw_memory_makes_room_for_long_names():
    """The next tensor begins behind the name; a strip may be wider than its tensors."""
    x = torch.arange(8)
    ax = draw_memory({"x[0:1], twelve": x[0:1], "y": x[1:2]})
    assert ("y", 4.16, 0.6) in places(ax)
    assert limits(ax) == (-2.2, 8.1, 3.7, -0.1)
    ax = draw_memory({"x[0:1], twelve": x[:1].clone()})
    assert limits(ax) == (-2.2, 3.46, 3.7, -0.1)


def test_draw_memory_colors_run_around_the_wheel():
    """From red on, nine tenths of the way, each six tenths white."""
    drawn = [color for *_, color in cells(draw_memory({"x": torch.ones(3)}))]
    for place, color in enumerate(drawn[:3]):
        full = colorsys.hsv_to_rgb(0.3 * place, 1, 1)
        light = [0.6 + 0.4 * part for part in full]
        assert mpl.colors.to_rgb(color) == pytest.approx(light, abs=0.004)


def test_draw_memory_draws_on_given_axes():
    """A picture can be part of a larger one."""
    _, ax = mpl.pyplot.subplots()
    assert draw_memory({"x": torch.ones(2)}, ax=ax) is ax


def test_draw_memory_draws_as_much_as_can_be_read():
    """24 stored elements are drawn, and so is an empty tensor."""
    assert len(cells(draw_memory({"x": torch.ones(24)}))) == 48
    assert texts(draw_memory({"x": torch.ones(0)})) == ["x", "memory"]


def leaf(*shape):
    return torch.ones(shape, requires_grad=True)


def boxes(ax) -> dict[str, tuple[float, ...]]:
    """Left, top, right and bottom of each box of a graph, by its last line of text."""
    drawn = [p for p in ax.patches if isinstance(p, Rectangle | FancyBboxPatch)]
    found = {}
    for text, box in zip(texts(ax), drawn, strict=True):
        left, top = box.get_x(), box.get_y()
        corners = left, top, left + box.get_width(), top + box.get_height()
        found[text.split("\n")[-1]] = tuple(map(float, corners))
    assert len(found) == len(drawn), "for these tests, give each its name"
    return found


def routes(ax) -> list[list[tuple[float, float]]]:
    """The corners of each arrow, the first where it starts and the last its tip."""
    found = []
    for arrow in ax.patches:
        if isinstance(arrow, FancyArrowPatch):
            path = arrow.get_path()
            corners = path.vertices[path.codes != path.CLOSEPOLY].tolist()
            tip = corners[-2]  # the head: left, tip, right
            found.append([*corners[: corners.index(tip)], tip])
    return found


def arrows(ax) -> Counter[tuple[str, str]]:
    """How many arrows run from the bottom of one box to the top of another."""
    found: Counter[tuple[str, str]] = Counter()
    for (x, y), *_, (tip_x, tip_y) in routes(ax):
        from_box = [
            name
            for name, (left, _, right, bottom) in boxes(ax).items()
            if left < x < right and math.isclose(y, bottom)
        ]
        to_box = [
            name
            for name, (left, top, right, _) in boxes(ax).items()
            if left < tip_x < right and math.isclose(tip_y, top, abs_tol=0.03)
        ]
        assert len(from_box) == len(to_box) == 1
        found[from_box[0], to_box[0]] += 1
    return found


def chain(result, names) -> tuple[set[str], Counter[tuple[str, str]]]:
    """Nodes and edges read off the chain of `grad_fn`, with nothing to draw them."""

    def name_of(node):
        (name,) = (
            f"{name} {tuple(tensor.shape)}"
            for name, tensor in names.items()
            if node is tensor.grad_fn or getattr(node, "variable", None) is tensor
        )
        return name

    seen, waiting, edges = {}, [result.grad_fn], Counter()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen[node] = name_of(node)
            sources = [source for source, _ in node.next_functions if source]
            edges.update((name_of(source), seen[node]) for source in sources)
            waiting += sources
    return set(seen.values()), edges


def random_graph(seed: int):
    """Three leaves, nine operations on what is there, and a sum of what is not used."""
    generator = torch.Generator().manual_seed(seed)
    made = {name: leaf() for name in "abc"}
    unused = set(made)
    for number in range(9):
        places = torch.randint(len(made), (2,), generator=generator)
        first, second = (list(made)[place] for place in places)
        product = made[first] * made[second]
        made[f"r{number}"] = product if number % 3 else made[second].exp()
        unused -= {first, second} if number % 3 else {second}
        unused |= {f"r{number}"}
    made["stack"] = torch.stack([made[name] for name in sorted(unused)])
    made["sum"] = made["stack"].sum()
    return made["sum"], made


def crosses(route, box) -> bool:
    """Tell whether an arrow passes through a box, but for its ends."""
    left, top, right, bottom = box
    for (x, y), (to_x, to_y) in itertools.pairwise(route):
        for share in np.linspace(0.02, 0.98, 50):
            at_x, at_y = x + share * (to_x - x), y + share * (to_y - y)
            if left < at_x < right and top < at_y < bottom:
                return True
    return False


@pytest.mark.parametrize("seed", range(8))
def test_draw_graph_is_the_chain_of_grad_fn(seed):
    """Each node is drawn once, and an arrow for each input of each operation."""
    result, names = random_graph(seed)
    ax = draw_graph(result, names=names)
    expected_nodes, expected_edges = chain(result, names)
    assert (
        set(boxes(ax))
        == expected_nodes
        == {f"{n} {tuple(names[n].shape)}" for n in names}
    )
    assert arrows(ax) == expected_edges


@pytest.mark.parametrize("seed", range(8))
def test_nothing_in_a_graph_overlaps(seed):
    """Boxes keep their distance, and no arrow runs through a box."""
    result, names = random_graph(seed)
    ax = draw_graph(result, names=names)
    placed = list(boxes(ax).values())
    for (left, top, right, bottom), other in itertools.combinations(placed, 2):
        apart = max(other[0] - right, left - other[2])
        below = max(other[1] - bottom, top - other[3])
        assert apart > 0.1999 or below > 0.3199
    for route in routes(ax):
        assert all(b[1] > a[1] for a, b in itertools.pairwise(route)), "it runs down"
        assert not any(crosses(route, box) for box in placed)


class Twice(torch.autograd.Function):
    """An operation of one's own."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def written_into(x):
    y = x.clone()
    y[0] = 0
    return y


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x * 2, "mul"),
        (torch.exp, "exp"),
        (lambda x: x.log_softmax(0), "log_softmax"),
        (torch.Tensor.t, "t"),
        (lambda x: x[0], "select"),
        (torch.linalg.vector_norm, "linalg_vector_norm"),
        (written_into, "copy_slices"),
        (Twice.apply, "Twice"),
    ],
)
def test_an_operation_has_a_readable_name(operation, name):
    """That of torch, without what stands around it; one's own class is kept."""
    assert texts(draw_graph(operation(leaf(2))))[0].splitlines()[0] == name


def test_draw_graph_names_what_nobody_named():
    """Leaves and the result say what they are, operations only their name."""
    ax = draw_graph(torch.exp(leaf(2, 3)).mean(0))
    assert texts(ax) == ["mean\nresult (3,)", "exp", "leaf (2, 3)"]


def test_draw_graph_takes_names():
    """Of a leaf, of the result and of what is between; two names of one are listed."""
    w = leaf(2)
    h = w.exp()
    names = {"w": w, "h": h, "also h": h, "total": h.sum()}
    ax = draw_graph(names["total"], names=names)
    assert texts(ax) == ["sum\ntotal ()", "exp\nh (2,)\nalso h (2,)", "w (2,)"]


def test_draw_graph_draws_an_operation_with_two_results_once():
    """Both of them stand in its box, and each has its arrow."""
    first, second = leaf(2).sort().values.unbind()
    names = {"first": first, "second": second}
    ax = draw_graph(first * second, names=names)
    assert texts(ax)[1] == "unbind\nfirst ()\nsecond ()"
    assert sum(isinstance(patch, FancyArrowPatch) for patch in ax.patches) == 4


def test_draw_graph_leaves_out_what_needs_no_gradient():
    """A batch and a detached tensor are not part of the graph."""
    w, batch = leaf(3), torch.ones(3)
    ax = draw_graph(w * batch + w.detach().exp())
    assert texts(ax) == ["add\nresult (3,)", "mul", "leaf (3,)"]


def test_draw_graph_changes_nothing():
    """The graph can be drawn before and after it is walked back."""
    w = leaf()
    result = w * 3
    before = texts(draw_graph(result))
    assert w.grad is None
    result.backward()
    assert texts(draw_graph(result)) == before
    assert w.grad == 3


def test_a_leaf_looks_other_than_an_operation():
    """Its box is colored and has corners; that of an operation is gray and round."""
    operation, colored, _ = draw_graph(leaf().exp()).patches
    assert (type(operation), type(colored)) == (FancyBboxPatch, Rectangle)
    assert to_hex(colored.get_facecolor()) == PALETTE[0]
    gray = [(part + 4 * 255) / 5 / 255 for part in (0x6B, 0x72, 0x80)]
    assert operation.get_facecolor()[:3] == pytest.approx(gray, abs=0.003)
    for box in (operation, colored):
        assert to_hex(box.get_edgecolor()) == "#6b7280"
    assert operation.get_boxstyle().pad == 0
    assert operation.get_boxstyle().rounding_size == 0.1


def test_an_arrow_of_a_graph_has_a_head():
    """It has the gray of the boxes' edges."""
    ax = draw_graph(leaf().exp())
    ax.figure.draw_without_rendering()
    arrow = ax.patches[-1]
    colors = {to_hex(arrow.get_facecolor()), to_hex(arrow.get_edgecolor())}
    assert colors == {"#6b7280"}
    assert arrow.get_mutation_scale() == 10
    head = arrow.get_path().vertices[-4:-1]
    assert np.ptp(head[:, 1]) == pytest.approx(4 / 72, abs=0.002)


def test_text_fits_its_box():
    """A box is a tenth of an inch wider than its text on each side, a line high."""
    w = leaf(3, 4)
    ax = draw_graph((w @ leaf(4)).sum(), names={"a long name for a weight": w})
    renderer = ax.figure.canvas.get_renderer()
    for text, (left, top, right, bottom) in zip(
        ax.texts, boxes(ax).values(), strict=True
    ):
        drawn = text.get_window_extent(renderer)
        assert right - left == pytest.approx(drawn.width / 100 + 0.2, abs=0.04)
        assert drawn.height / 100 < bottom - top < drawn.height / 100 + 0.2
        assert text.get_position() == pytest.approx(
            ((left + right) / 2, (top + bottom) / 2)
        )
        looks = text.get_ha(), text.get_va(), text.get_color()
        assert looks == ("center", "center", INK)
    assert bottom - top == pytest.approx(0.27)
    top, bottom = boxes(ax)["result ()"][1::2]
    assert bottom - top == pytest.approx(0.44)


def test_a_graph_has_its_own_size_of_text():
    """Ten points, whatever size other text has."""
    plain = inches(draw_graph(leaf(10, 10, 10, 10, 10).exp()))
    with mpl.rc_context({"font.size": 20}):
        ax = draw_graph(leaf(10, 10, 10, 10, 10).exp())
    assert inches(ax) == plain > (1.6, 0)
    assert {text.get_fontsize() for text in ax.texts} == {10}


def test_a_graph_without_branches_is_a_column():
    """The leaf on top, its result at the bottom, each below the one before."""
    w = leaf()
    h = w.exp()
    ax = draw_graph(h.sin(), names={"w": w, "h": h})
    result, hidden, weight = boxes(ax).values()
    assert weight[1] == 0
    assert hidden[1] - weight[3] == pytest.approx(0.32)
    assert result[1] - hidden[3] == pytest.approx(0.32)
    middles = [left + right for left, _, right, _ in (weight, hidden, result)]
    assert middles == pytest.approx(middles[:1] * 3)
    assert min(left for left, *_ in (weight, hidden, result)) == 0


def test_inputs_stand_above_what_they_are_used_for():
    """The left operand on the left, the middle of all above the operation."""
    a, b, c = leaf(), leaf(20), leaf()
    ax = draw_graph(torch.addcmul(a, b, c), names={"a": a, "b": b, "c": c})
    a, b, c = (boxes(ax)[name] for name in ("a ()", "b (20,)", "c ()"))
    assert b[0] - a[2] == pytest.approx(0.2)
    assert c[0] - b[2] == pytest.approx(0.2)
    middles = [(left + right) / 2 for left, _, right, _ in (a, b, c)]
    left, _, right, _ = boxes(ax)["result (20,)"]
    assert sum(middles) / 3 == pytest.approx((left + right) / 2)
    assert a[1] == b[1] == c[1] == 0


def test_boxes_that_have_room_stand_straight_above():
    """Only boxes that would overlap make room for each other."""
    a, b = leaf(), leaf()
    wide = {
        f"a name of many letters, {name}": t.exp()
        for name, t in zip("ab", (a, b), strict=True)
    }
    first, second = wide.values()
    ax = draw_graph(first * second, names={"a": a, "b": b, **wide})
    for name in "ab":
        left, _, right, _ = boxes(ax)[f"{name} ()"]
        below, _, end, _ = boxes(ax)[f"a name of many letters, {name} ()"]
        assert (left + right) / 2 == pytest.approx((below + end) / 2)


def test_a_leaf_stands_next_to_its_first_use():
    """One row above it, and not at the top with the others."""
    early, late = leaf(), leaf()
    ax = draw_graph(late * early.exp().sin(), names={"early": early, "late": late})
    tops = {name: box[1] for name, box in boxes(ax).items()}
    assert tops["early ()"] == 0
    assert tops["late ()"] == tops["sin"] > tops["exp"] > 0


def test_an_input_used_twice_has_two_arrows():
    """Side by side, 0.16 inches apart, around the middle."""
    x = leaf()
    (first, *_), (second, *_) = routes(ax := draw_graph(x * x, names={"x": x}))
    left, _, right, _ = boxes(ax)["x ()"]
    assert second[0] - first[0] == pytest.approx(0.16)
    assert first[0] + second[0] == pytest.approx(left + right)
    starts = [route[0][0] for route in routes(draw_graph(torch.stack([x, x, x])))]
    assert np.diff(starts) == pytest.approx([0.16, 0.16])
    ax = draw_graph(torch.stack([x, x, x.exp().sin()]), names={"x": x})
    starts = [route[0][0] for route in routes(ax) if len(route) > 2]
    assert np.diff(starts) == pytest.approx([0.16])


def test_an_input_of_two_operations_has_its_arrows_in_the_middle():
    """They go to different boxes, so nothing has to be told apart."""
    x = leaf()
    ax = draw_graph(x.exp() * x.sin(), names={"x": x})
    left, _, right, bottom = boxes(ax)["x ()"]
    starts = [route[0] for route in routes(ax) if math.isclose(route[0][1], bottom)]
    assert starts == [pytest.approx(((left + right) / 2, bottom))] * 2


def test_inputs_stand_in_the_order_of_what_they_are_used_for():
    """Not in the order in which the graph is walked: arrows would cross."""
    a, b = leaf(), leaf()
    names = {"first": a.exp(), "second": b.sin(), "a": a, "b": b}
    result = torch.stack([b, names["first"], names["second"]])
    placed = boxes(draw_graph(result, names=names))
    assert placed["a ()"][2] < placed["b ()"][0]
    assert placed["b ()"][0] - placed["a ()"][2] == pytest.approx(0.2)


def test_a_long_arrow_goes_around():
    """It is straight where it passes a row, beside the box that stands there."""
    x = leaf()
    ax = draw_graph(x + x.exp(), names={"x": x})
    (long,) = (route for route in routes(ax) if len(route) == 4)
    left, top, _, bottom = boxes(ax)["exp"]
    (_, passes, leaves, _) = long
    assert passes == pytest.approx((left - 0.2, top))
    assert leaves == pytest.approx((left - 0.2, bottom))


def test_a_graph_has_a_figure_of_a_fitting_size():
    """As large as the boxes, and a little more; the text has ten points."""
    ax = draw_graph(torch.ones(1) * leaf(3, 4).exp().sum())
    placed = np.array(list(boxes(ax).values()))
    width, height = placed[:, 2].max(), placed[:, 3].max()
    assert inches(ax) == (1.5, pytest.approx(height + 0.3))
    a, b = leaf(), leaf()
    ax = draw_graph(a * b, names={"a long name": a, "another long name": b})
    placed = np.array(list(boxes(ax).values()))
    width, height = placed[:, 2].max(), placed[:, 3].max()
    assert inches(ax) == (pytest.approx(width + 0.3), pytest.approx(height + 0.3))
    assert {text.get_fontsize() for text in ax.texts} == {10}
    left, right, bottom, top = limits(ax)
    assert left + right == pytest.approx(width)
    assert bottom + top == pytest.approx(height)
    assert right - left == pytest.approx(width + 0.2, abs=0.05)
    assert (ax.get_aspect(), ax.axison, ax.get_title()) == (1, False, "")
    assert type(ax.figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"


def test_a_wide_graph_is_drawn_smaller():
    """It is six inches wide, its text as much smaller as its boxes."""
    ax = draw_graph(torch.stack([leaf() for _ in range(8)]), names={})
    left, right, bottom, top = limits(ax)
    width, height = inches(ax)
    assert width == 6
    assert height == pytest.approx((bottom - top) * 5.9 / (right - left) + 0.1)
    (size,) = {text.get_fontsize() for text in ax.texts}
    assert size / 10 == pytest.approx(5.9 / (right - left), abs=0.01)


@pytest.mark.parametrize("size", [(0.5, 0.5), (1.8, 1.8), (4, 4), (1.5, 9), (9, 1.5)])
def test_draw_graph_draws_on_given_axes(size):
    """On small axes it is smaller; on large ones it stands in the middle."""
    fig = mpl.pyplot.figure(figsize=size)
    ax = fig.subfigures().add_axes((0, 0, 1, 1))
    assert draw_graph(leaf().exp(), ax=ax) is ax
    height = 0.27 + 0.32 + 0.44
    (points,) = {text.get_fontsize() for text in ax.texts}
    assert points == pytest.approx(min(10, 10 * size[1] / (height + 0.2)))
    left, right, bottom, top = limits(ax)
    middle = (left + right) / 2, (bottom + top) / 2
    expected = ax.texts[0].get_position()[0], height / 2
    assert middle == pytest.approx(expected, abs=1e-5)
    fig.draw_without_rendering()
    (x, y), (end, down) = ax.transData.transform([(0, 0), (1, 1)]) / fig.dpi
    assert (end - x, y - down) == pytest.approx((points / 10, points / 10))


def test_draw_graph_draws_as_much_as_can_be_read():
    """30 operations and leaves are, however many ways lead through them."""
    y = x = leaf()
    for _ in range(29):
        y = y * y
    assert len(draw_graph(y, names={"x": x}).texts) == 30
    mpl.pyplot.close("all")
    with pytest.raises(
        ValueError, match=r"large.*most 30 operations.*an earlier.*see$"
    ):
        draw_graph(y.exp())
    assert not mpl.pyplot.get_fignums()


def test_draw_graph_refuses_what_has_no_graph():
    """A leaf, a plain tensor, and whatever was computed without gradients."""
    message = r"no graph behind .* \(2, 3\).*grad_fn is None.* requires_grad=True$"
    with torch.no_grad():
        untracked = leaf(2, 3) * 2
    for tensor in (leaf(2, 3), torch.ones(2, 3), untracked, leaf(2, 3).exp().detach()):
        with pytest.raises(ValueError, match=message):
            draw_graph(tensor)
    assert not mpl.pyplot.get_fignums()


def test_draw_graph_refuses_names_of_others():
    """The message tells why: no gradient, or no part of this result."""
    x, other = leaf(), leaf()
    result = x * 2
    with pytest.raises(ValueError, match=r"'batch' is not .*not require a gr.*Leave"):
        draw_graph(result, names={"x": x, "batch": torch.ones(2)})
    for stranger in (other, other.exp(), result * 2, x.double()):
        with pytest.raises(
            ValueError, match=r"'y' is not .*not computed from it. Leav"
        ):
            draw_graph(result, names={"y": stranger})
    assert not mpl.pyplot.get_fignums()


def test_without_matplotlib_the_import_says_what_to_install(monkeypatch):
    """The error has the command."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs matplotlib.* install mat"):
        runpy.run_path(str(ROOT / "snippets" / "drawing.py"))


def test_draw_memory_takes_arrays_of_floats():
    """The numbers of a NumPy array are read in its own type."""
    assert texts(draw_memory({"array": np.array([0.5, 2.0])}))[1:3] == ["0.5", "2"]


def test_draw_memory_refuses():
    """Too much, too many dimensions, another device, nothing."""
    with pytest.raises(ValueError, match="no tensors to draw: give at least one name"):
        draw_memory({})
    with pytest.raises(ValueError, match=r"'x'.*at most 24 stored.*\(25,\).*25 stored"):
        draw_memory({"x": torch.ones(25)})
    for shape in ((), (1, 1, 1)):
        with pytest.raises(ValueError, match="one or two dimensions"):
            draw_memory({"x": torch.ones(shape)})
    with pytest.raises(ValueError, match=r"on the CPU.*meta"):
        draw_memory({"x": torch.ones(2, device="meta")})
    assert not mpl.pyplot.get_fignums()


def test_figures_fit_a_page():
    """No picture is wider than six inches."""
    draw_tensors({str(i): torch.ones(2, 8) for i in range(4)})
    draw_tensor(torch.ones(2, 40))
    draw_shape((64, 3, 224, 224))
    draw_memory({str(i): torch.ones(2, 5) for i in range(5)})
    sizes = [mpl.pyplot.figure(n).get_size_inches() for n in mpl.pyplot.get_fignums()]
    assert len(sizes) == 4
    assert max(width for width, _ in sizes) <= 6.001


@pytest.mark.gpu
def test_tensors_on_an_accelerator_are_drawn(accelerator):
    """Numbers and pale cells are the same wherever the tensor lives."""
    row = torch.tensor([[1, 2]])
    there = draw_tensor(row.to(accelerator).expand(2, 2))
    here = draw_tensor(row.expand(2, 2))
    assert texts(there) == texts(here) == ["1", "2", "1", "2"]
    assert cells(there) == cells(here)


@pytest.mark.gpu
def test_memory_of_an_accelerator_is_refused(accelerator):
    """Its strip would have to be copied: the message says where the tensor is."""
    with pytest.raises(ValueError, match=accelerator.type):
        draw_memory({"x": torch.ones(2, device=accelerator)})


@pytest.mark.gpu
def test_a_graph_on_an_accelerator_is_drawn(accelerator):
    """A parameter that was moved is not the leaf: the copy was computed from it."""
    w = leaf(2)
    moved = w.to(accelerator)
    ax = draw_graph(moved.sum(), names={"w": w, "moved": moved})
    assert texts(ax)[0] == "sum\nresult ()"
    assert [text.splitlines()[-1] for text in texts(ax)[1:]] == ["moved (2,)", "w (2,)"]


# Showing pictures
# ----------------


def in_a_program(folder, backend=""):
    """Draw in a new interpreter without a screen; return what it prints."""
    program = folder / "lesson.py"
    program.write_text(
        "import torch, matplotlib.pyplot as plt\n"
        "from snippets.drawing import draw_tensor, show_pictures\n"
        "draw_tensor(torch.eye(2))\ndraw_tensor(torch.eye(3))\n"
        "show_pictures()\nprint(plt.get_fignums())\n",
        "utf-8",
    )
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    env = {name: value for name, value in os.environ.items() if name not in screens}
    env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "MPLBACKEND": backend}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere windows need no display")
def test_pictures_are_saved_where_no_window_can_open(tmp_path):
    """Each under the name of the program, and it says where; none is shown twice."""
    mark, first, second, left = in_a_program(tmp_path)
    assert mark == "No window can open here; saved instead:"
    for number, line in enumerate((first, second), 1):
        path = Path(line.strip())
        assert path.name == f"lesson-{number}.png"
        assert path.read_bytes().startswith(b"\x89PNG")
    assert left == "[]"


def test_a_chosen_backend_shows_the_pictures(tmp_path):
    """Whoever asked for one gets what it does: this one shows nothing."""
    assert in_a_program(tmp_path, backend="agg") == ["[1, 2]"]
    assert not list(tmp_path.glob("pictures-*"))


def test_a_backend_with_windows_or_a_notebook_shows_the_pictures(monkeypatch):
    """Then it is matplotlib's own function."""
    shown = []
    monkeypatch.setattr(mpl.pyplot, "show", lambda: shown.append("show"))
    monkeypatch.setattr(mpl, "get_backend", lambda: "qtagg")
    show_pictures()
    assert shown == ["show"]
