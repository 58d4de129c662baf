"""Learning as people and other services reach it, one row of the requirements after the other (section H)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

import services.detector.app
import services.detector.settings
import services.learner.app
import services.predictor.app
import services.predictor.settings
from services.cli.app import app
from services.learner.settings import Settings
from shared.contracts.decider import Verdict
from shared.contracts.detector import DetectionMethod, Incident, Severity, Transition
from shared.contracts.healer import Result
from shared.contracts.ingest import ExternalIncident, MetricBatch, Sample
from shared.contracts.predictor import Moment, Prediction
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.test_gateway import started
from tests.integration.test_learning_api import World, approved, decided, line, outcome

NOW = datetime.now(UTC)
MIB = 2.0**20
METRIC = "resident_memory_bytes"
PACK = """\
pack: shop
mode: auto
components:
  orders: {process: {command: [orders], pid_file: /run/orders.pid}}
limits: [{component: orders, metric: resident_memory_bytes, limit: 400Mi}]
playbooks:
  restart: {for: [crash], components: [orders], steps: [{process.start: {}}]}
"""
Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
async def world(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The gateway and the learner, which judges alarms at once and trains all the time."""
    async with AsyncExitStack() as stack:
        settings = platform.settings(Settings, learning_judge_after_s=0, learning_train_s=0.5)
        await serve(stack, services.learner.app.build(settings))
        gateway = await stack.enter_async_context(started(platform))
        monkeypatch.setenv("HOMEOSTAT_URL", gateway.url)
        monkeypatch.setenv("HOMEOSTAT_TOKEN", gateway.client.headers["Authorization"].removeprefix("Bearer "))
        assert (await gateway.apply(PACK)).is_success
        yield World(gateway, platform)


async def serve(stack: AsyncExitStack, service: Service) -> None:
    await service.start()
    stack.push_async_callback(service.stop)


async def cli(*words: str) -> Any:
    """What `homeostat knowledge …` prints for other programs; it must also print something for people."""
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["knowledge", *words])
    result = await asyncio.to_thread(CliRunner().invoke, app, ["knowledge", *words, "--json"])
    assert (shown.exit_code, result.exit_code) == (0, 0), shown.output + result.output
    assert shown.output.strip()
    return json.loads(result.output)


async def test_h01_h03_h14_each_outcome_is_counted_and_is_a_lesson_of_its_decision(
    world: World, eventually: Eventually
) -> None:
    helped, failed = (decided(number, 0.9, "act", Verdict.EXECUTE) for number in (1, 2))
    await world.publish(outcome(helped), outcome(failed, Result.FAILED))

    async def are_counted() -> bool:
        return bool((await world.gateway.get("/api/autonomous/learning"))["total"] == 2)

    await eventually(are_counted)
    fixes = await cli("fixes")
    assert (fixes["total"], fixes["successes"], fixes["success_rate"]) == (2, 1, 0.5)
    assert fixes["by_type"]["restart"]["last_updated"] is not None
    (lesson,) = (await cli("feedback", str(failed.decision_id)))["feedback"]
    assert (lesson["decision_id"], lesson["feedback_type"]) == (str(failed.decision_id), "outcome")
    assert lesson["outcome_quality"] == 0
    assert "restart failed on orders" in lesson["lessons_learned"]
    shift = lesson["model_adjustments"]["confidence_shift"]
    assert shift["now"] < shift["before"]


async def test_h07_h08_h10_what_was_suggested_is_followed_to_its_end(world: World, eventually: Eventually) -> None:
    asked = [decided(number, 0.8, "below-threshold", Verdict.ASK) for number in range(3)]
    refused = approved(asked[2], "bob").model_copy(update={"verdict": Verdict.ABSTAIN, "reason": "rejected"})
    await world.publish(*asked, approved(asked[0]), approved(asked[1]), refused)
    await world.publish(outcome(asked[0]), outcome(asked[1], Result.FAILED))

    async def is_known() -> bool:
        groups = (await world.gateway.get("/api/ml/suggestion-quality"))["groups"]
        return [(one["approved"], one["rejected"], one["helped"], one["did_not_help"]) for one in groups] == [
            (2, 1, 1, 1)
        ]

    await eventually(is_known)
    quality = await cli("quality")
    assert (quality["adoption"], quality["success"]) == (pytest.approx(2 / 3), 0.5)
    assert {one["by"]: one["approved_helped"] for one in quality["people"]} == {"ada": 1, "bob": 0}


def foretold(metric: str = METRIC, **more: object) -> Prediction:
    return Prediction(
        at=NOW - timedelta(minutes=20),
        component="orders",
        case_id=uuid4(),
        revision=1,
        metric=metric,
        current=1.0,
        limit=2.0,
        slope_per_s=0.1,
        eta_s=600,
        eta_low_s=500,
        eta_high_s=900,
        probability=0.9,
        predicted_issue="out of memory",
        signature=f"resource-exhaustion:{metric}",
        moment=Moment.QUIET,
        summary="memory climbs",
        reason="opened",
    ).model_copy(update=more)


