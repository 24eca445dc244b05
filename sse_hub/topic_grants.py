"""The rights to topics: the claim `mercure` of a token becomes a `TopicGrant` (docs/protocol.md, "Rights")."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .auth import LEEWAY, Tokens, end_of, identity_of
from .core.events import compact_json
from .core.topics import any_matches
from .keys import Denied
from .rights import Bearer

__all__ = ["EVERYTHING_PUBLIC", "MERCURE_CLAIMS", "NO_TOPICS", "PUBLIC", "TopicGrant", "topic_grant"]

MERCURE_CLAIMS = ("https://mercure.rocks/", "mercure")
"""Names of the claim. The first one that a token has counts."""
_MOST_SELECTORS = 1000


@dataclass(frozen=True, slots=True)
class TopicGrant(Bearer):
    """The rights of one request to topics."""

    follow: bool = False
    """Whether it may follow topics. It then gets their public updates."""
    subscribe: frozenset[str] = frozenset()
    """Selectors of the topics whose private updates it may read."""
    publish: frozenset[str] = frozenset()
    payload: object = None
    """Any JSON value that the issuer has put into the token."""

    def may_publish(self, topic: str) -> bool:
        """Whether an update may have this topic."""
        return any_matches(self.publish, (topic,))

    def may_read(self, topic: str) -> bool:
        """Whether private updates of this topic may be read."""
        return any_matches(self.subscribe, (topic,))


NO_TOPICS = TopicGrant()
PUBLIC = TopicGrant(follow=True)
EVERYTHING_PUBLIC = TopicGrant(follow=True, publish=frozenset({"*"}))
"""The rights of requests without a token, by `--anonymous`. They never read private updates."""


async def topic_grant(tokens: Tokens, token: str) -> TopicGrant:
    """Check a token and return its rights to topics. `exp` is optional.

    :raises Denied: if it is not accepted.
    :raises KeySetUnavailable: if there is no key to check it with.
    """
    claims = await tokens.claims(token, endless=True)
    subject = claims.get("sub")
    name = next((name for name in MERCURE_CLAIMS if name in claims), None)
    claim = claims[name] if name is not None else {}
    if not isinstance(claim, dict):
        raise Denied(f"the claim {name} is a {type(claim).__name__}; it takes an object with publish and subscribe")
    return TopicGrant(
        True,
        _selectors(name, claim, "subscribe"),
        _selectors(name, claim, "publish"),
        _payload(name, claim),
        until=_end(claims),
        subject=subject if isinstance(subject, str) else None,
        identity=identity_of(claims, token),
    )


def _end(claims: Mapping[str, Any]) -> float | None:
    if claims.get("exp") is None:
        return None
    until = end_of(claims)
    return until if until > time.time() else time.time() + LEEWAY  # PyJWT has allowed for clocks that differ


def _payload(name: str | None, claim: Mapping[str, Any]) -> object:
    """The payload, which the list of subscriptions and the updates about them show. Python also reads numbers that JSON
    does not have; these documents could not be written with them."""
    payload = claim.get("payload")
    try:
        compact_json(payload)
    except (RecursionError, ValueError) as error:
        raise Denied(f"payload in the claim {name} is not JSON: {error}") from None
    return payload


def _selectors(name: str | None, claim: Mapping[str, Any], part: str) -> frozenset[str]:
    selectors: Collection[str] | None = claim.get(part)
    if selectors is None:
        return frozenset()
    if not isinstance(selectors, list) or not all(isinstance(selector, str) for selector in selectors):
        raise Denied(f'{part} in the claim {name} is not a list of topic selectors; it looks like ["https://e.com/a"]')
    if len(selectors) > _MOST_SELECTORS:
        raise Denied(f"{part} in the claim {name} has {len(selectors)} selectors; it may have {_MOST_SELECTORS}")
    return frozenset(selectors)
