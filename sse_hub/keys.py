"""The keys that check tokens: a secret, a public key, or the key set of an issuer (RFC 7517).

Denied              a token is not accepted; the message says which check failed and what was expected, never a secret
KeySetUnavailable   there is no key, so no token can be checked now
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

__all__ = [
    "CURVES",
    "LEAST_SECRET_BYTES",
    "Denied",
    "FixedKey",
    "KeySet",
    "KeySetUnavailable",
    "Keys",
    "read_file",
    "read_key",
]

LEAST_SECRET_BYTES = 32
"""RFC 7518, section 3.2: the key must be as long as the hash. A shorter one could be guessed from a single token."""
_SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
"""The algorithm for each elliptic curve (RFC 7518, section 3.4)."""


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
