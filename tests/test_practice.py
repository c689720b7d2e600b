"""``nox -s practice`` helps a learner and never harms what they wrote."""

from __future__ import annotations

import ast
import io
import os
from dataclasses import replace

import pytest
from rich.console import Console

from tests.pages import PAGES
from tests.practice import checking, commands
from tests.practice.commands import Practice
from tests.practice.exercises import exercises
from tests.practice.folder import Folder
from tests.practice.judging import judge
from tests.test_exercises import CASES

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


@pytest.mark.parametrize("exercise", exercises(PAGES), ids=lambda e: e.name)
def test_every_file_is_python_that_is_still_to_be_written(exercise, tmp_path):
    """The pages' own exercises, as a learner meets them."""
    path = tmp_path / "answer.py"
    path.write_text(exercise.start(), "utf-8")
    names: dict = {}
    exec(exercise.imports, names)
    assert judge(exercise, path, names).state == "open"


# What becomes of an answer
# -------------------------


def judged(folder, exercise, text):
    """Judge a whole file in this process; return the state and the message."""
    path = folder.file(exercise)
    path.write_text(text, "utf-8")
    verdict = judge(exercise, path, {})
    return verdict.state, verdict.message


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


def test_failing_check_shows_the_values_that_it_compared(folder, twice):
    """They are noted as the check computes them, not computed again."""
    text = "def twice(x, calls=[]):\n    calls.append(x)\n    return len(calls)\n"
    state, message = judged(folder, twice, text)
    assert state == "wrong"
    assert message == "twice 3 is 6\nThis check fails: assert three == 6\nthree is 1"


def test_error_shows_its_line_and_the_shapes_in_it(folder, twice):
    """Of the learner's file, also if torch raised it."""
    text = (
        "import torch\n\n\ndef twice(x):\n    a = torch.ones(x)\n"
        "    return a + torch.ones(x + 1)\n"
    )
    state, message = judged(folder, twice, text)
    assert state == "broken"
    assert message.startswith("RuntimeError: The size of tensor a (3) must match")
    assert message.endswith("in line 6: return a + torch.ones(x + 1)\na has shape (3,)")


@pytest.mark.parametrize(
    ("text", "state", "message"),
    [
        (
            "def twise(x): return 2 * x\n",
            "broken",
            "has no `twice`: keep this name",
        ),
        ("def twice(x): raise NotImplementedError('x')", "open", "Line 1 still raises"),
        ("def twice(x): raise OSError('mine')", "broken", "OSError: mine\nin line 1"),
        (
            "def twice(): return 6",
            "wrong",
            "cannot work with the answer: three = twice",
        ),
        ("def twice(x): assert x > 3, 'small'\n", "broken", "AssertionError: small"),
        ("def twice(x): return 1 + None\n", "broken", "that has no `return`"),
        ("def three(x): return 6\ndef twice(x): return three(x)\n", "passed", ""),
        ("raise KeyboardInterrupt", "broken", "KeyboardInterrupt\nin line 1"),
        ("\0", "broken", "null bytes"),
    ],
)
def test_verdict_fits_what_learners_write(folder, twice, text, state, message):
    found, said = judged(folder, twice, text)
    assert found == state
    assert message in said


@pytest.mark.parametrize(("exercise", "answer"), CASES)
def test_learner_reads_why_a_known_wrong_answer_is_wrong(exercise, answer, tmp_path):
    """In the words that stand beside it, within a few lines."""
    path = tmp_path / "answer.py"
    path.write_text(f"{exercise.imports}\n{answer['answer']}", "utf-8")
    names: dict = {}
    exec(exercise.imports, names)
    verdict = judge(exercise, path, names)
    assert verdict.state in ("wrong", "broken")
    assert answer["message"] in verdict.message
    assert len(verdict.message.splitlines()) <= 14


def test_large_values_are_cut_and_stand_on_lines_of_their_own(folder, twice):
    """A tensor keeps its columns, and a wall of numbers stays short."""
    table = "import torch\ndef twice(x): return torch.zeros(2, 2)\n"
    checks = replace(twice, checks="table = twice(3)\nassert table.dim() == 1, 'a row'")
    assert judged(folder, checks, table)[1].endswith("table.dim() is 2")
    checks = replace(twice, checks="table = twice(3)\nassert table is None, 'no table'")
    zeros = "tensor([[0., 0.],\n        [0., 0.]])"
    assert judged(folder, checks, table)[1].endswith(f"table is\n{zeros}")
    many = "def twice(x): return [0] * 10_000\n"
    assert len(judged(folder, checks, many)[1]) < 500


def test_not_implemented_by_torch_is_a_mistake(folder, twice):
    """It has the type of the stub's error, but another wrote it."""
    text = (
        "import torch\ndef twice(x):\n    return torch.ones(x, device='meta').cpu()\n"
    )
    state, message = judged(folder, twice, text)
    assert state == "broken"
    assert "in line 3" in message


def test_terminal_shows_nothing_but_the_verdict(folder, twice, capfd):
    """What an answer prints past Python is left out, and so is its crash."""
    write(folder, twice, "import os; os.write(1, b'spilled'); os.abort()")
    verdict = checking.check(twice, folder.file(twice))
    assert verdict.message == "It crashed Python itself, with SIGABRT."
    assert "spilled" not in "".join(capfd.readouterr())


def test_answer_may_start_processes(folder, twice):
    """Data loaders do."""
    process = "multiprocessing.get_context('spawn').Process()"
    write(folder, twice, f"import multiprocessing; p = {process}; p.start(); return 6")
    assert checking.check(twice, folder.file(twice)).state == "passed"


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


@pytest.mark.parametrize("broken", ["{", "[]", '{"passed": ["twice"]}', "3"])
def test_lost_or_broken_record_loses_nothing(folder, practice, twice, broken):
    """The answers are checked again."""
    write(folder, twice, "return x + x")
    folder.record.write_text(broken, "utf-8")
    assert folder.noted("passed") == []
    practice.run(["list"])
    assert folder.noted("passed") == ["twice"]


def test_start_checks_what_was_written_while_nobody_watched(folder, practice, twice):
    """Once, and not what is known or was never touched."""
    write(folder, twice, "return x + x")
    assert folder.unknown() == [twice]
    practice.catch_up()
    assert "Checking twice ..." in said(practice)
    assert folder.unknown() == []
    write(folder, twice, "return x")
    assert folder.unknown() == [twice]
    practice.catch_up()
    assert folder.noted("passed") == []
    assert folder.noted("failed") == ["twice"]


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
    practice.run(["reset", "twice"])
    assert said(practice).endswith("twice.py is still as at the beginning.\n")
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
        (["numbers/twise.py"], "Did you mean twice"),
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


def test_name_may_be_the_file(practice, folder, twice):
    """So that a shell can complete it."""
    assert practice.find(os.fspath(folder.file(twice))) is twice


def test_without_a_terminal_everything_is_checked_once(
    folder, practice, twice, monkeypatch
):
    """It ends by itself, with 1 as long as something is not solved; in color too."""
    monkeypatch.setenv("FORCE_COLOR", "1")
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

    def one_save_and_the_end(*_, **__):
        yield {(1, os.fspath(path)) for path in paths}
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "watch", one_save_and_the_end)
    monkeypatch.setattr(practice, "at_terminal", lambda: True)
    assert practice.run([]) == 0
    text = said(practice)
    assert "half is right." in text
    assert "twice" not in text.partition("Save a file")[2].replace("twice.py", "")
    assert "1 of 2 exercises solved.\nNext: " in text
    assert "Good bye" in text
