"""Slots: every replica has one of its own, keeps it over a lost connection, and never shares it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from services.healer.workflows import slots
from services.healer.workflows.slots import SlotLostError, Slots, executor_name, slot_of
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def make(platform: Platform) -> AsyncIterator[Callable[[], Slots]]:
    async with AsyncExitStack() as stack:

        def new() -> Slots:
            made = Slots(platform.dsn("healer"), Clock())
            stack.push_async_callback(made.release)
            return made

        yield new


async def end_connection_of(platform: Platform, slot: int) -> None:
    """As a broken network would."""
    admin = await platform.connect_postgres()
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = $1", slot
    )
    await admin.close()


async def test_replicas_take_the_lowest_free_slots(make: Callable[[], Slots]) -> None:
    first, second, third = make(), make(), make()
    assert [await one.claim() for one in (first, second, third)] == [0, 1, 2]
    await second.release()
    assert await make().claim() == 1


async def test_claiming_again_keeps_the_slot(make: Callable[[], Slots]) -> None:
    one = make()
    assert await one.claim() == await one.claim() == 0
    assert await make().claim() == 1


async def test_a_lost_connection_is_taken_up_again(
    make: Callable[[], Slots], platform: Platform, eventually: Eventually
) -> None:
    one, other = make(), make()
    await one.claim()
    await other.claim()
    keeping = asyncio.create_task(one.keep())
    await end_connection_of(platform, 0)

    async def held_again() -> bool:
        return await other.dead([executor_name(0)], 0) == []

    await eventually(held_again)
    assert not keeping.done()
    keeping.cancel()


async def test_a_slot_that_another_took_meanwhile_ends_the_process(
    make: Callable[[], Slots], platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "RETAKE_TRIES", 2)
    one, usurper = make(), make()
    await one.claim()
    await end_connection_of(platform, 0)
    assert await usurper.claim() == 0
    with pytest.raises(SlotLostError, match="healer-0"):
        async with asyncio.timeout(10):
            await one.keep()


async def test_a_slot_is_dead_only_when_it_stays_free(make: Callable[[], Slots]) -> None:
    one, watcher = make(), make()
    await one.claim()
    await watcher.claim()
    clock = watcher.monotonic
    assert isinstance(clock, Clock)
    names = [executor_name(0), executor_name(1), "local"]
    assert await watcher.dead(names, 3) == []
    await one.release()
    assert await watcher.dead(names, 3) == []
    clock.now += 2.9
    assert await watcher.dead(names, 3) == []
    clock.now += 0.2
    assert await watcher.dead(names, 3) == [0]
    assert await watcher.borrow(0)
    assert await make().claim() == 2, "a new replica does not take a slot that is being taken over"
    await watcher.give_back(0)
    assert await make().claim() == 0


@pytest.mark.parametrize(("name", "slot"), [("healer-0", 0), ("healer-12", 12), ("local", None), ("healer-x", None)])
def test_executor_names_tell_their_slot(name: str, slot: int | None) -> None:
    assert slot_of(name) == slot
