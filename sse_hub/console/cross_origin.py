"""The checks for pages of other origins: the preflight of a publish, and whether the browser sends cookies."""

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
    """The parts of an answer that decide whether a page of another origin may read it."""

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
    """Whether pages may publish. Before JSON, the browser sends a preflight (WHATWG Fetch, "CORS protocol")."""
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
        meaning = "Pages of another origin cannot publish, because the preflight of the browser (OPTIONS) is refused."
        summary = f"OPTIONS is answered {answer.status}"
        return Finding(name, Status.WARNING, summary, meaning=meaning, advice=("forward OPTIONS to the hub",))
    if answer.allowed in ("*", probe.origin or _SOME_ORIGIN):
        return Finding(name, Status.OK, f"pages of any origin may publish ({answer.allowed})")
    if probe.origin is None:
        summary = f"pages of {_SOME_ORIGIN} may not publish; this is a choice (--cors-origin)"
        return Finding(name, Status.OK, summary)
    return _not_allowed(name, probe.origin)


def _not_allowed(name: str, origin: str) -> Finding:
    meaning = f"The browser does not show answers of the hub to pages of {origin}."
    return Finding(
        name, Status.WARNING, f"{origin} is not allowed", meaning=meaning, advice=(f"--cors-origin {origin}",)
    )


async def credentials(probe: Probe) -> Finding:
    """Whether pages may read a stream with cookies: `withCredentials`, which htmx 2 always sets."""
    name = "credentials"
    try:
        answer = await _ask(probe, "GET", "/stream")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    named = probe.origin or "https://your.page"
    if len(answer.origins) > 1 or "," in answer.allowed:
        meaning = (
            "A browser refuses an answer with two values. Either the hub or the proxy may add the header, not both."
        )
        summary = f"Access-Control-Allow-Origin has several values: {', '.join(answer.origins)}"
        return Finding(
            name,
            Status.WARNING,
            summary,
            meaning=meaning,
            advice=("remove add_header Access-Control-… from the proxy",),
        )
    if answer.allowed == "*" and (answer.credentials or probe.origin):
        meaning = "A browser refuses * for a request with cookies: withCredentials, credentials: 'include', htmx 2."
        summary = "pages of other origins may not send cookies (*)"
        return Finding(name, Status.WARNING, summary, meaning=meaning, advice=(f"--cors-origin {named}",))
    if answer.allowed == "*":
        return Finding(name, Status.OK, f"no cookies from other origins (*); htmx 2 needs --cors-origin {named}")
    if not answer.allowed and probe.origin:
        return _not_allowed(name, probe.origin)
    if answer.allowed and not answer.credentials:
        meaning = "A browser refuses an answer without this header to a request with cookies."
        advice = ("let Access-Control-Allow-Credentials: true through",)
        return Finding(
            name, Status.WARNING, "Access-Control-Allow-Credentials is missing", meaning=meaning, advice=advice
        )
    return Finding(name, Status.OK, f"{answer.allowed or 'only pages of named origins'} may send cookies")


async def session_cookie(probe: Probe) -> Finding:
    """Whether a browser keeps the cookie of a session and sends it. The answer to the deletion of a session that does
    not exist shows the attributes of the cookie."""
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
        meaning = "The hub does not know that the browser uses TLS. The browser would also send the cookie without TLS."
        advice = ("--trusted-proxies ADDRESS", "nginx:  proxy_set_header X-Forwarded-Proto $scheme;")
        return Finding(name, Status.WARNING, "without Secure", meaning=meaning, advice=advice)
    if same_site == "None" and not cookie["secure"]:
        meaning = "A browser does not keep a cookie with SameSite=None that is not Secure."
        return Finding(name, Status.WARNING, "SameSite=None without Secure", meaning=meaning, advice=("use https",))
    if probe.origin and same_site in ("Strict", "Lax") and not _may_be_one_site(answer.url, URL(probe.origin)):
        meaning = f"A browser sends the cookie only from pages of the hub's site, and {probe.origin} is another site."
        advice = ("a hub at the domain of the page: hub.example.org for www.example.org, both by https", "or ?token=")
        return Finding(name, Status.WARNING, f"SameSite={same_site}", meaning=meaning, advice=advice)
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
    """Whether two addresses may belong to one site for a browser (RFC 6265bis, 5.2).

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
