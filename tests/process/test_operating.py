"""The program for its operator: TLS, tokens, and its log."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from certificates import certify
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from eventually import eventually
from hubs import remote
from mercures import publish
from programs import ROOT, Program, Start, environment
from tokens import SECRET, mint

from sse_hub.program.serving import certificate
from sse_hub.settings import SettingError, Settings


def ask(program: Program, path: str, token: str = "", data: bytes | None = None) -> int:
    """The status of an answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(program.url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


# TLS


async def served_name(port: int) -> str:
    """The name in the certificate that a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    certificate = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    await writer.wait_closed()
    return str(certificate.subject.rdns[0].rfc4514_string().removeprefix("CN="))


async def test_it_serves_by_tls_and_reads_the_certificate_again_at_sighup(program: Start, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "first.example")
    running = program("--tls-cert", cert, "--tls-key", key)
    assert running.url.startswith("https://")
    assert await served_name(running.port) == "first.example"
    certify(tmp_path, "second.example")
    running.process.send_signal(signal.SIGHUP)

    async def renewed() -> bool:
        return await served_name(running.port) == "second.example"

    await eventually(renewed)
    assert running.end()[0] == 0


async def test_a_key_of_tokens_that_cannot_be_read_keeps_no_old_certificate(program: Start, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "first.example")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    running = program("--tls-cert", cert, "--tls-key", key, "--jwt-key", f"@{secret}")
    certify(tmp_path, "second.example")
    secret.unlink()
    running.process.send_signal(signal.SIGHUP)

    async def renewed() -> bool:
        return await served_name(running.port) == "second.example"

    await eventually(renewed)
    answered = running.end()[1]
    assert "the key of tokens cannot be used, so the old one stays" in answered
    assert "read again: file of rules, key of Mercure tokens, certificate" in answered


async def test_a_broken_certificate_at_sighup_leaves_the_old_one(program: Start, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "first.example")
    running = program("--tls-cert", cert, "--tls-key", key)
    Path(cert).write_text("nonsense")
    running.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(running.until, "the old one stays")
    assert await served_name(running.port) == "first.example"


def test_answers_by_tls_demand_tls_for_later_requests(program: Start, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "localhost")
    running = program("--tls-cert", cert, "--tls-key", key)
    context = ssl.create_default_context(cafile=cert)
    url = f"https://localhost:{running.port}/health"
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_malformed_certificate_is_one_line_and_exit_status_2(program: Start, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    running = program("--tls-cert", str(tmp_path / "cert.pem"))
    assert running.wait() == (2, "")
    assert running.first_line == (
        f"sse-server: --tls-cert {tmp_path}/cert.pem cannot be used: "
        "there must be a certificate and a private key in PEM\n"
    )


def encrypt(key: Path) -> None:
    loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(loaded.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret")))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (encrypt, "the private key is encrypted; use one without a password"),
        (lambda key: certify(key.parent, "second.example"), "the private key belongs to another certificate"),
        (Path.unlink, "No such file or directory"),
    ],
)
def test_a_private_key_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    cert, key = certify(tmp_path, "first.example")
    other = shutil.copy(cert, tmp_path / "other.pem")
    change(Path(key))
    with pytest.raises(SettingError) as error:
        certificate(Settings(tls_cert=str(other), tls_key=key))
    assert str(error.value) == f"--tls-cert {other} or --tls-key {key} cannot be used: {reason}"


# Bad settings


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("--jwt-key", "short"), "a secret of at least 32 bytes"),
        (("--jwt-key", "@/nowhere"), "cannot be read"),
        (("--jwt-key", "-----BEGIN PUBLIC KEY-----x"), "a public key in PEM"),
        (("--jwt-key", SECRET, "--jwks-url", "https://a.example/"), "exclude each other"),
        (("--jwks-url", "ftp://a.example/"), "https://"),
        (("--tls-key", __file__), "--tls-cert"),
        (("--tls-cert", "/nowhere"), "the path of a file"),
        (("--trusted-proxies", "10.0.0.1/8"), "10.0.0.0/8"),
        (("--allowed-hosts", "https://a.example"), "without port"),
        (("--anonymous", "some"), "none, subscribe, all"),
        (("--publish-rate", "-1"), "at least 0"),
    ],
)
def test_a_bad_value_is_one_line_that_says_what_would_be_right(
    program: Start, arguments: tuple[str, ...], answer: str
) -> None:
    running = program(*arguments)
    status, rest = running.wait()
    assert (status, rest) == (2, "")
    assert answer in running.first_line


def test_a_secret_that_is_refused_is_not_printed(program: Start) -> None:
    running = program(SSE_JWT_KEY="my-short-secret")
    assert running.wait()[0] == 2
    assert "SSE_JWT_KEY" in running.first_line
    assert "my-short-secret" not in running.first_line


# Tokens on the command line


def token(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`sse-server token`."""
    return subprocess.run(
        [sys.executable, str(ROOT / "sse_server.py"), "token", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={"SSE_JWT_KEY": SECRET, **environment},
        timeout=30,
        check=False,
    )


def test_a_minted_token_opens_the_channels_that_it_grants(program: Start) -> None:
    minted = token("mint", "--subscribe", "sensors.*", "--publish", "alerts", "--expires", "1h").stdout.strip()
    running = program("--jwt-key", SECRET)
    assert ask(running, "/realtime/alerts", minted, b"x") == 200
    assert ask(running, "/realtime/main", minted, b"x") == 403
    assert ask(running, "/api/channels/sensors.a/events", minted) == 200


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("mint", "--subscribe", "a b"), "neither a channel name nor a pattern"),
        (("mint", "--expires", "soon"), "90s, 15m, 1h, 30d"),
        (("mint", "--jwt-key", "short"), "at least 32 bytes"),
        (("mint", "--nothing"), "--help"),
        (("mint", "--mercure", "--admin"), "--admin is a right of the hub's own tokens"),
        (("mint", "--mercure", "--payload", "{"), "--payload is not JSON"),
        (("mint", "--payload", "1"), "--payload needs --mercure"),
        (("mint", "--expires", "never"), "90s, 15m, 1h, 30d"),
        ((), "mint"),
    ],
)
def test_a_token_that_cannot_be_minted_is_one_line(arguments: tuple[str, ...], answer: str) -> None:
    run = token(*arguments)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert answer in run.stderr


