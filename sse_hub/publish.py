"""The two ways to publish over HTTP, batches, and publishing once however often it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, NoReturn

from aiohttp import web

from .events import Draft, EventId, check_channel, check_type, compact_json, timestamp
from .ports import Remembering
from .problems import Problem
from .requests import flag, read_body
from .state import ANSWERS, HUB, METRICS, NODES, SETTINGS

__all__ = ["Answers", "broadcast", "publish"]

_KEY_LENGTH = 256
_KEY_AGE = 600.0
_KEYS = 10_000
"""Answers kept at once, about 5 MB of them. Whoever publishes more than 16 events a second with a key each is protected
for less than ten minutes."""
_BROADCAST_KEYS = ("message", "timestamp", "event", "channel")


class _Answer(NamedTuple):
    until: float
    task: asyncio.Task[str]


class Answers:
    """The answers to publishes that carried an `Idempotency-Key`. One that failed is not kept: trying again is then
    what the client should do. A store may know keys for longer than this process and for others (`ports.Remembering`);
    it is asked when there is no answer here."""

    def __init__(self) -> None:
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
            if oldest.until > now and len(self._answers) < _KEYS:
                return
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
    body = await read_body(request, request.app[SETTINGS].max_body)
    drafts, several = _read_broadcast(body)

    def said(ids: Sequence[EventId | None], told: Sequence[Mapping[str, object]]) -> object:
        answers = [{"id": _id(id), **each} for id, each in zip(ids, told, strict=True)]
        return answers if several else answers[0]

    return await _answer(request, drafts, [_told(request, draft) for draft in drafts], said)


async def publish(request: web.Request) -> web.Response:
    """`POST /realtime/{channel}`: the body is the data; as `application/x-ndjson`, every line is."""
    batch = request.content_type == "application/x-ndjson"
    ephemeral = flag(request, "ephemeral")
    try:
        channel = check_channel(request.match_info["channel"])
        type = check_type(request.query.get("event", "message"))
    except ValueError as error:
        raise Problem(400, f"This cannot be published: {error}.") from None
    body = await read_body(request, request.app[SETTINGS].max_body)
    lines = [line for line in (line.removesuffix("\r") for line in body.split("\n")) if line] if batch else [body]
    if not lines:
        raise Problem(400, "The batch is empty; application/x-ndjson takes one event a line.")
    drafts = [Draft(channel, type, line, ephemeral) for line in lines]

    def said(ids: Sequence[EventId | None], told: Sequence[Mapping[str, object]]) -> object:
        if batch:
            return {"ids": [_id(ids[0]), _id(ids[-1])], "count": len(ids), **told[0]}
        return {"id": _id(ids[0]), **told[0]}

    return await _answer(request, drafts, [_told(request, drafts[0])], said)


def _id(id: EventId | None) -> str | None:
    return None if id is None else str(id)


def _told(request: web.Request, draft: Draft) -> Mapping[str, object]:
    """What a publisher is told of its event, but for the id."""
    subscribers = request.app[NODES].subscribers(draft.channel)
    return {"channel": draft.channel, "event": draft.type, "subscribers": subscribers}


async def _answer(
    request: web.Request,
    drafts: Sequence[Draft],
    told: Sequence[Mapping[str, object]],
    said: Callable[[Sequence[EventId | None], Sequence[Mapping[str, object]]], object],
) -> web.Response:
    """Publish, once if there is a key, and answer with what `said` makes of the ids and of what is told."""
    key = request.headers.get("Idempotency-Key")
    store = request.app[HUB].store

    async def act() -> str:
        with request.app[METRICS].publish_seconds.time():
            if key is None or not isinstance(store, Remembering):
                ids = [event.id for event in await request.app[HUB].publish_all(drafts)]
                return compact_json(said(ids, told))
            first, memo = await store.append_once(f"{request.path} {key}", drafts, compact_json(told))
            return compact_json(said(first, json.loads(memo)))

    if key is None:
        text = await act()
    elif not 1 <= len(key) <= _KEY_LENGTH:
        raise Problem(
            400, f"The Idempotency-Key has {len(key)} characters; it may have 1 to {_KEY_LENGTH}. A UUID is a good one."
        )
    else:
        text = await request.app[ANSWERS].once(request.path, key, act)
    return web.Response(text=text, content_type="application/json")


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
