"""What deviating series add to a diagnosis: who was first, and a callee's trouble that raised no alarm of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.diagnoser.domain import CallGraph, Diagnosis, IncidentSeen, Scene, diagnose
from services.diagnoser.domain.ranking import Deviation, Kind, Seen, kind_of
from shared.packs import Category, Severity

T0 = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
SHOP = CallGraph({"edge": ("orders",), "orders": ("payments",)})


def deviates(name: str, before: float, after: float, at_s: float = -5.0) -> Seen:
    component, metric = name.split("/")
    onset_s = T0.timestamp() + at_s
    kind = kind_of(metric)
    noise = 0.05 * abs(before) + 1e-6
    score = (after - before) / noise
    found = Deviation(
        component, metric, kind, onset_s, onset_s + 60, before, after, score, noise, lost=abs(after - before) * 60
    )
    return Seen(component, (found,), {}, frozenset({kind}))


def both(*parts: Seen) -> Seen:
    return Seen(
        parts[0].component,
        tuple(one for part in parts for one in part.deviations),
        {},
        frozenset[Kind]().union(*(part.kinds for part in parts)),
    )


def concluded(pattern: str, *seen: Seen, component: str = "edge", graph: CallGraph = SHOP) -> Diagnosis:
    incident = IncidentSeen(
        id=UUID(int=1),
        component=component,
        revision=1,
        pattern=pattern,
        severity=Severity.CRITICAL,
        summary=f"{component} shows {pattern}",
        opened_at=T0,
    )
    return diagnose(incident, Scene(now=T0 + timedelta(seconds=5), incidents=[incident], seen=seen, graph=graph))


def confidence(diagnosis: Diagnosis, component: str, category: Category) -> float:
    return max(
        (c.confidence for c in diagnosis.causes if (c.component, c.category) == (component, category)), default=0
    )


SLOW_EDGE = deviates("edge/latency_mean", 0.1, 0.5)
SLOW_ORDERS = deviates("orders/latency_mean", 0.05, 0.45)
SLOW_PAYMENTS = deviates("payments/latency_mean", 0.02, 0.42, -20)


def test_a_callee_that_deviated_first_is_a_cause_without_an_incident_of_its_own() -> None:
    diagnosis = concluded("http-slow", SLOW_EDGE, SLOW_ORDERS, SLOW_PAYMENTS)
    assert confidence(diagnosis, "payments", Category.TIMEOUT) >= 0.5
    assert confidence(diagnosis, "edge", Category.DEPENDENCY_FAILURE) >= 0.5
    words = " ".join(text for cause in diagnosis.causes for text in cause.evidence)
    assert "payments's latency_mean rose 21× at 11:59:40, 15 s before anybody else" in words


def test_series_alone_never_reach_what_is_acted_on() -> None:
    diagnosis = concluded("http-slow", SLOW_EDGE, SLOW_ORDERS, SLOW_PAYMENTS)
    assert all(c.confidence < 0.85 for c in diagnosis.causes)
    assert diagnosis.symptom_of is None


def test_a_burst_of_work_is_no_fault_of_a_callee() -> None:
    burst = both(SLOW_EDGE, deviates("edge/http_requests_total", 10, 60))
    diagnosis = concluded("http-slow", burst, SLOW_ORDERS, SLOW_PAYMENTS)
    assert confidence(diagnosis, "edge", Category.DEPENDENCY_FAILURE) == 0
    assert not [c for c in diagnosis.causes if c.component != "edge"]
    assert confidence(diagnosis, "edge", Category.OVERLOAD) > confidence(
        concluded("http-slow"), "edge", Category.OVERLOAD
    )


def test_a_crash_is_not_put_down_to_a_slow_callee() -> None:
    diagnosis = concluded("process-exited", SLOW_EDGE, SLOW_ORDERS, SLOW_PAYMENTS)
    assert (diagnosis.best.component, diagnosis.best.category) == ("edge", Category.CRASH)
    assert confidence(diagnosis, "edge", Category.DEPENDENCY_FAILURE) == 0


def test_what_deviated_long_before_or_only_afterwards_is_left_out() -> None:
    for at_s in (-900, 60):
        diagnosis = concluded("http-slow", SLOW_EDGE, deviates("orders/latency_mean", 0.05, 0.45, at_s))
        assert confidence(diagnosis, "orders", Category.TIMEOUT) == 0


def test_its_own_processor_speaks_for_overload() -> None:
    busy = both(SLOW_EDGE, deviates("edge/cpu_percent", 10, 95))
    assert confidence(concluded("http-slow", busy), "edge", Category.OVERLOAD) > confidence(
        concluded("http-slow"), "edge", Category.OVERLOAD
    )


def test_without_a_graph_a_resource_elsewhere_in_the_pack_is_told_with_little_confidence() -> None:
    busy = deviates("batch/cpu_percent", 5, 95)
    diagnosis = concluded("http-slow", deviates("edge/latency_mean", 0.1, 0.3), busy, graph=CallGraph())
    assert 0.1 < confidence(diagnosis, "batch", Category.OVERLOAD) <= 0.3
