"""Check an answer in a process of its own, so that nothing it does can do harm."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.practice.exercises import Exercise
from tests.practice.judging import Verdict, judge

SECONDS = 5.0  # for the answer and its checks
LOADING = 300.0  # for the imports, which may read all of torch from a cold disk
MOST_PRINTED = 1000  # characters of what an answer prints


class Shortened(io.StringIO):
    """Keep the beginning of what is printed; a loop may print without end."""

    def write(self, text: str) -> int:
        """Take as much as fits."""
        super().write(text[: max(0, MOST_PRINTED - self.tell())])
        return len(text)


def check(exercise: Exercise, path: Path, seconds: float = SECONDS) -> Verdict:
    """Run the file of a learner and the checks of its exercise."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=run, args=(theirs, exercise, path))
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
        process.join(1)
    return Verdict("broken", ended(process.exitcode))


def ended(code: int | None) -> str:
    """Return how a process ended that gave no verdict."""
    if code is not None and code < 0:
        return f"It crashed Python itself, with {signal.Signals(-code).name}."
    return f"It ended Python itself, with exit code {code}."


def run(connection: Connection, exercise: Exercise, path: Path) -> None:
    """Do the work in the process, and say what came of it."""
    be_quiet()
    sys.stdout = sys.stderr = printed = Shortened()
    names: dict[str, Any] = {}
    try:
        exec(compile(exercise.imports, "<imports>", "exec"), names)
    except Exception as error:
        text = f"The imports of the page do not work here: {error!r}"
        return connection.send(Verdict("broken", text))
    connection.send(None)
    verdict = judge(exercise, path, names)
    connection.send(replace(verdict, printed=printed.getvalue()))


def be_quiet() -> None:
    """Leave Ctrl-C to the program, and its terminal alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what is not printed by Python itself
        os.dup2(nowhere, stream)


METHODS = multiprocessing.get_all_start_methods()
START = "forkserver" if "forkserver" in METHODS else "spawn"
CONTEXT: Any = multiprocessing.get_context(START)
if START == "forkserver":
    # One process loads these once, and each check begins as a copy of it.
    CONTEXT.set_forkserver_preload(["torch", "snippets.drawing", __name__])


def warm_up() -> None:
    """Begin to load torch, so that the first answer comes sooner."""
    if START == "forkserver":
        from multiprocessing import forkserver  # which Windows lacks

        forkserver.ensure_running()
