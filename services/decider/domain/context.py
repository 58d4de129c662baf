"""The variables that a playbook may use in its `when`. Documented in the service's README."""

from __future__ import annotations

from datetime import UTC

from services.decider.domain.model import Case, Cause, Inputs, Target


def when_context(inputs: Inputs, target: Target, cause: Cause) -> dict[str, object]:
    """Plain values for CEL."""
    case = inputs.case
    now = inputs.now.astimezone(UTC)
    return {
        "case": {
            "kind": case.kind.value,
            "component": case.component,
            "pattern": case.pattern,
            "severity": case.severity,
            "flapping": case.flapping,
            "age_s": max(0.0, (inputs.now - case.opened_at).total_seconds()),
            "attempts": len(case.tried),
            "is_symptom": case.symptom_of is not None,
        },
        "cause": {
            "component": cause.component,
            "category": cause.category.value,
            "confidence": cause.confidence,
            "signature": cause.signature,
        },
        "component": {
            "name": target.name,
            "kind": target.component.kind,
            "criticality": target.component.criticality.value,
            "group": target.component.group or "",
            "attributes": dict(target.component.attributes),
        },
        "health": {"status": target.health, "error_count": target.error_count},
        "prediction": _prediction(case),
        "time": {"hour": now.hour, "weekday": now.isoweekday()},
    }


def _prediction(case: Case) -> dict[str, object]:
    forecast = case.forecast
    if forecast is None:
        return {"metric": "", "moment": "", "eta_s": 0.0, "probability": 0.0, "traffic_per_s": 0.0}
    return {
        "metric": forecast.metric,
        "moment": forecast.moment.value,
        "eta_s": forecast.eta_s,
        "probability": forecast.probability,
        "traffic_per_s": forecast.traffic_per_s,
    }
