"""Plays one scenario: strike, look on, judge, make whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from services.cli.bench.faults.ground import Ground, now
from services.cli.bench.faults.judge import Trial, Verdicts, is_reached, judge
from services.cli.bench.faults.scenario import Expect, Scenario
from shared.contracts.base import CaseEvent

HEALED_SHOWS_WITHIN_S = 5.0
"""Connections and windows of the system itself take a moment to be as before."""


async def play(ground: Ground, scenario: Scenario) -> Verdicts:
    """Leaves the system whole. Raises GroundError when it can't be made so."""
    await ground.apply(scenario.pack)
    before = await asyncio.to_thread(ground.snapshot)
    struck_at = now()
    try:
        await scenario.strike(ground)
        trial = Trial(scenario, struck_at, (), before, await asyncio.to_thread(ground.snapshot), before)
        if scenario.meanwhile is not None:
            await scenario.meanwhile(ground)
        if scenario.expect not in (Expect.UNTOUCHED, Expect.HARMLESS):
            await ground.recorder.wait_for(lambda: is_reached(scenario, _since(ground, trial)), scenario.within_s)
        await asyncio.sleep(scenario.watch_s)
        left: list[str] = []
        if scenario.expect is Expect.HEALED:
            await ground.until(lambda: not ground.broken(scenario.to_heal), HEALED_SHOWS_WITHIN_S, every_s=0.2)
            left = await asyncio.to_thread(ground.broken, scenario.to_heal)
        trial = replace(
            trial,
            events=_since(ground, trial),
            after=await asyncio.to_thread(ground.snapshot),
            left=left,
            started_by_others=dict(ground.started),
            forbidden_until=ground.forbidden_until,
            at_rollback=dict(ground.at_rollback),
        )
    finally:
        await ground.make_whole()
    return judge(trial)


def _since(ground: Ground, trial: Trial) -> list[CaseEvent]:
    return [event for event in ground.recorder.events if event.at >= trial.struck_at]
