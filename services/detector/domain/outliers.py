"""One of several that should be alike, and no longer is.

Members are the series of one metric that differ only in a label that names an instance. Each is smoothed; one whose
level lies far from the median of all, measured by the median absolute deviation and as a share of the median, and that
used to be among the others, is an outlier once this lasts. A member that was always different (a leader, a larger
machine) is none: it never was among the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from statistics import median

from services.detector.domain.signals import Fact, Finding, Method, Severity

INSTANCE_LABELS = ("instance", "pod", "host", "hostname", "node", "replica", "container_id", "task")
_WORDS = (
    "cpu memory latency duration error errors failures failed load disk queue "
    "pending lag connections restarts temperature heap flight"
)
TELLING = frozenset(_WORDS.split())
"""Words of a metric's name by which siblings are compared: levels that say how well or how busy one is."""
LEAST_MEMBERS = 3
SMOOTH_S = 20.0
FAR = 6.0
"""Median absolute deviations (scaled to standard deviations) from the median."""
SHARE = 0.5
"""And this share of the median: siblings that hardly differ have hardly any deviation."""
ALIKE_FOR = 20
"""Looks at which a member was among the others before it can leave them."""
LASTS_S = 30.0
GONE_S = 120.0
LOOK_S = 1.0
MAX_MEMBERS = 500


def family_of(name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """(what its siblings share, its own name); None for a series that has no siblings or tells nothing."""
    own = next((label for label in INSTANCE_LABELS if labels.get(label)), None)
    if own is None or not TELLING & set(name.lower().split("_")):
        return None
    rest = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels) if label not in INSTANCE_LABELS)
    member = "/".join(labels[label] for label in INSTANCE_LABELS if labels.get(label))
    return (f"{name}{{{rest}}}" if rest else name), member


@dataclass(slots=True)
class Member:
    """One of a family: its smoothed level, and how it has compared."""

    level: float
    seen: float
    alike: int = 0
    apart_since: float | None = None
    told: bool = False

    def take(self, value: float, at: float) -> None:
        if at > self.seen:
            self.level += (1.0 - exp((self.seen - at) / SMOOTH_S)) * (value - self.level)
            self.seen = at


@dataclass(frozen=True, slots=True)
class Outlier:
    member: str
    level: float
    usual: float
    reach: float
    since: float
    others: int


def look(members: dict[str, Member], at: float) -> tuple[list[Outlier], list[str]]:
    """(who is apart now, who is back among the others). Members not heard of for a while are left out."""
    here = {name: member for name, member in members.items() if at - member.seen <= GONE_S}
    if len(here) < LEAST_MEMBERS:
        return [], []
    levels = [member.level for member in here.values()]
    middle = median(levels)
    spread = 1.4826 * median(abs(level - middle) for level in levels)
    reach = max(FAR * spread, SHARE * abs(middle), 1e-9)
    apart, back = [], []
    for name, member in sorted(here.items()):
        if abs(member.level - middle) <= reach:
            member.alike, member.apart_since = min(member.alike + 1, ALIKE_FOR), None
            if member.told:
                member.told = False
                back.append(name)
            continue
        if member.alike < ALIKE_FOR:
            continue
        if member.apart_since is None:
            member.apart_since = at
        if at - member.apart_since >= LASTS_S:
            member.told = True
            apart.append(Outlier(name, member.level, middle, reach, member.apart_since, len(here) - 1))
    # When many leave at once it is not one that differs.
    return (apart if len(apart) <= max(1, len(here) // 4) else []), back


def subject(family: str, member: str) -> str:
    return f"outlier:{family}/{member}"


def finding(component: str, family: str, outlier: Outlier, at: float) -> Finding:
    metric = family.partition("{")[0]
    low, high = outlier.usual - outlier.reach, outlier.usual + outlier.reach
    return Finding(
        component=component,
        method=Method.ANOMALY,
        subject=subject(family, outlier.member),
        pattern=f"outlier:{metric}",
        severity=Severity.WARNING,
        summary=f"{component}: {metric} of {outlier.member} is {outlier.level:.4g}, "
        f"while its {outlier.others} siblings are near {outlier.usual:.4g}",
        at=at,
        fact=Fact(f"{metric} of {outlier.member}", outlier.level, at, component, f"{low:.4g} to {high:.4g}"),
        labels={"metric": metric, "member": outlier.member},
        since=outlier.since,
    )
