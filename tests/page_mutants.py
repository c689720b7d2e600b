"""
Change each page a little, and see whether its asserts notice.

A page claims something about what it shows. To find out whether its asserts hold it
to that, this program makes *mutants* of the page: copies with one small change, those
of ``page_changes.py``.

Each mutant runs twice. The first run leaves the asserts out. If it crashes, hangs, or
prints what the page prints, the mutant does not *count*: nothing wrong was shown. If
it prints anything else, it counts, and a second run has the asserts back. The mutant
is *killed* if that run fails, with whatever exception, and *survives* if the page is
content with another output than the one it teaches.

Only the lesson is changed: not the checks, from the first top-level ``assert`` of a
cell to its end, and not the code of a cell that only draws. Where a check says
something of an expression that the lesson shows, the change is made in both.

At least 90 % of the mutants that count must be killed, on the whole and, unless only a
sample is taken, on each page with five or more that count. Lines that differ from one
run of the intact page to the next (a time, an address) are not compared. The value of
an expression that ends a cell counts as printed, because the built page shows it.

Run it as ``python tests/page_mutants.py [--sample N --seed S] [page ...]``. What pages
import is imported once, and every run is a fork, so this needs Linux or macOS. Where a
page starts torchrun, ``forked_torchrun.py`` takes its place and forks too.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import linecache
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs/_ext")]  # when this file is run by its path

import lesson  # noqa: E402  # needs the path
from lesson import Cell  # noqa: E402  # needs the path

from snippets import explain  # noqa: E402  # needs the path
from tests import forked_torchrun  # noqa: E402  # needs the path
from tests.page_changes import Mutant, WithoutAsserts, mutants  # noqa: E402  # needs the path
from tests.page_runs import redirect  # noqa: E402  # needs the path

REQUIRED = 0.9  # the part of the mutants that count which must be killed
FEW = 5  # a page with fewer mutants that count is judged only within the total
NOT_STARTED = 70  # the exit status of a run that did not get to the page's code
FIRST_RUN = 120.0  # seconds: it may have to read all of torch from a cold disk
# One thread a run, no window, and the same device wherever this runs. The libraries
# read this when they are imported, so this program imports none of them at its top.
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
}


# Running a page in a fork
# ------------------------


@dataclass(frozen=True)
class Run:
    """What came of running a page."""

    failed: bool
    timed_out: bool
    lines: list[str]
    errors: str
    modules: list[str]
    seconds: float


def show_last_values(tree: ast.Module, source: str) -> None:
    """Make each expression that ends a cell print its value, as the site does."""
    marks = [n for n, line in enumerate(source.splitlines(), 1) if line[:4] == "# %%"]
    ends = [*(node.lineno for node in tree.body[1:]), sys.maxsize]
    for node, following in zip(tree.body, ends, strict=True):
        is_last = following == sys.maxsize or any(
            node.lineno < mark < following for mark in marks
        )
        is_text = isinstance(getattr(node, "value", None), ast.Constant)
        if is_last and isinstance(node, ast.Expr) and not is_text:
            shown = ast.Name("__displayhook__", ast.Load())
            node.value = ast.Call(shown, [node.value], [])


def make_main(page: Page) -> dict[str, object]:
    """Make this process look as if Python had been started with a page."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=str(page.path), __displayhook__=sys.displayhook)
    sys.modules["__main__"] = module
    sys.argv = [str(page.path)]
    sys.path.insert(0, str(page.path.parent))
    return module.__dict__


def compiled(page: Page, mutant: Mutant | None, *, asserts: bool) -> types.CodeType:
    """Compile a page with a change, with or without its asserts."""
    if mutant:
        mutant.put_in_repetitions(page.check_below(mutant.statement.lineno))
        mutant.put(mutant.new)
    if not asserts:  # first, because an assert may end a cell
        WithoutAsserts().visit(page.tree)
    show_last_values(page.tree, page.source)
    ast.fix_missing_locations(page.tree)
    if "inspect.getsource" in page.source and (mutant or not asserts):
        return compile(shown_to_inspect(page), page.path, "exec")
    return compile(page.tree, page.path, "exec")


def shown_to_inspect(page: Page) -> str:
    """Return a changed page as text, which ``inspect.getsource`` then reads too.

    Pages that start processes make the scripts for them in this way.
    """
    text = ast.unparse(page.tree)
    name = str(page.path)
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    return text


@contextmanager
def show_any_error(*parts: str) -> Iterator[None]:
    """Stand for `show_error` in a run without checks: whatever comes is printed."""
    try:
        yield
    except Exception as error:
        print(type(error).__name__, error)


