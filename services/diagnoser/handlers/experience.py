"""What came of diagnoses: judged once per repair, learned from, and told as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from services.diagnoser import store
from services.diagnoser.domain.calibration import Calibrator, brier, expected_calibration_error, learn, reliability
from services.diagnoser.domain.history import Judged
from services.diagnoser.domain.judging import End, was_right
from services.diagnoser.store import JudgementRow
from shared import telemetry
from shared.contracts.base import CaseKind
from shared.contracts.diagnoser import (
    Calibration,
    CalibrationRequest,
    Cause,
    Diagnosis,
    ReliabilityBin,
    SignatureRecord,
)
from shared.contracts.healer import Outcome
from shared.contracts.ingest import ExternalOutcome
from shared.outbox import Unit
from shared.packs import Category

log = structlog.get_logger()

FRESH = timedelta(seconds=15)
"""Another replica may have judged meanwhile: what is known is read again after this long."""
SETTLES = timedelta(seconds=2)
"""A judgement is seen by others when its unit has committed: so long after one, what is known is read each time."""
MAX_SIGNATURES = 200


@dataclass(frozen=True, slots=True)
class Known:
    """What outcomes have taught, as read at `at`."""

    judged: Sequence[Judged]
    calibrator: Calibrator
    at: datetime


@dataclass
class Experience:
    """Judges diagnoses by outcomes; `keep`: for how long."""

    keep: timedelta
    _known: Known | None = None
    _judged_at: datetime | None = None

    async def came_out(self, outcome: Outcome, unit: Unit) -> None:
        """A validated repair confirms the cause that it was for; one that was applied and taken back refutes it."""
        if outcome.case_kind is not CaseKind.INCIDENT:
            return
        await store.experience.hold_case(unit.session, outcome.case_id)
        label = await store.experience.label_since(unit.session, outcome.case_id, outcome.finished_at)
        applied = outcome.applied_at is not None
        end = End(outcome.result.value)
        right = was_right(end, applied=applied, dry_run=outcome.dry_run, seen_to_help=label)
        row = await store.told.told_before(unit.session, outcome.case_id, outcome.started_at)
        if right is None or row is None:
            return
        cause = _treated(Diagnosis.model_validate(row.root_cause), outcome)
        if cause is None:
            return  # a person asked for another repair than was diagnosed
        raw = cause.confidence if cause.raw_confidence is None else cause.raw_confidence
        columns: dict[str, object] = {
            "decision_id": outcome.decision_id,
            "case_id": outcome.case_id,
            "component": row.root_cause["component"],
            "pattern": row.pattern,
            "category": cause.category.value,
            "signature": cause.signature,
            "raw": raw,
            "told": cause.confidence,
            "correct": right,
            "fix_s": _fix_s(outcome) if right else None,
            "at": outcome.finished_at,
        }
        if await store.experience.add_judgement(unit.session, columns):
            self._judged_at = unit.now
            telemetry.DIAGNOSES_JUDGED.labels(cause.category.value, str(right).lower()).inc()
            log.info(
                "judged", case_id=str(outcome.case_id), signature=cause.signature, right=right, told=cause.confidence
            )

    async def was_seen(self, event: ExternalOutcome, unit: Unit) -> None:
        """Somebody who saw it says that a repair didn't help: that counts before its validation."""
        await store.experience.hold_case(unit.session, event.case_id)
        await store.experience.keep_label(unit.session, event.case_id, event.success, event.at)
        if not event.success and await store.experience.refute(unit.session, event.case_id, event.at):
            self._judged_at = unit.now

    async def known(self, unit: Unit) -> Known:
        """What has been learned, at most FRESH old."""
        if self._known is None or self._is_stale(self._known, unit.now):
            rows = await store.experience.judgements(unit.session, unit.now - self.keep)
            judged = [row.judged() for row in rows]
            self._known = Known(judged, learn(judged), unit.now)
            _show(rows)
        return self._known

    def _is_stale(self, known: Known, now: datetime) -> bool:
        unsettled = self._judged_at is not None and known.at < self._judged_at + SETTLES
        return unsettled or now - known.at > FRESH

    async def calibration(self, request: CalibrationRequest, unit: Unit) -> Calibration:
        """How far confidences could be trusted."""
        rows = await store.experience.judgements(unit.session, unit.now - timedelta(days=request.days))
        told, raw = [(row.told, row.correct) for row in rows], [(row.raw, row.correct) for row in rows]
        calibrator = (await self.known(unit)).calibrator
        return Calibration(
            judged=len(rows),
            right=sum(row.correct for row in rows),
            brier=brier(told),
            raw_brier=brier(raw),
            calibration_error=expected_calibration_error(told),
            raw_calibration_error=expected_calibration_error(raw),
            reliability=tuple(
                ReliabilityBin(low=b.low, high=b.high, cases=b.cases, confidence=b.confidence, right=b.right)
                for b in reliability(told)
            ),
            signatures=_by_signature(rows, calibrator),
        )

    async def prune(self, unit: Unit) -> None:
        await store.experience.prune_experience(unit.session, unit.now - self.keep)


def _treated(diagnosis: Diagnosis, outcome: Outcome) -> Cause | None:
    """The cause that a repair was for: of its category, at its component if it was seen there."""
    of_category = [cause for cause in diagnosis.causes if cause.category is outcome.category]
    here = [cause for cause in of_category if cause.component == outcome.component]
    known = outcome.category is not Category.UNKNOWN
    return next(iter(here or of_category), None) if known else None


def _fix_s(outcome: Outcome) -> float | None:
    return (outcome.finished_at - outcome.opened_at).total_seconds() if outcome.opened_at else None


def _by_signature(rows: Sequence[JudgementRow], calibrator: Calibrator) -> tuple[SignatureRecord, ...]:
    found = []
    ordered = sorted(rows, key=lambda row: (row.signature, row.category))
    for (signature, category), group in groupby(ordered, key=lambda row: (row.signature, row.category)):
        members = list(group)
        raw = sum(row.raw for row in members) / len(members)
        found.append(
            SignatureRecord(
                signature=signature,
                category=Category(category),
                cases=len(members),
                right=sum(row.correct for row in members),
                raw_confidence=raw,
                calibrated=calibrator(signature, raw),
                last_at=max(row.at for row in members),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.cases, one.signature))[:MAX_SIGNATURES])


def _show(rows: Sequence[JudgementRow]) -> None:
    told = [(row.told, row.correct) for row in rows]
    if not told:
        return
    telemetry.DIAGNOSIS_BRIER.set(brier(told) or 0.0)
    telemetry.DIAGNOSIS_CALIBRATION_ERROR.set(expected_calibration_error(told) or 0.0)
    for one in reliability(told):
        telemetry.DIAGNOSIS_RELIABILITY.labels(f"{one.low:.1f}-{one.high:.1f}").set(one.right)
