"""Make the notebooks that Sphinx-Gallery generates as good to work in as the pages.

It converts headings, math and links; comments, admonitions and exercises would stay as
raw text. Here they become Markdown, each check becomes a collapsed cell of its own, and
an exercise gets a function to fill in, with its solution folded away.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from install import notebook_cell
from lesson import EXERCISE, split_check, stub
from sphinx.application import Sphinx

COMMENT = re.compile(r"^\.\. \w+:(?!:).*(?:\n +.*)*\n*", re.MULTILINE)
BLOCK = re.compile(
    r"^\.\. (?P<kind>admonition|exercise|hint):: (?P<title>.+)\n"
    r"(?P<text>(?:(?:   .*)?(?:\n|\Z))*)",
    re.MULTILINE,
)
OPTION = re.compile(r"^:\w+:.*\n+", re.MULTILINE)
INSTALL = notebook_cell("")

Cell = dict[str, Any]


def markdown(text: str) -> str:
    """Return the text without comments, its directives in Markdown."""
    return BLOCK.sub(_block, COMMENT.sub("", text)).rstrip() + "\n"


def _block(match: re.Match[str]) -> str:
    title = match["title"]
    text = OPTION.sub("", textwrap.dedent(match["text"]).strip("\n"))
    if match["kind"] == "exercise":
        return f"### Exercise: {title}\n\n{markdown(text)}\n"
    if match["kind"] == "hint":
        return folded("Hint", f"{title}\n{text}")
    quoted = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
    return f"> **{title}.**\n>\n{quoted}\n\n"


def folded(title: str, text: str) -> str:
    """Return Markdown that stands behind its title until that is clicked."""
    return f"<details><summary>{title}</summary>\n\n{text.rstrip()}\n\n</details>\n\n"


def cells(old: list[Cell]) -> Iterator[Cell]:
    """Yield the cells of a notebook, lessons and checks apart."""
    sets_exercise = False
    for cell in old:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            sets_exercise = bool(EXERCISE.search(source))
            yield cell | {"source": [markdown(source)]}
        else:
            yield from divided(cell, source, sets_exercise)
            sets_exercise = False


def divided(cell: Cell, source: str, is_exercise: bool) -> Iterator[Cell]:
    """Yield a code cell's lesson and check, or an exercise's stub, solution, check."""
    lesson, check = split_check(source, exercise=is_exercise)
    if is_exercise:
        solution = folded("Solution", f"```python\n{lesson}\n```")
        yield {"cell_type": "markdown", "metadata": {}, "source": [solution]}
        lesson = stub(lesson)
    if lesson:
        yield cell | {"source": [lesson]}
    if check:
        metadata = {"jupyter": {"source_hidden": True}, "tags": ["check"]}
        yield cell | {"source": [check], "metadata": metadata}


def tidy_notebooks(app: Sphinx) -> None:
    """Rewrite the notebooks of the pages that have just been run."""
    for path in sorted((Path(app.srcdir) / "gallery").glob("*/*.ipynb")):
        text = path.read_text("utf-8")
        notebook = tidy(json.loads(text), notebook_cell(app.config.repository_url))
        better = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        if better != text:
            path.write_text(better, "utf-8")


def tidy(notebook: dict[str, Any], install: str) -> dict[str, Any]:
    """Return a notebook that begins with what it needs; twice is as once."""
    first, *rest = notebook["cells"]
    if not notebook["metadata"].get("divided"):
        rest = list(cells(rest))
    metadata = notebook["metadata"] | {"divided": True}
    return notebook | {
        "cells": [first | {"source": [install]}, *rest],
        "metadata": metadata,
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx-Gallery, which writes at the default priority."""
    app.connect("builder-inited", tidy_notebooks, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
