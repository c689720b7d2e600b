"""What stands around the lessons: home, cards, heads of pages, downloads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import build_facts
import card_pictures
import cards
import chapters
import install
import lesson_head
import page_files
import page_foot
import page_notebooks
import pytest
import reading_order
import shown_cell
import stale_pages
from lesson import Page
from sphinx.errors import ExtensionError

from tests.pages import CURRICULUM, PAGES

REPOSITORY = "https://github.com/owner/name"
SVG = (
    '<svg class="picture" role="img" aria-label="A line." width="432pt" '
    'height="216pt" viewBox="0 0 432 216" xmlns="http://www.w3.org/2000/svg">\n'
    '   <path d="M 1.234567 2" style="stroke: currentColor"/></svg>'
)
GENERATED = """
The short answer
----------------

.. GENERATED FROM PYTHON SOURCE LINES 1-2

.. code-block:: Python


    x = 1
    print(x)

    assert x == 1

.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    1

.. GENERATED FROM PYTHON SOURCE LINES 3-4

.. raw:: html
   :file: images/one.svg
"""


def written(folder: Path, code: str) -> Page:
    """Return a page of the gallery with a title, an opening and the code."""
    path = folder / "page.py"
    opening = '"""\n.. _page:\n\nTitle\n=====\n\nWhy `torch.add`? Because.\nAfter this '
    path.write_text(f'{opening}page you can add.\n"""\nimport torch\n{code}', "utf-8")
    return Page(path)


def test_a_chapter_says_what_its_page_says():
    """The title and the sentence of a card are those of the chapter's own page."""
    found = {chapter.name: chapter for chapter in chapters.chapters()}
    assert list(found) == list(CURRICULUM["chapters"])
    assert found["operations"].title == "Computing with tensors"
    for chapter in found.values():
        head = (reading_order.EXAMPLES / chapter.name / "GALLERY_HEADER.rst").read_text(
            "utf-8"
        )
        assert f"{chapter.title}\n{'=' * len(chapter.title)}\n" in head
        assert chapter.sentence.endswith(".")
        assert chapter.sentence.split()[0] in head


def test_a_page_knows_its_place():
    """Pages of the gallery have one; others have none."""
    chapter, place = chapters.find_page("gallery/operations/broadcasting")
    assert (chapter.name, place) == ("operations", 1)
    assert chapters.find_page("gallery/operations/index") is None
    assert chapters.find_page("snippets/training") is None


def test_a_card_holds_a_question_and_what_one_can_do(tmp_path):
    """Links become code, since the whole card is one link."""
    question, ability = chapters.opening_of(written(tmp_path, ""))
    assert question == "Why ``torch.add``? Because."
    assert ability == "After it, you can add."


def test_every_page_has_a_question_for_its_card():
    for page in chapters.every_page():
        assert chapters.opening_of(page)[0], page.path


def test_time_to_read_counts_words_and_the_code_in_sight(tmp_path):
    """Folded code is not read: neither the solution of an exercise nor a picture's."""
    words = "# %%\n" + "# word\n" * chapters.WORDS_A_MINUTE
    code = "x = 1\n" * chapters.LINES_A_MINUTE
    folded = "# %%\n# .. fold: picture\n\n" + code
    assert chapters.minutes_of(written(tmp_path, "")) == 1
    assert chapters.minutes_of(written(tmp_path, words + code)) == 2
    assert chapters.minutes_of(written(tmp_path, words * 3 + code * 2)) == 5
    assert chapters.minutes_of(written(tmp_path, words + code + folded)) == 2


def test_a_card_picture_stands_alone_in_the_color_of_its_scheme():
    """It is a file of its own, and shorter than the figure of the page."""
    for scheme, color in card_pictures.COLORS.items():
        svg = card_pictures.colored(SVG, scheme)
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert f"stroke: {color}" in svg
        assert "currentColor" not in svg
        assert "M 1.23 2" in svg
        assert "aria-label" not in svg


def test_a_card_may_show_a_part_of_a_picture():
    """Its size is that of the part, so that the page stays still while it loads."""
    assert card_pictures.size(SVG) == (576, 288)
    part = card_pictures.cropped(SVG, (0.5, 0, 1, 0.25))
    assert 'viewBox="216.00 0.00 216.00 54.00"' in part
    assert card_pictures.size(part) == (288, 72)


def test_curriculum_names_pages_that_are_there():
    """A picture or a cover that nobody sees would be a slip."""
    addresses = {f"{path.parent.name}/{path.stem}" for path in PAGES}
    assert set(CURRICULUM["pictures"]) <= addresses
    assert {f"{c}/{page}" for c, page in CURRICULUM["covers"].items()} <= addresses


def test_a_shown_cell_is_taken_from_the_generated_page():
    """Its code, what it printed, and the next picture."""
    run = shown_cell.find_run(GENERATED, "The short answer")
    assert run == shown_cell.Run(
        "x = 1\nprint(x)\n\nassert x == 1", "1", "images/one.svg"
    )


def test_a_shown_cell_that_has_gone_ends_the_build(tmp_path):
    """A heading that is not there, and output that was not printed."""
    page = tmp_path / "page.rst"
    config = SimpleNamespace(sphinx_gallery_conf={"filename_pattern": r"\.py$"})
    directive = SimpleNamespace(
        arguments=["page"],
        config=config,
        env=SimpleNamespace(docname="index"),
        options={"section": "The short answer"},
    )
    directive.was_run = lambda page: shown_cell.ShownCell.was_run(directive, page)
    page.write_text(GENERATED, "utf-8")
    assert shown_cell.ShownCell.found(directive, page).printed == "1"
    for broken in (
        GENERATED.replace("short", "long"),
        GENERATED.replace("sphx-glr-script-out", "other"),
        GENERATED.replace(":file:", ":other:"),
    ):
        page.write_text(broken, "utf-8")
        with pytest.raises(ExtensionError, match="index shows a cell of page"):
            shown_cell.ShownCell.found(directive, page)
    config.sphinx_gallery_conf["filename_pattern"] = "another"
    assert not shown_cell.ShownCell.found(directive, page).picture


