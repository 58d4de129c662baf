"""Wires the decider."""

from __future__ import annotations

from datetime import timedelta

from services.decider.handlers import (
    AgentBook,
    Casework,
    Governor,
    GovernorView,
    Handlers,
    HealthBook,
    KnowledgeBook,
    Overriding,
    Pace,
    People,
    PracticeBook,
    Returns,
    Review,
    StormBook,
    World,
    accounts,
    explain,
    models,
    strategies,
)
from services.decider.settings import Settings
from services.decider.store import Base
from shared.contracts.decider import Answer, CalibrationRequest, Recompute, Replay, Simulate
from shared.contracts.decider_governance import (
    AccuracyRequest,
    AutonomyRequest,
    CreditRequest,
    Explain,
    ModelsRequest,
    Override,
    SetAutonomy,
    StrategiesRequest,
    Train,
    UseModel,
)
from shared.contracts.decider_governor import GovernorRequest
from shared.contracts.detector import Health, Incident, Storm
from shared.contracts.diagnoser import Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import AgentState, LeaseRenewal, Outcome, Practised, Route, SweepRequest
from shared.contracts.learner import Knowledge
from shared.contracts.optimizer import Recommendation
from shared.contracts.predictor import Prediction
from shared.kill_switch import KillSwitch
from shared.runtime import Service, serve

TICK_S = 0.25
RETURNS_S = 1.0
PRUNE_S = 3_600.0
MEASURE_S = 60.0
GOVERNOR_S = 15.0


def build(settings: Settings) -> Service:
    """The service, ready to run."""
    service = Service(Settings.SERVICE, settings, Base.metadata)
    health, knowledge, storms, practices = HealthBook(), KnowledgeBook(), StormBook(), PracticeBook()
    pace = Pace(
        review=timedelta(seconds=settings.decider_review_s),
        reopened=timedelta(seconds=settings.reopened_settle_s),
        after_success=timedelta(seconds=settings.after_success_s),
        keep=timedelta(days=settings.decider_keep_days),
    )
    agents = AgentBook()
    governor = Governor(service.ids)
    world = World(
        service.packs,
        health,
        knowledge,
        KillSwitch(settings.kill_switch_file).is_on,
        governor,
        storms,
        practices,
        agents,
    )
    work = Casework(world, governor, pace, service.ids)
    handlers, people, review, returns = Handlers(work), People(work), Review(), Returns(work)
    service.bus.watch(Health, health.seen)
    service.bus.watch(Knowledge, knowledge.seen)
    service.bus.watch(Storm, storms.seen)
    service.bus.watch(Practised, practices.seen)
    service.bus.watch(AgentState, agents.seen)
    service.bus.watch(Route, returns.seen)
    service.bus.on(Incident, handlers.incident)
    service.bus.on(Diagnosis, handlers.diagnosis)
    service.bus.on(Prediction, handlers.prediction)
    service.bus.on(Recommendation, handlers.recommendation)
    service.bus.on(ManualRequest, handlers.request)
    service.bus.on(Outcome, handlers.outcome)
    service.bus.on(LeaseRenewal, governor.renewal)
    view = GovernorView(service.packs, storms, world.switched_off)
    service.bus.answer("governor", GovernorRequest, view.state)
    service.every(GOVERNOR_S, "measure-governor", view.measure)
    service.bus.answer("answer", Answer, people.answer)
    service.bus.answer("simulate", Simulate, people.simulate)
    service.bus.answer("explain", Explain, explain)
    service.bus.answer("autonomy", AutonomyRequest, work.rights.listed)
    service.bus.answer("set-autonomy", SetAutonomy, work.rights.set)
    service.bus.answer("override", Override, Overriding(work).override)
    service.bus.answer("models", ModelsRequest, models.listed)
    service.bus.answer("train", Train, models.train)
    service.bus.answer("use-model", UseModel, models.use)
    service.bus.answer("credit", CreditRequest, accounts.credit)
    service.bus.answer("accuracy", AccuracyRequest, accounts.accuracy)
    service.bus.answer("strategies", StrategiesRequest, strategies)
    service.bus.answer("recompute", Recompute, review.recompute)
    service.bus.answer("replay", Replay, review.replay)
    service.bus.answer("calibration", CalibrationRequest, review.calibration)
    service.bus.answer("sweep", SweepRequest, handlers.sweep)
    service.every(TICK_S, "decide-due", handlers.tick)
    service.every(RETURNS_S, "returns", returns.tick)
    service.every(PRUNE_S, "prune", handlers.prune)
    service.every(MEASURE_S, "measure-calibration", review.measure)
    service.every(MEASURE_S, "measure-accuracy", accounts.measure)
    return service


def main() -> None:
    serve(lambda: build(Settings()))


if __name__ == "__main__":
    main()
