"""Answers in JSON, from the classes in schemas.py."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
from aiohttp import web

from .app_keys import BUDGET, SETTINGS

__all__ = ["FRESH", "json_answer", "send_json"]

FRESH = {"Cache-Control": "no-store"}
"""For answers that are true only now."""


def json_answer(value: msgspec.Struct, status: int = 200) -> web.Response:
    """An answer that is small."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", charset="utf-8", headers=FRESH
    )


async def send_json(request: web.Request, value: msgspec.Struct) -> web.StreamResponse:
    """Send an answer that may be large. All such answers together hold a bounded number of bytes, and a client that
    does not read is cut off: aiohttp would wait for it for ever.

    :raises BudgetExceeded: if all such answers hold too much already.
    """
    body = msgspec.json.encode(value)
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", **FRESH})
    response.content_length = len(body)
    with request.app[BUDGET].reserve() as reservation:
        reservation.add(len(body))
        with contextlib.suppress(ConnectionError):  # the client has left
            await response.prepare(request)
            try:
                async with asyncio.timeout(request.app[SETTINGS].send_timeout):
                    await response.write(body)
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
    return response
