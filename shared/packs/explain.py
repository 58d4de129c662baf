"""Turns pydantic's errors into sentences that an author of packs understands, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic_core import ErrorDetails

from shared.packs.playbook import ACTUATORS
from shared.packs.problems import Finding, Place, suggestion

_KINDS = {
    "dict": "a mapping of keys",
    "model": "a mapping of keys",
    "tuple": "a list",
    "list": "a list",
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
_NAME_REMEDY = "use small letters, digits, - and _, at most 64, with a letter or digit at both ends"


def explain(errors: Sequence[ErrorDetails], data: JsonValue, model: type[BaseModel]) -> list[Finding]:
    """One finding per wrong place: the alternatives of a union, which pydantic reports apart, become one."""
    findings: dict[Place, Finding] = {}
    for error in errors:
        finding = _finding(error, data, model)
        former = findings.get(finding.place)
        if former is None:
            findings[finding.place] = finding
        elif finding.remedy not in former.remedy:
            joined = f"{former.remedy}; or {finding.remedy}"
            findings[finding.place] = Finding(former.place, former.message, joined, former.at_key)
    # A list whose only entry is wrong also counts as empty: that is no second mistake.
    inside = {place[:depth] for place in findings for depth in range(len(place))}
    return [found for place, found in findings.items() if not (place in inside and "at least" in found.remedy)]


def _finding(error: ErrorDetails, data: JsonValue, model: type[BaseModel]) -> Finding:
    kind, value = error["type"], error["input"]
    place = _place(error["loc"], data, keep_last=kind == "missing")
    key = str(place[-1]) if place else ""
    match kind:
        case "extra_forbidden":
            known = keys_of(model, place[:-1])
            if set(ACTUATORS) <= set(known):
                remedy = suggestion(key, ACTUATORS, "actuators: {0}")
                return Finding(place, f"unknown actuator `{key}`", remedy, at_key=True)
            return Finding(place, f"unknown key `{key}`", suggestion(key, known, "keys here: {0}"), at_key=True)
        case "missing":
            return Finding(place, f"`{key}` is missing", f"add `{key}: …`")
        case "string_pattern_mismatch":
            return Finding(place, f"{value!r} can't be a name", _NAME_REMEDY, at_key="[key]" in error["loc"])
        case "enum" | "literal_error":
            expected = str(error.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")
            remedy = suggestion(str(value), expected.split(", "), "write one of: {0}")
            return Finding(place, f"{value!r} is not known here", remedy)
        case "value_error":
            # Our own validators write `message: remedy`.
            message, _, remedy = str(error.get("ctx", {}).get("error", error["msg"])).partition(": ")
            return Finding(place, message, remedy or "change it so")
    stem = kind.rsplit("_", 1)[0]
    if kind.endswith(("_type", "_parsing")) and stem in _KINDS:
        quote = ", in quotes" if stem == "string" and isinstance(value, int | float) else ""
        return Finding(place, f"{_short(value)} stands here", f"write {_KINDS[stem]}{quote}")
    message = error["msg"].replace("Input should be ", "").replace("should have ", "must have ")
    return Finding(place, f"{_short(value)} is not allowed", f"it must be {message[:1].lower()}{message[1:]}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _place(loc: tuple[str | int, ...], data: JsonValue, keep_last: bool) -> Place:
    """`loc` without pydantic's own marks (names of union members, `[key]`), which are not in the file."""
    place: list[str | int] = []
    here: JsonValue = data
    for number, step in enumerate(loc):
        if isinstance(here, dict) and step in here:
            here = here[str(step)]
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        elif not (keep_last and number == len(loc) - 1):
            continue
        place.append(step)
    return tuple(place)


def keys_of(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that the mapping at `place` may have; empty when it isn't one of fixed keys."""
    found: object = model
    for step in place:
        found = _inside(found, step)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return [info.alias or name for name, info in found.model_fields.items()]
    return []


def _inside(annotation: object, step: str | int) -> object:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if step in (name, info.alias):
                return _bare(info.annotation)
        return None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return _bare(arguments[0])
    if origin is dict:
        return _bare(arguments[1])
    return None


def _bare(annotation: object) -> object:
    """Without `Annotated`, and of a union the member that is a class of ours or a collection."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = [_bare(member) for member in get_args(annotation)]
        fitting = [m for m in members if get_origin(m) or (isinstance(m, type) and issubclass(m, BaseModel))]
        return fitting[0] if fitting else None
    return annotation
