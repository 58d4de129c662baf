"""The learner behind the gateway: what people and other services get of what was learned, and what they may change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.learner.app import build
from services.learner.domain.knowledge import slug
from services.learner.settings import Settings
from shared.contracts.base import CaseKind, Category, Event, Severity
from shared.contracts.decider import Decision, Plan, Verdict
from shared.contracts.detector import DetectionMethod, Incident, Transition
from shared.contracts.healer import Outcome, Result
from shared.contracts.learner import AlarmRecord, ForesightRecord
from shared.contracts.predictor import Moment, Prediction
from shared.packs import Component, Playbook
from tests.conftest import Platform
from tests.integration.test_gateway import PACK, Gateway, started

NOW = datetime.now(UTC)
SIGNATURE = "crash:process-exited"
RESTART = Playbook.model_validate({"for": ["crash"], "components": ["orders"], "steps": [{"process.start": {}}]})
Eventually = Callable[..., Awaitable[None]]


@dataclass
class World:
    gateway: Gateway
    platform: Platform

    async def publish(self, *events: Event) -> None:
        client = await self.platform.connect_nats()
        for event in events:
            await client.jetstream().publish(event.subject, event.model_dump_json().encode())
        await client.close()

    async def state[E: Event](self, contract: type[E], key: str) -> E | None:
        client = await self.platform.connect_nats()
        try:
            message = await client.jetstream().get_last_msg("STATE", f"{contract.SUBJECT}.{key}")
        except Exception as error:
            if "NotFound" in type(error).__name__:
                return None
            raise
        finally:
            await client.close()
        return contract.model_validate_json(message.data or b"")


@pytest.fixture
async def world(platform: Platform) -> AsyncIterator[World]:
    learner = build(platform.settings(Settings, learning_judge_after_s=0, learning_train_s=0.5))
    await learner.start()
    async with started(platform) as gateway:
        yield World(gateway, platform)
    await learner.stop()


def decided(number: int, confidence: float, reason: str, verdict: Verdict) -> Decision:
    return Decision(
        at=NOW - timedelta(minutes=200 - number),
        component="orders",
        case_id=uuid4(),
        decision_id=uuid4(),
        verdict=verdict,
        reason=reason,
        category=Category.CRASH,
        signature=SIGNATURE,
        confidence=confidence,
        threshold=0.85,
        risk=0.2,
        risk_max=0.4,
        mode="auto",
        dry_run=False,
        plan=Plan(
            pack="shop", pack_version=1, playbook="restart", spec=RESTART, component="orders", target=Component()
        ),
        explanation="it crashed",
    )


def approved(asked: Decision, by: str = "ada") -> Decision:
    change = {"id": uuid4(), "revision": 2, "verdict": Verdict.EXECUTE, "reason": "approved", "decided_by": by}
    return asked.model_copy(update={**change, "at": asked.at + timedelta(seconds=30)})


def outcome(decision: Decision, result: Result = Result.SUCCEEDED) -> Outcome:
    return Outcome(
        at=decision.at,
        component=decision.component,
        case_id=decision.case_id,
        case_kind=decision.case_kind,
        decision_id=decision.decision_id,
        playbook="restart",
        signature=decision.signature,
        category=decision.category,
        confidence=decision.confidence,
        result=result,
        reason="test",
        opened_at=decision.at - timedelta(seconds=20),
        started_at=decision.at,
        finished_at=decision.at,
    )


async def test_a_threshold_is_proposed_applied_by_its_id_and_put_back(world: World, eventually: Eventually) -> None:
    """Requirements H06, H08, H09 and Z8."""
    gateway, path = world.gateway, "/api/ml/optimize-thresholds"
    assert (await gateway.apply(PACK)).is_success
    alone = [decided(number, 0.92, "act", Verdict.EXECUTE) for number in range(16)]
    asked = [decided(number, 0.83, "below-threshold", Verdict.ASK) for number in range(20, 40)]
    await world.publish(*alone, *asked, *(approved(one) for one in asked))
    await world.publish(*(outcome(one) for one in (*alone, *asked)))

    async def is_proposed() -> bool:
        found = await gateway.get(path)
        return bool(found["proposals"]) and found["proposals"][0]["effect"]["known"] == 36

    await eventually(is_proposed, 60, 0.3)
    (proposal,) = (await gateway.get(path))["proposals"]
    assert (proposal["now"], proposal["proposed"]) == (0.85, 0.8)
    assert proposal["effect_now"]["alone"] == pytest.approx(16 / 36)
    assert proposal["effect"]["alone"] == 1
    assert proposal["effect"]["wrong_high"] <= 0.1
    assert (await gateway.get("/api/packs/shop"))["version"] == 1, "asking changes nothing"

    done = await gateway.post(path, {"proposal_id": proposal["id"]})
    again = await gateway.post(path, {"proposal_id": proposal["id"]})
    assert (done["before"], done["after"], done["version"]) == (None, 0.8, 2)
    assert again["id"] == done["id"]
    pack = await gateway.get("/api/packs/shop")
    assert (pack["version"], pack["body"]["playbooks"]["restart"]["confidence"]) == (2, 0.8)
    audit = await gateway.get("/api/audit")
    assert [one["action"] for one in audit].count(f"POST {path}") == 1

    undone = await gateway.post(f"{path}/{done['id']}/undo")
    assert undone["undone_by"] is not None
    pack = await gateway.get("/api/packs/shop")
    assert pack["version"] == 3
    assert "confidence" not in pack["body"]["playbooks"]["restart"]
    unknown = await gateway.client.post(path, json={"proposal_id": str(uuid4())})
    assert unknown.status_code == 404

    async def is_answered() -> bool:
        (group,) = (await gateway.get("/api/ml/suggestion-quality"))["groups"]
        return bool(group["approved"] == 20)

    await eventually(is_answered)
    quality = await gateway.get("/api/ml/suggestion-quality")
    (group,) = quality["groups"]
    assert (group["suggested"], group["asked"], group["adopted"], group["helped"]) == (36, 20, 36, 36)
    assert group["answer_s"] == 30
    assert quality["people"][0]["by"] == "ada"


def line(number: int, helped: bool) -> str:
    at = NOW - timedelta(days=3) + timedelta(minutes=number)
    return json.dumps(
        {
            "timestamp": at.isoformat(),
            "issue_type": SIGNATURE,
            "fix_type": "restart",
            "original_confidence": 80.0,
            "result_status": "succeeded" if helped else "failed",
            "validation_status": "passed" if helped else "failed",
            "success": helped,
            "error_count_after": 0,
        }
    )


async def test_a_knowledge_base_moves_house_and_its_runs_count_once(
    world: World, eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requirements H04, H05 and H11 to H13. The truth in it changes every twelve runs: a model that forgets faster is
    better on what was held back."""
    file, back = tmp_path / "kb.jsonl", tmp_path / "back.jsonl"
    file.write_text("\n".join([*(line(number, number // 12 % 2 == 0) for number in range(240)), "{"]) + "\n")
    monkeypatch.setenv("HOMEOSTAT_URL", world.gateway.url)
    monkeypatch.setenv("HOMEOSTAT_TOKEN", world.gateway.client.headers["Authorization"].removeprefix("Bearer "))
    first = await _run("knowledge", "import", str(file))
    assert "240 runs added, 0 known already" in first
    assert ":241: not JSON" in first
    assert "0 runs added, 240 known already" in await _run("knowledge", "import", str(file))
    found = await world.gateway.get("/api/autonomous/learning")
    assert (found["total"], found["successes"], found["by_type"]["restart"]["total"]) == (240, 120, 240)
    assert "240 runs written" in await _run("knowledge", "export", str(back))
    assert "0 runs added, 240 known already" in await _run("knowledge", "import", str(back))

    async def is_promoted() -> bool:
        return any(one["active"] for one in (await world.gateway.get("/api/ml/models"))["models"])

    await eventually(is_promoted, 60, 0.3)
    (model,) = (await world.gateway.get("/api/ml/models"))["models"]
    assert model["model_type"] == "success"
    assert model["training_data"]["parameter"] > 0.01
    assert model["performance_metrics"]["held_back_loss"] < model["performance_metrics"]["loss_before"]
    insights = (await world.gateway.get("/api/knowledge/insights"))["insights"]
    assert any(
        "restart on crash:process-exited helped in 120 of 240 runs, but since" in one["words"] for one in insights
    )
    assert "helped in 120 of 240" in await _run("knowledge", "insights")


async def _run(*words: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def incident(case_id: UUID, transition: Transition, revision: int, at: datetime) -> Incident:
    return Incident(
        at=at,
        component="orders",
        case_id=case_id,
        revision=revision,
        transition=transition,
        fingerprint="orders/slow",
        pattern="http-slow",
        method=DetectionMethod.PROBE,
        severity=Severity.WARNING,
        summary="orders is slow",
        opened_at=NOW - timedelta(minutes=10),
        last_seen_at=at,
        resolved_at=at if transition is Transition.RESOLVED else None,
    )


async def test_alarms_that_pass_by_themselves_are_told_to_the_detector(world: World, eventually: Eventually) -> None:
    for _ in range(3):
        case_id = uuid4()
        await world.publish(
            incident(case_id, Transition.OPENED, 1, NOW - timedelta(minutes=10)),
            incident(case_id, Transition.RESOLVED, 2, NOW - timedelta(minutes=9)),
        )

    async def is_told() -> bool:
        record = await world.state(AlarmRecord, slug("orders", "http-slow"))
        return record is not None and (record.true_alarms, record.false_alarms) == (0, 3)

    await eventually(is_told, 60, 0.3)
    (told,) = (await world.gateway.get("/api/ml/feedback"))["alarms"]
    assert (told["component"], told["pattern"], told["precision"]) == ("orders", "http-slow", 0)


async def test_a_repair_in_time_is_told_to_the_predictor_as_prevention(world: World, eventually: Eventually) -> None:
    foretold = Prediction(
        at=NOW - timedelta(minutes=20),
        component="orders",
        case_id=uuid4(),
        revision=1,
        metric="resident_memory_bytes",
        current=1.0,
        limit=2.0,
        slope_per_s=0.1,
        eta_s=600,
        eta_low_s=500,
        eta_high_s=900,
        probability=0.9,
        predicted_issue="out of memory",
        signature="resource-exhaustion:resident_memory_bytes",
        moment=Moment.QUIET,
        summary="memory climbs",
        reason="opened",
    )
    await world.publish(foretold)
    decision = decided(1, 0.9, "act", Verdict.EXECUTE).model_copy(
        update={"case_id": foretold.case_id, "case_kind": CaseKind.PREDICTION}
    )

    async def is_known() -> bool:
        return any(
            one["metric"] == foretold.metric for one in (await world.gateway.get("/api/ml/feedback"))["foresight"]
        )

    await eventually(is_known, 60, 0.3)
    await world.publish(outcome(decision))

    async def is_prevented() -> bool:
        record = await world.state(ForesightRecord, slug("orders", foretold.metric))
        return record is not None and (record.prevented, record.precision) == (1, 1)

    await eventually(is_prevented, 60, 0.3)
