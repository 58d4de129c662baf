"""From OpenTelemetry's metrics to readings of components.

What the gateway would have to add up over time it doesn't: replicas would each add up a part. So a sum or histogram of
deltas becomes a rate over its interval, and only a cumulative histogram's quantiles rest on the state before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from services.gateway.domain.ingest.errors import TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.ingest.remote_write import Batch, Reading
from services.gateway.domain.otlp.attributes import Source, labels_of, source_of
from services.gateway.domain.otlp.distributions import (
    MAX_BUCKETS,
    MAX_SCALE,
    MIN_SCALE,
    QUANTILES,
    Distribution,
    LastDistributions,
    increase,
    quantile,
)
from services.gateway.domain.otlp.names import base_name, counter_name, gauge_name, rate_name
from services.gateway.domain.otlp.report import NS_PER_MS, Batches, Reason, Rejected, time_problem

MAX_POINTS = 50_000
NS_PER_S = 1_000_000_000
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

type Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


@dataclass(slots=True)
class Metrics:
    """What came of a request."""

    batches: list[Batch]
    rejected: Rejected
    marks: dict[int, Distribution] = field(default_factory=dict)
    """Series → newest state, to be noted once the batches are stored."""


def metrics_of(
    request: ExportMetricsServiceRequest, rule: ComponentRule, last: LastDistributions, now_ns: int
) -> Metrics:
    """Readings in batches; a point that can't be used takes no other with it.

    Raises:
        TooLargeError: more points than one request may have. Nothing of it is to be taken.
    """
    return _Reader(rule, last, now_ns).read(request)


class _Reader:
    def __init__(self, rule: ComponentRule, last: LastDistributions, now_ns: int) -> None:
        self._rule = rule
        self._last = last
        self._now_ns = now_ns
        self._batches = Batches()
        self._rejected = Rejected()
        self._marks: dict[int, Distribution] = {}

    def read(self, request: ExportMetricsServiceRequest) -> Metrics:
        count = 0
        for resource in request.resource_metrics:
            source = source_of(resource.resource, self._rule)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = _points(metric)
                    count += len(points)
                    if count > MAX_POINTS:
                        raise TooLargeError(f"more than {MAX_POINTS} data points at once", "send smaller batches")
                    self._metric(metric, points, source)
        return Metrics(self._batches.done, self._rejected, self._marks)

    def _metric(self, metric: Metric, points: Sequence[Point], source: Source) -> None:
        kind = metric.WhichOneof("data")
        base = base_name(metric.name, metric.unit, gauge=kind == "gauge")
        if not base or kind is None:
            self._rejected.add(Reason.NO_TYPE if base else Reason.NO_NAME, metric.name, max(1, len(points)))
            return
        for point in points:
            if point.flags & _NO_VALUE:
                continue
            problem = time_problem(point.time_unix_nano, self._now_ns)
            readings = problem or self._readings(metric, base, point, source)
            if isinstance(readings, Reason):
                self._rejected.add(readings, metric.name)
            else:
                self._batches.add(source.component, readings)

    def _readings(self, metric: Metric, base: str, point: Point, source: Source) -> list[Reading] | Reason:
        labels = labels_of(point.attributes, source)
        at_ms = point.time_unix_nano // NS_PER_MS
        match point:
            case NumberDataPoint():
                named = _number(metric, base, point)
            case SummaryDataPoint():
                return _summary(base, point, labels, at_ms)
            case _:
                delta = _is_delta(metric)
                distribution = _distribution(point)
                if isinstance(distribution, Reason):
                    return distribution
                named = _count_and_sum(base, point, delta=delta)
                if isinstance(named, dict) and distribution is not None:
                    key = hash((source.component, base, tuple(sorted(labels.items()))))
                    named |= self._quantiles(base, distribution, key, delta=delta)
        if isinstance(named, Reason):
            return named
        return [Reading(name, value, labels, at_ms) for name, value in named.items()]

    def _quantiles(self, base: str, now: Distribution, series: int, *, delta: bool) -> dict[str, float]:
        """Of the values since the last report."""
        news: Distribution | None = now
        if not delta:
            before = self._marks.get(series) or self._last.newest(series)
            news = increase(before, now) if before else None
            self._marks[series] = now
        if news is None:
            return {}
        found = {f"{base}_p{percent}": quantile(news, share) for percent, share in QUANTILES}
        return {name: value for name, value in found.items() if value is not None}


def _points(metric: Metric) -> Sequence[Point]:
    match metric.WhichOneof("data"):
        case "gauge":
            return metric.gauge.data_points
        case "sum":
            return metric.sum.data_points
        case "histogram":
            return metric.histogram.data_points
        case "exponential_histogram":
            return metric.exponential_histogram.data_points
        case "summary":
            return metric.summary.data_points
    return ()


def _is_delta(metric: Metric) -> bool:
    match metric.WhichOneof("data"):
        case "sum":
            return metric.sum.aggregation_temporality == _DELTA
        case "histogram":
            return metric.histogram.aggregation_temporality == _DELTA
        case "exponential_histogram":
            return metric.exponential_histogram.aggregation_temporality == _DELTA
    return False


def _number(metric: Metric, base: str, point: NumberDataPoint) -> dict[str, float] | Reason:
    match point.WhichOneof("value"):
        case "as_int":
            value = float(point.as_int)
        case "as_double":
            value = point.as_double
        case _:
            return Reason.NO_TYPE
    if metric.WhichOneof("data") == "gauge":
        return {gauge_name(base): value}
    if _is_delta(metric):
        interval_s = _interval_s(point)
        return Reason.NO_INTERVAL if interval_s is None else {rate_name(base): value / interval_s}
    return {counter_name(base) if metric.sum.is_monotonic else gauge_name(base): value}


def _interval_s(point: NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint) -> float | None:
    start_ns = point.start_time_unix_nano
    return (point.time_unix_nano - start_ns) / NS_PER_S if 0 < start_ns < point.time_unix_nano else None


def _count_and_sum(
    base: str, point: HistogramDataPoint | ExponentialHistogramDataPoint, *, delta: bool
) -> dict[str, float] | Reason:
    told = {f"{base}_count": float(point.count)}
    if point.HasField("sum"):
        told[f"{base}_sum"] = point.sum
    if not delta:
        return told
    interval_s = _interval_s(point)
    if interval_s is None:
        return Reason.NO_INTERVAL
    return {rate_name(name): value / interval_s for name, value in told.items()}


def _summary(base: str, point: SummaryDataPoint, labels: Mapping[str, str], at_ms: int) -> list[Reading]:
    readings = [
        Reading(f"{base}_count", float(point.count), labels, at_ms),
        Reading(f"{base}_sum", point.sum, labels, at_ms),
    ]
    name = gauge_name(base)
    quantiles = point.quantile_values[:MAX_BUCKETS]
    readings += [Reading(name, one.value, {**labels, "quantile": f"{one.quantile:g}"}, at_ms) for one in quantiles]
    return readings


def _distribution(point: HistogramDataPoint | ExponentialHistogramDataPoint) -> Distribution | Reason | None:
    """None: it has no buckets, or values below nothing, of which exponential ones tell no quantiles here."""
    start_ns, at_ns = point.start_time_unix_nano, point.time_unix_nano
    if isinstance(point, ExponentialHistogramDataPoint):
        if not MIN_SCALE <= point.scale <= MAX_SCALE or len(point.positive.bucket_counts) > MAX_BUCKETS:
            return Reason.BAD_HISTOGRAM
        if any(point.negative.bucket_counts):
            return None
        counts = dict(_filled(point.positive.bucket_counts, point.positive.offset))
        return Distribution(start_ns, at_ns, point.scale, counts, point.zero_count)
    bounds = tuple(point.explicit_bounds)
    if not point.bucket_counts and not bounds:
        return None
    rising = all(low < high for low, high in pairwise(bounds)) and not any(map(math.isnan, bounds))
    if not rising or len(point.bucket_counts) != len(bounds) + 1 or len(bounds) > MAX_BUCKETS:
        return Reason.BAD_HISTOGRAM
    return Distribution(start_ns, at_ns, bounds, dict(_filled(point.bucket_counts, 0)))


def _filled(counts: Sequence[int], offset: int) -> Iterator[tuple[int, int]]:
    return ((offset + place, count) for place, count in enumerate(counts) if count)
