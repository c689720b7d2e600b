"""`snippet_mutants` makes the changes that it says, and sees who notices."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests import snippet_mutants
from tests.pages import ROOT
from tests.snippet_mutants import Mutant, Snippet, complaints, described, entry_for

needs_mutmut = pytest.mark.skipif(
    importlib.util.find_spec("mutmut") is None,
    reason="mutmut is not installed; nox -s mutants_snippets runs this with it",
)


@pytest.fixture
def survivors(monkeypatch, tmp_path):
    """Write the list of survivors that the program reads."""

    def write(text):
        path = tmp_path / "list.toml"
        path.write_text(text, "utf-8")
        monkeypatch.setattr(snippet_mutants, "LIST", path)

    return write


def made_of(code, function="f"):
    """Return what the mutants of some code make of it."""
    made = snippet_mutants.mutants(code)
    assert {mutant.function for mutant in made} <= {function}
    return [mutant.source for mutant in made]


def judged(killed, *survivors):
    made = [Mutant("f", 1, "a", str(n), "", frozenset()) for n in range(100)]
    left = [made[number] for number in survivors]
    return Snippet("toy", "", {}, {"": set()}, made, killed=killed, survivors=left)


def entries(*numbers):
    """The list, with a reason for some survivors."""
    becomes = ", ".join(f"'{number}'" for number in numbers)
    texts = f"function = 'f'\nwas = 'a'\nbecomes = [{becomes}]"
    return f"[[toy]]\n{texts}\nreason = 'It is just the same.'\n"


@needs_mutmut
@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("return a + b", {"return a - b"}),
        ("return a < 1", {"return a <= 1", "return a < 2"}),
        ("a.b = True", {"a.b = None", "a.b = False"}),
        ("if a: a.c()", {"if not a: a.c()"}),
        ("a.c()", {"pass"}),
        ("raise A", {"pass"}),
        ("g(a, b)", {"g(None, b)", "g(a, None)", "g(b)", "g(a, )", "pass"}),
        ("return 'ab'", {"return 'XXabXX'", "return 'AB'"}),
        ("return 'a sentence'", {'return "XX"'}),
        ("return f'{a}'", {'return "XX"'}),
        ("return len(a)", set()),
        (
            "return zip(a, strict=True)",
            {"return zip(None, strict=True)", "return zip(strict=True)"},
        ),
        ("return", set()),
    ],
)
def test_each_change_is_made_once(line, changed):
    """The operators are mutmut's, with three of our own."""
    made = made_of(f"def f(a, b):\n    {line}\n")
    assert sorted(made) == sorted(f"def f(a, b):\n    {new}\n" for new in changed)


@needs_mutmut
def test_what_has_a_decorator_and_what_stands_outside_is_changed_too():
    """A tool that hides functions behind others would leave these out."""
    code = "@g(1)\ndef f(a=2):\n    pass\n"
    places = made_of(code, "f")
    assert [text.splitlines()[:2] for text in places] == [
        ["@g(None)", "def f(a=2):"],
        ["@g(2)", "def f(a=2):"],
        ["@g(1)", "def f(a=3):"],
    ]
    assert made_of("A = 1\n", "the module") == ["A = None\n", "A = 2\n"]


@needs_mutmut
def test_what_is_not_run_is_left_alone():
    """Annotations, docstrings, imports and the list of public names."""
    code = (
        '"""A module."""\nfrom a import b\n__all__ = ["f"]\n\n\n'
        'def f(a: dict[str, "b"]) -> "c":\n    """Say 1 + 1."""\n'
    )
    assert made_of(code) == []


def test_a_change_is_described_by_its_lines():
    """Without indentation and line numbers, so that the list stays right."""
    old, new = (
        "def f():\n    a = 1\n    return a\n",
        "def f():\n    a = 2\n    return a\n",
    )
    mutant = described(old, new, "f", frozenset())
    assert (mutant.line, mutant.identity) == (2, ("f", "a = 1", "a = 2"))
    doubled = "def f():\n    a()\n    a()\n"
    dropped = described(doubled, "def f():\n    pass\n    a()\n", "f", frozenset())
    assert dropped.identity == ("f", "a()", "pass")


def test_tests_that_run_only_other_lines_are_left_out():
    """Unless an import runs the line, or nobody knows what the test runs."""
    reached = {"": {1}, "first": {2, 3}, "second": {3}, "a subprocess": set()}
    snippet = Snippet("toy", "", {}, reached, [])
    assert snippet.unreached({2}) == {"second"}
    assert snippet.unreached({3}) == set()
    assert snippet.unreached({4}) == {"first", "second"}
    assert snippet.unreached({1, 2}) == set()


def test_survivors_need_a_reason(survivors, capsys):
    """What is printed for those without one fits into the list."""
    survivors(entries(3))
    assert complaints(judged(97, 3), in_part=False) == []
    assert complaints(judged(97, 3, 4), in_part=False) == [
        "toy has 1 survivors without a reason"
    ]
    printed = tomllib.loads(capsys.readouterr().out.split("reason:\n")[1])
    assert printed["toy"][0]["becomes"] == ["4"]


