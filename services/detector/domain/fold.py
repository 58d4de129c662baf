"""All components of one partition: applies messages in stream order and says what came of each.

Nothing is read but the arguments, so replay from a snapshot gives the same state and the same effects, ids included.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from services.detector.domain import checks
from services.detector.domain.absence import TICK_GAP_S
from services.detector.domain.asks import Told
from services.detector.domain.checks import ProbeRun
from services.detector.domain.components import ComponentState, ComponentTrack, Verdicts
from services.detector.domain.incidents import IncidentPolicy, Incidents, IncidentsState, Record
from services.detector.domain.priority import priority
from services.detector.domain.signals import (
    AnomalyFound,
    CheckSeen,
    Effect,
    ExternalSeen,
    Fact,
    Finding,
    HealthChanged,
    HealthStatus,
    IncidentRevised,
    Line,
    Method,
    Reading,
    Result,
    fingerprint,
)
from services.detector.domain.thresholds import CLEAR_AFTER
from services.detector.domain.watch import Watch

SNAPSHOT_VERSION = 3
ADVANCE_S = 0.2
HEALTH_INTERVAL_S = 1.0
"""Shortest time between two tellings of a component's health that differ only in the error count."""
HOUSEKEEPING_S = 600.0
JUDGE_S = 1.0
"""Shortest time between two looks at what is missing."""
TICK_PROBE = "homeostat/tick"
"""The check by which the detector itself lets time pass in a partition."""
IDLE_SERIES_S = 86_400.0


class SnapshotError(Exception):
    """A snapshot of another version, or none at all."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one partition as it is kept."""

    version: int
    advanced_at: float = 0.0
    tidied_at: float = 0.0
    components: list[ComponentState] = field(default_factory=list)
    incidents: IncidentsState = field(default_factory=IncidentsState)
    ticked_at: float = 0.0
    watched_from: float = 0.0
    """Since when ticks come without a long pause: silence before that says nothing."""
    waiting: list[str] = field(default_factory=list)
    """Components whose error count has grown since their health was last told."""


_SNAPSHOTS = TypeAdapter(Snapshot)


@dataclass(frozen=True, slots=True)
class _Latency:
    """A check's latency in the shape of a reading."""

    name: str
    value: float
    labels: dict[str, str]
    at: None = None


