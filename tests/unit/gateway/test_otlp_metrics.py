"""OpenTelemetry's metrics as readings: names, kinds, intervals and quantiles."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from services.gateway.domain.ingest.errors import TooLargeError
from services.gateway.domain.ingest.naming import ComponentRule
from services.gateway.domain.otlp.distributions import Distribution, LastDistributions, increase, quantile
from services.gateway.domain.otlp.metrics import MAX_POINTS, Metrics, metrics_of
from services.gateway.domain.otlp.report import Reason

S = 1_000_000_000
NOW_NS = 1_800_000_000 * S
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def told(*metrics: Metric, last: LastDistributions | None = None, service: str = "Orders API") -> Metrics:
    resource = Resource(attributes=[attribute("service.name", service), attribute("k8s.pod.name", "orders-1")])
    request = ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[ScopeMetrics(metrics=metrics)])]
    )
    return metrics_of(request, ComponentRule(), last or LastDistributions(), NOW_NS)


def values(metrics: Metrics) -> dict[str, float]:
    return {reading.name: reading.value for batch in metrics.batches for reading in batch.readings}


def number(value: float, start_s: float = -10, at_s: float = 0, **more: object) -> NumberDataPoint:
    return NumberDataPoint(
        as_double=value,
        start_time_unix_nano=NOW_NS + int(start_s * S),
        time_unix_nano=NOW_NS + int(at_s * S),
        **more,  # type: ignore[arg-type]
    )


def total(point: NumberDataPoint, temporality: AggregationTemporality, *, monotonic: bool = True) -> Metric:
    data = Sum(data_points=[point], aggregation_temporality=temporality, is_monotonic=monotonic)
    return Metric(name="http.requests", unit="{request}", sum=data)


def histogram(counts: list[int], bounds: list[float], at_s: float, temporality: AggregationTemporality) -> Metric:
    point = HistogramDataPoint(
        start_time_unix_nano=NOW_NS - 600 * S if temporality == CUMULATIVE else NOW_NS + int((at_s - 10) * S),
        time_unix_nano=NOW_NS + int(at_s * S),
        count=sum(counts),
        sum=1.5,
        bucket_counts=counts,
        explicit_bounds=bounds,
    )
    data = Histogram(data_points=[point], aggregation_temporality=temporality)
    return Metric(name="http.server.request.duration", unit="s", histogram=data)


def test_a_gauge_is_a_reading_of_its_service_with_the_labels_of_both() -> None:
    point = number(0.5, attributes=[attribute("cpu.mode", "user")])
    metrics = told(Metric(name="system.cpu.utilization", unit="1", gauge=Gauge(data_points=[point])))
    (batch,) = metrics.batches
    (reading,) = batch.readings
    assert batch.component == "orders-api"
    assert (reading.name, reading.value, reading.at_ms) == ("system_cpu_utilization_ratio", 0.5, NOW_NS // 1_000_000)
    assert reading.labels == {"cpu_mode": "user", "k8s_pod_name": "orders-1"}


def test_sums_are_counters_gauges_or_rates() -> None:
    assert values(told(total(number(30), CUMULATIVE))) == {"http_requests_total": 30}
    assert values(told(total(number(30), CUMULATIVE, monotonic=False))) == {"http_requests": 30}
    assert values(told(total(number(30), DELTA))) == {"http_requests_per_second": 3}


def test_a_gauge_never_ends_like_a_counter() -> None:
    assert values(told(Metric(name="jvm.thread.count", gauge=Gauge(data_points=[number(7)])))) == {
        "jvm_thread_count_gauge": 7
    }


def test_quantiles_of_a_cumulative_histogram_are_of_what_came_since_the_last_report() -> None:
    last = LastDistributions()
    first = told(histogram([100, 0, 0], [0.1, 1.0], -10, CUMULATIVE), last=last)
    assert values(first) == {
        "http_server_request_duration_seconds_count": 100,
        "http_server_request_duration_seconds_sum": 1.5,
    }
    for series, state in first.marks.items():
        last.note(series, state)
    second = values(told(histogram([100, 10, 0], [0.1, 1.0], 0, CUMULATIVE), last=last))
    assert second["http_server_request_duration_seconds_p50"] == pytest.approx(0.55)
    assert second["http_server_request_duration_seconds_p95"] == pytest.approx(0.955)


def test_a_state_that_was_not_stored_is_not_counted_from() -> None:
    last = LastDistributions()
    told(histogram([100, 0, 0], [0.1, 1.0], -10, CUMULATIVE), last=last)
    assert "http_server_request_duration_seconds_p50" not in values(
        told(histogram([100, 10, 0], [0.1, 1.0], 0, CUMULATIVE), last=last)
    )


def test_a_delta_histogram_tells_rates_and_quantiles_at_once() -> None:
    found = values(told(histogram([0, 20, 0], [0.1, 1.0], 0, DELTA)))
    assert found["http_server_request_duration_seconds_count_per_second"] == 2
    assert found["http_server_request_duration_seconds_p50"] == pytest.approx(0.55)


def test_an_exponential_histogram_tells_quantiles() -> None:
    point = ExponentialHistogramDataPoint(
        start_time_unix_nano=NOW_NS - 10 * S, time_unix_nano=NOW_NS, count=100, scale=0
    )
    point.positive.offset = 3  # from 8 to 16
    point.positive.bucket_counts.append(100)
    data = ExponentialHistogram(data_points=[point], aggregation_temporality=DELTA)
    found = values(told(Metric(name="size", unit="By", exponential_histogram=data)))
    assert found["size_bytes_p50"] == pytest.approx(8 * math.sqrt(2))


def test_a_summary_tells_its_quantiles() -> None:
    point = SummaryDataPoint(time_unix_nano=NOW_NS, count=4, sum=2.0)
    point.quantile_values.add(quantile=0.99, value=0.7)
    (batch,) = told(Metric(name="gc", unit="s", summary=Summary(data_points=[point]))).batches
    assert [(r.name, r.value, r.labels.get("quantile")) for r in batch.readings] == [
        ("gc_seconds_count", 4, None),
        ("gc_seconds_sum", 2.0, None),
        ("gc_seconds", 0.7, "0.99"),
    ]


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Metric(name="", gauge=Gauge(data_points=[number(1)])), Reason.NO_NAME),
        (Metric(name="cpu"), Reason.NO_TYPE),
        (Metric(name="cpu", gauge=Gauge(data_points=[NumberDataPoint(as_double=1)])), Reason.NO_TIME),
        (Metric(name="cpu", gauge=Gauge(data_points=[number(1, at_s=3_600)])), Reason.IN_THE_FUTURE),
        (Metric(name="cpu", gauge=Gauge(data_points=[number(1, at_s=-200_000)])), Reason.TOO_OLD),
        (Metric(name="cpu", gauge=Gauge(data_points=[NumberDataPoint(time_unix_nano=NOW_NS)])), Reason.NO_TYPE),
        (total(NumberDataPoint(as_int=1, time_unix_nano=NOW_NS), DELTA), Reason.NO_INTERVAL),
        (histogram([1, 1], [0.1, 1.0], 0, CUMULATIVE), Reason.BAD_HISTOGRAM),
        (histogram([1, 1, 1], [1.0, 0.1], 0, CUMULATIVE), Reason.BAD_HISTOGRAM),
    ],
)
def test_what_cant_be_used_is_told_and_takes_no_other_with_it(metric: Metric, reason: Reason) -> None:
    metrics = told(metric, total(number(30), CUMULATIVE))
    assert dict(metrics.rejected.reasons) == {reason: 1}
    assert values(metrics) == {"http_requests_total": 30}
    assert reason.value in metrics.rejected.explain()


def test_a_point_without_a_recorded_value_is_no_fault() -> None:
    metrics = told(Metric(name="cpu", gauge=Gauge(data_points=[number(0, flags=1)])))
    assert (metrics.batches, metrics.rejected.count) == ([], 0)


def test_the_same_points_sent_again_have_the_same_identity() -> None:
    first, again, other = (told(total(number(value), CUMULATIVE)).batches[0].identity for value in (30, 30, 31))
    assert first == again != other


def test_too_many_points_are_refused_as_a_whole() -> None:
    point = number(1)
    with pytest.raises(TooLargeError):
        told(Metric(name="cpu", gauge=Gauge(data_points=[point] * (MAX_POINTS + 1))))


# ---- distributions

COUNTS = st.dictionaries(st.integers(-400, 400), st.integers(1, 1_000), max_size=20)
SCALES = st.integers(-10, 20)


@given(COUNTS, st.integers(0, 50), SCALES)
def test_quantiles_never_fall_as_their_share_grows(counts: dict[int, int], zeros: int, scale: int) -> None:
    distribution = Distribution(0, 1, scale, counts, zeros)
    found = [quantile(distribution, share) for share in (0.01, 0.5, 0.95, 0.99, 1.0)]
    if distribution.total == 0:
        assert found == [None] * 5
    else:
        numbers = [value for value in found if value is not None]
        assert len(numbers) == 5
        assert all(low <= high * (1 + 1e-9) for low, high in pairwise(numbers))


@given(COUNTS, COUNTS, SCALES, st.integers(0, 5))
def test_what_was_added_is_found_again_also_after_the_scale_shrank(
    before: dict[int, int], added: dict[int, int], scale: int, shrunk: int
) -> None:
    both = {i: before.get(i, 0) + added.get(i, 0) for i in before.keys() | added.keys()}
    coarse: dict[int, int] = {}
    for i, count in both.items():
        coarse[i >> shrunk] = coarse.get(i >> shrunk, 0) + count
    news = increase(Distribution(1, 2, scale, before), Distribution(1, 3, scale - shrunk, coarse))
    assert news is not None
    assert news.total == sum(added.values())


def test_a_counter_that_began_anew_counts_from_nothing_and_one_that_fell_tells_nothing() -> None:
    before = Distribution(1, 10, (1.0,), {0: 100})
    assert increase(before, Distribution(11, 20, (1.0,), {0: 5})) == Distribution(11, 20, (1.0,), {0: 5})
    assert increase(before, Distribution(1, 20, (1.0,), {0: 5})) is None
    assert increase(before, Distribution(1, 20, (2.0,), {0: 105})) is None
    assert increase(before, before) is None


def test_a_bucket_without_an_end_tells_the_bound_that_is_known() -> None:
    assert quantile(Distribution(0, 1, (0.5,), {1: 10}), 0.99) == 0.5
