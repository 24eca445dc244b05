"""The page and its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hubs import Server


async def test_the_page_and_its_assets_carry_an_etag_and_are_revalidated(server: Server) -> None:
    modules = ("/web/app/page.js", "/web/app/inspect/json.js", "/web/client/sse.js", "/web/sse.js")
    for path in ("/", "/web/app/page.css", *modules):
        response, _ = await server.get(path)
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-cache"
        again, _ = await server.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status == 304


async def test_the_page_runs_no_script_but_its_own(server: Server) -> None:
    response, _ = await server.get("/")
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_folder_of_the_page_is_not_read_for_each_request(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    response, _ = await server.get("/web/app/page.js")
    assert response.status == 200

    def forbidden(path: Path) -> Iterator[Path]:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    for path, status in {
        "/web/app/page.js": 200,
        "/web/app/inspect/json.js": 200,
        "/web/sse.js": 200,
        "/web/x": 404,
    }.items():
        response, _ = await server.get(path)
        assert response.status == status, path


@pytest.mark.parametrize(
    "path",
    [
        "/web/../setup.cfg",
        "/web/%2e%2e/setup.cfg",
        "/web/..%2fsetup.cfg",
        "/web/..%2f..%2fetc/passwd",
        "/web//etc/passwd",
        "/web/",
    ],
)
async def test_no_path_escapes_the_folder_of_the_page(server: Server, path: str) -> None:
    answer = await server.exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] == b"404"


@pytest.mark.parametrize("header", ["If-Modified-Since", "If-Unmodified-Since", "If-Range"])
@pytest.mark.parametrize("path", ["/", "/web/client/sse.js"])
async def test_a_date_that_does_not_exist_is_ignored(server: Server, path: str, header: str) -> None:
    _, whole = await server.get(path)
    date = "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"
    response, text = await server.get(path, headers={header: date, "Range": "bytes=0-5"})
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-cache"
    assert text == whole
