"""The pages of the gallery, taken apart: what the checks of pages look at."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
CURRICULUM = tomllib.loads((EXAMPLES / "curriculum.toml").read_text("utf-8"))
PAGES = [
    EXAMPLES / chapter / f"{page}.py"
    for chapter, pages in CURRICULUM["chapters"].items()
    for page in pages
]


COMMENT_OR_LABEL = re.compile(r"\.\. (\w+:(?!:)|_)")  # not a directive, with ::


@dataclass(frozen=True)
class Cell:
    """One ``# %%`` section: its prose, and the code below it."""

    line: int
    prose: str
    code: str

    @cached_property
    def code_lines(self) -> list[str]:
        """The code without blank lines."""
        return [line for line in self.code.splitlines() if line.strip()]

    @cached_property
    def tree(self) -> ast.Module:
        """The code, parsed."""
        return ast.parse(self.code)


class Page:
    """A script of the gallery: its opening, its cells and its closing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.read_text("utf-8")
        self.name = path.stem
        self.opening = ast.get_docstring(ast.parse(self.source)) or ""
        self.cells = list(_split(self.source))

    @property
    def prose(self) -> str:
        """Everything that a reader reads but the code: comments of rst left out."""
        texts = [self.opening, *(cell.prose for cell in self.cells)]
        return "\n".join(map(_visible, texts))

    @property
    def concepts(self) -> set[str]:
        """The ids that the page declares."""
        found = re.search(r"^\.\. concepts:(.*)$", self.opening, re.MULTILINE)
        return set(re.findall(r"\w+", found[1])) if found else set()


def _split(source: str) -> list[Cell]:
    """Return the cells; the first has the docstring's place and the imports."""
    lines = source.splitlines()
    starts = [i for i, text in enumerate(lines) if text.startswith("# %%")]
    docstring_end = ast.parse(source).body[0].end_lineno or 0
    ends = [*starts, len(lines)]
    cells = [Cell(1, "", "\n".join(lines[docstring_end : ends[0]]))]
    for start, end in zip(starts, ends[1:], strict=True):
        code = start + 1
        while code < end and lines[code].startswith("#"):
            code += 1
        prose = "\n".join(text[2:] for text in lines[start + 1 : code])
        cells.append(Cell(start + 1, prose, "\n".join(lines[code:end])))
    return cells


def _visible(text: str) -> str:
    """Return rst text without its comments, labels and directive lines."""
    kept, hidden = [], False
    for line in text.splitlines():
        if COMMENT_OR_LABEL.match(line):
            hidden = True
        elif line and not line.startswith(" "):
            hidden = False
        if not hidden and not re.match(r"\s*(\.\. \w|:\w+:)", line):
            kept.append(line)
    return "\n".join(kept)
