"""Say at the foot of each page what the build really used, in a reader's words."""

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


def in_words(date: str) -> str:
    """Return a date such as 2026-12-01 as 1 December 2026."""
    day = datetime.fromisoformat(date)
    return f"{day.day} {day:%B %Y}"


def torch_version() -> str:
    """Return the version of PyTorch, without the name of its build."""
    return torch.__version__.partition("+")[0]


def device_words() -> str:
    """Return the device that the pages pick: the accelerator, if there is one."""
    if not torch.accelerator.is_available():
        return "a CPU"
    device = torch.accelerator.current_accelerator()
    return "a GPU" if device.type == "cuda" else f"an accelerator ({device.type})"


def add_versions(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Hand what the build used to the template of the page."""
    context["built_with"] = {
        "date": in_words(build_date()),
        "torch": torch_version(),
        "torchvision": version("torchvision").partition("+")[0],
        "Python": platform.python_version(),
        "device": device_words(),
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to every page."""
    app.connect("html-page-context", add_versions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
