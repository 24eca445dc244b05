"""The hub of all updates of the Mercure protocol.

It differs from another hub in two things. It finds the audiences of an update by its topics. And its streams have no
event `lost`, because clients would take it for an update. The stream of a subscriber that has lost updates ends.
Its client reconnects with its last id, and the headers of the answer report the loss.
"""

from __future__ import annotations

from collections.abc import Callable

from .audiences import Audiences
from .delivery import TURN_WRITES
from .events import Event, EventId
from .groups import Audience, State, Subscriber
from .hub import Hub
from .log import Log
from .topic_routing import TopicRouter

__all__ = ["UpdateHub"]


class UpdateHub(Hub):
    """The registry of the subscribers to topics.

    :param log: the log that subscribers are fed from.
    :param schedule: calls a function soon, but not at once: `call_soon` of the event loop.
    """

    on_loss: Callable[[Subscriber], None]
    """Ends the stream of a subscriber that has lost updates. It calls `unsubscribe`, so nothing more is written."""

    def __init__(self, log: Log, schedule: Callable[[Callable[[], None]], object]) -> None:
        super().__init__(log, schedule, audiences=Audiences(TURN_WRITES, TopicRouter()))
        self.observe: Callable[[Event], None] = _pass_over
        """Gets every update, in the order of all nodes."""

    def _note_accepted(self, event: Event) -> None:
        self.observe(event)

    def _inform_lost(self, audience: Audience, floor: EventId) -> None:
        for group in list(audience.groups):
            self.delivery.flush_group(group)
            for subscriber in list(group.live):
                self._lost += 1
                self.on_loss(subscriber)

    def _notice(self, subscriber: Subscriber, following: EventId) -> bytes:
        self._lost += 1
        self.on_loss(subscriber)
        return b""

    def _join(self, subscriber: Subscriber) -> None:
        if subscriber.state is not State.GONE:  # its stream may have ended in the same call
            super()._join(subscriber)


def _pass_over(event: Event) -> None:
    pass
