"""
The small changes that can be made to a page: which there are, and which are not made.

What is changed: one operator, one number or truth value, one ``dim``, one function
swapped for its sibling (``sum`` for ``mean``), one ``clone()``, ``detach()`` or ``.T``
taken away, one line dropped.

What is never changed: asserts (``assert``, ``raise AssertionError``, calls such as
``torch.testing.assert_close``), imports and text; what concerns looks alone (drawing,
the separators of ``print``, the digits kept by ``round``, and, in a loop, the
condition that only chooses what to print); the seeds, because a lesson holds for
every seed.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


def pairs(text: str) -> dict[str, str]:
    """Read ``old-new`` pairs."""
    return dict(pair.split("-") for pair in text.split())


OPERATORS = pairs("""
    Add-Sub Sub-Add Mult-Div Div-Mult MatMult-Mult Pow-Mult FloorDiv-Mult Mod-FloorDiv
    LShift-RShift RShift-LShift BitAnd-BitOr BitOr-BitAnd BitXor-BitAnd And-Or Or-And
    Eq-NotEq NotEq-Eq Lt-Gt Gt-Lt LtE-GtE GtE-LtE Is-IsNot IsNot-Is In-NotIn NotIn-In
""")
SIBLINGS = pairs("""
    sum-mean zeros-ones zeros_like-ones_like cat-stack hstack-vstack min-max
    amin-amax argmin-argmax minimum-maximum any-all add-sub mul-div add_-sub_ mul_-div_
    rand-randn rand_like-randn_like squeeze-unsqueeze cumsum-cumprod std-var sin-cos
    exp-log floor-ceil eq-ne lt-gt le-ge relu-sigmoid ReLU-Sigmoid no_grad-enable_grad
    train-eval float32-float64 int32-int64
""")
SIBLINGS |= {new: old for old, new in SIBLINGS.items()}
BUILTIN_SIBLINGS = {"min", "max", "any", "all"}
IN_PLACE = {"add_", "sub_", "mul_", "div_", "clamp_", "relu_"}
TAKES_DIM = """
    sum mean prod std var min max amin amax argmin argmax any all size sort flip norm
    softmax log_softmax cumsum cumprod squeeze unsqueeze
"""
SEEDS = {"manual_seed", "seed", "default_rng", "set_printoptions"}
DRAWING = {"plt", "matplotlib", "mpl", "fig", "figure", "ax", "axes", "axis"}
LOOKS_KEYWORDS = {"sep", "end", "file", "flush"}


# Which changes there are
# -----------------------


def changed(node: ast.AST, **fields: Any) -> ast.AST:
    """Return a copy of a node with some of its fields replaced."""
    twin = copy.copy(node)
    for name, value in fields.items():
        setattr(twin, name, value)
    return twin


def other_operator(operator: ast.AST) -> ast.AST:
    """Return the operator that takes the place of another."""
    new: ast.AST = getattr(ast, OPERATORS[type(operator).__name__])()
    return new


def is_dim(node: ast.AST, parent: ast.AST) -> bool:
    """Tell whether a number says which dimension is meant."""
    match parent:
        case ast.keyword(arg="dim" | "axis"):
            return True
        case ast.Call(func=ast.Attribute(attr=name), args=args):
            return name in TAKES_DIM.split() and node in args
    return False


def other_value(node: ast.Constant, parent: ast.AST) -> Iterator[ast.AST]:
    """Yield a constant with another value of its type."""
    value = node.value
    if isinstance(value, bool):
        yield changed(node, value=not value)
    elif isinstance(value, int) and value >= 1 and is_dim(node, parent):
        yield changed(node, value=value - 1)  # one more would be out of range
    elif isinstance(value, int | float):
        yield changed(node, value=value + 1)


def other_call(node: ast.Call) -> Iterator[ast.AST]:
    """Yield calls of a sibling, or of the copy instead of the in-place form."""
    match node.func:
        case ast.Name(id=name) if name in BUILTIN_SIBLINGS:
            yield changed(node, func=changed(node.func, id=SIBLINGS[name]))
        case ast.Attribute(attr="clone" | "detach", value=value) if not node.args:
            yield value
        case ast.Attribute(attr=name) if name in IN_PLACE:
            yield changed(node, func=changed(node.func, attr=name.rstrip("_")))


def variants(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node, each with one change."""
    match node:
        case ast.Constant():
            yield from other_value(node, parent)
        case ast.Call():
            yield from other_call(node)
        case ast.Attribute(attr="T" | "mT"):
            yield node.value
        case ast.Attribute(attr=name) if name in SIBLINGS:
            yield changed(node, attr=SIBLINGS[name])
        case ast.BinOp(op=op) | ast.BoolOp(op=op):
            yield changed(node, op=other_operator(op))
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()):
            yield node.operand
        case ast.Compare(ops=[op, *others]):
            yield changed(node, ops=[other_operator(op), *others])
        case ast.AugAssign(op=op):
            yield changed(node, op=other_operator(op))
            rebinding = ast.Assign([node.target], node.value)
            yield ast.copy_location(rebinding, node)
            yield ast.copy_location(ast.Pass(), node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.copy_location(ast.Pass(), node)
        case ast.Expr(value=ast.Call(func=func)) if root(func) != "print":
            yield ast.copy_location(ast.Pass(), node)


# What is left alone
# ------------------


def root(node: ast.AST) -> str:
    """Return the name that an expression such as ``axes[0].plot`` starts from."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def called(node: ast.AST | None) -> str:
    """Return the last name of a call or of what is called: ``f`` for ``a.b.f()``."""
    match node:
        case ast.Call(func=func):
            return called(func)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def is_assert(node: ast.AST) -> bool:
    """Tell whether a statement is an assert in one of its three forms."""
    match node:
        case ast.Assert():
            return True
        case ast.Raise(exc=raised):
            return called(raised) == "AssertionError"
        case ast.Expr(value=ast.Call() as call):
            return called(call).startswith("assert")
    return False


def drawing_names(tree: ast.Module) -> set[str]:
    """Return the names a page draws with."""
    found = set(DRAWING)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] == "matplotlib" or module.endswith(".drawing"):
                    found |= {name.asname or name.name for name in names}
            case ast.Assign(targets=[target], value=value) if root(value) in found:
                found |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return found


def only_prints(statements: list[ast.stmt]) -> bool:
    """Tell whether statements do nothing but print."""
    return all(isinstance(s, ast.Expr) and root(s.value) == "print" for s in statements)


def is_left_alone(
    node: ast.AST, parent: ast.AST, place: str, drawing: set[str], looping: bool
) -> bool:
    """Tell whether a node and all it holds stay as they are."""
    if place in ("annotation", "returns", "format_spec") or is_assert(node):
        return True
    match node, parent:
        case (ast.Import() | ast.ImportFrom(), _):
            return True
        case (ast.Call() as call, _) | (ast.Expr(value=ast.Call() as call), _):
            return root(call) in drawing or called(call) in SEEDS
        case ast.BinOp(left=left, right=right), _:  # "-" * 40 and the like
            text = [e.value for e in (left, right) if isinstance(e, ast.Constant)]
            return any(isinstance(value, str) for value in text)
        case ast.keyword(arg=name), ast.Call():
            return root(parent) == "print" and name in LOOKS_KEYWORDS
        case ast.Constant(), ast.Call(args=[_, *digits]):
            return root(parent) == "round" and node in digits
        case ast.expr(), ast.If(test=test) if node is test:
            chooses_lines = looping and only_prints(parent.body + parent.orelse)
            return chooses_lines or "__name__" in ast.dump(test)
    return False


# One change and a page that has it
# ---------------------------------


def put(parent: ast.AST, place: str, index: int | None, node: ast.AST) -> None:
    """Put a node in a field of another, or at an index of that field."""
    if index is None:
        setattr(parent, place, node)
    else:
        getattr(parent, place)[index] = node


def places_of(text: str, root: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield where nodes with a given dump stand below another."""
    for parent in ast.walk(root):
        for place, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST) and ast.dump(value) == text:
                yield parent, place, None
            elif isinstance(value, list):
                for index, node in enumerate(value):
                    if isinstance(node, ast.AST) and ast.dump(node) == text:
                        yield parent, place, index


