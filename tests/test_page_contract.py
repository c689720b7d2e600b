"""Every page keeps the contract that CONTRIBUTING describes.

A message names the file and the line and says what to do.
"""

from __future__ import annotations

import ast
import re

import pytest

from tests.pages import CURRICULUM, EXAMPLES, PAGES, Cell, Page

MAX_CELL_LINES = 20
MAX_PAGE_LINES = 250
MAX_LINE = 79
OPENING_WORDS = range(30, 76)
MIN_PROSE_WORDS = 200
# Chapters whose pages put the lesson first; the others follow, and then this goes.
LESSON_FIRST = {"tensors", "operations", "shapes", "numpy_and_devices"}
CLAIM = re.compile(r"\bc\d-\d+\b")
SHOWS = {"print", "show_error", "show_pictures"}


@pytest.fixture(params=PAGES, ids=lambda path: path.stem)
def page(request) -> Page:
    return Page(request.param)


@pytest.fixture(
    params=[p for p in PAGES if p.parent.name in LESSON_FIRST],
    ids=lambda path: path.stem,
)
def lesson_page(request) -> Page:
    return Page(request.param)


def place(page: Page, cell: Cell) -> str:
    return f"{page.path}:{cell.line}"


def called_names(tree: ast.AST) -> set[str]:
    """Return the names of the functions that some code calls by their name alone."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def test_reading_order_lists_every_page():
    """A script that is on disk stands in the reading order, and the reverse."""
    on_disk = set(EXAMPLES.glob("*/*.py"))
    assert on_disk == set(PAGES), "make examples/curriculum.toml list these scripts"
    assert len({path.stem for path in PAGES}) == len(PAGES), "page names must differ"


def test_page_has_its_label_and_title(page):
    """Others link to a page by its file's name."""
    first, title, underline = [t for t in page.opening.splitlines() if t.strip()][:3]
    assert first == f".. _{page.name}:", f"{page.path}: open with `.. _{page.name}:`"
    assert underline == "=" * len(title), f"{page.path}: underline the title with ="


def test_opening_asks_a_question(page):
    """The first paragraph is a beginner's question and what the page will teach."""
    paragraphs = page.opening.split("\n\n")
    opening = next((p for p in paragraphs[2:] if not p.startswith("..")), "")
    words = len(opening.split())
    assert "?" in opening, f"{page.path}: open with a question that a beginner has"
    assert words in OPENING_WORDS, f"{page.path}: {words} words of opening, not 30-75"


def test_page_closes_with_what_was_learned(page):
    """The last section sums up and links onward."""
    closing = page.cells[-1].prose
    title = "What you learned\n" + "-" * len("What you learned")
    assert title in closing, f"{page.path}: end with a section 'What you learned'"
    assert ":ref:`" in closing, f"{page.path}: link to a next page in the closing"
    assert not page.cells[-1].code.strip(), f"{page.path}: no code after the closing"


def test_prose_is_not_thin(page):
    """A page is a lesson in words, as long as it needs."""
    words = len(page.prose.split())
    assert words >= MIN_PROSE_WORDS, (
        f"{page.path}: {words} words of prose, not {MIN_PROSE_WORDS}"
    )


def test_lines_do_not_scroll_sideways(page):
    for number, text in enumerate(page.source.splitlines(), 1):
        assert len(text) <= MAX_LINE, f"{page.path}:{number}: {len(text)} characters"


def test_lessons_are_short(page):
    """One idea a cell, one question a page; checks do not count."""
    for cell in page.cells[1:]:
        lines = len(cell.lesson_lines)
        assert lines <= MAX_CELL_LINES, f"{place(page, cell)}: {lines} lines; split it"
    lines = sum(len(cell.lesson_lines) for cell in page.cells)
    assert lines <= MAX_PAGE_LINES, f"{page.path}: {lines} lines; make two pages of it"


def test_nothing_but_checks_stands_after_the_first_assert(lesson_page):
    """What the site folds away shows nothing of its own."""
    for cell in lesson_page.cells:
        shown = called_names(ast.parse(cell.check)) & SHOWS
        assert not shown, (
            f"{place(lesson_page, cell)}: {', '.join(sorted(shown))} stands in the "
            "check, which the page folds away: move it above the first assert"
        )


def test_lesson_is_what_a_practitioner_types(lesson_page):
    """No code of the lesson is there for the proof, and none is packed."""
    for cell in lesson_page.cells:
        where = place(lesson_page, cell)
        for node in ast.walk(ast.parse(cell.lesson)):
            assert not is_raised_assertion(node), f"{where}: assert it in the check"
            assert not isinstance(node, ast.Try), (
                f"{where}: show an error with `with show_error(...):`"
            )
            assert not is_packed(node), f"{where}: write one statement a line"
            assert not (isinstance(node, ast.keyword) and node.arg == "strict"), (
                f"{where}: a plain zip reads better"
            )


def is_raised_assertion(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) and "AssertionError" in ast.unparse(node)


def is_packed(node: ast.AST) -> bool:
    """Tell whether two assignments stand in one, as in ``a, b = 1, 2``."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    )


def test_no_page_argues_with_the_notes(lesson_page):
    """Nobody who reads a page knows them."""
    assert "the notes" not in lesson_page.prose.lower(), (
        f"{lesson_page.path}: say it as a common mistake, in a learner's words"
    )


def test_claims_stand_in_a_comment_alone(page):
    """The ids of the notes' claims are for the ledger, not for a reader."""
    everywhere = set(CLAIM.findall(page.source))
    assert everywhere == page.declared("claims"), (
        f"{page.path}: name claims in the comment `.. claims:` of the opening alone"
    )
    shown = CLAIM.findall(page.prose + "".join(cell.code for cell in page.cells))
    assert not shown, f"{page.path}: a reader meets {shown}"


