"""Readers of settings: each turns a text into a value, or raises a ValueError that says what would be right."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from .address import Address
from .keys import read_file, read_key

__all__ = [
    "addresses",
    "choice",
    "count",
    "hosts",
    "key",
    "networks",
    "origins",
    "path",
    "seconds",
    "store",
    "switch",
    "text",
    "url",
    "whole",
]


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    bounds = (
        f"a whole number of at least {minimum}" if maximum is None else f"a whole number from {minimum} to {maximum}"
    )

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not minimum <= int(text) <= (maximum or int(text)):
            raise ValueError(bounds)
        return int(text)

    return read


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 1e9:
        raise ValueError("seconds greater than 0, such as 15 or 0.5")
    return seconds


def switch(text: str) -> bool:
    if text.lower() not in {"1", "true", "yes", "on", "0", "false", "no", "off", ""}:
        raise ValueError("1 or 0")
    return text.lower() in {"1", "true", "yes", "on"}


def choice(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


def store(text: str) -> str:
    Address.read(text)
    return text


def origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())
    if not origins or any(o != "*" and (o.count("/") != 2 or "://" not in o) for o in origins):
        raise ValueError("* or origins like https://example.org, with commas between them")
    return origins


def text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("printable text")
    return text


def count(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e9:
        raise ValueError("a number of at least 0, such as 100 or 0.5")
    return value


def key(text: str) -> str:
    if text:
        read_key(read_file(text))
    return text  # a file is read again at SIGHUP


def url(text: str) -> str:
    if text and not (text.isprintable() and text.startswith(("https://", "http://"))):
        raise ValueError("a URL that begins with https:// or http://")
    return text


def hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    if any("/" in host or "*" in host.removeprefix("*.") for host in hosts):
        raise ValueError("host names without port, such as example.org or *.example.org, with commas between them")
    return hosts


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError:
        raise ValueError("addresses or networks, such as 10.0.0.0/8 or ::1, with commas between them") from None


def path(text: str) -> str:
    if text and not Path(text).is_file():
        raise ValueError("the path of a file that can be read")
    return text


def addresses(text: str) -> tuple[str, ...]:
    hosts = tuple(host.strip() for host in text.split(",") if host.strip())
    if not hosts or not all(host.isprintable() for host in hosts):
        raise ValueError("addresses to listen at, such as 127.0.0.1 or 0.0.0.0,::, with commas between them")
    return hosts
