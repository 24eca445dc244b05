"""`sse-hub health`: ask a server with the same settings for its health. Health checks of containers use it, because
the image has no other program for that."""

from __future__ import annotations

import http.client
import ssl

import click

from ..settings import Settings, url_of
from ..stdio import print_error, program_name

__all__ = ["ask"]

_PATIENCE = 3.0


def ask(settings: Settings) -> int:
    """Print the answer of `/health`; return 0 for a status of 200, otherwise 1."""
    try:
        status, answer = _request(settings)
    except (OSError, http.client.HTTPException) as error:
        print_error(f"{program_name()}: no server answers at {url_of(settings)}: {error}")
        return 1
    click.echo(answer.decode("utf-8", "replace"))
    return 0 if status == 200 else 1


def _request(settings: Settings) -> tuple[int, bytes]:
    host, port = settings.reachable_host, settings.port
    connection: http.client.HTTPConnection
    if settings.tls_cert:
        # The certificate is not checked: it does not name the address at which the server is on this machine.
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
