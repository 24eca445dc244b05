"""Tokens and rights: a token becomes a `Grant`, a value that the pattern check uses (docs/protocol.md, "Tokens").

This module knows JSON Web Tokens (RFC 7519) and key sets (RFC 7517), but neither HTTP nor the hub. The algorithm comes
from the key and never from the token. Otherwise a token could choose `none`, or use a public key as a secret.

Denied              a token is not accepted; the message says which check failed and what was expected, never a secret
KeySetUnavailable   there is no key, so no token can be checked now
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .core.events import check_pattern
from .rights import Grant

__all__ = [
    "Denied",
    "FixedKey",
    "KeySet",
    "KeySetUnavailable",
    "Keys",
    "Tokens",
    "end_of",
    "identity_of",
    "read_file",
    "read_key",
]

LEAST_SECRET_BYTES = 32
"""RFC 7518, section 3.2: the key must be as long as the hash. A shorter one could be guessed from a single token."""
LEEWAY = 10.0
"""Seconds by which the clocks of the issuer and the hub may differ."""
_SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")
_LATEST = 253_402_300_799
"""The end of the year 9999, in Unix seconds. Python has no later dates."""
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_CLAIMS = ("sse", "mercure")


class Denied(Exception):
    """A token that is not accepted. The message says which check failed and what was expected."""


class KeySetUnavailable(Exception):
    """There is no key, so no token can be checked now. This state passes."""


class Keys(Protocol):
    """A source of keys."""

    async def key_of(self, header: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """The key for a token with this header, and the algorithms that the key may be used with.

        :raises Denied: if there is no such key.
        :raises KeySetUnavailable: if the keys are not known now.
        """


class FixedKey:
    """One key for all tokens."""

    def __init__(self, key: Any, algorithms: tuple[str, ...]) -> None:
        self._key = key
        self.algorithms = algorithms

    async def key_of(self, header: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """See `Keys`."""
        return self._key, self.algorithms


def read_file(value: str) -> str:
    """The key itself, or the content of the file that `@FILE` names.

    :raises OSError: if the file cannot be read.
    :raises ValueError: if the file is not text.
    """
    if not value.startswith("@"):
        return value
    with open(value[1:], encoding="utf-8") as file:
        return file.read().strip()


def read_key(text: str) -> FixedKey:
    """A secret, or a public key in PEM.

    :raises ValueError: if it is a private key, a key of an unknown kind, or a secret that is too short.
    """
    if "PRIVATE KEY-----" in text:
        raise ValueError("the public key; a hub only checks tokens and should not have the private key")
    if "-----BEGIN" not in text:
        if len(text.encode()) < LEAST_SECRET_BYTES:
            raise ValueError(f"a secret of at least {LEAST_SECRET_BYTES} bytes; make one with: openssl rand -hex 32")
        return FixedKey(text.encode(), _SECRET_ALGORITHMS)
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        raise ValueError("a secret, or a public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    if isinstance(key, rsa.RSAPublicKey):
        return FixedKey(key, ("RS256", "RS384", "RS512"))
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return FixedKey(key, (CURVES[key.curve.name],))
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return FixedKey(key, ("EdDSA",))
    raise ValueError("an RSA, P-256, P-384, P-521 or Ed25519 public key")


class KeySet:
    """The keys that an issuer publishes. They are fetched when they are needed, and again when a token names an unknown
    key.

    :param fetch: returns the key set (RFC 7517) as a mapping; raises OSError or ValueError if it cannot.
    :param clock: seconds; it never goes back.
    """

    AGE = 600.0
    """Seconds after which the set is fetched again. From then on, a withdrawn key is no longer accepted."""
    PAUSE = 10.0
    """Shortest time in seconds between two fetches. Tokens with invented key ids must not flood the issuer with
    requests."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Mapping[str, Any]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._fetched: float | None = None
        self._tried: float | None = None
        self._failure = ""
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def _is_old(self) -> bool:
        return self._fetched is None or self._clock() - self._fetched > self.AGE

    async def key_of(self, header: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """See `Keys`. A known key is returned at once, even from an old set. Only an unknown key waits for the
        issuer."""
        found = self._find(header)
        if found is None:
            refreshing = self._refresh_soon()
            if refreshing is not None:
                await asyncio.shield(refreshing)  # other tokens wait for the same fetch
            found = self._find(header)
        elif self._is_old:
            self._refresh_soon()
        if found is None:
            kid = str(header.get("kid"))[:80]
            if self._failure:
                raise KeySetUnavailable(self._failure)
            raise Denied(f"its key {kid!r} (kid) is not among the {len(self._keys)} of the key set")
        return found.key, (found.algorithm_name,)

    def expire(self) -> None:
        """Fetch the set again when the next token comes. Until it has arrived, the known keys are used."""
        self._fetched = self._tried = None

    async def close(self) -> None:
        """Cancel a running fetch."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _refresh_soon(self) -> asyncio.Task[None] | None:
        """The running fetch, or a new one. None if the last fetch began less than `PAUSE` ago."""
        if self._refreshing is None or self._refreshing.done():
            now = self._clock()
            if self._tried is not None and now - self._tried < self.PAUSE:
                return None
            self._tried = now
            self._refreshing = asyncio.create_task(self._refresh(now))
        return self._refreshing

    async def _refresh(self, now: float) -> None:
        try:
            values = (await self._fetch())["keys"]
            # A key that PyJWT does not know belongs to other software. The other keys are still good.
            self._keys = [key for key in map(_readable, values) if key is not None]
            self._fetched = now
            self._failure = ""
        except Exception as error:  # an issuer may answer anything; tokens with known keys must stay valid
            self._failure = f"the key set cannot be fetched: {str(error) or type(error).__name__}"

    def _find(self, header: Mapping[str, Any]) -> jwt.PyJWK | None:
        if "kid" in header:
            return next((key for key in self._keys if key.key_id == header["kid"]), None)
        return self._keys[0] if len(self._keys) == 1 else None


def _readable(value: Any) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK.from_dict(value)
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None if key.algorithm_name in _SECRET_ALGORITHMS or value.get("use", "sig") != "sig" else key


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


def _patterns(name: str, claim: Mapping[str, Any], part: str) -> tuple[str, ...]:
    patterns = claim.get(part, [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise Denied(f"{part} in the claim {name} is {_shown(patterns)}; it takes a list of channels and patterns")
    found = []
    for pattern in patterns:
        try:
            found.append(check_pattern(pattern))
        except ValueError as error:
            if name != "mercure":  # the other selectors of Mercure are not meant for channels
                raise Denied(f"{part} in the claim {name}: {error}") from None
    return tuple(found)


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
