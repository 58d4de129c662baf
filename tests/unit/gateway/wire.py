"""Remote write messages made by hand from the published field numbers, apart from the code that reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cramjam

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
Labels = dict[str, str]


def varint(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def sized(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def sample(value: float, at_ms: int) -> bytes:
    return double(1, value) + whole(2, at_ms)


def histogram(count: int, total: float, at_ms: int) -> bytes:
    """With a schema, a span and deltas, as native histograms have them: read over here."""
    span = sized(11, whole(1, 2) + whole(2, 1))
    return whole(1, count) + double(3, total) + whole(4, 6) + span + sized(12, varint(4)) + whole(15, at_ms)


def exemplar(value: float, at_ms: int) -> bytes:
    return double(2, value) + whole(3, at_ms)


def series_v1(
    labels: Sequence[tuple[str, str]] | Labels,
    samples: Sequence[tuple[float, int]] = (),
    histograms: Sequence[tuple[int, float, int]] = (),
) -> bytes:
    pairs = labels.items() if isinstance(labels, dict) else labels
    parts = [sized(1, sized(1, name.encode()) + sized(2, value.encode())) for name, value in pairs]
    parts += [sized(2, sample(*one)) for one in samples]
    parts += [sized(4, histogram(*one)) for one in histograms]
    return b"".join(parts)


def request_v1(*series: bytes) -> bytes:
    metadata = whole(1, 1) + sized(2, b"up") + sized(4, b"Is it up.")
    return b"".join(sized(1, one) for one in series) + sized(3, metadata)


def request_v2(
    *series: tuple[Labels, Sequence[tuple[float, int]], Sequence[tuple[int, float, int]]], exemplars: int = 0
) -> bytes:
    symbols = [""]

    def ref(text: str) -> bytes:
        if text not in symbols:
            symbols.append(text)
        return varint(symbols.index(text))

    bodies = []
    for labels, samples, histograms in series:
        refs = b"".join(ref(name) + ref(value) for name, value in labels.items())
        body = sized(1, refs) + b"".join(sized(2, sample(*one)) for one in samples)
        body += b"".join(sized(3, histogram(*one)) for one in histograms)
        body += sized(4, exemplar(1.0, 1)) * exemplars
        body += sized(5, whole(1, 1) + b"\x18" + ref("Help."))
        bodies.append(sized(5, body))
    return b"".join(sized(4, symbol.encode()) for symbol in symbols) + b"".join(bodies)


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
