"""Run by ``nox -s practice``: ``python -m tests.practice [command] [name]``."""

import sys

from rich.console import Console

from tests.pages import PAGES, ROOT
from tests.practice.commands import Practice
from tests.practice.exercises import exercises
from tests.practice.folder import Folder


def main(arguments: list[str]) -> int:
    """Make the files that are missing, and do what is asked for."""
    folder = Folder(ROOT / "practice", exercises(PAGES))
    practice = Practice(folder, Console(highlight=False))
    if made := folder.fill():
        practice.say(f"{len(made)} new files in {folder.path}, one an exercise.")
    return practice.run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
