"""Attacks, one test for each. Each ends in a 4xx, a closed connection or a limit; other clients do not notice it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import io
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import jwt
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from eventually import PATIENCE
from hubs import Remote, Server, serving
from programs import Program
from sockets import raw
from tokens import SECRET, bearer, mint

RSA = rsa.generate_private_key(65537, 2048)
PUBLIC = (
    RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def refused(server: Server, token: str) -> str:
    """The reason why a token is not accepted."""
    response, problem = await server.get("/api/channels", headers={"Authorization": f"Bearer {token}"})
    assert response.status == 401
    return str(problem["detail"])


# Tokens


async def test_forged_claims_under_a_true_signature_are_refused(guarded: Server) -> None:
    head, _, signature = mint(["a"]).split(".")
    claims = encoded({"exp": time.time() + 60, "sse": {"subscribe": ["*"]}})
    assert "signature" in await refused(guarded, f"{head}.{claims}.{signature}")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
async def test_a_token_of_the_algorithm_none_is_refused(guarded: Server, name: str) -> None:
    claims = encoded({"exp": time.time() + 60, "sse": {"subscribe": ["*"]}})
    assert "algorithm" in await refused(guarded, f"{encoded({'alg': name})}.{claims}.")


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    claims = {"exp": time.time() + 60, "sse": {"subscribe": ["*"]}}
    unsigned = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims)}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    made = base64.urlsafe_b64encode(signature.sign(unsigned.encode(), PUBLIC.encode())).decode().rstrip("=")
    async with serving(jwt_key=PUBLIC) as server:
        assert "the key needs RS256" in await refused(server, f"{unsigned}.{made}")
        headers = bearer(["*"], key=RSA, algorithm="RS256")
        assert (await server.get("/api/channels", headers=headers))[0].status == 200


@pytest.mark.parametrize(
    "header", [{"jku": "http://evil.example/keys"}, {"x5u": "http://evil.example/"}, {"kid": "../x"}]
)
async def test_a_key_that_the_token_itself_names_is_not_used(guarded: Server, header: dict[str, Any]) -> None:
    assert "signature" in await refused(guarded, mint(["*"], key="x" * 32, headers=header))


async def test_an_expired_token_is_refused(guarded: Server) -> None:
    assert "expired" in await refused(guarded, mint(["*"], lasts=-60))


async def test_a_token_without_an_expiry_is_refused(guarded: Server) -> None:
    assert "exp is missing" in await refused(guarded, jwt.encode({"sse": {"subscribe": ["*"]}}, SECRET))


@pytest.mark.parametrize("exp", ["soon", [], {}, 1e400, -1, True])
async def test_a_token_with_a_malformed_expiry_is_refused(guarded: Server, exp: object) -> None:
    assert await refused(guarded, jwt.encode({"sse": {"subscribe": ["*"]}, "exp": exp}, SECRET))


async def test_a_token_of_a_megabyte_is_a_bad_request(guarded: Server) -> None:
    response, _ = await guarded.get("/api/channels", headers={"Authorization": "Bearer " + "a" * 1_000_000})
    assert response.status == 400


async def test_a_replay_shows_only_granted_channels(guarded: Server) -> None:
    await guarded.hub.publish("the secret", channel="secrets", event="secret")
    headers = bearer(["public.*"])
    for query in (
        "channel=*&replay=1000",
        "channel=*&lastEventId=0-1&envelope=1",
        "channel=*ecret*&replay=9&event=secret",
    ):
        async with guarded.stream(f"/stream?{query}", headers) as stream:
            events = await stream.until("live")
        assert "secret" not in " ".join(event.data for event in events[1:])


async def test_a_wildcard_in_the_name_of_a_channel_is_refused(guarded: Server) -> None:
    for path in ("/realtime/*", "/realtime/secret%2A", "/api/channels/*/events", "/realtime/a%2Cb"):
        assert (await guarded.get(path, headers=bearer(["*"])))[0].status == 400


# Bytes where they do not belong


@pytest.mark.parametrize("name", ["a%0D%0Ab", "a%0Ab", "a%00b", "a%20b", "a%E2%80%A8b", "a%7Fb"])
async def test_control_characters_in_a_channel_are_refused(server: Server, name: str) -> None:
    assert (await server.post(f"/realtime/{name}", data="x"))[0].status == 400
    assert (await server.get(f"/stream?channel={name}"))[0].status == 400


@pytest.mark.parametrize("type", ["a%0D%0Adata: forged", "a%0Aid: 9-9", "a%00", "a%0D", "connected", "lost"])
async def test_line_breaks_and_the_hubs_own_names_in_an_event_name_are_refused(server: Server, type: str) -> None:
    assert (await server.post(f"/realtime/main?event={type}", data="x"))[0].status == 400


async def test_fields_forged_in_data_stay_data(server: Server) -> None:
    data = "1\n\nevent: lost\ndata: 2\r\rid: 9-9\r\n\r\nretry: 1\n\x00"
    async with server.stream() as stream:
        await stream.next()
        await server.post("/realtime/main", data=data.encode())
        event = await stream.next()
    assert event.type == "message"
    assert event.data == data.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("id", ["1-0\r\nX-Evil: 1", "9" * 1000, "1-0\x00", "-1", "1-0 ", "é"])
async def test_a_malformed_cursor_is_a_loss_and_no_header(server: Server, id: str) -> None:
    async with server.client.get(server.url + "/stream", params={"lastEventId": id}) as response:
        assert response.status == 200
        assert b'"lost":true' in await response.content.readany()
        assert "X-Evil" not in response.headers


async def test_a_cursor_longer_than_a_request_line_is_refused(server: Server) -> None:
    assert (await server.get("/stream", params={"lastEventId": "9" * 10_000}))[0].status == 400


async def test_a_header_in_a_header_is_not_repeated(server: Server) -> None:
    answer = await server.exchange(
        b"GET /health HTTP/1.1\r\nHost: x\r\nOrigin: a\rX-Evil: 1\r\nConnection: close\r\n\r\n"
    )
    assert b"\nX-Evil" not in answer


# Requests that two servers would read differently


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ],
)
async def test_a_body_of_two_lengths_is_refused_and_hides_no_request(server: Server, headers: bytes) -> None:
    request = (
        b"POST /realtime/main HTTP/1.1\r\nHost: x\r\n"
        + headers
        + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answer = await server.exchange(request)
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer)
    assert answer.count(b"HTTP/1.") == 1
    assert server.hub.statistics().published == 0


@pytest.mark.parametrize("size", [b"-1", b"0x5", b"5 5", b"FFFFFFFFFFFFFFFFF", b"z"])
async def test_a_chunk_with_a_malformed_size_is_refused(server: Server, size: bytes) -> None:
    request = b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = await server.exchange(request + size + b"\r\nhello\r\n0\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer)
    assert server.hub.statistics().published == 0


# Too much


@pytest.mark.parametrize(
    "request_line",
    [b"GET /" + b"a" * 100_000, b"GET /stream?" + b"channel=a&" * 10_000, b"GET /stream?lastEventId=" + b"1" * 50_000],
)
async def test_a_request_line_without_end_is_refused(server: Server, request_line: bytes) -> None:
    answer = await server.exchange(request_line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer)


async def test_headers_without_end_are_refused(server: Server) -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(10_000))
    answer = await server.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer)


async def test_a_body_over_the_limit_is_refused(server: Server) -> None:
    response, _ = await server.post("/realtime/main", data=io.BytesIO(bytes((1 << 20) + 1)))
    assert response.status == 413


@pytest.mark.parametrize(
    ("names", "answered"),
    [
        (["*a" * 9], "has 9 stars; a pattern may have 8"),
        (["*a" * 62], "has 62 stars; a pattern may have 8"),
        ([f"{n}*a*b" for n in range(51)], "have 102 stars; those of one connection may have 100"),
        ([f"c{n}" for n in range(101)], "names 101 channels; one connection may name 100"),
    ],
)
async def test_patterns_made_to_be_slow_are_refused(server: Server, names: list[str], answered: str) -> None:
    response, problem = await server.get("/stream", params=[("channel", name) for name in names])
    assert (response.status, answered in problem["detail"]) == (400, True)


async def test_a_pattern_of_a_token_made_to_be_slow_is_refused() -> None:
    async with serving(jwt_key=SECRET) as server:
        response, problem = await server.get("/stream", headers=bearer(["*a" * 9]))
        assert (response.status, "has 9 stars" in problem["detail"]) == (401, True)


async def test_a_broadcast_to_more_channels_than_a_connection_may_name_is_refused(server: Server) -> None:
    body = {"message": 1, "channel": [f"c{number}" for number in range(101)]}
    response, problem = await server.post("/api/broadcast", json=body)
    assert (response.status, "names 101 channels; it may name 100" in problem["detail"]) == (400, True)
    body["channel"] = [f"c{number % 100}" for number in range(101)]
    response, answers = await server.post("/api/broadcast", json=body)
    assert (response.status, len(answers)) == (200, 100)


async def test_a_replay_that_is_too_long_is_refused(server: Server) -> None:
    response, problem = await server.get("/stream?replay=10001")
    assert (response.status, "it may be at most 10000 (--max-replay)" in problem["detail"]) == (400, True)


async def test_a_batch_of_half_a_million_lines_is_refused_whole(server: Server) -> None:
    response, problem = await server.post(
        "/realtime/main", data=b"a\n" * 524_288, headers={"Content-Type": "application/x-ndjson"}
    )
    assert (response.status, "(--max-batch)" in problem["detail"]) == (413, True)
    assert server.hub.statistics().published == 0


async def test_three_hundred_bodies_that_never_end_leave_room_for_one_that_ends() -> None:
    async with serving(max_in_flight=5_000_000) as server:
        head = b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(300)]
        for _, writer in opened:
            writer.write(head + b"x" * 900_000)
        answers = [reader.read() for reader, _ in opened[:290]]  # those that came first are given up
        async with asyncio.timeout(3 * PATIENCE):
            for answer in await asyncio.gather(*answers):
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"--max-in-flight" in answer
                assert b"Retry-After: " in answer
        assert await server.figure("sse_in_flight_bytes") <= 5_000_000
        response, _ = await server.post("/realtime/main", data=b"x" * 1_000_000)  # a body that ends is served
        assert response.status == 200
        for _, writer in opened:
            writer.transport.abort()


@pytest.mark.usefixtures("no_loop_debug")
async def test_answers_to_keys_are_bounded_by_their_bytes(server: Server) -> None:
    channels = [f"{number}{'c' * 120}" for number in range(100)]
    for number in range(1500):
        response, _ = await server.post(
            "/api/broadcast",
            json={"message": 1, "event": "e" * 128, "channel": channels},
            headers={"Idempotency-Key": str(number)},
        )
        assert response.status == 200
    assert await server.figure("sse_idempotency_keys") < 1200  # of 30 kB each


async def test_a_history_of_a_gigabyte_without_a_reader_costs_a_bounded_memory() -> None:
    async with serving() as server:
        for _ in range(100):
            await server.post("/realtime/main", data=b"x" * 1_000_000)
        head = b"GET /api/channels/main/events?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n"
        before_bytes = psutil.Process().memory_info().rss
        async with connections(server, 50, head):
            for _ in range(50):
                assert (await server.get("/health"))[0].status == 200
            assert psutil.Process().memory_info().rss - before_bytes < 300 << 20


@pytest.mark.parametrize("path", ["/realtime/caf%E9", "/stream?channel=caf%E9", "/api/channels/caf%E9/events", "/%FF"])
async def test_names_that_are_not_utf_8_are_refused(server: Server, path: str) -> None:
    answer = await server.exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"percent-encoded UTF-8" in answer
    answer = await server.exchange(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_names_that_hold_a_percent_sign(server: Server) -> None:
    async with server.client.get(f"{server.url}/stream?channel=caf%25E9") as response:
        await response.content.readany()
        answer = await server.exchange(b"POST /realtime/caf%25E9 HTTP/1.0\r\nHost: x\r\n\r\n")
        assert b'"channel":"caf%E9"' in answer
        assert b'"subscribers":1' in answer


@pytest.mark.parametrize("message", ["1e400", "-1e400", '[1, {"a": 1e999}]'])
async def test_numbers_that_json_does_not_have_are_refused(server: Server, message: str) -> None:
    response, problem = await server.post(
        "/api/broadcast", data=f'{{"message": {message}}}', headers={"Content-Type": "application/json"}
    )
    assert (response.status, "for example 1e400" in problem["detail"]) == (400, True)
    assert server.hub.statistics().published == 0


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1" + "0" * 400, "1e400", "1e300", "-1e400", "9" * 18, '"x"', "[]", "null"])
async def test_a_token_with_malformed_times_is_refused(claim: str, value: str) -> None:
    async with serving(jwt_key=SECRET) as server:
        claims = {"exp": 4_000_000_000, "sse": {"subscribe": ["*"]}, claim: 0}
        body = json.dumps(claims).replace(f'"{claim}": 0', f'"{claim}": {value}')
        head, payload = (base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in ('{"alg":"HS256"}', body))
        digest = hmac.digest(SECRET.encode(), head + b"." + payload, "sha256")
        token = b".".join((head, payload, base64.urlsafe_b64encode(digest).rstrip(b"="))).decode()
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (("GET", "/api/channels"), ("POST", "/api/session")):
            response, answer = await server.ask(method, path, headers=headers)
            assert response.status == 401, answer


async def test_answers_of_aiohttp_name_no_versions(server: Server) -> None:
    for request in (
        b"NONSENSE\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ):
        answer = (await server.exchange(request)).lower()
        assert answer.startswith((b"http/1.0 400 ", b"http/1.1 417 "))
        assert b"python" not in answer
        assert b"aiohttp" not in answer


@pytest.mark.parametrize("body", ["[" * 100_000, '{"message":' * 50_000, '{"message":' + "9" * 100_000 + "}"])
async def test_json_made_to_be_deep_or_long_is_refused(server: Server, body: str) -> None:
    response, problem = await server.post("/api/broadcast", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 400
    assert problem["detail"]


async def test_a_bomb_that_unpacks_to_a_gigabyte_is_not_unpacked(server: Server) -> None:
    bomb = gzip.compress(bytes(100 << 20), 9) * 10  # ten members of one file
    before_bytes = psutil.Process().memory_info().rss
    for _ in range(5):
        response, _ = await server.post("/realtime/main", data=bomb, headers={"Content-Encoding": "gzip"})
        assert response.status == 415
        assert response.headers["Accept-Encoding"] == "identity"
    assert psutil.Process().memory_info().rss - before_bytes < 60 << 20


# Other sites


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"]
)
async def test_a_foreign_name_that_resolves_to_this_machine_is_refused(server: Server, host: str) -> None:
    response, problem = await server.post("/realtime/main", data="x", headers={"Host": host})
    assert response.status == 400
    assert "--allowed-hosts" in problem["detail"]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "hub.localhost"])
async def test_the_names_of_this_machine_are_answered(server: Server, host: str) -> None:
    assert (await server.get("/api/channels", headers={"Host": host}))[0].status == 200


async def test_only_allowed_hosts_are_answered() -> None:
    async with serving(allowed_hosts=("hub.example", "*.hub.example")) as server:
        for host, status in (("hub.example", 200), ("a.hub.example:443", 200), ("evilhub.example", 400), ("x", 400)):
            assert (await server.get("/api/channels", headers={"Host": host}))[0].status == status


async def test_a_balancer_may_ask_for_the_health_of_a_node_by_its_address() -> None:
    async with serving(allowed_hosts=("hub.example",)) as server:
        assert (await server.get("/health"))[0].status == 200


async def test_a_page_of_another_site_publishes_only_if_its_origin_is_listed() -> None:
    async with serving(cors_origin=("https://friend.example",)) as server:
        headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        assert (await server.post("/realtime/main", data="x", headers=headers))[0].status == 403
        headers["Origin"] = "https://friend.example"
        assert (await server.post("/realtime/main", data="x", headers=headers))[0].status == 200
        headers["Origin"] = server.url
        assert (await server.post("/realtime/main", data="x", headers=headers))[0].status == 200


# Against the process: legitimate subscribers go on meanwhile


class Bystanders:
    """Subscribers that have nothing to do with an attack."""

    def __init__(self, server: Remote, count: int = 20) -> None:
        self._server = server
        self._count = count

    async def are_served(self, events: int = 50) -> None:
        """Each of them gets each event, before the next one is published."""
        async with AsyncExitStack() as stack:
            path = "/realtime/bystanders"
            streams = [await stack.enter_async_context(self._server.stream(path)) for _ in range(self._count)]
            for stream in streams:
                await stream.until("connected")
            for number in range(events):
                await self._server.post(path, data=str(number))
                assert {(await stream.next()).data for stream in streams} == {str(number)}


@pytest.fixture
async def attacked(
    program: Callable[..., Program], no_loop_debug: None
) -> AsyncIterator[tuple[Remote, psutil.Process]]:
    """A server in a process of its own that gives a request a second to arrive."""
    running = program("--no-demo", "--request-timeout", "1", "--send-timeout", "2", "--log-level", "warning")
    async with aiohttp.ClientSession() as client:
        yield Remote(running.url, client), psutil.Process(running.process.pid)


@asynccontextmanager
async def connections(server: Remote, count: int, first: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """This number of connections that have sent these bytes."""
    opened = []
    for begin in range(0, count, 500):
        opened += await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", server.port) for _ in range(begin, min(begin + 500, count)))
        )
    for _, writer in opened:
        writer.write(first)
    try:
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def closed(readers: list[asyncio.StreamReader]) -> None:
    """Wait until the server has closed them all."""

    async def end(reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass

    async with asyncio.timeout(30):
        await asyncio.gather(*map(end, readers))


Attack = tuple[Remote, psutil.Process]


async def withstood(attack: Attack, count: int, first: bytes, grown_mb: int, *, ends: bool = True) -> None:
    """During this number of connections of one kind, other clients are served, and memory stays below a bound."""
    server, process = attack
    before_bytes = process.memory_info().rss
    async with connections(server, count, first) as readers:
        await Bystanders(server).are_served()
        assert process.memory_info().rss - before_bytes < grown_mb << 20
        if ends:
            await closed(readers)
    response, _ = await server.get("/health")
    assert response.status == 200


@pytest.mark.timeout(180)
async def test_connections_that_say_nothing_are_closed_and_disturb_nobody(attacked: Attack) -> None:
    await withstood(attacked, 10_000, b"", 250)


@pytest.mark.timeout(180)
async def test_headers_that_never_end_are_given_up_and_disturb_nobody(attacked: Attack) -> None:
    await withstood(attacked, 1000, b"GET /stream HTTP/1.1\r\nHost: x\r\nX-Slow: ", 60)


@pytest.mark.timeout(180)
async def test_bodies_that_never_end_are_given_up_and_disturb_nobody(attacked: Attack) -> None:
    await withstood(attacked, 500, b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", 60)


@pytest.mark.timeout(180)
async def test_readers_that_never_read_cost_a_bounded_memory_and_disturb_nobody(attacked: Attack) -> None:
    server, process = attacked
    before_bytes = process.memory_info().rss
    async with connections(server, 100, b"GET /realtime/frozen HTTP/1.1\r\nHost: x\r\n\r\n"):
        for _ in range(100):
            await server.post("/realtime/frozen", data="x" * 100_000)
        assert process.memory_info().rss - before_bytes < 100 << 20
        await Bystanders(server).are_served()


@pytest.mark.timeout(180)
async def test_connections_that_are_made_and_dropped_leave_nothing(attacked: Attack) -> None:
    server, process = attacked
    for _ in range(6):
        async with connections(server, 300, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"):
            pass
    await server.until_subscribers(0)
    assert process.num_fds() < 100


async def test_an_attack_writes_nothing_to_a_log_that_could_be_read_as_a_line_of_ours(
    program: Callable[..., Program],
) -> None:
    running = program("--no-demo", "--jwt-key", SECRET, "--access-log")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET /realtime/a%0AERROR%20forged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    token = jwt.encode({"exp": 9e9, "sse": {"subscribe": ["a\nERROR forged"]}}, SECRET)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"GET /stream?token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()
    _, answered = running.end()
    assert "forged" in answered
    assert not any(line.startswith("ERROR") for line in answered.splitlines())
    assert token not in answered


@pytest.mark.parametrize("path", ["/realtime/main", "/api/broadcast", "/.well-known/mercure"])
@pytest.mark.parametrize(
    "content_type",
    ["text/plain; charset*", "text/plain; a=" + "(" * 900, "a/b" + ";" * 8000, ";", "é", "x" * 8000],
    ids=["no value", "comments", "semicolons", "nothing", "no ascii", "long"],
)
async def test_a_content_type_is_read_without_the_parser_of_mail(server: Server, path: str, content_type: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Type: {content_type}\r\n\r\nx"
    async with raw(server.port, head.encode()) as client:
        answer = await client.until(b"\r\n\r\n")
        assert answer.split()[1] in ({b"200"} if path == "/realtime/main" else {b"415"})


@pytest.mark.parametrize("path", ["/metrics", "/stream"])
async def test_a_header_of_a_megabyte_that_holds_a_list_is_refused(path: str) -> None:
    async with serving(compress=True) as server:
        lines = b"".join(b"%b: %b\r\n" % (name, b"a," * 4000) for name in (b"Accept", b"Accept-Encoding") * 50)
        async with raw(server.port, b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (path.encode(), lines)) as client:
            await client.until(b"may have 4000")
            assert client.received.startswith(b"HTTP/1.1 400 ")
