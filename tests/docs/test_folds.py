"""A built page shows the lesson, and folds what stands behind it."""

from __future__ import annotations

import json
import re

import folds
import pytest
from sphinx.testing.util import SphinxTestApp

RST = """
.. _page:

Title
=====

The opening?

.. GENERATED FROM PYTHON SOURCE LINES 1-9

.. code-block:: Python

    x = 1
    print(x)

    assert x == 1, "checkword"
    assert x < 2

.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    1
    Expected error:
      RuntimeError: too large
      by far
    after

.. GENERATED FROM PYTHON SOURCE LINES 10-12

A picture
---------

.. alt: one
.. fold: picture

.. GENERATED FROM PYTHON SOURCE LINES 12-20

.. code-block:: Python

    drawing_code()
    assert x

.. raw:: html

   <svg class="picture"></svg>

.. GENERATED FROM PYTHON SOURCE LINES 21-30

.. exercise:: Twice

   Write ``twice``.

   .. hint:: Add it.

.. GENERATED FROM PYTHON SOURCE LINES 31-40

.. code-block:: Python

    def twice(x):
        return solutionword + x

    one = 1
    assert twice(one) == 2

.. GENERATED FROM PYTHON SOURCE LINES 41-42

The end.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build a site of one page with nothing but this extension."""
    folder = tmp_path_factory.mktemp("folds")
    (folder / "gallery").mkdir()
    (folder / "conf.py").write_text('extensions = ["folds"]\n', "utf-8")
    (folder / "index.rst").write_text("Home\n====\n\n.. toctree::\n\n   gallery/page\n")
    (folder / "gallery/page.rst").write_text(RST, "utf-8")
    app = SphinxTestApp("html", srcdir=folder, freshenv=True)
    app.build()
    app.cleanup()
    return app.outdir


@pytest.fixture(scope="module")
def html(site):
    return (site / "gallery/page.html").read_text("utf-8")


def visible(html):
    """Return the text of a page without its folds."""
    return re.sub(
        r"<[^>]+>", "", re.sub(r"<details.*?</details>", "", html, flags=re.S)
    )


def test_check_stands_folded_below_the_output(html):
    """One closed line that says how many facts; the lesson keeps no assert."""
    assert "assert" not in visible(html)
    summary = html.index("Checked: 2 facts")
    assert html.index("after") < summary < html.index("checkword")
    assert "<details" in html[:summary]
    assert not re.search(r"<details[^>]* open", html)


def test_picture_comes_before_its_code(html):
    """Behind the words that promise it."""
    picture, words = html.index('class="picture"'), html.index("Show the code of this")
    assert picture < words < html.index("drawing_code")
    assert html.index("drawing_code") < html.index("Checked: 1 fact<")


def test_exercise_holds_hint_solution_and_checks(html):
    """All of it folded, within the exercise, the solution nowhere else."""
    exercise = html[html.index("Exercise: Twice") : html.index("The end.")]
    order = [
        exercise.index(t) for t in ("Hint", "Solution", "How an answer is checked")
    ]
    assert order == sorted(order)
    assert html.count("solutionword") == 1
    assert html.index("Solve these in files") < html.index("Exercise: Twice")
    assert "return" not in visible(html)


def test_shown_error_is_set_off_without_its_mark(html):
    """What is printed before and after it is an output as any other."""
    assert folds.MARK not in html
    error = re.search(r"expected-error.*?<pre>(.*?)</pre>", html, re.S)[1]
    text = re.sub(r"<[^>]+>", "", error)
    assert text.split("\n") == ["RuntimeError: too large", "by far", ""]
    assert html.count("sphx-glr-script-out") == 3


def test_page_says_how_much_it_checks(html):
    """Below the opening, above the first section."""
    words = html.index("4 facts checked each time this page is built.")
    assert html.index("The opening?") < words < html.index("A picture")


def test_search_does_not_know_what_is_folded(site):
    """A word of a check or a solution finds no page."""
    index = (site / "searchindex.js").read_text("utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").rstrip(")"))["terms"]
    assert not [term for term in terms if term.startswith(("checkw", "solutionw"))]
    assert "print" in terms
