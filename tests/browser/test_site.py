"""The site as a reader uses it."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import SITE
from tests.pages import CURRICULUM, EXAMPLES, ROOT

CHAPTERS = CURRICULUM["chapters"]
READING_ORDER = [
    address
    for chapter, pages in CHAPTERS.items()
    for address in (f"{chapter}/index", *(f"{chapter}/{page}" for page in pages))
]
EVERY_PAGE = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.glob("**/*.html")
    if "_static" not in path.parts
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def test_every_script_has_its_page():
    """What is below is looked at for each page of the site, none forgotten."""
    expected = {f"gallery/{address}.html" for address in READING_ORDER}
    assert expected <= set(EVERY_PAGE)


def test_sidebar_leads_from_home_to_a_page(tab, address):
    tab.set_viewport_size(DESKTOP)
    tab.goto(f"{address}/index.html")
    for title in ("Computing with tensors", "add tensors of different shapes"):
        sidebar = tab.locator(".sidebar-tree")
        sidebar.get_by_role("link", name=title).click()
    expect(tab.locator("h1")).to_contain_text("add tensors of different shapes")


def test_next_and_previous_follow_the_reading_order(tab, address):
    tab.goto(f"{address}/gallery/{READING_ORDER[0]}.html")
    for here, following in itertools.pairwise(READING_ORDER):
        tab.locator("a.next-page").click()
        assert tab.url.endswith(f"/gallery/{following}.html")
        back = tab.locator("a.prev-page").get_attribute("href")
        assert back == os.path.relpath(f"{here}.html", Path(following).parent)


def test_copy_button_copies_the_lesson_alone(tab, address, tmp_path):
    """All lessons of a page, copied one by one, run as one program without checks."""
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    copied = []
    for block in tab.locator(".highlight-Python:visible").all():
        block.hover()
        block.locator("button.copybtn").click()
        copied.append(tab.evaluate("navigator.clipboard.readText()"))
    program = "\n".join(copied)
    assert "print(column + row)" in program
    assert not re.search(r"^(tensor\(|assert)", program, re.MULTILINE)
    assert run(program, tmp_path).returncode == 0


def test_a_fold_opens_by_keyboard_and_without_javascript(chromium, address):
    """It is an element of HTML itself, closed at first."""
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    check = tab.locator("details.check").first
    expect(check.locator("pre")).to_be_hidden()
    check.locator("summary").focus()
    tab.keyboard.press("Enter")
    expect(check.locator("pre")).to_be_visible()
    context.close()


def test_one_switch_opens_and_closes_every_check(tab, address):
    """It says what it will do next, also after checks were opened one by one."""
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    checks, opened = tab.locator("details.check"), tab.locator("details.check[open]")
    switch = tab.get_by_role("button", name="Show the checks")
    switch.click()
    expect(opened).to_have_count(checks.count())
    expect(tab.locator("details.solution[open]")).to_have_count(0)
    tab.get_by_role("button", name="Hide the checks").click()
    expect(opened).to_have_count(0)
    expect(switch).to_be_visible()


def test_shown_error_looks_like_one(tab, address):
    """It has another color than what a cell prints."""
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    error, output = (
        ".expected-error pre",
        ".sphx-glr-script-out:not(.expected-error) pre",
    )
    colors = [
        tab.locator(f"{kind} >> nth=0").evaluate("e => getComputedStyle(e).color")
        for kind in (error, output)
    ]
    assert colors[0] != colors[1]
    expect(tab.locator(error).first).to_contain_text("RuntimeError: The size of tensor")


def test_no_page_of_the_gallery_names_a_claim():
    """The ids of the notes' claims are for the ledger."""
    for page in SITE.glob("gallery/**/*.html"):
        found = re.findall(r"\bc\d-\d+\b", page.read_text("utf-8"))
        assert not found, f"{page.relative_to(SITE)} names {found}"


def run(program: str, folder: Path) -> subprocess.CompletedProcess:
    """Run a program as somebody who took it home, with the project installed."""
    file = folder / "taken_home.py"
    file.write_text(program, "utf-8")
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(file)], cwd=folder, env=environment, check=False
    )


def download(tab, text: str, folder: Path) -> Path:
    """Click a download link and return the file."""
    with tab.expect_download() as started:
        tab.get_by_role("link", name=re.compile(f"^{text}")).click()
    target = folder / started.value.suggested_filename
    started.value.save_as(target)
    return target


