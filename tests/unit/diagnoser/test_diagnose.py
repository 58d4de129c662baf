"""What the diagnoser concludes from a scene: told as the troubles of a small shop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from services.diagnoser.domain import (
    AnomalySeen,
    CallGraph,
    ChangeSeen,
    ComponentFacts,
    Diagnosis,
    Fact,
    IncidentSeen,
    KnownProblem,
    Scene,
    diagnose,
)
from services.diagnoser.domain.categories import FixType
from services.diagnoser.domain.own import most_telling
from shared.packs import Category, Severity

T0 = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
NAMES = UUID(int=1)
SHOP = CallGraph(
    {"edge": ("catalog", "orders"), "orders": ("payments", "orders-db"), "payments": ("provider-a", "provider-b")}
)


def incident(component: str, pattern: str, at_s: float = 0, **more: object) -> IncidentSeen:
    severity = more.pop("severity", Severity.CRITICAL)
    return IncidentSeen(
        id=uuid5(NAMES, f"{component}/{pattern}"),
        component=component,
        revision=1,
        pattern=pattern,
        severity=severity,  # type: ignore[arg-type]
        summary=f"{component} shows {pattern}",
        opened_at=T0 + timedelta(seconds=at_s),
        **more,  # type: ignore[arg-type]
    )


def changed(component: str, kind: str, at_s: float) -> ChangeSeen:
    return ChangeSeen(component, kind, f"{kind} of {component}", T0 + timedelta(seconds=at_s))


def conclude(one: IncidentSeen, *others: IncidentSeen, **scene: object) -> Diagnosis:
    scene.setdefault("graph", SHOP)
    return diagnose(one, Scene(now=T0 + timedelta(seconds=5), incidents=[one, *others], **scene))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "category", "at_least"),
    [
        ("process-exited", Category.CRASH, 0.9),
        ("container-exited", Category.CRASH, 0.9),
        ("process-stopped", Category.HANG, 0.9),
        ("log:rate_limit", Category.RATE_LIMIT, 0.85),
        ("log:database_error", Category.DATABASE_CONNECTION, 0.85),
        ("postgres-timeout", Category.DATABASE_CONNECTION, 0.85),
        ("cpu-high", Category.OVERLOAD, 0.8),
        ("memory-high", Category.RESOURCE_EXHAUSTION, 0.8),
        ("disk-high", Category.DISK, 0.85),
        ("http-slow", Category.TIMEOUT, 0.5),
    ],
)
def test_a_pattern_suggests_its_cause(pattern: str, category: Category, at_least: float) -> None:
    best = conclude(incident("payments", pattern)).best
    assert (best.component, best.category) == ("payments", category)
    assert best.confidence >= at_least
    assert best.signature == f"{category.value}:{pattern}"


def test_thin_evidence_leaves_the_cause_unknown() -> None:
    diagnosis = conclude(incident("payments", "error-ratio"))
    assert diagnosis.best.category is Category.UNKNOWN
    assert all(cause.confidence < 0.5 for cause in diagnosis.causes[1:])
    assert diagnosis.fix_type is None
    assert "cause is not known" in diagnosis.report


def test_the_doubt_stays_in_the_ranking() -> None:
    causes = conclude(incident("payments", "process-exited")).causes
    assert causes[-1].category is Category.UNKNOWN
    assert causes[-1].confidence == pytest.approx(0.05)


def test_no_answer_from_a_living_process_is_a_hang() -> None:
    watched = {"payments": ComponentFacts("payments", process_watched=True)}
    hang = conclude(incident("payments", "http-timeout"), components=watched)
    assert hang.best.category is Category.HANG
    assert hang.best.confidence >= 0.85
    unwatched = conclude(incident("payments", "http-timeout"))
    assert unwatched.best.category is Category.TIMEOUT


# ---- changes


def test_a_fresh_config_change_raises_configuration_and_an_old_one_does_not() -> None:
    errors = incident("payments", "error-ratio")
    fresh = conclude(errors, changes=[changed("payments", "config", -5)])
    assert fresh.best.category is Category.CONFIGURATION
    assert fresh.best.confidence >= 0.8
    assert any("config change 5 s before" in words for words in fresh.best.evidence)
    assert fresh.fix_type is FixType.CONFIGURATION
    old = conclude(errors, changes=[changed("payments", "config", -1_500)])
    assert old.best.category is Category.UNKNOWN


@pytest.mark.parametrize("at_s", [-3_600, 60])
def test_a_change_long_before_or_after_is_not_held_against_it(at_s: float) -> None:
    errors = incident("payments", "error-ratio")
    assert conclude(errors, changes=[changed("payments", "config", at_s)]).causes == conclude(errors).causes


def test_a_change_of_another_component_is_not_held_against_it() -> None:
    errors = incident("payments", "error-ratio")
    diagnosis = conclude(errors, changes=[changed("catalog", "config", -5)])
    assert diagnosis.best.category is Category.UNKNOWN
    assert any("no change of payments" in words for words in diagnosis.ruled_out)


def test_what_a_repair_wrote_is_not_blamed() -> None:
    echo = [changed("payments", "repair", -20), changed("payments", "config", -18)]
    assert conclude(incident("payments", "error-ratio"), changes=echo).best.category is Category.UNKNOWN


def test_confidence_does_not_drift_while_the_incident_is_open() -> None:
    one = incident("payments", "error-ratio")
    changes = [changed("payments", "config", -30)]
    soon = diagnose(one, Scene(now=T0, incidents=[one], changes=changes))
    late = diagnose(one, Scene(now=T0 + timedelta(hours=2), incidents=[one], changes=changes))
    assert soon.causes == late.causes


# ---- dependencies


def test_the_deepest_troubled_callee_explains_its_callers() -> None:
    payments = incident("payments", "process-stopped", 0)
    orders = incident("orders", "http-timeout", 1)
    edge = incident("edge", "error-ratio", 2)
    for symptom in (orders, edge):
        diagnosis = conclude(symptom, payments, orders, edge)
        assert diagnosis.symptom_of == payments.id
        assert (diagnosis.best.component, diagnosis.best.category) == ("payments", Category.HANG)
        assert set(diagnosis.affected) == {"orders", "edge"}
        assert "symptom" in diagnosis.report
    culprit = conclude(payments, orders, edge)
    assert culprit.symptom_of is None
    assert culprit.best.component == "payments"


def test_a_symptom_keeps_its_own_dependency_failure_as_second_cause() -> None:
    provider = incident("provider-a", "http-timeout", 0)
    diagnosis = conclude(incident("payments", "error-ratio", 3), provider)
    assert diagnosis.symptom_of == provider.id
    own = next(c for c in diagnosis.causes if c.component == "payments" and c.category is Category.DEPENDENCY_FAILURE)
    assert 0.8 <= own.confidence < diagnosis.best.confidence


def test_a_callee_that_failed_later_is_not_the_cause() -> None:
    diagnosis = conclude(incident("orders", "http-timeout", 0), incident("payments", "process-exited", 120))
    assert diagnosis.symptom_of is None
    assert diagnosis.best.component == "orders"
    assert any("payments is in trouble too, but only since 120 s later" in words for words in diagnosis.ruled_out)


def test_two_independent_failures_stay_two() -> None:
    """Requirement B29."""
    crashed = incident("edge", "process-exited", 1)
    payments = incident("payments", "process-exited", 0)
    catalog = incident("catalog", "disk-high", 0)
    for one, others in ((crashed, (payments, catalog)), (payments, (crashed, catalog)), (catalog, (crashed, payments))):
        diagnosis = conclude(one, *others)
        assert diagnosis.symptom_of is None
        assert diagnosis.best.component == one.component


def test_two_full_resources_of_one_component_stay_two() -> None:
    memory, disk = incident("catalog", "memory-high"), incident("catalog", "disk-high", 1)
    assert conclude(disk, memory).symptom_of is None
    assert conclude(memory, disk).symptom_of is None


def test_a_mere_warning_of_a_callee_does_not_hide_a_changed_configuration() -> None:
    warning = incident("provider-a", "http-slow", -60, severity=Severity.WARNING)
    diagnosis = conclude(incident("payments", "error-ratio"), warning, changes=[changed("payments", "config", -3)])
    assert diagnosis.symptom_of is None
    assert diagnosis.best.category is Category.CONFIGURATION


# ---- several incidents of one component


def test_a_crash_explains_the_silence_of_its_component() -> None:
    exited = incident("payments", "process-exited", 1)
    refused = incident("payments", "http-refused", 0)
    assert conclude(refused, exited).symptom_of == exited.id
    assert conclude(exited, refused).symptom_of is None


def test_incidents_with_one_cause_become_one_case() -> None:
    changes = [changed("payments", "config", -5)]
    ratio, logs = incident("payments", "error-ratio", 1), incident("payments", "log:config-refused", 0)
    scene = {"changes": changes, "log_categories": {"config-refused": Category.CONFIGURATION}}
    assert conclude(ratio, logs, **scene).symptom_of == logs.id
    assert conclude(logs, ratio, **scene).symptom_of is None


def test_a_callee_that_was_well_again_is_not_to_blame() -> None:
    payments = incident("payments", "http-timeout", 0, resolved_at=T0 + timedelta(seconds=2))
    assert conclude(incident("orders", "error-ratio", 5), payments).symptom_of == payments.id
    assert conclude(incident("orders", "error-ratio", 12), payments).symptom_of is None


def test_what_begins_after_a_like_trouble_was_over_is_a_trouble_of_its_own() -> None:
    scene = {"log_categories": {"upstream-timeout": Category.TIMEOUT}}
    earlier = incident("web", "log:upstream-timeout", 0, resolved_at=T0 + timedelta(seconds=3))
    assert conclude(incident("web", "http-timeout", 2), earlier, **scene).symptom_of == earlier.id
    assert conclude(incident("web", "http-timeout", 5), earlier, **scene).symptom_of is None


def test_of_a_storm_of_alarms_the_most_telling_are_looked_at() -> None:
    storm = [incident("payments", f"log:kind-{n}", n) for n in range(50)]
    exited = incident("payments", "process-exited", 60)
    kept = most_telling([*storm, exited, incident("orders", "http-slow")], per_component=3)
    assert [one.pattern for one in kept] == ["process-exited", "log:kind-0", "http-slow", "log:kind-1"]


# ---- signatures


def ratio_of(value: float) -> Fact:
    return Fact("http_requests_total / http_requests_total", value, "at most 0.2", "errors/requests", "payments")


BAD_CONFIG = KnownProblem(
    "bad-config",
    "payments",
    "change.kind == 'config' && change.age_s < 600.0 && errors.ratio > 0.2",
    Category.CONFIGURATION,
    0.95,
)


def test_a_known_problem_gives_its_name_and_confidence() -> None:
    one = incident("payments", "error-ratio", evidence=(ratio_of(0.6),))
    best = conclude(one, changes=[changed("payments", "config", -300)], known_problems=[BAD_CONFIG]).best
    assert best.signature == "bad-config"
    assert best.confidence >= 0.95
    assert any("bad-config" in words for words in best.evidence)


@pytest.mark.parametrize(
    "when",
    [
        "change.kind == 'config'",
        "nobody.knows > 1",
        "errors.ratio > 0.9",
        "incident.colour == 'red'",
        "not an expression",
        "incident.pattern",
    ],
)
def test_a_known_problem_that_does_not_hold_or_cannot_be_told_says_nothing(when: str) -> None:
    one = incident("payments", "error-ratio", evidence=(ratio_of(0.6),))
    odd = KnownProblem("odd", "*", when, Category.OVERLOAD, 0.9)
    assert conclude(one, known_problems=[odd]).causes == conclude(one).causes


@pytest.mark.parametrize(
    "when",
    [
        "incident.pattern == 'error-ratio' && incident.severity == 'critical' && incident.age_s >= 5.0",
        "change.kind == '' && change.age_s > 1000000.0",
        "errors.ratio > 0.5 && errors.count == 12",
        "'http-slow' in patterns && log.count == 7 && 'upstream' in log.kinds",
        "component.kind == 'http-service' && component.attributes['tier'] == 'gold'",
        "callee.troubled && callee.component == 'provider-a' && callee.pattern == 'cpu-high'",
        "'cpu_percent' in anomalies",
    ],
)
def test_every_documented_variable_can_be_used(when: str) -> None:
    log_fact = Fact("log:upstream", "7 in 30 s: too slow", "", "", "payments")
    one = incident("payments", "error-ratio", evidence=(ratio_of(0.6), log_fact), error_count=12)
    diagnosis = conclude(
        one,
        incident("payments", "http-slow", severity=Severity.WARNING),
        incident("provider-a", "cpu-high"),
        anomalies=[AnomalySeen("payments", "cpu_percent", 99, 0, 50, 9.0, T0)],
        components={"payments": ComponentFacts("payments", "http-service", attributes={"tier": "gold"})},
        known_problems=[KnownProblem("all", "*", when, Category.TUNING, 0.97)],
    )
    assert any(cause.signature == "all" for cause in diagnosis.causes)


def test_an_anomaly_of_the_component_is_evidence() -> None:
    one = incident("catalog", "http-slow")
    busy = AnomalySeen("catalog", "cpu_percent", 97, 10, 40, 12.0, T0)
    best = conclude(one, anomalies=[busy]).best
    assert best.category is Category.OVERLOAD
    assert any("cpu_percent is 97, usually 10 to 40" in words for words in best.evidence)
