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
from shared.contracts.base import Event, Severity
from shared.contracts.decider import Decision
from shared.contracts.detector import Incident, Transition
from shared.contracts.healer import Result as Ending
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.test_decider import diagnosis, incident, later, outcome
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

    async def trouble(self, component: str = "payments", **more: Any) -> Incident:
        """A crash is seen and diagnosed."""
        seen = incident(component, **more)
        await self.says(seen, diagnosis(seen))
        return seen

    async def decided(self, about: Incident | UUID, reason: str) -> dict[str, Any]:
        """Waits until the newest decision of a case has this reason."""
        case_id = about if isinstance(about, UUID) else about.case_id
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
        service = build(platform.settings(Settings, reopened_settle_s=0.1, after_success_s=30, decider_review_s=0.5))
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


# ---- rights to act alone


async def ended(pair: Pair, seen: Incident, told: dict[str, Any], result: Ending = Ending.SUCCEEDED) -> None:
    """The run of a decision ends so, and its incident is over."""
    await pair.says(outcome(Decision.model_validate(told), result))

    async def heard() -> bool:
        client = await pair.gateway.platform.connect_postgres("decider")
        try:
            query = "select count(*) from grants where decision_id = $1 and finished_at is not null"
            return bool(await client.fetchval(query, UUID(told["decision_id"])))
        finally:
            await client.close()

    await pair.says(later(seen, Transition.RESOLVED))
    await pair.eventually(heard)


async def test_a_right_is_earned_lost_and_given_back_and_each_time_it_is_audited(pair: Pair) -> None:
    await pair.applies(policy="{earn_auto_after_runs: 5, earn_auto_success: 0.5, max_targets_at_once: 9}")
    for component in ("payments", "orders") * 2 + ("payments",):
        seen = await pair.trouble(component)
        await ended(pair, seen, await pair.decided(seen, "act"))
    shown = (await pair.cli("autonomy", "list")).output
    assert "any problem" in shown
    await pair.cli("autonomy", "promote", "shop", "start", "crash:process-exited", "-r", "proven by hand")
    await pair.cli("autonomy", "demote", "shop", "restart", "crash:process-exited", "-r", "not during the fair")
    seen = await pair.trouble("orders")
    order = await pair.decided(seen, "act")
    assert order["plan"]["playbook"] == "start"
    await ended(pair, seen, order, Ending.ROLLED_BACK)

    async def lost() -> bool:
        found = (await pair.gateway.get("/api/autonomous/autonomy"))["standings"]
        start = next(one for one in found if one["playbook"] == "start" and one["signature"])
        return bool(start["reason"] == "error-budget-spent" and start["rung"] == "assist" and start["cooling_until"])

    await pair.eventually(lost)
    ask = await pair.decided(await pair.trouble("payments"), "autonomy-lost")
    assert ask["verdict"] == "ask"

    async def audited() -> bool:
        rows = [one for one in await pair.gateway.get("/api/audit", limit=50) if one["action"].startswith("autonomy")]
        return [(one["actor"], one["action"]) for one in rows] == [
            ("homeostat", "autonomy auto → assist"),
            ("bootstrap", "autonomy auto → assist"),
            ("bootstrap", "autonomy assist → auto"),
        ]

    await pair.eventually(audited)
    assert (await pair.gateway.get("/api/audit/verify"))["intact"]


# ---- overrides


async def test_a_person_runs_another_playbook_or_leaves_it_and_confidence_hears_of_it(pair: Pair) -> None:
    await pair.applies("assist")
    seen = await pair.trouble()
    first = await pair.decided(seen, "mode-assist")
    assert first["plan"]["playbook"] == "start"
    wanted = ("override", first["decision_id"][:13], "--run", "restart", "--reason", "it must read its settings again")
    assert "restart is run" in (await pair.cli(*wanted)).output
    order = await pair.decided(seen, "overridden")
    assert (order["verdict"], order["plan"]["playbook"], order["decided_by"]) == ("execute", "restart", "bootstrap")
    await ended(pair, seen, order)
    second = await pair.decided(await pair.trouble("orders"), "mode-assist")
    before, now = (
        next(one for one in told["alternatives"] if one["playbook"] == "start")["criteria"]["confidence"]
        for told in (first, second)
    )
    assert now < before
    told = await pair.gateway.get("/api/autonomous/explain", decision_id=second["decision_id"])
    assert any("people said no to start" in one for one in told["evidence"])
    assert second["plan"]["playbook"] == "restart", "the next time the person's choice goes first"
    body = {"decision_id": second["decision_id"], "verdict": "abstain", "reason": "it is being replaced"}
    assert (await pair.gateway.post("/api/autonomous/override", body))["applied"]
    await pair.decided(UUID(second["case_id"]), "rejected")
    again = await pair.gateway.client.post("/api/autonomous/override", json=body | {"reason": ""})
    assert again.status_code == 422


