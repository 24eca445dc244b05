"""The address of a store, as given by `--store`."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

__all__ = ["Address", "without_secret"]

_ACCEPTED = (
    "memory, sqlite:PATH, redis://HOST:PORT/DB, rediss://…, unix://PATH or redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB"
)
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel")


class Address(NamedTuple):
    """A store's address, checked."""

    kind: Literal["memory", "sqlite", "redis"]
    location: str = ""
    """The path of the file, or the URL for the Redis client. The URL may hold a password."""
    prefix: str = "sse-hub"
    """The beginning of all keys in Redis."""
    most: int = 1_000_000
    """Largest number of entries in the stream in Redis, of all channels together."""
    grace: float = 10.0
    """Seconds for which an entry is never trimmed."""

    @property
    def shown(self) -> str:
        """The address without its password."""
        return without_secret(f"sqlite:{self.location}" if self.kind == "sqlite" else self.location or self.kind)

    @classmethod
    def read(cls, text: str) -> Address:
        """Read an address.

        :raises ValueError: if it is not an address. The message says what would be right. It does not repeat the text,
            which may hold a password.
        """
        kind, _, location = text.partition(":")
        if text == "memory":
            return cls("memory")
        if kind == "sqlite" and location:
            return cls("sqlite", location)
        url, _, options = text.partition("?")
        if kind not in _SCHEMES or not location.startswith("//") or url.endswith("://"):
            raise ValueError(_ACCEPTED)
        query = dict(parse_qsl(options))
        prefix = query.pop("prefix", "sse-hub")
        most, grace = query.pop("maxlen", "1000000"), query.pop("grace", "10")
        if not (most.isascii() and most.isdigit() and len(most) < 16) or not int(most):
            raise ValueError("?maxlen= as a whole number of at least 1")
        if not (grace.isascii() and grace.replace(".", "", 1).isdigit() and len(grace) < 16):
            raise ValueError("?grace= in seconds")
        if not prefix.isprintable() or {"{", "}"} & set(prefix):
            raise ValueError("?prefix= without braces")
        _check(url)
        return cls("redis", url + (f"?{urlencode(query)}" if query else ""), prefix, int(most), float(grace))


def _check(url: str) -> None:
    """:raises ValueError: if the Redis client could not use the URL."""
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2]
        if parts.scheme == "redis+sentinel":
            name, _, db = parts.path.strip("/").partition("/")
            ports = [port for _, colon, port in (each.partition(":") for each in hosts.split(",")) if colon]
            if not all(each.partition(":")[0] for each in hosts.split(",")):
                name = ""
        else:
            db = "" if parts.scheme == "unix" else parts.path.strip("/")
            ports, name = [] if parts.scheme == "unix" else [_port(parts)], "none"
    except ValueError:
        raise ValueError(_ACCEPTED) from None
    if not name:
        raise ValueError("redis+sentinel://HOST:PORT,HOST:PORT/NAME with the name that the Sentinels watch")
    if db and not (db.isascii() and db.isdigit() and len(db) < 10):
        raise ValueError("a database that is a whole number: redis://HOST:PORT/0")
    if not all(port.isascii() and port.isdigit() and 0 < int(port) < 65536 for port in ports if port):
        raise ValueError("a port from 1 to 65535: redis://HOST:6379/0")


def _port(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return (host.rpartition("]")[2] if "]" in host else host).partition(":")[2][:10]  # [::1]:6379


def without_secret(address: str) -> str:
    """An address, even a malformed one, without its password."""
    scheme, slashes, rest = address.partition("//")
    if not slashes:
        return f"{address.partition(':')[0]}:…" if "@" in address else address
    rest = rest.partition("?")[0]
    return f"{scheme}//{'…@' if '@' in rest else ''}{rest.rpartition('@')[2]}"
