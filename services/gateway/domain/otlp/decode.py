"""OTLP's two encodings: binary protobuf, and its own dialect of protobuf's JSON.

The dialect (OTLP specification, "JSON Protobuf Encoding"): ids of traces and spans are hexadecimal, not base64, and
enums are numbers. Fields that are not known are passed over in both.
"""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from services.gateway.domain.ingest.errors import MalformedError, UnsupportedError
from services.gateway.domain.ingest.plain_json import read_json

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_UNREADABLE = (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""All that protobuf's reader of JSON lets through for input of other shapes."""


class Encoding(StrEnum):
    """By their names in Content-Type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def encoding_of(content_type: str) -> Encoding:
    """
    >>> encoding_of("application/json; charset=utf-8").name
    'JSON'

    Raises:
        UnsupportedError
    """
    named = content_type.partition(";")[0].strip().lower()
    try:
        return Encoding(named)
    except ValueError:
        remedy = f"use {' or '.join(Encoding)}"
        raise UnsupportedError(f"Content-Type {content_type[:120]!r} is not taken here", remedy) from None


def read[M: Message](kind: type[M], body: bytes, encoding: Encoding) -> M:
    """A message of `kind`.

    Raises:
        MalformedError, TooLargeError
    """
    if encoding is Encoding.JSON:
        return _of_json(kind, body)
    try:
        return kind.FromString(body)
    except (DecodeError, ValueError) as error:
        said = f"the body is no {kind.DESCRIPTOR.name} ({str(error)[:200]})"
        raise MalformedError(said, "send the signal to its own path: /v1/metrics, /v1/logs or /v1/traces") from None


def write(message: Message, encoding: Encoding) -> bytes:
    """The answer, in the encoding of the question."""
    if encoding is Encoding.JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def _of_json[M: Message](kind: type[M], body: bytes) -> M:
    tree = read_json(body)
    if not isinstance(tree, dict):
        raise MalformedError("the body is no JSON object", f"send one {kind.DESCRIPTOR.name}")
    _ids_to_base64(tree)
    try:
        return json_format.ParseDict(tree, kind(), ignore_unknown_fields=True)
    except _UNREADABLE as error:
        said = f"the body is no {kind.DESCRIPTOR.name} ({' '.join(str(error).split())[:300]})"
        raise MalformedError(said, "see OTLP's JSON Protobuf Encoding") from None


def _ids_to_base64(tree: dict[str, object]) -> None:
    """In place. Without recursion: how deep it goes is the sender's choice."""
    places: list[object] = [tree]
    while places:
        place = places.pop()
        if isinstance(place, list):
            places += place
        elif isinstance(place, dict):
            for name, value in place.items():
                if name in _IDS and isinstance(value, str):
                    place[name] = _base64_of(name, value)
                else:
                    places.append(value)


def _base64_of(name: str, value: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except (ValueError, binascii.Error):
        raise MalformedError(
            f"{name} {value[:40]!r} is not hexadecimal", "write ids in hex, as OTLP/JSON does"
        ) from None
