"""From the alarms of the shop's faults to one right order: the diagnoser and the decider with the demo's own pack.

Each story publishes what the detector says of one fault, symptoms first, and expects one order for the right
component and nothing else: the rest is left alone as a symptom.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.decider.app import build as build_decider
from services.decider.settings import Settings as DeciderSettings
from services.diagnoser.app import build as build_diagnoser
from services.diagnoser.settings import Settings as DiagnoserSettings
from shared.contracts.base import Event, Severity
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import DetectionMethod, Incident, Observation, Transition
from shared.contracts.gateway import PackApplied
from shared.contracts.ingest import Change, ChangeKind
from shared.packs.load import load_pack
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]
SHOP = Path(__file__).resolve().parents[2] / "packs" / "shop.yaml"


def alarm(component: str, pattern: str, severity: Severity = Severity.CRITICAL, ratio: float | None = None) -> Incident:
    now = datetime.now(UTC)
    share = "http_requests_total / http_requests_total"
    seen = Observation(name=share, observed=ratio or 0.0, unit="errors/requests", at=now, component=component)
    return Incident(
        at=now,
        component=component,
        case_id=uuid4(),
        revision=1,
        transition=Transition.OPENED,
        fingerprint=f"{component}/{pattern}",
        pattern=pattern,
        method=DetectionMethod.PROBE,
        severity=severity,
        summary=f"{component}: {pattern}",
        opened_at=now,
        last_seen_at=now,
        evidence=(seen,) if ratio is not None else (),
    )


def edited(component: str) -> Change:
    return Change(at=datetime.now(UTC), component=component, kind=ChangeKind.CONFIG, summary="file changed")  # type: ignore[call-arg]


STORIES: dict[str, tuple[Callable[[], list[Event]], str, str]] = {
    "payments crashes": (
        lambda: [
            alarm("edge", "error-ratio", ratio=0.5),
            alarm("orders", "error-ratio", ratio=0.9),
            alarm("orders", "log:upstream-refused", Severity.WARNING),
            alarm("payments", "http-refused"),
            alarm("payments", "process-exited"),
        ],
        "payments",
        "restart-crashed",
    ),
    "payments hangs": (
        lambda: [
            alarm("orders", "log:upstream-timeout", Severity.WARNING),
            alarm("orders", "error-ratio", ratio=0.9),
            alarm("payments", "http-timeout"),
            alarm("payments", "process-stopped"),
            alarm("edge", "error-ratio", ratio=0.5),
        ],
        "payments",
        "restart-hung",
    ),
    "payments hangs without being stopped": (
        lambda: [alarm("orders", "error-ratio", ratio=0.9), alarm("payments", "http-timeout")],
        "payments",
        "restart-hung",
    ),
    "payments is misconfigured": (
        lambda: [
            alarm("edge", "error-ratio", ratio=0.5),
            alarm("orders", "error-ratio", ratio=0.9),
            edited("payments"),
            alarm("payments", "error-ratio", ratio=0.9),
            alarm("payments", "log:upstream-refused", Severity.WARNING),
        ],
        "payments",
        "restore-config",
    ),
    "payments refuses its configuration": (
        lambda: [edited("payments"), alarm("payments", "log:config-refused")],
        "payments",
        "restore-config",
    ),
    "a provider is down": (
        lambda: [
            alarm("payments", "error-ratio", ratio=0.9),
            alarm("payments", "log:upstream-timeout", Severity.WARNING),
            alarm("orders", "error-ratio", ratio=0.9),
            alarm("edge", "error-ratio", ratio=0.5),
            alarm("provider-a", "http-timeout"),
        ],
        "payments",
        "use-other-provider",
    ),
    "a provider answers with errors": (
        lambda: [alarm("provider-a", "http-error"), alarm("payments", "error-ratio", ratio=0.9)],
        "payments",
        "use-other-provider",
    ),
    "the worker crashes": (lambda: [alarm("worker", "process-exited")], "worker", "restart-crashed"),
}


@asynccontextmanager
async def shop(platform: Platform, eventually: Eventually) -> AsyncIterator[Any]:
    diagnoser = build_diagnoser(platform.settings(DiagnoserSettings, settle_s=0.5))
    decider = build_decider(platform.settings(DeciderSettings))
    client = await platform.connect_nats()
    body = load_pack(SHOP).model_dump(mode="json")
    applied = PackApplied(at=datetime.now(UTC), pack="shop", version=1, applied_by="test", body=body)
    await client.jetstream().publish(applied.subject, applied.model_dump_json().encode())
    await diagnoser.start()
    await decider.start()
    try:
        await eventually(lambda: diagnoser.packs.packs and decider.packs.packs)
        yield client
    finally:
        await decider.stop()
        await diagnoser.stop()
        await client.close()


async def decisions(client: Any) -> list[Decision]:
    jetstream = client.jetstream()
    found = []
    for sequence in range(1, (await jetstream.stream_info("EVENTS")).state.last_seq + 1):
        message = await jetstream.get_msg("EVENTS", sequence)
        if message.subject.startswith(Decision.SUBJECT):
            found.append(Decision.model_validate_json(message.data))
    return found


@pytest.mark.parametrize("story", STORIES)
async def test_a_fault_leads_to_one_right_order(platform: Platform, eventually: Eventually, story: str) -> None:
    tell, component, playbook = STORIES[story]
    async with shop(platform, eventually) as client:
        events = tell()
        cases = {event.case_id for event in events if isinstance(event, Incident)}
        for event in events:
            await client.jetstream().publish(event.subject, event.model_dump_json().encode())

        async def each_case_is_decided() -> bool:
            told = await decisions(client)
            ordered = any(one.verdict is Verdict.EXECUTE for one in told)
            return ordered and {one.case_id for one in told} == cases

        await eventually(each_case_is_decided)
        told = await decisions(client)
        lines = [f"{d.component} {d.verdict} {d.reason} {d.plan.playbook if d.plan else ''}" for d in told]
        orders = [d for d in told if d.verdict is Verdict.EXECUTE]
        assert [(d.component, d.plan.playbook if d.plan else None) for d in orders] == [(component, playbook)], lines
        assert not [d for d in told if d.verdict is Verdict.ASK], lines


async def test_two_faults_at_once_are_both_mended(platform: Platform, eventually: Eventually) -> None:
    """Requirement B29."""
    async with shop(platform, eventually) as client:
        events = [
            alarm("catalog", "process-exited"),
            alarm("payments", "process-stopped"),
            alarm("orders", "error-ratio", ratio=0.9),
        ]
        for event in events:
            await client.jetstream().publish(event.subject, event.model_dump_json().encode())

        async def both() -> bool:
            orders = [d for d in await decisions(client) if d.verdict is Verdict.EXECUTE]
            return {d.component for d in orders} == {"catalog", "payments"}

        await eventually(both)
