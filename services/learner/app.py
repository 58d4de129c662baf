"""Wires the learner."""

from __future__ import annotations

from datetime import timedelta

from services.learner.handlers import Handlers
from services.learner.settings import Settings
from services.learner.store import Base
from shared.contracts.decider import Decision
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.ingest import ExternalOutcome
from shared.contracts.learner import ExportRequest, FeedbackRequest, StatisticsRequest
from shared.runtime import Service


def build(settings: Settings) -> Service:
    service = Service("learner", settings, Base.metadata)
    handlers = Handlers(timedelta(days=settings.learning_retention_days))
    service.bus.on(Outcome, handlers.came_out)
    service.bus.on(ExternalOutcome, handlers.was_seen)
    service.bus.on(Decision, handlers.decided)
    service.bus.answer("statistics", StatisticsRequest, handlers.statistics)
    service.bus.answer("export", ExportRequest, handlers.export)
    service.bus.answer("feedback", FeedbackRequest, handlers.feedback)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.every(60, "settle-knowledge", handlers.settle)
    service.every(3_600, "tidy-outcomes", handlers.tidy)
    return service
