"""The picture on a card: a page's own, small, in the colors of either scheme.

A figure takes its colors from the text around it (see `figures`), which an ``<img>``
does not hand on. So each is written twice, for Furo's classes ``only-light`` and
``only-dark``; the browser loads the one that it shows. Which picture of its page
stands on a card, where it is not the first, is said in ``examples/curriculum.toml``.
"""

import re
from pathlib import Path
from typing import Any

import reading_order
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
COLORS = {"light": "#000000", "dark": "#cfd0d0"}  # Furo's text
PIXELS_A_POINT = 4 / 3
DECIMALS = re.compile(r"(\d\.\d{2})\d+")


class card_picture(nodes.General, nodes.Element):  # noqa: N801  # as docutils names nodes
    """Stands for the picture of ``page``, an address such as ``tensors/dtypes``."""


def drawn(app: Sphinx, address: str) -> Path:
    """Return the file of the picture that stands for a page."""
    folder, name = address.split("/")
    number = reading_order.table("pictures").get(address, {}).get("number", 1)
    images = Path(app.srcdir, "gallery", folder, "images")
    return images / f"sphx_glr_{name}_{number:03}.svg"


def cropped(svg: str, edges: tuple[float, float, float, float]) -> str:
    """Return the part of a figure between its left, upper, right and lower edge."""
    width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    left, upper, right, lower = edges
    box = left * width, upper * height, (right - left) * width, (lower - upper) * height
    shape = (
        'width="{2:.2f}pt" height="{3:.2f}pt" viewBox="{0:.2f} {1:.2f} {2:.2f} {3:.2f}"'
    )
    old = r'width="\S+pt" height="\S+pt" viewBox="[^"]+"'
    return re.sub(old, shape.format(*box), svg, count=1)


def picture(app: Sphinx, address: str) -> str:
    """Return the figure that stands for a page, or its part."""
    wanted = reading_order.table("pictures").get(address, {})
    svg = drawn(app, address).read_text("utf-8")
    return cropped(svg, wanted["crop"]) if "crop" in wanted else svg


def colored(svg: str, scheme: str) -> str:
    """Return a figure to stand alone, in a scheme's color, in fewer bytes."""
    svg = re.sub(r' class="picture" role="img" aria-label="[^"]*"', "", svg, count=1)
    svg = DECIMALS.sub(r"\1", svg.replace("currentColor", COLORS[scheme]))
    return re.sub(r"\n\s*", "\n", svg)


def size(svg: str) -> tuple[int, int]:
    """Return the width and height of a figure in pixels."""
    _, _, width, height = re.search(r'viewBox="([^"]+)"', svg)[1].split()
    return round(float(width) * PIXELS_A_POINT), round(float(height) * PIXELS_A_POINT)


def file_name(address: str, scheme: str) -> str:
    """Return the name of a card's picture among the site's images."""
    return f"card-{address.replace('/', '-')}-{scheme}.svg"


def write_pictures(app: Sphinx) -> None:
    """Write both pictures of each page; warn of a page that has none."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir, "_images")
    folder.mkdir(parents=True, exist_ok=True)
    for chapter, pages in reading_order.chapters().items():
        for address in (f"{chapter}/{page}" for page in pages):
            write_picture(app, folder, address)


def write_picture(app: Sphinx, folder: Path, address: str) -> None:
    """Write one page's picture for both schemes."""
    if not (source := drawn(app, address)).exists():
        logger.warning(
            "the card of %s has no picture %s: choose one in [pictures] of "
            "examples/curriculum.toml",
            address,
            source.name,
        )
        return
    svg = picture(app, address)
    for scheme in COLORS:
        (folder / file_name(address, scheme)).write_text(colored(svg, scheme), "utf-8")


def visit_card_picture(writer: Any, node: card_picture) -> None:
    """Write an image for each scheme, with its size, to be loaded when it is seen."""
    app = writer.builder.app
    if drawn(app, node["page"]).exists():
        width, height = size(picture(app, node["page"]))
        for scheme in COLORS:
            address = f"{writer.builder.imgpath}/{file_name(node['page'], scheme)}"
            writer.body.append(
                f'<img class="card-picture only-{scheme}" src="{address}" alt="" '
                f'width="{width}" height="{height}" loading="lazy">'
            )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx-Gallery, which draws the pictures at priority 500."""
    app.add_node(card_picture, html=(visit_card_picture, None))
    app.connect("builder-inited", write_pictures, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