def test_home_counts_pages_and_facts(monkeypatch):
    """The numbers come from the pages, the day from the build."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    facts = sum(
        len(
            [
                line
                for line in cell.check.splitlines()
                if line.strip().startswith("assert")
            ]
        )
        for path in PAGES
        for cell in Page(path).cells
    )
    numbers = [number for number, _ in build_facts.build_facts()]
    assert numbers[0] == f"{len(PAGES)} pages"
    assert numbers[1] == f"{facts:,} facts"
    assert numbers[3] == "2 January 1970"


def test_foot_names_no_build_of_pytorch():
    """A reader's words: no "+cu132", no "device cpu"."""
    assert page_foot.torch_version().replace(".", "").isdigit()
    assert page_foot.device_words().startswith("a")
    assert page_foot.in_words("2026-12-01") == "1 December 2026"


def test_links_to_the_repository_need_its_address():
    """Without one there are none; Colab opens what GitHub holds, and nothing else."""
    page, notebook = (
        "gallery/operations/broadcasting",
        "_downloads/1/broadcasting.ipynb",
    )
    assert lesson_head.repository_links("", page, notebook) == []
    links = {
        link["text"]: link["href"]
        for link in lesson_head.repository_links(REPOSITORY, page, notebook)
    }
    assert links == {
        "Open in Colab": "https://colab.research.google.com/github/owner/name/blob/"
        f"gh-pages/{notebook}",
        "View source": f"{REPOSITORY}/blob/HEAD/examples/operations/broadcasting.py",
        "Report a mistake": f"{REPOSITORY}/issues/new?title="
        "Mistake%20on%20the%20page%20gallery/operations/broadcasting",
    }
    elsewhere = lesson_head.repository_links("https://example.org/name", page, notebook)
    assert [link["text"] for link in elsewhere] == ["View source", "Report a mistake"]


@pytest.mark.parametrize("repository", ["", REPOSITORY])
def test_a_script_says_what_to_install(tmp_path, repository):
    """Where the snippets are missing, it ends with the line; where not, it runs."""
    script = tmp_path / "page.py"
    script.write_text(install.script_head(repository) + "print('ran')\n", "utf-8")
    alone = subprocess.run(
        [sys.executable, "-I", "-S", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 1
    assert "Traceback" not in alone.stderr
    assert f"    {install.command(repository)}\n" in alone.stderr
    (tmp_path / "snippets.py").touch()
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "ran\n"


def test_a_notebook_begins_with_what_it_needs():
    """The first cell follows the setting, and a second time changes nothing."""
    first = {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["old"]}
    lesson = first | {"source": ["x = 1\n\nassert x == 1"]}
    made = page_notebooks.tidy({"cells": [first, lesson], "metadata": {}}, "new")
    assert [cell["source"] for cell in made["cells"]] == [
        ["new"],
        ["x = 1"],
        ["assert x == 1"],
    ]
    assert page_notebooks.tidy(made, "new") == made
    setting = {"cell_type": "markdown", "metadata": {}}
    setting["source"] = [".. exercise:: Twice\n\n   Write it.\n"]
    solution = "def twice(x):\n    return x + x\n\n\none = 1\nassert twice(one) == 2"
    exercise = {"cells": [first, setting, first | {"source": [solution]}]}
    made = page_notebooks.tidy(exercise | {"metadata": {}}, "new")
    assert page_notebooks.tidy(made, "new") == made
    assert "%pip install" in install.notebook_cell(REPOSITORY)
    assert "pip install -e" in install.notebook_cell("")


def test_a_page_loads_only_the_files_that_it_needs():
    """The style of notebooks goes with a notebook, ours with every page."""
    lesson = '<div class="sphx-glr-script-out"><div class="highlight">'
    needed = {
        "site.css": (True, True),
        "sg_gallery.css": (False, True),
        "sg_gallery-dataframe.css": (False, False),
        "mystnb.1b39.css": (False, False),
        "copybutton.js": (False, True),
    }
    for name, expected in needed.items():
        assert (page_files.is_needed(name, ""), page_files.is_needed(name, lesson)) == (
            expected
        )
    assert page_files.is_needed("mystnb.1b39.css", '<div class="cell docutils">')


def test_a_chapter_has_no_thumbnails_beside_its_cards():
    """What Sphinx-Gallery adds below the head is left out; other pages stay."""
    source = "Head\n\n.. raw:: html\n\n  <div id='sg-tag-list' class=''></div>\n\nmore"
    for docname, expected in {
        "gallery/operations/index": ":hide-toc:\nHead\n\n",
        "gallery/operations/broadcasting": source,
        "snippets/index": source,
    }.items():
        text = [source]
        cards.keep_head(None, docname, text)
        assert text == [expected]


def test_a_snippet_shows_the_pages_that_import_from_it():
    """By a name of it, or by the module as a whole."""
    source = "import torch\nfrom snippets.losses import focal_loss\n"
    assert stale_pages.imported_names(source) == {
        "torch",
        "snippets.losses",
        "snippets.losses.focal_loss",
    }
    (focal_loss,) = [
        page for page in chapters.every_page() if page.name == "focal_loss"
    ]
    assert "snippets.losses" in stale_pages.imported_names(focal_loss.source)
