"""Runs from decision to outcome, with a real bus, database, process and file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from dbos import DBOS

from services.healer.app import build
from services.healer.clients.processes import from_pid_file
from services.healer.handlers import runs as handlers
from services.healer.settings import Settings
from shared.contracts.base import CaseKind
from shared.contracts.decider import Verdict
from shared.contracts.detector import Swept
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import (
    Backups,
    ListBackups,
    Outcome,
    Result,
    Rollback,
    RolledBack,
    SweepRequest,
)
from shared.runtime import Service
from shared.telemetry import start_logging
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, decision, health, incident, now, playbook

Eventually = Callable[..., Awaitable[None]]
SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1200}}
RESTART = {"process.restart": {}}


@asynccontextmanager
async def running(platform: Platform, **more: object) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings, good_files_s=0.1, **more))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture
async def healer(platform: Platform) -> AsyncIterator[Service]:
    start_logging("healer", "WARNING")
    async with running(platform) as service:
        yield service


async def test_a_run_backs_up_acts_validates_and_tells_its_outcome_once(
    healer: Service, listener: Listener, world: World
) -> None:
    old = await world.start()
    case = uuid4()
    await listener.publish(incident(case, world.name))
    order = decision(world, playbook(SET, RESTART, validate={"window_s": 1, "clear": "incident"}), case_id=case)
    await listener.publish(order)
    await listener.phase(order.decision_id, "validating")
    await listener.publish(incident(case, world.name, 2, resolved=True))
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SUCCEEDED
    assert outcome.backup_id is not None
    assert outcome.backup_id.startswith("backup_")
    assert outcome.opened_at is not None
    assert outcome.applied_at is not None
    assert (outcome.finished_at - outcome.applied_at).total_seconds() >= 1
    assert len(outcome.steps) == 2
    assert world.config.read_bytes() == CONFIG.replace(b"800", b"1200")
    assert world.config.stat().st_mode & 0o777 == 0o640
    assert not old.is_alive
    assert len(world.running()) == 1
    phases = await listener.phases(order.decision_id)
    assert phases == [
        ("planned", ""),
        ("backed-up", ""),
        ("step", "1/2 file.set"),
        ("step", "2/2 process.restart"),
        ("validating", ""),
        ("succeeded", ""),
    ]


async def test_what_does_not_help_is_undone_and_the_undoing_is_verified(
    healer: Service, listener: Listener, world: World
) -> None:
    await world.start()
    case = uuid4()
    await listener.publish(incident(case, world.name))
    spec = playbook(SET, RESTART, validate={"window_s": 0.5, "clear": "incident"}, then="page-a-human")
    order = decision(world, spec, case_id=case)
    await listener.publish(order)
    await listener.recorded(order.decision_id, "settle")
    await listener.publish(incident(case, world.name, 2))  # still seen bad in the second half
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.ROLLED_BACK
    assert "not-cleared" in outcome.reason
    assert outcome.escalate_to == "page-a-human"
    assert world.config.read_bytes() == CONFIG
    assert world.config.stat().st_mode & 0o777 == 0o640
    assert len(world.running()) == 1
    assert world.started_times() == 3, "started, restarted, and restarted again to read the file that was put back"


async def test_a_restart_that_does_not_help_needs_a_person(healer: Service, listener: Listener, world: World) -> None:
    await world.start()
    case = uuid4()
    await listener.publish(incident(case, world.name))
    order = decision(world, playbook(RESTART, validate={"window_s": 0.4, "clear": "incident"}), case_id=case)
    await listener.publish(order)
    await listener.recorded(order.decision_id, "settle")
    await listener.publish(incident(case, world.name, 2))  # still seen bad in the second half
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.FAILED
    assert "can't be undone" in outcome.reason


async def test_errors_after_the_first_half_roll_back_at_once(healer: Service, listener: Listener, world: World) -> None:
    await listener.publish(health(world.name, 10))
    order = decision(world, playbook(SET, validate={"window_s": 4, "clear": "none", "error_count_after": 2}))
    await listener.publish(order)
    await listener.phase(order.decision_id, "validating")
    await listener.publish(health(world.name, 15))  # the tail: allowed
    await listener.recorded(order.decision_id, "settle")
    await listener.publish(health(world.name, 18))
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.ROLLED_BACK
    assert outcome.error_count_after == 3
    assert outcome.applied_at is not None
    assert (outcome.finished_at - outcome.applied_at).total_seconds() < 3.9
    assert world.config.read_bytes() == CONFIG


async def test_a_dry_run_touches_nothing_and_says_what_it_would_do(
    healer: Service, listener: Listener, world: World
) -> None:
    old = await world.start()
    order = decision(world, playbook(SET, RESTART), dry_run=True, verdict=Verdict.OBSERVE, mode="observe")
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SKIPPED
    assert outcome.dry_run
    assert "from 800 to 1200" in outcome.reason
    assert f"pid {old.pid}" in outcome.reason
    assert outcome.backup_id is None
    assert world.config.read_bytes() == CONFIG
    assert old.is_alive


async def test_a_case_that_ended_by_itself_is_left_alone(
    healer: Service, listener: Listener, world: World, eventually: Eventually
) -> None:
    old = await world.start()
    case = uuid4()
    await listener.publish(incident(case, world.name, 2, resolved=True))
    await listener.publish(incident(case, world.name, 1))  # late and out of order
    await eventually(lambda: healer.bus.routes["healer-detector-incident-v1"].attempts == 2)
    order = decision(world, playbook(RESTART), case_id=case)
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SKIPPED
    assert "already-resolved" in outcome.reason
    assert old.is_alive


async def test_a_plan_that_can_not_be_done_fails_before_anything_is_touched(
    healer: Service, listener: Listener, world: World
) -> None:
    old = await world.start()
    wrong = {"file.set": {"path": "${component.nope}", "key": "a", "value": 1}}
    order = decision(world, playbook(RESTART, wrong))
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.FAILED
    assert "component.nope" in outcome.reason
    assert old.is_alive


async def test_a_failing_step_undoes_the_ones_before_it(healer: Service, listener: Listener, world: World) -> None:
    call = {"http.call": {"url": "http://127.0.0.1:9/", "expect_status": [200]}}
    order = decision(world, playbook(SET, call))
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.FAILED, "nobody knows what a failed call has done"
    assert world.config.read_bytes() == CONFIG


async def test_one_run_at_a_time_on_a_component_and_the_next_starts_without_waiting_for_the_sweep(
    platform: Platform, listener: Listener, world: World
) -> None:
    orders = [decision(world, playbook({**SET, "timeout_s": 9 + index})) for index in range(3)]
    async with running(platform, sweep_s=60):
        for order in orders:
            await listener.publish(order)
        outcomes = [await listener.outcome(order.decision_id) for order in orders]
    assert [outcome.result for outcome in outcomes] == [Result.SUCCEEDED] * 3
    ordered = sorted(outcomes, key=lambda outcome: outcome.started_at)
    assert [outcome.decision_id for outcome in ordered] == [order.decision_id for order in orders]
    for before, after in pairwise(ordered):
        assert after.started_at >= before.finished_at


async def test_a_decision_delivered_often_runs_once(healer: Service, listener: Listener, world: World) -> None:
    await world.start()
    order = decision(world, playbook(RESTART))
    for revision in range(1, 6):
        again = order.model_copy(update={"id": uuid4(), "revision": revision})
        await listener.publish(again)
    await listener.outcome(order.decision_id)
    assert world.started_times() == 2
    assert len(await listener.all_of(Outcome)) == 1


async def test_the_good_version_is_learned_and_restored(
    healer: Service, listener: Listener, world: World, eventually: Eventually, platform: Platform
) -> None:
    body = {"pack": "test", "components": {world.name: world.component.model_dump(mode="json", exclude_none=True)}}
    await listener.publish(PackApplied(at=now(), pack="test", version=1, applied_by="me", body=body))
    connection = await platform.connect_postgres("healer")

    async def learned() -> bool:
        return bool(await connection.fetchval("select count(*) from healer.good_files"))

    await eventually(learned)
    await connection.close()
    world.config.write_bytes(b"broken")
    world.config.chmod(0o600)
    restore = {"file.restore_last_good": {"path": "${component.config_path}"}}
    order = decision(world, playbook(restore))
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SUCCEEDED
    assert world.config.read_bytes() == CONFIG
    assert world.config.stat().st_mode & 0o777 == 0o640


async def test_a_person_lists_backups_and_goes_back(healer: Service, listener: Listener, world: World) -> None:
    order = decision(world, playbook(SET))
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    listed = await listener.ask("backups", ListBackups(component=world.name), Backups)
    assert [backup.backup_id for backup in listed.backups] == [outcome.backup_id]
    assert listed.backups[0].files[0].path == str(world.config)
    went_back = await listener.ask("rollback", Rollback(backup_id=listed.backups[0].backup_id, by="ann"), RolledBack)
    assert went_back.restored == (str(world.config),)
    assert world.config.read_bytes() == CONFIG
    forth = await listener.ask("rollback", Rollback(backup_id=went_back.safety_backup_id, by="ann"), RolledBack)
    assert forth.restored
    assert b"1200" in world.config.read_bytes()


async def test_a_recommendation_is_valid_when_no_incident_is_open_on_the_component(
    healer: Service, listener: Listener, world: World
) -> None:
    await listener.publish(incident(uuid4(), "other"))
    spec = playbook(SET, validate={"window_s": 0.3, "clear": "incident"})
    order = decision(world, spec, case_kind=CaseKind.RECOMMENDATION)
    await listener.publish(order)
    assert (await listener.outcome(order.decision_id)).result is Result.SUCCEEDED


async def test_a_run_that_can_not_go_on_is_given_up_and_frees_its_component(
    healer: Service, listener: Listener, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "STRANDED_AFTER", timedelta(0))
    stuck = decision(world, playbook(SET, validate={"window_s": 600, "clear": "none"}))
    waiting = decision(world, playbook({**SET, "timeout_s": 9}))
    await listener.publish(stuck)
    await listener.phase(stuck.decision_id, "validating")
    await listener.publish(waiting)
    await DBOS.cancel_workflow_async(str(stuck.decision_id))
    await listener.ask("sweep", SweepRequest(), Swept)
    outcome = await listener.outcome(stuck.decision_id)
    assert outcome.result is Result.FAILED
    assert "interrupted" in outcome.reason
    assert (await listener.outcome(waiting.decision_id)).result is Result.SUCCEEDED


async def test_runs_survive_a_restart_of_the_service(platform: Platform, listener: Listener, world: World) -> None:
    start_logging("healer", "WARNING")
    await world.start()
    order = decision(world, playbook(RESTART, validate={"window_s": 2, "clear": "none"}))
    async with running(platform):
        await listener.publish(order)
        await listener.phase(order.decision_id, "validating")
    assert await listener.all_of(Outcome) == []
    async with running(platform):
        outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SUCCEEDED
    assert world.started_times() == 2
    assert from_pid_file(world.process.pid_file) is not None
    assert outcome.applied_at is not None
    assert (outcome.finished_at - outcome.applied_at).total_seconds() < 4.5
