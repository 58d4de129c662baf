"""What other rules would have done with decisions that were recorded, and what that would have been worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.decider.domain.decide import Ruling, rule
from services.decider.domain.model import Inputs, Target
from services.decider.domain.offpolicy import NORMAL_95
from services.decider.domain.vocabulary import Verdict
from shared.packs import Mode, Playbook, Policy


@dataclass(frozen=True, slots=True)
class Past:
    """A recorded decision: what it was made from, what it said, and whether its run helped (None: no run)."""

    id: str
    inputs: Inputs
    verdict: Verdict
    playbook: str | None
    helped: bool | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is changed in one pack, or in all; what is not said stays as it was recorded."""

    policy: Mapping[str, object]
    """Fields of a policy, by name."""
    mode: Mode | None = None
    playbooks: Mapping[str, Playbook] | None = None
    """Added, or instead of those of the same name."""
    pack: str | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """One decision as it was and as it would have been."""

    id: str
    was: tuple[Verdict, str | None]
    now: Ruling
    value: float
    """Chance that the trouble is helped under the proposal: seen where the same is done, foretold where not."""
    doubt: float
    """Variance of that chance, where it is foretold."""

    @property
    def differs(self) -> bool:
        return (self.now.verdict, _action(self.now)) != self.was


@dataclass(frozen=True, slots=True)
class Worth:
    """Share of the decisions in which an action helps, with its 95 % interval."""

    value: float
    low: float
    high: float
    seen: float
    """Share of the decisions in which what would have been done was done: the rest is foretold."""


def changed(inputs: Inputs, proposal: Proposal) -> Inputs:
    """The inputs under the proposal. Raises ValueError (pydantic's) for a policy that can't be."""
    targets = {name: _changed(target, proposal) for name, target in inputs.targets.items()}
    return replace(inputs, targets=targets)


def _changed(target: Target, proposal: Proposal) -> Target:
    if proposal.pack not in {None, target.pack}:
        return target
    return replace(
        target,
        policy=Policy.model_validate({**target.policy.model_dump(), **proposal.policy}),
        mode=proposal.mode or target.mode,
        playbooks={**target.playbooks, **(proposal.playbooks or {})},
    )


def replay(pasts: Sequence[Past], change: Callable[[Inputs], Inputs]) -> list[Compared]:
    """Each decision again, by the same code, under the change. Runs that have not ended are left out."""
    ended = [past for past in pasts if past.verdict is not Verdict.EXECUTE or past.helped is not None]
    return [_compared(past, rule(change(past.inputs))) for past in ended]


def _compared(past: Past, now: Ruling) -> Compared:
    """Doubly robust, one decision: what is foretold of the new action, corrected by the error made about the old one
    as often as the strategy that ran would have done the same."""
    done = past.playbook if past.verdict is Verdict.EXECUTE else None
    foretold = now.option.expected_success if now.verdict is Verdict.EXECUTE and now.option else 0.0
    value, doubt = foretold, foretold * (1.0 - foretold)
    if _run(now) == done:
        then = rule(past.inputs)
        expected = then.option.expected_success if done is not None and then.option else 0.0
        value = foretold + (float(bool(past.helped)) - expected) / then.probability
        doubt = 0.0
    return Compared(past.id, (past.verdict, past.playbook), now, value, doubt)


def worth(compared: Sequence[Compared]) -> Worth | None:
    """Over all of them; None without any. Foretold outcomes add their own doubt to the interval."""
    if not compared:
        return None
    values = np.array([one.value for one in compared])
    doubts = np.array([one.doubt for one in compared])
    n = len(values)
    margin = NORMAL_95 * float(np.sqrt((values.var(ddof=1 if n > 1 else 0) + doubts.mean()) / n))
    mean = float(values.mean())
    seen = sum(one.doubt == 0.0 for one in compared) / n
    return Worth(mean, max(mean - margin, 0.0), min(mean + margin, 1.0), seen)


def _action(ruling: Ruling) -> str | None:
    return ruling.option.playbook if ruling.option else None


def _run(ruling: Ruling) -> str | None:
    return _action(ruling) if ruling.verdict is Verdict.EXECUTE else None
