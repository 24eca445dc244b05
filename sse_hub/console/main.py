"""From the command line to an exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import click

from sse_client import SSEError

from .commands import cli

__all__ = ["STATUSES", "main"]

STATUSES = {
    0: "done",
    1: "failed: nobody answers, a publish was refused, a check failed",
    2: "wrong use",
    124: "`--timeout` passed before `--count` events came",
    130: "ended by Ctrl-C",
    141: "whoever read the output has gone (a broken pipe)",
}
"""Exit statuses, as the shell and timeout(1) have them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status. An error is one line on stderr.

    :param arguments: without the program's name; by default those of this process.
    """
    logging.basicConfig(level=logging.WARNING, format="sse-client: %(message)s")
    try:
        # Where there is no terminal, a pipe should see each event as it comes.
        getattr(sys.stdout, "reconfigure", lambda **_: None)(line_buffering=True)
        status = cli.main(list(sys.argv[1:] if arguments is None else arguments), "sse-client", standalone_mode=False)
    except click.ClickException as error:
        print(f"sse-client: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except (SSEError, OSError) as error:
        print(f"sse-client: {error}", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0
