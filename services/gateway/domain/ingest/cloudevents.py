"""CloudEvents 1.0 as they come over HTTP: structured, binary and in batches."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote
from uuid import NAMESPACE_OID, UUID, uuid5

from services.gateway.domain.ingest.errors import MalformedError, TooLargeError, UnsupportedError
from services.gateway.domain.ingest.naming import slug
from services.gateway.domain.ingest.plain_json import read_json

MAX_EVENTS = 1_000
MAX_ATTRIBUTE_CHARS = 1_024
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_TYPE = re.compile(r"(?:homeostat\.)?ingest\.([a-z]+)(?:\.v1(?:\.([a-z0-9_-]+))?)?")


class Kind(StrEnum):
    """What an event may tell; the names of the ingest subjects."""

    METRICS = "metrics"
    LOGS = "logs"
    CHECKS = "checks"
    CHANGES = "changes"
    INCIDENTS = "incidents"
    OUTCOMES = "outcomes"


@dataclass(frozen=True, slots=True)
class Told:
    """One event: what kind it is, and the fields of the contract of that kind, as yet unchecked."""

    kind: Kind
    fields: Mapping[str, object]


def read(content_type: str, headers: Mapping[str, str], body: bytes) -> list[Told]:
    """The events of a request; `headers` with lower-case names.

    Raises:
        MalformedError, TooLargeError, UnsupportedError
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return [_told(read_json(body), "")]
    if media_type == BATCH:
        events = read_json(body)
        if not isinstance(events, list):
            raise MalformedError("a batch is a JSON array of events", f"send {STRUCTURED} for a single one")
        if len(events) > MAX_EVENTS:
            raise TooLargeError(f"{len(events)} events at once; at most {MAX_EVENTS} are taken", "send less at once")
        return [_told(event, f"{place}: ") for place, event in enumerate(events)]
    if "ce-specversion" not in headers:
        remedy = f"send {STRUCTURED}, {BATCH}, or `ce-` headers with application/json"
        raise UnsupportedError(f"{media_type[:60] or 'nothing'} is no CloudEvent's Content-Type", remedy)
    if media_type not in ("", "application/json") and not media_type.endswith("+json"):
        raise UnsupportedError(f"data of {media_type[:60]} can't be read", "send the data as application/json")
    envelope: dict[str, object] = {name[3:]: unquote(text) for name, text in headers.items() if name.startswith("ce-")}
    envelope["data"] = read_json(body)
    return [_told(envelope, "")]


def _told(event: object, where: str) -> Told:
    if not isinstance(event, dict):
        raise MalformedError(f"{where}an event is a JSON object", "see cloudevents.io")
    if event.get("specversion") != "1.0":
        raise MalformedError(f"{where}specversion is not 1.0", "send CloudEvents 1.0")
    event_id, source, kind = (_attribute(event, name, where) for name in ("id", "source", "type"))
    matched = _TYPE.fullmatch(kind)
    if matched is None or matched[1] not in Kind.__members__.values():
        known = ", ".join(f"homeostat.ingest.{one}" for one in Kind)
        raise MalformedError(f"{where}type {kind[:100]!r} is not known", f"use one of {known}")
    fields = _data(event, where)
    fields.setdefault("id", str(_as_uuid(source, event_id)))
    if isinstance(event.get("time"), str):
        fields.setdefault("at", event["time"])
    if matched[2] is not None:
        fields.setdefault("component", matched[2])
    elif isinstance(event.get("subject"), str) and event["subject"].strip():
        fields.setdefault("component", slug(event["subject"]))
    return Told(Kind(matched[1]), fields)


def _attribute(event: Mapping[str, object], name: str, where: str) -> str:
    text = event.get(name)
    if not isinstance(text, str) or not text or len(text) > MAX_ATTRIBUTE_CHARS:
        raise MalformedError(f"{where}{name} is not a text of 1 to {MAX_ATTRIBUTE_CHARS} characters", f"give {name!r}")
    return text


def _data(event: Mapping[str, object], where: str) -> dict[str, object]:
    data = event.get("data")
    encoded = event.get("data_base64")
    if isinstance(encoded, str):
        try:
            data = read_json(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            raise MalformedError(f"{where}data_base64 is not base64", "encode it again") from None
    if not isinstance(data, dict):
        raise MalformedError(f"{where}data is no JSON object", "put the fields of the message there")
    return dict(data)


def _as_uuid(source: str, event_id: str) -> UUID:
    """The id by which the bus knows the same event when it comes over NATS: unique per source, whatever its text."""
    try:
        return UUID(event_id)
    except ValueError:
        return uuid5(NAMESPACE_OID, f"{source}/{event_id}")
