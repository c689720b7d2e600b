"""Focal loss: cross-entropy that spends less on what is already learned.

Two functions, as torch has two kinds of cross-entropy: `focal_loss` where one of many
classes is right, `binary_focal_loss` for independent yes-or-no questions. Each is its
torch counterpart times ``(1 - p) ** gamma``, where ``p`` is the probability given to
the right answer.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["binary_focal_loss", "focal_loss"]


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Return the focal loss where one of many classes is right.

    It is `torch.nn.functional.cross_entropy` with one option more: all other options
    mean what they mean there, and with ``gamma=0`` it is that function.

    Parameters
    ----------
    logits : torch.Tensor
        Scores before softmax, shape (N, C, ...) or (C,), floating point. Half precision
        is computed in float32.
    target : torch.Tensor
        The right class of each position, shape (N, ...) or (), int64, from 0 to C - 1,
        or ``ignore_index``.
    gamma : float, optional
        How fast the loss fades where the right class is already likely; 0 for not at
        all.
    weight : torch.Tensor, optional
        A factor for each class, shape (C,), floating point.
    ignore_index : int, optional
        Positions with this target count for nothing.
    label_smoothing : float, optional
        From 0 to 1: the share of each target that is spread over all classes.
    reduction : str, optional
        ``"mean"`` divides by the weights of the targets, as torch does; ``"sum"``;
        ``"none"`` for one loss a position.

    Returns
    -------
    torch.Tensor
        A scalar, or with ``"none"`` the shape of ``target``. The dtype is that of
        ``logits``, under `torch.autocast` float32: that of torch's own loss.

    Raises
    ------
    TypeError
        If ``logits`` or ``weight`` is not floating point or ``target`` is not int64.
    ValueError
        If shapes do not fit each other, if an option is out of its range, or, on the
        CPU, if a target is not a class.

    See Also
    --------
    binary_focal_loss : For yes-or-no questions, with targets between 0 and 1.

    Notes
    -----
    With :math:`p_c` the probability of class :math:`c` by softmax, :math:`q_c` the
    target (1 for the right class, smoothed where asked for) and :math:`w_c` the weight:

    .. math:: -\sum_c w_c \, q_c \, (1 - p_c)^\gamma \log p_c

    If every target is ignored, the mean is 0 / 0: NaN, with a gradient of zero, as in
    torch. To look for that, or for a target out of range, would make the program wait
    for an accelerator, so it is not done there: out of range, the accelerator's own
    kernel decides, as in torch. On CUDA that is a device-side assertion.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, 2017,
    https://arxiv.org/abs/1708.02002

    Examples
    --------
    The first is nearly learned. Focal loss leaves almost all to the second:

    >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> target = torch.tensor([0, 1])
    >>> torch.nn.functional.cross_entropy(logits, target, reduction="none")
    tensor([0.2395, 1.0986])
    >>> focal_loss(logits, target, reduction="none")
    tensor([0.0109, 0.4883])
    """
    _check_options(gamma, reduction)
    _check_classes(logits, target, weight, label_smoothing)
    options = weight, ignore_index, label_smoothing, reduction
    try:
        return _focal_loss(logits, target, float(gamma), *options)
    except IndexError as error:  # torch has looked already: no second look, no waiting
        raise ValueError(
            f"a target is no class: {error} Expected class numbers from 0 to "
            f"{logits.shape[_class_dim(logits)] - 1}, or ignore_index {ignore_index}"
        ) from error


