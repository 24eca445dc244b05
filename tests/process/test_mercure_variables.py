"""The variables of the reference Mercure hub's image: a compose file of it needs only another image."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hubs import remote
from mercures import PATH, follow, publish, with_token
from programs import ROOT, Start, environment, free_port
from tokens import SECRET

from sse_hub.program.config import load
from sse_hub.settings import SettingError, Settings

KEY = "!ChangeThisMercureHubJWTSecretKey!"
TOPIC = "https://example.com/books/1"
COMPOSE = {
    "MERCURE_PUBLISHER_JWT_KEY": KEY,
    "MERCURE_SUBSCRIBER_JWT_KEY": KEY,
    "MERCURE_EXTRA_DIRECTIVES": "cors_origins http://127.0.0.1:8000 https://app.example\n",
}
"""What the recipe of a Symfony application has."""


def read(directives: str = "", **variables: str) -> Settings:
    return load({}, {**COMPOSE, "MERCURE_EXTRA_DIRECTIVES": directives, **variables})


async def test_a_server_with_the_variables_of_a_symfony_application_serves_its_tokens(program: Start) -> None:
    running = program("--no-demo", **COMPOSE)
    async with remote(running.url) as hub:
        publisher, reader = with_token(publish=["*"], key=KEY), with_token(subscribe=["*"], key=KEY)
        assert (await publish(hub, TOPIC, "x"))[0] == 401
        async with hub.client.get(f"{hub.url}{PATH}?topic={TOPIC}") as answer:
            assert answer.status == 401, "without `anonymous`, a subscriber needs a token"
        origin = {"Origin": "https://app.example"}
        async with follow(hub, TOPIC, reader | origin) as stream:
            assert stream.response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            status, id = await publish(hub, TOPIC, "hello", private="on", headers=publisher)
            received = await stream.next()
            assert (status, received.data, received.id) == (200, "hello", id)


async def test_the_command_that_compose_files_repeat_is_ignored() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "sse_server.py"), "/usr/bin/caddy", "run", "--config", "/etc/caddy/dev.Caddyfile"),
        env=environment(SERVER_NAME=f":{port}", **COMPOSE),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    lines = [await process.stderr.readline(), await process.stderr.readline()]
    assert b"'/usr/bin/caddy run --config /etc/caddy/dev.Caddyfile' is the command of another image" in lines[0]
    assert f"sse-hub is at http://127.0.0.1:{port}/".encode() in lines[1]
    process.terminate()
    assert await process.wait() == 0


async def test_a_word_that_is_not_known_is_named_in_a_warning_and_the_server_starts(program: Start) -> None:
    directives = (
        "anonymous\nfrobnicate 3\ntransport bolt {\n  path /data/mercure.db\n  size 1000\n}\n# demo\nheartbeat 40s"
    )
    running = program("--no-demo", **{**COMPOSE, "MERCURE_EXTRA_DIRECTIVES": directives})
    async with aiohttp.ClientSession() as client, client.get(f"{running.url}{PATH}?topic={TOPIC}") as answer:
        assert answer.status == 200, "`anonymous` lets subscribers in without a token"
    _, errors = running.end()
    assert "'frobnicate' in MERCURE_EXTRA_DIRECTIVES is ignored: this hub does not know it" in errors
    assert "'transport' in MERCURE_EXTRA_DIRECTIVES is ignored: this hub keeps updates in the store" in errors
    assert "size" not in errors
    assert "demo" not in errors


def test_every_word_has_its_setting() -> None:
    settings = read(
        'anonymous\nsubscriptions\ncors_origins "https://a.example" https://b.example\n'
        "publish_origins https://c.example\nheartbeat 1m30s\ncookie_name `mine`"
    )
    assert (settings.anonymous, settings.mercure_subscriptions) == ("subscribe", True)
    assert settings.cors_origin == ("https://a.example", "https://b.example")
    assert settings.mercure_publish_origins == ("https://c.example",)
    assert (settings.ping, settings.mercure_cookie) == (90.0, "mine")
    assert settings.remarks == ()


def test_braces_that_belong_to_nothing_are_passed_over() -> None:
    assert read("{\n  anything\n}\n}\ncookie_name mine").mercure_cookie == "mine"


def test_variables_and_flags_of_this_hub_win_and_the_file_does_not() -> None:
    settings = load({"ping": "3"}, {**COMPOSE, "MERCURE_EXTRA_DIRECTIVES": "heartbeat 40s\ncookie_name theirs"})
    assert (settings.ping, settings.mercure_cookie) == (3.0, "theirs")
    assert read("cookie_name theirs", SSE_MERCURE_COOKIE="ours").mercure_cookie == "ours"


@pytest.mark.parametrize(
    ("name", "port", "remarks"),
    [(":80", 80, 0), ("http://:8080", 8080, 0), ("hub.example", 8000, 1), ("localhost", 8000, 1)],
)
def test_the_port_of_the_server_name_counts_and_a_name_is_explained(name: str, port: int, remarks: int) -> None:
    settings = read(SERVER_NAME=name)
    assert (settings.port, len(settings.remarks)) == (port, remarks)
    assert all("--tls-cert" in remark for remark in settings.remarks)


def test_a_server_name_alone_says_nothing_about_this_hub() -> None:
    assert load({}, {"SERVER_NAME": ":80"}).port == 8000


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"MERCURE_PUBLISHER_JWT_KEY": "short"}, "MERCURE_PUBLISHER_JWT_KEY takes a secret of at least 32 bytes"),
        (
            {"MERCURE_SUBSCRIBER_JWT_ALG": "RS256"},
            "the algorithm beside MERCURE_SUBSCRIBER_JWT_KEY is 'RS256'; this key takes one of HS256",
        ),
        (
            {"MERCURE_EXTRA_DIRECTIVES": "heartbeat often"},
            "'heartbeat' in MERCURE_EXTRA_DIRECTIVES is 'often'; it takes",
        ),
        ({"MERCURE_EXTRA_DIRECTIVES": "cors_origins"}, "'cors_origins' in MERCURE_EXTRA_DIRECTIVES is ''"),
        ({"MERCURE_EXTRA_DIRECTIVES": "publisher_jwt"}, "'publisher_jwt' in MERCURE_EXTRA_DIRECTIVES is empty"),
        ({"MERCURE_EXTRA_DIRECTIVES": 'cookie_name "x'}, "a quotation mark that is not closed, after 'cookie_name'"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_would_be_right(variables: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({}, {**COMPOSE, **variables})
    assert reason in str(caught.value)
    assert "short" not in str(caught.value)


async def test_the_algorithm_of_a_public_key_may_be_given(program: Start) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    running = program("--no-demo", MERCURE_PUBLISHER_JWT_KEY=public, MERCURE_PUBLISHER_JWT_ALG="ES256")
    async with remote(running.url) as hub:
        token = jwt.encode({"mercure": {"publish": ["*"]}}, private, "ES256")
        assert (await publish(hub, TOPIC, "x", headers={"Authorization": f"Bearer {token}"}))[0] == 200


@pytest.mark.parametrize("line", [f"publisher_jwt {SECRET}it's HS256", f"'{SECRET}"])
def test_a_line_that_cannot_be_read_does_not_show_its_key(line: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({}, {**COMPOSE, "MERCURE_EXTRA_DIRECTIVES": line})
    assert SECRET not in str(caught.value)
