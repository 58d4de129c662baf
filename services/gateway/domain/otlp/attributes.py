"""Attributes as labels and fields, within bounds, and the component that a resource is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from services.gateway.domain.ingest.naming import ComponentRule

type Scalar = str | int | float | bool | None

MAX_ATTRIBUTES = 64
"""Of a point, a line or a resource; those beyond are left out."""
MAX_NAME_CHARS = 190
MAX_VALUE_CHARS = 1_024
MAX_RESOURCE_LABELS = 16
_RESOURCE_LABELS = frozenset(
    {"service.instance.id", "service.namespace", "deployment.environment.name", "host.name", "container.name"}
)
"""What tells one series of a component from another. Versions and ids of processes would only tear series apart."""
_OTHERS = re.compile(r"[^a-zA-Z0-9_]+")


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells."""

    component: str
    labels: Mapping[str, str]


def source_of(resource: Resource, rule: ComponentRule) -> Source:
    """`service.name` is the component, unless the rule finds a name that goes before it."""
    told = {a.key: label_text(a.value) for a in resource.attributes[:MAX_ATTRIBUTES]}
    kept = sorted(key for key in told if key in _RESOURCE_LABELS or (key.startswith("k8s.") and key.endswith(".name")))
    labels = {label_name(key): told[key] for key in kept[:MAX_RESOURCE_LABELS] if told[key]}
    return Source(rule.component_of(told), labels)


def labels_of(attributes: Iterable[KeyValue], source: Source) -> dict[str, str]:
    """A point's own labels and its resource's; the point's go before."""
    labels = dict(source.labels)
    for place, attribute in enumerate(attributes):
        if place >= MAX_ATTRIBUTES:
            break
        if attribute.key and (value := label_text(attribute.value)):
            labels[label_name(attribute.key)] = value
    return labels


def fields_of(attributes: Iterable[KeyValue]) -> dict[str, Scalar]:
    """Attributes under their own names."""
    fields: dict[str, Scalar] = {}
    for place, attribute in enumerate(attributes):
        if place >= MAX_ATTRIBUTES:
            break
        fields[clean(attribute.key)[:MAX_NAME_CHARS]] = scalar(attribute.value)
    return fields


def label_name(key: str) -> str:
    """As Prometheus names it, so that a pack's rules hold whichever way a series came.

    >>> label_name("k8s.pod.name"), label_name("2xx")
    ('k8s_pod_name', 'key_2xx')
    """
    name = _OTHERS.sub("_", key)[:MAX_NAME_CHARS]
    return f"key_{name}" if name[:1].isdigit() else name


def label_text(value: AnyValue) -> str:
    found = scalar(value)
    if isinstance(found, bool):
        return "true" if found else "false"
    return "" if found is None else str(found)


def scalar(value: AnyValue, most_chars: int = MAX_VALUE_CHARS) -> Scalar:
    """Lists and maps become JSON."""
    match value.WhichOneof("value"):
        case "string_value":
            return clean(value.string_value[: most_chars + 1], most_chars)
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            # JSON has no such numbers.
            return value.double_value if math.isfinite(value.double_value) else str(value.double_value)
        case "bytes_value":
            return value.bytes_value[: most_chars // 2].hex()
        case "array_value" | "kvlist_value":
            return clean(json.dumps(_plain(value), ensure_ascii=False), most_chars)
    return None


def clean(text: str, most_chars: int | None = None) -> str:
    """Without NUL, which PostgreSQL can't keep, and cut where it is too long."""
    text = text.replace("\x00", "\ufffd")
    return text if most_chars is None or len(text) <= most_chars else text[: most_chars - 1] + "…"


def _plain(value: AnyValue) -> object:
    """Protobuf lets nothing in that is nested deeper than 100."""
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(one) for one in value.array_value.values]
        case "kvlist_value":
            return {one.key: _plain(one.value) for one in value.kvlist_value.values}
    return scalar(value)
