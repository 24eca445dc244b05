"""Passwords, tokens and queries stand in no log and in no error."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from typing import Any

import pytest
from hubs import Server, serving
from programs import start_client
from scripted import Script, held, raw, scripted, silent, status, stream
from tokens import SECRET

from sse_client import EventSource, EventTooLarge, GaveUp, NotAcknowledged, Refused, SSEClient, SSEError

SECRETS = ("SECRET", "user", "pa%40ss", "pa@ss")
FAILURES: dict[str, Script] = {
    "refused": status(404, "", "{}"),
    "problem": status(
        403, "Content-Type: application/problem+json\r\n", '{"detail":"no http://user:SECRET@x/?t=SECRET"}'
    ),
    "no event stream": status(200, "Content-Type: text/html\r\n"),
    "server error": status(500),
    "no answer": raw(""),
    "no HTTP": raw("nonsense\r\n\r\n"),
    "redirect": status(302, "Location: https://user:SECRET@127.0.0.1:1/?token=SECRET#SECRET\r\n"),
    "redirect to another scheme": status(302, "Location: ftp://user:SECRET@127.0.0.1:1/?token=SECRET\r\n"),
    "ended": stream(),
}


ENDLESS = {"silent": silent, "too large": held(f"data: {'x' * 100}\n\n")}


@pytest.mark.parametrize("script", (FAILURES | ENDLESS).values(), ids=FAILURES | ENDLESS)
async def test_logs_and_errors_hold_no_secret(script: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sse_client")
    async with scripted(*[script] * 99) as server:
        url = server.url.replace("//", "//user:pa%40ss@")
        options: dict[str, Any] = {"max_event_bytes": 50, "max_retries": 1, "max_connect_retry": 1}
        source = EventSource(f"{url}?token=SECRET", reconnection_time=0.01, idle_timeout=0.2, **options)
        async with SSEClient(url) as client:
            errors = []
            asked = [anext(source), client.publish("a", deadline=0.4)]
            for ask in asked if script in ENDLESS.values() else [*asked, client.health()]:
                with pytest.raises(SSEError) as caught:
                    await ask
                errors.append(caught.value)
    for error in errors:
        shown = "".join(traceback.format_exception(error))
        assert not [secret for secret in SECRETS if secret in shown], shown
        assert "127.0.0.1" in str(error) or isinstance(error, EventTooLarge)
    assert not [secret for secret in SECRETS if secret in caplog.text]


async def test_logs_and_errors_hold_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sse_client")
    async with serving(jwt_key=SECRET) as server, SSEClient(server.url, token="a.SECRET.b") as client:
        with pytest.raises(Refused) as caught:
            await client.publish("a")
    assert "SECRET" not in str(caught.value) + caplog.text


async def test_the_origin_of_an_event_holds_no_password(server: Server) -> None:
    await server.hub.publish("a")
    async with SSEClient(server.url.replace("//", "//user:SECRET@")) as client, client.stream(replay=1) as stream:
        (retained,) = (await client.history()).events
        assert retained.origin == (await anext(stream)).origin == server.url


@pytest.mark.parametrize("error", [GaveUp("a"), NotAcknowledged("a"), Refused("http://x/", 404, {"detail": "b"})])
def test_an_error_reaches_another_process_as_it_is(error: SSEError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again)) == (type(error), str(error))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["a" * 2_000_000, "://" * 700_000, "a://b@" * 300_000, "a://'" * 400_000, "@" * 2_000_000]
)
def test_a_long_text_is_searched_for_secrets_in_time_linear_in_its_length(text: str) -> None:
    # It would take hours if each letter began another search.
    assert "SECRET" not in str(SSEError(f"{text} https://user:SECRET@host/path?token=SECRET#SECRET "))


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "redis+sentinel", "a" + "1" * 40])
def test_an_error_shows_of_a_url_all_but_its_secrets(scheme: str) -> None:
    error = SSEError(f"<{scheme}://user:SECRET@host:80/path?token=SECRET#SECRET> and '{scheme}://host'")
    assert str(error) == f"<{scheme}://host:80/path> and '{scheme}://host'"


async def test_a_check_does_not_show_the_password_of_its_url(server: Server) -> None:
    url = server.url.replace("//", "//user:SECRET@")
    process = await start_client("--url", url, "check", "--idle", "0.1")
    out, err = await process.communicate()
    assert "Checking http://127.0.0.1" in out.decode()
    assert b"SECRET" not in out + err
