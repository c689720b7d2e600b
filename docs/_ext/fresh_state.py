"""Put torch back as a new interpreter has it, so that no page sees what another set."""

import random
import warnings
from typing import Any

import numpy
import torch

THREADS = torch.get_num_threads()
FILTERS = list(warnings.filters)


def reset_torch(
    gallery_conf: dict[str, Any] | None = None, page: str | None = None
) -> None:
    """Undo every global setting of torch that a page may have changed.

    Sphinx-Gallery calls this before each page. The seed is fixed, not random as in a
    new interpreter, so that a page that forgets its own seed still builds the same
    twice.
    """
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.autograd.set_detect_anomaly(False)
    torch.use_deterministic_algorithms(False)
    torch.set_deterministic_debug_mode("default")
    torch.set_flush_denormal(False)
    torch.set_num_threads(THREADS)
    torch.set_float32_matmul_precision("highest")
    torch.set_printoptions(profile="default")
    torch.set_printoptions(sci_mode=None)
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.benchmark = False
    torch.manual_seed(0)
    random.seed(0)
    numpy.random.seed(0)
    torch.set_warn_always(False)
    warnings.filters[:] = FILTERS
