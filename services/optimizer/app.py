"""Wires the optimizer."""

from __future__ import annotations

from datetime import timedelta

from services.optimizer.domain.partition import Pace
from services.optimizer.domain.tuning import Rules
from services.optimizer.handlers import Handlers, TuningFold
from services.optimizer.handlers.fold import Knobs
from services.optimizer.settings import Settings
from services.optimizer.store import Base
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.optimizer import ResultsRequest
from shared.runtime import Service


def build(settings: Settings) -> Service:
    service = Service("optimizer", settings, Base.metadata)
    rules = Rules(samples_min=settings.optimization_samples_min, conservative=settings.conservative_mode)
    interval_s = settings.optimization_interval_ms / 1_000
    pace = Pace(change_s=interval_s, repeat_s=settings.optimization_repeat_s, measure_s=interval_s)
    knobs = Knobs(service.packs)
    window_s = settings.optimization_window_s
    handlers = Handlers(
        service.packs, timedelta(seconds=window_s), timedelta(days=settings.optimization_retention_days)
    )
    if settings.auto_optimization_enabled:
        service.partitions(
            kinds=("metrics", "changes"),
            make=lambda _partition: TuningFold(rules, pace, window_s, knobs),
            commit=handlers.save_found,
        )
    service.bus.on(Outcome, handlers.came_out)
    service.bus.answer("results", ResultsRequest, handlers.results)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.every(3_600, "tidy-recommendations", handlers.tidy)
    return service
