"""`sse-server token mint` makes tokens, and `sse-server token explain` shows why a token is not accepted."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

import click
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..auth import CURVES, LEAST_SECRET_BYTES, Denied, Tokens, read_file, read_key, unverified_claims
from ..core.events import check_pattern, timestamp
from ..rights import Grant

__all__ = ["command"]

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
@click.option("--expires", default="1h", metavar="TIME", help="Lifetime of the token, such as 90s, 15m, 1h, 30d (1h).")
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
    subject: str | None,
    expires: str,
    issuer: str | None,
    audience: str | None,
    jwt_key: str,
) -> None:
    """Make a token and print it."""
    try:
        claim: dict[str, Any] = {
            "subscribe": [check_pattern(pattern) for pattern in subscribe],
            "publish": [check_pattern(pattern) for pattern in publish],
        }
        signer, algorithm = _signing_key(read_file(jwt_key))
        seconds = _lifetime(expires)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    if admin:
        claim["admin"] = True
    now = int(time.time())
    claims = {"iat": now, "exp": now + seconds, "sub": subject, "iss": issuer, "aud": audience}
    payload = {name: value for name, value in claims.items() if value is not None} | {"sse": claim}
    click.echo(jwt.encode(payload, signer, algorithm))


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
        grant = asyncio.run(tokens.grant(token))
    except Denied as denied:
        click.echo(f"Not accepted: {denied}.")
        raise click.exceptions.Exit(1) from None
    click.echo(_shown(grant))


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
    assert grant.until is not None
    lines = [
        "Accepted.",
        f"  may read:       {', '.join(grant.subscribe) or 'nothing'}",
        f"  may publish to: {', '.join(grant.publish) or 'nothing'}",
        f"  until:          {timestamp(int(grant.until * 1000))}",
    ]
    return "\n".join([*lines, "  may see and end connections"] if grant.admin else lines)
