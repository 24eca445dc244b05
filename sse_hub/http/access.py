"""The rights of a request: by its token, or without one, and by the page that sends it (docs/protocol.md, "Tokens").

A handler asks `grant_of` and gets a `Grant` or a problem. It never sees a token. `check_sender` checks the `Host` of
every request before its handler runs, and the `Origin` of every request that could change something.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from ..auth import Tokens
from ..keys import Denied, Keys, KeySet, read_file, read_key
from ..logs import log_line
from ..rights import ALL, NOTHING, READ, Grant
from ..settings import Settings
from .app_keys import METRICS, hub_app
from .peer import address_of, is_loopback, is_secure
from .problems import Problem
from .requests import single

__all__ = [
    "COOKIE",
    "Access",
    "allow_publish",
    "allow_subscribe",
    "bearer_of",
    "check_sender",
    "checking",
    "digest",
    "grant_of",
    "is_own_page",
    "refused",
    "session_of",
    "unauthorized",
]

COOKIE = "sse_token"
_ANONYMOUS: Mapping[str, Grant | None] = {"all": ALL, "subscribe": READ, "none": NOTHING, "": None}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY_SET_BYTES = 1 << 20
_KEY_SET_PATIENCE = 5.0

logger = logging.getLogger("sse_hub.access")


class Access:
    """Decides about the rights of requests."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key_set = KeySet(lambda: _fetch(settings.jwks_url)) if settings.jwks_url else None
        self.tokens: Tokens | None = None
        """Checks tokens. None if there is no key."""
        if self._key_set is not None:
            self.tokens = self._checked_by(self._key_set)
        elif settings.jwt_key:
            self.tokens = self._checked_by(read_key(read_file(settings.jwt_key)))
        self._anonymous = _ANONYMOUS[settings.anonymous] or (NOTHING if self.tokens is not None else None)
        self._listens_at_loopback = all(map(is_loopback, settings.host))
        self._hosts = settings.allowed_hosts
        self._origins = frozenset(settings.cors_origin)

    def read_again(self) -> None:
        """Read the key from its file again, or fetch the key set again.

        :raises OSError: if the file cannot be read.
        :raises ValueError: if it holds no key.
        """
        if self._key_set is not None:
            self._key_set.expire()
        elif self.tokens is not None:
            self.tokens = self._checked_by(read_key(read_file(self._settings.jwt_key)))

    async def close(self) -> None:
        """Cancel a running fetch of the key set."""
        if self._key_set is not None:
            await self._key_set.close()

    def _checked_by(self, keys: Keys) -> Tokens:
        return Tokens(keys, issuer=self._settings.jwt_issuer, audience=self._settings.jwt_audience)

    def anonymous(self, request: web.Request) -> Grant:
        """The rights of this request without a token."""
        if self._anonymous is not None:
            return self._anonymous
        # In an embedding application or under gunicorn, `--host` may not be the real address. The socket knows it.
        return ALL if self._listens_at_loopback and _is_local_connection(request) else READ

    async def grant(self, request: web.Request) -> Grant:
        """The rights of this request.

        :raises Problem: 401 if its token is not accepted, 403 for a cookie that a page of another site sends.
        :raises KeySetUnavailable: if there is no key to check the token with.
        """
        if self.tokens is None:
            return self.anonymous(request)  # there is no key to check a token with, so a token changes nothing
        bearer, cookie = bearer_of(request), request.cookies.get(COOKIE)
        token = bearer or cookie or single(request, "token")
        if not token:
            return self.anonymous(request)
        if token is cookie and request.method not in _SAFE and not self._is_known(request, any_origin=False):
            raise Problem(
                403,
                f"The Origin is {request.headers.get('Origin', '')[:80]!r}; with the cookie {COOKIE}, only pages of "
                "this server and those of --cors-origin may do this. Other programs send Authorization: Bearer.",
            )
        return await self.check(request, token)

    async def check(self, request: web.Request, token: str) -> Grant:
        """Check a token and return the rights that it grants.

        :raises Problem: 401 if it is not accepted.
        :raises KeySetUnavailable: if there is no key to check it with.
        """
        assert self.tokens is not None
        try:
            return await self.tokens.grant(token)
        except Denied as denied:
            raise refused(request, denied, "The token") from None

    def check_host(self, request: web.Request) -> None:
        """Refuse a request that names another server in its `Host`.

        The owner of a name can let it resolve to 127.0.0.1. A page of that name then talks to this server as its own
        origin (DNS rebinding). If requests without a token may publish because only this machine can connect, a page of
        any site could publish in this way.

        :raises Problem: 400 for the name of another host.
        """
        host = _host_of(request.host)
        if not self._hosts:
            if _cannot_be_rebound(host) or not (_is_local_connection(request) and self.anonymous(request).publish):
                return
        elif any(host == name or (name[:2] == "*." and host.endswith(name[1:])) for name in self._hosts):
            return
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical.endswith("/health"):
            return  # load balancers ask each node by its address
        if self._hosts:
            raise Problem(400, f"The Host is {host[:80]!r}; this server answers to {', '.join(self._hosts)}.")
        raise Problem(
            400,
            f"The Host is {host[:80]!r}. A server at a loopback address at which every request may publish answers "
            "only to localhost and to IP addresses. Behind a proxy, set --allowed-hosts to the server's name, and "
            "--jwt-key so that publishing needs a token.",
        )

    def check_origin(self, request: web.Request) -> None:
        """Refuse a request by which a page of a foreign origin would change something.

        :raises Problem: 403 for that request.
        """
        if request.method not in _SAFE and "Origin" in request.headers and not self._is_known(request, any_origin=True):
            raise Problem(
                403,
                f"The Origin is {request.headers['Origin'][:80]!r}; only pages of this server and those of "
                "--cors-origin may do this.",
            )

    def _is_known(self, request: web.Request, *, any_origin: bool) -> bool:
        origin = request.headers.get("Origin", "")
        if origin in self._origins or (any_origin and "*" in self._origins):
            return True
        return is_own_page(request, origin)