def test_downloaded_script_is_the_example(tab, address, tmp_path):
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    script = download(tab, "Download Python source code", tmp_path)
    original = EXAMPLES / "operations" / "broadcasting.py"
    head = "try:\n    import snippets"  # says what to install; see tests/docs
    assert script.read_text("utf-8").startswith(head)
    assert script.read_text("utf-8").endswith(original.read_text("utf-8"))
    assert run(script.read_text("utf-8"), tmp_path).returncode == 0


@pytest.mark.parametrize("page", ["operations/broadcasting", "tensors/hello_torch"])
def test_downloaded_notebook_runs(tab, address, tmp_path, page):
    """In a real kernel, cell by cell; its prose holds no raw reStructuredText.

    Exercises are solved as a learner does who copies each solution into its stub.
    """
    tab.goto(f"{address}/gallery/{page}.html")
    notebook = nbformat.read(download(tab, "Download Jupyter notebook", tmp_path), 4)
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert not re.search(r"^\.\. |:ref:|:class:", prose, re.MULTILINE)
    fill_in(notebook)
    nbclient.NotebookClient(notebook, timeout=120).execute()


def fill_in(notebook: nbformat.NotebookNode) -> None:
    """Put each folded solution in the place of the stub below it."""
    filled = 0
    for cell, following in itertools.pairwise(notebook.cells):
        if "<summary>Solution</summary>" in cell.source:
            assert "raise NotImplementedError" in following.source
            following.source = re.search(r"```python\n(.*)```", cell.source, re.S)[1]
            filled += 1
    assert filled, "the page has an exercise"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_color_scheme_follows_the_reader(chromium, address, scheme):
    """The page, its code and its pictures are dark where the reader wants it dark."""
    context = chromium.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    brightness = {
        element: tab.locator(element).first.evaluate(
            f"e => getComputedStyle(e)['{style}'].match(/\\d+/g).slice(0, 3)"
            ".reduce((sum, part) => sum + Number(part), 0) / 3"
        )
        for element, style in {
            "body": "backgroundColor",
            ".highlight": "backgroundColor",
            "svg.picture": "color",
        }.items()
    }
    dark = {name: value < 128 for name, value in brightness.items()}
    assert dark == {
        "body": scheme == "dark",
        ".highlight": scheme == "dark",
        "svg.picture": scheme == "light",
    }
    context.close()


def test_theme_button_changes_the_scheme(tab, address):
    tab.set_viewport_size(DESKTOP)
    tab.goto(f"{address}/index.html")
    seen = set()
    for _ in range(3):
        tab.locator(".theme-toggle-content button").click()
        seen.add(tab.locator("body").get_attribute("data-theme"))
    assert seen == {"light", "dark", "auto"}


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_page_is_sound(chromium, address, page):
    """No request leaves the site, no error, no sideways scrolling, no axe violation."""
    requests, errors = [], []
    for scheme, size in (("light", PHONE), ("dark", DESKTOP)):
        context = chromium.new_context(color_scheme=scheme, viewport=size)
        tab = context.new_page()
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(f"{said.type}: {said.text}"))
        tab.goto(f"{address}/{page}", wait_until="load")
        width = tab.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{page} scrolls sideways: {width}px"
        found = Axe().run(tab).response["violations"]
        assert not found, f"{page} ({scheme}): {summary(found)}"
        context.close()
    away = [url for url in requests if not url.startswith((address, "data:"))]
    assert not away, f"{page} asks other hosts: {away}"
    errors = [error for error in errors if not error.startswith(("log:", "info:"))]
    assert not errors, f"{page}: {errors}"


def summary(violations: list[dict]) -> str:
    """Name the broken rules with the first element that breaks each."""
    return json.dumps([[v["id"], v["help"], v["nodes"][0]["html"]] for v in violations])


def bottom(tab, selector: str) -> float:
    """Return how far down the page an element ends, in pixels."""
    box = tab.locator(selector).last.bounding_box()
    return box["y"] + box["height"]


