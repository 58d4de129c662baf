"""The log patterns of one component: how often each came, its last example and the lines around it, and what of it
is news: an error never seen before, a burst, a silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.detector.domain.signals import Fact, PatternsSeen, SeenPattern, Severity
from services.detector.domain.templates.categories import category
from services.detector.domain.templates.miner import Miner, MinerState
from services.detector.domain.templates.rates import MINUTE_S, Rate

EXAMPLE_LENGTH = 300
AROUND, AROUND_LENGTH = 3, 200
"""Lines kept before and after an error, and characters of each."""
MOST_FACTS = 4
"""Facts of one batch."""
WARM_LINES, WARM_S = 200, 300.0
"""A component is known well enough for an error to be new after so many lines and so long."""
TELL_S = 10.0
"""Shortest time between two tellings of a component's patterns."""
MOST_TOLD = 100
"""Patterns in one telling; the rest follow in the next."""
FATAL = frozenset({"critical", "crit", "fatal", "alert", "emergency", "panic"})
GRAVE = frozenset({"memory", "disk", "database"})


@dataclass(frozen=True, slots=True)
class Noted:
    """A line as the book needs it. `known` is the category that a more specific rule gave, or nothing."""

    message: str
    level: str
    error: bool
    at: float
    known: str | None = None


@dataclass(slots=True)
class Pattern:
    """What is kept of one template beside its words."""

    id: int
    first_at: float
    last_at: float
    category: str
    count: int = 0
    errors: int = 0
    fatal: bool = False
    example: str = ""
    untold: bool = True
    rate: Rate = field(default_factory=Rate)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def severity(self) -> Severity | None:
        """None for what is no error."""
        if not self.errors:
            return None
        return Severity.CRITICAL if self.fatal or self.category in GRAVE else Severity.WARNING


@dataclass(slots=True)
class BookState:
    """What is remembered of a component's log, for the snapshot."""

    miner: MinerState = field(default_factory=MinerState)
    patterns: list[Pattern] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    """Merged or forgotten since the last telling."""
    last_lines: list[str] = field(default_factory=list)
    last_ids: list[int] = field(default_factory=list)
    """The newest lines, and the pattern of each."""
    following: int = 0
    """Pattern whose following lines are being kept; 0: none."""
    started_now: float = 0.0
    told_now: float = 0.0
    looked_now: float = 0.0


