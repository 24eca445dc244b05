"""The code that the page's inspector shows, run where it belongs: in a shell, in Python, and in Node."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
from hubs import Server
from mercures import update
from programs import ROOT, environment, tool
from shells import shell

APP = ROOT / "web" / "app"
MODULE = (APP / "inspect" / "commands.js").as_uri()
SCRIPT = """
import {{ readFileSync }} from "node:fs";
import * as commands from "{module}";
const [name, ...values] = JSON.parse(readFileSync(0, "utf8"));
const shown = commands[name](...values);
process.stdout.write(typeof shown === "string" ? shown : JSON.stringify(shown));
"""
SPEC_SCRIPT = """
import {{ readFileSync }} from "node:fs";
import {{ followedOf, specOf }} from "{module}";
const [text, base] = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(followedOf(specOf(text), base)));
"""
DATA = {
    "plain": "hello",
    "empty": "",
    "an @ at the beginning": "@/etc/hostname",
    "several lines": "one\n\n three\n",
    "quotes": 'it\'s "quoted" `id` $HOME \\n ! %s',
    "tab and other scripts": "\tgrüß 🎉 \u202e العربية",
    "control characters": "a\x00b\x01c\x1b[31m d\r\ne\x7f",
    "an option": "--version",
    "an option with a control character": "-n\x01",
    "per cent and backslashes with a control character": "100% \\x41 \\101\x02",
    "longer than an argument": "x'" * 100_000,
}
SHELLS = [name for name in ("sh", "dash", "bash", "busybox") if shutil.which(name)]


async def run(*command: str, given: str = "", **variables: str) -> str:
    """What a program prints that reads a text."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**variables),
    )
    output, error = await process.communicate(given.encode())
    assert process.returncode == 0, error.decode()
    return output.decode()


async def code(name: str, *values: object) -> str:
    """What the page shows."""
    script = SCRIPT.format(module=MODULE)
    return await run(tool("node", "nodejs"), "--input-type=module", "-e", script, given=json.dumps([name, *values]))


async def followed(server: Server, text: str) -> object:
    """The stream that the page has under this text, as its code asks for it."""
    script = SPEC_SCRIPT.format(module=(APP / "specs.js").as_uri())
    given = json.dumps([text, f"{server.url}/"])
    return json.loads(await run(tool("node", "nodejs"), "--input-type=module", "-e", script, given=given))


async def run_by_the_client(server: Server, script: str) -> str:
    """What a script prints of the first event that comes by the browser client of this folder."""
    local = script.replace(f"{server.url}/web/client/sse.js", (ROOT / "web" / "client" / "sse.js").as_uri())
    ending = local.replace("console.log(id, channel, event, data)", "(console.log(data), hub.close())")
    return await run(tool("node", "nodejs"), "--input-type=module", "-e", ending)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
async def test_an_event_is_published_again_byte_for_byte(server: Server, shell: str, data: str) -> None:
    tool("curl", "curl")
    event = {"channel": "it's-a_(channel)&'é", "event": "type ' & é %", "data": data}
    command = await code("publishByCurl", f"{server.url}/", event)
    output = await run(shell, *(["sh"] if shell == "busybox" else []), "-s", given=command)
    answer = json.loads(output)
    assert (answer["channel"], answer["event"]) == (event["channel"], event["event"])
    assert await server.retained(event["channel"]) == [data]


async def test_an_ephemeral_event_is_published_as_one(server: Server) -> None:
    tool("curl", "curl")
    event = {"channel": "a", "event": "message", "data": "x", "ephemeral": True}
    await run("sh", "-s", given=await code("publishByCurl", f"{server.url}/", event))
    assert await server.retained("a") == []


def until(script: str, end: str) -> str:
    """The Python program with an end: a line after the one that prints an event."""
    lines = script.split("\n")
    (at,) = (at for at, line in enumerate(lines) if line.strip().startswith("print("))
    indent = lines[at][: -len(lines[at].lstrip())]
    return "\n".join([*lines[: at + 1], indent + end, *lines[at + 1 :]])


STREAM = {"channels": ["it's", "sensors.*"], "query": {"from": "start"}}


async def test_a_stream_is_followed_by_curl(server: Server, tmp_path: Path) -> None:
    await server.hub.publish("the first", channel="sensors.one")
    command = await code("followByCurl", {"base": f"{server.url}/", **STREAM})
    with shell(f"{command} --silent", tmp_path) as running:
        await asyncio.to_thread(running.until, b"data: the first")


async def test_a_stream_is_followed_by_python(server: Server, tmp_path: Path) -> None:
    await server.hub.publish("the first", channel="sensors.one")
    script = await code("followByPython", {"base": f"{server.url}/", **STREAM})
    output = await run(sys.executable, "-c", until(script, 'if event.type == "live": return'), PYTHONPATH=str(ROOT))
    assert "message the first" in output


async def test_the_client_in_node_gets_only_the_types_of_the_stream(server: Server) -> None:
    await server.hub.publish("of another type", channel="a", event="noise")
    await server.hub.publish("wanted", channel="a", event="news")
    script = await code("followBySseJs", await followed(server, "a?from=start&event=news&event=more"))
    assert await run_by_the_client(server, script) == "wanted\n"


MERCURE = ".well-known/mercure?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1&topic=b+%26+c&lastEventId=earliest"


async def test_code_of_mercure_topics_asks_the_mercure_address(server: Server, tmp_path: Path) -> None:
    tool("curl", "curl")
    await update(server, "b & c", "a book")
    stream = await followed(server, MERCURE)
    command = await code("followByCurl", stream)
    with shell(f"{command} --silent", tmp_path) as running:
        await asyncio.to_thread(running.until, b"data: a book")
    script = await code("followByPython", stream)
    assert "message a book" in await run(sys.executable, "-c", until(script, "return"), PYTHONPATH=str(ROOT))
    assert "/.well-known/mercure?topic=" in await code("followByEventSource", stream)


async def test_mercure_topics_have_no_code_of_the_client_which_follows_channels(server: Server) -> None:
    ways = json.loads(await code("waysToFollow", await followed(server, MERCURE)))
    assert [name for name, _ in ways] == ["curl", "EventSource", "Python"]
    ways = json.loads(await code("waysToFollow", await followed(server, "main?plain=1")))
    assert [name for name, _ in ways] == ["curl", "EventSource", "sse.js", "Python"]


async def test_a_stream_is_followed_by_the_client_in_node(server: Server, tmp_path: Path) -> None:
    await server.hub.publish("the first", channel="sensors.one")
    script = await code("followBySseJs", {"base": f"{server.url}/", **STREAM})
    assert await run_by_the_client(server, script) == "the first\n"
