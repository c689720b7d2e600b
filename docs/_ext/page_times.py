"""End a build with the seconds that each page took, the slowest first."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sphinx.application import Sphinx

LIMIT = 15.0
"""Seconds that no page may take; a page above them is marked."""


def times(report: str) -> dict[str, float]:
    """Return the seconds of each page that was run, from Sphinx-Gallery's report."""
    cases = ElementTree.fromstring(report).iter("testcase")
    return {case.get("file", ""): float(case.get("time", 0)) for case in cases}


def table(seconds: dict[str, float]) -> str:
    """Return a line for each page, slowest first, and one with the sum."""
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    lines = [
        f"{taken:7.1f} s  {page}{'  <- too slow' if taken > LIMIT else ''}"
        for page, taken in ordered
    ]
    return "\n".join([*lines, f"{sum(seconds.values()):7.1f} s  in all"])


def print_times(app: Sphinx, exception: Exception | None) -> None:
    """Print the table of the pages that this build has run, also under ``-q``."""
    report = Path(app.outdir, app.config.sphinx_gallery_conf["junit"])
    if exception is None and report.exists():
        print(f"\nSeconds that each page took:\n{table(times(report.read_text()))}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx-Gallery, which writes the report when the build ends."""
    app.connect("build-finished", print_times, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
