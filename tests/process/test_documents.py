"""The commands in the documents, run without changes except the address of the hub."""

from __future__ import annotations

import json
import re
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from eventually import eventually
from programs import ROOT, Start, fetch, free_port, tool
from redis_server import RedisServer
from shells import ADDRESS, adapted, shell
from tokens import SECRET, bearer, mint
from wire import Parser

DOCUMENTS = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if not path.name.endswith(".pt-BR.md")),
]
"""`tests/test_docs.py` compares the commands of a translation with those of its original."""
FENCE = re.MULTILINE | re.DOTALL


def written_in(language: str) -> dict[str, str]:
    """The blocks of this language in all documents, by document and number."""
    return {
        f"{path.relative_to(ROOT)}-{number}": textwrap.dedent(block).strip()
        for path in DOCUMENTS
        for number, block in enumerate(re.findall(rf"^ *```{language}\n(.*?)^ *```$", path.read_text(), FENCE), 1)
    }


BLOCKS = written_in("sh")
TESTED: set[str] = set()
"""The blocks that some test below runs."""


def blocks(wanted: Callable[[str], bool]) -> pytest.MarkDecorator:
    """A test for each block of commands that is wanted."""
    chosen = {name: block for name, block in BLOCKS.items() if wanted(block)}
    assert chosen
    TESTED.update(chosen)
    return pytest.mark.parametrize("block", chosen.values(), ids=chosen)


@blocks(lambda block: ADDRESS in block and block.startswith(("curl", "printf", "sse-client")))
def test_a_request_in_a_document_is_answered(block: str, program: Start, tmp_path: Path) -> None:
    tool("curl", "curl")
    (tmp_path / ".curlrc").write_text("fail\n")  # a problem is no success
    running = program("--no-demo", "--jwt-key", SECRET, "--anonymous", "all")
    token = mint(["*"], ["*"], admin=True)
    variables = {"CURL_HOME": str(tmp_path), "TOKEN": token, "SSE_TOKEN": token}
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


STARTS = re.compile(r"(?:^|&& )(python sse_server\.py|sse-hub)\b", re.MULTILINE)


@blocks(lambda block: STARTS.search(block) is not None and not re.search("redis|workers|token|config check", block))
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


@blocks(lambda block: ":8080" in block)
def test_a_request_of_the_first_chapters_shows_a_stream_by_hand(block: str, tmp_path: Path) -> None:
    port = free_port()
    name = "clock.py" if "/clock" in block else "resume.py"
    program = adapted(ROOT / "docs/tutorial/code" / name, tmp_path, f"port={port}", "port=8080")
    with shell(f"exec python -u {program}", tmp_path) as serving:
        serving.until(b"Running on")
        with shell(block.replace(":8080", f":{port}"), tmp_path) as run:
            run.until(b"event: tick\ndata: " if "/clock" in block else b"id: 2\ndata: number 2\n")


@blocks(lambda block: block.startswith("export SSE_JWT_KEY="))
def test_a_key_that_a_document_makes_is_taken_by_the_server(block: str, program: Start, tmp_path: Path) -> None:
    tool("openssl", "openssl")
    with shell(f"{block}\necho $SSE_JWT_KEY", tmp_path) as run:
        key = run.wait().strip()
    running = program("--no-demo", SSE_JWT_KEY=key)
    assert fetch(f"{running.url}/api/channels").status == 401
    assert fetch(f"{running.url}/api/channels", headers=bearer(["main"], key=key)).status == 200


@blocks(lambda block: "--workers" in block or "--store 'redis" in block)
def test_a_command_for_several_processes_starts_a_server(block: str, shared_redis: RedisServer, tmp_path: Path) -> None:
    port = free_port()
    command = re.sub(r"redis://\S*?/0", shared_redis.url, block.rpartition("&& ")[2])
    variables = {"SSE_PORT": str(port), "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}", "PYTHONPATH": str(ROOT)}
    (tmp_path / "sse_server.py").symlink_to(ROOT / "sse_server.py")
    with shell(command, tmp_path, **variables) as run:
        run.until(b"Listening at" if "gunicorn" in block else f":{port}/".encode())
        assert fetch(f"http://127.0.0.1:{port}/health").status == 200


