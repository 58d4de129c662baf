"""The life of a case: where it stands after a ruling, and when it is looked at next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.decider.domain.decide import Ruling
from services.decider.domain.pacing import retry_s
from services.decider.domain.vocabulary import CaseKind, Reason, Verdict


class State(StrEnum):
    """OPEN: to be decided, or decided again. SETTLED: nothing to do unless something changes. CLOSED: over."""

    OPEN = "open"
    ASKING = "asking"
    RUNNING = "running"
    SETTLED = "settled"
    CLOSED = "closed"


ONCE = frozenset({CaseKind.REQUEST, CaseKind.RECOMMENDATION, CaseKind.RECOVERY})
"""Cases that end with their first answer: nothing goes on in the world that would ask again."""
UNAIDED = frozenset(
    {
        Reason.NO_PLAYBOOK,
        Reason.NOT_IN_CARE,
        Reason.ESCALATED,
        Reason.ATTEMPTS_SPENT,
        Reason.REJECTED,
        Reason.EXPIRED,
    }
)
"""Reasons after which nobody but a person does anything about a case: its symptoms may help themselves."""


@dataclass(frozen=True, slots=True)
class Next:
    """Where the case stands and when to look again (None: only when something is heard)."""

    state: State
    in_s: float | None
    tries: int


def after(ruling: Ruling, kind: CaseKind, tries: int, review_s: float) -> Next:
    """`tries`: refusals in a row so far; `review_s`: pause after which even a settled case is looked at again."""
    if ruling.verdict is Verdict.EXECUTE:
        return Next(State.RUNNING, None, 0)
    if ruling.verdict is Verdict.ASK:
        return Next(State.ASKING, min(ruling.expires_s or review_s, review_s), 0)
    if ruling.reason is Reason.HELD_OFF:
        return Next(State.OPEN, ruling.expires_s, 0)
    if ruling.is_transient:
        return Next(State.OPEN, retry_s(tries), tries + 1)
    if ruling.reason is Reason.INCIDENT_GONE or kind in ONCE:
        return Next(State.CLOSED, None, 0)
    return Next(State.SETTLED, review_s, 0)
