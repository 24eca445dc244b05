"""docs/how-to/mercure.md: from a compose file of a Symfony application to the first update in the browser."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubs import remote
from playwright.async_api import Page, expect
from programs import ROOT, Start, environment, tool
from shells import adapted

GUIDE = ROOT / "docs" / "how-to" / "code" / "mercure"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and prints nothing."""

    def log_message(self, *_: object) -> None:
        """Do nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The origin at which the folder of the test is served."""

    def handler(*given: Any) -> Quiet:
        return Quiet(*given, directory=str(tmp_path))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def compose(tmp_path: Path, origin: str) -> dict[str, str]:
    """The environment in the compose file, with other places."""
    service = yaml.safe_load((GUIDE / "compose.yaml").read_text())["services"]["mercure"]
    variables = {name: value.replace("http://127.0.0.1:8000", origin) for name, value in service["environment"].items()}
    return variables | {"SSE_STORE": f"sqlite:{tmp_path / 'events.db'}"}


async def test_an_update_of_the_application_comes_to_the_page(
    program: Start, site: str, page: Page, tmp_path: Path
) -> None:
    php = tool("php", "php-cli php-curl php-symfony-mercure")
    variables = compose(tmp_path, site)
    running = program("--no-demo", **variables)
    adapted(GUIDE / "page.html", tmp_path, running.url, "http://127.0.0.1:3000")
    await page.goto(f"{site}/page.html")
    async with remote(running.url) as hub:
        await hub.until_subscribers(1)
    minted = await asyncio.create_subprocess_exec(
        *("sse-server", "token", "mint", "--mercure", "--publish", "*", "--expires", "never"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(SSE_JWT_KEY=variables["MERCURE_PUBLISHER_JWT_KEY"]),
    )
    token = (await minted.communicate())[0].decode().strip()
    application = environment(MERCURE_URL=f"{running.url}/.well-known/mercure", MERCURE_JWT=token)
    publishing = await asyncio.create_subprocess_exec(php, str(GUIDE / "publish.php"), env=application)
    assert await publishing.wait() == 0
    await expect(page.locator("#stock")).to_have_text("5")
