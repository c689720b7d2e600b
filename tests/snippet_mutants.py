"""Break the snippets on purpose, in many small ways, and see that a test notices.

A *mutant* of a snippet is a copy with one small change. It is *killed* if its tests
fail, and *survives* if they pass. The tests of ``snippets/NAME.py`` are its doctests,
and all of ``tests/test_NAME*.py`` but those marked ``slow``, nothing else: what only a
slow test would notice counts as a survivor.

The changes are those of mutmut, and three of our own: a call or a ``raise`` that stands
alone is dropped, a condition without a comparison is turned around, and of a sentence
(a string with a space, or an f-string) each piece is replaced by ``XX`` once, where
mutmut changes its case. Nothing is changed in annotations, docstrings, ``__all__``, the
``strict`` of a ``zip`` and, as mutmut has it, calls of ``len`` and ``isinstance``. Only
mutmut's way of running tests is not used: it hides each function behind another, which
``torch.compile`` and doctests notice, and leaves out whatever has a decorator.

Survivors that no test can or should kill are listed in ``snippet_mutants.toml``, each
with a reason. They count as survivors all the same. This program fails if less than
90 % are killed on the whole, or less than 85 % in one snippet; if a survivor is not in
the list (it prints the entry to fill in); or if the list names a mutant that there is
not, because the line has changed.

Run it as ``python tests/snippet_mutants.py [--function NAME] [snippet ...]``, where
``--function`` tries the mutants of one function or method only. Every run is a fork, so
this needs Linux or macOS. Tests are collected once, and a fork gives the functions in
memory the code of its mutant; only a mutant of what an import runs is imported anew. A
test is left out of a run if it certainly does not reach the changed line: if, by
coverage, it runs other lines of the snippet, but not this one. Those that have killed
mutants of the same function are run first, and slow ones last; before that, each test
has to pass alone, and all of them in another order.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
COPIED = ("snippets", "tests", "examples", "docs/_ext", "pyproject.toml")
SOCKETS = "pymp-*"  # of workers: they come and go with the tests, and cannot be copied
REQUIRED, REQUIRED_IN_EACH = 0.9, 0.85
FIRST_RUN = 900.0  # seconds
SLOW = 1.0  # seconds for one test
FAILED, NO_TESTS = 1, 5  # the exit status of pytest where a test fails, or none is run
NOT_STARTED = 4, 70  # pytest was called wrongly, or not at all
SURVIVED = 0, NO_TESTS, *NOT_STARTED
# The libraries read this when they are imported, so none is imported at the top.
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
    # Hypothesis takes the same examples each time, as long as it likes.
    "CI": "1",
    # The file of a snippet changes more often than its time stamp does.
    "PYTHONDONTWRITEBYTECODE": "1",
}


# Making mutants
# --------------


@dataclass(frozen=True)
class Mutant:
    """One change, and the whole source with it."""

    function: str
    line: int
    was: str
    becomes: str
    source: str = field(repr=False)
    lines: frozenset[int] = field(repr=False)  # of the statement that holds it

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays the same when other lines are added or moved."""
        return self.function, self.was, self.becomes

    def __str__(self) -> str:
        """Return the place and the change."""
        was, becomes = (t.replace("\n", "\n      ") for t in (self.was, self.becomes))
        return f"line {self.line}, {self.function}\n    - {was}\n    + {becomes}"


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a snippet, in reading order."""
    import libcst
    from libcst.metadata import MetadataWrapper, PositionProvider

    module = libcst.parse_module(source)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    codes = [module.code_for_node(statement) for statement in module.body]
    start = source.index("".join(codes))
    found: dict[str, Mutant] = {}
    for statement, old in zip(module.body, codes, strict=True):
        end = start + len(old)
        for place, node, new in changes(statement, positions):
            code = module.code_for_node(statement.deep_replace(node, new))
            text = source[:start] + code + source[end:]
            if text != source and text not in found and is_valid(code):
                found[text] = described(source, text, *place)
        start = end
    return list(found.values())


def is_valid(source: str) -> bool:
    """Tell whether a source can be compiled, even if with a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def described(old: str, new: str, function: str, lines: frozenset[int]) -> Mutant:
    """Return a mutant, with the lines that are not alike."""
    before, after = old.splitlines(), new.splitlines()
    top = 0
    while before[top] == after[top]:
        top += 1
    end = -1
    while len(before) + end > top < len(after) + end and before[end] == after[end]:
        end -= 1
    was, becomes = (
        "\n".join(line.strip() for line in text[top : len(text) + end + 1])
        for text in (before, after)
    )
    return Mutant(function, top + 1, was, becomes, new, lines)


