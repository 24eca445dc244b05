"""Standard input, output and error, which may be closed, full, without a reader, or of a small character set."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["escape_what_cannot_be_printed", "open_closed_descriptors", "print_error", "program_name"]


def open_closed_descriptors() -> None:
    """If standard input, output or error is closed, open the null device in its place.

    Otherwise the next opened file would get its number. Log lines would go into a socket or a database, and uvloop ends
    the process when one of its own descriptors has the number 0, 1 or 2.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def escape_what_cannot_be_printed() -> None:
    """Let standard output and error show a character as an escape if they lack it: a claim can hold half a pair of
    surrogates, and a terminal can be of ASCII."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")


def print_error(message: str) -> None:
    """Write a line to standard error, if that is possible."""
    with contextlib.suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)


def program_name() -> str:
    """The command by which the server was started. Its messages and its help begin with it. In a process that another
    program has started, gunicorn for example, it is the name of the project."""
    called = Path(sys.argv[0]).stem  # without the `.exe` of Windows
    return "sse-server" if called in ("sse-server", "sse_server") else "sse-hub"