def incident(pattern: str, case_id: UUID, over: bool = False, **labels: str) -> Incident:
    return Incident(
        at=NOW,
        component="orders",
        case_id=case_id,
        revision=2 if over else 1,
        transition=Transition.RESOLVED if over else Transition.OPENED,
        fingerprint=f"orders/{pattern}",
        pattern=pattern,
        labels=labels,
        method=DetectionMethod.PROBE,
        severity=Severity.WARNING,
        summary="orders suffers",
        opened_at=NOW - timedelta(minutes=10),
        last_seen_at=NOW,
        resolved_at=NOW - timedelta(minutes=9) if over else None,
    )


async def test_h06_h15_predictions_that_came_true_or_did_not_change_what_the_predictor_says_next(
    world: World, platform: Platform, eventually: Eventually
) -> None:
    """Nobody tags anything: what the pack limits came to it, passed by itself, or was never foretold."""

    async def record() -> dict[str, Any]:
        found = (await world.gateway.get("/api/ml/feedback"))["foresight"]
        return found[0] if found else {}

    async def is_missed() -> bool:
        return (await record()).get("missed") == 1

    await world.publish(incident("memory", uuid4(), metric=METRIC))
    await eventually(is_missed)

    async def has_hit() -> bool:
        return (await record()).get("hits") == 1

    await world.publish(foretold(reason="reached", moment=Moment.GONE))
    await eventually(has_hit)

    async def are_false() -> bool:
        return (await record()).get("false_alarms") == 30

    await world.publish(*(foretold(reason="flat", moment=Moment.GONE) for _ in range(30)))
    await eventually(are_false)
    (told,) = (await cli("feedback"))["foresight"]
    assert (told["hits"], told["false_alarms"], told["missed"], told["recall"]) == (1, 30, 1, 0.5)
    heard = await world.platform.connect_nats()
    predictions = await heard.jetstream().subscribe("predictor.prediction.v1.orders", ordered_consumer=True)
    async with AsyncExitStack() as stack:
        settings = platform.settings(services.predictor.settings.Settings)
        await serve(stack, services.predictor.app.build(settings))
        for second in range(60):
            sample = Sample(name=METRIC, value=(80 + 5 * second) * MIB)
            at = NOW - timedelta(minutes=2) + timedelta(seconds=second)
            await world.publish(MetricBatch(at=at, component="orders", samples=(sample,)))
        said = 1.0
        while said > 0.3:  # of its own events those of before come first
            message = await predictions.next_msg(timeout=20)
            event = Prediction.model_validate_json(message.data)
            said = event.probability if event.current > 2.0 else 1.0
    await heard.close()


async def test_h06_h15_alarms_that_pass_by_themselves_make_the_next_one_less_urgent(
    world: World, platform: Platform, eventually: Eventually
) -> None:
    for _ in range(12):
        case_id = uuid4()
        await world.publish(incident("slow", case_id), incident("slow", case_id, over=True))

    async def are_judged() -> bool:
        alarms = (await world.gateway.get("/api/ml/feedback"))["alarms"]
        return [(one["true_alarms"], one["false_alarms"]) for one in alarms] == [(0, 12)]

    await eventually(are_judged, 60, 0.3)
    heard = await world.platform.connect_nats()
    incidents = await heard.jetstream().subscribe("detector.incident.v1.orders", ordered_consumer=True)
    async with AsyncExitStack() as stack:
        settings = platform.settings(services.detector.settings.Settings)
        await serve(stack, services.detector.app.build(settings))
        said = ExternalIncident(
            at=NOW, component="orders", source="other", external_id="1", pattern="slow", summary="orders is slow"
        )
        await world.publish(said)
        event = Incident.model_validate_json((await incidents.next_msg(timeout=20)).data)
        while event.alarm_precision is None:  # of its own events those of before come first
            event = Incident.model_validate_json((await incidents.next_msg(timeout=20)).data)
    assert event.alarm_precision == 0
    await heard.close()


async def test_h11_h13_a_model_that_is_worse_than_the_one_before_is_taken_out_again(
    world: World, eventually: Eventually, tmp_path: Path
) -> None:
    """In force is one that never forgets; the truth in the knowledge base changes every twelve runs."""
    connection = await world.platform.connect_postgres("learner")
    for version, parameter in ((1, 0.05), (2, 0.0)):
        await connection.execute(
            "insert into learning_models (id, model_type, model_version, parameter, training_data, performance_metrics,"
            " active, deployed_at, created_at, reason) values ($1, 'success', $2, $3, '{}', '{}', $4, $5, $5, 'test')",
            uuid4(),
            version,
            parameter,
            version == 2,
            NOW,
        )
    await connection.close()
    file = tmp_path / "kb.jsonl"
    file.write_text("\n".join(line(number, number // 12 % 2 == 0) for number in range(240)))
    imported = await asyncio.to_thread(CliRunner().invoke, app, ["knowledge", "import", str(file)])
    assert "240 runs added" in imported.output

    async def is_replaced() -> bool:
        return any(
            one["active"] and one["model_version"] > 2 for one in (await world.gateway.get("/api/ml/models"))["models"]
        )

    await eventually(is_replaced, 60, 0.3)
    newest, *_ = await cli("models")
    assert newest["reason"].startswith("demoted: 0 was replaced by 0.05, being worse")
    assert newest["performance_metrics"]["held_back_loss"] < newest["performance_metrics"]["loss_before"]
