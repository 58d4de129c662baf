"""The domain's partition state behind the kernel's interface for folds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from services.detector.domain.fold import PartitionState, SnapshotError
from services.detector.domain.signals import Effect
from services.detector.handlers import wire
from shared.contracts.base import Event
from shared.contracts.ingest import Change, ChangeKind, Check, ExternalIncident, LogBatch, MetricBatch

log = structlog.get_logger()

KINDS = ("metrics", "logs", "checks", "incidents", "changes")
"""Telemetry the fold reads."""


class WireFold:
    """Gives each message to the partition's state in the domain's words."""

    def __init__(self, state: PartitionState) -> None:
        self.state = state

    def restore(self, snapshot: bytes | None) -> None:
        """A snapshot of another release is given up: what is usual is learned anew, and what is still wrong is
        found again within a few observations."""
        try:
            self.state.restore(snapshot)
        except SnapshotError as error:
            log.warning("detector state can't be read; starting afresh", error=str(error))
            self.state.restore(None)

    def snapshot(self) -> bytes:
        return self.state.snapshot()

    def apply(self, event: Event, at: datetime) -> Sequence[Effect]:
        now = at.timestamp()
        match event:
            case MetricBatch():
                return self.state.metrics(event.component, event.samples, event.at.timestamp(), now)
            case Check():
                return self.state.check(wire.check_seen(event, now), now)
            case LogBatch():
                return self.state.logs(event.component, event.lines, min(event.at.timestamp(), now), now)
            case ExternalIncident():
                return self.state.external(wire.external_seen(event, now), now)
            case Change(kind=ChangeKind.REPAIR):
                return self.state.repair(event.component, now)
            case _:
                return ()
