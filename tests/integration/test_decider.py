"""The decider beside a real NATS and PostgreSQL: told as timelines of a case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from services.decider.app import build
from services.decider.domain import decide
from services.decider.domain.record import load_inputs
from services.decider.settings import Settings
from services.decider.store import Base
from shared.contracts.base import CaseKind, Category, Event, Severity
from shared.contracts.decider import (
    Answer,
    Answered,
    Calibration,
    CalibrationRequest,
    Decision,
    Recompute,
    Recomputed,
    Replay,
    Replayed,
    Simulate,
    Simulated,
    Verb,
    Verdict,
)
from shared.contracts.decider_governance import Explain, Explained
from shared.contracts.detector import DetectionMethod, Incident, Swept, Transition
from shared.contracts.diagnoser import Cause, Diagnosis
from shared.contracts.gateway import ManualRequest, PackApplied
from shared.contracts.healer import Outcome, Result, SweepRequest
from shared.contracts.learner import Knowledge
from shared.contracts.predictor import Moment, Prediction
from shared.db import schema_differences
from shared.runtime import Service
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]

RESTART: Mapping[str, Any] = {
    "for": ["crash", "resource-exhaustion"],
    "automation_level": "full-auto",
    "steps": [{"process.restart": {}}],
    "cooldown_s": 0,
}


def pack(mode: str = "auto", **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "pack": "shop",
        "mode": mode,
        "components": {name: {"group": "web"} for name in ("edge", "orders", "payments", "catalog")},
        "playbooks": {"restart": dict(RESTART)},
    }
    return body | more


def incident(component: str = "payments", **more: Any) -> Incident:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "case_id": uuid4(),
        "revision": 1,
        "transition": Transition.OPENED,
        "severity": Severity.CRITICAL,
        "opened_at": now,
    }
    return Incident(
        at=now,
        component=component,
        fingerprint=component,
        pattern="process-exited",
        method=DetectionMethod.PROBE,
        summary="gone",
        last_seen_at=now,
        **(fields | more),
    )


def later(one: Incident, transition: Transition, **more: Any) -> Incident:
    now = datetime.now(UTC)
    resolved_at = now if transition is Transition.RESOLVED else None
    update = {
        "id": uuid4(),
        "at": now,
        "revision": one.revision + 1,
        "transition": transition,
        "resolved_at": resolved_at,
    }
    return one.model_copy(update=update | more)


def diagnosis(of: Incident, category: str = "crash", confidence: float = 0.95, **more: Any) -> Diagnosis:
    cause = Cause(
        component=more.pop("culprit", of.component),
        category=Category(category),
        confidence=confidence,
        signature=f"{category}:process-exited",
    )
    fields: dict[str, Any] = {"revision": 1, "incident_revision": 1, "causes": (cause,), "report": "r"}
    return Diagnosis(at=datetime.now(UTC), component=of.component, case_id=of.case_id, **(fields | more))


def outcome(of: Decision, result: Result, **more: Any) -> Outcome:
    now = datetime.now(UTC)
    assert of.plan is not None
    return Outcome(
        at=now,
        component=of.component,
        case_id=of.case_id,
        case_kind=of.case_kind,
        decision_id=of.decision_id,
        playbook=of.plan.playbook,
        signature=of.signature,
        category=of.category,
        confidence=of.confidence,
        result=result,
        reason="test",
        started_at=now,
        finished_at=now,
        **more,
    )


class World:
    """Publishes as the other services would, and reads what the decider says."""

    def __init__(self, service: Service, client: Any, eventually: Eventually) -> None:
        self.service = service
        self.client = client
        self.eventually = eventually

    async def says(self, *events: Event) -> None:
        for event in events:
            await self.client.jetstream().publish(event.subject, event.model_dump_json().encode())

    async def applies(self, body: dict[str, Any], version: int = 1) -> None:
        await self.says(PackApplied(at=datetime.now(UTC), pack="shop", version=version, applied_by="t", body=body))
        await self.eventually(
            lambda: "shop" in self.service.packs.packs and self.service.packs.packs["shop"].version == version
        )

    async def decisions(self, case: UUID | None = None) -> list[Decision]:
        jetstream = self.client.jetstream()
        last = (await jetstream.stream_info("EVENTS")).state.last_seq
        found = []
        for sequence in range(1, last + 1):
            message = await jetstream.get_msg("EVENTS", sequence)
            if message.subject.startswith(Decision.SUBJECT):
                found.append(Decision.model_validate_json(message.data))
        return [one for one in found if case in {None, one.case_id}]

    async def decided(self, case: UUID, *reasons: str) -> list[Decision]:
        """Waits until the case's decisions have exactly these reasons, in order."""

        async def as_told() -> bool:
            return [one.reason for one in await self.decisions(case)] == list(reasons)

        try:
            await self.eventually(as_told)
        except BaseException:
            print([one.reason for one in await self.decisions(case)])
            raise
        return await self.decisions(case)

    async def answers(self, decision: Decision, verb: Verb, **more: Any) -> Answered:
        answer = Answer(at=datetime.now(UTC), decision_id=decision.decision_id, verb=verb, by="ann", **more)
        reply = await self.client.request("cmd.decider.answer", answer.model_dump_json().encode(), timeout=5)
        return Answered.model_validate_json(reply.data)

    async def rows(self, statement: str) -> list[Any]:
        async with self.service.engine.connect() as connection:
            return list((await connection.execute(text(statement))).mappings())


