"""`${component.<name>}` and `${param.<name>}`: all that a playbook may compute, so that it fits many cases."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from shared.packs.base import Part
from shared.packs.model import Component, Step
from shared.packs.parameters import PARAMETER, Parameter, put, refused_places
from shared.packs.parameters import Value as Given

_PLACEHOLDER = re.compile(r"\$\{([^}]*)(\}?)")

type Value = str | int | float | bool | list[Value] | dict[str, Value] | None


class InterpolationError(Exception):
    """A placeholder that means nothing; the message names it and says what there is."""


def names_of(name: str, component: Component) -> dict[str, str]:
    """What `${component.<name>}` may stand for: free attributes first, the component's own fields over them."""
    own = {
        "name": name,
        "kind": component.kind,
        "group": component.group,
        "container": component.container,
        "config_path": component.config_path,
        "pid_file": component.process.pid_file if component.process else None,
    }
    return {**component.attributes, **{key: value for key, value in own.items() if value is not None}}


def values_of(parameters: Mapping[str, Parameter]) -> dict[str, Given]:
    """What `${param.<name>}` may stand for. Raises InterpolationError for a parameter that nobody gave a value."""
    lacking = [name for name, one in parameters.items() if one.default is None]
    if lacking:
        raise InterpolationError(f"parameter {lacking[0]!r} was given no value, and has no default")
    return {name: one.default for name, one in parameters.items() if one.default is not None}


def substitute(text: str, names: Mapping[str, str], values: Mapping[str, Given] | None = None) -> str:
    """`text` with every placeholder replaced, once: a value that looks like a placeholder stays as it is.

    Raises:
        InterpolationError: a placeholder that isn't `${component.<known name>}` or `${param.<known name>}`.
    """
    given = values or {}

    def value(match: re.Match[str]) -> str:
        inner, closed = match.groups()
        prefix, _, name = inner.partition(".")
        if closed and prefix == "component" and name in names:
            return names[name]
        if closed and prefix == "param" and name in given:
            return _written(given[name])
        known = [f"${{component.{known}}}" for known in sorted(names)] + [f"${{param.{one}}}" for one in sorted(given)]
        raise InterpolationError(
            f"{match.group(0)!r} in {text!r} means nothing for this component: use one of {', '.join(known)}, "
            "or add the name to the component's `attributes`"
        )

    return _PLACEHOLDER.sub(value, text)


def _written(value: Given) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def interpolate(step: Step, names: Mapping[str, str], values: Mapping[str, Given] | None = None) -> Step:
    """The step with every text in it substituted; a parameter that stands alone keeps its type, where it may.

    Raises:
        InterpolationError: before anything is touched.
    """
    plain: dict[str, Value] = step.model_dump(mode="json", by_alias=True, exclude_none=True)
    given = values or {}
    filled = _walk(plain, names, given)
    assert isinstance(filled, dict)
    try:
        return Step.model_validate(filled)
    except ValidationError as error:
        texts = refused_places(plain, error, given)
        if not texts:
            raise InterpolationError(f"the step can't be filled in: {error.errors()[0]['msg']}") from error
    written = put(filled, {place: _written(given[name]) for place, name in texts.items()})
    try:
        return Step.model_validate(written)
    except ValidationError as error:
        raise InterpolationError(f"the step can't be filled in: {error.errors()[0]['msg']}") from error


def interpolate_part[P: Part](part: P, names: Mapping[str, str]) -> P:
    """Any other part of a playbook with every text in it substituted. Raises InterpolationError."""
    plain: dict[str, Value] = part.model_dump(mode="json", by_alias=True, exclude_none=True)
    return type(part).model_validate(_walk(plain, names, {}))


def _walk(value: Value, names: Mapping[str, str], values: Mapping[str, Given]) -> Value:
    if isinstance(value, str):
        alone = PARAMETER.fullmatch(value)
        return values[alone[1]] if alone and alone[1] in values else substitute(value, names, values)
    if isinstance(value, list):
        return [_walk(item, names, values) for item in value]
    if isinstance(value, dict):
        return {key: _walk(item, names, values) for key, item in value.items()}
    return value
