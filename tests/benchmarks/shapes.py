"""Measure `trace_shapes` against torchinfo, as somebody meets them: cold.

Each measurement is the first call in a process of its own, on a model that stands
already. Both take turns, so that a machine that slows down slows both. The figure is
the median of the ratios of neighbors. Memory is the highest mark that the process
reaches in the call, over what it held before; Linux alone tells.

    python tests/benchmarks/shapes.py --out shapes.json

The end of the process is 1 if a bound is missed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from in_processes import finish, in_a_process, options, surroundings

ROOT = Path(__file__).parents[2]
# The most that `trace_shapes` may take of torchinfo's time.
RATIOS = {
    "resnet18": 0.5,
    "resnet152": 0.5,
    "vit_b_16": 0.3,
    "vit_h_14": 0.1,
    "regnet_y_128gf": 0.1,
}
MEGABYTES = 10.0
# A network of 100 billion parameters, of which none has a number: built and traced.
GIANT, GIANT_SECONDS = "transformer with 100 billion parameters", 10.0
# What torch itself loads at the first use of the meta device: once in a process, unless
# torchvision or an optimizer has had it loaded before. So this is measured apart.
ALONE = "three layers, torch alone"
SIZE = (1, 3, 224, 224)


# ------------------------------------------------------------ one process, one measure


def measure(tool: str, name: str) -> dict[str, float]:
    """Time the first call of a tool in this process, and see how much it takes."""
    sys.path.insert(0, str(ROOT))
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if tool == "torchinfo":
        import torchinfo

        call, options = torchinfo.summary, {"verbose": 0}
    elif tool == "optimizer":
        return {"seconds": first_optimizer()}
    else:
        from snippets.shapes import trace_shapes

        call, options = trace_shapes, {}
    start = time.perf_counter()
    model, size = build(name)
    built = time.perf_counter()
    held = memory("VmRSS")
    before = time.perf_counter()
    result = call(model, size, **options)
    seconds = time.perf_counter() - before
    extra = memory("VmHWM") - held
    counted = result.total_params if tool == "torchinfo" else result.parameters
    expected = sum(parameter.numel() for parameter in model.parameters())
    assert counted == expected, f"{tool} counts {counted} parameters, not {expected}"
    return {
        "seconds": seconds,
        "megabytes": extra,
        "build_seconds": built - start,
        "parameters": expected,
    }


def first_optimizer() -> float:
    """Time the first optimizer of this process, which needs no meta device."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    before = time.perf_counter()
    torch.optim.SGD([weight], lr=0.1)
    return time.perf_counter() - before


def build(name: str) -> tuple[Any, tuple[int, ...]]:
    """Build a model in evaluation mode, and the size of its input."""
    import torch
    from torch import nn

    if name == ALONE:
        layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 10)]
        return nn.Sequential(*layers).eval(), (1, 3, 32, 32)
    if name == GIANT:
        with torch.device("meta"):
            layer = nn.TransformerEncoderLayer(8192, 64, 4 * 8192, batch_first=True)
            model = nn.TransformerEncoder(layer, 125, enable_nested_tensor=False)
        return model.eval(), (1, 2048, 8192)
    import torchvision

    # Random weights take seconds. These have all their memory, and no odd numbers.
    with ExitStack() as patches:
        for function in (f for f in dir(nn.init) if f.endswith("_") and f[0] != "_"):
            keep = mock.patch.object(nn.init, function, lambda tensor, *_, **__: tensor)
            patches.enter_context(keep)
        model = torchvision.models.get_model(name, weights=None).eval()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.01 if tensor.is_floating_point() else 1)
    return model, SIZE


