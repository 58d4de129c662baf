"""The life of an incident: opened once, counted up in silence, told anew only when something new is known.

| state | bad observation | enough good ones | reopen window over |
|---|---|---|---|
| none | OPENED | – | – |
| open | counted; ESCALATED when more severe, EVIDENCE when something new | RESOLVED | – |
| resolved | REOPENED (same id); FLAPPING after some | – | forgotten |

An incident that comes back soon after it went is the same trouble, and one that keeps coming back has to stay away
for longer before it is believed (Nagios' and Alertmanager's flap damping, simplified to counting reopenings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid5

from services.detector.domain.signals import Fact, Finding, IncidentRevised, Method, Severity, Transition

NAMESPACE = UUID("6f1d9f6e-4a0c-5f7e-9d55-0f2f4b8f5a11")
MAX_EVIDENCE = 24
DAY_S = 86_400.0
REMEMBERED_DAYS = 30
MAX_REMEMBERED = 2_000
"""Fingerprints of a partition whose past is kept; the longest unseen are given up first."""


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """How restless an incident may be."""

    reopen_window_s: float = 120.0
    """A return within this time reopens the incident."""
    flapping_after: int = 3
    """Reopenings that make an incident flapping."""
    flapping_patience: int = 4
    """How many times more good observations a flapping incident needs."""
    evidence_interval_s: float = 1.0
    """Shortest time between two revisions that only add evidence."""
    stale_after_s: float = 3_600.0
    """An incident nobody has looked at for this long is over: its probe or rule no longer exists."""


@dataclass(slots=True)
class Record:
    """One incident, open or lately resolved."""

    id: str
    component: str
    fingerprint: str
    pattern: str
    method: Method
    severity: Severity
    summary: str
    opened_at: float
    last_seen_at: float
    seen_now: float
    """Server's time of the last observation, good or bad."""
    error_base: int
    labels: dict[str, str]
    revision: int = 0
    occurrences: int = 1
    resolved_at: float | None = None
    reopenings: int = 0
    good_run: int = 0
    clearing_since: float | None = None
    """Since when a flapping incident shows nothing bad, while it has not stayed away long enough to be resolved."""
    depth: int = 0
    quiet_s: float | None = None
    next_pattern: str = ""
    next_run: int = 0
    told_now: float = 0.0
    """Server's time of the last revision."""
    untold: bool = False
    evidence: dict[str, Fact] = field(default_factory=dict)
    since: float | None = None
    seen_before: int = 0
    last_time: float | None = None
    silenced: str = ""

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    def flapping(self, policy: IncidentPolicy) -> bool:
        return self.reopenings >= policy.flapping_after

    def add(self, facts: Iterable[Fact]) -> bool:
        """Keep the newest fact of each name; True when a name is new."""
        new = False
        for fact in facts:
            name = f"{fact.component}/{fact.name}"
            if name not in self.evidence:
                if len(self.evidence) >= MAX_EVIDENCE:
                    continue
                new = True
            self.evidence[name] = fact
        return new


