"""`POST /.well-known/mercure`: publish an update (docs/protocol.md, "Publishing an update")."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from ..core.events import Draft
from ..core.ports import IdempotentStore
from ..core.topics import EVERYTHING
from ..core.updates import draft, name_of
from ..topic_grants import TopicGrant
from .answers import FRESH
from .app_keys import BUDGET, METRICS, UPDATES
from .idempotency import IDEMPOTENCY
from .mercure_access import MERCURE_ACCESS, not_granted
from .problems import Problem
from .publish import body_of, consume_rate, idempotency_key
from .requests import media_type

__all__ = ["HUB_PATH", "MOST_CHARACTERS", "check_text", "publish"]

HUB_PATH = "/.well-known/mercure"
MOST_CHARACTERS = 4096
"""Largest length of a topic or a selector."""
_MOST_TOPICS = 1000
_MOST_FIELDS = 2000
_LARGE = 16 << 10
"""Bytes of a body, times the selectors that its topics are compared with, from which it is read in a thread. A megabyte
takes 50 ms to decode, and 330 ms to compare with one template."""
_FORM = "application/x-www-form-urlencoded"
_UNRESERVED = re.compile(r"%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])")


async def publish(request: web.Request) -> web.Response:
    """`POST /.well-known/mercure`. The answer is the id of the update."""
    begun = time.perf_counter()
    grant = await request.app[MERCURE_ACCESS].publisher(request)
    if not grant.publish:
        raise not_granted(request, grant, "publish", grant.publish)
    if (sent := media_type(request)) != _FORM:
        raise Problem(
            415,
            f"The Content-Type is {sent[:80]}; this takes {_FORM}. "
            "With curl: -d topic=https://example.com/books/1 -d data=Hello",
        )
    with request.app[BUDGET].reserve() as reservation:
        body = await body_of(request, request.app, reservation)
        large = len(body) * (1 if EVERYTHING in grant.publish else len(grant.publish)) > _LARGE
        fields, topics, denied = await asyncio.to_thread(_read, body, grant) if large else _read(body, grant)
        if denied is not None:
            raise not_granted(request, grant, f"publish to {denied!r}", grant.publish)
        return await _answer(request, grant, _draft(topics, fields), _one(fields, "id"), begun)


def _read(body: str, grant: TopicGrant) -> tuple[Mapping[str, list[str]], Sequence[str], str | None]:
    """The fields of the form, its topics, and the first topic that is not granted.

    :raises Problem: if the form or a topic is malformed.
    """
    fields = _fields(body)
    topics = _topics(fields.get("topic", []))
    return fields, topics, next((topic for topic in topics if not grant.may_publish(topic)), None)


def _fields(body: str) -> Mapping[str, list[str]]:
    """The fields of the form, by name.

    :raises Problem: 400 if it is malformed, 413 if it has too many fields.
    """
    if body.count("&") >= _MOST_FIELDS:
        raise Problem(413, f"The form has more than {_MOST_FIELDS} fields. An update may have {_MOST_TOPICS} topics.")
    found: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(body, keep_blank_values=True, errors="strict"):
            found.setdefault(name, []).append(value)
    except UnicodeDecodeError:
        raise Problem(400, "The form holds bytes that are not UTF-8. Send binary data as base64.") from None
    return found


def _one(fields: Mapping[str, list[str]], name: str) -> str | None:
    """The first value of a field. An empty field counts as absent."""
    return fields.get(name, [""])[0] or None


def _topics(given: Sequence[str]) -> list[str]:
    topics = list(dict.fromkeys(given))
    if not topics:
        raise Problem(400, "The field topic is missing, for example topic=https://example.com/books/1.")
    if len(topics) > _MOST_TOPICS:
        raise Problem(413, f"The update has {len(topics)} topics; it may have {_MOST_TOPICS}.")
    for topic in topics:
        check_text("topic", topic)
        if topic == "*":
            raise Problem(400, "The topic is '*', which is the selector of all topics. Give the update a topic.")
        if _is_own(topic):
            raise Problem(
                400, f"The topic {topic[:140]!r} is in the hub's own namespace {HUB_PATH}; choose a topic elsewhere."
            )
    return topics


def check_text(field: str, text: str) -> None:
    """Check a topic, an id or a type.

    :raises Problem: 400 if it is too long, or has a character that could forge a field of an event or deceive a reader.
    """
    if len(text) > MOST_CHARACTERS:
        raise Problem(400, f"The {field} has {len(text)} characters; it may have {MOST_CHARACTERS}.")
    if text.isascii() and text.isprintable():
        return
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs"}:
            raise Problem(
                400,
                f"The {field} {text[:60]!r} has the character U+{ord(character):04X}; control and format "
                "characters are not allowed.",
            )


@functools.lru_cache(4096)
def _is_own(topic: str) -> bool:
    """Whether the topic, resolved against the hub's URL, is a path of the hub."""
    try:
        parts = urlsplit(topic)
    except ValueError:
        return False
    path = parts.path
    if parts.scheme and not parts.netloc and not path.startswith("/"):
        return False  # urn:…, mailto:…
    if not parts.scheme and not parts.netloc and not path.startswith("/"):
        path = f"/.well-known/{path}" if path else HUB_PATH
    segments: list[str] = []
    for segment in _UNRESERVED.sub(lambda match: chr(int(match[0][1:], 16)), path).split("/")[1:]:
        if segment == "..":
            segments[-1:] = []
        elif segment != ".":
            segments.append(segment)
    return segments[:2] == HUB_PATH.split("/")[1:]


