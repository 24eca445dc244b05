"""Tokens and rights: a token becomes a `Grant`, a value that the pattern check uses (docs/protocol.md, "Tokens").

This module knows JSON Web Tokens (RFC 7519), but neither HTTP nor the hub. The algorithm comes from the key (keys.py)
and never from the token. Otherwise a token could choose `none`, or use a public key as a secret.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jwt

from .core.events import check_pattern
from .keys import Denied, Keys
from .rights import Grant

__all__ = ["LEEWAY", "Tokens", "end_of", "granted", "identity_of", "unverified_claims"]

LEEWAY = 10.0
"""Seconds by which the clocks of the issuer and the hub may differ."""
_LATEST = 253_402_300_799
"""The end of the year 9999, in Unix seconds. Python has no later dates."""
_CLAIMS = ("sse", "mercure")


class Tokens:
    """Checks tokens.

    :param keys: `FixedKey` or `KeySet`.
    :param issuer: the value that `iss` must have; empty for any.
    :param audience: the value that `aud` must contain; empty for any.
    """

    def __init__(self, keys: Keys, *, issuer: str = "", audience: str = "") -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def grant(self, token: str) -> Grant:
        """Check a token and return the rights that it grants.

        :raises Denied: if it is not accepted.
        :raises KeySetUnavailable: if there is no key to check it with.
        """
        claims = await self.claims(token)
        grant = granted(claims)
        ends = grant.until if grant.until is not None and grant.until > time.time() else time.time() + LEEWAY
        return replace(grant, identity=identity_of(claims, token), until=ends)

    async def claims(self, token: str, *, endless: bool = False) -> Mapping[str, Any]:
        """Check a token and return its claims.

        :param endless: whether to accept a token without `exp`, and a token with a later `iat` than now.
        :raises Denied: if it is not accepted.
        :raises KeySetUnavailable: if there is no key to check it with.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Denied(f"it is not a JSON Web Token: {error}") from None
        key, algorithms = await self._keys.key_of(header)
        if header.get("alg") not in algorithms:
            named = str(header.get("alg"))[:40]
            raise Denied(f"its algorithm is {named!r}; the key needs {' or '.join(algorithms)}")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                issuer=self._issuer or None,
                audience=self._audience or None,
                leeway=LEEWAY,
                options={
                    "require": [] if endless else ["exp"],
                    "verify_iat": not endless,
                    "verify_aud": bool(self._audience),
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Denied(self._reason(error, token)) from None
        return claims

    def _reason(self, error: Exception, token: str) -> str:
        claims = unverified_claims(token)
        match error:
            case jwt.InvalidSignatureError():
                return "its signature does not fit the key: it was signed with another key, or changed afterwards"
            case jwt.ExpiredSignatureError():
                return f"it has expired: exp is {_moment(claims.get('exp'))}, now is {_moment(time.time())}"
            case jwt.ImmatureSignatureError():
                later = claims.get("nbf", claims.get("iat"))
                return f"it is not valid yet: nbf or iat is {_moment(later)}, now is {_moment(time.time())}"
            case jwt.InvalidAudienceError() | jwt.MissingRequiredClaimError(claim="aud"):
                return f"its audience (aud) is {_shown(claims.get('aud'))}; it should contain {self._audience!r}"
            case jwt.InvalidIssuerError() | jwt.MissingRequiredClaimError(claim="iss"):
                return f"its issuer (iss) is {_shown(claims.get('iss'))}; it should be {self._issuer!r}"
            case jwt.MissingRequiredClaimError():
                return f"the claim {error.claim} is missing; every token needs a time at which it ends"
            case OverflowError():
                return "its exp, nbf or iat is out of range; each takes Unix seconds before the year 10000"
        return f"it cannot be decoded: {error}"


def identity_of(claims: Mapping[str, Any], token: str) -> str:
    """The name under which the limits for a token are counted."""
    if isinstance(subject := claims.get("sub"), str):
        return f"sub {subject}"
    return f"token {hashlib.sha256(token.encode()).hexdigest()[:32]}"


def granted(claims: Mapping[str, Any]) -> Grant:
    """The rights that verified claims grant.

    :raises Denied: if the claim `sse` or `mercure` is missing or malformed.
    """
    name = next((name for name in _CLAIMS if name in claims), None)
    if name is None:
        raise Denied('the claim sse is missing; it looks like {"sse": {"subscribe": ["sensors.*"], "publish": []}}')
    claim = claims[name]
    if not isinstance(claim, dict):
        raise Denied(f"the claim {name} is {_shown(claim)}; it takes an object with subscribe and publish")
    admin = claim.get("admin", False)
    if not isinstance(admin, bool):
        raise Denied(f"admin in the claim {name} is {_shown(admin)}; it takes true or false")
    subject = claims.get("sub")
    return Grant(
        _patterns(name, claim, "subscribe"),
        _patterns(name, claim, "publish"),
        admin,
        until=end_of(claims),
        subject=subject if isinstance(subject, str) else None,
    )


def end_of(claims: Mapping[str, Any]) -> float:
    """The Unix time in seconds at which the rights of these claims end.

    :raises Denied: if `exp` is not a time. JSON has numbers of any size, and PyJWT reads a text of digits as a number.
    """
    exp = claims["exp"]
    try:
        until = float(exp)
    except (OverflowError, TypeError, ValueError):
        until = math.inf
    if isinstance(exp, str) or not -_LATEST <= until <= _LATEST:
        raise Denied("exp is not a time; it takes a number of Unix seconds before the year 10000")
    return until


def _patterns(name: str, claim: Mapping[str, Any], part: str) -> frozenset[str]:
    patterns = claim.get(part, [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise Denied(f"{part} in the claim {name} is {_shown(patterns)}; it takes a list of channels and patterns")
    found: set[str] = set()
    for pattern in patterns:
        try:
            found.add(check_pattern(pattern))
        except ValueError as error:
            if name != "mercure":  # the other selectors of Mercure are not meant for channels
                raise Denied(f"{part} in the claim {name}: {error}") from None
    return frozenset(found)


def unverified_claims(token: str) -> Mapping[str, Any]:
    """The claims of a token, unchecked. They serve to explain what is wrong with it; nothing else may use them."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return {}
    return claims


def _moment(value: object) -> str:
    if isinstance(value, int | float):
        try:
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
        except (OverflowError, ValueError, OSError):
            pass
    return _shown(value)


def _shown(value: object) -> str:
    return repr(value)[:80]