def test_home_says_all_that_matters_in_one_screen(tab, address):
    """Promise, an example with its result and picture, three doors, how to run it."""
    tab.set_viewport_size({"width": 1280, "height": 850})
    tab.goto(f"{address}/index.html")
    example = tab.locator(".shown-cell")
    expect(example.locator(".highlight-python").first).to_contain_text("column + row")
    expect(example.locator(".sphx-glr-script-out")).to_contain_text(
        "[21., 22., 23., 24.]"
    )
    expect(example.locator("svg.picture")).to_be_visible()
    expect(example.locator("details.check")).to_contain_text("facts")
    assert tab.locator(".doors > .door").count() == 3
    for part in ("h1", ".shown-cell", ".doors", ".highlight-shell"):
        assert bottom(tab, part) <= 850, part


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_doors_lead_to_a_lesson_a_search_and_code(tab, address, size):
    """The search box is there on a phone too, where the sidebar is folded away."""
    tab.set_viewport_size(size)
    for door, title in (
        ("Learn from the start", "PyTorch in ten minutes"),
        ("I need code to take away", "Snippets to take away"),
    ):
        tab.goto(f"{address}/index.html")
        tab.locator(".doors").get_by_role("link", name=door).click()
        expect(tab.locator("h1")).to_contain_text(title)
    tab.goto(f"{address}/index.html")
    tab.get_by_label("I have an error or a question").fill("broadcasting")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=broadcasting")


def test_home_shows_each_chapter_once(tab, address):
    """In reading order, with a picture that is there, and no list of all pages."""
    tab.goto(f"{address}/index.html")
    links = tab.locator("ul.cards .card-title a")
    found = [link.get_attribute("href") for link in links.all()]
    assert found == [f"gallery/{chapter}/index.html" for chapter in CHAPTERS]
    assert tab.locator("article a[href^='gallery/']").count() < 2 * len(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_shows_its_pages_in_order(tab, address, chapter):
    """Each card asks the page's question; the picture loads, in the scheme's color."""
    tab.set_viewport_size(DESKTOP)
    tab.emulate_media(color_scheme="dark")
    tab.goto(f"{address}/gallery/{chapter}/index.html")
    cards = tab.locator("ol.page-cards > li")
    pages = CHAPTERS[chapter]
    links = [
        link.get_attribute("href") for link in cards.locator(".card-title a").all()
    ]
    assert links == [f"{page}.html" for page in pages]
    for card, page in zip(cards.all(), pages, strict=True):
        expect(card.locator(".card-question")).to_contain_text(re.compile(r"\w{2}"))
        card.scroll_into_view_if_needed()
        picture = card.locator("img:visible")
        assert picture.get_attribute("src").endswith(f"card-{chapter}-{page}-dark.svg")
        tab.wait_for_function(
            "image => image.complete && image.naturalWidth > 0",
            arg=picture.element_handle(),
        )


def test_chapter_leads_to_its_exercises(tab, address):
    """A link goes to the exercise itself, in sight."""
    tab.goto(f"{address}/gallery/operations/index.html")
    tab.get_by_role("link", name="The distance between any two points").click()
    exercise = tab.locator(".admonition.exercise", has_text="The distance between any")
    expect(exercise).to_be_in_viewport()


def test_lesson_says_its_place_and_how_to_take_it_away(tab, address, tmp_path):
    """No link leads to a repository, whose address this build does not know."""
    tab.set_viewport_size(PHONE)
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    head = tab.locator(".lesson-head")
    expect(head).to_contain_text(
        re.compile(r"Computing with tensors\s+· 2 of 7\s+· \d")
    )
    assert bottom(tab, ".lesson-head") < tab.locator("h1").bounding_box()["y"]
    expect(head.get_by_role("link")).to_have_text(
        ["Computing with tensors", "Script", "Notebook"]
    )
    assert download(tab, "Script", tmp_path).name == "broadcasting.py"
    assert download(tab, "Notebook", tmp_path).name == "broadcasting.ipynb"
    head.get_by_text("Run this page").click()
    expect(head).to_contain_text("pip install")
    head.get_by_role("link", name="Computing with tensors").click()
    expect(tab.locator("h1")).to_contain_text("Computing with tensors")


def test_print_shows_the_lesson_alone(tab, address):
    """No sidebar and no button; code wraps, and a check that is folded is left out."""
    tab.set_viewport_size({"width": 794, "height": 1123})  # A4
    tab.emulate_media(media="print", color_scheme="dark")
    tab.goto(f"{address}/gallery/operations/broadcasting.html")
    for hidden in (
        ".sidebar-drawer",
        ".toc-drawer",
        ".lesson-links",
        "details.check",
        ".sphx-glr-footer",
        "footer .related-pages",
    ):
        expect(tab.locator(hidden).first).to_be_hidden()
    expect(tab.locator("details.hint summary").first).to_be_visible()
    wraps = tab.locator(".highlight-Python pre").first
    assert wraps.evaluate("e => getComputedStyle(e).whiteSpace") == "pre-wrap"
    paper = tab.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
