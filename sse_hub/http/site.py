"""The page and its files."""

from __future__ import annotations

import functools
import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from aiohttp import web

from .app_keys import UPDATES
from .problems import Problem

__all__ = ["asset", "page"]

_REVALIDATED = {"Cache-Control": "no-cache"}  # browsers ask each time; the ETag keeps the answer small
_PAGE_HEADERS = {
    **_REVALIDATED,
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}


async def page(request: web.Request) -> web.StreamResponse:
    """`GET /`."""
    answer = _file(request, _folder() / "app" / "index.html", _PAGE_HEADERS)
    if UPDATES in request.app:
        answer.headers["Link"] = '<.well-known/mercure>; rel="mercure"'
    return answer


async def asset(request: web.Request) -> web.StreamResponse:
    """`GET /web/{file}`: a file of the page or of the client for browsers. The name is a key of a list of files and
    never part of a path. The files of the client can also be named without their folder."""
    name = request.match_info["file"]
    found = _files().get(name)
    if found is None:
        raise Problem(404, f"There is no file {name[:80]!r} for browsers.")
    return _file(request, found, _REVALIDATED)


def _folder() -> Traversable:
    """The folder `web`: inside the package in a wheel and in a zip file, beside it in a checkout."""
    inside = files("sse_hub") / "web"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "web"


@functools.cache
def _files() -> Mapping[str, Traversable]:
    """The files by name. Reading the folders held the event loop for 2 ms at each request. A file that is edited
    is served as it is now; one that is added is found after a restart, as a module of the program is."""
    client = dict(_below(_folder() / "client", "client"))
    short = {name.removeprefix("client/"): path for name, path in client.items()}
    return {**dict(_below(_folder() / "app", "app")), **client, **short}


def _below(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    """The files of a folder and of the folders in it, with their names."""
    for path in folder.iterdir():
        if path.is_file():
            yield f"{name}/{path.name}", path
        else:
            yield from _below(path, f"{name}/{path.name}")


def _file(request: web.Request, file: Traversable, headers: Mapping[str, str]) -> web.StreamResponse:
    if isinstance(file, Path) and _has_readable_dates(request):
        return web.FileResponse(file, headers=headers)
    body = file.read_bytes()  # the program may be in a zip file
    etag = hashlib.sha256(body).hexdigest()[:32]
    content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    known = any(each.value in (etag, "*") for each in request.if_none_match or ())
    response = web.Response(status=304) if known else web.Response(body=body, content_type=content_type)
    response.headers.update(headers)
    response.etag = etag
    return response


def _has_readable_dates(request: web.Request) -> bool:
    """Whether aiohttp can read the dates of the request. A date like the year 99999999999 is an error there; here, it
    must be ignored (RFC 9110, section 13.1.3)."""
    try:
        _ = request.if_modified_since, request.if_unmodified_since, request.if_range
    except OverflowError:
        return False
    return True
