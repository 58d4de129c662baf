"""The queries of decider and healer over tables in memory, under the names of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.decider.domain import Case
from services.decider.domain.life import State
from services.decider.domain.model import ConfidenceModel
from services.decider.domain.record import dump_case
from services.decider.store import CaseRow, DecisionRow, GrantRow, decisions, grants, registry, trust
from services.decider.store import cases as decider_cases
from services.healer.handlers import runs as healer_handlers
from services.healer.store import cases as healer_cases
from services.healer.store import fences, runs
from services.healer.store.models import CaseState, Run
from tests.unit.governor.memory import BrokenError, Session

UNIQUE_IN_DECIDER: dict[type, Callable[[Any], object | None]] = {
    GrantRow: lambda row: row.component if row.finished_at is None else None,
    DecisionRow: lambda row: row.case_id if row.closed_at is None else None,
}
UNIQUE_IN_HEALER: dict[type, Callable[[Any], object | None]] = {
    Run: lambda row: row.component if row.status == "running" and not row.dry_run else None,
}
EPOCHS, FENCES = type("Epochs", (), {}), type("Fences", (), {})


def install(patch: pytest.MonkeyPatch) -> None:
    """Puts these in the place of the real queries."""
    for module, here in (
        (decider_cases, DeciderCases),
        (trust, Trust), (registry, Registry), (decisions, Decisions), (grants, Grants), (healer_cases, HealerCases),
        (fences, Fences), (runs, Runs),
    ):  # fmt: skip
        for name, made in vars(here).items():
            if isinstance(made, staticmethod):
                if not hasattr(module, name):
                    raise BrokenError(f"{module.__name__} has no {name}: the model is out of date")
                patch.setattr(module, name, made.__func__)
    patch.setattr(healer_handlers, "after_commit", lambda session, hook: session.after.append(hook))


def _all(session: Session, kind: type) -> list[Any]:
    return list(session.db.table(kind).values())


# ---- decider


class DeciderCases:
    @staticmethod
    async def take(session: Session, new: Case, now: datetime) -> CaseRow:
        table = session.db.table(CaseRow)
        if new.id not in table:
            table[new.id] = CaseRow(
                case_id=new.id, kind=new.kind.value, component=new.component, state=State.OPEN.value,
                is_open=new.is_open, incident_revision=0, source_revision=0, facts=dump_case(new), ordinal=1, tries=0,
                updated_at=now,
            )  # fmt: skip
        row: CaseRow = table[new.id]
        return row

    @staticmethod
    async def lock(session: Session, case_id: UUID) -> CaseRow | None:
        return session.db.table(CaseRow).get(case_id)

    @staticmethod
    async def due(session: Session, now: datetime, limit: int) -> list[CaseRow]:
        rows = [r for r in _all(session, CaseRow) if r.next_at and r.next_at <= now and r.state in decider_cases.LIVE]
        return sorted(rows, key=lambda row: row.next_at)[:limit]

    @staticmethod
    async def _wake(session: Session, now: datetime, wanted: Callable[[CaseRow], bool]) -> int:
        rows = [
            row
            for row in _all(session, CaseRow)
            if row.state in decider_cases.LIVE and (row.next_at is None or row.next_at > now) and wanted(row)
        ]
        for row in rows:
            row.next_at = now
        return len(rows)

    @staticmethod
    async def wake_components(session: Session, components: frozenset[str], now: datetime) -> int:
        return await DeciderCases._wake(
            session, now, lambda row: row.component in components and row.state == State.OPEN.value
        )

    @staticmethod
    async def wake_symptoms_of(session: Session, case_id: UUID, now: datetime) -> int:
        return await DeciderCases._wake(session, now, lambda row: row.symptom_of == case_id)

    @staticmethod
    async def with_open_incident(session: Session, components: Collection[str], but: UUID) -> frozenset[str]:
        return frozenset(
            row.component
            for row in _all(session, CaseRow)
            if row.component in components and row.kind == "incident" and row.is_open and row.incident_revision > 0
            and row.case_id != but
        )  # fmt: skip


class Decisions:
    @staticmethod
    async def live(session: Session, case_id: UUID) -> DecisionRow | None:
        rows = [row for row in _all(session, DecisionRow) if row.case_id == case_id and row.closed_at is None]
        return rows[0] if rows else None

    @staticmethod
    async def by_id(session: Session, decision_id: UUID) -> DecisionRow | None:
        return session.db.table(DecisionRow).get(decision_id)

    @staticmethod
    async def last_reason(session: Session, case_id: UUID) -> str | None:
        rows = [row for row in _all(session, DecisionRow) if row.case_id == case_id]
        return max(rows, key=lambda row: row.ordinal).reason if rows else None

    @staticmethod
    async def asked_elsewhere(session: Session, components: Collection[str], but: UUID) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {}
        for row in _all(session, DecisionRow):
            if row.component in components and row.verdict == "ask" and row.closed_at is None and row.case_id != but:
                found.setdefault(row.component, set()).add(row.chosen_action or "")
        return {component: tuple(sorted(books - {""})) for component, books in found.items()}

    @staticmethod
    def add(session: Session, row: DecisionRow) -> None:
        session.db.add(row.decision_id, row)


class Grants:
    @staticmethod
    async def lock_packs(session: Session, packs: Collection[str]) -> None: ...

    @staticmethod
    async def recent(
        session: Session, packs: Collection[str], components: Collection[str], since: datetime
    ) -> list[grants.Recent]:
        found: dict[tuple[str, str, str], tuple[int, bool]] = {}
        for row in _all(session, GrantRow):
            lately, is_open = row.granted_at > since, row.finished_at is None
            if (row.pack in packs or row.component in components) and (lately or is_open):
                key = (row.pack, row.component, row.playbook)
                granted, busy = found.get(key, (0, False))
                found[key] = (granted + lately, busy or is_open)
        return [grants.Recent(*key, *values) for key, values in found.items()]

    @staticmethod
    async def past(session: Session, components: Collection[str], since: datetime) -> list[grants.Past]:
        rows = [row for row in _all(session, GrantRow) if row.component in components and row.granted_at > since]
        return [
            grants.Past(row.component, row.granted_at, row.finished_at, dict(row.moves))
            for row in sorted(rows, key=lambda row: row.granted_at)
        ]

    @staticmethod
    async def busy_components(session: Session, components: Collection[str]) -> frozenset[str]:
        rows = _all(session, GrantRow)
        return frozenset(r.component for r in rows if r.component in components and r.finished_at is None)

    @staticmethod
    async def cooling(session: Session, components: Collection[str], now: datetime) -> dict[str, dict[str, datetime]]:
        found: dict[str, dict[str, datetime]] = {}
        for row in _all(session, GrantRow):
            until = (row.finished_at or row.granted_at) + timedelta(seconds=row.cooldown_s)
            if row.component in components and until > now:
                books = found.setdefault(row.component, {})
                books[row.playbook] = max(until, books.get(row.playbook, until))
        return found

    @staticmethod
    async def by_kind(_session: Session, _signatures: Collection[str]) -> dict[tuple[str, str], Any]:
        return {}

    @staticmethod
    def add(session: Session, row: GrantRow) -> None:
        session.db.add(row.decision_id, row)

    @staticmethod
    async def next_epoch(session: Session, component: str) -> int:
        table = session.db.table(EPOCHS)
        table[component] = table.get(component, 0) + 1
        return int(table[component])

    @staticmethod
    async def of_decision(session: Session, decision_id: UUID) -> GrantRow | None:
        return session.db.table(GrantRow).get(decision_id)

    lock = of_decision

    @staticmethod
    async def lapsed(session: Session, now: datetime, limit: int) -> list[GrantRow]:
        rows = [row for row in _all(session, GrantRow) if row.finished_at is None and row.lease_until < now]
        return sorted(rows, key=lambda row: row.lease_until)[:limit]


class Trust:
    """No rights were earned or lost, no words said, and nothing is left to chance."""

    @staticmethod
    async def standings(_session: Session, _signatures: Collection[str] | None = None) -> list[Any]:
        return []

    @staticmethod
    async def runs(_session: Session, _pack: str, _signature: str, _playbook: str) -> list[Any]:
        return []

    @staticmethod
    async def words_on(_session: Session, _signatures: Collection[str]) -> dict[tuple[str, str], tuple[int, int]]:
        return {}

    @staticmethod
    async def over(_session: Session, _case_id: UUID, _at: datetime) -> None: ...


class Registry:
    """No model was ever trained."""

    @staticmethod
    async def in_force(_session: Session) -> ConfidenceModel:
        return ConfidenceModel()


# ---- healer


class HealerCases:
    @staticmethod
    async def note(session: Session, state: CaseState) -> None:
        table = session.db.table(CaseState)
        known = table.get(state.case_id)
        if known is None or known.revision < state.revision:
            table[state.case_id] = state

    @staticmethod
    async def get(session: Session, case_id: UUID) -> CaseState | None:
        return session.db.table(CaseState).get(case_id)

    @staticmethod
    async def any_open(session: Session, component: str, kind: str) -> bool:
        return any(r.component == component and r.kind == kind and r.is_open for r in _all(session, CaseState))


class Fences:
    @staticmethod
    async def raise_to(session: Session, component: str, epoch: int) -> None:
        table = session.db.table(FENCES)
        table[component] = max(epoch, table.get(component, 0))

    @staticmethod
    async def newest(session: Session, component: str) -> int:
        return int(session.db.table(FENCES).get(component, 0))

    @staticmethod
    async def take(session: Session, run_id: UUID, holder: str) -> None:
        run = session.db.table(Run).get(run_id)
        if run is not None and run.status in {runs.QUEUED, runs.RUNNING}:
            run.holder = holder

    @staticmethod
    async def holder_of(session: Session, run_id: UUID) -> str:
        run = session.db.table(Run).get(run_id)
        return run.holder if run is not None else ""

    @staticmethod
    async def held_by(session: Session, holder: str) -> list[Run]:
        return [r for r in _all(session, Run) if r.status == runs.RUNNING and r.holder == holder and r.epoch > 0]


class Runs:
    @staticmethod
    async def admit(session: Session, run: Run) -> bool:
        if run.id in session.db.table(Run):
            return False
        session.db.add(run.id, run)
        return True

    @staticmethod
    async def activate(session: Session, run_id: UUID, component: str, now: datetime) -> bool:
        run = session.db.table(Run)[run_id]
        in_the_way = any(
            other.component == component and other.id != run_id and not other.dry_run
            and (other.status == runs.RUNNING or (other.status == runs.QUEUED and other.created_at < run.created_at))
            for other in _all(session, Run)
        )  # fmt: skip
        if run.status != runs.QUEUED or (in_the_way and not run.dry_run):
            return False
        run.status, run.activated_at = runs.RUNNING, now
        return True

    @staticmethod
    async def get(session: Session, run_id: UUID) -> Run | None:
        return session.db.table(Run).get(run_id)

    @staticmethod
    async def queued(session: Session, limit: int = 100) -> Sequence[Run]:
        rows = [run for run in _all(session, Run) if run.status == runs.QUEUED]
        return sorted(rows, key=lambda run: (run.component, run.created_at))[:limit]

    @staticmethod
    async def not_started(session: Session, before: datetime, limit: int = 100) -> Sequence[Run]:
        rows = [run for run in _all(session, Run) if run.status == runs.RUNNING and run.started_at is None]
        return [run for run in rows if run.activated_at < before][:limit]

    @staticmethod
    async def active_since(session: Session, before: datetime, limit: int = 100) -> Sequence[Run]:
        rows = [run for run in _all(session, Run) if run.status == runs.RUNNING]
        return [run for run in rows if run.activated_at < before][:limit]

    @staticmethod
    async def begin(session: Session, run_id: UUID, now: datetime) -> tuple[datetime, float]:
        run = session.db.table(Run)[run_id]
        run.started_at = run.started_at or now
        return run.started_at, 0.0

    @staticmethod
    async def note_applied(session: Session, run_id: UUID, now: datetime, window: timedelta) -> datetime:
        run = session.db.table(Run)[run_id]
        run.applied_at = run.applied_at or now
        applied: datetime = run.applied_at
        return applied

    @staticmethod
    async def say(session: Session, event: Any) -> bool:
        table = session.db.table(type(event))
        if (event.run_id, event.key) in table:
            return False
        table[event.run_id, event.key] = event
        return True

    @staticmethod
    async def finish(session: Session, run_id: UUID, *, status: str, reason: str, now: datetime, **more: Any) -> Any:
        run = session.db.table(Run).get(run_id)
        if run is None or run.status not in {runs.QUEUED, runs.RUNNING}:
            return None
        run.status, run.reason, run.resolved_at = status, reason, now
        run.healing_actions, run.error_count_after = list(more["actions"]), more["error_count_after"]
        return run
