"""Metrics: the exposition for Prometheus, and the values of the `metrics` channel.

The hub counts by itself, and its statistics are read when Prometheus scrapes. No label here has values that a client
can invent, because each new value would cost memory for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    exposition,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .core.statistics import Statistics
from .histogram import Histogram
from .logs import log_line
from .worker import Figures, Worker

__all__ = ["Metrics"]

# 50 µs to 2.5 s: from one turn of an idle event loop to a disk that hesitates.
_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
logger = logging.getLogger("sse_hub.limits")

_LAG_PERIOD = 0.5
LIMITS = (
    "subscribers",
    "address",
    "channels_per_connection",
    "templates",
    "publish_rate",
    "body",
    "request_time",
    "idempotency_keys",
    "batch",
    "replay",
    "in_flight",
)
"""Limits that are counted here. The log counts those of `channels` and `retained_bytes`."""
REPLAYS = ("resumed", "replayed", "lost")
ENDINGS = ("left", "stalled", "expired", "ended", "drained", "complete", "incomplete", "lost")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

_GAUGES = {
    "sse_subscribers": ("Event streams that are open.", "subscribers"),
    "sse_subscribers_behind": ("Open event streams that are being fed from the log at their own pace.", "behind"),
    "sse_subscriptions": ("Different subscriptions of the open event streams.", "subscriptions"),
    "sse_channels": ("Channels that the log knows.", "channels"),
    "sse_events_retained": ("Events in the log.", "retained"),
    "sse_open_runs": ("Channels that will end, by their rule, and have not ended.", "open_runs"),
    "sse_retained_bytes": ("Bytes of the events in the log, with their approximate cost in memory.", "retained_bytes"),
}
_COUNTERS = {
    "sse_events_published": ("Events accepted, ephemeral ones included.", "published"),
    "sse_events_delivered": ("Events handed to subscribers.", "delivered"),
    "sse_delivered_bytes": ("Bytes of event streams handed to subscribers.", "delivered_bytes"),
    "sse_events_conflated": ("Events that were not sent because a newer one superseded them.", "conflated"),
    "sse_store_passed_over": ("Entries in the store that do not belong to this hub.", "passed_over"),
    "sse_losses": ("Times that a subscriber was informed of a loss of events.", "lost"),
}


class _HubCollector(Collector):
    """The hub's statistics as metrics of Prometheus."""

    def __init__(
        self,
        statistics: Callable[[], Statistics],
        answers: Mapping[tuple[str, str, int], int],
        limit_hits: Mapping[str, int],
        restarts: Mapping[str, int],
    ) -> None:
        self._statistics = statistics
        self._answers = answers
        self._limit_hits = limit_hits
        self._restarts = restarts

    def collect(self) -> Iterator[Metric]:
        statistics = self._statistics()
        for name, (documentation, attribute) in _GAUGES.items():
            yield GaugeMetricFamily(name, documentation, value=getattr(statistics, attribute))
        for name, (documentation, attribute) in _COUNTERS.items():
            yield CounterMetricFamily(name, documentation, value=getattr(statistics, attribute))
        answered = CounterMetricFamily(
            "sse_http_requests",
            "Requests answered, by route, method and status.",
            labels=["route", "method", "status"],
        )
        for (route, method, status), count in self._answers.items():
            answered.add_metric([route, method, str(status)], count)
        yield answered
        hits = CounterMetricFamily("sse_limit_hits", "Times that a limit was met, by limit.", labels=["limit"])
        for limit, count in {**self._limit_hits, **statistics.evicted}.items():
            hits.add_metric([limit], count)
        yield hits
        ended = CounterMetricFamily("sse_channels_ended", "Channels that have ended, by reason.", labels=["reason"])
        for reason, count in statistics.ended.items():
            ended.add_metric([reason], count)
        yield ended
        restarts = CounterMetricFamily(
            "sse_background_restarts",
            "Times that a background task failed and was started again, by task.",
            labels=["task"],
        )
        for task, count in self._restarts.items():
            restarts.add_metric([task], count)
        yield restarts


