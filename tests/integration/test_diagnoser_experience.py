"""What came of repairs teaches the diagnoser how sure to be: real NATS and PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from shared.contracts.base import Category
from shared.contracts.detector import Incident
from shared.contracts.diagnoser import Calibration, CalibrationRequest, Diagnosis
from shared.contracts.healer import Outcome, Result
from shared.contracts.ingest import ExternalOutcome
from tests.conftest import Platform
from tests.integration.test_diagnoser import World, incident, resolved, running

Eventually = Callable[..., Awaitable[None]]


def outcome(of: Incident, diagnosis: Diagnosis, result: Result, **more: object) -> Outcome:
    now = datetime.now(UTC)
    fields: dict[str, object] = {
        "category": diagnosis.best.category,
        "signature": diagnosis.best.signature,
        "applied_at": now,
    }
    return Outcome(
        at=now,
        component=of.component,
        case_id=of.case_id,
        decision_id=uuid4(),
        playbook="restart-it",
        confidence=diagnosis.best.confidence,
        result=result,
        reason="validated",
        opened_at=of.opened_at,
        started_at=now,
        finished_at=now,
        **(fields | more),  # type: ignore[arg-type]
    )


class Story:
    """One crash after another, each diagnosed, repaired and judged."""

    def __init__(self, platform: Platform, world: World, eventually: Eventually) -> None:
        self.platform, self.world, self.eventually = platform, world, eventually

    async def diagnosed(self, one: Incident) -> Diagnosis:
        await self.world.says(one)

        async def told() -> bool:
            return bool(await self.world.diagnoses(one.case_id))

        await self.eventually(told)
        return (await self.world.diagnoses(one.case_id))[-1]

    async def crash(self, result: Result, **more: object) -> UUID:
        one = incident("payments", "process-exited")
        diagnosis = await self.diagnosed(one)
        await self.world.says(outcome(one, diagnosis, result, **more), resolved(one))
        return one.case_id

    async def calibration(self) -> Calibration:
        client = await self.platform.connect_nats()
        try:
            asked = CalibrationRequest().model_dump_json().encode()
            answer = await client.request("cmd.diagnoser.calibration", asked, timeout=5)
        finally:
            await client.close()
        return Calibration.model_validate_json(answer.data)

    async def judged(self, cases: int, right: int) -> None:
        async def known() -> bool:
            found = await self.calibration()
            return (found.judged, found.right) == (cases, right)

        await self.eventually(known)


async def test_before_the_first_outcome_nothing_is_claimed(platform: Platform) -> None:
    async with running(platform) as world:
        found = await Story(platform, world, pytest.fail).calibration()
        assert (found.judged, found.brier, found.calibration_error, found.reliability) == (0, None, None, ())


async def test_refuted_diagnoses_lower_the_confidence_and_raw_stays_as_it_was(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform) as world:
        story = Story(platform, world, eventually)
        first = await story.diagnosed(incident("payments", "process-exited"))
        assert first.best.confidence == first.best.raw_confidence == pytest.approx(0.95)
        for cases in range(1, 4):
            await story.crash(Result.ROLLED_BACK)
            await story.judged(cases, 0)
        later = await story.diagnosed(incident("orders", "process-exited"))
        assert later.best.category is Category.CRASH
        assert later.best.raw_confidence == pytest.approx(0.95)
        assert later.best.confidence < 0.8
        (record,) = (await story.calibration()).signatures
        assert (record.signature, record.cases, record.right) == ("crash:process-exited", 3, 0)


async def test_confirmed_ones_become_history_that_the_next_report_tells(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform) as world:
        story = Story(platform, world, eventually)
        for cases in range(1, 4):
            await story.crash(Result.SUCCEEDED)
            await story.judged(cases, cases)
        later = await story.diagnosed(incident("payments", "process-exited"))
        assert "of 3 earlier incidents like this (process-exited at payments), 3 were a crash" in later.report
        assert "by 3 measured ones" in later.report


async def test_what_was_never_tried_says_nothing_and_redelivery_counts_once(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform) as world:
        story = Story(platform, world, eventually)
        await story.crash(Result.SKIPPED)
        await story.crash(Result.SUCCEEDED, dry_run=True)
        await story.crash(Result.FAILED, applied_at=None)
        one = incident("payments", "process-exited")
        told = outcome(one, await story.diagnosed(one), Result.SUCCEEDED)
        await world.says(told, told.model_copy(update={"id": uuid4()}))
        await story.judged(1, 1)


async def test_somebody_who_saw_that_it_did_not_help_counts_before_the_validation(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform) as world:
        story = Story(platform, world, eventually)
        case_id = await story.crash(Result.SUCCEEDED)
        await story.judged(1, 1)
        seen = ExternalOutcome(at=datetime.now(UTC), component="payments", case_id=case_id, success=False)
        await world.says(seen)
        await story.judged(1, 0)
