"""Put each figure of a page into its HTML as an SVG that follows the color scheme.

Text and lines in matplotlib's default color take the color of the page's text, in light
and dark mode; fills keep their own. The alternative text of a figure is a comment of
the prose above its cell::

    # .. alt: A column of three cells, its copies to the right of it pale.
"""

import html
import re
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

FOREGROUND = "#010203"
"""Stands for the color of the page's text: nobody picks it by hand."""

REFERENCE = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')

THEME = {
    "text.color": FOREGROUND,
    "axes.edgecolor": FOREGROUND,
    "axes.labelcolor": FOREGROUND,
    "xtick.color": FOREGROUND,
    "ytick.color": FOREGROUND,
    "grid.color": "#8a8f98",
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.framealpha": 0.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "pytorch-basics",
    "font.size": 11,
}


def set_theme(gallery_conf: dict[str, Any], page: str) -> None:
    """Give the figures of the next page colors that `scrape` can replace."""
    matplotlib.rcParams.update(THEME)


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the open figures as SVG and return the reStructuredText that shows them."""
    source = Path(block_vars["src_file"]).read_text("utf-8")
    paths = block_vars["image_path_iterator"]  # endless
    shown = []
    for number, png in zip(plt.get_fignums(), paths, strict=False):
        path = Path(png).with_suffix(".svg")
        plt.figure(number).savefig(path, metadata={"Date": None, "Creator": None})
        text = alternative_text(source, block.lineno)
        path.write_text(accessible(path.read_text("utf-8"), text, path.stem), "utf-8")
        shown.append(f".. raw:: html\n   :file: images/{path.name}\n")
    plt.close("all")
    return "\n".join(shown)


def alternative_text(source: str, line: int) -> str:
    """Return the ``.. alt:`` comment of the prose that stands above a line."""
    above = source.splitlines()[: line - 1]
    starts = [i for i, text in enumerate(above) if text.startswith("# .. alt:")]
    cells = [i for i, text in enumerate(above) if text.startswith("# %%")]
    if not starts or (cells and starts[-1] < cells[-1]):
        return ""
    words = [above[starts[-1]].removeprefix("# .. alt:").strip()]
    for text in above[starts[-1] + 1 :]:
        if not text.startswith("#    "):
            break
        words.append(text[1:].strip())
    return " ".join(words)


def accessible(svg: str, text: str, name: str) -> str:
    """Return an SVG to stand inside a page: named, scalable, in the page's colors."""
    svg = svg[svg.index("<svg") :].replace(FOREGROUND, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A float's last bit changes matplotlib's ids from build to build: count instead.
    ids = {old: f"{name}-{i}" for i, old in enumerate(re.findall(r'\bid="(.+?)"', svg))}
    svg = REFERENCE.sub(lambda found: found[1] + ids[found[2]], svg)
    label = f'<svg class="picture" role="img" aria-label="{html.escape(text)}"'
    return svg.replace("<svg", label, 1)
