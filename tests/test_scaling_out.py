"""Pages that start processes leave nothing behind, however they end.

A port belongs to a process, so none is left where no process is.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pages import EXAMPLES, ROOT

FOLDER = EXAMPLES / "scaling_out"
LAUNCHING = [
    path
    for path in sorted(FOLDER.glob("*.py"))
    if "torch.distributed.run" in path.read_text("utf-8")
]
# They share a `launch`, so that one of them stands for all, but in CI.
ONE_OR_ALL = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.thorough] if place else [])
    for place, page in enumerate(LAUNCHING)
]
SECONDS = 900  # a page starts up to five interpreters that import torch

# Launches a script as the pages do, without the time that torch takes in a page.
LAUNCHER = """
import os
import signal
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE, Popen

{launch}

scratch = tempfile.TemporaryDirectory()
script = Path(scratch.name, "script.py")
script.write_text({script!r})
launch(script, "--nproc-per-node=2")
"""
WAITING = """
import os, time
from pathlib import Path

time.sleep(0.5)  # so that torchrun is done with starting it
Path(os.environ["READY"], os.environ["RANK"]).touch()
"""
FOREVER = "time.sleep(3600)\n"
ONE_FAILS = """
if os.environ["RANK"] == "1":
    raise ValueError("on purpose")
"""

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(),
    reason="processes are found by their environment, in /proc",
)


def launch_of(page: Path) -> str:
    """Return the function of a page that starts processes."""
    source = page.read_text("utf-8")
    (function,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "launch"
    )
    text = ast.get_source_segment(source, function)
    assert text is not None
    return text


class Run:
    """A program that runs in folders of its own, and all that it has started."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.mark = f"SCALING_OUT_TEST={uuid.uuid4()}"
        self.work, self.scratch = folder / "work", folder / "scratch"
        self.ready = folder / "ready"
        for each in (self.work, self.scratch, self.ready):
            each.mkdir()
        name, value = self.mark.split("=")
        more = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", name: value}
        more |= {"TMPDIR": str(self.scratch), "READY": str(self.ready)}
        self.process = subprocess.Popen(
            [sys.executable, program],
            cwd=self.work,
            env=os.environ | more | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C for it would be one for pytest too
            # A job in a shell's background ignores Ctrl-C, and so would this one.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def alive(self) -> dict[int, str]:
        """Return what runs now: the program, and what it has started."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            # Another process may end at any time, or belong to another user.
            with suppress(OSError):
                if self.mark.encode() in (place / "environ").read_bytes().split(b"\0"):
                    command = (place / "cmdline").read_text()
                    found[int(place.name)] = command.replace("\0", " ")
        return found

    def wait_until(self, condition) -> None:
        """Wait for a condition, while the program runs."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline, self.alive()
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Do what Ctrl-C does in a terminal: it is for all processes of a group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self) -> str:
        """Wait for the end of the program, and return its messages."""
        _, errors = self.process.communicate(timeout=SECONDS)
        return errors

    def check_interrupted(self) -> None:
        """Interrupt the program, and fail unless it ends by that and leaves nothing."""
        self.interrupt()
        errors = self.finish()
        # 1 and not -2, if a library runs code of its own when Python ends.
        assert self.process.returncode in (-signal.SIGINT, 1)
        assert "KeyboardInterrupt" in errors
        self.check_nothing_is_left()

    def check_nothing_is_left(self) -> None:
        """Fail if a process or a file has outlived the program."""
        assert self.alive() == {}
        assert list(self.work.iterdir()) == []
        # torch makes an empty folder for compiled code, in every program.
        left = [p for p in self.scratch.rglob("*") if p.is_file()]
        names = {path.name for path in self.scratch.iterdir()}
        assert left == [] and {re.sub("_.*", "", name) for name in names} <= {
            "torchinductor"
        }


@pytest.fixture
def run(tmp_path):
    """Return a function that starts a program; end what a failed test leaves."""
    started = []

    def start(program: Path) -> Run:
        started.append(Run(program, tmp_path))
        return started[-1]

    yield start
    for each in started:
        for number in each.alive():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        each.process.communicate()


@pytest.fixture
def launcher(tmp_path):
    """Return a function that writes a program which launches a script."""

    def write(script: str) -> Path:
        program = tmp_path / "launcher.py"
        launch = launch_of(LAUNCHING[0])
        program.write_text(LAUNCHER.format(launch=launch, script=script), "utf-8")
        return program

    return write


def test_pages_launch_alike():
    """What is tested below for one page's ``launch`` holds for those of all pages."""
    assert len(LAUNCHING) == 3
    assert len({launch_of(page) for page in LAUNCHING}) == 1


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("page", ONE_OR_ALL)
def test_success_leaves_nothing(run, page):
    """After the last cell, neither a process nor a file is left."""
    running = run(page)
    errors = running.finish()
    assert running.process.returncode == 0, errors
    running.check_nothing_is_left()


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("page", ONE_OR_ALL)
def test_interrupt_leaves_nothing(run, page):
    """Ctrl-C ends the page and all it started, while they import torch."""
    running = run(page)
    running.wait_until(lambda: len(running.alive()) >= 4)  # with torchrun and two
    running.check_interrupted()


@pytest.mark.slow
@needs_proc
def test_interrupt_at_the_start_of_torchrun_leaves_nothing(run, launcher):
    """Ctrl-C, before torchrun has started anything."""
    running = run(launcher(WAITING + FOREVER))
    running.wait_until(lambda: len(running.alive()) >= 2)
    running.check_interrupted()


@pytest.mark.slow
@needs_proc
def test_interrupt_ends_processes_that_wait(run, launcher):
    """Ctrl-C, while both processes of torchrun wait for something."""
    running = run(launcher(WAITING + FOREVER))
    running.wait_until(lambda: len(list(running.ready.iterdir())) == 2)
    running.check_interrupted()


@pytest.mark.slow
@needs_proc
def test_failure_leaves_nothing(run, launcher):
    """One process fails while the other waits for it: both end, and the page fails."""
    running = run(launcher(WAITING + ONE_FAILS + FOREVER))
    errors = running.finish()
    assert running.process.returncode == 1
    assert "AssertionError" in errors and "on purpose" in errors
    running.check_nothing_is_left()


def test_code_that_is_not_run_is_python():
    """The code of the frameworks, shown as text, has no slip of the pen."""
    source = (FOLDER / "choose_framework.py").read_text("utf-8")
    prose = "\n".join(re.findall("^# ?(.*)$", source, re.MULTILINE))
    blocks = re.findall(r"code-block:: python\n((?:\n|   .*\n)+)", prose)
    assert len(blocks) == 4
    for block in blocks:
        assert ast.parse(textwrap.dedent(block)).body
