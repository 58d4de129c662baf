"""Made scenarios: a failure described by what each series does, played as the telemetry that an exporter would send.

What a series does is one line: `40 ~ 3` a gauge with normal noise, `+5 ~ 1` a counter that grows by five a second,
`10 -> 90` from one level to another while the phase lasts, `now-30` a time stamp, `begun` one that stands still since
the phase began, `again 90` one that is set anew every ninety seconds. `@` behind it follows the hour of the day. Null:
no longer sent. Everything is drawn from a generator seeded with the scenario's name: the same every time.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from shared.contracts.base import ComponentEvent
from shared.contracts.ingest import (
    Change,
    ChangeKind,
    Check,
    CheckKind,
    CheckResult,
    ExternalIncident,
    LogBatch,
    LogLine,
    MetricBatch,
    Sample,
)
from shared.packs import Category, Pack

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC).timestamp()
"""A Monday morning: a made scenario begins here."""
DAY_S = 86_400.0
DAILY = 0.5
"""By how much of its level a series with `@` rises by day and falls by night."""
_IDS = UUID("5d0c5c0b-8f6c-5d55-9a40-64c1bd6f3a02")
_SERIES = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_DOES = re.compile(
    r"(?P<word>now|begun|again)?\s*(?P<first>[-+]?[\d.]+(?:e[-+]?\d+)?)?"
    r"(?:\s*->\s*(?P<last>[-+]?[\d.]+(?:e[-+]?\d+)?))?(?:\s*~\s*(?P<noise>[\d.]+(?:e[-+]?\d+)?))?\s*(?P<daily>@)?"
)

type Does = str | float | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expect(_Part):
    """The label."""

    component: str
    cause: Annotated[tuple[Category, ...], Field(min_length=1)]
    severity: Literal["warning", "critical", ""] = ""
    also: tuple[str, ...] = ()


class Behaviour(_Part):
    """What one component sends in one phase; what isn't named stays as it was."""

    metrics: dict[str, Does] = {}
    checks: dict[str, str] = {}
    """`kind` → `result`, or `result latency_ms detail…`."""
    logs: tuple[str, ...] = ()
    """Lines, `LEVEL text`, with `#` where a number varies."""
    logs_per_min: float | None = None
    silent: bool = False
    """Nothing comes of it but the checks that are named with this."""


class Told(_Part):
    """A change, or an incident of another system, `after_s` seconds into the scenario's phase."""

    component: str
    after_s: float = 0.0
    kind: ChangeKind | Literal["incident"] = ChangeKind.DEPLOYMENT
    summary: str
    pattern: str = "external"