@asynccontextmanager
async def running(
    platform: Platform, eventually: Eventually, body: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[World]:
    values = {"reopened_settle_s": 0.1, "after_success_s": 0.5, "decider_review_s": 0.5}
    service = build(platform.settings(Settings, **(values | settings)))
    client = await platform.connect_nats()
    await service.start()
    world = World(service, client, eventually)
    try:
        if body is not None:
            await world.applies(body)
        yield world
    finally:
        await service.stop()
        await client.close()


async def test_the_tables_are_as_migrated(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually) as world, world.service.engine.connect() as connection:
        assert await connection.run_sync(lambda sync: schema_differences(Base.metadata, sync)) == []


async def test_a_diagnosis_becomes_one_order_with_a_plan_and_a_record(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, eventually, pack()) as world:
        gone = incident()
        told = diagnosis(gone)
        await world.says(gone, told, told.model_copy(update={"id": uuid4()}))
        (decision,) = await world.decided(gone.case_id, "act")
        assert decision.verdict is Verdict.EXECUTE
        assert decision.decision_id == uuid5(gone.case_id, "1")
        assert decision.plan is not None
        assert (decision.plan.playbook, decision.plan.component, decision.plan.pack_version) == (
            "restart",
            "payments",
            1,
        )
        (row,) = await world.rows("select * from decisions")
        assert row["decision_type"] == "incident"
        assert row["chosen_action"] == "restart"
        assert float(row["confidence_score"]) == 0.95
        assert row["actual_outcome"] is None
        await world.says(outcome(decision, Result.SUCCEEDED), later(gone, Transition.RESOLVED))

        async def closed() -> bool:
            (case,) = await world.rows("select state from cases")
            return bool(case["state"] == "closed")

        await eventually(closed)
        (row,) = await world.rows("select * from decisions")
        assert row["actual_outcome"]["result"] == "succeeded"
        assert row["closed_at"] is not None


async def test_every_decision_can_be_made_again_from_its_record(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("assist")) as world:
        first, second = incident(), incident("edge")
        await world.says(first, diagnosis(first), second, diagnosis(second, "rate-limit"))
        await world.decided(first.case_id, "mode-assist")
        await world.decided(second.case_id, "no-playbook")
        rows = await world.rows("select * from decisions")
        assert len(rows) == 2
        for row in rows:
            ruling = decide(load_inputs(row["context_data"]))
            assert (ruling.verdict.value, ruling.reason.value) == (row["verdict"], row["reason"])
            assert ruling.explanation == row["event"]["explanation"]


async def test_a_decision_is_explained_with_criteria_limits_evidence_and_what_would_have_turned_it(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, eventually, pack("assist")) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (ask,) = await world.decided(gone.case_id, "mode-assist")
        found = await asks(world, "explain", Explain(decision_id=ask.decision_id), Explained)
        assert (found.playbook, found.reason, found.model_version) == ("restart", "mode-assist", 0)
        assert found.objectives is not None
        assert sum(found.objectives.weights.values()) == pytest.approx(1.0)
        (restart,) = found.alternatives
        assert sum(one.contribution for one in restart.scores) == pytest.approx(restart.score, abs=1e-3)
        assert [one.rule for one in found.constraints if not one.kept] == ["mode-assist"]
        assert found.evidence[0].startswith("cause crash of payments")
        assert found.counterfactual == ask.counterfactual
        (row,) = await world.rows("select * from autonomous_decisions")
        assert (row["id"], row["chosen_action"]) == (ask.decision_id, "restart")


async def test_in_mode_observe_it_is_said_and_not_done(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("observe")) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (dry,) = await world.decided(gone.case_id, "mode-observe")
        assert (dry.verdict, dry.dry_run) == (Verdict.OBSERVE, True)
        assert dry.plan is not None
        assert await world.rows("select * from grants") == []
        await world.says(outcome(dry, Result.SKIPPED, dry_run=True))
        await world.applies(pack("auto"), version=2)
        _, real = await world.decided(gone.case_id, "mode-observe", "act")
        assert real.decision_id != dry.decision_id


# ---- people


async def test_an_approval_makes_the_question_an_order(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("assist")) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (ask,) = await world.decided(gone.case_id, "mode-assist")
        assert ask.verdict is Verdict.ASK
        assert ask.expires_at is not None
        stale = await world.answers(ask, Verb.APPROVE, revision=7)
        assert not stale.accepted
        assert "has changed" in stale.reason
        replies = await asyncio.gather(*(world.answers(ask, Verb.APPROVE, revision=1) for _ in range(4)))
        assert sorted(reply.accepted for reply in replies) == [False, False, False, True]
        _, order = await world.decided(gone.case_id, "mode-assist", "approved")
        assert (order.decision_id, order.revision, order.decided_by) == (ask.decision_id, 2, "ann")
        assert len(await world.rows("select * from grants")) == 1


async def test_a_rejection_settles_the_case_until_it_reopens(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("assist")) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (ask,) = await world.decided(gone.case_id, "mode-assist")
        assert (await world.answers(ask, Verb.REJECT)).accepted
        await world.decided(gone.case_id, "mode-assist", "rejected")
        refused = await world.answers(ask, Verb.APPROVE)
        assert not refused.accepted
        over = later(gone, Transition.RESOLVED)
        await world.says(over, later(over, Transition.REOPENED))
        *_, again = await world.decided(gone.case_id, "mode-assist", "rejected", "mode-assist")
        assert again.decision_id == uuid5(gone.case_id, "2")


async def test_a_reopening_whose_diagnosis_was_heard_first_is_decided_at_once(
    platform: Platform, eventually: Eventually
) -> None:
    """Other reopened cases wait for a new diagnosis: here for longer than the test."""
    async with running(platform, eventually, pack("assist"), reopened_settle_s=60.0) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        await world.decided(gone.case_id, "mode-assist")
        over = later(gone, Transition.RESOLVED)
        await world.says(over)
        await world.decided(gone.case_id, "mode-assist", "incident-gone")
        again = later(over, Transition.REOPENED, opened_at=datetime.now(UTC))
        await world.says(diagnosis(again, revision=2))

        async def it_is_heard() -> bool:
            return bool(await world.rows("select 1 from cases where source_revision = 2"))

        await eventually(it_is_heard)
        await world.says(again)
        await world.decided(gone.case_id, "mode-assist", "incident-gone", "mode-assist")


async def test_a_question_lapses(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("assist", policy={"ask_expires_s": 0.3})) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        ask, lapsed = await world.decided(gone.case_id, "mode-assist", "expired")
        assert (lapsed.verdict, lapsed.revision) == (Verdict.ABSTAIN, 2)
        assert not (await world.answers(ask, Verb.APPROVE)).accepted


async def test_a_question_is_withdrawn_when_the_incident_is_over(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("assist")) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (ask,) = await world.decided(gone.case_id, "mode-assist")
        await world.says(later(gone, Transition.RESOLVED))
        await world.decided(gone.case_id, "mode-assist", "incident-gone")
        assert not (await world.answers(ask, Verb.APPROVE)).accepted


async def test_a_request_goes_through_the_same_door(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("assist")) as world:
        request = ManualRequest(
            at=datetime.now(UTC), component="edge", case_id=uuid4(), playbook="restart", by="ann", comment="now"
        )
        await world.says(request)
        (order,) = await world.decided(request.case_id, "manual")
        assert (order.verdict, order.decided_by, order.case_kind) == (Verdict.EXECUTE, "ann", CaseKind.REQUEST)


# ---- limits


async def test_the_kill_switch_works_and_is_left_behind(
    platform: Platform, eventually: Eventually, tmp_path: Path
) -> None:
    switch = tmp_path / "stop"
    switch.touch()
    async with running(platform, eventually, pack(), kill_switch_file=switch) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        await world.decided(gone.case_id, "switched-off")
        switch.unlink()
        await world.decided(gone.case_id, "switched-off", "act")


async def test_a_busy_component_waits_and_is_then_decided(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        first, second = incident(), incident()
        await world.says(first, diagnosis(first))
        (order,) = await world.decided(first.case_id, "act")
        await world.says(second, diagnosis(second))
        await world.decided(second.case_id, "busy")
        await world.says(outcome(order, Result.SUCCEEDED), later(first, Transition.RESOLVED))
        await world.decided(second.case_id, "busy", "act")


async def test_two_replicas_never_grant_twice_nor_beyond_the_budget(platform: Platform, eventually: Eventually) -> None:
    limits = {"actions_per_hour": 3, "max_targets_at_once": 100}
    async with (
        running(platform, eventually, pack(policy=limits)) as world,
        running(platform, eventually, pack(policy=limits)),
    ):
        gone = [incident(name) for name in ("edge", "orders", "payments", "catalog") for _ in range(4)]
        await world.says(*gone)
        await world.says(*(diagnosis(one) for one in gone))

        async def all_told() -> bool:
            return {one.case_id for one in await world.decisions()} == {one.case_id for one in gone}

        await eventually(all_told)
        orders = [one for one in await world.decisions() if one.verdict is Verdict.EXECUTE]
        assert len(orders) == 3
        assert len({one.component for one in orders}) == 3
        told = [(one.decision_id, one.revision) for one in await world.decisions()]
        assert len(told) == len(set(told))


async def test_nothing_is_told_twice_for_the_same_state(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack(policy={"actions_per_hour": 0}), decider_review_s=0.05) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        await world.decided(gone.case_id, "budget-spent")
        for _ in range(3):
            reply = await world.client.request(
                "cmd.decider.sweep", SweepRequest().model_dump_json().encode(), timeout=5
            )
            assert Swept.model_validate_json(reply.data).service == "decider"
        (case,) = await world.rows("select tries from cases")
        assert case["tries"] >= 2
        assert [one.reason for one in await world.decisions()] == ["budget-spent"]


# ---- what follows a run


async def test_failures_lead_to_the_next_playbook_and_then_to_a_person(
    platform: Platform, eventually: Eventually
) -> None:
    books = {"first": {**RESTART, "then": "second"}, "second": {**RESTART, "for": ["hang"], "then": "page-a-human"}}
    async with running(platform, eventually, pack(playbooks=books)) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (one,) = await world.decided(gone.case_id, "act")
        await world.says(outcome(one, Result.ROLLED_BACK))
        _, two = await world.decided(gone.case_id, "act", "act")
        assert two.plan is not None
        assert (two.plan.playbook, two.decision_id) == ("second", uuid5(gone.case_id, "2"))
        await world.says(outcome(two, Result.FAILED))
        *_, page = await world.decided(gone.case_id, "act", "act", "escalated")
        assert page.verdict is Verdict.ASK


async def test_attempts_come_to_an_end(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack(policy={"max_attempts": 3})) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        for runs in range(1, 4):
            decisions = await world.decided(gone.case_id, *["act"] * runs)
            await world.says(outcome(decisions[-1], Result.ROLLED_BACK))
        *_, last = await world.decided(gone.case_id, "act", "act", "act", "attempts-spent")
        assert last.verdict is Verdict.ASK


async def test_an_incident_that_comes_back_after_success_is_a_new_attempt(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, eventually, pack()) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (first,) = await world.decided(gone.case_id, "act")
        over = later(gone, Transition.RESOLVED)
        await world.says(over, outcome(first, Result.SUCCEEDED), later(over, Transition.REOPENED))
        _, second = await world.decided(gone.case_id, "act", "act")
        assert second.decision_id != first.decision_id


async def test_a_run_that_is_never_heard_of_again_calls_a_person(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        await world.decided(gone.case_id, "act")
        async with world.service.engine.begin() as connection:
            await connection.execute(text("update grants set lease_until = now() - interval '1 s'"))
        await world.decided(gone.case_id, "act", "escalated")
        (grant,) = await world.rows("select result from grants")
        assert grant["result"] == "lost"


# ---- order of messages, knowledge, predictions, symptoms


async def test_messages_may_come_in_any_order(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        gone, early = incident(), incident("edge")
        await world.says(later(gone, Transition.RESOLVED), gone, diagnosis(early), early)
        await world.decided(early.case_id, "act")
        await world.says(diagnosis(gone))
        marker = incident("catalog")
        await world.says(diagnosis(marker))
        await world.decided(marker.case_id, "act")
        assert await world.decisions(gone.case_id) == []


async def test_a_new_cause_changes_the_question(platform: Platform, eventually: Eventually) -> None:
    books = {"restart": dict(RESTART), "cool": {**RESTART, "for": ["overload"]}}
    async with running(platform, eventually, pack("assist", playbooks=books)) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        await world.decided(gone.case_id, "mode-assist")
        await world.says(diagnosis(gone, "overload", revision=2))
        first, second = await world.decided(gone.case_id, "mode-assist", "mode-assist")
        assert (first.decision_id, second.revision) == (second.decision_id, 2)
        assert second.plan is not None
        assert second.plan.playbook == "cool"


async def test_knowledge_moves_confidence(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        known = Knowledge(
            at=datetime.now(UTC),
            signature="crash:process-exited",
            playbook="restart",
            slug="crash-restart",
            runs=10,
            successes=10,
            success_rate=1.0,
            confidence_shift=0.1,
        )
        unsure = incident()
        await world.says(unsure, diagnosis(unsure, confidence=0.8))
        await world.decided(unsure.case_id, "below-threshold")
        await world.says(known)
        _, order = await world.decided(unsure.case_id, "below-threshold", "act")
        assert order.confidence > 0.9
        assert order.expected_success is not None
        assert order.expected_success > order.confidence


async def test_a_prediction_waits_for_quiet_and_for_incidents(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        case = uuid4()

        def foretold(revision: int, moment: Moment) -> Prediction:
            return Prediction(
                at=datetime.now(UTC),
                component="catalog",
                case_id=case,
                revision=revision,
                metric="memory_bytes",
                current=3e8,
                limit=4e8,
                slope_per_s=1e6,
                eta_s=100,
                eta_low_s=80,
                eta_high_s=120,
                probability=0.95,
                predicted_issue="out-of-memory",
                signature="resource-exhaustion:memory-leak",
                moment=moment,
                summary="s",
            )

        await world.says(foretold(1, Moment.WAIT), foretold(2, Moment.WAIT))
        await world.decided(case, "awaiting-quiet-moment")
        trouble = incident("catalog")
        await world.says(trouble)

        async def heard() -> bool:
            return bool(await world.rows("select 1 from cases where kind = 'incident'"))

        await eventually(heard)
        await world.says(foretold(3, Moment.QUIET))
        await world.decided(case, "awaiting-quiet-moment", "incident-first")
        await world.says(later(trouble, Transition.RESOLVED))
        *_, order = await world.decided(case, "awaiting-quiet-moment", "incident-first", "act")
        assert order.case_kind is CaseKind.PREDICTION
        assert order.category is Category.RESOURCE_EXHAUSTION


async def test_a_symptom_helps_itself_once_nobody_helps_its_cause(platform: Platform, eventually: Eventually) -> None:
    books = {
        "restart": {**RESTART, "then": "page-a-human"},
        "failover": {**RESTART, "for": ["dependency-failure"], "components": ["payments"]},
    }
    async with running(platform, eventually, pack(playbooks=books)) as world:
        culprit, caller = incident("edge"), incident("payments")
        own = Cause(component="payments", category=Category.DEPENDENCY_FAILURE, confidence=0.9, signature="d:x")
        symptom = diagnosis(caller, culprit="edge", symptom_of=culprit.case_id)
        symptom = symptom.model_copy(update={"causes": (*symptom.causes, own)})
        await world.says(culprit, diagnosis(culprit), caller, symptom)
        (restart,) = await world.decided(culprit.case_id, "act")
        await world.decided(caller.case_id, "symptom-of-other")
        await world.says(outcome(restart, Result.FAILED))
        await world.decided(culprit.case_id, "act", "escalated")
        _, failover = await world.decided(caller.case_id, "symptom-of-other", "act")
        assert failover.plan is not None
        assert failover.plan.playbook == "failover"


async def test_a_simulation_keeps_nothing(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack("observe")) as world:
        asked = Simulate(component="payments", category=Category.CRASH, confidence=0.95, mode="auto")  # type: ignore[arg-type]
        reply = await world.client.request("cmd.decider.simulate", asked.model_dump_json().encode(), timeout=5)
        simulated = Simulated.model_validate_json(reply.data)
        assert (simulated.verdict, simulated.reason, simulated.playbook) == (Verdict.EXECUTE, "act", "restart")
        assert await world.rows("select 1 from cases") == []
        assert await world.decisions() == []


async def test_a_restart_of_the_decider_forgets_nothing(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack(policy={"actions_per_hour": 0})) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        await world.decided(gone.case_id, "budget-spent")
    async with running(platform, eventually) as world:
        await world.applies(pack(), version=2)
        _, order = await world.decided(gone.case_id, "budget-spent", "act")
        assert order.at - gone.at < timedelta(minutes=1)


# ---- looking back


async def asks[R: BaseModel](world: World, verb: str, body: BaseModel, reply: type[R]) -> R:
    answer = await world.client.request(f"cmd.decider.{verb}", body.model_dump_json().encode(), timeout=5)
    assert not answer.headers, answer.headers
    return reply.model_validate_json(answer.data)


async def test_decisions_come_out_the_same_when_made_again(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        gone, unsure = incident(), incident("edge")
        await world.says(gone, diagnosis(gone), unsure, diagnosis(unsure, confidence=0.6))
        (order,) = await world.decided(gone.case_id, "act")
        (question,) = await world.decided(unsure.case_id, "below-threshold")
        assert question.counterfactual is not None
        assert question.counterfactual.changes == ("confidence of at least 85% (it is 60%)",)
        again = await asks(world, "recompute", Recompute(), Recomputed)
        assert (again.checked, again.same, again.differences) == (2, 2, ())
        one = await asks(world, "recompute", Recompute(decision_id=order.decision_id), Recomputed)
        assert (one.same, one.verdict, one.explanation) == (1, Verdict.EXECUTE, order.explanation)
        async with world.service.engine.begin() as connection:
            await connection.execute(text("update decisions set verdict = 'abstain' where verdict = 'ask'"))
        forged = await asks(world, "recompute", Recompute(), Recomputed)
        assert [(one.decision_id, one.field) for one in forged.differences] == [(question.decision_id, "verdict")]


async def test_what_was_foretold_is_compared_with_what_came_of_it(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        ends = {"payments": Result.SUCCEEDED, "edge": Result.FAILED, "orders": Result.SKIPPED}
        for component, result in ends.items():
            gone = incident(component)
            await world.says(gone, diagnosis(gone))
            (order, *_) = await world.decided(gone.case_id, "act")
            await world.says(outcome(order, result))

        async def all_ended() -> bool:
            return len(await world.rows("select 1 from decisions where actual_outcome is not null")) == len(ends)

        await eventually(all_ended)
        found = await asks(world, "calibration", CalibrationRequest(), Calibration)
        (only,) = found.curve
        assert (found.runs, only.runs, only.helped) == (2, 2, 0.5)
        assert found.calibration_error == abs(only.expected - 0.5)


async def test_runs_are_told_apart_by_kind_of_component(platform: Platform, eventually: Eventually) -> None:
    components = {"payments": {"kind": "web"}, "edge": {"kind": "proxy"}}
    async with running(platform, eventually, pack(components=components)) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (order,) = await world.decided(gone.case_id, "act")
        await world.says(outcome(order, Result.SUCCEEDED), later(gone, Transition.RESOLVED))
        known = Knowledge(
            at=datetime.now(UTC),
            signature=order.signature,
            playbook="restart",
            slug="crash-restart",
            runs=1,
            successes=1,
            success_rate=1.0,
            confidence_shift=0.1,
        )
        await world.says(known)

        async def sure(component: str) -> float:
            asked = Simulate(component=component, category=Category.CRASH, confidence=0.8, signature=order.signature)
            return (await asks(world, "simulate", asked, Simulated)).confidence

        async def known_by_now() -> bool:
            return await sure("payments") > await sure("edge") > 0.8

        await eventually(known_by_now)


async def test_other_rules_are_tried_on_what_was_recorded(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        gone, unsure = incident(), incident("edge")
        await world.says(gone, diagnosis(gone), unsure, diagnosis(unsure, confidence=0.75))
        (order,) = await world.decided(gone.case_id, "act")
        (question,) = await world.decided(unsure.case_id, "below-threshold")
        await world.says(outcome(order, Result.SUCCEEDED))

        async def ended() -> bool:
            return bool(await world.rows("select 1 from decisions where helped"))

        await eventually(ended)
        found = await asks(world, "replay", Replay(policy={"confidence": 0.7}), Replayed)
        assert (found.compared, found.acted, found.would_act) == (2, 1, 2)
        assert [one.decision_id for one in found.differences] == [question.decision_id]
        assert found.would_be_worth is not None
        assert found.would_be_worth.seen == 0.5
        wrong = await world.client.request("cmd.decider.replay", b'{"policy": {"confidence": 7}}', timeout=5)
        assert "confidence" in wrong.headers["Homeostat-Error"]
