"""Measure what `torch.compile` gains, what it costs, and after how many steps it pays.

Each task is measured in a process of its own that finds no cache on the disk, so that
the seconds to compile are those of the very first time. Then the plain and the compiled
model take turns, so that a machine that slows down slows both. The figure is the median
of the ratios of neighbors. A second process, which finds the cache of the first, tells
what the next start of the same program costs.

    python tests/benchmarks/compile.py --out compile.json

It needs a C++ compiler. The end of the process is 1 if a bound is missed.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from in_processes import finish, in_a_process, options, surroundings

CHAIN = "chain of small operations"
TASKS = {
    CHAIN: "1 million numbers, forward only",
    "MLP": "training, batch of 64",
    "CNN": "training, batch of 64",
    "Transformer": "training, 16 texts of 32 words",
    "ResNet-18": "forward only, one image",
}
# The most that the compiled chain may take of the plain time. How much it gains depends
# on processor and compiler; that it gains does not.
CHAIN_RATIO = 1.0
# How far results and trained weights may be from those of the plain model.
OFF = 1e-3
COMPARED_STEPS = 10
SEED = 0
TURN_SECONDS = 0.1


# ------------------------------------------------------------ one process, one measure


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Compile in this process, compare the results, and let both take turns."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(SEED)
    model, inputs, targets = build(name)
    twin = copy.deepcopy(model)
    plain = make_step(model, model, inputs, targets)
    compiled = make_step(torch.compile(twin), twin, inputs, targets)

    expected = plain()
    start = time.perf_counter()
    result = compiled()
    first = time.perf_counter() - start
    offs = [difference(result, expected)]
    figures: dict[str, Any] = {"first_call": first}
    if rounds:
        # After few steps: small differences grow, and a fast machine does many steps.
        offs += [difference(compiled(), plain()) for _ in range(COMPARED_STEPS - 1)]
        weights = zip(twin.parameters(), model.parameters(), strict=True)
        offs += [difference(ours, theirs) for ours, theirs in weights]
        figures |= take_turns(plain, compiled, rounds)
    return figures | {"off": max(offs)}


def build(name: str) -> tuple[Any, Any, Any]:
    """Return a model, its inputs, and the targets if it is to be trained."""
    import torch
    import torchvision
    from torch import nn

    class Chain(nn.Module):
        def forward(self, x: Any) -> Any:
            for _ in range(6):
                x = x * torch.sigmoid(x) + 0.1 * torch.tanh(x)
            return x

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:  # (batch, words, 64) -> (batch, 10)
            return self.head(self.encoder(x).mean(dim=1))

    def convolution(channels: int, maps: int) -> list[nn.Module]:
        conv = nn.Conv2d(channels, maps, 3, padding=1)
        return [conv, nn.BatchNorm2d(maps), nn.ReLU(), nn.MaxPool2d(2)]

    if name == CHAIN:
        return Chain(), torch.randn(1000, 1000), None
    if name == "ResNet-18":
        return torchvision.models.resnet18().eval(), torch.randn(1, 3, 224, 224), None
    if name == "MLP":
        sizes = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
        model, inputs = nn.Sequential(*sizes, nn.Linear(128, 10)), torch.randn(64, 64)
    elif name == "CNN":
        layers = [*convolution(1, 16), *convolution(16, 32), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(128, 10))
        inputs = torch.randn(64, 1, 8, 8)
    else:
        model, inputs = Transformer(), torch.randn(16, 32, 64)
    return model, inputs, torch.randint(10, (len(inputs),))


def make_step(
    call: Callable[[Any], Any], model: Any, inputs: Any, targets: Any
) -> Callable[[], Any]:
    """Return a function without arguments: a forward pass, or a step of training."""
    import torch
    from torch.nn.functional import cross_entropy

    if targets is None:
        return torch.no_grad()(lambda: call(inputs))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(call(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def take_turns(
    plain: Callable[[], Any], compiled: Callable[[], Any], rounds: int
) -> dict[str, Any]:
    """Time both, one after the other, and change who begins."""
    seconds(plain, 3)
    steps = max(1, round(TURN_SECONDS / seconds(plain, 3)))
    seconds(compiled, 6)  # both have done the same number of steps then
    times: dict[str, list[float]] = {"plain": [], "compiled": []}
    contestants = {"plain": plain, "compiled": compiled}
    for number in range(rounds):
        for name in sorted(contestants, reverse=number % 2 == 0):
            times[name].append(seconds(contestants[name], steps))
    pairs = zip(times["compiled"], times["plain"], strict=True)
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "steps_in_a_turn": steps,
        "plain_step": statistics.median(times["plain"]),
        "compiled_step": statistics.median(times["compiled"]),
    }


def seconds(step: Callable[[], Any], steps: int) -> float:
    """Return the time of one of several steps."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference, as a part of the largest number."""
    scale = theirs.abs().max().clamp(min=1e-12)
    return ((ours - theirs).abs().max() / scale).item()


