"""Rights over HTTP, and the ways to send a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from ipaddress import ip_network

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from hubs import Server, logged, mounted, serving
from scripted import scripted, silent
from tokens import SECRET, bearer, mint

EC_KEY = ec.generate_private_key(ec.SECP256R1())


SENSORS = bearer(["sensors.*"], ["sensors.*"])


async def fill(server: Server) -> None:
    """Publish an event on a channel that the sensors' token grants, and one on another channel."""
    for channel in ("sensors.kitchen", "secrets"):
        await server.hub.publish(f"of {channel}", channel=channel)


@pytest.mark.parametrize("place", ["bearer", "cookie", "query"])
async def test_a_token_is_taken_from_header_cookie_or_query(guarded: Server, place: str) -> None:
    token = mint(["main"])
    headers = {"bearer": {"Authorization": f"Bearer {token}"}, "cookie": {"Cookie": f"sse_token={token}"}, "query": {}}
    query = f"?token={token}" if place == "query" else ""
    async with guarded.stream(f"/stream{query}", headers[place]) as stream:
        assert (await stream.next()).type == "connected"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/stream"),
        ("GET", "/realtime/main"),
        ("POST", "/realtime/main"),
        ("GET", "/metrics"),
        ("GET", "/api/channels"),
        ("GET", "/api/channels/main/events"),
        ("GET", "/api/subscribers"),
        ("DELETE", "/api/subscribers/1"),
    ],
)
async def test_without_a_token_the_answer_is_401_and_says_how_to_send_one(
    guarded: Server, method: str, path: str
) -> None:
    response, problem = await guarded.ask(method, path)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "token" in problem["detail"]


async def test_a_broadcast_without_a_token_is_401_before_its_body_is_read(guarded: Server) -> None:
    response, _ = await guarded.post("/api/broadcast", data=b"{", headers={"Content-Type": "application/json"})
    assert response.status == 401


@pytest.mark.parametrize("path", ["/", "/health", "/web/client/sse.js"])
async def test_page_and_health_need_no_token(guarded: Server, path: str) -> None:
    assert (await guarded.get(path))[0].status == 200


async def test_an_invalid_token_is_401_even_if_no_token_is_needed() -> None:
    async with serving(jwt_key=SECRET, anonymous="all") as server:
        assert (await server.get("/api/channels"))[0].status == 200
        response, problem = await server.get("/api/channels", headers=bearer(["*"], key="x" * 32))
        assert response.status == 401
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
        assert "signature" in problem["detail"]


async def test_a_channel_that_is_not_granted_is_403_and_the_problem_names_the_granted_ones(guarded: Server) -> None:
    response, problem = await guarded.get("/realtime/secrets", headers=SENSORS)
    assert response.status == 403
    assert "'secrets'" in problem["detail"]
    assert "sensors.*" in problem["detail"]


async def test_one_channel_of_several_that_is_not_granted_refuses_the_stream(guarded: Server) -> None:
    response, _ = await guarded.get("/stream?channel=sensors.kitchen&channel=secrets", headers=SENSORS)
    assert response.status == 403


@pytest.mark.parametrize("query", ["", "&envelope=1"])
async def test_a_pattern_shows_only_granted_channels_replayed_and_live(guarded: Server, query: str) -> None:
    await fill(guarded)
    async with guarded.stream(f"/stream?channel=*&replay=100{query}", SENSORS) as stream:
        replayed = await stream.until("live")
        await fill(guarded)
        await guarded.hub.publish("the last", channel="sensors.end")
        live = [await stream.next(), await stream.next()]
    reply = [event.data for event in (*replayed[1:-1], *live)]
    assert ["secrets" in data for data in reply] == [False] * 3
    assert "the last" in reply[-1]


