"""Who may publish and read what by the Mercure protocol."""

from __future__ import annotations

import base64
import hmac
import json
import math
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hubs import Server, logged, serving
from mercures import PATH, follow, publish, update, with_token
from tokens import SECRET, bearer
from yarl import URL

BOOK = "https://e.com/books/{id}"
OTHER_SECRET = "fedcba9876543210fedcba9876543210"


def token(**options: Any) -> str:
    return with_token(**options)["Authorization"].removeprefix("Bearer ")


async def test_the_topic_that_is_followed_and_the_topic_that_authorizes_may_differ(guarded: Server) -> None:
    """S19 and 6.4."""
    book, user = "https://e.com/books/1", "https://e.com/users/42/?topic=https%3A%2F%2Fe.com%2Fbooks%2F1"
    publisher = with_token(publish=["*"])
    reader = with_token(subscribe=["https://e.com/users/42/{?topic}"])
    async with follow(guarded, BOOK, reader) as stream:
        await update(guarded, book, "not for 42", private="on", headers=publisher)
        await update(guarded, [book, user], "for 42", private="on", headers=publisher)
        assert (await stream.next()).data == "for 42"


async def test_a_subscriber_whose_token_covers_nothing_gets_public_updates(guarded: Server) -> None:
    """S6 and A13."""
    async with follow(guarded, "t", with_token(subscribe=["other"])) as stream:
        await update(guarded, "t", "secret", private="on", headers=with_token(publish=["*"]))
        await update(guarded, "t", "public", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "public"


@pytest.mark.parametrize(
    ("granted", "topics", "status"),
    [
        (["*"], ["a", "b"], 200),
        (["a", "{x}"], ["a", "b"], 200),
        (["a"], ["a", "b"], 403),
        ([BOOK], ["https://e.com/books/1/2"], 403),
        ([], ["a"], 403),
        (None, ["a"], 403),
    ],
)
async def test_every_topic_of_an_update_must_be_granted(
    guarded: Server, granted: list[str] | None, topics: list[str], status: int
) -> None:
    """A12 and P6."""
    async with follow(guarded, "*", with_token()) as stream:
        answer, body = await publish(guarded, topics, "new", headers=with_token(publish=granted))
        assert answer == status, body
        if status == 403:
            assert "grants" in body
            await update(guarded, "z", "new", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "new"


@pytest.mark.parametrize("place", ["header", "query", "cookie"])
async def test_a_token_is_taken_from_header_query_or_cookie(guarded: Server, place: str) -> None:
    """A1; A2 for the case of the scheme."""
    reader = token(subscribe=["t"])
    headers = {"header": {"Authorization": f"bEARER {reader}"}, "cookie": {"Cookie": f"mercureAuthorization={reader}"}}
    query = {"authorization": reader} if place == "query" else {}
    async with follow(guarded, "t", headers.get(place), **query) as stream:
        await update(guarded, "t", "secret", private="on", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "secret"


async def test_the_first_token_counts_even_if_it_is_not_accepted(guarded: Server) -> None:
    """A1 and A2."""
    good, bad = token(subscribe=["*"]), "bad"
    cookie = {"Cookie": f"mercureAuthorization={good}"}
    assert await guarded.status(f"{PATH}?topic=t&authorization={good}", headers={"Authorization": "Bearer bad"}) == 401
    assert await guarded.status(f"{PATH}?topic=t&authorization={bad}", headers=cookie) == 401
    assert await guarded.status(f"{PATH}?topic=t&authorization=", headers=cookie) == 401


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "x"])
async def test_another_authorization_is_401_and_never_anonymous(value: str) -> None:
    """A2."""
    async with serving(jwt_key=SECRET, anonymous="all") as server:
        response, problem = await server.get(f"{PATH}?topic=t", headers={"Authorization": value})
        assert response.status == 401
        assert "Bearer" in problem["detail"]
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"mercure": []}, "object"),
        ({"mercure": {"publish": "*"}}, "publish"),
        ({"mercure": {"subscribe": [1]}}, "subscribe"),
        ({"mercure": {"subscribe": ["x"] * 1001}}, "1001"),
        ({"mercure": {}, "exp": 1.5}, "expired"),
        ({"mercure": {}, "exp": "soon"}, "exp"),
        ({"mercure": {}, "exp": 1e300}, "exp"),
        ({"mercure": {}, "exp": "9999999999"}, "exp is not a time"),
        ({"mercure": {}, "exp": 10**400}, "exp"),
        ({"mercure": {}, "nbf": 4_000_000_000}, "nbf"),
    ],
)
async def test_a_token_that_is_not_accepted_is_401_and_says_why(
    guarded: Server, claims: dict[str, Any], word: str
) -> None:
    """A7 and A9."""
    headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}
    for method in ("GET", "POST"):
        options: dict[str, Any] = {} if method == "GET" else {"data": {"topic": "t"}}
        response, problem = await guarded.ask(method, f"{PATH}?topic=t", headers=headers, **options)
        assert response.status == 401
        assert word in problem["detail"]
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "claims",
    [
        {"mercure": {"publish": ["*"]}},
        {"https://mercure.rocks/": {"publish": ["*"]}, "mercure": {}},
        {"mercure": {"publish": ["*"], "subscribe": None, "payload": 7}, "iat": 4_000_000_000},
        {"mercure": {"publish": ["*"]}, "exp": 4_000_000_000.58},
    ],
)
async def test_a_token_needs_no_end_and_either_name_of_the_claim_will_do(
    guarded: Server, claims: dict[str, Any]
) -> None:
    """A7 and A9."""
    headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}
    assert (await publish(guarded, "t", headers=headers))[0] == 200


