"""Run a page again when a snippet that it imports, or torch itself, has changed.

Sphinx-Gallery skips a page whose own text has not changed since its last run: it keeps
a checksum beside the page. This forgets the checksum when the rest has changed.
"""

import ast
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
RUNNERS = ROOT / "docs/_ext/figures.py", ROOT / "docs/_ext/fresh_state.py"
PACKAGES = "matplotlib", "numpy", "torch", "torchvision"


def imported_names(source: str) -> set[str]:
    """Return the modules that a script imports, and ``module.name`` for each name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def imported_snippets(source: str) -> set[Path]:
    """Return the files of `snippets` that a script imports."""
    names = imported_names(source)
    files = {ROOT / (name.replace(".", "/") + ".py") for name in names}
    return files & set((ROOT / "snippets").glob("*.py"))


def surroundings(source: str) -> str:
    """Return a digest of all that a page's result depends on, but its own text."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        digest.update(version(package).encode())
    for file in (*RUNNERS, *sorted(imported_snippets(source))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def forget_stale_pages(app: Sphinx) -> None:
    """Drop the checksum of each page whose surroundings differ from its last run's."""
    for script in sorted((ROOT / "examples").glob("*/*.py")):
        page = Path(app.srcdir) / "gallery" / script.parent.name / script.name
        record = page.with_suffix(".surroundings")
        now = surroundings(script.read_text("utf-8"))
        if record.exists() and record.read_text("utf-8") == now:
            continue
        page.with_suffix(".py.md5").unlink(missing_ok=True)
        page.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(now, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect before Sphinx-Gallery, which runs the pages at the default priority."""
    app.connect("builder-inited", forget_stale_pages, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
