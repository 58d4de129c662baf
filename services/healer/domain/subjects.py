"""Subjects of NATS, and the patterns that allow them."""

from __future__ import annotations


def allows(pattern: str, subject: str) -> bool:
    """Whether a pattern of NATS means this subject: `*` is any one token, `>` at the end one or more.

    What begins with `$` or `_INBOX` is the server's own, and only allowed by a pattern that says so.

    >>> allows("cache.*.flush", "cache.eu.flush"), allows("cache.>", "cache"), allows(">", "$SYS.REQ.SERVER.PING")
    (True, False, False)
    """
    wanted, tokens = pattern.split("."), subject.split(".")
    if (tokens[0].startswith("$") or tokens[0] == "_INBOX") and wanted[0] != tokens[0]:
        return False
    for position, part in enumerate(wanted):
        if part == ">":
            return position == len(wanted) - 1 and len(tokens) > position
        if position >= len(tokens) or part not in ("*", tokens[position]):
            return False
    return len(wanted) == len(tokens)
