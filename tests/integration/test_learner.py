"""The learner between a real bus and a real database: outcomes in, knowledge out, each counted once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from nats.aio.client import Client
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from services.learner.app import build
from services.learner.domain.knowledge import slug
from services.learner.settings import Settings
from services.learner.store import Base
from shared.contracts.base import Category, Event
from shared.contracts.decider import Decision, Plan, Verdict
from shared.contracts.decider_governance import Overridden
from shared.contracts.healer import Outcome, Result
from shared.contracts.ingest import ExternalOutcome
from shared.contracts.learner import Drift, Export, Feedbacks, Knowledge, Statistics, SuggestionQuality
from shared.db import schema_differences
from shared.packs import Component, Playbook
from shared.runtime import Service
from tests.conftest import Platform

NOW = datetime.now(UTC)
SIGNATURE = "crash:process-exited"
RESTART = Playbook.model_validate({"for": ["crash"], "steps": [{"process.start": {}}]})
SUBJECT = f"state.learner.knowledge.v1.{slug(SIGNATURE, 'restart-it')}"


def outcome(result: Result = Result.SUCCEEDED, minute: int = 0, case_id: UUID | None = None, **more: object) -> Outcome:
    finished_at = NOW - timedelta(hours=2) + timedelta(minutes=minute)
    return Outcome(
        at=finished_at,
        component="catalog",
        case_id=case_id or uuid4(),
        decision_id=uuid4(),
        playbook="restart-it",
        signature=SIGNATURE,
        category=Category.CRASH,
        confidence=0.7,
        result=result,
        reason="test",
        opened_at=finished_at - timedelta(seconds=40),
        started_at=finished_at - timedelta(seconds=30),
        finished_at=finished_at,
        **more,  # type: ignore[arg-type]
    )


class World:
    def __init__(self, platform: Platform, client: Client) -> None:
        self.platform = platform
        self.client = client

    async def publish(self, *events: Event) -> None:
        for event in events:
            await self.client.jetstream().publish(event.subject, event.model_dump_json().encode())

    async def known(self) -> Knowledge | None:
        try:
            message = await self.client.jetstream().get_last_msg("STATE", SUBJECT)
        except Exception as error:
            if "NotFound" in type(error).__name__:
                return None
            raise
        return Knowledge.model_validate_json(message.data or b"")

    async def ask[T](self, verb: str, reply: type[T], body: bytes = b"{}") -> T:
        message = await self.client.request(f"cmd.learner.{verb}", body, timeout=10)
        return reply.model_validate_json(message.data)  # type: ignore[attr-defined, no-any-return]

    def runs(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            known = await self.known()
            return known is not None and known.runs == count

        return reached


@pytest.fixture
async def world(platform: Platform) -> AsyncIterator[World]:
    client = await platform.connect_nats()
    replicas: list[Service] = [build(platform.settings(Settings)) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    yield World(platform, client)
    for replica in replicas:
        await replica.stop()
    await client.close()


Eventually = Callable[..., Awaitable[None]]


async def test_every_outcome_counts_once_on_any_number_of_replicas(world: World, eventually: Eventually) -> None:
    """Requirements H01 to H03."""
    runs = [outcome(Result.SUCCEEDED if minute % 5 else Result.FAILED, minute) for minute in range(30)]
    again = [run.model_copy(update={"id": uuid4()}) for run in runs[:10]]  # said twice, as two events
    await asyncio.gather(*(world.publish(run) for run in runs + again))
    await eventually(world.runs(30))
    known = await world.known()
    assert known is not None
    assert (known.successes, known.success_rate) == (24, 0.8)
    assert known.confidence_shift == pytest.approx(0.06)
    assert known.mean_recovery_s == pytest.approx(40)
    found = await world.ask("statistics", Statistics)
    assert (found.total, found.successes, found.by_type["restart-it"].success_rate) == (30, 24, 0.8)
    assert found.brier is not None
    assert len(found.curve) == 10


async def test_replicas_that_hear_the_same_in_another_order_do_not_block_each_other(
    world: World, eventually: Eventually
) -> None:
    """Each unit of work handles many events, so locks by case and pair would be taken in any order."""
    runs = [outcome(minute=minute) for minute in range(60)]
    again = [run.model_copy(update={"id": uuid4()}) for run in runs[::-1]]
    await asyncio.gather(*(world.publish(run, repeated) for run, repeated in zip(runs, again, strict=True)))
    await eventually(world.runs(60))

    async def is_handled() -> bool:
        consumer = await world.client.jetstream().consumer_info("EVENTS", "learner-healer-outcome-v1")
        return (consumer.num_pending, consumer.num_ack_pending) == (0, 0)

    await eventually(is_handled)
    connection = await world.platform.connect_postgres()
    query = "select deadlocks from pg_stat_database where datname = current_database()"
    assert await connection.fetchval(query) == 0
    await connection.close()


async def test_a_change_of_the_truth_is_noticed_and_told_once(world: World, eventually: Eventually) -> None:
    """Requirement H17: each outcome is told as soon as it is known."""
    drifts = await world.client.jetstream().subscribe("learner.drift.v1.>", ordered_consumer=True)
    for minute in range(20):
        await world.publish(outcome(Result.SUCCEEDED, minute))
        await eventually(world.runs(minute + 1))
    for minute in range(20, 26):
        await world.publish(outcome(Result.FAILED, minute))
        await eventually(world.runs(minute + 1))
    drift = Drift.model_validate_json((await drifts.next_msg(timeout=20)).data)
    assert (drift.playbook, drift.signature) == ("restart-it", SIGNATURE)
    assert drift.success_before > 0.9 > 0.3 > drift.success_since
    known = await world.known()
    assert known is not None
    assert (known.runs, known.successes) == (26, 20)
    (kind,) = known.by_kind
    assert kind.runs < 12
    assert kind.successes < 3
    assert known.changed_at is not None
    lessons = [one.feedback_type for one in (await world.ask("feedback", Feedbacks)).feedback]
    assert lessons.count("drift") == 1


async def test_dry_runs_and_skipped_runs_teach_nothing(world: World, eventually: Eventually) -> None:
    await world.publish(outcome(Result.SKIPPED), outcome(Result.SUCCEEDED, dry_run=True), outcome(Result.ROLLED_BACK))
    await eventually(world.runs(1))

    async def is_exported() -> bool:
        return len((await world.ask("export", Export)).lines) == 3

    await eventually(is_exported)
    found = await world.ask("statistics", Statistics)
    assert (found.total, found.successes) == (1, 0)


async def test_what_somebody_saw_counts_before_the_validation(world: World, eventually: Eventually) -> None:
    run = outcome(Result.SUCCEEDED)
    await world.publish(run)
    await eventually(world.runs(1))
    seen = ExternalOutcome(at=NOW, component="catalog", case_id=run.case_id, success=False, comment="still slow")
    await world.publish(seen)

    async def is_corrected() -> bool:
        known = await world.known()
        return known is not None and (known.runs, known.successes) == (1, 0)

    await eventually(is_corrected)
    kinds = {one.feedback_type for one in (await world.ask("feedback", Feedbacks)).feedback}
    assert kinds == {"outcome", "external"}


async def test_a_word_that_comes_before_the_outcome_is_not_lost(world: World, eventually: Eventually) -> None:
    run = outcome(Result.FAILED)
    await world.publish(ExternalOutcome(at=NOW, component="catalog", case_id=run.case_id, success=True))

    async def is_kept() -> bool:
        connection = await world.platform.connect_postgres("learner")
        count = await connection.fetchval("select count(*) from external_labels")
        await connection.close()
        return bool(count == 1)

    await eventually(is_kept)
    await world.publish(run)
    await eventually(world.runs(1))
    known = await world.known()
    assert known is not None
    assert known.successes == 1


async def test_the_export_is_json_lines_in_pages(world: World, eventually: Eventually) -> None:
    """Requirement H04."""
    await world.publish(*(outcome(minute=minute) for minute in range(5)))
    await eventually(world.runs(5))
    first = await world.ask("export", Export, b'{"limit": 3}')
    assert first.next is not None
    rest = await world.ask("export", Export, json.dumps({"after": first.next, "limit": 3}).encode())
    assert (len(first.lines), len(rest.lines), rest.next) == (3, 2, None)
    line = json.loads(first.lines[0])
    required = {"timestamp", "issue_type", "fix_type", "original_confidence", "result_status"}
    assert required | {"validation_status", "success", "error_count_after"} <= set(line)
    assert (line["original_confidence"], line["validation_status"]) == (70.0, "passed")


def decision(verdict: Verdict) -> Decision:
    plan = Plan(
        pack="shop", pack_version=1, playbook="restart-it", spec=RESTART, component="catalog", target=Component()
    )
    return Decision(
        at=NOW,
        component="catalog",
        case_id=uuid4(),
        decision_id=uuid4(),
        verdict=verdict,
        reason="mode-assist",
        category=Category.CRASH,
        signature=SIGNATURE,
        confidence=0.7,
        threshold=0.85,
        risk=0.2,
        risk_max=0.4,
        mode="assist",
        dry_run=False,
        plan=plan,
        explanation="it crashed",
    )


@pytest.mark.parametrize("answer_first", [False, True])
async def test_a_person_s_answer_is_a_lesson_whichever_revision_is_heard_first(
    world: World, eventually: Eventually, answer_first: bool
) -> None:
    asked = decision(Verdict.ASK)
    refused = asked.model_copy(
        update={"id": uuid4(), "revision": 2, "verdict": Verdict.ABSTAIN, "decided_by": "ada", "reason": "rejected"}
    )

    async def is_heard() -> bool:
        return bool((await world.ask("feedback", Feedbacks)).feedback)

    if answer_first:
        await world.publish(refused)
        await eventually(is_heard)
        await world.publish(asked)
    else:
        await world.publish(asked, refused)

    async def is_learned() -> bool:
        found = await world.ask("statistics", Statistics)
        return (found.asked, found.approved, found.rejected) == (1, 0, 1)

    await eventually(is_learned)
    (only,) = (await world.ask("feedback", Feedbacks)).feedback
    assert (only.feedback_type, only.outcome_quality) == ("override", 0)
    assert "ada rejected" in only.lessons_learned


def overridden(run: Outcome, *, helped: bool | None, verdict: Verdict = Verdict.ABSTAIN) -> Overridden:
    return Overridden(
        at=NOW,
        component="catalog",
        case_id=run.case_id,
        decision_id=run.decision_id,
        signature=SIGNATURE,
        was=Verdict.EXECUTE,
        was_playbook="restart-it",
        verdict=verdict,
        by="ada",
        reason="the disk was full, a restart only hid it",
        applied=False,
        helped=helped,
    )


async def test_a_person_s_override_labels_the_run_whichever_is_heard_first(
    world: World, eventually: Eventually
) -> None:
    """Requirements H06 and H14: the validation passed, and a person who saw it says that it did not help."""
    before, after = outcome(minute=1), outcome(minute=2)
    await world.publish(overridden(before, helped=False))

    async def is_kept() -> bool:
        return any(one.feedback_type == "override" for one in (await world.ask("feedback", Feedbacks)).feedback)

    await eventually(is_kept)
    await world.publish(before, after)
    await eventually(world.runs(2))
    await world.publish(overridden(after, helped=False))

    async def is_corrected() -> bool:
        known = await world.known()
        return known is not None and (known.runs, known.successes) == (2, 0)

    await eventually(is_corrected)
    lessons = [one.lessons_learned for one in (await world.ask("feedback", Feedbacks)).feedback]
    assert any("the disk was full, a restart only hid it" in one for one in lessons)
    assert sum("somebody who saw it says it did not help" in one for one in lessons) == 2


async def test_a_person_s_no_to_what_was_decided_alone_is_a_refused_suggestion(
    world: World, eventually: Eventually
) -> None:
    acted = decision(Verdict.EXECUTE)
    await world.publish(acted)
    no = overridden(outcome(), helped=None)
    await world.publish(no.model_copy(update={"decision_id": acted.decision_id, "case_id": acted.case_id}))

    async def is_refused() -> bool:
        found = await world.ask("suggestion-quality", SuggestionQuality)
        return [(one.playbook, one.rejected) for one in found.groups] == [("restart-it", 1)] and bool(found.people)

    await eventually(is_refused)
    found = await world.ask("suggestion-quality", SuggestionQuality)
    assert [(one.by, one.rejected) for one in found.people] == [("ada", 1)]


async def test_a_sweep_says_again_what_is_known(world: World, eventually: Eventually) -> None:
    await world.publish(outcome())
    await eventually(world.runs(1))
    stream = await world.client.jetstream().stream_info("STATE")
    reply = await world.client.request("cmd.learner.sweep", b"{}", timeout=10)
    assert b'"looked_at":1' in reply.data

    async def is_said_again() -> bool:
        return (await world.client.jetstream().stream_info("STATE")).state.last_seq > stream.state.last_seq

    await eventually(is_said_again)


async def test_models_and_migrations_agree(platform: Platform) -> None:
    url = make_url(platform.dsn("learner")).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        differences = [
            one for one in schema_differences(Base.metadata, connection) if "alembic_version" not in str(one)
        ]
    assert differences == []
