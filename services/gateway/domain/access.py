"""Who may do what: roles, and tokens that are kept only as their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

from shared.packs.playbook import ALL_PERMISSIONS

MIN_TOKEN_CHARS = 24
"""Shorter tokens could be guessed from their hash."""
_PREFIX = "hs_"


class Role(StrEnum):
    """What a token may do. `viewer` reads, `operator` acts, `admin` also manages packs and tokens; `sender` reports
    metrics, alerts and events and may do nothing else: its token lies in other systems' configuration."""

    VIEWER = "viewer"
    SENDER = "sender"
    OPERATOR = "operator"
    ADMIN = "admin"


_MAY = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.SENDER: frozenset({Role.SENDER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.SENDER, Role.OPERATOR}),
    Role.ADMIN: frozenset(Role),
}


class Refusal(StrEnum):
    """Why a request was turned away."""

    NO_TOKEN = "no-token"  # noqa: S105 - a reason, not a token
    UNKNOWN_TOKEN = "unknown-token"  # noqa: S105 - a reason, not a token
    EXPIRED_TOKEN = "expired-token"  # noqa: S105 - a reason, not a token
    ROLE_TOO_LOW = "role-too-low"


def allows(role: Role, needed: Role) -> bool:
    """Whether a token of `role` may do what needs `needed`."""
    return needed in _MAY[role]


def permissions_of(role: Role, given: Sequence[str]) -> tuple[str, ...]:
    """What playbooks ask for that a bearer may do: an admin everything, an operator what the token was given."""
    if role is Role.ADMIN:
        return (ALL_PERMISSIONS,)
    return tuple(given) if role is Role.OPERATOR else ()


def new_token(entropy: bytes) -> str:
    """A token from 32 random bytes; the prefix lets secret scanners recognise it."""
    if len(entropy) < 32:
        raise ValueError("a token needs 32 random bytes")
    return _PREFIX + entropy.hex()


def token_hash(token: str) -> bytes:
    """What is stored. Plain SHA-256 is enough for random tokens: there is no dictionary to try."""
    return hashlib.sha256(token.encode()).digest()
