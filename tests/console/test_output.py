"""Signs that the encoding of the terminal or the locale does not have."""

from __future__ import annotations

import json

import pytest
from hubs import Server
from programs import start_client
from scripted import scripted, status

OLD_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
ENCODINGS = ["ascii", "cp1252", "latin-1", "utf-8"]
SIGNS = "☃ 😀 é"


async def command(server: Server, *arguments: str | bytes, **variables: str) -> tuple[int, bytes, str]:
    """Run a command without input; exit status, stdout, stderr."""
    return await command_with(b"", server, *arguments, **variables)


async def command_with(
    data: bytes, server: Server, *arguments: str | bytes, **variables: str
) -> tuple[int, bytes, str]:
    """Run a command with this input."""
    process = await start_client(*arguments, SSE_URL=server.url, **variables)
    out, err = await process.communicate(data)
    assert b"Traceback" not in err
    return process.returncode or 0, out, err.decode(errors="replace")


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_no_sign_ends_a_listener(server: Server, encoding: str) -> None:
    for data in (SIGNS, "after"):
        await server.hub.publish(data)
    listen = ("listen", "--replay", "2", "--count", "2")
    variables = {"PYTHONIOENCODING": encoding}
    for form in ([], ["--data"], ["--json"]):
        status, out, _ = await command(server, *listen, *form, **variables)
        assert (status, len(out.splitlines())) == (0, 2)
    first = json.loads(out.decode(encoding).splitlines()[0])
    assert first["data"] == SIGNS


async def test_data_on_a_terminal_that_has_all_signs_is_as_it_was_published(server: Server) -> None:
    await server.hub.publish(SIGNS)
    _, out, _ = await command(server, "listen", "--replay", "1", "--count", "1", "--data", PYTHONIOENCODING="utf-8")
    assert out.decode() == f"{SIGNS}\n"


async def test_a_name_is_utf_8_although_the_locale_is_not(server: Server) -> None:
    await server.hub.publish("a", channel="café")
    name = "café".encode()
    listen = ("listen", name, "--replay", "1", "--count", "1", "--data")
    assert await command(server, *listen, **OLD_LOCALE) == (0, b"a\n", "")
    assert (await command(server, "publish", name, "☃".encode(), **OLD_LOCALE))[0] == 0
    assert await server.retained("caf%C3%A9") == ["a", "☃"]


async def test_a_name_that_is_no_text_is_wrong_use(server: Server) -> None:
    status, _, err = await command(server, "listen", b"caf\xe9", "--replay", "1", "--count", "1")
    assert (status, err.count("\n")) == (2, 1)
    assert "is not UTF-8" in err


async def test_lines_that_are_no_text_are_published_all_the_same(server: Server) -> None:
    status, _, _ = await command_with("é\n".encode() + b"\xff\nlast\n", server, "publish", "c", "-", **OLD_LOCALE)
    assert status == 0
    assert await server.retained("c") == ["é", "\ufffd", "last"]


async def test_a_message_of_a_server_is_one_line_without_control_characters(server: Server) -> None:
    problem = json.dumps({"detail": "no\n\x1b[2J\nand no"})
    async with scripted(status(403, "Content-Type: application/problem+json\r\n", problem)) as other:
        code, _, err = await command(server, "--url", other.url, "channels")
    assert (code, err.count("\n"), "\x1b" in err) == (1, 1, False)
