"""Check an answer in a process of its own, so that nothing it does can do harm."""

from __future__ import annotations

import io
import multiprocessing
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from tests.practice.exercises import Exercise

SECONDS = 5.0  # for the answer and its checks
LOADING = 300.0  # for the imports, which may read all of torch from a cold disk
MOST_PRINTED = 1000  # characters of what an answer prints

State = Literal["passed", "open", "wrong", "broken"]


@dataclass(frozen=True)
class Verdict:
    """What became of an answer, in words for who wrote it."""

    state: State
    message: str = ""
    printed: str = ""


class Shortened(io.StringIO):
    """Keep the beginning of what is printed; a loop may print without end."""

    def write(self, text: str) -> int:
        """Take as much as fits."""
        super().write(text[: max(0, MOST_PRINTED - self.tell())])
        return len(text)


def check(exercise: Exercise, path: Path, seconds: float = SECONDS) -> Verdict:
    """Run the file of a learner and the checks of its exercise."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=run, args=(theirs, exercise, path), daemon=True)
    process.start()
    theirs.close()
    try:
        return listen(ours, process, seconds)
    finally:
        process.kill()
        process.join()


def listen(ours: Connection, process: Any, seconds: float) -> Verdict:
    """Return what the process says within its time, or why it says nothing."""
    try:
        for limit in (LOADING, seconds):
            if not ours.poll(limit):
                text = f"It is still running after {limit:g} seconds: an endless loop?"
                return Verdict("broken", text)
            said: Verdict | None = ours.recv()
            if said is not None:  # None: the imports are done
                return said
    except EOFError:
        process.join()
    return Verdict(
        "broken", f"It ended Python itself, with exit code {process.exitcode}."
    )


def run(connection: Connection, exercise: Exercise, path: Path) -> None:
    """Do the work in the process, and say what came of it."""
    names: dict[str, Any] = {"__name__": "answer"}
    exec(compile(exercise.imports, "<imports>", "exec"), names)
    connection.send(None)
    sys.stdout = sys.stderr = printed = Shortened()
    state, message = judge(exercise, path, names)
    connection.send(Verdict(state, message, printed.getvalue()))


def judge(exercise: Exercise, path: Path, names: dict[str, Any]) -> tuple[State, str]:
    """Run answer and checks, and put the first thing that fails into words."""
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), names)
        exec(compile(exercise.checks, "<checks>", "exec"), names)
    except NotImplementedError:
        return "open", "It still raises NotImplementedError: write your answer there."
    except SyntaxError as error:
        return "broken", f"Python cannot read line {error.lineno}: {error.msg}."
    except (Exception, SystemExit) as error:
        return explain(error, exercise, path)
    return "passed", ""


def explain(error: BaseException, exercise: Exercise, path: Path) -> tuple[State, str]:
    """Say which line of the file, or which check, an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(path)]
    checks = [frame for frame in frames if frame.filename == "<checks>"]
    text = "".join(traceback.format_exception_only(error)).strip()
    if own:
        return "broken", f"{text}\nin line {own[-1].lineno}: {own[-1].line}"
    asked = source_of(exercise.checks, checks[-1].lineno or 1) if checks else ""
    if isinstance(error, AssertionError) and error.args:
        return "wrong", f"{error}\nThis check fails: {asked}"
    return "wrong", f"{text}\nThis check cannot work with the answer: {asked}"


def source_of(checks: str, line: int) -> str:
    """Return a line of the checks, without the message that follows an assert."""
    return checks.splitlines()[line - 1].strip().split(', "')[0].rstrip("(")


def start_method() -> str:
    """Return how processes start: from one that has torch already, where possible."""
    methods = multiprocessing.get_all_start_methods()
    return "forkserver" if "forkserver" in methods else "spawn"


CONTEXT: Any = multiprocessing.get_context(start_method())
if start_method() == "forkserver":
    CONTEXT.set_forkserver_preload(["torch", "tests.practice.checking"])
