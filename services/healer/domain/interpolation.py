"""`${component.<name>}` in playbooks: the one thing a playbook may compute, so that it fits many components."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.packs.base import Part
from shared.packs.model import Component, Step

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


def substitute(text: str, names: Mapping[str, str]) -> str:
    """`text` with every placeholder replaced, once: a value that looks like a placeholder stays as it is.

    Raises:
        InterpolationError: a placeholder that isn't `${component.<known name>}`.
    """

    def value(match: re.Match[str]) -> str:
        inner, closed = match.groups()
        prefix, _, name = inner.partition(".")
        if not closed or prefix != "component" or name not in names:
            known = ", ".join(f"${{component.{known}}}" for known in sorted(names))
            raise InterpolationError(
                f"{match.group(0)!r} in {text!r} means nothing for this component: use one of {known}, "
                "or add the name to the component's `attributes`"
            )
        return names[name]

    return _PLACEHOLDER.sub(value, text)


def interpolate(step: Step, names: Mapping[str, str]) -> Step:
    """The step with every text in it substituted. Raises InterpolationError, before anything is touched."""
    plain: dict[str, Value] = step.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Step.model_validate(_walk(plain, names))


def interpolate_part[P: Part](part: P, names: Mapping[str, str]) -> P:
    """Any other part of a playbook with every text in it substituted. Raises InterpolationError."""
    plain: dict[str, Value] = part.model_dump(mode="json", by_alias=True, exclude_none=True)
    return type(part).model_validate(_walk(plain, names))


def _walk(value: Value, names: Mapping[str, str]) -> Value:
    if isinstance(value, str):
        return substitute(value, names)
    if isinstance(value, list):
        return [_walk(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _walk(item, names) for key, item in value.items()}
    return value