class _Workers(Collector):
    """The figures of several workers as those of one server.

    :param found: their figures, by number.
    """

    def __init__(self, found: Mapping[int, Sequence[Metric]]) -> None:
        self._found = found

    def describe(self) -> Iterator[Metric]:
        """Return nothing. This registry is made for one answer, so duplicate names need no check."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for number, found in sorted(self._found.items()):
            for each in found:
                family = families.setdefault(each.name, Metric(each.name, each.documentation, each.type, each.unit))
                family.samples += [s._replace(labels={"worker": str(number), **s.labels}) for s in each.samples]
        yield from families.values()


class Metrics:
    """The counters of this server and the load of its host.

    :param statistics: returns the figures of the hub.
    :param node: name of this node.
    :param restarts: restarts of background tasks, by task.
    :param worker: this process among the server's workers.
    """

    def __init__(
        self,
        statistics: Callable[[], Statistics],
        node: str,
        restarts: Mapping[str, int] = MappingProxyType({}),
        worker: Worker | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        """A registry of Prometheus for this application only, because there may be several in a process."""
        self._statistics = statistics
        self._worker = Worker() if worker is None else worker
        self.node = node
        """Name of this node."""
        self._limit_hits = dict.fromkeys(LIMITS, 0)
        self._began = time.monotonic()
        self._requests = self._errors = 0
        self._answers: dict[tuple[str, str, int], int] = {}
        self.publish_seconds = self._histogram("sse_publish_seconds", "Time from a publish's arrival to its answer.")
        self.delivery_seconds = self._histogram(
            "sse_delivery_seconds",
            "Time from the moment at which a flush is due until about 64 subscribers have got its bytes.",
        )
        self.store_seconds = self._histogram("sse_store_seconds", "Time that the store took to accept a publish.")
        self.loop_lag_seconds = self._histogram(
            "sse_event_loop_lag_seconds", "Delay of a timer in the event loop, measured twice a second."
        )
        self.replays = self._counter("sse_replays", "Streams that began with a replay, by outcome.", "outcome", REPLAYS)
        self.ended = self._counter("sse_streams_ended", "Event streams that have ended, by reason.", "reason", ENDINGS)
        self.store_errors = Counter(
            "sse_store_errors", "Times that the store could not be used.", registry=self.registry
        )
        self.tokens_refused = Counter("sse_tokens_refused", "Tokens that were not accepted.", registry=self.registry)
        self.idempotency_keys = Gauge(
            "sse_idempotency_keys", "Answers kept for an Idempotency-Key.", registry=self.registry
        )
        self.in_flight_bytes = Gauge(
            "sse_in_flight_bytes",
            "Bytes of publishes that arrive or are being stored, and of histories that are being sent.",
            registry=self.registry,
        )
        self.registry.register(_HubCollector(statistics, self._answers, self._limit_hits, restarts))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        psutil.cpu_percent(None)  # the first call has nothing to compare with and returns 0
        self._previous = self._totals()

    @property
    def uptime(self) -> float:
        """Seconds since this server was made."""
        return time.monotonic() - self._began

    def _histogram(self, name: str, documentation: str) -> Histogram:
        histogram = Histogram(name, documentation, _BUCKETS)
        self.registry.register(histogram)
        return histogram

    def _counter(self, name: str, documentation: str, label: str, values: Sequence[str]) -> Mapping[str, Counter]:
        """A counter, by the value of its label. All are there from the beginning, so Prometheus sees the first rise."""
        counter = Counter(name, documentation, [label], registry=self.registry)
        return {value: counter.labels(value) for value in values}

    def hit_limit(self, limit: str, **values: object) -> None:
        """Count and log that a limit was met.

        :param limit: one of `LIMITS`.
        :param values: the client, for the log.
        """
        self._limit_hits[limit] += 1
        log_line(logger, logging.INFO, f"limit met: {limit}", **values)

    async def measure_lag(self) -> None:
        """Measure the lag of the event loop, until cancelled."""
        while True:
            due = time.perf_counter() + _LAG_PERIOD
            await asyncio.sleep(_LAG_PERIOD)
            self.loop_lag_seconds.observe(max(time.perf_counter() - due, 0.0))

    def count_answer(self, route: str, method: str, status: int) -> None:
        """Count an answer; event streams count when they begin."""
        self._requests += 1
        self._errors += status >= 400
        method = method if method in _METHODS else "other"  # a client can invent methods
        key = route, method, status
        self._answers[key] = self._answers.get(key, 0) + 1

    def timed(self, flush: Callable[[], None]) -> Callable[[], None]:
        """The same flush, which also measures the time from this call to its end."""
        begun = time.perf_counter()

        def measured() -> None:
            flush()
            self.delivery_seconds.observe(time.perf_counter() - begun)

        return measured

    def figures(self) -> dict[str, float | int | str]:
        """The data of a `metrics` event (docs/protocol.md, "The demonstration feed"): those of all workers together.
        Rates are means since the previous call."""
        before, after = self._previous, self._totals()
        self._previous = after
        seconds = max(after["seconds"] - before["seconds"], 1e-3)
        # A counter falls when an interface of the kernel goes away, and when a worker is replaced.
        risen = {name: max(after[name] - before[name], 0) for name in after}
        memory = psutil.virtual_memory()
        return {
            "cpu_percent": psutil.cpu_percent(None),
            "memory_percent": memory.percent,
            "memory_used_bytes": memory.used,
            "network_received_bytes_per_second": round(risen["received"] / seconds, 1),
            "network_sent_bytes_per_second": round(risen["sent"] / seconds, 1),
            "requests_per_second": round(risen["requests"] / seconds, 2),
            "error_rate": round(risen["errors"] / risen["requests"], 4) if risen["requests"] else 0.0,
            "subscribers": self.total().subscribers,
            "events_per_second": round(risen["published"] / seconds, 2),
            "deliveries_per_second": round(risen["delivered"] / seconds, 2),
            "node": self.node,
        }

    def share(self) -> None:
        """Write the figures of this worker for the others."""
        statistics = self._statistics()
        figures = Figures(
            statistics.subscribers, statistics.published, statistics.delivered, self._requests, self._errors
        )
        self._worker.board.write(self._worker.number, figures)

    @property
    def streams(self) -> int:
        """Event streams that are open in this process."""
        return self._statistics().subscribers

    def total(self) -> Figures:
        """The figures of all workers together: its own of this moment, those of the others at most a second old."""
        self.share()
        return self._worker.board.total()

    def _totals(self) -> dict[str, float]:
        total = self.total()
        network = psutil.net_io_counters()  # None where there is no interface at all, as in some sandboxes
        return {
            "seconds": time.monotonic(),
            "received": network.bytes_recv if network else 0,
            "sent": network.bytes_sent if network else 0,
            "requests": total.requests,
            "errors": total.errors,
            "published": total.published,
            "delivered": total.delivered,
        }

    def exposition(self, accept: str, others: Mapping[int, Sequence[Metric]] | None = None) -> tuple[bytes, str]:
        """Everything in Prometheus' own format or in OpenMetrics, whichever the `Accept` header wants, and its content
        type.

        :param others: the figures of the other workers, by number; then each sample has the label `worker`.
        """
        try:
            encoder, content_type = exposition.choose_encoder(accept)
        except (TypeError, ValueError):  # it asks for a version that is not a number
            encoder, content_type = exposition.choose_encoder("")
        if others is None:
            return encoder(self.registry), content_type
        all_workers = CollectorRegistry()
        all_workers.register(_Workers({self._worker.number: list(self.registry.collect()), **others}))
        return encoder(all_workers), content_type
