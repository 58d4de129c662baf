"""Telling people, as a step."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.contracts.base import Severity, Token
from shared.packs.base import Part


class NotifySend(Part):
    """Says something on one of the pack's channels, once a run; it goes out by itself, and the run doesn't wait."""

    channel: Token
    message: Annotated[str, Field(min_length=1, max_length=2_000)]
    severity: Severity = Severity.WARNING