def binary_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Return the focal loss of independent yes-or-no questions.

    It is `torch.nn.functional.binary_cross_entropy_with_logits` with ``gamma``: with
    ``gamma=0`` and no ``alpha`` it is that function.

    Parameters
    ----------
    logits : torch.Tensor
        Scores before the sigmoid, any shape, floating point. Half precision is computed
        in float32.
    target : torch.Tensor
        From 0 for no to 1 for yes, shape of ``logits``, floating point.
    gamma : float, optional
        How fast the loss fades where the answer is already likely; 0 for not at all.
    alpha : float or torch.Tensor, optional
        From 0 to 1: the weight of yes; that of no is ``1 - alpha``. The paper uses
        0.25. A tensor, such as one number for each question, is broadcast to the shape
        of ``logits``. Left out, both weigh 1.
    reduction : str, optional
        ``"mean"`` over all elements, ``"sum"``, or ``"none"`` for one loss an element.

    Returns
    -------
    torch.Tensor
        A scalar, or with ``"none"`` the shape of ``logits``. The dtype is that of
        ``logits``, under `torch.autocast` float32: that of torch's own loss.

    Raises
    ------
    TypeError
        If ``logits`` or ``target`` is not floating point.
    ValueError
        If shapes do not fit each other, if an option is out of its range, or, on the
        CPU, if a target is not from 0 to 1.

    See Also
    --------
    focal_loss : Where one of many classes is right, with class numbers as targets.

    Notes
    -----
    With :math:`p` the sigmoid of the logit and :math:`y` the target:

    .. math::

       -\alpha \, y \, (1 - p)^\gamma \log p
       - (1 - \alpha) (1 - y) \, p^\gamma \log (1 - p)

    The paper divides the sum by the number of boxes that hold an object, not by that of
    all elements: use ``reduction="sum"`` and divide.

    To look at the values of targets on an accelerator would make the program wait for
    it, so the range of targets is checked on the CPU only. The values of ``alpha`` are
    checked if it is a number.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, 2017,
    https://arxiv.org/abs/1708.02002

    Examples
    --------
    >>> logits = torch.tensor([2.0, 0.0])
    >>> binary_focal_loss(logits, torch.tensor([1.0, 1.0]), reduction="none")
    tensor([0.0018, 0.1733])
    """
    _check_options(gamma, reduction)
    _check_answers(logits, target, alpha)
    if gamma == 0 and alpha is None:
        target = target.to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, target, reduction=reduction)
    wide, answer = (tensor.to(_wide_dtype(logits)) for tensor in (logits, target))
    yes = answer * _fade(-F.logsigmoid(wide), gamma)
    no = (1 - answer) * _fade(-F.logsigmoid(-wide), gamma)
    loss = yes + no if alpha is None else alpha * yes + (1 - alpha) * no
    if reduction != "none":
        loss = loss.mean() if reduction == "mean" else loss.sum()
    return loss.to(_result_dtype(logits))


def _focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Tensor:
    """Compute `focal_loss` of what has been checked."""
    if gamma == 0:
        return F.cross_entropy(
            logits,
            target,
            weight=None if weight is None else weight.to(logits.dtype),
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )
    class_dim = _class_dim(logits)
    log_p = F.log_softmax(logits, class_dim, dtype=_wide_dtype(logits))
    loss = F.nll_loss(log_p, target, ignore_index=ignore_index, reduction="none")
    loss = _fade(loss, gamma)
    counted = target != ignore_index
    share = counted
    if weight is not None:
        weight = weight.to(loss.dtype)
        share = counted * weight[torch.where(counted, target, 0)]
        loss = share * loss
    if label_smoothing:
        spread = _fade(-log_p, gamma).movedim(class_dim, -1)
        spread = (spread if weight is None else spread * weight).mean(-1)
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    # Last, so that ignored positions have a gradient of zero even if the mean is NaN.
    loss = torch.where(counted, loss, 0)
    if reduction != "none":
        loss = loss.sum() / share.sum() if reduction == "mean" else loss.sum()
    return loss.to(_result_dtype(logits))


def _fade(surprise: Tensor, gamma: float) -> Tensor:
    """Return ``surprise * (1 - p) ** gamma``, where the surprise is ``-log(p)``.

    Outside the clamp the factor is 0 or 1 to the last digit, and its gradient, which
    would be infinite (gamma below 1, p at 1) or NaN (p at 0), is cut off.
    """
    tiny = torch.finfo(surprise.dtype).tiny
    rest = -torch.expm1(-surprise.clamp(tiny, -math.log(tiny)))  # 1 - p, all digits
    return surprise * rest**gamma


def _class_dim(logits: Tensor) -> int:
    return min(1, logits.dim() - 1)


def _wide_dtype(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


def _result_dtype(logits: Tensor) -> torch.dtype:
    """Return the dtype that torch's own losses have here."""
    device = logits.device.type
    if device != "meta" and torch.is_autocast_enabled(device):  # meta has no autocast
        return _wide_dtype(logits)
    return logits.dtype


