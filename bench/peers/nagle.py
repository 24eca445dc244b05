"""The hub with Nagle's algorithm left on (RFC 1122, section 4.2.3.4), as nchan leaves it.

The kernel holds an event back until the one before it is acknowledged, and then sends several at once.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import sse_server
from sse_hub.http import connection


class Delayed(connection.Connection):
    """An open event stream whose small writes may wait for each other."""

    __slots__ = ()

    def __init__(self, transport: asyncio.Transport, *others: Any) -> None:
        super().__init__(transport, *others)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)


if __name__ == "__main__":
    connection.Connection = Delayed  # type: ignore[assignment,misc]
    raise SystemExit(sse_server.main())
