"""Say above a lesson where in its chapter it stands, and how to take it away.

Where ``repository_url`` is set, links lead to the page's source, to a report of a
mistake, and to Colab. Colab opens notebooks out of a repository only: it finds them in
the branch ``gh-pages``, to which the site is published.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from chapters import find_page, minutes_of
from sphinx.application import Sphinx

PUBLISHED = "gh-pages"
COLAB = "https://colab.research.google.com/github"


def source_of(page: str) -> str:
    """Return the file in the repository that a page of the site is made of."""
    _, is_lesson, address = page.partition("gallery/")
    return f"examples/{address}.py" if is_lesson else f"docs/{page}.md"


def colab_link(repository: str, notebook: str) -> str:
    """Return the address that opens a notebook of the published site in Colab."""
    if urlsplit(repository).netloc != "github.com" or not notebook:
        return ""
    return f"{COLAB}{urlsplit(repository).path}/blob/{PUBLISHED}/{notebook}"


def repository_links(repository: str, page: str, notebook: str) -> list[dict[str, str]]:
    """Return the links that lead to the repository; none if it has no address."""
    if not repository:
        return []
    title = quote(f"Mistake on the page {page}")
    links = {
        "Open in Colab": colab_link(repository, notebook),
        "View source": f"{repository}/blob/HEAD/{source_of(page)}",
        "Report a mistake": f"{repository}/issues/new?title={title}",
    }
    return [{"text": text, "href": href} for text, href in links.items() if href]


def download(app: Sphinx, page: str, ending: str) -> str:
    """Return the address of a page's download, from the root of the site."""
    found = app.env.dlfiles.get(Path(f"{page}.{ending}"))
    return f"_downloads/{found[1]}" if found else ""


def add_head(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Hand the place, the downloads and the links to the template of a lesson."""
    found = find_page(page)
    if not found:
        return
    chapter, place = found
    context["lesson"] = {
        "chapter": chapter.title,
        "chapter_page": chapter.docname,
        "place": place + 1,
        "pages": len(chapter.page_names),
        "minutes": minutes_of(chapter.pages[place]),
        "script": download(app, page, "py"),
        "notebook": download(app, page, "ipynb"),
        "source": source_of(page),
    }
    notebook = context["lesson"]["notebook"]
    repository = app.config.repository_url.rstrip("/")
    context["lesson"]["links"] = repository_links(repository, page, notebook)
    context["lesson"]["repository"] = repository


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the setting, and connect to every page."""
    app.add_config_value("repository_url", "", "html")
    app.connect("html-page-context", add_head)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
