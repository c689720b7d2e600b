"""Keep a moving average of a model's weights, and evaluate with it.

The weights of the last step still carry its noise. An average over the last steps often
does better on new data, for the price of one more copy of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["ExponentialMovingAverage"]


class ExponentialMovingAverage:
    """An exponential moving average of the weights of a model in training.

    Each `update` moves the average a small part of the way to the present weights::

        average = decay * average + (1 - decay) * weights

    The first update copies the weights.

    Parameters
    ----------
    model : torch.nn.Module
        The model in training. It is kept, not copied; a copy of its weights is made.
    decay : float, optional
        From 0 (the average is the last weights) to below 1. About ``1 / (1 - decay)``
        past updates count: 1000 for the default of 0.999.
    warmup : bool, optional
        Let update number n use at most a decay of ``(n - 1) / n``. Until the two meet,
        after ``1 / (1 - decay)`` updates, the average is the plain mean of all weights
        so far, so that a short training is not tied to its first weights. False is what
        `torch.optim.swa_utils.AveragedModel` does with
        ``get_ema_multi_avg_fn(decay)``.
    use_buffers : bool, optional
        Also average the floating point buffers, such as the running statistics of batch
        normalization. False leaves every buffer as the model has it, and you may then
        want `torch.optim.swa_utils.update_bn` inside `averaged_weights`. Buffers and
        parameters of integers or bools are never averaged: there the model's own count.

    Attributes
    ----------
    model : torch.nn.Module
        The model.
    decay, warmup, use_buffers
        As given.
    updates : int
        How often `update` was called.

    Raises
    ------
    TypeError
        If ``model`` is not a `torch.nn.Module`.
    ValueError
        If ``decay`` is out of range, if the model has no floating point parameter, or
        if a lazy layer does not know its shape yet.

    Notes
    -----
    Averages of 16-bit and 8-bit weights are kept in float32: with a decay of 0.999, one
    step is too small for bfloat16 to notice. Other weights keep their dtype. The
    average follows a model that moves to another device or changes its dtype.

    A weight used in two places is averaged once. A frozen weight is averaged like any
    other, which changes nothing while it stays frozen. Layers added, removed or resized
    after the average was made are refused. A weight that becomes NaN stays NaN in the
    average, so look at the loss before you call `update`.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM Journal on Control and Optimization 30(4), 1992.

    A. Tarvainen and H. Valpola, "Mean teachers are better role models",
    https://arxiv.org/abs/1703.01780, 2017.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = ExponentialMovingAverage(model, decay=0.9)
    >>> for value in (1.0, 2.0, 6.0):  # what an optimizer might do
    ...     weight = nn.init.constant_(model.weight, value)
    ...     average.update()
    >>> with average.averaged_weights():
    ...     print(model(torch.ones(1)).item())
    3.0
    >>> print(model(torch.ones(1)).item())
    6.0
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        decay: float = 0.999,
        warmup: bool = True,
        use_buffers: bool = False,
    ) -> None:
        _check_model(model)
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}: give a number from 0 to below 1")
        self.model = model
        self.decay = decay
        self.warmup = warmup
        self.use_buffers = use_buffers
        self.updates = 0
        self._inside = False
        self._averages = {
            name: tensor.to(_average_dtype(tensor), copy=True)
            for name, tensor in self._weights().items()
        }

    def update(self) -> None:
        """Move the average toward the weights that the model has now.

        Call it after each step of the optimizer.

        Raises
        ------
        RuntimeError
            If weights were added, removed or resized since the average was made, or
            inside `averaged_weights`, where the model holds the average itself. The
            average is then unchanged.
        """
        self._refuse_inside("update")
        weights = self._matching_weights()
        self._averages = {
            name: average.to(weights[name].device, _average_dtype(weights[name]))
            for name, average in self._averages.items()
        }
        step = self._next_step()
        for name, average in self._averages.items():
            value = weights[name].to(average.dtype)
            # Even a whole step of lerp_ does not get away from inf or NaN.
            if step == 1:
                average.copy_(value)
            else:
                average.lerp_(value, step)
        self.updates += 1

    @contextmanager
    def averaged_weights(self) -> Iterator[nn.Module]:
        """Put the average into the model for a while: a context manager.

        On leaving, also after an error, the model gets back the trained weights and all
        of its buffers, bit for bit. The values change in place, so whoever holds the
        parameters (an optimizer, say) keeps holding them. Meanwhile there is one more
        copy of the weights in memory.

        Yields
        ------
        torch.nn.Module
            The model, holding the average.

        Raises
        ------
        RuntimeError
            If it is entered twice, or for a model that no longer fits; see `update`.

        Notes
        -----
        Enter it between the steps of a training, not between a forward pass and its
        backward pass, where autograd refuses weights that changed in between. What you
        train inside is lost on leaving.
        """
        self._refuse_inside("averaged_weights")
        weights = self._matching_weights()
        tensors, places = _tensors(self.model), _places(self.model)
        trained = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self._inside = True
        try:
            _copy_values(self._averages, weights)
            yield self.model
        finally:
            self._inside = False
            _copy_values(trained, tensors)
            _put_back(places)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later run needs to go on with the same average.

        Returns
        -------
        dict
            ``"updates"``, an int, and ``"averages"``, a dict of copies of the averages
            by the names of the parameters (and buffers). `torch.load` reads it with
            ``weights_only=True``. Decay and warm-up are not part of it.
        """
        averages = {name: average.clone() for name, average in self._averages.items()}
        return {"updates": self.updates, "averages": averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the average of an earlier `state_dict`.

        Everything is checked before anything is loaded. Values are copied to the
        devices and dtypes of this average.

        Parameters
        ----------
        state : collections.abc.Mapping
            What `state_dict` returned, for a model with the same names and shapes.

        Raises
        ------
        ValueError
            If it is no such state, or if names, shapes or kinds of numbers differ.
        RuntimeError
            If it is called inside `averaged_weights`.
        """
        self._refuse_inside("load_state_dict")
        updates, averages = _check_state(state)
        wrong = _differences(self._averages, averages)
        if wrong:
            raise ValueError(
                f"the state does not fit the model: {wrong}. "
                "Make the average with the same model and the same use_buffers"
            )
        self._averages = {
            name: averages[name].detach().to(average.device, average.dtype, copy=True)
            for name, average in self._averages.items()
        }
        self.updates = updates

    def _next_step(self) -> float:
        """Return which part of the way the next update goes."""
        if self.updates == 0:
            return 1.0
        step = 1 - self.decay
        return max(step, 1 / (self.updates + 1)) if self.warmup else step

    def _weights(self) -> dict[str, Tensor]:
        """Return what is averaged of the model, tied tensors once, without a graph."""
        buffers = self.model.named_buffers() if self.use_buffers else ()
        named = chain(self.model.named_parameters(), buffers)
        return {name: tensor.detach() for name, tensor in named if _is_averaged(tensor)}

    def _matching_weights(self) -> dict[str, Tensor]:
        """Return the weights if they fit the average."""
        weights = self._weights()
        wrong = _differences(self._averages, weights)
        if wrong:
            raise RuntimeError(
                f"the model changed since its average was made: {wrong}. "
                "Make a new ExponentialMovingAverage after changing the layers"
            )
        return weights

    def _refuse_inside(self, call: str) -> None:
        if self._inside:
            raise RuntimeError(
                f"{call}() inside averaged_weights(): the model holds the average "
                "now. Leave the with block first"
            )


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model is of type {type(model).__name__}: give the torch.nn.Module "
            "itself, not its parameters"
        )
    for name, tensor in _tensors(model).items():
        if is_lazy(tensor):
            raise ValueError(
                f"{name!r} has no shape yet: pass one batch through the model first"
            )
    if not any(_is_averaged(parameter) for parameter in model.parameters()):
        raise ValueError(
            f"{type(model).__name__} has no floating point parameter: there is nothing "
            "to average"
        )


