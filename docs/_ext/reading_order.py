"""The reading order and the concepts, read from ``examples/curriculum.toml``."""

import tomllib
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def table(name: str) -> dict[str, Any]:
    """Return a table of the curriculum."""
    return tomllib.loads((EXAMPLES / "curriculum.toml").read_text("utf-8"))[name]


def chapters() -> dict[str, list[str]]:
    """Return each chapter's pages, in reading order."""
    return table("chapters")


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
