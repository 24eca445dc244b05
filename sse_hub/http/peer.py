"""The client of a request: its address, and whether it uses TLS. Both also work behind proxies.

Any client can send a header that names another client. So the header counts only if it comes from a proxy in
`--trusted-proxies`. It is read from its end: only the last address that is not a trusted proxy is certain, and a
stranger may have written everything before it.

This is written by hand. The library for it, aiohttp-remotes, needs the number of proxies or the address of each one;
here, networks of proxies are trusted.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from .app_keys import SETTINGS, hub_app

__all__ = ["Network", "address_of", "is_from_proxy", "is_loopback", "is_secure"]

Network = IPv4Network | IPv6Network
_LONGEST = 20
"""Largest number of addresses read from one header. Real chains of proxies are shorter; a header with thousands is an
attack."""
_LONGEST_FORWARDED = 4000
"""Largest length of `Forwarded`. A request may have a hundred lines of 8 kB, and reading them takes aiohttp 0.7 s."""


def address_of(request: web.Request) -> str:
    """The address of the client as text. Behind a proxy that is not trusted, it is the address of that proxy."""
    peer = request.remote or "unknown"
    trusted = hub_app(request)[SETTINGS].trusted_proxies
    if not trusted or not _within(peer, trusted):
        return peer
    for each in _forwarded_for(request):
        address = _bare(each)
        if address is None:  # an obfuscated or malformed address; everything before it is uncertain
            return peer
        peer = address
        if not _within(peer, trusted):
            return peer
    return peer


def is_from_proxy(request: web.Request) -> bool:
    """Whether the request comes directly from a trusted proxy."""
    trusted = hub_app(request)[SETTINGS].trusted_proxies
    return bool(trusted) and _within(request.remote or "", trusted)


def is_secure(request: web.Request) -> bool:
    """Whether the client uses TLS, to this server or to a trusted proxy."""
    if request.secure:
        return True
    if not is_from_proxy(request):
        return False
    schemes = request.headers.getall("X-Forwarded-Proto", [])
    if not schemes:
        schemes = [each.get("proto", "") for each in _forwarded(request)[-1:]]
    return bool(schemes) and schemes[-1].rpartition(",")[2].strip().lower() == "https"


@functools.lru_cache(64)  # called for every request, with the same few addresses
def is_loopback(host: str) -> bool:
    """Whether a host, given by name or address, is a loopback address, which only this machine can reach."""
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _forwarded_for(request: web.Request) -> Iterable[str]:
    """The addresses that proxies have added, the nearest first.

    `Forwarded` (RFC 7239) counts only without `X-Forwarded-For`, which nearly all proxies write. A proxy that writes
    one of the two passes on the other as the client sent it.
    """
    lines = request.headers.getall("X-Forwarded-For", [])
    listed = ",".join(lines).rsplit(",", _LONGEST) if lines else [each.get("for", "") for each in _forwarded(request)]
    return reversed(listed[-_LONGEST:])


def _forwarded(request: web.Request) -> Sequence[Mapping[str, str]]:
    """The elements of `Forwarded` (RFC 7239); none if it is longer than any chain of proxies needs."""
    length = sum(map(len, request.headers.getall("Forwarded", [])))
    return request.forwarded if length <= _LONGEST_FORWARDED else ()


def _bare(text: str) -> str | None:
    """An address without port, quotes and brackets. None if the text is not an address."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = _address(text)
    return None if address is None else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(text: str, networks: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)