@pytest.mark.parametrize(
    ("anonymous", "reading", "publishing"), [("none", 401, 401), ("subscribe", 200, 401), ("all", 200, 200)]
)
async def test_the_rights_of_a_request_without_a_token_are_a_setting(
    anonymous: str, reading: int, publishing: int
) -> None:
    """A14."""
    async with serving(jwt_key=SECRET, anonymous=anonymous) as server:
        assert await server.status(f"{PATH}?topic=t", "HEAD") == reading
        assert (await publish(server, "t"))[0] == publishing


@pytest.mark.parametrize("with_it", [True, False])
async def test_a_request_for_which_no_key_checks_tokens_is_not_asked_for_one(with_it: bool) -> None:
    """A5."""
    headers = with_token(publish=["*"], subscribe=["*"]) if with_it else {}
    async with serving(mercure_publisher_key=SECRET) as server:
        response, problem = await server.get(f"{PATH}?topic=t", headers=headers)
        assert (response.status, "no key" in problem["detail"]) == (401, True)
        assert "--mercure-subscriber-key or --jwt-key" in problem["detail"]
    async with serving(mercure_subscriber_key=SECRET) as server:
        status, body = await publish(server, "t", headers=headers)
        assert (status, "--mercure-publisher-key or --jwt-key" in body) == (401, True)
    async with serving(anonymous="subscribe") as server:
        status, body = await publish(server, "t", headers=headers)
        assert (status, "--mercure-publisher-key or --jwt-key" in body) == (401, True)


