"""A playbook acts by itself only as far as practice has nothing against it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.decider.domain import PracticeFact, Reason, Verdict
from shared.packs.practice import spec_hash
from tests.unit.decider.scenes import NOW, RESTART, case, playbooks, ruled, target

REQUIRED = {"require_practice": True}
SPEC = playbooks(restart=RESTART)["restart"]


def practised(*, passed: bool = True, age_days: float = 1, version: str = "") -> dict[str, PracticeFact]:
    at = NOW - timedelta(days=age_days)
    return {"restart": PracticeFact(at, version or spec_hash(SPEC), passed, "file:a is not as it was")}


@pytest.mark.parametrize(
    ("policy", "facts", "words"),
    [
        (REQUIRED, {}, "never practised"),
        (REQUIRED, practised(age_days=31), "more than 30 days ago"),
        (REQUIRED, practised(version="another"), "changed since"),
        ({}, practised(passed=False), "failed its practice on 2026-01-06: file:a is not as it was"),
        ({}, practised(passed=False, age_days=400), "failed its practice"),
    ],
)
def test_without_a_practice_that_speaks_for_it_a_person_is_asked(
    policy: dict[str, Any], facts: dict[str, PracticeFact], words: str
) -> None:
    ruling = ruled(case(), target(policy=policy, practised=facts))
    assert (ruling.verdict, ruling.reason) == (Verdict.ASK, Reason.NOT_PRACTISED)
    assert words in ruling.detail
    assert ruling.flip is not None
    assert ruling.flip.verdict is Verdict.EXECUTE
    assert "a practice that restart has passed" in ruling.flip.words


@pytest.mark.parametrize(
    ("policy", "facts"),
    [
        (REQUIRED, practised()),
        ({}, {}),
        ({}, practised(passed=False, version="of before it was mended")),
        ({}, practised(age_days=400)),
    ],
)
def test_practice_is_in_the_way_of_nothing_else(policy: dict[str, Any], facts: dict[str, PracticeFact]) -> None:
    assert ruled(case(), target(policy=policy, practised=facts)).verdict is Verdict.EXECUTE


def test_what_says_when_a_playbook_runs_is_not_what_was_proven() -> None:
    promoted = SPEC.model_copy(update={"automation_level": "manual", "confidence": 0.5, "cooldown_s": 1})
    assert spec_hash(promoted) == spec_hash(SPEC)
    assert spec_hash(SPEC.model_copy(update={"rollback": "none"})) != spec_hash(SPEC)
