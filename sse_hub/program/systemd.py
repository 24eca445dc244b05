"""Telling systemd how the program stands (`Type=notify`; sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str, path: str | None = None) -> None:
    """Tell systemd `READY=1` or `STOPPING=1`, if it started this program and waits for that.

    :param path: the socket at which it waits; by default that of the environment.
    """
    path = os.environ.get("NOTIFY_SOCKET", "") if path is None else path
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # Linux has sockets without a file
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(address)
        connection.sendall(state.encode())
