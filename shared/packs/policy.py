"""The limits of what may be done without a person, and the weekly windows in which nothing is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.contracts.base import Probability, Severity, Token
from shared.packs.base import Part, Seconds

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOMENT = re.compile(r"(mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):([0-5]\d)", re.IGNORECASE)


Weight = Annotated[float, Field(ge=0, le=100)]


class Weights(Part):
    """What counts how much when several playbooks might help; only the proportions matter."""

    benefit: Weight = 0.30
    """That the trouble ends, the more the severer it is."""
    confidence: Weight = 0.25
    """How sure that is."""
    risk: Weight = 0.20
    """That little can go wrong."""
    cost: Weight = 0.05
    """That little work is interrupted, or what the playbook's author says it costs."""
    reversibility: Weight = 0.10
    """That it can be undone."""
    time: Weight = 0.10
    """That it is over soon."""

    @model_validator(mode="after")
    def _not_all_zero(self) -> Weights:
        if sum(self.model_dump().values()) <= 0:
            raise ValueError("all weights are zero: give at least one criterion a weight above zero")
        return self


class HoldOff(Part):
    """A small share of mild incidents is left alone for a while, at random: what then becomes of them is compared with
    what becomes of those that are acted on at once."""

    share: Annotated[float, Field(gt=0, le=0.5)]
    max_severity: Severity = Severity.WARNING
    """Severer incidents are always acted on."""
    for_s: Seconds = 60
    """So long it is left alone; choose more than a repair usually takes. Both arms are looked at for this time."""


class Policy(Part):
    """Limits of what may be done without a person. The defaults are the product's."""

    confidence: Probability = 0.85
    confidence_reversible: Probability = 0.80
    risk_max: Probability = 0.4
    actions_per_hour: Annotated[int, Field(ge=0)] = 20
    component_actions_per_hour: Annotated[int, Field(ge=0)] = 10
    """What needs more than this is not healed by it: it goes to and fro."""
    max_targets_at_once: Annotated[int, Field(ge=1)] = 3
    max_group_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a group that may be acted on at once, beside what serves nobody anyway; one member always may."""
    min_healthy: dict[Token, Probability] = {}
    """By group: the share of its members that must serve and be left alone, whatever is done to the others."""
    settle_s: Annotated[float, Field(ge=0)] = 120
    """So long after any action on a component nothing is tuned there; and the least pause before a setting that was
    moved is moved back, doubled with every reversal."""
    max_attempts: Annotated[int, Field(ge=1)] = 5
    ask_expires_s: Seconds = 900
    earn_auto_after_runs: Annotated[int, Field(ge=5)] | None = None
    """A `semi-auto` playbook earns the right to act by itself on a problem by this many runs there; unset: it always
    asks, and no right is ever lost."""
    earn_auto_success: Probability = 0.8
    """And when the lower end of its success rate's 95 % interval is at least this (20 of 20 runs give 0.84)."""
    error_budget: Annotated[int, Field(ge=1)] = 1
    """Runs in that many that may be rolled back before a playbook loses the right to act by itself on this problem,
    `full-auto` ones too; one that leaves harm spends it all."""
    earn_again_after_s: Seconds = 86_400
    """A right that was lost is not earned again before."""
    hold_off: HoldOff | None = None
    """Unset: nothing is ever left alone to learn from it."""
    confidence_model: Literal["posterior", "record-shift"] = "posterior"
    """How a playbook's record moves confidence. `posterior`: the lower 80 % bound of its chance to help, given the
    diagnosis and every run; `record-shift`: the diagnosis' confidence + (success rate − 0.5) × 0.20, within 0.5–1."""
    strategy: Literal["fixed", "ab", "thompson", "ucb"] = "fixed"
    """Which of several playbooks that may all be run alone is taken: `fixed` the best score; `ab` that or the next
    best, by the case's hash; `thompson` each as often as it is likely to be the one that helps most; `ucb` the one
    whose chance to help may be the highest (80 % bound), so that what is little known, or was long ago, is tried."""
    permissions: tuple[Token | Literal["*"], ...] = ()
    """What Homeostat may do by itself of what playbooks name in `required_permissions`; the rest asks a person."""
    require_practice: bool = False
    """A playbook acts by itself only after a practice that it passed as it is now. Unset: it also may when it was never
    practised, but never after a practice that it failed."""
    practice_max_age_days: Annotated[float, Field(gt=0, le=3_650)] = 30
    """An older practice is none, where practice is required."""
    practice_every_days: Annotated[float, Field(gt=0, le=3_650)] | None = None
    """Every playbook that says how is practised this often, at a quiet time; unset: only when somebody asks."""
    weights: Weights = Weights()
    """Of the criteria by which playbooks are compared, once every limit is kept."""
    freeze: tuple[str, ...] = ()
    """Windows in UTC in which nothing is changed: `Fri 16:00/Mon 08:00`, `daily 22:00/06:00`, `0 2 1 * * for 2h`."""
    business_hours: tuple[str, ...] = ()
    """Windows in UTC, written alike, in which disturbing what still serves is riskier."""
    storm_share: Probability = 0.5
    """When this share of the pack's components, and `storm_min` at least, begin to alarm within a minute, it is a
    storm: one incident, and nothing is healed without a person."""
    storm_min: Annotated[int, Field(ge=2)] = 5
    storm_cool_s: Seconds = 120
    """So long after the last wave of alarms the storm is over."""


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A weekly window. Minutes count from Monday 00:00 UTC; an end before the start lies in the next week."""

    start_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str) -> FreezeWindow:
        """`Fri 16:00/Mon 08:00`, both in UTC.

        Raises:
            ValueError: written otherwise, or of no length.
        """
        moments = [_MOMENT.fullmatch(part.strip()) for part in text.split("/")]
        if len(moments) != 2 or not all(moments):
            raise ValueError(f"{text!r} is not a weekly window: write it as `Fri 16:00/Mon 08:00`, in UTC")
        start, end = (
            _DAYS.index(found[1].lower()) * 1440 + int(found[2]) * 60 + int(found[3]) for found in moments if found
        )
        if start == end:
            raise ValueError(f"{text!r} begins when it ends: give it a length")
        return cls(start, end)

    def covers(self, at: datetime) -> bool:
        """Whether `at` (with a time zone) lies in the window; its end does not."""
        utc = at.astimezone(UTC)
        minute = utc.weekday() * 1440 + utc.hour * 60 + utc.minute
        if self.start_min < self.end_min:
            return self.start_min <= minute < self.end_min
        return minute >= self.start_min or minute < self.end_min
