"""`sse-server token mint` and `sse-server token explain`: making tokens, and seeing why one is not accepted."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .auth import CURVES, LEAST_SECRET_BYTES, Denied, Grant, Tokens, read_file, read_key, unverified_claims
from .core.events import check_pattern, timestamp
from .stdio import complain

__all__ = ["main"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _fail(f"{message}; --help shows how", 2)


def _fail(message: str, status: int) -> NoReturn:
    complain(f"sse-server token: {message}")
    raise SystemExit(status)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command; return the exit status: 0, or 1 for a token that is not accepted.

    :raises SystemExit: with status 2 and one line on stderr for a wrong use.
    """
    given = _parser().parse_args(arguments)
    key = given.jwt_key or environment.get("SSE_JWT_KEY", "")
    if given.command == "mint":
        return _mint(given, key)
    return _explain(given, key, environment)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="sse-server token", description="Make tokens, and see why one is not accepted.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="mint|explain")
    mint = commands.add_parser("mint", help="make a token and print it")
    mint.add_argument("--subscribe", action="append", default=[], metavar="PATTERN", help="may be read; repeatable")
    mint.add_argument(
        "--publish", action="append", default=[], metavar="PATTERN", help="may be published to; repeatable"
    )
    mint.add_argument("--admin", action="store_true", help="may see and end connections")
    mint.add_argument("--subject", metavar="NAME", help="whom it is about (sub)")
    mint.add_argument("--expires", default="1h", metavar="TIME", help="how long it lasts: 90s, 15m, 1h, 30d (1h)")
    mint.add_argument("--issuer", metavar="ISS", help="who made it (iss)")
    mint.add_argument("--audience", metavar="AUD", help="whom it is for (aud)")
    explain = commands.add_parser("explain", help="say what a token grants, or why it is not accepted")
    explain.add_argument("token", metavar="TOKEN", help="the token, or - for standard input")
    explain.add_argument("--jwt-issuer", metavar="ISS", help="as the server's flag (SSE_JWT_ISSUER)")
    explain.add_argument("--jwt-audience", metavar="AUD", help="as the server's flag (SSE_JWT_AUDIENCE)")
    for command, kind in ((mint, "secret or private key in PEM"), (explain, "secret or public key in PEM")):
        command.add_argument("--jwt-key", metavar="KEY", help=f"{kind}, or @FILE; better the variable SSE_JWT_KEY")
    return parser


def _mint(given: argparse.Namespace, key: str) -> int:
    try:
        claim: dict[str, Any] = {
            "subscribe": [check_pattern(pattern) for pattern in given.subscribe],
            "publish": [check_pattern(pattern) for pattern in given.publish],
        }
        signer, algorithm = _signing_key(read_file(key))
        seconds = _lifetime(given.expires)
    except (ValueError, OSError) as error:
        _fail(str(error), 2)
    if given.admin:
        claim["admin"] = True
    now = int(time.time())
    claims = {"iat": now, "exp": now + seconds, "sub": given.subject, "iss": given.issuer, "aud": given.audience}
    payload = {name: value for name, value in claims.items() if value is not None} | {"sse": claim}
    print(jwt.encode(payload, signer, algorithm))
    return 0


def _lifetime(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None or not int(match[1]):
        raise ValueError(f"--expires is {text!r}; it takes a number and a unit: 90s, 15m, 1h, 30d")
    return int(match[1]) * _UNITS[match[2]]


def _signing_key(text: str) -> tuple[Any, str]:
    """What signs tokens, and by which algorithm.

    :raises ValueError: if there is no such key.
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


def _explain(given: argparse.Namespace, key: str, environment: Mapping[str, str]) -> int:
    token = (sys.stdin.read() if given.token == "-" else given.token).strip().removeprefix("Bearer ")  # noqa: S105
    claims = unverified_claims(token)
    if claims:
        print(json.dumps(claims, indent=2, ensure_ascii=False))
    if not key:
        print("Whether it is accepted cannot be said without the key: SSE_JWT_KEY or --jwt-key.")
        return 0
    try:
        tokens = Tokens(
            read_key(read_file(key)),
            issuer=given.jwt_issuer or environment.get("SSE_JWT_ISSUER", ""),
            audience=given.jwt_audience or environment.get("SSE_JWT_AUDIENCE", ""),
        )
        grant = asyncio.run(tokens.grant(token))
    except (ValueError, OSError) as error:
        _fail(f"the key takes {error}", 2)
    except Denied as denied:
        print(f"Not accepted: {denied}.")
        return 1
    print(_told(grant))
    return 0


def _told(grant: Grant) -> str:
    assert grant.until is not None
    lines = [
        "Accepted.",
        f"  may read:       {', '.join(grant.subscribe) or 'nothing'}",
        f"  may publish to: {', '.join(grant.publish) or 'nothing'}",
        f"  until:          {timestamp(int(grant.until * 1000))}",
    ]
    return "\n".join([*lines, "  may see and end connections"] if grant.admin else lines)
