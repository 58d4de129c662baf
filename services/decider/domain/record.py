"""A decision's inputs as plain JSON and back, so that any decision can be made again from its record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from services.decider.domain.autonomy import standings_before
from services.decider.domain.model import Case, Inputs

_INPUTS = TypeAdapter(Inputs)
_CASE = TypeAdapter(Case)

Json = dict[str, Any]

WEIGHTS_BEFORE = {"benefit": 0.30, "confidence": 0.30, "risk": 0.20, "cost": 0.0, "reversibility": 0.10, "time": 0.10}
"""Those of records of before a pack could declare them."""


def dump_inputs(inputs: Inputs) -> Json:
    dumped: Json = _INPUTS.dump_python(inputs, mode="json")
    return dumped


def load_inputs(record: Json) -> Inputs:
    """The inputs again, those of former releases as they were decided then."""
    before: Json = {"weights": WEIGHTS_BEFORE}
    if "model" not in record:  # of before there were models of confidence
        before["confidence_model"] = "record-shift"
    targets = {
        name: {**target, "policy": {**before, **target["policy"]}} for name, target in record.get("targets", {}).items()
    }
    inputs = _INPUTS.validate_python({**record, "targets": targets})
    if "standings" not in record:
        inputs = replace(inputs, standings=standings_before(inputs))
    return inputs


def dump_case(case: Case) -> Json:
    dumped: Json = _CASE.dump_python(case, mode="json")
    return dumped


def load_case(record: Json) -> Case:
    return _CASE.validate_python(record)
