"""Run a check, and note the values that its assert compares."""

from __future__ import annotations

import ast
from types import ModuleType
from typing import Any

CHECKS = "<checks>"  # stands for a file's name in tracebacks
MOST_LINES, MOST_CHARACTERS = 5, 400


def run_noting(
    statement: ast.stmt, names: dict[str, Any], values: dict[str, Any]
) -> None:
    """Run a statement; note in ``values`` what an assert compares.

    The values are noted as the assert computes them: computing them again could give
    others, or change what the answer works on.
    """

    def note(name: str, value: Any) -> Any:
        values[name] = value
        return value

    if isinstance(statement, ast.Assert):
        wanted = [part for part in parts(statement.test) if varies(part, names)]
        statement = _Noting(wanted).visit(statement)
    names["__note__"] = note
    module = ast.fix_missing_locations(ast.Module([statement], []))
    exec(compile(module, CHECKS, "exec", dont_inherit=True), names)


def parts(test: ast.expr) -> list[ast.expr]:
    """Return the expressions whose values tell why a test fails."""
    match test:
        case ast.UnaryOp(operand=operand):
            return parts(operand)
        case ast.BoolOp(values=tests):
            return [part for each in tests for part in parts(each)]
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case ast.Call(func=ast.Attribute(value=owner), args=arguments):
            return [owner, *arguments]
        case ast.Call(args=arguments):
            return list(arguments)
    return [test]


def varies(part: ast.expr, names: dict[str, Any]) -> bool:
    """Tell whether a value depends on more than literals, modules and types."""
    used = {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
    known = [names[name] for name in used if name in names]
    return any(not isinstance(value, ModuleType | type) for value in known)


class _Noting(ast.NodeTransformer):
    """Put some expressions of a statement into calls that note their values."""

    def __init__(self, wanted: list[ast.expr]) -> None:
        self.wanted = wanted

    def visit(self, node: ast.AST) -> Any:
        """Replace ``x`` by ``__note__("x", x)``."""
        if not (isinstance(node, ast.expr) and node in self.wanted):
            return self.generic_visit(node)
        name = ast.Constant(ast.unparse(node))
        return ast.Call(ast.Name("__note__", ast.Load()), [name, node], [])


def in_words(value: Any) -> str:
    """Return a value as Python shows it: behind a space, or on lines of its own."""
    try:
        # A torch.Size is a tuple, and easier to compare with one as a tuple.
        text = repr(tuple(value) if type(value).__name__ == "Size" else value)
    except Exception as error:
        return f" a {type(value).__name__} that cannot be shown: {error!r}"
    lines = text[:MOST_CHARACTERS].splitlines()
    shown = "\n".join(lines[:MOST_LINES])
    shown = shown if shown == text else f"{shown} ..."
    return f"\n{shown}" if len(lines) > 1 else f" {shown}"
