"""The knowledge base as lines, and what stands out of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.learner.domain.insights import Noise, Pair, Weight, insights
from services.learner.domain.lines import Line, LineError, read, written
from services.learner.domain.memory import Remembered
from services.learner.domain.outcomes import End, Validated
from services.learner.domain.suggestions import Answer, Suggestion, judgements, quality_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
H04 = {
    "timestamp": "2026-03-01T12:00:00+00:00",
    "issue_type": "crash:process-exited",
    "fix_type": "restart-it",
    "original_confidence": 70.0,
    "result_status": "succeeded",
    "validation_status": "passed",
    "success": True,
    "error_count_after": 0,
}
lines = st.builds(
    Line,
    decision_id=st.uuids(),
    at=st.datetimes(timezones=st.just(UTC)),
    issue_type=st.text(min_size=1, max_size=50),
    fix_type=st.text(min_size=1, max_size=50),
    confidence=st.integers(0, 1_000).map(lambda tenths: tenths / 1_000),
    end=st.sampled_from(End),
    validation=st.sampled_from(Validated),
    success=st.booleans(),
    error_count_after=st.integers(0, 10**6),
    component=st.text(max_size=64),
    kind=st.text(max_size=50),
    dry_run=st.booleans(),
    recovery_s=st.none() | st.floats(0, 1e6),
)


@given(lines)
def test_what_is_written_is_read_again(line: Line) -> None:
    assert read(written(line)) == line


def test_a_line_holds_the_required_fields_by_their_names_first() -> None:
    line = read(json.dumps(H04))
    assert list(json.loads(written(line)))[: len(H04)] == list(H04)
    assert line.confidence == pytest.approx(0.7)


def test_a_line_without_an_id_is_the_same_run_whenever_it_is_read() -> None:
    assert read(json.dumps(H04)).decision_id == read(json.dumps(dict(reversed(H04.items())))).decision_id
    assert read(json.dumps(H04)).decision_id != read(json.dumps({**H04, "component": "web"})).decision_id
    own = str(uuid4())
    assert str(read(json.dumps({**H04, "decision_id": own})).decision_id) == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        (json.dumps({"timestamp": "2026-03-01"}), "without issue_type, fix_type"),
        (json.dumps({**H04, "original_confidence": 700}), "0–100"),
        (json.dumps({**H04, "original_confidence": "high"}), "no number"),
        (json.dumps({**H04, "result_status": "great"}), "can't be read"),
        (json.dumps({**H04, "timestamp": "yesterday"}), "can't be read"),
        (json.dumps({**H04, "fix_type": ""}), "fix_type"),
        (json.dumps({**H04, "issue_type": "x" * 5_000}), "longer than"),
    ],
)
def test_a_bad_line_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(LineError, match=said):
        read(text)


# ---- suggestions


def suggestion(answer: Answer = Answer.APPROVED, helped: bool | None = True, by: str = "ada") -> Suggestion:
    done = answer in (Answer.APPROVED, Answer.NONE)
    asked = answer is not Answer.NONE
    return Suggestion(
        "incident", "restart-it", asked, answer, by if asked else "", done, helped if done else None, 30.0
    )


def test_adoption_leaves_out_what_was_withdrawn_or_still_waits() -> None:
    (found,) = quality_of(
        [suggestion()] * 6
        + [suggestion(Answer.REJECTED)] * 2
        + [suggestion(Answer.EXPIRED), suggestion(Answer.WITHDRAWN)]
        + [suggestion(Answer.NONE, helped=False)]
    )
    assert (found.suggested, found.asked, found.approved, found.rejected, found.expired) == (11, 10, 6, 2, 1)
    assert (found.adopted, found.helped, found.did_not_help) == (7, 6, 1)
    assert found.adoption == 0.7
    assert found.success == pytest.approx(6 / 7)


def test_people_are_judged_by_what_they_approved() -> None:
    found = judgements([suggestion(by="bob", helped=False)] * 2 + [suggestion(by="ada")] * 2)
    assert [one.by for one in found] == ["ada", "bob"]
    assert (found[0].approved_helped, found[0].approved_known) == (2, 2)


# ---- insights


def pair(playbook: str, runs: int, successes: int, **more: object) -> Pair:
    return Pair("crash:exited", playbook, runs, successes, (Remembered(runs, successes),), None, None, None, **more)  # type: ignore[arg-type]


def test_nothing_is_said_of_few_facts() -> None:
    assert insights([pair("restart-it", 4, 0)]) == []


def test_what_seldom_helps_comes_first_and_a_better_choice_is_named() -> None:
    found = insights([pair("restart-it", 30, 2), pair("restore-it", 30, 29)])
    assert found[0].weight is Weight.URGENT
    assert "restart-it on crash:exited helped in 2 of 30 runs" in found[0].words
    assert any("restore-it (29 of 30) helps more often than restart-it (2 of 30)" in one.words for one in found)
    assert all(one.facts >= 5 for one in found)


def test_a_change_is_told_with_what_holds_now() -> None:
    changed = Pair("crash:exited", "restart-it", 40, 34, (Remembered(6.0, 0.2),), 10.0, 60.0, NOW)
    first, second = insights([changed])
    assert first.weight is Weight.URGENT
    assert "since 2026-03-01 12:00 UTC it is about 15%" in first.words
    assert "one in ten takes more than 60 s" in second.words


def test_refusals_silence_and_noise_are_told() -> None:
    found = insights(
        [],
        quality_of([suggestion(Answer.REJECTED)] * 4 + [suggestion()] * 2),
        judgements([suggestion()] * 5),
        [Noise("web", "http-slow", 1, 19, "19 of 20 alarms were none")],
    )
    words = [one.words for one in found]
    assert any("people refused it 4 times and approved it 2 times" in one for one in words)
    assert "19 of 20 alarms were none" in words
    assert any("of what ada approved, 5 of 5 helped (100%)" in one for one in words)
