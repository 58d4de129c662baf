"""Typed parameters of playbooks: what they may be, and where `${param.<name>}` stands in a step.

A parameter may stand for a text, within a text, or for a number or a truth value. A step is checked with a sample of
each parameter, and remembers where the placeholders stood, so that it reads and is written as its author wrote it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError, model_validator

from shared.packs.base import Part

type Value = str | int | float | bool
type Places = dict[tuple[str | int, ...], str]
"""Where in a step which parameter stands."""

ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
PARAMETER = re.compile(r"\$\{param\.([a-z0-9_]+)\}")
TEXT_MAX = 1_000


class ParameterError(ValueError):
    """A value that a parameter can't take, or one that is missing; the message names it and says what it may be."""


class ParameterType(StrEnum):
    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


class Parameter(Part):
    """One parameter of a playbook. Without a default only a person can run the playbook, by giving a value."""

    type: ParameterType = ParameterType.TEXT
    description: Annotated[str, Field(max_length=500)] = ""
    default: Value | None = None
    min: float | None = None
    max: float | None = None
    """Bounds of a number, both included."""
    choices: Annotated[tuple[Value, ...], Field(max_length=100)] = ()
    """The only values that it may take."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Parameter:
        numeric = self.type in (ParameterType.NUMBER, ParameterType.INTEGER)
        if not numeric and (self.min is not None or self.max is not None):
            raise ValueError(f"`min` and `max` bound numbers, not {self.type.value}: leave them out")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: swap them")
        for value in (*self.choices, *(() if self.default is None else (self.default,))):
            if why := self.refusal(value):
                raise ValueError(f"{value!r} {why}: give one that fits")
        return self

    def refusal(self, value: Value) -> str:
        """Why this value can't be taken; empty when it can."""
        if not _is_of(self.type, value):
            return f"is not of type {self.type.value}"
        if isinstance(value, str) and len(value) > TEXT_MAX:
            return f"is longer than {TEXT_MAX} characters"
        if self.min is not None and isinstance(value, int | float) and value < self.min:
            return f"is below min {self.min:g}"
        if self.max is not None and isinstance(value, int | float) and value > self.max:
            return f"is above max {self.max:g}"
        if self.choices and value not in self.choices:
            return f"is not one of {', '.join(map(str, self.choices))}"
        return ""

    @property
    def sample(self) -> Value:
        """A value that it may take, to check steps with."""
        if self.default is not None:
            return self.default
        if self.choices:
            return self.choices[0]
        match self.type:
            case ParameterType.TEXT:
                return "text"
            case ParameterType.BOOLEAN:
                return True
            case ParameterType.INTEGER:
                return math.ceil(self.min) if self.min is not None else math.floor(self.max or 2)
            case ParameterType.NUMBER:
                return self.min if self.min is not None else self.max or 2.0


def _is_of(kind: ParameterType, value: Value) -> bool:
    match kind:
        case ParameterType.TEXT:
            return isinstance(value, str)
        case ParameterType.BOOLEAN:
            return isinstance(value, bool)
        case ParameterType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case ParameterType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def with_values(parameters: Mapping[str, Parameter], given: Mapping[str, Value]) -> dict[str, Parameter]:
    """The parameters with the given values as their defaults.

    Raises:
        ParameterError: no such parameter, a value that it can't take, or none for one that needs it.
    """
    for name, value in given.items():
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise ParameterError(f"there is no parameter {name!r}: the playbook has {known}")
        if why := parameters[name].refusal(value):
            raise ParameterError(f"parameter {name!r}: {value!r} {why}")
    filled = {
        name: one.model_copy(update={"default": given[name]}) if name in given else one
        for name, one in parameters.items()
    }
    if missing := [name for name, one in filled.items() if one.default is None]:
        raise ParameterError(f"parameter {missing[0]!r} has no default: give it a value")
    return filled


def refused_places(step: Mapping[str, object], error: ValidationError, names: Mapping[str, object]) -> Places:
    """Places of a step that were refused because a parameter's placeholder stands where no text may stand."""
    found: Places = {}
    for problem in error.errors(include_url=False, include_context=False):
        place, value = _located(step, problem["loc"])
        match = PARAMETER.fullmatch(value) if isinstance(value, str) else None
        if match is not None and match[1] in names:
            found[place] = match[1]
    return found


def _located(step: Mapping[str, object], loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], object]:
    """`loc` without pydantic's own marks, and what stands there."""
    place: list[str | int] = []
    here: object = step
    for part in loc:
        found = _child(here, part)
        if found is not None:
            here = found
            place.append(part)
    return tuple(place), here


def _child(tree: object, part: str | int) -> object:
    if isinstance(tree, Mapping):
        return tree.get(part)
    if isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree):
        return tree[part]
    return None


def put(tree: object, places: Mapping[tuple[str | int, ...], Value]) -> object:
    """A copy of `tree`, of mappings and lists, with other values at these places; places that it lacks are left."""
    return _put(tree, (), places)


def _put(tree: object, at: tuple[str | int, ...], places: Mapping[tuple[str | int, ...], Value]) -> object:
    if at in places:
        return places[at]
    if not any(place[: len(at)] == at for place in places):
        return tree
    if isinstance(tree, Mapping):
        return {key: _put(value, (*at, _known(key, at, places)), places) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_put(value, (*at, number), places) for number, value in enumerate(tree)]
    return tree


def _known(key: str, at: tuple[str | int, ...], places: Mapping[tuple[str | int, ...], Value]) -> str | int:
    """The key as the places write it: `config.step` is the field `config_step`."""
    written: Iterator[str | int] = (place[len(at)] for place in places if len(place) > len(at))
    return next((one for one in written if str(one).replace(".", "_") == key.replace(".", "_")), key)