def changes(
    statement: Any, positions: Mapping[Any, Any]
) -> Iterator[tuple[tuple[str, frozenset[int]], Any, Any]]:
    """Yield where a node stands (function, lines), the node, and what replaces it."""
    import libcst

    def lines_of(node: Any) -> set[int]:
        where = positions.get(node)
        return set(range(where.start.line, where.end.line + 1)) if where else set()

    def visit(node: Any, names: tuple[str, ...], lines: set[int]) -> Iterator[Any]:
        if is_left_alone(node):
            return
        if isinstance(node, libcst.SimpleStatementLine):
            lines = lines_of(node)
        elif isinstance(node, libcst.BaseCompoundStatement):
            lines = {positions[node].start.line}
        if isinstance(node, libcst.FunctionDef | libcst.ClassDef):
            names = (*names, node.name.value)
        place = ".".join(names) or "the module", frozenset(lines | lines_of(node))
        for new in variants(node):
            yield place, node, new
        for child in node.children:
            yield from visit(child, names, lines)

    yield from visit(statement, (), set())


def is_left_alone(node: Any) -> bool:
    """Tell whether a node and all that it holds stay as they are."""
    import libcst
    from libcst import matchers as m

    call = m.Call(func=m.Name("len") | m.Name("isinstance"))
    exported = m.Assign(targets=[m.AssignTarget(m.Name("__all__"))])
    if isinstance(node, libcst.Annotation | libcst.Import | libcst.ImportFrom):
        return True
    return m.matches(node, call | exported) or is_safeguard(node)


def is_safeguard(node: Any) -> bool:
    """Tell whether a node is the ``strict=...`` of a ``zip``, which ruff demands."""
    from libcst import matchers as m

    return bool(m.matches(node, m.Arg(keyword=m.Name("strict"))))


def variants(node: Any) -> Iterator[Any]:
    """Yield what may stand in the place of a node, each with one change."""
    import libcst
    from mutmut.mutation.mutators import mutation_operators

    if is_sentence(node):
        yield libcst.SimpleString('"XX"')
        return
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            kept = [child for child in node.children if is_safeguard(child)]
            for new in operator(node):
                if kept == [child for child in new.children if is_safeguard(child)]:
                    yield new
    if isinstance(node, libcst.SimpleStatementLine) and stands_alone(node.body[0]):
        yield node.with_changes(body=[libcst.Pass()])
    test = getattr(node, "test", None)
    if isinstance(node, libcst.If | libcst.While | libcst.CompIf) and not isinstance(
        test, libcst.Comparison | libcst.BooleanOperation | libcst.UnaryOperation
    ):
        yield node.with_changes(test=libcst.UnaryOperation(libcst.Not(), test))


def is_sentence(node: Any) -> bool:
    """Tell whether a string is meant to be read by people."""
    import libcst

    if isinstance(node, libcst.SimpleString):
        is_text = node.quote in ("'", '"') and " " in node.value
        return is_text and isinstance(node.evaluated_value, str)
    return isinstance(node, libcst.FormattedString)


def stands_alone(statement: Any) -> bool:
    """Tell whether a statement can be dropped, and would be missed."""
    from libcst import matchers as m

    return bool(m.matches(statement, m.Expr(m.Call()) | m.Raise() | m.Del()))


# Running tests in a fork
# -----------------------


class Recorder:
    """A plugin of pytest that notes how long each test takes and what it runs."""

    def __init__(self, snippet: str, coverage: Any) -> None:
        self.snippet, self.coverage = snippet, coverage
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def note(self) -> dict[str, Any]:
        """Return all that was noted: tests, and modules that they import."""
        self.coverage.stop()
        reached: dict[str, list[int]] = {test: [] for test in ("", *self.seconds)}
        lines = self.coverage.get_data().contexts_by_lineno(
            os.path.abspath(self.snippet)
        )
        for line, tests in lines.items():
            for test in tests:
                reached[test].append(line)
        modules = [name for name in sys.modules if not is_ours(name)]
        return {"seconds": self.seconds, "reached": reached, "modules": modules}


