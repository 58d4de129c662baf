"""Going back to a provider is a decision of its own: when, once, and not while the primary is ill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts.base import CaseKind
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Health, HealthStatus
from shared.contracts.healer import Result, Route
from tests.conftest import Platform
from tests.integration.test_decider import World, outcome, pack, running

Eventually = Callable[..., Awaitable[None]]
RETURN = {
    "for": ["provider-recovered"],
    "automation_level": "full-auto",
    "steps": [{"routing.failback": {}}],
    "cooldown_s": 0,
}


def body(return_after_s: float) -> dict[str, Any]:
    route = {"file": {"path": "/etc/payments.toml", "key": "upstream.primary"}}
    providers = {"primary": "a", "backups": ["b"], "route": route, "return_after_s": return_after_s}
    components = {"payments": {"calls": ["a", "b"], "providers": providers}, "a": {}, "b": {}}
    return pack(components=components, playbooks={"return": RETURN})


def route(provider: str, seconds_ago: float = 0) -> Route:
    now = datetime.now(UTC)
    since = now - timedelta(seconds=seconds_ago)
    return Route(at=now, component="payments", provider=provider, primary="a", since=since)


def health(status: HealthStatus, seconds_ago: float = 0) -> Health:
    now = datetime.now(UTC)
    return Health(at=now, component="a", status=status, since=now - timedelta(seconds=seconds_ago))


async def recoveries(world: World, wanted: int) -> list[Decision]:
    found: list[Decision] = []

    async def there_are() -> bool:
        found[:] = [one for one in await world.decisions() if one.case_kind is CaseKind.RECOVERY]
        return len(found) >= wanted

    await world.eventually(there_are)
    assert len(found) == wanted
    return found


async def test_the_way_back_is_taken_once_and_after_a_relapse_only_after_twice_the_wait(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, eventually, body(return_after_s=1)) as world:
        await world.says(health(HealthStatus.CRITICAL), route("b", seconds_ago=3600))
        await eventually(lambda: world.service.bus.connected)
        await world.says(health(HealthStatus.HEALTHY))
        (first,) = await recoveries(world, 1)
        assert (first.verdict, first.component) == (Verdict.EXECUTE, "payments")
        assert first.plan is not None
        assert first.plan.playbook == "return"

        back, again = route("a"), route("b")
        await world.says(back, outcome(first, Result.SUCCEEDED))
        relapsed_at = datetime.now(UTC)
        await world.says(again)
        second = (await recoveries(world, 2))[-1]
        assert second.case_id != first.case_id
        assert second.at - relapsed_at > timedelta(seconds=2) - timedelta(milliseconds=100)


async def test_a_primary_that_falls_ill_again_takes_the_question_back(
    platform: Platform, eventually: Eventually
) -> None:
    asking = body(return_after_s=0.1) | {"mode": "assist"}
    async with running(platform, eventually, asking) as world:
        await world.says(route("b", seconds_ago=60), health(HealthStatus.HEALTHY, seconds_ago=60))
        (asked,) = await recoveries(world, 1)
        assert asked.verdict is Verdict.ASK
        await world.says(health(HealthStatus.CRITICAL))
        withdrawn = (await recoveries(world, 2))[-1]
        assert (withdrawn.case_id, withdrawn.verdict, withdrawn.reason) == (asked.case_id, "abstain", "incident-gone")
