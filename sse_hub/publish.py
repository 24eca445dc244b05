"""The two ways to publish over HTTP, batches, and publishing once however often it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple, NoReturn

from aiohttp import web

from .access import allow_publish, grant_of
from .auth import Grant
from .clients import address_of
from .core.events import Draft, EventId, check_channel, check_type, compact_json, timestamp
from .core.ports import IdempotentStore
from .limits import Hold, TooMuch
from .metrics import Metrics
from .problems import Problem
from .requests import flag, read_body
from .state import ANSWERS, FLIGHT, HUB, METRICS, NODES, RATE, SETTINGS

__all__ = ["Answers", "broadcast", "publish"]

_KEY_LENGTH = 256
_KEY_AGE = 600.0
_LINE = re.compile(r"[^\n]+")
_BROADCAST_KEYS = ("message", "timestamp", "event", "channel")
_ANSWER_BYTES = 32 << 20
"""Answers kept for an `Idempotency-Key`: those to broadcasts name a hundred channels each."""


class _Answer(NamedTuple):
    until: float
    task: asyncio.Task[str]


class Answers:
    """The answers to publishes that carried an `Idempotency-Key`. One that failed is not kept: trying again is then
    what the client should do. A store may know keys for longer than this process and for others
    (`ports.IdempotentStore`); it is asked when there is no answer here.

    :param most: answers kept at once, and no more than `_ANSWER_BYTES` of them: clients that send more keys in ten
        minutes are protected for less long.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        metrics.idempotency_keys.set_function(lambda: len(self._answers))
        self._answers: OrderedDict[str, _Answer] = OrderedDict()  # oldest first
        self._bytes = 0  # of the answers that are there

    async def once(self, key: str, publish: Callable[[], Coroutine[None, None, str]]) -> str:
        """The answer to the first publish with this key; a second one that comes meanwhile waits for it."""
        now = time.monotonic()
        self._forget(now)
        answer = self._answers.get(key)
        if answer is None:
            # A task of its own: when the first client leaves, its publish is done nevertheless.
            answer = _Answer(now + _KEY_AGE, asyncio.create_task(publish()))
            self._answers[key] = answer
            answer.task.add_done_callback(lambda task: self._note_done(key, task))
        return await asyncio.shield(answer.task)

    def _forget(self, now: float) -> None:
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if oldest.until > now:
                if len(self._answers) < self._most and self._bytes <= _ANSWER_BYTES:
                    return
                self._metrics.hit_limit("idempotency_keys")
            self._drop(next(iter(self._answers)))

    def _drop(self, key: str) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None and _has_succeeded(answer.task):
            self._bytes -= len(answer.task.result())

    def _note_done(self, key: str, task: asyncio.Task[str]) -> None:
        answer = self._answers.get(key)
        succeeded = _has_succeeded(task)  # asked in any case, or asyncio complains that nobody did
        if answer is None or answer.task is not task:
            return  # it was forgotten before it was done
        if succeeded:
            self._bytes += len(task.result())
        else:
            del self._answers[key]