async def _fetch(url: str) -> Mapping[str, Any]:
    """Fetch a key set. Fetches are rare, so each opens a session of its own.

    :raises OSError: if the issuer does not answer with a key set.
    :raises ValueError: if the answer is not a JSON object.
    """
    shown = URL(url).with_user(None).with_query(None)  # clients see it; the rest may be secret
    try:
        timeout = aiohttp.ClientTimeout(_KEY_SET_PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url) as response:
            if response.status != 200:
                raise OSError(f"{shown} answered {response.status}")
            body = bytearray()
            async for data in response.content.iter_any():
                body += data
                if len(body) > _KEY_SET_BYTES:
                    raise OSError(f"{shown} answered more than {_KEY_SET_BYTES} bytes")
    except (aiohttp.ClientError, TimeoutError) as error:
        # The text of other errors has the whole URL.
        reason = str(error) if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__
        raise OSError(f"{shown}: {'no answer in time' if isinstance(error, TimeoutError) else reason}") from None
    keys = json.loads(body)
    if not isinstance(keys, dict):
        raise ValueError(f"{shown} is not a JSON object")
    return keys


async def checking(app: web.Application) -> AsyncIterator[None]:
    """Close the `Access` of an application. A cleanup context."""
    yield
    await app[ACCESS].close()


