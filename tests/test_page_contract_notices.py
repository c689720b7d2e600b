"""Each check of the contract fails on a page that breaks its rule."""

from __future__ import annotations

import pytest

from tests import test_page_contract as contract
from tests.pages import EXAMPLES, Page

MODEL = EXAMPLES / "operations" / "broadcasting.py"
FIRST_LINE = "column = torch.tensor([[0.0], [10.0], [20.0]])  # (3, 1)\n"
FIRST_CHECK = "assert (column + row).shape == (3, 4)\n"


def above(line: str) -> tuple[str, str]:
    """Write a line above the first line of the first lesson."""
    return FIRST_LINE, f"{line}\n{FIRST_LINE}"


def in_the_check(line: str) -> tuple[str, str]:
    """Write a line below the first assert."""
    return FIRST_CHECK, f"{FIRST_CHECK}{line}\n"


BREAKS = {
    "label": (
        contract.test_page_has_its_label_and_title,
        (".. _broadcasting:", ".. _other:"),
        "open with",
    ),
    "underline": (
        contract.test_page_has_its_label_and_title,
        ("===\n", "==\n"),
        "underline",
    ),
    "no question": (contract.test_opening_asks_a_question, ("?", "."), "question"),
    "long opening": (
        contract.test_opening_asks_a_question,
        ("After this page", "word " * 40 + "after this page"),
        "words of opening",
    ),
    "no closing": (
        contract.test_page_closes_with_what_was_learned,
        ("What you learned", "The end of this  "),
        "What you learned",
    ),
    "no way on": (
        contract.test_page_closes_with_what_was_learned,
        (":ref:`", "`"),
        "link to a next page",
    ),
    "wide line": (
        contract.test_lines_do_not_scroll_sideways,
        above("# " + "and so on " * 9),
        "characters",
    ),
    "long cell": (
        contract.test_lessons_are_short,
        (FIRST_LINE, FIRST_LINE * 21),
        "split it",
    ),
    "long page": (
        contract.test_lessons_are_short,
        ("# %%\n# The short answer", "# %%\n\nrow = 1\nrow = 2\n" * 120 + "# %%\n# x"),
        "make two pages",
    ),
    "late import": (
        contract.test_first_code_is_the_imports,
        above("import math"),
        "move the import",
    ),
    "no assert": (
        contract.test_every_cell_proves_its_claim,
        ("assert ", "0, "),
        "prose",
    ),
    "constant assert": (
        contract.test_every_cell_proves_its_claim,
        in_the_check("assert 1 == 1"),
        "can never fail",
    ),
    "name of grad_fn": (
        contract.test_every_cell_proves_its_claim,
        in_the_check("assert column.grad_fn.name() == 'Add'"),
        "change between versions",
    ),
    "error that need not come": (
        contract.test_expected_errors_must_occur,
        above("try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass"),
        "end the try",
    ),
    "print in the check": (
        contract.test_nothing_but_checks_stands_after_the_first_assert,
        in_the_check("print(column)"),
        "print stands in the check",
    ),
    "error shown in the check": (
        contract.test_nothing_but_checks_stands_after_the_first_assert,
        in_the_check('with show_error("by zero"):\n    1 / 0'),
        "show_error stands in the check",
    ),
    "raised assertion": (
        contract.test_lesson_is_what_a_practitioner_types,
        above('if not torch:\n    raise AssertionError("no torch")'),
        "assert it in the check",
    ),
    "try": (
        contract.test_lesson_is_what_a_practitioner_types,
        above("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    print(error)"),
        "show an error with",
    ),
    "packed code": (
        contract.test_lesson_is_what_a_practitioner_types,
        above("a, b = 1, 2"),
        "one statement a line",
    ),
    "strict zip": (
        contract.test_lesson_is_what_a_practitioner_types,
        above("pairs = list(zip([1], [2], strict=True))"),
        "plain zip",
    ),
    "the notes": (
        contract.test_no_page_argues_with_the_notes,
        ("Line the two shapes up", "The notes say: line the two shapes up"),
        "common mistake",
    ),
    "claim in the prose": (
        contract.test_claims_stand_in_a_comment_alone,
        ("Line the two shapes up", "Line the two shapes up (c2-47)"),
        "a reader meets",
    ),
    "undeclared claim": (
        contract.test_claims_stand_in_a_comment_alone,
        above("# see c3-99"),
        "in the comment",
    ),
    "claim that is another page's": (
        contract.test_each_claim_is_settled_by_the_pages_that_declare_it,
        (".. claims: ", ".. claims: c3-102 "),
        "declare",
    ),
    "no alternative text": (
        contract.test_pictures_have_alternative_text,
        (".. alt:", ".. note that"),
        "alt",
    ),
    "no picture": (
        contract.test_pictures_have_alternative_text,
        ("show_pictures()", "torch.ones(1)"),
        "there is no picture",
    ),
    "picture that may be lost": (
        contract.test_pictures_have_alternative_text,
        ("show_pictures()", "plt.show()"),
        "where it is saved",
    ),
    "name without a link": (
        contract.test_names_in_prose_are_links,
        ("`torch.Tensor.expand`", "``torch.Tensor.expand``"),
        "single backticks",
    ),
    "another concept": (
        contract.test_page_declares_its_concepts,
        (".. concepts: P05", ".. concepts: P06"),
        "declare",
    ),
}


@pytest.mark.parametrize(("check", "change", "message"), BREAKS.values(), ids=BREAKS)
def test_check_notices(check, change, message, tmp_path):
    """The model page passes; the same page with one rule broken does not."""
    check(Page(MODEL))
    source = MODEL.read_text("utf-8")
    broken = source.replace(*change)
    assert broken != source, "the model page has changed: change this test with it"
    folder = tmp_path / MODEL.parent.name
    folder.mkdir()
    path = folder / MODEL.name
    path.write_text(broken, "utf-8")
    with pytest.raises(AssertionError, match=message):
        check(Page(path))


def test_thin_prose_is_noticed(tmp_path):
    """A page of five words is no lesson."""
    path = tmp_path / "page.py"
    path.write_text(f'"""{"word " * 5}"""\n', "utf-8")
    with pytest.raises(AssertionError, match="words of prose"):
        contract.test_prose_is_not_thin(Page(path))
