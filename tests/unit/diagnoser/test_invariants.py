"""What holds of every diagnosis, whatever happens at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.diagnoser.domain import CallGraph, ChangeSeen, IncidentSeen, Scene, diagnose
from services.diagnoser.domain.diagnose import MAX_CAUSES
from services.diagnoser.domain.evidence import noisy_or
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
