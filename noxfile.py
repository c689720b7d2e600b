"""The project's verbs: ``nox -l`` lists them, ``nox -s NAME`` runs one.

What stands after ``--`` is handed on: ``nox -s tests -- -k broadcasting``. With
``--no-venv`` a session uses the Python that runs nox, and what it has installed.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nox

if sys.version_info < (3, 11):  # noqa: UP036  # nox itself starts on older ones
    sys.exit(
        f"PyTorch Basics needs Python 3.11 or newer; this is {sys.version.split()[0]} "
        f"at {sys.executable}."
    )

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typecheck", "tests", "docs"]

ROOT = Path(__file__).parent
SITE = ROOT / "docs" / "_build" / "html"
GROUPS = nox.project.load_toml("pyproject.toml")
NEWEST, OLDEST = ".ci/constraints-newest.txt", ".ci/constraints-oldest.txt"
# One thread a process, since tests and gallery use a process for each core.
CPU = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
# From one index, both: torchvision fails at import beside another build of torch.
TORCH = ["torch", "torchvision"]
CPU_BUILD = {"UV_TORCH_BACKEND": "cpu"}
# Pages take seconds each: whoever is done takes tests from the others.
PARALLEL = ["-n", "auto", "--dist", "worksteal"]
QUICK = "not gpu and not thorough"


def install(
    session: nox.Session, *groups: str, constraints: str = NEWEST, gpu: bool = False
) -> None:
    """Install this project with groups, if the session has an environment."""
    if session.venv_backend != "none":
        wanted = nox.project.dependency_groups(GROUPS, *groups)
        # Many processes import torch: compile it once,
        # as pip does by itself and uv does if asked.
        env = {"UV_COMPILE_BYTECODE": "1"}
        if not gpu and takes_cpu_build(session, constraints):
            # By itself: what is installed already then needs PyTorch's index no more.
            session.install("-c", constraints, *TORCH, env=env | CPU_BUILD)
        session.install("-c", constraints, "-e", ".[examples]", *wanted, env=env)


def takes_cpu_build(session: nox.Session, constraints: str) -> bool:
    """Return whether PyTorch comes without GPU libraries; if it cannot, say so."""
    chosen = "UV_TORCH_BACKEND" in os.environ
    if chosen or session.venv_backend != "uv" or sys.platform != "linux":
        return False
    # A dry run asks nobody if the environment has torch already, whichever build. If
    # not, it prints only why PyTorch's index does not answer, or has no such version:
    # in seconds, since few networks need uv's patience, and all of them wait for it.
    patience = {"UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_RETRIES": "1"}
    refusal = session.run_install(
        *["uv", "pip", "install", "--dry-run", "-q", "-c", constraints, *TORCH],
        env=CPU_BUILD | patience,
        silent=True,
        success_codes=[0, 1, 2],
        log=False,
    )
    if refusal:
        session.log(
            "PyTorch's CPU build cannot be had here (nox -v shows why): "
            "the usual build comes instead, with gigabytes of GPU libraries"
        )
    return not refusal


def python(session: nox.Session, *arguments: str, **options: Any) -> Any:
    """Run the session's Python: its environment's own, or the one that runs nox."""
    if session.venv_backend != "none":
        return session.run("python", *arguments, **options)
    return session.run(sys.executable, *arguments, external=True, **options)


def need(session: nox.Session, *modules: str) -> None:
    """End a session without an environment in one sentence if a module is missing."""
    if session.venv_backend == "none":
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            session.error(
                f"{sys.executable} lacks {', '.join(missing)}: install it, "
                "or leave out --no-venv, and nox builds an environment"
            )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site from nothing; `-- tensors/dtypes` runs a page or chapter."""
    install(session, "docs")
    need(session, "sphinx", "sphinx_gallery", "torch", "torchvision")
    chosen, first = [], "index"
    if session.posargs:
        first, pattern = chosen_pages(session)
        chosen = [f"-Dsphinx_gallery_conf.filename_pattern={pattern}"]
    else:
        for folder in ("_build", "gallery"):
            shutil.rmtree(ROOT / "docs" / folder, ignore_errors=True)
    python(
        session, "-m", "sphinx", "-q", "-W", "-n", *chosen, "docs", str(SITE), env=CPU
    )
    print(f"\nThe site is built. Open it in a browser:\n  {SITE.as_uri()}/{first}.html")