@dataclass(frozen=True)
class Mutant:
    """One node of a page's tree and what takes its place."""

    statement: ast.stmt  # the smallest one around the change
    parent: ast.AST
    place: str
    index: int | None  # within the field of the parent, where that is a list
    node: ast.AST
    new: ast.AST

    def put(self, node: ast.AST) -> None:
        """Put a node in the place of the change."""
        put(self.parent, self.place, self.index, node)

    def put_in_repetitions(self, check: list[ast.stmt]) -> None:
        """Change what a check says of a shown expression by saying it once more.

        The lesson shows ``print(a + b)``; its check asserts something of ``a + b``. The
        fact is one of the expression, so a change of what is shown changes both.
        """
        if not isinstance(self.statement, ast.Expr):
            return
        around = [
            (ast.dump(shown), self.new if shown is self.node else shown)
            for shown in ast.walk(self.statement.value)
            if not isinstance(shown, ast.Name | ast.Constant)
            if any(inner is self.node for inner in ast.walk(shown))
        ]
        for text, changed_expression in around[1:] or around:  # the first is the print
            places = [p for s in check for p in places_of(text, s)]
            for parent, place, index in places:
                put(parent, place, index, changed_expression)
            if places:
                return

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the change for as long as the context lasts."""
        self.put(self.new)
        yield
        self.put(self.node)

    def __str__(self) -> str:
        """Return the line and what the change makes of it."""
        before = ast.unparse(self.statement).splitlines()
        if self.node is self.statement:
            after = ast.unparse(self.new).replace("pass", "(dropped)").splitlines()
        else:
            with self.made():
                after = ast.unparse(self.statement).splitlines()
        pairs = list(zip(before, after, strict=False))
        was, is_now = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
        indent = "\n      "
        line = getattr(self.node, "lineno", self.statement.lineno)
        return f"{line}{indent}- {was.strip()}{indent}+ {is_now.strip()}"


def mutants(tree: ast.Module) -> Iterator[Mutant]:
    """Yield every mutant of a page, in reading order."""
    drawing = drawing_names(tree)

    def visit(
        parent: ast.AST, statement: ast.stmt | None, looping: bool
    ) -> Iterator[Mutant]:
        looping = looping or isinstance(parent, ast.For | ast.While)
        for place, value in ast.iter_fields(parent):
            listed = isinstance(value, list)
            for index, node in enumerate(value if listed else [value]):
                if not isinstance(node, ast.AST):
                    continue
                if is_left_alone(node, parent, place, drawing, looping):
                    continue
                around = node if isinstance(node, ast.stmt) else statement
                at = index if listed else None
                for new in variants(node, parent):
                    assert around is not None
                    yield Mutant(around, parent, place, at, node, new)
                yield from visit(node, around, looping)

    yield from visit(tree, None, False)


class WithoutAsserts(ast.NodeTransformer):
    """Puts ``pass`` where a page asserts."""

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace a statement that asserts, or look inside it."""
        if is_assert(node):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)
