"""The rights of a request: a value that knows nothing of tokens or HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from .core.matcher import matches_any

__all__ = ["ALL", "NOTHING", "READ", "Bearer", "Grant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """The sender of a request, as its token describes it."""

    until: float | None = None
    """Unix time in seconds at which the rights end."""
    subject: str | None = None
    """The claim `sub` of the token."""
    identity: str = ""
    """The name under which limits are counted: the subject, or a hash of a token without one. Empty without a token."""

    @property
    def anonymous(self) -> bool:
        """Whether there was no token."""
        return not self.identity


@dataclass(frozen=True, slots=True)
class Grant(Bearer):
    """The rights of one request: channels that it may read and publish to, and for how long."""

    subscribe: frozenset[str] = frozenset()
    """Channels and patterns."""
    publish: frozenset[str] = frozenset()
    admin: bool = False
    """Whether it may list the subscribers and end their streams."""

    def may_subscribe(self, channel: str) -> bool:
        """Whether the channel may be read."""
        return matches_any(self.subscribe, channel)

    def may_publish(self, channel: str) -> bool:
        """Whether the channel may be published to."""
        return matches_any(self.publish, channel)


_EVERY_CHANNEL = frozenset({"*"})
ALL = Grant(_EVERY_CHANNEL, _EVERY_CHANNEL, admin=True)
READ = Grant(_EVERY_CHANNEL)
NOTHING = Grant()
