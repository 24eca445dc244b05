"""The two ways to publish over HTTP, and batches."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import msgspec
from aiohttp import web
from msgspec import UNSET

from ..core.ends import REASONS, end_draft
from ..core.events import Draft, EventId, check_channel, check_type, compact_json, timestamp
from ..core.ports import IdempotentStore
from ..limits import BudgetExceeded, Reservation
from ..rights import Grant
from ..topic_grants import TopicGrant
from .access import allow_publish, grant_of
from .answers import acknowledge
from .app_keys import BUDGET, HUB, METRICS, RATE, SETTINGS
from .cluster import NODES
from .idempotency import IDEMPOTENCY
from .peer import address_of
from .problems import Problem
from .requests import body_here, flag, media_type, read_body, single
from .schemas import Broadcast, Published, PublishedBatch

__all__ = ["body_of", "broadcast", "consume_rate", "forget", "idempotency_key", "publish"]

_KEY_LENGTH = 256
_LONG = 100_000
"""A JSON body of more characters is read in one turn of the event loop, and its data are written in another."""
_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>[89a-fA-F][0-9a-fA-F]{2}))"
)
"""An escaped character beyond the first 65,536, or half of one (RFC 8259, section 7)."""
_PAIR = 12
"""Characters of two escapes."""
_SURROGATES = 1000
"""Surrogates that are looked at in one turn of the event loop."""
_SLICE = 100_000
"""Characters that are searched for a surrogate in one turn."""
_LINE = re.compile(r"[^\n]+")


class _Request(NamedTuple):
    """The events of a checked request, and the form of its answer."""

    drafts: Sequence[Draft]
    shape: str
    """`one`, `batch`, or `list`: a list of answers, one for each event."""

    @property
    def answered(self) -> Sequence[Draft]:
        """The events whose channel and type the answer gives."""
        if self.shape == "one":  # the end of the channel may follow the event
            return self.drafts[-1:]
        return self.drafts[:1] if self.shape == "batch" else self.drafts


def _acknowledgement(shape: str, ids: Sequence[EventId | None], answered: Sequence[tuple[str, str, int]]) -> bytes:
    """The answer after the store has accepted the events.

    :param ids: the ids of all events.
    :param answered: the channel, the type and the subscribers of each event that the answer gives.
    """
    if shape == "list":
        answers = [Published(_shown(id), *each) for id, each in zip(ids, answered, strict=True)]
        return msgspec.json.encode(answers)
    (one,) = answered
    if shape == "one":
        return msgspec.json.encode(Published(_shown(ids[-1]), *one))
    return msgspec.json.encode(PublishedBatch((_shown(ids[0]), _shown(ids[-1])), len(ids), *one))


def _shown(id: EventId | None) -> str | None:
    return None if id is None else str(id)


async def broadcast(request: web.Request) -> web.StreamResponse:
    """`POST /api/broadcast`: publish a JSON message to one channel or several."""
    if (sent := media_type(request)) != "application/json":
        raise Problem(
            415,
            f"The Content-Type is {sent[:80]}; this takes application/json. "
            """With curl: --json '{"message": "Hello"}'""",
        )
    begun = time.perf_counter()
    app, grant = request.app, await grant_of(request)
    allow_publish(request, grant, [])
    with app[BUDGET].reserve() as reservation:
        wanted = await _read_broadcast(request, await body_of(request, app, reservation))
        allow_publish(request, grant, [draft.channel for draft in wanted.drafts])
        return await _answer(request, app, grant, wanted, begun)


async def publish(request: web.Request) -> web.StreamResponse:
    """`POST /realtime/{channel}`: the body is the data. With `application/x-ndjson`, every line is an event."""
    batch = media_type(request) == "application/x-ndjson"
    ephemeral, reason = flag(request, "ephemeral"), _reason(request)
    try:
        channel = check_channel(request.match_info["channel"])
        named = single(request, "event")
        type = check_type("message" if named is None else named)
    except ValueError as error:
        raise Problem(400, f"This cannot be published: {error}.") from None
    begun = time.perf_counter()
    app, grant = request.app, await grant_of(request)
    allow_publish(request, grant, [channel])
    with app[BUDGET].reserve() as reservation:
        body = await body_of(request, app, reservation)
        if reason and not body:
            return await _answer(request, app, grant, _Request([end_draft(channel, reason)], "one"), begun)
        lines = _lines(request, body) if batch else [body]
        drafts = [Draft(channel, type, line, ephemeral) for line in lines]
        if reason:
            drafts.append(end_draft(channel, reason))
        return await _answer(request, app, grant, _Request(drafts, "batch" if batch else "one"), begun)


async def forget(request: web.Request) -> web.Response:
    """`DELETE /realtime/{channel}`: forget what is retained of it, its end included."""
    try:
        channel = check_channel(request.match_info["channel"])
    except ValueError as error:
        raise Problem(400, f"The path cannot be used: {error}.") from None
    allow_publish(request, await grant_of(request), [channel])
    await request.app[HUB].store.forget(channel)
    return web.Response(status=204)


def _reason(request: web.Request) -> str:
    """The reason for which the publish ends its channel; empty if it does not end it."""
    reason = single(request, "end")
    if reason is not None and reason not in REASONS:
        raise Problem(400, f"The parameter end is {reason[:40]!r}; it takes one of {', '.join(REASONS)}.")
    return reason or ""


async def _answer(
    request: web.Request, app: web.Application, grant: Grant, wanted: _Request, begun: float
) -> web.StreamResponse:
    """Publish and acknowledge. With an `Idempotency-Key`, publish only once.

    :param app: `request.app`, which costs three calls each time.
    """
    consume_rate(request, app, grant, len(wanted.drafts))
    key = idempotency_key(request)
    if key is None:
        body = await _publish(app, wanted)
    else:
        # Each identity has its own keys. Otherwise one client could block the publishes of another or see its answers.
        # The parts are joined as JSON, because any separator could also be a part of them.
        # It has escapes, because the key may have half a character, which SQLite does not take.
        scoped_key = json.dumps([request.path, grant.identity, key], separators=(",", ":"))
        body = await app[IDEMPOTENCY].once(scoped_key, lambda: _publish(app, wanted, scoped_key))
    app[METRICS].publish_seconds.observe(time.perf_counter() - begun)
    return acknowledge(request, body)


def idempotency_key(request: web.Request) -> str | None:
    """The `Idempotency-Key`, if the request has one.

    :raises Problem: 400 if it is empty or too long.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= _KEY_LENGTH:
        raise Problem(
            400, f"The Idempotency-Key has {len(key)} characters; it may have 1 to {_KEY_LENGTH}. A UUID is a good one."
        )
    return key


