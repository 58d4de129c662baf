"""A deviation in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from services.diagnoser.domain.ranking.kinds import FAILURES, Kind, is_share


class Told(Protocol):
    """What the words are made from."""

    @property
    def component(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def onset_s(self) -> float: ...
    @property
    def before(self) -> float: ...
    @property
    def after(self) -> float: ...
    @property
    def ratio(self) -> float: ...


def told(one: Told, others_s: Sequence[float]) -> str:
    """Which series, how much, since when, and how long before or after the others; `others_s`: their onsets."""
    at = datetime.fromtimestamp(one.onset_s, UTC)
    return f"{one.component}'s {one.metric} {_moved(one)} at {at:%H:%M:%S}{_order(one.onset_s, others_s)}"


def _moved(one: Told) -> str:
    verb = "rose" if one.after > one.before else "fell"
    if one.kind in FAILURES and is_share(one.metric):
        return f"{verb} from {one.before:.1%} to {one.after:.1%}"
    times = one.ratio if one.ratio >= 1 else 1 / one.ratio
    if times < 1.1:
        return f"{verb} from {one.before:.4g} to {one.after:.4g}"
    return f"{verb} {times:.1f}×" if times < 10 else f"{verb} {times:,.0f}×"


def _order(onset_s: float, others_s: Sequence[float]) -> str:
    if not others_s:
        return ", alone"
    ahead_s = min(others_s) - onset_s
    if ahead_s >= 1:
        return f", {ahead_s:.0f} s before anybody else"
    return ", with the first" if ahead_s > -1 else f", {-ahead_s:.0f} s after the first"
