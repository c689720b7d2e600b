"""Fine-tune a model that exists: freeze, put in a new head, train the old part slower.

A frozen part stays as it is in every way: no parameter moves, no running statistics
drift and no dropout falls, also after ``model.train()``. The *head* of a classifier is
the layer that gives its scores, one a class; models with auxiliary outputs have more.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import AdamW, Optimizer

__all__ = ["fine_tune", "freeze", "param_groups", "replace_head", "unfreeze"]


def freeze(
    model: nn.Module, *names: str, optimizer: Optimizer | None = None
) -> list[str]:
    """Keep parts of a model from changing, until `unfreeze`.

    Their parameters ask for no gradient and lose the one they have. The modules stay in
    evaluation mode, whatever mode you put the model in: batch normalization keeps its
    running statistics and dropout passes everything, so the frozen part computes the
    same in training and in evaluation.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place. No module is swapped, and the ``state_dict`` has the same keys
        and values. The freezing goes along with `copy.deepcopy`, pickling and
        `torch.nn.Module.to`, but not into a ``state_dict``.
    *names : str
        Dotted paths of modules, such as ``"layer1.0"``, or of parameters, such as
        ``"head.weight"``; none for the whole model. A parameter's path freezes this
        parameter alone, and no mode.
    optimizer : torch.optim.Optimizer, optional
        When you freeze in the middle of a training, its optimizer. What it remembers of
        the frozen parameters, such as their momentum, is dropped. Otherwise that waits,
        and pushes in an old direction once you unfreeze.

    Returns
    -------
    list of str
        The frozen parameters, in the model's order. A parameter shared with another
        part of the model is frozen there too, and listed under every name it has.

    Raises
    ------
    ValueError
        If a name is unknown; the message lists near ones. If a lazy layer does not know
        its shape yet. Nothing is changed.
    TypeError
        If ``model`` is no module, or a name not a string. Nothing is changed.

    Notes
    -----
    ``requires_grad_(False)`` alone leaves running statistics drifting. And a gradient
    that is left over counts: zeros instead of None let an optimizer's momentum and
    weight decay go on moving the parameter. `torch.optim.LBFGS` updates all parameters
    along one common direction: make a new one after freezing.

    Each frozen module gets a ``train`` method of its own, which holds the mode. Code
    that sets ``module.training`` itself goes past it, and
    `torch.optim.swa_utils.update_bn` resets statistics in any mode. Calls that make new
    modules of old ones, such as ``SyncBatchNorm.convert_sync_batchnorm`` and
    ``torch.jit.script``, lose it: freeze afterward. Freeze before you wrap a model in
    `torch.nn.parallel.DistributedDataParallel`. Loading a frozen model that was pickled
    whole needs this file. A frozen model that you delete gives its memory back when
    ``gc.collect()`` runs next.

    On an NVIDIA GPU, cuDNN has no backward pass through recurrent layers in evaluation
    mode. It is needed only if something below a frozen one is still trained.

    References
    ----------
    https://docs.pytorch.org/docs/stable/notes/autograd.html, on evaluation mode and on
    ``requires_grad``

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    >>> freeze(model, "0", "1")
    ['0.weight', '0.bias', '1.weight', '1.bias']
    >>> _ = model.train()(torch.randn(16, 4))
    >>> model[1].num_batches_tracked.item()
    0
    """
    modules, parameters = _parts(model, names)
    _freeze(modules, parameters, optimizer)
    return _names(model, parameters)


def unfreeze(model: nn.Module, *names: str) -> list[str]:
    """Let parts of a model change again.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    *names : str
        As for `freeze`; none for the whole model.

    Returns
    -------
    list of str
        The parameters that can now be trained: every one in the named parts, also if it
        was not `freeze` that froze it, but no integer ones.

    Raises
    ------
    ValueError
        If a name is unknown; the message lists near ones. If a lazy layer does not know
        its shape yet. Nothing is changed.
    TypeError
        If ``model`` is no module, or a name not a string. Nothing is changed.

    Notes
    -----
    The modules follow the model's mode again, and so do the modules around them: after
    ``freeze(model)`` and ``unfreeze(model, "fc")`` the model itself and ``fc`` are in
    the mode that you put the model in, and all else stays in evaluation mode.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 2))
    >>> _ = freeze(model)
    >>> unfreeze(model, "2")
    ['2.weight', '2.bias']
    >>> [module.training for module in (model, *model)]
    [True, False, False, True]
    """
    modules, parameters = _parts(model, names)
    parameters = [each for each in parameters if _can_train(each)]
    _unfreeze(model, modules, parameters)
    return _names(model, parameters)


def replace_head(model: nn.Module, num_classes: int, *names: str) -> list[str]:
    """Put in a new, untrained head for another number of classes.

    Without names, the last `torch.nn.Linear` or `torch.nn.Conv2d`, in the order of
    ``model.modules()``, tells the old number of classes, and every one with that many
    outputs is a head. This finds all heads of torchvision's 80 classifiers, auxiliary
    ones included.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    num_classes : int
        Outputs of the new head, also if the old one has as many.
    *names : str
        Dotted paths of the layers to replace, if you would rather say than search.

    Returns
    -------
    list of str
        The paths of the replaced layers.

    Raises
    ------
    ValueError
        If ``num_classes`` is below 1; if no head is found, or the number of outputs is
        also what another layer takes in, so that it may be a hidden size; if a name is
        unknown, or no Linear or Conv2d; if the model is itself the layer. Nothing is
        changed.
    TypeError
        If ``model`` is no module, or ``num_classes`` no integer. Nothing is changed.

    Notes
    -----
    A new head is a plain Linear or Conv2d with the old one's inputs, bias or none,
    kernel, stride, padding, groups, device, dtype and mode, in torch's default
    initialization: call `torch.manual_seed` to get the same one again. It can be
    trained also if the old one was frozen, and what was tied to the old weights keeps
    them. Make the optimizer afterward: an earlier one holds the old head. Attributes
    such as ``model.num_classes`` stay as they are.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> replace_head(model, 3)
    ['2']
    >>> model[-1]
    Linear(in_features=8, out_features=3, bias=True)
    """
    _check_model(model)
    try:
        num_classes = operator.index(num_classes)
    except TypeError as error:
        raise TypeError(
            f"num_classes is of type {type(num_classes).__name__}: give an integer"
        ) from error
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}: give 1 or more")
    heads = _heads(model, names)
    if "" in heads:
        raise ValueError(
            f"the model is itself a {type(model).__name__}, and cannot be replaced in "
            "place: make a new one"
        )
    new = {layer: _new_layer(layer, num_classes) for layer in heads.values()}
    _unfreeze(model, new, ())
    for path, layer in heads.items():
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, new[layer].train(layer.training))
    return list(heads)


def param_groups(
    model: nn.Module,
    *,
    lr: float,
    head_lr: float | None = None,
    layer_decay: float | None = None,
    weight_decay: float = 0.0,
    head: str | Iterable[str] = (),
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer: old layers slower, the head faster.

    Parameters
    ----------
    model : torch.nn.Module
        Its trainable parameters are grouped, each once; frozen ones are left out.
    lr : float
        Learning rate, more than 0.
    head_lr : float, optional
        Learning rate of the head; ``lr`` if it is not given.
    layer_decay : float, optional
        Above 0, at most 1: the block just below the head has the learning rate ``lr *
        layer_decay``, the one below that ``lr * layer_decay**2``, and so on.
    weight_decay : float, optional
        For weights alone: parameters with at most one dimension, which biases and the
        scales of norms are, and all parameters of LayerNorm and RMSNorm get 0.
    head : str or tuple of str, optional
        Dotted paths of the head, if you would rather say than search as `replace_head`
        does.

    Returns
    -------
    list of dict
        One a learning rate and weight decay, from the input to the head, with the keys
        ``"params"``, ``"lr"``, ``"weight_decay"`` and, for you to read, ``"name"``.

    Raises
    ------
    ValueError
        If a number is out of its range, if nothing is trainable, if ``head_lr`` is
        given and the head is frozen, or if no head is found where ``head_lr`` or
        ``layer_decay`` needs one.
    TypeError
        If ``model`` is no module, or ``head`` no path.

    Notes
    -----
    Blocks are found in the order in which modules were registered. A block is opened
    into smaller ones if it is a `torch.nn.Sequential` or `torch.nn.ModuleList`, if it
    has a ModuleList as a child, or if it holds more than half of the model's parameters
    (counting tensors, not numbers). What has no weights of two dimensions, such as a
    norm between blocks, and what an opened block holds itself, such as a position
    encoding, goes with the block before it. Blocks that are all frozen do not count.

    A parameter that is used in two places is in the group of the first, or of the head.

    References
    ----------
    J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text
    Classification", https://arxiv.org/abs/1801.06146, 2018 (slower lower layers).

    K. Clark, M.-T. Luong, Q. V. Le and C. D. Manning, "ELECTRA: Pre-training Text
    Encoders as Discriminators Rather Than Generators",
    https://arxiv.org/abs/2003.10555, 2020 (one decay for each layer).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
    >>> _ = model.append(nn.Linear(8, 2))
    >>> groups = param_groups(model, lr=0.01, layer_decay=0.5, head_lr=0.1)
    >>> for group in groups:
    ...     print(group["name"], group["lr"])
    0 0.0025
    2 0.005
    head 0.1
    """
    _check_model(model)
    _check_rates(lr, head_lr, layer_decay, weight_decay)
    trainable = {each for each in model.parameters() if each.requires_grad}
    if not trainable:
        raise ValueError("nothing is trainable: unfreeze a part of the model first")
    _refuse_lazy(model, model.parameters())
    heads: list[nn.Parameter] = []
    if head_lr is not None or layer_decay is not None:
        heads = _parts(model, _head_paths(model, head))[1]
    levels = _levels(model, set(heads), trainable)
    heads = [each for each in heads if each in trainable]
    if head_lr is not None and not heads:
        raise ValueError("head_lr is given, but the head is frozen: unfreeze it first")
    if layer_decay is None:
        below = [each for _, parameters in levels for each in parameters]
        rates = [("below the head" if heads else "all layers", lr, below)]
    else:
        rates = [
            (name, lr * layer_decay ** (len(levels) - place), parameters)
            for place, (name, parameters) in enumerate(levels)
        ]
    rates.append(("head", head_lr or lr, heads))
    return _groups(rates, weight_decay, _norm_parameters(model))


