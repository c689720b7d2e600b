"""Train, evaluate and predict: the loop that everybody writes, written once with care.

`fit` trains a model over some epochs and returns what was measured. `train_epoch`,
`evaluate` and `predict` are its parts, for a loop of your own.
"""

from __future__ import annotations

import copy
import importlib
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, SupportsIndex

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

__all__ = [
    "TARGET_KEYS",
    "CheckpointFile",
    "History",
    "TrainingError",
    "accuracy",
    "evaluate",
    "fit",
    "predict",
    "train_epoch",
]

Metrics = Mapping[str, Callable[[Any, Any], Any]]

TARGET_KEYS = frozenset({"label", "labels", "target", "targets", "y"})
"""In a batch that is a mapping, the one of these keys that it holds is the target."""

# Losses by the class of the module, or as the function.
SAME_SHAPE = {
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
}
LOGITS = {nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits}
SOFTMAX = {nn.CrossEntropyLoss, F.cross_entropy}
CLASSES = {nn.CrossEntropyLoss, nn.NLLLoss, F.cross_entropy, F.nll_loss}


class TrainingError(RuntimeError):
    """Training would go wrong in silence, so it stopped before the harm was done."""


class CheckpointFile(Protocol):
    """What `fit` asks of a checkpoint; ``snippets.checkpointing.Checkpoint`` has it.

    A loader or a random state that it returns has ``state_dict`` and
    ``load_state_dict``.
    """

    path: Any
    """Where it saves."""

    every_steps: int | None
    """Save after every so many steps too, not only at the end of each epoch."""

    def exists(self) -> bool:
        """Tell whether there is something to resume from."""

    def save(self, **objects: Any) -> None:
        """Save the state of every object."""

    def load(self, **objects: Any) -> Any:
        """Load the state of every object, or raise and change none."""

    def resumable(self, loader: Any) -> Any:
        """Return a loader that gives the same batches and knows its position."""

    def random_state(self) -> Any:
        """Return an object whose state is that of the global random generators."""


