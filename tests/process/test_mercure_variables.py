"""A server with the environment of Mercure's reference image."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from hubs import Remote
from mercures import PATH, follow, publish, update, with_token
from programs import ROOT, environment, free_port

from sse_hub.program.config import load
from sse_hub.settings import SettingError

SECRET = "!ChangeThisMercureHubJWTSecretKey!"
OTHER = "!ChangeThisMercureHubJWTSecretToo!"
COMPOSE = {
    "MERCURE_PUBLISHER_JWT_KEY": SECRET,
    "MERCURE_PUBLISHER_JWT_ALG": "HS256",
    "MERCURE_SUBSCRIBER_JWT_KEY": OTHER,
    "MERCURE_EXTRA_DIRECTIVES": """
        # Set the URL of your project
        cors_origins http://127.0.0.1:9000 "https://e.com"
        anonymous
        subscriptions
        transport bolt {
            path /data/mercure.db
        }
        ui
    """,
    "MERCURE_TRANSPORT_URL": "bolt:///data/mercure.db",
    "MERCURE_PUBLIC_URL": "https://e.com/.well-known/mercure",
}


@asynccontextmanager
async def composed() -> AsyncIterator[tuple[str, str]]:
    """A server as a compose file of Symfony starts it: its URL, and what it logs at its start."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "sse_server.py"),
        *("/usr/bin/caddy", "run", "--config", "/etc/caddy/dev.Caddyfile"),
        env=environment(**COMPOSE, SERVER_NAME=f":{port}"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    log = ""
    try:
        while "sse-hub is at" not in log:
            line = await process.stderr.readline()
            assert line, log
            log += line.decode()
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.terminate()
        await process.communicate()


async def test_a_compose_file_of_the_reference_image_needs_a_new_image_name_only() -> None:
    async with composed() as (url, log), aiohttp.ClientSession() as client:
        ignored = [line for line in log.splitlines() if "ignored" in line]
        for word in ("/usr/bin/caddy run", "'transport'", "'ui'", "MERCURE_TRANSPORT_URL"):
            assert any(word in line for line in ignored), log
        assert len(ignored) == 4
        hub = Remote(url, client)
        publisher = with_token(publish=["*"], key=SECRET)
        assert (await publish(hub, "t"))[0] == 401
        assert (await publish(hub, "t", headers=with_token(publish=["*"], key=OTHER)))[0] == 401
        async with follow(hub, "t") as anonymous, follow(hub, "t", with_token(subscribe=["t"], key=OTHER)) as reader:
            await update(hub, "t", "private", headers=publisher, private="on")
            await update(hub, "t", "public", headers=publisher)
            assert (await anonymous.next()).data == "public"
            assert [event.data for event in await reader.take(2)] == ["private", "public"]
        headers = {**with_token(subscribe=["*"], key=OTHER), "Origin": "https://e.com"}
        async with client.get(f"{hub.url}{PATH}/subscriptions", headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == "https://e.com"
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert (await hub.health())["channels"] == 0


def test_each_directive_has_a_setting() -> None:
    text = "heartbeat 1m30s\ncookie_name name\npublish_origins https://a.example https://b.example\nanonymous"
    settings = load({}, {"MERCURE_EXTRA_DIRECTIVES": text})
    assert settings.ping == 90
    assert settings.mercure_cookie == "name"
    assert settings.mercure_publish_origins == ("https://a.example", "https://b.example")
    assert settings.anonymous == "subscribe"
    assert settings.no_demo
    assert settings.remarks == ()


def test_the_own_variables_and_flags_win_over_those_of_the_reference_image() -> None:
    theirs = {"MERCURE_EXTRA_DIRECTIVES": "heartbeat 40s", "SERVER_NAME": "http://localhost:81"}
    assert load({}, theirs).port == 81
    assert load({"ping": "3"}, {**theirs, "SSE_PORT": "82"}).port == 82
    assert load({"ping": "3"}, theirs).ping == 3


def test_variables_of_an_application_change_nothing() -> None:
    settings = load({}, {"MERCURE_URL": "http://hub/", "MERCURE_JWT_SECRET": SECRET, "SERVER_NAME": ":80"})
    assert (settings.port, settings.no_demo, settings.remarks) == (8000, False, ())


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"MERCURE_PUBLISHER_JWT_KEY": "short"}, "MERCURE_PUBLISHER_JWT_KEY takes a secret of at least 32 bytes"),
        (
            {"MERCURE_SUBSCRIBER_JWT_KEY": SECRET, "MERCURE_SUBSCRIBER_JWT_ALG": "RS256"},
            "MERCURE_SUBSCRIBER_JWT_ALG is 'RS256', but the key takes HS256 or HS384 or HS512",
        ),
        ({"MERCURE_EXTRA_DIRECTIVES": "heartbeat soon"}, "heartbeat, is 'soon', but it takes a time such as 15s"),
        ({"MERCURE_EXTRA_DIRECTIVES": "heartbeat 0s"}, "heartbeat, is '0', but it takes seconds greater than 0"),
        ({"MERCURE_EXTRA_DIRECTIVES": "cors_origins e.com"}, "cors_origins, is 'e.com', but it takes"),
        ({"MERCURE_EXTRA_DIRECTIVES": 'cookie_name "a'}, "has a line that cannot be read"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_its_own_variable(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingError, match=complaint.replace("(", r"\(")):
        load({}, variables)


def test_a_server_name_without_a_port_is_remarked() -> None:
    settings = load({}, {"MERCURE_PUBLISHER_JWT_KEY": SECRET, "SERVER_NAME": "hub.example"})
    assert "SERVER_NAME is 'hub.example'" in settings.remarks[0]
