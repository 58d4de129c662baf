"""Stores that answer by key: Redis."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from shared.packs.base import Part, parse_quantity
from shared.packs.component import RedisAddress, SecretRef

_GLOB = re.compile(r"[*?\[\\]")
_SIZE = re.compile(r"\d+(?:\.\d+)?\s*(?:[KMGT]i?)?B?")
type RedisParameter = Literal[
    "activedefrag",
    "appendfsync",
    "hz",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "maxmemory-samples",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "tcp-keepalive",
    "timeout",
]
"""What an incident may call for. Nothing that names files, addresses, passwords, modules or commands."""


class OnRedis(Part):
    url: RedisAddress

    @property
    def target(self) -> str:
        """What tells it from others, without anything secret."""
        return self.url if not isinstance(self.url, SecretRef) else self.url.env or self.url.file or ""


class RedisInvalidate(OnRedis):
    """Deletes the keys that match a pattern, after a copy of each with its time to live."""

    pattern: Annotated[str, Field(min_length=1, max_length=500)]
    """As SCAN reads it: `*`, `?`, `[ab]`. It begins with plain text, which says whose keys they are."""
    max_keys: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Where more match, nothing is deleted."""

    @field_validator("pattern")
    @classmethod
    def _begins_with_text(cls, value: str) -> str:
        if _GLOB.match(value):
            raise ValueError(f"{value!r} could be any key: begin the pattern with plain text, as in `catalog:*`")
        return value


class RedisConfigSet(OnRedis):
    """Sets one parameter of a running Redis; its configuration file stays as it is."""

    parameter: RedisParameter
    value: str | int
    """`maxmemory` is a quantity such as 400Mi; everything else as Redis writes it."""

    @model_validator(mode="after")
    def _is_a_quantity(self) -> RedisConfigSet:
        text = str(self.value)
        if self.parameter == "maxmemory" and "${" not in text and not _SIZE.fullmatch(text):
            raise ValueError(f"{self.value!r} is not a quantity: write a number of bytes, or 400Mi")
        return self

    @property
    def plain_value(self) -> str:
        """As CONFIG GET gives it back."""
        if self.parameter == "maxmemory" and str(self.value) != "0":
            return str(int(parse_quantity(self.value)))
        return str(self.value)
