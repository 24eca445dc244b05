"""What the log and the metrics say about event streams: a line when a stream begins, and one when it ends."""

from __future__ import annotations

import logging
import time

from ..core.hub import Subscriber
from ..core.start import Start
from ..logs import log_line
from ..metrics import Metrics
from .connection import Connection, SubscriberInfo

__all__ = ["StreamLog"]

logger = logging.getLogger("sse_hub.streams")


class StreamLog:
    """Notes the beginning and the end of streams."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def begin(self, info: SubscriberInfo, subscriber: Subscriber, start: Start) -> None:
        """Note that a stream has begun."""
        replayed = "replayed" if start.replay or start.latest or start.from_start else None
        outcome = "lost" if subscriber.lost else "resumed" if subscriber.resumed else replayed
        if outcome is not None:
            self._metrics.replays[outcome].inc()
        log_line(
            logger,
            logging.INFO,
            "stream begins",
            id=info.id,
            address=info.address,
            channels=info.channels[:10],
            **({} if outcome is None else {"start": outcome}),
            **({} if info.grant.subject is None else {"subject": info.grant.subject}),
        )

    def end(self, connection: Connection) -> None:
        """Note that a stream has ended, whose subscriber the hub has forgotten."""
        self._metrics.ended[connection.ended].inc()
        log_line(
            logger,
            logging.INFO,
            "stream ends",
            id=connection.info.id,
            request=connection.info.request,
            reason=connection.ended,
            seconds=round(time.time() - connection.info.since_ms / 1000, 3),
            bytes=connection.subscriber.handed_bytes,
        )
