"""``nox -s practice`` helps a learner and never harms what they wrote."""

from __future__ import annotations

import ast
import io
import os

import pytest
from rich.console import Console

from tests.practice import checking, commands
from tests.practice.commands import Practice
from tests.practice.exercises import exercises
from tests.practice.folder import Folder

PAGE = '''"""
.. _page:

A title
=======

Why?
"""

import math
import textwrap

# %%
# .. exercise:: Twice as much
#
#    Write ``twice``, see :ref:`numbers`.
#
#    .. hint:: ``x + x`` is one way;
#       there are others.


def twice(x):
    """Return x, doubled."""
    return 2 * math.floor(x)


three = twice(3)
assert three == 6, "twice 3 is 6"

# %%
# .. exercise:: Half as much
#
#    Write ``half``.
#
#    .. hint:: Divide.


def half(x):
    """Return half of x."""
    return x / 2


assert half(3) == 1.5, "half of 3 is 1.5"
'''


@pytest.fixture
def folder(tmp_path):
    page = tmp_path / "numbers" / "page.py"
    page.parent.mkdir()
    page.write_text(PAGE, "utf-8")
    made = Folder(tmp_path / "practice", exercises([page]))
    made.fill()
    return made


@pytest.fixture
def practice(folder):
    return Practice(folder, Console(file=io.StringIO(), width=40))


@pytest.fixture
def twice(folder):
    return folder.exercises["twice"]


def said(practice):
    """Return what was told since the last time."""
    text = practice.console.file.getvalue()
    practice.console.file.truncate(practice.console.file.seek(0))
    return text


def write(folder, exercise, body):
    """Answer an exercise with one function of x."""
    folder.file(exercise).write_text(f"def {exercise.name}(x):\n    {body}\n", "utf-8")


# What a learner begins with
# --------------------------


def test_file_holds_task_needed_imports_and_stub(folder, twice):
    """In plain text and valid Python; the solution is not in it."""
    text = folder.file(twice).read_text("utf-8")
    assert folder.file(twice) == folder.path / "numbers" / "twice.py"
    tree = ast.parse(text)
    assert ast.get_docstring(tree).startswith(
        "Twice as much\n\nWrite `twice`, see numbers.\n\nThe page: numbers/page"
    )
    assert "import math" in text
    assert "textwrap" not in text
    assert "raise NotImplementedError" in text
    assert "floor" not in text
    assert "one way" not in text


def test_existing_files_are_left_alone(folder, twice):
    """A second start makes only what is missing."""
    write(folder, twice, "return 'mine'")
    folder.file(folder.exercises["half"]).unlink()
    assert folder.fill() == [folder.file(folder.exercises["half"])]
    assert "mine" in folder.file(twice).read_text("utf-8")


# What becomes of an answer
# -------------------------


def test_stub_is_not_begun(folder, twice):
    """An answer that nobody has begun is no failure."""
    assert checking.check(twice, folder.file(twice)).state == "open"


ANSWERS = {
    "right": ("return x + x", "passed", ""),
    "wrong": ("return x", "wrong", "twice 3 is 6\nThis check fails: assert three == 6"),
    "error": ("return x.size", "broken", "has no attribute 'size'\nin line 2: return"),
    "end": ("raise SystemExit('bye')", "broken", "SystemExit: bye"),
    "crash": (
        "import os; os._exit(3)",
        "broken",
        "ended Python itself, with exit code",
    ),
    "syntax": ("return (x", "broken", "cannot read line 2: '(' was never closed"),
}


@pytest.mark.parametrize(("body", "state", "message"), ANSWERS.values(), ids=ANSWERS)
def test_answer_gets_a_verdict_that_says_why(folder, twice, body, state, message):
    """A failing check, an error with its line, or what ended Python."""
    write(folder, twice, body)
    verdict = checking.check(twice, folder.file(twice))
    assert verdict.state == state
    assert message in verdict.message


def test_endless_loop_ends_and_so_does_what_it_prints(folder, twice):
    """After some seconds, with a clear line; the process is gone."""
    write(folder, twice, "print('on and on')\n    while True: pass")
    verdict = checking.check(twice, folder.file(twice), seconds=0.5)
    assert verdict.state == "broken"
    assert "still running after 0.5 seconds: an endless loop?" in verdict.message