async def test_resuming_shows_only_granted_channels(guarded: Server) -> None:
    await fill(guarded)
    async with guarded.stream("/stream?channel=*&lastEventId=0-0", SENSORS) as stream:
        events = await stream.until("live")
    assert [event.data for event in events[1:-1]] == ["of sensors.kitchen"]


async def test_a_pattern_within_a_granted_one_shares_its_group_with_tokens_that_grant_all(guarded: Server) -> None:
    async with guarded.stream("/stream?channel=sensors.*", SENSORS) as one:
        async with guarded.stream("/stream?channel=sensors.*", bearer(["*"])) as other:
            await one.next()
            await other.next()
            assert [audience.members for audience in guarded.hub.audiences] == [2]


@pytest.mark.parametrize("query", ["", "&replay=latest", "&from=start", "&conflate=100"])
async def test_a_pattern_without_a_granted_channel_shows_nothing(guarded: Server, query: str) -> None:
    await fill(guarded)
    async with guarded.stream(f"/stream?channel=secret*{query}", SENSORS) as stream:
        await stream.next()
        await fill(guarded)
        await guarded.app.shutdown()
        assert "of secrets" not in [event.data for event in await stream.rest()]


async def test_a_stream_of_a_pattern_does_not_end_with_the_one_channel_that_is_granted(guarded: Server) -> None:
    async with guarded.stream("/stream?channel=*", bearer(["run.7"])) as stream:
        await stream.next()
        await guarded.hub.end("run.7")
        assert (await stream.next()).type == "end"
        await guarded.hub.store.forget("run.7")
        await guarded.hub.publish("anew", channel="run.7")
        await stream.until_data("anew")


async def test_publishing_needs_its_own_grant(guarded: Server) -> None:
    assert (await guarded.post("/realtime/sensors.a", data="x", headers=SENSORS))[0].status == 200
    assert (await guarded.post("/realtime/secrets", data="x", headers=SENSORS))[0].status == 403
    assert (await guarded.post("/realtime/sensors.a", data="x", headers=bearer(["*"])))[0].status == 403


async def test_a_broadcast_of_which_one_channel_is_not_granted_publishes_nothing(guarded: Server) -> None:
    message = {"message": 1, "channel": ["sensors.a", "secrets"]}
    response, problem = await guarded.post("/api/broadcast", json=message, headers=SENSORS)
    assert response.status == 403
    assert "secrets" in problem["detail"]
    assert len(guarded.hub.log) == 0


async def test_at_a_loopback_address_everything_is_open_without_a_key(server: Server) -> None:
    assert (await server.post("/realtime/main", data="x"))[0].status == 200
    assert (await server.get("/api/subscribers"))[0].status == 200


async def test_at_another_address_only_subscribing_is_open_without_a_key() -> None:
    async with serving(host="0.0.0.0") as server:
        assert (await server.get("/api/channels"))[0].status == 200
        assert (await server.post("/realtime/main", data="x"))[0].status == 401
        assert (await server.get("/api/subscribers"))[0].status == 401


@pytest.mark.parametrize(
    ("anonymous", "reading", "publishing"), [("none", 401, 401), ("subscribe", 200, 401), ("all", 200, 200)]
)
async def test_anonymous_sets_the_rights_of_requests_without_a_token(
    anonymous: str, reading: int, publishing: int
) -> None:
    async with serving(jwt_key=SECRET, anonymous=anonymous) as server:
        assert (await server.get("/api/channels"))[0].status == reading
        assert (await server.post("/realtime/main", data="x"))[0].status == publishing


