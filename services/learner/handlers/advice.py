"""What people are told and may do with it: thresholds, suggestions, insights, and the knowledge base as lines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from services.learner.domain.insights import Pair, insights
from services.learner.domain.lines import Line, LineError, read, written
from services.learner.domain.memory import Remembered
from services.learner.domain.outcomes import End, Validated, is_attempt
from services.learner.domain.suggestions import judgements, quality_of
from services.learner.domain.thresholds import Effect, Proposal, propose
from services.learner.handlers.learning import NAMESPACE, Learning, told
from services.learner.handlers.senses import Senses
from services.learner.store import KnowledgeRow, OutcomeRow, knowledge, outcomes, people, turn
from shared.contracts.learner import (
    Export,
    ExportRequest,
    Imported,
    ImportRequest,
    Insight,
    Insights,
    InsightsRequest,
    PersonsAnswers,
    RefusedLine,
    SuggestionGroup,
    SuggestionQuality,
    SuggestionQualityRequest,
    ThresholdEffect,
    ThresholdProposal,
    Thresholds,
    ThresholdsRequest,
)
from shared.outbox import Unit
from shared.packs.book import PackBook
from shared.packs.model import Pack


@dataclass(slots=True)
class Advice:
    packs: PackBook
    learning: Learning
    senses: Senses

    # ---- thresholds

    async def thresholds(self, request: ThresholdsRequest, unit: Unit) -> Thresholds:
        """Proposes, and changes nothing."""
        found = []
        recorded = await people.gated(unit.session, unit.now - timedelta(days=request.days))
        for one in recorded:
            applied = self.packs.packs.get(one.pack)
            now = _threshold(applied.pack, one.playbook) if applied else None
            proposal = propose(one.decisions, now) if now is not None else None
            if proposal is not None:
                found.append(_proposal(one.pack, one.playbook, len(one.decisions), proposal))
        return Thresholds(proposals=tuple(found), looked_at=len(recorded))

    # ---- suggestions and insights

    async def suggestion_quality(self, request: SuggestionQualityRequest, unit: Unit) -> SuggestionQuality:
        found = await people.suggestions(unit.session, unit.now - timedelta(days=request.days))
        groups = quality_of(found)
        settled = sum(round(one.adopted / one.adoption) for one in groups if one.adoption)
        settled += sum(one.rejected + one.expired for one in groups if one.adoption == 0)
        adopted, helped = sum(one.adopted for one in groups), sum(one.helped for one in groups)
        known = helped + sum(one.did_not_help for one in groups)
        return SuggestionQuality(
            groups=tuple(SuggestionGroup(**asdict(one)) for one in groups),
            people=tuple(PersonsAnswers(**asdict(one)) for one in judgements(found)),
            suggested=len(found),
            adoption=adopted / settled if settled else None,
            success=helped / known if known else None,
        )

    async def insights(self, request: InsightsRequest, unit: Unit) -> Insights:
        suggested = await people.suggestions(unit.session, unit.now - timedelta(days=request.days))
        pairs = [_pair(row) for row in await knowledge.newest(unit.session) if row.runs]
        found = insights(pairs, quality_of(suggested), judgements(suggested), await self.senses.noise(unit))
        return Insights(
            insights=tuple(
                Insight(weight=one.weight.name.lower(), about=one.about, words=one.words, facts=one.facts)
                for one in found[: request.limit]
            )
        )

    # ---- the knowledge base

    async def export(self, request: ExportRequest, unit: Unit) -> Export:
        rows = await outcomes.page(unit.session, request.after, request.limit)
        return Export(
            lines=tuple(written(_line(row)) for row in rows),
            next=rows[-1].position if len(rows) == request.limit else None,
        )

    async def import_lines(self, request: ImportRequest, unit: Unit) -> Imported:
        """Each run once, whoever brings it and however often; then all pairs that got one are counted anew."""
        lines: dict[UUID, Line] = {}
        refused = []
        given = [(number, text) for number, text in enumerate(request.lines, 1) if text.strip()]
        for number, text in given:
            try:
                line = read(text)
            except LineError as error:
                refused.append(RefusedLine(line=number, reason=str(error)))
            else:
                lines[line.decision_id] = line
        await turn.take(unit.session)
        added = await outcomes.add_all(unit.session, [_columns(line) for line in lines.values()])
        pairs = {(lines[one].issue_type, lines[one].fix_type) for one in added}
        for signature, playbook in sorted(pairs):
            _, row, _ = await knowledge.recount(unit.session, signature, playbook, unit.now, self.learning.parameters)
            if row.runs:
                unit.emit(told(row, unit.now, f"import|{unit.now.isoformat()}"))
        known = len(given) - len(added) - len(refused)
        return Imported(added=len(added), known=known, refused=tuple(refused[:100]))


def _threshold(pack: Pack, name: str) -> float | None:
    """What the playbook must be sure of in this pack; None: it has no such playbook."""
    playbook = pack.playbooks.get(name)
    if playbook is None:
        return None
    if playbook.confidence is not None:
        return playbook.confidence
    policy = pack.policy
    undoable = playbook.reversible and playbook.rollback == "auto"
    return min(policy.confidence_reversible, policy.confidence) if undoable else policy.confidence


def _proposal(pack: str, playbook: str, decisions: int, found: Proposal) -> ThresholdProposal:
    return ThresholdProposal(
        id=uuid5(NAMESPACE, f"threshold|{pack}|{playbook}|{found.now}|{found.proposed}"),
        pack=pack,
        playbook=playbook,
        now=found.now,
        proposed=found.proposed,
        decisions=decisions,
        effect_now=_effect(found.effect_now),
        effect=_effect(found.effect),
        reason=found.reason,
    )


def _effect(found: Effect) -> ThresholdEffect:
    return ThresholdEffect(**asdict(found))


def _pair(row: KnowledgeRow) -> Pair:
    return Pair(
        signature=row.signature,
        playbook=row.playbook,
        runs=row.runs,
        successes=row.successes,
        now=tuple(Remembered(*one) for one in row.by_kind.values()),
        typical_recovery_s=row.typical_recovery_s,
        recovery_high_s=row.recovery_high_s,
        changed_at=row.changed_at,
    )


def _line(row: OutcomeRow) -> Line:
    return Line(
        decision_id=row.decision_id,
        at=row.timestamp,
        issue_type=row.issue_type,
        fix_type=row.fix_type,
        confidence=row.original_confidence,
        end=End(row.result_status),
        validation=Validated(row.validation_status),
        success=row.success and row.attempted,
        error_count_after=row.error_count_after,
        component=row.component,
        kind=row.kind,
        dry_run=row.dry_run,
        recovery_s=row.recovery_s,
    )


def _columns(line: Line) -> dict[str, object]:
    return {
        "decision_id": line.decision_id,
        "case_id": line.decision_id,  # of the case nothing is known
        "case_kind": "import",
        "timestamp": line.at,
        "component": line.component,
        "kind": line.kind,
        "issue_type": line.issue_type,
        "fix_type": line.fix_type,
        "category": line.issue_type.partition(":")[0][:32],
        "original_confidence": line.confidence,
        "result_status": line.end.value,
        "validation_status": line.validation.value,
        "success": line.success,
        "attempted": is_attempt(line.end, dry_run=line.dry_run),
        "dry_run": line.dry_run,
        "error_count_after": line.error_count_after,
        "recovery_s": line.recovery_s,
    }
