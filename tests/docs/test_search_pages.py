"""What the search knows of a page is what its readers see."""

from __future__ import annotations

import json

import pytest
import reading_order
import search_pages
from sphinx.testing.util import SphinxTestApp

LESSON = """
.. _dtypes:

dtypes: choose one
==================

.. note::
   :class: sphx-glr-download-link-note

   Go to the end.

Why is it an integer? *After this page* you know.

Convert
-------

A number of :ref:`dtypes` is in :doc:`index`::

    x = x.float()
    x.float()

.. admonition:: Checked
   :class: fold no-search

   folded

Deeper
^^^^^^

Below.
"""
SNIPPETS = """
Snippets to take
================

.. toctree::
   losses
"""
LOSSES = """
Losses
======

.. py:function:: snippets.losses.focal_loss(x)

   Weigh what is easy less.
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Build a small site; return what its search knows, by address."""
    folder = tmp_path_factory.mktemp("search")
    chapter = folder / "gallery/tensors"
    chapter.mkdir(parents=True)
    (folder / "snippets").mkdir()
    (folder / "conf.py").write_text('extensions = ["search_pages"]\n', "utf-8")
    (folder / "index.rst").write_text(
        "Home\n====\n\n.. toctree::\n   :glob:\n\n   */**\n"
    )
    (folder / "snippets/index.rst").write_text(SNIPPETS, "utf-8")
    (folder / "snippets/losses.rst").write_text(LOSSES, "utf-8")
    (chapter / "dtypes.rst").write_text(LESSON, "utf-8")
    app = SphinxTestApp("html", srcdir=folder, freshenv=True)
    app.build()
    app.cleanup()
    script = (app.outdir / "_static/search/pages.js").read_text("utf-8")
    known = json.loads(script.removeprefix("const searchPages = ").rstrip(";\n"))
    return {page["url"]: page for page in known}


def test_a_lesson_is_known_by_question_place_and_queries(pages):
    """The question is its first paragraph, not the note that stands above it."""
    page = pages["gallery/tensors/dtypes.html"]
    assert page["kind"] == "lesson"
    assert page["title"] == "dtypes: choose one"
    assert page["question"] == "Why is it an integer? After this page you know."
    assert page["place"] == "Tensors: making and reading them · 5 of 8"
    assert page["queries"] == search_pages.queries()["tensors/dtypes"] != []


def test_sections_hold_their_own_words(pages):
    """With the titles that links show, each name of code once, and nothing folded."""
    _, convert, deeper = pages["gallery/tensors/dtypes.html"]["sections"]
    assert convert == {
        "id": "convert",
        "heading": "Convert",
        "text": "A number of dtypes: choose one is in Home:",
        "code": "float",
    }
    assert deeper["text"] == "Below."


def test_snippets_are_known_by_the_names_of_their_functions(pages):
    page = pages["snippets/losses.html"]
    assert page["kind"] == "snippet"
    assert page["place"] == "Snippets to take"
    assert page["names"] == ["snippets.losses.focal_loss"]
    assert "Weigh what is easy less." in page["sections"][0]["text"]


def test_pages_without_words_are_left_out(pages):
    assert "search.html" not in pages
    assert "genindex.html" not in pages


def test_every_page_declares_its_queries():
    """Three to six, and one in Chinese; no two pages the same."""
    queries = search_pages.queries()
    chapters = reading_order.chapters()
    order = [f"{chapter}/{page}" for chapter in chapters for page in chapters[chapter]]
    assert list(queries) == order
    chinese = {p: [q for q in qs if not q.isascii()] for p, qs in queries.items()}
    assert {page for page in order if len(chinese[page]) != 1} == set()
    assert {page for page in order if not 4 <= len(queries[page]) <= 7} == set()
    declared = [query for page in order for query in queries[page]]
    assert len(declared) == len(set(declared))
