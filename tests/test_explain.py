"""What `snippets.explain` promises."""

from __future__ import annotations

import pytest
import torch

from snippets.explain import MARK, show_error


def test_error_is_printed_as_python_would_and_the_program_goes_on(capsys):
    """Below a line that says it was expected, the last line of the traceback."""
    with show_error("size of tensor a (3)", "size of tensor b (2)"):
        torch.ones(3) + torch.ones(2)
    mark, shown = capsys.readouterr().out.splitlines()
    assert mark == MARK == "Expected error:"
    assert shown.startswith("  RuntimeError: The size of tensor a (3) must match")


def test_every_line_of_a_long_message_is_indented(capsys):
    """So the end of the error can be seen, also where it has empty lines."""
    with show_error("first"):
        raise ValueError("first\n\nthird")
    assert capsys.readouterr().out == f"{MARK}\n  ValueError: first\n  \n  third\n"


def test_type_of_the_error_can_be_waited_for(capsys):
    """What is compared is what is printed: the type belongs to it."""
    with show_error("KeyError"):
        {}["missing"]
    assert "KeyError: 'missing'" in capsys.readouterr().out


def test_missing_error_fails(capsys):
    """A mistake that no longer is one is noticed, and nothing is printed."""
    with (
        pytest.raises(AssertionError, match=r"no error came.*'too large'"),
        show_error("too large"),
    ):
        torch.ones(3)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("parts", [("another",), ("The size", "another")])
def test_other_error_fails_and_is_kept_as_the_cause(parts, capsys):
    """Each part must be in the message."""
    with (
        pytest.raises(AssertionError, match="another error came") as caught,
        show_error(*parts),
    ):
        raise RuntimeError("The size is wrong")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "RuntimeError: The size is wrong" in str(caught.value)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("parts", [(), ("",), ("size", "")])
def test_a_part_that_any_error_contains_is_refused(parts):
    """Before the lines inside run."""
    with pytest.raises(ValueError, match="needs parts of the message"):  # noqa: SIM117  # what runs inside must not
        with show_error(*parts):
            pytest.fail("the lines inside ran")


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_who_leaves_the_program_is_not_held(leaving):
    """Ctrl-C and exit are no errors to show."""
    with pytest.raises(leaving), show_error("anything"):
        raise leaving
