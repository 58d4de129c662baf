"""JSON objects compared, and the patch that leads from one to the other."""

from __future__ import annotations

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type JsonMap = dict[str, Json]


def merge_patch(old: JsonMap, new: JsonMap) -> JsonMap:
    """The JSON merge patch (RFC 7386) that makes `new` of `old`.

    >>> merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 3}})
    {'a': None, 'b': {'d': None, 'c': 3}}
    """
    patch: JsonMap = {name: None for name in old if name not in new}
    for name, value in new.items():
        former = old.get(name)
        if isinstance(value, dict) and isinstance(former, dict):
            if inner := merge_patch(former, value):
                patch[name] = inner
        elif name not in old or former != value:
            patch[name] = value
    return patch


def without_nulls(found: JsonMap) -> JsonMap:
    """A copy of `found` without fields that are null: absent and null mean the same in a Kubernetes object.

    >>> without_nulls({"a": None, "b": {"c": None, "d": [1]}})
    {'b': {'d': [1]}}
    """
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in found.items()
        if value is not None
    }
