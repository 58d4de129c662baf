"""Looking back at decisions: made again from their records, and compared with what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import ValidationError

from services.decider.domain import Ruling, Verdict, decide
from services.decider.domain.calibration import Calibration, calibration
from services.decider.domain.record import load_inputs
from services.decider.domain.replay import Compared, Past, Proposal, Worth, changed, replay, worth
from services.decider.store import DecisionRow, decisions
from shared import telemetry
from shared.bus import CommandRefusedError
from shared.bus.decode import explain
from shared.contracts import decider
from shared.contracts.decider import (
    CalibrationRequest,
    Difference,
    Recompute,
    Recomputed,
    Replay,
    Replayed,
    ReplayedDecision,
)
from shared.outbox import Unit
from shared.packs import Mode

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

    async def replay(self, request: Replay, unit: Unit) -> Replayed:
        """Makes recorded decisions under other rules: what would differ, and what it would be worth."""
        rows = await decisions.of_homeostat(unit.session, request.limit)
        pasts = [_past(row) for row in rows]
        proposal = Proposal(request.policy, request.mode and Mode(request.mode), request.playbooks, request.pack)
        try:
            would = replay(pasts, lambda inputs: changed(inputs, proposal))
        except ValidationError as error:
            raise CommandRefusedError(f"this policy can't be: {explain(error)}") from None
        was = replay(pasts, lambda inputs: inputs)
        return Replayed(
            compared=len(would),
            acted=sum(one.was[0] is Verdict.EXECUTE for one in would),
            would_act=sum(one.now.verdict is Verdict.EXECUTE for one in would),
            differences=tuple(_difference(one) for one in would if one.differs),
            worth=_worth(worth(was)),
            would_be_worth=_worth(worth(would)),
        )

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


def _past(row: DecisionRow) -> Past:
    inputs = load_inputs(row.context_data)
    return Past(str(row.decision_id), inputs, Verdict(row.verdict), row.chosen_action, row.helped)


def _difference(one: Compared) -> ReplayedDecision:
    return ReplayedDecision(
        decision_id=UUID(one.id),
        component=one.now.component,
        was=decider.Verdict(one.was[0].value),
        was_playbook=one.was[1],
        would_be=decider.Verdict(one.now.verdict.value),
        would_be_playbook=one.now.option.playbook if one.now.option else None,
        reason=one.now.reason.value,
    )


def _worth(found: Worth | None) -> decider.Worth | None:
    return decider.Worth(value=found.value, low=found.low, high=found.high, seen=found.seen) if found else None


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
