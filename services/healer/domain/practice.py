"""What two rounds of a practice prove: that a playbook mends what was broken, and that its way back leads back.

States are compared by hash, one per thing touched (`file:/etc/app.toml` → hash). `before`: healthy; `broken`: after the
fault, before the playbook; `after`: when its run has ended.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.healer.domain.runs import RunStatus

type State = Mapping[str, str]
_SLUG_WORDS = 48


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ABORTED = "aborted"
    """It says nothing of the playbook: switched off, busy, or the target could not be made ready."""


class Return(StrEnum):
    """What is known of the way back."""

    PROVEN = "proven"
    IMPOSSIBLE = "impossible"
    """The playbook can't be undone, and says so when it should be."""


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the playbook on the broken target."""

    before: State
    broken: State
    after: State
    status: RunStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    verdict: Verdict
    reason: str
    way_back: Return | None = None


def conclude(helping: Round, returning: Round, *, expect_before: bool, can_be_undone: bool) -> Conclusion:
    """`helping`: the round that ends by itself; `returning`: the one whose validation was broken on purpose."""
    problem = _helped(helping, expect_before=expect_before) or _returned(helping, returning, can_be_undone)
    if problem:
        return Conclusion(Verdict.FAILED, problem)
    way_back = Return.PROVEN if returning.status is RunStatus.ROLLED_BACK else Return.IMPOSSIBLE
    words = {
        Return.PROVEN: f"mended what was broken; taken back, all of {_names(returning.broken)} was as before",
        Return.IMPOSSIBLE: "mended what was broken; it can't be taken back, and says so",
    }
    return Conclusion(Verdict.PASSED, words[way_back], way_back)


def _helped(round_: Round, *, expect_before: bool) -> str:
    if not differing(round_.before, round_.broken):
        return f"the fault changed nothing of {_names(round_.before)}: mend the playbook's `practice`"
    if round_.status is not RunStatus.SUCCEEDED:
        return f"the playbook did not mend its own fault: {round_.status.value}, {round_.reason}"
    left = differing(round_.before, round_.after)
    if expect_before and left:
        return f"the playbook succeeded, but {', '.join(left)} is not as it was before the fault"
    if not differing(round_.broken, round_.after):
        return "the playbook succeeded, but changed nothing of what was broken"
    return ""


def _returned(helping: Round, returning: Round, can_be_undone: bool) -> str:
    """Rolled back: all is as the playbook found it. What can't be undone may stay as the playbook makes it, but
    nothing may be left in a third state."""
    if returning.status is RunStatus.ROLLED_BACK:
        left = differing(returning.broken, returning.after)
        return f"said to be rolled back, but {', '.join(left)} is not as it was before the playbook" if left else ""
    if returning.status is not RunStatus.FAILED:
        return f"with its validation broken the run ended {returning.status.value}: {returning.reason}"
    if can_be_undone:
        return f"could not be rolled back: {returning.reason}"
    known = (returning.before, returning.broken, helping.after)
    odd = [name for name, now in returning.after.items() if now not in {state.get(name) for state in known}]
    return f"left {', '.join(odd)} in a state that nobody wanted" if odd else ""


def differing(one: State, other: State) -> list[str]:
    """Names of what differs, sorted."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _names(state: State) -> str:
    return ", ".join(sorted(state)) or "nothing"


def slug(pack: str, playbook: str) -> str:
    """One subject token for the pair: readable as far as it goes, and unique by eight digits of a hash."""
    digest = hashlib.sha256(f"{pack}\0{playbook}".encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9_-]+", "-", f"{pack}-{playbook}".lower()).strip("-_")[:_SLUG_WORDS].strip("-_")
    return f"{words}-{digest}"


def shared_with_production(practised: set[str], production: Mapping[str, set[str]]) -> str:
    """Why practising would touch what a component in production has; empty when it would not.

    `practised`: everything that the steps and faults touch on the practice target; `production`: what the same steps
    touch, and what is declared, per component that somebody needs.
    """
    for component, touched in sorted(production.items()):
        both = sorted(practised & touched)
        if both:
            return f"it would touch {both[0]}, which {component} has too: write steps and faults with ${{component.…}}"
    return ""
