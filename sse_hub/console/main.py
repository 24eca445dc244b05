"""From the command line to an exit status."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from sse_client import SSEError

from .commands import cli
from .display import harmless

__all__ = ["STATUSES", "main"]

STATUSES = {
    0: "done",
    1: "failed: no server answers, a publish was refused, a check failed",
    2: "wrong use",
    124: "`--timeout` passed before `--count` events came",
    130: "ended by Ctrl-C",
    141: "the reader of the output has closed it (a broken pipe)",
}
"""Exit statuses, as the shell and timeout(1) have them."""


def decoded(argument: str) -> str:
    """An argument of the command line, decoded as UTF-8 if the locale has another encoding.

    :raises click.UsageError: if it cannot be decoded.
    """
    try:
        argument.encode()
    except UnicodeEncodeError:  # Python keeps bytes that the locale cannot decode as lone surrogates
        try:
            return os.fsencode(argument).decode()
        except UnicodeError:
            raise click.UsageError(f"{argument!a} is not UTF-8") from None
    return argument


def one_line(text: str) -> str:
    """A message as one line without control characters. A part of it may come from a server."""
    return harmless(" ".join(text.split()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status. An error is one line on stderr.

    :param arguments: without the program's name; by default those of this process.
    """
    logging.basicConfig(level=logging.WARNING, format="sse-client: %(message)s")
    try:
        # A pipe should get each event as it comes. A character that the encoding lacks is shown as an escape: an event
        # must not end the program.
        for stream in (sys.stdout, sys.stderr):
            getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True, errors="backslashreplace")
        given = [decoded(each) for each in (sys.argv[1:] if arguments is None else arguments)]
        status = cli.main(given, "sse-client", standalone_mode=False)
    except click.ClickException as error:
        print(f"sse-client: {one_line(error.format_message())}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except (SSEError, OSError) as error:
        print(f"sse-client: {one_line(str(error))}", file=sys.stderr)
        return 1
    except ValueError as error:  # for a name or a text that cannot be published
        print(f"sse-client: {one_line(str(error))}", file=sys.stderr)
        return 2
    return status if isinstance(status, int) else 0
