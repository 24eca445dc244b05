"""Who may publish and read what by the Mercure protocol."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from hubs import Server, serving
from mercures import PATH, follow, publish, update, with_token
from tokens import SECRET, bearer
from yarl import URL

BOOK = "https://e.com/books/{id}"
OTHER_SECRET = "fedcba9876543210fedcba9876543210"


def token(**options: Any) -> str:
    return with_token(**options)["Authorization"].removeprefix("Bearer ")


async def test_the_topic_that_is_followed_and_the_topic_that_authorizes_may_differ(guarded: Server) -> None:
    book, user = "https://e.com/books/1", "https://e.com/users/42/?topic=https%3A%2F%2Fe.com%2Fbooks%2F1"
    publisher = with_token(publish=["*"])
    reader = with_token(subscribe=["https://e.com/users/42/{?topic}"])
    async with follow(guarded, BOOK, reader) as stream:
        await update(guarded, book, "not for 42", private="on", headers=publisher)
        await update(guarded, [book, user], "for 42", private="on", headers=publisher)
        assert (await stream.next()).data == "for 42"


async def test_a_subscriber_whose_token_covers_nothing_gets_public_updates(guarded: Server) -> None:
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
    async with follow(guarded, "*", with_token()) as stream:
        answer, body = await publish(guarded, topics, "new", headers=with_token(publish=granted))
        assert answer == status, body
        if status == 403:
            assert "grants" in body
            await update(guarded, "z", "new", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "new"


@pytest.mark.parametrize("place", ["header", "query", "cookie"])
async def test_a_token_is_taken_from_header_query_or_cookie(guarded: Server, place: str) -> None:
    reader = token(subscribe=["t"])
    headers = {"header": {"Authorization": f"bEARER {reader}"}, "cookie": {"Cookie": f"mercureAuthorization={reader}"}}
    query = {"authorization": reader} if place == "query" else {}
    async with follow(guarded, "t", headers.get(place), **query) as stream:
        await update(guarded, "t", "secret", private="on", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "secret"


async def test_the_first_token_counts_even_if_it_is_not_accepted(guarded: Server) -> None:
    good, bad = token(subscribe=["*"]), "bad"
    cookie = {"Cookie": f"mercureAuthorization={good}"}
    assert await guarded.status(f"{PATH}?topic=t&authorization={good}", headers={"Authorization": "Bearer bad"}) == 401
    assert await guarded.status(f"{PATH}?topic=t&authorization={bad}", headers=cookie) == 401
    assert await guarded.status(f"{PATH}?topic=t&authorization=", headers=cookie) == 401


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "x"])
async def test_another_authorization_is_401_and_never_anonymous(value: str) -> None:
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
    headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}
    assert (await publish(guarded, "t", headers=headers))[0] == 200


@pytest.mark.parametrize(
    ("anonymous", "reading", "publishing"), [("none", 401, 401), ("subscribe", 200, 401), ("all", 200, 200)]
)
async def test_the_rights_of_a_request_without_a_token_are_a_setting(
    anonymous: str, reading: int, publishing: int
) -> None:
    async with serving(jwt_key=SECRET, anonymous=anonymous) as server:
        assert await server.status(f"{PATH}?topic=t", "HEAD") == reading
        assert (await publish(server, "t"))[0] == publishing


async def test_publishers_and_subscribers_can_have_keys_of_their_own() -> None:
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
    ],
)
async def test_a_cookie_publishes_only_from_pages_of_this_server_or_a_listed_origin(
    headers: dict[str, str], status: int
) -> None:
    async with serving(jwt_key=SECRET, mercure_publish_origins=("https://app.example",)) as server:
        own = {name: value.replace("OWN", server.url) for name, value in headers.items()}
        cookie = {"Cookie": f"mercureAuthorization={token(publish=['*'])}"}
        assert (await publish(server, "t", headers={**own, **cookie}))[0] == status
        assert await server.status(f"{PATH}?topic=t", "HEAD", headers=cookie) == 200


async def test_a_token_that_expires_is_not_accepted_any_more(guarded: Server) -> None:
    assert (await publish(guarded, "t", headers=with_token(publish=["*"], exp=time.time() - 60)))[0] == 401


async def test_a_native_endpoint_ignores_selectors_that_are_no_patterns(guarded: Server) -> None:
    claim = {"subscribe": [BOOK, "https://e.com/x", "main"], "publish": [BOOK]}
    headers = {"Authorization": f"Bearer {jwt.encode({'mercure': claim, 'exp': time.time() + 60}, SECRET)}"}
    async with guarded.stream("/stream?channel=main", headers) as stream:
        assert (await stream.next()).type == "connected"
    assert await guarded.status("/realtime/main", "POST", data="d", headers=headers) == 403


async def test_a_native_token_follows_topics_but_reads_and_publishes_nothing_private(guarded: Server) -> None:
    async with follow(guarded, "t", bearer(["*"], ["*"])) as stream:
        await update(guarded, "t", "secret", private="on", headers=with_token(publish=["*"]))
        await update(guarded, "t", "public", headers=with_token(publish=["*"]))
        assert (await stream.next()).data == "public"
    assert (await publish(guarded, "t", headers=bearer(["*"], ["*"])))[0] == 403


async def test_a_token_in_the_query_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(jwt_key=SECRET, access_log=True) as server:
        secret = token(subscribe=["*"])
        with caplog.at_level("INFO"):
            await server.status(str(URL(PATH).with_query(topic="t", authorization=secret)), "HEAD")
            await server.status(f"{PATH}?authorization={secret}")
        assert secret not in caplog.text