def test_a_good_token_is_explained() -> None:
    run = token("explain", mint(["sensors.*"], ["alerts"], admin=True))
    assert run.returncode == 0
    for part in ("Accepted.", "sensors.*", "alerts", "may see and end connections"):
        assert part in run.stdout


def test_a_bad_token_is_explained_too() -> None:
    run = token("explain", "-", stdin=mint(["*"], lasts=-60) + "\n")
    assert run.returncode == 1
    assert "Not accepted: it has expired" in run.stdout


@pytest.mark.parametrize("given", [b"\xff\xfe", b"no token", b""])
def test_bytes_that_are_no_token_are_explained(given: bytes) -> None:
    command = [sys.executable, str(ROOT / "sse_server.py"), "token", "explain", "-", "--jwt-key", SECRET]
    strict = environment(PYTHONIOENCODING="utf-8:strict")
    run = subprocess.run(command, input=given, capture_output=True, env=strict, check=False, timeout=30)
    assert (run.returncode, run.stderr) == (1, b"")
    assert run.stdout.startswith(b"Not accepted: it is not a JSON Web Token")


def test_a_standard_input_that_is_closed_is_one_line() -> None:
    command = f"exec {sys.executable} {ROOT / 'sse_server.py'} token explain - <&-"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=30)
    assert (run.returncode, run.stderr.count("\n"), "standard input is closed" in run.stderr) == (2, 1, True)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_claim_that_cannot_be_printed_is_shown_with_escapes(encoding: str) -> None:
    claims = {"sub": "\ud800 mint", "sse": {"subscribe": ["*"]}, "exp": 9e9}
    run = token("explain", jwt.encode(claims, SECRET), PYTHONIOENCODING=encoding)
    assert (run.returncode, run.stderr) == (0, "")
    assert "\\ud800" in run.stdout
    assert "Accepted." in run.stdout


async def test_a_minted_mercure_token_publishes_and_reads_what_it_grants(program: Start) -> None:
    book, other = "https://example.com/books/1", "https://example.com/films/1"
    minted = token("mint", "--mercure", "--publish", "https://example.com/books/{id}", "--expires", "never")
    headers = {"Authorization": f"Bearer {minted.stdout.strip()}"}
    running = program("--jwt-key", SECRET)
    async with remote(running.url) as hub:
        assert (await publish(hub, book, headers=headers))[0] == 200
        status, body = await publish(hub, other, headers=headers)
        assert (status, "https://example.com/books/{id}" in body) == (403, True)


