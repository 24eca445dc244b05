"""What `--store` says: which store, and where."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

__all__ = ["Address"]

_ACCEPTED = "memory, sqlite:PATH, redis://HOST:PORT/DB, rediss://… or unix://PATH"


class Address(NamedTuple):
    """A store's address, checked."""

    kind: str
    """`memory`, `sqlite` or `redis`."""
    place: str = ""
    """The path of the file, or the URL for the Redis client, which may hold a password."""
    prefix: str = "sse-hub"
    """What all keys in Redis begin with."""
    most: int = 1_000_000
    """Entries of the stream in Redis, over all channels."""
    grace: float = 10.0
    """Seconds for which an entry stays in any case."""

    @classmethod
    def read(cls, text: str) -> Address:
        """Read an address.

        :raises ValueError: if it is none; it says what would be one.
        """
        kind, _, place = text.partition(":")
        if text == "memory":
            return cls("memory")
        if kind == "sqlite" and place:
            return cls("sqlite", place)
        url, _, options = text.partition("?")
        if kind not in {"redis", "rediss", "unix"} or not place.startswith("//") or url.endswith("://"):
            raise ValueError(_ACCEPTED)
        query = dict(parse_qsl(options))
        prefix = query.pop("prefix", "sse-hub")
        most, grace = query.pop("maxlen", "1000000"), query.pop("grace", "10")
        if not most.isdecimal() or not int(most):
            raise ValueError("?maxlen= as a whole number of at least 1")
        if not grace.replace(".", "", 1).isdecimal():
            raise ValueError("?grace= in seconds")
        if not prefix.isprintable() or {"{", "}"} & set(prefix):
            raise ValueError("?prefix= without braces")
        return cls("redis", url + (f"?{urlencode(query)}" if query else ""), prefix, int(most), float(grace))
