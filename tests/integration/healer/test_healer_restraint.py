"""When the healer must not act, although a decision says so: the kill switch, an old decision, errors told late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from services.healer.app import build
from services.healer.settings import Settings
from shared.contracts.healer import Result
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, decision, health, incident, now, playbook

SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1200}}


@asynccontextmanager
async def healer(platform: Platform, switch: Path) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings, kill_switch_file=switch))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def test_with_the_kill_switch_on_nothing_is_touched(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    switch = tmp_path / "kill-switch"
    switch.touch()
    async with healer(platform, switch):
        order = decision(world, playbook(SET, validate={"window_s": 0.2, "clear": "none"}))
        await listener.publish(order)
        outcome = await listener.outcome(order.decision_id)
    assert (outcome.result, outcome.steps) == (Result.SKIPPED, ())
    assert outcome.reason.startswith("switched-off")
    assert world.config.read_bytes() == CONFIG


async def test_a_kill_switch_pulled_during_validation_forbids_the_undoing_too(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    switch = tmp_path / "kill-switch"
    case = uuid4()
    async with healer(platform, switch):
        await listener.publish(incident(case, world.name))
        spec = playbook(SET, validate={"window_s": 4, "clear": "none", "error_count_after": 0})
        order = decision(world, spec, case_id=case)
        await listener.publish(order)
        await listener.recorded(order.decision_id, "settle")
        switch.touch()
        await listener.publish(health(world.name, 5))
        outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.FAILED
    assert "not undone, because the kill switch is on" in outcome.reason
    assert world.config.read_bytes() == CONFIG.replace(b"800", b"1200")


async def test_a_decision_whose_turn_comes_too_late_is_not_carried_out(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    async with healer(platform, tmp_path / "kill-switch"):
        order = decision(world, playbook(SET), at=now() - timedelta(hours=2))
        await listener.publish(order)
        outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SKIPPED
    assert outcome.reason.startswith("stale: decided 72")
    assert world.config.read_bytes() == CONFIG


async def test_errors_of_before_the_window_that_are_told_late_are_not_held_against_the_run(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    """The detector was away: when it comes back it tells of errors that happened before anything was healed."""
    await listener.publish(health(world.name, 10))
    before = now()
    async with healer(platform, tmp_path / "kill-switch"):
        spec = playbook(SET, validate={"window_s": 2, "clear": "none", "error_count_after": 0})
        order = decision(world, spec)
        await listener.publish(order)
        await listener.recorded(order.decision_id, "settle")
        await listener.publish(health(world.name, 25, at=before))
        outcome = await listener.outcome(order.decision_id)
    assert (outcome.result, outcome.error_count_after) == (Result.SUCCEEDED, 0)
