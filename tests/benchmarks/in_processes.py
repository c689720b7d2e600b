"""What benchmarks share that measure in processes of their own."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def options(description: str, repeats: int, measured: tuple[str, str]) -> Any:
    """Read the command line; ``--measure`` is for the processes alone."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="file for the result, as JSON")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=2, metavar=measured)
    return parser.parse_args()


def in_a_process(
    script: str, what: Sequence[str], threads: int, **more: str
) -> dict[str, Any]:
    """Return what a script measures in a process of its own, on the CPU."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, script, "--measure", *what]
    done = subprocess.run(command, env=env | more, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def surroundings(
    script: str, packages: Sequence[str], threads: int, repeats: int
) -> dict[str, Any]:
    """Collect what somebody needs to judge or repeat the figures."""
    return {
        "command": f"python tests/benchmarks/{Path(script).name} --repeats {repeats} "
        f"--threads {threads}",
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in packages},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": threads,
        },
    }


def finish(result: dict[str, Any], out: Path | None) -> int:
    """Write the result, say what was missed, and answer 1 if a bound was."""
    if out:
        out.write_text(json.dumps(result, indent=2) + "\n")
    missed = result["missed"]
    print("\n".join(f"MISSED {text}" for text in missed) or "All bounds are kept.")
    return 1 if missed else 0
