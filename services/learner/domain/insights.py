"""What stands out of all that was learned, in plain words and from counted facts only (requirements H05, Z10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.learner.domain.memory import Remembered
from services.learner.domain.suggestions import Judgement, Quality
from services.learner.domain.thresholds import wilson

FEW = 5
GOOD, BAD = 0.8, 0.5
SLOW_RATIO = 2.0


class Weight(IntEnum):
    """How much it matters; the heaviest are told first."""

    NOTE = 1
    IMPROVE = 2
    URGENT = 3


@dataclass(frozen=True, slots=True)
class Insight:
    """One sentence, what it is about, and on how many facts it rests."""

    weight: Weight
    about: str
    words: str
    facts: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known of a playbook on a signature."""

    signature: str
    playbook: str
    runs: int
    successes: int
    now: tuple[Remembered, ...]
    """What still counts, one for each kind of component."""
    typical_recovery_s: float | None
    recovery_high_s: float | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Noise:
    """Alarms of one pattern on one component: how many were worth having, and what could be done about the rest."""

    component: str
    pattern: str
    true: int
    false: int
    advice: str


def insights(
    pairs: Sequence[Pair],
    suggestions: Sequence[Quality] = (),
    people: Sequence[Judgement] = (),
    noise: Sequence[Noise] = (),
) -> list[Insight]:
    """The heaviest first; nothing is said of fewer than five facts."""
    found = [
        *_playbooks(pairs),
        *_better_choices(pairs),
        *_asked(suggestions),
        *_people(people),
        *(Insight(Weight.IMPROVE, one.component, one.advice, one.true + one.false) for one in noise if one.advice),
    ]
    return sorted(found, key=lambda one: (-one.weight, -one.facts, one.about))


def _now(pair: Pair) -> Remembered:
    return Remembered(sum(one.runs for one in pair.now), sum(one.successes for one in pair.now))


def _playbooks(pairs: Sequence[Pair]) -> Iterator[Insight]:
    for one in pairs:
        about = f"{one.playbook} on {one.signature}"
        if one.runs < FEW:
            continue
        helped = f"helped in {one.successes} of {one.runs} runs"
        low, high = wilson(one.successes, one.runs)
        if one.changed_at is not None:
            rate = _now(one).rate
            weight = Weight.URGENT if rate < BAD else Weight.NOTE
            words = f"{about} {helped}, but since {one.changed_at:%Y-%m-%d %H:%M} UTC it is about {rate:.0%}"
            yield Insight(weight, about, words, one.runs)
        elif high < BAD:
            words = f"{about} {helped}: seldom enough to mend it, or to write another"
            yield Insight(Weight.URGENT, about, words, one.runs)
        elif low > GOOD:
            yield Insight(Weight.NOTE, about, f"{about} {helped}: it has proved itself", one.runs)
        typical_s, high_s = one.typical_recovery_s, one.recovery_high_s
        if typical_s is not None and high_s is not None and high_s > SLOW_RATIO * typical_s:
            words = f"{about} mostly takes {typical_s:.0f} s, but one in ten takes more than {high_s:.0f} s"
            yield Insight(Weight.NOTE, about, words, one.runs)


def _better_choices(pairs: Sequence[Pair]) -> Iterator[Insight]:
    """Where two playbooks were tried on one signature and one is clearly better."""
    by_signature: dict[str, list[Pair]] = {}
    for one in pairs:
        if one.runs >= FEW:
            by_signature.setdefault(one.signature, []).append(one)
    for signature, rivals in by_signature.items():
        best = max(rivals, key=lambda one: one.successes / one.runs)
        low, _ = wilson(best.successes, best.runs)
        for other in rivals:
            _, high = wilson(other.successes, other.runs)
            if high < low:
                words = (
                    f"on {signature}, {best.playbook} ({best.successes} of {best.runs}) helps more often than "
                    f"{other.playbook} ({other.successes} of {other.runs})"
                )
                yield Insight(Weight.IMPROVE, signature, words, best.runs + other.runs)


def _asked(suggestions: Sequence[Quality]) -> Iterator[Insight]:
    for one in suggestions:
        about = f"{one.playbook or 'no playbook'} ({one.kind})"
        if one.asked >= FEW and one.rejected > one.approved:
            words = f"{about}: people refused it {one.rejected} times and approved it {one.approved} times"
            yield Insight(Weight.IMPROVE, about, words, one.asked)
        if one.asked >= FEW and one.expired > one.asked / 2:
            words = f"{about}: {one.expired} of {one.asked} questions were answered by nobody"
            yield Insight(Weight.IMPROVE, about, words, one.asked)
        if one.approved >= FEW and one.success is not None and one.success >= GOOD and one.rejected == 0:
            words = f"{about}: every answer of {one.approved} was yes, and {one.success:.0%} helped: it may act alone"
            yield Insight(Weight.IMPROVE, about, words, one.approved)


def _people(people: Sequence[Judgement]) -> Iterator[Insight]:
    for one in people:
        if one.approved_known >= FEW:
            share = one.approved_helped / one.approved_known
            words = f"of what {one.by} approved, {one.approved_helped} of {one.approved_known} helped ({share:.0%})"
            yield Insight(Weight.NOTE, one.by, words, one.approved_known)
