"""Write what the site's search knows of each page to ``_static/search/pages.js``.

It is a script, not a file of data, because pages that are opened from a folder may load
scripts only. Sphinx's own search scores a page by its best single word and asks for
every word, so that questions and pasted messages find nothing; ``ranking.js`` uses
MiniSearch, whose index is small enough to be made when the search page opens. (Pagefind
and other searches over files need a server.)
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chapters import chapters, find_page
from docutils import nodes
from reading_order import table
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

# Folded code, and what Sphinx-Gallery puts around a page.
LEFT_OUT = {"fold", "no-search", "sphx-glr-download-link-note", "sphx-glr-footer"}
LEFT_OUT |= {"sphx-glr-timing", "sphx-glr-thumbnails"}
NO_TEXT = nodes.Invisible, nodes.raw, nodes.title, nodes.section, addnodes.toctree
NO_LESSON = {"404", "genindex", "py-modindex", "search"}


def queries() -> dict[str, list[str]]:
    """Return by which queries people look for each page, ``chapter/page``."""
    return table("queries")


def described(env: BuildEnvironment, name: str, builder: Any) -> dict[str, Any]:
    """Return what the search knows of a page; its sections are in reading order."""
    document = env.get_doctree(name)
    sections = [
        described_section(env, node) for node in document.findall(nodes.section)
    ]
    paragraphs = (n for n in document.findall(nodes.paragraph) if not is_left_out(n))
    return {
        "url": builder.get_target_uri(name),
        "title": env.titles[name].astext(),
        "kind": kind(name),
        "place": place(env, name),
        "question": text_of(env, next(paragraphs, nodes.paragraph())),
        "queries": queries().get(name.removeprefix("gallery/"), []),
        "names": [n["ids"][0] for n in document.findall(has_name)],
        "sections": sections,
    }


def kind(name: str) -> str:
    """Return what a page is: a lesson, or what stands below lessons in results."""
    if name.startswith("gallery/"):
        return "chapter" if name.endswith("/index") else "lesson"
    return "snippet" if name.startswith("snippets/") else "other"


def place(env: BuildEnvironment, name: str) -> str:
    """Return where a page stands, such as "Autograd · 2 of 5"."""
    if found := find_page(name):
        chapter, number = found
        return f"{chapter.title} · {number + 1} of {len(chapter.pages)}"
    return env.titles["snippets/index"].astext() if kind(name) == "snippet" else ""


def has_name(node: nodes.Node) -> bool:
    """Tell whether a node describes a function or class of the snippets."""
    return isinstance(node, addnodes.desc_signature) and bool(node["ids"])


def described_section(env: BuildEnvironment, section: nodes.section) -> dict[str, str]:
    """Return the words of a section, without those of the sections in it."""
    prose, code = [], []
    for block in leaves(section):
        is_code = isinstance(block, nodes.literal_block)
        (code if is_code else prose).append(text_of(env, block))
    # Of code, the names are searched and nothing is shown: each of them once.
    names = dict.fromkeys(re.findall(r"[^\W\d]\w+", "\n".join(code)))
    return {
        "id": section["ids"][0],
        "heading": text_of(
            env, section[section.first_child_matching_class(nodes.title)]
        ),
        "text": " ".join(prose),
        "code": " ".join(names),
    }


def leaves(node: nodes.Element) -> Iterator[nodes.Element]:
    """Yield the blocks of text and code in a section that a reader sees."""
    for child in node.children:
        if isinstance(child, NO_TEXT) or is_left_out(child):
            continue
        if isinstance(child, nodes.TextElement):
            yield child
        elif isinstance(child, nodes.Element):
            yield from leaves(child)


def is_left_out(node: nodes.Node) -> bool:
    """Tell whether a node, or what it stands in, is no part of the search."""
    while isinstance(node, nodes.Element):
        if LEFT_OUT & set(node.get("classes", ())):
            return True
        node = node.parent
    return False


def text_of(env: BuildEnvironment, node: nodes.Node) -> str:
    """Return the text that a reader sees, in one line."""
    return " ".join("".join(pieces(env, node)).split())


def pieces(env: BuildEnvironment, node: nodes.Node) -> Iterator[str]:
    """Yield the text of a node, with titles where it links to pages."""
    if isinstance(node, addnodes.pending_xref) and not node.get("refexplicit"):
        labels = env.domaindata["std"]["labels"]
        if node["reftype"] == "ref" and node["reftarget"] in labels:
            yield labels[node["reftarget"]][2]
            return
        if node["reftype"] == "doc" and node["reftarget"].lstrip("/") in env.titles:
            yield env.titles[node["reftarget"].lstrip("/")].astext()
            return
    if isinstance(node, nodes.Text):
        yield node.astext()
    for child in node.children:
        yield from pieces(env, child)


def write_pages(app: Sphinx, exception: Exception | None) -> None:
    """Write the pages for the search, unless the build has failed."""
    if exception or app.builder.name != "html":
        return
    names = sorted(set(app.env.found_docs) - NO_LESSON)
    pages = [described(app.env, name, app.builder) for name in names]
    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    file = Path(app.outdir, "_static", "search", "pages.js")
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"const searchPages = {text};\n", "utf-8")


def add_chapters(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Hand the chapters to the search page, which offers them."""
    if page == "search":
        context["search_chapters"] = [(c.docname, c.title) for c in chapters()]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the search page, and to the end, when all titles are known."""
    app.connect("html-page-context", add_chapters)
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