def test_an_entry_holds_any_text():
    """Quotes of each kind, more than one line, letters of each kind."""
    for was in ("'\"'", 'a = "b"', "two\nlines", "× 2", "\\d"):
        text = entry_for("toy", Mutant("f", 1, was, "", "", frozenset()))
        assert tomllib.loads(text)["toy"][0]["was"] == was


def test_entries_of_lines_that_are_gone_are_refused(survivors):
    """Also where only a part of the mutants was tried."""
    survivors(entries(3, 100))
    for in_part in (False, True):
        (complaint,) = complaints(judged(97, 3), in_part=in_part)
        assert "names mutants that there are not:\n  f: 100" in complaint


def test_entries_that_are_killed_by_now_are_named(survivors, capsys):
    """That is good news, and no failure."""
    survivors(entries(3, 4))
    assert complaints(judged(97, 3), in_part=False) == []
    assert "by now killed, in f: 4" in capsys.readouterr().out


def test_a_reason_has_words(survivors):
    """An entry without a reason ends the program."""
    survivors(entries(3).replace("It is just the same.", "equivalent"))
    with pytest.raises(SystemExit, match="the reason is too short"):
        complaints(judged(97, 3), in_part=False)


def test_each_snippet_needs_85_percent(survivors):
    """Whatever reasons there are; a part of a snippet is not judged."""
    survivors(entries(*range(16)))
    assert complaints(judged(85, *range(15)), in_part=False) == []
    assert complaints(judged(84, *range(16)), in_part=False) == ["toy is below 85%"]
    assert complaints(judged(84, *range(16)), in_part=True) == []


TOY = """
def half(number):
    if number < 0:
        raise ValueError("a number below zero")
    return number / 2
"""
TESTS = """
import pytest
from snippets.toy import half


def test_half():
    assert half(0) == 0 and half(3) == 1.5
    with pytest.raises(ValueError, match="below"):
        half(-1)
"""


@pytest.fixture
def project(tmp_path):
    """A project with one snippet."""
    for folder in ("snippets", "tests", "examples"):
        (tmp_path / folder).mkdir()
    (tmp_path / "snippets" / "__init__.py").touch()
    (tmp_path / "snippets" / "toy.py").write_text(TOY, "utf-8")
    (tmp_path / "tests" / "test_toy.py").write_text(TESTS, "utf-8")
    (tmp_path / "tests" / "snippet_mutants.toml").touch()
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\npythonpath = ['.']\n", "utf-8"
    )
    shutil.copy(ROOT / "tests" / "snippet_mutants.py", tmp_path / "tests")

    def run(*arguments):
        command = [sys.executable, "tests/snippet_mutants.py", "--jobs", "2"]
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True
        )

    run.path = tmp_path
    return run


@needs_mutmut
def test_good_tests_kill_every_mutant(project):
    """Then all is well, and the project is as it was."""
    before = sorted(project.path.rglob("*"))
    done = project()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "toy: killed 7 of 7 (100.0%)" in done.stdout
    assert sorted(project.path.rglob("*")) == before
    assert (project.path / "snippets" / "toy.py").read_text("utf-8") == TOY


@needs_mutmut
def test_weak_tests_leave_survivors(project):
    """They are printed, and the program fails."""
    weak = TESTS.replace("half(0) == 0 and ", "").replace(', match="below"', "")
    (project.path / "tests" / "test_toy.py").write_text(weak, "utf-8")
    done = project("toy")
    assert done.returncode == 1
    assert "- if number < 0:\n    + if number <= 0:" in done.stdout
    assert "toy has 4 survivors without a reason\ntoy is below 85%" in done.stdout


@needs_mutmut
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pig"], "no snippet is called pig; there are ['toy']"),
        (["--function", "whole"], "toy has nothing to change in whole"),
    ],
)
def test_names_that_there_are_not_are_refused(project, arguments, message):
    """The error says which there are."""
    done = project(*arguments)
    assert done.returncode and message in done.stderr


@needs_mutmut
def test_tests_that_fail_by_themselves_judge_nothing(project):
    """The program ends with what pytest says."""
    wrong = TESTS.replace("1.5", "1")
    (project.path / "tests" / "test_toy.py").write_text(wrong, "utf-8")
    done = project()
    assert done.returncode == 1
    assert "the tests of snippets/toy.py fail as they are" in done.stderr
    assert "assert half(0) == 0 and half(3) == 1" in done.stdout


@needs_mutmut
def test_tests_that_need_each_other_judge_nothing(project):
    """They would kill every mutant for which only one of them is run."""
    path = project.path / "tests" / "test_toy.py"
    first = "\n\ndef test_first():\n    global ready\n    ready = half(2)\n"
    second = "\n\ndef test_second():\n    assert ready\n"
    path.write_text(TESTS + first + second, "utf-8")
    done = project()
    assert done.returncode == 1
    assert "name 'ready' is not defined" in done.stdout


@needs_mutmut
def test_tests_of_another_copy_judge_nothing(project):
    """The program ends where the tests do not run the snippet at all."""
    other = TESTS.replace("from snippets.toy import half", TOY)
    (project.path / "tests" / "test_toy.py").write_text(other, "utf-8")
    (project.path / "pyproject.toml").write_text("", "utf-8")
    done = project()
    assert done.returncode == 1
    assert "the tests of snippets/toy.py do not run it" in done.stderr
