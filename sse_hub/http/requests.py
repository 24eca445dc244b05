"""What a request says: its query parameters, its body, what it accepts. Everything is checked here, once."""

from __future__ import annotations

import functools
from urllib.parse import unquote_to_bytes

from aiohttp import web

from ..limits import Reservation
from .problems import Problem

__all__ = ["accepts_gzip", "check_encoding", "flag", "listed", "number", "quality", "read_body"]


def check_encoding(request: web.Request) -> None:
    """Let pass an address that is percent-encoded UTF-8. Decoders make different names of what is not.

    :raises Problem: 400 for bytes that are not UTF-8.
    """
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


def listed(request: web.Request, header: str, default: str = "") -> str:
    """A header that holds a list: several lines of it are one (RFC 9110, section 5.3)."""
    return ", ".join(request.headers.getall(header, [default]))


def flag(request: web.Request, name: str) -> bool:
    """A query parameter that is 1 or 0.

    :raises Problem: 400 if it is anything else.
    """
    value = request.query.get(name, "0")
    if value not in {"0", "1"}:
        raise Problem(400, f"The parameter {name} is {value[:40]!r}; it takes 1 or 0.")
    return value == "1"


def number(request: web.Request, name: str, *, minimum: int = 0, maximum: int | None = None) -> int | None:
    """A query parameter that is a whole number, None where it is absent.

    :raises Problem: 400 if it is anything else, or out of bounds.
    """
    value = request.query.get(name)
    if value is None:
        return None
    # 18 digits: more are no sensible number, and int() of a very long string is an attack
    if not (value.isascii() and value.isdigit() and len(value) <= 18) or not minimum <= int(value) <= (
        maximum or int(value)
    ):
        bounds = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise Problem(400, f"The parameter {name} is {value[:40]!r}; it takes a whole number {bounds}.")
    return int(value)


@functools.lru_cache(64)  # asked of every stream, of the same few headers
def quality(accept: str, media_type: str) -> float:
    """How much a client with this `Accept` wants the media type, 0 to 1 (RFC 9110, section 12.5.1). The most specific
    range rules."""
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
    """Whether a client with this `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3). One without the header is not
    asked to: it may be a program that decodes nothing."""
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

    Read by hand, because the limit of aiohttp's `read()` is that of whatever application this one is mounted in.

    :param reservation: counts what has arrived among what all requests hold.
    :raises Problem: 413 if it is too large, 415 if it is compressed, 400 if it is not UTF-8 or breaks off.
    :raises BudgetExceeded: if all requests together hold too much.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":  # a megabyte can unpack to a gigabyte, and events are small
        raise Problem(
            415,
            f"The Content-Encoding is {coding[:40]!r}; bodies are taken as they are, without compression.",
            {"Accept-Encoding": "identity"},  # RFC 9110, section 12.5.3: what would be right
        )
    too_large = Problem(413, f"The body is larger than the {max_bytes} bytes that this server accepts (--max-body).")
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large
    body = bytearray()
    try:
        while data := await request.content.readany():
            body += data
            if len(body) > max_bytes:
                raise too_large
            reservation.add(len(data))
        reservation.keep()
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            400,
            f"The body is not UTF-8 text: byte {error.start} cannot be decoded. Send binary data as base64.",
        ) from None
    except (web.RequestPayloadError, ConnectionError) as error:  # nobody may be there to read the answer
        raise Problem(400, f"The body cannot be read: {error}") from None
