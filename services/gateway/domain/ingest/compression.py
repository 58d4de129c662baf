"""Bodies as they were before compression, never larger than asked for: a bomb is refused, not inflated."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import cramjam

from services.gateway.domain.ingest.errors import MalformedError, TooLargeError

_EITHER = 32 + zlib.MAX_WBITS
"""Tells zlib to read the header of gzip as well as of zlib (which HTTP calls deflate)."""


def identity(body: bytes, most_bytes: int) -> bytes:
    """As it is."""
    if len(body) > most_bytes:
        raise _too_large(len(body), most_bytes)
    return body


def unsnap(body: bytes, most_bytes: int) -> bytes:
    """Snappy's block format. Its header tells the length: too long is refused before anything is allocated.

    Raises:
        MalformedError, TooLargeError
    """
    if not body:
        raise MalformedError("the body is empty", "send one snappy block")
    try:
        length = cramjam.snappy.decompress_raw_len(body)
        if length > most_bytes:
            raise _too_large(length, most_bytes)
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        remedy = "compress with snappy's block format, not the framed one"
        raise MalformedError(f"the body is not a snappy block ({error})", remedy) from None


def inflate(body: bytes, most_bytes: int) -> bytes:
    """Gzip (of any number of members) or zlib.

    Raises:
        MalformedError, TooLargeError
    """
    parts: list[bytes] = []
    room = most_bytes
    while body:
        stream = zlib.decompressobj(_EITHER)
        try:
            part = stream.decompress(body, room + 1)
        except zlib.error as error:
            raise MalformedError(f"the body is not gzip ({error})", "see Content-Encoding") from None
        if len(part) > room:
            raise _too_large(None, most_bytes)
        if not stream.eof:
            raise MalformedError("the compressed body ends too early", "send all of it")
        parts.append(part)
        room -= len(part)
        body = stream.unused_data
    if not parts:
        raise MalformedError("the compressed body is empty", "send all of it")
    return b"".join(parts)


ENCODINGS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "identity": identity,
    "gzip": inflate,
    "deflate": inflate,
    "snappy": unsnap,
}
"""By their names in Content-Encoding."""


def _too_large(length: int | None, most_bytes: int) -> TooLargeError:
    holds = f"holds {length} bytes" if length is not None else f"holds more than {most_bytes} bytes"
    return TooLargeError(f"the body {holds} when decompressed; at most {most_bytes} are taken", "send less at once")