def fine_tune(
    model: nn.Module,
    num_classes: int | None,
    loop: Callable[[nn.Module, Optimizer], Any],
    *,
    head_lr: float,
    lr: float | None = None,
    layer_decay: float | None = None,
    weight_decay: float = 0.0,
    optimizer: Callable[[list[dict[str, Any]]], Optimizer] = AdamW,
    head: str | Iterable[str] = (),
) -> list[Any]:
    """Train a new head on a frozen model, then, if you like, all of it, slower.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    num_classes : int or None
        Outputs of the new head; None keeps the head that is there.
    loop : callable
        Your training loop: ``loop(model, optimizer)`` trains the model in place.
    head_lr : float
        Learning rate of the head, each time.
    lr : float, optional
        If it is given, ``loop`` is called once more with all trainable, the layers
        below the head with this learning rate, as a rule a tenth or less of
        ``head_lr``.
    layer_decay, weight_decay : float, optional
        As for `param_groups`; ``layer_decay`` needs ``lr``.
    optimizer : callable, optional
        Makes a new optimizer of parameter groups, each time: a class, or a
        ``lambda groups: SGD(groups, momentum=0.9)``.
    head : str or tuple of str, optional
        Dotted paths of the head, if you would rather say than search as `replace_head`
        does.

    Returns
    -------
    list
        What ``loop`` returned, one for each call.

    Raises
    ------
    ValueError
        As `replace_head` and `param_groups` do, for ``layer_decay`` without ``lr``, and
        if ``lr`` is given and all below the head was frozen before. Nothing is changed.
    TypeError
        If ``model`` is no module, ``head`` no path, or ``loop`` or ``optimizer``
        cannot be called. Nothing is changed.

    Notes
    -----
    Without ``lr``, all but the head is frozen at the end: ``unfreeze(model)`` thaws it.
    What you froze before stays frozen. In the first call dropout below the head is off,
    as all of that part is in evaluation mode. An error in ``loop`` goes through and
    leaves the model as it is at that moment: with the new head, and in the first call
    with all else frozen.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> inputs, targets = torch.randn(32, 4), torch.randint(3, (32,))
    >>> def loop(model, optimizer):
    ...     for _ in range(5):
    ...         optimizer.zero_grad()
    ...         nn.functional.cross_entropy(model(inputs), targets).backward()
    ...         optimizer.step()
    ...     return [group["name"] for group in optimizer.param_groups]
    >>> fine_tune(model, 3, loop, head_lr=1e-3, lr=1e-4)
    [['head'], ['below the head', 'head']]
    """
    _check_rates(head_lr, lr, layer_decay, weight_decay)
    _check_calls(loop, optimizer)
    paths = _head_paths(model, head)
    if lr is None and layer_decay is not None:
        raise ValueError("layer_decay is for the layers below the head: give lr, too")
    if lr is not None and not _below(model, paths)[1]:
        raise ValueError(
            "lr is given, but all below the head is frozen: unfreeze(model) first"
        )
    if num_classes is None:
        unfreeze(model, *paths)
    else:
        replace_head(model, num_classes, *paths)
    modules, parameters = _below(model, paths)
    _freeze(modules, parameters)
    options: dict[str, Any] = {"head_lr": head_lr, "weight_decay": weight_decay}
    groups = param_groups(model, lr=head_lr, head=paths, **options)
    results = [loop(model, optimizer(groups))]
    if lr is not None:
        _unfreeze(model, modules, parameters)
        options |= {"lr": lr, "layer_decay": layer_decay}
        groups = param_groups(model, head=paths, **options)
        results.append(loop(model, optimizer(groups)))
    return results


