"""What earlier incidents like this one turned out to be: evidence of its own (never more than a strong hint)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from services.diagnoser.domain.categories import KINDS
from shared.packs import Category

LEAST = 3
"""Fewer earlier incidents say nothing."""
MOST_WEIGHT = 0.6
"""However often it was so before, this time may be another."""
PRIOR_CASES = 2
LEAST_TIMES = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """One diagnosed cause of an earlier incident and whether it turned out right.

    `raw`: its confidence before calibration, `told`: after it. `fix_s`: from opening to confirmed end, if right.
    """

    component: str
    pattern: str
    category: Category
    signature: str
    raw: float
    told: float
    right: bool
    fix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Precedent:
    """Of `cases` earlier incidents like this, `right` turned out to be of this category."""

    category: Category
    right: int
    cases: int
    like: str

    @property
    def weight(self) -> float:
        return MOST_WEIGHT * self.right / (self.cases + PRIOR_CASES)

    @property
    def words(self) -> str:
        noun = KINDS[self.category].noun
        were = "was" if self.right == 1 else "were"
        return f"of {self.cases} earlier incidents like this ({self.like}), {self.right} {were} {noun}"


def precedents(judged: Iterable[Judged], component: str, pattern: str) -> list[Precedent]:
    """Of incidents with this pattern at this component; where there are too few, at any component."""
    alike = [one for one in judged if one.pattern == pattern]
    here = [one for one in alike if one.component == component]
    chosen, like = (here, f"{pattern} at {component}") if len(here) >= LEAST else (alike, f"{pattern} anywhere")
    if len(chosen) < LEAST:
        return []
    counted = Counter(one.category for one in chosen if one.right)
    found = [Precedent(category, right, len(chosen), like) for category, right in counted.items()]
    return sorted(found, key=lambda one: (-one.right, one.category.value))


def usual_fix_s(judged: Sequence[Judged], category: Category, signature: str) -> tuple[float | None, int]:
    """Median time to the confirmed end and on how many cases it rests: of this signature, else of the category,
    else the usual one of such a fix (0 cases)."""
    of_category = [one for one in judged if one.category is category and one.right and one.fix_s is not None]
    of_signature = [one for one in of_category if one.signature == signature]
    for kept in (of_signature, of_category):
        times = [one.fix_s for one in kept if one.fix_s is not None]
        if len(times) >= LEAST_TIMES:
            return round(median(times), 1), len(times)
    return KINDS[category].fix_s, 0
