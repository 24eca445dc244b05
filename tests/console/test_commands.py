"""The command line as processes, as a shell starts them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from eventually import PATIENCE, eventually
from hubs import Server, serving
from programs import ROOT, ClientStart

from sse_hub.console.commands import cli
from sse_hub.console.main import STATUSES

REFERENCE = (ROOT / "docs" / "reference" / "command-line.md").read_text()


class Command:
    """A running command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def end(self, data: str | None = None) -> tuple[int, str, str]:
        """Exit status, and the rest of what it says on stdout and stderr."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate(None if data is None else data.encode())
        assert self.process.returncode is not None
        assert "Traceback" not in err.decode()
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
def start(server: Server, client_process: ClientStart) -> Any:
    """Starts a command at the server."""

    async def start(*arguments: str, **variables: str) -> Command:
        return Command(await client_process(*arguments, **{"SSE_URL": server.url, **variables}))

    return start


async def followed(server: Server) -> None:
    """Wait until somebody follows."""
    await eventually(lambda: server.hub.statistics().subscribers)


async def test_ctrl_c_while_the_program_is_still_being_loaded_ends_it_without_a_traceback(
    start: Any, tmp_path: Path
) -> None:
    """A slow disk: a module that the command line imports takes long."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("print('loading', flush=True)\nimport time\ntime.sleep(600)\n")
    command = await start("channels", PYTHONPATH=str(tmp_path))
    assert await command.line() == "loading"
    command.process.send_signal(signal.SIGINT)
    assert await command.end() == (130, "", "")


# listen


async def test_listen_shows_events_as_they_come(server: Server, start: Any) -> None:
    command = await start("listen", "a", "b.*", "--count", "2")
    await followed(server)
    await server.hub.publish("one", channel="a", event="t")
    assert (await command.line()).split()[1:] == ["a", "t", "one"]
    await server.hub.publish("two", channel="b.c")
    status, out, _ = await command.end()
    assert (status, out.split()[1:]) == (0, ["b.c", "message", "two"])


async def test_listen_gives_json_and_bare_data(server: Server, start: Any) -> None:
    id = await server.hub.publish("a\nb", event="t")
    status, out, _ = await (await start("listen", "--replay", "1", "--count", "1", "--json")).end()
    value = json.loads(out)
    assert status == 0
    assert (value["id"], value["channel"], value["event"], value["data"]) == (str(id), "main", "t", "a\nb")
    _, out, _ = await (await start("listen", "--replay", "1", "--count", "1", "--data")).end()
    assert out == "a\nb\n"


async def test_listen_filters_types(server: Server, start: Any) -> None:
    for type in ("x", "y", "z"):
        await server.hub.publish(type, event=type)
    command = await start("listen", "--replay", "9", "--filter", "x", "--filter", "z", "--count", "2", "--data")
    assert (await command.end())[1] == "x\nz\n"


async def test_listen_shows_control_characters_instead_of_obeying_them(server: Server, start: Any) -> None:
    await server.hub.publish("\x1b]0;owned\x07\x1b[2J")
    _, out, _ = await (await start("listen", "--replay", "1", "--count", "1")).end()
    assert "\x1b" not in out
    assert r"\x1b[2J" in out


async def test_listen_goes_on_after_the_cursor_in_its_file(server: Server, start: Any, tmp_path: Path) -> None:
    file = tmp_path / "cursor"
    arguments = ("listen", "--data", "--replay", "9", "--count", "2", "--cursor-file", str(file))
    for data in "abcd":
        await server.hub.publish(data)
    assert (await (await start(*arguments)).end())[1] == "a\nb\n"
    assert (await (await start(*arguments)).end())[1] == "c\nd\n"
    assert os.listdir(tmp_path) == [file.name]