# ---------------------------------------------------------------- many, and the verdict


def compare(name: str, rounds: int, threads: int) -> dict[str, Any]:
    """Measure a task the first time, and how fast a second process compiles."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        place = {"TORCHINDUCTOR_CACHE_DIR": cache}
        row = in_a_process(__file__, [name, str(rounds)], threads, **place)
        second = in_a_process(__file__, [name, "0"], threads, **place)
    costs = {"first": row.pop("first_call"), "again": second["first_call"]}
    row["compile_seconds"] = {
        start: max(cost - row["compiled_step"], 0.0) for start, cost in costs.items()
    }
    # By the ratio, which is measured better than the difference of two times.
    saved = row["plain_step"] * (1 - row["ratio"])
    row["break_even_steps"] = {
        start: round(cost / saved) if saved > 0 else None
        for start, cost in row["compile_seconds"].items()
    }
    return {"task": name, "what": TASKS[name]} | row


def missed_bounds(rows: list[dict[str, Any]]) -> list[str]:
    """Say which promise was not kept."""
    missed = []
    for row in rows:
        if row["task"] == CHAIN and row["ratio"] > CHAIN_RATIO:
            missed.append(f"{CHAIN}: ratio {row['ratio']:.2f} is over {CHAIN_RATIO}")
        if not row["off"] <= OFF:
            missed.append(f"{row['task']}: results differ by {row['off']:.2g}")
    return missed


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures as a table."""
    line = "{:28}{:>7}{:>12}{:>12}{:>12}{:>9}{:>14}{:>9}"
    columns = (
        "",
        "ratio",
        "plain",
        "compiled",
        "compile",
        "again",
        "pays after",
        "off",
    )
    print(line.format(*columns))
    for row in rows:
        cost, steps = row["compile_seconds"], row["break_even_steps"]["first"]
        print(
            line.format(
                row["task"],
                f"{row['ratio']:.2f}",
                f"{row['plain_step'] * 1000:.2f} ms",
                f"{row['compiled_step'] * 1000:.2f} ms",
                f"{cost['first']:.1f} s",
                f"{cost['again']:.1f} s",
                "never" if steps is None else f"{steps} steps",
                f"{row['off']:.0e}",
            )
        )


def compiler() -> str:
    """Return the name and version of the C++ compiler, or end the program."""
    program = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    if program is None:
        sys.exit("torch.compile needs a C++ compiler: install g++, or set CXX to one")
    asked = [program, "--version"]
    return subprocess.check_output(asked, text=True).splitlines()[0]


def main() -> int:
    """Measure, print, write, and answer 1 if a bound is missed."""
    arguments = options(__doc__.splitlines()[0], 15, ("TASK", "ROUNDS"))
    if arguments.measure:
        name, rounds = arguments.measure
        print(json.dumps(measure(name, int(rounds))))
        return 0
    repeats, threads = arguments.repeats, arguments.threads
    result = surroundings(__file__, ("torch", "torchvision"), threads, repeats)
    result["seed"] = SEED
    result["versions"]["compiler"] = compiler()
    rows = [compare(name, repeats, threads) for name in TASKS]
    missed = missed_bounds(rows)
    show(rows)
    result |= {
        "bounds": {"chain_ratio": CHAIN_RATIO, "off": OFF},
        "rows": rows,
        "missed": missed,
    }
    return finish(result, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
