"""What became of what was suggested: asked of a person or done alone, taken or not, and whether it helped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median


class Answer(StrEnum):
    """What came of a question."""

    NONE = ""
    """Not asked, or not answered yet."""
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody answered in time."""
    WITHDRAWN = "withdrawn"
    """The trouble was over, or something else was decided, before anybody answered."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One thing that was to be done, with what came of it."""

    kind: str
    """`incident`, `prediction`, `recommendation` or `request`."""
    playbook: str
    asked: bool
    answer: Answer
    by: str
    done: bool
    helped: bool | None
    """None: not done, or not known yet."""
    answer_s: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """Of a group of suggestions. Rates are None where nothing can be said."""

    kind: str
    playbook: str
    suggested: int
    asked: int
    approved: int
    rejected: int
    expired: int
    withdrawn: int
    adopted: int
    """Done, alone or with approval."""
    helped: int
    did_not_help: int
    adoption: float | None
    """Share of the settled that was done; what was withdrawn says nothing."""
    success: float | None
    answer_s: float | None
    """Median time that people took."""


def quality_of(suggestions: Iterable[Suggestion]) -> list[Quality]:
    """By kind and playbook, the most suggested first."""
    groups: dict[tuple[str, str], list[Suggestion]] = {}
    for one in suggestions:
        groups.setdefault((one.kind, one.playbook), []).append(one)
    found = [_quality(kind, playbook, members) for (kind, playbook), members in groups.items()]
    return sorted(found, key=lambda one: (-one.suggested, one.kind, one.playbook))


def _quality(kind: str, playbook: str, members: Sequence[Suggestion]) -> Quality:
    count = {answer: sum(one.answer is answer for one in members) for answer in Answer}
    adopted = sum(one.done for one in members)
    settled = adopted + sum(one.answer in (Answer.REJECTED, Answer.EXPIRED) and not one.done for one in members)
    helped = sum(one.helped is True for one in members)
    not_helped = sum(one.helped is False for one in members)
    times_s = [one.answer_s for one in members if one.answer_s is not None]
    return Quality(
        kind=kind,
        playbook=playbook,
        suggested=len(members),
        asked=sum(one.asked for one in members),
        approved=count[Answer.APPROVED],
        rejected=count[Answer.REJECTED],
        expired=count[Answer.EXPIRED],
        withdrawn=count[Answer.WITHDRAWN],
        adopted=adopted,
        helped=helped,
        did_not_help=not_helped,
        adoption=adopted / settled if settled else None,
        success=helped / (helped + not_helped) if helped + not_helped else None,
        answer_s=median(times_s) if times_s else None,
    )


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good one person's answers have been."""

    by: str
    approved: int
    rejected: int
    approved_helped: int
    approved_known: int


def judgements(suggestions: Iterable[Suggestion]) -> list[Judgement]:
    """By person, those whose approvals helped most often first (requirement H07)."""
    people: dict[str, list[Suggestion]] = {}
    for one in suggestions:
        if one.answer in (Answer.APPROVED, Answer.REJECTED):
            people.setdefault(one.by, []).append(one)
    found = []
    for by, answered in people.items():
        approved = [one for one in answered if one.answer is Answer.APPROVED]
        known = [one.helped for one in approved if one.helped is not None]
        found.append(Judgement(by, len(approved), len(answered) - len(approved), sum(known), len(known)))
    return sorted(found, key=lambda one: (-one.approved_helped / max(1, one.approved_known), one.by))
