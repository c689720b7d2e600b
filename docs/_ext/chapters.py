"""A chapter of the gallery: its title, its sentence, its pages and their questions."""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import reading_order
from lesson import Page, count_facts

WORDS_A_MINUTE = 200
LINES_A_MINUTE = 20
"""How fast a page is read: its words, and the code that is in sight, line by line."""

ROLE = re.compile(r"(?::[\w:]+:)?(?<!`)`~?([^`<]+?)(?: <[^`]*>)?`(?!`)")


@dataclass(frozen=True)
class Chapter:
    """A folder of ``examples``, in the order in which its pages are read."""

    name: str
    page_names: tuple[str, ...]

    @property
    def docname(self) -> str:
        """The chapter's page on the site."""
        return f"gallery/{self.name}/index"

    @cached_property
    def pages(self) -> list[Page]:
        """The pages in order."""
        folder = reading_order.EXAMPLES / self.name
        return [Page(folder / f"{name}.py") for name in self.page_names]

    @property
    def cover(self) -> str:
        """The address of the page whose picture stands for the chapter."""
        page = reading_order.table("covers").get(self.name, self.page_names[0])
        return f"{self.name}/{page}"

    @cached_property
    def _paragraphs(self) -> list[str]:
        head = reading_order.EXAMPLES / self.name / "GALLERY_HEADER.rst"
        return head.read_text("utf-8").strip().split("\n\n")

    @property
    def title(self) -> str:
        """The title."""
        return self._paragraphs[0].splitlines()[0]

    @property
    def sentence(self) -> str:
        """What a reader does here: the first paragraph below the title."""
        return one_line(self._paragraphs[1])


def chapters() -> list[Chapter]:
    """Return the chapters in reading order."""
    ordered = reading_order.chapters().items()
    return [Chapter(name, tuple(pages)) for name, pages in ordered]


def find_page(docname: str) -> tuple[Chapter, int] | None:
    """Return the chapter of a page of the gallery and its place there, from 0."""
    _, _, address = docname.partition("gallery/")
    folder, _, name = address.partition("/")
    for chapter in chapters():
        if chapter.name == folder and name in chapter.page_names:
            return chapter, chapter.page_names.index(name)
    return None


def every_page() -> list[Page]:
    """Return all pages of the gallery, in reading order."""
    return list(chain.from_iterable(chapter.pages for chapter in chapters()))


def docname_of(page: Page) -> str:
    """Return a page's address on the site, without its ending."""
    return f"gallery/{page.path.parent.name}/{page.name}"


def opening_of(page: Page) -> tuple[str, str]:
    """Return a page's question, and what a reader can do after it."""
    paragraphs = page.opening.split("\n\n")[2:]
    text = one_line(" ".join(p for p in paragraphs if not p.startswith("..")))
    question, found, ability = text.partition(" After this page ")
    return (question, f"After it, {ability}") if found else (text, "")


def exercises_of(page: Page) -> list[str]:
    """Return the titles of the exercises that a page sets."""
    return [cell.exercise for cell in page.cells if cell.exercise]


def facts_of(page: Page) -> int:
    """Return how many facts a page checks."""
    return sum(count_facts(cell.check) for cell in page.cells)


def minutes_of(page: Page) -> int:
    """Return how long a page takes to read: see `WORDS_A_MINUTE`."""
    shown = [c for c in page.cells if not (c.exercise or c.is_picture)]
    lines = sum(len(cell.lesson_lines) for cell in shown)
    minutes = len(page.prose.split()) / WORDS_A_MINUTE + lines / LINES_A_MINUTE
    return max(1, round(minutes))


def one_line(text: str) -> str:
    """Return rst text on one line, with what it links as code: a card is one link."""
    return ROLE.sub(r"``\1``", " ".join(text.split()))


def source_files() -> list[Path]:
    """Return what the cards are made of; an edit makes their pages stale."""
    pages = [page.path for page in every_page()]
    heads = sorted(reading_order.EXAMPLES.glob("*/GALLERY_HEADER.rst"))
    return [reading_order.EXAMPLES / "curriculum.toml", *heads, *pages]
