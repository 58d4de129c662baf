"""How pieces of evidence become confidence in a cause: noisy-or, the chance that at least one of them is right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.diagnoser.domain.categories import KINDS, OF_THE_BROADER
from shared.packs import Category

CERTAIN = 0.98
"""Nothing is surer than this: what was seen from outside can mislead."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason to believe in a cause. `weight`: the probability that it alone is right."""

    category: Category
    weight: float
    words: str
    signature: str = ""
    """The pack's signature that says so, if one does."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A candidate cause with its reasons, the strongest first. `raw`: its confidence before calibration, after it."""

    component: str
    category: Category
    confidence: float
    signature: str
    evidence: tuple[str, ...]
    raw: float | None = None


def noisy_or(weights: Iterable[float]) -> float:
    """1 − Π(1 − w), at most CERTAIN.

    >>> round(noisy_or([0.5, 0.5]), 2)
    0.75
    """
    doubt = 1.0
    for weight in weights:
        doubt *= 1.0 - min(max(weight, 0.0), 1.0)
    return min(1.0 - doubt, CERTAIN)


def weigh(component: str, pattern: str, evidence: Iterable[Evidence]) -> list[Cause]:
    """One cause per category, best first. Equal ones keep a fixed order, so that nothing flutters.

    A narrow cause is one of its broader category, too: a playbook for that one is of use.
    """
    by_category: dict[Category, list[Evidence]] = {}
    for piece in evidence:
        by_category.setdefault(piece.category, []).append(piece)
    causes = {category: _cause(component, pattern, category, pieces) for category, pieces in by_category.items()}
    for cause in list(causes.values()):
        broader = KINDS[cause.category].broader
        if broader is None:
            continue
        confidence = round(cause.confidence * OF_THE_BROADER, 3)
        known = causes.get(broader)
        if known is None or known.confidence < confidence:
            signature = known.signature if known else f"{broader.value}:{pattern}"
            words = (*(known.evidence if known else ()), *cause.evidence)
            causes[broader] = Cause(component, broader, confidence, signature, tuple(dict.fromkeys(words)))
    return sorted(causes.values(), key=rank)


def _cause(component: str, pattern: str, category: Category, pieces: list[Evidence]) -> Cause:
    named = [piece for piece in pieces if piece.signature]
    signature = max(named, key=lambda piece: piece.weight).signature if named else f"{category.value}:{pattern}"
    words = tuple(piece.words for piece in sorted(pieces, key=lambda piece: -piece.weight))
    return Cause(component, category, round(noisy_or(p.weight for p in pieces), 3), signature, words)


def rank(cause: Cause) -> tuple[float, str, str]:
    return (-cause.confidence, cause.category.value, cause.component)
