"""A histogram of durations for Prometheus.

`prometheus_client` has one, too. It can be used by several threads, so each observation takes three locks, and a
publish makes two observations. This one belongs to the event loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

__all__ = ["Histogram"]


class Histogram(Collector):
    """Counts durations by their length.

    :param bounds: the upper bounds of the buckets in seconds, in ascending order. One without a bound is added.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = bounds
        self._labels = [*map(floatToGoString, bounds), "+Inf"]
        self._counts = [0] * len(self._labels)
        self._seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(self._labels, accumulate(self._counts), strict=True)), self._seconds)
        yield family
