"""Learning rate schedules: warm up, then come down.

Each function returns the factor of the learning rate as a function of the step, for
`torch.optim.lr_scheduler.LambdaLR`. The schedule is saved with that scheduler's
``state_dict``, so that a resumed run goes on along the curve it began.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["inverse_square_root", "warmup_cosine", "warmup_linear"]


def warmup_cosine(
    *, warmup_steps: int, total_steps: int, final: float = 0.0
) -> Callable[[int], float]:
    """Return a schedule that warms up, then comes down along half a cosine.

    Step 0, the first update, has the factor ``1 / warmup_steps``; the last of the
    warm-up has 1. From step ``warmup_steps`` (again 1) on, the factor falls, slowly at
    both ends, to ``final`` at step ``total_steps``, and stays there.

    Parameters
    ----------
    warmup_steps : int
        Updates of the warm-up; 0 for none.
    total_steps : int
        All updates of the run, more than ``warmup_steps``.
    final : float, optional
        The factor at the end, from 0 to 1.

    Returns
    -------
    callable
        Takes the step, counted from 0, and returns a factor from 0 to 1. It can be
        pickled and compared.

    Raises
    ------
    TypeError
        If a number of steps is not a whole number.
    ValueError
        If a number is out of its range. The returned function refuses negative steps.

    Notes
    -----
    Call ``scheduler.step()`` after every update, not after every epoch.

    Some schedules begin with a factor of 0, and the first update changes nothing. Here
    updates are counted from 1 in the warm-up, as by Vaswani et al. (2017). No update of
    the run has the factor 0: step ``total_steps`` comes after the last one.

    The numbers of the schedule are part of ``LambdaLR.state_dict()``. When it is
    loaded, they replace those given now, as with torch's own schedulers.

    References
    ----------
    Loshchilov, Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts, 2016,
    https://arxiv.org/abs/1608.03983; Goyal et al.: Accurate, Large Minibatch SGD:
    Training ImageNet in 1 Hour, 2017, https://arxiv.org/abs/1706.02677

    Examples
    --------
    >>> factor = warmup_cosine(warmup_steps=2, total_steps=6)
    >>> [round(factor(step), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]

    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    >>> for _ in range(3):
    ...     print(f"{optimizer.param_groups[0]['lr']:.2f}")
    ...     optimizer.step()
    ...     scheduler.step()
    0.05
    0.10
    0.10
    """
    return _falling("cosine", warmup_steps, total_steps, final)


def warmup_linear(
    *, warmup_steps: int, total_steps: int, final: float = 0.0
) -> Callable[[int], float]:
    """Return a schedule that warms up, then comes down along a straight line.

    Step 0, the first update, has the factor ``1 / warmup_steps``; the last of the
    warm-up has 1. From step ``warmup_steps`` (again 1) on, the factor falls evenly to
    ``final`` at step ``total_steps``, and stays there.

    Parameters
    ----------
    warmup_steps : int
        Updates of the warm-up; 0 for none.
    total_steps : int
        All updates of the run, more than ``warmup_steps``.
    final : float, optional
        The factor at the end, from 0 to 1.

    Returns
    -------
    callable
        Takes the step, counted from 0, and returns a factor from 0 to 1. It can be
        pickled and compared.

    Raises
    ------
    TypeError
        If a number of steps is not a whole number.
    ValueError
        If a number is out of its range. The returned function refuses negative steps.

    See Also
    --------
    warmup_cosine : The notes there hold here too.

    References
    ----------
    Devlin, Chang, Lee, Toutanova: BERT: Pre-training of Deep Bidirectional Transformers
    for Language Understanding, 2018, https://arxiv.org/abs/1810.04805

    Examples
    --------
    >>> factor = warmup_linear(warmup_steps=2, total_steps=6, final=0.2)
    >>> [round(factor(step), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2]
    """
    return _falling("linear", warmup_steps, total_steps, final)


def inverse_square_root(*, warmup_steps: int) -> Callable[[int], float]:
    """Return a schedule that warms up, then falls as one over the square root.

    Update ``k``, counted from 1, has the factor ``k / warmup_steps`` up to the peak of
    1 at ``k = warmup_steps``, and ``sqrt(warmup_steps / k)`` from there on. It needs no
    end: four times as many updates halve the factor.

    Parameters
    ----------
    warmup_steps : int
        Updates of the warm-up, at least 1; 1 for none.

    Returns
    -------
    callable
        Takes the step, counted from 0 (``k - 1``), and returns a factor from 0 to 1. It
        can be pickled and compared.

    Raises
    ------
    TypeError
        If ``warmup_steps`` is not a whole number.
    ValueError
        If ``warmup_steps`` is less than 1. The returned function refuses negative
        steps.

    See Also
    --------
    warmup_cosine : The notes there hold here too.

    Notes
    -----
    The paper writes the rate itself, ``d_model**-0.5 * min(k**-0.5, k *
    warmup_steps**-1.5)``. Here the peak is 1, so the rate of the optimizer is the
    highest rate; the paper's is ``(d_model * warmup_steps) ** -0.5``.

    References
    ----------
    Vaswani et al.: Attention Is All You Need, 2017, section 5.3,
    https://arxiv.org/abs/1706.03762

    Examples
    --------
    >>> factor = inverse_square_root(warmup_steps=4)
    >>> [factor(step) for step in (0, 1, 2, 3, 15, 63)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """
    warmup_steps = _whole("warmup_steps", warmup_steps, at_least=1)
    return _Schedule("inverse_square_root", warmup_steps)


@dataclass(frozen=True)
class _Schedule:
    """A curve and its numbers.

    `torch.optim.lr_scheduler.LambdaLR` saves the attributes of an object, but nothing
    of a plain function. The name of the curve is among them, so that what was saved is
    the whole curve whatever it is loaded into.
    """

    curve: str
    warmup_steps: int
    total_steps: int = 0
    final: float = 0.0

    def __call__(self, step: int) -> float:
        if step < 0:
            raise ValueError(f"the step is {step}: steps are counted from 0")
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.curve == "inverse_square_root":
            return math.sqrt(self.warmup_steps / (step + 1))
        falling_steps = self.total_steps - self.warmup_steps
        way = min(1.0, (step - self.warmup_steps) / falling_steps)
        height = (
            (1 + math.cos(math.pi * way)) / 2 if self.curve == "cosine" else 1 - way
        )
        return self.final + (1 - self.final) * height


def _falling(
    curve: str, warmup_steps: int, total_steps: int, final: float
) -> _Schedule:
    warmup_steps = _whole("warmup_steps", warmup_steps, at_least=0)
    total_steps = _whole("total_steps", total_steps, at_least=1)
    if warmup_steps >= total_steps:
        raise ValueError(
            f"warmup_steps is {warmup_steps}, total_steps {total_steps}: expected "
            "fewer, so that steps are left to come down"
        )
    if not 0 <= final <= 1:
        raise ValueError(
            f"final is {final}: expected a factor from 0 to 1, not a learning rate"
        )
    return _Schedule(curve, warmup_steps, total_steps, float(final))


def _whole(name: str, number: int, *, at_least: int) -> int:
    """Return a plain integer, which a checkpoint can hold."""
    try:
        whole = operator.index(number)
    except TypeError as error:
        raise TypeError(
            f"{name} is {number!r}: expected a whole number of updates. Use // or round"
        ) from error
    if whole < at_least:
        raise ValueError(f"{name} is {whole}: expected at least {at_least}")
    return whole
