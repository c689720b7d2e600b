"""A page of the gallery, taken apart: prose, lesson, check, exercises.

What a reader sees of a code cell is its *lesson*. From its first top-level ``assert``
to its end stands its *check*. In the cell of an exercise, the functions and classes are
the *solution*, and what follows them is the check of an answer.

The site, the notebooks, the practice files and the tests all divide pages here.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HIDDEN = re.compile(r"\.\. (\w+:(?!:)|_)")  # comments and labels, not directives
DIRECTIVE = re.compile(r"\s*(\.\. \w|:\w+:)")
EXERCISE = re.compile(r"^\.\. exercise:: (.+)$", re.MULTILINE)
PICTURE = re.compile(r"^\.\. fold: picture$", re.MULTILINE)


def check_start(code: str, *, exercise: bool = False) -> int:
    """Return how many lines of a code cell come before its check."""
    lines = code.splitlines()
    for node in ast.parse(code).body:
        is_solution = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if not is_solution if exercise else isinstance(node, ast.Assert):
            start = node.lineno - 1
            while start and lines[start - 1].startswith("#"):  # says what is checked
                start -= 1
            return start
    return len(lines)


def split_check(code: str, *, exercise: bool = False) -> tuple[str, str]:
    """Return the lesson of a code cell, or its solution, and the check below it."""
    lines, start = code.splitlines(), check_start(code, exercise=exercise)
    return "\n".join(lines[:start]).strip("\n"), "\n".join(lines[start:]).strip("\n")


def count_facts(check: str) -> int:
    """Return how many asserts a check holds."""
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(check)))


class _Emptied(ast.NodeTransformer):
    """Keep of each function its signature and docstring."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Put an error in the place of what the function does."""
        docstring = node.body[: ast.get_docstring(node) is not None]
        node.body = [*docstring, *ast.parse("raise NotImplementedError").body]
        return node


def stub(solution: str) -> str:
    """Return the functions and classes of a solution for a learner to fill in."""
    return ast.unparse(_Emptied().visit(ast.parse(solution)))


@dataclass(frozen=True)
class Cell:
    """One ``# %%`` section: its prose, and the code below it."""

    line: int
    prose: str
    code: str
    code_line: int
    """The number of the line where the code begins, in the file."""

    @property
    def exercise(self) -> str | None:
        """The title of the exercise that the prose sets, if it sets one."""
        found = EXERCISE.search(self.prose)
        return found[1].strip() if found else None

    @property
    def is_picture(self) -> bool:
        """Whether the code only draws, and is folded behind its picture."""
        return bool(PICTURE.search(self.prose))

    @cached_property
    def parts(self) -> tuple[str, str]:
        """The lesson or solution, and the check."""
        return split_check(self.code, exercise=self.exercise is not None)

    @property
    def lesson(self) -> str:
        """The code that a reader sees; of an exercise, its solution."""
        return self.parts[0]

    @property
    def check(self) -> str:
        """The code that proves the cell, or an answer to its exercise."""
        return self.parts[1]

    @property
    def check_lines(self) -> range:
        """The numbers of the lines of the check, in the file."""
        before = check_start(self.code, exercise=self.exercise is not None)
        whole = len(self.code.splitlines())
        return range(self.code_line + before, self.code_line + whole)

    @property
    def lesson_lines(self) -> list[str]:
        """The lesson without blank lines."""
        return [line for line in self.lesson.splitlines() if line.strip()]

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
    def title(self) -> str:
        """The title, without its underline."""
        return [line for line in self.opening.splitlines() if line.strip()][1]

    @property
    def prose(self) -> str:
        """Everything that a reader reads but the code: comments of rst left out."""
        texts = [self.opening, *(cell.prose for cell in self.cells)]
        return "\n".join(map(_visible, texts))

    @property
    def imports(self) -> str:
        """The cell of imports, at the top."""
        return self.cells[0].code.strip("\n")

    def declared(self, kind: str) -> set[str]:
        """Return the ids of a comment of the opening, such as ``.. concepts: P05``."""
        pattern = rf"^\.\. {kind}:(.*(?:\n +.*)*)$"
        found = re.search(pattern, self.opening, re.MULTILINE)
        return set(found[1].split()) if found else set()


def _split(source: str) -> list[Cell]:
    """Return the cells; the first has the docstring's place and the imports."""
    lines = source.splitlines()
    starts = [i for i, text in enumerate(lines) if text.startswith("# %%")]
    docstring_end = ast.parse(source).body[0].end_lineno or 0
    ends = [*starts, len(lines)]
    cells = [Cell(1, "", "\n".join(lines[docstring_end : ends[0]]), docstring_end + 1)]
    for start, end in zip(starts, ends[1:], strict=True):
        code = start + 1
        while code < end and lines[code].startswith("#"):
            code += 1
        prose = "\n".join(text[2:] for text in lines[start + 1 : code])
        cells.append(Cell(start + 1, prose, "\n".join(lines[code:end]), code + 1))
    return cells


def _visible(text: str) -> str:
    """Return rst text without its comments, labels and directive lines."""
    kept, hidden = [], False
    for line in text.splitlines():
        if HIDDEN.match(line):
            hidden = True
        elif line and not line.startswith(" "):
            hidden = False
        if not hidden and not DIRECTIVE.match(line):
            kept.append(line)
    return "\n".join(kept)
