"""Find the device to compute on.

One call answers on a laptop, on a machine with a GPU and on a build without any, so
that a script needs a single visible line about devices.
"""

from __future__ import annotations

import torch

__all__ = ["best_device"]


def best_device() -> torch.device:
    """Return the accelerator that this build of torch can use, or else the CPU.

    The accelerator may be an NVIDIA or AMD GPU (``cuda``), an Apple GPU (``mps``), an
    Intel GPU (``xpu``) or another that torch supports. It must be there and answer: a
    build made for CUDA gets the CPU on a machine without a GPU.

    Returns
    -------
    torch.device
        A device without an index where there is an accelerator: it stands for the
        current one of several, as chosen with `torch.accelerator.set_device_index`.

    Notes
    -----
    Fast is not the same as able: ``mps``, for example, has no 64-bit floats. And for
    very small tensors the CPU is often faster than any accelerator.

    References
    ----------
    The page of `torch.accelerator` in torch's documentation.

    Examples
    --------
    >>> device = best_device()
    >>> model = torch.nn.Linear(3, 2).to(device)
    >>> inputs = torch.ones(4, 3, device=device)
    >>> model(inputs).device.type == device.type
    True
    """
    # Ask first: without an accelerator, torch answers "cuda", None or an error,
    # depending on its version and on what it was built for.
    if torch.accelerator.is_available():
        device = torch.accelerator.current_accelerator()
        if device is not None:
            return device
    return torch.device("cpu")
