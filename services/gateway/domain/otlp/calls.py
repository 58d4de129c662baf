"""Who calls whom, as spans tell it.

A call is seen at both its ends: the caller's span (CLIENT) may name whom it calls, and the callee's span (SERVER) has
the caller's as its parent. The latter is surer. The two ends come in different requests, in any order, so spans are
remembered for a while. What is forgotten, or came to another replica, is only not seen this time: calls come again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.gateway.domain.otlp.traces import SpanSeen

MAX_REMEMBERED = 200_000
MAX_WAITING = 50_000
MAX_SIBLINGS = 64
"""Children that wait for one parent."""
REMEMBER_S = 300.0


@dataclass(slots=True)
class Calls:
    """Calls from one component to another."""

    caller: str
    callee: str
    count: int = 0
    errors: int = 0
    duration_sum_s: float = 0.0
    newest_ns: int = 0
    _spans: list[bytes] = field(default_factory=list)

    def add(self, span: SpanSeen) -> None:
        self.count += 1
        self.errors += span.failed
        self.duration_sum_s += span.duration_s
        self.newest_ns = max(self.newest_ns, span.end_ns)
        self._spans.append(span.id)

    @property
    def identity(self) -> UUID:
        """The same for the same spans, however often they are sent."""
        digest = hashlib.blake2b(f"{self.caller}>{self.callee}".encode(), digest_size=16)
        for span in sorted(self._spans):
            digest.update(span)
        return UUID(bytes=digest.digest(), version=5)


@dataclass(slots=True)
class _Known:
    component: str
    told: str | None = None
    """Whom this span was already counted to call, by its own account."""


class _Recent[V]:
    """A mapping that forgets what was not put for a while: after `keep_s` to twice that, or when it grows too large."""

    def __init__(self, most: int, keep_s: float) -> None:
        self._half = max(1, most // 2)
        self._keep_s = keep_s
        self._turned_at_s = 0.0
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}

    def turn(self, now_s: float) -> None:
        if now_s - self._turned_at_s >= self._keep_s:
            self._old, self._young, self._turned_at_s = self._young, {}, now_s

    def get(self, key: bytes) -> V | None:
        known = self._young.get(key)
        return self._old.get(key) if known is None else known

    def put(self, key: bytes, value: V) -> None:
        self._young[key] = value
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}

    def pop(self, key: bytes) -> V | None:
        found = self._young.pop(key, None)
        older = self._old.pop(key, None)
        return older if found is None else found

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class CallMemory:
    """Remembers spans, and finds the calls that they show."""

    def __init__(self, most: int = MAX_REMEMBERED, most_waiting: int = MAX_WAITING, keep_s: float = REMEMBER_S) -> None:
        self._spans: _Recent[_Known] = _Recent(most, keep_s)
        self._waiting: _Recent[dict[bytes, SpanSeen]] = _Recent(most_waiting, keep_s)

    def observe(self, spans: Sequence[SpanSeen], now_s: float) -> list[Calls]:
        """The calls that became visible with these spans, those of each pair of components together."""
        self._spans.turn(now_s)
        self._waiting.turn(now_s)
        found: dict[tuple[str, str], Calls] = {}
        answered: set[bytes] = set()
        """Spans whose callee has told of itself."""
        for span in spans:
            known = self._spans.get(span.id)
            self._spans.put(span.id, _Known(span.component, known.told if known else None))
        for span in spans:
            self._upwards(span, found, answered)
        for span in spans:
            for child in (self._waiting.pop(span.id) or {}).values():
                self._connect(span.id, span.component, child, found, answered)
        for span in spans:
            if span.peer is not None and span.peer != span.component and span.id not in answered:
                _count(found, span.component, span.peer, span)
                self._spans.put(span.id, _Known(span.component, span.peer))
        return list(found.values())

    def __len__(self) -> int:
        """Spans remembered, and parents waited for."""
        return len(self._spans) + len(self._waiting)

    def _upwards(self, span: SpanSeen, found: dict[tuple[str, str], Calls], answered: set[bytes]) -> None:
        if span.parent_id is None or not span.waits:
            return
        parent = self._spans.get(span.parent_id)
        if parent is not None:
            self._connect(span.parent_id, parent.component, span, found, answered)
        elif span.served:  # within one process no parent is of another component
            waiting = self._waiting.get(span.parent_id) or {}
            self._waiting.put(span.parent_id, {**waiting, span.id: span} if len(waiting) < MAX_SIBLINGS else waiting)

    def _connect(
        self,
        parent_id: bytes,
        caller: str,
        child: SpanSeen,
        found: dict[tuple[str, str], Calls],
        answered: set[bytes],
    ) -> None:
        if caller == child.component:
            return
        answered.add(parent_id)
        parent = self._spans.get(parent_id)
        if parent is None or parent.told != child.component:
            _count(found, caller, child.component, child)


def _count(found: dict[tuple[str, str], Calls], caller: str, callee: str, span: SpanSeen) -> None:
    pair = (caller, callee)
    if pair not in found:
        found[pair] = Calls(caller, callee)
    found[pair].add(span)
