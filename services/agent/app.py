"""`homeostat agent`: connects with a NATS user of its own, answers orders, and gives signs of life."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import nats
import structlog
from nats.aio.msg import Msg
from pydantic import ValidationError

from services.agent.allow import read_allow
from services.agent.journal import Journal
from services.agent.orders import Orders
from services.healer.clients.spawn import Spawner
from shared.bus.bus import server_url
from shared.contracts.agent import (
    SWITCH_SUBJECT,
    AgentBeat,
    AgentOrder,
    AgentReply,
    beat_subject,
    order_subject,
)
from shared.kill_switch import KillSwitch

log = structlog.get_logger()

BEAT_S = 2.0
ON = b"on"


@dataclass(slots=True)
class Switch:
    """Off only when neither this host's file nor a healer says otherwise."""

    file: KillSwitch
    told_on: bool = False

    async def heard(self, message: Msg) -> None:
        self.told_on = message.data == ON

    def is_on(self) -> bool:
        return self.told_on or self.file.is_on()


@dataclass(slots=True)
class Agent:
    name: str
    allow_file: Path
    data_dir: Path
    nats_url: str
    password: str | None = field(repr=False)
    kill_switch_file: Path | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; finishes the order in hand.

        Raises:
            AllowError: the allow-list can't be used.
        """
        switch = Switch(KillSwitch(self.kill_switch_file))
        allow = read_allow(self.allow_file)
        journal, spawner = Journal(self.data_dir / "journal.sqlite"), Spawner(os.environ)
        orders = Orders(allow, journal, spawner, switch.is_on)
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        user = f"agent-{self.name}"
        client = await nats.connect(
            server_url(self.nats_url, user, self.password), name=f"homeostat-{user}", max_reconnect_attempts=-1
        )
        at_work: set[asyncio.Task[None]] = set()

        async def ordered(message: Msg) -> None:
            task = asyncio.create_task(_answer(orders, message))
            at_work.add(task)
            task.add_done_callback(at_work.discard)

        await client.subscribe(SWITCH_SUBJECT, cb=switch.heard)
        await client.subscribe(order_subject(self.name), cb=ordered)
        log.info("agent ready", name=self.name, allowed=allow.actuators)
        while not stopping.is_set():
            beat = AgentBeat(
                name=self.name,
                version=version("homeostat"),
                at=self.clock(),
                actuators=allow.actuators,
                switched_off=switch.is_on(),
            )
            await client.publish(beat_subject(self.name), beat.model_dump_json().encode())
            spawner.reap()
            journal.prune()
            try:
                await asyncio.wait_for(stopping.wait(), BEAT_S)
            except TimeoutError:
                continue
        await asyncio.gather(*at_work, return_exceptions=True)
        await client.drain()
        journal.close()


async def _answer(orders: Orders, message: Msg) -> None:
    try:
        reply = await orders.carry_out(AgentOrder.model_validate_json(message.data))
    except ValidationError as error:
        reply = AgentReply(error=f"not an order that this agent knows: {error.error_count()} problems: is it older?")
    await message.respond(reply.model_dump_json().encode())
