"""The reading order and the concepts, read from ``examples/curriculum.toml``."""

import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

EXAMPLES = Path(__file__).parents[2] / "examples"


def chapters() -> dict[str, list[str]]:
    """Return each chapter's pages, in reading order."""
    return tomllib.loads((EXAMPLES / "curriculum.toml").read_text("utf-8"))["chapters"]


def chapter_key(folder: str) -> int:
    """Return the place of a chapter's folder; unlisted ones raise `ValueError`."""
    return _place(list(chapters()), Path(folder).name, "chapter")


def page_key(filename: str) -> int:
    """Return the place of a script within all pages, in reading order."""
    pages = [page for names in chapters().values() for page in names]
    return _place(pages, Path(filename).stem, "page")


def _place(names: list[str], name: str, kind: str) -> int:
    if name not in names:
        raise ValueError(
            f"the {kind} {name!r} has no place in the reading order: "
            "add it to examples/curriculum.toml"
        )
    return names.index(name)


class LearningPath(SphinxDirective):
    """List the chapters with their pages in order, and put them in the sidebar."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the list and a hidden toctree, both from the reading order."""
        folders = chapters()
        toctree = [":::{toctree}", ":hidden:", ":caption: Learn", ""]
        toctree += [f"gallery/{chapter}/index" for chapter in folders] + [":::", ""]
        path = []
        for chapter, pages in folders.items():
            path += [f"1. **{{doc}}`/gallery/{chapter}/index`**", ""]
            path += [f"   - {{doc}}`/gallery/{chapter}/{page}`" for page in pages]
            path += [""]
        return self.parse_text_to_nodes("\n".join(toctree + path))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive of the home page."""
    app.add_directive("learning-path", LearningPath)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
