"""Any input gets a 200, or a problem that says what would be right, and never a 500."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import make_mocked_request
from hubs import Server, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sse_hub.core.events import EventId, check_channel, check_pattern, check_type
from sse_hub.http.problems import Problem
from sse_hub.http.requests import flag, number, quality

FUZZ = settings(max_examples=150, deadline=None, derandomize=True)
REQUESTS = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def request_with(query: str) -> Any:
    return make_mocked_request("GET", f"/?x={quote(query, safe='', errors='replace')}")


@FUZZ
@given(st.text(max_size=50) | st.from_regex(r"[0-9]{1,30}"))
def test_a_number_is_read_or_refused(text: str) -> None:
    try:
        value = number(request_with(text), "x", minimum=1, maximum=10)
    except Problem as problem:
        assert problem.status == 400
        assert "from 1 to 10" in problem.detail
    else:
        assert value is not None
        assert 1 <= value <= 10


@FUZZ
@given(st.text(max_size=50))
def test_a_flag_is_read_or_refused(text: str) -> None:
    try:
        assert flag(request_with(text), "x") is (text == "1")
    except Problem as problem:
        assert problem.status == 400
        assert "it takes 1 or 0" in problem.detail


@FUZZ
@given(st.text(max_size=100) | st.from_regex(r"([a-z*]+/[a-z*]+(;q=[0-9.e-]+)?,? ?)+", fullmatch=True))
def test_a_quality_is_from_0_to_1(accept: str) -> None:
    assert 0 <= quality(accept, "text/event-stream") <= 1


@FUZZ
@given(st.text(max_size=60) | st.from_regex(r"[0-9]+-[0-9]+"))
def test_an_id_is_read_as_it_prints_or_refused(text: str) -> None:
    try:
        id = EventId.parse(text)
    except ValueError as error:
        assert "1763949600123-0" in str(error)
    else:
        assert EventId.parse(str(id)) == id


@FUZZ
@given(st.text(max_size=140))
def test_a_name_that_is_accepted_can_do_no_harm_on_the_wire(text: str) -> None:
    for check in (check_channel, check_pattern, check_type):
        try:
            name = check(text)
        except ValueError as error:
            assert len(str(error)) > 20
        else:
            assert not set("\r\n\0") & set(name)
            assert 1 <= len(name) <= 128
            name.encode()


@pytest.fixture(scope="module")
def loop() -> Any:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def running(loop: asyncio.Runner) -> Any:
    """A server for all examples; hypothesis calls a plain function again and again."""
    context = serving(max_body=100_000)
    yield loop.run(context.__aenter__())
    loop.run(context.__aexit__(None, None, None))


def answer(loop: asyncio.Runner, server: Server, method: str, path: str, **how: Any) -> tuple[int, Any]:
    response, body = loop.run(server.ask(method, path, **how))
    assert response.status == 200 or (400 <= response.status < 500 and body["detail"]), (response.status, body)
    return response.status, body


@REQUESTS
@given(
    body=JSON | st.fixed_dictionaries({"message": JSON}, optional={"event": JSON, "channel": JSON, "timestamp": JSON})
)
def test_any_json_is_published_or_refused(loop: asyncio.Runner, running: Server, body: Any) -> None:
    text = json.dumps(body)
    answer(loop, running, "POST", "/api/broadcast", data=text, headers={"Content-Type": "application/json"})


@REQUESTS
@given(body=st.binary(max_size=300))
def test_bytes_are_published_as_they_are_if_they_are_utf_8(loop: asyncio.Runner, running: Server, body: bytes) -> None:
    status, _ = answer(loop, running, "POST", "/realtime/fuzz", data=body)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        assert status == 400
    else:
        assert status == 200
        _, answered = answer(loop, running, "GET", "/api/channels/fuzz/events?limit=1000")
        assert answered["events"][-1]["data"] == text


@REQUESTS
@given(body=st.binary(max_size=300))
def test_any_bytes_are_a_broadcast_or_refused(loop: asyncio.Runner, running: Server, body: bytes) -> None:
    answer(loop, running, "POST", "/api/broadcast", data=body, headers={"Content-Type": "application/json"})


@REQUESTS
@given(name=st.sampled_from(["after", "limit", "token", "x"]), value=st.text(max_size=60))
def test_any_query_is_answered(loop: asyncio.Runner, running: Server, name: str, value: str) -> None:
    query = f"{name}={quote(value, safe='', errors='replace')}"
    answer(loop, running, "GET", f"/api/channels/main/events?{query}")


@REQUESTS
@given(channel=st.text(min_size=1, max_size=130), type=st.text(max_size=130))
def test_any_channel_and_type_are_taken_or_refused(
    loop: asyncio.Runner, running: Server, channel: str, type: str
) -> None:
    def quoted(text: str) -> str:
        return quote(text, safe="", errors="replace")

    if channel not in {".", ".."}:  # those are the client's to resolve (RFC 3986, section 5.2.4)
        answer(loop, running, "POST", f"/realtime/{quoted(channel)}?event={quoted(type)}", data="x")
