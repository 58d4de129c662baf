"""Grants: who acts where. Read and written under the locks of the packs, so that no two replicas both grant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Float, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.decider.domain.vocabulary import ATTEMPTED, Result
from services.decider.store.models import EpochRow, GrantRow

BUDGET_WINDOW = timedelta(hours=1)


async def lock_packs(session: AsyncSession, packs: Collection[str]) -> None:
    """Serialises deciding for these packs until the unit ends; always in the same order, so that nobody waits in a
    circle."""
    for pack in sorted(set(packs)):
        await session.execute(
            text("select pg_advisory_xact_lock(hashtext('decider:pack'), hashtext(:pack))"), {"pack": pack}
        )


@dataclass(frozen=True, slots=True)
class Recent:
    """Grants of one playbook on one component: how many lately, and whether one hasn't ended."""

    pack: str
    component: str
    playbook: str
    granted: int
    busy: bool


async def recent(
    session: AsyncSession, packs: Collection[str], components: Collection[str], since: datetime
) -> list[Recent]:
    """What the limits of these packs and components are compared with: grants since then, and runs that haven't ended.
    A component's runs count whatever pack it stood in."""
    is_open = GrantRow.finished_at.is_(None)
    rows = await session.execute(
        select(
            GrantRow.pack,
            GrantRow.component,
            GrantRow.playbook,
            func.count().filter(GrantRow.granted_at > since),
            func.bool_or(is_open),
        )
        .where(
            or_(GrantRow.pack.in_(packs), GrantRow.component.in_(components)),
            or_(GrantRow.granted_at > since, is_open),
        )
        .group_by(GrantRow.pack, GrantRow.component, GrantRow.playbook)
    )
    return [Recent(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Past:
    """A run on a component, as far as it matters to the next one."""

    component: str
    granted_at: datetime
    finished_at: datetime | None
    moves: dict[str, int]
    """What it moved and did not move back."""


_UNMOVED = (Result.SKIPPED.value, Result.ROLLED_BACK.value)


async def past(session: AsyncSession, components: Collection[str], since: datetime) -> list[Past]:
    """Runs on these components since then, oldest first."""
    rows = await session.scalars(
        select(GrantRow)
        .where(GrantRow.component.in_(components), GrantRow.granted_at > since)
        .order_by(GrantRow.granted_at)
    )
    return [
        Past(
            row.component,
            row.granted_at,
            row.finished_at,
            {} if row.result in _UNMOVED else {name: int(way) for name, way in row.moves.items()},
        )
        for row in rows
    ]


async def busy_components(session: AsyncSession, components: Collection[str]) -> frozenset[str]:
    rows = await session.execute(
        select(GrantRow.component).where(GrantRow.component.in_(components), GrantRow.finished_at.is_(None))
    )
    return frozenset(rows.scalars())


async def cooling(session: AsyncSession, components: Collection[str], now: datetime) -> dict[str, dict[str, datetime]]:
    """By component and playbook: when it may run again, where that is still to come."""
    ended = func.coalesce(GrantRow.finished_at, GrantRow.granted_at)
    until = ended + func.make_interval(0, 0, 0, 0, 0, 0, cast(GrantRow.cooldown_s, Float))
    rows = await session.execute(
        select(GrantRow.component, GrantRow.playbook, func.max(until))
        .where(GrantRow.component.in_(components), until > now)
        .group_by(GrantRow.component, GrantRow.playbook)
    )
    found: dict[str, dict[str, datetime]] = {}
    for component, playbook, at in rows:
        found.setdefault(component, {})[playbook] = at
    return found


async def by_kind(
    session: AsyncSession, signatures: Collection[str]
) -> dict[tuple[str, str], dict[str, tuple[int, int]]]:
    """By signature and playbook: kinds of component with their runs and successes."""
    if not signatures:
        return {}
    rows = await session.execute(
        select(
            GrantRow.signature,
            GrantRow.playbook,
            GrantRow.kind,
            func.count(),
            func.count().filter(GrantRow.result == Result.SUCCEEDED.value),
        )
        .where(GrantRow.signature.in_(signatures), GrantRow.result.in_([one.value for one in ATTEMPTED]))
        .group_by(GrantRow.signature, GrantRow.playbook, GrantRow.kind)
    )
    found: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    for signature, playbook, kind, runs, successes in rows:
        found.setdefault((signature, playbook), {})[kind] = (runs, successes)
    return found


def add(session: AsyncSession, row: GrantRow) -> None:
    session.add(row)


async def next_epoch(session: AsyncSession, component: str) -> int:
    """One more than ever before for this component; kept with the grant, in its unit."""
    statement = (
        insert(EpochRow)
        .values(component=component, epoch=1)
        .on_conflict_do_update(index_elements=[EpochRow.component], set_={"epoch": EpochRow.epoch + 1})
        .returning(EpochRow.epoch)
    )
    return int((await session.execute(statement)).scalar_one())


async def of_decision(session: AsyncSession, decision_id: UUID) -> GrantRow | None:
    return await session.get(GrantRow, decision_id, populate_existing=True)


async def held(session: AsyncSession) -> list[GrantRow]:
    """Leases that are held, the oldest first."""
    rows = await session.scalars(
        select(GrantRow).where(GrantRow.finished_at.is_(None)).order_by(GrantRow.granted_at).limit(1_000)
    )
    return list(rows)


async def lock(session: AsyncSession, decision_id: UUID) -> GrantRow | None:
    statement = select(GrantRow).where(GrantRow.decision_id == decision_id).with_for_update()
    return (await session.execute(statement, execution_options={"populate_existing": True})).scalar_one_or_none()


async def lapsed(session: AsyncSession, now: datetime, limit: int) -> list[GrantRow]:
    """Runs of which nothing was heard within their lease."""
    rows = await session.execute(
        select(GrantRow)
        .where(GrantRow.finished_at.is_(None), GrantRow.lease_until < now)
        .order_by(GrantRow.lease_until)
        .limit(limit)
    )
    return list(rows.scalars())
