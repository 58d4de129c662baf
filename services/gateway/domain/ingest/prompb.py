"""Prometheus' remote write messages, 1.0 and 2.0, read from their bytes.

The classes are made here from the published field numbers: only the fields that are used, and each series as bytes of
its own. A request is thereby counted before it is unfolded (an empty sample takes two bytes on the wire and twenty
times that in memory), and one unreadable series doesn't take the others with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from services.gateway.domain.ingest.errors import MalformedError, TooLargeError

MAX_SERIES = 50_000
MAX_SYMBOLS = 500_000
MAX_SERIES_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class RawSeries:
    """One series as it was sent. `problem` says why its labels can't be used."""

    labels: Sequence[tuple[str, str]]
    samples: Sequence[tuple[float, int]] = ()
    """Value and milliseconds since the epoch."""
    histograms: Sequence[tuple[float, float, int]] = ()
    """Count, sum and milliseconds since the epoch of native histograms."""
    exemplars: int = 0
    problem: str = ""


class _Request(Protocol):
    @property
    def timeseries(self) -> Sequence[bytes]: ...
    @property
    def symbols(self) -> Sequence[str]: ...


class _Label(Protocol):
    name: str
    value: str


class _Sample(Protocol):
    value: float
    timestamp: int


class _Histogram(Protocol):
    count_int: int
    count_float: float
    sum: float
    timestamp: int


class _Series(Protocol):
    @property
    def labels(self) -> Sequence[_Label]: ...
    @property
    def labels_refs(self) -> Sequence[int]: ...
    @property
    def samples(self) -> Sequence[_Sample]: ...
    @property
    def histograms(self) -> Sequence[_Histogram]: ...
    @property
    def exemplars(self) -> Sequence[bytes]: ...


_PACKAGE = "homeostat.remote_write"
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}
_SHAPES = {
    "Label": {"name": ("string", 1), "value": ("string", 2)},
    "Sample": {"value": ("double", 1), "timestamp": ("int64", 2)},
    "Histogram": {
        "count_int": ("uint64", 1),
        "count_float": ("double", 2),
        "sum": ("double", 3),
        "timestamp": ("int64", 15),
    },
    "RequestV1": {"timeseries": ("bytes*", 1)},
    "SeriesV1": {
        "labels": ("Label*", 1),
        "samples": ("Sample*", 2),
        "exemplars": ("bytes*", 3),
        "histograms": ("Histogram*", 4),
    },
    "RequestV2": {"symbols": ("string*", 4), "timeseries": ("bytes*", 5)},
    "SeriesV2": {
        "labels_refs": ("uint32*", 1),
        "samples": ("Sample*", 2),
        "histograms": ("Histogram*", 3),
        "exemplars": ("bytes*", 4),
    },
}
"""Message → field → (type, number); `*` marks repeated ones."""


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="homeostat/remote_write.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _SHAPES.items():
        message = file.message_type.add(name=name)
        for field, (kind, number) in fields.items():
            single = kind.rstrip("*")
            label = _FIELD.LABEL_OPTIONAL if single == kind else _FIELD.LABEL_REPEATED
            added = message.field.add(name=field, number=number, label=label)
            if single in _SCALARS:
                added.type = _SCALARS[single]
            else:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{single}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()
CLASSES = {name: message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _SHAPES}


def read_v1(body: bytes) -> Iterator[RawSeries]:
    """The series of a `prometheus.WriteRequest`.

    Raises:
        MalformedError, TooLargeError
    """
    request = _request("RequestV1", body)
    for part in request.timeseries:
        series = _series("SeriesV1", part)
        if series is None:
            yield _UNREADABLE
        else:
            yield _raw(series, [(label.name, label.value) for label in series.labels], "")


def read_v2(body: bytes) -> Iterator[RawSeries]:
    """The series of an `io.prometheus.write.v2.Request`.

    Raises:
        MalformedError, TooLargeError
    """
    request = _request("RequestV2", body)
    symbols = list(request.symbols)
    if len(symbols) > MAX_SYMBOLS:
        raise TooLargeError(f"the request has {len(symbols)} symbols; at most {MAX_SYMBOLS} are taken", "send less")
    for part in request.timeseries:
        series = _series("SeriesV2", part)
        if series is None:
            yield _UNREADABLE
            continue
        refs = list(series.labels_refs)
        if len(refs) % 2 or any(ref >= len(symbols) for ref in refs):
            yield _raw(series, [], "references no symbols")
            continue
        named = [symbols[ref] for ref in refs]
        yield _raw(series, list(zip(named[::2], named[1::2], strict=True)), "")


_UNREADABLE = RawSeries((), problem="is unreadable")


def _request(kind: str, body: bytes) -> _Request:
    try:
        request = cast(_Request, CLASSES[kind].FromString(body))
    except DecodeError as error:
        remedy = "send the message that Content-Type names"
        raise MalformedError(f"the body is not the protobuf message it should be ({error})", remedy) from None
    if len(request.timeseries) > MAX_SERIES:
        said = f"the request has {len(request.timeseries)} series; at most {MAX_SERIES} are taken"
        raise TooLargeError(said, "lower max_samples_per_send")
    return request


def _series(kind: str, part: bytes) -> _Series | None:
    if len(part) > MAX_SERIES_BYTES:
        return None
    try:
        return cast(_Series, CLASSES[kind].FromString(part))
    except DecodeError:
        return None


def _raw(series: _Series, labels: Sequence[tuple[str, str]], problem: str) -> RawSeries:
    return RawSeries(
        labels,
        [(sample.value, sample.timestamp) for sample in series.samples],
        [(float(h.count_float or h.count_int), h.sum, h.timestamp) for h in series.histograms],
        len(series.exemplars),
        problem,
    )
