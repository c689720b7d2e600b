"""End a failed build with the pages that failed: file, line, cell and error."""

import re
from pathlib import Path
from typing import Any

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]


def section_above(source: str, line: int) -> str:
    """Return the title of the section that a line stands in."""
    above = source.splitlines()[:line]
    for number in range(len(above) - 1, 0, -1):
        if re.fullmatch(r"(# )?([-=])\2{2,}", above[number]):
            return above[number - 1].removeprefix("# ")
    return "its opening"


def describe(page: Path, trace: str) -> str:
    """Return file, line, cell and error of a failed page, and how to see it alone."""
    name = page.relative_to(ROOT).as_posix()
    lines = re.findall(rf'File ".*{re.escape(page.name)}", line (\d+)', trace)
    line = int(lines[0]) if lines else 1
    cell = section_above(page.read_text("utf-8"), line)
    error = trace.strip().splitlines()[-1]
    code = page.read_text("utf-8").splitlines()[line - 1].strip()
    return (
        f'{name}, line {line}, in the cell "{cell}":\n    {code}\n    {error}\n'
        f"    To see it alone: python {name}"
    )


def report_failures(app: Sphinx, exception: Exception | None) -> None:
    """Print a short report for each failed page, after everything else."""
    failed = app.config.sphinx_gallery_conf.get("failing_examples", {})
    for page, trace in sorted(failed.items()):
        logger.warning("FAILED %s", describe(Path(page).resolve(), trace))
    for sheet, data in sorted(NbMetadataCollector.get_doc_data(app.env).items()):
        run = data.get("exec_data")
        if run and not run["succeeded"]:
            logger.warning("FAILED docs/%s.md:\n%s", sheet, run["traceback"].strip())


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx-Gallery's own summary."""
    app.connect("build-finished", report_failures, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
