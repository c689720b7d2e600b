"""Chapters and pages as cards: on the home page, in a chapter, and all at once.

A card is an item of a list, so that it needs no style to be read. (sphinx-design has
cards too. Its style sheet would be one more file for each page to load, larger than
all of ours, and its cards would still have to be written by directives like these.)
"""

from typing import Any

from card_pictures import card_picture
from chapters import (
    Chapter,
    chapters,
    docname_of,
    every_page,
    exercises_of,
    minutes_of,
    opening_of,
    source_files,
)
from docutils import nodes
from docutils.statemachine import StringList
from folds import exercise_label
from lesson import Page
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.directives.other import TocTree
from sphinx.util.docutils import SphinxDirective
from stale_pages import imported_names

PRACTICE = "python -m nox -s practice"
THUMBNAILS = ".. raw:: html\n\n  <div id='sg-tag-list'"


def counted(number: int, thing: str) -> str:
    """Return a number of things in words; none for none."""
    return {0: "", 1: f"1 {thing}"}.get(number, f"{number} {thing}s")


def link(kind: str, target: str, text: str) -> nodes.Node:
    """Return a link to a page (``doc``) or a label (``ref``) of the site."""
    inner = nodes.inline("", text)
    where = {"refdomain": "std", "reftype": kind, "reftarget": target}
    return addnodes.pending_xref("", inner, refexplicit=True, **where)


class Cards(SphinxDirective):
    """What the directives below have in common."""

    def run(self) -> list[nodes.Node]:
        """Return the cards; an edited page or head of a chapter makes them stale."""
        for path in source_files():
            self.env.note_dependency(str(path))
        return self.content_nodes()

    def content_nodes(self) -> list[nodes.Node]:
        """Return what the directive shows."""
        raise NotImplementedError

    def paragraph(self, text: str, *classes: str) -> nodes.paragraph:
        """Return a paragraph of a line of text, its markup parsed."""
        parsed, _ = self.parse_inline(text)
        return nodes.paragraph("", "", *parsed, classes=list(classes))

    def toctree(self, docnames: list[str], **options: Any) -> list[nodes.Node]:
        """Return a hidden list of pages, which orders them and fills the sidebar."""
        content = StringList([f"/{name}" for name in docnames], "")
        place = self.lineno, self.content_offset, "", self.state, self.state_machine
        return TocTree(
            "toctree", [], {"hidden": True, **options}, content, *place
        ).run()

    def section(self, title: str, *content: nodes.Node) -> nodes.section:
        """Return a section with an address of its own."""
        heading = nodes.title("", title)
        name = nodes.make_id(title)
        return nodes.section("", heading, *content, ids=[name], names=[title.lower()])

    def page_card(self, page: Page) -> nodes.list_item:
        """Return a page's picture, title, question, and what it gives and takes."""
        question, ability = opening_of(page)
        about = [counted(minutes_of(page), "minute")]
        about += filter(None, [counted(len(exercises_of(page)), "exercise")])
        return nodes.list_item(
            "",
            card_picture(page=address(page)),
            title_of(page),
            self.paragraph(question, "card-question"),
            *([self.paragraph(ability)] if ability else []),
            nodes.paragraph("", " · ".join(about), classes=["card-details"]),
        )


class ChapterCards(Cards):
    """Show all chapters, and list them in the sidebar."""

    def content_nodes(self) -> list[nodes.Node]:
        """Return a card for each chapter, in reading order."""
        found = chapters()
        cards = [self.chapter_card(chapter) for chapter in found]
        sidebar = self.toctree([c.docname for c in found], caption="Learn")
        return [nodes.bullet_list("", *cards, classes=["cards"]), *sidebar]

    def chapter_card(self, chapter: Chapter) -> nodes.list_item:
        """Return a chapter's picture, title, sentence and number of pages."""
        title = link("doc", f"/{chapter.docname}", chapter.title)
        exercises = sum(len(exercises_of(page)) for page in chapter.pages)
        about = counted(len(chapter.pages), "page"), counted(exercises, "exercise")
        return nodes.list_item(
            "",
            card_picture(page=chapter.cover),
            nodes.paragraph("", "", title, classes=["card-title"]),
            self.paragraph(chapter.sentence),
            nodes.paragraph(
                "", " · ".join(filter(None, about)), classes=["card-details"]
            ),
        )