class Story(_Part):
    """One made scenario."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    about: str = ""
    components: dict[str, dict[str, object]]
    pack: dict[str, object] = {}
    """Further sections of the pack: probes, rules, expects, …"""
    expect: Expect | None = None
    normal_s: float = 2_400.0
    failure_s: float = 900.0
    recovery_s: float = 1_200.0
    deadline_s: float = 600.0
    every_s: float = 30.0
    normal: dict[str, Behaviour] = {}
    failure: dict[str, Behaviour] = {}
    recovery: dict[str, Behaviour] = {}
    told: tuple[Told, ...] = ()
    """During the failure, or just before it with a negative `after_s`."""

    @model_validator(mode="after")
    def _names(self) -> Story:
        for phase in (self.normal, self.failure, self.recovery):
            for name in phase.keys() - self.components.keys():
                raise ValueError(f"{self.name}: no component is named {name}")
        return self

    def system(self) -> Pack:
        return Pack.model_validate({"pack": self.name[:60], "components": self.components, **self.pack})


class Suite(_Part):
    """One file of made scenarios."""

    group: str
    scenarios: tuple[Story, ...]


class Profiles(_Part):
    """What a component of a kind ordinarily sends."""

    kinds: dict[str, Behaviour] = {}


class Recording(_Part):
    """The label of a recorded scenario."""

    name: str
    group: str
    about: str = ""
    pack: Pack
    expect: Expect | None = None
    onset: AwareDatetime | None = None
    recovered: AwareDatetime | None = None
    deadline_s: float = 600.0

    @model_validator(mode="after")
    def _times(self) -> Recording:
        if self.expect is not None and (self.onset is None or self.recovered is None):
            raise ValueError("a recording of a failure says when it began and when it was over: onset, recovered")
        return self


@dataclass
class _Series:
    """One series while it is played."""

    name: str
    labels: dict[str, str]
    chance: random.Random
    total: float = 0.0
    started: bool = False


@dataclass
class _Phase:
    """Which behaviour holds, since when and until when."""

    begins: float
    ends: float
    behaviour: Behaviour


@dataclass
class _Played:
    name: str
    phases: list[_Phase]
    offset_s: float
    chance: random.Random
    series: dict[str, _Series] = field(default_factory=dict)


def play(story: Story, profiles: Profiles) -> Iterator[tuple[float, ComponentEvent]]:
    """All messages in order of time."""
    end = START + story.normal_s + story.failure_s + story.recovery_s
    played = [_played(story, profiles, name, place) for place, name in enumerate(story.components)]
    onset = START + story.normal_s
    told = [(onset + each.after_s, number, each, True) for number, each in enumerate(story.told)]
    over = onset + story.failure_s
    told += [(over, number, each, False) for _, number, each, _ in told if each.kind == "incident"]
    told.sort(key=lambda each: each[:2])
    now = START
    while now < end:
        for one in played:
            at = now + one.offset_s
            while told and told[0][0] <= at:
                yield told[0][0], _tell(story, *told.pop(0))
            phase = next(each for each in reversed(one.phases) if each.begins <= at)
            yield from ((at, event) for event in _messages(story, one, phase, at))
        now += story.every_s


def _played(story: Story, profiles: Profiles, name: str, place: int) -> _Played:
    kind = str(story.components[name].get("kind", "service"))
    ordinary = _over(profiles.kinds.get(kind, Behaviour()), story.normal.get(name))
    onset = START + story.normal_s
    recovered, end = onset + story.failure_s, onset + story.failure_s + story.recovery_s
    return _Played(
        name,
        [
            _Phase(START, onset, ordinary),
            _Phase(onset, recovered, _over(ordinary, story.failure.get(name))),
            _Phase(recovered, end, _over(ordinary, story.recovery.get(name))),
        ],
        round(0.13 * place, 3),
        random.Random(f"{story.name}/{name}"),
    )


def _over(ordinary: Behaviour, other: Behaviour | None) -> Behaviour:
    if other is None:
        return ordinary
    if other.silent:
        return Behaviour(checks=other.checks)
    return Behaviour(
        metrics={**ordinary.metrics, **other.metrics},
        checks={**ordinary.checks, **other.checks},
        logs=other.logs or ordinary.logs,
        logs_per_min=other.logs_per_min if other.logs_per_min is not None else ordinary.logs_per_min,
    )


def _messages(story: Story, one: _Played, phase: _Phase, at: float) -> Iterator[ComponentEvent]:
    when = datetime.fromtimestamp(at, UTC)

    def id_of(what: str) -> UUID:
        return uuid5(_IDS, f"{story.name}|{one.name}|{what}|{at!r}")

    samples = tuple(_samples(story, one, phase, at))
    if samples:
        yield MetricBatch(id=id_of("metrics"), at=when, component=one.name, samples=samples)
    for kind, said in phase.behaviour.checks.items():
        result, _, rest = said.partition(" ")
        latency, _, detail = rest.partition(" ")
        yield Check(
            id=id_of(kind),
            at=when,
            component=one.name,
            probe=f"{one.name}/{kind}",
            kind=CheckKind(kind) if kind in set(CheckKind) else CheckKind.CUSTOM,
            result=CheckResult(result),
            latency_ms=max(0.1, one.chance.gauss(float(latency), float(latency) / 10)) if latency else None,
            detail=detail,
        )
    lines = tuple(_lines(one, phase.behaviour, story.every_s))
    if lines:
        yield LogBatch(id=id_of("logs"), at=when, component=one.name, lines=lines)


def _lines(one: _Played, behaviour: Behaviour, every_s: float) -> Iterator[LogLine]:
    if not behaviour.logs:
        return
    per_min = 8.0 if behaviour.logs_per_min is None else behaviour.logs_per_min
    wanted = per_min * every_s / 60.0
    count = int(wanted) + (one.chance.random() < wanted % 1)
    for _ in range(count):
        level, _, text = one.chance.choice(behaviour.logs).partition(" ")
        yield LogLine(level=level.lower(), message=re.sub("#", lambda _: str(one.chance.randint(1, 9_999)), text))


def _samples(story: Story, one: _Played, phase: _Phase, at: float) -> Iterator[Sample]:
    for key, does in phase.behaviour.metrics.items():
        series = one.series.get(key) or _begin(story, one, key)
        value = _value(series, does, phase, at, story.every_s)
        if value is not None:
            yield Sample(name=series.name, labels=series.labels, value=value)


def _begin(story: Story, one: _Played, key: str) -> _Series:
    found = _SERIES.fullmatch(key)
    if found is None:
        raise ValueError(f'{story.name}: {key!r} is no series: write name{{label="value"}}')
    labels = dict(_LABEL.findall(found["labels"] or ""))
    series = _Series(found["name"], labels, random.Random(f"{story.name}/{one.name}/{key}"))
    one.series[key] = series
    return series


def _value(series: _Series, does: Does, phase: _Phase, at: float, every_s: float) -> float | None:
    if does is None:
        return None
    text = str(does)
    found = _DOES.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{series.name}: {text!r} says nothing: write as in `40 ~ 3`, `+5`, `10 -> 90` or `now-30`")
    if found["word"]:
        return _stamp(found["word"], float(found["first"] or 0), phase, at)
    first, last = float(found["first"] or 0), found["last"]
    noise = series.chance.gauss(0, float(found["noise"])) if found["noise"] else 0.0
    share = (at - phase.begins) / (phase.ends - phase.begins)
    level = first + (float(last) - first) * share if last is not None else first
    if found["daily"]:
        level *= 1.0 + DAILY * math.sin(2 * math.pi * ((at % DAY_S) / DAY_S - 0.375))
    if not (found["first"] or "").startswith("+"):
        return round(max(0.0, level + noise) if first >= 0 else level + noise, 6)
    if not series.started:
        series.started, series.total = True, round(abs(level) * 3_600)
    else:
        series.total += max(0.0, level + noise) * every_s
    return round(series.total, 6)


def _stamp(word: str, number: float, phase: _Phase, at: float) -> float:
    if word == "now":
        return at + number
    if word == "begun":
        return phase.begins + number
    return at - (at - phase.begins) % number


def _tell(story: Story, at: float, number: int, told: Told, firing: bool) -> ComponentEvent:
    when = datetime.fromtimestamp(at, UTC)
    id_ = uuid5(_IDS, f"{story.name}|told|{number}|{firing}")
    if isinstance(told.kind, ChangeKind):
        return Change(id=id_, at=when, component=told.component, kind=told.kind, summary=told.summary)
    return ExternalIncident(
        id=id_,
        at=when,
        component=told.component,
        source="alertmanager",
        external_id=f"{story.name}-{number}",
        status="firing" if firing else "resolved",
        pattern=told.pattern,
        summary=told.summary,
    )
