"""The checks for pages of other origins: what the browser asks before a publish, and whether it sends cookies."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import CookieError, Morsel, SimpleCookie

import aiohttp
from yarl import URL

from .probes import PATIENCE, Finding, Probe, Status, failed

__all__ = ["CROSS_ORIGIN"]

_SOME_ORIGIN = "https://example.org"
_COOKIE = "sse_token"


@dataclass(frozen=True, slots=True)
class _Answer:
    """The part of an answer that decides what a page of another origin gets."""

    status: int
    url: URL
    origins: list[str]
    """`Access-Control-Allow-Origin`, each time that it was sent."""
    credentials: bool
    cookies: list[str]

    @property
    def allowed(self) -> str:
        return self.origins[0] if self.origins else ""


async def _ask(probe: Probe, method: str, path: str, **headers: str) -> _Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Origin"] = probe.origin or _SOME_ORIGIN
    async with asyncio.timeout(PATIENCE):
        async with await probe.client.request(method, path, headers=named) as response:
            got = response.headers
            return _Answer(
                response.status,
                response.url,
                got.getall("Access-Control-Allow-Origin", []),
                got.get("Access-Control-Allow-Credentials") == "true",
                got.getall("Set-Cookie", []),
            )


async def cors(probe: Probe) -> Finding:
    """Whether pages may publish: the browser asks before a request with JSON."""
    name = "CORS"
    try:
        answer = await _ask(
            probe,
            "OPTIONS",
            "/api/broadcast",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="content-type",
        )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    if answer.status >= 300:
        means = "Pages of another origin cannot publish: the browser's question before it (OPTIONS) is refused."
        said = f"OPTIONS is answered {answer.status}"
        return Finding(name, Status.WARNING, said, means=means, mend=("pass OPTIONS on to the hub",))
    if answer.allowed in ("*", probe.origin or _SOME_ORIGIN):
        return Finding(name, Status.OK, f"pages of any origin may publish ({answer.allowed})")
    if probe.origin is None:
        said = f"pages of {_SOME_ORIGIN} may not publish; this is a choice (--cors-origin)"
        return Finding(name, Status.OK, said)
    return _not_allowed(name, probe.origin)


def _not_allowed(name: str, origin: str) -> Finding:
    means = f"The browser shows pages of {origin} no answer of the hub."
    return Finding(name, Status.WARNING, f"{origin} is not allowed", means=means, mend=(f"--cors-origin {origin}",))


async def credentials(probe: Probe) -> Finding:
    """Whether pages may read a stream with cookies: `withCredentials`, which htmx 2 always sets."""
    name = "credentials"
    try:
        answer = await _ask(probe, "GET", "/stream")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    named = probe.origin or "https://your.page"
    if len(answer.origins) > 1 or "," in answer.allowed:
        means = "A browser refuses an answer with two values: only one of the hub and the proxy may add the header."
        said = f"Access-Control-Allow-Origin has several values: {', '.join(answer.origins)}"
        return Finding(name, Status.WARNING, said, means=means, mend=("take add_header Access-Control-… out",))
    if answer.allowed == "*" and (answer.credentials or probe.origin):
        means = "A browser refuses * for a request with cookies: withCredentials, credentials: 'include', htmx 2."
        said = "pages of other origins may not send cookies (*)"
        return Finding(name, Status.WARNING, said, means=means, mend=(f"--cors-origin {named}",))
    if answer.allowed == "*":
        return Finding(name, Status.OK, f"no cookies from other origins (*); htmx 2 needs --cors-origin {named}")
    if not answer.allowed and probe.origin:
        return _not_allowed(name, probe.origin)
    if answer.allowed and not answer.credentials:
        means = "A browser refuses an answer to a request with cookies that does not say that it may have them."
        mend = ("let Access-Control-Allow-Credentials: true through",)
        return Finding(name, Status.WARNING, "Access-Control-Allow-Credentials is missing", means=means, mend=mend)
    return Finding(name, Status.OK, f"{answer.allowed or 'only pages of named origins'} may send cookies")


async def session_cookie(probe: Probe) -> Finding:
    """Whether a browser keeps the cookie of a session and sends it. Deleting a session that is not there shows it."""
    name = "session cookie"
    try:
        answer = await _ask(probe, "DELETE", "/api/session")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    cookie = _cookie(answer.cookies)
    if cookie is None:
        return Finding(name, Status.SKIPPED, f"the answer to DELETE /api/session ({answer.status}) sets no {_COOKIE}")
    same_site = cookie["samesite"].capitalize()
    if answer.url.scheme == "https" and not cookie["secure"]:
        means = "The hub does not know that the browser came by TLS. The cookie would be sent without TLS, too."
        mend = ("--trusted-proxies ADDRESS", "nginx:  proxy_set_header X-Forwarded-Proto $scheme;")
        return Finding(name, Status.WARNING, "without Secure", means=means, mend=mend)
    if same_site == "None" and not cookie["secure"]:
        means = "A browser does not keep such a cookie."
        return Finding(name, Status.WARNING, "SameSite=None without Secure", means=means, mend=("use https",))
    if probe.origin and same_site in ("Strict", "Lax") and not _may_be_one_site(answer.url, URL(probe.origin)):
        means = f"A browser sends the cookie only from pages of the hub's own site, and {probe.origin} is of another."
        mend = ("a hub at the domain of the page: hub.example.org for www.example.org, both by https", "or ?token=")
        return Finding(name, Status.WARNING, f"SameSite={same_site}", means=means, mend=mend)
    return Finding(name, Status.OK, f"SameSite={same_site or 'Lax'}: for pages of the same site")


def _cookie(headers: list[str]) -> Morsel[str] | None:
    """The session's cookie with its attributes."""
    for header in headers:
        try:
            found = SimpleCookie(header)
        except CookieError:
            continue
        if _COOKIE in found:
            return found[_COOKIE]
    return None


def _may_be_one_site(one: URL, other: URL) -> bool:
    """Whether a browser may take two addresses for one site (RFC 6265bis, 5.2).

    It is not exact: two names below a public suffix such as `co.uk` count as one site here.
    """
    hosts = [address.host or "" for address in (one, other)]
    if not any(_is_number(host) for host in hosts):
        hosts = [".".join(host.rsplit(".", 2)[-2:]) for host in hosts]
    return one.scheme == other.scheme and hosts[0] == hosts[1]


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


CROSS_ORIGIN: tuple[Callable[[Probe], Awaitable[Finding]], ...] = (cors, credentials, session_cookie)
