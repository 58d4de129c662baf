"""What a playbook asks to hold before and after, its retries, its own ways back, and its parameters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from services.healer.app import build
from services.healer.settings import Settings
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import Result
from shared.contracts.ingest import MetricBatch, Sample
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, decision, health, incident, now, playbook

SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": "${param.timeout_ms}"}}
PARAMETERS = {"timeout_ms": {"type": "integer", "default": 1200}}
CHANGED = CONFIG.replace(b"800", b"1200")


@pytest.fixture
async def healer(platform: Platform) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings))
    await service.start()
    yield service
    await service.stop()


def condition(that: str) -> list[dict[str, str]]:
    return [{"name": "it", "that": that}]


async def test_a_precondition_that_no_longer_holds_skips_the_run_with_its_name(
    healer: Service, listener: Listener, world: World
) -> None:
    spec = playbook(SET, parameters=PARAMETERS, preconditions=condition("components['web'].status == 'critical'"))
    await listener.publish(health(world.name, 0))
    order = decision(world, spec)
    await listener.publish(order)
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SKIPPED
    assert outcome.reason.startswith("precondition: `it` does not hold: components['web'].status")
    assert world.config.read_bytes() == CONFIG
    assert "step" not in {phase for phase, _ in await listener.phases(order.decision_id)}


async def test_metrics_and_parameters_are_asked_before_and_after(
    healer: Service, listener: Listener, world: World
) -> None:
    """The repair is judged by the component's own latency, which it does not mend."""
    samples = (Sample(name="latency_ms", value=90.0),)
    await listener.publish(MetricBatch(at=now(), component=world.name, samples=samples))
    spec = playbook(
        SET,
        parameters=PARAMETERS,
        preconditions=condition("figures.latency_ms.last < 100.0 && params.timeout_ms == 1200"),
        success_criteria=condition("figures.latency_ms.max < 100.0 && errors.dependents == 0 && case.clear"),
    )
    order = decision(world, spec)
    await listener.publish(order)
    await listener.recorded(order.decision_id, "applied")
    assert world.config.read_bytes() == CHANGED
    slow = (Sample(name="latency_ms", value=400.0),)
    await listener.recorded(order.decision_id, "settle")
    await listener.publish(MetricBatch(at=now(), component=world.name, samples=slow))
    outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.ROLLED_BACK
    assert outcome.reason.startswith("criterion-not-met: `it` does not hold: figures.latency_ms.max")
    assert world.config.read_bytes() == CONFIG


async def test_errors_of_dependents_are_seen(healer: Service, listener: Listener, world: World) -> None:
    body = {"pack": "test", "components": {"web": {}, "edge": {"calls": ["web"]}}}
    await listener.publish(PackApplied(at=now(), pack="test", version=1, applied_by="ann", body=body))
    await listener.publish(health("edge", 5))
    case = uuid4()
    await listener.publish(incident(case, world.name))
    spec = playbook(SET, parameters=PARAMETERS, success_criteria=condition("errors.dependents == 0"))
    order = decision(world, spec, case_id=case)
    await listener.publish(order)
    await listener.recorded(order.decision_id, "settle")
    await listener.publish(health("edge", 8))
    assert (await listener.outcome(order.decision_id)).result is Result.ROLLED_BACK


@asynccontextmanager
async def answering(*statuses: int) -> AsyncIterator[tuple[int, list[str]]]:
    """A service that answers with these statuses in turn, and the idempotency keys that it was given."""
    keys: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        keys.append(head.partition("idempotency-key: ")[2].partition("\r\n")[0])
        status = statuses[min(len(keys), len(statuses)) - 1]
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], keys


async def test_a_step_is_tried_as_often_as_it_says_under_one_key(
    healer: Service, listener: Listener, world: World
) -> None:
    async with answering(503, 503, 200) as (port, keys):
        step = {"http.call": {"url": f"http://127.0.0.1:{port}/"}, "retry": {"attempts": 3, "backoff_s": 0.05}}
        order = decision(world, playbook(step))
        await listener.publish(order)
        outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.SUCCEEDED
    assert keys == [f"{order.decision_id}/0"] * 3
    said = [step for phase, step in await listener.phases(order.decision_id) if phase == "step"]
    assert said == ["1/1 http.call", "1/1 http.call (attempt 2)", "1/1 http.call (attempt 3)"]


async def test_a_precondition_is_looked_at_again_before_each_attempt(
    healer: Service, listener: Listener, world: World
) -> None:
    await listener.publish(health(world.name, 0))
    async with answering(503) as (port, keys):
        step = {"http.call": {"url": f"http://127.0.0.1:{port}/"}, "retry": {"attempts": 9, "backoff_s": 0.5}}
        well = condition("health.error_count == 0")
        order = decision(world, playbook(step, preconditions=well, rollback="none"))
        await listener.publish(order)
        await listener.recorded(order.decision_id, "act 0")
        await listener.publish(health(world.name, 3))
        outcome = await listener.outcome(order.decision_id)
    assert outcome.result is Result.FAILED
    assert "not tried again: `it` does not hold" in outcome.reason
    assert len(keys) < 9


async def test_a_step_goes_back_by_the_action_that_the_playbook_names_or_not_at_all(
    healer: Service, listener: Listener, world: World
) -> None:
    await world.start()
    stays = {**SET, "rollback": "none"}
    restart = {"process.restart": {}, "rollback": {"process.stop": {}}}
    case = uuid4()
    await listener.publish(incident(case, world.name))
    spec = playbook(stays, restart, parameters=PARAMETERS, backup=[], validate={"window_s": 0.4, "clear": "incident"})
    order = decision(world, spec, case_id=case)
    await listener.publish(order)
    await listener.recorded(order.decision_id, "settle")
    await listener.publish(incident(case, world.name, 2))  # still seen bad in the second half
    outcome = await listener.outcome(order.decision_id)
    assert (outcome.result, world.running()) == (Result.ROLLED_BACK, [])
    assert world.config.read_bytes() == CHANGED, "the playbook wants this step left as it is"
