"""The variables of Mercure's reference image, so that its compose file needs a new image name only.

See docs/how-to/mercure.md. A variable `SSE_…` wins over them. Words and variables that are not known are named in a
remark.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from ..auth import read_file, read_key
from ..settings import SettingError, table

__all__ = ["DIRECTIVES", "is_caddy", "translate"]

_PREFIX = "MERCURE_"
_EXTRA = "MERCURE_EXTRA_DIRECTIVES"
_KEYS = {"publisher": "MERCURE_PUBLISHER_JWT_KEY", "subscriber": "MERCURE_SUBSCRIBER_JWT_KEY"}
_ALGORITHMS = {"publisher": "MERCURE_PUBLISHER_JWT_ALG", "subscriber": "MERCURE_SUBSCRIBER_JWT_ALG"}
_APPLICATION = {"MERCURE_URL", "MERCURE_PUBLIC_URL", "MERCURE_JWT_SECRET"}
"""Variables of Symfony applications, which may share a file of variables with the hub."""
DIRECTIVES = {
    "anonymous": "anonymous",
    "subscriptions": "mercure_subscriptions",
    "cors_origins": "cors_origin",
    "publish_origins": "mercure_publish_origins",
    "heartbeat": "ping",
    "cookie_name": "mercure_cookie",
}
"""The words of MERCURE_EXTRA_DIRECTIVES and the settings that they stand for."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def translate(environment: Mapping[str, str]) -> tuple[Mapping[str, str], Sequence[str]]:
    """The variables `SSE_…` that the variables of the reference image stand for, and remarks for the operator.

    :raises SettingError: if a value cannot be used; it names the variable that it comes from.
    """
    given = {name: value for name, value in environment.items() if name.startswith(_PREFIX) and value}
    if not given.keys() - _APPLICATION:
        return {}, ()
    found: dict[str, str] = {}
    remarks: list[str] = []
    for role, variable in _KEYS.items():
        if key := given.pop(variable, ""):
            _set(found, f"mercure_{role}_key", key, variable)
            _check_algorithm(key, given.pop(_ALGORITHMS[role], ""), _ALGORITHMS[role])
    for word, values in _directives(given.pop(_EXTRA, "")):
        if word in DIRECTIVES:
            _set(found, DIRECTIVES[word], _value(word, values), f"{_EXTRA}, {word},")
        else:
            remarks.append(f"{_EXTRA} has the word {word[:80]!r}, which this hub does not know; it is ignored")
    for variable in sorted(given.keys() - _APPLICATION):
        remarks.append(f"{variable} is not known to this hub; it is ignored")
    port, remark = _port(environment.get("SERVER_NAME", ""))
    if port:
        _set(found, "port", port, "SERVER_NAME")
    found["SSE_NO_DEMO"] = "1"
    return found, [*remarks, *remark]


def is_caddy(arguments: Sequence[str]) -> bool:
    """Whether these arguments are the command of the reference image, which compose files repeat."""
    return bool(arguments) and PurePosixPath(arguments[0]).name == "caddy"


def _set(found: dict[str, str], name: str, value: str, source: str) -> None:
    row = next(row for row in table() if row.name == name)
    row.value(value, source)
    found[row.variable] = value


def _check_algorithm(key: str, algorithm: str, source: str) -> None:
    """The hub takes the algorithm from the key. One that does not fit the key is an error all the same."""
    fitting = read_key(read_file(key)).algorithms
    if algorithm and algorithm not in fitting:
        raise SettingError(f"{source} is {algorithm[:40]!r}, but the key takes {' or '.join(fitting)}")


def _directives(text: str) -> Iterator[tuple[str, Sequence[str]]]:
    """The words that begin a line, each with what follows it. A block in braces belongs to the word before it."""
    depth = 0
    for line in text.splitlines():
        if not (words := _split(line)):
            continue
        if not depth and words[0] not in ("{", "}"):
            yield words[0], [word for word in words[1:] if word != "{"]
        depth += words.count("{") - words.count("}")


def _split(line: str) -> Sequence[str]:
    """The words of a line of a Caddyfile, without its comment."""
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise SettingError(f"{_EXTRA} has a line that cannot be read: {line[:80]!r}: {error}") from None


def _value(word: str, values: Sequence[str]) -> str:
    match word:
        case "anonymous":
            return "subscribe"
        case "subscriptions":
            return "1"
        case "heartbeat":
            return _seconds(" ".join(values))
    return ",".join(values)


def _seconds(text: str) -> str:
    """A duration such as 1m30s, in seconds.

    :raises SettingError: if it has another form.
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise SettingError(f"{_EXTRA}, heartbeat, is {text[:40]!r}, but it takes a time such as 15s or 1m30s")
    return f"{sum(float(number) * _UNITS[unit] for number, unit in parts):g}"


def _port(server_name: str) -> tuple[str, Sequence[str]]:
    """The port in the variable SERVER_NAME, and remarks."""
    if not server_name:
        return "", ()
    match = re.fullmatch(r"(http://)?([^:/,\s]*):([0-9]+)", server_name)
    if match is not None:
        return match[3], ()
    return "", (
        f"SERVER_NAME is {server_name[:80]!r}; this hub takes a port from it, such as ':80', and gets no certificates: "
        "set --tls-cert, or let a proxy do it",
    )
