"""Wires the gateway: events into the timeline, last values, the HTTP server."""

from __future__ import annotations

import secrets
from datetime import timedelta
from functools import partial

from services.gateway.domain.access import MIN_TOKEN_CHARS, token_hash
from services.gateway.domain.ingest.naming import COMPONENT_LABELS, ComponentRule
from services.gateway.handlers import events
from services.gateway.handlers.feed import Feed
from services.gateway.handlers.http.api import guarded_api, openapi_document
from services.gateway.handlers.http.deps import Deps
from services.gateway.handlers.http.packs import announce_missing
from services.gateway.handlers.http.silences import announce_silences
from services.gateway.handlers.narrate import RECORDED
from services.gateway.handlers.notifier import Notifier
from services.gateway.handlers.server import HttpServer
from services.gateway.handlers.state import Knowing
from services.gateway.settings import Settings
from services.gateway.store import Base, access, notices, timeline
from shared.contracts.decider_governance import AutonomyChanged
from shared.contracts.detector import Health
from shared.contracts.gateway import Silence
from shared.contracts.learner import Drift, Knowledge
from shared.outbox import Unit
from shared.runtime import Service
from shared.settings import SettingsError

__all__ = ["build", "openapi_document"]

ANNOUNCE_S = 10.0
PRUNE_S = 600.0


def build(settings: Settings) -> Service:
    """The gateway, ready to run.

    Raises:
        SettingsError: the admin token is too short to be safe.
    """
    return wire(settings)[0]


def wire(settings: Settings) -> tuple[Service, HttpServer]:
    """Like `build`, with the HTTP server, for those who need to know where it listens."""
    service = Service("gateway", settings, Base.metadata)
    knowing = Knowing()
    feed = Feed(service.units)
    deps = Deps(
        units=service.units,
        bus=service.bus,
        packs=service.packs,
        knowing=knowing,
        feed=feed,
        clock=service.clock,
        ids=service.ids,
        entropy=secrets.token_bytes,
        components=ComponentRule(settings.gateway_component_labels or COMPONENT_LABELS),
    )
    for contract in RECORDED.values():
        service.bus.on(contract, partial(events.record, packs=service.packs))
    service.bus.on(AutonomyChanged, events.governed)
    service.bus.on(Drift, events.drifted)
    service.bus.watch(Health, knowing.health_seen)
    service.bus.watch(Knowledge, knowing.knowledge_seen)
    service.bus.watch(Silence, knowing.silence_seen)

    token = settings.admin_secret()
    if token is not None and len(token) < MIN_TOKEN_CHARS:
        raise SettingsError(
            f"HOMEOSTAT_ADMIN_TOKEN has {len(token)} characters: give at least {MIN_TOKEN_CHARS} random ones"
        )

    async def open_the_door() -> None:
        if token is not None:
            async with service.units.begin() as unit:
                await access.set_bootstrap(unit.session, service.ids(), token_hash(token), unit.now)

    async def announce(unit: Unit) -> None:
        await announce_missing(deps, unit)
        await announce_silences(deps, unit)

    async def prune(unit: Unit) -> None:
        await timeline.prune(unit.session, unit.now - timedelta(days=settings.timeline_days))
        await notices.prune(unit.session, unit.now - timedelta(days=settings.timeline_days), unit.now)
        await access.prune_audit(unit.session, unit.now - timedelta(days=settings.audit_days))

    service.on_start(open_the_door)
    service.every(ANNOUNCE_S, "announce-packs", announce)
    service.every(PRUNE_S, "prune", prune)
    service.task("feed", feed.run)
    service.task("notifier", Notifier(service.units, service.packs, service.ids, service.clock).run)
    server = HttpServer(guarded_api(deps), settings.http_host, settings.http_port, feed.close)
    service.task("http", server.run)
    return service, server