def test_much_output_is_cut(folder, twice):
    """What an answer prints is shown, but not without end."""
    write(folder, twice, "print('line\\n' * 10_000); return 2 * x")
    verdict = checking.check(twice, folder.file(twice))
    assert verdict.state == "passed"
    assert verdict.printed.startswith("line\nline")
    assert len(verdict.printed) == checking.MOST_PRINTED


# What a learner can ask for
# --------------------------


def test_progress_counts_right_answers_and_names_the_next(folder, practice, twice):
    """It is kept, and an answer that is wrong again no longer counts."""
    write(folder, twice, "return x + x")
    practice.answer(twice)
    assert "1 of 2 exercises solved.\nNext: " in said(practice)
    assert Folder(folder.path, list(folder.exercises.values())).noted("passed") == [
        "twice"
    ]
    write(folder, twice, "return x")
    assert practice.check(twice) == 1
    assert folder.noted("passed") == []


def test_lost_or_broken_record_loses_no_answer(folder, practice, twice):
    """Progress starts again at 0, and the files are as they were."""
    write(folder, twice, "return x + x")
    practice.check(twice)
    folder.record.write_text("{", "utf-8")
    assert folder.noted("passed") == []
    assert practice.check(twice) == 0
    assert folder.noted("passed") == ["twice"]


def test_hint_is_plain_text(practice):
    """Its lines begin at the left, without marks."""
    assert practice.run(["hint", "twice"]) == 0
    assert said(practice) == "`x + x` is one way;\nthere are others.\n"


def test_solution_comes_when_asked_twice(practice):
    """The first time it sends back to work."""
    practice.run(["solution", "twice"])
    assert "floor" not in said(practice)
    practice.run(["solution", "twice"])
    assert "return 2 * math.floor(x)" in said(practice)


def test_reset_keeps_the_old_answers(folder, practice, twice):
    """Each under a name of its own."""
    for answer in ("first", "second"):
        write(folder, twice, f"return '{answer}'")
        practice.run(["reset", "twice"])
    kept = sorted(folder.file(twice).parent.glob("twice.old*.py"))
    assert ["first" in kept[0].read_text(), "second" in kept[1].read_text()] == [
        True
    ] * 2
    assert "NotImplementedError" in folder.file(twice).read_text("utf-8")


def test_list_shows_every_exercise_and_which_are_solved(folder, practice, twice):
    """With its page, in reading order."""
    folder.note("passed", twice)
    practice.run(["list"])
    lines = said(practice).splitlines()
    assert lines[0].split() == ["done", "twice", "numbers/page:", "Twice", "as", "much"]
    assert lines[1].split() == ["half", "numbers/page:", "Half", "as", "much"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hint", "twise"], "Did you mean twice"),
        (["check", "zzz"], "`list` shows all"),
        (["twise"], "Did you mean twice"),
        (["hint"], "What can be asked for"),
        (["--help"], "What can be asked for"),
        (["dance", "twice"], "What can be asked for"),
    ],
)
def test_what_cannot_be_asked_for_is_told(practice, arguments, message):
    """With what was meant perhaps, or with all that there is."""
    with pytest.raises(SystemExit, match=message):
        practice.run(arguments)


def test_without_a_terminal_everything_is_checked_once(folder, practice, twice):
    """It ends by itself, with 1 as long as something is not solved."""
    assert practice.run([]) == 1
    write(folder, twice, "return x + x")
    write(folder, folder.exercises["half"], "return x / 2")
    assert practice.run([]) == 0
    assert "2 of 2 exercises solved." in said(practice)


def test_watching_checks_what_is_saved_and_nothing_else(folder, practice, monkeypatch):
    """Other files, and those that were deleted, are no answers."""
    half = folder.exercises["half"]
    write(folder, half, "return x / 2")
    folder.file(folder.exercises["twice"]).unlink()
    paths = [folder.file(e) for e in folder.exercises.values()]
    paths.append(folder.path / "other.py")
    changes = [{(1, os.fspath(path)) for path in paths}]
    monkeypatch.setattr(commands, "watch", lambda *_, **__: changes)
    practice.watch()
    text = said(practice)
    assert "half is right." in text
    assert "twice" not in text.partition("Save a file")[2].replace("twice.py", "")
    assert "1 of 2 exercises solved.\nNext: " in text
    assert "Good bye" in text