@blocks(lambda block: "token explain" in block)
def test_a_command_in_a_document_explains_a_token(block: str) -> None:
    with shell(block, ROOT, SSE_JWT_KEY=SECRET, TOKEN=mint(["news"])) as run:
        assert "news" in run.wait()


@blocks(lambda block: block.startswith("tail -f"))
def test_a_command_in_a_document_publishes_a_log_file(block: str, program: Start, tmp_path: Path) -> None:
    running = program("--no-demo")
    (tmp_path / "syslog").write_text("a line\n")
    with shell(block.replace("/var/log/syslog", "syslog"), tmp_path, SSE_URL=running.url):
        stream = urllib.request.urlopen(f"{running.url}/realtime/logs?from=start", timeout=30)
        with stream:
            assert any(line == b"data: a line\n" for line in stream)


@blocks(lambda block: "config check" in block)
def test_a_command_in_a_document_says_which_rule_a_channel_gets(block: str, tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(written_in("toml")["docs/reference/rules.md-1"])
    with shell(block, tmp_path) as run:
        printed = run.wait()
    assert all(name in printed for name in block.split()[4:])


@blocks(lambda block: block.startswith("cd "))
def test_a_folder_that_a_document_enters_is_there(block: str) -> None:
    with shell(block, ROOT) as run:
        run.wait()


@pytest.mark.parametrize("block", written_in("json").values(), ids=written_in("json"))
def test_json_in_a_document_is_a_message_or_the_claims_of_a_token(block: str, program: Start) -> None:
    value = json.loads(block)
    running = program("--no-demo", "--jwt-key", SECRET)
    if "message" in value:
        headers = {"Content-Type": "application/json", **bearer(publish=["*"])}
        assert fetch(f"{running.url}/api/broadcast", block.encode(), headers=headers).status == 200
    else:
        token = jwt.encode(value | {"exp": time.time() + 60}, SECRET)
        channel = value["sse"]["publish"][0]
        headers = {"Authorization": f"Bearer {token}"}
        assert fetch(f"{running.url}/realtime/{channel}", b"", headers=headers).status == 200


@pytest.mark.parametrize("block", [each for each in written_in("text").values() if "data:" in each])
def test_events_in_a_document_are_events(block: str) -> None:
    events = Parser().feed(f"{block}\n\n".encode())
    assert len(events) == block.count("data:")
    assert all(json.loads(event.data) for event in events if event.data.startswith("{"))


NOT_RUN = {
    "python3 -m venv": "an installation, which needs the network; `.ci/package` does it with the packages",
    "pip install sse-hub": "an installation from PyPI; `.ci/package` does it with the packages",
    "pip install aiohttp": "the same without the server",
    "helm install": "there is no cluster; tests/deploy/test_chart.py renders the chart and checks the result",
}
"""Beginnings of commands that no test runs, and why."""


def test_every_block_of_commands_is_run_by_a_test() -> None:
    """Those of this file, and commands that another test has as they stand, ports apart."""
    sources = [path.read_text() for path in [*(ROOT / "tests").rglob("*.py"), ROOT / ".ci" / "run"]]
    others = "\n".join(sources).replace("\\", "")  # as the commands stand within the quotes
    left = {
        name
        for name, block in BLOCKS.items()
        if name not in TESTED
        and not block.startswith(tuple(NOT_RUN))
        and block.replace(" 8001", " {port}") not in others
    }
    assert left == set()


def test_every_language_of_a_block_is_read_by_a_test() -> None:
    """`tests/test_docs.py` compares code with the files that it quotes; `toml` is a file of settings."""
    quoted = {"python", "html", "js", "jsx", "nginx", "php", "yaml", "sql"}
    fences = {fence for path in DOCUMENTS for fence in re.findall(r"^ *```(\w+)$", path.read_text(), re.MULTILINE)}
    assert fences <= quoted | {"sh", "json", "text", "toml"}
    assert set(written_in("toml")) == {"docs/reference/rules.md-1"}