def is_ours(name: str) -> bool:
    """Tell whether a module is the project's own, which each run imports itself."""
    file = getattr(sys.modules[name], "__file__", None) or ""
    ours = {"snippets", "tests", "__main__"}
    return name.split(".")[0] in ours or Path(file).is_relative_to(Path.cwd())


class Selection:
    """A plugin of pytest that leaves out some tests and runs the costly ones last."""

    def __init__(self, snippet: Snippet, unreached: set[str]) -> None:
        self.snippet, self.unreached = snippet, unreached

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        chosen = [item for item in items if item.nodeid not in self.unreached]
        items[:] = sorted(chosen, key=lambda item: self.snippet.cost(item.nodeid))


class Judge:
    """A plugin of pytest that does not run the tests that it finds, but tries mutants.

    Only mutants of what no import runs: a fork puts their code into memory.
    """

    def __init__(self, snippet: Snippet, part: slice, mutants: list[Mutant]) -> None:
        self.snippet, self.part, self.mutants = snippet, part, mutants
        self.kills: Counter[tuple[str, str]] = Counter()  # of a test, in a function

    def pytest_runtestloop(self, session: Any) -> bool:
        """Try each mutant, after the tests have passed without any."""
        import pytest

        functions = functions_of(self.snippet)
        gc.freeze()  # a collection in a fork would copy the memory of all objects
        items = sorted(session.items, key=lambda i: self.snippet.cost(i.nodeid))
        for chosen in [*([item] for item in items[self.part]), items]:
            start(Path.cwd(), FIRST_RUN, run_items, self.snippet, session, chosen)
            if wait()[1]:
                pytest.exit("a test needs another one, or fails as it is", 1)
        for mutant in self.mutants:
            chosen = self.selected(items, mutant)
            work = run_with, functions, self.snippet, mutant, session, chosen
            status = attempt(self.snippet, mutant, *work)
            if status == FAILED:
                killer = Path("failed").read_text("utf-8")
                self.kills[mutant.function, killer] += 1
        return True

    def selected(self, items: list[Any], mutant: Mutant) -> list[Any]:
        """Return the tests that a mutant may concern, the best ones first."""
        unreached = self.snippet.unreached(mutant.lines)
        chosen = [item for item in items if item.nodeid not in unreached]
        return sorted(chosen, key=lambda i: -self.kills[mutant.function, i.nodeid])


def run_items(snippet: Snippet, session: Any, items: list[Any]) -> int:
    """Run tests that pytest has found, up to the first that fails, and name that."""
    hook = session.config.hook
    for item, following in zip(items, [*items[1:], None], strict=True):
        # A loop without an end is cut short: the limit is that of this test alone.
        limit = 10 + 10 * snippet.seconds.get(item.nodeid, 0)
        signal.setitimer(signal.ITIMER_REAL, limit)
        interrupted = True  # unless it comes back: pytest hands on a KeyboardInterrupt
        with suppress(KeyboardInterrupt):
            hook.pytest_runtest_protocol(item=item, nextitem=following)
            interrupted = False
        if session.testsfailed or interrupted:
            Path("failed").write_text(item.nodeid, "utf-8")
            terminal = session.config.pluginmanager.get_plugin("terminalreporter")
            with suppress(Exception):  # a mutant may make values that cannot be shown
                terminal.summary_errors(), terminal.summary_failures()
            return FAILED
    return 0


def functions_of(snippet: Snippet) -> dict[tuple[str, int], list[FunctionType]]:
    """Return the functions of a snippet in memory, by name and line."""
    found: dict[tuple[str, int], list[FunctionType]] = {}
    file = str(Path(snippet.file).resolve())
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__code__.co_filename == file:
            code = thing.__code__
            found.setdefault((code.co_qualname, code.co_firstlineno), []).append(thing)
    return found


