"""Judge an answer in this process: the first thing that fails, in a learner's words."""

from __future__ import annotations

import ast
import re
import textwrap
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

from tests.practice.exercises import Exercise
from tests.practice.noting import in_words, run_noting

MOST_LINES = 4  # of an error's text: some of torch's are long
NOTHING = "None is what a function returns that has no `return`."

State = Literal["passed", "open", "wrong", "broken"]


@dataclass(frozen=True)
class Verdict:
    """What became of an answer, in words for who wrote it."""

    state: State
    message: str = ""
    printed: str = ""


def judge(exercise: Exercise, path: Path, imported: dict[str, Any]) -> Verdict:
    """Run an answer, then its checks with the imports of the page."""
    answer: dict[str, Any] = {"__name__": "answer"}
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        exec(code, answer)
    except BaseException as error:
        return explain(error, path)
    for name in exercise.names:
        if name not in answer:
            return Verdict("broken", f"Your file has no `{name}`: keep this name.")
    # Names of their own, so that checks and answer do not overwrite each other's.
    return run_checks(exercise.checks, {**answer, **imported}, path)


def run_checks(checks: str, names: dict[str, Any], path: Path) -> Verdict:
    """Run one statement of the checks after the other, up to the first that fails."""
    for statement in ast.parse(checks).body:
        asked = source(statement)
        values: dict[str, Any] = {}
        try:
            run_noting(statement, names, values)
        except BaseException as error:
            return explain(error, path, asked, values)
    return Verdict("passed")


def source(statement: ast.stmt) -> str:
    """Return a statement in one line, an assert without its message."""
    shown = ast.unparse(statement)
    if isinstance(statement, ast.Assert):
        shown = f"assert {ast.unparse(statement.test)}"
    return textwrap.shorten(shown, 100, placeholder=" ...")


def explain(
    error: BaseException,
    path: Path,
    asked: str | None = None,
    values: dict[str, Any] | None = None,
) -> Verdict:
    """Say which line of the file, or which check, an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        text = f"Python cannot read line {error.lineno}: {error.msg}."
        return Verdict("broken", f"{text}\n{(error.text or '').strip()}".strip())
    place = place_in(error, path)
    if place and place.raises and "raise NotImplementedError" in place.text:
        return Verdict("open", f"Line {place.number} still raises NotImplementedError.")
    if isinstance(error, AssertionError) and asked and not (place and place.raises):
        return Verdict("wrong", failed_check(error, place, asked, values or {}))
    lines = in_short(error)
    if place or asked is None:
        return Verdict("broken", "\n".join(lines + around(place)))
    lines.append(f"This check cannot work with the answer: {asked}")
    return Verdict("wrong", "\n".join(lines))


def failed_check(
    error: AssertionError, place: Place | None, asked: str, values: dict[str, Any]
) -> str:
    """Return what a check says, and the values that it compared."""
    says = str(error).strip().splitlines()[:MOST_LINES]
    noted = [f"{name} is{in_words(value)}" for name, value in values.items()]
    return "\n".join([*says, f"This check fails: {asked}", *noted, *around(place)])


def in_short(error: BaseException) -> list[str]:
    """Return what Python says of an error, with a word on a forgotten ``return``."""
    text = "".join(traceback.format_exception_only(error)).strip()
    lines = text.splitlines()[:MOST_LINES]
    return [*lines, NOTHING] if "'NoneType'" in text else lines


class Place(NamedTuple):
    """A line of the learner's file that an error passed."""

    frame: FrameType
    number: int
    text: str
    raises: bool
    """Whether the error was raised there, not in something that the line calls."""


def place_in(error: BaseException, path: Path) -> Place | None:
    """Return the innermost line of a file that an error passed."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = traceback.extract_tb(error.__traceback__)
    for frame, line in zip(reversed(frames), reversed(lines), strict=True):
        if line.filename == str(path):
            text = line.line or ""
            return Place(frame, line.lineno or 0, text, frame is frames[-1])
    return None


def around(place: Place | None) -> list[str]:
    """Return a line of a file, and the shapes of the tensors in it."""
    if place is None:
        return []
    used = dict.fromkeys(re.findall(r"[^\W\d]\w*", place.text))
    values = place.frame.f_locals
    shapes = {name: getattr(values.get(name), "shape", None) for name in used}
    return [f"in line {place.number}: {place.text}"] + [
        f"{name} has shape {tuple(shape)}"
        for name, shape in shapes.items()
        if isinstance(shape, tuple)
    ]
