"""`sse-server token mint` makes tokens, and `sse-server token explain` shows why a token is not accepted."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..auth import CURVES, LEAST_SECRET_BYTES, Denied, Tokens, read_file, read_key, unverified_claims
from ..core.events import check_pattern, timestamp
from ..rights import Bearer, Grant
from ..topic_grants import TopicGrant, is_for_topics, topic_grant

__all__ = ["command"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group("token", invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def command(context: click.Context) -> None:
    """Make tokens, and find out why one is not accepted."""
    if context.invoked_subcommand is None:
        raise click.UsageError("it takes a command, mint or explain", context)


@command.command()
@click.option(
    "--subscribe", multiple=True, metavar="PATTERN", help="Channels, or topics, that may be read; repeatable."
)
@click.option(
    "--publish", multiple=True, metavar="PATTERN", help="Channels, or topics, that may be published to; repeatable."
)
@click.option(
    "--mercure", is_flag=True, help="The token is for the Mercure protocol: --subscribe and --publish are for topics."
)
@click.option("--payload", metavar="JSON", help="With --mercure: what the lists of active subscriptions show.")
@click.option("--admin", is_flag=True, help="The token may list and end streams.")
@click.option("--subject", metavar="NAME", help="Subject of the token (sub).")
@click.option(
    "--expires",
    default="1h",
    metavar="TIME",
    help="Lifetime of the token, such as 90s, 15m, 1h, 30d (1h); with --mercure, also never.",
)
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
    mercure: bool,
    payload: str | None,
    admin: bool,
    subject: str | None,
    expires: str,
    issuer: str | None,
    audience: str | None,
    jwt_key: str,
) -> None:
    """Make a token and print it."""
    now = int(time.time())
    try:
        if mercure:
            claim = {"mercure": _topic_claim(subscribe, publish, payload, admin)}
        else:
            claim = {"sse": _channel_claim(subscribe, publish, payload, admin)}
        signer, algorithm = _signing_key(read_file(jwt_key))
        ends = None if mercure and expires == "never" else now + _lifetime(expires)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    claims = {"iat": now, "exp": ends, "sub": subject, "iss": issuer, "aud": audience}
    click.echo(
        jwt.encode({name: value for name, value in claims.items() if value is not None} | claim, signer, algorithm)
    )


def _channel_claim(
    subscribe: Sequence[str], publish: Sequence[str], payload: str | None, admin: bool
) -> dict[str, object]:
    if payload is not None:
        raise ValueError("--payload belongs to the Mercure protocol: add --mercure")
    claim: dict[str, object] = {
        "subscribe": [check_pattern(pattern) for pattern in subscribe],
        "publish": [check_pattern(pattern) for pattern in publish],
    }
    return claim | {"admin": True} if admin else claim


def _topic_claim(
    subscribe: Sequence[str], publish: Sequence[str], payload: str | None, admin: bool
) -> dict[str, object]:
    if admin:
        raise ValueError("--admin is a right to the hub's own streams: make a token for it without --mercure")
    claim: dict[str, object] = {"subscribe": list(subscribe), "publish": list(publish)}
    if payload is None:
        return claim
    try:
        return claim | {"payload": json.loads(payload)}
    except ValueError as error:
        raise ValueError(f"--payload takes JSON: {error}") from None


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
    """Show what TOKEN grants, or why it is not accepted; - reads it from standard input.

    The status is 1 for a token that is not accepted."""
    token = (sys.stdin.read() if token == "-" else token).strip().removeprefix("Bearer ")  # noqa: S105 - a dash
    claims = unverified_claims(token)
    if claims:
        click.echo(json.dumps(claims, indent=2, ensure_ascii=False))
    if not jwt_key:
        click.echo("The token was not checked, because there is no key: set SSE_JWT_KEY or --jwt-key.")
        return
    try:
        tokens = Tokens(read_key(read_file(jwt_key)), issuer=jwt_issuer, audience=jwt_audience)
    except (ValueError, OSError) as error:
        raise click.UsageError(f"the key takes {error}") from None
    try:
        click.echo(asyncio.run(_rights(tokens, token, claims)))
    except Denied as denied:
        click.echo(f"Not accepted: {denied}.")
        raise click.exceptions.Exit(1) from None


async def _rights(tokens: Tokens, token: str, claims: Mapping[str, object]) -> str:
    """What a token grants.

    :raises Denied: if it is not accepted.
    """
    shown = []
    if "sse" in claims or not is_for_topics(claims):
        shown.append(_shown(await tokens.grant(token)))
    if is_for_topics(claims):
        shown.append(_shown_topics(await topic_grant(tokens, token)))
    return "\n".join(shown)


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
    lines = [
        "Accepted.",
        f"  may read:       {', '.join(grant.subscribe) or 'nothing'}",
        f"  may publish to: {', '.join(grant.publish) or 'nothing'}",
        f"  until:          {_end(grant)}",
    ]
    return "\n".join([*lines, "  may see and end connections"] if grant.admin else lines)


def _shown_topics(grant: TopicGrant) -> str:
    return "\n".join(
        [
            "Accepted by the Mercure protocol.",
            f"  may read private updates of: {', '.join(sorted(grant.subscribe)) or 'nothing'}",
            f"  may publish to:              {', '.join(sorted(grant.publish)) or 'nothing'}",
            f"  until:                       {_end(grant)}",
        ]
    )


def _end(grant: Bearer) -> str:
    return "it has no end" if grant.until is None else timestamp(int(grant.until * 1000))