def chosen_pages(session: nox.Session) -> tuple[str, str]:
    """Return the address of the first page asked for, and a pattern for all."""
    scripts = sorted(ROOT.glob("examples/*/*.py"))
    pages = [f"{script.parent.name}/{script.stem}" for script in scripts]
    wanted = tuple(f"{name}/" for name in session.posargs)
    found = [page for page in pages if f"{page}/".startswith(wanted)]
    if not found:
        session.error(
            f"no page or chapter is called {' or '.join(session.posargs)}. "
            f"There are: {', '.join(pages)}"
        )
    return f"gallery/{found[0]}", f"({'|'.join(found)})\\.py$"


@nox.session
def serve(session: nox.Session) -> None:
    """Show the site while you write: what you save is run again and reloaded."""
    install(session, "docs", "serve")
    need(session, "sphinx_autobuild", "sphinx_gallery", "torch", "torchvision")
    watch = [f"--watch={folder}" for folder in ("examples", "snippets")]
    ignore = ["--re-ignore", r"docs/(_build|gallery)/"]
    arguments = [*watch, *ignore, *(session.posargs or ["--open-browser"])]
    arguments += ["-n", "docs", str(SITE)]
    python(session, "-m", "sphinx_autobuild", *arguments, env=CPU)


@nox.session
def tests(session: nox.Session) -> None:
    """Test everything that a CPU can show, in parallel."""
    install(session, "tests", "docs", "practice")
    need(session, "pytest", "sphinx", "torch")
    arguments = session.posargs or PARALLEL
    session.log("A few minutes on two cores. Each dot is a test that has passed:")
    python(session, "-m", "pytest", "-m", QUICK, *arguments, env=CPU)


@nox.session
def practice(session: nox.Session) -> None:
    """Work through the exercises in files of your own; `-- list` shows them all."""
    install(session, "practice")
    need(session, "rich", "torch", "watchfiles")
    # A check would wait for a window that shows a picture: none opens.
    env = CPU | {"MPLBACKEND": "agg"}
    python(session, "-m", "tests.practice", *session.posargs, env=env)


@nox.session
def tests_gpu(session: nox.Session) -> None:
    """Run the same tests and every page on an accelerator; skip where there is none."""
    install(session, "tests", "practice", gpu=True)
    need(session, "pytest", "torch")
    question = "import torch; print(torch.accelerator.is_available())"
    if "True" not in python(session, "-c", question, silent=True):
        session.skip("torch finds no accelerator on this machine: nothing was run")
    python(session, "-m", "pytest", "--ignore=tests/docs", *session.posargs)