@pytest.mark.parametrize("content", [b"some\nnotes", b"\xff\xfe"])
async def test_a_cursor_file_that_holds_something_else_is_an_error(start: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cursor"
    file.write_bytes(content)
    status, _, err = await (await start("listen", "--cursor-file", str(file))).end()
    assert (status, err.count("\n")) == (1, 1)
    assert "remove it" in err


async def test_listen_ends_with_124_when_too_little_came_in_time(start: Any) -> None:
    assert (await (await start("listen", "--count", "1", "--timeout", "0.5")).end())[0] == 124


async def test_listen_for_a_time_ends_well(start: Any) -> None:
    assert (await (await start("listen", "--timeout", "0.5")).end())[0] == 0


async def test_ctrl_c_ends_with_130_and_says_nothing(server: Server, start: Any) -> None:
    command = await start("listen")
    await followed(server)
    command.process.send_signal(signal.SIGINT)
    status, out, err = await command.end()
    assert (status, out, err.strip()) == (130, "", "")


@pytest.mark.parametrize("form", ["", "--data", "--json"])
async def test_a_broken_pipe_ends_with_141_and_says_nothing(server: Server, form: str) -> None:
    await server.hub.publish("a")
    command = f"{sys.executable} {ROOT / 'sse_client.py'} listen --replay 1 {form}"
    shell = f"{command} | head -1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "SSE_URL": server.url}
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    await followed(server)

    async def has_left() -> bool:
        await server.hub.publish("b")  # a write notices the end of the pipe
        return not server.hub.statistics().subscribers

    await eventually(has_left)
    out, err = await process.communicate()
    assert (out, err) == (b"141\n", b"")


@pytest.mark.parametrize(
    ("command", "status", "last"),
    [
        ("publish c - <&-", 1, "sse-client: standard input is closed"),
        ("publish c - 0>/dev/null", 1, "sse-client: standard input cannot be read: Bad file descriptor"),
        ("<&-", 0, ""),
    ],
)
async def test_a_standard_input_that_cannot_be_read_is_an_error(
    server: Server, command: str, status: int, last: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"exec {sys.executable} {ROOT / 'sse_client.py'} {command}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SSE_URL": server.url},
    )
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate()
    assert (process.returncode, err.decode().splitlines()[-1:]) == (status, [last] if last else [])
    assert b"Traceback" not in err


