"""What a pattern of trouble says by itself: which causes it suggests, and how it spreads to callers.

The weights are how often, by experience, the cause is behind the pattern. They are evidence to be combined with
other evidence, and the learner corrects what they lead to by the record of each playbook.
"""

from __future__ import annotations

from collections.abc import Mapping
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

_RULES: tuple[tuple[frozenset[str], Nature, tuple[tuple[Category, float], ...]], ...] = (
    (frozenset({"exited", "crash", "crashed", "crashloop"}), Nature.GONE, ((Category.CRASH, 0.95),)),
    (frozenset({"stopped", "suspended", "paused"}), Nature.FROZEN, ((Category.HANG, 0.92),)),
    (frozenset({"config", "configuration", "misconfigured"}), Nature.ERRORS, ((Category.CONFIGURATION, 0.8),)),
    (frozenset({"ratelimit", "429", "throttled", "quota"}), Nature.LIMITED, ((Category.RATE_LIMIT, 0.85),)),
    (
        frozenset({"postgres", "database", "db", "sql", "connections", "pool"}),
        Nature.DATABASE,
        ((Category.DATABASE_CONNECTION, 0.88),),
    ),
    (frozenset({"disk", "filesystem", "inodes"}), Nature.RESOURCE, ((Category.RESOURCE_EXHAUSTION, 0.9),)),
    (frozenset({"memory", "oom", "swap", "heap"}), Nature.RESOURCE, ((Category.RESOURCE_EXHAUSTION, 0.85),)),
    (
        frozenset({"cpu", "load", "overload", "saturation"}),
        Nature.RESOURCE,
        ((Category.OVERLOAD, 0.8), (Category.RESOURCE_EXHAUSTION, 0.3)),
    ),
    (
        frozenset({"hang", "hung", "stuck", "deadlock", "semaphore"}),
        Nature.SILENT,
        ((Category.HANG, 0.7), (Category.OVERLOAD, 0.2)),
    ),
    (frozenset({"refused", "down", "unreachable"}), Nature.REFUSED, ((Category.CRASH, 0.6), (Category.HANG, 0.1))),
    (frozenset({"timeout", "unresponsive"}), Nature.SILENT, ((Category.TIMEOUT, 0.5), (Category.HANG, 0.45))),
    (frozenset({"slow", "latency", "duration"}), Nature.SLOW, ((Category.TIMEOUT, 0.5), (Category.OVERLOAD, 0.4))),
    (
        frozenset({"pending", "queue", "backlog", "lag"}),
        Nature.SLOW,
        ((Category.OVERLOAD, 0.55), (Category.HANG, 0.3)),
    ),
    (frozenset({"deploy", "deployment", "release", "rollout"}), Nature.ERRORS, ((Category.DEPLOYMENT, 0.7),)),
    (
        frozenset({"error", "errors", "ratio", "5xx", "unhealthy"}),
        Nature.ERRORS,
        ((Category.DEPENDENCY_FAILURE, 0.3), (Category.CONFIGURATION, 0.25), (Category.OVERLOAD, 0.2)),
    ),
)
"""Words of a pattern, the most telling first; the first rule with a word of the pattern speaks."""


def prior(pattern: str, log_categories: Mapping[str, Category]) -> tuple[Nature, tuple[tuple[Category, float], ...]]:
    """Nature of a pattern and the causes it suggests with their weights; none when it says nothing.

    >>> prior("process-exited", {})
    (<Nature.GONE: 'gone'>, ((<Category.CRASH: 'crash'>, 0.95),))
    """
    if pattern.startswith("log:"):
        return _log_prior(pattern.removeprefix("log:"), log_categories)
    return _general_prior(pattern)


@lru_cache(maxsize=4_096)
def _general_prior(pattern: str) -> tuple[Nature, tuple[tuple[Category, float], ...]]:
    words = _words(pattern)
    for telling, nature, causes in _RULES:
        if telling & words:
            return nature, causes
    return Nature.OTHER, ()


def _log_prior(id_: str, declared: Mapping[str, Category]) -> tuple[Nature, tuple[tuple[Category, float], ...]]:
    category = declared.get(id_, BUILT_IN_LOGS.get(id_, Category.UNKNOWN))
    nature = {
        Category.RATE_LIMIT: Nature.LIMITED,
        Category.DATABASE_CONNECTION: Nature.DATABASE,
        Category.TIMEOUT: Nature.SLOW,
        Category.RESOURCE_EXHAUSTION: Nature.RESOURCE,
    }.get(category, Nature.ERRORS)
    weight = _LOG_WEIGHTS.get(category, _LOG_WEIGHT)
    return nature, ((category, weight),) if weight else ()


def _words(pattern: str) -> frozenset[str]:
    text = pattern.lower().replace("rate_limit", "ratelimit").replace("rate-limit", "ratelimit")
    for separator in "_:./ ":
        text = text.replace(separator, "-")
    words = text.split("-")
    return frozenset(words) | ({"unresponsive"} if {"timed", "out"} <= set(words) else set())


def nature_of(pattern: str, log_categories: Mapping[str, Category]) -> Nature:
    return prior(pattern, log_categories)[0]


def is_conclusive(pattern: str) -> bool:
    """Whether to diagnose at once, without waiting for the neighbours' alarms."""
    return nature_of(pattern, {}) in CONCLUSIVE
