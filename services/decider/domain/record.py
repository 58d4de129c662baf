"""A decision's inputs as plain JSON and back, so that any decision can be made again from its record."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from services.decider.domain.model import Case, Inputs

_INPUTS = TypeAdapter(Inputs)
_CASE = TypeAdapter(Case)

Json = dict[str, Any]


def dump_inputs(inputs: Inputs) -> Json:
    dumped: Json = _INPUTS.dump_python(inputs, mode="json")
    return dumped


def load_inputs(record: Json) -> Inputs:
    """The inputs again. A record of before there were models of confidence was decided by `record-shift`."""
    if "model" not in record:
        before = {"confidence_model": "record-shift"}
        targets = {
            name: {**target, "policy": {**before, **target["policy"]}}
            for name, target in record.get("targets", {}).items()
        }
        record = {**record, "targets": targets}
    return _INPUTS.validate_python(record)


def dump_case(case: Case) -> Json:
    dumped: Json = _CASE.dump_python(case, mode="json")
    return dumped


def load_case(record: Json) -> Case:
    return _CASE.validate_python(record)