class History(list[dict[str, Any]]):
    """What `fit` measured: a list of records, one for each epoch.

    ``history[-1]`` is the last record, ``history["val_loss"]`` one number for each
    epoch. It prints as a table, and ``history.plot(plt.gca())`` draws it.

    Examples
    --------
    >>> history = History([{"epoch": 1, "train_loss": 0.5}])
    >>> history.append({"epoch": 2, "train_loss": 0.25})
    >>> history["train_loss"]
    [0.5, 0.25]
    >>> history
    epoch  train_loss
        1         0.5
        2        0.25
    """

    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.columns:
            raise KeyError(f"no {key!r} was recorded; there are {self.columns}")
        return [record[key] for record in self]

    @property
    def columns(self) -> list[str]:
        """The names of what each record holds."""
        return list(self[0]) if self else []

    def plot(self, axes: Any = None, name: str = "loss") -> Any:
        """Draw how a value changed from epoch to epoch.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where to draw. The default is ``plt.gca()``; it needs matplotlib.
        name : str, optional
            What to draw, in training and, if it is there, in validation: ``"loss"`` or
            the name of a metric. Any other column, such as ``"lr"``, alone.

        Returns
        -------
        matplotlib.axes.Axes
            The same axes.

        Raises
        ------
        KeyError
            If nothing of that name was recorded.
        """
        if axes is None:
            axes = importlib.import_module("matplotlib.pyplot").gca()
        both = [f"{part}_{name}" for part in ("train", "val")]
        for column in [key for key in both if key in self.columns] or [name]:
            axes.plot(self["epoch"], self[column], marker=".", label=column)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.legend()
        return axes

    def _table(self) -> list[list[str]]:
        return [
            self.columns,
            *([_shown(value) for value in record.values()] for record in self),
        ]

    def __repr__(self) -> str:
        if not self:
            return "no epochs"
        table = self._table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join(
            "  ".join(text.rjust(n) for text, n in zip(row, widths, strict=True))
            for row in table
        )

    def _repr_html_(self) -> str:
        head, *body = [
            "".join(f"<td>{text}</td>" for text in row) for row in self._table()
        ]
        head = head.replace("td>", "th>")
        return f"<table><tr>{'</tr><tr>'.join([head, *body])}</tr></table>"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Return which part of the samples is classified right, from 0 to 1.

    Parameters
    ----------
    outputs : torch.Tensor
        Scores of two classes or more, shape (N, C) or (N, C, ...), or one logit for
        each target, with the very shape of the targets: above 0 then means class 1.
    targets : torch.Tensor
        Classes, shape (N) or (N, ...).

    Returns
    -------
    float
        The mean over all targets.

    Raises
    ------
    ValueError
        If the shapes fit neither form.

    Examples
    --------
    >>> scores = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    >>> accuracy(scores[:2], torch.tensor([0, 1]))
    1.0
    >>> accuracy(torch.tensor([1.5, -0.5]), torch.tensor([1.0, 1.0]))
    0.5
    """
    if outputs.shape == targets.shape:
        guesses = outputs > 0
    elif (
        outputs.dim() > 1
        and outputs.shape[1] > 1
        and outputs.shape[:1] + outputs.shape[2:] == targets.shape
    ):
        guesses = outputs.argmax(dim=1)  # (N, C, ...) -> (N, ...)
    else:
        raise ValueError(
            f"outputs of shape {tuple(outputs.shape)} do not fit targets of shape "
            f"{tuple(targets.shape)}: give (N, C, ...) with C > 1 and (N, ...), or the "
            "same twice"
        )
    return (guesses == targets).sum().item() / targets.numel()


def fit(
    model: nn.Module,
    train_loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    optimizer: Optimizer,
    *,
    epochs: int,
    val_loader: Iterable[Any] | None = None,
    metrics: Metrics | None = None,
    scheduler: Mapping[str, Any] | None = None,
    checkpoint: CheckpointFile | None = None,
    resume: bool = True,
    patience: int | None = None,
    on_step_end: Callable[[], object] | None = None,
    on_epoch_end: Callable[[dict[str, Any]], object] | None = None,
    device: torch.device | str | None = None,
    accumulate: int = 1,
    clip_grad_norm: float | None = None,
    autocast: torch.dtype | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> History:
    """Train a model, and validate it after each epoch.

    Parameters
    ----------
    model : torch.nn.Module
        Trained in place.
    train_loader, val_loader : collections.abc.Iterable
        Give batches each time they are gone through: a
        `torch.utils.data.DataLoader`, a list of batches, ... A batch is a pair
        ``(inputs, targets)``; or ``(first, second, targets)`` for a model of several
        inputs; or a mapping with one of the keys of `TARGET_KEYS`. Inputs that are a
        list or tuple are handed to the model one by one, a mapping by its keys.
        Tensors on the CPU are moved to the model's device.
    loss_fn : callable
        ``loss_fn(outputs, targets)`` gives a scalar, the mean over the batch (or the
        sum, where its attribute ``reduction`` is ``"sum"``).
    optimizer : torch.optim.Optimizer
        Holds all parameters that learn, and no others.
    epochs : int
        How often to go through ``train_loader`` in all: epochs that a checkpoint
        already holds count.
    metrics : collections.abc.Mapping of str to callable, optional
        More to measure, such as ``{"accuracy": accuracy}``. Each gets ``(outputs,
        targets)`` of a batch and gives a mean over its samples. For what is no such
        mean (F1, AUC) use `predict` and all targets.
    scheduler : collections.abc.Mapping, optional
        Schedulers by when they step: after each ``"step"`` of the optimizer, after each
        ``"epoch"``, or after each epoch on a ``"plateau"`` of the validation loss.
    checkpoint : CheckpointFile, optional
        Where to save after each epoch, such as
        ``snippets.checkpointing.Checkpoint("run.pt")``.
    resume : bool, optional
        Go on from the checkpoint if there is one, with its weights, its learning rate
        and its place in the data. Start anew with False after you have changed the data
        or a setting; the file is then replaced.
    patience : int, optional
        Stop when the validation loss has not reached a new minimum for so many epochs,
        and give the model the weights that it had at the minimum. In the file of a
        checkpoint, the model is that of the last epoch; to keep the best one, save the
        model after `fit`.
    on_step_end : callable, optional
        Called without arguments after each step of the optimizer, for instance
        ``average.update``.
    on_epoch_end : callable, optional
        Called with the record of each epoch, for instance ``print``.
    device : torch.device or str, optional
        Move the model there (and a loss that is a module), and train there. The default
        is where the model is.
    accumulate : int, optional
        Add up the gradients of so many batches for one step: the same step as with one
        large batch of all their samples.
    clip_grad_norm : float, optional
        Scale the gradients down where their norm is above this.
    autocast : torch.dtype, optional
        Compute in mixed precision: ``torch.bfloat16``, or ``torch.float16``, which then
        scales the gradients too.
    progress : callable, optional
        Wraps ``train_loader`` in each epoch, such as ``tqdm.tqdm``.

    Returns
    -------
    History
        A record for each epoch: ``epoch`` (from 1), ``lr`` (of the first parameter
        group, after the epoch's last step), ``train_loss``, ``val_loss``, and each
        metric as ``train_NAME`` and ``val_NAME``. All are exact means over the samples,
        whatever the sizes of the batches; those of training are taken along the way.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the kind described.
    TrainingError
        If the optimizer and the model do not belong together, if there is nothing to
        train or no batch, if data and model are on different devices, if shapes or
        classes do not fit, or if the loss is no finite scalar: before the step that
        would do harm, with the weights and the state of the optimizer as they were.
    KeyboardInterrupt
        On Ctrl-C. With a checkpoint, the step under way (or the validation) ends first,
        and all is saved; the next call goes on there. A second Ctrl-C does not wait.

    Notes
    -----
    Weights come out bit for bit as from the plain loop (``zero_grad``, forward, loss,
    ``backward``, ``step``) in training mode over the same batches. Every module then
    has the mode again that it had before.

    A loss that ignores or weights some targets gives a mean of its own kind for each
    batch; those means are still weighted by the number of samples.

    Gradients are looked at only when they are clipped. Where a finite loss has a NaN
    gradient, the step breaks the weights; the next loss tells, and what is broken is
    never saved.

    In each process of ``torchrun``, after `torch.distributed.init_process_group`, the
    same call starts from the weights of rank 0, averages gradients over the samples of
    all processes and measures all of them; rank 0 alone saves, shows progress and calls
    ``on_epoch_end``. Each process needs a share of each batch of its own, and as many
    batches as the others: from `torch.utils.data.DistributedSampler`, say.

    References
    ----------
    The tutorial "Training with PyTorch",
    https://docs.pytorch.org/tutorials/beginner/introyt/trainingyt.html.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> inputs = torch.randn(64, 2)
    >>> targets = (inputs.sum(dim=1) > 0).long()
    >>> model = nn.Linear(2, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> batches = list(zip(inputs.split(16), targets.split(16)))
    >>> history = fit(
    ...     model,
    ...     batches,
    ...     nn.CrossEntropyLoss(),
    ...     optimizer,
    ...     epochs=20,
    ...     metrics={"accuracy": accuracy},
    ... )
    >>> history["train_loss"][-1] < history["train_loss"][0]
    True
    >>> history[-1]["train_accuracy"] > 0.9
    True
    """
    _check_numbers(epochs=epochs, accumulate=accumulate, patience=patience)
    _check_clip(clip_grad_norm)
    _check_options(val_loader, scheduler, checkpoint, patience, progress)
    _check_loader("train_loader", train_loader, epochs)
    if val_loader is not None:
        _check_loader("val_loader", val_loader, epochs)
    _check_optimizer(model, loss_fn, optimizer, device)
    schedulers = _checked_schedulers(scheduler, optimizer)
    task = _task(model, loss_fn, metrics, device, autocast)
    stepper = _Stepper(task, optimizer, accumulate, clip_grad_norm)
    stepper.scheduler = schedulers.get("step")
    if checkpoint:
        train_loader = checkpoint.resumable(train_loader)
        if val_loader is not None:
            val_loader = checkpoint.resumable(val_loader)
    run = _Run(
        stepper,
        train_loader,
        val_loader,
        schedulers,
        checkpoint,
        patience,
        on_step_end,
        on_epoch_end,
        progress,
    )
    if checkpoint and resume and checkpoint.exists():
        run.load()
        if run.epoch >= epochs:
            warnings.warn(
                f"{checkpoint.path} already holds {run.epoch} of {epochs} epochs, so "
                "nothing is trained: raise epochs, or start anew with resume=False",
                stacklevel=2,
            )
    task.processes.share(model)
    with _modes_kept(model), run.interruptible():
        while run.epoch < epochs and not run.out_of_patience():
            run.one_epoch()
    if run.best is not None:
        model.load_state_dict(run.best)
    return run.history


def train_epoch(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    optimizer: Optimizer,
    *,
    metrics: Metrics | None = None,
    scheduler: Any = None,
    on_step_end: Callable[[], object] | None = None,
    device: torch.device | str | None = None,
    accumulate: int = 1,
    clip_grad_norm: float | None = None,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> dict[str, float]:
    """Train a model on every batch once.

    Parameters
    ----------
    model, loader, loss_fn, optimizer
        As for `fit`.
    metrics, on_step_end, device, accumulate, clip_grad_norm, autocast, progress
        As for `fit`.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        One that steps after each step of the optimizer.
    scaler : torch.amp.GradScaler, optional
        The scaler to use where ``autocast`` is ``torch.float16``. Hand the same one to
        every epoch, so that it keeps the scale that it has found.

    Returns
    -------
    dict of str to float
        ``"loss"`` and each metric: means over the samples, taken while the weights
        changed.

    Raises
    ------
    TypeError, ValueError, TrainingError
        As for `fit`.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    >>> batches = [(torch.ones(2, 1), torch.ones(2, 1))]
    >>> [train_epoch(model, batches, nn.MSELoss(), optimizer) for epoch in range(3)]
    [{'loss': 1.0}, {'loss': 0.25}, {'loss': 0.0625}]
    """
    _check_numbers(accumulate=accumulate)
    _check_loader("loader", loader)
    _check_clip(clip_grad_norm)
    _check_optimizer(model, loss_fn, optimizer, device)
    schedulers = _checked_schedulers(scheduler and {"step": scheduler}, optimizer)
    task = _task(model, loss_fn, metrics, device, autocast)
    stepper = _Stepper(task, optimizer, accumulate, clip_grad_norm, scaler)
    stepper.scheduler = schedulers.get("step")
    averages = task.averages()
    with _modes_kept(model):
        stepper.epoch(loader, averages, progress, on_step_end or _nothing)
    _check_finite(model, stepper.where())
    return averages.means(task.processes)


def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    *,
    metrics: Metrics | None = None,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> dict[str, float]:
    """Measure a model on every batch, in evaluation mode and without gradients.

    Parameters
    ----------
    model, loader, loss_fn
        As for `fit`.
    metrics, device, autocast, progress
        As for `fit`.

    Returns
    -------
    dict of str to float
        ``"loss"`` and each metric: exact means over the samples.

    Raises
    ------
    TypeError, ValueError, TrainingError
        As for `fit`.

    Examples
    --------
    >>> model = nn.Identity()
    >>> batches = [(torch.zeros(3, 1), torch.ones(3, 1)), (torch.ones(1, 1),) * 2]
    >>> evaluate(model, batches, nn.MSELoss())
    {'loss': 0.75}
    """
    _check_loader("loader", loader)
    task = _task(model, loss_fn, metrics, device, autocast)
    return task.evaluate(loader, progress)


def predict(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Any:
    """Return a model's outputs for every batch, in evaluation mode, on the CPU.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    loader : collections.abc.Iterable
        Gives batches as for `fit`, whose targets are left out; or batches without
        targets: a tensor, a list of one, or a mapping without a key of `TARGET_KEYS`.
    device, autocast, progress
        As for `fit`.

    Returns
    -------
    torch.Tensor
        The outputs of all batches in the order of the loader (so take one that does not
        shuffle), one after another along their first dimension. Where
        the model returns a tuple, list or mapping of tensors: the same of such tensors.

    Raises
    ------
    TrainingError
        If there is no batch, or if data and model are on different devices.

    Notes
    -----
    In each process of ``torchrun`` it predicts what that process's loader gives.

    Examples
    --------
    >>> inputs = torch.arange(5.0).reshape(5, 1)
    >>> predict(nn.Identity(), inputs.split(2)).shape
    torch.Size([5, 1])
    """
    mixed = _checked(autocast) is not None
    _check_loader("loader", loader)
    place = _place(model, device)
    cast = torch.autocast(place.type, dtype=autocast) if mixed else nullcontext()
    found = []
    with _modes_kept(model), torch.no_grad(), cast:
        model.eval()
        for batch in progress(loader) if progress else loader:
            found.append(_to_cpu(_call(model, _to(_inputs(batch), place))))
    if not found:
        raise TrainingError(NO_BATCHES)
    return _concatenate(found)


NO_BATCHES = (
    "the loader gave no batches: is the dataset empty, smaller than one batch with "
    "drop_last=True, or an iterator that was already used up?"
)


@dataclass
class _Averages:
    """Sums over samples, from which means come out exact at any batch size."""

    sums: dict[str, float]
    rows: int = 0

    def means(self, processes: _Processes) -> dict[str, float]:
        """Return the means over the samples of all processes."""
        rows, *sums = processes.sum([self.rows, *self.sums.values()])
        if not rows:
            raise TrainingError(NO_BATCHES)
        return {name: value / rows for name, value in zip(self.sums, sums, strict=True)}


class _Processes:
    """The processes that train together, or this one alone."""

    def __init__(self, place: torch.device, model: nn.Module) -> None:
        self.place = place
        self.rank, self.count = 0, 1
        if dist.is_available() and dist.is_initialized():
            self.rank, self.count = dist.get_rank(), dist.get_world_size()
        elif int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
            raise TrainingError(
                f"this is one of {os.environ['WORLD_SIZE']} processes that are not "
                "connected: call torch.distributed.init_process_group() first"
            )
        # DistributedDataParallel averages gradients by itself.
        parallel = isinstance(model, DistributedDataParallel)
        self.average = self.count > 1 and not parallel

    def sum(self, values: list[float]) -> list[float]:
        """Return the sum of each value over all processes."""
        if self.count == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.place)
        dist.all_reduce(sums)
        return sums.tolist()

    def gather(self, value: Any) -> list[Any]:
        """Return each process's value, by rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def share(self, model: nn.Module) -> None:
        """Give every process the weights and buffers of rank 0."""
        if self.average:
            for tensor in chain(model.parameters(), model.buffers()):
                dist.broadcast(tensor.detach(), src=0)

    def average_gradients(self, parameters: list[nn.Parameter], weight: float) -> None:
        """Sum gradients over the processes, and divide them by the sum of weights.

        A parameter that took part in no process keeps the gradient None, so that no
        optimizer moves it.
        """
        took_part = [parameter.grad is not None for parameter in parameters]
        head = torch.tensor(
            [weight, *took_part], dtype=torch.float32, device=self.place
        )
        gradients = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in parameters
        ]
        flat = torch.cat([head, *[gradient.flatten() for gradient in gradients]])
        dist.all_reduce(flat)
        sizes = [len(head), *[parameter.numel() for parameter in parameters]]
        head, *sums = torch.split(flat, sizes)
        total, *took_part = head.tolist()
        for parameter, took, gradient in zip(parameters, took_part, sums, strict=True):
            if took:
                gradient = (gradient / total).to(parameter.dtype)
                parameter.grad = gradient.view_as(parameter)


@dataclass
class _Task:
    """A model and its loss on batches, with the checks of what goes in and out."""

    model: nn.Module
    loss_fn: Callable[[Any, Any], Tensor]
    metrics: Metrics
    place: torch.device
    autocast: torch.dtype | None
    processes: _Processes

    def __post_init__(self) -> None:
        function = self.loss_fn
        kind = type(function) if isinstance(function, nn.Module) else function
        self.kind = kind if isinstance(kind, Hashable) else None
        # On a CPU the loss itself finds classes out of range; elsewhere its failure
        # leaves the device unusable.
        self.moves = self.place.type != "cpu"
        self.checked = self.kind in SAME_SHAPE or (self.kind in CLASSES and self.moves)
        self.sums = getattr(function, "reduction", "mean") == "sum"

    def averages(self) -> _Averages:
        """Return sums that are still empty."""
        return _Averages(dict.fromkeys(["loss", *self.metrics], 0.0))

    def prepared(self, batch: Any) -> tuple[Any, Any, int]:
        """Return inputs and targets on the device, and the number of samples."""
        # The first of each is what nearly every batch is; it saves 2 % of a small step.
        pair = isinstance(batch, (list, tuple)) and len(batch) == 2
        inputs, targets = batch if pair else _split(batch)
        if self.moves:
            inputs, targets = _to(inputs, self.place), _to(targets, self.place)
        plain = isinstance(targets, Tensor) and targets.dim()
        rows = len(targets) if plain else _rows(inputs, targets)
        if not rows and self.processes.count == 1:
            raise TrainingError("a batch has no rows: its mean loss is not a number")
        return inputs, targets, rows

    def forward(
        self, inputs: Any, targets: Any, watch: bool = False
    ) -> tuple[Any, Tensor]:
        """Return the model's outputs and the loss."""
        if self.autocast is None:
            return self.compute(inputs, targets, watch)
        with torch.autocast(self.place.type, dtype=self.autocast):
            return self.compute(inputs, targets, watch)

    def compute(self, inputs: Any, targets: Any, watch: bool) -> tuple[Any, Tensor]:
        """Return the model's outputs and the loss, in the precision that is set."""
        try:
            outputs = _call(self.model, inputs)
        except RuntimeError:
            _to([inputs, targets], self.place)  # tells of data on another device
            raise
        if self.checked or watch:
            _check_match(self.kind, self.loss_fn, outputs, targets)
        if watch and self.model.training:
            _warn_of_probabilities(self.kind, outputs)
        try:
            if watch:
                with _NoBroadcast():
                    loss = self.loss_fn(outputs, targets)
            else:
                loss = self.loss_fn(outputs, targets)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            _to([inputs, targets], self.place)
            _explain(self.kind, self.loss_fn, outputs, targets, error)
            raise
        if not isinstance(loss, Tensor) or loss.dim():
            given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else loss
            raise TrainingError(
                f"the loss is {given}; expected a tensor of shape (): average over the "
                "batch, for instance with reduction='mean' or .mean()"
            )
        return outputs, loss

    def measure(
        self, averages: _Averages, outputs: Any, targets: Any, loss: float, rows: int
    ) -> None:
        """Add a batch to the averages."""
        averages.rows += rows
        averages.sums["loss"] += loss if self.sums else loss * rows
        if self.metrics:
            outputs = _map(outputs, _detached)
            for name, metric in self.metrics.items():
                averages.sums[name] += float(metric(outputs, targets)) * rows

    def evaluate(
        self, loader: Iterable[Any], progress: Callable[[Any], Any] | None
    ) -> dict[str, float]:
        """Measure the model on every batch."""
        averages = self.averages()
        with _modes_kept(self.model), torch.no_grad():
            self.model.eval()
            for batch in progress(loader) if progress else loader:
                inputs, targets, rows = self.prepared(batch)
                if not rows:
                    continue
                outputs, loss = self.forward(inputs, targets)
                value = loss.item()
                if not math.isfinite(value):
                    cause = _cause(self, inputs, targets, outputs)
                    raise TrainingError(
                        f"the loss is {value} in evaluation. The first that is not "
                        f"finite is {cause}"
                    )
                self.measure(averages, outputs, targets, value, rows)
        return averages.means(self.processes)


@dataclass
class _Stepper:
    """Steps of the optimizer, each on a window of one or more batches."""

    task: _Task
    optimizer: Optimizer
    accumulate: int
    clip_grad_norm: float | None
    scaler: torch.amp.GradScaler | None = None
    scheduler: Any = None
    epoch_number: int = 1
    steps: int = 0
    watch: bool = True
    """Whether to look for shapes that broadcast in the loss: once is enough."""
    window: list[tuple[Any, Any, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        groups = self.optimizer.param_groups
        self.parameters = [p for group in groups for p in group["params"]]
        # Gradients could vanish in float16 alone.
        if self.scaler is None and self.task.autocast == torch.float16:
            self.scaler = torch.amp.GradScaler(self.task.place.type)

    def epoch(
        self,
        loader: Iterable[Any],
        averages: _Averages,
        progress: Callable[[Any], Any] | None,
        after_step: Callable[[], object],
    ) -> None:
        """Train on every batch once."""
        self.task.model.train()
        # Running statistics change in the forward pass, before a bad loss is known.
        buffers = [b for b in self.task.model.buffers() if not is_lazy(b)]
        first = self.task.processes.rank == 0
        for batch in progress(loader) if progress and first else loader:
            self.window.append(self.task.prepared(batch))
            if len(self.window) == self.accumulate:
                self.step(averages, buffers)
                after_step()
        if self.window:
            self.step(averages, buffers)
            after_step()

    def step(self, averages: _Averages, buffers: list[Tensor]) -> None:
        """Take one step, or raise and leave weights, buffers and optimizer alone."""
        kept = [buffer.clone() for buffer in buffers]
        try:
            self.gradients(averages)
            self.update()
        except BaseException:
            for buffer, old in zip(buffers, kept, strict=True):
                buffer.copy_(old)
            self.clear()
            raise
        self.steps += 1
        self.watch = False
        self.window.clear()

    def gradients(self, averages: _Averages) -> None:
        """Compute the gradients of the mean loss over the window."""
        self.clear()
        total = self.rows()
        for inputs, targets, rows in self.window:
            if not rows:  # this process has no share of a small batch
                continue
            outputs, loss = self.task.forward(inputs, targets, self.watch)
            if not loss.requires_grad:
                raise TrainingError(
                    "the loss does not depend on any parameter that learns: is it made "
                    "from argmax, .item(), .detach() or under torch.no_grad()?"
                )
            weighted = self.weighted(loss, rows, total)
            if self.scaler:
                weighted = self.scaler.scale(weighted)
            torch.autograd.backward(weighted)
            value = loss.item()
            if not math.isfinite(value):
                cause = _cause(self.task, inputs, targets, outputs)
                raise TrainingError(
                    f"the loss is {value} in {self.where()}. The first that is not "
                    f"finite is {cause}. Model and optimizer are as before this step"
                )
            self.task.measure(averages, outputs, targets, value, rows)
            self.loss = loss  # its graph, already freed, is reused by the next one

    def rows(self) -> int:
        """Return how many samples the window has."""
        return sum([rows for _, _, rows in self.window])

    def clear(self) -> None:
        """Do what ``optimizer.zero_grad()`` does, without a profiler's record of it."""
        for parameter in self.parameters:
            parameter.grad = None

    def weighted(self, loss: Tensor, rows: int, total: int) -> Tensor:
        """Return a batch's part of the loss whose gradient the step takes."""
        if self.task.sums:
            return loss
        if self.task.processes.average:  # divided when the others' samples are known
            return loss * rows
        return loss if rows == total else loss * (rows / total)

    def update(self) -> None:
        """Move the parameters, unless a scaler finds that the gradients overflowed."""
        processes = self.task.processes
        if processes.average:
            weight = 1 / processes.count if self.task.sums else self.rows()
            processes.average_gradients(self.parameters, weight)
        moved = True
        if self.scaler is None:
            self.clip()
            self.optimizer.step()
        else:
            self.scaler.unscale_(self.optimizer)
            self.clip()
            scale = self.scaler.get_scale()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            moved = self.scaler.get_scale() >= scale
        if self.scheduler is not None and moved:
            self.scheduler.step()

    def clip(self) -> None:
        """Scale large gradients down; a scaler deals with infinite ones itself."""
        if self.clip_grad_norm is None:
            return
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_grad_norm)
        if self.scaler is None and not math.isfinite(norm.item()):
            raise TrainingError(
                f"the norm of the gradients is {norm.item()} in {self.where()}, though "
                "the loss is finite: look for a root, a logarithm or a norm at 0"
            )

    def where(self) -> str:
        """Return the place in the run, for messages."""
        rate = float(self.optimizer.param_groups[0]["lr"])
        return (
            f"epoch {self.epoch_number}, step {self.steps + 1} (learning rate {rate:g})"
        )


@dataclass
class _Run:
    """A run of `fit`: what it goes over, how far it is, and what it has measured."""

    stepper: _Stepper
    train_loader: Any
    val_loader: Any
    schedulers: dict[str, Any]
    checkpoint: CheckpointFile | None
    patience: int | None
    on_step_end: Callable[[], object] | None
    on_epoch_end: Callable[[dict[str, Any]], object] | None
    progress: Callable[[Any], Any] | None
    epoch: int = 0
    history: History = field(default_factory=History)
    best: dict[str, Any] | None = None
    interrupted: bool = False
    gathered: list[Any] = field(default_factory=list)
    """By rank, the states that differ between processes, as last saved."""

    def __post_init__(self) -> None:
        self.task = self.stepper.task
        self.averages = self.task.averages()

    def one_epoch(self) -> None:
        """Train, validate, record and save."""
        self.stepper.epoch_number = self.epoch + 1
        _set_epoch(self.train_loader, self.epoch)
        try:
            self.stepper.epoch(
                self.train_loader, self.averages, self.progress, self.after_step
            )
        except Exception as error:
            if not self.interrupted:
                raise
            if not self.stepper.window:  # Ctrl-C ended the loader's workers
                self.save_midway()
                self.leave()
            raise KeyboardInterrupt from error
        self.task.processes.share(self.task.model)
        self.record()
        self.averages = self.task.averages()
        self.epoch += 1
        self.save()
        if self.on_epoch_end and self.task.processes.rank == 0:
            self.on_epoch_end(self.history[-1])
        self.leave()

    def leave(self) -> None:
        """End after Ctrl-C, once everything is saved."""
        if self.interrupted and self.checkpoint is not None:
            raise KeyboardInterrupt(
                f"saved in {self.checkpoint.path}, epoch {self.stepper.epoch_number}; "
                "the same call of fit goes on there"
            )

    def record(self) -> None:
        """Add a record to the history, and let the schedulers step."""
        _check_finite(self.task.model, self.stepper.where())
        rate = float(self.stepper.optimizer.param_groups[0]["lr"])
        means = {"train": self.averages.means(self.task.processes)}
        if self.val_loader is not None:
            means["val"] = self.task.evaluate(self.val_loader, None)
        record = {"epoch": self.epoch + 1, "lr": rate} | {
            f"{part}_{name}": value
            for part, values in means.items()
            for name, value in values.items()
        }
        if "epoch" in self.schedulers:
            self.schedulers["epoch"].step()
        if "plateau" in self.schedulers:
            self.schedulers["plateau"].step(record["val_loss"])
        self.history.append(record)
        if self.patience is not None and self.epochs_since_best() == 0:
            self.best = copy.deepcopy(self.task.model.state_dict())

    def epochs_since_best(self) -> int:
        """Return how long ago the validation loss had its first minimum."""
        losses: list[float] = self.history["val_loss"]
        return len(losses) - 1 - losses.index(min(losses))

    def out_of_patience(self) -> bool:
        """Tell whether the validation loss has not improved for too long."""
        if self.patience is None or not self.history:
            return False
        return self.epochs_since_best() >= self.patience

    def after_step(self) -> None:
        """Call the caller's function, and save where it is time to."""
        if self.on_step_end:
            self.on_step_end()
        if self.checkpoint is None:
            return
        every = self.checkpoint.every_steps
        if self.interrupted or (every and self.stepper.steps % every == 0):
            self.save_midway()
        self.leave()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the first Ctrl-C wait for the end of a step, if there is a checkpoint."""
        main = threading.current_thread() is threading.main_thread()
        alone = self.task.processes.count == 1
        usual = signal.getsignal(signal.SIGINT)
        if self.checkpoint is None or not (main and alone and callable(usual)):
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def objects(self) -> dict[str, Any]:
        """Return everything whose state makes up the run; the run itself is last."""
        model = self.task.model
        bare = model.module if isinstance(model, DistributedDataParallel) else model
        objects = {"model": bare, "optimizer": self.stepper.optimizer}
        if isinstance(self.task.loss_fn, nn.Module) and self.task.loss_fn.state_dict():
            objects["loss_fn"] = self.task.loss_fn
        if self.stepper.scaler:
            objects["scaler"] = self.stepper.scaler
        schedulers = {f"{when}_scheduler": s for when, s in self.schedulers.items()}
        return objects | schedulers | {"run": self}

    def own_parts(self) -> dict[str, Any]:
        """Return what differs between processes."""
        parts = {"train_loader": self.train_loader, "val_loader": self.val_loader}
        assert self.checkpoint is not None
        parts["random_state"] = self.checkpoint.random_state()
        return {name: part for name, part in parts.items() if part is not None}

    def save_midway(self) -> None:
        """Save in the middle of an epoch, unless the weights are broken."""
        _check_finite(self.task.model, self.stepper.where())
        self.save()

    def save(self) -> None:
        """Save the run, whose weights are known to be finite."""
        if self.checkpoint is None:
            return
        own = {name: part.state_dict() for name, part in self.own_parts().items()}
        own["averages"] = {"rows": self.averages.rows, "sums": dict(self.averages.sums)}
        self.gathered = self.task.processes.gather(own)
        if self.task.processes.rank == 0:
            self.checkpoint.save(**self.objects())

    def load(self) -> None:
        """Go on where the checkpoint ended."""
        assert self.checkpoint is not None
        try:
            self.checkpoint.load(**self.objects())
        except RuntimeError as error:
            error.add_note("call fit as before, or start anew with resume=False")
            raise

    def state_dict(self) -> dict[str, Any]:
        """Return how far the run is."""
        return {
            "objects": list(self.objects()),
            "processes": self.gathered,
            "epoch": self.epoch,
            "steps": self.stepper.steps,
            "measures": list(self.averages.sums),
            "loaders": list(self.own_parts()),
            "history": [dict(record) for record in self.history],
            "best": None if self.best is None else dict(self.best),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken, if the call of `fit` is the same."""
        for what, saved, given in [
            ("objects", state["objects"], list(self.objects())),
            ("processes", len(state["processes"]), self.task.processes.count),
            ("measures", state["measures"], list(self.averages.sums)),
            ("loaders", state["loaders"], list(self.own_parts())),
        ]:
            if saved != given:
                raise ValueError(
                    f"the checkpoint is of a run with the {what} {saved}; this call "
                    f"has {given}: call fit as before, or start anew with resume=False"
                )
        own = state["processes"][self.task.processes.rank]
        for name, part in self.own_parts().items():
            part.load_state_dict(own[name])
        self.epoch, self.stepper.steps = state["epoch"], state["steps"]
        self.averages = _Averages(**own["averages"])
        self.history, self.best = History(state["history"]), state["best"]


def _nothing() -> None:
    pass


def _task(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    metrics: Metrics | None,
    device: torch.device | str | None,
    autocast: torch.dtype | None,
) -> _Task:
    if isinstance(loss_fn, type) or not callable(loss_fn):
        raise TypeError(
            f"loss_fn is {_given(loss_fn)}; expected a callable, such as nn.MSELoss()"
        )
    if not isinstance(metrics or {}, Mapping):
        raise TypeError(
            f"metrics is {_given(metrics)}; expected names and functions, such as "
            "{'accuracy': accuracy}"
        )
    metrics = dict(metrics or {})
    if "loss" in metrics:
        raise ValueError("a metric is called 'loss', as the loss itself: rename it")
    autocast = _checked(autocast)
    place = _place(model, device)
    if device is not None and isinstance(loss_fn, nn.Module):
        loss_fn.to(device)  # its weights per class, say
    processes = _Processes(place, model)
    return _Task(model, loss_fn, metrics, place, autocast, processes)


def _place(model: nn.Module, device: torch.device | str | None) -> torch.device:
    """Return the device of a model, which moves there if one is given."""
    _check_type("model", model, nn.Module)
    if device is not None:
        model.to(device)
    tensor = next(chain(model.parameters(), model.buffers()), None)
    if tensor is None:
        return torch.empty(0, device=device).device
    return tensor.device


def _checked(autocast: torch.dtype | None) -> torch.dtype | None:
    """Return the dtype of mixed precision, if it is one that PyTorch mixes."""
    if autocast in (None, torch.bfloat16, torch.float16):
        return autocast
    raise ValueError(
        f"autocast is {autocast!r}; expected torch.bfloat16 or torch.float16"
    )


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Give every module its mode back, training or evaluation."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _set_epoch(loader: Any, epoch: int) -> None:
    """Tell a distributed sampler the epoch, without which each has the same order."""
    sampler = getattr(loader, "sampler", None)
    if sampler is not None and hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)


def _check_numbers(**numbers: Any) -> None:
    for name, value in numbers.items():
        if value is None and name == "patience":
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}; expected an int")
        if value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1")


