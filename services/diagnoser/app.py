"""Wires the diagnoser."""

from __future__ import annotations

from datetime import timedelta

from services.diagnoser.domain.topology import Trust
from services.diagnoser.handlers import Experience, Handlers, Patience, Topology
from services.diagnoser.handlers.telemetry import KINDS, Telemetry, TelemetryFold
from services.diagnoser.settings import Settings
from services.diagnoser.store import Base
from shared.contracts.detector import Anomaly, Incident
from shared.contracts.diagnoser import CalibrationRequest
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.ingest import Change, ExternalOutcome, ObservedCalls
from shared.runtime import Service, serve

TICK_S = 0.25
PRUNE_S = 3_600.0


def build(settings: Settings) -> Service:
    """The service, ready to run."""
    service = Service(Settings.SERVICE, settings, Base.metadata)
    patience = Patience(
        settle=timedelta(seconds=settings.settle_s),
        symptom_grace=timedelta(seconds=settings.symptom_grace_s),
        review=timedelta(seconds=settings.review_s),
        anomaly_recent=timedelta(seconds=settings.anomaly_recent_s),
        keep=timedelta(days=settings.diagnoser_keep_days),
    )
    trust = Trust(timedelta(hours=settings.observed_calls_hours), settings.observed_calls_min)
    topology = Topology(service.packs, trust)
    experience = Experience(keep=timedelta(days=settings.experience_keep_days))
    handlers = Handlers(
        packs=service.packs, patience=patience, ids=service.ids, topology=topology, experience=experience
    )
    telemetry = Telemetry(service.packs, patience.settle)
    service.partitions(kinds=KINDS, make=lambda _partition: TelemetryFold(), commit=telemetry.save)
    service.bus.on(Incident, handlers.incident)
    service.bus.on(Anomaly, handlers.anomaly)
    service.bus.on(Change, handlers.change)
    service.bus.on(ObservedCalls, topology.calls)
    service.bus.on(Outcome, experience.came_out)
    service.bus.on(ExternalOutcome, experience.was_seen)
    service.bus.answer("calibration", CalibrationRequest, experience.calibration)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.every(TICK_S, "diagnose-due", handlers.tick)
    service.every(PRUNE_S, "prune", handlers.prune)
    return service


def main() -> None:
    serve(lambda: build(Settings()))


if __name__ == "__main__":
    main()
