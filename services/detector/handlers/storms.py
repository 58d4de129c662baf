"""Looks over all partitions for storms. What it finds goes back as telemetry, so that a storm's incident lives like any
other; that one is on is a last value, for the decider's brake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

import structlog

from services.detector import store
from services.detector.domain import storms
from services.detector.handlers.wire import instant
from shared.contracts.base import Severity
from shared.contracts.detector import Storm
from shared.contracts.ingest import ExternalIncident
from shared.outbox import Unit
from shared.packs.book import PackBook
from shared.packs.model import Pack

log = structlog.get_logger()

_STORMS = UUID("0d4b1c5e-7a55-5d2c-8f6f-5a7d3f1b9c04")
SOURCE = "homeostat"


@dataclass
class StormWatch:
    """One replica looks at a time."""

    packs: PackBook

    async def look(self, unit: Unit) -> None:
        since = unit.now - timedelta(seconds=storms.WITHIN_S)
        found = frozenset(await store.alarming(unit.session, since))
        for applied in list(self.packs.packs.values()):
            await self._pack(unit, applied.pack, sorted(found & applied.pack.components.keys()))

    async def _pack(self, unit: Unit, pack: Pack, alarming: Sequence[str]) -> None:
        if len(pack.components) < pack.policy.storm_min:
            return
        row = await store.storm_of(unit.session, pack.pack)
        before = storms.Storm(row.since.timestamp(), row.raged_at.timestamp()) if row and row.is_on else None
        after = storms.judge(before, len(alarming), len(pack.components), pack.policy, unit.now.timestamp())
        if before is None and after is None:
            return
        told = after or before
        assert told is not None
        await store.save_storm(
            unit.session, pack.pack, instant(told.since), instant(told.raged_at), is_on=after is not None
        )
        if (before is None) == (after is None):
            return
        since = instant(told.since)
        on = after is not None
        log.warning("storm", pack=pack.pack, on=on, alarming=list(alarming))
        unit.emit(
            Storm(
                id=uuid5(_STORMS, f"{pack.pack}|{since}|{on}"),
                at=unit.now,
                pack=pack.pack,
                on=on,
                since=since,
                alarming=tuple(alarming),
                of=len(pack.components),
            )
        )
        unit.emit(_incident(unit, pack, alarming, on=on))


def _incident(unit: Unit, pack: Pack, alarming: Sequence[str], *, on: bool) -> ExternalIncident:
    named = ", ".join(alarming[:20]) + (" and others" if len(alarming) > 20 else "")
    said = f"{len(alarming)} of {len(pack.components)} components of {pack.pack} alarm at once: {named}"
    return ExternalIncident(
        id=uuid5(_STORMS, f"{pack.pack}|{unit.now}|{on}|incident"),
        at=unit.now,
        component=storms.component_of(pack.pack),
        source=SOURCE,
        external_id=f"storm-{pack.pack}",
        status="firing" if on else "resolved",
        severity=Severity.CRITICAL,
        pattern="storm",
        summary=said[:1_000],
        labels={"pack": pack.pack, "components": ",".join(alarming)[:1_000]},
    )
