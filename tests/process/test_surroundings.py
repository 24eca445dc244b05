"""The surroundings of the process: its streams, signals, variables, addresses, and packaging."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
import zipapp
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import certify
from eventually import PATIENCE, eventually
from programs import ROOT, Start, free_port
from tokens import SECRET, mint

from sse_hub.program import signals

SERVER = str(ROOT / "sse_server.py")


def until_healthy(port: int) -> None:
    """Wait until a server at this port reports good health."""

    def is_healthy() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)

    asyncio.run(eventually(is_healthy, despite=(OSError,)))


@contextlib.contextmanager
def started(*arguments: str, **how: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server whose streams are as `how` says, and its port."""
    port = free_port()
    with subprocess.Popen([sys.executable, SERVER, "--port", str(port), *arguments], **how) as process:  # type: ignore[call-overload]
        try:
            yield process, port
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_it_serves_and_ends_well_whichever_standard_streams_are_closed(loop: str, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    with started("--loop", loop, preexec_fn=close, stderr=None) as (process, port):
        until_healthy(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_it_serves_though_its_standard_error_is_a_full_pipe() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    try:
        with started(stderr=writing) as (process, port):
            until_healthy(port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_it_serves_though_nothing_can_be_written_to_its_standard_error() -> None:
    with open("/dev/full", "wb") as full, started(stderr=full) as (process, port):
        until_healthy(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_sighup_ends_nothing(program: Start) -> None:
    running = program("--no-demo")
    for _ in range(3):
        running.process.send_signal(signal.SIGHUP)
        until_healthy(running.port)
    status, answered = running.end()
    assert (status, "read again: file of rules, key of tokens" in answered) == (0, True)


def signalled_while_it_reads_settings(tmp_path: Path, number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Send a signal to a server that reads its settings. If it serves then, end it; its exit status and stderr."""
    key = tmp_path / "key"
    os.mkfifo(key)
    with started("--no-demo", "--jwt-key", f"@{key}", *arguments, stderr=subprocess.PIPE) as (process, port):
        with open(key, "wb", buffering=0) as pipe:  # waits until the server reads
            process.send_signal(number)
            key.unlink()
            key.write_text(SECRET)  # for the next time
            with contextlib.suppress(BrokenPipeError):  # it has ended
                pipe.write(SECRET.encode())
        if number == signal.SIGHUP:
            until_healthy(port)
            process.terminate()
        _, written = process.communicate(timeout=PATIENCE)
        return process.returncode, written.decode()


def test_ctrl_c_during_the_start_is_no_traceback(tmp_path: Path) -> None:
    status, written = signalled_while_it_reads_settings(tmp_path, signal.SIGINT)
    assert (status, written.strip()) == (130, "")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_during_the_start_ends_nothing(tmp_path: Path, workers: str) -> None:
    status, written = signalled_while_it_reads_settings(tmp_path, signal.SIGHUP, "--workers", workers)
    assert (status, "read again: file of rules, key of tokens" in written) == (0, True)


IN_SETUP = """if True:
    import asyncio, os, signal, sys
    from sse_hub.program import serving
    from sse_server import Settings, create_app

    async def opening(app):
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        for _ in range(10):  # turns of the loop, which calls the handler
            await asyncio.sleep(0)
        yield

    settings = Settings(port=0, no_demo=True)
    serving.prepare(settings)
    app = create_app(settings)
    app.cleanup_ctx.append(opening)
    asyncio.run(serving.serve(app, lambda port: print("started", flush=True)))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_ends_the_server_while_its_store_is_opened_ends_it_well(name: str) -> None:
    command = [sys.executable, "-c", IN_SETUP, name]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_sighup_while_the_store_is_opened_lets_the_server_read_again() -> None:
    command = [sys.executable, "-c", IN_SETUP, "SIGHUP"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "read again: file of rules, key of tokens" in process.stderr.readline()
        assert process.stdout.readline() == "started\n"
        process.terminate()
        assert process.wait(PATIENCE) == 0


async def test_sighup_reads_the_key_of_tokens_again(program: Start, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    running = program("--no-demo", "--jwt-key", f"@{key}")

    def status(secret: str) -> int:
        request = urllib.request.Request(running.url + "/api/channels")
        request.add_header("Authorization", f"Bearer {mint(['*'], key=secret)}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    other = SECRET[::-1]
    assert (status(SECRET), status(other)) == (200, 401)
    key.write_text("too short")
    running.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(running.until, "the old one stays")
    assert (status(SECRET), status(other)) == (200, 401)
    key.write_text(other)
    running.process.send_signal(signal.SIGHUP)
    await eventually(lambda: (status(SECRET), status(other)) == (401, 200))
    assert running.end()[0] == 0


async def test_signals_come_even_if_the_event_loop_does_not_support_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(asyncio.get_running_loop()), "add_signal_handler")  # as on Windows
    monkeypatch.delattr(type(asyncio.get_running_loop()), "remove_signal_handler", raising=False)
    come = asyncio.Event()
    signals.on("SIGUSR1", come.set)
    signals.on("SIGNOTHING", come.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    async with asyncio.timeout(PATIENCE):
        await come.wait()
    signals.restore("SIGUSR1")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_the_port_that_kubernetes_sets_for_a_service_is_passed_over() -> None:
    environment = {**os.environ, "SSE_PORT": "tcp://10.96.12.7:80"}
    run = subprocess.run(
        [sys.executable, SERVER, "--port", "99999"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2  # a flag is read as it stands
    with started_at_default(environment) as process:
        assert process.stderr is not None
        answered = process.stderr.readline()
        assert "SSE_PORT is 'tcp://10.96.12.7:80', which Kubernetes sets for a Service; it is ignored" in answered
        assert "8000" in process.stderr.readline()


def test_the_port_of_a_file_is_taken_though_kubernetes_sets_another(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "hub.toml").write_text(f"port = {port}\n")
    command = [sys.executable, SERVER, "--config", str(tmp_path / "hub.toml"), "--no-demo"]
    environment = {**os.environ, "SSE_PORT": "tcp://10.96.12.7:80"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        until_healthy(port)
        process.terminate()


@contextlib.contextmanager
def started_at_default(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, SERVER], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_it_listens_at_several_addresses(program: Start) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    running = program("--no-demo", "--host", "127.0.0.1,::1")
    for host in ("127.0.0.1", "[::1]"):
        with urllib.request.urlopen(f"http://{host}:{running.port}/health", timeout=10) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "address",
    [
        "redis://:s3cret@host:port/0",
        "redis://:s3cret@host:99999/0",
        "redis://:s3cret@host/zero",
        "redis://:s3cret@[::1/0",
        "redis://:s3cret@host/0?unknown=1",
        "redis://:s3cret@host/0?socket_timeout=soon",
        "redis+sentinel://:s3cret@host:26379",
        "redis:/:s3cret@host",
        "rediss//:s3cret@host",
    ],
)
def test_a_malformed_address_of_redis_gets_a_line_without_its_password(address: str) -> None:
    run = subprocess.run(
        [sys.executable, SERVER, "--port", "0", "--store", address],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 2
    assert re.fullmatch(r"sse-server: .*\n", run.stderr)
    assert "s3cret" not in run.stderr


# Health checks


def health(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SERVER, "health", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_health_asks_the_server_of_the_same_settings(program: Start, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "hub.example")
    for arguments in ([], ["--host", "::1"], ["--host", "0.0.0.0"], ["--tls-cert", cert, "--tls-key", key]):
        running = program("--no-demo", *arguments)
        run = health(*arguments, SSE_PORT=str(running.port))
        assert (run.returncode, '"status":"ok"' in run.stdout) == (0, True)
        running.end()
        run = health(*arguments, SSE_PORT=str(running.port))
        assert (run.returncode, run.stderr.startswith("sse-server: no server answers at http")) == (1, True)


@pytest.mark.parametrize("text", ["[[channel]]\nmatch = 7", "no TOML", None])
def test_health_needs_neither_rules_nor_keys(program: Start, tmp_path: Path, text: str | None) -> None:
    cert, key = certify(tmp_path, "hub.example")
    file, secret = tmp_path / "hub.toml", tmp_path / "secret"
    file.write_text("no_demo = true\nhost = '127.0.0.1'\n")
    secret.write_text(SECRET)
    arguments = ("--config", str(file), "--jwt-key", f"@{secret}", "--tls-cert", cert, "--tls-key", key)
    running = program(*arguments)
    file.unlink() if text is None else file.write_text(text)
    for each in (secret, Path(cert), Path(key)):
        each.unlink()
    run = health(*arguments, SSE_PORT=str(running.port), MERCURE_PUBLISHER_JWT_KEY=f"@{secret}")
    assert (run.returncode, '"status":"ok"' in run.stdout) == (0, True), run.stderr


def test_health_asks_at_the_port_of_the_file(program: Start, tmp_path: Path) -> None:
    running = program("--no-demo")
    (tmp_path / "hub.toml").write_text(f"port = {running.port}\nno_such = 1\n")
    assert health("--config", str(tmp_path / "hub.toml")).returncode == 0


def test_health_fails_for_a_server_whose_store_is_away(program: Start) -> None:
    running = program("--no-demo", "--store", f"redis://127.0.0.1:{free_port()}/0")
    run = health(SSE_PORT=re.findall(r":(\d+)/", running.until("sse-hub is at"))[-1])
    assert (run.returncode, '"status":"degraded"' in run.stdout) == (1, True)


# How it is packed


def test_the_page_is_served_out_of_a_zip_file(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    shutil.copytree(ROOT / "sse_hub", folder / "sse_hub", ignore=shutil.ignore_patterns("__pycache__", "web"))
    shutil.copytree(ROOT / "web", folder / "sse_hub" / "web")
    for name in ("sse_server.py", "sse_client.py"):
        shutil.copy(ROOT / name, folder)
    zipapp.create_archive(folder, tmp_path / "hub.pyz", main="sse_server:main")
    port = free_port()
    command = [sys.executable, "-P", str(tmp_path / "hub.pyz"), "--port", str(port), "--no-demo"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        until_healthy(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert b"<!doctype html>" in answer.read().lower()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/web/client/sse.js", timeout=10) as answer:
            assert answer.read() == (ROOT / "web" / "client" / "sse.js").read_bytes()
            assert "javascript" in answer.headers["Content-Type"]
            request = urllib.request.Request(answer.url, headers={"If-None-Match": answer.headers["ETag"]})
        with pytest.raises(urllib.error.HTTPError, match="304"):
            urllib.request.urlopen(request, timeout=10)
    finally:
        process.terminate()
        process.wait(20)
