"""Who is asking: the address of a client, and whether it came by TLS, also behind proxies.

A header that names a client can be written by anybody. It is believed only from a proxy that `--trusted-proxies` names,
and read from its end: what stands before the last address that is no such proxy was written by a stranger.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from .app_keys import SETTINGS, hub_app

__all__ = ["Network", "address_of", "is_loopback", "is_secure"]

Network = IPv4Network | IPv6Network
_LONGEST = 20
"""Addresses read of one header: nobody has more proxies, and who writes thousands wants us busy."""


def address_of(request: web.Request) -> str:
    """The address of the client, as text; of the nearest proxy that is not trusted, if there is one."""
    peer = request.remote or "unknown"
    trusted = hub_app(request)[SETTINGS].trusted_proxies
    if not trusted or not _within(peer, trusted):
        return peer
    for each in _forwarded_for(request):
        address = _bare(each)
        if address is None:  # an obfuscated or a broken one: nothing before it can be relied on
            return peer
        peer = address
        if not _within(peer, trusted):
            return peer
    return peer


def is_secure(request: web.Request) -> bool:
    """Whether the client came by TLS, to us or to a trusted proxy."""
    if request.secure:
        return True
    trusted = hub_app(request)[SETTINGS].trusted_proxies
    if not trusted or not _within(request.remote or "", trusted):
        return False
    told = request.headers.getall("X-Forwarded-Proto", [])
    if not told and request.forwarded:
        told = [request.forwarded[-1].get("proto", "")]
    return bool(told) and told[-1].rpartition(",")[2].strip().lower() == "https"


@functools.lru_cache(64)  # asked of every request, of the same few addresses
def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address, is this machine, and nobody else can reach it."""
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _forwarded_for(request: web.Request) -> Iterable[str]:
    """What proxies wrote, the nearest first.

    `Forwarded` (RFC 7239) counts only where the older header, which nearly all write, is not there: a proxy that writes
    one of them passes the other on as the client sent it.
    """
    told = request.headers.getall("X-Forwarded-For", [])
    listed = ",".join(told).split(",") if told else [each.get("for", "") for each in request.forwarded]
    return reversed(listed[-_LONGEST:])


def _bare(text: str) -> str | None:
    """An address without port, quotes and brackets; None if it is none."""
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
