"""The optimizer's table: recommendations, and what the measurement after them says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Numeric, String, Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.contracts.optimizer import Recommendation
from shared.db import service_base

Base = service_base()


class RecommendationRow(Base):  # type: ignore[misc, valid-type]
    __tablename__ = "optimization_recommendations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    optimization_type: Mapped[str] = mapped_column(String(50))
    component: Mapped[str] = mapped_column(String(64), index=True)
    pack: Mapped[str] = mapped_column(String(64))
    knob: Mapped[str] = mapped_column(Text)
    unit: Mapped[str] = mapped_column(Text)
    current_state: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recommended_state: Mapped[dict[str, Any]] = mapped_column(JSONB)
    expected_improvement: Mapped[str] = mapped_column(Text)
    evidence: Mapped[str] = mapped_column(Text)
    implementation_steps: Mapped[list[dict[str, Any]]] = mapped_column(ARRAY(JSONB))
    risk_assessment: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(String(16))
    applied_at: Mapped[datetime | None]
    samples: Mapped[int]
    p50_before_ms: Mapped[float] = mapped_column(Float)
    p99_before_ms: Mapped[float] = mapped_column(Float)
    p50_after_ms: Mapped[float | None] = mapped_column(Float)
    p99_after_ms: Mapped[float | None] = mapped_column(Float)
    risk: Mapped[float] = mapped_column(Numeric(4, 3, asdecimal=False))

    @property
    def current(self) -> float | None:
        value = self.current_state.get("value")
        return float(value) if value is not None else None


async def save(session: AsyncSession, event: Recommendation, p50_ms: float, p99_ms: float) -> None:
    """A recommendation; saved once however often it is given."""
    row = insert(RecommendationRow).values(
        id=event.case_id,
        optimization_type="timeout",
        component=event.component,
        pack=event.pack,
        knob=event.knob,
        unit=event.unit,
        current_state={"value": event.current, "p50_ms": p50_ms, "p99_ms": p99_ms},
        recommended_state={"value": event.recommended},
        expected_improvement=event.expected_improvement,
        evidence=event.evidence,
        implementation_steps=[
            {"order": order, "step": step} for order, step in enumerate(event.implementation_steps, 1)
        ],
        risk_assessment={"risk": event.risk},
        created_at=event.at,
        status="open",
        samples=event.samples,
        p50_before_ms=p50_ms,
        p99_before_ms=p99_ms,
        risk=event.risk,
    )
    await session.execute(row.on_conflict_do_nothing())


async def settle(session: AsyncSession, recommendation_id: UUID, status: str, applied_at: datetime | None) -> None:
    """What came of trying it."""
    await session.execute(
        update(RecommendationRow)
        .where(RecommendationRow.id == recommendation_id)
        .values(status=status, applied_at=applied_at)
    )


async def measured(
    session: AsyncSession, component: str, pack: str, knob: str, before: datetime, p50_ms: float, p99_ms: float
) -> None:
    """The first measurement after a recommendation applied before a time, so that its window is all after it."""
    await session.execute(
        update(RecommendationRow)
        .where(
            RecommendationRow.component == component,
            RecommendationRow.pack == pack,
            RecommendationRow.knob == knob,
            RecommendationRow.status == "applied",
            RecommendationRow.applied_at <= before,
            RecommendationRow.p99_after_ms.is_(None),
        )
        .values(p50_after_ms=p50_ms, p99_after_ms=p99_ms)
    )


async def newest(session: AsyncSession, since: datetime, most: int) -> Sequence[RecommendationRow]:
    query = (
        select(RecommendationRow)
        .where(RecommendationRow.created_at >= since)
        .order_by(RecommendationRow.created_at.desc())
        .limit(most)
    )
    return (await session.scalars(query)).all()


async def counts(session: AsyncSession, since: datetime) -> tuple[dict[str, int], int, float | None]:
    """Recommendations by status, how many were measured after, and the median relative change of p99."""
    by_status = await session.execute(
        select(RecommendationRow.status, func.count())
        .where(RecommendationRow.created_at >= since)
        .group_by(RecommendationRow.status)
    )
    pairs = await session.execute(
        select(RecommendationRow.p99_before_ms, RecommendationRow.p99_after_ms).where(
            RecommendationRow.created_at >= since, RecommendationRow.p99_after_ms.is_not(None)
        )
    )
    changes = [(after - before) / before for before, after in pairs if after is not None and before > 0]
    return {row[0]: row[1] for row in by_status}, len(changes), median(changes) if changes else None


async def prune(session: AsyncSession, before: datetime) -> None:
    await session.execute(delete(RecommendationRow).where(RecommendationRow.created_at < before))
