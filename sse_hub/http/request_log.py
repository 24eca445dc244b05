"""The traces of every request: its id, its count in the metrics, and its line in the log."""

from __future__ import annotations

import logging
import random
import re

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from ..logs import log_line, request_id
from .app_keys import METRICS, hub_app
from .peer import address_of, is_from_proxy

__all__ = ["REQUEST_ID", "AccessLog", "begin_request", "count_answer"]

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request id", str)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET = frozenset({"authorization", "token"})
"""Query parameters that may hold a token."""


def begin_request(request: web.Request) -> None:
    """Give the request an id: the one of a trusted proxy, or a random one. All log lines of the request have it."""
    given = request.headers.get("X-Request-ID", "")
    if not (given and _ID.fullmatch(given) and is_from_proxy(request)):
        given = f"{random.getrandbits(64):016x}"
    request_id.set(given)
    request[REQUEST_ID] = given


async def count_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Count an answer in the figures. A signal handler for `on_response_prepare`."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "none"
    hub_app(request)[METRICS].count_answer(route, request.method, response.status)


class AccessLog(AbstractAccessLogger):
    """A line for each request, when it is answered; without the token that its query may hold."""

    @property
    def enabled(self) -> bool:
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """See `AbstractAccessLogger`."""
        # aiohttp answers a request that is not HTTP. It has no id and belongs to no application.
        served = request if isinstance(request, web.Request) and REQUEST_ID in request else None
        query = [(name, "…" if name in _SECRET else value) for name, value in request.query.items()]
        log_line(
            self.logger,
            logging.INFO,
            "request",
            address=address_of(served) if served is not None else request.remote,
            method=request.method,
            path=str(request.rel_url.with_query(query)),
            status=response.status,
            bytes=response.body_length,
            seconds=round(time, 6),
        )
