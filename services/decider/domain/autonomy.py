"""Earned autonomy: a playbook may act alone on a problem as long as its record there speaks for it.

What is earned, on evidence, is the right to act without a person; what is spent by runs that do not help is an error
budget (Beyer et al., "Site Reliability Engineering", 2016, chapter 3), and when it is gone the right is lost at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.decider.domain.confidence import wilson_low
from services.decider.domain.model import Inputs, Standing
from services.decider.domain.vocabulary import AutonomyReason, Result
from shared.packs import AutomationLevel, Mode, Playbook, Policy

HOMEOSTAT = "homeostat"


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has ended."""

    at: datetime
    result: Result


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a promotion or demotion rests on. `low`: lower end of the 95 % interval of the success rate (Wilson)."""

    runs: int
    helped: int
    low: float
    spent: int
    """Of the error budget."""
    budget: int


@dataclass(frozen=True, slots=True)
class Change:
    """A right that is given or taken."""

    level: Mode
    reason: AutonomyReason
    evidence: Evidence
    cooling_until: datetime | None
    words: str


def rung(mode: Mode, level: AutomationLevel) -> Mode:
    """Where a playbook stands on the ladder observe → assist → auto: never above its pack."""
    if mode is Mode.AUTO and level is not AutomationLevel.FULL_AUTO:
        return Mode.ASSIST
    return mode


def level_of(playbook: Playbook, standing: Standing | None) -> AutomationLevel:
    """How far the playbook may go by itself on this problem. What is `manual` stays so: only a person starts it."""
    if standing is None or playbook.automation_level is AutomationLevel.MANUAL:
        return playbook.automation_level
    return AutomationLevel.FULL_AUTO if standing.level is Mode.AUTO else AutomationLevel.SEMI_AUTO


def review(
    standing: Standing | None, playbook: Playbook, policy: Policy, runs: Sequence[Run], now: datetime
) -> Change | None:
    """What the newest run changes. `runs` are all of this playbook on this problem, oldest first.

    A right that a person took away only a person gives back.
    """
    earns_after = policy.earn_auto_after_runs
    if earns_after is None or playbook.automation_level is AutomationLevel.MANUAL:
        return None
    counted = [run for run in runs if standing is None or run.at >= standing.since]
    if level_of(playbook, standing) is AutomationLevel.FULL_AUTO:
        return _spent(policy, counted[-earns_after:], now)
    if standing is not None and standing.by != HOMEOSTAT:
        return None
    if standing is not None and standing.cooling_until is not None and standing.cooling_until > now:
        return None
    return _earned(policy, counted, earns_after)


def _spent(policy: Policy, runs: Sequence[Run], now: datetime) -> Change | None:
    evidence = evidence_of(runs, policy)
    if evidence.spent < evidence.budget:
        return None
    until = now + timedelta(seconds=policy.earn_again_after_s)
    words = (
        f"{evidence.spent} of an error budget of {evidence.budget} spent in {evidence.runs} runs; "
        f"it can be earned again from {until:%Y-%m-%d %H:%M} UTC"
    )
    return Change(Mode.ASSIST, AutonomyReason.ERROR_BUDGET_SPENT, evidence, until, words)


def _earned(policy: Policy, runs: Sequence[Run], earns_after: int) -> Change | None:
    evidence = evidence_of(runs, policy)
    if evidence.runs < earns_after or evidence.low < policy.earn_auto_success:
        return None
    words = (
        f"helped in {evidence.helped} of {evidence.runs} runs: at least {evidence.low:.0%}, "
        f"{policy.earn_auto_success:.0%} is needed"
    )
    return Change(Mode.AUTO, AutonomyReason.EARNED, evidence, None, words)


def evidence_of(runs: Sequence[Run], policy: Policy) -> Evidence:
    """A run that was undone spends one; one that left harm, or of which nothing was heard, spends the whole budget."""
    price = {Result.ROLLED_BACK: 1, Result.FAILED: policy.error_budget, Result.LOST: policy.error_budget}
    helped = sum(run.result is Result.SUCCEEDED for run in runs)
    spent = sum(price.get(run.result, 0) for run in runs)
    return Evidence(len(runs), helped, round(wilson_low(helped, len(runs)), 4), spent, policy.error_budget)


def standings_before(inputs: Inputs) -> tuple[Standing, ...]:
    """For records of before rights were decided: then a record of enough good runs was one."""
    found = []
    for target in inputs.targets.values():
        policy = target.policy
        for record in inputs.records:
            enough = policy.earn_auto_after_runs is not None and record.runs >= policy.earn_auto_after_runs
            if enough and wilson_low(record.successes, record.runs) >= policy.earn_auto_success:
                found.append(Standing(target.pack, record.signature, record.playbook, Mode.AUTO, inputs.now))
    return tuple(dict.fromkeys(found))
