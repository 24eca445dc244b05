"""`GET /stream` and `GET /realtime/{channel}`: checks the request and begins the stream."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import HttpVersion11, web

from ..core.events import check_channel, check_pattern, check_type
from ..core.subscription import ANY, Subscription, normal
from ..keys import KeySetUnavailable
from ..logs import log_line
from .access import allow_subscribe, grant_of
from .app_keys import METRICS, SETTINGS
from .peer import address_of
from .problems import Problem
from .requests import accepts_gzip, flag, listed, number
from .starts import read_start
from .streams import STREAMS

__all__ = ["LONGEST_MS", "SHORTEST_MS", "follow", "follow_channel", "follow_channels"]

SHORTEST_MS, LONGEST_MS = 10, 60_000
"""The least and the largest value of `conflate`."""

logger = logging.getLogger("sse_hub.streams")


async def follow_channels(request: web.Request) -> web.StreamResponse:
    """`GET /stream`."""
    try:
        names = [check_pattern(name) for name in request.query.getall("channel", ["main"])]
    except ValueError as error:
        raise Problem(400, f"The parameter channel cannot be used: {error}. Repeat it for several channels.") from None
    most = request.app[SETTINGS].max_channels_per_connection
    if len(names) > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400,
            f"The request names {len(names)} channels; one connection may name {most} (--max-channels-per-connection). "
            "A pattern covers many.",
        )
    stars = sum(name.count("*") for name in names)
    if stars > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400,
            f"The patterns of the request have {stars} stars; those of one connection may have {most} "
            "(--max-channels-per-connection).",
        )
    return await follow(request, names)


async def follow_channel(request: web.Request) -> web.StreamResponse:
    """`GET /realtime/{channel}`."""
    try:
        name = check_channel(request.match_info["channel"])
    except ValueError as error:
        raise Problem(400, f"The path cannot be used: {error}. Patterns go to /stream?channel=…") from None
    return await follow(request, [name])


async def follow(request: web.Request, names: Sequence[str]) -> web.StreamResponse:
    """Begin the event stream of these channels and patterns.

    :raises Problem: 400 if the request asks for something impossible, 401 or 403 for something forbidden.
    """
    streams = request.app[STREAMS]
    start = read_start(request)
    wanted = _subscription(request, names)
    if start.unless_ended and wanted.only is None:
        raise Problem(400, "The parameter ended is for a stream of exactly one channel, such as /realtime/chat.42.")
    try:
        grant = await grant_of(request)
    except KeySetUnavailable as error:
        log_line(logger, logging.ERROR, f"no token can be checked: {error}")
        return streams.unavailable(f"Tokens cannot be checked now: {error}.", wanted)
    granted = allow_subscribe(request, grant, names)
    subscription = _shared(wanted if granted is None else replace(wanted, granted=granted))
    return await streams.open(request, names, subscription, grant, start)


def _subscription(request: web.Request, names: Sequence[str]) -> Subscription:
    try:
        types = frozenset(check_type(type, reserved=True) for type in request.query.getall("event", []))
    except ValueError as error:
        raise Problem(400, f"The parameter event cannot be used: {error}.") from None
    conflate_ms = number(request, "conflate", minimum=SHORTEST_MS, maximum=LONGEST_MS) or 0
    # Conflated streams are small, and each joiner would cost a key frame: compression would not pay.
    gzip = request.app[SETTINGS].compress and accepts_gzip(listed(request, "Accept-Encoding")) and not conflate_ms
    return Subscription(
        frozenset(names),
        types or ANY,
        envelope=flag(request, "envelope"),
        chunked=request.version >= HttpVersion11,
        gzip=gzip,
        unshared=gzip,
        plain=flag(request, "plain"),
        conflate_ms=conflate_ms,
    )


@functools.lru_cache(1024)
def _shared(subscription: Subscription) -> Subscription:
    """One object for all equal subscriptions, so that they share a group and its bytes."""
    return normal(subscription)