async def test_a_word_on_a_run_that_is_over_is_a_label(pair: Pair) -> None:
    await pair.applies()
    seen = await pair.trouble()
    order = await pair.decided(seen, "act")
    await ended(pair, seen, order)
    right = (await pair.gateway.get("/api/autonomous/accuracy"))["right"]
    assert (right["part"], right["whole"]) == (1, 1)
    body = {"decision_id": order["decision_id"], "verdict": "abstain", "reason": "it had mended itself"}
    told = await pair.gateway.post("/api/autonomous/override", body)
    assert (told["applied"], told["helped"]) == (False, False)
    right = (await pair.gateway.get("/api/autonomous/accuracy"))["right"]
    assert (right["part"], right["whole"]) == (0, 1)

    async def told_in_the_story() -> bool:
        moments = (await pair.gateway.get(f"/api/trace/{order['case_id']}"))["moments"]
        return any("overrules" in one["title"] for one in moments)

    await pair.eventually(told_in_the_story)
    assert "right when it acted" in (await pair.cli("accuracy")).output


# ---- what acting is worth


async def test_what_is_held_off_is_acted_on_later_and_both_arms_are_counted(pair: Pair) -> None:
    await pair.applies(policy="{hold_off: {share: 0.5, for_s: 0.3}, max_targets_at_once: 9, actions_per_hour: 100}")

    async def both_arms() -> bool:
        found = await pair.gateway.get("/api/autonomous/credit")
        return bool(found["effects"])

    for _ in range(40):
        seen = await pair.trouble(severity=Severity.WARNING)
        await ended(pair, seen, await pair.decided(seen, "act"))
        if await both_arms():
            break
    await pair.eventually(both_arms)
    told = await pair.gateway.get("/api/autonomous/credit")
    assert told["effects"][0]["held_off"]["cases"] + told["effects"][0]["acted"]["cases"] <= told["cases"]
    assert "over in time" in (await pair.cli("credit")).output


# ---- strategies


async def test_strategies_are_compared_on_the_choices_that_were_made(pair: Pair) -> None:
    both = PACK.replace("automation_level: semi-auto", "automation_level: full-auto")
    policy = "{strategy: ab, max_targets_at_once: 9}"
    pair.gateway.good(await pair.gateway.apply(both.format(mode="auto", policy=policy)))
    await pair.eventually(lambda: "shop" in pair.decider.packs.packs)
    await pair.eventually(lambda: pair.gateway.service.packs.component("payments"))
    taken = []
    for number in range(6):
        seen = await pair.trouble(("payments", "orders")[number % 2])
        order = await pair.decided(seen, "act")
        taken.append(order["plan"]["playbook"])
        assert order["probability"] == 0.5
        await ended(pair, seen, order)
    told = await pair.gateway.get("/api/autonomous/strategies")
    assert told["choices"] == 6
    assert {one["strategy"] for one in told["strategies"]} == {"fixed", "ab", "thompson", "ucb"}
    own = next(one["own"] for one in told["strategies"] if one["strategy"] == "ab")
    assert (own["part"], own["whole"]) == (6, 6)
    assert {one["playbook"] for one in told["playbooks"]} == set(taken)
    assert "ab" in (await pair.cli("strategies")).output


# ---- models


async def test_a_model_is_trained_judged_on_later_runs_and_can_be_taken_back(pair: Pair) -> None:
    await pair.applies()
    refused = await pair.gateway.client.post("/api/autonomous/train", json={"activate": True})
    assert "at least" in refused.json()["detail"]
    seen = await pair.trouble()
    await ended(pair, seen, await pair.decided(seen, "act"))
    client = await pair.gateway.platform.connect_postgres("decider")
    columns = [
        row["column_name"]
        for row in await client.fetch(
            "select column_name from information_schema.columns where table_schema = 'decider' "
            "and table_name = 'decisions'"
        )
    ]
    own = {"decision_id": "gen_random_uuid()", "helped": "n % 2 = 0", "updated_at": "updated_at + n * interval '1 s'"}
    picked = ", ".join(own.get(name, name) for name in columns)
    await client.execute(
        f"insert into decisions ({', '.join(columns)}) select {picked} from decisions, generate_series(1, 199) as n"
    )
    await client.close()
    made = await pair.gateway.post("/api/autonomous/train", {"activate": True}, timeout=60)
    assert made["active"]
    assert made["performance_metrics"]["candidate"]["log_loss"] < made["performance_metrics"]["present"]["log_loss"]
    assert made["training_data"]["runs"] == 200
    asked = await pair.decided(await pair.trouble("orders"), "playbook-semi-auto")
    assert asked["verdict"] == "ask", "nothing is left that may be done alone"
    told = await pair.gateway.get("/api/autonomous/explain", decision_id=asked["decision_id"])
    assert told["model_version"] == 1
    restart = next(one for one in told["alternatives"] if one["playbook"] == "restart")
    assert restart["criteria"]["confidence"] < 0.85, "half of the runs failed: a diagnosis of 95 % is believed less"
    assert "(in force)" in (await pair.cli("model", "list")).output
    assert "version 0 is in force" in (await pair.cli("model", "rollback")).output
    recomputed = await pair.gateway.get(f"/api/decisions/{asked['decision_id']}/recompute")
    assert recomputed["same"] == 1, "it was made by the model of then"
