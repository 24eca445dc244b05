"""Ends the connections of clients that accept no data. aiohttp would wait for them for ever, one task for each.

The kernel measures this: it ends a connection whose peer has acknowledged nothing for so long, or has no room for data
(RFC 5482). Only Linux can do it. Elsewhere, streams and large answers have time limits of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ..settings import Settings

__all__ = ["PatientConnection", "PatientServer", "limit_silence"]

_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)
_LONGEST_MS = 2**31 - 1


def limit_silence(request: web.BaseRequest, settings: Settings) -> None:
    """Let the kernel end this connection when its client has accepted no data for `--send-timeout`. For those of a
    `PatientServer`, that is done already; the server of an application in which the hub is mounted is another one."""
    if not isinstance(request.protocol, PatientConnection):
        _limit_silence(request.transport, settings)


def _limit_silence(transport: asyncio.BaseTransport | None, settings: Settings) -> None:
    end = None if transport is None else transport.get_extra_info("socket")
    if _USER_TIMEOUT is None or end is None or end.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):  # it has ended already
        timeout_ms = min(math.ceil(settings.send_timeout * 1000), _LONGEST_MS)
        end.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, timeout_ms)


class PatientConnection(RequestHandler):
    """A connection whose client has to accept data."""

    __slots__ = ("_settings",)

    def __init__(self, settings: Settings, server: web.Server, **options: object) -> None:
        super().__init__(server, **options)  # type: ignore[arg-type]
        self._settings = settings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        _limit_silence(transport, self._settings)


class PatientServer(web.Server):
    """A server with such connections.

    :param server: aiohttp's server, which this one replaces; it must have no connections yet.
    """

    def __init__(self, server: web.Server, settings: Settings) -> None:
        self.__dict__.update(vars(server))
        self._settings = settings

    def __call__(self) -> RequestHandler:
        """A connection."""
        return PatientConnection(self._settings, self, loop=self._loop, **self._kwargs)