async def _publish(app: web.Application, wanted: _Request, key: str = "") -> bytes:
    hub, nodes, shape = app[HUB], app[NODES], wanted.shape
    drafts = wanted.answered
    if len(drafts) == 1:  # most publishes
        counts: Sequence[int] = [nodes.subscribers(drafts[0].channel)]
    else:
        counts = await nodes.counts([draft.channel for draft in drafts])
    answered = [(draft.channel, draft.type, count) for draft, count in zip(drafts, counts, strict=True)]
    begun = time.perf_counter()
    if key and isinstance(hub.store, IdempotentStore):
        # The first publish with this key may have had another body. Its answer is in its ids and its memo.
        ids, memo = await hub.store.append_once(key, wanted.drafts, compact_json([shape, answered]))
        known = json.loads(memo)
        if isinstance(known[0], str):
            shape, answered = known
        else:  # release 0.2 wrote only the numbers of subscribers
            answered = [(channel, type, count) for (channel, type, _), count in zip(answered, known, strict=False)]
    else:
        ids = [event.id for event in await hub.store.append(wanted.drafts)]
    app[METRICS].store_seconds.observe(time.perf_counter() - begun)
    return _acknowledgement(shape, ids, answered)


async def body_of(request: web.Request, app: web.Application, reservation: Reservation) -> str:
    """The body as text; see `read_body`.

    :raises Problem: 408 if it does not arrive in time, too.
    """
    settings = app[SETTINGS]
    try:
        if request.content.is_eof():
            return body_here(request, settings.max_body, reservation)
        async with asyncio.timeout(settings.request_timeout) as limit:
            reservation.arrive(lambda: _end_now(limit))
            return await read_body(request, settings.max_body, reservation)
    except TimeoutError:
        if reservation.given_up:
            raise BudgetExceeded from None
        app[METRICS].hit_limit("request_time", address=address_of(request))
        raise Problem(
            408,
            f"The body has not arrived whole within {settings.request_timeout:g} s (--request-timeout).",
            {"Connection": "close"},
        ) from None
    except Problem as problem:
        if problem.status == 413:
            app[METRICS].hit_limit("body", address=address_of(request))
        raise


def _end_now(limit: asyncio.Timeout) -> None:
    """End the wait for a body. In the turn in which it ends by itself, nothing is left to do."""
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())


def consume_rate(request: web.Request, app: web.Application, grant: Grant | TopicGrant, count: int) -> None:
    """:raises Problem: 429 if the token, or the address without one, has published too much."""
    rate = app[SETTINGS].publish_rate
    if not rate:
        return
    publisher = grant.identity or address_of(request)
    wait = app[RATE].consume(publisher, count, time.monotonic())
    if wait:
        app[METRICS].hit_limit("publish_rate", address=address_of(request), subject=grant.subject)
        whose = "This address" if grant.anonymous else "This token"
        raise Problem(
            429,
            f"{whose} may publish {rate:g} events/s in the long run (--publish-rate); these {count} can go out in "
            f"{wait:.1f} s.",
            {"Retry-After": str(math.ceil(wait))},
        )


