"""The parts of a request, checked: query parameters, `Accept` headers, body."""

from __future__ import annotations

import functools
from urllib.parse import unquote_to_bytes

from aiohttp import web

from ..limits import Reservation
from .problems import Problem

__all__ = [
    "accepts_gzip",
    "body_here",
    "check_encoding",
    "choice",
    "flag",
    "last",
    "listed",
    "media_type",
    "number",
    "quality",
    "read_body",
    "single",
]


def check_encoding(request: web.Request) -> None:
    """Refuse a path or query that is not percent-encoded UTF-8, because decoders do not agree about its names.

    :raises Problem: 400 for bytes that are not UTF-8.
    """
    if request.raw_path.isascii() and "%" not in request.raw_path:
        return
    url = request.rel_url
    for part, raw in (("path", url.raw_path), ("query", url.raw_query_string)):
        if "%" not in raw and raw.isascii():
            continue
        try:
            unquote_to_bytes(raw).decode()
        except (UnicodeDecodeError, UnicodeEncodeError):
            raise Problem(
                400, f"The {part} holds bytes that are not UTF-8. Names are percent-encoded UTF-8: é is %C3%A9."
            ) from None


_LONGEST_LIST = 4000
"""Largest length of a header that holds a list. Browsers send 200 characters. A request may have a hundred lines of
8 kB, and to read such an `Accept` takes a second."""


def listed(request: web.Request, header: str, default: str = "") -> str:
    """The value of a header that holds a list. Several lines are joined to one (RFC 9110, section 5.3).

    :raises Problem: 400 if it is longer than any client needs.
    """
    value = ", ".join(request.headers.getall(header, [default]))
    if len(value) > _LONGEST_LIST:
        raise Problem(400, f"The header {header} has {len(value)} characters; it may have {_LONGEST_LIST}.")
    return value


def media_type(request: web.Request) -> str:
    """The media type of the body in lower case, without parameters.

    aiohttp's `content_type` runs Python's parser of e-mail headers. That one raises `IndexError` for some parameters,
    and 8 kB of semicolons take it half a second.
    """
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower() or "application/octet-stream"


def single(request: web.Request, name: str) -> str | None:
    """A query parameter that has one value; None if it is absent.

    :raises Problem: 400 if it is repeated with different values: one of them would be ignored.
    """
    if "?" not in request.raw_path:
        return None
    values = request.query.getall(name, ())
    if len(values) > 1 and len(set(values)) > 1:
        raise Problem(400, f"The parameter {name} has several values; it takes one.")
    return values[0] if values else None


def last(request: web.Request, name: str) -> str | None:
    """The last value of a query parameter; None if it is absent.

    It is for cursors. Some clients append the newest id to a URL that already has one, at each reconnect.
    """
    values = request.query.getall(name, ())
    return values[-1] if values else None


def flag(request: web.Request, name: str) -> bool:
    """A query parameter that is 1 or 0; by default 0.

    :raises Problem: 400 if it is anything else, or has several values.
    """
    value = single(request, name)
    if value is not None and value not in {"0", "1"}:
        raise Problem(400, f"The parameter {name} is {value[:40]!r}; it takes 1 or 0.")
    return value == "1"


def choice(request: web.Request, name: str, only: str) -> bool:
    """Whether a query parameter is there that can have only one value.

    :param only: that value.
    :raises Problem: 400 if it has another value, or several.
    """
    value = single(request, name)
    if value is not None and value != only:
        raise Problem(400, f"The parameter {name} is {value[:40]!r}; it takes {only}.")
    return value is not None


def number(
    request: web.Request, name: str, *, minimum: int = 0, maximum: int | None = None, otherwise: str = ""
) -> int | None:
    """A query parameter that is a whole number; None if it is absent.

    :param otherwise: another possible value, for the message.
    :raises Problem: 400 if it is anything else or out of bounds, or has several values.
    """
    value = single(request, name)
    if value is None:
        return None
    # At most 18 digits: int() of a very long text takes long, which an attacker could use.
    if not (value.isascii() and value.isdigit() and len(value) <= 18) or not minimum <= int(value) <= (
        maximum or int(value)
    ):
        bounds = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        bounds += f", or {otherwise}" if otherwise else ""
        raise Problem(400, f"The parameter {name} is {value[:40]!r}; it takes a whole number {bounds}.")
    return int(value)


@functools.lru_cache(64)  # called for every stream, with the same few headers
def quality(accept: str, media_type: str) -> float:
    """The weight of the media type in this `Accept`, from 0 to 1 (RFC 9110, section 12.5.1). The most specific range
    counts."""
    kind = media_type.partition("/")[0]
    found: dict[str, float] = {}
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        try:
            found[media_range] = max(found.get(media_range, 0.0), min(float(weight), 1.0))
        except ValueError:
            continue
    return next((found[r] for r in (media_type, f"{kind}/*", "*/*") if r in found), 0.0)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client with this `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3). A client without the header
    gets no gzip, because it may be a program that decodes nothing."""
    weights: dict[str, str] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "").removeprefix("q=") or "1"
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", "0")))
    try:
        return float(weight) > 0
    except ValueError:
        return False


async def read_body(request: web.Request, max_bytes: int, reservation: Reservation) -> str:
    """The body as text.

    aiohttp's `read()` has the limit of the application in which this one is mounted, so it is not used.

    :param reservation: counts the bytes that have arrived among the bytes of all requests.
    :raises Problem: 413 if it is too large, 415 if it is compressed, 400 if it is not UTF-8 or breaks off.
    :raises BudgetExceeded: if all requests together hold too much.
    """
    _refuse_compression(request)
    if request.content_length is not None and request.content_length > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        while data := await request.content.readany():
            body += data
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            reservation.add(len(data))
        reservation.keep()
    except (web.RequestPayloadError, ConnectionError) as error:  # the client may have left
        raise _unreadable(error) from None
    return _decoded(body)


def body_here(request: web.Request, max_bytes: int, reservation: Reservation) -> str:
    """The same as `read_body`, for a body that has arrived whole (`content.is_eof`). Most do, together with their
    headers. It takes a third of the time."""
    _refuse_compression(request)
    try:
        body = request.content.read_nowait()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise _unreadable(error) from None
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    reservation.add(len(body))
    return _decoded(body)


def _refuse_compression(request: web.Request) -> None:
    coding = request.headers.get("Content-Encoding")
    if coding is not None and coding.lower() != "identity":  # a megabyte can unpack to a gigabyte, and events are small
        raise Problem(
            415,
            f"The Content-Encoding is {coding[:40]!r}; bodies are taken without compression only.",
            {"Accept-Encoding": "identity"},  # RFC 9110, section 12.5.3
        )


def _decoded(body: bytes | bytearray) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            400,
            f"The body is not UTF-8 text: byte {error.start} cannot be decoded. Send binary data as base64.",
        ) from None


def _unreadable(error: Exception) -> Problem:
    return Problem(400, f"The body cannot be read: {error}")


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, f"The body is larger than the {max_bytes} bytes that this server accepts (--max-body).")
