"""The file of settings and rules, `--config hub.toml`: any flag by its name, and rules for channels.

An error names the file, the table and the key.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..core.events import check_pattern, literals, matches
from ..core.rules import Rule
from ..settings import Row, SettingError, Settings, table
from . import mercure_variables

__all__ = ["load", "place", "read_file", "read_rules"]

_NAME = "config"
_TABLE = "channel"
_PLACE = ("host", "port")


def load(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Read the settings from flags, variables and the file that one of them names. A flag wins over a variable, a
    variable over the file. The variables of the reference Mercure hub win over the file, but not over the hub's own.

    :raises SettingError: if a value cannot be used.
    """
    row = next(row for row in table() if row.name == _NAME)
    path = given.get(row.name, environment.get(row.variable, ""))
    if not path:
        return Settings.read(given, environment, mercure_variables.read(environment))
    row.value(path, row.flag if row.name in given else row.variable)
    return read_file(path, given, environment)


def place(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """The settings that say where a server is: host, port, and whether it has a certificate.

    The other settings are not read. The server may be well although its rules or its keys are being changed.

    :raises SettingError: if one of these settings cannot be used.
    """
    path = given.get(_NAME, environment.get("SSE_CONFIG", ""))
    content: dict[str, Any] = {}
    with suppress(SettingError):
        content = _parse(path) if path else {}
    file = {key: _value(path, key, content[key]) for key in _PLACE if key in content}
    values = {**file, **mercure_variables.read(environment, only_port=True)}
    certificate = given.get("tls_cert", environment.get("SSE_TLS_CERT", content.get("tls_cert", "")))
    return replace(Settings.read(given, environment, values, only=_PLACE), tls_cert=str(certificate))


def read_file(path: str, given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Read the settings from a file. Flags and variables win over it.

    :raises SettingError: if something in it cannot be used.
    """
    content = _parse(path)
    tables = content.pop(_TABLE, [])
    values = {key: _value(path, key, value) for key, value in content.items()}
    settings = Settings.read(given, environment, {**values, **mercure_variables.read(environment), _NAME: path})
    return replace(settings, rules=tuple(_rules(path, tables, settings.rule)))


def read_rules(settings: Settings) -> Sequence[Rule]:
    """Read the rules again from the file of these settings.

    :raises SettingError: if they cannot be used.
    """
    if not settings.config:
        return settings.rules
    return _rules(settings.config, _parse(settings.config).get(_TABLE, []), settings.rule)


def _parse(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not UTF-8 text: byte {error.start} cannot be decoded") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is not TOML: {error}") from None


def _value(path: str, key: str, value: object) -> object:
    """The value of a setting. It is read like the text of the flag."""
    rows = {row.name: row for row in table() if row.name != _NAME}
    if key not in rows:
        raise SettingError(f"{path} has an unknown key {key!r}{_proposal(key, [*rows, _TABLE])}")
    return rows[key].value(_text(rows[key], value, f"{path}, key {key}"), f"{path}, key {key},")


def _proposal(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key.replace("-", "_").lower(), known, 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _text(row: Row, value: object, place: str) -> str:
    if isinstance(value, bool) != isinstance(row.default, bool):
        raise SettingError(f"{place}, takes {'true or false' if isinstance(row.default, bool) else 'no true or false'}")
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and isinstance(row.default, tuple) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    takes = "a text or a list of texts" if isinstance(row.default, tuple) else "a text or a number"
    raise SettingError(f"{place}, takes {takes}")


def _rules(path: str, tables: object, default: Rule) -> list[Rule]:
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise SettingError(f"{path}, key {_TABLE}, takes tables: each begins with [[{_TABLE}]]")
    rules: list[Rule] = []
    earlier = _Patterns()
    for number, each in enumerate(tables, 1):
        place = f"{path}, [[{_TABLE}]] {number}"
        rule = _rule(place, each, default)
        found = earlier.first_over(rule.match)
        if found is not None:
            raise SettingError(
                f"{place}, key match, is {rule.match!r}, but [[{_TABLE}]] {found[0]} has {found[1]!r}, which matches "
                "all of its channels, and the first that matches counts: put this one before it"
            )
        earlier.add(number, rule.match)
        rules.append(rule)
    return rules


class _Patterns:
    """Numbered patterns by their literal beginning or end. To compare each of 1,000 rules with each earlier one took
    more than a second."""

    def __init__(self) -> None:
        self._by_beginning: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._by_end: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)

    def add(self, number: int, pattern: str) -> None:
        beginning, end = literals(pattern)
        place = self._by_end[end] if end and not beginning else self._by_beginning[beginning]
        place.append((number, pattern))

    def first_over(self, pattern: str) -> tuple[int, str] | None:
        """The first of the patterns that match everything that this one matches."""
        cuts = range(len(pattern) + 1)
        near = [self._by_beginning.get(pattern[:cut], ()) for cut in cuts]
        near += [self._by_end.get(pattern[cut:], ()) for cut in cuts]
        return min((each for some in near for each in some if matches(each[1], pattern)), default=None)


def _rule(place: str, values: Mapping[str, object], default: Rule) -> Rule:
    if "match" not in values:
        raise SettingError(f'{place} has no key match; it takes a channel or a pattern, such as "chat.*"')
    read: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _KEYS:
            raise SettingError(f"{place} has an unknown key {key!r}{_proposal(key, list(_KEYS))}")
        try:
            read[key] = _KEYS[key](value)
        except ValueError as error:
            raise SettingError(f"{place}, key {key}, is {_shown(value)}, but it takes {error}") from None
    return replace(default, **read)


def _shown(value: object) -> str:
    return repr(value)[:80] if isinstance(value, str | int | float) and not isinstance(value, bool) else _kind(value)


def _kind(value: object) -> str:
    kinds = {bool: str(value).lower(), list: "a list", dict: "a table"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _pattern(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('a channel or a pattern, such as "chat.*"')
    try:
        return check_pattern(value)
    except ValueError as error:
        raise ValueError(f"a channel or a pattern: {error}") from None


def _whole(minimum: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= 10**12:
            raise ValueError(f"a whole number of at least {minimum}")
        return value

    return read


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1e9:
        raise ValueError("seconds greater than 0, such as 15 or 0.5")
    return float(value)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


_KEYS: Mapping[str, Callable[[object], object]] = {
    "match": _pattern,
    "history": _whole(0),
    "history_age": _seconds,
    "history_bytes": _whole(1),
    "end_age": _seconds,
    "idle_end": _seconds,
    "keep_last": _switch,
}
