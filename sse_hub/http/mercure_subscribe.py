"""`GET /.well-known/mercure`: follow topics (docs/protocol.md, "Subscribing to topics")."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aiohttp import HttpVersion11, web

from ..core.updates import topic_subscription
from ..keys import KeySetUnavailable
from ..logs import log_line
from .app_keys import METRICS, SETTINGS
from .mercure_access import MERCURE_ACCESS
from .mercure_publish import MOST_CHARACTERS
from .mercure_streams import MERCURE_STREAMS, STREAM_HEADERS
from .peer import address_of
from .problems import Problem
from .requests import accepts_gzip, listed

__all__ = ["follow_topics"]

logger = logging.getLogger("sse_hub.streams")


async def follow_topics(request: web.Request) -> web.StreamResponse:
    """`GET /.well-known/mercure`. `HEAD` has the same status and headers."""
    streams, access = request.app[MERCURE_STREAMS], request.app[MERCURE_ACCESS]
    try:
        grant = await access.subscriber(request)
    except KeySetUnavailable as error:
        log_line(logger, logging.ERROR, f"no token can be checked: {error}")
        return streams.unavailable_answer(request, f"Tokens cannot be checked now: {error}.")
    if not grant.follow:
        raise access.token_needed(request, "subscribe")
    selectors = _selectors(request)
    if request.method == "HEAD":
        return web.Response(headers={"Content-Type": "text/event-stream", **STREAM_HEADERS})
    gzip = request.app[SETTINGS].compress and accepts_gzip(listed(request, "Accept-Encoding"))
    chunked = request.version >= HttpVersion11
    subscription = topic_subscription(selectors, tuple(grant.subscribe), chunked=chunked, gzip=gzip)
    return await streams.follow(request, selectors, subscription, grant)


def _selectors(request: web.Request) -> Sequence[str]:
    """The topic selectors of the request.

    :raises Problem: 400 if there are none or too many, or if one is malformed.
    """
    for name in request.query:
        if name.lower().startswith("match"):
            raise Problem(
                400, f"The parameter {name[:40]!r} belongs to version 1.0 of the protocol; this hub speaks 0.x: topic="
            )
    selectors = list(dict.fromkeys(request.query.getall("topic", [])))
    if not selectors:
        raise Problem(
            400,
            "The parameter topic is missing. It takes a topic, a URI Template or *; repeat it for several: "
            "?topic=https://example.com/books/{id}",
        )
    most = request.app[SETTINGS].max_channels_per_connection
    if len(selectors) > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400,
            f"The request names {len(selectors)} topics; one connection may name {most} "
            "(--max-channels-per-connection). A URI Template covers many.",
        )
    for selector in selectors:
        if len(selector) > MOST_CHARACTERS:
            raise Problem(
                400, f"A topic selector has {len(selector)} characters; it may have {MOST_CHARACTERS} characters."
            )
        if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in selector):
            raise Problem(400, f"The topic selector {selector[:60]!r} has a control character, which is not allowed.")
    return selectors
