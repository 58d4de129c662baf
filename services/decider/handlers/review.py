"""Looking back at decisions: made again from their records, and compared with what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.decider.domain import Ruling, decide
from services.decider.domain.calibration import Calibration, calibration
from services.decider.domain.record import load_inputs
from services.decider.store import DecisionRow, decisions
from shared import telemetry
from shared.bus import CommandRefusedError
from shared.contracts import decider
from shared.contracts.decider import CalibrationRequest, Difference, Recompute, Recomputed
from shared.outbox import Unit

LATELY = timedelta(days=90)
"""What the metrics of calibration look at."""


@dataclass
class Review:
    """Commands of `cmd.decider` that look back, and the figures of it."""

    async def recompute(self, request: Recompute, unit: Unit) -> Recomputed:
        """Makes stored decisions again with the code of today; says each that comes out otherwise."""
        if request.decision_id is None:
            rows = await decisions.newest(unit.session, request.limit)
        else:
            row = await decisions.by_id(unit.session, request.decision_id)
            if row is None:
                raise CommandRefusedError(f"there is no decision {request.decision_id}: see /api/autonomous/decisions")
            rows = [row]
        found: list[Difference] = []
        differing = 0
        for row in rows:
            ruling = decide(load_inputs(row.context_data))
            otherwise = differences(row, ruling)
            differing += bool(otherwise)
            found += otherwise
        recomputed = Recomputed(checked=len(rows), same=len(rows) - differing, differences=tuple(found[:500]))
        if request.decision_id is None:
            return recomputed
        told = {
            "verdict": decider.Verdict(ruling.verdict.value),
            "reason": ruling.reason.value,
            "explanation": ruling.explanation,
        }
        return recomputed.model_copy(update=told)

    async def calibration(self, request: CalibrationRequest, unit: Unit) -> decider.Calibration:
        """What was foretold of runs beside what became of them."""
        found = calibration(await decisions.foretold(unit.session, unit.now - timedelta(days=request.days)))
        return _wire(found) if found else decider.Calibration(runs=0)

    async def measure(self, unit: Unit) -> None:
        """Keeps the metrics of calibration up to date."""
        found = calibration(await decisions.foretold(unit.session, unit.now - LATELY))
        if found is not None:
            telemetry.DECISION_BRIER.set(found.brier)
            telemetry.DECISION_CALIBRATION_ERROR.set(found.error)
            for one in found.curve:
                telemetry.DECISION_RELIABILITY.labels(f"{one.low:.1f}").set(one.helped)


def differences(row: DecisionRow, ruling: Ruling) -> list[Difference]:
    """The words of an explanation may change; what is decided, of what, how sure and how risky may not."""
    event = decider.Decision.model_validate(row.event)
    pairs: list[tuple[str, object, object]] = [
        ("verdict", row.verdict, ruling.verdict.value),
        ("reason", row.reason, ruling.reason.value),
        ("component", row.component, ruling.component),
        ("playbook", row.chosen_action, ruling.option.playbook if ruling.option else None),
        ("confidence", event.confidence, ruling.confidence),
        ("threshold", event.threshold, ruling.threshold),
        ("risk", event.risk, ruling.risk),
        ("dry_run", row.dry_run, ruling.dry_run),
    ]
    return [
        Difference(decision_id=row.decision_id, field=field, stored=str(stored), again=str(again))
        for field, stored, again in pairs
        if stored != again
    ]


def _wire(found: Calibration) -> decider.Calibration:
    return decider.Calibration(
        runs=found.runs,
        brier=found.brier,
        calibration_error=found.error,
        log_loss=found.log_loss,
        curve=tuple(
            decider.CalibrationBin(low=one.low, high=one.high, runs=one.runs, expected=one.expected, helped=one.helped)
            for one in found.curve
        ),
    )
