"""Each file of `snippets` works pasted alone into somebody's project."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys

import pytest

from tests.pages import ROOT

MODULES = sorted(
    path for path in (ROOT / "snippets").glob("*.py") if path.stem != "__init__"
)
MAY_IMPORT = {"torch", "matplotlib"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_imports_from_an_empty_folder(module, tmp_path):
    """A copy of the one file is all that is needed."""
    shutil.copy(module, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module.stem} as m; m.__all__"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_imports_no_other_package(module):
    """Only torch and the standard library; matplotlib for the drawings alone."""
    imported = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "snippets").split(".")[0])
    allowed = MAY_IMPORT if module.stem == "drawing" else {"torch"}
    assert imported <= allowed | sys.stdlib_module_names


def test_drawing_without_matplotlib_says_what_to_install():
    """A missing matplotlib is one clear sentence."""
    program = (
        "import sys; sys.modules['matplotlib'] = None; "
        f"sys.path.insert(0, {str(ROOT)!r}); import snippets.drawing"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "pip install matplotlib" in done.stderr.splitlines()[-1]
