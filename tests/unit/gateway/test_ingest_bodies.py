"""Bodies are decompressed within bounds, and any bytes end in a declared error."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.ingest.alerts import read_alerts
from services.gateway.domain.ingest.compression import ENCODINGS, inflate, unsnap
from services.gateway.domain.ingest.errors import MalformedError, ReportError, TooLargeError
from tests.unit.gateway.wire import snappy, varint

MOST = 10_000


@given(st.binary(max_size=2_000), st.sampled_from(sorted(ENCODINGS)))
def test_any_bytes_are_read_or_refused(body: bytes, encoding: str) -> None:
    with suppress(ReportError):
        assert len(ENCODINGS[encoding](body, 500)) <= 500


@given(st.binary(max_size=MOST))
def test_what_was_compressed_comes_out_again(body: bytes) -> None:
    assert unsnap(snappy(body), MOST) == body
    assert inflate(gzip.compress(body), MOST) == body
    assert inflate(zlib.compress(body), MOST) == body


def test_gzip_of_several_members_is_one_body() -> None:
    assert inflate(gzip.compress(b"one") + gzip.compress(b"two"), MOST) == b"onetwo"


@pytest.mark.parametrize("bomb", [gzip.compress(b"0" * 10**7), gzip.compress(b"0" * 9_999) * 2], ids=["one", "two"])
def test_a_gzip_bomb_is_refused(bomb: bytes) -> None:
    with pytest.raises(TooLargeError, match="more than 10000 bytes"):
        inflate(bomb, MOST)


def test_a_snappy_block_that_claims_to_be_huge_is_refused_by_its_header() -> None:
    with pytest.raises(TooLargeError, match="4294967295"):
        unsnap(varint(0xFFFF_FFFF) + b"\x00a", MOST)


@pytest.mark.parametrize(
    "cut", [b"", gzip.compress(b"abc")[:-4], gzip.compress(b"abc") + b"tail"], ids=["empty", "short", "long"]
)
def test_torn_gzip_is_malformed(cut: bytes) -> None:
    with pytest.raises(MalformedError):
        inflate(cut, MOST)


def test_json_of_very_many_values_is_refused_before_it_is_unfolded() -> None:
    with pytest.raises(TooLargeError, match="values"):
        read_alerts(b"[" + b"[]," * 500_000 + b"[]]")
