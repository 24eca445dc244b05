"""Holding the server's addresses for its workers, which come and go.

Each worker listens for itself, and the system spreads connections over the workers (SO_REUSEPORT). The arbiter binds
the same addresses and does not listen. So the server keeps its port while no worker listens, and port 0 becomes the
same port for all workers.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

__all__ = ["reserve"]


def reserve(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Sockets that are bound to a port at each of the addresses.

    :param port: 0 for any that is free.
    :raises OSError: if an address does not exist or is in use.
    """
    reserved: list[socket.socket] = []
    try:
        for host in hosts:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                held = _bind(family, (address[0], port, *address[2:]))
                reserved.append(held)
                port = held.getsockname()[1]
    except OSError:
        for each in reserved:
            each.close()
        raise
    return reserved


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    if address[1]:
        with _socket(family) as probe:
            probe.bind(address)
            probe.listen()  # fails if another process listens there
    held = _socket(family)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        held.close()
        raise OSError(error.errno or errno.EINVAL, os.strerror(error.errno or errno.EINVAL)) from None
    return held


def _socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
