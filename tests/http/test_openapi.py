"""The OpenAPI document, compared with the server that it describes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hubs import Server, serving
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from programs import ROOT, Program
from tokens import SECRET, bearer
from yarl import URL

from sse_hub.http.openapi import document
from sse_server import Settings, create_app

DOCUMENT = document(Settings())
PATHS: Any = DOCUMENT["paths"]
COMPONENTS: Any = DOCUMENT["components"]
HANDLERS = sorted((ROOT / "sse_hub" / "http").rglob("*.py"))


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, methods in PATHS.items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolved(value: Any) -> Any:
    while "$ref" in value:
        _, _, kind, name = value["$ref"].split("/")
        value = COMPONENTS[kind][name]
    return value


def test_the_document_is_openapi_3_1() -> None:
    validate(DOCUMENT)


def test_it_has_every_route_and_no_other() -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in create_app(Settings(no_demo=True)).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert {(method, path) for method, path, _ in operations()} == routes


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_every_parameter_that_a_handler_reads_is_in_it() -> None:
    read = set()
    for path in HANDLERS:
        text = path.read_text()
        read |= set(re.findall(r"query\.(?:get|getall)\(\"(\w+)\"", text))
        read |= set(re.findall(r"(?:flag|number|choice|single|last)\(request, \"(\w+)\"", text))
        read |= set(re.findall(r"\"(\w+)\" in request\.query", text))
    documented = {parameter["name"] for parameter in COMPONENTS["parameters"].values()} | {"token"}
    assert {"replay", "envelope", "limit", "match", "after", "ephemeral", "lastEventId", "from"} <= read <= documented
    assert {"Last-Event-ID", "Idempotency-Key"} <= documented


def test_every_status_of_an_error_is_in_it() -> None:
    raised = set()
    for path in HANDLERS:
        raised |= {int(status) for status in re.findall(r"Problem\(\s*(4\d\d|503),", path.read_text())}
    listed = {int(status) for _, _, operation in operations() for status in operation["responses"]}
    assert {400, 403, 413, 429, 503} <= raised <= listed


@pytest.fixture
async def guarded() -> Any:
    async with serving(jwt_key=SECRET, publish_rate=0.01, max_body=1000, max_batch=8) as server:
        yield server


def check(method: str, path: str, response: Any, body: Any) -> None:
    """Whether an answer is one that the document knows."""
    declared = resolved(PATHS[path][method.lower()]["responses"][str(response.status)])
    if "content" not in declared:
        assert body == ""
        return
    content = declared["content"]
    assert response.content_type in content
    value = {**content[response.content_type]["schema"], "components": COMPONENTS}
    Draft202012Validator(value).validate(body)
    for name in declared.get("headers", {}):
        assert name in response.headers


ALL = bearer(["*"], ["*"], admin=True)
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status", "how"),
    [
        ("POST", "/realtime/{channel}", 200, {"data": "x"}),
        ("POST", "/realtime/{channel}", 200, {"data": "1\n2", "headers": {"Content-Type": "application/x-ndjson"}}),
        ("POST", "/realtime/{channel}", 400, {"data": b"\xff"}),
        ("POST", "/realtime/{channel}", 413, {"data": "x" * 2000}),
        ("POST", "/realtime/{channel}", 415, {"data": "x", "headers": {"Content-Encoding": "br"}}),
        (
            "POST",
            "/realtime/{channel}",
            429,
            {"data": "1\n2\n3\n4\n5\n6", "headers": {"Content-Type": "application/x-ndjson"}},
        ),
        ("POST", "/api/broadcast", 200, {"data": '{"message": 1}', "headers": JSON}),
        ("POST", "/api/broadcast", 200, {"data": '{"message": 1, "channel": ["a", "b"]}', "headers": JSON}),
        ("POST", "/api/broadcast", 400, {"data": '{"massage": 1}', "headers": JSON}),
        ("POST", "/api/broadcast", 415, {"data": "x"}),
        ("GET", "/api/channels", 200, {}),
        ("GET", "/api/channels/{channel}/events", 200, {}),
        ("GET", "/api/channels/{channel}/events", 400, {"params": {"after": "x"}}),
        ("GET", "/api/channels/{channel}/events", 400, {"params": {"limit": "0"}}),
        ("GET", "/api/subscribers", 200, {}),
        ("DELETE", "/api/subscribers/{id}", 404, {}),
        ("POST", "/api/session", 200, {}),
        ("DELETE", "/api/session", 204, {}),
        ("GET", "/health", 200, {}),
        ("GET", "/metrics", 200, {"headers": {"Accept": "text/plain"}}),
        ("GET", "/stream", 400, {"params": {"channel": "a b"}}),
        ("POST", "/realtime/{channel}", 413, {"data": "1\n" * 9, "headers": {"Content-Type": "application/x-ndjson"}}),
        ("GET", "/realtime/{channel}", 400, {"params": {"replay": "x"}}),
    ],
)
async def test_real_answers_are_as_it_says(guarded: Server, method: str, path: str, status: int, how: Any) -> None:
    if status == 429:
        await guarded.post("/realtime/main", data="x", headers=ALL)
    async with guarded.stream("/stream", ALL) as stream:
        await stream.next()
        address = path.format(channel="main", id="0")
        response, body = await guarded.ask(method, address, **{**how, "headers": ALL | how.get("headers", {})})
    assert response.status == status
    check(method, path, response, body)


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, o in operations() if "401" in o["responses"]])
async def test_without_a_token_the_answer_is_as_it_says(guarded: Server, method: str, path: str) -> None:
    headers = JSON if path == "/api/broadcast" else {}
    response, body = await guarded.ask(
        method, path.format(channel="main", id="0", topic="t", subscriber="s"), headers=headers
    )
    assert response.status == 401
    check(method, path, response, body)


async def test_its_server_is_right_behind_any_prefix() -> None:
    outer = web.Application()
    outer.add_subapp("/events", create_app(Settings(no_demo=True)))
    runner = web.AppRunner(outer)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    document = URL(f"http://127.0.0.1:{runner.addresses[0][1]}/events/api/openapi.json")
    async with aiohttp.ClientSession() as client:
        async with client.get(document) as response:
            (server,) = (await response.json())["servers"]
        async with client.get(str(document.join(URL(server["url"]))).rstrip("/") + "/health") as response:
            assert response.status == 200
    await runner.cleanup()


def test_hundreds_of_requests_made_from_it_are_answered_as_it_says(program: Callable[..., Program]) -> None:
    # What has no end is left out: its errors are among the answers above.
    running = program("--no-demo", "--max-body", "100000")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/api/openapi.json"]
    for id in ("followChannels", "followChannel", "followMetrics", "followTopics"):
        command += ["--exclude-operation-id", id]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command += ["--checks", checks, "--max-examples", "15", "--seed", "1", "--generation-deterministic", "--no-color"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
