"""A run acts only under the newest lease of its component, while that lasts, and only in the process that carries it
out: tried on a real healer with real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from services.healer.app import build
from services.healer.settings import Settings
from shared.contracts.decider import Decision, Lease, LeaseState
from shared.contracts.healer import LeaseRenewal, Result
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, decision, health, incident, now, playbook

SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1200}}
QUICK = {"window_s": 0.2, "clear": "none"}


@asynccontextmanager
async def healer(platform: Platform, switch: Path) -> AsyncIterator[None]:
    service = build(platform.settings(Settings, kill_switch_file=switch, lease_renew_s=0.2))
    await service.start()
    try:
        yield
    finally:
        await service.stop()


def leased(order: Decision, epoch: int, lasts_s: float = 300.0) -> Decision:
    assert order.plan is not None
    plan = order.plan.model_copy(update={"epoch": epoch, "lease_until": now() + timedelta(seconds=lasts_s)})
    return order.model_copy(update={"plan": plan})


def lease(order: Decision, state: LeaseState, epoch: int, decision_id: UUID | None = None) -> Lease:
    return Lease(
        at=now(), component=order.component, epoch=epoch, decision_id=decision_id or order.decision_id,
        playbook="mend", state=state, until=now() + timedelta(seconds=300),
    )  # fmt: skip


async def test_a_decision_that_comes_after_a_newer_one_is_not_carried_out(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    newer = leased(decision(world, playbook(SET, validate=QUICK)), 8)
    older = leased(decision(world, playbook(SET, validate=QUICK)), 7)
    async with healer(platform, tmp_path / "kill-switch"):
        await listener.publish(newer)
        assert (await listener.outcome(newer.decision_id)).result is Result.SUCCEEDED
        world.config.write_bytes(CONFIG)
        await listener.publish(older)
        outcome = await listener.outcome(older.decision_id)
    assert outcome.result is Result.SKIPPED
    assert outcome.reason == "fenced: its lease 7 was followed by lease 8; nothing had been changed"
    assert world.config.read_bytes() == CONFIG


async def test_a_step_that_could_not_end_within_the_lease_is_not_begun(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    order = leased(decision(world, playbook(SET, validate=QUICK)), 3, lasts_s=20)  # a step may take 30 s
    async with healer(platform, tmp_path / "kill-switch"):
        await listener.publish(order)
        outcome = await listener.outcome(order.decision_id)
    assert (outcome.result, outcome.reason.split(":")[0]) == (Result.SKIPPED, "fenced")
    assert world.config.read_bytes() == CONFIG


async def test_a_run_whose_lease_lapsed_while_it_watched_undoes_nothing(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    case = uuid4()
    spec = playbook(SET, validate={"window_s": 4, "clear": "none", "error_count_after": 0})
    order = leased(decision(world, spec, case_id=case), 5)
    async with healer(platform, tmp_path / "kill-switch"):
        await listener.publish(incident(case, world.name))
        await listener.publish(order)
        await listener.recorded(order.decision_id, "settle")
        await listener.publish(lease(order, LeaseState.LAPSED, 5))
        await listener.publish(health(world.name, 5))
        outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.FAILED
    assert "no longer this run's" in outcome.reason
    assert world.config.read_bytes() == CONFIG.replace(b"800", b"1200")


async def test_a_run_at_work_asks_for_more_time(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    order = leased(decision(world, playbook(SET, validate={"window_s": 1.5, "clear": "none"})), 4)
    async with healer(platform, tmp_path / "kill-switch"):
        await listener.publish(order)
        await listener.outcome(order.decision_id)
        asked = await listener.all_of(LeaseRenewal, order.decision_id)
    assert {one.epoch for one in asked} == {4}
