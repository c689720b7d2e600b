"""`snippets.drawing` draws what the tensor really is."""

from __future__ import annotations

import colorsys
import math
import runpy
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Polygon, Rectangle

from snippets.drawing import (
    INK,
    PALE_INK,
    PALETTE,
    draw_memory,
    draw_shape,
    draw_tensor,
    draw_tensors,
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
