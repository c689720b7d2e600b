"""The folder of a learner: one file an exercise, and how far they have come."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.practice.exercises import Exercise

NOTED = "passed", "failed", "asked"


class Folder:
    """What a learner writes, which nothing here ever overwrites."""

    def __init__(self, path: Path, exercises: list[Exercise]) -> None:
        self.path = path
        self.exercises = {exercise.name: exercise for exercise in exercises}
        self.record = path / "progress.json"

    def fill(self) -> list[Path]:
        """Make the files that are not there yet, and return them."""
        made = []
        for exercise in self.exercises.values():
            path = self.file(exercise)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(exercise.start(), "utf-8", newline="\n")
                made.append(path)
        return made

    def file(self, exercise: Exercise) -> Path:
        """Return the learner's file for an exercise."""
        return self.path / exercise.file

    def exercise_of(self, path: Path) -> Exercise | None:
        """Return the exercise that a file answers, if it answers one."""
        answers = {self.file(e).resolve(): e for e in self.exercises.values()}
        return answers.get(path.resolve())

    def reset(self, exercise: Exercise) -> Path:
        """Begin an exercise anew; return where the old answer is kept."""
        path = self.file(exercise)
        names = (path.with_suffix(f".old{n}.py") for n in range(1, 1_000_000))
        kept = next(name for name in names if not name.exists())
        path.rename(kept)
        self.fill()
        for what in ("passed", "failed"):
            self.note(what, exercise, happened=False)
        return kept

    def answer(self, exercise: Exercise) -> bytes:
        """Return what a file holds: nothing if it is gone."""
        try:
            return self.file(exercise).read_bytes()
        except FileNotFoundError:
            return b""

    def is_untouched(self, exercise: Exercise) -> bool:
        """Tell whether a file is as it was made, or holds nothing."""
        return self.answer(exercise).strip() in (b"", exercise.start().encode().strip())

    def unknown(self) -> list[Exercise]:
        """Return the exercises with answers that are not checked as they are now."""
        record = self.read()
        waiting = []
        for name, exercise in self.exercises.items():
            digest = record["passed"].get(name) or record["failed"].get(name)
            known = digest == self.digest(exercise)
            if not known and (digest or not self.is_untouched(exercise)):
                waiting.append(exercise)
        return waiting

    def digest(self, exercise: Exercise) -> str:
        """Return a text that is another one for other answers or checks."""
        parts = self.answer(exercise), exercise.checks.encode()
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def read(self) -> dict[str, dict[str, str]]:
        """Return the record; a lost one loses no answer: they are checked again."""
        try:
            record = json.loads(self.record.read_text("utf-8"))
            return {what: dict(record[what]) for what in NOTED}
        except (OSError, ValueError, KeyError, TypeError):
            return {what: {} for what in NOTED}

    def noted(self, what: str) -> list[str]:
        """Return the exercises of which something is noted, in their order."""
        names = self.read()[what]
        return [name for name in self.exercises if name in names]

    def note(self, what: str, exercise: Exercise, *, happened: bool = True) -> None:
        """Keep in the record that something happened, such as ``passed``."""
        record = self.read()
        record[what].pop(exercise.name, None)
        if happened:
            record[what][exercise.name] = self.digest(exercise)
        new = self.record.with_suffix(".new")
        new.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        new.replace(self.record)

    def next_open(self) -> Exercise | None:
        """Return the first exercise that is not solved, in reading order."""
        passed = self.noted("passed")
        waiting = (e for name, e in self.exercises.items() if name not in passed)
        return next(waiting, None)
