"""The predictor's tables: predictions with what became of them, and the maintenance scheduled for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Numeric, String, Text, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from services.predictor.domain.accuracy import Fate, Record
from shared.contracts.decider import Decision
from shared.contracts.predictor import Moment, Prediction
from shared.db import service_base

Base = service_base()


class PredictionRow(Base):  # type: ignore[misc, valid-type]
    """One prediction, at its newest revision. The `first_` columns are what was told at the opening."""

    __tablename__ = "maintenance_predictions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    component_type: Mapped[str] = mapped_column(String(50))
    component_id: Mapped[str] = mapped_column(String(64), index=True)
    metric: Mapped[str] = mapped_column(String(200))
    labels: Mapped[dict[str, str]] = mapped_column(JSONB)
    predicted_issue: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text)
    probability: Mapped[Decimal] = mapped_column(Numeric(3, 2))
    time_to_failure_hours: Mapped[float] = mapped_column(Float)
    recommended_action: Mapped[str] = mapped_column(Text)
    business_impact: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]
    revision: Mapped[int]
    moment: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(String(16))
    current_value: Mapped[float] = mapped_column(Float)
    limit_value: Mapped[float] = mapped_column(Float)
    slope_per_s: Mapped[float] = mapped_column(Float)
    eta_s: Mapped[float] = mapped_column(Float)
    eta_low_s: Mapped[float] = mapped_column(Float)
    eta_high_s: Mapped[float] = mapped_column(Float)
    traffic_per_s: Mapped[float | None] = mapped_column(Float)
    first_eta_s: Mapped[float] = mapped_column(Float)
    first_eta_low_s: Mapped[float] = mapped_column(Float)
    first_eta_high_s: Mapped[float] = mapped_column(Float)
    reached_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class ScheduleRow(Base):  # type: ignore[misc, valid-type]
    """A maintenance that the decider chose for a prediction; its id is the decision's."""

    __tablename__ = "maintenance_schedules"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    prediction_id: Mapped[UUID] = mapped_column(
        ForeignKey("maintenance_predictions.id", ondelete="CASCADE"), index=True
    )
    revision: Mapped[int]
    scheduled_at: Mapped[datetime]
    maintenance_type: Mapped[str] = mapped_column(String(100))
    estimated_duration_minutes: Mapped[float] = mapped_column(Float)
    required_resources: Mapped[list[str]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(String(20))
    completed_at: Mapped[datetime | None]


async def save_revision(session: AsyncSession, event: Prediction, component_type: str, fate: Fate) -> None:
    """Writes a revision over an older one. What came of a prediction is not overwritten by how its climb ended."""
    columns: dict[str, object] = {
        "updated_at": event.at,
        "revision": event.revision,
        "moment": event.moment.value,
        "reason": event.reason,
        "status": fate.value,
        "current_value": event.current,
        "slope_per_s": event.slope_per_s,
        "eta_s": event.eta_s,
        "eta_low_s": event.eta_low_s,
        "eta_high_s": event.eta_high_s,
        "probability": round(event.probability, 2),
        "time_to_failure_hours": event.eta_s / 3_600,
        "traffic_per_s": event.traffic_per_s,
        "reached_at": event.at if fate is Fate.REACHED else None,
        "ended_at": event.at if event.moment is Moment.GONE else None,
    }
    first = insert(PredictionRow).values(
        id=event.case_id,
        component_type=component_type,
        component_id=event.component,
        metric=event.metric,
        labels=event.labels,
        predicted_issue=event.predicted_issue,
        signature=event.signature,
        recommended_action=event.recommended_action,
        business_impact=event.business_impact,
        created_at=event.at,
        limit_value=event.limit,
        first_eta_s=event.eta_s,
        first_eta_low_s=event.eta_low_s,
        first_eta_high_s=event.eta_high_s,
        **columns,
    )
    if fate is not Fate.REACHED:
        columns["status"] = case((PredictionRow.status == Fate.OPEN.value, fate.value), else_=PredictionRow.status)
    columns["reached_at"] = func.coalesce(PredictionRow.reached_at, first.excluded.reached_at)
    await session.execute(
        first.on_conflict_do_update(
            index_elements=[PredictionRow.id], set_=columns, where=PredictionRow.revision < event.revision
        )
    )


async def find(session: AsyncSession, prediction_id: UUID) -> PredictionRow | None:
    return await session.get(PredictionRow, prediction_id)


async def settle(session: AsyncSession, prediction_id: UUID, fate: Fate) -> None:
    """What a repair came to. A limit that was reached stays reached."""
    await session.execute(
        update(PredictionRow)
        .where(PredictionRow.id == prediction_id, PredictionRow.status != Fate.REACHED.value)
        .values(status=fate.value)
    )


async def stale(session: AsyncSession, now: datetime, most: int = 100) -> Sequence[PredictionRow]:
    """Open predictions of which nothing has been heard for a day and twice the longest likely time."""
    heard = PredictionRow.updated_at + timedelta(days=1) + 2 * PredictionRow.eta_high_s * timedelta(seconds=1)
    query = select(PredictionRow).where(PredictionRow.ended_at.is_(None), heard < now).limit(most)
    return (await session.scalars(query.with_for_update(skip_locked=True))).all()


async def count_open(session: AsyncSession) -> int:
    query = select(func.count()).select_from(PredictionRow).where(PredictionRow.ended_at.is_(None))
    return int((await session.execute(query)).scalar_one())


async def records(session: AsyncSession, since: datetime) -> list[Record]:
    """Told and true times of the predictions opened since."""
    rows = await session.scalars(select(PredictionRow).where(PredictionRow.created_at >= since))
    return [
        Record(
            Fate(row.status),
            row.first_eta_s,
            row.first_eta_low_s,
            row.first_eta_high_s,
            (row.reached_at - row.created_at).total_seconds() if row.reached_at else None,
        )
        for row in rows
    ]


async def usual_duration_minutes(session: AsyncSession, maintenance_type: str) -> float | None:
    """Median time this maintenance has taken, or None when it was never done."""
    query = (
        select(ScheduleRow.scheduled_at, ScheduleRow.completed_at)
        .where(ScheduleRow.maintenance_type == maintenance_type, ScheduleRow.status == "completed")
        .order_by(ScheduleRow.scheduled_at.desc())
        .limit(50)
    )
    took = [(done - begun).total_seconds() / 60 for begun, done in await session.execute(query) if done is not None]
    return median(took) if took else None


async def save_schedule(session: AsyncSession, decision: Decision, status: str, minutes: float) -> None:
    """The maintenance of a decision; an older revision changes nothing."""
    plan = decision.plan
    row = insert(ScheduleRow).values(
        id=decision.decision_id,
        prediction_id=decision.case_id,
        revision=decision.revision,
        scheduled_at=decision.at,
        maintenance_type=plan.playbook if plan else "",
        estimated_duration_minutes=minutes,
        required_resources=[step.actuator for step in plan.spec.steps] if plan else [],
        status=status,
    )
    await session.execute(
        row.on_conflict_do_update(
            index_elements=[ScheduleRow.id],
            set_={"status": status, "revision": decision.revision, "scheduled_at": decision.at},
            where=(ScheduleRow.revision < decision.revision) & ScheduleRow.completed_at.is_(None),
        )
    )


async def complete_schedule(session: AsyncSession, decision_id: UUID, status: str, at: datetime) -> None:
    await session.execute(
        update(ScheduleRow).where(ScheduleRow.id == decision_id).values(status=status, completed_at=at)
    )


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forgets predictions that ended before a time, with their schedules."""
    await session.execute(delete(PredictionRow).where(PredictionRow.ended_at < before))
