"""Judge an answer in this process: the first thing that fails, in a learner's words."""

from __future__ import annotations

import ast
import re
import textwrap
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

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
        try:
            run_noting(statement, names)
        except BaseException as error:
            return explain(error, path, asked, names["__values__"])
    return Verdict("passed")


def source(statement: ast.stmt) -> str:
    """Return a statement in one line, an assert without its message."""
    shown = ast.unparse(statement)
    if isinstance(statement, ast.Assert):
        shown = f"assert {ast.unparse(statement.test)}"
    return textwrap.shorten(shown, 100, placeholder=" ...")


def explain(
    error: BaseException, path: Path, asked: str = "", values: dict[str, Any] = {}
) -> Verdict:
    """Say which line of the file, or which check, an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        text = f"Python cannot read line {error.lineno}: {error.msg}."
        return Verdict("broken", f"{text}\n{(error.text or '').rstrip()}")
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    place = place_in(error, path)
    if place and frames[-1] is place[0]:
        if place[1].endswith(("raise NotImplementedError", "NotImplementedError()")):
            return Verdict("open", f"It still has to be written: {place[1]}")
        return Verdict("broken", "\n".join([in_short(error), *around(*place)]))
    if isinstance(error, AssertionError):
        noted = [f"{name} is {in_words(value)}" for name, value in values.items()]
        lines = [str(error), f"This check fails: {asked}", *noted]
        return Verdict("wrong", "\n".join(lines + (around(*place) if place else [])))
    if place:
        return Verdict("broken", "\n".join([in_short(error), *around(*place)]))
    cannot = f"This check cannot work with the answer: {asked}"
    return Verdict("wrong", "\n".join([in_short(error), cannot]))


def in_short(error: BaseException) -> str:
    """Return what Python says of an error, with a word on a forgotten ``return``."""
    text = "".join(traceback.format_exception_only(error)).strip()
    lines = text.splitlines()[:MOST_LINES]
    return "\n".join([*lines, NOTHING] if "NoneType" in text else lines)


def place_in(error: BaseException, path: Path) -> tuple[FrameType, str] | None:
    """Return the last frame in a file that an error passed, and its line in words."""
    frames = list(traceback.walk_tb(error.__traceback__))
    lines = traceback.extract_tb(error.__traceback__)
    own = [
        (frame, f"line {summary.lineno}: {summary.line}")
        for (frame, _), summary in zip(frames, lines, strict=True)
        if summary.filename == str(path)
    ]
    return own[-1] if own else None


def around(frame: FrameType, line: str) -> list[str]:
    """Return a line, and the shapes of the tensors in it."""
    used = dict.fromkeys(re.findall(r"[^\W\d]\w*", line.partition(": ")[2]))
    shapes = {name: getattr(frame.f_locals.get(name), "shape", None) for name in used}
    return [f"in {line}"] + [
        f"{name} has the shape {tuple(shape)}"
        for name, shape in shapes.items()
        if isinstance(shape, tuple)
    ]
