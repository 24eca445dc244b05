"""`GET /.well-known/mercure/subscriptions…`: the active subscriptions (docs/protocol.md, "Active subscriptions")."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice

from aiohttp import web

from ..core.events import compact_json
from .answers import send_parts
from .mercure_access import MERCURE_ACCESS, not_granted
from .mercure_documents import CONTEXT, SUBSCRIPTIONS_PATH, Document, quoted
from .mercure_publish import HUB_PATH
from .mercure_streams import EARLIEST
from .mercure_subscriptions import MERCURE_SUBSCRIPTIONS
from .problems import Problem
from .streams import pause

__all__ = ["list_subscriptions", "show_subscription"]

_STEP = 200
"""Documents that are written in one turn of the event loop: 2 ms."""
_KEPT_BYTES = 1 << 20
"""Largest list that is kept until it is sent. The documents of a larger one are written twice: the first time only to
know its length. A million of them would take 280 MB."""
_TYPE = "application/ld+json"
_FRESH = {"Cache-Control": "private, must-revalidate, max-age=0"}


async def list_subscriptions(request: web.Request) -> web.StreamResponse:
    """`GET /.well-known/mercure/subscriptions` and `…/subscriptions/{topic}`: all, or those of one topic selector."""
    await _allow(request)
    version, last, active = _now(request)
    headers = _headers(version)
    if _is_known(request, version):
        return web.Response(status=304, headers=headers)
    topic = request.match_info.get("topic")
    head = compact_json({"@context": CONTEXT, "id": _path(request), "type": "Subscriptions", "lastEventID": last})
    kept, length_bytes = bytearray(), 0
    async for part in _parts(head, active, topic):
        length_bytes += len(part)
        if length_bytes <= _KEPT_BYTES:
            kept += part
        else:
            kept.clear()
    headers["Content-Type"] = _TYPE
    if length_bytes <= _KEPT_BYTES:
        return web.Response(body=kept, headers=headers)
    return await send_parts(request, headers, length_bytes, _parts(head, active, topic))


async def _parts(head: str, active: Iterable[Document], topic: str | None) -> AsyncIterator[bytes]:
    """The list as JSON, some documents at a time. Between two parts, the event loop does other work.

    :param head: an object, to which the list is added.
    """
    documents = iter(active)
    text, separator = f'{head[:-1]},"subscriptions":[', ""
    while some := list(islice(documents, _STEP)):
        if found := [compact_json(each) for each in some if topic is None or each["topic"] == topic]:
            text += separator + ",".join(found)
            separator = ","
        if text:
            yield text.encode("utf-8", "replace")
            text = ""
        await pause()
    yield f"{text}]}}".encode("utf-8", "replace")


async def show_subscription(request: web.Request) -> web.Response:
    """`GET /.well-known/mercure/subscriptions/{topic}/{subscriber}`."""
    await _allow(request)
    version, last, active = _now(request)
    topic, subscriber = request.match_info["topic"], request.match_info["subscriber"]
    async for document in _in_steps(active):
        if document["topic"] == topic and document["subscriber"] == subscriber:
            if _is_known(request, version):
                return web.Response(status=304, headers=_headers(version))
            body = compact_json({"@context": CONTEXT, **document, "lastEventID": last}).encode("utf-8", "replace")
            return web.Response(body=body, headers={"Content-Type": _TYPE, **_headers(version)})
    raise Problem(404, f"{subscriber[:80]!r} does not subscribe to {topic[:140]!r}. {SUBSCRIPTIONS_PATH} lists all.")


def _now(request: web.Request) -> tuple[str, str, Iterable[Document]]:
    """The version of the list, the id of the newest update, and the subscriptions, all at the same moment."""
    subscriptions = request.app[MERCURE_SUBSCRIPTIONS]
    return subscriptions.version, subscriptions.last_id or EARLIEST, subscriptions.active()


async def _in_steps(documents: Iterable[Document]) -> AsyncIterator[Document]:
    """The documents. Now and then it lets the event loop do other work, because there may be tens of thousands."""
    for count, document in enumerate(documents, 1):
        yield document
        if count % _STEP == 0:
            await pause()


def _path(request: web.Request) -> str:
    """The canonical path of the request, with topic and subscriber as they were sent.

    The rest comes from the route: a hub that is mounted elsewhere has the same names. A client may also percent-encode
    any character of the path, and selectors must not match a shorter path because of that.
    """
    _, *sent = request.rel_url.raw_path.rsplit("/", len(request.match_info))
    return "/".join([SUBSCRIPTIONS_PATH, *sent])


async def _allow(request: web.Request) -> None:
    """:raises Problem: 401 or 403 if the path is none of the topics that may be read; 404 if nothing is listed."""
    grant = await request.app[MERCURE_ACCESS].subscriber(request)
    path = _path(request)
    canonical = "/".join([SUBSCRIPTIONS_PATH, *map(quoted, request.match_info.values())])
    may_do_everything = grant.anonymous and bool(grant.publish)  # by --anonymous all
    if not (may_do_everything or grant.may_read(path) or grant.may_read(canonical)):
        raise not_granted(request, grant, f"read {path[:300]!r}", grant.subscribe)
    if not request.app[MERCURE_SUBSCRIPTIONS].enabled:
        raise Problem(404, "Subscriptions are not listed here (--mercure-subscriptions).")


def _headers(version: str) -> dict[str, str]:
    return {**_FRESH, "ETag": f'"{version}"', "Link": f'<{HUB_PATH}>; rel="mercure"'}


def _is_known(request: web.Request, version: str) -> bool:
    """Whether the client has this version."""
    known = request.headers.get("If-None-Match", "")
    return version in [each.strip().removeprefix("W/").strip('"') for each in known.split(",")]
