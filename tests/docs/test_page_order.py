"""No page leaks its settings into the next: any order prints the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pages import PAGES, ROOT

# What the build does with a chapter, without the build: pages in one process.
IN_ONE_PROCESS = """
import contextlib, io, json, runpy, sys
import matplotlib.pyplot as plt
from fresh_state import reset_torch
printed = []
for page in sys.argv[1:]:
    reset_torch()
    with contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_path(page, run_name="__main__")
    plt.close("all")
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def run(program: str, *arguments: object) -> str:
    """Run a program in a new interpreter that can import what the build imports."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "docs" / "_ext")])
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed(pages: list[Path]) -> dict[Path, str]:
    """Run pages one after the other in one process; return what each printed."""
    out = run(IN_ONE_PROCESS, *pages)
    return dict(zip(pages, json.loads(out.splitlines()[-1]), strict=True))


SOME = [page for page in PAGES if page.parent.name in ("tensors", "operations")]
SHUFFLED = random.Random(0).sample(SOME, len(SOME))


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([SOME, SOME[::-1], SHUFFLED], id="two chapters"),
        pytest.param([PAGES, PAGES[::-1]], id="all", marks=pytest.mark.thorough),
    ],
)
def test_order_of_pages_changes_nothing(orders):
    """Each page prints the same, whichever of the others have run before it."""
    with ThreadPoolExecutor() as pool:
        first, *others = pool.map(printed, orders)
    assert all(first.values()), "every page prints something to compare"
    assert others == [first] * len(others)


LEAKS = {
    "default dtype": ("torch.set_default_dtype(torch.float64)", "torch.ones(1).dtype"),
    "default device": ("torch.set_default_device('meta')", "torch.ones(1).device"),
    "gradients": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()"),
    "anomaly mode": (
        "torch.autograd.set_detect_anomaly(True)",
        "torch.is_anomaly_enabled()",
    ),
    "random numbers": ("torch.rand(3)", "torch.rand(1)"),
    "Python's random numbers": ("random.random()", "random.random()"),
    "NumPy's random numbers": ("numpy.random.rand()", "numpy.random.rand()"),
    "determinism": (
        "torch.use_deterministic_algorithms(True)",
        "torch.are_deterministic_algorithms_enabled()",
    ),
    "print options": (
        "torch.set_printoptions(precision=8, sci_mode=True)",
        "torch.tensor([0.123456789])",
    ),
    "matmul precision": (
        "torch.set_float32_matmul_precision('medium')",
        "torch.get_float32_matmul_precision()",
    ),
    "threads": ("torch.set_num_threads(3)", "torch.get_num_threads()"),
}


TRY_EACH_LEAK = """
import json, random, sys, warnings
import numpy, torch
from fresh_state import reset_torch
warnings.simplefilter("ignore")  # anomaly mode warns that it is slow
noticed, kept = [], []
for name, (change, shown) in json.loads(sys.argv[1]).items():
    reset_torch()
    before = repr(eval(shown))
    exec(change)
    if repr(eval(shown)) != before:
        noticed.append(name)
    reset_torch()
    if repr(eval(shown)) != before:
        kept.append(name)
print(json.dumps([noticed, kept]))
"""


def test_reset_undoes_what_a_page_may_set():
    """What one page sets, the next does not see."""
    noticed, kept = json.loads(run(TRY_EACH_LEAK, json.dumps(LEAKS)))
    assert noticed == list(LEAKS), "each change must be one that can be seen"
    assert kept == []
