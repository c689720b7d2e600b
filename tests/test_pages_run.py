"""Every page runs as a reader runs it: alone, in a new interpreter, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import PAGES, ROOT

CLOSED_NETWORK = Path(__file__).parent / "closed_network"
SECONDS = 300  # some pages start processes, which all import torch


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run Python with warnings as errors and no network, in an empty folder."""
    path = os.pathsep.join(map(str, (CLOSED_NETWORK, ROOT)))
    environment = os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_runs_alone(page, tmp_path):
    """A page needs nothing from the page before it, and leaves no file behind."""
    done = run([str(page)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "the page left files where it ran"


def test_closed_network_refuses(tmp_path):
    """The check above would notice a page that fetches something."""
    fetch = "import urllib.request as r; r.urlopen('http://pytorch.org')"
    done = run(["-c", fetch], tmp_path)
    assert done.returncode != 0
    assert "must not use the network" in done.stderr


@pytest.mark.gpu
def test_page_on_devices_uses_the_accelerator(tmp_path, accelerator):
    """The one line that picks the device picks the accelerator where there is one."""
    page = next(path for path in PAGES if path.stem == "devices")
    done = run([str(page)], tmp_path)
    assert done.stdout.startswith(accelerator.type)
