"""Which kind of cause a pattern, a message, a series, a change and experience speak for (requirements C01–C11)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.diagnoser.domain import AnomalySeen, ChangeSeen, ComponentFacts, Fact
from services.diagnoser.domain.categories import KINDS, FixType
from services.diagnoser.domain.history import Judged
from shared.packs import Category
from tests.unit.diagnoser.test_diagnose import T0, changed, conclude, incident


def test_every_category_is_said_and_all_but_the_unknown_have_a_kind_and_time_of_fix() -> None:
    """Requirement C02."""
    assert set(KINDS) == set(Category)
    for category, kind in KINDS.items():
        unknown = category is Category.UNKNOWN
        assert (kind.fix is None) == (kind.fix_s is None) == unknown
    assert {kind.fix for kind in KINDS.values() if kind.fix} == set(FixType)


@pytest.mark.parametrize(
    ("pattern", "category"),
    [
        ("log:rate_limit", Category.RATE_LIMIT),  # C03
        ("postgres-refused", Category.DATABASE_CONNECTION),  # C04
        ("http-slow", Category.TIMEOUT),  # C05
        ("cpu-high", Category.OVERLOAD),  # C06
        ("memory-high", Category.RESOURCE_EXHAUSTION),  # C06
        ("config-invalid", Category.CONFIGURATION),  # C07
        ("certificate_expires_in_s-low", Category.CERTIFICATE),
        ("postgres_locks_waiting-high", Category.LOCK_CONTENTION),
        ("pool_in_use-high", Category.POOL_STARVATION),
        ("quota_used-high", Category.QUOTA),
        ("crash-loop", Category.CRASH_LOOP),
        ("disk_used_percent-high", Category.DISK),
        ("memory-leak", Category.MEMORY_LEAK),
        ("clock_skew_s-high", Category.CLOCK),
        ("dns-error", Category.DNS),
        ("packet-loss-high", Category.NETWORK),
        ("hot-key", Category.HOT_KEY),
        ("job-stuck", Category.JOB_STUCK),
        ("schema-invalid", Category.DATA_QUALITY),
        ("deployment-failed", Category.DEPLOYMENT),
    ],
)
def test_a_pattern_speaks_for_its_category(pattern: str, category: Category) -> None:
    diagnosis = conclude(incident("catalog", pattern))
    assert diagnosis.best.category is category
    assert diagnosis.fix_type is KINDS[category].fix


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("ssl.SSLCertVerificationError: certificate verify failed", Category.CERTIFICATE),
        ("socket.gaierror: [Errno -2] Name or service not known", Category.DNS),
        ("deadlock detected", Category.LOCK_CONTENTION),
        ("QueuePool limit of size 5 overflow 10 reached", Category.POOL_STARVATION),
        ("FATAL: sorry, too many clients already", Category.DATABASE_CONNECTION),
        ("OSError: [Errno 28] No space left on device", Category.DISK),
        ("java.lang.OutOfMemoryError: Java heap space", Category.RESOURCE_EXHAUSTION),
        ("insufficient_quota: check your plan", Category.QUOTA),
        ("null value in column violates not-null constraint", Category.DATA_QUALITY),
    ],
)
def test_what_an_error_line_says_counts_whatever_the_line_is_called(message: str, category: Category) -> None:
    fact = Fact("log:python_exception", f"7 in 30 s: {message}", "", "", "catalog")
    best = conclude(incident("catalog", "error-ratio", evidence=(fact,))).best
    assert best.category is category
    assert any(message in words for words in best.evidence)


def test_a_playbook_for_the_broader_category_can_still_be_found() -> None:
    causes = conclude(incident("catalog", "disk-high")).causes
    broader = next(cause for cause in causes if cause.category is Category.RESOURCE_EXHAUSTION)
    assert 0.85 <= broader.confidence < causes[0].confidence


def series(metric: str, observed: float, component: str = "catalog", score: float = 9.0) -> AnomalySeen:
    return AnomalySeen(component, metric, observed, 10, 40, score, T0)


@pytest.mark.parametrize(
    ("metric", "observed", "category"),
    [
        ("postgres_locks_waiting", 90, Category.LOCK_CONTENTION),
        ("pool_wait_ms", 900, Category.POOL_STARVATION),
        ("cpu_percent", 97, Category.OVERLOAD),
        ("certificate_expires_in_s", 1, Category.CERTIFICATE),
    ],
)
def test_a_series_out_of_its_range_speaks_for_a_category(metric: str, observed: float, category: Category) -> None:
    causes = conclude(incident("catalog", "error-ratio"), anomalies=[series(metric, observed)]).causes
    assert any(cause.category is category and any(metric in words for words in cause.evidence) for cause in causes)


@pytest.mark.parametrize(("metric", "observed"), [("cpu_percent", 1), ("certificate_expires_in_s", 90), ("mood", 90)])
def test_a_series_that_is_better_than_usual_or_has_no_meaning_says_nothing(metric: str, observed: float) -> None:
    one = incident("catalog", "error-ratio")
    assert conclude(one, anomalies=[series(metric, observed)]).causes == conclude(one).causes


# ---- C10, C11


@pytest.mark.parametrize(
    ("pattern", "metric", "signature"),
    [
        ("error-ratio", None, "third-party:error-rate"),
        ("http-slow", None, "third-party:response-time"),
        ("error-ratio", "http_request_duration_ms", "third-party:errors-and-response-time"),
        ("http-timeout", None, "third-party:unavailable"),
    ],
)
def test_a_providers_errors_and_slowness_are_told_apart(pattern: str, metric: str | None, signature: str) -> None:
    """Requirement C10."""
    best = conclude(
        incident("provider-a", pattern),
        components={"provider-a": ComponentFacts("provider-a", "provider")},
        anomalies=[series(metric, 900, "provider-a")] if metric else [],
    ).best
    assert (best.category, best.signature) == (Category.THIRD_PARTY, signature)


@pytest.mark.parametrize(
    ("component", "metric", "said"),
    [
        ("orders", "job_duration_s", "slow jobs of orders"),
        ("orders-db", "query_duration_ms", "database queries of orders-db"),
        ("orders", "cpu_percent", "the processor of orders"),
        ("orders", "pool_wait_ms", "the connection pool of orders"),
    ],
)
def test_the_bottleneck_is_named(component: str, metric: str, said: str) -> None:
    """Requirement C11."""
    weaker = series("queue_length", 41, "orders", score=1.0)
    diagnosis = conclude(incident("orders", "http-slow"), anomalies=[weaker, series(metric, 900, component)])
    assert diagnosis.bottleneck.startswith(said)
    assert "The bottleneck: " + said in diagnosis.report


def test_what_is_not_slow_has_no_bottleneck() -> None:
    diagnosis = conclude(incident("orders", "process-exited"), anomalies=[series("cpu_percent", 99, "orders")])
    assert diagnosis.bottleneck == ""


# ---- changes


def weight_of(component: str, kind: str, at_s: float) -> float:
    """Raw confidence in that change as the cause of errors at payments."""
    causes = conclude(incident("payments", "error-ratio"), changes=[changed(component, kind, at_s)]).causes
    words = f"{kind} of {component}"
    return max((c.raw or 0 for c in causes if any(words in said for said in c.evidence)), default=0.0)


def test_a_change_weighs_less_the_older_it_is_and_the_further_away() -> None:
    assert weight_of("payments", "config", -5) > weight_of("payments", "config", -300) > 0
    own, callee, caller, stranger = (
        weight_of(component, "deployment", -5) for component in ("payments", "provider-a", "orders", "catalog")
    )
    assert own > callee > caller > stranger == 0


def test_kinds_of_changes_weigh_differently() -> None:
    weights = [weight_of("payments", kind, -5) for kind in ("config", "deployment", "flag", "migration", "scale")]
    assert weights[0] > weights[-1] > 0


def test_a_change_after_the_onset_cannot_be_the_cause() -> None:
    for component in ("payments", "provider-a", "orders"):
        assert weight_of(component, "config", 3) == 0


def test_a_repair_is_no_cause_but_a_relapse_says_something() -> None:
    repaired = ChangeSeen("catalog", "repair", "restarted", T0 - timedelta(seconds=60))
    causes = conclude(incident("catalog", "memory-high"), changes=[repaired]).causes
    leak = next(cause for cause in causes if cause.category is Category.MEMORY_LEAK)
    assert any("60 s after a repair" in words for words in leak.evidence)
    assert conclude(incident("catalog", "error-ratio"), changes=[repaired]).best.category is Category.UNKNOWN


# ---- history


def judged(category: Category, right: bool, component: str = "payments", fix_s: float | None = None) -> Judged:
    signature = f"{category.value}:error-ratio"
    return Judged(component, "error-ratio", category, signature, 0.8, 0.8, right, fix_s)


def test_what_earlier_incidents_turned_out_to_be_is_evidence() -> None:
    history = [judged(Category.CONFIGURATION, True, fix_s=30 + n) for n in range(6)]
    history.append(judged(Category.CONFIGURATION, False))
    with_history = conclude(incident("payments", "error-ratio"), judged=history)
    cause = next(c for c in with_history.causes if c.category is Category.CONFIGURATION)
    said = "of 7 earlier incidents like this (error-ratio at payments), 6 were a bad configuration"
    assert said in cause.evidence
    plain = next(c for c in conclude(incident("payments", "error-ratio")).causes if c.category is cause.category)
    assert (cause.raw or 0) > (plain.raw or 0)


def test_two_earlier_incidents_are_no_history() -> None:
    one = incident("payments", "error-ratio")
    few = [judged(Category.CONFIGURATION, True)] * 2
    assert conclude(one, judged=few).causes == conclude(one).causes


def test_the_time_to_fix_is_measured_once_there_are_three_cases() -> None:
    """Requirement C02."""
    one, changes = incident("payments", "error-ratio"), [changed("payments", "config", -5)]
    times = [judged(Category.CONFIGURATION, True, fix_s=s) for s in (40.0, 50.0, 90.0)]
    assert conclude(one, changes=changes, judged=times).estimated_fix_s == 50.0
    assert conclude(one, changes=changes, judged=times[:2]).estimated_fix_s == KINDS[Category.CONFIGURATION].fix_s


def test_a_crash_loop_is_not_answered_by_one_more_start() -> None:
    assert KINDS[Category.CRASH_LOOP].broader is None
