"""The small Sphinx pieces in docs/_ext do what the pages rely on."""

from __future__ import annotations

from types import SimpleNamespace

import code_links
import failures
import figures
import matplotlib as mpl
import page_foot
import page_notebooks
import page_times
import pytest
import reading_order
import stale_pages
from sphinx.application import Sphinx

from tests.pages import ROOT

SCRIPT = '''"""Title"""
import matplotlib.pyplot as plt

# %%
# Prose.
#
# .. alt: A line that rises
#    to the right.

plt.plot([1, 2])

# %%
# No picture is described here.

plt.plot([2, 1])
'''


def test_alternative_text_is_the_comment_above_the_cell():
    """A comment of an earlier cell does not count."""
    lines = SCRIPT.splitlines()
    first, second = (i + 1 for i, t in enumerate(lines) if t.startswith("plt.plot"))
    expected = "A line that rises to the right."
    assert figures.alternative_text(SCRIPT, first) == expected
    assert figures.alternative_text(SCRIPT, second) == ""


@pytest.fixture
def scraped(tmp_path):
    """Draw a figure in the theme and scrape it; return a function that does so."""

    def scrape() -> tuple[str, str]:
        script = tmp_path / "page.py"
        script.write_text(SCRIPT, "utf-8")
        with mpl.rc_context():
            mpl.use("agg")
            figures.set_theme({}, "page")
            mpl.pyplot.subplots()[1].set_title("5 < 6 & a quote")
            paths = iter([str(tmp_path / "page_001.png")])
            rst = figures.scrape(
                SimpleNamespace(lineno=11),
                {"src_file": str(script), "image_path_iterator": paths},
                {"src_dir": str(tmp_path)},
            )
        return rst, (tmp_path / "page_001.svg").read_text("utf-8")

    return scrape


def test_figure_takes_the_color_of_the_page(scraped):
    """Text and lines are in the current color; the background is not painted."""
    rst, svg = scraped()
    assert ":file: images/page_001.svg" in rst
    assert "currentColor" in svg
    assert figures.FOREGROUND not in svg
    assert 'role="img"' in svg
    assert 'aria-label="A line that rises to the right."' in svg
    assert not mpl.pyplot.get_fignums()


def test_figure_is_the_same_twice(scraped):
    """A rebuilt page has the same bytes: no date, no random ids."""
    assert scraped() == scraped()


def test_ids_of_a_figure_are_its_own():
    """Two figures on a page do not share ids, and references still resolve."""
    svg = '<svg><g id="a"/><use href="#a"/><g clip-path="url(#a)"/></svg>'
    result = figures.accessible(svg, "text", "one")
    assert 'id="one-0"' in result
    assert 'href="#one-0"' in result
    assert "url(#one-0)" in result


def test_a_page_depends_on_the_snippets_that_it_imports():
    """An edited snippet makes exactly the pages stale that import it."""
    drawing = ROOT / "snippets" / "drawing.py"
    for source in (
        "from snippets.drawing import draw_tensor",
        "from snippets import drawing",
        "import snippets.drawing",
    ):
        assert stale_pages.imported_snippets(source) == {drawing}
    assert stale_pages.imported_snippets("import torch") == set()


def test_surroundings_change_with_a_snippet(tmp_path, monkeypatch):
    """The digest of an importing page changes, that of any other does not."""
    snippet = tmp_path / "snippets" / "drawing.py"
    snippet.parent.mkdir()
    snippet.write_text("one = 1\n", "utf-8")
    monkeypatch.setattr(stale_pages, "ROOT", tmp_path)
    pages = "from snippets.drawing import one", "import torch"
    before = [stale_pages.surroundings(page) for page in pages]
    snippet.write_text("one = 2\n", "utf-8")
    after = [stale_pages.surroundings(page) for page in pages]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]


def test_notebooks_hold_no_raw_directives():
    """Comments go, an admonition becomes a quotation."""
    text = (
        "Before.\n\n.. concepts: P05\n\n"
        ".. admonition:: Common mistake\n   :class: mistake\n\n"
        "   One line\n   and another.\n\n"
        ".. alt: A grid\n   of cells.\n\nAfter."
    )
    assert page_notebooks.markdown(text) == (
        "Before.\n\n> **Common mistake.**\n>\n> One line\n> and another.\n\nAfter.\n"
    )


def test_notebook_has_checks_in_collapsed_cells_of_their_own():
    """A reader runs the lesson, and opens the check who wants to see it."""
    lesson, check = page_notebooks.cells([code_cell("x = 1\n\nassert x == 1")])
    assert lesson["source"] == ["x = 1"]
    assert check["source"] == ["assert x == 1"]
    assert check["metadata"]["jupyter"] == {"source_hidden": True}


