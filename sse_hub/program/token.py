"""`sse-hub token mint` makes tokens, and `sse-hub token explain` shows why a token is not accepted."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import click
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..auth import Tokens, unverified_claims
from ..core.events import check_pattern, timestamp
from ..keys import CURVES, LEAST_SECRET_BYTES, Denied, read_file, read_key
from ..rights import Bearer, Grant
from ..topic_grants import MERCURE_CLAIMS, TopicGrant, topic_grant

__all__ = ["command"]

T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group("token", invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def command(context: click.Context) -> None:
    """Make tokens, and find out why one is not accepted."""
    if context.invoked_subcommand is None:
        raise click.UsageError("it takes a command, mint or explain", context)


@command.command()
@click.option("--subscribe", multiple=True, metavar="PATTERN", help="Channels that may be read; repeatable.")
@click.option("--publish", multiple=True, metavar="PATTERN", help="Channels that may be published to; repeatable.")
@click.option("--admin", is_flag=True, help="The token may list and end streams.")
@click.option("--subject", metavar="NAME", help="Subject of the token (sub).")
@click.option(
    "--expires",
    default="1h",
    metavar="TIME",
    help="Lifetime of the token, such as 90s, 15m, 1h, 30d (1h); with --mercure also never.",
)
@click.option("--mercure", is_flag=True, help="The token is one of the Mercure protocol: PATTERN is a topic selector.")
@click.option("--payload", metavar="JSON", help="With --mercure: a value that subscriptions show.")
@click.option("--issuer", metavar="ISS", help="Issuer of the token (iss).")
@click.option("--audience", metavar="AUD", help="Audience of the token (aud).")
@click.option(
    "--jwt-key",
    envvar="SSE_JWT_KEY",
    default="",
    metavar="KEY",
    help="Secret or private key in PEM, or @FILE. Prefer the variable SSE_JWT_KEY.",
)
def mint(
    subscribe: tuple[str, ...],
    publish: tuple[str, ...],
    admin: bool,
    mercure: bool,
    payload: str | None,
    subject: str | None,
    expires: str,
    issuer: str | None,
    audience: str | None,
    jwt_key: str,
) -> None:
    """Make a token and print it."""
    try:
        make = _mercure_claim if mercure else _claim
        claim = make(subscribe, publish, admin=admin, payload=payload)
        signer, algorithm = _signing_key(read_file(jwt_key))
        seconds = None if mercure and expires == "never" else _lifetime(expires)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    now = int(time.time())
    until = None if seconds is None else now + seconds
    claims = {"iat": now, "exp": until, "sub": subject, "iss": issuer, "aud": audience} | claim
    click.echo(jwt.encode({name: value for name, value in claims.items() if value is not None}, signer, algorithm))


def _claim(subscribe: Sequence[str], publish: Sequence[str], *, admin: bool, payload: str | None) -> dict[str, Any]:
    if payload is not None:
        raise ValueError("--payload needs --mercure")
    patterns = {"subscribe": subscribe, "publish": publish}
    claim: dict[str, Any] = {part: [check_pattern(each) for each in given] for part, given in patterns.items()}
    return {"sse": claim | ({"admin": True} if admin else {})}


def _mercure_claim(
    subscribe: Sequence[str], publish: Sequence[str], *, admin: bool, payload: str | None
) -> dict[str, Any]:
    if admin:
        raise ValueError("--admin is a right of the hub's own tokens, and --mercure makes one of the Mercure protocol")
    claim: dict[str, Any] = {"subscribe": list(subscribe), "publish": list(publish)}
    if payload is not None:
        try:
            claim["payload"] = json.loads(payload)
        except ValueError as error:
            raise ValueError(f"--payload is not JSON: {error}") from None
    return {"mercure": claim}


@command.command()
@click.argument("token")
@click.option("--jwt-issuer", envvar="SSE_JWT_ISSUER", default="", metavar="ISS", help="As the server's flag.")
@click.option("--jwt-audience", envvar="SSE_JWT_AUDIENCE", default="", metavar="AUD", help="As the server's flag.")
@click.option(
    "--jwt-key",
    envvar="SSE_JWT_KEY",
    default="",
    metavar="KEY",
    help="Secret or public key in PEM, or @FILE. Prefer the variable SSE_JWT_KEY.",
)
def explain(token: str, jwt_issuer: str, jwt_audience: str, jwt_key: str) -> None:
    """Show what TOKEN grants, or why it is not accepted. TOKEN can be -: then it is read from standard input.

    The status is 1 for a token that is not accepted."""
    token = (_standard_input() if token == "-" else token).strip().removeprefix("Bearer ")  # noqa: S105 - a dash
    claims = unverified_claims(token)
    if claims:
        click.echo(json.dumps(claims, indent=2, ensure_ascii=False))
    if not jwt_key:
        click.echo("The token was not checked, because there is no key. Give the key by SSE_JWT_KEY or --jwt-key.")
        return
    try:
        tokens = Tokens(read_key(read_file(jwt_key)), issuer=jwt_issuer, audience=jwt_audience)
    except (ValueError, OSError) as error:
        raise click.UsageError(f"the key takes {error}") from None
    verdicts = [_verdict(tokens.grant(token), _shown)]
    if any(name in claims for name in MERCURE_CLAIMS):
        verdicts.append(_verdict(topic_grant(tokens, token), _shown_topics))
        for (_, text), world in zip(verdicts, ("For channels", "For topics of the Mercure protocol"), strict=True):
            click.echo(f"{world}: {text}")
    else:
        click.echo(verdicts[0][1])
    if not any(accepted for accepted, _ in verdicts):
        raise click.exceptions.Exit(1)


def _standard_input() -> str:
    """:raises click.UsageError: if it is closed or cannot be read."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed")
    try:
        return sys.stdin.buffer.read().decode(errors="replace")  # other bytes are then no token
    except OSError as error:
        raise click.UsageError(f"standard input cannot be read: {error.strerror}") from None


