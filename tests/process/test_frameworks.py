"""The applications of one file of the pages about frameworks, with a real hub."""

from __future__ import annotations

import asyncio

import pytest
from hubs import Server
from programs import ROOT, fetch, free_port
from shells import shell

FRAMEWORKS = ROOT / "docs" / "frameworks"


@pytest.mark.parametrize(
    ("command", "ready"),
    [
        ("flask --app flask_app run --port {port}", b"Running on"),
        ("python -u django_app.py runserver --noreload {port}", b"Starting development server"),
    ],
    ids=["flask", "django"],
)
async def test_a_view_publishes_an_order(server: Server, command: str, ready: bytes) -> None:
    port = free_port()
    with shell(f"exec {command.format(port=port)}", FRAMEWORKS, SSE_URL=server.url) as run:
        await asyncio.to_thread(run.until, ready)

        def post() -> int:
            return fetch(f"http://127.0.0.1:{port}/orders/book", b"").status

        assert await asyncio.to_thread(post) == 200
    assert await server.retained("orders.new") == ['{"item":"book"}']
