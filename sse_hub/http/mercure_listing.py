"""`GET /.well-known/mercure/subscriptions…`: the active subscriptions (docs/protocol.md, "Active subscriptions")."""

from __future__ import annotations

from aiohttp import web

from ..core.events import compact_json
from .mercure_access import MERCURE_ACCESS, not_granted
from .mercure_publish import HUB_PATH
from .mercure_streams import EARLIEST
from .mercure_subscriptions import CONTEXT, MERCURE_SUBSCRIPTIONS, SUBSCRIPTIONS_PATH, quoted
from .problems import Problem

__all__ = ["list_subscriptions", "show_subscription"]

_FRESH = {"Cache-Control": "private, must-revalidate, max-age=0"}


async def list_subscriptions(request: web.Request) -> web.Response:
    """`GET /.well-known/mercure/subscriptions` and `…/subscriptions/{topic}`: all, or those of one topic selector."""
    await _allow(request)
    subscriptions = request.app[MERCURE_SUBSCRIPTIONS]
    topic = request.match_info.get("topic")
    found = [
        document
        for each in subscriptions.active
        for document in each.documents()
        if topic is None or document["topic"] == topic
    ]
    return _answer(
        request,
        subscriptions.last_id,
        {"id": _path(request), "type": "Subscriptions"},
        {"subscriptions": found},
    )


async def show_subscription(request: web.Request) -> web.Response:
    """`GET /.well-known/mercure/subscriptions/{topic}/{subscriber}`."""
    await _allow(request)
    subscriptions = request.app[MERCURE_SUBSCRIPTIONS]
    topic, subscriber = request.match_info["topic"], request.match_info["subscriber"]
    for each in subscriptions.active:
        for document in each.documents() if each.subscriber == subscriber else ():
            if document["topic"] == topic:
                return _answer(request, subscriptions.last_id, document, {})
    raise Problem(404, f"{subscriber[:80]!r} does not subscribe to {topic[:140]!r}. {SUBSCRIPTIONS_PATH} lists all.")


def _path(request: web.Request) -> str:
    """The path of the request as it was sent. A hub that is mounted elsewhere has the same names."""
    _, _, rest = request.rel_url.raw_path.partition(HUB_PATH)
    return HUB_PATH + rest


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


def _answer(request: web.Request, last: str | None, head: dict[str, object], tail: dict[str, object]) -> web.Response:
    last = EARLIEST if last is None else last
    headers = {**_FRESH, "ETag": f'"{last}"', "Link": f'<{HUB_PATH}>; rel="mercure"'}
    known = request.headers.get("If-None-Match", "")
    if known and last in [each.strip().removeprefix("W/").strip('"') for each in known.split(",")]:
        return web.Response(status=304, headers=headers)
    body = compact_json({"@context": CONTEXT, **head, "lastEventID": last, **tail})
    return web.Response(
        body=body.encode("utf-8", "replace"), headers={"Content-Type": "application/ld+json", **headers}
    )