async def test_publishers_and_subscribers_can_have_keys_of_their_own() -> None:
    """A5."""
    async with serving(mercure_publisher_key=SECRET, mercure_subscriber_key=OTHER_SECRET) as server:
        one = with_token(publish=["*"], subscribe=["*"])
        two = with_token(publish=["*"], subscribe=["*"], key=OTHER_SECRET)
        assert (await publish(server, "t", headers=one))[0] == 200
        assert (await publish(server, "t", headers=two))[0] == 401
        assert await server.status(f"{PATH}?topic=t", "HEAD", headers=two) == 200
        assert await server.status(f"{PATH}?topic=t", "HEAD", headers=one) == 401
        assert await server.status(f"{PATH}?topic=t", "HEAD") == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://app.example"}, 200),
        ({"Origin": "OWN"}, 200),
        ({"Referer": "OWN/page"}, 200),
        ({"Referer": "https://app.example/page"}, 200),
        ({"Referer": "https://evil.example/?https://app.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example", "Referer": "https://app.example/page"}, 403),
    ],
)
async def test_a_cookie_publishes_only_from_pages_of_this_server_or_a_listed_origin(
    headers: dict[str, str], status: int
) -> None:
    """A4."""
    async with serving(jwt_key=SECRET, mercure_publish_origins=("https://app.example",)) as server:
        own = {name: value.replace("OWN", server.url) for name, value in headers.items()}
        cookie = {"Cookie": f"mercureAuthorization={token(publish=['*'])}"}
        assert (await publish(server, "t", headers={**own, **cookie}))[0] == status
        assert await server.status(f"{PATH}?topic=t", "HEAD", headers=cookie) == 200


async def test_a_cookie_publishes_from_every_stated_origin_if_the_list_says_so() -> None:
    """A4."""
    async with serving(jwt_key=SECRET, mercure_publish_origins=("*",)) as server:
        cookie = {"Cookie": f"mercureAuthorization={token(publish=['*'])}"}
        assert (await publish(server, "t", headers={"Origin": "https://any.example", **cookie}))[0] == 200
        assert (await publish(server, "t", headers=cookie))[0] == 403


