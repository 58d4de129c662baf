"""What the end of a repair says of the cause that it was for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class End(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    SKIPPED = "skipped"


_SAYS: Mapping[tuple[End, bool], bool | None] = {
    (End.SUCCEEDED, True): True,
    (End.SUCCEEDED, False): None,
    (End.ROLLED_BACK, True): False,
    (End.ROLLED_BACK, False): None,
    (End.FAILED, True): False,
    (End.FAILED, False): None,
    (End.SKIPPED, True): None,
    (End.SKIPPED, False): None,
}
"""By how the run ended and whether the repair had been applied in full: one that never was says nothing."""


def was_right(end: End, *, applied: bool, dry_run: bool, seen_to_help: bool | None) -> bool | None:
    """Whether the cause was the right one; None: this doesn't tell.

    `seen_to_help`: what somebody who saw it says. Against a validation that passed that counts; that a case came
    good says nothing for the cause of a repair that was taken back.
    """
    if dry_run:
        return None
    says = _SAYS[end, applied]
    return False if says and seen_to_help is False else says
