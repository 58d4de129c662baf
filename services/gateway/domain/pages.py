"""Pages of long lists: a cursor names the last entry shown, so that new entries never shift a page."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime


class CursorError(ValueError):
    """The cursor isn't one of ours."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list ordered by time, newest first, and by key where times are equal."""

    at: datetime
    key: str

    def encoded(self) -> str:
        return base64.urlsafe_b64encode(f"{self.at.isoformat()}|{self.key}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises CursorError for anything that `encoded` didn't make."""
        try:
            at, separator, key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
            moment = datetime.fromisoformat(at)
        except (ValueError, binascii.Error) as error:
            raise CursorError(text) from error
        if not separator or moment.tzinfo is None or not key:
            raise CursorError(text)
        return cls(moment, key)
