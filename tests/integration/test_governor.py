"""The right to act on a component: given once at a time under a rising epoch, renewed by the run, lost in silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import text

from shared.contracts.decider import Decision, Lease, LeaseState
from shared.contracts.detector import Transition
from shared.contracts.healer import LeaseRenewal, Result
from tests.conftest import Platform
from tests.integration.test_decider import World, diagnosis, incident, later, outcome, pack, running

Eventually = Callable[..., Awaitable[None]]


async def lease(world: World, component: str = "payments") -> Lease:
    message = await world.client.jetstream().get_last_msg("STATE", f"{Lease.SUBJECT}.{component}")
    return Lease.model_validate_json(message.data or b"{}")


def renewal(of: Decision, epoch: int) -> LeaseRenewal:
    return LeaseRenewal(
        at=datetime.now(UTC), component=of.component, case_id=of.case_id, case_kind=of.case_kind,
        decision_id=of.decision_id, epoch=epoch,
    )  # fmt: skip


async def test_every_grant_is_a_lease_under_a_higher_epoch(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, pack()) as world:
        for epoch in (1, 2):
            gone = incident()
            await world.says(gone, diagnosis(gone))
            (order,) = await world.decided(gone.case_id, "act")
            assert order.plan is not None
            assert order.plan.epoch == epoch
            held = await lease(world)
            assert (held.epoch, held.state, held.decision_id) == (epoch, LeaseState.HELD, order.decision_id)
            assert held.until == order.plan.lease_until
            await world.says(outcome(order, Result.SUCCEEDED), later(gone, Transition.RESOLVED))

            async def released(epoch: int = epoch) -> bool:
                return (await lease(world)).state is LeaseState.RELEASED

            await eventually(released)


async def test_a_run_keeps_its_component_as_long_as_it_asks_and_no_longer(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, eventually, pack()) as world:
        gone = incident()
        await world.says(gone, diagnosis(gone))
        (order,) = await world.decided(gone.case_id, "act")
        before = await lease(world)
        await world.says(renewal(order, epoch=7), renewal(order, epoch=1))

        async def prolonged() -> bool:
            return (await lease(world)).until > before.until

        await eventually(prolonged)
        async with world.service.engine.begin() as connection:
            await connection.execute(text("update grants set lease_until = now() - interval '1 s'"))
        *_, page = await world.decided(gone.case_id, "act", "escalated")
        assert "nothing was heard" in page.explanation
        assert (await lease(world)).state is LeaseState.LAPSED
        await world.says(renewal(order, epoch=1))
        await world.says(outcome(order, Result.SUCCEEDED))
        assert (await lease(world)).state is LeaseState.LAPSED
