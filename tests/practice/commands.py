"""What a learner can ask for, and what is answered."""

from __future__ import annotations

import difflib
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text
from watchfiles import PythonFilter, watch

from tests.practice.checking import check, warm_up
from tests.practice.exercises import Exercise
from tests.practice.folder import Folder
from tests.practice.judging import Verdict

COLORS = {"passed": "green", "open": "yellow", "wrong": "red", "broken": "red"}
WORDS = {
    "passed": "is right.",
    "open": "is not begun yet.",
    "wrong": "is not right yet.",
    "broken": "does not run.",
}
HELP = "list, hint NAME, solution NAME, reset NAME, check NAME; alone, it watches"


class Practice:
    """The commands on one folder, answered on one console."""

    def __init__(self, folder: Folder, console: Console) -> None:
        self.folder, self.console = folder, console

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line as it is: no markup in what a learner wrote."""
        self.console.print(Text(text, style), soft_wrap=True)

    def list(self) -> int:
        """Show every exercise, with its page and whether it is solved."""
        self.catch_up()
        passed, failed = self.folder.noted("passed"), self.folder.noted("failed")
        width = max(map(len, self.folder.exercises), default=0)
        for name, exercise in self.folder.exercises.items():
            mark = "done" if name in passed else "begun" if name in failed else ""
            self.say(f"{mark:5}  {name:{width}}  {exercise.page}: {exercise.title}")
        self.show_progress()
        return 0

    def hint(self, exercise: Exercise) -> int:
        """Show the hint."""
        self.say(exercise.hint)
        return 0

    def solution(self, exercise: Exercise) -> int:
        """Show the solution to whoever asks twice."""
        if exercise.name in self.folder.noted("asked"):
            self.say(exercise.solution)
            return 0
        self.folder.note("asked", exercise)
        self.say(
            f"Try once more first; `hint {exercise.name}` helps. "
            "If you ask again, you get the solution."
        )
        return 0

    def reset(self, exercise: Exercise) -> int:
        """Begin anew, and keep what was written."""
        if self.folder.is_untouched(exercise):
            self.say(f"{self.short(exercise)} is still as at the beginning.")
            return 0
        kept = self.folder.reset(exercise)
        self.say(f"{self.short(exercise)} is as at the beginning.")
        self.say(f"Your answer is kept as {kept.name}, beside it.")
        return 0

    def check(self, exercise: Exercise) -> int:
        """Check an answer, and say what is wrong with it."""
        verdict = self.judge(exercise)
        self.say(f"{exercise.name} {WORDS[verdict.state]}", COLORS[verdict.state])
        if verdict.message:
            self.say(textwrap.indent(verdict.message, "  "))
        if verdict.printed:
            self.say(textwrap.indent(f"It printed:\n{verdict.printed}", "  "))
        return int(verdict.state != "passed")

    def judge(self, exercise: Exercise) -> Verdict:
        """Check an answer, and note what becomes of it."""
        if self.folder.is_untouched(exercise):
            verdict = Verdict("open")
        else:
            verdict = check(exercise, self.folder.file(exercise))
        state = verdict.state
        self.folder.note("passed", exercise, happened=state == "passed")
        self.folder.note("failed", exercise, happened=state in ("wrong", "broken"))
        return verdict

    def catch_up(self) -> None:
        """Check what was written while nobody watched."""
        waiting = self.folder.unknown()
        if waiting:
            self.say(f"Checking {', '.join(e.name for e in waiting)} ...")
        for exercise in waiting:
            self.judge(exercise)

    def check_all(self) -> int:
        """Check every answer once; this is for where nobody can save a file."""
        wrong = [self.check(e) for e in self.folder.exercises.values()]
        self.show_progress()
        return int(any(wrong))

    def watch(self) -> int:
        """Check each file that is saved, until Ctrl-C."""
        warm_up()
        self.catch_up()
        self.show_progress()
        self.show_next()
        self.say("Save a file to have it checked. Ctrl-C ends; your files stay.")
        for changes in watch(self.folder.path, watch_filter=PythonFilter()):
            saved = {self.folder.exercise_of(Path(path)) for _, path in changes}
            for exercise in saved - {None}:
                if exercise is not None and self.folder.file(exercise).exists():
                    self.answer(exercise)
        return 0

    def answer(self, exercise: Exercise) -> None:
        """Check a saved file, and tell what to do next."""
        self.say()
        if self.check(exercise) == 0:
            self.show_progress()
            self.show_next()

    def show_progress(self) -> None:
        """Tell how many exercises are solved."""
        passed, all_ = self.folder.noted("passed"), self.folder.exercises
        self.say(f"{len(passed)} of {len(all_)} exercises solved.", "bold")

    def show_next(self) -> None:
        """Name the next file to work on."""
        exercise = self.folder.next_open()
        if exercise is None:
            self.say("You have solved them all.", "green")
        else:
            self.say(f"Next: {self.short(exercise)} ({exercise.title})")

    def short(self, exercise: Exercise) -> str:
        """Return the path of a file as one would type it."""
        return os.path.relpath(self.folder.file(exercise))

    def at_terminal(self) -> bool:
        """Tell whether somebody is there, who can save files and press Ctrl-C."""
        # rich alone takes a log for a terminal where FORCE_COLOR is set, as CI does.
        streams = sys.stdin, sys.stdout
        return self.console.is_terminal and all(s.isatty() for s in streams)

    def find(self, name: str) -> Exercise:
        """Return the exercise of a name or file, or say what was meant perhaps."""
        name = Path(name).stem if name.endswith(".py") else name
        if name in self.folder.exercises:
            return self.folder.exercises[name]
        close = difflib.get_close_matches(name, self.folder.exercises)
        meant = f"Did you mean {' or '.join(close)}?" if close else "`list` shows all."
        sys.exit(f"There is no exercise {name!r}. {meant}")

    def run(self, arguments: list[str]) -> int:
        """Do what the arguments ask for, until Ctrl-C; return the exit status."""
        try:
            return self.obey(arguments)
        except KeyboardInterrupt:
            self.say("Good bye. `python -m nox -s practice` goes on from here.")
            return 0

    def obey(self, arguments: list[str]) -> int:
        """Do what the arguments ask for."""
        commands: dict[str, Callable[[Exercise], int]] = {
            "hint": self.hint,
            "solution": self.solution,
            "reset": self.reset,
            "check": self.check,
        }
        match arguments:
            case []:
                return self.watch() if self.at_terminal() else self.check_all()
            case ["list"]:
                return self.list()
            case [command, name] if command in commands:
                return commands[command](self.find(name))
            case [name] if name not in commands and not name.startswith("-"):
                return self.check(self.find(name))
        sys.exit(f"What can be asked for: {HELP}.")
