"""Say at the foot of each page what the build really used."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch
from sphinx.application import Sphinx


def build_date() -> str:
    """Return the day of the build, or of ``SOURCE_DATE_EPOCH`` where that is set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.date().isoformat()


def device_name() -> str:
    """Return the device that the pages pick: the accelerator, if there is one."""
    if torch.accelerator.is_available():
        return str(torch.accelerator.current_accelerator())
    return "cpu"


def add_versions(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Hand the versions to the template of the page."""
    context["built_with"] = {
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "Python": platform.python_version(),
        "device": device_name(),
        "built": build_date(),
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to every page."""
    app.connect("html-page-context", add_versions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
