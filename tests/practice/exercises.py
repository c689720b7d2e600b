"""The exercises of the pages, and the file that a learner gets for each."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lesson import Cell, Page, stub

HINT = re.compile(r"^\.\. hint::(.*(?:\n(?: +.*)?)*)", re.MULTILINE)
ROLE = re.compile(r":\w+:`([^`<]+?)(?: <[^>]+>)?`")


@dataclass(frozen=True)
class Exercise:
    """One exercise: what it asks, how it is solved, and what checks an answer."""

    page: str  # such as operations/broadcasting
    title: str
    prose: str  # in reStructuredText
    imports: str
    solution: str
    checks: str

    @cached_property
    def names(self) -> list[str]:
        """The names of the functions and classes that an answer defines."""
        kinds = ast.FunctionDef | ast.ClassDef
        body = ast.parse(self.solution).body
        return [node.name for node in body if isinstance(node, kinds)]

    @property
    def name(self) -> str:
        """The name of the exercise: of the first that an answer defines."""
        return self.names[0]

    @property
    def file(self) -> Path:
        """Where the learner's file lies within the folder of all."""
        return Path(self.page.split("/")[0], f"{self.name}.py")

    @cached_property
    def text(self) -> str:
        """What is asked, in plain text."""
        return plain(HINT.sub("", self.prose))

    @cached_property
    def hint(self) -> str:
        """The hint, in plain text."""
        found = HINT.search(self.prose)
        if not found:
            return ""
        first, _, rest = found[1].partition("\n")
        return plain(f"{first.strip()}\n{textwrap.dedent(rest)}")

    def start(self) -> str:
        """Return the file that a learner begins with."""
        command = f"python -m nox -s practice -- hint {self.name}"
        text = (
            f"{self.title}\n\n{self.text}\n\nThe page: {self.page}\nA hint: {command}"
        )
        return (
            f'r"""{text}\n"""\n\n{self.needed_imports()}\n\n\n{stub(self.solution)}\n'
        )

    def needed_imports(self) -> str:
        """Return the imports of the page that solution or checks use, and torch."""
        used = {
            n.id for n in ast.walk(ast.parse(self.solution)) if isinstance(n, ast.Name)
        }
        return "\n".join(
            ast.unparse(node)
            for node in ast.parse(self.imports).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            if {a.asname or a.name.split(".")[0] for a in node.names} & {"torch", *used}
        )


def plain(prose: str) -> str:
    """Return reStructuredText as it reads without its marks."""
    return ROLE.sub(r"\1", prose.replace("``", "`")).strip()


def exercise(page: str, imports: str, cell: Cell) -> Exercise:
    """Return the exercise that a cell of a page sets."""
    _, _, prose = cell.prose.partition(f".. exercise:: {cell.exercise}")
    return Exercise(
        page=page,
        title=cell.exercise or "",
        prose=textwrap.dedent(prose.strip("\n")),
        imports=imports,
        solution=cell.lesson,
        checks=cell.check,
    )


def exercises(paths: list[Path]) -> list[Exercise]:
    """Return the exercises of some pages, in their order."""
    pages = [Page(path) for path in paths]
    return [
        exercise(f"{page.path.parent.name}/{page.name}", page.imports, cell)
        for page in pages
        for cell in page.cells
        if cell.exercise
    ]
