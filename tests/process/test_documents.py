"""The commands in the documents, run without changes except the address of the hub."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from eventually import eventually
from programs import ROOT, Start, fetch, free_port, tool
from shells import ADDRESS, shell
from tokens import SECRET, mint

DOCUMENTS = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if not path.name.endswith(".pt-BR.md")),
]
"""`tests/test_docs.py` compares the commands of a translation with those of its original."""
FENCE = re.MULTILINE | re.DOTALL
BLOCKS = {
    f"{path.relative_to(ROOT)}-{number}": textwrap.dedent(block).strip()
    for path in DOCUMENTS
    for number, block in enumerate(re.findall(r"^ *```sh\n(.*?)^ *```$", path.read_text(), FENCE), 1)
}


def blocks(wanted: Callable[[str], bool]) -> pytest.MarkDecorator:
    """A test for each block of commands that is wanted."""
    chosen = {name: block for name, block in BLOCKS.items() if wanted(block)}
    assert chosen
    return pytest.mark.parametrize("block", chosen.values(), ids=chosen)


@blocks(lambda block: ADDRESS in block and block.startswith(("curl", "printf", "sse-client")))
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


STARTS = re.compile(r"(python sse_server\.py|sse-hub)\b")


@blocks(lambda block: STARTS.search(block) is not None and not re.search("redis|workers|token", block))
def test_a_command_in_a_document_starts_a_server(block: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "sse_server.py").symlink_to(ROOT / "sse_server.py")
    command = block.partition("pip install -e . && ")[2] or block
    with shell(command, tmp_path, SSE_PORT=str(port)) as run:
        run.until(f":{port}/".encode())
        assert fetch(f"http://127.0.0.1:{port}/health").status == 200


@blocks(lambda block: "token mint" in block)
def test_a_command_in_a_document_mints_a_token(block: str) -> None:
    printing = re.sub(r"export \w+=\$\((.*)\)", r"\1", block)
    with shell(printing, ROOT, SSE_JWT_KEY=SECRET) as run:
        output = run.wait()
    claims = jwt.decode(output.strip().splitlines()[-1], SECRET, ["HS256"])
    assert claims["mercure" if "--mercure" in block else "sse"] == {
        "subscribe": re.findall(r"--subscribe '?([^\s']+)", block),
        "publish": re.findall(r"--publish '?([^\s']+)", block),
    }


@blocks(lambda block: block.startswith("sse-client run "))
async def test_a_command_in_a_document_runs_for_each_event(block: str, program: Start, tmp_path: Path) -> None:
    running = program("--no-demo")
    with shell(block, tmp_path, SSE_URL=running.url) as run:
        await eventually(lambda: b'"subscribers":0' not in fetch(running.url + "/health").body)
        fetch(running.url + "/realtime/logs", b"an error of many")
        run.until(b"of many")


@blocks(lambda block: block.startswith("sse-client run-job"))
def test_a_command_in_a_document_is_a_stream_with_an_end(block: str, program: Start, tmp_path: Path) -> None:
    running = program("--no-demo")
    (tmp_path / "a file").touch()
    with shell(block, tmp_path, SSE_URL=running.url) as run:
        run.wait()
    channel = block.split()[2]
    stream = fetch(f"{running.url}/realtime/{channel}?from=start").body
    assert b"a file" in stream
    assert b'"reason":"done"' in stream


@blocks(lambda block: re.fullmatch(r"python [a-z]+\.py", block) is not None)
def test_a_program_that_a_document_starts_is_there_and_is_started_by_a_test(block: str) -> None:
    name = block.removeprefix("python ")
    assert (ROOT / "docs/tutorial/code" / name).is_file()
    assert f'"{name}"' in (ROOT / "tests/process/test_tutorial.py").read_text()