def test_notebook_gives_a_stub_and_folds_the_solution_of_an_exercise():
    """The hint is folded too; the checks stand below the stub."""
    prose = ".. exercise:: Twice\n\n   Write it.\n\n   .. hint:: Add\n      it.\n"
    code = "def twice(x):\n    return x + x\n\n\none = 1\nassert twice(one) == 2"
    markdown = {"cell_type": "markdown", "metadata": {}, "source": [prose]}
    made = list(page_notebooks.cells([markdown, code_cell(code)]))
    texts = ["".join(cell["source"]) for cell in made]
    assert [cell["cell_type"] for cell in made] == ["markdown"] * 2 + ["code"] * 2
    assert texts[0].startswith("### Exercise: Twice\n\nWrite it.\n\n<details>")
    assert "<summary>Hint</summary>\n\nAdd\nit.\n" in texts[0]
    assert "<summary>Solution</summary>" in texts[1]
    assert "return x + x" in texts[1]
    assert texts[2] == "def twice(x):\n    raise NotImplementedError"
    assert texts[3] == "one = 1\nassert twice(one) == 2"


def code_cell(source):
    return {"cell_type": "code", "metadata": {}, "outputs": [], "source": [source]}


def test_foot_takes_its_date_from_the_environment(monkeypatch):
    """Two builds of one commit carry the same date."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert page_foot.build_date() == "1970-01-02"


def test_reading_order_knows_each_page_and_refuses_others():
    """A page without a place is an error that names the file to edit."""
    chapters = reading_order.chapters()
    keys = [reading_order.chapter_key(f"../examples/{name}") for name in chapters]
    assert keys == sorted(keys)
    assert reading_order.page_key("broadcasting.py") > reading_order.page_key(
        "hello_torch.py"
    )
    with pytest.raises(ValueError, match=r"'stray' has no place.*curriculum.toml"):
        reading_order.page_key("stray.py")


def test_formulas_become_mathml(tmp_path):
    """A browser draws them by itself: the page loads no script for math."""
    formulas = "Title\n=====\n\n:math:`x^2`\n\n.. math:: \\frac{1}{2}\n"
    (tmp_path / "index.rst").write_text(formulas, "utf-8")
    out = tmp_path / "out"
    settings = {"extensions": ["mathml"], "html_math_renderer": "mathml"}
    places = (tmp_path, None, out, tmp_path / "trees", "html")
    Sphinx(*places, confoverrides=settings, status=None).build()
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<math") == 2
    assert "<msup>" in page
    assert "<mfrac>" in page
    assert "mathjax" not in page.lower()


def test_a_failed_page_is_told_with_its_cell():
    """The last lines of a failed build name the page, the cell and the error."""
    page = ROOT / "examples" / "operations" / "broadcasting.py"
    lines = page.read_text("utf-8").splitlines()
    line = lines.index("assert (column + row).shape == (3, 4)") + 1
    trace = f'Traceback:\n  File "{page}", line {line}, in <module>\nAssertionError: no'
    assert failures.describe(page, trace).splitlines() == [
        f'examples/operations/broadcasting.py, line {line}, in the cell "The short '
        'answer":',
        "    assert (column + row).shape == (3, 4)",
        "    AssertionError: no",
        "    To see it alone: python examples/operations/broadcasting.py",
    ]


def candidate(module: str, name: str, *, is_class: bool = False) -> dict:
    return {
        "module": module,
        "module_short": module,
        "name": name,
        "is_class": is_class,
        "is_explicit": False,
    }


def test_methods_of_tensors_are_links_and_variables_are_not():
    """What is written in C is linked too; a second pass changes nothing."""
    names = {
        "x": [candidate("torch", "Tensor")],
        "x.add_": [candidate("builtins", "builtin_function_or_method")],
        "torch.add": [candidate("torch", "add")],
        "Tensor": [candidate("torch", "Tensor", is_class=True)],
    }
    better = code_links.corrected(names)
    linked = {name: f"{c[0]['module']}.{c[0]['name']}" for name, c in better.items()}
    assert linked == {
        "x.add_": "torch.Tensor.add_",
        "torch.add": "torch.add",
        "Tensor": "torch.Tensor",
    }
    assert code_links.corrected(better) == better


def test_a_build_ends_with_the_times_of_its_pages():
    """The slowest page comes first, one above the limit is marked, the sum is last."""
    report = """<?xml version="1.0"?><testsuite tests="2" time="20.5">
    <testcase classname="dtypes" file="tensors/dtypes.py" name="Types" time="1.25" />
    <testcase classname="losses" file="losses/losses.py" name="L" time="19.25"/>
    </testsuite>"""
    assert page_times.table(page_times.times(report)).splitlines() == [
        "   19.2 s  losses/losses.py  <- too slow",
        "    1.2 s  tensors/dtypes.py",
        "   20.5 s  in all",
    ]
