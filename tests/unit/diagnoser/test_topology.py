"""Observed calls beside declared ones: when they count, and that circles do no harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.diagnoser.domain import CallGraph, IncidentSeen, Scene, diagnose
from services.diagnoser.domain.topology import Observed, Trust, joined
from shared.packs import Severity

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TRUST = Trust(timedelta(hours=1), 3)


def seen(caller: str, callee: str, count: int = 3, ago_s: float = 0) -> Observed:
    return Observed(caller, callee, count, NOW - timedelta(seconds=ago_s))


def incident(number: int, component: str, pattern: str, ago_s: float = 0) -> IncidentSeen:
    opened_at = NOW - timedelta(seconds=ago_s)
    return IncidentSeen(UUID(int=number), component, 1, pattern, Severity.CRITICAL, f"{pattern} seen", opened_at)


def test_declared_and_observed_calls_are_one_graph() -> None:
    graph = joined({"edge": ("orders",)}, [seen("orders", "payments"), seen("edge", "orders")], NOW, TRUST)
    assert graph.callees("edge") == {"orders": 1, "payments": 2}
    assert graph.observed == {("orders", "payments")}
    assert graph.rests_on_traces("edge", "payments")
    assert not graph.rests_on_traces("edge", "orders"), "a pack declares it"


def test_rare_and_long_past_calls_and_calls_to_oneself_dont_count() -> None:
    edges = [seen("a", "b", count=2), seen("a", "c", ago_s=3_601), seen("a", "a"), seen("a", "d")]
    assert joined({}, edges, NOW, TRUST).callees("a") == {"d": 1}


def test_evidence_says_that_the_call_was_observed() -> None:
    edge, orders = incident(1, "edge", "http-timeout"), incident(2, "orders", "process-stopped", ago_s=2)
    graph = joined({}, [seen("edge", "orders")], NOW, TRUST)
    diagnosis = diagnose(edge, Scene(NOW, [edge, orders], graph=graph))
    assert diagnosis.symptom_of == orders.id
    assert any("edge calls orders (observed in traces), in trouble 2 s earlier" in e for e in diagnosis.best.evidence)
    declared = diagnose(edge, Scene(NOW, [edge, orders], graph=CallGraph({"edge": ("orders",)})))
    assert not any("observed in traces" in words for words in declared.best.evidence)


NAMES = st.sampled_from(["a", "b", "c", "d"])
EDGES = st.lists(st.tuples(NAMES, NAMES), max_size=16)
PATTERNS = st.sampled_from(["http-timeout", "error-ratio", "process-exited", "http-slow", "connection-refused"])


@given(EDGES, st.lists(st.tuples(NAMES, PATTERNS, st.integers(0, 30)), min_size=1, max_size=8))
def test_circles_of_calls_never_make_circles_of_symptoms(
    edges: list[tuple[str, str]], troubles: list[tuple[str, str, int]]
) -> None:
    graph = joined({}, [seen(caller, callee) for caller, callee in edges], NOW, TRUST)
    incidents = [incident(place, name, pattern, ago) for place, (name, pattern, ago) in enumerate(troubles, 1)]
    scene = Scene(NOW, incidents, graph=graph)
    symptom_of = {one.id: diagnose(one, scene).symptom_of for one in incidents}
    for start in symptom_of:
        passed: set[UUID] = set()
        at: UUID | None = start
        while at is not None:
            assert at not in passed, "a circle of symptoms"
            passed.add(at)
            at = symptom_of.get(at)
