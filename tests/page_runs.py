"""Run a page as a reader runs it: alone, in an empty folder, and offline.

Most of the time that a short page takes goes into importing torch. Where the system can
fork, a page therefore starts in a copy of a process that has imported it, and nothing
else has happened there.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from tests.pages import ROOT

CLOSED_NETWORK = Path(__file__).parent / "closed_network"
SECONDS = 300  # some pages start processes, which all import torch
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
# What pages import, some of it late: the first optimizer brings torch._dynamo.
IMPORTED = ["torch", "torch._dynamo", "torchvision", "snippets.drawing", __name__]


def environment() -> dict[str, str]:
    """Return the variables of a page, and of the processes that it starts."""
    path = os.pathsep.join(map(str, (CLOSED_NETWORK, ROOT)))
    return os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"}


def run_alone(
    page: Path, folder: Path, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a page in an empty folder, in the quickest way that this system has."""
    if not CAN_FORK:
        return run_in_new_interpreter(page, folder, seconds)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with tempfile.TemporaryDirectory() as scratch:
        process = context.Process(target=become, args=(page, folder, Path(scratch)))
        process.start()
        process.join(seconds)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
        process.join()
        texts = [Path(scratch, n).read_text("utf-8") for n in ("stdout", "stderr")]
    return subprocess.CompletedProcess([page], process.exitcode, *texts)


def run_in_new_interpreter(
    page: Path, folder: Path, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a page in an empty folder as `python -W error page.py` does."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(page)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )


def become(page: Path, folder: Path, scratch: Path) -> None:
    """Make this process the page's; what it prints goes into a scratch folder."""
    os.setpgid(0, 0)  # so that what the page starts can be ended with it
    redirect(scratch, folder)
    os.environ.update(environment())
    runpy.run_path(str(CLOSED_NETWORK / "sitecustomize.py"))
    warnings.simplefilter("error")
    sys.argv = [str(page)]
    sys.path.insert(0, str(page.parent))
    runpy.run_path(str(page), run_name="__main__")


def redirect(scratch: Path, folder: Path) -> None:
    """Send what this process prints into a scratch folder, and go to another one."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in enumerate(("stdout", "stderr"), start=1):
        os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT), number)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    os.chdir(folder)