def test_each_claim_is_settled_by_the_pages_that_declare_it(page):
    """The curriculum names, for each claim that is not true, where it is set right."""
    address = f"{page.path.parent.name}/{page.name}"
    planned = {
        claim for claim, pages in CURRICULUM["claims"].items() if address in pages
    }
    assert page.declared("claims") == planned, (
        f"{page.path}: declare `.. claims: {' '.join(sorted(planned))}`, "
        "or change the table of claims in examples/curriculum.toml"
    )


def test_every_claim_has_its_page():
    """None of the 175 claims that are not true is left standing."""
    addresses = {f"{path.parent.name}/{path.stem}" for path in PAGES}
    for claim, pages in CURRICULUM["claims"].items():
        assert pages, f"{claim}: no page settles it"
        assert set(pages) <= addresses, f"{claim}: {pages} are not all pages"


def test_first_code_is_the_imports(page):
    """All imports stand in one cell, at the top, and nothing else does."""
    imports = page.cells[0].tree.body
    assert imports, f"{page.path}: begin with a cell of imports"
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)
    for cell in page.cells[1:]:
        late = {type(node) for node in ast.walk(cell.tree)} & {
            ast.Import,
            ast.ImportFrom,
        }
        assert not late, f"{place(page, cell)}: move the import to the first cell"


def test_every_cell_proves_its_claim(page):
    """Each code cell asserts something that can be false."""
    for cell in page.cells[1:]:
        if not cell.code.strip():
            continue
        asserts = [n for n in ast.walk(cell.tree) if isinstance(n, ast.Assert)]
        assert asserts, (
            f"{place(page, cell)}: assert what the prose of this cell claims, so that "
            "the build tests the lesson"
        )
        for node in asserts:
            text = ast.unparse(node.test)
            assert any(isinstance(n, ast.Name) for n in ast.walk(node.test)), (
                f"{place(page, cell)}: `assert {text}` can never fail"
            )
            assert "grad_fn.name" not in text, (
                f"{place(page, cell)}: names of grad_fn change between versions"
            )


def test_expected_errors_must_occur(page):
    """A ``try`` that shows an error fails when the error does not come."""
    for cell in page.cells:
        for node in ast.walk(ast.parse(cell.lesson)):
            if isinstance(node, ast.Try) and node.handlers:
                assert node.orelse or _sets_what_is_asserted(node, cell), (
                    f"{place(page, cell)}: end the try with "
                    '`else: raise AssertionError("...")`, so that a missing error fails'
                )


def _sets_what_is_asserted(node: ast.Try, cell: Cell) -> bool:
    """Tell whether a handler sets a name that an assert of the cell reads."""
    set_names = {
        target.id
        for child in ast.walk(ast.Module(node.handlers, []))
        if isinstance(child, ast.Assign)
        for target in child.targets
        if isinstance(target, ast.Name)
    }
    read = {
        name.id
        for statement in cell.tree.body
        if isinstance(statement, ast.Assert)
        for name in ast.walk(statement)
        if isinstance(name, ast.Name)
    }
    return bool(set_names & read)


def test_pictures_have_alternative_text(page):
    """Who cannot see a picture reads what it shows; every page has one picture."""
    shown = 0
    for cell in page.cells:
        assert "plt.show()" not in cell.code, (
            f"{place(page, cell)}: end a picture with show_pictures(), which says "
            "where it is saved if no window can open"
        )
        if "show_pictures" not in called_names(cell.tree):
            assert not cell.is_picture, f"{place(page, cell)}: there is no picture"
            continue
        shown += 1
        assert re.search(r"^\.\. alt: \w.{20,}", cell.prose, re.MULTILINE), (
            f"{place(page, cell)}: say what the picture shows in a comment of the "
            "prose above it: `# .. alt: ...`"
        )
    assert shown, (
        f"{page.path}: draw at least one picture and end it with show_pictures()"
    )


def test_names_in_prose_are_links(page):
    """A documented name stands in single backticks, which link to its page."""
    names = r"``((?:torch|torchvision|numpy)(?:\.\w+)+)(?:\(\))?``"
    unlinked = re.findall(names, page.prose)
    assert not unlinked, f"{page.path}: write single backticks around {unlinked}"


def test_page_declares_its_concepts(page):
    """Each concept is declared by exactly the page that teaches it."""
    address = f"{page.path.parent.name}/{page.name}"
    planned = {
        concept
        for concept, entry in CURRICULUM["concepts"].items()
        if entry["page"] == address
    }
    assert planned, f"{address} teaches no concept of examples/curriculum.toml"
    assert page.declared("concepts") == planned, (
        f"{page.path}: declare `.. concepts: {planned}`"
    )


def test_every_concept_has_its_page():
    """None of the notes' 101 concepts, and none that we added, waits for a page."""
    built = {f"{p.parent.name}/{p.stem}" for p in PAGES if p.exists()}
    concepts = CURRICULUM["concepts"]
    waiting = {name for name, entry in concepts.items() if entry["page"] not in built}
    assert not waiting, f"concepts without a page: {sorted(waiting)}"
    assert sum(not name.startswith("A") for name in concepts) == 101
