"""The code that the page's inspector shows, run where it belongs: in a shell, in Python, and in Node."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
from hubs import Server
from programs import ROOT, environment, tool

MODULE = (ROOT / "web" / "app" / "inspect" / "commands.js").as_uri()
SCRIPT = """
import {{ readFileSync }} from "node:fs";
import * as commands from "{module}";
const [name, ...values] = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(commands[name](...values));
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


STREAM = {"channels": ["it's", "sensors.*"], "query": {"from": "start"}}


async def test_a_stream_is_followed_by_curl(server: Server) -> None:
    await server.hub.publish("the first", channel="sensors.one")
    command = await code("followByCurl", {"base": f"{server.url}/", **STREAM})
    assert "data: the first" in await run("sh", "-s", given=f"{command} --silent --max-time 2 || true")


async def test_a_stream_is_followed_by_python(server: Server, tmp_path: Path) -> None:
    await server.hub.publish("the first", channel="sensors.one")
    script = await code("followByPython", {"base": f"{server.url}/", **STREAM})
    patient = script.replace(
        "print(event.id, event.type, event.data)", 'print(event.data)\n            if event.type == "live": return'
    )
    assert "the first" in await run(sys.executable, "-c", patient, PYTHONPATH=str(ROOT))


async def test_a_stream_is_followed_by_the_client_in_node(server: Server, tmp_path: Path) -> None:
    await server.hub.publish("the first", channel="sensors.one")
    script = await code("followBySseJs", {"base": f"{server.url}/", **STREAM})
    local = script.replace(f"{server.url}/web/client/sse.js", (ROOT / "web" / "client" / "sse.js").as_uri())
    ending = local.replace("console.log(id, channel, event, data)", "{ console.log(data); hub.close(); }")
    assert await run(tool("node", "nodejs"), "--input-type=module", "-e", ending) == "the first\n"
