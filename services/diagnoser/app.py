"""Wires the diagnoser."""

from __future__ import annotations

from datetime import timedelta

from services.diagnoser.handlers import Handlers, Patience
from services.diagnoser.settings import Settings
from services.diagnoser.store import Base
from shared.contracts.detector import Anomaly, Incident
from shared.contracts.healer import SweepRequest
from shared.contracts.ingest import Change
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
    handlers = Handlers(packs=service.packs, patience=patience, ids=service.ids)
    service.bus.on(Incident, handlers.incident)
    service.bus.on(Anomaly, handlers.anomaly)
    service.bus.on(Change, handlers.change)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.every(TICK_S, "diagnose-due", handlers.tick)
    service.every(PRUNE_S, "prune", handlers.prune)
    return service


def main() -> None:
    serve(lambda: build(Settings()))


if __name__ == "__main__":
    main()
