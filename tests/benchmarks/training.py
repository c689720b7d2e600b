"""
Measure training: our ``fit``, a plain loop and frameworks, all doing the same work.

Every contestant trains the same network from the same weights over the same batches,
and computes the mean loss in training and in validation. A round runs each of them
once, in a random order, and each time is divided by that of the plain loop in the same
round; the median over the rounds is reported. At the end, the weights are compared.

What a contestant needs before the first epoch is left out of its time, but for ``fit``,
whose whole call counts. Run it as ``python tests/benchmarks/training.py --out FILE``;
it ends with an error if a bound is missed, after it has written the file.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import logging
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is imported
os.environ["KERAS_HOME"] = os.devnull  # it would make a folder in the user's home

import accelerate
import fastai.basics as fastai
import ignite.engine
import ignite.metrics
import keras
import lightning
import lightning.fabric
import skorch
import skorch.helper
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # when this file is run by its path
    sys.path.insert(0, str(ROOT))

from snippets.data import ArrayDataset, make_loader  # noqa: E402  # needs the path
from snippets.training import fit  # noqa: E402

SEED = 0
TRAINING_SAMPLES = 1437
PACKAGES = (
    "torch",
    "pytorch-ignite",
    "skorch",
    "accelerate",
    "fastai",
    "lightning",
    "keras",
    "scikit-learn",
)


# The work
# --------


class Digits(Dataset[tuple[Tensor, Tensor]]):
    """Pictures of digits, one at a time, as in any tutorial."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]


def perceptron() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


@dataclass(frozen=True)
class Task:
    """What a contestant is to do; it hands out the same weights and batches to all."""

    name: str
    network: Callable[[], nn.Sequential]
    batch_size: int
    optimizer_class: type[torch.optim.Optimizer]
    lr: float
    epochs: int

    def model(self) -> nn.Sequential:
        """Return the network with its first weights."""
        torch.manual_seed(SEED)
        return self.network()

    def optimizer(self, model: nn.Module, **options: Any) -> torch.optim.Optimizer:
        """Return the optimizer of a model."""
        return self.optimizer_class(model.parameters(), lr=self.lr, **options)

    def loaders(self) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Return the loaders of the plain loop."""
        training, validation = (Digits(*arrays) for arrays in digits())
        order = torch.Generator().manual_seed(SEED)
        return (
            DataLoader(training, self.batch_size, shuffle=True, generator=order),
            DataLoader(validation, self.batch_size),
        )


TASKS = (
    Task("MLP, batch 16, SGD", perceptron, 16, torch.optim.SGD, 0.05, epochs=10),
    Task("MLP, batch 64, Adam", perceptron, 64, torch.optim.Adam, 1e-3, epochs=20),
    Task("CNN, batch 16, SGD", convolutional, 16, torch.optim.SGD, 0.05, epochs=5),
    Task("CNN, batch 64, SGD", convolutional, 64, torch.optim.SGD, 0.05, epochs=8),
)


@cache
def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return inputs (N, 1, 8, 8) and targets, to train with and to validate."""
    pixels, classes = load_digits(return_X_y=True)
    inputs = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)
    inputs = (inputs - inputs.mean()) / inputs.std()
    targets = torch.as_tensor(classes, dtype=torch.int64)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(SEED))
    first, rest = order[:TRAINING_SAMPLES], order[TRAINING_SAMPLES:]
    return (inputs[first], targets[first]), (inputs[rest], targets[rest])


class Prepared(NamedTuple):
    """What the loaders of a task give, computed before anything is timed."""

    epochs: list[list[Any]]
    validation: list[Any]
    states: list[Tensor]  # of the generator, before each epoch


@cache
def prepared(task: Task) -> Prepared:
    """Return the batches of a task, those of training for each epoch."""
    training, validation = task.loaders()
    epochs, states = [], []
    for _ in range(task.epochs):
        states.append(training.generator.get_state())
        epochs.append(list(training))
    return Prepared(epochs, list(validation), states)


