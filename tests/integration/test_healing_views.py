"""Healing as people look at it: status, what has helped, its measured effect, and strategies only simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.healer.app import build
from services.healer.settings import Settings
from services.healer.store import backups
from shared.contracts.base import Category
from shared.contracts.healer import Outcome, Result
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.test_gateway import START, Gateway, peer, started

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[Gateway]:
    async with started(platform) as running:
        yield running


def outcome(case_id: UUID, playbook: str, result: Result, after_s: float, *, signature: str = "crash:gone") -> Outcome:
    return Outcome(
        at=START + timedelta(seconds=after_s),
        component="orders",
        case_id=case_id,
        decision_id=uuid4(),
        playbook=playbook,
        signature=signature,
        category=Category.CRASH,
        confidence=0.9,
        result=result,
        reason="so it was",
        opened_at=START,
        started_at=START + timedelta(seconds=1),
        applied_at=START + timedelta(seconds=2),
        finished_at=START + timedelta(seconds=after_s),
    )


async def told(platform: Platform, gateway: Gateway, eventually: Eventually, *events: Outcome) -> None:
    async with peer(platform, "healer") as healer:
        for event in events:
            await healer.bus.publish(event)

        async def recorded() -> bool:
            metrics = await gateway.get("/api/healing/metrics", days=365)
            return bool(metrics["runs"] == sum(one.result is not Result.SKIPPED for one in events))

        await eventually(recorded)


async def test_what_has_helped_is_told_with_rates_and_times_that_were_measured(
    gateway: Gateway, platform: Platform, eventually: Eventually
) -> None:
    """Requirements E36 and K31, and the figures of K34."""
    assert await gateway.get("/api/healing/patterns") == []
    empty = await gateway.get("/api/healing/metrics")
    assert (empty["runs"], empty["success_rate"], empty["healed_share"]) == (0, None, None)
    assert empty["detect_to_recovery"] == {"mean_s": None, "p50_s": None, "p95_s": None}
    await told(
        platform,
        gateway,
        eventually,
        outcome(uuid4(), "restart", Result.SUCCEEDED, 10),
        outcome(uuid4(), "restart", Result.SUCCEEDED, 20),
        outcome(uuid4(), "restart", Result.ROLLED_BACK, 99),
        outcome(uuid4(), "reload", Result.FAILED, 99),
        outcome(uuid4(), "restart", Result.SKIPPED, 1),
    )
    (pattern,) = await gateway.get("/api/healing/patterns")
    assert (pattern["problem_signature"], pattern["runs"], pattern["success_rate"]) == ("crash:gone", 4, 0.5)
    assert pattern["tried_in_vain"] == ["reload"]
    (proven,) = pattern["proven_solutions"]
    assert (proven["playbook"], proven["runs"], proven["successes"]) == ("restart", 3, 2)
    assert proven["average_resolution_time_ms"] == pattern["average_resolution_time_ms"] == 15_000
    metrics = await gateway.get("/api/healing/metrics", days=365)
    assert (metrics["runs_succeeded"], metrics["runs_rolled_back"], metrics["runs_not_undone"]) == (2, 1, 1)
    assert metrics["success_rate"] == 0.5
    assert (metrics["detect_to_fix"]["mean_s"], metrics["detect_to_recovery"]["p50_s"]) == (2, 15)
    status = await gateway.get("/api/healing/status")
    assert (status["running"], len(status["recent"])) == ([], 5)


# ---- simulating


@pytest.fixture
async def healer(platform: Platform) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings))
    await service.start()
    yield service
    await service.stop()


def pack(config: Path) -> str:
    return f"""\
pack: shop
components: {{orders: {{config_path: {config}}}}}
playbooks:
  slower:
    for: [rate-limit]
    parameters: {{delay_ms: {{type: integer, default: 1200, min: 100, max: 5000}}}}
    preconditions: [{{name: idle, that: "runs.count == 0 && params.delay_ms < 2000"}}]
    steps:
      - file.set: {{path: "${{component.config_path}}", key: upstream.delay_ms, value: "${{param.delay_ms}}"}}
      - http.call: {{url: "http://127.0.0.1:9/reload"}}
        rollback: none
        retry: {{attempts: 2}}
    validate: {{window_s: 60}}
