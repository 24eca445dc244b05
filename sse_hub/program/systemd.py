"""Informs systemd of the start and the end (`Type=notify`; sd_notify(3)), by hand: a message is one datagram."""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str, path: str | None = None) -> None:
    """Send `READY=1` or `STOPPING=1` to systemd, if it started this program and waits for that.

    :param path: the socket of systemd; by default from the environment.
    """
    path = os.environ.get("NOTIFY_SOCKET", "") if path is None else path
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # a socket of Linux without a file
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(address)
        connection.sendall(state.encode())
