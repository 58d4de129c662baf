"""People and the decider, through the gateway and the command line: what it says of itself, and what they say to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.decider.app import build
from services.decider.settings import Settings
from shared.contracts.base import Event
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.test_decider import diagnosis, incident
from tests.integration.test_gateway import ADMIN, Gateway, started

Eventually = Callable[..., Awaitable[None]]

PACK = """
pack: shop
mode: {mode}
components:
  payments: {{process: {{command: [payments], pid_file: /run/payments.pid}}}}
  orders: {{process: {{command: [orders], pid_file: /run/orders.pid}}}}
playbooks:
  restart: {{for: [crash], automation_level: full-auto, cooldown_s: 0, steps: [{{process.restart: {{}}}}]}}
  start: {{for: [crash], automation_level: semi-auto, cooldown_s: 0, steps: [{{process.start: {{}}}}]}}
policy: {policy}
"""


@dataclass
class Pair:
    """A gateway and a decider at work on one platform."""

    gateway: Gateway
    decider: Service
    eventually: Eventually

    async def says(self, *events: Event) -> None:
        client = await self.gateway.platform.connect_nats()
        for event in events:
            await client.jetstream().publish(event.subject, event.model_dump_json().encode())
        await client.close()

    async def applies(self, mode: str = "auto", policy: str = "{}") -> None:
        before = self.decider.packs.packs.get("shop")
        version = before.version if before else 0
        self.gateway.good(await self.gateway.apply(PACK.format(mode=mode, policy=policy)))
        await self.eventually(lambda: "shop" in self.decider.packs.packs)
        await self.eventually(lambda: self.decider.packs.packs["shop"].version > version)
        await self.eventually(lambda: self.gateway.service.packs.component("payments"))

    async def trouble(self, component: str = "payments", confidence: float = 0.95) -> UUID:
        """A crash is seen and diagnosed; its case."""
        seen = incident(component)
        await self.says(seen, diagnosis(seen, confidence=confidence))
        return seen.case_id

    async def decided(self, case_id: UUID, reason: str) -> dict[str, Any]:
        """Waits until the newest decision of a case has this reason."""
        found: list[dict[str, Any]] = []

        async def is_so() -> bool:
            listed = await self.gateway.get("/api/autonomous/decisions", limit=100)
            found[:] = [one for one in listed if one["case_id"] == str(case_id)]
            return bool(found) and found[0]["reason"] == reason

        await self.eventually(is_so)
        return found[0]

    async def cli(self, *arguments: str, code: int = 0) -> Result:
        env = {"HOMEOSTAT_URL": self.gateway.url, "HOMEOSTAT_TOKEN": ADMIN}
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments], env=env, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result


@pytest.fixture
async def pair(platform: Platform, eventually: Eventually) -> AsyncIterator[Pair]:
    async with started(platform) as gateway:
        service = build(platform.settings(Settings, reopened_settle_s=0.1, after_success_s=0.5, decider_review_s=0.5))
        await service.start()
        try:
            yield Pair(gateway, service, eventually)
        finally:
            await service.stop()


async def test_a_decision_is_explained_to_people_and_programs(pair: Pair) -> None:
    await pair.applies("assist")
    decision = await pair.decided(await pair.trouble(), "mode-assist")
    told = await pair.gateway.get("/api/autonomous/explain", decision_id=decision["decision_id"])
    assert told["rule"].startswith("the pack is in mode `assist`")
    assert {one["playbook"] for one in told["alternatives"]} == {"restart", "start"}
    shown = (await pair.cli("explain", decision["decision_id"][:8])).output
    assert "reversibility" in shown
    assert "mode auto" in shown


async def test_a_trouble_that_is_described_is_decided_and_only_done_when_that_is_asked_for(pair: Pair) -> None:
    await pair.applies()
    body = {"component": "payments", "category": "crash", "confidence": 0.95}
    said = await pair.gateway.post("/api/autonomous/decide", body)
    assert (said["decision"]["verdict"], said["decision"]["playbook"]) == ("execute", "restart")
    assert said["requested"] is None
    assert await pair.gateway.get("/api/autonomous/decisions") == []
    done = await pair.gateway.post("/api/autonomous/decide", body | {"act": True, "comment": "now"})
    order = await pair.decided(UUID(done["requested"]["case_id"]), "manual")
    assert (order["verdict"], order["decided_by"], order["plan"]["playbook"]) == ("execute", "bootstrap", "restart")
    nothing = await pair.gateway.client.post("/api/autonomous/decide", json=body | {"category": "disk", "act": True})
    assert nothing.status_code == 409