def _verdict(check: Coroutine[Any, Any, T], show: Callable[[T], str]) -> tuple[bool, str]:
    """Whether the token is accepted, and the sentences about it."""
    try:
        return True, show(asyncio.run(check))
    except Denied as denied:
        return False, f"Not accepted: {denied}."


def _lifetime(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None or not int(match[1]):
        raise ValueError(f"--expires is {text!r}; it takes a number and a unit: 90s, 15m, 1h, 30d")
    return int(match[1]) * _UNITS[match[2]]


def _signing_key(text: str) -> tuple[Any, str]:
    """The key that signs tokens, and its algorithm.

    :raises ValueError: if the text is not a key that can sign.
    """
    if "-----BEGIN" not in text:
        if len(text.encode()) < LEAST_SECRET_BYTES:
            raise ValueError(
                f"SSE_JWT_KEY takes a secret of at least {LEAST_SECRET_BYTES} bytes, or a private key in PEM"
            )
        return text.encode(), "HS256"
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"SSE_JWT_KEY takes a private key in PEM, without a password, to sign with: {error}") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return key, CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return key, "EdDSA"
    raise ValueError("SSE_JWT_KEY takes an RSA, P-256, P-384, P-521 or Ed25519 private key")


def _shown(grant: Grant) -> str:
    rights = {"may read": sorted(grant.subscribe), "may publish to": sorted(grant.publish)}
    return _lines(grant, rights, "may see and end connections" if grant.admin else "")


def _shown_topics(grant: TopicGrant) -> str:
    rights = {"private topics": sorted(grant.subscribe), "may publish to": sorted(grant.publish)}
    return _lines(grant, rights, "may read the public updates of all topics")


def _lines(grant: Bearer, rights: Mapping[str, Sequence[str]], more: str) -> str:
    until = "it has no end" if grant.until is None else timestamp(int(grant.until * 1000))
    rows = {name: ", ".join(granted) or "nothing" for name, granted in rights.items()} | {"until": until}
    lines = [f"  {f'{name}:':<16}{value}" for name, value in rows.items()]
    return "\n".join(["Accepted.", *lines, *([f"  {more}"] if more else [])])
