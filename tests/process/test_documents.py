"""The commands in the documents, run without changes except the address of the hub."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jwt
import pytest
from eventually import eventually
from programs import ROOT, Start, environment, fetch, free_port, tool
from tokens import SECRET, mint

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = {
    f"{path.name}-{number}": block.strip()
    for path in DOCUMENTS
    for number, block in enumerate(re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL), 1)
}


def blocks(wanted: Callable[[str], bool]) -> pytest.MarkDecorator:
    """A test for each block of commands that is wanted."""
    chosen = {name: block for name, block in BLOCKS.items() if wanted(block)}
    assert chosen
    return pytest.mark.parametrize("block", chosen.values(), ids=chosen)


class Shell:
    """A shell that runs a block, with our Python first in its path."""

    def __init__(self, block: str, folder: Path, **variables: str) -> None:
        self._process = subprocess.Popen(
            [tool("bash", "bash"), "-ec", block],
            cwd=folder,
            env=environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def until(self, text: bytes) -> None:
        """Wait until its output has this text in it."""
        read = b""
        while text not in read:
            piece = os.read(self._output.fileno(), 65536)
            assert piece, f"it ended without {text!r}: {read!r}"
            read += piece

    def wait(self) -> str:
        """Its output, once it has ended well."""
        output = self._output.read().decode()
        assert self._process.wait() == 0, output
        return output

    def kill(self) -> None:
        """End it and all that it started."""
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()


@contextmanager
def shell(block: str, folder: Path, **variables: str) -> Iterator[Shell]:
    running = Shell(block, folder, **variables)
    try:
        yield running
    finally:
        running.kill()


@blocks(lambda block: ADDRESS in block and "while" not in block)
def test_a_request_in_a_document_is_answered(block: str, program: Start, tmp_path: Path) -> None:
    tool("curl", "curl")
    (tmp_path / ".curlrc").write_text("fail\n")  # a problem is no success
    running = program("--no-demo", "--jwt-key", SECRET, "--anonymous", "all")
    variables = {"CURL_HOME": str(tmp_path), "TOKEN": mint(["*"], ["*"], admin=True)}
    with shell(block.replace(ADDRESS, running.url), tmp_path, **variables) as run:
        if "curl -N" in block:
            run.until(b"event: connected")
        else:
            run.wait()


@blocks(lambda block: "while read" in block)
def test_a_loop_in_a_document_publishes_each_line(block: str, program: Start, tmp_path: Path) -> None:
    tool("vmstat", "procps")
    running = program("--no-demo")
    with shell(block.replace(ADDRESS, running.url), tmp_path) as run:
        run.until(b'"channel":"logs"')


@blocks(lambda block: "python sse_server.py" in block and not re.search("redis|workers|token", block))
def test_a_command_in_a_document_starts_a_server(block: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "sse_server.py").symlink_to(ROOT / "sse_server.py")
    command = block.partition("pip install -e . && ")[2] or block
    with shell(command, tmp_path, SSE_PORT=str(port)) as run:
        run.until(f":{port}/".encode())
        assert fetch(f"http://127.0.0.1:{port}/health").status == 200


@blocks(lambda block: "token mint" in block)
def test_a_command_in_a_document_mints_a_token(block: str) -> None:
    with shell(block, ROOT, SSE_JWT_KEY=SECRET) as run:
        output = run.wait()
    claims = jwt.decode(output.strip().splitlines()[-1], SECRET, ["HS256"])
    assert claims["sse"] == {"subscribe": ["sensors.*"], "publish": ["alerts"]}


@blocks(lambda block: block.startswith("sse-client run"))
async def test_a_command_in_a_document_runs_for_each_event(block: str, program: Start, tmp_path: Path) -> None:
    running = program("--no-demo")
    with shell(block, tmp_path, SSE_URL=running.url) as run:
        await eventually(lambda: b'"subscribers":0' not in fetch(running.url + "/health").body)
        fetch(running.url + "/realtime/logs", b"an error of many")
        run.until(b"of many")