class Clock:
    """Measures what a contestant puts between start and stop."""

    def __init__(self) -> None:
        self.begun = self.seconds = 0.0

    def start(self, *_: Any, **__: Any) -> None:
        """Begin; any arguments, so that it fits every framework's hooks."""
        self.begun = time.perf_counter()

    def stop(self, *_: Any, **__: Any) -> None:
        """End."""
        self.seconds = time.perf_counter() - self.begun

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


# The contestants: each trains, and returns the weights that it ends with
# -----------------------------------------------------------------------

Weights = list[Tensor]
loss_fn = nn.CrossEntropyLoss()


def weights(model: nn.Module) -> Weights:
    return [parameter.detach().clone() for parameter in model.parameters()]


def plain_loop(task: Task, clock: Clock) -> Weights:
    """Train as in any tutorial."""
    model = task.model()
    optimizer = task.optimizer(model)
    train_loader, val_loader = task.loaders()
    with clock:
        for _ in range(task.epochs):
            model.train()
            total = 0.0
            for inputs, targets in train_loader:
                optimizer.zero_grad()
                loss = loss_fn(model(inputs), targets)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(targets)
            train_loss = total / len(train_loader.dataset)
            model.eval()
            total = 0.0
            with torch.no_grad():
                for inputs, targets in val_loader:
                    total += loss_fn(model(inputs), targets).item() * len(targets)
            val_loss = total / len(val_loader.dataset)
    assert train_loss < 2 and val_loss < 2  # random guesses have a loss of 2.3
    return weights(model)


def computing_only(task: Task, clock: Clock, **options: Any) -> Weights:
    """Train on batches that lie ready, and measure nothing."""
    model = task.model()
    optimizer = task.optimizer(model, **options)
    epochs, validation, _ = prepared(task)
    with clock:
        for epoch in epochs:
            model.train()
            for inputs, targets in epoch:
                optimizer.zero_grad()
                loss_fn(model(inputs), targets).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for inputs, targets in validation:
                    loss_fn(model(inputs), targets)
    return weights(model)


def our_fit(task: Task, clock: Clock) -> Weights:
    model = task.model()
    optimizer = task.optimizer(model)
    train_loader, val_loader = task.loaders()
    with clock:
        fit(
            model,
            train_loader,
            loss_fn,
            optimizer,
            epochs=task.epochs,
            val_loader=val_loader,
        )
    return weights(model)


def our_fit_and_loader(task: Task, clock: Clock, **options: Any) -> Weights:
    model = task.model()
    optimizer = task.optimizer(model, **options)
    training, validation = (ArrayDataset(*arrays) for arrays in digits())
    size = task.batch_size
    with clock:
        fit(
            model,
            make_loader(training, batch_size=size, shuffle=True, seed=SEED),
            loss_fn,
            optimizer,
            epochs=task.epochs,
            val_loader=make_loader(
                validation, batch_size=size, shuffle=False, seed=SEED
            ),
        )
    return weights(model)


def with_ignite(task: Task, clock: Clock) -> Weights:
    model = task.model()
    train_loader, val_loader = task.loaders()
    trainer = ignite.engine.create_supervised_trainer(
        model, task.optimizer(model), loss_fn
    )
    ignite.metrics.Average().attach(trainer, "loss")
    evaluator = ignite.engine.create_supervised_evaluator(
        model, {"loss": ignite.metrics.Loss(loss_fn)}
    )
    trainer.add_event_handler(
        ignite.engine.Events.EPOCH_COMPLETED, lambda: evaluator.run(val_loader)
    )
    with clock:
        trainer.run(train_loader, max_epochs=task.epochs)
    return weights(model)


def with_fabric(task: Task, clock: Clock) -> Weights:
    fabric = lightning.fabric.Fabric(accelerator="cpu", devices=1)
    first = task.model()
    model, optimizer = fabric.setup(first, task.optimizer(first))
    train_loader, val_loader = fabric.setup_dataloaders(*task.loaders())
    with clock:
        loop_with_backward(task, model, optimizer, train_loader, val_loader, fabric)
    return weights(model)


