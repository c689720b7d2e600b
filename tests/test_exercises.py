"""Every exercise of the pages can be solved, and refuses the known wrong answers."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from typing import Any

import pytest

from tests.pages import PAGES, ROOT, Page
from tests.practice.exercises import Exercise, exercises
from tests.test_page_contract import LESSON_FIRST

WRONG = ROOT / "tests" / "wrong_answers"
EXERCISES = exercises(PAGES)
ANSWERS = {
    path.stem: tomllib.loads(path.read_text("utf-8")) for path in WRONG.glob("*.toml")
}


def wrong_answers(exercise: Exercise) -> list[dict[str, str]]:
    """Return the mistakes that learners make in an exercise."""
    answers: list[dict[str, str]] = ANSWERS.get(exercise.page.split("/")[1], {}).get(
        exercise.name, []
    )
    return answers


CASES = [
    pytest.param(exercise, answer, id=f"{exercise.name}-{number}")
    for exercise in EXERCISES
    for number, answer in enumerate(wrong_answers(exercise), 1)
]


def run(exercise: Exercise, answer: str) -> None:
    """Run an answer and the checks after the imports of the page, and nothing else."""
    names: dict[str, Any] = {}
    for part in (exercise.imports, answer, exercise.checks):
        exec(part, names)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_solution_passes_alone(exercise):
    """An exercise needs nothing of its page but the imports."""
    run(exercise, exercise.solution)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_exercise_is_complete(exercise):
    """It has words, a hint, a docstring, and at least two known wrong answers."""
    assert len(exercise.text.split()) > 5
    assert exercise.hint
    assert ast.get_docstring(ast.parse(exercise.solution).body[0])
    assert len(wrong_answers(exercise)) >= 2, (
        f"tests/wrong_answers lacks {exercise.name}"
    )


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_checks_speak_to_the_learner(exercise):
    """Each assert has a message."""
    nodes = ast.walk(ast.parse(exercise.checks))
    asserts = [node for node in nodes if isinstance(node, ast.Assert)]
    assert asserts
    for node in asserts:
        assert node.msg is not None, f"say what was expected: {ast.unparse(node)}"


@pytest.mark.parametrize(("exercise", "answer"), CASES)
def test_wrong_answer_is_refused_by_a_message_that_fits(exercise, answer):
    """The mistake is named in the file beside the answer."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # torch's errors too
        run(exercise, answer["answer"])
    assert answer["message"] in str(caught.value), answer["mistake"]


def test_known_wrong_answers_belong_to_exercises():
    """None is left of an exercise that has gone."""
    known = {(e.page.split("/")[1], e.name) for e in EXERCISES}
    listed = {(page, name) for page, answers in ANSWERS.items() for name in answers}
    assert listed == known


def test_names_are_unique():
    """`nox -s practice -- hint NAME` means one exercise."""
    counts = Counter(exercise.name for exercise in EXERCISES)
    assert not [name for name, count in counts.items() if count > 1]


def test_every_page_of_the_new_contract_has_an_exercise():
    having = {exercise.page for exercise in EXERCISES}
    asked = {
        f"{p.parent.name}/{p.stem}" for p in PAGES if p.parent.name in LESSON_FIRST
    }
    assert not asked - having


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_later_cell_needs_an_exercise(path):
    """So a reader can leave it unsolved, in the notebook too."""
    defined: set[str] = set()
    for cell in Page(path).cells:
        names = [n for n in ast.walk(cell.tree) if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        functions = {n.name for n in cell.tree.body if isinstance(n, ast.FunctionDef)}
        loaded = {n.id for n in names if isinstance(n.ctx, ast.Load)}
        given = {n.arg for n in ast.walk(cell.tree) if isinstance(n, ast.arg)}
        needed = (loaded & defined) - stored - functions - given
        assert not needed, f"{path}:{cell.line}: {needed} come from an exercise"
        if cell.exercise:
            defined |= stored | functions
