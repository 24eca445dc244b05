"""The settings: one table of flag, variable, default, unit and help. The command line, `--help` and the README are made
from it."""

from __future__ import annotations

import argparse
import dataclasses
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from . import __version__
from .stores.address import Address

__all__ = ["Settings", "table"]


def _whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    bounds = (
        f"a whole number of at least {minimum}" if maximum is None else f"a whole number from {minimum} to {maximum}"
    )

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not minimum <= int(text) <= (maximum or int(text)):
            raise ValueError(bounds)
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 1e9:
        raise ValueError("seconds greater than 0, such as 15 or 0.5")
    return seconds


def _switch(text: str) -> bool:
    if text.lower() not in {"1", "true", "yes", "on", "0", "false", "no", "off", ""}:
        raise ValueError("1 or 0")
    return text.lower() in {"1", "true", "yes", "on"}


def _choice(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


def _store(text: str) -> str:
    Address.read(text)
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())
    if not origins or any(o != "*" and (o.count("/") != 2 or "://" not in o) for o in origins):
        raise ValueError("* or origins like https://example.org, with commas between them")
    return origins


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("printable text")
    return text


def _setting(default: object, read: Callable[[str], object], unit: str, help: str) -> Any:
    return field(default=default, metadata={"read": read, "unit": unit, "help": help})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set. Durations are seconds but where the name or the table says otherwise."""

    host: str = _setting(
        "127.0.0.1", _text, "address", "address to listen at; 0.0.0.0 is every IPv4 address of this machine"
    )
    port: int = _setting(8000, _whole(0, 65535), "port", "port to listen at; 0 takes a free one")
    store: str = _setting(
        "memory",
        _store,
        "",
        "where events are kept: memory (they go with the process), sqlite:PATH, redis://HOST:PORT/DB, rediss://… or unix://PATH",
    )
    history: int = _setting(1000, _whole(0), "events", "events retained for each channel, for replay and resuming")
    cache: int = _setting(
        1000, _whole(0), "events", "of these, events held in memory; older ones are read from a store that keeps them"
    )
    history_age: float = _setting(3600.0, _seconds, "s", "time for which an event is retained")
    history_bytes: int = _setting(
        64 << 20, _whole(1), "bytes", "data retained for each channel; its newest event always stays"
    )
    max_body: int = _setting(1 << 20, _whole(1), "bytes", "largest body of a publish")
    max_subscribers: int = _setting(
        10_000, _whole(1), "", "subscribers served at once; a further one is asked to come back"
    )
    retry: int = _setting(
        3000, _whole(1), "ms", "reconnection time given to clients, drawn for each from ±50 %% of this"
    )
    ping: float = _setting(15.0, _seconds, "s", "time between two comment pings on a connection")
    send_timeout: float = _setting(30.0, _seconds, "s", "a connection that accepts nothing for so long is aborted")
    drain: float = _setting(10.0, _seconds, "s", "time in which all streams end after SIGTERM or SIGINT")
    cors_origin: tuple[str, ...] = _setting(
        ("*",), _origins, "", "origins whose pages may read answers, with commas between them; * is any"
    )
    no_demo: bool = _setting(False, _switch, "", "do not publish the demonstration feed")
    node: str = _setting("", _text, "", "name of this node in the metrics (default: the host's name)")
    access_log: bool = _setting(False, _switch, "", "log every request")
    log_level: str = _setting(
        "info", _choice("debug", "info", "warning", "error"), "", "how much to log: debug, info, warning or error"
    )

    @property
    def address(self) -> Address:
        """Where the store is."""
        return Address.read(self.store)

    @property
    def node_name(self) -> str:
        return self.node or socket.gethostname()

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
        """Settings from the command line and, where a flag is not given, from the environment.

        :raises SystemExit: with status 2 and one line on stderr if a value cannot be used; with 0 after `--help` and
            `--version`.
        """
        given = vars(_parser().parse_args(arguments))
        values: dict[str, object] = {}
        for row in table():
            text = given.get(row.name, environment.get(row.variable))
            if text is None:
                continue
            source = row.flag if row.name in given else row.variable
            try:
                values[row.name] = row.read(text)
            except ValueError as error:
                _fail(f"{source} is {text!r}, but it takes {error}")
        return cls(**cast("dict[str, Any]", values))


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as a user sees it."""

    name: str
    default: object
    read: Callable[[str], object]
    unit: str
    help: str

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "SSE_" + self.name.upper()

    @property
    def shown_default(self) -> str:
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        if isinstance(self.default, bool):
            return "off"
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


def table() -> list[Row]:
    """All settings, in the order of `--help`."""
    return [
        Row(f.name, f.default, f.metadata["read"], f.metadata["unit"], f.metadata["help"])
        for f in dataclasses.fields(Settings)
    ]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _fail(f"{message}; --help lists the flags")


def _fail(message: str) -> NoReturn:
    print(f"sse-server: {message}", file=sys.stderr)
    raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sse-server",
        description="The Server-Sent Events hub: open the printed address in a browser, or read it with: curl -N http://127.0.0.1:8000/stream",
        epilog="Each flag has a variable, SSE_ and its name: --history-age is SSE_HISTORY_AGE. A flag wins.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sse-hub {__version__}")
    for row in table():
        default = (
            f" ({row.shown_default}{' ' + row.unit if row.unit not in ('', 'address', 'port') else ''})"
            if row.default != ""
            else ""
        )
        if isinstance(row.default, bool):
            parser.add_argument(row.flag, dest=row.name, action="store_const", const="1", help=row.help)
        else:
            metavar = row.unit.upper() or "VALUE"
            parser.add_argument(row.flag, dest=row.name, metavar=metavar, help=row.help + default)
    return parser