@dataclass(slots=True)
class Past:
    """When the same trouble was new before: how often on each day, and when last."""

    days: dict[int, int] = field(default_factory=dict)
    last: float = 0.0

    def count(self, now: float) -> int:
        """Within the days that are remembered."""
        self.days = {day: count for day, count in self.days.items() if day > now // DAY_S - REMEMBERED_DAYS}
        return sum(self.days.values())

    def add(self, now: float) -> None:
        day = int(now // DAY_S)
        self.days[day] = self.days.get(day, 0) + 1
        self.last = now


@dataclass(frozen=True, slots=True)
class IncidentsState:
    """Everything there is to know, and the order in which open incidents are told."""

    records: list[Record] = field(default_factory=list)
    open_order: list[str] = field(default_factory=list)
    past: dict[str, Past] = field(default_factory=dict)


class Incidents:
    """All incidents of one partition. Methods give back the revisions to be told, in order."""

    def __init__(
        self,
        policy: IncidentPolicy,
        priority_of: Callable[[Record, bool], str] = lambda _record, _burning: "",
        silence_of: Callable[[Record, float], str] = lambda _record, _now: "",
    ) -> None:
        """`priority_of`: from an incident and whether an objective of its component burns; `silence_of`: why it is
        silenced at a time."""
        self.policy = policy
        self._priority_of = priority_of
        self._silence_of = silence_of
        self._past: dict[str, Past] = {}
        self._records: dict[str, Record] = {}
        self._open: dict[str, dict[str, Record]] = {}

    def of(self, component: str) -> tuple[Record, ...]:
        """Open incidents of a component, oldest first."""
        return tuple(self._open.get(component, {}).values())

    def is_open(self, fingerprint: str) -> bool:
        record = self._records.get(fingerprint)
        return record is not None and record.is_open

    def bad(
        self, finding: Finding, now: float, *, errors: int, error_base: int, context: Sequence[Fact] = ()
    ) -> list[IncidentRevised]:
        """A bad observation. `errors`: the component's count now; `error_base`: before this trouble began;
        `context`: what else was lately seen of the component, kept as evidence of a new incident."""
        record = self._records.get(finding.fingerprint)
        if (record is None or not record.is_open) and self._explained(finding):
            return self.note(finding.component, [finding.fact], now, errors=errors)
        if record is None:
            record = self._create(finding, now, error_base)
            record.add((finding.fact, *context))
            return [self._tell(record, Transition.OPENED, finding.at, now, errors)]
        record.last_seen_at = max(record.last_seen_at, finding.at)
        record.seen_now = now
        record.good_run = 0
        record.untold |= record.clearing_since is not None
        record.clearing_since = None
        record.occurrences += 1
        if not record.is_open:
            return [self._reopen(record, finding, now, errors, error_base, context)]
        return self._again(record, finding, now, errors)

    def good(self, fingerprint: str, at: float, now: float, *, needed: int, errors: int) -> list[IncidentRevised]:
        """A good observation; `needed` of them in a row resolve (more when flapping)."""
        record = self._records.get(fingerprint)
        if record is None or not record.is_open:
            return []
        record.seen_now = now
        record.good_run += 1
        patience = self.policy.flapping_patience if record.flapping(self.policy) else 1
        if record.good_run >= needed * patience:
            return [self._resolve(record, at, now, errors)]
        return self._clear(record, at, now, errors) if record.good_run >= needed else []

    def doubt(self, fingerprint: str, now: float) -> None:
        """Something bad that alone proves nothing: good observations in a row begin anew."""
        record = self._records.get(fingerprint)
        if record is not None and record.is_open:
            record.good_run = 0
            record.clearing_since = None
            record.seen_now = now

    def close(self, fingerprint: str, at: float, now: float, *, errors: int) -> list[IncidentRevised]:
        """Resolved by the word of its source. Saying so twice changes nothing."""
        record = self._records.get(fingerprint)
        if record is None or not record.is_open:
            return []
        record.seen_now = now
        return [self._resolve(record, at, now, errors)]

    def note(self, component: str, facts: Sequence[Fact], now: float, *, errors: int) -> list[IncidentRevised]:
        """Evidence for every open incident of the component."""
        told = []
        for record in self.of(component):
            record.untold |= record.add(facts)
            told += self._tell_if_due(record, now, errors)
        return told

    def advance(self, now: float, errors: Mapping[str, int]) -> list[IncidentRevised]:
        """What the passing of time alone brings: quiet and stale incidents end, held-back evidence is told."""
        told: list[IncidentRevised] = []
        for component in list(self._open):
            for record in self.of(component):
                record.untold |= record.silenced != self._silence_of(record, now)
                if self._is_over(record, now):
                    told.append(self._resolve(record, now, now, errors.get(component, 0)))
                elif record.quiet_s is not None and now - record.seen_now > record.quiet_s:
                    told += self._clear(record, now, now, errors.get(component, 0))
                else:
                    told += self._tell_if_due(record, now, errors.get(component, 0))
        self._forget(now)
        return told

    def _explained(self, finding: Finding) -> bool:
        return finding.depth > 0 and any(record.depth > finding.depth for record in self.of(finding.component))

    # ---- the transitions

    def _create(self, finding: Finding, now: float, error_base: int) -> Record:
        record = Record(
            id=str(uuid5(NAMESPACE, f"{finding.fingerprint}|{now:.6f}")),
            component=finding.component,
            fingerprint=finding.fingerprint,
            pattern=finding.pattern,
            method=finding.method,
            severity=finding.severity,
            summary=finding.summary,
            opened_at=finding.at,
            last_seen_at=finding.at,
            seen_now=now,
            error_base=error_base,
            labels=dict(finding.labels),
            depth=finding.depth,
            quiet_s=finding.quiet_s,
            since=finding.since,
        )
        past = self._past.setdefault(finding.fingerprint, Past())
        record.seen_before, record.last_time = past.count(now), past.last or None
        past.add(now)
        self._records[finding.fingerprint] = record
        self._open.setdefault(finding.component, {})[finding.fingerprint] = record
        return record

    def _reopen(
        self, record: Record, finding: Finding, now: float, errors: int, error_base: int, context: Sequence[Fact]
    ) -> IncidentRevised:
        record.resolved_at = None
        record.opened_at = finding.at
        record.reopenings += 1
        record.error_base = error_base
        record.pattern, record.severity, record.summary = finding.pattern, finding.severity, finding.summary
        record.next_run = 0
        record.depth, record.since = finding.depth, finding.since
        record.labels.update(finding.labels)
        record.evidence.clear()
        record.add((finding.fact, *context))
        self._open.setdefault(record.component, {})[record.fingerprint] = record
        return self._tell(record, Transition.REOPENED, finding.at, now, errors)

    def _again(self, record: Record, finding: Finding, now: float, errors: int) -> list[IncidentRevised]:
        record.quiet_s = finding.quiet_s
        new = record.add((finding.fact,))
        changed = self._take_pattern(record, finding)
        if finding.pattern == record.pattern and finding.severity.rank > record.severity.rank:
            record.severity, record.summary = finding.severity, finding.summary
            return [self._tell(record, Transition.ESCALATED, finding.at, now, errors)]
        if changed:
            return [self._tell(record, Transition.EVIDENCE, finding.at, now, errors)]
        if new or record.occurrences & (record.occurrences - 1) == 0:
            record.untold = True
        return self._tell_if_due(record, now, errors)

    def _take_pattern(self, record: Record, finding: Finding) -> bool:
        """A pattern is replaced only by one at least as severe that has been seen `confirm` times in a row: what is
        seen once in the middle of a repair, such as the exit before a restart, is not the trouble."""
        if finding.pattern == record.pattern or finding.severity.rank < record.severity.rank:
            record.next_run = 0
            return False
        record.next_run = record.next_run + 1 if finding.pattern == record.next_pattern else 1
        record.next_pattern = finding.pattern
        if record.next_run < finding.confirm:
            return False
        record.pattern, record.summary, record.next_run = finding.pattern, finding.summary, 0
        record.depth = max(record.depth, finding.depth)
        return True

    def _clear(self, record: Record, at: float, now: float, errors: int) -> list[IncidentRevised]:
        """Told once: what would resolve an incident that isn't flapping has happened to one that is."""
        if record.clearing_since is not None:
            return []
        record.clearing_since = at
        return [self._tell(record, Transition.EVIDENCE, at, now, errors)]

    def _resolve(self, record: Record, at: float, now: float, errors: int) -> IncidentRevised:
        record.resolved_at = max(at, record.opened_at)
        record.good_run = 0
        record.clearing_since = None
        of_component = self._open[record.component]
        del of_component[record.fingerprint]
        if not of_component:
            del self._open[record.component]
        return self._tell(record, Transition.RESOLVED, at, now, errors)

    def _is_over(self, record: Record, now: float) -> bool:
        silent_s = now - record.seen_now
        if record.quiet_s is not None:
            patience = self.policy.flapping_patience if record.flapping(self.policy) else 1
            return silent_s > record.quiet_s * patience
        return record.method is not Method.EXTERNAL and silent_s > self.policy.stale_after_s

    def _forget(self, now: float) -> None:
        gone = [
            key
            for key, record in self._records.items()
            if not record.is_open and now - record.told_now > self.policy.reopen_window_s
        ]
        for key in gone:
            del self._records[key]
        if len(self._past) > MAX_REMEMBERED:
            for key in sorted(self._past, key=lambda each: self._past[each].last)[: len(self._past) // 10]:
                del self._past[key]

    def forget_past(self, now: float) -> None:
        """Lets go of troubles that were not new within the days that are remembered."""
        self._past = {key: past for key, past in self._past.items() if past.count(now)}

    def _tell_if_due(self, record: Record, now: float, errors: int) -> list[IncidentRevised]:
        if not record.untold or now - record.told_now < self.policy.evidence_interval_s:
            return []
        return [self._tell(record, Transition.EVIDENCE, record.last_seen_at, now, errors)]

    def _tell(self, record: Record, transition: Transition, at: float, now: float, errors: int) -> IncidentRevised:
        record.revision += 1
        record.told_now = now
        record.untold = False
        record.silenced = self._silence_of(record, now)
        burning = any("/slo:" in other.fingerprint for other in self.of(record.component))
        return IncidentRevised(
            incident_id=UUID(record.id),
            revision=record.revision,
            transition=transition,
            component=record.component,
            fingerprint=record.fingerprint,
            pattern=record.pattern,
            method=record.method,
            severity=record.severity,
            summary=_with_past(record),
            at=at,
            opened_at=record.opened_at,
            last_seen_at=record.last_seen_at,
            resolved_at=record.resolved_at,
            occurrences=record.occurrences,
            error_count=max(0, errors - record.error_base),
            flapping=record.flapping(self.policy),
            clearing_since=record.clearing_since,
            evidence=tuple(record.evidence.values()),
            labels=dict(record.labels),
            since=record.since,
            priority=self._priority_of(record, burning),
            seen_before=record.seen_before,
            last_time=record.last_time,
            silenced=record.silenced,
        )

    # ---- snapshot

    def state(self) -> IncidentsState:
        records = list(self._records.values())
        order = [fingerprint for each in self._open.values() for fingerprint in each]
        return IncidentsState(records, order, self._past)

    def restore(self, state: IncidentsState) -> None:
        self._records = {record.fingerprint: record for record in state.records}
        self._open = {}
        for fingerprint in state.open_order:
            record = self._records[fingerprint]
            self._open.setdefault(record.component, {})[fingerprint] = record
        self._past = dict(state.past)


def _with_past(record: Record) -> str:
    if not record.seen_before or record.last_time is None:
        return record.summary
    last = datetime.fromtimestamp(record.last_time, UTC)
    times = "once" if record.seen_before == 1 else f"{record.seen_before} times"
    return f"{record.summary} ({times} before in {REMEMBERED_DAYS} days, last {last:%Y-%m-%d %H:%M} UTC)"
