"""`sse-server health`: ask the server of the same settings how it is. Health checks of containers use it, as they need
no other program for it."""

from __future__ import annotations

import http.client
import ssl

import click

from ..settings import Settings, url_of
from ..stdio import complain

__all__ = ["ask"]

_PATIENCE = 3.0


def ask(settings: Settings) -> int:
    """Print what `/health` answers; return 0 if the server is well, 1 if it is not or does not answer."""
    try:
        status, answer = _request(settings)
    except (OSError, http.client.HTTPException) as error:
        complain(f"sse-server: nobody answers at {url_of(settings)}: {error}")
        return 1
    click.echo(answer.decode("utf-8", "replace"))
    return 0 if status == 200 else 1


def _request(settings: Settings) -> tuple[int, bytes]:
    host, port = settings.reachable_host, settings.port
    connection: http.client.HTTPConnection
    if settings.tls_cert:
        # It asks itself, at an address that no certificate names: there is nothing to check.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        return response.status, response.read(1 << 20)
    finally:
        connection.close()
