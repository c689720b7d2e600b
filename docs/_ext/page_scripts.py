"""Begin each script that a reader downloads with what it needs.

Alone, it would end with "No module named 'snippets'". The copies are changed where
readers get them; those of Sphinx-Gallery stay, since it compares them with the pages.
"""

from pathlib import Path
from typing import Any

from install import script_head
from sphinx.application import Sphinx


def add_heads(app: Sphinx, exception: Exception | None) -> None:
    """Write the lines above each downloaded page of the gallery."""
    if exception is not None or app.builder.format != "html":
        return
    head = script_head(app.config.repository_url)
    for source, (_, copied) in sorted(app.env.dlfiles.items()):
        if source.suffix == ".py":
            text = Path(app.srcdir, source).read_text("utf-8")
            Path(app.outdir, "_downloads", copied).write_text(head + text, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx, which copies the downloads."""
    app.connect("build-finished", add_heads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
