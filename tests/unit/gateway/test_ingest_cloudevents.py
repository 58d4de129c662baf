"""CloudEvents over HTTP: structured, binary, batches."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.ingest.cloudevents import BATCH, MAX_EVENTS, STRUCTURED, Kind, read
from services.gateway.domain.ingest.errors import MalformedError, ReportError, TooLargeError, UnsupportedError
from shared.bus.decode import decode
from shared.contracts.ingest import Change

DATA = {"component": "orders", "kind": "deployment", "summary": "v2"}


def event(**more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "build 7",
        "source": "/ci",
        "type": "homeostat.ingest.changes",
        "time": "2026-11-21T12:00:00Z",
        "data": DATA,
        **more,
    }


def structured(**more: Any) -> Any:
    (told,) = read(STRUCTURED, {}, json.dumps(event(**more)).encode())
    return told


@given(
    st.sampled_from([STRUCTURED, BATCH, "application/json", "text/plain", ""]),
    st.dictionaries(st.sampled_from(["ce-specversion", "ce-id", "ce-type", "ce-source"]), st.text(max_size=9)),
    st.binary(max_size=200),
)
def test_any_request_is_events_or_a_declared_error(kind: str, headers: dict[str, str], body: bytes) -> None:
    with suppress(ReportError):
        read(kind, headers, body)


@given(st.dictionaries(st.sampled_from(sorted(event())), st.none() | st.text() | st.integers(), max_size=4))
def test_attributes_of_any_shape_are_events_or_a_declared_error(more: dict[str, Any]) -> None:
    with suppress(ReportError):
        structured(**more)


def test_all_three_ways_say_the_same() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "build%207",
        "ce-source": "/ci",
        "ce-type": "homeostat.ingest.changes",
        "ce-time": "2026-11-21T12:00:00Z",
    }
    binary = read("application/json; charset=utf-8", headers, json.dumps(DATA).encode())
    batch = read(f"{BATCH}; charset=utf-8", {}, json.dumps([event()]).encode())
    assert [structured()] == binary == batch


def test_the_event_is_the_one_that_the_bus_would_read_over_nats() -> None:
    from datetime import UTC, datetime

    stored_at = datetime(2026, 11, 21, tzinfo=UTC)
    over_nats = decode(
        Change,
        json.dumps(event()).encode(),
        "ingest.changes.v1.orders",
        stream="INGEST",
        sequence=1,
        stored_at=stored_at,
    )
    assert Change.model_validate(structured().fields) == over_nats


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("shape", ["homeostat.ingest.{}", "ingest.{}.v1", "homeostat.ingest.{}.v1", "ingest.{}"])
def test_types_are_the_names_of_subjects(kind: Kind, shape: str) -> None:
    assert structured(type=shape.format(kind.value)).kind is kind


def test_the_component_may_be_in_the_type_the_subject_or_the_data() -> None:
    bare = {"kind": "deployment", "summary": "v2"}
    assert structured(type="ingest.changes.v1.cart", data=bare).fields["component"] == "cart"
    assert structured(subject="Cart API", data=bare).fields["component"] == "cart-api"
    assert structured(subject="cart").fields["component"] == "orders"


def test_ids_are_one_per_source() -> None:
    assert structured().fields["id"] != structured(source="/other").fields["id"]
    given_id = "0d4b1c5e-7a55-5d2c-8f6f-5a7d3f1b9c01"
    assert UUID(str(structured(id=given_id).fields["id"])) == UUID(given_id)


def test_data_may_be_base64() -> None:
    encoded = base64.b64encode(json.dumps(DATA).encode()).decode()
    raw = event(data_base64=encoded)
    del raw["data"]
    assert read(STRUCTURED, {}, json.dumps(raw).encode()) == [structured()]


@pytest.mark.parametrize(
    "more",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"source": None},
        {"type": "com.example.x"},
        {"type": "homeostat.ingest.gossip"},
        {"data": "text"},
        {"data": None, "data_base64": "%"},
    ],
)
def test_what_is_missing_is_told(more: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        structured(**more)


def test_other_content_is_not_supported() -> None:
    with pytest.raises(UnsupportedError):
        read("application/json", {}, b"{}")
    with pytest.raises(UnsupportedError):
        read("application/xml", {"ce-specversion": "1.0"}, b"<a/>")


def test_batches_are_bounded_and_name_the_event_that_is_wrong() -> None:
    with pytest.raises(TooLargeError):
        read(BATCH, {}, json.dumps([1] * (MAX_EVENTS + 1)).encode())
    with pytest.raises(MalformedError, match=r"^1: "):
        read(BATCH, {}, json.dumps([event(), 1]).encode())