class PageCards(Cards):
    """Show the pages of the chapter that this stands in, and its exercises."""

    def content_nodes(self) -> list[nodes.Node]:
        """Return a card for each page, and the exercises below them."""
        chapter = next(c for c in chapters() if c.docname == self.env.docname)
        cards = [self.page_card(page) for page in chapter.pages]
        pages = nodes.enumerated_list("", *cards, classes=["cards", "page-cards"])
        shown = [self.section("Pages", pages)]
        if any(map(exercises_of, chapter.pages)):
            shown.append(self.section("Exercises", *exercises(chapter)))
        return shown + self.toctree([docname_of(page) for page in chapter.pages])


class AllCards(Cards):
    """Show every page below its chapter."""

    def content_nodes(self) -> list[nodes.Node]:
        """Return a section for each chapter."""
        return [self.chapter(chapter) for chapter in chapters()]

    def chapter(self, chapter: Chapter) -> nodes.section:
        """Return a chapter's sentence and small cards of its pages."""
        cards = [small_card(page) for page in chapter.pages]
        heading = link("doc", f"/{chapter.docname}", chapter.title)
        pages = nodes.enumerated_list("", *cards, classes=["cards", "small-cards"])
        section = self.section(chapter.title, self.paragraph(chapter.sentence), pages)
        section[0].children = []
        section[0] += heading
        return section


class UsingCards(Cards):
    """Show the pages that import one of some names of the snippets."""

    has_content = True

    def content_nodes(self) -> list[nodes.Node]:
        """Return a small card for each page."""
        names = list(self.content)
        users = [p for p in every_page() if imported_names(p.source) & {*names}]
        if not users:
            raise self.error(f"no page imports {', '.join(names)}")
        cards = [small_card(page) for page in users]
        return [nodes.bullet_list("", *cards, classes=["cards", "small-cards"])]


def small_card(page: Page) -> nodes.list_item:
    """Return a page's picture and title."""
    return nodes.list_item("", card_picture(page=address(page)), title_of(page))


def address(page: Page) -> str:
    """Return a page's chapter and name, as in ``tensors/dtypes``."""
    return f"{page.path.parent.name}/{page.name}"


def title_of(page: Page) -> nodes.paragraph:
    """Return the title of a card: the link that all of it follows."""
    title = link("doc", f"/{docname_of(page)}", page.title)
    return nodes.paragraph("", "", title, classes=["card-title"])


def exercises(chapter: Chapter) -> list[nodes.Node]:
    """Return where to solve a chapter's exercises, and each below its page."""
    command = nodes.literal("", PRACTICE)
    before, after = "Solve them on their pages, in the notebooks, or with ", ", which "
    after += "makes a file for each and checks it whenever you save."
    said = nodes.paragraph("", "", nodes.Text(before), command, nodes.Text(after))
    items = [exercise_item(page) for page in chapter.pages if exercises_of(page)]
    return [said, nodes.bullet_list("", *items, classes=["exercise-list"])]


def exercise_item(page: Page) -> nodes.list_item:
    """Return a page's topic and links to its exercises."""
    parts: list[nodes.Node] = [nodes.Text(page.title.partition(":")[0])]
    for title in exercises_of(page):
        parts += [nodes.Text(": " if len(parts) == 1 else " · ")]
        parts += [exercise_link(page, title)]
    return nodes.list_item("", nodes.paragraph("", "", *parts))


def exercise_link(page: Page, title: str) -> nodes.Node:
    """Return a link to an exercise on its page."""
    return link("ref", exercise_label(docname_of(page), title), title)


def keep_head(app: Sphinx, docname: str, source: list[str]) -> None:
    """Leave out of a chapter's page the thumbnails that Sphinx-Gallery adds to it."""
    if docname.startswith("gallery/") and docname.endswith("index"):
        source[0] = f":hide-toc:\n{source[0].partition(THUMBNAILS)[0]}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("chapter-cards", ChapterCards)
    app.add_directive("page-cards", PageCards)
    app.add_directive("all-cards", AllCards)
    app.add_directive("cards-using", UsingCards)
    app.connect("source-read", keep_head)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
