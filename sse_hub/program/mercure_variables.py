"""The variables of the reference hub's container image. With them, a compose file for that hub needs only another
image.

`MERCURE_PUBLISHER_JWT_KEY`, `MERCURE_SUBSCRIBER_JWT_KEY`, the two `…_JWT_ALG`, and the lines of
`MERCURE_EXTRA_DIRECTIVES`; beside them the port in `SERVER_NAME`. A flag and a variable of this hub win over them, and
they win over the file of `--config`. Words that this hub does not know are named in a remark.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from ..keys import read_file, read_key
from ..settings import SettingError, table

__all__ = ["is_caddy", "read"]

_DIRECTIVES = "MERCURE_EXTRA_DIRECTIVES"
_SERVER_NAME = "SERVER_NAME"
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_IGNORED = {
    "transport": "this hub keeps updates in the store of --store",
    "transport_url": "this hub keeps updates in the store of --store",
    "write_timeout": "a stream of this hub has no time limit; --send-timeout ends one whose client accepts no data",
    "dispatch_timeout": "the timeout of this hub is --send-timeout",
    "protocol_version_compatibility": "this hub speaks protocol version 8",
    "demo": "the page of this hub is at /",
    "ui": "the page of this hub is at /",
    "publisher_jwks_url": "this hub has --jwks-url, for all tokens",
    "subscriber_jwks_url": "this hub has --jwks-url, for all tokens",
}


def is_caddy(arguments: Sequence[str]) -> bool:
    """Whether this is the command of the reference image, which compose files repeat."""
    return bool(arguments) and PurePosixPath(arguments[0]).name == "caddy"


def read(environment: Mapping[str, str], *, only_port: bool = False) -> dict[str, object]:
    """Read the settings that the variables give, by the names of their fields. The caller prefers the variables of this
    hub.

    :param only_port: read no other variable than that of the port.
    :raises SettingError: if a value cannot be used.
    """
    if not any(name.startswith("MERCURE_") and environment[name] for name in _VARIABLES if name in environment):
        return {}
    reading = _Reading()
    for name, act in _VARIABLES.items():
        if environment.get(name) and (name == _SERVER_NAME or not only_port):
            act(reading, environment)
    return {**reading.values, "remarks": tuple(reading.remarks)}


class _Reading:
    """The settings and the remarks that were found."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.remarks: list[str] = []
        self._rows = {row.name: row for row in table()}

    def set(self, name: str, text: str, source: str) -> None:
        """Set a value that is written like the flag's."""
        self.values[name] = self._rows[name].value(text, source)

    def key(self, role: str, key: str, algorithm: str, source: str) -> None:
        """Set the key of a role.

        :param algorithm: that of the tokens; empty for HS256.
        """
        self.set(f"mercure_{role}_key", key, source)
        if not self.values[f"mercure_{role}_key"]:
            raise SettingError(f"{source} is empty; it takes a secret of at least 32 bytes, or a public key in PEM")
        known = read_key(read_file(key)).algorithms
        if algorithm and algorithm not in known:
            raise SettingError(
                f"the algorithm beside {source} is {algorithm[:20]!r}; this key takes one of {', '.join(known)}"
            )

    def ignore(self, what: str, why: str) -> None:
        self.remarks.append(f"{what} is ignored: {why}")


def _read_key(role: str) -> Callable[[_Reading, Mapping[str, str]], None]:
    name = f"MERCURE_{role.upper()}_JWT"

    def act(reading: _Reading, environment: Mapping[str, str]) -> None:
        reading.key(role, environment[f"{name}_KEY"], environment.get(f"{name}_ALG", ""), f"{name}_KEY")

    return act


def _read_directives(reading: _Reading, environment: Mapping[str, str]) -> None:
    for words in _lines(environment[_DIRECTIVES]):
        directive, *values = words
        shown = f"{directive[:40]!r} in {_DIRECTIVES}"
        if directive in _DIRECTIVE_READERS:
            _DIRECTIVE_READERS[directive](reading, values, shown)
        else:
            reading.ignore(shown, _IGNORED.get(directive, "this hub does not know it"))


def _read_server_name(reading: _Reading, environment: Mapping[str, str]) -> None:
    name = environment[_SERVER_NAME]
    scheme, found, rest = name.rpartition("://")
    host, colon, port = (rest if found else name).partition(":")
    if colon and port.isdecimal():
        reading.set("port", port, "SERVER_NAME")
    if scheme != "http" and (host or not colon):
        reading.ignore(
            f"{name[:80]!r} in SERVER_NAME" if not colon else f"the name {host[:80]!r} in SERVER_NAME",
            "this hub fetches no certificate; give it --tls-cert, or put a proxy in front of it",
        )


def _read_transport(reading: _Reading, environment: Mapping[str, str]) -> None:
    reading.ignore("MERCURE_TRANSPORT_URL", _IGNORED["transport_url"])


def _lines(text: str) -> Iterator[Sequence[str]]:
    """The words of each directive. Blocks in braces are ignored."""
    depth = 0
    for line in text.splitlines():
        try:
            words = shlex.split(line.replace("`", '"'), comments=True)
        except ValueError:
            name = "".join(re.findall(r"^\s*(\w+)", line))  # the rest may be a key
            raise SettingError(f"{_DIRECTIVES} has a quotation mark that is not closed, after {name!r}") from None
        directive = [word for word in words if word not in ("{", "}")]
        if directive and not depth and words[0] != "}":
            yield directive
        depth = max(0, depth + words.count("{") - words.count("}"))


def _joined(name: str, separator: str) -> Callable[[_Reading, Sequence[str], str], None]:
    return lambda reading, values, shown: reading.set(name, separator.join(values), shown)


def _fixed(name: str, text: str) -> Callable[[_Reading, Sequence[str], str], None]:
    return lambda reading, values, shown: reading.set(name, text, shown)


def _key(role: str) -> Callable[[_Reading, Sequence[str], str], None]:
    def act(reading: _Reading, values: Sequence[str], shown: str) -> None:
        key, algorithm = [*values, "", ""][:2]
        reading.key(role, key, algorithm, shown)

    return act


def _heartbeat(reading: _Reading, values: Sequence[str], shown: str) -> None:
    text = " ".join(values)
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise SettingError(f"{shown} is {text[:40]!r}; it takes a duration, such as 40s or 1m30s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds:
        reading.set("ping", f"{seconds:.9f}", shown)
    else:
        reading.ignore(shown, "this hub always sends comments; --ping sets the time between them")


_DIRECTIVE_READERS: Mapping[str, Callable[[_Reading, Sequence[str], str], None]] = {
    "anonymous": _fixed("anonymous", "subscribe"),
    "subscriptions": _fixed("mercure_subscriptions", "1"),
    "cors_origins": _joined("cors_origin", ","),
    "publish_origins": _joined("mercure_publish_origins", ","),
    "cookie_name": _joined("mercure_cookie", " "),
    "heartbeat": _heartbeat,
    "publisher_jwt": _key("publisher"),
    "subscriber_jwt": _key("subscriber"),
}
_VARIABLES: Mapping[str, Callable[[_Reading, Mapping[str, str]], None]] = {
    "MERCURE_PUBLISHER_JWT_KEY": _read_key("publisher"),
    "MERCURE_SUBSCRIBER_JWT_KEY": _read_key("subscriber"),
    "MERCURE_TRANSPORT_URL": _read_transport,
    _DIRECTIVES: _read_directives,
    _SERVER_NAME: _read_server_name,
}