@nox.session(python="3.11")
def tests_oldest(session: nox.Session) -> None:
    """Test pages and snippets with the oldest versions that we support."""
    install(session, "tests", "practice", constraints=OLDEST)
    arguments = ["--ignore=tests/docs", *(session.posargs or PARALLEL)]
    python(session, "-m", "pytest", "-m", QUICK, *arguments, env=CPU)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break each page on purpose, in many small ways, and see that it notices."""
    install(session, "tests", "practice")
    need(session, "torch")
    python(session, "tests/page_mutants.py", *session.posargs, env=CPU)


@nox.session
def mutants_snippets(session: nox.Session) -> None:
    """Break the snippets on purpose: `-- losses` takes one, `--function NAME` less.

    At the end stands, for each snippet, how many of its mutants its own tests kill. A
    mutant that survives is printed as a line taken away (-) and the line in its place
    (+): write a test that sees the difference, make the code simpler, or give a reason
    in tests/snippet_mutants.toml.
    """
    install(session, "tests", "mutants")
    need(session, "coverage", "mutmut", "pytest", "torch")
    python(session, "-m", "pytest", "-q", "tests/test_snippet_mutants.py", env=CPU)
    python(session, "tests/snippet_mutants.py", *session.posargs, env=CPU)


@nox.session
@nox.parametrize(
    "python,constraints",
    [nox.param(None, NEWEST, id="newest"), nox.param("3.11", OLDEST, id="oldest")],
)
def coverage(session: nox.Session, constraints: str) -> None:
    """Ask which lines and branches of the snippets their tests leave out."""
    install(session, "tests", "coverage", constraints=constraints)
    need(session, "pytest", "pytest_cov", "torch")
    names = [path.stem for path in ROOT.glob("snippets/[!_]*.py")]
    own = [path for name in names for path in ROOT.glob(f"tests/test_{name}*.py")]
    chosen = session.posargs or ["snippets", *sorted(map(str, own)), *PARALLEL]
    env = CPU | {"COVERAGE_FILE": str(Path(session.create_tmp(), "coverage"))}
    python(session, "-m", "pytest", "--cov", "-m", "not gpu", *chosen, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format; `-- --fix` mends what can be mended."""
    session.install("-c", NEWEST, *nox.project.dependency_groups(GROUPS, "lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types of the snippets, strictly."""
    install(session, "typecheck")
    python(session, "-m", "mypy", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Use the built site in Chromium, as a reader would."""
    names = "chromium", "chromium-browser", "google-chrome", "chrome"
    installed = [path for path in map(shutil.which, names) if path]
    chromium = os.environ.get("CHROMIUM") or next(iter(installed), None)
    if chromium is None:
        session.error(
            "no Chromium found. On Debian or Ubuntu: apt-get install chromium. "
            "Elsewhere install Chrome and set CHROMIUM to the path of its program"
        )
    if not (SITE / "index.html").exists():
        session.error("there is no site to look at: build it first with nox -s docs")
    install(session, "tests", "browser", "docs")
    need(session, "pytest", "playwright", "axe_playwright_python")
    env = CPU | {"CHROMIUM": chromium}
    python(session, "-m", "pytest", "tests/browser", *session.posargs, env=env)


@nox.session
def reproducible(session: nox.Session) -> None:
    """Build the site twice from the committed files and compare every byte."""
    install(session, "docs")
    need(session, "sphinx", "sphinx_gallery", "torch", "torchvision")
    env = CPU | {"SOURCE_DATE_EPOCH": "1700000000"}
    builds = []
    for name in ("first", "second"):
        folder = Path(session.create_tmp(), name)
        shutil.rmtree(folder, ignore_errors=True)
        session.run("git", "clone", "-q", str(ROOT), str(folder), external=True)
        places = [str(folder / "docs"), str(folder / "site")]
        python(session, "-m", "sphinx", "-q", "-W", "-n", *places, env=env)
        builds.append(digests(folder / "site"))
    different = sorted(name for name, _ in builds[0] ^ builds[1])
    if different:
        session.error(f"two builds differ in: {', '.join(different)}")
    print(f"{len(builds[0])} files came out the same twice")


def digests(site: Path) -> set[tuple[str, str]]:
    """Return each file of a site with its checksum, but for archives of downloads."""
    files = [path for path in site.rglob("*") if path.is_file()]
    return {
        (str(path.relative_to(site)), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
        if ".doctrees" not in path.parts and path.suffix != ".zip"
    }


@nox.session
def linkcheck(session: nox.Session) -> None:
    """Ask every address that the site links to; this one needs the network."""
    install(session, "docs")
    out = SITE.parent / "linkcheck"
    python(session, "-m", "sphinx", "-q", "-b", "linkcheck", "docs", str(out), env=CPU)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure snippets and torch.compile; `-- --repeats 2` is short, and not stored."""
    install(session, "benchmarks")
    need(session, "ignite", "keras", "lightning", "torch", "torchinfo", "torchvision")
    folder = Path(session.create_tmp()) if session.posargs else ROOT / "docs/benchmarks"
    missed = []
    for name, repeats in ("training", "15"), ("shapes", "3"), ("compile", "15"):
        script, out = f"tests/benchmarks/{name}.py", folder / f"{name}.json"
        arguments = session.posargs or ["--repeats", repeats]
        try:
            python(session, script, "--out", str(out), *arguments, env=CPU)
        except nox.command.CommandFailed:
            missed.append(script)
    if missed:
        session.error(f"not all went well; see above: {', '.join(missed)}")
