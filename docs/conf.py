"""Settings of the site. What needs code lives in ``_ext/``, one idea a module."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from page_notebooks import INSTALL  # noqa: E402  # importable only from here on

# torch's profiler would tell the terminal of each start, and that there is no GPU.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")

project = "PyTorch Basics"
author = "the PyTorch Basics contributors"
copyright = "the PyTorch Basics contributors, BSD-3-Clause"
# Where the site will stand, such as https://example.org/; needed for its sitemap only.
html_baseurl = os.environ.get("SITE_URL", "")
# Where the project is kept, such as https://github.com/owner/name; without it no page
# links to its source, to Colab, or to where one reports a mistake.
repository_url = os.environ.get("REPOSITORY_URL", "")

extensions = [
    "build_facts",
    "card_pictures",
    "cards",
    "code_links",
    "failures",
    "folds",
    "inventories",
    "lesson_head",
    "shown_cell",
    "stale_pages",
    "own_kernel",
    "page_files",
    "page_foot",
    "page_head",
    "page_notebooks",
    "page_scripts",
    "page_times",
    "search_pages",
    "mathml",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_nb",
    "notfound.extension",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxext.opengraph",
    *(["sphinx_sitemap"] if html_baseurl else []),
]
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css", "frame.css"]
html_favicon = "_static/favicon.svg"
html_js_files = [("site.js", {"defer": "defer"})]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#b3391b",
        "color-brand-content": "#a8341a",
        "color-code-background": "#f6f7f9",
        "color-admonition-title": "#b3391b",
        "color-admonition-title-background": "#b3391b1a",
        "color-error": "#b3261e",
    },
    "dark_css_variables": {
        "color-brand-primary": "#ff9d7e",
        "color-brand-content": "#ff9d7e",
        "color-code-background": "#1e2126",
        "color-admonition-title": "#ff9d7e",
        "color-admonition-title-background": "#ff9d7e1a",
        "color-error": "#ff8f8f",
    },
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "nested_sections": True,
    "subsection_order": "reading_order.chapter_key",
    "within_subsection_order": "reading_order.page_key",
    "parallel": 2,
    "image_scrapers": ("figures.scrape",),
    "reset_modules": ("matplotlib", "fresh_state.reset_torch", "figures.set_theme"),
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("snippets",),
    "capture_repr": (),
    "first_notebook_cell": INSTALL,
    "remove_config_comments": True,
    "junit": "../page_times.xml",  # for page_times.py, outside of the site itself
    "show_memory": False,
    "write_computation_times": False,  # its tables load scripts from other hosts
    "show_signature": False,
    "download_all_examples": False,
    # How long a page ran is no part of a build that must come out the same twice.
    "min_reported_time": float("inf") if "SOURCE_DATE_EPOCH" in os.environ else 0,
    "only_warn_on_example_error": True,  # failures.py ends the build with the cell
}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
nb_execution_mode = "cache"
nb_render_markdown_format = "myst"

autodoc_typehints = "none"  # the docstrings name the types, with links
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = {"of", "optional", "or", "to"}
# numpydoc sends bool and the like to labels; our inventory of Python has their classes.
numpydoc_xref_aliases = {name: name for name in ("bool", "dict", "list", "tuple")}

copybutton_exclude = ".linenos, .gp, .go"

sitemap_url_scheme = "{link}"
sitemap_excludes = ["404.html", "genindex.html", "py-modindex.html", "search.html"]
ogp_site_url = html_baseurl
ogp_image = f"{html_baseurl}_static/page.png" if html_baseurl else None
ogp_social_cards = {"enable": False}
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
