"""Wires the healer together."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

from services.healer.clients.figures import Figures
from services.healer.clients.remote import Agents, Places
from services.healer.clients.spawn import Spawner, leave_signals_to_children
from services.healer.handlers import (
    AgentHandlers,
    Archiving,
    BackupHandlers,
    GoodFiles,
    Handlers,
    HealthBook,
    PracticeHandlers,
    Routes,
    Simulating,
    StormBook,
    ask,
)
from services.healer.settings import Settings
from services.healer.store.models import Base
from services.healer.workflows.acting import Acting
from services.healer.workflows.applying import Applying
from services.healer.workflows.conditions import Conditions
from services.healer.workflows.engine import Engine
from services.healer.workflows.finishing import Finishing
from services.healer.workflows.guard import Guard, LeaseBook
from services.healer.workflows.heal import Heal
from services.healer.workflows.journal import Journal
from services.healer.workflows.practising import Practising
from services.healer.workflows.preparing import Preparing, Toolbox
from services.healer.workflows.restoring import Restoring
from services.healer.workflows.slots import Slots
from services.healer.workflows.undoing import RollingBack
from services.healer.workflows.vault import Vault
from shared.contracts.decider import Decision, Lease
from shared.contracts.detector import Health, Incident, Storm
from shared.contracts.healer import (
    ListAgents,
    ListBackups,
    ListPractices,
    Rollback,
    Route,
    SimulateRun,
    StartPractice,
    SweepRequest,
    VerifyBackups,
)
from shared.contracts.predictor import Prediction
from shared.db import database_url
from shared.kill_switch import KillSwitch
from shared.outbox import Unit
from shared.runtime import Service

ADOPT_S = 1.0
STRANDED_S = 10.0
PRUNE_S = 3_600.0
REAP_S = 5.0
PRACTISE_S = 60.0
AGENTS_S = 1.0


def build(settings: Settings) -> Service:
    """The healer, ready to run."""
    service = Service(Settings.SERVICE, settings, Base.metadata)
    dsn = database_url(service.name, settings, "postgresql").render_as_string(hide_password=False)
    journal = Journal(service.units)
    leave_signals_to_children()
    spawner = Spawner(os.environ)
    health, leases = HealthBook(), LeaseBook()
    switch = KillSwitch(settings.kill_switch_file).is_on
    guard = Guard(journal, leases, service.clock, switch, str(service.ids()), service.ids)
    slots = Slots(dsn)
    places = Places(Agents(lambda *order: ask(service.bus.broker.connection, *order), slots.fence))
    toolbox = Toolbox(journal, spawner, places, health.is_ill)
    finishing = Finishing(journal, freed=lambda component: handlers.freed(component))
    vault = Vault(settings.backup_archive_dir)
    figures = Figures(service.bus)
    conditions = Conditions(journal, service.clock, service.packs, health.standings, figures.read)
    acting = Acting(journal, service.clock, health.errors_of, conditions, guard)
    restoring = Restoring(journal, vault, places)
    heal = Heal(
        preparing=Preparing(journal, toolbox, timedelta(seconds=settings.start_within_s)),
        conditions=conditions,
        applying=Applying(toolbox, acting, conditions),
        acting=acting,
        rolling_back=RollingBack(journal, toolbox, acting, restoring),
        finishing=finishing,
    )
    practising = Practising(journal, toolbox, heal, restoring, switch)
    engine = Engine(dsn, heal.run, slots, practising.run)
    handlers = Handlers(
        journal=journal,
        engine=engine,
        finishing=finishing,
        retention=timedelta(days=settings.run_retention_days),
    )
    archiving = Archiving(
        vault,
        timedelta(days=settings.backup_retention_days),
        timedelta(days=settings.backup_archive_days),
    )
    _subscribe(service, handlers, health, BackupHandlers(journal, places, service.ids, guard.switched_off, vault))
    service.bus.answer("simulate", SimulateRun, Simulating(toolbox, conditions, service.ids).simulate)
    service.bus.answer("verify-backups", VerifyBackups, archiving.verify)
    storms = StormBook()
    _practise(service, PracticeHandlers(service.packs, practising, engine, storms, switch, service.ids), storms)
    _hear_agents(service, switch)
    good_files = GoodFiles(service.packs, places, settings.good_versions)
    routes = Routes(service.packs, service.units, service.ids, settings.routes_s)
    service.bus.watch(Route, routes.seen)

    service.task("workflows", engine.run)
    service.task("routes", routes.run)
    _sweep(service, settings, handlers, engine, spawner)
    service.every(settings.good_files_s, "good-files", good_files.look)
    service.every(PRUNE_S, "prune", handlers.prune)
    service.every(PRUNE_S, "clean-up-backups", archiving.clean_up)
    service.every(settings.lease_renew_s, "renew-leases", guard.renew, exclusive=False)
    service.bus.watch(Lease, leases.seen)
    service.on_stop(engine.stop)
    return service


def _sweep(service: Service, settings: Settings, handlers: Handlers, engine: Engine, spawner: Spawner) -> None:
    """What events may have missed: runs that wait, were left behind, or whose healer died; children that ended."""

    async def start_waiting(unit: Unit) -> None:
        await handlers.start_waiting(unit)

    async def finish_stranded(unit: Unit) -> None:
        await handlers.finish_stranded(unit)

    async def adopt(_unit: Unit) -> None:
        await engine.adopt()

    async def reap(_unit: Unit) -> None:
        spawner.reap()

    service.every(settings.sweep_s, "start-waiting", start_waiting)
    service.every(STRANDED_S, "finish-stranded", finish_stranded)
    service.every(ADOPT_S, "adopt", adopt, exclusive=False)
    service.every(REAP_S, "reap", reap, exclusive=False)


def _hear_agents(service: Service, switch: Callable[[], bool]) -> None:
    bus = service.bus
    agents = AgentHandlers(
        service.packs, lambda: bus.broker.connection, lambda: bus.connected, switch, service.clock, service.ids
    )
    service.task("agents", agents.listen)
    service.every(AGENTS_S, "agents", agents.tell, exclusive=False)
    bus.answer("agents", ListAgents, agents.told)


def _practise(service: Service, practice: PracticeHandlers, storms: StormBook) -> None:
    service.bus.watch(Storm, storms.seen)
    service.bus.answer("practice", StartPractice, practice.asked)
    service.bus.answer("practices", ListPractices, practice.told)
    service.every(PRACTISE_S, "practise-due", practice.practise_due)
    service.every(ADOPT_S, "start-practices", practice.start_next)


def _subscribe(service: Service, handlers: Handlers, health: HealthBook, files: BackupHandlers) -> None:
    service.bus.on(Decision, handlers.decided)
    service.bus.on(Incident, handlers.incident)
    service.bus.on(Prediction, handlers.prediction)
    service.bus.watch(Health, health.seen)
    service.bus.answer("sweep", SweepRequest, handlers.sweep_asked)
    service.bus.answer("backups", ListBackups, files.newest)
    service.bus.answer("rollback", Rollback, files.roll_back)
