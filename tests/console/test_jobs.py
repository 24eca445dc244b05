"""`sse-client run-job`: a command as a stream with an end; and ending a channel by hand."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
from eventually import PATIENCE, eventually
from hubs import Server, serving
from network import Network
from programs import ClientStart
from tokens import SECRET, mint

from sse_hub.core.rules import Rule


@pytest.fixture
def start(server: Server, client_process: ClientStart) -> ClientStart:
    """Starts a command of sse-client at the server, or at another URL."""

    async def start(*arguments: str, url: str = server.url, **variables: str) -> asyncio.subprocess.Process:
        return await client_process(*arguments, SSE_URL=url, **variables)

    return start


async def ended(process: asyncio.subprocess.Process, data: bytes = b"") -> tuple[int, str]:
    """Exit status and standard error."""
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate(data)
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return process.returncode, err.decode()


async def whole(server: Server, channel: str = "job") -> tuple[list[tuple[str, str]], str]:
    """Types and data of what a late reader gets, and how the channel has ended."""
    async with server.stream(f"/realtime/{channel}?from=start") as stream:
        _, *events, end = await stream.rest()
        return [(event.type, event.data) for event in events], end.json()["reason"]


def python(text: str) -> list[str]:
    return ["--", sys.executable, "-c", text]


async def test_each_line_is_an_event_and_the_end_is_by_the_exit_status(server: Server, start: ClientStart) -> None:
    script = "import sys; print('a'); print(); print('  ü☃'); sys.stdout.flush(); print('b', file=sys.stderr)"
    assert await ended(await start("run-job", "job", *python(script))) == (0, "")
    events, reason = await whole(server)
    assert [data for type, data in events if type == "message"] == ["a", "", "  ü☃"]
    assert [data for type, data in events if type == "stderr"] == ["b"]
    assert reason == "done"


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -9 $$", 137)])
async def test_a_command_that_fails_ends_its_channel_as_failed_and_its_status_is_ours(
    server: Server, start: ClientStart, script: str, status: int
) -> None:
    process = await start("run-job", "job", "--", "sh", "-c", f"echo a; {script}")
    assert await ended(process) == (status, "")
    assert await whole(server) == ([("message", "a")], "failed")


@pytest.mark.parametrize("program", ["python", "c"])
async def test_a_line_comes_at_once_although_the_output_is_no_terminal(
    server: Server, start: ClientStart, program: str
) -> None:
    wait = "import sys, time; print('now'); sys.stdin.read()"
    command = python(wait) if program == "python" else ["--", "sh", "-c", "(echo now; cat) | grep -h ''"]
    async with server.stream("/realtime/job") as stream:
        process = await start("run-job", "job", *command)
        assert (await stream.until_data("now"))[-1].type == "message"
        assert process.returncode is None
        assert (await ended(process))[0] == 0


async def test_lines_end_by_lf_crlf_and_cr_and_the_last_one_needs_none(server: Server, start: ClientStart) -> None:
    script = r"printf '10%%\r20%%\r30%%\na\r\nb\n\377\nlast'"
    assert (await ended(await start("run-job", "job", "--", "sh", "-c", script)))[0] == 0
    assert [data for _, data in (await whole(server))[0]] == ["10%", "20%", "30%", "a", "b", "\ufffd", "last"]


async def test_a_line_without_end_comes_in_pieces(server: Server, start: ClientStart) -> None:
    assert (await ended(await start("run-job", "job", *python("print('x' * 300_000, end='')"))))[0] == 0
    assert "".join(data for _, data in (await whole(server))[0]) == "x" * 300_000


async def test_ten_thousand_lines_are_whole_and_in_order(start: ClientStart) -> None:
    async with serving(history=20_000) as server:
        process = await start("run-job", "job", "--", "seq", "10000", url=server.url)
        assert await ended(process) == (0, "")
        events, reason = await whole(server)
        assert ([data for _, data in events], reason) == ([str(n) for n in range(1, 10_001)], "done")


async def test_the_command_reads_our_standard_input_and_knows_its_channel(server: Server, start: ClientStart) -> None:
    process = await start("run-job", "job", "--", "sh", "-c", "cat; echo $SSE_CHANNEL")
    assert await ended(process, b"from outside\n") == (0, "")
    assert [data for _, data in (await whole(server))[0]] == ["from outside", "job"]


# Stop


async def test_a_command_is_stopped_with_its_children_when_somebody_cancels_the_channel(
    server: Server, start: ClientStart, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    process = await start("run-job", "job", "--", "sh", "-c", f"sh -c 'echo $$ > {child}; sleep 600'; true")
    pid = int(await eventually(lambda: child.exists() and child.read_text()))
    await server.until_subscribers(1)
    await server.post("/realtime/job?end=cancelled")
    status, err = await ended(process)
    assert (status, err.count("\n")) == (128 + signal.SIGTERM, 1)
    assert "job has ended: cancelled" in err
    await eventually(lambda: not alive(pid))
    assert await whole(server) == ([], "cancelled")


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended may wait to be asked for its status."""
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_passed_on_and_cancels_the_channel(
    server: Server, start: ClientStart, number: signal.Signals
) -> None:
    script = f"import signal, sys; signal.signal({number}, lambda *_: sys.exit(9)); print('a'); signal.pause()"
    async with server.stream("/realtime/job") as stream:
        process = await start("run-job", "job", *python(script))
        await stream.until_data("a")
        process.send_signal(number)
        assert await ended(process) == (9, "")
    assert await whole(server) == ([("message", "a")], "cancelled")