def _lines(request: web.Request, body: str) -> list[str]:
    """The events of a batch."""
    most = request.app[SETTINGS].max_batch
    # Read at most one line more than the limit: a megabyte can have half a million lines.
    text = body.replace("\r\n", "\n").removesuffix("\r")
    lines = [line[0] for line in islice(_LINE.finditer(text), most + 1)]
    if len(lines) > most:
        request.app[METRICS].hit_limit("batch", address=address_of(request))
        raise Problem(413, f"The batch has more than {most} events; one batch may have {most} (--max-batch).")
    if not lines:
        raise Problem(400, "The batch is empty; application/x-ndjson takes one event a line.")
    return lines


async def _read_broadcast(request: web.Request, body: str) -> _Request:
    """The events of a broadcast. Other tasks run in between if it is large."""
    message = await _decode(body)
    if len(body) > _LONG:
        await asyncio.sleep(0)  # reading a megabyte of small values takes 17 ms
    several = isinstance(message.channel, list)
    names = list(dict.fromkeys(message.channel if isinstance(message.channel, list) else [message.channel]))
    if not names:
        raise Problem(400, "The key channel takes a channel name or a list of at least one.")
    most = request.app[SETTINGS].max_channels_per_connection
    if len(names) > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400,
            f"The broadcast names {len(names)} channels; it may name {most} (--max-channels-per-connection). "
            "Subscribers that all want the same event can share a channel.",
        )
    try:
        names = [check_channel(name) for name in names]
        check_type(message.event)
    except ValueError as error:
        raise Problem(400, f"This cannot be published: {error}.") from None
    data = _data(message)
    return _Request([Draft(name, message.event, data) for name in names], "list" if several else "one")


_decoder = msgspec.json.Decoder(Broadcast)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_WRONG = {
    "$.timestamp": "The key timestamp takes ISO 8601 such as 2026-11-24T12:00:00Z.",
    "$.event": 'The key event takes an event name, such as "notification".',
    "$.channel": "The key channel takes a channel name or a list of at least one.",
}


async def _decode(body: str) -> Broadcast:
    """:raises Problem: 400 if the body is not a broadcast; the problem says what would be right."""
    try:
        return _decoder.decode(body)
    except RecursionError:
        raise Problem(400, "The body is JSON nested too deeply to be read.") from None
    except msgspec.ValidationError as error:
        raise Problem(400, _explained(str(error))) from None
    except msgspec.DecodeError as error:
        pieces = await _between_halves(body)
        if len(pieces) == 1:
            raise Problem(400, f"The body is not JSON: {error}.") from None
    # In the message, half a character becomes a question mark, as on the wire. In a name, it becomes a control
    # character, so that the name is refused.
    message = await _decode("?".join(pieces))
    await asyncio.sleep(0)
    names = _decoder.decode("\x80".join(pieces))
    return msgspec.structs.replace(message, event=names.event, channel=names.channel)


async def _between_halves(body: str) -> list[str]:
    """The pieces of JSON between the escapes that are half a character. A browser that cuts an emoji in two sends such
    halves, and msgspec does not read them."""
    pieces: list[str] = []
    begin = position = looked_at = 0
    while position < len(body):
        end = position + _SLICE
        found = _SURROGATE.search(body, position, end + _PAIR)
        looked_at += 1
        if found is None or found.start() >= end or looked_at % _SURROGATES == 0:
            await asyncio.sleep(0)
        if found is None or found.start() >= end:
            position = end
        elif _is_escaped(body, found.start()):
            position = found.start() + 1
        else:
            position = found.end()
            if found["half"]:
                pieces.append(body[begin : found.start()])
                begin = position
    return [*pieces, body[begin:]]


def _is_escaped(body: str, position: int) -> bool:
    """Whether the backslash at this position belongs to the one before it."""
    looked = 0
    kept = ""
    while looked < position and not kept:
        looked = min(2 * looked + 8, position)
        kept = body[position - looked : position].rstrip("\\")
    return (looked - len(kept)) % 2 == 1


def _explained(error: str) -> str:
    """A sentence that says what is wrong with a broadcast and what would be right."""
    if unknown := _UNKNOWN.match(error):
        keys = ", ".join(Broadcast.__struct_fields__)
        return f"There is no key {unknown[1][:40]!r} in a broadcast; it takes {keys}."
    if "out of range" in error:
        return "The message holds a number that is too large for JSON, for example 1e400; the largest is 1.8e308."
    if "missing required field" in error:
        return 'The key message is missing; for example {"message": "Hello"}.'
    for path, explanation in _WRONG.items():
        if path in error:
            return explanation
    return 'The body is not a JSON object; for example {"message": "Hello"}.'


def _data(message: Broadcast) -> str:
    """The event's data."""
    return msgspec.json.encode({"message": message.message, "timestamp": _moment(message)}).decode()


def _moment(message: Broadcast) -> str:
    if message.timestamp is UNSET:
        return timestamp(time.time_ns() // 1_000_000)
    try:
        datetime.fromisoformat(message.timestamp)
    except ValueError:
        raise Problem(
            400, f"The key timestamp is {message.timestamp[:40]!r}; it takes ISO 8601 such as 2026-11-24T12:00:00Z."
        ) from None
    return message.timestamp
