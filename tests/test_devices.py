"""`snippets.devices` names a device that can be computed on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from snippets.devices import best_device
from tests.pages import ROOT


def pretend(monkeypatch, *, available, accelerator):
    """Let torch answer as it does on another machine."""

    def current_accelerator():
        if isinstance(accelerator, Exception):
            raise accelerator
        return accelerator

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: available)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", current_accelerator)


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_accelerator_is_taken_where_there_is_one(monkeypatch, kind):
    """Whatever its kind, it comes as torch names it: without an index."""
    pretend(monkeypatch, available=True, accelerator=torch.device(kind))
    assert best_device() == torch.device(kind)


@pytest.mark.parametrize(
    "answer",
    [torch.device("cuda"), None, RuntimeError("no accelerator")],
    ids=["a build for CUDA", "a build for the CPU", "torch 2.6"],
)
def test_without_a_usable_accelerator_it_is_the_cpu(monkeypatch, answer):
    """What the build was made for does not count, only what is there."""
    pretend(monkeypatch, available=False, accelerator=answer)
    assert best_device() == torch.device("cpu")


def test_an_accelerator_that_is_gone_is_no_device(monkeypatch):
    """Where torch says available and then names none, it is the CPU."""
    pretend(monkeypatch, available=True, accelerator=None)
    assert best_device() == torch.device("cpu")


def test_hidden_gpus_are_not_used():
    """With every GPU hidden from CUDA and ROCm, the CPU computes."""
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    program = (
        "import torch; torch.backends.mps.is_available() or "
        "print(__import__('snippets.devices').devices.best_device())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={**os.environ, **hidden},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "" if torch.backends.mps.is_available() else "cpu\n"
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


def test_it_computes_here():
    """A tensor on the device of this machine gives the right sum."""
    assert torch.arange(4.0, device=best_device()).sum().item() == 6


@pytest.mark.gpu
def test_it_is_the_accelerator_of_this_machine(accelerator):
    """A machine with an accelerator uses it."""
    assert best_device() == accelerator
    assert torch.ones(2, device=best_device()).device.type == accelerator.type