class _StayInEvaluation:
    """What a frozen module has in place of its ``train`` method.

    As an attribute of the module it goes along when the module is copied or pickled.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.mode = module.training

    def __call__(self, mode: bool = True) -> nn.Module:
        self.mode = mode
        self.module.training = False
        for child in self.module.children():
            child.train(mode)
        return self.module


def _is_held(module: nn.Module) -> bool:
    return isinstance(module.__dict__.get("train"), _StayInEvaluation)


def _freeze(
    modules: Iterable[nn.Module],
    parameters: Iterable[nn.Parameter],
    optimizer: Optimizer | None = None,
) -> None:
    for parameter in parameters:
        if optimizer is not None:
            optimizer.state.pop(parameter, None)
        parameter.requires_grad_(False)
        parameter.grad = None
    for module in modules:
        if not _is_held(module):
            module.__dict__["train"] = _StayInEvaluation(module)
        module.training = False


def _unfreeze(
    model: nn.Module,
    modules: Iterable[nn.Module],
    parameters: Iterable[nn.Parameter],
) -> None:
    """Let parameters, modules and the modules around those go."""
    for parameter in parameters:
        parameter.requires_grad_(True)
    mode = model.__dict__["train"].mode if _is_held(model) else model.training
    inner = set(modules)
    for module in model.modules():
        if _is_held(module) and not inner.isdisjoint(module.modules()):
            del module.__dict__["train"]
            module.training = mode


def _can_train(parameter: nn.Parameter) -> bool:
    return parameter.is_floating_point() or parameter.is_complex()


def _parts(
    model: nn.Module, names: Iterable[str]
) -> tuple[list[nn.Module], list[nn.Parameter]]:
    """Return all modules and parameters in the named parts, each once."""
    _check_model(model)
    known: dict[str, nn.Module | nn.Parameter] = {
        **dict(model.named_modules(remove_duplicate=False)),
        **dict(model.named_parameters(remove_duplicate=False)),
    }
    parts = [_look_up(model, name, known) for name in names] or [model]
    modules: dict[nn.Module, None] = {}
    parameters: dict[nn.Parameter, None] = {}
    for part in parts:
        if isinstance(part, nn.Module):
            modules |= dict.fromkeys(part.modules())
            parameters |= dict.fromkeys(part.parameters())
        else:
            parameters[part] = None
    _refuse_lazy(model, parameters)
    return list(modules), list(parameters)


def _look_up(model: nn.Module, name: str, known: Mapping[str, Any]) -> Any:
    if not isinstance(name, str):
        raise TypeError(
            f"{type(name).__name__} given for a name: give dotted paths, each as a "
            "string of its own, such as 'layer1.0'"
        )
    if name in known:
        return known[name]
    near = [each for each in known if each.endswith(f".{name}")][:3]
    near += difflib.get_close_matches(name, known)
    near = near or [each for each in known if each and "." not in each][:10]
    raise ValueError(
        f"{type(model).__name__} has no part {name!r}. Near ones: "
        + ", ".join(map(repr, dict.fromkeys(near)))
    )


def _names(model: nn.Module, parameters: Iterable[nn.Parameter]) -> list[str]:
    """Return every name that one of the parameters has."""
    wanted = set(parameters)
    named = model.named_parameters(remove_duplicate=False)
    return [name for name, parameter in named if parameter in wanted]


def _below(
    model: nn.Module, head: Iterable[str]
) -> tuple[list[nn.Module], list[nn.Parameter]]:
    """Return modules and trainable parameters outside the head, if not frozen."""
    inner, weights = [set[Any](part) for part in _parts(model, head)]
    modules = [
        module
        for module in model.modules()
        if not _is_held(module) and inner.isdisjoint(module.modules())
    ]
    trainable = [each for each in model.parameters() if each.requires_grad]
    return modules, [each for each in trainable if each not in weights]


def _head_paths(model: nn.Module, head: str | Iterable[str]) -> tuple[str, ...]:
    _check_model(model)
    if not isinstance(head, Iterable):
        raise TypeError(
            f"head is {head!r}: give the dotted path of a layer as a string, such as "
            "'fc' or '2', or leave it out; the number of classes is num_classes"
        )
    given = (head,) if isinstance(head, str) else tuple(head)
    return given or tuple(_heads(model, ()))


def _heads(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Linear | nn.Conv2d]:
    """Return the layers of the head by path, found if no names are given."""
    _refuse_lazy(model, model.parameters())
    modules = dict(model.named_modules(remove_duplicate=False))
    layers = {
        path: module
        for path, module in modules.items()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    for name in names:
        module = _look_up(model, name, modules)
        if name not in layers:
            raise ValueError(
                f"{name!r} is a {type(module).__name__}: a head is a Linear or a Conv2d"
            )
    return {name: layers[name] for name in names} or _found_heads(model, layers)


def _found_heads(
    model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d]
) -> dict[str, nn.Linear | nn.Conv2d]:
    if not layers:
        raise ValueError(
            f"no head found: {type(model).__name__} has no Linear and no Conv2d"
        )
    outputs = _outputs(list(layers.values())[-1])
    heads = {path: each for path, each in layers.items() if _outputs(each) == outputs}
    for path in heads:
        for other, module in model.named_modules(remove_duplicate=False):
            if _inputs(module) == outputs and _may_feed(model, path, other):
                raise ValueError(
                    f"not clear which layers are the head: {path!r} has {outputs} "
                    f"outputs, but {other!r} takes in {outputs}. Name the head; "
                    f"{outputs} outputs have " + ", ".join(map(repr, heads))
                )
    return heads


def _outputs(layer: nn.Linear | nn.Conv2d) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _inputs(module: nn.Module) -> int | None:
    """Return the width that a single layer takes in, of whatever kind it is."""
    if any(module.children()):
        return None
    kinds = ("in_features", "in_channels", "num_features", "num_channels", "input_size")
    for name in kinds:
        if isinstance(width := getattr(module, name, None), int):
            return width
    shape = getattr(module, "normalized_shape", None)
    return shape[-1] if shape else None


def _may_feed(model: nn.Module, head: str, other: str) -> bool:
    """Whether the outputs of the one may be the inputs of the other."""
    layer, taker = model.get_submodule(head), model.get_submodule(other)
    if layer is taker or (
        isinstance(layer, nn.Linear) and hasattr(taker, "in_channels")
    ):
        return False
    pairs = zip(head.split("."), other.split("."), strict=False)
    shared = [name for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    order = [path for path, _ in model.named_modules(remove_duplicate=False)]
    # Only a Sequential is known to run in the order of registration.
    return not (
        isinstance(model.get_submodule(".".join(shared)), nn.Sequential)
        and order.index(other) < order.index(head)
    )


def _new_layer(old: nn.Linear | nn.Conv2d, outputs: int) -> nn.Linear | nn.Conv2d:
    options: dict[str, Any] = {
        "bias": old.bias is not None,
        "device": old.weight.device,
        "dtype": old.weight.dtype,
    }
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, outputs, **options)
    for name in ("kernel_size", "stride", "padding", "dilation", "groups"):
        options[name] = getattr(old, name)
    options["padding_mode"] = old.padding_mode
    return nn.Conv2d(old.in_channels, outputs, **options)


def _refuse_lazy(model: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    for name in _names(model, filter(is_lazy, parameters)):
        raise ValueError(
            f"{name!r} has no shape yet: pass one batch through the model first"
        )


def _blocks(
    path: str, module: nn.Module, half: float
) -> Iterator[tuple[str, bool, list[nn.Parameter]]]:
    """Yield blocks: path, whether it was left whole, parameters."""
    children = dict(module.named_children())
    is_opened = (
        not path
        or isinstance(module, nn.Sequential | nn.ModuleList)
        or any(isinstance(child, nn.ModuleList) for child in children.values())
        or len(list(module.parameters())) > half
    )
    if not (children and is_opened):
        yield path, True, list(module.parameters())
        return
    yield path, False, list(module.parameters(recurse=False))
    for name, child in children.items():
        yield from _blocks(f"{path}.{name}" if path else name, child, half)


def _levels(
    model: nn.Module, heads: set[nn.Parameter], trainable: set[nn.Parameter]
) -> list[tuple[str, list[nn.Parameter]]]:
    """Return the trainable parameters below the head by block, from the input on."""
    levels: list[tuple[str, list[nn.Parameter]]] = []
    first: list[nn.Parameter] = []  # those before the first block with weights
    met = set(heads)
    half = len(list(model.parameters())) / 2
    for path, is_whole, parameters in _blocks("", model, half):
        new = [each for each in parameters if each not in met]
        met.update(new)
        added = [each for each in new if each in trainable]
        if is_whole and any(each.ndim > 1 for each in new):
            levels.append((path, added))
        else:
            (levels[-1][1] if levels else first).extend(added)
    levels[:1] = [
        (path, first + added) for path, added in levels[:1] or [("(model)", [])]
    ]
    return [level for level in levels if level[1]]


def _norm_parameters(model: nn.Module) -> set[nn.Parameter]:
    """Return the parameters of the norms that can have more than one dimension."""
    norms = (nn.LayerNorm, nn.RMSNorm)
    modules = (each for each in model.modules() if isinstance(each, norms))
    return {each for norm in modules for each in norm.parameters()}


def _groups(
    rates: Iterable[tuple[str, float, list[nn.Parameter]]],
    weight_decay: float,
    norms: set[nn.Parameter],
) -> list[dict[str, Any]]:
    """Split into those with and without weight decay; leave out what is empty."""
    groups = []
    for name, lr, parameters in rates:
        split: tuple[list[nn.Parameter], list[nn.Parameter]] = [], []
        for each in parameters:
            is_spared = weight_decay > 0 and (each.ndim <= 1 or each in norms)
            split[is_spared].append(each)
        for members, decay, suffix in zip(
            split, (weight_decay, 0.0), ("", ", no decay"), strict=True
        ):
            values = {"lr": lr, "weight_decay": decay, "name": name + suffix}
            if members:
                groups.append({"params": members, **values})
    return groups


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model is of type {type(model).__name__}: give the network first, then "
            "the rest"
        )


def _check_rates(
    lr: float, other_lr: float | None, layer_decay: float | None, weight_decay: float
) -> None:
    for rate in (lr, other_lr):
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f"a learning rate is {rate}: give a number above 0")
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ValueError(
            f"layer_decay is {layer_decay}: give a number above 0 and at most 1"
        )
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay is {weight_decay}: give 0 or more")


def _check_calls(loop: object, optimizer: object) -> None:
    if not callable(loop):
        raise TypeError(
            f"loop is of type {type(loop).__name__}: give a function of the model and "
            "the optimizer"
        )
    if not callable(optimizer):
        raise TypeError(
            f"optimizer is of type {type(optimizer).__name__}: give what makes one, "
            "such as torch.optim.AdamW"
        )
