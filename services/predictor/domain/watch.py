"""The life of one prediction: when it is opened, what is said about it and how often, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from services.predictor.domain.forecast import Forecast
from services.predictor.domain.series import Event
from services.predictor.domain.traffic import Quiet


class Moment(StrEnum):
    """Whether now is a good time to act."""

    WAIT = "wait"
    QUIET = "quiet"
    DEADLINE = "deadline"
    GONE = "gone"


class Reason(StrEnum):
    """Why a revision is said."""

    OPENED = "opened"
    MOMENT = "moment"
    """The traffic went quiet, or a quiet time passed unused."""
    DEADLINE = "deadline"
    HALVED = "halved"
    """The time to the limit is half of what was last said."""
    REPEATED = "repeated"
    """Still a good moment, and nothing happened: whoever acts may have been held back."""
    REACHED = "reached"
    FLAT = "flat"
    RESET = "reset"
    NO_DATA = "no-data"
    UNWATCHED = "unwatched"
    """The pack no longer names the limit."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait and how often to speak, in seconds."""

    confirmations: int = 2
    """Forecasts in a row before a prediction is opened."""
    misses: int = 5
    """Readings in a row without a forecast before a prediction is gone."""
    lead_s: float = 20.0
    lead_share: float = 0.15
    """The deadline comes when the earliest likely time is below `lead_s`, or below this share of the time that was
    left at the opening, whichever is longer."""
    repeat_share: float = 0.1
    repeat_max_s: float = 600.0
    """A good moment that holds is said again after this share of the time left, from `quiet_gap_s` to ten minutes:
    some ten times for each time the time left falls to a third, whatever its scale."""
    quiet_gap_s: float = 5.0
    """Least time before a good moment is said again."""


@dataclass(frozen=True, slots=True)
class Open:
    """An open prediction, as last said. Times are seconds of the server's clock."""

    opened_s: float
    opened_eta_s: float
    revision: int
    moment: Moment
    said_s: float
    said_eta_s: float
    misses: int = 0
    pressed: bool = False
    """The deadline has come: it doesn't pass again, however the estimate wavers."""
    reached: bool = False


@dataclass(frozen=True, slots=True)
class WatchState:
    confirmed: int = 0
    current: Open | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One revision to publish. `forecast` is None when the prediction is gone."""

    opened_s: float
    revision: int
    moment: Moment
    reason: Reason
    forecast: Forecast | None


def step(
    state: WatchState, pace: Pace, now_s: float, event: Event, found: Forecast | None, quiet: Quiet
) -> tuple[WatchState, Said | None]:
    """One reading further: the new state, and what is to be said about it, if anything.

    `quiet` is `YES` where no traffic is declared; an unknown traffic waits for the deadline.
    """
    if state.current is None:
        return _consider(state, pace, now_s, found, quiet)
    if event is not Event.NONE:
        return WatchState(), gone(state.current, Reason.RESET if event is Event.RESET else Reason.NO_DATA)
    if found is None:
        missing = replace(state.current, misses=state.current.misses + 1)
        if missing.misses >= pace.misses:
            return WatchState(), gone(missing, Reason.FLAT)
        return WatchState(0, missing), None
    return _follow(replace(state.current, misses=0), pace, now_s, found, quiet)


def gone(current: Open, reason: Reason) -> Said:
    """The last revision of a prediction."""
    return Said(current.opened_s, current.revision + 1, Moment.GONE, reason, None)


def _consider(
    state: WatchState, pace: Pace, now_s: float, found: Forecast | None, quiet: Quiet
) -> tuple[WatchState, Said | None]:
    if found is None or found.eta_s <= 0:  # at the limit already: that is an incident, not a prediction
        return WatchState(), None
    if state.confirmed + 1 < pace.confirmations:
        return WatchState(state.confirmed + 1), None
    pressed = _pressing(found, found.eta_s, pace)
    moment = _moment(pressed, quiet)
    current = Open(now_s, found.eta_s, 1, moment, now_s, found.eta_s, pressed=pressed)
    return WatchState(0, current), Said(now_s, 1, moment, Reason.OPENED, found)


def _follow(current: Open, pace: Pace, now_s: float, found: Forecast, quiet: Quiet) -> tuple[WatchState, Said | None]:
    pressed = current.pressed or _pressing(found, current.opened_eta_s, pace)
    reached = current.reached or found.eta_s <= 0
    moment = _moment(pressed, quiet)
    reason = _worth_saying(current, pace, now_s, found, moment, newly_reached=reached and not current.reached)
    following = replace(current, pressed=pressed, reached=reached)
    if reason is None:
        return WatchState(0, following), None
    following = replace(following, revision=current.revision + 1, moment=moment, said_s=now_s, said_eta_s=found.eta_s)
    return WatchState(0, following), Said(current.opened_s, following.revision, moment, reason, found)


def _worth_saying(
    current: Open, pace: Pace, now_s: float, found: Forecast, moment: Moment, *, newly_reached: bool
) -> Reason | None:
    silent_s = now_s - current.said_s
    if newly_reached:
        return Reason.REACHED
    if moment is Moment.DEADLINE and current.moment is not Moment.DEADLINE:
        return Reason.DEADLINE
    if moment is Moment.QUIET and current.moment is not Moment.QUIET and silent_s >= pace.quiet_gap_s:
        return Reason.MOMENT
    repeat_s = max(pace.quiet_gap_s, min(pace.repeat_max_s, pace.repeat_share * found.eta_s))
    if silent_s >= repeat_s and moment is not Moment.WAIT:
        return Reason.REPEATED
    if silent_s >= repeat_s and current.moment is Moment.QUIET:
        return Reason.MOMENT
    if found.eta_s <= current.said_eta_s / 2 and silent_s >= pace.quiet_gap_s and not current.reached:
        return Reason.HALVED
    return None


def _pressing(found: Forecast, total_s: float, pace: Pace) -> bool:
    return found.eta_low_s < max(pace.lead_s, pace.lead_share * total_s)


def _moment(pressed: bool, quiet: Quiet) -> Moment:
    if pressed:
        return Moment.DEADLINE
    return Moment.QUIET if quiet is Quiet.YES else Moment.WAIT
