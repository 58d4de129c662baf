"""All that a decision rests on, told from its stored inputs."""

from __future__ import annotations

from services.decider.domain import Inputs, Ruling, Target, decide, expected_outcome
from services.decider.domain.constraints import constraints
from services.decider.domain.explain import evidence
from services.decider.domain.record import load_inputs
from services.decider.domain.scoring import shares_of
from services.decider.domain.vocabulary import MEANING
from services.decider.handlers import translate
from services.decider.store import decisions
from shared.bus import CommandRefusedError
from shared.contracts import decider
from shared.contracts.decider_governance import Constraint, Explain, Explained, Objectives
from shared.outbox import Unit


async def explain(request: Explain, unit: Unit) -> Explained:
    """Criteria with weights, limits, alternatives, evidence, and the smallest change that would have turned it."""
    if request.decision_id is not None:
        row = await decisions.by_id(unit.session, request.decision_id)
    else:
        row = next(iter(await decisions.newest(unit.session, 1)), None)
    if row is None:
        which = f"no decision {request.decision_id}" if request.decision_id else "no decision yet"
        raise CommandRefusedError(f"there is {which}: see /api/autonomous/decisions")
    inputs = load_inputs(row.context_data)
    ruling = decide(inputs)
    target = inputs.targets.get(ruling.component)
    return Explained(
        decision_id=row.decision_id,
        at=inputs.now,
        component=ruling.component,
        verdict=decider.Verdict(ruling.verdict.value),
        reason=ruling.reason.value,
        rule=MEANING[ruling.reason],
        decided_by=ruling.decided_by,
        playbook=ruling.option.playbook if ruling.option else None,
        confidence=ruling.confidence,
        threshold=ruling.threshold,
        risk=ruling.risk,
        risk_max=ruling.risk_max,
        probability=ruling.probability,
        objectives=_objectives(target) if target else None,
        constraints=_constraints(inputs, ruling, target),
        alternatives=translate.alternatives(ruling),
        evidence=evidence(inputs, ruling),
        counterfactual=translate.counterfactual(ruling),
        expected_outcome=expected_outcome(ruling),
        actual_outcome=row.actual_outcome,
        explanation=ruling.explanation,
        model_version=inputs.model.version,
    )


def _objectives(target: Target) -> Objectives:
    slo = target.component.slo
    return Objectives(
        weights=shares_of(target.policy.weights),
        criticality=target.component.criticality.value,
        availability=slo.availability if slo else None,
        latency_p99_ms=slo.latency_p99_ms if slo else None,
    )


def _constraints(inputs: Inputs, ruling: Ruling, target: Target | None) -> tuple[Constraint, ...]:
    if target is None or ruling.option is None:
        return ()
    return tuple(
        Constraint(rule=one.rule.value, limit=one.limit, kept=one.kept, words="" if one.kept else one.words)
        for one in constraints(inputs, target, ruling.option)
    )
