"""Which build of PyTorch the sessions install."""

from __future__ import annotations

import importlib.util
import sys
from unittest.mock import MagicMock

import pytest

from tests.pages import ROOT


@pytest.fixture
def noxfile(monkeypatch):
    """The noxfile, without nox, on Linux, where nobody chose a build."""
    monkeypatch.setitem(sys.modules, "nox", MagicMock())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("UV_TORCH_BACKEND", raising=False)
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.nox.project.dependency_groups.return_value = ["pytest"]
    return module


def new_session(refusal: str = "", backend: str = "uv") -> MagicMock:
    """Return a session whose uv answers a dry run with a refusal, or with nothing."""
    session = MagicMock(venv_backend=backend)
    session.run_install.return_value = refusal
    return session


def builds(session: MagicMock) -> list[str | None]:
    """Return which build each installation asked for."""
    calls = session.install.call_args_list
    return [call.kwargs["env"].get("UV_TORCH_BACKEND") for call in calls]


def test_a_cpu_session_asks_for_the_cpu_build(noxfile):
    """First for torch alone; the rest comes from where it always comes."""
    session = new_session()
    noxfile.install(session, "tests")
    assert builds(session) == ["cpu", None]
    assert session.install.call_args_list[0].args[-2:] == ("torch", "torchvision")
    assert "pytest" in session.install.call_args_list[1].args
    session.log.assert_not_called()


def test_without_that_index_the_usual_build_comes_and_it_is_said(noxfile):
    """In one line, and whatever else fails is shown by the second installation."""
    session = new_session("error: connection refused")
    noxfile.install(session, "tests")
    assert builds(session) == [None]
    (said,) = session.log.call_args_list
    assert "CPU build cannot be had" in said.args[0]
    assert "\n" not in said.args[0]


@pytest.mark.parametrize(
    ("backend", "chosen", "platform", "gpu"),
    [
        ("virtualenv", None, "linux", False),
        ("uv", "cu128", "linux", False),
        ("uv", None, "darwin", False),
        ("uv", None, "win32", False),
        ("uv", None, "linux", True),
    ],
)
def test_elsewhere_nothing_is_asked(
    noxfile, monkeypatch, backend, chosen, platform, gpu
):
    """With pip, on other systems, for a GPU, and where the caller has chosen."""
    monkeypatch.setattr(sys, "platform", platform)
    if chosen:
        monkeypatch.setenv("UV_TORCH_BACKEND", chosen)
    session = new_session(backend=backend)
    noxfile.install(session, "tests", gpu=gpu)
    session.run_install.assert_not_called()
    assert builds(session) == [None]


def test_no_other_error_is_hidden(noxfile):
    """Only the dry run may fail, by uv's own codes; nox shows what an install says."""
    session = new_session()
    noxfile.install(session, "tests")
    asked = session.run_install.call_args
    assert "--dry-run" in asked.args
    assert asked.kwargs["success_codes"] == [0, 1, 2]
    assert all(set(call.kwargs) == {"env"} for call in session.install.call_args_list)

    session.install.side_effect = OSError("no space left")
    with pytest.raises(OSError, match="no space left"):
        noxfile.install(session, "tests")