@pytest.mark.parametrize(
    ("token", "answered"),
    [
        (mint(["*"], key="x" * 32), "its signature does not fit the key"),
        (mint(["*"], key=EC_KEY, algorithm="ES256"), "its algorithm is 'ES256'; the key needs HS256 or HS384"),
        (mint(["*"], lasts=-60), "it has expired: exp is 20"),
        (mint(["*"], nbf=9e9), "it is not valid yet: nbf or iat is 2255"),
        (mint(["*"], aud="them"), "its audience (aud) is 'them'; it should contain 'us'"),
        (mint(["*"]), "its audience (aud) is None; it should contain 'us'"),
        (jwt.encode({"aud": "us", "exp": 9e9}, SECRET), "the claim sse is missing"),
        (jwt.encode({"aud": "us", "sse": {}}, SECRET), "the claim exp is missing"),
        (jwt.encode({"aud": "us", "exp": 9e9, "sse": {"subscribe": "*"}}, SECRET), "subscribe in the claim sse is '*'"),
        ("nonsense", "it is not a JSON Web Token"),
    ],
)
async def test_problem_and_log_say_which_check_failed_and_never_the_token(
    caplog: pytest.LogCaptureFixture, token: str, answered: str
) -> None:
    async with serving(jwt_key=SECRET, jwt_audience="us") as server:
        response, problem = await server.get("/api/channels", headers={"Authorization": f"Bearer {token}"})
    assert response.status == 401
    assert answered in problem["detail"]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "sse_hub.access"]
    assert answered in line
    assert token not in logged(caplog) + str(problem)
    assert SECRET not in logged(caplog) + str(problem)


async def test_a_request_that_the_token_does_not_grant_is_logged(
    guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await guarded.post("/realtime/secrets", data="x", headers=bearer((), ["sensors.*"], sub="anna"))
    assert "not granted: the token may not publish to secrets; it may publish to sensors.*" in caplog.text


async def test_refused_tokens_are_counted(guarded: Server) -> None:
    await guarded.get("/api/channels?token=x")
    assert await guarded.figure("sse_tokens_refused_total", **bearer(["*"])) == 1


class Issuer:
    """A server that publishes keys."""

    def __init__(self) -> None:
        self.keys = {"first": ec.generate_private_key(ec.SECP256R1())}
        self.status = 200

    async def answer(self, _: web.Request) -> web.Response:
        keys = [
            {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": name}
            for name, key in self.keys.items()
        ]
        return web.json_response({"keys": keys}, status=self.status)

    def headers(self, name: str) -> dict[str, str]:
        key = self.keys.get(name) or ec.generate_private_key(ec.SECP256R1())
        return bearer(["*"], key=key, algorithm="ES256", headers={"kid": name})


@pytest.fixture
async def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def trusting(issuer: Issuer) -> AsyncIterator[Server]:
    """A server that has its keys from the issuer."""
    app = web.Application()
    app.router.add_get("/keys", issuer.answer)
    async with mounted(app) as url, serving(jwks_url=f"{url}/keys") as server:
        yield server


async def test_a_key_of_the_issuer_is_fetched_when_it_is_needed(trusting: Server, issuer: Issuer) -> None:
    assert (await trusting.get("/api/channels", headers=issuer.headers("first")))[0].status == 200


async def test_a_key_that_the_issuer_does_not_have_is_401(trusting: Server, issuer: Issuer) -> None:
    response, problem = await trusting.get("/api/channels", headers=issuer.headers("other"))
    assert response.status == 401
    assert "'other' (kid) is not among the 1 of the key set" in problem["detail"]


async def test_while_the_issuer_is_away_a_stream_is_asked_to_come_back_and_a_publisher_to_try_again(
    trusting: Server, issuer: Issuer
) -> None:
    issuer.status = 500
    headers = issuer.headers("first")
    async with trusting.stream("/stream", headers) as stream:
        (event,) = await stream.rest()
        assert event.type == "error"
        assert json.loads(event.data)["status"] == 503
    response, problem = await trusting.post("/realtime/main", data="x", headers=headers)
    assert response.status == 503
    assert response.headers["Retry-After"] == "10"
    assert "answered 500" in problem["detail"]


async def test_an_issuer_that_does_not_answer_is_named_with_the_reason() -> None:
    async with scripted(silent) as issuer, serving(jwks_url=issuer.url) as server:
        response, problem = await server.post("/realtime/main", data="x", headers=bearer((), ["*"]))
        assert response.status == 503
        assert f"{issuer.url}: no answer in time" in problem["detail"]


async def test_the_address_of_the_key_set_is_shown_without_what_may_be_secret() -> None:
    async with serving(jwks_url="http://anna:s3cret@127.0.0.1:1/keys?code=s3cret") as server:
        response, problem = await server.post("/realtime/main", data="x", headers=bearer((), ["*"]))
        assert response.status == 503
        assert "http://127.0.0.1:1/keys: " in problem["detail"]
        assert "s3cret" not in problem["detail"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("own", 200), ("https://friend.example", 200), ("https://evil.example", 403), ("null", 403), (None, 403)],
)
async def test_a_cookie_publishes_only_from_pages_of_allowed_origins(origin: str | None, status: int) -> None:
    async with serving(jwt_key=SECRET, cors_origin=("https://friend.example",)) as server:
        headers = {"Cookie": f"sse_token={mint((), ['*'])}"}
        if origin is not None:
            headers["Origin"] = server.url if origin == "own" else origin
        assert (await server.post("/realtime/main", data="x", headers=headers))[0].status == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("hub.example", "https://hub.example", 200),
        ("hub.example", "http://hub.example", 200),
        ("hub.example:443", "https://hub.example", 200),
        ("hub.example:8443", "https://hub.example:8443", 200),
        ("HUB.example", "https://hub.example", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("[::1]", "http://[::1]", 200),
        ("hub.example", "https://hub.example:8443", 403),
        ("hub.example:8443", "https://hub.example", 403),
        ("hub.example:80", "https://hub.example", 403),
        ("hub.example", "https://hub.example.evil.example", 403),
        ("hub.example", "chrome-extension://hub.example", 403),
        ("hub.example", "http://[", 403),
        ("hub.example", "https://hub.example:port", 403),
        ("", "null", 403),
        ("", "http://", 403),
        ("a b", "http://a", 403),
    ],
)
async def test_a_page_of_the_server_is_known_with_and_without_the_port(
    guarded: Server, host: str, origin: str, status: int
) -> None:
    headers = {"Cookie": f"sse_token={mint((), ['*'])}", "Host": host, "Origin": origin}
    assert (await guarded.post("/realtime/main", data="x", headers=headers))[0].status == status


