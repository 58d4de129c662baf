"""Wires the learner."""

from __future__ import annotations

from datetime import timedelta

from services.learner.handlers import Advice, Handlers, Learning, Questions, Senses, Training
from services.learner.settings import Settings
from services.learner.store import Base
from shared.contracts.decider import Decision
from shared.contracts.decider_governance import Overridden
from shared.contracts.detector import Health, Incident
from shared.contracts.healer import Outcome, SweepRequest
from shared.contracts.ingest import ExternalOutcome
from shared.contracts.learner import (
    ExportRequest,
    FeedbackRequest,
    ImportRequest,
    InsightsRequest,
    ModelsRequest,
    StatisticsRequest,
    SuggestionQualityRequest,
    ThresholdsRequest,
)
from shared.contracts.predictor import Prediction
from shared.runtime import Service

SETTLE_S = 60.0
JUDGE_S = 30.0


def build(settings: Settings) -> Service:
    service = Service("learner", settings, Base.metadata)
    learning = Learning()
    senses = Senses(service.packs, timedelta(seconds=settings.learning_judge_after_s))
    handlers = Handlers(service.packs, learning, senses)
    questions = Questions(timedelta(days=settings.learning_retention_days), learning, senses)
    advice, training = Advice(service.packs, learning, senses), Training(learning, service.ids)
    service.bus.on(Outcome, handlers.came_out)
    service.bus.on(ExternalOutcome, handlers.was_seen)
    service.bus.on(Decision, handlers.decided)
    service.bus.on(Overridden, handlers.overridden)
    service.bus.on(Incident, senses.incident)
    service.bus.on(Prediction, senses.prediction)
    service.bus.watch(Health, senses.health)
    service.bus.answer("statistics", StatisticsRequest, questions.statistics)
    service.bus.answer("feedback", FeedbackRequest, questions.feedback)
    service.bus.answer("sweep", SweepRequest, questions.sweep)
    service.bus.answer("thresholds", ThresholdsRequest, advice.thresholds)
    service.bus.answer("suggestion-quality", SuggestionQualityRequest, advice.suggestion_quality)
    service.bus.answer("insights", InsightsRequest, advice.insights)
    service.bus.answer("export", ExportRequest, advice.export)
    service.bus.answer("import", ImportRequest, advice.import_lines)
    service.bus.answer("models", ModelsRequest, training.models)
    service.every(SETTLE_S, "settle-knowledge", learning.settle)
    service.every(min(JUDGE_S, max(settings.learning_judge_after_s, 0.2)), "judge-alarms", senses.judge)
    service.every(SETTLE_S, "take-up-models", training.take_up, exclusive=False)
    service.every(settings.learning_train_s, "train-models", training.train)
    service.every(3_600, "tidy-outcomes", questions.tidy)
    return service