def _check_options(gamma: float, reduction: str) -> None:
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma is {gamma}: expected a number of 0 or more")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"reduction is {reduction!r}: expected 'mean', 'sum' or 'none'"
        )


def _check_classes(
    logits: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float
) -> None:
    """Refuse what does not fit, without looking at values."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}: expected 0 to 1")
    if not logits.is_floating_point():
        raise TypeError(f"logits are {logits.dtype}: expected floating point")
    if target.dtype != torch.int64:
        raise TypeError(
            f"targets are {target.dtype}: expected class numbers, torch.int64. Convert "
            "whole numbers with target.long(); for yes-or-no questions use "
            "binary_focal_loss"
        )
    if logits.dim() == 0:
        raise ValueError("logits have no dimension: expected shape (N, C, ...) or (C,)")
    sizes = list(logits.shape)
    classes = sizes.pop(_class_dim(logits))
    if list(target.shape) != sizes:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)}, classes in dimension "
            f"{_class_dim(logits)}, need targets of shape {tuple(sizes)}, got "
            f"{tuple(target.shape)}. Give one class number for each position"
        )
    _check_weight(weight, classes)


def _check_weight(weight: Tensor | None, classes: int) -> None:
    if weight is None:
        return
    if not weight.is_floating_point():
        raise TypeError(f"weight is {weight.dtype}: expected floating point")
    if weight.shape != (classes,):
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}: expected ({classes},), one "
            "number for each class"
        )


def _check_answers(
    logits: Tensor, target: Tensor, alpha: float | Tensor | None
) -> None:
    """Refuse what does not fit, looking at values on the CPU only."""
    for name, tensor in ("logits", logits), ("targets", target):
        if not tensor.is_floating_point():
            raise TypeError(
                f"{name} are {tensor.dtype}: expected floating point. For yes-or-no "
                "use target.to(logits.dtype); for class numbers use focal_loss"
            )
    if target.shape != logits.shape:
        raise ValueError(
            f"targets have shape {tuple(target.shape)}, logits "
            f"{tuple(logits.shape)}: give one target for each logit"
        )
    _check_alpha(alpha, logits)
    if not _within_0_and_1(target):
        raise ValueError("a target is not from 0 to 1: expected 0 for no, 1 for yes")


def _check_alpha(alpha: float | Tensor | None, logits: Tensor) -> None:
    if isinstance(alpha, Tensor):
        sizes = list(zip(reversed(alpha.shape), reversed(logits.shape), strict=False))
        if alpha.dim() > logits.dim() or any(a not in (1, size) for a, size in sizes):
            raise ValueError(
                f"alpha has shape {tuple(alpha.shape)}, which does not broadcast to "
                f"the {tuple(logits.shape)} of the logits"
            )
    elif alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: expected a number from 0 to 1")


def _within_0_and_1(target: Tensor) -> bool:
    """Return False if a value, known without waiting, is not from 0 to 1."""
    if target.device.type != "cpu" or torch.compiler.is_compiling():
        return True
    try:
        return bool(((target >= 0) & (target <= 1)).all())
    except RuntimeError:  # inside torch.func.vmap no value can be looked at
        return True