def bearer_of(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer` (RFC 6750, section 2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def session_of(request: web.Request) -> bytes | None:
    """The session of the request: a digest of the token in its cookie. None if its token comes in another way."""
    token = request.cookies.get(COOKIE)
    return digest(token) if token and not bearer_of(request) else None


def digest(token: str) -> bytes:
    """A digest that identifies a session without keeping its token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)


@functools.lru_cache(64)  # called for every request, with the same few names
def _host_of(host: str) -> str:
    """The host that a request names, without port, in lower case."""
    host = host.lower()
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0].rstrip(".")


@functools.lru_cache(64)  # called for every request, with the same few names
def _cannot_be_rebound(host: str) -> bool:
    """Whether an attacker cannot let this name resolve to another address: it is an IP address, or has no dot."""
    is_address = ":" in host or (host.replace(".", "").isdigit() and host.count(".") == 3)
    return "." not in host or is_address or is_loopback(host)


def _is_local_connection(request: web.Request) -> bool:
    """Whether the client has connected to a loopback address."""
    name = request.protocol.sockname
    return isinstance(name, tuple) and is_loopback(str(name[0]))


def refused(request: web.Request, denied: Denied, token: str) -> Problem:
    """Count and log a token that is not accepted; return the problem.

    :param token: how the problem calls the token, such as `The token`.
    """
    hub_app(request)[METRICS].tokens_refused.inc()
    log_line(
        logger,
        logging.WARNING,
        f"token not accepted: {denied}",
        address=address_of(request),
        method=request.method,
        path=request.path,
    )
    return unauthorized(f"{token} is not accepted: {denied}.", invalid=True)


def is_own_page(request: web.Request, origin: str) -> bool:
    """Whether a page of this origin is one of this server. Browsers leave out the port that is the default one of the
    scheme; the `Host` that a proxy writes may have it."""
    try:
        page = URL(origin)
        if page.scheme not in {"http", "https"} or (page.scheme == "http" and is_secure(request)):
            return False
        own = URL(f"{page.scheme}://{request.host}")
        return bool(page.host) and (page.host, page.port) == (own.host, own.port)
    except ValueError:
        return False


def unauthorized(detail: str, *, invalid: bool = False) -> Problem:
    """A 401 with the challenge of RFC 6750, section 3."""
    challenge = 'Bearer realm="sse-hub"' + (', error="invalid_token"' if invalid else "")
    return Problem(401, detail, {"WWW-Authenticate": challenge})


def grant_of(request: web.Request) -> Awaitable[Grant]:
    """The rights of this request; see `Access.grant`."""
    return hub_app(request)[ACCESS].grant(request)


def allow_subscribe(request: web.Request, grant: Grant, names: Sequence[str]) -> frozenset[str] | None:
    """Refuse channels that may not be read.

    A pattern is never refused: it shows only granted channels. The result is the granted patterns, or None if
    everything that the names cover is granted.

    :raises Problem: 401 if a token is missing, 403 for a channel that is not granted.
    """
    refused = [name for name in names if "*" not in name and not grant.may_subscribe(name)]
    if refused or not grant.subscribe:
        raise _not_granted(request, grant, "subscribe to", refused or names, grant.subscribe)
    # If a granted pattern matches another pattern as text, it matches every channel of that pattern, too.
    return None if all(map(grant.may_subscribe, names)) else grant.subscribe


def allow_publish(request: web.Request, grant: Grant, names: Sequence[str]) -> None:
    """Refuse channels that may not be published to. Without names, refuse a request that may publish nowhere.

    :raises Problem: 401 if a token is missing, 403 for a channel that is not granted.
    """
    refused = [name for name in names if not grant.may_publish(name)]
    if refused or not grant.publish:
        raise _not_granted(request, grant, "publish to", refused or ["anything"], grant.publish)


def _not_granted(
    request: web.Request, grant: Grant, act: str, names: Sequence[str], patterns: frozenset[str]
) -> Problem:
    if grant.anonymous and hub_app(request)[ACCESS].tokens is None:
        return unauthorized(
            f"A token is needed to {act} {names[0]!r}, and this server has no key to check one. Its operator can set "
            "--jwt-key or --jwks-url, or allow it without a token (--anonymous)."
        )
    if grant.anonymous:
        return unauthorized(
            f"A token is needed to {act} {names[0]!r} (--anonymous). Send it as Authorization: Bearer, as cookie "
            "sse_token or as ?token=."
        )
    granted = ", ".join(sorted(patterns)) or "nothing"
    log_line(
        logger,
        logging.WARNING,
        f"not granted: the token may not {act} {names[0][:140]}; it may {act} {granted}",
        address=address_of(request),
        subject=grant.subject,
        path=request.path,
    )
    return Problem(403, f"The token may not {act} {names[0]!r}. It may {act}: {granted}.")


def check_sender(request: web.Request) -> None:
    """Check the `Host` and the `Origin` of a request.

    :raises Problem: 400 or 403; see `Access`.
    """
    access = hub_app(request)[ACCESS]
    access.check_host(request)
    access.check_origin(request)
