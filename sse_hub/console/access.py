"""Access to the hub: address, token, proxy, certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from yarl import URL

from sse_client import SSEClient

__all__ = ["Access", "origin_of", "tls"]


@dataclass(frozen=True, slots=True)
class Access:
    """The values that a client needs.

    :param options: options of `SSEClient`: `proxy`, `ssl`.
    """

    url: str
    token: str | None
    options: dict[str, Any] = field(default_factory=dict)

    def client(self, **more: Any) -> SSEClient:
        """A client of the hub.

        :raises click.UsageError: if the address or the token cannot be used.
        """
        try:
            return SSEClient(self.url, token=self.token, **self.options, **more)
        except ValueError as error:
            raise click.UsageError(str(error)) from None


def tls(cacert: Path | None, insecure: bool) -> dict[str, Any]:
    """The option `ssl` of a client, if a flag needs it.

    :raises click.UsageError: if the file holds no certificate.
    """
    if insecure:
        return {"ssl": False}
    if cacert is None:
        return {}
    try:
        return {"ssl": ssl.create_default_context(cafile=cacert)}
    except (ssl.SSLError, OSError) as error:
        raise click.UsageError(f"{cacert} holds no certificates in PEM: {error}") from None


def origin_of(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The origin of a page's address: scheme, host and port. The callback of an option.

    :raises click.BadParameter: if it is no address of a page.
    """
    if value is None:
        return None
    try:
        origin = URL(value).origin()
    except ValueError:
        origin = URL()
    if origin.scheme not in ("http", "https"):
        raise click.BadParameter(
            f"{value!r} is no address of a page, such as https://www.example.org", context, parameter
        )
    return str(origin)