def with_accelerate(task: Task, clock: Clock) -> Weights:
    accelerator = accelerate.Accelerator(cpu=True)
    first = task.model()
    model, optimizer, train_loader, val_loader = accelerator.prepare(
        first, task.optimizer(first), *task.loaders()
    )
    with clock:
        loop_with_backward(
            task, model, optimizer, train_loader, val_loader, accelerator
        )
    return weights(model)


def loop_with_backward(
    task: Task,
    model: nn.Module,
    optimizer: Any,
    train_loader: Any,
    val_loader: Any,
    framework: Any,
) -> None:
    """Train with the plain loop, in which a framework does the backward pass."""
    for _ in range(task.epochs):
        model.train()
        total = 0.0
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            framework.backward(loss)
            optimizer.step()
            total += loss.item() * len(targets)
        model.eval()
        total = 0.0
        with torch.no_grad():
            for inputs, targets in val_loader:
                total += loss_fn(model(inputs), targets).item() * len(targets)


def with_skorch(task: Task, clock: Clock) -> Weights:
    class Hook(skorch.callbacks.Callback):
        on_train_begin, on_train_end = clock.start, clock.stop

    training, validation = (Digits(*arrays) for arrays in digits())
    net = skorch.NeuralNet(
        task.model(),
        nn.CrossEntropyLoss,
        optimizer=task.optimizer_class,
        lr=task.lr,
        max_epochs=task.epochs,
        batch_size=task.batch_size,
        iterator_train__shuffle=True,
        iterator_train__generator=torch.Generator().manual_seed(SEED),
        train_split=skorch.helper.predefined_split(validation),
        callbacks=[Hook()],
        verbose=0,
    )
    net.fit(training, y=None)
    return weights(net.module_)


def with_fastai(task: Task, clock: Clock) -> Weights:
    class Hook(fastai.Callback):
        def before_fit(self) -> None:
            clock.start()

        def after_fit(self) -> None:
            clock.stop()

    model = task.model()
    learner = fastai.Learner(
        fastai.DataLoaders(*task.loaders()),
        model,
        loss_func=loss_fn,
        opt_func=partial(fastai.OptimWrapper, opt=task.optimizer_class),
        cbs=[Hook()],
    )
    with learner.no_logging():
        learner.fit(task.epochs, lr=task.lr)
    return weights(model)


class LightningTask(lightning.LightningModule):
    """A task as Lightning wants it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.network = task, task.model()

    def training_step(self, batch: Any, index: int) -> Tensor:
        """Return the loss of a batch."""
        return self.measure("train_loss", *batch)

    def validation_step(self, batch: Any, index: int) -> None:
        """Measure the loss of a batch."""
        self.measure("val_loss", *batch)

    def measure(self, name: str, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, and note it down for the mean."""
        loss = loss_fn(self.network(inputs), targets)
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return self.task.optimizer(self)


def with_lightning(task: Task, clock: Clock, **options: Any) -> Weights:
    class Hook(lightning.Callback):
        on_train_start, on_train_end = clock.start, clock.stop

    module = LightningTask(task)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=task.epochs,
            default_root_dir=folder,
            callbacks=[Hook()],
            **options,
        )
        trainer.fit(module, *task.loaders())
    return weights(module.network)


KERAS_LAYERS: dict[type[nn.Module], Callable[[Any], Any]] = {
    nn.Flatten: lambda _: keras.layers.Flatten(data_format="channels_last"),
    nn.ReLU: lambda _: keras.layers.ReLU(),
    nn.MaxPool2d: lambda pool: keras.layers.MaxPooling2D(
        pool.kernel_size, data_format="channels_first"
    ),
    nn.Conv2d: lambda conv: keras.layers.Conv2D(
        conv.out_channels,
        conv.kernel_size,
        padding="same",
        data_format="channels_first",
    ),
    nn.Linear: lambda linear: keras.layers.Dense(linear.out_features),
}
KERAS_OPTIMIZERS: dict[type[torch.optim.Optimizer], Any] = {
    torch.optim.SGD: keras.optimizers.SGD,
    torch.optim.Adam: partial(keras.optimizers.Adam, epsilon=1e-8),  # torch's default
}


