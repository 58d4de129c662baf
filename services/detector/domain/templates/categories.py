"""What an error line is about, from its words, and what usually helps (requirements B12 and B13)."""

from __future__ import annotations

import re

UNKNOWN = "unknown"
_CATEGORIES = (
    ("rate-limit", r"rate.?limit|too many requests|throttl|quota exceeded|\b429\b"),
    (
        "authentication",
        r"\bauth\w*|unauthori[sz]ed|forbidden|permission denied|access denied|invalid (user|token)|password",
    ),
    ("memory", r"out of memory|\boom\b|OutOfMemory|cannot allocate|heap space|MemoryError"),
    ("disk", r"no space left|disk (is )?full|read-only file ?system|i/o error|input/output error|quota.*disk|inode"),
    (
        "database",
        r"database|\bsql|deadlock|duplicate key|relation .* does not exist|postgres|mysql|sqlite|connection slots",
    ),
    ("timeout", r"time[d]?[ -]?out|deadline exceeded|took too long"),
    (
        "network",
        r"connection (refused|reset|closed|broken|aborted)|broken pipe|no route to host|unreachable|dns|name resolution"
        r"|no such host|link (is )?down|severed|upstream|socket",
    ),
    (
        "configuration",
        r"config\w*|missing (key|setting|environment|variable)|invalid (option|value|setting)|no such option",
    ),
    ("api", r"\b(4\d\d|5\d\d)\b.*(error|client|server|status)|bad gateway|service unavailable|internal server error"),
    ("code", r"traceback|exception|\w+Error\b|null ?pointer|panic|segfault|assert"),
)
"""The first that fits: what is most telling stands first."""
_COMPILED = tuple((name, re.compile(words, re.IGNORECASE)) for name, words in _CATEGORIES)
ADVICE = {
    "rate-limit": "call less often, back off, or ask for a higher limit",
    "authentication": "check credentials, their expiry and permissions",
    "memory": "look for a leak, or raise the memory limit",
    "disk": "free space or mount it writable; look for what grows",
    "database": "check that the database answers, its connections and its schema",
    "timeout": "look at what is waited for; then at the time-out",
    "network": "check that the other side runs and can be reached",
    "configuration": "compare the configuration with the last one that worked",
    "api": "look at the service that answers with the error",
    "code": "look at the stack trace and at the last deployment",
    UNKNOWN: "read the lines around it",
}


def category(message: str) -> str:
    """
    >>> category("FATAL: remaining connection slots are reserved"), category("dial tcp: connection refused")
    ('database', 'network')
    """
    for name, words in _COMPILED:
        if words.search(message):
            return name
    return UNKNOWN
