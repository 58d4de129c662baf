"""Slips in the configuration of payments, and changes of it that are no slips."""

from __future__ import annotations

import asyncio

from examples.shop.faults import spoil
from services.cli.bench.faults.ground import Ground, GroundError
from services.cli.bench.faults.scenario import Deed
from shared.contracts.healer import Outcome, Result


def slip(edit: str) -> Deed:
    """`path`, `port` or `timeout` is wrong: everything loads, and charges fail."""

    async def strike(ground: Ground) -> None:
        _write(ground, spoil(ground.original.decode(), edit))

    return strike


def replaced(old: str, new: str, *, reload: bool = True) -> Deed:
    async def strike(ground: Ground) -> None:
        _write(ground, ground.original.decode().replace(old, new), reload=reload)

    return strike


def appended(text: str) -> Deed:
    async def strike(ground: Ground) -> None:
        _write(ground, ground.original.decode() + text)

    return strike


def emptied() -> Deed:
    async def strike(ground: Ground) -> None:
        _write(ground, "")

    return strike


def broken_again(edit: str, *, after_s: float, times: int) -> Deed:
    """Something that Homeostat doesn't know writes the slip back, a while after each repair."""

    async def work(ground: Ground, before: int) -> None:
        for _ in range(times):
            while (healed := _successes(ground)) <= before:
                await asyncio.sleep(0.1)
            before = healed
            await asyncio.sleep(after_s)
            _write(ground, spoil(ground.original.decode(), edit))

    async def strike(ground: Ground) -> None:
        before = _successes(ground)
        _write(ground, spoil(ground.original.decode(), edit))
        ground.later(work(ground, before))

    return strike


def _successes(ground: Ground) -> int:
    return sum(
        isinstance(event, Outcome) and event.result is Result.SUCCEEDED and event.component == "payments"
        for event in ground.recorder.events
    )


def _write(ground: Ground, text: str, *, reload: bool = True) -> None:
    content = text.encode()
    if content == ground.original:
        raise GroundError("the edit changes nothing: payments.toml is not what the suite knows")
    ground.write_config(content, reload=reload)
