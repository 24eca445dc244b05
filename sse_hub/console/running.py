"""Runs a command for each event: the data on standard input, the rest in the environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence

import click

from sse_client import Event

__all__ = ["run_command"]


async def run_command(command: Sequence[str], event: Event) -> int:
    """Run the command and wait until it has ended; return its exit status, negative for a signal.

    :raises click.ClickException: if it cannot be started.
    """
    environment = {
        **os.environ,
        "SSE_CHANNEL": event.channel,
        "SSE_EVENT": event.type,
        "SSE_ID": event.last_event_id,
    }
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, env=environment)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{command[0]} cannot be started: {error}") from None
    try:
        with contextlib.suppress(ConnectionError):  # the command may end without reading
            await process.communicate(event.data.encode())
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode
