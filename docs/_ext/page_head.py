"""Leave out of a page's head what is only true once the site's address is known."""

import re
from typing import Any

from sphinx.application import Sphinx


def drop_unknown_address(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Remove ``og:url``, which must be absolute, from a build without ``SITE_URL``."""
    if not app.config.html_baseurl and "metatags" in context:
        context["metatags"] = re.sub(
            r'<meta property="og:url"[^>]*>\n?', "", context["metatags"]
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after the extension that writes the Open Graph data."""
    app.connect("html-page-context", drop_unknown_address, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