def _check_type(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(
            f"{name} is {_given(value)}; expected a {kind.__module__}.{kind.__name__}"
        )


def _given(value: Any) -> str:
    """Return what a caller gave, in words."""
    if isinstance(value, type):
        return f"the class {value.__name__}, not an object made with it"
    return f"of type {type(value).__name__}"


def _check_clip(clip_grad_norm: Any) -> None:
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise ValueError(f"clip_grad_norm is {clip_grad_norm}; expected more than 0")


def _check_loader(name: str, loader: Any, epochs: int = 1) -> None:
    """Refuse what gives rows instead of batches, or nothing, or only one epoch."""
    if isinstance(loader, Tensor) or not isinstance(loader, Iterable):
        raise TypeError(
            f"{name} is a {type(loader).__name__}; expected an iterable of batches: "
            "make_loader(dataset, ...), a DataLoader, or a list of batches"
        )
    if _length(loader) == 0:
        raise TrainingError(f"{name}: {NO_BATCHES}")
    if isinstance(loader, Iterator) and epochs > 1:
        raise TypeError(
            f"{name} is an iterator, used up after one of {epochs} epochs; give a "
            "DataLoader, or list(...) of its batches"
        )


def _check_options(
    val_loader: Any, scheduler: Any, checkpoint: Any, patience: Any, progress: Any
) -> None:
    """Refuse options that do not fit together, or are not what they should be."""
    plateau = isinstance(scheduler, Mapping) and "plateau" in scheduler
    for name, given in {"patience": patience is not None, "plateau": plateau}.items():
        if given and val_loader is None:
            raise ValueError(f"{name} watches the validation loss: give a val_loader")
    if checkpoint is not None and not hasattr(checkpoint, "resumable"):
        raise TypeError(
            f"checkpoint is {checkpoint!r}; expected Checkpoint('run.pt') of "
            "snippets.checkpointing"
        )
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}; expected a function such as tqdm")


