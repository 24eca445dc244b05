"""Reads from a request where its stream should begin."""

from __future__ import annotations

from aiohttp import web

from ..core.events import EventId
from ..core.start import Start
from .app_keys import METRICS, SETTINGS
from .peer import address_of
from .problems import Problem
from .requests import choice, last, number, single

__all__ = ["read_start"]

_LATEST = "latest"


def read_start(request: web.Request) -> Start:
    """The start that the request asks for. An id that no hub has issued counts as a cursor, too: the stream reports a
    loss and begins with the oldest retained event.

    :raises Problem: 400 if the request asks for something impossible.
    """
    from_start = choice(request, "from", "start")
    unless_ended = choice(request, "ended", "204")
    latest = single(request, "replay") == _LATEST
    replay = None if latest else _replay(request)
    if from_start and "replay" in request.query:
        raise Problem(400, "Only one of the parameters from and replay may be given: both say where the stream begins.")
    start = Start(replay=replay, latest=latest, from_start=from_start, unless_ended=unless_ended)
    text = request.headers.get("Last-Event-ID") or last(request, "lastEventId")
    if not text:  # an empty id means that there is none (9.2.6)
        return start
    try:
        return start._replace(resumes=True, cursor=EventId.parse(text))
    except ValueError:
        return start._replace(resumes=True)


def _replay(request: web.Request) -> int | None:
    replay, most = number(request, "replay", otherwise=_LATEST), request.app[SETTINGS].max_replay
    if replay is not None and replay > most:
        request.app[METRICS].hit_limit("replay", address=address_of(request))
        raise Problem(400, f"The parameter replay is {replay}; it may be at most {most} (--max-replay).")
    return replay