def child(page: Page, mutant: Mutant | None, asserts: bool, folder: Path) -> None:
    """Run a page in this process, which ends here."""
    status = NOT_STARTED
    try:
        os.setpgid(0, 0)  # so that what the page starts can be ended with it
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, page.limit)  # its signal ends a process
        redirect(folder, folder)
        code, names = compiled(page, mutant, asserts=asserts), make_main(page)
        if not asserts:
            explain.show_error = show_any_error
        if page.launches:
            subprocess.Popen = forked_torchrun.start  # type: ignore[assignment,misc]
        status = 1
        exec(code, names)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        (folder / "modules").write_text("\n".join(sys.modules), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def fork() -> int:
    """Fork, although a library may have left an idle thread behind."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        return os.fork()


def result(folder: Path, status: int, seconds: float) -> Run:
    """Read what a run has left in its folder."""
    texts = {}
    for name in ("stdout", "stderr", "modules"):
        file = folder / name
        texts[name] = file.read_text("utf-8", "replace") if file.exists() else ""
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOT_STARTED:
        raise RuntimeError(f"a mutant could not be made:\n{texts['stderr']}")
    return Run(
        failed=status != 0,
        timed_out=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM,
        lines=texts["stdout"].splitlines(),
        errors=texts["stderr"],
        modules=texts["modules"].splitlines(),
        seconds=seconds,
    )


def run_all(
    page: Page, changes: Sequence[Mutant | None], *, asserts: bool, jobs: int
) -> list[Run]:
    """Run a page with each of some changes (None for none), a few at a time."""
    waiting = list(enumerate(changes))[::-1]
    running: dict[int, tuple[int, Path, float]] = {}
    runs: dict[int, Run] = {}
    gc.freeze()  # a collection in a fork would copy the memory of all objects
    with tempfile.TemporaryDirectory() as scratch:
        while waiting or running:
            while waiting and len(running) < jobs:
                number, mutant = waiting.pop()
                folder = Path(scratch, str(number))
                folder.mkdir()
                if not (pid := fork()):
                    child(page, mutant, asserts, folder)
                running[pid] = number, folder, time.perf_counter()
            pid, status = os.wait()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            number, folder, began = running.pop(pid)
            runs[number] = result(folder, status, time.perf_counter() - began)
    return [runs[number] for number in range(len(changes))]


# From runs to a verdict
# ----------------------


@dataclass
class Page:
    """A page, and what became of its mutants."""

    path: Path
    source: str
    tree: ast.Module
    cells: list[Cell]
    limit: float  # seconds for one run
    broken: str = ""  # why the page itself cannot be judged
    counted: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    crashed: int = 0
    timed_out: int = 0
    unchanged: int = 0

    @property
    def launches(self) -> bool:
        """Tell whether the page starts torchrun, which here is done by forks."""
        return "torch.distributed.run" in self.source

    @property
    def killed(self) -> int:
        """How many of the mutants that count made the page fail."""
        return self.counted - len(self.survivors)

    def behind_the_lesson(self) -> set[int]:
        """Return the lines that are no lesson: checks, and code that only draws."""
        lines: set[int] = set()
        for cell in self.cells:
            lines.update(cell.check_lines)
            if cell.is_picture:
                lines.update(range(cell.code_line, cell.check_lines.start))
        return lines

    def check_below(self, line: int) -> list[ast.stmt]:
        """Return the statements of the check that belongs to a line of a lesson."""
        checks = [c.check_lines for c in self.cells if c.code_line <= line]
        lines = checks[-1] if checks else range(0)
        return [node for node in self.tree.body if node.lineno in lines]

    def name(self) -> str:
        """Return the path, from the root of the project where it lies there."""
        inside = self.path.is_relative_to(ROOT)
        return str(self.path.relative_to(ROOT) if inside else self.path)

    def __str__(self) -> str:
        """Return a line of numbers, then the survivors."""
        if self.broken:
            return f"{self.name()}: {self.broken}"
        survivors = "".join(f"\n  {self.name()}:{m}" for m in self.survivors)
        return f"{self.name()}: {summary([self])}{survivors}"


def summary(pages: Sequence[Page]) -> str:
    """Return the numbers of some pages in one line."""
    killed, counted = (sum(getattr(p, n) for p in pages) for n in ("killed", "counted"))
    rest = ("crashed", "timed_out", "unchanged")
    others = ", ".join(f"{sum(getattr(p, n) for p in pages)} {n}" for n in rest)
    share = f"{100 * killed // counted}%" if counted else "none counted"
    return f"killed {killed} of {counted} ({share}); {others}".replace("_", " ")


def is_enough(pages: Sequence[Page]) -> bool:
    """Tell whether enough of the mutants of some pages were killed."""
    return sum(p.killed for p in pages) >= REQUIRED * sum(p.counted for p in pages)


def why(run: Run, path: Path) -> str:
    """Return in which line of a page a run failed, and with what message."""
    if run.timed_out:
        return ": it takes too long"
    lines = re.findall(rf'"{re.escape(str(path))}", line (\d+)', run.errors)
    last = (run.errors.strip().splitlines() or ["no message"])[-1]
    return (f" in line {lines[-1]}" if lines else "") + f": {last}"


def prepare(page: Page, jobs: int) -> list[list[str]]:
    """Run the intact page, load what it loads, and return what it prints each time."""
    limit, page.limit = page.limit, FIRST_RUN
    (first,) = run_all(page, [None], asserts=True, jobs=1)
    if first.failed:
        page.broken = "fails by itself" + why(first, page.path)
        return []
    # Optimizers import this late, in processes that a page starts.
    for name in [*first.modules, *["torch._dynamo"] * page.launches]:
        with suppress(Exception):  # not each name in sys.modules can be imported
            importlib.import_module(name)
    bare = run_all(page, [None] * 3, asserts=False, jobs=jobs)
    if any(run.failed for run in bare):
        page.broken = "does not run without its asserts"
    elif len({len(run.lines) for run in bare}) > 1:
        page.broken = "prints another number of lines on each run"
    page.limit = min(limit, 3 + 10 * max(run.seconds for run in bare))
    return [run.lines for run in bare]


def steady(lines: list[str], usual: list[list[str]]) -> list[str]:
    """Return the lines that the intact page prints alike every time."""
    if len(lines) != len(usual[0]):
        return lines
    alike = [len(set(versions)) == 1 for versions in zip(*usual, strict=True)]
    return [line for line, keep in zip(lines, alike, strict=True) if keep]


def judge(page: Page, chosen: Sequence[Mutant], jobs: int) -> None:
    """Run mutants of a page and note what became of them."""
    usual = prepare(page, jobs)
    if page.broken:
        return
    counting = []
    bare = run_all(page, chosen, asserts=False, jobs=jobs)
    for mutant, run in zip(chosen, bare, strict=True):
        if run.timed_out:
            page.timed_out += 1
        elif run.failed:
            page.crashed += 1
        elif steady(run.lines, usual) == steady(usual[0], usual):
            page.unchanged += 1
        else:
            counting.append(mutant)
    full = run_all(page, counting, asserts=True, jobs=jobs)
    for mutant, run in zip(counting, full, strict=True):
        page.timed_out += run.timed_out
        page.counted += not run.timed_out
        if not run.failed:
            page.survivors.append(mutant)


def check(path: Path, options: argparse.Namespace) -> Page:
    """Judge one page by all of its mutants or by a sample of them."""
    source = path.read_text("utf-8")
    cells = lesson.Page(path).cells
    page = Page(path.resolve(), source, ast.parse(source), cells, options.limit)
    behind = page.behind_the_lesson()
    chosen = [m for m in mutants(page.tree) if m.statement.lineno not in behind]
    if options.sample is not None and options.sample < len(chosen):
        # Seeded by the page too, so that no page changes the sample of another.
        draw = random.Random(f"{options.seed} {page.name()}")
        chosen = draw.sample(chosen, options.sample)
    judge(page, chosen, options.jobs)
    print(page, flush=True)
    return page


def scripts(name: str) -> list[Path]:
    """Return the scripts that a path, a page, a chapter or a pattern names."""
    if Path(name).is_file():
        return [Path(name)]
    pages = ROOT / "examples"
    return sorted([*pages.glob(f"{name}.py"), *pages.glob(f"{name}/*.py")])


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge pages, print what was found, and return 1 where that is too little."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("pages", nargs="*", help="chapter/page; all, if none is named")
    parser.add_argument("--sample", type=int, help="mutants to try on each page")
    parser.add_argument("--seed", type=int, default=0, help="which sample (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at once")
    parser.add_argument("--limit", type=float, default=20, help="seconds a run (20)")
    options = parser.parse_args(arguments)
    if not hasattr(os, "fork"):
        parser.error("this platform cannot fork; use Linux or macOS")
    os.environ.update(SURROUNDINGS)
    paths = [path for name in options.pages or ["*/*"] for path in scripts(name)]
    if not paths:
        parser.error(f"no page is called {' or '.join(options.pages)}")
    pages = [check(path, options) for path in paths]
    print(f"total of {len(pages)} pages: {summary(pages)}")
    judged = [] if options.sample is not None else pages
    low = [p for p in judged if p.counted >= FEW and not is_enough([p])]
    failed = [page.name() for page in pages if page.broken or page in low]
    if failed:
        print(f"broken or below {REQUIRED:.0%}: {', '.join(failed)}")
    return int(bool(failed) or not is_enough(pages))


if __name__ == "__main__":
    sys.exit(main())