async def test_a_page_without_tls_is_none_of_a_server_with_tls() -> None:
    async with serving(jwt_key=SECRET, trusted_proxies=(ip_network("127.0.0.0/8"),)) as server:
        headers = {"Cookie": f"sse_token={mint((), ['*'])}", "Host": "hub.example", "X-Forwarded-Proto": "https"}
        for scheme, status in (("https", 200), ("http", 403)):
            given = headers | {"Origin": f"{scheme}://hub.example"}
            assert (await server.post("/realtime/main", data="x", headers=given))[0].status == status


async def test_any_origin_is_no_permission_to_publish_by_a_cookie(guarded: Server) -> None:
    headers = {"Cookie": f"sse_token={mint((), ['*'])}", "Origin": "https://evil.example"}
    assert (await guarded.post("/realtime/main", data="x", headers=headers))[0].status == 403


async def test_a_bearer_token_publishes_from_a_page_of_any_origin(guarded: Server) -> None:
    headers = bearer((), ["*"]) | {"Origin": "https://anywhere.example"}
    assert (await guarded.post("/realtime/main", data="x", headers=headers))[0].status == 200


async def test_without_a_key_a_refused_request_is_not_asked_for_a_token() -> None:
    async with serving(anonymous="subscribe") as server:
        response, problem = await server.post("/realtime/main", data="x", headers=bearer(publish=["*"]))
        assert (response.status, "no key to check one" in problem["detail"]) == (401, True)
        assert "--jwt-key or --jwks-url" in problem["detail"]
