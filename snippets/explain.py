"""Show an error that is meant to come, and fail when it does not.

A lesson that shows a mistake has to survive it, and has to notice when the mistake no
longer is one. `show_error` does both in one line around the code as one would write it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import indent

__all__ = ["show_error"]

MARK = "Expected error:"
"""The line above each error that is shown; the error itself is indented."""


@contextmanager
def show_error(*parts: str) -> Iterator[None]:
    """Run the lines below and print the error that they must raise.

    What is printed is what Python prints as the last line of a traceback, the type of
    the error and its message, below the words "Expected error:". The program goes on
    after the ``with`` block.

    Parameters
    ----------
    *parts : str
        Texts that the printed error must contain, each of them. Choose what is the same
        in every version of torch that you use: the rest of a message may change.

    Raises
    ------
    AssertionError
        If the lines raise no error, or one that lacks a part. The other error is kept
        as its cause.
    ValueError
        If no part is given, or an empty one, which any error would contain.

    Examples
    --------
    >>> import torch
    >>> with show_error("must match the size"):
    ...     torch.ones(3) + torch.ones(2)
    Expected error:
      RuntimeError: The size of tensor a (3) must match the size of tensor b (2) at \
non-singleton dimension 0
    """
    if not all(parts) or not parts:
        raise ValueError(
            f"show_error needs parts of the message that it waits for, given: {parts}. "
            'Write, for example, show_error("must match the size").'
        )
    expected = " and ".join(map(repr, parts))
    try:
        yield
    except Exception as error:
        shown = "".join(traceback.format_exception_only(error)).rstrip()
        if not all(part in shown for part in parts):
            raise AssertionError(
                f"another error came: expected one with {expected}, got: {shown}"
            ) from error
    else:
        raise AssertionError(f"no error came: expected one with {expected}")
    print(MARK, indent(shown, "  ", lambda line: True), sep="\n")