# Torch has (out, in, height, width), Keras (height, width, in, out).
TO_KERAS = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
FROM_KERAS = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}


def with_keras(task: Task, clock: Clock) -> Weights:
    class Hook(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            clock.start()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            # Keras asks a loader for more iterators than it goes through.
            train_loader.generator.set_state(prepared(task).states[epoch])

        def on_train_end(self, logs: Any = None) -> None:
            clock.stop()

    first = task.model()
    model = keras.Sequential(
        [keras.Input((1, 8, 8)), *(KERAS_LAYERS[type(part)](part) for part in first)]
    )
    model.set_weights([w.permute(TO_KERAS[w.dim()]).numpy() for w in weights(first)])
    model.compile(
        optimizer=KERAS_OPTIMIZERS[task.optimizer_class](learning_rate=task.lr),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    train_loader, val_loader = task.loaders()
    model.fit(
        train_loader,
        validation_data=val_loader,
        epochs=task.epochs,
        callbacks=[Hook()],
        verbose=0,
    )
    ends = map(torch.as_tensor, model.get_weights())
    return [weight.permute(FROM_KERAS[weight.dim()]) for weight in ends]


QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
BASE = "plain loop"
FLOOR, FUSED_FLOOR = "computing only", "computing only, fused optimizer"
FIT, FAST = "fit, loader of the plain loop", "fit and make_loader"
FUSED = "fit and make_loader, fused optimizer"
OURS: dict[str, Callable[[Task, Clock], Weights]] = {
    BASE: plain_loop,
    FLOOR: computing_only,
    FUSED_FLOOR: partial(computing_only, fused=True),
    FIT: our_fit,
    FAST: our_fit_and_loader,
    FUSED: partial(our_fit_and_loader, fused=True),
}
FRAMEWORKS: dict[str, Callable[[Task, Clock], Weights]] = {
    "Ignite": with_ignite,
    "Lightning Fabric": with_fabric,
    "skorch": with_skorch,
    "Accelerate": with_accelerate,
    "fastai": with_fastai,
    "Lightning, extras off": partial(with_lightning, **QUIET),
    "Lightning, defaults": with_lightning,
    "Keras 3": with_keras,
}


# Measuring
# ---------

Times = dict[str, dict[int, float]]  # seconds by contestant and round


def measure(task: Task, rounds: int, every: int) -> tuple[Times, dict[str, float]]:
    """Return the times of all contestants, and how far off their weights end."""
    everyone = OURS | FRAMEWORKS
    times: Times = {name: {} for name in everyone}
    ends: dict[str, Weights] = {}
    prepared(task)
    for number in range(rounds):
        # The overhead of frameworks is large, so that fewer rounds show it.
        contestants = list(OURS if number % every else everyone)
        random.Random(number).shuffle(contestants)
        for name in contestants:
            times[name][number], ends[name] = run(everyone[name], task)
    return times, {name: difference(end, ends[BASE]) for name, end in ends.items()}


def run(
    contestant: Callable[[Task, Clock], Weights], task: Task
) -> tuple[float, Weights]:
    """Return how long a contestant takes, and its weights, without what it prints."""
    clock = Clock()
    gc.collect()
    with (
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        end = contestant(task, clock)
    return clock.seconds, end


def difference(one: Weights, other: Weights) -> float:
    """Return the largest difference between two lists of weights."""
    pairs = zip(one, other, strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def ratio(times: Times, name: str, base: str = BASE) -> dict[str, float]:
    """Return median and quartiles of the ratios to another one in the same round."""
    rounds = times[name].keys() & times[base].keys()
    ratios = [times[name][number] / times[base][number] for number in rounds]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"median": round(median, 3), "low": round(low, 3), "high": round(high, 3)}


IMPORT = """
from time import perf_counter
start = perf_counter()
import {}
print(perf_counter() - start)
"""


def measure_imports(rounds: int) -> Times:
    """Return the seconds that imports take, each in a fresh process."""
    times: Times = {"torch": {}, "snippets.training": {}}
    for number in range(rounds):
        for name, seconds in times.items():
            command = [sys.executable, "-c", IMPORT.format(name)]
            seconds[number] = float(subprocess.check_output(command, cwd=ROOT))
    return times


# Judging and reporting
# ---------------------


def everywhere(bound: float) -> dict[str, float]:
    return dict.fromkeys((task.name for task in TASKS), bound)


EXACT = {BASE, FLOOR, FIT, FAST}
BOUNDS: tuple[tuple[str, str, dict[str, float]], ...] = (
    (FIT, BASE, everywhere(1.03)),
    (FAST, BASE, {TASKS[0].name: 0.70, TASKS[1].name: 0.65, TASKS[2].name: 0.92}),
    (FUSED, BASE, {TASKS[1].name: 0.50}),
    (FAST, FLOOR, everywhere(1.10)),
    (FUSED, FUSED_FLOOR, everywhere(1.10)),
    *((FIT, name, everywhere(1.0)) for name in FRAMEWORKS),
)
IMPORT_BOUND = 1.05
SAME_WORK = 0.01  # batches in another order end 0.03 to 0.3 away


def line(where: str, what: str, measured: float, at_most: float) -> dict[str, Any]:
    """Return what is to be shown, as it is written down."""
    return {"where": where, "what": what, "measured": measured, "at_most": at_most}


def judge(task: Task, times: Times, off: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return what a task has to show, and what it does show."""
    speed = [
        line(task.name, f"time of {name} / {base}", found["median"], bounds[task.name])
        for name, base, bounds in BOUNDS
        if task.name in bounds and (found := ratio(times, name, base))
    ]
    return speed + [
        line(task.name, f"weights of {name}", far, 0.0 if name in EXACT else SAME_WORK)
        for name, far in off.items()
    ]


def surroundings() -> dict[str, Any]:
    """Return what the times depend on: machine and versions."""
    return {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def show(results: Mapping[str, Any]) -> None:
    """Print the medians as a table, and what missed its bound."""
    print(f"{'time / plain loop':36}", *(f"{task.name:>20}" for task in TASKS))
    for name in OURS | FRAMEWORKS:
        found = [results["tasks"][task.name]["ratios"][name] for task in TASKS]
        cells = (f"{r['median']:.2f} ({r['low']:.2f}-{r['high']:.2f})" for r in found)
        print(f"{name:36}", *(f"{cell:>20}" for cell in cells))
    for found in missed(results):
        print(
            "MISSED: {where}: {what} is {measured}, at most {at_most}".format(**found)
        )


def missed(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the lines whose bound does not hold."""
    return [
        line for line in results["bounds"] if not line["measured"] <= line["at_most"]
    ]


def everything(rounds: int) -> dict[str, Any]:
    """Return all that is written down."""
    every = 3 if rounds >= 6 else 1
    results: dict[str, Any] = {
        **surroundings(),
        "rounds": rounds,
        "tasks": {},
        "bounds": [],
    }
    for task in TASKS:
        times, off = measure(task, rounds, every)
        epoch = statistics.median(times[BASE].values()) / task.epochs
        results["tasks"][task.name] = {
            "epochs": task.epochs,
            "parameters": sum(weight.numel() for weight in task.model().parameters()),
            "plain_epoch_milliseconds": round(epoch * 1000, 1),
            "ratios": {name: ratio(times, name) for name in times},
            "weights": off,
        }
        results["bounds"] += judge(task, times, off)
    found = ratio(measure_imports(rounds), "snippets.training", "torch")
    results["bounds"].append(
        line("import", "snippets.training / torch", found["median"], IMPORT_BOUND)
    )
    return results


def main() -> None:
    """Measure, write, print, and end with an error if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    parser.add_argument("--repeats", type=int, default=15, help="rounds, 2 or more")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    gc.freeze()  # so that no contestant pays for the modules that others imported
    atexit.register(gc.unfreeze)  # what modules hold is complained about otherwise
    results = everything(arguments.repeats)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    show(results)
    sys.exit(1 if missed(results) else 0)


if __name__ == "__main__":
    main()