"""


async def test_a_strategy_is_simulated_as_its_actuators_see_the_world_and_nothing_is_touched(
    gateway: Gateway, healer: Service, eventually: Eventually, tmp_path: Path
) -> None:
    """Requirements E35 and K33."""
    config = tmp_path / "orders.toml"
    config.write_text("[upstream]\ndelay_ms = 800\n")
    assert (await gateway.apply(pack(config))).is_success

    async def simulated(**body: object) -> Any:
        return await gateway.client.post("/api/healing/simulate", json={"component": "orders", **body})

    async def known() -> bool:
        return bool((await simulated(playbook="slower")).is_success)

    await eventually(known)
    run = (await simulated(playbook="slower", parameters={"delay_ms": 900})).json()["data"]["run"]
    assert [step["does"] for step in run["steps"]] == [
        f"set upstream.delay_ms in {config} from 800 to 900",
        "POST http://127.0.0.1:9/reload",
    ]
    assert [step["undone"] for step in run["steps"]] == ["files are put back from the backup", "left as it is"]
    assert (run["backed_up"], run["unmet"], run["problem"]) == ([str(config)], "", "")
    assert run["validation"] == ["for 60 s: at most 0 new errors", "the incident is over"]
    late = (await simulated(playbook="slower", parameters={"delay_ms": 4000})).json()["data"]["run"]
    assert late["unmet"].startswith("`idle` does not hold")
    assert (await simulated(playbook="slower", parameters={"delay_ms": 9})).status_code == 422
    assert (await simulated(playbook="faster")).status_code == 404
    assert (await simulated()).status_code == 422
    assert config.read_text() == "[upstream]\ndelay_ms = 800\n"


async def test_a_playbook_that_is_in_no_pack_is_simulated_by_admins_only(
    gateway: Gateway, healer: Service, eventually: Eventually, tmp_path: Path
) -> None:
    """Looking shows what is looked at: an operator must not read any file by it."""
    config = tmp_path / "orders.toml"
    config.write_text("a = 1\n")
    assert (await gateway.apply(pack(config))).is_success
    written = {"for": ["hang"], "steps": [{"file.set": {"path": str(tmp_path / "gone.toml"), "key": "a", "value": 2}}]}
    body = {"component": "orders", "spec": written}

    async def known() -> bool:
        return bool((await gateway.client.post("/api/healing/simulate", json=body)).is_success)

    await eventually(known)
    run = (await gateway.post("/api/healing/simulate", body))["run"]
    assert run["problem"].startswith("step 1: ")
    assert "doesn't exist" in run["problem"]
    async with await gateway.token("operator") as operator:
        assert (await operator.post("/api/healing/simulate", json=body)).status_code == 403


async def test_backups_are_listed_with_why_they_were_made(platform: Platform, gateway: Gateway) -> None:
    """Requirement K16."""
    healer = build(platform.settings(Settings))
    await healer.start()
    try:
        async with healer.units.begin() as unit:
            file = {"path": "/etc/web.toml", "sha256": "0" * 64, "mode": 420, "uid": 0, "gid": 0, "size": 3}
            await backups.keep(
                unit.session, backup_id="backup_20260114_120000_f3a1b1de", run_id=None, component="orders",
                reason="before restart for crash:gone", confidence=0.93, files=[file], now=START,
            )  # fmt: skip
        told = await gateway.get("/api/monitoring/backups")
    finally:
        await healer.stop()
    (one,) = told["backups"]
    assert told["total"] == 1
    assert (one["backup_id"], one["files"]) == ("backup_20260114_120000_f3a1b1de", ["/etc/web.toml"])
    assert one["metadata"] == {"reason": "before restart for crash:gone", "confidence": 0.93}
    assert one["timestamp"]