async def test_two_headers_with_tokens_are_401(guarded: Server) -> None:
    """A2."""
    line = f"Authorization: Bearer {token(subscribe=['*'], publish=['*'])}\r\n"
    answer = await guarded.exchange(
        f"GET {PATH}?topic=t HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{line}{line}\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(("algorithm", "status"), [("HS256", 200), ("HS384", 200), ("HS512", 200), ("none", 401)])
async def test_the_key_decides_which_algorithms_are_accepted(algorithm: str, status: int) -> None:
    """A6."""
    key = "" if algorithm == "none" else SECRET * 2
    made = jwt.encode({"mercure": {"publish": ["*"]}}, key, algorithm)
    async with serving(jwt_key=SECRET * 2) as server:
        assert (await publish(server, "t", headers={"Authorization": f"Bearer {made}"}))[0] == status


async def test_a_token_that_is_signed_with_the_public_key_as_a_secret_is_401() -> None:
    """A6: the token does not choose the algorithm."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, claims = (part(text) for text in ({"alg": "HS256", "typ": "JWT"}, {"mercure": {"publish": ["*"]}}))
    forged = hmac.digest(public, f"{head}.{claims}".encode(), "sha256")
    signature = base64.urlsafe_b64encode(forged).decode().rstrip("=")
    async with serving(jwt_key=public.decode()) as server:
        good = jwt.encode({"mercure": {"publish": ["*"]}}, private, "ES256")
        assert (await publish(server, "t", headers={"Authorization": f"Bearer {good}"}))[0] == 200
        bad = f"{head}.{claims}.{signature}"
        assert (await publish(server, "t", headers={"Authorization": f"Bearer {bad}"}))[0] == 401


def part(value: object) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("settings", "claims", "status"),
    [
        ({}, {"iss": "https://any.example", "aud": "anything"}, 200),
        ({"jwt_issuer": "https://issuer.example"}, {}, 401),
        ({"jwt_issuer": "https://issuer.example"}, {"iss": "https://issuer.example"}, 200),
        ({"jwt_audience": "hub"}, {"aud": "other"}, 401),
        ({"jwt_audience": "hub"}, {"aud": ["hub", "other"]}, 200),
    ],
)
async def test_issuer_and_audience_count_only_if_they_are_configured(
    settings: dict[str, Any], claims: dict[str, Any], status: int
) -> None:
    """A8; no value of `typ` matters."""
    made = jwt.encode({"mercure": {"publish": ["*"]}, **claims}, SECRET, headers={"typ": "something"})
    async with serving(jwt_key=SECRET, **settings) as server:
        assert (await publish(server, "t", headers={"Authorization": f"Bearer {made}"}))[0] == status


async def test_a_token_without_the_claim_follows_topics_and_may_publish_nothing() -> None:
    """A10, also where requests without a token may not read."""
    async with serving(jwt_key=SECRET, anonymous="none") as server:
        known = {"Authorization": f"Bearer {jwt.encode({'sub': 'somebody'}, SECRET)}"}
        async with follow(server, "*", known) as stream:
            await update(server, "t", "secret", private="on", headers=with_token(publish=["*"]))
            await update(server, "t", "public", headers=with_token(publish=["*"]))
            assert (await stream.next()).data == "public"
        assert (await publish(server, "t", headers=known))[0] == 403


@pytest.mark.parametrize("anonymous", ["subscribe", "all"])
async def test_a_private_update_never_reaches_a_request_without_a_token(store: str, anonymous: str) -> None:
    """A14, live and from the log."""
    async with serving(store=store, jwt_key=SECRET, anonymous=anonymous) as server, follow(server, ["*", "t"]) as live:
        await update(server, "t", "secret", private="on", headers=with_token(publish=["*"]))
        await update(server, "t", "public", headers=with_token(publish=["*"]))
        assert (await live.next()).data == "public"
        async with follow(server, ["*", "t"], lastEventID="earliest") as replayed:
            assert (await replayed.next()).data == "public"


@pytest.mark.parametrize("payload", [math.nan, {"score": -math.inf}, [1, [math.inf]]])
async def test_a_token_whose_payload_cannot_be_shown_is_refused(payload: object) -> None:
    """A9."""
    async with serving(jwt_key=SECRET) as server:
        status, body = await publish(server, "t", headers=with_token(publish=["*"], payload=payload))
        assert (status, "payload in the claim mercure is not JSON" in body) == (401, True)
        assert await server.status(f"{PATH}?topic=t", "HEAD", headers=with_token(payload=payload)) == 401


async def test_a_token_that_expires_is_not_accepted_any_more(guarded: Server) -> None:
    """A7."""
    assert (await publish(guarded, "t", headers=with_token(publish=["*"], exp=time.time() - 60)))[0] == 401


async def test_a_native_endpoint_ignores_selectors_that_are_no_patterns(guarded: Server) -> None:
    """A11."""
    claim = {"subscribe": [BOOK, "https://e.com/x", "main"], "publish": [BOOK]}
    headers = {"Authorization": f"Bearer {jwt.encode({'mercure': claim, 'exp': time.time() + 60}, SECRET)}"}
    async with guarded.stream("/stream?channel=main", headers) as stream:
        assert (await stream.next()).type == "connected"
    assert await guarded.status("/realtime/main", "POST", data="d", headers=headers) == 403


async def test_a_native_token_follows_topics_but_reads_and_publishes_nothing_private(guarded: Server) -> None:
    """A10."""
    async with follow(guarded, "t", bearer(["*"], ["*"])) as stream:
        await update(guarded, "t", "secret", private="on", headers=with_token(publish=["*"]))
        await update(guarded, "t", "public", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "public"
    assert (await publish(guarded, "t", headers=bearer(["*"], ["*"])))[0] == 403


async def test_a_token_in_the_query_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A3."""
    async with serving(jwt_key=SECRET, access_log=True) as server:
        secret = token(subscribe=["*"])
        with caplog.at_level("INFO"):
            await server.status(str(URL(PATH).with_query(topic="t", authorization=secret)), "HEAD")
            _, problem = await server.get(f"{PATH}?authorization={secret}")
            response, refused = await server.get(f"{PATH}?topic=t&authorization={secret}x")
        assert secret not in logged(caplog) + str(problem) + str(refused)
        assert response.headers["Referrer-Policy"] == "no-referrer"
