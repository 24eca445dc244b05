"""Sessions of browsers: a token becomes a cookie that scripts cannot read, and back (docs/protocol.md, "Tokens")."""

from __future__ import annotations

import time

from aiohttp import web

from ..core.events import timestamp
from .access import ACCESS, COOKIE, bearer_of, digest, unauthorized
from .answers import json_answer
from .peer import is_secure
from .problems import Problem
from .schemas import Session
from .workers import WORKERS

__all__ = ["begin", "end"]


async def begin(request: web.Request) -> web.Response:
    """`POST /api/session`: set the cookie until the token expires."""
    access = request.app[ACCESS]
    if access.tokens is None:
        raise Problem(404, "There are no sessions here: no key for tokens is set (--jwt-key, --jwks-url).")
    token = bearer_of(request)
    if not token:
        raise unauthorized("A session begins with a token: Authorization: Bearer.")
    grant = await access.check(request, token)
    assert grant.until is not None
    answer = json_answer(
        Session(
            subscribe=sorted(grant.subscribe),
            publish=sorted(grant.publish),
            admin=grant.admin,
            subject=grant.subject,
            until=timestamp(int(grant.until * 1000)),
        )
    )
    answer.set_cookie(
        COOKIE,
        token,
        max_age=max(1, int(grant.until - time.time())),
        path=_path(request),
        httponly=True,
        samesite="Strict",
        secure=is_secure(request),
    )
    return await _sent(request, answer, token)


async def end(request: web.Request) -> web.Response:
    """`DELETE /api/session`: delete the cookie, and end the streams that were opened with it."""
    answer = web.Response(status=204)
    answer.del_cookie(COOKIE, path=_path(request), httponly=True, samesite="Strict", secure=is_secure(request))
    return await _sent(request, answer)


async def _sent(request: web.Request, answer: web.Response, token: str = "") -> web.Response:
    """Send the answer; then end the streams of the former session, unless the token is the same.

    Otherwise the browser would still receive events of a user who has signed out. The answer goes first, because a
    stream that reconnects at once needs the new cookie.
    """
    try:
        await answer.prepare(request)
        await answer.write_eof()
    finally:
        former = request.cookies.get(COOKIE)
        if former and former != token:
            await request.app[WORKERS].end_session(digest(former))
    return answer


def _path(request: web.Request) -> str:
    """The path at which the hub is mounted."""
    return request.path.removesuffix("api/session")
