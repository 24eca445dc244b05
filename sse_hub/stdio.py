"""The three streams that a process is given, or not: they may be closed, full, or read by nobody."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["complain", "secure"]


def secure() -> None:
    """Open what is closed of standard input, output and error as the null device.

    The next file that is opened would get the free number: lines of the log would go into a socket or a database, and
    uvloop ends the process when it finds its own descriptor among them.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def complain(message: str) -> None:
    """Write a line to standard error, if that can be done."""
    with contextlib.suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)
