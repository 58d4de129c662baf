"""What each strategy is worth, from recorded choices: several playbooks might have been run alone, and one was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.decider.domain.decide import choices
from services.decider.domain.model import Inputs
from services.decider.domain.offpolicy import Estimate, Floats, Logged, doubly_robust, snips
from services.decider.domain.strategy import STRATEGIES, Posterior, Strategy, probabilities


@dataclass(frozen=True, slots=True)
class Choice:
    """One recorded choice among at least two playbooks, the best by score first."""

    strategy: Strategy
    """Which chose."""
    signature: str
    playbooks: tuple[str, ...]
    posteriors: tuple[Posterior, ...]
    expected: tuple[float, ...]
    """Chance that each helps, as it was foretold."""
    taken: int
    helped: bool

    @property
    def propensity(self) -> float:
        """With which probability it was taken."""
        return probabilities(self.strategy, self.posteriors)[self.taken]


@dataclass(frozen=True, slots=True)
class Contender:
    """A strategy, and the share of the choices in which what it takes helps."""

    strategy: Strategy
    chose: int
    """How many of the choices were its own."""
    helped: int
    """How many of those helped."""
    doubly_robust: Estimate
    snips: Estimate
    seen: float
    """Share of its choices that the strategies which ran might have made too: of the rest only what was foretold is
    known, and their doubt is in no interval."""


def choice_of(inputs: Inputs, playbook: str, helped: bool) -> Choice | None:
    """The choice behind a run; None where there was none, or the rules of today offer another."""
    free = choices(inputs)
    names = tuple(option.playbook for option in free)
    if len(free) < 2 or playbook not in names:
        return None
    taken = names.index(playbook)
    choice = Choice(
        strategy=inputs.targets[free[0].component].policy.strategy,
        signature=free[taken].cause.signature,
        playbooks=names,
        posteriors=tuple(option.posterior for option in free),
        expected=tuple(option.expected_success for option in free),
        taken=taken,
        helped=helped,
    )
    return choice if choice.propensity > 0 else None


def compare(found: Sequence[Choice]) -> list[Contender]:
    """Every strategy on the same choices, the worthiest first; none without choices."""
    if not found:
        return []
    widest = max(len(choice.playbooks) for choice in found)
    logged = Logged(
        np.array([choice.taken for choice in found]),
        np.array([float(choice.helped) for choice in found]),
        np.array([choice.propensity for choice in found]),
    )
    model = _table([choice.expected for choice in found], widest)
    might = _table([probabilities(choice.strategy, choice.posteriors) for choice in found], widest) > 0
    contenders = []
    for strategy in STRATEGIES:
        target = _table([probabilities(strategy, choice.posteriors) for choice in found], widest)
        own = [choice for choice in found if choice.strategy == strategy]
        contenders.append(
            Contender(
                strategy=strategy,
                chose=len(own),
                helped=sum(choice.helped for choice in own),
                doubly_robust=doubly_robust(logged, target, model),
                snips=snips(logged, target),
                seen=float((target * might).sum(axis=1).mean()),
            )
        )
    return sorted(contenders, key=lambda one: -one.doubly_robust.value)


def _table(rows: Sequence[Sequence[float]], widest: int) -> Floats:
    return np.array([[*row, *[0.0] * (widest - len(row))] for row in rows])
