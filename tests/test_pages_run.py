"""Every page runs as a reader runs it: alone, offline, with warnings as errors."""

from __future__ import annotations

import subprocess

import pytest

from tests.page_runs import CAN_FORK, run_alone, run_in_new_interpreter
from tests.pages import CURRICULUM, EXAMPLES, PAGES

FIRST = {EXAMPLES / c / f"{pages[0]}.py" for c, pages in CURRICULUM["chapters"].items()}
WAYS = [run_in_new_interpreter, *([run_alone] if CAN_FORK else [])]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_runs_alone(page, tmp_path):
    """A page needs nothing from the page before it, and leaves no file behind."""
    done = run_alone(page, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "the page left files where it ran"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, id=page.stem, marks=[] if page in FIRST else [pytest.mark.thorough]
        )
        for page in PAGES
    ],
)
def test_page_runs_in_a_new_interpreter(page, tmp_path):
    """A page imports what it needs, and the import does not warn."""
    done = run_in_new_interpreter(page, tmp_path)
    assert done.returncode == 0, done.stderr


BAD_PAGES = {
    "fails": ("raise ValueError('on purpose')", "ValueError: on purpose"),
    "ends with a status": ("import sys; sys.exit('on purpose')", "on purpose"),
    "warns": ("import warnings; warnings.warn('on purpose')", "UserWarning: on"),
    "fetches": (
        "import urllib.request as r; r.urlopen('http://pytorch.org')",
        "must not use the network",
    ),
    "starts a process that fetches": (
        "import subprocess as s, sys\n"
        "fetch = 'import urllib.request as r; r.urlopen(\"http://pytorch.org\")'\n"
        "s.run([sys.executable, '-c', fetch], check=True)",
        "must not use the network",
    ),
}


@pytest.mark.parametrize("run", WAYS)
@pytest.mark.parametrize(("code", "message"), BAD_PAGES.values(), ids=BAD_PAGES)
def test_a_bad_page_is_noticed(run, code, message, tmp_path):
    """The checks above can fail, and tell why."""
    page = tmp_path / "page.py"
    page.write_text(code, "utf-8")
    done = run(page, tmp_path)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("run", WAYS)
def test_a_page_is_the_main_program(run, tmp_path):
    """It finds its own folder, and what it defines can be pickled."""
    (tmp_path / "neighbor.py").write_text("word = 'here'")
    page = tmp_path / "page.py"
    page.write_text(
        "import os, pickle, sys\nfrom neighbor import word\n"
        "class Kept: pass\npickle.loads(pickle.dumps(Kept()))\n"
        "print(__name__, os.path.basename(sys.argv[0]), word, os.listdir())\n"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(page, empty).stdout == "__main__ page.py here []\n"


def test_an_endless_page_is_ended(tmp_path):
    """It fails after its time, and what it printed is kept."""
    page = tmp_path / "page.py"
    page.write_text("print('begun', flush=True)\nwhile True: pass\n")
    if CAN_FORK:
        done = run_alone(page, tmp_path, seconds=5)
        assert done.returncode < 0
        assert done.stdout == "begun\n"
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            run_alone(page, tmp_path, seconds=5)


@pytest.mark.gpu
def test_page_on_devices_uses_the_accelerator(tmp_path, accelerator):
    """The one line that picks the device picks the accelerator where there is one."""
    page = next(path for path in PAGES if path.stem == "devices")
    done = run_in_new_interpreter(page, tmp_path)
    assert done.stdout.startswith(accelerator.type)
