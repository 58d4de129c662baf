"""Rights to act alone: reviewed after each run, listed, given or taken by people. Each change is a decision."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from uuid import UUID

import structlog

from services.decider.domain import Result, Standing
from services.decider.domain.autonomy import HOMEOSTAT, Change, evidence_of, level_of, review, rung
from services.decider.domain.vocabulary import AutonomyReason
from services.decider.handlers.world import World, standing_of
from services.decider.store import AutonomyRow, GrantRow, grants, trust
from shared.bus import CommandRefusedError
from shared.contracts.decider_governance import (
    Autonomy,
    AutonomyChanged,
    AutonomyEvidence,
    AutonomyRequest,
    AutonomyStanding,
    SetAutonomy,
)
from shared.outbox import Unit
from shared.packs import AutomationLevel, Mode, Playbook, Policy
from shared.packs.model import Pack

log = structlog.get_logger()


@dataclass
class Rights:
    """Who may act alone on what."""

    world: World

    async def after(self, unit: Unit, grant: GrantRow, result: Result) -> None:
        """A run has ended: what it earned or spent. The pack's lock is held, and the grant says how it ended."""
        placed = self.world.packs.component(grant.component)
        playbook = placed.pack.playbooks.get(grant.playbook) if placed else None
        if placed is None or playbook is None or placed.pack.pack != grant.pack or result is Result.SKIPPED:
            return
        await unit.session.flush()
        standing = await self._standing(unit, grant.pack, grant.signature, grant.playbook)
        runs = await trust.runs(unit.session, grant.pack, grant.signature, grant.playbook)
        change = review(standing, playbook, placed.pack.policy, runs, unit.now)
        if change is not None:
            key = (grant.pack, grant.signature, grant.playbook)
            before = _rung(placed.pack, playbook, standing)
            self._tell(unit, key, change, before=before, by=HOMEOSTAT, decision_id=grant.decision_id)

    async def listed(self, request: AutonomyRequest, unit: Unit) -> Autonomy:
        """Where every playbook stands on the ladder observe → assist → auto, and since when and why."""
        rows = await trust.standings(unit.session)
        found: list[AutonomyStanding] = []
        for name, applied in sorted(self.world.packs.packs.items()):
            if request.pack in {None, name}:
                for title, playbook in sorted(applied.pack.playbooks.items()):
                    found.append(_listed(applied.pack, title, playbook, None))
                    mine = [row for row in rows if (row.pack, row.playbook) == (name, title)]
                    found += [_listed(applied.pack, title, playbook, row) for row in mine]
        return Autonomy(standings=tuple(found))

    async def set(self, request: SetAutonomy, unit: Unit) -> AutonomyStanding:
        """A person gives or takes the right to act alone; it never goes beyond the pack's mode."""
        applied = self.world.packs.packs.get(request.pack)
        if applied is None:
            raise CommandRefusedError(f"there is no pack {request.pack}: see `homeostat pack list`")
        playbook = applied.pack.playbooks.get(request.playbook)
        if playbook is None:
            raise CommandRefusedError(
                f"{request.pack} has no playbook {request.playbook}: see `homeostat autonomy list`"
            )
        if playbook.automation_level is AutomationLevel.MANUAL:
            raise CommandRefusedError(
                f"{request.playbook} is manual, so only a person starts it: make it semi-auto in its pack first"
            )
        await grants.lock_packs(unit.session, {request.pack})
        key = (request.pack, request.signature, request.playbook)
        standing = await self._standing(unit, *key)
        runs = await trust.runs(unit.session, *key)
        evidence = evidence_of(runs, applied.pack.policy)
        change = Change(request.level, AutonomyReason.BY_PERSON, evidence, None, f"{request.by}: {request.reason}")
        before = _rung(applied.pack, playbook, standing)
        row = self._tell(unit, key, change, before=before, by=request.by)
        return _listed(applied.pack, request.playbook, playbook, row)

    async def _standing(self, unit: Unit, pack: str, signature: str, playbook: str) -> Standing | None:
        rows = await trust.standings(unit.session, {signature})
        return next((standing_of(row) for row in rows if (row.pack, row.playbook) == (pack, playbook)), None)

    def _tell(
        self,
        unit: Unit,
        key: tuple[str, str, str],
        change: Change,
        *,
        before: Mode,
        by: str,
        decision_id: UUID | None = None,
    ) -> AutonomyRow:
        pack, signature, playbook = key
        evidence = AutonomyEvidence(**asdict(change.evidence))
        event = AutonomyChanged(
            at=unit.now,
            pack=pack,
            signature=signature,
            playbook=playbook,
            level=change.level,
            before=before,
            reason=change.reason.value,
            by=by,
            words=change.words,
            evidence=evidence,
            cooling_until=change.cooling_until,
            decision_id=decision_id,
        )
        row = AutonomyRow(
            id=event.id,
            pack=pack,
            signature=signature,
            playbook=playbook,
            level=change.level.value,
            reason=change.reason.value,
            by=by,
            words=change.words,
            evidence=evidence.model_dump(),
            cooling_until=change.cooling_until,
            at=unit.now,
        )
        trust.add(unit.session, row)
        unit.emit(event)
        log.info(
            "autonomy", pack=pack, signature=signature, playbook=playbook, level=change.level, reason=change.reason
        )
        return row


def _rung(pack: Pack, playbook: Playbook, standing: Standing | None) -> Mode:
    return rung(pack.mode, level_of(playbook, standing))


def _listed(pack: Pack, name: str, playbook: Playbook, row: AutonomyRow | None) -> AutonomyStanding:
    return AutonomyStanding(
        pack=pack.pack,
        playbook=name,
        signature=row.signature if row else "",
        rung=_rung(pack, playbook, standing_of(row) if row else None),
        mode=pack.mode,
        declared=playbook.automation_level,
        reason=row.reason if row else "",
        by=row.by if row else "",
        words=row.words if row else _way(playbook, pack.policy),
        since=row.at if row else None,
        cooling_until=row.cooling_until if row else None,
        evidence=AutonomyEvidence.model_validate(row.evidence) if row else None,
    )


def _way(playbook: Playbook, policy: Policy) -> str:
    """What a playbook on which nothing was decided yet may earn or lose."""
    after = policy.earn_auto_after_runs
    if playbook.automation_level is AutomationLevel.MANUAL:
        return "only a person starts it"
    if after is None:
        return "its pack lets nothing be earned or lost (`earn_auto_after_runs`)"
    if playbook.automation_level is AutomationLevel.FULL_AUTO:
        return f"lost when {policy.error_budget} of {after} runs on a problem are spent"
    return f"earned by {after} runs on a problem of which {policy.earn_auto_success:.0%} help for certain"
