"""Agents on other hosts: who is there, who is away, and telling them of the kill switch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import ValidationError

from shared.contracts import healer as contract
from shared.contracts.agent import SWITCH_SUBJECT, AgentBeat, beat_subject
from shared.outbox import Unit
from shared.packs.book import PackBook

log = structlog.get_logger()

AWAY_AFTER = timedelta(seconds=6)
"""Three beats."""
SWITCH_S = 1.0


@dataclass(slots=True)
class AgentHandlers:
    packs: PackBook
    client: Callable[[], Client]
    connected: Callable[[], bool]
    switched_off: Callable[[], bool]
    clock: Callable[[], datetime]
    ids: Callable[[], UUID]
    _beats: dict[str, AgentBeat] = field(default_factory=dict)
    _heard: dict[str, datetime] = field(default_factory=dict)
    """By this host's clock."""
    _told: dict[str, bool] = field(default_factory=dict)

    async def listen(self) -> None:
        """Hears signs of life, and says every second whether the kill switch is on."""
        while not self.connected():
            await asyncio.sleep(0.05)
        subscription = await self.client().subscribe(beat_subject("*"), cb=self._beat)
        try:
            while True:
                if self.connected():
                    await self.client().publish(SWITCH_SUBJECT, b"on" if self.switched_off() else b"off")
                await asyncio.sleep(SWITCH_S)
        finally:
            if self.connected():
                await subscription.unsubscribe()

    async def _beat(self, message: Msg) -> None:
        """The subject says who it is, for that is what its NATS user may publish on."""
        name = message.subject.rpartition(".")[2]
        try:
            beat = AgentBeat.model_validate_json(message.data)
        except ValidationError:
            log.warning("an agent's sign of life is none", agent=name)
            return
        if beat.name == name:
            self._beats[name], self._heard[name] = beat, self.clock()

    async def tell(self, unit: Unit) -> None:
        """Tells the decider of those that came or went."""
        named = {one.host for applied in self.packs.packs.values() for one in applied.pack.components.values()}
        for name in sorted({*self._heard, *(host for host in named if host)}):
            away = self._is_away(name)
            if self._told.get(name) != away:
                unit.emit(self._state(name, away=away, at=unit.now))
                self._told[name] = away

    def _is_away(self, name: str) -> bool:
        return name not in self._heard or self.clock() - self._heard[name] > AWAY_AFTER

    def _state(self, name: str, *, away: bool, at: datetime) -> contract.AgentState:
        beat = self._beats.get(name)
        return contract.AgentState(
            id=self.ids(),
            at=at,
            name=name,
            away=away,
            last_seen_at=self._heard.get(name),
            version=beat.version if beat else "",
            actuators=beat.actuators if beat else (),
            switched_off=beat.switched_off if beat else False,
        )

    async def told(self, _request: contract.ListAgents, unit: Unit) -> contract.AgentList:
        """Everyone that is named in a pack or was heard of."""
        named = {one.host for applied in self.packs.packs.values() for one in applied.pack.components.values()}
        names = sorted({*self._heard, *(host for host in named if host)})
        return contract.AgentList(
            agents=tuple(self._state(name, away=self._is_away(name), at=unit.now) for name in names)
        )


async def ask(client: Client, subject: str, body: bytes, timeout_s: float) -> bytes | None:
    """One request; None when nobody is there or nobody answered in time."""
    try:
        return bytes((await client.request(subject, body, timeout=timeout_s)).data)
    except NoRespondersError:
        return None
    except (TimeoutError, NatsError) as error:
        log.warning("an agent did not answer", subject=subject, error=f"{type(error).__name__}: {error}")
        return None