async def test_listen_keeps_trying_and_reports_it(start: Any, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    status, _, err = await (await start("listen", "--timeout", "0.5", "--count", "1", SSE_URL=url)).end()
    assert status == 124
    assert f"cannot connect to 127.0.0.1:{unused_tcp_port}: Connection refused; connecting again in" in err


# publish


async def test_publish_publishes_each_argument(server: Server, start: Any) -> None:
    status, out, _ = await (await start("publish", "c", "one", "two", "--event", "t")).end()
    assert status == 0
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == ["to 0 subscribers"] * 2
    channel = server.hub.log.get("c")
    assert channel is not None
    assert [event.data for event in channel.after(channel.floor)] == ["one", "two"]


async def test_publish_takes_lines_as_they_come(server: Server, start: Any) -> None:
    async with server.stream("/realtime/c") as stream:
        await stream.next()
        command = await start("publish", "c", "-")
        command.process.stdin.write(b"one\n")
        assert (await stream.next()).data == "one"  # though standard input stays open
        status, _, err = await command.end("two\r\n\nlast")
        assert [(await stream.next()).data for _ in range(3)] == ["two", "", "last"]
    assert status == 0
    assert err.startswith("4 published in ")


async def test_a_publish_that_is_refused_is_one_line(start: Any) -> None:
    status, _, err = await (await start("publish", "c", "x", "--event", "live")).end()
    assert (status, err.count("\n")) == (1, 1)
    assert "the hub's own" in err


async def test_a_publish_without_data_gets_a_message_about_them(start: Any) -> None:
    status, _, err = await (await start("publish", "c")).end()
    assert status == 2
    assert "give DATA, or -" in err


async def test_a_publish_without_a_server_fails_within_its_deadline(start: Any, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    status, _, err = await (await start("publish", "c", "x", "--deadline", "0.3", SSE_URL=url)).end()
    assert (status, err.count("\n")) == (1, 1)
    assert "Connection refused" in err


# channels, history, metrics, run


async def test_channels_and_history_show_the_retained_events(server: Server, start: Any) -> None:
    first = await server.hub.publish("a", channel="c")
    await server.hub.publish("b", channel="c")
    _, out, _ = await (await start("channels")).end()
    assert out.splitlines()[1].split()[:3] == ["c", "0", "2"]
    _, out, _ = await (await start("history", "c", "--data", "--after", str(first))).end()
    assert out == "b\n"
    _, _, err = await (await start("history", "c", "--after", "1-0")).end()
    assert "are gone" in err


async def test_metrics_are_a_line_of_json_each_in_a_pipe(server: Server, start: Any) -> None:
    command = await start("metrics")
    await followed(server)
    await server.hub.publish('{"cpu_percent":1.5}', channel="metrics", event="metrics")
    assert json.loads(await command.line()) == {"cpu_percent": 1.5}


async def test_run_gives_each_event_to_a_command(server: Server, start: Any) -> None:
    id = await server.hub.publish("one", channel="c", event="t")
    command = await start(
        "run", "c", "--replay", "1", "--count", "1", "--", "sh", "-c", 'cat; echo " $SSE_CHANNEL $SSE_EVENT $SSE_ID"'
    )
    assert (await command.end())[:2] == (0, f"one c t {id}\n")


async def test_run_ends_when_the_command_fails_unless_it_should_continue(server: Server, start: Any) -> None:
    for data in "ab":
        await server.hub.publish(data)
    status, _, err = await (await start("run", "main", "--replay", "2", "--count", "2", "--", "false")).end()
    assert (status, err.count("false ended with 1")) == (1, 1)
    command = await start("run", "main", "--replay", "2", "--count", "2", "--keep-going", "--", "false")
    status, _, err = await command.end()
    assert (status, err.count("false ended with 1")) == (0, 2)


async def test_run_remembers_only_handled_events(server: Server, start: Any, tmp_path: Path) -> None:
    file = tmp_path / "cursor"
    ids = [await server.hub.publish(data) for data in "ab"]
    await (await start("run", "main", "--replay", "2", "--cursor-file", str(file), "--", "grep", "a")).end()
    assert file.read_text().strip() == str(ids[0])


async def test_run_reports_a_command_that_does_not_exist(server: Server, start: Any) -> None:
    await server.hub.publish("a")
    status, _, err = await (await start("run", "main", "--replay", "1", "--", "/no/such")).end()
    assert (status, err.count("\n")) == (1, 1)
    assert "cannot be started" in err


# Around


async def test_without_a_terminal_there_is_help_instead_of_a_menu(start: Any) -> None:
    status, out, _ = await (await start()).end()
    assert status == 0
    assert "Commands:" in out


@pytest.mark.parametrize("arguments", [["--nonsense"], ["nonsense"], ["listen", "--count", "0"], ["run", "c"]])
async def test_wrong_use_is_one_line_and_status_2(start: Any, arguments: list[str]) -> None:
    status, _, err = await (await start(*arguments)).end()
    assert (status, err.count("\n")) == (2, 1)


async def test_a_request_without_a_server_is_one_line_and_status_1(start: Any, unused_tcp_port: int) -> None:
    status, _, err = await (await start("channels", SSE_URL=f"http://127.0.0.1:{unused_tcp_port}")).end()
    assert (status, err.count("\n")) == (1, 1)


async def test_the_version_is_the_packages(start: Any) -> None:
    assert (await (await start("--version")).end())[1].startswith("sse-client 0.")


def test_the_reference_lists_every_command_and_exit_status() -> None:
    for name in cli.commands:
        assert f"`sse-client {name}" in REFERENCE
    for status, meaning in STATUSES.items():
        assert f"| {status} | {meaning} |" in REFERENCE


async def test_a_slow_hub_does_not_lose_lines(start: Any) -> None:
    async with serving(history=20_000) as server:
        command = await start("publish", "c", "-", SSE_URL=server.url)
        status, _, err = await command.end("".join(f"{n}\n" for n in range(10_000)))
        channel = server.hub.log.get("c")
        assert channel is not None
        assert (status, err.split()[0]) == (0, "10000")
        assert [event.data for event in channel.after(channel.floor)] == [str(n) for n in range(10_000)]
