"""Who may do what: roles in order, and tokens that are kept only as their hash."""

from __future__ import annotations

import hashlib
from enum import IntEnum, StrEnum

MIN_TOKEN_CHARS = 24
"""Shorter tokens could be guessed from their hash."""
_PREFIX = "hs_"


class Role(StrEnum):
    """What a token may do. `viewer` reads, `operator` acts, `admin` also manages packs and tokens."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class _Rank(IntEnum):
    VIEWER = 0
    OPERATOR = 1
    ADMIN = 2


class Refusal(StrEnum):
    """Why a request was turned away."""

    NO_TOKEN = "no-token"  # noqa: S105 - a reason, not a token
    UNKNOWN_TOKEN = "unknown-token"  # noqa: S105 - a reason, not a token
    EXPIRED_TOKEN = "expired-token"  # noqa: S105 - a reason, not a token
    ROLE_TOO_LOW = "role-too-low"


def allows(role: Role, needed: Role) -> bool:
    """Whether a token of `role` may do what needs `needed`: each role may all that the one below may."""
    return _Rank[role.name] >= _Rank[needed.name]


def new_token(entropy: bytes) -> str:
    """A token from 32 random bytes; the prefix lets secret scanners recognise it."""
    if len(entropy) < 32:
        raise ValueError("a token needs 32 random bytes")
    return _PREFIX + entropy.hex()


def token_hash(token: str) -> bytes:
    """What is stored. Plain SHA-256 is enough for random tokens: there is no dictionary to try."""
    return hashlib.sha256(token.encode()).digest()
