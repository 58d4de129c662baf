"""Wires the detector: partitions of telemetry, packs, probes."""

from __future__ import annotations

from datetime import timedelta

from services.detector import store
from services.detector.clients import ProbeRunner, Reports
from services.detector.domain.incidents import IncidentPolicy
from services.detector.handlers import Handlers, StormWatch, WireFold
from services.detector.handlers.files import RememberedFiles
from services.detector.handlers.fold import KINDS
from services.detector.settings import Settings
from shared.contracts.detector import LogPatternsRequest
from shared.contracts.gateway import Silence
from shared.contracts.healer import RunProgress, SweepRequest
from shared.contracts.learner import AlarmRecord
from shared.runtime import Service, serve

TICK_S = 2.0
HEARTBEAT_S = 10.0
STORM_LOOK_S = 1.0


def build(settings: Settings) -> Service:
    service = Service("detector", settings, store.Base.metadata)
    reports = Reports(service.bus.publish, service.clock, service.ids)
    runner = ProbeRunner(reports, RememberedFiles(service.units), settings.detector_probe_concurrency)
    handlers = Handlers(
        packs=service.packs,
        runner=runner,
        publish=service.bus.publish,
        ids=service.ids,
        policy=IncidentPolicy(
            reopen_window_s=settings.detector_reopen_window_s, flapping_after=settings.detector_flapping_after
        ),
        repair_grace_s=settings.detector_repair_grace_s,
        retention=timedelta(days=settings.incident_retention_days),
        probes_on=settings.detector_probes,
    )
    consumer = service.partitions(
        kinds=KINDS,
        make=handlers.make_fold,
        commit=handlers.commit,
        on_owned=handlers.partitions_changed,
        buries_unreadable=True,
    )
    handlers.folds = lambda: [fold for fold in consumer.folds.values() if isinstance(fold, WireFold)]
    service.packs.on_change(handlers.packs_changed)
    service.bus.watch(Silence, handlers.silence_seen)
    service.bus.watch(AlarmRecord, handlers.alarms_judged)
    service.bus.on(RunProgress, handlers.repair_progress)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.bus.answer("log-patterns", LogPatternsRequest, handlers.log_patterns)
    service.every(TICK_S, "tick", handlers.tick)
    service.every(HEARTBEAT_S, "heartbeat", handlers.heartbeat, exclusive=False)
    service.every(STORM_LOOK_S, "storms", StormWatch(service.packs).look)
    service.every(3_600, "prune-incidents", handlers.prune)
    service.on_stop(runner.close)
    return service


def main() -> None:
    serve(lambda: build(Settings()))
