"""The site's search finds the page by the words that readers have for it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from tests.browser.conftest import SITE
from tests.pages import CURRICULUM, PAGES, Page

FURTHER = tomllib.loads(
    (Path(__file__).parent / "further_queries.toml").read_text("utf-8")
)
FIRST = 3  # results that a reader surely looks at


@pytest.fixture(scope="module")
def search_page(chromium, address):
    """The search page, opened once: each query is typed into its box."""
    tab = chromium.new_page()
    tab.goto(f"{address}/search.html")
    yield tab
    tab.close()


def found(search_page: Tab, query: str) -> list[str]:
    """Type a query; return the first pages that come, as ``chapter/page``."""
    search_page.locator(".search-box input").fill(query)
    search_page.wait_for_function(
        "query => new URL(location).searchParams.get('q') === query", arg=query
    )
    links = search_page.locator(".search-result > a")
    addresses = links.evaluate_all("links => links.map(a => a.getAttribute('href'))")
    return [re.sub(r"^gallery/|\.html$", "", address) for address in addresses[:FIRST]]


@pytest.mark.parametrize(("page", "queries"), CURRICULUM["queries"].items())
def test_page_is_found_by_the_queries_it_declares(search_page, page, queries):
    """It comes among the first three."""
    missed = {q: names for q in queries if page not in (names := found(search_page, q))}
    assert not missed


def test_pages_are_found_by_queries_that_nobody_declared(search_page):
    """At least 45 of 50 queries, written down without knowledge of the others."""
    missed = [
        query
        for query, pages in FURTHER.items()
        if not set(pages) & set(found(search_page, query))
    ]
    assert len(FURTHER) == 50
    assert len(missed) <= 5, "\n".join(missed)


def test_sidebar_leads_to_the_answer(tab, address):
    """A pasted message goes from any page to the page that explains it."""
    tab.goto(f"{address}/gallery/tensors/dtypes.html")
    tab.locator("input.sidebar-search").fill(
        "RuntimeError: The size of tensor a (3) must match the size of tensor b (2)"
    )
    tab.keyboard.press("Enter")
    result = tab.locator(".search-result").first
    link = result.locator("a").first
    expect(link).to_have_attribute("href", "gallery/operations/broadcasting.html")
    expect(result).to_contain_text("Computing with tensors · 2 of 7")
    expect(result).to_contain_text("Why can you add a row of three numbers")


def test_a_result_leads_to_the_section(search_page):
    """It shows some words of the section that fits, and none that are folded away."""
    found(search_page, "broadcast nobody asked for")
    section = search_page.locator(".search-section a").first
    expect(section).to_have_text("The broadcast nobody asked for")
    section.click()
    heading = search_page.locator("#the-broadcast-nobody-asked-for h2")
    expect(heading).to_be_in_viewport()
    search_page.go_back()


def test_an_empty_result_offers_the_chapters(search_page):
    """A reader is not left alone."""
    assert found(search_page, "zzyzzyva") == []
    expect(search_page.get_by_role("status")).to_contain_text("No page")
    chapters = search_page.locator(".search-guide li a:visible")
    expect(chapters).to_have_count(len(CURRICULUM["chapters"]))


def test_search_works_from_a_folder(chromium):
    """Without a server a page may load scripts, and nothing else."""
    tab = chromium.new_page()
    tab.goto(f"{(SITE / 'search.html').as_uri()}?q=view+vs+reshape")
    link = tab.locator(".search-result > a").first
    expect(link).to_have_attribute("href", "gallery/shapes/view_reshape_flatten.html")
    tab.close()


def test_folded_code_is_not_searched():
    """No name that only the checks of a page have is in what the search knows."""
    script = (SITE / "_static/search/pages.js").read_text("utf-8")
    known = json.loads(script.removeprefix("const searchPages = ").rstrip(";\n"))
    (broadcasting,) = [page for page in PAGES if page.stem == "broadcasting"]
    checks = " ".join(cell.check for cell in Page(broadcasting).cells)
    (found,) = [page for page in known if page["url"].endswith("/broadcasting.html")]
    names = set(re.findall(r"\w+", json.dumps(found)))
    assert "draw_tensors" in names
    assert "tolist" in checks
    assert "tolist" not in names
