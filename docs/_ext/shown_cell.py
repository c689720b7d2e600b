"""Show a cell of a page elsewhere, with what it printed and drew in this build.

    ```{shown-cell} operations/broadcasting
    :section: The short answer
    ```

takes the first cell below that heading, and the next picture of the page. The build
fails when the page no longer has them: the example is real, or it is not shown.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from folds import GENERATED, OUTPUT, code_fold, facts
from lesson import count_facts, split_check
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

INDENTED = r"((?:    .*\n|\n)+)"
CODE = re.compile(r"\.\. code-block:: Python\n\n" + INDENTED)
PRINTED = re.compile(OUTPUT + r"\n\n \.\. code-block:: none\n\n" + INDENTED)
PICTURE = re.compile(r":file: (images/\S+\.svg)")


@dataclass(frozen=True)
class Run:
    """A cell as Sphinx-Gallery wrote it down: its code, output and picture."""

    code: str
    printed: str
    picture: str
    """The file of the next picture, as seen from the page."""


def find_run(rst: str, section: str) -> Run:
    """Return the first cell of a section of a generated page, or raise `ValueError`."""
    heading = re.search(rf"^{re.escape(section)}\n[-=]+$", rst, re.MULTILINE)
    code = heading and CODE.search(rst, heading.end())
    if not code:
        raise ValueError(f"no cell below the heading {section!r}")
    end = rst.find(GENERATED, code.end())
    printed = PRINTED.search(rst, code.end(), end if end > 0 else len(rst))
    picture = PICTURE.search(rst, code.end())
    return Run(_text(code), _text(printed), picture[1] if picture else "")


def _text(found: re.Match[str] | None) -> str:
    return textwrap.dedent(found[1]).strip("\n") if found else ""


class ShownCell(SphinxDirective):
    """Show a cell of the gallery with its result."""

    required_arguments = 1
    option_spec: ClassVar = {"section": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return the cell, and beside it the picture."""
        page = Path(self.env.srcdir, "gallery", f"{self.arguments[0]}.rst")
        self.env.note_dependency(str(page))
        run = self.found(page)
        picture = run.picture and (page.parent / run.picture).read_text("utf-8")
        shown = nodes.container("", *cell(run), classes=["shown-code"])
        drawn = nodes.raw("", picture, format="html")
        beside = nodes.container("", drawn, classes=["shown-picture"])
        return [nodes.container("", shown, beside, classes=["shown-cell"])]

    def found(self, page: Path) -> Run:
        """Return what the page shows, or end the build."""
        try:
            run = find_run(page.read_text("utf-8"), self.options["section"])
            if self.was_run(page) and not (run.printed and run.picture):
                raise ValueError("its cell printed or drew nothing")
        except (OSError, ValueError) as error:
            raise ExtensionError(
                f"{self.env.docname} shows a cell of {self.arguments[0]}: {error}"
            ) from error
        return run

    def was_run(self, page: Path) -> bool:
        """Tell whether this build runs the page: it may be told to run others only."""
        pattern = self.config.sphinx_gallery_conf["filename_pattern"]
        return bool(re.search(pattern, str(page.with_suffix(".py"))))


def cell(run: Run) -> list[nodes.Node]:
    """Return code, output and check, as the page itself shows them."""
    lesson, check = split_check(run.code)
    whole = f"import torch\n\n{lesson}"
    shown: list[nodes.Node] = [nodes.literal_block(whole, whole, language="python")]
    if run.printed:
        printed = nodes.literal_block(run.printed, run.printed, language="none")
        printed["classes"].append(OUTPUT)
        shown.append(printed)
    count = count_facts(check)
    return [*shown, code_fold(f"Checked: {facts(count)}", check, "check")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("shown-cell", ShownCell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
