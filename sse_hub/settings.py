"""The settings: one table of flag, variable, default, unit and help. The command line and `--help` are made from it.

SettingError   a value cannot be used; the message says what came and what would be right
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from . import setting_values as takes
from .address import Address, without_secret
from .core.rules import Rule
from .worker import MAX_WORKERS

__all__ = ["SettingError", "Settings", "table", "url_of"]


class SettingError(Exception):
    """A value that cannot be used. The message says what came and what would be right."""


def _setting(default: object, read: Callable[[str], object], unit: str, help: str, *, secret: bool = False) -> Any:
    return field(
        default=default, repr=not secret, metadata={"read": read, "unit": unit, "help": help, "secret": secret}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings. Durations are in seconds unless the name or the table gives another unit."""

    host: tuple[str, ...] = _setting(
        ("127.0.0.1",),
        takes.addresses,
        "address",
        "addresses to listen at, with commas between them; 0.0.0.0 is every IPv4 address of this machine, :: every "
        "IPv6 address",
    )
    port: int = _setting(8000, takes.whole(0, 65535), "port", "port to listen at; 0 takes a free one")
    store: str = _setting(
        "memory",
        takes.store,
        "",
        "where events are kept: memory (until the process ends), sqlite:PATH, redis://HOST:PORT/DB, rediss://…, "
        "unix://PATH or redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB",
    )
    history: int = _setting(1000, takes.whole(0), "events", "events retained for each channel, for replay and resuming")
    cache: int = _setting(
        1000,
        takes.whole(0),
        "events",
        "events of each channel held in memory; older ones are read from SQLite or Redis",
    )
    history_age: float = _setting(3600.0, takes.seconds, "s", "time for which an event is retained")
    history_bytes: int = _setting(
        64 << 20, takes.whole(1), "bytes", "data retained for each channel; its newest event always stays"
    )
    max_retained_bytes: int = _setting(
        1 << 30,
        takes.whole(1),
        "bytes",
        "bytes of all channels retained in memory; the channel that was quiet longest is dropped first",
    )
    max_channels: int = _setting(
        100_000,
        takes.whole(1),
        "",
        "channels known at once; beyond that, the one that was quiet longest is forgotten",
    )
    max_subscribers: int = _setting(
        10_000, takes.whole(1), "", "subscribers served at once; others are asked to try again later"
    )
    max_subscribers_per_address: int = _setting(1000, takes.whole(1), "", "subscribers from one address at once")
    max_channels_per_connection: int = _setting(
        100,
        takes.whole(1),
        "",
        "channels and patterns of one stream, stars in all its patterns together, and channels of one broadcast",
    )
    max_replay: int = _setting(
        10_000, takes.whole(1), "events", "largest replay=, and the number of events that one replay reads"
    )
    max_batch: int = _setting(10_000, takes.whole(1), "events", "events in one batch")
    max_in_flight: int = _setting(
        128 << 20,
        takes.whole(1),
        "bytes",
        "memory for all publishes that arrive and all answers that are sent",
    )
    max_body: int = _setting(1 << 20, takes.whole(1), "bytes", "largest body of a publish")
    max_header: int = _setting(8190, takes.whole(256), "bytes", "longest request line, and longest header field")
    max_idempotency_keys: int = _setting(10_000, takes.whole(1), "", "answers kept for repeated Idempotency-Keys")
    publish_rate: float = _setting(
        0.0,
        takes.count,
        "events/s",
        "events that one token, or one address without a token, may publish in the long run; 0 is no limit",
    )
    request_timeout: float = _setting(
        60.0,
        takes.seconds,
        "s",
        "time in which a request has to arrive; a connection without a request is closed after it",
    )
    jwt_key: str = _setting(
        "",
        takes.key,
        "key",
        "turns tokens on: a secret of at least 32 bytes, or a public key in PEM; @FILE reads it",
        secret=True,
    )
    jwks_url: str = _setting(
        "", takes.url, "url", "turns tokens on: URL at which the issuer of the tokens publishes its keys"
    )
    jwt_issuer: str = _setting("", str, "iss", "issuer (iss) that every token must have")
    jwt_audience: str = _setting("", str, "aud", "audience (aud) that every token must have")
    anonymous: str = _setting(
        "",
        takes.choice("none", "subscribe", "all"),
        "",
        "rights of a request without a token: none, subscribe or all (default: none if there is a key; if there is no "
        "key, all at a loopback address and subscribe at others)",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        takes.hosts,
        "hosts",
        "host names that the server answers to, with commas between them (default: all; but only localhost and "
        "addresses while requests without a token may publish at a loopback address)",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        (),
        takes.networks,
        "networks",
        "proxies that the server trusts: their X-Forwarded-For, X-Forwarded-Proto, Forwarded and X-Request-ID count",
    )
    tls_cert: str = _setting("", takes.path, "file", "certificate chain in PEM; turns TLS on; read again at SIGHUP")
    tls_key: str = _setting("", takes.path, "file", "private key of the certificate in PEM, if it is in another file")
    retry: int = _setting(
        3000, takes.whole(1), "ms", "reconnection time of clients; each gets a random value within ±50 % of it"
    )
    ping: float = _setting(15.0, takes.seconds, "s", "time between two comment pings on a connection")
    send_timeout: float = _setting(
        30.0, takes.seconds, "s", "a connection that accepts no data for this time is aborted"
    )
    drain: float = _setting(10.0, takes.seconds, "s", "time in which all streams end after SIGTERM or SIGINT")
    compress: bool = _setting(
        False, takes.switch, "", "compress event streams for clients that accept gzip, once for all of them"
    )
    cors_origin: tuple[str, ...] = _setting(
        ("*",), takes.origins, "", "origins whose pages may read answers, with commas between them; * is every origin"
    )
    no_mercure: bool = _setting(False, takes.switch, "", "do not speak the Mercure protocol")
    mercure_history: int = _setting(
        10_000, takes.whole(0), "events", "updates of the Mercure protocol retained, of all topics together"
    )
    mercure_templates_per_address: int = _setting(
        1000, takes.whole(1), "", "different URI Templates that one address follows at once"
    )
    mercure_publisher_key: str = _setting(
        "",
        takes.key,
        "key",
        "key of the tokens that publish by the Mercure protocol, like --jwt-key (default: the key of all tokens)",
        secret=True,
    )
    mercure_subscriber_key: str = _setting(
        "",
        takes.key,
        "key",
        "key of the tokens that subscribe by the Mercure protocol, like --jwt-key (default: the key of all tokens)",
        secret=True,
    )
    mercure_subscriptions: bool = _setting(
        False, takes.switch, "", "publish an update when a subscription begins or ends, and list the subscriptions"
    )
    mercure_publish_origins: tuple[str, ...] = _setting(
        (),
        takes.origins,
        "",
        "origins whose pages may publish with the Mercure cookie, besides that of the hub, with commas between them",
    )
    mercure_cookie: str = _setting(
        "mercureAuthorization", takes.text, "", "name of the cookie that holds a token of the Mercure protocol"
    )
    loop: str = _setting(
        "auto", takes.choice("auto", "asyncio", "uvloop"), "", "event loop: auto takes uvloop where it is installed"
    )
    workers: int = _setting(
        1,
        takes.whole(1, MAX_WORKERS),
        "",
        "processes that serve, best one for each core; without a store redis://… the server starts a Valkey that they "
        "share; not on Windows; limits hold for each worker",
    )
    no_demo: bool = _setting(
        False,
        takes.switch,
        "",
        "do not publish the demonstration feed and the figures of the channel metrics; the metrics for Prometheus stay",
    )
    node: str = _setting("", takes.text, "", "name of this node in the metrics (default: the host's name)")
    access_log: bool = _setting(False, takes.switch, "", "log every request")
    log_level: str = _setting(
        "info", takes.choice("debug", "info", "warning", "error"), "", "how much to log: debug, info, warning or error"
    )
    log_format: str = _setting("text", takes.choice("text", "json"), "", "text or json, one line each")
    config: str = _setting(
        "",
        takes.path,
        "file",
        "file of settings and of rules for channels, in TOML; its rules are read again at SIGHUP",
    )
    rules: tuple[Rule, ...] = ()
    """The bounds of channels: the first rule that matches counts. Other channels have the bounds of the settings."""
    remarks: tuple[str, ...] = ()
    """Notes for the operator about how the settings were read."""

    @property
    def rule(self) -> Rule:
        """The bounds of channels without a rule."""
        return Rule(history=self.history, history_age=self.history_age, history_bytes=self.history_bytes)

    @property
    def address(self) -> Address:
        """The address of the store."""
        return Address.read(self.store)

    @property
    def reachable_host(self) -> str:
        """The first address of `host`, in a form that this machine can connect to."""
        host = self.host[0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104

    @property
    def node_name(self) -> str:
        return self.node or socket.gethostname()

    @classmethod
    def read(
        cls,
        given: Mapping[str, str],
        environment: Mapping[str, str],
        file: Mapping[str, object] | None = None,
        *,
        only: Collection[str] = (),
    ) -> Settings:
        """Read the settings. A flag wins over a variable of the environment, and a variable over the file. Flags have
        the names of the fields here.

        :param file: values that were read from the file, by the names of the fields.
        :param only: the names of the fields to read; by default all.
        :raises SettingError: if a value cannot be used.
        """
        values: dict[str, Any] = dict(file or {})
        for row in table():
            text = given.get(row.name, environment.get(row.variable))
            if text is None or (only and row.name not in only):
                continue
            if row.name == "port" and row.name not in given and text.startswith("tcp://"):
                # Kubernetes sets this variable for a Service named `sse`.
                remark = f"{row.variable} is {text[:80]!r}, which Kubernetes sets for a Service; it is ignored"
                values["remarks"] = (*values.get("remarks", ()), remark)
                continue
            values[row.name] = row.value(text, row.flag if row.name in given else row.variable)
        if values.get("jwt_key") and values.get("jwks_url"):
            raise SettingError(
                "--jwt-key and --jwks-url exclude each other: give the key, or the URL of the issuer's keys"
            )
        if values.get("tls_key") and not values.get("tls_cert"):
            raise SettingError("--tls-key needs --tls-cert, the certificate that it belongs to")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as a user sees it."""

    name: str
    default: object
    read: Callable[[str], object]
    unit: str
    help: str
    secret: bool
    """Whether its value must not be shown."""

    def value(self, text: str, source: str) -> object:
        """The value that a text gives this setting.

        :param source: the flag or the variable that the text comes from.
        :raises SettingError: if it cannot be used.
        """
        try:
            return self.read(text)
        except OSError as error:
            raise SettingError(f"{source} names a file that cannot be read: {error}") from None
        except ValueError as error:
            shown = without_secret(text) if self.name == "store" else text
            message = f"{source} takes {error}" if self.secret else f"{source} is {shown!r}, but it takes {error}"
            raise SettingError(message) from None

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
        Row(f.name, f.default, f.metadata["read"], f.metadata["unit"], f.metadata["help"], f.metadata["secret"])
        for f in dataclasses.fields(Settings)
        if f.metadata
    ]


def url_of(settings: Settings, port: int | None = None) -> str:
    """The URL of the page, for a browser on this machine.

    :param port: the port in use, if it differs from the setting.
    """
    host, port = settings.reachable_host, settings.port if port is None else port
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
