"""Why a report can't be used. Each text says what is wrong; the remedy what its sender can do."""

from __future__ import annotations


class ReportError(Exception):
    """A report that no retry will make usable."""

    def __init__(self, said: str, remedy: str = "") -> None:
        super().__init__(said)
        self.remedy = remedy


class MalformedError(ReportError):
    """Not what its protocol says it is."""


class TooLargeError(ReportError):
    """More than one report may hold."""


class UnsupportedError(ReportError):
    """A format or an encoding that is not spoken here."""