def _check_state(state: Mapping[str, Any]) -> tuple[int, Mapping[str, Tensor]]:
    expected = {"updates", "averages"}
    if not isinstance(state, Mapping) or set(state) != expected:
        given = sorted(map(str, state)) if isinstance(state, Mapping) else type(state)
        raise ValueError(
            f"expected a state with {sorted(expected)}, got {given}: give what "
            "ExponentialMovingAverage.state_dict returned"
        )
    updates, averages = state["updates"], state["averages"]
    if type(updates) is not int or updates < 0:
        raise ValueError(f"updates is {updates!r}: expected an integer of 0 or more")
    if not isinstance(averages, Mapping):
        raise ValueError(f"averages is a {type(averages).__name__}: expected a dict")
    for name, tensor in averages.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"averages[{name!r}] is of type {type(tensor).__name__}: "
                "expected a tensor"
            )
    return updates, averages


def _differences(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Say how names, shapes and kinds of numbers differ; nothing if they do not."""
    missing = [repr(name) for name in expected if name not in given]
    unexpected = [repr(name) for name in given if name not in expected]
    unlike = [
        f"{name!r} is {_describe(given[name])}, expected {_describe(tensor)}"
        for name, tensor in expected.items()
        if name in given and _describe(given[name]) != _describe(tensor)
    ]
    parts = (("missing ", missing), ("unexpected ", unexpected), ("", unlike))
    return "; ".join(word + _first_few(names) for word, names in parts if names)


def _describe(tensor: Tensor) -> str:
    if tensor.is_complex():
        kind = "complex"
    else:
        kind = "floating point" if tensor.is_floating_point() else "integer"
    return f"{kind} of shape {tuple(tensor.shape)}"


def _first_few(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _is_averaged(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _average_dtype(tensor: Tensor) -> torch.dtype:
    if tensor.is_complex():
        return torch.promote_types(tensor.dtype, torch.complex64)
    # promote_types knows no 8-bit floats, and all of them fit into float32.
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _tensors(model: nn.Module, *, recurse: bool = True) -> dict[str, Tensor]:
    """Return parameters and buffers by name, tied ones once."""
    parameters = model.named_parameters(recurse=recurse)
    return dict(chain(parameters, model.named_buffers(recurse=recurse)))


def _places(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Return each parameter and buffer with the module that holds it, tied ones too."""
    return [
        (module, name, tensor)
        for module in model.modules()
        for name, tensor in _tensors(module, recurse=False).items()
    ]


def _put_back(places: list[tuple[nn.Module, str, Tensor]]) -> None:
    """Put tensors back where others took their place.

    A forward pass may do that with buffers, and so does moving the model: then they
    come back to where it moved. Parameters move by themselves.
    """
    for module, name, tensor in places:
        present = getattr(module, name)
        if present is not tensor:
            moved = isinstance(present, Tensor) and not isinstance(tensor, nn.Parameter)
            setattr(module, name, tensor.to(present) if moved else tensor)


def _copy_values(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, values in source.items():
            target[name].copy_(values)
