"""Sessions of browsers: a token becomes a cookie, and back."""

from __future__ import annotations

from ipaddress import ip_network

import aiohttp
from hubs import Server, Stream, serving
from sockets import crowd, get, raw
from tokens import SECRET, bearer, mint

from sse_hub.http.streams import HANDSHAKES


def browser() -> aiohttp.ClientSession:
    """A client that keeps cookies, also those of addresses."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_a_session_is_a_cookie_that_scripts_cannot_read(guarded: Server) -> None:
    response, answer = await guarded.post("/api/session", headers=bearer(["main"], ["alerts"], sub="anna"))
    assert response.status == 200
    assert (answer["subscribe"], answer["publish"], answer["subject"]) == (["main"], ["alerts"], "anna")
    cookie = response.headers["Set-Cookie"]
    for part in ("sse_token=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
        assert part in cookie
    assert "Secure" not in cookie


async def test_over_tls_the_cookie_is_secure() -> None:
    async with serving(jwt_key=SECRET, trusted_proxies=(ip_network("127.0.0.1"),)) as server:
        response, _ = await server.post("/api/session", headers=bearer(["main"]) | {"X-Forwarded-Proto": "https"})
    assert "Secure" in response.headers["Set-Cookie"]
    assert "max-age=" in response.headers["Strict-Transport-Security"]


async def test_the_cookie_of_a_session_opens_a_stream_until_the_session_ends(guarded: Server) -> None:
    async with browser() as tab:
        session = f"{guarded.url}/api/session"
        async with tab.post(session, headers=bearer(["main"])), tab.get(guarded.url + "/stream") as stream:
            assert stream.status == 200
        async with tab.delete(session) as response, tab.get(guarded.url + "/stream") as refused:
            assert (response.status, refused.status) == (204, 401)


async def test_signing_out_ends_the_streams_that_the_cookie_has_opened_and_no_others(guarded: Server) -> None:
    token = bearer(["main"])
    async with guarded.stream(headers=token) as other, browser() as tab:
        await other.until("connected")
        session = f"{guarded.url}/api/session"
        async with tab.post(session, headers=token), tab.get(guarded.url + "/stream") as response:
            stream = Stream(response)
            await stream.until("connected")
            async with tab.delete(session):
                (farewell,) = await stream.rest()
        assert (farewell.type, farewell.json()["status"]) == ("error", 401)
        await guarded.hub.publish("after")
        assert (await other.next()).data == "after"


async def test_signing_out_ends_the_streams_that_are_being_opened_at_that_moment(guarded: Server) -> None:
    cookie = f"sse_token={mint(['main'])}"
    out = f"DELETE /api/session HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nCookie: {cookie}\r\n\r\n"
    # Only some streams can begin in each turn of the event loop.
    async with crowd(guarded.port, 20 * HANDSHAKES, get("/stream", Cookie=cookie)) as streams:
        async with raw(guarded.port, out.encode()) as leaving:
            await leaving.until(b" 204 ")
        await guarded.until_subscribers(0)
        for stream in streams:
            assert b'"status":401' in await stream.rest()


async def test_signing_in_as_somebody_else_ends_the_streams_of_the_former_session(guarded: Server) -> None:
    async with browser() as tab:
        session = f"{guarded.url}/api/session"
        anna = bearer(["main"], sub="anna")
        async with tab.post(session, headers=anna), tab.get(guarded.url + "/stream") as response:
            stream = Stream(response)
            await stream.until("connected")
            async with tab.post(session, headers=anna):  # the same token goes on
                await guarded.hub.publish("still anna")
                assert (await stream.next()).data == "still anna"
            async with tab.post(session, headers=bearer(["main"], sub="bob")):
                assert [event.type for event in await stream.rest()] == ["error"]


async def test_a_session_needs_a_valid_token_in_the_header(guarded: Server) -> None:
    assert (await guarded.post("/api/session"))[0].status == 401
    assert (await guarded.post("/api/session", headers=bearer(["*"], lasts=-60)))[0].status == 401


async def test_without_a_key_there_are_no_sessions(server: Server) -> None:
    assert (await server.post("/api/session", headers=bearer(["*"])))[0].status == 404
