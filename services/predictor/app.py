"""Wires the predictor."""

from __future__ import annotations

from dataclasses import replace

from services.predictor.domain.forecast import RULES
from services.predictor.domain.watch import Pace
from services.predictor.handlers import Handlers, PredictionFold
from services.predictor.handlers.fold import Watchlist
from services.predictor.settings import Settings
from services.predictor.store import Base
from shared.contracts.decider import Decision
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.learner import ForesightRecord
from shared.contracts.predictor import ValidateRequest
from shared.runtime import Service


def build(settings: Settings) -> Service:
    service = Service("predictor", settings, Base.metadata)
    rules = replace(RULES[settings.prediction_sensitivity], evidence_min_s=settings.prediction_evidence_min_s)
    pace = Pace(lead_s=settings.prediction_lead_s, repeat_max_s=settings.prediction_repeat_max_s)
    watched = Watchlist(service.packs)
    handlers = Handlers(service.packs, settings.auto_schedule_maintenance, settings.prediction_retention_days)
    if settings.predictive_maintenance_enabled:
        service.partitions(
            kinds=("metrics", "changes"),
            make=lambda _partition: PredictionFold(rules, pace, watched),
            commit=handlers.save_told,
        )
    service.bus.on(Decision, handlers.decided)
    service.bus.on(Outcome, handlers.came_out)
    service.bus.watch(ForesightRecord, handlers.came_true)
    service.bus.answer("validate", ValidateRequest, handlers.validate)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.every(600, "tidy-predictions", handlers.tidy)
    return service