def _draft(topics: Sequence[str], fields: Mapping[str, list[str]]) -> Draft:
    """The update; its topics have been checked."""
    id, type, retry = _one(fields, "id"), _one(fields, "type"), _one(fields, "retry")
    for name, text in (("id", id), ("type", type)):
        if text is not None:
            check_text(name, text)
    if id is not None and (id.startswith("#") or id == "earliest"):
        raise Problem(400, f"The id is {id[:140]!r}; ids that begin with # and the id earliest are the hub's own.")
    if type == "mercure":
        raise Problem(400, "The type mercure is the hub's own; choose another.")
    if retry is not None and not (retry.isascii() and retry.isdigit() and len(retry) < 16):
        raise Problem(400, f"The field retry is {retry[:40]!r}; it takes milliseconds, such as 3000.")
    return draft(
        topics,
        fields.get("data", [""])[0],
        private="private" in fields,
        label=id,
        type=type,
        retry_ms=int(retry or 0) or None,
    )


async def _answer(
    request: web.Request, grant: TopicGrant, update: Draft, label: str | None, begun: float
) -> web.Response:
    """Publish, and answer with the id. With an `Idempotency-Key`, publish only once."""
    consume_rate(request, request.app, grant, 1)
    key = idempotency_key(request)
    if key is None:
        body = await _publish(request, update, label)
    else:
        scoped_key = json.dumps([HUB_PATH, grant.identity, key], separators=(",", ":"))
        body = await request.app[IDEMPOTENCY].once(scoped_key, lambda: _publish(request, update, label, scoped_key))
    request.app[METRICS].publish_seconds.observe(time.perf_counter() - begun)
    return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=FRESH)


async def _publish(request: web.Request, update: Draft, label: str | None, key: str = "") -> bytes:
    store = request.app[UPDATES].store
    begun = time.perf_counter()
    if key and isinstance(store, IdempotentStore):
        (id,), memo = await store.append_once(key, [update], label or "")
        label = memo or None
    else:
        id = (await store.append([update]))[0].id
    request.app[METRICS].store_seconds.observe(time.perf_counter() - begun)
    assert id is not None
    return (name_of(id) if label is None else label).encode()
