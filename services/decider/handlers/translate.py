"""Between the wire and the domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.decider.domain import (
    Case,
    CaseKind,
    Cause,
    Forecast,
    Inputs,
    Moment,
    Option,
    Requested,
    Ruling,
    Target,
    Tuning,
    Verdict,
    why,
)
from services.decider.domain.returning import SURE
from shared.contracts import base, decider
from shared.contracts.detector import Incident
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Prediction
from shared.packs import Category

MAX_ALTERNATIVES = 20


def of_incident(event: Incident) -> Case:
    return Case(
        id=event.case_id,
        kind=CaseKind.INCIDENT,
        component=event.component,
        opened_at=event.opened_at,
        is_open=event.is_open,
        pattern=event.pattern,
        severity=event.severity.value,
        flapping=event.flapping,
        silenced=event.silenced,
    )


def of_diagnosis(event: Diagnosis) -> Case:
    return Case(
        id=event.case_id,
        kind=CaseKind(event.case_kind.value),
        component=event.component,
        opened_at=event.at,
        severity="warning",  # until the incident is heard: nothing is excused from a limit by what isn't known
        causes=causes(event),
        symptom_of=event.symptom_of,
    )


def causes(event: Diagnosis) -> tuple[Cause, ...]:
    return tuple(Cause(c.component, c.category, c.confidence, c.signature) for c in event.causes)


def of_prediction(event: Prediction) -> Case:
    return Case(
        id=event.case_id,
        kind=CaseKind.PREDICTION,
        component=event.component,
        opened_at=event.at,
        is_open=Moment(event.moment.value) is not Moment.GONE,
        pattern=event.predicted_issue,
        severity="warning",
        causes=(Cause(event.component, _category_of(event.signature), event.probability, event.signature),),
        forecast=Forecast(
            metric=event.metric,
            moment=Moment(event.moment.value),
            eta_s=event.eta_s,
            probability=event.probability,
            current=event.current,
            limit=event.limit,
            traffic_per_s=event.traffic_per_s or 0.0,
        ),
    )


def _category_of(signature: str) -> Category:
    """A prediction's signature begins with its category; a pack may name it otherwise."""
    try:
        return Category(signature.partition(":")[0])
    except ValueError:
        return Category.RESOURCE_EXHAUSTION


def of_request(event: ManualRequest) -> Case:
    return Case(
        id=event.case_id,
        kind=CaseKind.REQUEST,
        component=event.component,
        opened_at=event.at,
        pattern="request",
        severity="warning",
        requested=Requested(event.playbook, event.by, event.permissions, dict(event.parameters)),
    )


def of_recommendation(event: Recommendation) -> Case:
    """The optimizer is as sure as its recommendation is safe: it offers none whose gain isn't significant."""
    return Case(
        id=event.case_id,
        kind=CaseKind.RECOMMENDATION,
        component=event.component,
        opened_at=event.at,
        pattern=f"knob:{event.knob}",
        severity="warning",
        causes=(Cause(event.component, Category.TUNING, 1.0 - event.risk, f"tuning:{event.knob}"),),
        tuning=Tuning(event.knob, event.recommended, event.risk, event.current),
    )


def of_recovery(event: decider.ProviderRecovered) -> Case:
    signature = f"{Category.PROVIDER_RECOVERED.value}:{event.provider}"
    return Case(
        id=event.case_id,
        kind=CaseKind.RECOVERY,
        component=event.component,
        opened_at=event.at,
        pattern=Category.PROVIDER_RECOVERED.value,
        severity="warning",
        causes=(Cause(event.component, Category.PROVIDER_RECOVERED, SURE, signature),),
    )


# ---- out


def alternatives(ruling: Ruling) -> tuple[decider.Alternative, ...]:
    return tuple(_alternative(option, ruling.option) for option in ruling.considered[:MAX_ALTERNATIVES])


def _alternative(option: Option, chosen: Option | None) -> decider.Alternative:
    is_chosen = chosen is not None and (option.component, option.playbook) == (chosen.component, chosen.playbook)
    return decider.Alternative(
        playbook=option.playbook,
        score=option.score,
        criteria={one.name: one.worth for one in option.criteria},
        rejected_because="" if is_chosen else why(option, chosen),
        component=option.component,
        scores=tuple(
            decider.CriterionScore(
                name=one.name, worth=one.worth, weight=one.weight, contribution=one.contribution, words=one.words
            )
            for one in option.criteria
        ),
    )


def counterfactual(ruling: Ruling) -> decider.Counterfactual | None:
    if ruling.flip is None:
        return None
    return decider.Counterfactual(
        verdict=decider.Verdict(ruling.flip.verdict.value),
        playbook=ruling.flip.playbook,
        changes=tuple(change.words for change in ruling.flip.changes),
    )


def plan(
    option: Option, target: Target, http_hosts: tuple[str, ...], lease: decider.Lease | None = None
) -> decider.Plan:
    return decider.Plan(
        pack=target.pack,
        pack_version=target.pack_version,
        playbook=option.playbook,
        spec=option.spec,
        component=target.name,
        target=target.component,
        http_hosts=http_hosts,
        epoch=lease.epoch if lease else 0,
        lease_until=lease.until if lease else None,
    )


def event(
    inputs: Inputs,
    ruling: Ruling,
    *,
    event_id: UUID,
    decision_id: UUID,
    revision: int,
    expires_at: datetime | None,
    http_hosts: tuple[str, ...],
    lease: decider.Lease | None,
) -> decider.Decision:
    """The decision as it is told. It has a plan unless nothing is, or would be, done."""
    option = ruling.option if ruling.verdict is not Verdict.ABSTAIN else None
    return decider.Decision(
        id=event_id,
        at=inputs.now,
        component=ruling.component,
        case_id=inputs.case.id,
        case_kind=base.CaseKind(inputs.case.kind.value),
        decision_id=decision_id,
        revision=revision,
        verdict=decider.Verdict(ruling.verdict.value),
        reason=ruling.reason.value,
        category=ruling.cause.category,
        signature=ruling.cause.signature,
        pattern=inputs.case.pattern,
        confidence=ruling.confidence,
        threshold=ruling.threshold,
        risk=ruling.risk,
        risk_max=ruling.risk_max,
        mode=ruling.mode.value,
        dry_run=ruling.dry_run,
        plan=plan(option, inputs.targets[option.component], http_hosts, lease) if option else None,
        alternatives=alternatives(ruling),
        explanation=ruling.explanation,
        expires_at=expires_at,
        decided_by=ruling.decided_by,
        expected_success=ruling.option.expected_success if ruling.option else None,
        counterfactual=counterfactual(ruling),
        probability=ruling.probability,
        hold_off=decider.HoldOff(held=drawn.held, share=drawn.share, for_s=drawn.for_s)
        if (drawn := ruling.trial)
        else None,
    )
