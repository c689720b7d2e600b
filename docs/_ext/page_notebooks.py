"""Turn what Sphinx-Gallery leaves as reStructuredText in its notebooks into Markdown.

It converts headings, math and links; comments and our admonitions would stay as raw
text in the eyes of somebody who opens the notebook.
"""

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

COMMENT = re.compile(r"^\.\. \w+:(?!:).*(?:\n +.*)*\n*", re.MULTILINE)
ADMONITION = re.compile(
    r"^\.\. admonition:: (?P<title>.+)(?:\n +:class:.*)?\n\n(?P<text>(?:   .*\n?)+)",
    re.MULTILINE,
)
INSTALL = """\
# This notebook needs torch, matplotlib and the project's own snippets. Install them
# once, from a clone of PyTorch Basics: python -m pip install -e ".[examples]"
%matplotlib inline"""


def markdown(text: str) -> str:
    """Return the text without comments, its admonitions as quotations."""
    return ADMONITION.sub(_quotation, COMMENT.sub("", text))


def _quotation(match: re.Match[str]) -> str:
    lines = [line.strip() for line in match["text"].strip().splitlines()]
    return f"> **{match['title']}.** " + "\n> ".join(lines) + "\n"


def tidy_notebooks(app: Sphinx) -> None:
    """Rewrite the notebooks that hold something to convert."""
    for path in sorted((Path(app.srcdir) / "gallery").glob("*/*.ipynb")):
        old = path.read_text("utf-8")
        notebook = json.loads(old)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = [markdown("".join(cell["source"]))]
        new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        if new != old:
            path.write_text(new, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx-Gallery, which writes at the default priority."""
    app.connect("builder-inited", tidy_notebooks, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
