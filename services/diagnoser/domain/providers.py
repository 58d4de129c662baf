"""Trouble of a provider, somebody else's system: more errors and slower answers are told apart (C10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.diagnoser.domain.patterns import Nature, words_of
from services.diagnoser.domain.signals import AnomalySeen
from shared.packs import Category

PROVIDER_KINDS = frozenset({"provider", "external", "third-party"})
_ERROR_WORDS = frozenset({"error", "errors", "failed", "failures", "5xx"})
_TIME_WORDS = frozenset({"latency", "duration", "response", "slow"})

_WEIGHTS: Mapping[Nature, float] = {
    Nature.REFUSED: 0.85,
    Nature.SILENT: 0.8,
    Nature.ERRORS: 0.8,
    Nature.SLOW: 0.75,
    Nature.OTHER: 0.5,
}
"""How likely it is the provider's own trouble: nothing of ours runs there. A limit that it sets is another matter."""


class Trend(StrEnum):
    """What gets worse at a provider."""

    ERROR_RATE = "error-rate"
    RESPONSE_TIME = "response-time"
    BOTH = "errors-and-response-time"
    UNAVAILABLE = "unavailable"


_SAID: Mapping[Trend, str] = {
    Trend.ERROR_RATE: "its error rate is the trouble, no sign of slower answers",
    Trend.RESPONSE_TIME: "its response time has degraded, no sign of more errors",
    Trend.BOTH: "both its error rate and its response time have got worse",
    Trend.UNAVAILABLE: "it gives no answer at all",
}
_TRENDS: Mapping[tuple[bool, bool], Trend] = {
    (True, False): Trend.ERROR_RATE,
    (False, True): Trend.RESPONSE_TIME,
    (True, True): Trend.BOTH,
}


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """What is worse at the provider, and how likely that is its own fault."""

    trend: Trend
    weight: float

    @property
    def words(self) -> str:
        return f"it is a provider: {_SAID[self.trend]}"

    @property
    def signature(self) -> str:
        return f"{Category.THIRD_PARTY.value}:{self.trend.value}"


def provider_trouble(
    nature: Nature, natures: Iterable[Nature], anomalies: Iterable[AnomalySeen]
) -> ProviderTrouble | None:
    """`nature` of the incident, `natures` of all open incidents of the provider, `anomalies` of its series."""
    if nature not in _WEIGHTS:
        return None
    seen = {nature, *natures}
    high = [words_of(one.metric) for one in anomalies if one.observed > one.expected_high]
    errors = Nature.ERRORS in seen or any(words & _ERROR_WORDS for words in high)
    slow = Nature.SLOW in seen or any(words & _TIME_WORDS for words in high)
    trend = _TRENDS.get((errors, slow), Trend.UNAVAILABLE)
    if nature in {Nature.REFUSED, Nature.SILENT}:
        trend = Trend.UNAVAILABLE
    return ProviderTrouble(trend, _WEIGHTS[nature])
