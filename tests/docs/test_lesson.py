"""Pages are taken apart as the contract says."""

from __future__ import annotations

import ast

import lesson
import pytest
from lesson import Page

SOURCE = '''"""
.. _page:

A title
=======

A question?

.. concepts: P01 P02
.. claims: c1-01 c1-02
   c1-03
"""

import torch

# %%
# First
# -----

x = torch.ones(2)
print(x)

# what is checked
assert x.sum() == 2
y = 3 * x
assert y.sum() == 6

# %%
# .. alt: A picture of two ones.
# .. fold: picture

draw(x)

# %%
# .. exercise:: Twice
#
#    Write it.
#
#    .. hint:: Add.


def twice(x):
    """Return x, doubled."""
    return x + x


ones = torch.ones(1)
assert twice(ones) == 2, "one and one is two"
'''


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.py"
    path.write_text(SOURCE, "utf-8")
    return Page(path)


def test_check_begins_with_the_first_assert(page):
    """Its comment goes with it, and so does what stands between two asserts."""
    cell = page.cells[1]
    assert cell.lesson == "x = torch.ones(2)\nprint(x)"
    assert cell.check.startswith("# what is checked\nassert x.sum() == 2")
    assert cell.check.endswith("y = 3 * x\nassert y.sum() == 6")
    assert lesson.count_facts(cell.check) == 2


def test_assert_inside_a_function_belongs_to_the_lesson():
    """There a practitioner writes a guard."""
    code = "def f(x):\n    assert x > 0\n    return x\n"
    assert lesson.split_check(code) == (code.strip(), "")


def test_solution_is_the_functions_and_the_rest_checks_it(page):
    """So the values of a check are not part of the solution."""
    cell = page.cells[3]
    assert cell.exercise == "Twice"
    assert cell.lesson.startswith("def twice(x):")
    assert cell.lesson.endswith("return x + x")
    assert cell.check.startswith("ones = torch.ones(1)")


def test_stub_keeps_signature_and_docstring(page):
    """A learner fills in the rest, in functions and in the methods of classes."""
    text = lesson.stub(page.cells[3].lesson)
    assert text.splitlines()[:2] == ["def twice(x):", '    """Return x, doubled."""']
    assert text.endswith("raise NotImplementedError")
    klass = "class A:\n    size = 3\n\n    def f(self, x=1):\n        return x\n"
    emptied = ast.parse(lesson.stub(klass)).body[0]
    assert [ast.unparse(n) for n in emptied.body] == [
        "size = 3",
        "def f(self, x=1):\n    raise NotImplementedError",
    ]


def test_lines_of_a_check_are_those_of_the_file(page):
    """Numbers that an editor shows."""
    lines = SOURCE.splitlines()
    shown = [lines[number - 1] for number in page.cells[1].check_lines]
    assert shown[0] == "# what is checked"
    assert "assert y.sum() == 6" in shown
    assert not page.cells[2].check_lines


def test_marks_are_read(page):
    """A folded picture, and the ids of the opening over several lines."""
    assert [cell.is_picture for cell in page.cells] == [False, False, True, False]
    assert page.declared("claims") == {"c1-01", "c1-02", "c1-03"}
    assert page.declared("concepts") == {"P01", "P02"}
    assert page.declared("others") == set()
    assert page.title == "A title"
    assert "c1-01" not in page.prose
    assert "A picture of" not in page.prose
