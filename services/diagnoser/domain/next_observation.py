"""What single further look would settle a doubtful diagnosis: the one that is expected to lower entropy the most.

The expected information gain of a yes-or-no question over candidate causes (Lindley 1956), from a table of how likely
the answer is yes under each cause. What has been answered already is not asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

from services.diagnoser.domain.evidence import Cause
from shared.packs import Category

THIN_BELOW = 0.7
"""From this confidence on nothing more needs to be looked at."""
LEAST_GAIN_BITS = 0.05
UNLIKELY = 0.05


@dataclass(frozen=True, slots=True)
class Observable:
    """A question with a yes or no. `yes`: how likely yes is under a cause (else `otherwise`). `answered_by`: words
    that stand in what was seen when it is answered with yes."""

    name: str
    question: str
    yes: Mapping[Category, float]
    otherwise: float = UNLIKELY
    answered_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NextObservation:
    """Where to look, and which cause the answer speaks for."""

    name: str
    component: str
    question: str
    gain_bits: float
    if_yes: Category
    if_no: Category


def _ask(name: str, question: str, words: str, otherwise: float = UNLIKELY, **yes: float) -> Observable:
    likely = {Category[category.upper()]: share for category, share in yes.items()}
    return Observable(name, question, likely, otherwise, frozenset(words.split()))


OBSERVABLES: Sequence[Observable] = (
    _ask("process-exited", "is the process of {0} gone?", "exited", 0.01, crash=0.97, crash_loop=0.8),
    _ask(
        "config-changed",
        "was the configuration of {0} changed in the 30 min before, untold?",
        "config",
        0.08,
        configuration=0.9,
    ),
    _ask(
        "deployed",
        "was {0} deployed in the 30 min before, untold?",
        "deployment",
        0.08,
        deployment=0.95,
        data_quality=0.2,
    ),
    _ask(
        "dependency-answers",
        "does anything that {0} calls fail or answer slowly?",
        "upstream",
        0.1,
        dependency_failure=0.95,
        third_party=0.9,
        timeout=0.6,
        rate_limit=0.3,
    ),
    _ask("cpu-saturated", "is the processor of {0} saturated?", "cpu", 0.1, overload=0.85, hot_key=0.4, hang=0.25),
    _ask(
        "memory-near-limit",
        "is the memory of {0} near its limit?",
        "memory oom",
        0.08,
        resource_exhaustion=0.7,
        memory_leak=0.95,
    ),
    _ask(
        "disk-full", "is a disk of {0} full or read-only?", "disk filesystem", 0.02, disk=0.97, resource_exhaustion=0.3
    ),
    _ask(
        "limited", "do the logs of {0} show 429 or a quota?", "429 ratelimit quota", 0.02, rate_limit=0.97, quota=0.95
    ),
    _ask(
        "database-answers",
        "do queries of {0} to its database fail?",
        "postgres database sql",
        0.04,
        database_connection=0.95,
        pool_starvation=0.7,
        lock_contention=0.5,
    ),
    _ask("locks-wait", "do queries of {0} wait for locks?", "lock locks", 0.03, lock_contention=0.95),
    _ask(
        "pool-used-up",
        "is the connection pool of {0} used up?",
        "pool",
        0.05,
        pool_starvation=0.97,
        lock_contention=0.4,
        database_connection=0.3,
    ),
    _ask(
        "progress",
        "does a thread dump of {0} show the same place twice?",
        "hung",
        0.1,
        hang=0.9,
        job_stuck=0.9,
        timeout=0.4,
        lock_contention=0.5,
    ),
    _ask("name-resolves", "does {0} fail to resolve the names it calls?", "dns", 0.01, dns=0.97, network=0.3),
    _ask(
        "certificate-valid",
        "has a certificate of {0} or of what it calls expired?",
        "certificate x509",
        0.01,
        certificate=0.97,
    ),
    _ask("packets-lost", "does {0} lose packets to what it calls?", "packet network", 0.03, network=0.9, dns=0.2),
    _ask("clock-off", "is the clock of {0} off by more than a second?", "clock", 0.01, clock=0.97),
    _ask("one-key", "does one key take most requests of {0}?", "hot", 0.05, hot_key=0.95),
    _ask(
        "bad-records",
        "do the failing requests of {0} share malformed data?",
        "schema malformed",
        0.05,
        data_quality=0.9,
    ),
)

_BASE: Mapping[Category, float] = {
    Category.CONFIGURATION: 3,
    Category.DEPLOYMENT: 3,
    Category.DEPENDENCY_FAILURE: 3,
    Category.OVERLOAD: 2,
    Category.CRASH: 2,
    Category.HANG: 1.5,
    Category.DATABASE_CONNECTION: 1.5,
    Category.RESOURCE_EXHAUSTION: 1.5,
    Category.TIMEOUT: 1,
}
_RARE = 0.4
_NOT_ASKED = frozenset({Category.UNKNOWN, Category.TUNING})


def is_thin(causes: Sequence[Cause]) -> bool:
    """Whether the evidence is too thin to settle on the first cause."""
    return causes[0].category is Category.UNKNOWN or causes[0].confidence < THIN_BELOW


def next_observation(
    component: str, causes: Sequence[Cause], seen: Collection[str], answered: Collection[str] = ()
) -> NextObservation | None:
    """`seen`: words of what has been seen of the component, `answered`: names of questions that are answered.

    None when the evidence isn't thin, or no question would help.
    """
    if not is_thin(causes):
        return None
    belief = beliefs(causes)
    words = frozenset(seen)
    asked = [
        (expected_gain_bits(belief, one), one)
        for one in OBSERVABLES
        if one.name not in answered and not one.answered_by & words
    ]
    gain, best = max(asked, key=lambda pair: (pair[0], pair[1].name), default=(0.0, None))
    if best is None or gain < LEAST_GAIN_BITS:
        return None
    yes, no = _after(belief, best, yes=True)[1], _after(belief, best, yes=False)[1]
    return NextObservation(best.name, component, best.question.format(component), round(gain, 3), _top(yes), _top(no))


def beliefs(causes: Iterable[Cause]) -> dict[Category, float]:
    """Confidences as one distribution; what is unknown is spread over all causes by how common they are."""
    known: dict[Category, float] = {}
    unknown = 0.0
    for cause in causes:
        if cause.category in _NOT_ASKED:
            unknown = max(unknown, cause.confidence)
        else:
            known[cause.category] = max(known.get(cause.category, 0.0), cause.confidence)
    shares = {category: _BASE.get(category, _RARE) for category in Category if category not in _NOT_ASKED}
    common = sum(shares.values())
    weights = {category: known.get(category, 0.0) + unknown * share / common for category, share in shares.items()}
    total = sum(weights.values()) or 1.0
    return {category: weight / total for category, weight in weights.items()}


def entropy_bits(belief: Mapping[Category, float]) -> float:
    return -sum(share * log2(share) for share in belief.values() if share > 0)


def expected_gain_bits(belief: Mapping[Category, float], observable: Observable) -> float:
    """Entropy now minus the entropy expected after the answer; never below 0 but for rounding."""
    after = sum(
        chance * entropy_bits(told) for chance, told in (_after(belief, observable, yes=y) for y in (True, False))
    )
    return entropy_bits(belief) - after


def _after(
    belief: Mapping[Category, float], observable: Observable, *, yes: bool
) -> tuple[float, dict[Category, float]]:
    """How likely the answer is, and what is believed after it (Bayes)."""
    joint = {}
    for category, share in belief.items():
        likely = observable.yes.get(category, observable.otherwise)
        joint[category] = share * (likely if yes else 1 - likely)
    chance = sum(joint.values())
    return chance, {category: share / chance for category, share in joint.items()} if chance else dict(belief)


def _top(belief: Mapping[Category, float]) -> Category:
    return max(belief, key=lambda category: (belief[category], category.value))