class LogBook:
    """`state()` and the constructor are inverse to each other."""

    def __init__(self, state: BookState) -> None:
        self._kept = state
        self._miner = Miner(state.miner)
        self._patterns = {pattern.id: pattern for pattern in state.patterns}

    def state(self) -> BookState:
        self._kept.miner = self._miner.state()
        self._kept.patterns = list(self._patterns.values())
        return self._kept

    def read(self, component: str, lines: Sequence[Noted], now: float) -> list[Fact]:
        """Learn lines; what of them is evidence."""
        kept = self._kept
        kept.started_now = kept.started_now or now
        facts: dict[str, Fact] = {}
        for line in lines:
            pattern, is_new = self._pattern(line)
            burst = pattern.rate.add(now)
            for fact in self._facts(component, pattern, line, now, is_new=is_new, burst=burst):
                facts[fact.name] = fact
        for fact in self._silences(component, now):
            facts[fact.name] = fact
        return list(facts.values())[:MOST_FACTS]

    def news(self, component: str, now: float) -> PatternsSeen | None:
        """What changed since the last telling, when one is due."""
        kept = self._kept
        if now - kept.told_now < TELL_S:
            return None
        changed = sorted(
            (each for each in self._patterns.values() if each.untold), key=lambda each: each.errors, reverse=True
        )
        told = changed[:MOST_TOLD]
        if not told and not kept.gone:
            return None
        for each in told:
            each.untold = False
        gone, kept.gone, kept.told_now = tuple(kept.gone), [], now
        return PatternsSeen(component, tuple(self._seen(each) for each in told), gone, now)

    # ---- inside

    def _pattern(self, line: Noted) -> tuple[Pattern, bool]:
        kept = self._kept
        template, merged = self._miner.add(line.message)
        pattern = self._patterns.get(template.id)
        is_new = pattern is None
        if pattern is None:
            pattern = Pattern(template.id, line.at, line.at, line.known or category(line.message))
            self._patterns[template.id] = pattern
            self._forget()
        for id_ in merged:
            self._join(pattern, id_)
        pattern.count += 1
        pattern.last_at = max(pattern.last_at, line.at)
        pattern.untold = True
        pattern.example = line.message[:EXAMPLE_LENGTH]
        self._around(pattern, line)
        if line.error:
            pattern.errors += 1
            pattern.fatal |= line.level.lower() in FATAL
            if line.known is not None:
                pattern.category = line.known
        kept.last_lines = [*kept.last_lines, line.message[:AROUND_LENGTH]][-AROUND:]
        kept.last_ids = [*kept.last_ids, pattern.id][-AROUND:]
        return pattern, is_new and not merged

    def _join(self, pattern: Pattern, id_: int) -> None:
        other = self._patterns.pop(id_, None)
        self._kept.gone.append(id_)
        if other is None:
            return
        pattern.count += other.count
        pattern.errors += other.errors
        pattern.fatal |= other.fatal
        pattern.first_at = min(pattern.first_at, other.first_at)
        pattern.rate = max(pattern.rate, other.rate, key=lambda rate: rate.minutes)

    def _around(self, pattern: Pattern, line: Noted) -> None:
        kept = self._kept
        followed = self._patterns.get(kept.following)
        if line.error and pattern.id not in kept.last_ids:  # one that repeats itself is not its own context
            pattern.before, pattern.after, kept.following = list(kept.last_lines), [], pattern.id
        elif followed is not None:
            followed.after.append(line.message[:AROUND_LENGTH])
            if len(followed.after) >= AROUND:
                kept.following = 0

    def _forget(self) -> None:
        """The miner decides what is worth remembering."""
        forgotten = [id_ for id_ in self._patterns if self._miner.words(id_) is None]
        for id_ in forgotten:
            del self._patterns[id_]
        self._kept.gone += forgotten

    def _facts(
        self, component: str, pattern: Pattern, line: Noted, now: float, *, is_new: bool, burst: bool
    ) -> list[Fact]:
        kept, facts = self._kept, []
        warm = kept.miner.lines > WARM_LINES and now - kept.started_now > WARM_S
        if is_new and warm and line.error:
            expected = f"not among {kept.miner.lines} lines before"
            facts.append(Fact(f"log-new:{pattern.category}", pattern.example, line.at, component, expected))
        elif line.error and line.known is None:
            told = f"{pattern.errors} so far: {pattern.example}"
            facts.append(Fact(f"log-error:{pattern.category}", told, line.at, component))
        if burst:
            told = f"{pattern.rate.count} within a minute: {pattern.example}"
            expected = f"at most {pattern.rate.most:.0f}"
            facts.append(Fact(f"log-rate:{pattern.id}", told, line.at, component, expected))
        return facts

    def _silences(self, component: str, now: float) -> list[Fact]:
        if now - self._kept.looked_now < MINUTE_S:
            return []
        self._kept.looked_now = now
        return [
            Fact(f"log-rate:{each.id}", f"none: {each.example}", now, component, f"about {each.rate.mean:.0f} a minute")
            for each in self._patterns.values()
            if each.rate.gone_quiet(now)
        ]

    def _seen(self, pattern: Pattern) -> SeenPattern:
        return SeenPattern(
            pattern.id,
            " ".join(self._miner.words(pattern.id) or ()),
            pattern.count,
            pattern.errors,
            pattern.rate.mean,
            pattern.first_at,
            pattern.last_at,
            pattern.category,
            pattern.severity,
            pattern.example,
            tuple(pattern.before),
            tuple(pattern.after),
        )
