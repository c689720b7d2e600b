"""`snippets.drawing` draws what the tensor really is."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Polygon, Rectangle

from snippets.drawing import (
    PALETTE,
    draw_memory,
    draw_shape,
    draw_tensor,
    draw_tensors,
)

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
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
    """Cells of one group share a color."""
    ax = draw_tensor(torch.ones(2, 2), groups=torch.tensor([[0, 1], [1, 0]]))
    assert [c for *_, c in cells(ax)] == [PALETTE[i] for i in (0, 1, 1, 0)]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (0.333333, "0.33"),
        (100.0, "100"),
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
    with pytest.raises(ValueError, match=r"groups has shape \(3,\), values \(2,\)"):
        draw_tensor(torch.ones(2), groups=torch.zeros(3))
    assert not mpl.pyplot.get_fignums()


def test_draw_tensors_stands_them_side_by_side():
    """Each has its title; without groups each has a color of its own."""
    fig = draw_tensors({"a": torch.ones(2), "b": torch.zeros(3)})
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]
    assert [cells(ax)[0][2] for ax in fig.axes] == [PALETTE[0], PALETTE[1]]


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
    with pytest.raises(ValueError, match="no tensors"):
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


def test_draw_shape_shortens_long_edges():
    """A size of 1000 is longer than one of 100, but not ten times."""

    def width(size):
        corners = draw_shape((1, size)).patches[0].get_xy()
        return corners[:, 0].max()

    assert width(5) == 5
    assert width(100) < width(1000) < 2 * width(100)


@pytest.mark.parametrize("shape", [(1, 2, 3, 4, 5), (2, -1)])
def test_draw_shape_refuses(shape):
    """Five dimensions and negative sizes have no box."""
    with pytest.raises(ValueError, match="cannot draw the shape"):
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


def test_draw_memory_takes_arrays_of_floats():
    """The numbers of a NumPy array are read in its own type."""
    assert texts(draw_memory({"array": np.array([0.5, 2.0])}))[1:3] == ["0.5", "2"]


def test_draw_memory_refuses():
    """Too much, too many dimensions, another device, nothing."""
    with pytest.raises(ValueError, match="no tensors"):
        draw_memory({})
    with pytest.raises(ValueError, match=r"'x'.*at most 24 stored.*\(25,\).*25 stored"):
        draw_memory({"x": torch.ones(25)})
    with pytest.raises(ValueError, match="one or two dimensions"):
        draw_memory({"x": torch.tensor(1)})
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