def _has_succeeded(task: asyncio.Task[str]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def broadcast(request: web.Request) -> web.Response:
    """`POST /api/broadcast`: publish a JSON message to one channel or several."""
    if request.content_type != "application/json":
        raise Problem(
            415,
            f"The Content-Type is {request.content_type}; this takes application/json. "
            """With curl: --json '{"message": "Hello"}'""",
        )
    with request.app[FLIGHT].hold() as hold:
        return await _broadcast(request, hold)


async def _broadcast(request: web.Request, hold: Hold) -> web.Response:
    begun = time.perf_counter()
    grant = await grant_of(request)
    allow_publish(request, grant, [])
    drafts, several = _read_broadcast(await _body(request, hold))
    _check_channels(request, len(drafts))
    allow_publish(request, grant, [draft.channel for draft in drafts])

    def said(ids: Sequence[EventId | None], told: Sequence[Mapping[str, object]]) -> object:
        answers = [{"id": _id(id), **each} for id, each in zip(ids, told, strict=True)]
        return answers if several else answers[0]

    return await _answer(request, grant, drafts, [_told(request, draft) for draft in drafts], said, begun)


async def publish(request: web.Request) -> web.Response:
    """`POST /realtime/{channel}`: the body is the data; as `application/x-ndjson`, every line is."""
    with request.app[FLIGHT].hold() as hold:
        return await _publish(request, hold)


async def _publish(request: web.Request, hold: Hold) -> web.Response:
    batch = request.content_type == "application/x-ndjson"
    ephemeral = flag(request, "ephemeral")
    try:
        channel = check_channel(request.match_info["channel"])
        type = check_type(request.query.get("event", "message"))
    except ValueError as error:
        raise Problem(400, f"This cannot be published: {error}.") from None
    begun = time.perf_counter()
    grant = await grant_of(request)
    allow_publish(request, grant, [channel])
    body = await _body(request, hold)
    lines = _lines(request, body) if batch else [body]
    drafts = [Draft(channel, type, line, ephemeral) for line in lines]

    def said(ids: Sequence[EventId | None], told: Sequence[Mapping[str, object]]) -> object:
        if batch:
            return {"ids": [_id(ids[0]), _id(ids[-1])], "count": len(ids), **told[0]}
        return {"id": _id(ids[0]), **told[0]}

    return await _answer(request, grant, drafts, [_told(request, drafts[0])], said, begun)


def _lines(request: web.Request, body: str) -> list[str]:
    """The events of a batch."""
    most = request.app[SETTINGS].max_batch
    # One more than there may be, and no further: half a million lines fit in a megabyte.
    text = body.replace("\r\n", "\n").removesuffix("\r")
    lines = [line[0] for line in islice(_LINE.finditer(text), most + 1)]
    if len(lines) > most:
        request.app[METRICS].hit_limit("batch", address=address_of(request))
        raise Problem(413, f"The batch has more than {most} events, which is what one batch may have (--max-batch).")
    if not lines:
        raise Problem(400, "The batch is empty; application/x-ndjson takes one event a line.")
    return lines


def _check_channels(request: web.Request, count: int) -> None:
    """:raises Problem: 400 if a broadcast names too many channels."""
    most = request.app[SETTINGS].max_channels_per_connection
    if count > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400,
            f"The broadcast names {count} channels; it may name {most} (--max-channels-per-connection). Subscribers "
            "that all want the same event can share a channel.",
        )


def _id(id: EventId | None) -> str | None:
    return None if id is None else str(id)


def _told(request: web.Request, draft: Draft) -> Mapping[str, object]:
    """What a publisher is told of its event, but for the id."""
    subscribers = request.app[NODES].subscribers(draft.channel)
    return {"channel": draft.channel, "event": draft.type, "subscribers": subscribers}


async def _answer(
    request: web.Request,
    grant: Grant,
    drafts: Sequence[Draft],
    told: Sequence[Mapping[str, object]],
    said: Callable[[Sequence[EventId | None], Sequence[Mapping[str, object]]], object],
    begun: float,
) -> web.Response:
    """Publish, once if there is a key, and answer with what `said` makes of the ids and of what is told."""
    _take_rate(request, grant, len(drafts))
    key = request.headers.get("Idempotency-Key")
    store, metrics = request.app[HUB].store, request.app[METRICS]

    # Each identity has keys of its own: one must not keep another's publishes from happening, nor see its answers.
    # As JSON, because any other sign between the parts could be one of their own.
    place = compact_json([request.path, grant.identity, key])

    async def act() -> str:
        with metrics.store_seconds.time():
            if key is None or not isinstance(store, IdempotentStore):
                ids = [event.id for event in await request.app[HUB].publish_all(drafts)]
                return compact_json(said(ids, told))
            first, memo = await store.append_once(place, drafts, compact_json(told))
        return compact_json(said(first, json.loads(memo)))

    if key is None:
        text = await act()
    elif not 1 <= len(key) <= _KEY_LENGTH:
        raise Problem(
            400, f"The Idempotency-Key has {len(key)} characters; it may have 1 to {_KEY_LENGTH}. A UUID is a good one."
        )
    else:
        text = await request.app[ANSWERS].once(place, act)
    metrics.publish_seconds.observe(time.perf_counter() - begun)
    return web.Response(text=text, content_type="application/json")