def run_with(
    functions: Mapping[tuple[str, int], list[FunctionType]],
    snippet: Snippet,
    mutant: Mutant,
    session: Any,
    items: list[Any],
) -> int:
    """Run tests after the functions in memory have got the code of a mutant."""
    file = str(Path(snippet.file).resolve())
    old, new = (
        codes(compile(text, file, "exec")) for text in (snippet.source, mutant.source)
    )
    for was, becomes in zip(old, new, strict=True):
        if was != becomes:
            for function in functions.get((was.co_qualname, was.co_firstlineno), ()):
                function.__code__ = becomes
    return run_items(snippet, session, items)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of each function of a module and its classes, in reading order."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & inspect.CO_OPTIMIZED:
                yield inner
            else:
                yield from codes(inner)  # the body of a class


def run_pytest(name: str, plugin: object) -> int:
    """Run the tests of a snippet, up to the first that fails."""
    import pytest

    # The parent process has imported plugins before pytest could rewrite them.
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *quiet]
    own = sorted(Path("tests").glob(f"test_{name}*.py"))
    files = [*map(str, own), f"snippets/{name}.py"]
    return int(pytest.main([*options, "-m", "not gpu and not slow", *files], [plugin]))


def record(name: str) -> int:
    """Run the tests of a snippet as it is, and note what they do in a file."""
    from coverage import Coverage

    snippet = f"snippets/{name}.py"
    coverage = Coverage(data_file=None, include=[snippet], config_file=False)
    recorder = Recorder(snippet, coverage)
    coverage.start()
    sys.dont_write_bytecode = False  # so that tests are rewritten by pytest only once
    status = run_pytest(name, recorder)
    Path("notes.json").write_text(json.dumps(recorder.note()), "utf-8")
    return status