class PartitionState:
    """The fold over one partition. Every method takes one message and gives its effects in a fixed order:
    incidents first, then anomalies and log patterns, then health."""

    def __init__(self, watch: Watch, policy: IncidentPolicy | None = None, repair_grace_s: float = 15.0) -> None:
        self._watch = watch
        self._policy = policy or IncidentPolicy()
        self._repair_grace_s = repair_grace_s
        self._start(Snapshot(SNAPSHOT_VERSION))

    def configure(self, watch: Watch) -> None:
        """Take up other rules; what was learned and what is open stay."""
        self._watch = watch
        for track in self._tracks.values():
            track.watch(watch.of(track.name))

    def configure_silences(self, watch: Watch) -> None:
        """Take up a watch that differs only in its silences, or in what is said of alarms."""
        self._watch = watch

    def any_component(self) -> str | None:
        """The name of one that this partition holds, to let time pass in it."""
        return next(iter(self._tracks), None)

    # ---- one method per kind of message

    def metrics(self, component: str, readings: Sequence[Reading], at: float, now: float) -> list[Effect]:
        track = self._track(component)
        told = self._advance(now)
        verdicts = track.read(readings, at, now)
        facts = [_fact_of(anomaly) for anomaly in verdicts.unusual]
        track.remember(facts)
        told += self._judged(track, verdicts, min(at, now), now)
        if facts:
            told += self._incidents.note(component, facts, now, errors=track.kept.errors)
        self._seen.add(component)
        return [*told, *verdicts.unusual, *self._healths(now)]

    def logs(self, component: str, lines: Sequence[Line], at: float, now: float) -> list[Effect]:
        track = self._track(component)
        told = self._advance(now)
        before = track.kept.errors
        bursts, facts = track.log(lines, at, now)
        for finding in bursts:
            told += self._bad(track, finding, now, errors_in_run=track.kept.errors - before)
        track.remember([*facts, *(finding.fact for finding in bursts)])
        if facts or bursts:
            noted = [*facts, *(finding.fact for finding in bursts)]
            told += self._incidents.note(component, noted, now, errors=track.kept.errors)
        self._seen.add(component)
        seen = track.book.news(component, now)
        return [*told, *([seen] if seen else []), *self._healths(now)]

    def check(self, check: CheckSeen, now: float) -> list[Effect]:
        if check.probe == TICK_PROBE:
            return [*self._advance(now), *self._tick(now), *self._healths(now)]
        track = self._track(check.component)
        told = self._advance(now)
        if check.probe in self._watch.probes:
            told += self._judged(track, track.asks.probed(check.probe, now), check.at, now)
        policy = self._watch.policy(check.probe)
        run = track.kept.probes.get(check.probe) or ProbeRun()
        track.kept.errors += check.result in checks.FAILURES
        finding = checks.observe(run, check, policy, planned=now < track.kept.repair_until)
        if run.bad:
            track.kept.probes[check.probe] = run
        else:
            track.kept.probes.pop(check.probe, None)
        unusual = self._latency(track, check, now)
        if finding is not None:
            told += self._bad(track, finding, now, errors_in_run=run.failures)
            track.remember([finding.fact])
            told += self._incidents.note(check.component, [finding.fact], now, errors=track.kept.errors)
        else:
            same = fingerprint(check.component, Method.PROBE, check.probe)
            if run.bad:
                self._incidents.doubt(same, now)
            else:
                told += self._incidents.good(same, check.at, now, needed=policy.clear_after, errors=track.kept.errors)
        self._seen.add(check.component)
        return [*told, *unusual, *self._healths(now)]

    def external(self, external: ExternalSeen, now: float) -> list[Effect]:
        """An incident as another system tells it; repeating oneself changes nothing but the count."""
        track = self._track(external.component)
        told = self._advance(now)
        subject = f"{external.source}/{external.external_id}"
        if external.firing:
            told += self._bad(track, _external_finding(external, subject), now, errors_in_run=0)
        else:
            closed = fingerprint(external.component, Method.EXTERNAL, subject)
            told += self._incidents.close(closed, external.at, now, errors=track.kept.errors)
        self._seen.add(external.component)
        return [*told, *self._healths(now)]

    def repair(self, component: str, now: float) -> list[Effect]:
        """A repair of the component has begun: for a while an exit is not news."""
        self._track(component).kept.repair_until = now + self._repair_grace_s
        return [*self._advance(now), *self._healths(now)]

    # ---- snapshot

    def snapshot(self) -> bytes:
        """Compressed JSON, about 400 bytes a series: readable by any tool when something must be looked into."""
        kept = Snapshot(
            SNAPSHOT_VERSION,
            self._advanced_at,
            self._tidied_at,
            [track.state() for track in self._tracks.values()],
            self._incidents.state(),
            waiting=sorted(self._seen),
            ticked_at=self._ticked_at,
            watched_from=self._watched_from,
        )
        return zlib.compress(_SNAPSHOTS.dump_json(kept), level=1)

    def restore(self, snapshot: bytes | None) -> None:
        """Raises SnapshotError when the bytes are not a snapshot of this version."""
        if snapshot is None:
            self._start(Snapshot(SNAPSHOT_VERSION))
            return
        try:
            kept = _SNAPSHOTS.validate_json(zlib.decompress(snapshot))
        except (ValidationError, zlib.error) as problem:
            raise SnapshotError(f"not a snapshot of detector state: {problem}") from problem
        if kept.version != SNAPSHOT_VERSION:
            raise SnapshotError(f"snapshot version {kept.version}, this release reads {SNAPSHOT_VERSION}")
        self._start(kept)

    def _start(self, kept: Snapshot) -> None:
        self._advanced_at, self._tidied_at = kept.advanced_at, kept.tidied_at
        self._ticked_at, self._watched_from = kept.ticked_at, kept.watched_from
        self._tracks = {each.name: ComponentTrack(each, self._watch.of(each.name)) for each in kept.components}
        self._incidents = Incidents(self._policy, self._priority, self._silence)
        self._incidents.restore(kept.incidents)
        self._seen = set(kept.waiting)

    # ---- inside

    def _track(self, component: str) -> ComponentTrack:
        track = self._tracks.get(component)
        if track is None:
            track = ComponentTrack(ComponentState(component), self._watch.of(component))
            self._tracks[component] = track
        return track

    def _priority(self, record: Record, burning: bool) -> str:
        worth = self._watch.worth.get((record.component, record.pattern))
        standing = self._watch.of(record.component).standing
        return priority(record.severity, standing, burning=burning, doubted=worth is not None and worth.doubted)

    def _silence(self, record: Record, now: float) -> str:
        return self._watch.silences.reason(record.component, record.pattern, record.labels, now)

    def _judged(self, track: ComponentTrack, verdicts: Verdicts | Told, at: float, now: float) -> list[IncidentRevised]:
        """What readings, their absence or time say of limits, objectives, expressions and siblings."""
        told: list[IncidentRevised] = []
        for finding in verdicts.bad:
            told += self._bad(track, finding, now, errors_in_run=0)
        for doubtful in verdicts.doubtful:
            self._incidents.doubt(doubtful, now)
        for good in verdicts.good:
            told += self._incidents.good(good, at, now, needed=CLEAR_AFTER, errors=track.kept.errors)
        track.asks.closed(self._incidents.is_open)
        return told

    def _tick(self, now: float) -> list[IncidentRevised]:
        """Time passes for the whole partition, whichever component the tick names."""
        if now - self._ticked_at > TICK_GAP_S:
            self._watched_from = now
        elif now - self._ticked_at < JUDGE_S:
            return []
        self._ticked_at = now
        told: list[IncidentRevised] = []
        for track in self._tracks.values():
            of_track = track.asks.tick(now, self._watched_from, self._watch.probes)
            told += self._judged(track, of_track, now, now)
            if of_track.bad or of_track.good:
                self._seen.add(track.name)
        return told

    def _latency(self, track: ComponentTrack, check: CheckSeen, now: float) -> list[AnomalyFound]:
        """How long an answer took is learned like any metric."""
        if check.latency_ms is None or check.result not in (Result.OK, Result.SLOW):
            return []
        reading = _Latency("probe_latency_ms", check.latency_ms, {"probe": check.probe})
        unusual = track.read([reading], check.at, now).unusual
        track.remember([_fact_of(anomaly) for anomaly in unusual])
        return unusual

    def _bad(self, track: ComponentTrack, finding: Finding, now: float, *, errors_in_run: int) -> list[IncidentRevised]:
        errors = track.kept.errors
        return self._incidents.bad(
            finding, now, errors=errors, error_base=errors - errors_in_run, context=track.context(finding.at)
        )

    def _advance(self, now: float) -> list[IncidentRevised]:
        if now - self._advanced_at < ADVANCE_S:
            return []
        self._advanced_at = now
        if now - self._tidied_at >= HOUSEKEEPING_S:
            self._tidied_at = now
            self._incidents.forget_past(now)
            for track in self._tracks.values():
                track.forget(now, IDLE_SERIES_S)
        told = self._incidents.advance(now, {name: track.kept.errors for name, track in self._tracks.items()})
        self._seen.update(revised.component for revised in told)
        return told

    def _healths(self, now: float) -> list[HealthChanged]:
        """Health of the components just seen, where there is news; an error count alone waits its turn."""
        told = []
        for component in sorted(self._seen):
            changed, waiting = self._health(self._tracks[component], now)
            if changed is not None:
                told.append(changed)
            if not waiting:
                self._seen.discard(component)
        return told

    def _health(self, track: ComponentTrack, now: float) -> tuple[HealthChanged | None, bool]:
        last, open_ = track.kept.health, self._incidents.of(track.name)
        budgets = track.asks.budgets(now)
        status = _status(max((record.severity.rank for record in open_), default=0))
        ids = tuple(record.id for record in open_)
        if status is last.status and ids == last.open_incidents:
            if track.kept.errors == last.error_count and budgets == last.budgets:
                return None, False
            if now - last.told_now < HEALTH_INTERVAL_S:
                return None, True
        if status is not last.status:
            last.status, last.since = status, now
        last.error_count, last.open_incidents, last.told_now = track.kept.errors, ids, now
        last.budgets = budgets
        return HealthChanged(track.name, status, last.since, track.kept.errors, ids, now, budgets), False


def _status(rank: int) -> HealthStatus:
    return (HealthStatus.HEALTHY, HealthStatus.WARNING, HealthStatus.CRITICAL)[rank]


def _fact_of(anomaly: AnomalyFound) -> Fact:
    labels = ",".join(f"{label}={value}" for label, value in sorted(anomaly.labels.items()))
    name = f"anomaly:{anomaly.metric}" + (f"{{{labels}}}" if labels else "")
    expected = f"{anomaly.low:.6g} to {anomaly.high:.6g}"
    return Fact(name, anomaly.observed, anomaly.at, anomaly.component, expected)


def _external_finding(external: ExternalSeen, subject: str) -> Finding:
    return Finding(
        component=external.component,
        method=Method.EXTERNAL,
        subject=subject,
        pattern=external.pattern,
        severity=external.severity,
        summary=external.summary,
        at=external.at,
        fact=Fact(subject, external.summary, external.at, external.component),
        labels={**external.labels, "source": external.source, "external_id": external.external_id},
        quiet_s=external.lasts_s,
    )