async def _body(request: web.Request, hold: Hold) -> str:
    settings, metrics = request.app[SETTINGS], request.app[METRICS]
    try:
        if request.content.is_eof():  # most bodies come with the headers: nothing to wait for, 10 µs less
            return await read_body(request, settings.max_body, hold)
        async with asyncio.timeout(settings.request_timeout) as limit:
            hold.arrive(lambda: limit.reschedule(asyncio.get_running_loop().time()))
            return await read_body(request, settings.max_body, hold)
    except TimeoutError:
        if hold.given_up:
            raise TooMuch from None
        metrics.hit_limit("request_time", address=address_of(request))
        raise Problem(
            408,
            f"The body has not arrived whole within {settings.request_timeout:g} s (--request-timeout).",
            {"Connection": "close"},
        ) from None
    except Problem as problem:
        if problem.status == 413:
            metrics.hit_limit("body", address=address_of(request))
        raise


def _take_rate(request: web.Request, grant: Grant, count: int) -> None:
    """:raises Problem: 429 if the token, or the address without one, has published too much."""
    if not request.app[SETTINGS].publish_rate:
        return
    publisher = grant.identity or address_of(request)
    wait = request.app[RATE].take(publisher, count, time.monotonic())
    if wait:
        rate = request.app[SETTINGS].publish_rate
        request.app[METRICS].hit_limit("publish_rate", address=address_of(request), subject=grant.subject)
        whose = "This address" if grant.anonymous else "This token"
        raise Problem(
            429,
            f"{whose} may publish {rate:g} events/s in the long run (--publish-rate); these {count} can go out in "
            f"{wait:.1f} s.",
            {"Retry-After": str(math.ceil(wait))},
        )


def _read_broadcast(body: str) -> tuple[list[Draft], bool]:
    """The events of a broadcast, and whether it named a list of channels."""
    message = _read_object(body)
    unknown = [key for key in message if key not in _BROADCAST_KEYS]
    if unknown:
        raise Problem(
            400,
            f"There is no key {unknown[0][:40]!r} in a broadcast; it takes {', '.join(_BROADCAST_KEYS)}.",
        )
    if "message" not in message:
        raise Problem(400, 'The key message is missing; the least is {"message": "Hello"}.')
    channels = message.get("channel", "main")
    several = isinstance(channels, list)
    listed: Sequence[object] = channels if isinstance(channels, list) else [channels]
    names = [name for name in dict.fromkeys(map(_text, listed)) if name is not None]
    type = message.get("event", "message")
    if not names or None in map(_text, listed):
        raise Problem(400, "The key channel takes a channel name or a list of at least one.")
    if not isinstance(type, str):
        raise Problem(400, 'The key event takes an event name, such as "notification".')
    try:
        names = [check_channel(name) for name in names]
        check_type(type)
    except ValueError as error:
        raise Problem(400, f"This cannot be published: {error}.") from None
    data = {"message": message["message"], "timestamp": _moment(message)}
    try:
        text = compact_json(data)
    except ValueError:
        raise Problem(
            400, "The message holds a number that JSON cannot say, such as 1e400; the largest is 1.8e308."
        ) from None
    return [Draft(name, type, text) for name in names], several


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _read_object(body: str) -> dict[str, object]:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise Problem(400, "The body is JSON nested too deeply to be read.") from None
    except ValueError as error:
        raise Problem(400, f"The body is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Problem(400, 'The body is no JSON object; the least is {"message": "Hello"}.')
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is Python's, not JSON's (RFC 8259, section 6)")


def _moment(message: dict[str, object]) -> object:
    if "timestamp" not in message:
        return timestamp(time.time_ns() // 1_000_000)
    moment = message["timestamp"]
    with contextlib.suppress(ValueError):
        if isinstance(moment, str) and datetime.fromisoformat(moment):
            return moment
    raise Problem(400, f"The key timestamp is {str(moment)[:40]!r}; it takes ISO 8601 such as 2026-11-24T12:00:00Z.")
