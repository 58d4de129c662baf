"""JSON bodies, counted before they are unfolded: `[[],[],…]` takes three bytes a value as text and fifty in memory."""

from __future__ import annotations

from pydantic_core import from_json

from services.gateway.domain.ingest.errors import MalformedError, TooLargeError

MAX_VALUES = 500_000
"""Ten thousand alerts with fifty labels each."""


def read_json(body: bytes) -> object:
    """What the body says.

    Raises:
        MalformedError, TooLargeError
    """
    values = body.count(b",") + body.count(b"[") + body.count(b"{")
    if values > MAX_VALUES:
        raise TooLargeError(f"the body has about {values} values; at most {MAX_VALUES} are taken", "send less at once")
    try:
        found: object = from_json(body)
    except ValueError as error:
        raise MalformedError(f"the body is not JSON ({str(error)[:200]})", "send UTF-8 JSON") from None
    return found
