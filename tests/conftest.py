"""What all tests share: an accelerator for those that need one."""

from __future__ import annotations

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what is marked ``gpu`` where there is no accelerator."""
    if not torch.accelerator.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                reason = "needs an accelerator, and torch finds none"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def accelerator() -> torch.device:
    """The accelerator of this machine."""
    device = torch.accelerator.current_accelerator()
    assert device is not None
    return device