# A hub that is away or refuses


async def test_a_hub_that_is_away_does_not_stop_the_command(
    start: ClientStart, tmp_path: Path, unused_tcp_port: int
) -> None:
    file = tmp_path / "done"
    script = ["--", "sh", "-c", f"seq 100000; touch {file}; exit 5"]
    process = await start("run-job", "job", "--deadline", "0.3", *script, url=f"http://127.0.0.1:{unused_tcp_port}")
    status, err = await ended(process)
    assert (status, file.exists()) == (5, True)
    assert "output is not published any more" in err.splitlines()[-1]


async def test_a_hub_that_is_away_for_a_while_loses_no_line(server: Server, start: ClientStart) -> None:
    async with Network(server.port) as network:
        script = "import sys\nfor line in sys.stdin: print(line.strip())"
        process = await start("run-job", "job", *python(script), url=network.url)
        assert process.stdin is not None
        for number in range(40):
            if number == 10:
                network.reset()
            if number == 30:
                await network.mend()
            process.stdin.write(f"{number}\n".encode())
            await process.stdin.drain()
            await asyncio.sleep(0.01)
        assert (await ended(process))[0] == 0
    assert [data for _, data in (await whole(server))[0]] == [str(number) for number in range(40)]


async def test_a_silent_command_outlives_a_channel_that_was_abandoned(start: ClientStart) -> None:
    async with serving(rules=(Rule(match="job", idle_end=0.2),)) as server:
        process = await start("run-job", "job", *python("import sys; print('a'); sys.stdin.read()"), url=server.url)
        await eventually(lambda: server.hub.statistics().ended.get("abandoned"))
        status, err = await ended(process)
        assert (status, err.count("\n")) == (0, 1)
        assert "has ended: abandoned" in err


async def test_a_channel_is_used_anew_only_when_that_is_asked_for(server: Server, start: ClientStart) -> None:
    await server.hub.publish("old", channel="job")
    await server.hub.end("job")
    status, err = await ended(await start("run-job", "job", "--", "echo", "new"))
    assert (status, "has ended: done" in err) == (0, True)
    assert (await whole(server))[0] == [("message", "old")]
    assert await ended(await start("run-job", "job", "--fresh", "--", "echo", "new")) == (0, "")
    assert (await whole(server))[0] == [("message", "new")]


async def test_a_command_that_is_not_there_ends_the_channel_as_failed(server: Server, start: ClientStart) -> None:
    status, err = await ended(await start("run-job", "job", "--", "/no/such"))
    assert (status, err.count("\n")) == (1, 1)
    assert "cannot be started" in err
    assert await whole(server) == ([], "failed")


async def test_a_token_that_may_not_publish_does_not_stop_the_command(start: ClientStart) -> None:
    async with serving(jwt_key=SECRET) as server:
        grants = mint(subscribe=["job"])
        process = await start("run-job", "job", "--", "echo", "a", url=server.url, SSE_TOKEN=grants)
        status, err = await ended(process)
        assert (status, "403" in err) == (0, True)
        assert grants not in err


@pytest.mark.parametrize("daemon", ["sleep 120", "while sleep 0.3; do echo b; done", "yes $(printf %01000d 0)"])
async def test_a_daemon_that_the_command_leaves_behind_is_not_waited_for(
    server: Server, start: ClientStart, daemon: str
) -> None:
    process = await start("run-job", "job", "--", "sh", "-c", f"echo a; {{ {daemon}; }} & exit 0")
    assert await ended(process) == (0, "")
    async with server.stream("/realtime/job?from=start") as stream:
        assert (await stream.rest())[-1].json()["reason"] == "done"


@pytest.mark.parametrize("signals", [1, 2])
async def test_ctrl_c_ends_a_job_whose_command_has_ended_although_the_hub_does_not_answer(
    start: ClientStart, tmp_path: Path, signals: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody answers
        file = tmp_path / "done"
        script = ["--", "sh", "-c", f"seq 15000; touch {file}"]
        process = await start("run-job", "job", *script, url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        await eventually(file.exists)
        await eventually(lambda: not psutil.Process(process.pid).children())  # the command's exit was noticed
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.3)  # the second one comes while the first one is being obeyed
        status, err = await ended(process)
        assert (status, err.strip()) == (130, "")


# By hand


async def test_a_channel_is_ended_and_forgotten_by_hand(server: Server, start: ClientStart) -> None:
    await server.hub.publish("a", channel="job")
    assert await ended(await start("end", "job", "cancelled")) == (0, "")
    assert await whole(server) == ([("message", "a")], "cancelled")
    status, err = await ended(await start("end", "job"))
    assert (status, err.count("\n")) == (1, 1)
    assert "has ended: cancelled" in err
    assert await ended(await start("forget", "job")) == (0, "")
    await server.hub.publish("new", channel="job")


async def test_listen_shows_everything_from_the_start_and_exits_at_the_end(server: Server, start: ClientStart) -> None:
    for data in "abc":
        await server.hub.publish(data, channel="job")
    await server.hub.end("job")
    process = await start("listen", "job", "--from-start", "--data")
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"a\nb\nc\n")


async def test_listen_shows_the_newest_of_each_channel_first(server: Server, start: ClientStart) -> None:
    for data in "abc":
        await server.hub.publish(data, channel="s.1")
    await server.hub.publish("d", channel="s.2")
    process = await start("listen", "s.*", "--latest", "--data", "--count", "2")
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"c\nd\n")
    assert (await ended(await start("listen", "c", "--latest", "--replay", "1")))[0] == 2
