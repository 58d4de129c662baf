"""What a pattern of trouble says by itself: which causes it suggests, and how it spreads to callers.

The weights are how often, by experience, the cause is behind the pattern. They are evidence to be combined with
other evidence, and `calibration` corrects what they lead to by what diagnoses turned out to be worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache

from shared.packs import Category


class Nature(StrEnum):
    """How a trouble looks from outside."""

    GONE = "gone"
    FROZEN = "frozen"
    REFUSED = "refused"
    SILENT = "silent"
    SLOW = "slow"
    ERRORS = "errors"
    DATABASE = "database"
    LIMITED = "limited"
    RESOURCE = "resource"
    OTHER = "other"


CONCLUSIVE = frozenset({Nature.GONE, Nature.FROZEN})
"""Known to be the component's own trouble without looking at any neighbour: diagnosed at once."""
MAY_COME_FROM_A_CALLEE = frozenset({Nature.SILENT, Nature.SLOW, Nature.ERRORS, Nature.OTHER})
"""A component that exits, or is full, or refuses connections does so by itself (requirement B29)."""
MAY_COME_FROM_OWN_CRASH = MAY_COME_FROM_A_CALLEE | {Nature.REFUSED, Nature.DATABASE}

HARM_TO_CALLERS: Mapping[Nature, float] = {
    Nature.GONE: 0.9,
    Nature.FROZEN: 0.9,
    Nature.REFUSED: 0.9,
    Nature.SILENT: 0.9,
    Nature.DATABASE: 0.85,
    Nature.ERRORS: 0.8,
    Nature.LIMITED: 0.75,
    Nature.SLOW: 0.7,
    Nature.OTHER: 0.6,
    Nature.RESOURCE: 0.5,
}
"""How likely a trouble of this nature is behind a caller's trouble that began with it."""

BUILT_IN_LOGS: Mapping[str, Category] = {
    "rate_limit": Category.RATE_LIMIT,
    "database_error": Category.DATABASE_CONNECTION,
    "api_error": Category.DEPENDENCY_FAILURE,
    "llm_error": Category.DEPENDENCY_FAILURE,
    "python_exception": Category.UNKNOWN,
}

