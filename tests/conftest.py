"""What all tests share: an accelerator for those that need one."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

# A machine with an accelerator may hold torch and pytest, and nothing for a learner.
PRACTICE = find_spec("rich") and find_spec("watchfiles")
collect_ignore = [] if PRACTICE else ["practice", "test_practice.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what is marked ``gpu`` where there is no accelerator."""
    if not torch.accelerator.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                reason = "needs an accelerator, and torch finds none"
                item.add_marker(pytest.mark.skip(reason=reason))


# At the first backward pass of a process, torch starts threads if it finds devices but
# the CPU, and forks of a process with such threads cannot go backward. Asked here, it
# finds none on a machine without a GPU; asked after some tests, it may.
torch.ones(1, requires_grad=True).sum().backward()


@pytest.fixture
def accelerator() -> torch.device:
    """The accelerator of this machine."""
    device = torch.accelerator.current_accelerator()
    assert device is not None
    return device
