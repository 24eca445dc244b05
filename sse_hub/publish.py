"""The two ways to publish over HTTP, batches, and publishing once however often it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, NoReturn

from aiohttp import web

from .access import allow_publish, grant_of
from .auth import Grant
from .clients import address_of
from .events import Draft, EventId, check_channel, check_type, compact_json, timestamp
from .metrics import Metrics
from .ports import Remembering
from .problems import Problem
from .requests import flag, read_body
from .state import ANSWERS, HUB, METRICS, NODES, RATE, SETTINGS

__all__ = ["Answers", "broadcast", "publish"]

_KEY_LENGTH = 256
_KEY_AGE = 600.0
_BROADCAST_KEYS = ("message", "timestamp", "event", "channel")


class _Answer(NamedTuple):
    until: float
    task: asyncio.Task[str]


class Answers:
    """The answers to publishes that carried an `Idempotency-Key`. One that failed is not kept: trying again is then
    what the client should do. A store may know keys for longer than this process and for others (`ports.Remembering`);
    it is asked when there is no answer here.

    :param most: answers kept at once, about 0.5 kB each: who sends more keys in ten minutes is protected for less long.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        metrics.idempotency_keys.set_function(lambda: len(self._answers))
        self._answers: OrderedDict[tuple[str, str], _Answer] = OrderedDict()  # oldest first

    async def once(self, path: str, key: str, publish: Callable[[], Coroutine[None, None, str]]) -> str:
        """The answer to the first publish with this key on this path; a second one that comes meanwhile waits for
        it."""
        now = time.monotonic()
        self._forget(now)
        answer = self._answers.get((path, key))
        if answer is None:
            # A task of its own: when the first client leaves, its publish is done nevertheless.
            answer = _Answer(now + _KEY_AGE, asyncio.create_task(publish()))
            self._answers[path, key] = answer
            answer.task.add_done_callback(lambda task: self._drop_failure(path, key, task))
        return await asyncio.shield(answer.task)

    def _forget(self, now: float) -> None:
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if oldest.until > now:
                if len(self._answers) < self._most:
                    return
                self._metrics.hit_limit("idempotency_keys")
            self._answers.popitem(last=False)

    def _drop_failure(self, path: str, key: str, task: asyncio.Task[str]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._answers.pop((path, key), None)


async def broadcast(request: web.Request) -> web.Response:
    """`POST /api/broadcast`: publish a JSON message to one channel or several."""
    if request.content_type != "application/json":
        raise Problem(
            415,
            f"The Content-Type is {request.content_type}; this takes application/json. "
            """With curl: --json '{"message": "Hello"}'""",
        )
    begun = time.perf_counter()
    grant = await grant_of(request)
    allow_publish(request, grant, [])
    drafts, several = _read_broadcast(await _body(request))
    allow_publish(request, grant, [draft.channel for draft in drafts])

    def said(ids: Sequence[EventId | None], told: Sequence[Mapping[str, object]]) -> object:
        answers = [{"id": _id(id), **each} for id, each in zip(ids, told, strict=True)]
        return answers if several else answers[0]

    return await _answer(request, grant, drafts, [_told(request, draft) for draft in drafts], said, begun)


async def publish(request: web.Request) -> web.Response:
    """`POST /realtime/{channel}`: the body is the data; as `application/x-ndjson`, every line is."""
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
    body = await _body(request)
    lines = [line for line in (line.removesuffix("\r") for line in body.split("\n")) if line] if batch else [body]
    if not lines:
        raise Problem(400, "The batch is empty; application/x-ndjson takes one event a line.")
    drafts = [Draft(channel, type, line, ephemeral) for line in lines]

    def said(ids: Sequence[EventId | None], told: Sequence[Mapping[str, object]]) -> object:
        if batch:
            return {"ids": [_id(ids[0]), _id(ids[-1])], "count": len(ids), **told[0]}
        return {"id": _id(ids[0]), **told[0]}

    return await _answer(request, grant, drafts, [_told(request, drafts[0])], said, begun)


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

    # Whoever holds another token has keys of its own: one must not keep the other's publishes from happening.
    place = request.path if grant.subject is None else f"{request.path} {grant.subject}"

    async def act() -> str:
        with metrics.store_seconds.time():
            if key is None or not isinstance(store, Remembering):
                ids = [event.id for event in await request.app[HUB].publish_all(drafts)]
                return compact_json(said(ids, told))
            first, memo = await store.append_once(f"{place} {key}", drafts, compact_json(told))
        return compact_json(said(first, json.loads(memo)))

    if key is None:
        text = await act()
    elif not 1 <= len(key) <= _KEY_LENGTH:
        raise Problem(
            400, f"The Idempotency-Key has {len(key)} characters; it may have 1 to {_KEY_LENGTH}. A UUID is a good one."
        )
    else:
        text = await request.app[ANSWERS].once(place, key, act)
    metrics.publish_seconds.observe(time.perf_counter() - begun)
    return web.Response(text=text, content_type="application/json")


async def _body(request: web.Request) -> str:
    settings, metrics = request.app[SETTINGS], request.app[METRICS]
    try:
        if request.content.is_eof():  # most bodies come with the headers: nothing to wait for, 10 µs less
            return await read_body(request, settings.max_body)
        async with asyncio.timeout(settings.request_timeout):
            return await read_body(request, settings.max_body)
    except TimeoutError:
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
    text = compact_json(data)
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
