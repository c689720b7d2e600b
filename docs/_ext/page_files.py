"""Load with each page only the style sheets and scripts that it has a use for.

Extensions add theirs to every page, and a browser shows nothing before it has all
style sheets.
"""

from typing import Any

from sphinx.application import Sphinx

NEVER = "sg_gallery-", "sg-tags.js"  # Binder, tables of pandas, tags: no page has any
ONLY_WITH = {
    "mystnb.": 'class="cell',
    "sg_gallery.css": "sphx-glr-",
    "copybutton": 'class="highlight',
    "clipboard.min.js": 'class="highlight',
}
"""What the file names hold, and what the body of a page holds that needs them."""


def is_needed(filename: str, body: str) -> bool:
    """Tell whether a page has a use for a file."""
    if any(part in filename for part in NEVER):
        return False
    needs = [mark for part, mark in ONLY_WITH.items() if part in filename]
    return all(mark in body for mark in needs)


def drop_unused(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Leave the rest out of the page's head."""
    body = context.get("body", "")
    for kind in ("css_files", "script_files"):
        files = context.get(kind, [])
        context[kind] = [f for f in files if is_needed(str(f.filename or ""), body)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after the extensions that add files to a page."""
    app.connect("html-page-context", drop_unused, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
