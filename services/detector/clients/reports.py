"""What a probe may say, and the one way of saying it: as telemetry, like any other publisher."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid5

from shared.contracts.base import Event
from shared.contracts.ingest import (
    Change,
    ChangeKind,
    Check,
    CheckKind,
    CheckResult,
    LogBatch,
    LogLine,
    MetricBatch,
    Sample,
)

MAX_SAMPLES = 1_000
MAX_DETAIL = 300
MAX_BATCH_CHARS = 262_144
"""A batch stays well below the stream's limit of a message."""
_CHANGES = UUID("0d4b1c5e-7a55-5d2c-8f6f-5a7d3f1b9c04")


class Memory(Protocol):
    """What is kept over restarts: what watched files were when last looked at, and how far logs have been read."""

    async def recall(self, probe: str) -> str | None:
        """SHA-256 in hex; empty when the file wasn't there; None at first sight."""

    async def remember(self, probe: str, sha256: str) -> None: ...

    async def recall_position(self, probe: str) -> str | None:
        """In the probe's own words; None at first sight."""

    async def remember_position(self, probe: str, position: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of one look."""

    result: CheckResult
    latency_ms: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reports:
    """Publishes for probes. Errors of publishing are the caller's: a probe looks again."""

    publish: Callable[[Event], Awaitable[None]]
    clock: Callable[[], datetime]
    ids: Callable[[], UUID]

    async def check(self, component: str, probe: str, kind: CheckKind, seen: Seen) -> None:
        await self.publish(
            Check(
                id=self.ids(),
                at=self.clock(),
                component=component,
                probe=probe,
                kind=kind,
                result=seen.result,
                latency_ms=seen.latency_ms,
                detail=seen.detail[:MAX_DETAIL],
            )
        )

    async def metrics(self, component: str, samples: Sequence[Sample]) -> None:
        at = self.clock()
        for start in range(0, len(samples), MAX_SAMPLES):
            part = tuple(samples[start : start + MAX_SAMPLES])
            await self.publish(MetricBatch(id=self.ids(), at=at, component=component, samples=part))

    async def logs(self, component: str, lines: Iterable[LogLine]) -> None:
        batch: list[LogLine] = []
        size = 0
        for line in lines:
            batch.append(line)
            size += len(line.message) + 200
            if size > MAX_BATCH_CHARS:
                await self._logs(component, batch)
                batch, size = [], 0
        if batch:
            await self._logs(component, batch)

    async def _logs(self, component: str, lines: Sequence[LogLine]) -> None:
        await self.publish(LogBatch(id=self.ids(), at=self.clock(), component=component, lines=tuple(lines)))

    async def file_changed(self, component: str, path: str, before: str, after: str, at: datetime) -> None:
        """Telling the same change twice, as after a restart in between, gives the same id."""
        what = "appeared" if not before else ("was removed" if not after else "changed")
        await self.publish(
            Change(
                id=uuid5(_CHANGES, f"{component}|{path}|{before}|{after}|{at.timestamp():.3f}"),
                at=at,
                component=component,
                kind=ChangeKind.CONFIG,
                summary=f"{path} {what}"[:1024],
                ref=path,
                before=before,
                after=after,
            )
        )


def gauges(values: dict[str, float], **labels: str) -> list[Sample]:
    return [Sample(name=name, value=value, labels=labels) for name, value in values.items()]