def start(
    folder: Path, limit: float, work: Any, *arguments: Any, output: str = "output"
) -> int:
    """Do some work in a folder, in a new process, and return its number.

    The limit is in seconds, or 0 for none.
    """
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    status = 70
    try:
        os.setpgid(0, 0)  # so that what the tests start can be ended with them
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit)  # its signal ends the process
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        status = work(*arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait() -> tuple[int, int]:
    """Wait for a process, end all that it has left behind, and return its status."""
    process, status = os.wait()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    return process, status


# From runs to a verdict
# ----------------------


@dataclass
class Snippet:
    """A snippet, its tests, and what became of its mutants."""

    name: str
    source: str
    seconds: dict[str, float]  # that each test takes
    reached: dict[str, set[int]]  # the lines that each test runs
    made: list[Mutant]
    killed: int = 0
    timed_out: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    took: float = 0.0

    @property
    def tried(self) -> int:
        """How many mutants were run."""
        return self.killed + len(self.survivors)

    @property
    def file(self) -> str:
        """Its file, in each of the folders."""
        return f"snippets/{self.name}.py"

    def cost(self, test: str) -> tuple[bool, int, float]:
        """Return what sorts tests so that many mutants fall early."""
        seconds = self.seconds.get(test, 0)
        return seconds > SLOW, len(self.reached.get(test, ())), seconds

    def limit(self, mutant: Mutant) -> float:
        """Return how many seconds the tests of a mutant may take."""
        unreached = self.unreached(mutant.lines)
        left = sum(s for test, s in self.seconds.items() if test not in unreached)
        return 20 + 5 * left

    def is_in_a_function(self, mutant: Mutant) -> bool:
        """Tell whether no import runs what is changed, so that memory can be."""
        if self.reached[""] & mutant.lines:
            return False
        old, new = (
            [code.co_freevars for code in codes(compile(text, self.file, "exec"))]
            for text in (self.source, mutant.source)
        )
        return old == new

    def unreached(self, lines: Iterable[int]) -> set[str]:
        """Return the tests that run lines of the snippet, but none of these."""
        lines = set(lines)
        if self.reached[""] & lines:  # reached by an import: it may concern each test
            return set()
        tests = [(test, own) for test, own in self.reached.items() if test]
        return {test for test, own in tests if own and not own & lines}

    def __str__(self) -> str:
        """Return a line of numbers."""
        slow = f", {self.timed_out} of them by a time-out" if self.timed_out else ""
        return (
            f"{self.name}: killed {self.killed} of {self.tried} "
            f"({share([self]):.1%}){slow}; {self.took:.0f} s"
        )


def share(snippets: Sequence[Snippet]) -> float:
    """Return which part of the mutants of some snippets was killed."""
    return sum(s.killed for s in snippets) / max(1, sum(s.tried for s in snippets))


def prepare(name: str, folder: Path) -> Snippet:
    """Copy what the tests of a snippet need, and run them before any change."""
    ignored = shutil.ignore_patterns("__pycache__", "browser", "docs", SOCKETS)
    for entry in COPIED:
        if (ROOT / entry).is_dir():
            shutil.copytree(ROOT / entry, folder / entry, ignore=ignored)
        else:
            shutil.copy2(ROOT / entry, folder / entry)
    run_intact(name, folder, record, name)
    notes = json.loads((folder / "notes.json").read_text("utf-8"))
    shutil.rmtree(folder / "snippets" / "__pycache__", ignore_errors=True)
    for module in notes["modules"]:
        with suppress(Exception):  # not each name in sys.modules can be imported
            importlib.import_module(module)
    source = (folder / "snippets" / f"{name}.py").read_text("utf-8")
    reached = {test: set(lines) for test, lines in notes["reached"].items()}
    if not any(lines for test, lines in reached.items() if test):
        sys.exit(f"the tests of snippets/{name}.py do not run it, but another copy")
    return Snippet(name, source, notes["seconds"], reached, mutants(source))


def run_intact(name: str, folder: Path, *work: Any) -> None:
    """End the program where the tests fail before anything is changed."""
    start(folder, FIRST_RUN, *work)
    if wait()[1]:
        print((folder / "output").read_text("utf-8", "replace"))
        sys.exit(f"the tests of snippets/{name}.py fail as they are: see above")


def judge(snippet: Snippet, chosen: Sequence[Mutant], folders: list[Path]) -> None:
    """Run the tests with each of some mutants, one at a time in each folder."""
    began = time.perf_counter()
    running = {}
    for number, folder in enumerate(folders):
        part = slice(number, None, len(folders))
        mutants = sorted(chosen[part], key=snippet.is_in_a_function)
        work = try_part, snippet, part, mutants
        running[start(folder, 0, *work, output="report")] = folder, mutants
    try:
        while running:
            process, status = wait()
            folder, mutants = running.pop(process)
            note(snippet, mutants, folder, status)
    finally:
        for process in running:
            os.killpg(process, signal.SIGKILL)
    snippet.survivors.sort(key=lambda mutant: mutant.line)
    snippet.took = time.perf_counter() - began


def try_part(snippet: Snippet, part: slice, mutants: list[Mutant]) -> int:
    """Try some mutants, those that an import runs each in a pytest of its own."""
    in_functions = [mutant for mutant in mutants if snippet.is_in_a_function(mutant)]
    for mutant in mutants[: len(mutants) - len(in_functions)]:
        selection = Selection(snippet, snippet.unreached(mutant.lines))
        attempt(snippet, mutant, run_pytest, snippet.name, selection)
    return run_pytest(snippet.name, Judge(snippet, part, in_functions))


def attempt(snippet: Snippet, mutant: Mutant, *work: Any) -> int:
    """Run tests with a mutant, and write down what became of it."""
    Path(snippet.file).write_text(mutant.source, "utf-8")
    start(Path.cwd(), snippet.limit(mutant), *work)
    status = os.waitstatus_to_exitcode(wait()[1])
    Path(snippet.file).write_text(snippet.source, "utf-8")
    with open("verdicts", "a", encoding="utf-8") as verdicts:
        print(status, file=verdicts)
    return status


def note(
    snippet: Snippet, mutants: list[Mutant], folder: Path, exit_status: int
) -> None:
    """Count the mutants tried in a folder as killed or as survivors."""
    path = folder / "verdicts"
    verdicts = [*map(int, path.read_text("utf-8").split())] if path.exists() else []
    if exit_status or len(verdicts) < len(mutants):
        for name in ("report", "output"):
            print((folder / name).read_text("utf-8", "replace"))
        sys.exit(f"the tests of {snippet.file} did not run: see above")
    for mutant, status in zip(mutants, verdicts, strict=True):
        if status in SURVIVED:
            snippet.survivors.append(mutant)
            began = "" if status not in NOT_STARTED else ", whose tests did not start"
            print(f"{snippet.name}{began}, {mutant}", flush=True)
        else:
            snippet.killed += 1
            snippet.timed_out += status == -signal.SIGALRM


# The list of survivors
# ---------------------


def listed(name: str) -> list[tuple[str, str, str]]:
    """Return the identities of the survivors of a snippet that have a reason."""
    found = []
    for entry in tomllib.loads(LIST.read_text("utf-8")).get(name, []):
        if len(entry["reason"].split()) < 3:
            sys.exit(f"{LIST.name}: {name}, {entry['was']}: the reason is too short")
        for becomes in entry["becomes"]:
            found.append((entry["function"], entry["was"], becomes))
    return found


def entry_for(name: str, mutant: Mutant) -> str:
    """Return the entry of the list for a survivor, but for the reason."""
    function, was, becomes = map(quoted, mutant.identity)
    texts = f"function = {function}\nwas = {was}\nbecomes = [{becomes}]"
    return f'[[{name}]]\n{texts}\nreason = ""\n'


def quoted(text: str) -> str:
    """Return a text as TOML has it, between apostrophes where they do."""
    return (
        f"'{text}'"
        if not {"'", "\n"} & set(text)
        else json.dumps(text, ensure_ascii=False)
    )


def complaints(snippet: Snippet, in_part: bool) -> list[str]:
    """Return what is wrong with a snippet and its list, after printing what to add."""
    found, known = [], listed(snippet.name)
    vanished = set(known) - {mutant.identity for mutant in snippet.made}
    if vanished:
        texts = "".join(f"\n  {place}: {new}" for place, _, new in sorted(vanished))
        found.append(f"{LIST.name} names mutants that there are not:{texts}")
    unlisted = [m for m in snippet.survivors if m.identity not in known]
    if unlisted:
        print(f"\nKill these, or put them into {LIST.name} with a reason:\n")
        print("\n".join(entry_for(snippet.name, mutant) for mutant in unlisted))
        found.append(f"{snippet.name} has {len(unlisted)} survivors without a reason")
    if not in_part:
        now_killed = set(known) - {m.identity for m in snippet.survivors} - vanished
        for function, _, becomes in sorted(now_killed):
            print(f"{LIST.name}: by now killed, in {function}: {becomes}")
    if not in_part and share([snippet]) < REQUIRED_IN_EACH:
        found.append(f"{snippet.name} is below {REQUIRED_IN_EACH:.0%}")
    return found


def check(name: str, function: str | None, jobs: int) -> Snippet:
    """Judge one snippet by all of its mutants, or by those of one function."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch).resolve() / str(job) for job in range(jobs)]
        folders[0].mkdir()
        snippet = prepare(name, folders[0])
        for folder in folders[1:]:
            shutil.copytree(folders[0], folder, ignore=shutil.ignore_patterns(SOCKETS))
        chosen = [
            mutant
            for mutant in snippet.made
            if function in (None, mutant.function, *mutant.function.split("."))
        ]
        if not chosen:
            sys.exit(f"{name} has nothing to change in {function or 'it'}")
        judge(snippet, chosen, folders)
    print(snippet, flush=True)
    return snippet


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge snippets, print what was found, and return 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("snippets", nargs="*", help="names; all, if none is named")
    parser.add_argument("--function", help="try the mutants of one function only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at once")
    options = parser.parse_args(arguments)
    if not hasattr(os, "fork"):
        parser.error("this platform cannot fork; use Linux or macOS")
    os.environ.update(SURROUNDINGS)
    sys.dont_write_bytecode = True
    every = sorted(path.stem for path in ROOT.glob("snippets/[!_]*.py"))
    unknown = sorted(set(options.snippets) - set(every))
    if unknown:
        parser.error(f"no snippet is called {' or '.join(unknown)}; there are {every}")
    names = options.snippets or every
    snippets = [check(name, options.function, options.jobs) for name in names]
    in_part = options.function is not None
    wrong = [text for snippet in snippets for text in complaints(snippet, in_part)]
    killed, tried = (sum(getattr(s, n) for s in snippets) for n in ("killed", "tried"))
    print(f"killed {killed} of {tried} mutants in all ({share(snippets):.1%})")
    if not in_part and share(snippets) < REQUIRED:
        wrong.append(f"less than {REQUIRED:.0%} are killed in all")
    for text in wrong:
        print(text)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
