"""Say on the home page why one may trust the site, in numbers that the build counts."""

from typing import Any

from chapters import every_page, facts_of
from docutils import nodes
from page_foot import build_date, device_words, in_words, torch_version
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def build_facts() -> list[tuple[str, str]]:
    """Return what was run and checked, by what and when: a number and its meaning."""
    pages = every_page()
    facts = sum(map(facts_of, pages))
    return [
        (f"{len(pages)} pages", "run from their first line to their last"),
        (f"{facts:,} facts", "about their results, each checked by an assert"),
        (f"PyTorch {torch_version()}", f"computed them, on {device_words()}"),
        (in_words(build_date()), "is the day of this build"),
    ]


class BuildFacts(SphinxDirective):
    """List the numbers of this build."""

    def run(self) -> list[nodes.Node]:
        """Return the list; it is made anew in each build."""
        self.env.note_reread()
        items = [
            nodes.list_item(
                "",
                nodes.paragraph(
                    "", "", nodes.strong("", number), nodes.Text(f" {meaning}")
                ),
            )
            for number, meaning in build_facts()
        ]
        return [nodes.bullet_list("", *items, classes=["build-facts"])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("build-facts", BuildFacts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
