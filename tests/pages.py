"""The pages of the gallery in their reading order, and what is planned for them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lesson import Cell, Page

__all__ = ["CURRICULUM", "EXAMPLES", "PAGES", "ROOT", "Cell", "Page"]

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
CURRICULUM = tomllib.loads((EXAMPLES / "curriculum.toml").read_text("utf-8"))
PAGES = [
    EXAMPLES / chapter / f"{page}.py"
    for chapter, pages in CURRICULUM["chapters"].items()
    for page in pages
]