def test_a_mercure_token_is_explained_for_channels_and_for_topics() -> None:
    minted = token("mint", "--mercure", "--subscribe", "https://e.com/{id}", "--expires", "never", "--payload", "[7]")
    run = token("explain", minted.stdout.strip())
    assert run.returncode == 0
    assert "For channels: Not accepted: the claim exp is missing" in run.stdout
    topics = run.stdout.partition("For topics of the Mercure protocol: Accepted.")[2]
    assert "private topics: https://e.com/{id}" in topics
    assert "may publish to: nothing" in topics
    assert "it has no end" in topics


def test_a_mercure_token_that_nothing_accepts_is_explained_with_status_1() -> None:
    run = token("explain", jwt.encode({"mercure": {"publish": "books"}}, SECRET))
    assert run.returncode == 1
    assert "For topics of the Mercure protocol: Not accepted: publish in the claim mercure is not a list" in run.stdout


# The log


def test_json_lines_name_the_request(program: Start) -> None:
    running = program("--log-format", "json", "--access-log", "--jwt-key", SECRET)
    secret = mint(["*"], key="x" * 32)
    assert ask(running, f"/api/channels?token={secret}") == 401
    assert json.loads(running.first_line)["message"].startswith("sse-hub is at ")
    _, answer = running.end()
    lines = [json.loads(line) for line in answer.splitlines()]
    refusal = next(line for line in lines if line["logger"] == "sse_hub.access")
    request = next(line for line in lines if line["logger"] == "sse_hub.requests")
    assert refusal["message"].startswith("token not accepted: its signature does not fit")
    assert refusal["address"] == "127.0.0.1"
    assert refusal["request"] == request["request"]
    assert (request["status"], request["path"]) == (401, "/api/channels?token=%E2%80%A6")
    assert secret not in answer


async def test_each_stream_has_a_line_at_its_beginning_and_one_at_its_end(program: Start) -> None:
    running = program("--log-format", "json", "--no-demo")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET /stream?channel=a&channel=b HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"connected")
    writer.close()
    await writer.wait_closed()
    await eventually(lambda: b'"subscribers":0' in read(running, "/health"))
    lines = [json.loads(line) for line in running.end()[1].splitlines() if line.startswith("{")]
    begins, ends = (line for line in lines if line["logger"] == "sse_hub.streams")
    assert (begins["message"], begins["channels"], begins["address"]) == ("stream begins", ["a", "b"], "127.0.0.1")
    assert (ends["message"], ends["id"], ends["reason"]) == ("stream ends", begins["id"], "left")


def read(program: Program, path: str) -> bytes:
    with urllib.request.urlopen(program.url + path, timeout=10) as response:
        return bytes(response.read())


def test_a_log_without_a_reader_does_not_stop_the_server(program: Start) -> None:
    running = program("--access-log", "--no-demo")
    for _ in range(700):  # more than the 64 kB of a pipe
        assert ask(running, "/api/channels") == 200
    assert running.end()[0] == 0


@pytest.mark.parametrize("flag", ["--jwt-key", "--mercure-publisher-key", "--mercure-subscriber-key"])
def test_a_key_file_that_is_empty_is_refused(tmp_path: Path, flag: str) -> None:
    empty = tmp_path / "key"
    empty.touch()
    run = subprocess.run(
        [sys.executable, ROOT / "sse_server.py", "--port", "0", flag, f"@{empty}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 2
    assert "a secret of at least 32 bytes" in run.stderr


@pytest.mark.parametrize("how", ["of another certificate", "missing"])
async def test_a_certificate_without_its_key_at_sighup_leaves_the_old_one(
    program: Start, tmp_path: Path, how: str
) -> None:
    cert, key = certify(tmp_path, "first.example")
    running = program("--tls-cert", cert, "--tls-key", key)
    old_key = Path(key).read_bytes()
    certify(tmp_path, "second.example")
    if how == "missing":
        Path(key).unlink()
    else:
        Path(key).write_bytes(old_key)
    running.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(running.until, "the old one stays")
    assert await served_name(running.port) == "first.example"
