"""The way to the hub: address, token, proxy, certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sse_client import SSEClient

__all__ = ["Access", "tls"]


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that a client needs.

    :param options: of `SSEClient`: `proxy`, `ssl`.
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
