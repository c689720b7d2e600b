"""Each check of the contract fails on a page that breaks its rule."""

from __future__ import annotations

import pytest

from tests import test_page_contract as contract
from tests.pages import EXAMPLES, Page

MODEL = EXAMPLES / "operations" / "broadcasting.py"
FIRST_CELL = "column = torch.tensor([[0], [10], [20]])  # (3, 1)\n"

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
        ("(3, 1)\n", "(3, 1)" + " and so on" * 5 + "\n"),
        "characters",
    ),
    "long cell": (
        contract.test_cells_are_short,
        (FIRST_CELL, FIRST_CELL * 21),
        "split it",
    ),
    "late import": (
        contract.test_first_code_is_the_imports,
        (FIRST_CELL, "import math\n" + FIRST_CELL),
        "move the import",
    ),
    "no assert": (
        contract.test_every_cell_proves_its_claim,
        ("assert ", "0, "),
        "prose",
    ),
    "constant assert": (
        contract.test_every_cell_proves_its_claim,
        (FIRST_CELL, FIRST_CELL + "assert 1 == 1\n"),
        "can never fail",
    ),
    "name of grad_fn": (
        contract.test_every_cell_proves_its_claim,
        (FIRST_CELL, FIRST_CELL + "assert column.grad_fn.name() == 'Add'\n"),
        "change between versions",
    ),
    "error that need not come": (
        contract.test_expected_errors_must_occur,
        ('else:\n    raise AssertionError("a row of two must not fit")\n', ""),
        "end the try",
    ),
    "no alternative text": (
        contract.test_pictures_have_alternative_text,
        (".. alt:", ".. note that"),
        "alt",
    ),
    "no picture": (
        contract.test_pictures_have_alternative_text,
        ("plt.show()", "plt.close()"),
        "at least one picture",
    ),
    "name without a link": (
        contract.test_names_in_prose_are_links,
        ("`torch.broadcast_shapes`", "``torch.broadcast_shapes``"),
        "single backticks",
    ),
    "note without a claim": (
        contract.test_what_the_notes_say_is_set_right_by_id,
        ("(claim c2-47)", ""),
        "claim's id",
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


def test_prose_limits_are_noticed(tmp_path):
    """Too few words and too many are both refused."""
    for words in (5, 700):
        path = tmp_path / "page.py"
        path.write_text(f'"""{"word " * words}"""\n', "utf-8")
        with pytest.raises(AssertionError, match="words of prose"):
            contract.test_prose_is_neither_thin_nor_long(Page(path))
