"""The folder of a learner: one file an exercise, and how far they have come."""

from __future__ import annotations

import json
from pathlib import Path

from tests.practice.exercises import Exercise


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
                path.write_text(exercise.start(), "utf-8")
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
        self.note("passed", exercise, happened=False)
        return kept

    def noted(self, what: str) -> list[str]:
        """Return the exercises of which something is noted, in their order."""
        try:
            names = json.loads(self.record.read_text("utf-8"))[what]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # a lost record loses no answer: they are checked again
        return [name for name in self.exercises if name in names]

    def note(self, what: str, exercise: Exercise, *, happened: bool = True) -> None:
        """Keep in the record that something happened, such as ``passed``."""
        record = {key: self.noted(key) for key in ("passed", "asked")}
        record[what] = [name for name in record[what] if name != exercise.name]
        record[what] += [exercise.name] * happened
        new = self.record.with_suffix(".new")
        new.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        new.replace(self.record)

    def next_open(self) -> Exercise | None:
        """Return the first exercise that is not solved, in reading order."""
        passed = self.noted("passed")
        waiting = (e for name, e in self.exercises.items() if name not in passed)
        return next(waiting, None)
