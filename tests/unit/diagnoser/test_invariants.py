"""What holds of every diagnosis, whatever happens at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.diagnoser.domain import AnomalySeen, CallGraph, ChangeSeen, IncidentSeen, Scene, diagnose
from services.diagnoser.domain.calibration import Calibrator, learn
from services.diagnoser.domain.diagnose import MAX_CAUSES
from services.diagnoser.domain.evidence import noisy_or
from services.diagnoser.domain.history import Judged
from services.diagnoser.domain.own import own_causes
from shared.packs import Category, Severity

T0 = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")
PATTERNS = ("process-exited", "process-stopped", "http-timeout", "http-refused", "error-ratio", "http-slow", "cpu-high")

moments = st.integers(-900, 900).map(lambda s: T0 + timedelta(seconds=s))
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3).map(tuple)).map(CallGraph)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    incidents = [
        IncidentSeen(
            id=UUID(int=number + 1),
            component=draw(st.sampled_from(NAMES)),
            revision=1,
            pattern=draw(st.sampled_from(PATTERNS)),
            severity=draw(st.sampled_from(Severity)),
            summary="",
            opened_at=draw(moments),
        )
        for number in range(draw(st.integers(1, 7)))
    ]
    changes = draw(
        st.lists(
            st.builds(
                ChangeSeen,
                component=st.sampled_from(NAMES),
                kind=st.sampled_from(["config", "deployment", "repair", "scale", "odd"]),
                summary=st.just("s"),
                at=moments,
            ),
            max_size=4,
        )
    )
    return Scene(now=T0 + timedelta(hours=1), incidents=incidents, changes=changes, graph=draw(graphs))


@given(scenes())
def test_symptoms_lead_to_a_cause_and_never_in_a_circle(scene: Scene) -> None:
    of = {one.id: diagnose(one, scene).symptom_of for one in scene.incidents}
    assert None in of.values()
    for start in of:
        seen, current = set(), start
        while (following := of[current]) is not None:
            assert following not in seen
            seen.add(following)
            current = following


@given(scenes())
def test_every_diagnosis_is_ranked_bounded_and_repeatable(scene: Scene) -> None:
    for one in scene.incidents:
        diagnosis = diagnose(one, scene)
        assert 1 <= len(diagnosis.causes) <= MAX_CAUSES
        assert all(0.0 <= cause.confidence <= 1.0 and cause.signature for cause in diagnosis.causes)
        assert diagnosis.best.confidence == max(cause.confidence for cause in diagnosis.causes)
        assert (
            len([c for c in diagnosis.causes if c.category is Category.UNKNOWN and c.component == one.component]) == 1
        )
        assert diagnosis.report
        assert diagnose(one, scene) == diagnosis
        if diagnosis.symptom_of is not None:
            culprit = next(other for other in scene.incidents if other.id == diagnosis.symptom_of)
            assert diagnosis.best.component == culprit.component


@given(scenes())
def test_a_component_that_stopped_by_itself_is_nobodys_symptom(scene: Scene) -> None:
    for one in scene.incidents:
        if one.pattern == "process-exited":
            culprit = diagnose(one, scene).symptom_of
            others = {other.id: other for other in scene.incidents}
            assert culprit is None or others[culprit].component == one.component


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1))
def test_more_evidence_never_lowers_confidence(weights: list[float], more: float) -> None:
    assert 0 <= noisy_or(weights) <= noisy_or([*weights, more]) <= 0.98


@given(scenes(), st.sampled_from(["config", "deployment", "scale"]), st.integers(0, 600))
def test_one_more_change_never_lowers_what_the_evidence_says(scene: Scene, kind: str, before_s: int) -> None:
    one = scene.incidents[0]
    more = ChangeSeen(one.component, kind, "one more", one.opened_at - timedelta(seconds=before_s))
    before = {cause.category: cause.confidence for cause in own_causes(one, scene)}
    after = {
        cause.category: cause.confidence for cause in own_causes(one, replace(scene, changes=[*scene.changes, more]))
    }
    assert all(after[category] >= confidence for category, confidence in before.items())


@given(scenes(), st.sampled_from(["cpu_percent", "pool_wait_ms", "query_ms"]), st.floats(0, 20))
def test_one_more_series_out_of_range_never_lowers_it_either(scene: Scene, metric: str, score: float) -> None:
    one = scene.incidents[0]
    more = AnomalySeen(one.component, metric, 99, 0, 50, score, T0)
    before = {cause.category: cause.confidence for cause in own_causes(one, scene)}
    after = {cause.category: cause.confidence for cause in own_causes(one, replace(scene, anomalies=[more]))}
    assert all(after[category] >= confidence for category, confidence in before.items())


@given(scenes(), st.lists(st.booleans(), max_size=12))
def test_whatever_experience_says_confidences_stay_ranked_and_symptoms_without_circles(
    scene: Scene, ends: list[bool]
) -> None:
    judged = [Judged("a", "http-slow", Category.TIMEOUT, "timeout:http-slow", 0.5, 0.5, right) for right in ends]
    taught = replace(scene, judged=judged, calibrator=learn(judged))
    for one in scene.incidents:
        plain, told = diagnose(one, replace(taught, calibrator=Calibrator())), diagnose(one, taught)
        assert told.symptom_of == plain.symptom_of
        assert told.best.confidence == max(cause.confidence for cause in told.causes)
        assert all(0.0 <= cause.confidence <= 1.0 for cause in told.causes)