def _length(loader: Any) -> int | None:
    """Return how many batches there are, if the loader can tell."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


def _checked_schedulers(schedulers: Any, optimizer: Optimizer) -> dict[str, Any]:
    """Return the schedulers by when they step."""
    moments = ("step", "epoch", "plateau")
    if schedulers is None:
        return {}
    if not isinstance(schedulers, Mapping) or not set(schedulers) <= set(moments):
        mapping = isinstance(schedulers, Mapping)
        given = list(schedulers) if mapping else f"one {_given(schedulers)}"
        raise ValueError(
            "scheduler says when each one steps: {'step': ...}, {'epoch': ...} or "
            f"{{'plateau': ...}}; given: {given}"
        )
    for moment, scheduler in schedulers.items():
        if (moment == "plateau") != isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"scheduler[{moment!r}] is a {type(scheduler).__name__}; "
                "ReduceLROnPlateau belongs under 'plateau', all others do not"
            )
        if not hasattr(scheduler, "optimizer"):
            raise TypeError(
                f"scheduler[{moment!r}] is {_given(scheduler)}; expected an object of "
                "torch.optim.lr_scheduler"
            )
        if scheduler.optimizer is not optimizer:
            raise ValueError(f"scheduler[{moment!r}] was made for another optimizer")
    return dict(schedulers)


def _check_optimizer(
    model: nn.Module, loss_fn: Any, optimizer: Optimizer, device: Any
) -> None:
    """Refuse an optimizer that does not hold exactly the parameters that learn."""
    _check_type("model", model, nn.Module)
    _check_type("optimizer", optimizer, Optimizer)
    named = dict(model.named_parameters())
    if isinstance(loss_fn, nn.Module):
        named |= {f"loss_fn.{name}": p for name, p in loss_fn.named_parameters()}
    held = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    again = (
        f"make it after the model: {type(optimizer).__name__}(model.parameters(), ...)"
    )
    if not any(parameter.requires_grad for parameter in named.values()):
        raise TrainingError(
            f"nothing to train: the model has {len(named)} parameters, and none has "
            "requires_grad=True"
        )
    own = {id(parameter) for parameter in named.values()}
    foreign = [tuple(p.shape) for key, p in held.items() if key not in own]
    if foreign:
        raise TrainingError(
            f"{len(foreign)} of the {len(held)} parameters in the optimizer are not "
            f"the model's (shapes {foreign[:3]}): it was made for another model, or "
            f"before layers were replaced; {again}"
        )
    left_out = [n for n, p in named.items() if p.requires_grad and id(p) not in held]
    if left_out:
        raise TrainingError(
            f"the optimizer lacks {len(left_out)} parameters that learn (first: "
            f"{', '.join(left_out[:3])}): {again}, or freeze them with requires_grad_"
            "(False)"
        )
    if device is not None and optimizer.state:
        place = torch.empty(0, device=device).device
        if any(parameter.device != place for parameter in named.values()):
            raise TrainingError(
                f"the optimizer has state already, so the model cannot move to {place} "
                "now: move it before the optimizer is made"
            )


def _check_finite(model: nn.Module, where: str) -> None:
    """Refuse weights that a step with a NaN gradient has broken."""
    for name, parameter in model.named_parameters():
        if not _finite(parameter):
            raise TrainingError(
                f"parameter {name!r} is not finite before {where}: a gradient of the "
                "last step was not, though its loss was. Lower the learning rate, or "
                "set clip_grad_norm, which looks at the gradients. Nothing was saved"
            )


def _finite(tensor: Tensor) -> bool:
    if is_lazy(tensor):
        return True
    # A sum is several times faster; it may also overflow, which is no fault.
    values = tensor.detach()
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and not isinstance(value, PackedSequence)


def _split(batch: Any) -> tuple[Any, Any]:
    """Return the inputs and the targets of a batch."""
    if isinstance(batch, Mapping):
        keys = [key for key in batch if key in TARGET_KEYS]
        if len(keys) == 1 and len(batch) > 1:
            inputs = {key: value for key, value in batch.items() if key != keys[0]}
            one = len(inputs) == 1
            return (next(iter(inputs.values())) if one else inputs), batch[keys[0]]
        raise TrainingError(
            f"a batch is a mapping with the keys {list(batch)}; expected inputs and "
            f"one of {sorted(TARGET_KEYS)}"
        )
    if _is_sequence(batch) and len(batch) > 1:
        *inputs, targets = batch
        return (inputs[0] if len(inputs) == 1 else inputs), targets
    given = (
        f"{type(batch).__name__} of length {len(batch)}"
        if _is_sequence(batch)
        else (type(batch).__name__)
    )
    raise TrainingError(
        f"a batch is a {given}; expected (inputs, targets), or a mapping with one of "
        f"{sorted(TARGET_KEYS)}"
    )


def _inputs(batch: Any) -> Any:
    """Return the inputs of a batch that may have no targets."""
    if isinstance(batch, Mapping):
        if not TARGET_KEYS & batch.keys():
            return batch
    elif not _is_sequence(batch):
        return batch
    elif len(batch) == 1:
        return batch[0]
    return _split(batch)[0]


def _call(model: nn.Module, inputs: Any) -> Any:
    try:
        if isinstance(inputs, Tensor):
            return model(inputs)
        if isinstance(inputs, Mapping):
            return model(**inputs)
        return model(*inputs) if _is_sequence(inputs) else model(inputs)
    except RuntimeError as error:
        _explain_forward(model, inputs, error)
        raise


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to every leaf of nested tuples, lists and mappings."""
    if isinstance(value, Mapping):
        return {key: _map(part, function) for key, part in value.items()}
    if not _is_sequence(value):
        return function(value)
    parts = [_map(part, function) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _leaves(value: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and mappings."""
    found: list[Any] = []
    _map(value, found.append)
    return [leaf for leaf in found if isinstance(leaf, Tensor)]


def _to(value: Any, place: torch.device) -> Any:
    """Return a batch, or a part of one, on the model's device."""
    if not isinstance(value, Tensor):
        return _map(value, lambda leaf: _leaf_to(leaf, place))
    return value if value.device == place else _leaf_to(value, place)


def _leaf_to(leaf: Any, place: torch.device) -> Any:
    if not isinstance(leaf, (Tensor, PackedSequence)):
        return leaf
    device = leaf.data.device
    if device not in (place, torch.device("cpu")):
        raise TrainingError(
            f"a batch is on {device}, the model on {place}: move the model with "
            f"model.to({str(device)!r}) before the optimizer is made, or leave the "
            "data on the CPU"
        )
    moved: Any = leaf.to(place, non_blocking=True)  # type: ignore[arg-type]
    return moved


def _to_cpu(outputs: Any) -> Any:
    return _map(outputs, lambda leaf: leaf.cpu() if isinstance(leaf, Tensor) else leaf)


def _detached(leaf: Any) -> Any:
    return leaf.detach() if isinstance(leaf, Tensor) else leaf


def _concatenate(found: list[Any]) -> Any:
    """Join the outputs of batches, tensor by tensor."""
    first = found[0]
    if isinstance(first, Mapping):
        return {key: _concatenate([part[key] for part in found]) for key in first}
    if _is_sequence(first):
        parts = [_concatenate(list(part)) for part in zip(*found, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if not isinstance(first, Tensor) or not first.dim():
        given = "a tensor of shape ()" if isinstance(first, Tensor) else repr(first)
        raise TrainingError(
            f"the model returned {given} for a batch; expected tensors with a row for "
            "each sample"
        )
    return torch.cat(found)


def _rows(inputs: Any, targets: Any) -> int:
    """Return how many samples a batch has."""
    if isinstance(inputs, PackedSequence):
        return int(inputs.batch_sizes[0])
    for tensor in _leaves([targets, inputs]):
        if tensor.dim():
            return tensor.shape[0]
    if _leaves([targets, inputs]):
        raise TrainingError("a batch has no tensor with a batch dimension, as (N, ...)")
    raise TrainingError(
        f"a batch is made of {type(inputs).__name__} and {type(targets).__name__}; "
        "expected tensors of shape (N, ...): torch.as_tensor(...) makes them of arrays"
    )


def _check_match(kind: Any, loss_fn: Any, outputs: Any, targets: Any) -> None:
    """Refuse shapes that would broadcast, and targets out of range, before the loss."""
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        return
    if kind in SAME_SHAPE and outputs.shape != targets.shape:
        raise TrainingError(_mismatch(outputs, targets))
    if kind in SAME_SHAPE and not targets.is_floating_point():
        raise TrainingError(f"targets are {targets.dtype}; expected targets.float()")
    if kind in LOGITS:
        low, high = (value.item() for value in targets.aminmax())
        if low < 0 or high > 1:
            raise TrainingError(
                f"targets go from {low:g} to {high:g}; binary targets are 0 and 1, or "
                "a probability between"
            )
    if kind in CLASSES and (problem := _class_problem(loss_fn, outputs, targets)):
        raise TrainingError(problem)


def _mismatch(outputs: Tensor, targets: Tensor) -> str:
    advice = "give both the same shape"
    if outputs.squeeze().shape == targets.squeeze().shape:
        advice += (
            ": targets.reshape(-1, 1) in the dataset, or nn.Flatten(0) at the end of "
            "the model"
        )
    return (
        f"outputs have shape {tuple(outputs.shape)}, targets {tuple(targets.shape)}, "
        f"which the loss would compare crosswise; {advice}"
    )


def _warn_of_probabilities(kind: Any, outputs: Any) -> None:
    """Warn of a softmax or sigmoid before a loss that applies its own."""
    if not isinstance(outputs, Tensor) or outputs.numel() < 16:
        return  # few numbers may lie between 0 and 1 by chance
    if not 0 <= outputs.min() <= outputs.max() <= 1:
        return
    sums = outputs.sum(dim=1) if outputs.dim() > 1 else outputs
    if kind in LOGITS or (
        kind in SOFTMAX and sums.allclose(torch.ones_like(sums), 1e-3)
    ):
        warnings.warn(
            "the outputs look like probabilities, but this loss expects logits and "
            "makes probabilities of them itself: leave out the softmax or sigmoid at "
            "the end of the model",
            stacklevel=2,
        )


def _explain_forward(model: nn.Module, inputs: Any, error: Exception) -> None:
    """Raise a clearer error where dtypes differ, else note the shapes."""
    weights = next((p for p in model.parameters() if p.is_floating_point()), None)
    tensors = _leaves(inputs)
    unlike = [
        t.dtype for t in tensors if weights is not None and t.dtype != weights.dtype
    ]
    if unlike and "dtype" in str(error):
        assert weights is not None
        raise TrainingError(
            f"inputs are {unlike[0]}, the weights of the model {weights.dtype}: give "
            f"the dataset inputs.to({weights.dtype}); in NumPy, "
            f"array.astype({str(weights.dtype).removeprefix('torch.')!r})"
        ) from error
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
    error.add_note(
        f"inputs of shape {shapes}: trace_shapes(model, ...) of snippets.shapes names "
        "the layer that they do not fit"
    )


def _explain(
    kind: Any, loss_fn: Any, outputs: Any, targets: Any, error: Exception
) -> None:
    """Raise a clearer error where the cause is known, else note the shapes."""
    if isinstance(outputs, Tensor) and isinstance(targets, Tensor):
        problem = _class_problem(loss_fn, outputs, targets) if kind in CLASSES else None
        if problem:
            raise TrainingError(problem) from error
        error.add_note(
            f"outputs: {tuple(outputs.shape)}, {outputs.dtype}, {outputs.device}; "
            f"targets: {tuple(targets.shape)}, {targets.dtype}, {targets.device}"
        )


def _class_problem(loss_fn: Any, outputs: Tensor, targets: Tensor) -> str | None:
    """Return what is wrong with classes as targets of a loss, if something is."""
    if outputs.dim() < 2 or outputs.shape[1] == 1:
        return (
            f"outputs have shape {tuple(outputs.shape)}; expected (N, C), with an "
            "output for each of two classes or more. For one output and targets of 0 "
            "and 1 take nn.BCEWithLogitsLoss()"
        )
    expected = outputs.shape[:1] + outputs.shape[2:]  # (N, C, ...) -> (N, ...)
    if targets.is_floating_point() and targets.shape == outputs.shape:
        return None  # probabilities
    if targets.shape != expected:
        return (
            f"outputs have shape {tuple(outputs.shape)}, and targets "
            f"{tuple(targets.shape)}; expected a class for each sample, of shape "
            f"{tuple(expected)}"
        )
    if targets.dtype not in (torch.int64, torch.uint8):
        return (
            f"class targets are {targets.dtype}; expected torch.int64: targets.long()"
        )
    counted = targets[targets != getattr(loss_fn, "ignore_index", -100)]
    classes = outputs.shape[1]
    if counted.numel() and not 0 <= counted.min() <= counted.max() < classes:
        return (
            f"classes go from {counted.min()} to {counted.max()}, but the model has "
            f"{classes} outputs: expected 0 to {classes - 1}"
        )
    return None


class _NoBroadcast(torch.overrides.TorchFunctionMode):
    """Refuse an operation that crosses outputs (N, 1) with targets (N), or the like.

    It knows outputs by their gradient. The result has more elements than either.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tensors = [value for value in args if isinstance(value, Tensor)]
        if len(tensors) != 2 or tensors[0].shape == tensors[1].shape:
            return func(*args, **(kwargs or {}))
        first, second = sorted(tensors, key=lambda t: t.requires_grad, reverse=True)
        apart = first.requires_grad and not second.requires_grad
        alike = first.squeeze().shape == second.squeeze().shape
        if apart and alike and func in SAME_SHAPE:  # which would only warn
            raise TrainingError(_mismatch(first, second))
        result = func(*args, **(kwargs or {}))
        grown = isinstance(result, Tensor) and result.numel() > first.numel()
        if apart and alike and grown:
            raise TrainingError(_mismatch(first, second))
        return result


HUGE = 1e9
LOWER = "try a learning rate 10 times smaller, and inputs of mean 0 and deviation 1"


def _cause(task: _Task, inputs: Any, targets: Any, outputs: Any) -> str:
    """Say what the first value is that is not finite, in the order of computing."""
    model = task.model
    for name, parameter in model.named_parameters():
        if not _finite(parameter):
            return f"parameter {name!r}, which an earlier step broke: {LOWER}"
    for what, value in {"inputs": inputs, "targets": targets}.items():
        for tensor in _leaves(value):
            if not _finite(tensor):
                found = (~torch.isfinite(tensor)).nonzero()[0].tolist() or [0]
                return (
                    f"in the {what} of the batch, row {found[0]}: look for others in "
                    "all your data with torch.isfinite"
                )
    layer = _first_layer_not_finite(task, inputs, targets)
    if layer is not None:
        return f"the output of {layer}: {LOWER}"
    largest = max((leaf.abs().max().item() for leaf in _leaves(outputs)), default=0)
    if not largest < HUGE:
        return f"the loss itself, of outputs as large as {largest:.2g}: {LOWER}"
    return "the loss itself: look for a logarithm or a division by zero in it"


def _first_layer_not_finite(task: _Task, inputs: Any, targets: Any) -> str | None:
    """Run the model once more, and name the first module whose output is not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, arguments: Any, output: Any) -> None:
            if not all(map(_finite, _leaves(output))):
                found.append(f"{name or 'the model'} ({type(module).__name__})")

        return look

    handles = [
        module.register_forward_hook(watch(name))
        for name, module in task.model.named_modules()
    ]
    devices = [task.place] if task.place.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            task.forward(inputs, targets)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
