"""The code on the snippets' pages runs, and prints what the page says it prints."""

from __future__ import annotations

import ast
import contextlib
import io
import re

import pytest

from tests.pages import ROOT

SNIPPET_PAGES = [*sorted(ROOT.glob("docs/snippets/[!i]*.md")), ROOT / "README.md"]


BLOCK = re.compile(r"^```python\n(.*?)^```\n+(?:```text\n(.*?)^```)?", re.M | re.S)


def comment_on(node: ast.stmt, lines: list[str]) -> str | None:
    """Return the comment behind a statement or alone on the line below it."""
    behind = re.search(r"  # (.*)$", lines[node.end_lineno - 1])
    below = re.match(r"# (.*)$", "".join(lines[node.end_lineno :][:1]))
    found = behind or below
    return found and found[1]


def run(block: str, names: dict) -> tuple[str, list[tuple[str, str]]]:
    """Run a block; return what it printed, and commented values with their comments."""
    printed, pairs = "", []
    for node in ast.parse(block).body:
        value = None
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), "page", "eval"), names)
            else:
                exec(compile(ast.Module([node], []), "page", "exec"), names)
        printed += out.getvalue()
        comment = comment_on(node, block.splitlines())
        if isinstance(node, ast.Expr) and comment:
            result = out.getvalue().strip() if value is None else repr(value)
            pairs.append((result, comment))
    return printed, pairs


@pytest.mark.parametrize("page", SNIPPET_PAGES, ids=lambda path: path.stem)
def test_code_on_the_page_gives_what_it_says(page):
    """A comment behind a value is its result; a text block below is what is printed."""
    names: dict = {}
    blocks = BLOCK.findall(page.read_text("utf-8"))
    assert blocks, "show how to call it"
    for block, shown in blocks:
        printed, pairs = run(block, names)
        for result, said in pairs:
            assert result == said
        if shown:
            assert printed.split() == shown.split()
