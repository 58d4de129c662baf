"""One round: a fault of the shop, and a SIGKILL of some part of Homeostat at some moment of its healing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.client import Client

from examples.shop.control import Shop
from examples.shop.faults import FAULTS
from services.cli.demo.recorder import FOLLOWED
from services.cli.local import LocalPlatform
from shared.contracts.healer import Result
from shared.settings import SERVICES
from tests.chaos import story

VICTIMS = (*SERVICES, "nats", "postgres")
FAULT_NAMES = ("crash", "hang", "bad-config")
STARTS_EXPECTED = {"crash": 1, "hang": 1, "bad-config": 0}
KILL_WITHIN_S = {"crash": 5.0, "hang": 8.0, "bad-config": 14.0}
"""The kill falls anywhere from the fault to about the end of its validation."""
HEAL_DEADLINE_S = 90.0
SETTLE_DEADLINE_S = 45.0
RECORDED = {contract.SUBJECT for contract in FOLLOWED}


@dataclass(frozen=True)
class Plan:
    """What one round does; drawn from the seed alone."""

    fault: str
    victim: str
    kill_after_s: float

    @classmethod
    def draw(cls, rng: random.Random) -> Plan:
        fault = rng.choice(FAULT_NAMES)
        return cls(fault, rng.choice(VICTIMS), rng.uniform(0.0, KILL_WITHIN_S[fault]))

    def __str__(self) -> str:
        return f"{self.fault}, SIGKILL {self.victim} after {self.kill_after_s:.2f} s"


@dataclass(frozen=True)
class Verdict:
    """How a round went; no problems means it passed."""

    problems: tuple[str, ...]
    healed_after_s: float


async def play(platform: LocalPlatform, shop: Shop, client: Client, plan: Plan) -> Verdict:
    """Runs one round and leaves the shop healthy."""
    fault = FAULTS[plan.fault](shop.settings)
    sequence = await story.last_event(client)
    starts = shop.starts(fault.component)
    began = datetime.now(UTC)
    clock = time.monotonic()
    await asyncio.to_thread(fault.inject)
    await asyncio.sleep(plan.kill_after_s)
    kill(platform, plan.victim)

    async def healed() -> bool:
        messages = await story.events_since(client, sequence)
        return any(outcome.result is Result.SUCCEEDED for outcome in story.outcomes(messages, fault.component))

    problems: list[str] = []
    if not await _holds(healed, HEAL_DEADLINE_S):
        problems.append(f"not healed within {HEAL_DEADLINE_S:g} s")
    healed_after_s = time.monotonic() - clock
    problems += [f"after healing: {text}" for text in await asyncio.to_thread(fault.problems)]
    await platform.wait_ready()
    problems += await _settle(platform, client, sequence)
    messages = await story.events_since(client, sequence)
    problems += story.repeated(messages)
    count = shop.starts(fault.component) - starts
    if count != STARTS_EXPECTED[plan.fault]:
        problems.append(f"{fault.component} was started {count} times, not {STARTS_EXPECTED[plan.fault]}")
    decisions = story.executed(messages, fault.component, began)
    if len(decisions) != 1:
        problems.append(f"{len(decisions)} decisions to act: {[d.reason for d in decisions]}")
    await asyncio.to_thread(fault.clean)
    return Verdict(tuple(problems), healed_after_s)


async def _settle(platform: LocalPlatform, client: Client, sequence: int) -> list[str]:
    """Everything that was committed has been published, and everything published has been recorded."""

    async def published() -> bool:
        return await story.waiting_outbox(platform) == 0

    async def recorded() -> bool:
        messages = await story.events_since(client, sequence)
        return not await story.missing_in_timeline(platform, messages, RECORDED)

    problems = []
    if not await _holds(published, SETTLE_DEADLINE_S):
        problems.append(f"{await story.waiting_outbox(platform)} events were never published")
    if not await _holds(recorded, SETTLE_DEADLINE_S):
        messages = await story.events_since(client, sequence)
        problems.append(f"not recorded: {await story.missing_in_timeline(platform, messages, RECORDED)}")
    if letters := await story.dead_letters(client):
        problems.append(f"{letters} messages were set aside")
    return problems


def kill(platform: LocalPlatform, victim: str) -> None:
    """SIGKILL; the supervisor brings it back."""
    status = next(status for status in platform.servers.supervisor.status() if status.name == victim)
    if status.pid is not None:
        os.kill(status.pid, signal.SIGKILL)


async def _holds(condition: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """True once the condition holds; a server that is just coming back counts as not yet."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if await condition():
                return True
        except (OSError, TimeoutError, Exception) as error:  # noqa: BLE001 - NATS or PostgreSQL is being restarted
            if time.monotonic() + 1 > deadline:
                print(f"  last error: {type(error).__name__}: {error}")
        await asyncio.sleep(0.25)
    return False