_LOG_WEIGHTS = {Category.DEPENDENCY_FAILURE: 0.6, Category.TIMEOUT: 0.6, Category.UNKNOWN: 0.0}
_LOG_WEIGHT = 0.85
_LOG_NATURES: Mapping[Category, Nature] = {
    Category.RATE_LIMIT: Nature.LIMITED,
    Category.QUOTA: Nature.LIMITED,
    Category.DATABASE_CONNECTION: Nature.DATABASE,
    Category.POOL_STARVATION: Nature.DATABASE,
    Category.LOCK_CONTENTION: Nature.DATABASE,
    Category.TIMEOUT: Nature.SLOW,
    Category.RESOURCE_EXHAUSTION: Nature.RESOURCE,
    Category.MEMORY_LEAK: Nature.RESOURCE,
    Category.DISK: Nature.RESOURCE,
}

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Between the words of names as `HostOutOfDiskSpace`, which alarms of other systems have."""

type Causes = tuple[tuple[Category, float], ...]
type _Rule = tuple[frozenset[str], frozenset[str], Nature, Causes]


def _rule(words: str, nature: Nature, *causes: tuple[Category, float], beside: str = "") -> _Rule:
    return frozenset(words.split()), frozenset(beside.split()), nature, causes


_RULES: tuple[_Rule, ...] = (
    _rule("crashloop crashloopbackoff restarting", Nature.GONE, (Category.CRASH_LOOP, 0.93)),
    _rule("loop", Nature.GONE, (Category.CRASH_LOOP, 0.93), beside="crash crashing restart"),
    _rule("exited crash crashed", Nature.GONE, (Category.CRASH, 0.95)),
    _rule("stopped suspended paused", Nature.FROZEN, (Category.HANG, 0.92)),
    _rule("certificate cert tls x509 ssl", Nature.ERRORS, (Category.CERTIFICATE, 0.88)),
    _rule("dns resolve resolution nxdomain", Nature.ERRORS, (Category.DNS, 0.88)),
    _rule("clock skew ntp", Nature.ERRORS, (Category.CLOCK, 0.88)),
    _rule("config configuration misconfigured", Nature.ERRORS, (Category.CONFIGURATION, 0.8)),
    _rule("quota", Nature.LIMITED, (Category.QUOTA, 0.88)),
    _rule("ratelimit 429 throttled", Nature.LIMITED, (Category.RATE_LIMIT, 0.85)),
    _rule(
        "lock locks deadlock deadlocks blocked",
        Nature.DATABASE,
        (Category.LOCK_CONTENTION, 0.88),
        beside="postgres database db sql waiting wait contention",
    ),
    _rule("pool", Nature.DATABASE, (Category.POOL_STARVATION, 0.9)),
    _rule("postgres database db sql connections", Nature.DATABASE, (Category.DATABASE_CONNECTION, 0.88)),
    _rule("hotkey hotspot", Nature.RESOURCE, (Category.HOT_KEY, 0.85)),
    _rule("hot", Nature.RESOURCE, (Category.HOT_KEY, 0.85), beside="key keys partition shard"),
    _rule("disk filesystem inodes", Nature.RESOURCE, (Category.DISK, 0.9)),
    _rule("leak leaking", Nature.RESOURCE, (Category.MEMORY_LEAK, 0.88)),
    _rule("memory oom swap heap", Nature.RESOURCE, (Category.RESOURCE_EXHAUSTION, 0.85), (Category.MEMORY_LEAK, 0.3)),
    _rule(
        "cpu load overload saturation", Nature.RESOURCE, (Category.OVERLOAD, 0.8), (Category.RESOURCE_EXHAUSTION, 0.3)
    ),
    _rule("stuck overdue hung", Nature.SILENT, (Category.JOB_STUCK, 0.85), beside="job jobs task worker cron batch"),
    _rule("hang hung stuck deadlock semaphore", Nature.SILENT, (Category.HANG, 0.7), (Category.OVERLOAD, 0.2)),
    _rule("network packet packets link unroutable", Nature.REFUSED, (Category.NETWORK, 0.8)),
    _rule(
        "refused down unreachable", Nature.REFUSED, (Category.CRASH, 0.6), (Category.HANG, 0.1), (Category.NETWORK, 0.1)
    ),
    _rule("absent", Nature.SILENT, (Category.CRASH, 0.55), (Category.NETWORK, 0.3), beside="metrics probe"),
    _rule("timeout unresponsive", Nature.SILENT, (Category.TIMEOUT, 0.5), (Category.HANG, 0.45)),
    _rule("slow latency duration", Nature.SLOW, (Category.TIMEOUT, 0.5), (Category.OVERLOAD, 0.4)),
    _rule(
        "pending queue backlog lag",
        Nature.SLOW,
        (Category.OVERLOAD, 0.55),
        (Category.HANG, 0.3),
        (Category.JOB_STUCK, 0.3),
    ),
    _rule("stale invalid malformed schema nulls duplicates", Nature.ERRORS, (Category.DATA_QUALITY, 0.7)),
    _rule("deploy deployment release rollout", Nature.ERRORS, (Category.DEPLOYMENT, 0.7)),
    _rule(
        "error errors ratio 5xx unhealthy",
        Nature.ERRORS,
        (Category.DEPENDENCY_FAILURE, 0.3),
        (Category.CONFIGURATION, 0.25),
        (Category.OVERLOAD, 0.2),
    ),
)
"""Words of a pattern, the most telling first; the first rule with a word of the pattern, and with one of `beside`
where it has any, speaks."""

_MESSAGES: tuple[tuple[re.Pattern[str], Category, float], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), category, weight)
    for pattern, category, weight in (
        (r"crashloopbackoff|back-off restarting", Category.CRASH_LOOP, 0.8),
        (r"certificate (has )?expired|certificate verify failed|x509:", Category.CERTIFICATE, 0.8),
        (
            r"name or service not known|temporary failure in name resolution|nxdomain|no such host|getaddrinfo",
            Category.DNS,
            0.75,
        ),
        (r"clock skew|issued in the future|token used before issued|request time too skewed", Category.CLOCK, 0.75),
        (r"insufficient_quota|quota (was |is )?exceeded|exceeded (your|the) .{0,40}quota", Category.QUOTA, 0.8),
        (r"\b429\b|too many requests|rate limit", Category.RATE_LIMIT, 0.6),
        (r"deadlock detected|lock wait timeout|could not obtain lock|lock timeout", Category.LOCK_CONTENTION, 0.8),
        (
            r"queuepool limit|pool (is )?(exhausted|timed? ?out)|timeout acquiring .{0,20}connection",
            Category.POOL_STARVATION,
            0.8,
        ),
        (r"too many (clients|connections)|remaining connection slots", Category.DATABASE_CONNECTION, 0.75),
        (r"no space left on device|read-only file system|disk full", Category.DISK, 0.85),
        (r"out of memory|outofmemory|oom-?kill|cannot allocate memory", Category.RESOURCE_EXHAUSTION, 0.8),
        (r"hot (key|partition|shard)|provisionedthroughputexceeded", Category.HOT_KEY, 0.75),
        (r"network is unreachable|no route to host|connection reset by peer", Category.NETWORK, 0.55),
        (r"job .{0,60}(is )?stuck|heartbeat of job|job .{0,60}(has )?not finished", Category.JOB_STUCK, 0.7),
        (
            r"jsondecodeerror|violates (not-null|check|foreign key)|schema validation failed|invalid byte sequence",
            Category.DATA_QUALITY,
            0.55,
        ),
    )
)
"""What the text of an error line says, whatever the pack calls the line; the most telling first."""


def message_says(text: str) -> Iterator[tuple[Category, float]]:
    """Causes that a message names by itself, each once.

    >>> list(message_says("OSError: [Errno 28] No space left on device"))
    [(<Category.DISK: 'disk'>, 0.85)]
    """
    for pattern, category, weight in _MESSAGES:
        if pattern.search(text):
            yield category, weight


def prior(pattern: str, log_categories: Mapping[str, Category]) -> tuple[Nature, Causes]:
    """Nature of a pattern and the causes it suggests with their weights; none when it says nothing.

    >>> prior("process-exited", {})
    (<Nature.GONE: 'gone'>, ((<Category.CRASH: 'crash'>, 0.95),))
    """
    if pattern.startswith("log:"):
        return _log_prior(pattern.removeprefix("log:"), log_categories)
    declared = log_categories.get(pattern)
    return _general_prior(pattern) if declared is None else _rule_prior(pattern, declared)


@lru_cache(maxsize=4_096)
def _general_prior(pattern: str) -> tuple[Nature, Causes]:
    words = words_of(pattern)
    for telling, beside, nature, causes in _RULES:
        if telling & words and (not beside or beside & words):
            return nature, causes
    return Nature.OTHER, ()


def _log_prior(id_: str, declared: Mapping[str, Category]) -> tuple[Nature, Causes]:
    category = declared.get(id_, BUILT_IN_LOGS.get(id_, Category.UNKNOWN))
    weight = _LOG_WEIGHTS.get(category, _LOG_WEIGHT)
    return _LOG_NATURES.get(category, Nature.ERRORS), ((category, weight),) if weight else ()


def _rule_prior(pattern: str, declared: Category) -> tuple[Nature, Causes]:
    """Of a rule whose cause is declared: how it looks from outside is still in its name's words."""
    nature, _ = _general_prior(pattern)
    if nature is Nature.OTHER:
        nature = _LOG_NATURES.get(declared, Nature.ERRORS)
    return nature, ((declared, _LOG_WEIGHTS.get(declared, _LOG_WEIGHT)),)


def words_of(name: str) -> frozenset[str]:
    """The words of a pattern's or a metric's name.

    >>> sorted(words_of("postgres_locks_waiting-high"))
    ['high', 'locks', 'postgres', 'waiting']
    """
    text = _CAMEL.sub("-", name).lower().replace("rate_limit", "ratelimit").replace("rate-limit", "ratelimit")
    for separator in "_:./ ,=":
        text = text.replace(separator, "-")
    words = text.split("-")
    return frozenset(words) | ({"unresponsive"} if {"timed", "out"} <= set(words) else set())


def nature_of(pattern: str, log_categories: Mapping[str, Category]) -> Nature:
    return prior(pattern, log_categories)[0]


def is_conclusive(pattern: str) -> bool:
    """Whether to diagnose at once, without waiting for the neighbours' alarms."""
    return nature_of(pattern, {}) in CONCLUSIVE