def memory(mark: str) -> float:
    """Read what the kernel knows of this process, in megabytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(li for li in status.read_text().splitlines() if li.startswith(mark))
    return int(line.split()[1]) / 1024


# ---------------------------------------------------------------- many, and the verdict


def compare(name: str, repeats: int, threads: int) -> dict[str, Any]:
    """Let both take turns, and change who begins."""
    runs: dict[str, list[dict[str, float]]] = {"trace_shapes": [], "torchinfo": []}
    for number in range(repeats):
        for tool in sorted(runs, reverse=number % 2 == 0):
            runs[tool].append(in_a_process(__file__, [tool, name], threads))
    ratios = [
        ours["seconds"] / theirs["seconds"]
        for ours, theirs in zip(runs["trace_shapes"], runs["torchinfo"], strict=True)
    ]
    row: dict[str, Any] = {"model": name, "ratio": statistics.median(ratios)}
    row["ratios"] = sorted(ratios)
    row["parameters"] = runs["torchinfo"][0]["parameters"]
    for tool, figures in runs.items():
        row[tool] = {
            "seconds": statistics.median(f["seconds"] for f in figures),
            "megabytes": max(f["megabytes"] for f in figures),
        }
    return row


def missed_bounds(rows: list[dict[str, Any]], giant: dict[str, float]) -> list[str]:
    """Say which promise was not kept."""
    missed = []
    for row in rows:
        name, most = row["model"], RATIOS[row["model"]]
        if row["ratio"] > most:
            missed.append(f"{name}: ratio {row['ratio']:.2f} is over {most}")
        extra = row["trace_shapes"]["megabytes"]
        if extra > MEGABYTES:
            missed.append(f"{name}: {extra:.1f} MB more are over {MEGABYTES}")
    seconds = giant["seconds"] + giant["build_seconds"]
    if giant["parameters"] < 100e9 or seconds > GIANT_SECONDS:
        missed.append(f"{GIANT}: {seconds:.1f} s are over {GIANT_SECONDS}")
    return missed


def show(
    rows: list[dict[str, Any]], giant: dict[str, float], first: dict[str, float]
) -> None:
    """Print the figures as a table."""
    line = "{:28}{:>7}{:>7}{:>16}{:>12}{:>9}{:>11}"
    columns = ("", "ratio", "bound", "trace_shapes", "torchinfo", "MB", "torchinfo")
    print(line.format(*columns))
    for row in rows:
        ours, theirs = row["trace_shapes"], row["torchinfo"]
        print(
            line.format(
                row["model"],
                f"{row['ratio']:.2f}",
                RATIOS[row["model"]],
                f"{ours['seconds']:.3f} s",
                f"{theirs['seconds']:.3f} s",
                f"{ours['megabytes']:.1f}",
                f"{theirs['megabytes']:.1f}",
            )
        )
    print(
        f"{GIANT}: built in {giant['build_seconds']:.2f} s, traced in "
        f"{giant['seconds']:.2f} s, {giant['megabytes']:.1f} MB"
    )
    texts = (f"{tool} {seconds:.2f} s" for tool, seconds in first.items())
    print(f"First call of a process in which torch is alone: {', '.join(texts)}")


def main() -> int:
    """Measure, print, write, and answer 1 if a bound is missed."""
    arguments = options(__doc__.splitlines()[0], 7, ("TOOL", "MODEL"))
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return 0
    repeats, threads = arguments.repeats, arguments.threads
    rows = [compare(name, repeats, threads) for name in RATIOS]
    giant = in_a_process(__file__, ["trace_shapes", GIANT], threads)
    first = {
        tool: in_a_process(__file__, [tool, ALONE], threads)["seconds"]
        for tool in ("trace_shapes", "torchinfo", "optimizer")
    }
    missed = missed_bounds(rows, giant)
    show(rows, giant, first)
    packages = ("torch", "torchvision", "torchinfo")
    result = surroundings(__file__, packages, threads, repeats) | {
        "bounds": {"ratio": RATIOS, "megabytes": MEGABYTES, "seconds": GIANT_SECONDS},
        "rows": rows,
        "giant": {"model": GIANT} | giant,
        "first_call_with_torch_alone": first,
        "missed": missed,
    }
    return finish(result, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
