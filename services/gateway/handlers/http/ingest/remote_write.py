"""Prometheus remote write, 1.0 and 2.0, at one address: Content-Type tells which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.message import Message
from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway.domain.ingest.errors import UnsupportedError
from services.gateway.domain.ingest.prompb import RawSeries, read_v1, read_v2
from services.gateway.domain.ingest.remote_write import Batch, Written, written
from services.gateway.domain.ingest.seen import SeenSeries
from services.gateway.handlers.http.deps import Deps, Sender, Wired
from services.gateway.handlers.http.ingest.common import MAX_REPORT_BYTES, publish, read_body, room
from services.gateway.handlers.http.problems import ApiError
from shared import telemetry
from shared.contracts.ingest import MetricBatch, Sample

router = APIRouter(tags=["ingest"], max_body_size=2 * MAX_REPORT_BYTES)

PROTOCOL = "remote-write"
MAX_REQUEST_BYTES = 16 * 1024**2
"""Decompressed. Prometheus' own sends are about 1 MiB at most."""
_READERS: dict[str, Callable[[bytes], Iterator[RawSeries]]] = {
    "prometheus.WriteRequest": read_v1,
    "io.prometheus.write.v2.Request": read_v2,
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A snappy block of `prometheus.WriteRequest` or (`proto=`) `io.prometheus.write.v2.Request`.",
        "content": {"application/x-protobuf": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/api/v1/write", status_code=204, response_class=Response, openapi_extra=_BODY)
async def write_metrics(deps: Wired, request: Request, _bearer: Sender) -> Response:
    """Takes metrics by Prometheus remote write, 1.0 and 2.0. Samples that can't be used are refused with 400, the
    others of the same request taken; 503 asks for the request again."""
    async with room(deps):
        read = _reader(request.headers.get("content-type", ""))
        body = await read_body(request, ("snappy",), MAX_REQUEST_BYTES)
        taken, events = await asyncio.to_thread(_translate, deps, read, body, deps.clock())
        stored = _Stored(taken, deps.seen)
        try:
            await publish(deps, events, stored.acked)
        except ApiError as error:
            error.headers.update(stored.headers(everything=False))
            raise
        return _answer(taken, stored.headers(everything=True))


def _reader(content_type: str) -> Callable[[bytes], Iterator[RawSeries]]:
    """None at all is what the oldest senders of 1.0 give."""
    header = Message()
    header["content-type"] = content_type or "application/x-protobuf"
    named = header.get_param("proto", "prometheus.WriteRequest")
    reader = _READERS.get(named) if isinstance(named, str) else None
    if header.get_content_type() != "application/x-protobuf" or reader is None:
        remedy = f"use application/x-protobuf, with proto={' or proto='.join(_READERS)}"
        raise UnsupportedError(f"Content-Type {content_type[:120]!r} is not taken here", remedy)
    return reader


def _translate(
    deps: Deps, read: Callable[[bytes], Iterator[RawSeries]], body: bytes, now: datetime
) -> tuple[Written, Sequence[MetricBatch]]:
    """In a thread: a large request takes longer than others should wait."""
    taken = written(read(body), deps.components, deps.seen, int(now.timestamp() * 1000))
    return taken, [_event(batch) for batch in taken.batches]


def _event(batch: Batch) -> MetricBatch:
    newest_ms = batch.at_ms
    return MetricBatch(
        id=batch.identity,
        at=_instant(newest_ms),
        component=batch.component,
        samples=tuple(
            Sample(
                name=reading.name,
                value=reading.value,
                labels=dict(reading.labels),
                at=None if reading.at_ms == newest_ms else _instant(reading.at_ms),
            )
            for reading in batch.readings
        ),
    )


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


class _Stored:
    """What of a request is safe."""

    def __init__(self, taken: Written, seen: SeenSeries) -> None:
        self._taken = taken
        self._seen = seen
        self._in_turn: dict[str, int] = {}
        self._samples = 0
        self._histograms = 0

    def acked(self, place: int) -> None:
        batch = self._taken.batches[place]
        self._samples += batch.samples
        self._histograms += batch.histograms
        telemetry.REPORTED.labels(PROTOCOL, "reading").inc(len(batch.readings))
        # Past a batch that was not stored nothing is known as seen: it will come again, with older times.
        if batch.turn == self._in_turn.get(batch.component, 0):
            self._in_turn[batch.component] = batch.turn + 1
            for series, at_ms in batch.marks.items():
                self._seen.note(series, at_ms)

    def headers(self, *, everything: bool) -> dict[str, str]:
        """Exemplars are read over: nothing here uses them, and none is said to be written."""
        counts = {
            "Samples": self._taken.samples if everything else self._samples,
            "Histograms": self._taken.histograms if everything else self._histograms,
            "Exemplars": 0,
        }
        return {f"X-Prometheus-Remote-Write-{kind}-Written": str(count) for kind, count in counts.items()}


def _answer(taken: Written, headers: dict[str, str]) -> Response:
    for reason, count in taken.left_out.items():
        telemetry.REPORTED_LEFT_OUT.labels(PROTOCOL, reason.value).inc(count)
    if taken.refused:
        remedy = "mend them at the sender; don't send this request again"
        raise ApiError(400, "samples-refused", taken.explain(), remedy, headers=headers)
    return Response(status_code=204, headers=headers)
