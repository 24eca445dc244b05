"""The rights of a request of the Mercure protocol, by its token or without one (docs/protocol.md, "Rights").

A token is taken from `Authorization: Bearer`, from the query parameter `authorization`, or from the cookie. The first
that is there counts, even if it is not accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web
from yarl import URL

from ..auth import Tokens
from ..keys import Denied, read_file, read_key
from ..logs import log_line
from ..rights import ALL, NOTHING, READ, Grant
from ..settings import Settings
from ..topic_grants import EVERYTHING_PUBLIC, NO_TOPICS, PUBLIC, TopicGrant, topic_grant
from .access import Access, is_own_page, refused, unauthorized
from .peer import address_of
from .problems import Problem
from .requests import single

__all__ = ["MERCURE_ACCESS", "MercureAccess", "not_granted"]

_ANONYMOUS: Mapping[str, Grant] = {"all": ALL, "subscribe": READ, "none": NOTHING}

logger = logging.getLogger("sse_hub.access")


class MercureAccess:
    """Decides about the rights of requests.

    :param access: knows the key of all tokens, which is used if a role has no key of its own.
    """

    def __init__(self, settings: Settings, access: Access) -> None:
        self._settings = settings
        self._access = access
        self._own: dict[str, Tokens] = {}
        self.read_again()

    def read_again(self) -> None:
        """Read the keys from their files again.

        :raises OSError: if a file cannot be read.
        :raises ValueError: if it holds no key.
        """
        settings = self._settings
        keys = {"publisher": settings.mercure_publisher_key, "subscriber": settings.mercure_subscriber_key}
        self._own = {
            role: Tokens(read_key(read_file(key)), issuer=settings.jwt_issuer, audience=settings.jwt_audience)
            for role, key in keys.items()
            if key
        }

    async def publisher(self, request: web.Request) -> TopicGrant:
        """The rights of a request that publishes.

        :raises Problem: 401 if its token is not accepted, 403 for a cookie that a page of another site sends.
        :raises KeySetUnavailable: if there is no key to check the token with.
        """
        return await self._grant(request, "publisher")

    async def subscriber(self, request: web.Request) -> TopicGrant:
        """The rights of a request that reads; see `publisher`."""
        return await self._grant(request, "subscriber")

    async def _grant(self, request: web.Request, role: str) -> TopicGrant:
        tokens = self._tokens(role)
        if tokens is None:  # there is no key to check a token with, so a token changes nothing
            return self._anonymous(request)
        token, source = self._token(request)
        if token is None:
            return self._anonymous(request)
        if source == "cookie" and request.method == "POST":
            self._check_origin(request)
        try:
            return await topic_grant(tokens, token)
        except Denied as denied:
            raise refused(request, denied, f"The token ({source})") from None

    def _tokens(self, role: str) -> Tokens | None:
        """Checks the tokens of a role. None if there is no key for it."""
        return self._own.get(role, self._access.tokens)

    def token_needed(self, request: web.Request, act: str) -> Problem:
        """The problem of a request without a token that needs one.

        :param act: the act and its object.
        """
        role = "publisher" if request.method == "POST" else "subscriber"
        if self._tokens(role) is None:
            return unauthorized(
                f"A token is needed to {act}, and this server has no key to check one. Its operator can set "
                f"--mercure-{role}-key or --jwt-key, or allow it without a token (--anonymous)."
            )
        return unauthorized(
            f"A token is needed to {act} (--anonymous). Send it as Authorization: Bearer, as ?authorization= or as "
            "cookie."
        )

    def _token(self, request: web.Request) -> tuple[str | None, str]:
        """The token of the request, and where it is."""
        headers = request.headers.getall("Authorization", [])
        if headers:
            scheme, _, token = headers[0].partition(" ")
            if len(headers) > 1 or scheme.lower() != "bearer" or not token.strip():
                raise unauthorized(
                    "The header Authorization has no token; it takes Bearer and one token, and may come once.",
                    invalid=True,
                )
            return token.strip(), "header"
        cookie = self._settings.mercure_cookie
        for found, source in ((single(request, "authorization"), "query"), (request.cookies.get(cookie), "cookie")):
            if found is not None:
                if not found:
                    raise unauthorized(f"The token ({source}) is empty.", invalid=True)
                return found, source
        return None, ""

    def _anonymous(self, request: web.Request) -> TopicGrant:
        """The rights of this request without a token."""
        without = self._access.anonymous(request)
        if self._own:
            without = _ANONYMOUS.get(self._settings.anonymous, NOTHING)
        if without.publish:
            return EVERYTHING_PUBLIC
        return PUBLIC if without.subscribe else NO_TOPICS

    def _check_origin(self, request: web.Request) -> None:
        """Refuse a cookie that a page of a foreign origin sends, or that comes without an origin.

        :raises Problem: 403 for that request.
        """
        origin = request.headers.get("Origin") or _origin_of(request.headers.get("Referer", ""))
        allowed = self._settings.mercure_publish_origins
        if not origin or not (is_own_page(request, origin) or origin in allowed or "*" in allowed):
            raise Problem(
                403,
                f"The Origin is {origin[:80]!r}; with the cookie {self._settings.mercure_cookie}, only pages of this "
                "server and those of --mercure-publish-origins may publish. Other programs send Authorization: Bearer.",
            )


def _origin_of(address: str) -> str:
    """The origin of a page's address; empty if it has none."""
    try:
        return str(URL(address).origin())
    except ValueError:
        return ""


def not_granted(request: web.Request, grant: TopicGrant, act: str, granted: frozenset[str]) -> Problem:
    """The problem of a request that may not do this.

    :param act: the act and its object, such as `publish to 'https://example.com/books/1'`.
    :param granted: the selectors that the token grants for it.
    """
    if grant.anonymous:
        return request.app[MERCURE_ACCESS].token_needed(request, act)
    shown = ", ".join(sorted(granted)[:10]) or "nothing"
    log_line(
        logger,
        logging.WARNING,
        f"not granted: the token may not {act[:300]}; the claim mercure grants {shown[:300]}",
        address=address_of(request),
        subject=grant.subject,
        path=request.path,
    )
    return Problem(
        403,
        f"The token may not {act}. Its claim mercure grants: {shown}. A selector is a topic, a URI Template or *.",
        {"WWW-Authenticate": 'Bearer realm="sse-hub", error="insufficient_scope"'},
    )


MERCURE_ACCESS: web.AppKey[MercureAccess] = web.AppKey("mercure access", MercureAccess)
