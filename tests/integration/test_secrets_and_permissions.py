"""Who may do what, tried on every door there is: each route with each role, each service's own NATS and database login.

The tables below are the specification. A route that is added without a line here fails the first test.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import nats
import pytest
from prometheus_client import generate_latest
from sqlalchemy import make_url

from services.gateway.handlers.http.api import openapi_document
from shared.bus.streams import DLQ, EVENTS, INGEST, STATE
from shared.settings import SERVICES
from tests.conftest import Platform
from tests.integration.test_detector_probes_packs import detector
from tests.integration.test_gateway import ADMIN, started
from tests.kept import in_streams, in_tables

Eventually = Callable[..., Awaitable[None]]

OPEN = {"GET /livez", "GET /readyz"}
SIGNED = {"POST /api/slack/interactions"}
"""No token, but another proof of who asks: tests/integration/test_gateway_notices.py."""
VIEWERS = {
    "POST /api/decisions/replay",
    "POST /api/autonomous/simulate",
    "GET /api/autonomous/accuracy",
    "GET /api/autonomous/strategies",
    "GET /api/autonomous/autonomy",
    "GET /api/autonomous/credit",
    "GET /api/autonomous/decisions",
    "GET /api/autonomous/governor",
    "GET /api/autonomous/explain",
    "GET /api/autonomous/models",
    "GET /api/autonomous/learning",
    "GET /api/autonomous/system-state",
    "GET /api/decisions/calibration",
    "GET /api/decisions/recompute",
    "GET /api/decisions/{decision_id}/recompute",
    "GET /api/diagnosis/calibration",
    "GET /api/dlq",
    "GET /api/events",
    "GET /api/healing/agents",
    "GET /api/healing/backups",
    "GET /api/healing/metrics",
    "GET /api/healing/patterns",
    "GET /api/healing/playbooks",
    "GET /api/healing/status",
    "GET /api/healing/playbooks/{pack}/{name}",
    "GET /api/healing/playbooks/{pack}/{name}/history",
    "GET /api/healing/practice",
    "GET /api/incidents",
    "GET /api/incidents/{incident_id}",
    "GET /api/incidents/{incident}/report",
    "GET /api/knowledge/export",
    "GET /api/knowledge/insights",
    "GET /api/logs/patterns",
    "GET /api/notifications",
    "GET /api/ml/feedback",
    "GET /api/ml/models",
    "GET /api/ml/optimize-thresholds",
    "GET /api/ml/suggestion-quality",
    "GET /api/monitoring/backups",
    "GET /api/monitoring/health",
    "GET /api/packs",
    "GET /api/packs/{name}",
    "GET /api/packs/{name}/history",
    "GET /api/predictions",
    "GET /api/recommendations",
    "GET /api/silences",
    "GET /api/situations",
    "GET /api/statistics",
    "GET /api/trace/{case}",
    "GET /api/v2/alerts",
    "GET /api/v2/status",
    "POST /api/packs/diff",
    "POST /api/packs/validate",
}
SENDERS = {
    "POST /api/v1/alertmanager/webhook",
    "POST /api/v1/events",
    "POST /api/v1/write",
    "POST /api/v2/alerts",
    "POST /v1/logs",
    "POST /v1/metrics",
    "POST /v1/traces",
}
OPERATORS = {
    "DELETE /api/silences/{silence_id}",
    "GET /api/healing/backups/verify",
    "POST /api/autonomous/autonomy/demote",
    "POST /api/autonomous/decide",
    "POST /api/autonomous/override",
    "GET /api/recordings",
    "POST /api/autonomous/run-cycle",
    "POST /api/decisions/{decision_id}/approve",
    "POST /api/decisions/{decision_id}/reject",
    "POST /api/dlq/{seq}/replay",
    "POST /api/healing/practice",
    "POST /api/healing/run",
    "POST /api/healing/simulate",
    "POST /api/monitoring/rollback/{backup_id}",
    "POST /api/notifications/test",
    "POST /api/notifications/{notification_id}/retry",
    "POST /api/silences",
}
ADMINS = {
    "DELETE /api/healing/playbooks/{pack}/{name}",
    "POST /api/autonomous/autonomy/promote",
    "POST /api/autonomous/models/{version}/activate",
    "POST /api/autonomous/train",
    "DELETE /api/packs/{name}",
    "DELETE /api/tokens/{token_id}",
    "GET /api/audit",
    "GET /api/audit/verify",
    "GET /api/tokens",
    "POST /api/knowledge/import",
    "POST /api/ml/optimize-thresholds",
    "POST /api/ml/optimize-thresholds/{change_id}/undo",
    "POST /api/packs/apply",
    "PUT /api/healing/playbooks/{pack}/{name}",
    "POST /api/tokens",
}
REFUSED_TO = {
    "viewer": SENDERS | OPERATORS | ADMINS,
    "sender": VIEWERS | OPERATORS | ADMINS,
    "operator": ADMINS,
}


def _address(route: str) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    return method, re.sub(r"\{\w+\}", lambda _: str(uuid4()), path)


def test_every_route_of_the_api_has_a_role_that_is_written_here() -> None:
    routes = {
        f"{method.upper()} {path}" for path, operations in openapi_document()["paths"].items() for method in operations
    }
    assert routes == OPEN | SIGNED | VIEWERS | SENDERS | OPERATORS | ADMINS


async def test_no_route_lets_in_a_stranger_or_a_role_that_is_too_low(platform: Platform) -> None:
    async with started(platform) as gateway:
        wrong: list[str] = []
        for route in sorted(VIEWERS | SENDERS | OPERATORS | ADMINS):
            for headers in ({"Authorization": ""}, {"Authorization": "Bearer hs_" + "0" * 64}):
                answer = await gateway.client.request(*_address(route), headers=headers)
                if answer.status_code != 401:
                    wrong.append(f"a stranger: {route}: {answer.status_code}")
        for role, routes in REFUSED_TO.items():
            async with await gateway.token(role) as client:
                for route in sorted(routes):
                    answer = await client.request(*_address(route))
                    if answer.status_code != 403:
                        wrong.append(f"{role}: {route}: {answer.status_code}")
        assert wrong == []


async def test_a_revoked_token_opens_nothing(platform: Platform) -> None:
    async with started(platform) as gateway:
        made = await gateway.post("/api/tokens", {"name": "leaves", "role": "admin"})
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert (await gateway.client.get("/api/tokens", headers=headers)).status_code == 200
        (mine,) = [one for one in await gateway.get("/api/tokens") if one["name"] == "leaves"]
        assert (await gateway.client.delete(f"/api/tokens/{mine['id']}")).is_success
        assert (await gateway.client.get("/api/tokens", headers=headers)).status_code == 401


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_may_neither_speak_as_another_nor_destroy_streams(
    platform: Platform, eventually: Eventually, service: str
) -> None:
    refused: list[str] = []

    async def remember(error: Exception) -> None:
        refused.append(str(error).lower())

    others = [other for other in SERVICES if other != service]
    forbidden = [f"{other}.anything.v1.orders" for other in others]
    forbidden += [f"state.{other}.anything.v1.orders" for other in others]
    forbidden += [f"dlq.{other}.anything" for other in others]
    for stream in (INGEST, EVENTS, STATE, DLQ):
        forbidden += [f"$JS.API.STREAM.{verb}.{stream}" for verb in ("DELETE", "PURGE", "UPDATE")]
    forbidden += [f"$JS.API.STREAM.MSG.DELETE.{stream}" for stream in (INGEST, EVENTS, STATE)]
    if service != "gateway":
        forbidden += [f"cmd.{other}.sweep" for other in others]
    if service not in ("detector", "gateway"):
        forbidden.append("ingest.metrics.v1.orders")

    client = await nats.connect(
        platform.servers.nats_url(service), error_cb=remember, inbox_prefix=f"_INBOX.{service}".encode()
    )
    for subject in forbidden:
        await client.publish(subject, b"{}")
    eavesdropped = [f"cmd.{other}.>" for other in others] + [f"_INBOX.{other}.>" for other in others] + [">"]
    for subject in eavesdropped:
        await client.subscribe(subject)
    await client.flush()
    wanted = [f'publish to "{subject}"'.lower() for subject in forbidden]
    wanted += [f'subscription to "{subject}"'.lower() for subject in eavesdropped]
    await eventually(lambda: len(refused) >= len(wanted))
    await client.close()
    assert [one for one in wanted if not any(one in said for said in refused)] == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reads_no_table_of_another(platform: Platform, service: str) -> None:
    everything = await platform.connect_postgres()
    tables = await everything.fetch(
        "select schemaname, tablename from pg_tables where schemaname = any($1) and schemaname <> $2",
        list(SERVICES),
        service,
    )
    await everything.close()
    assert {row["schemaname"] for row in tables} == set(SERVICES) - {service}
    connection = await platform.connect_postgres(service)
    for row in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f'select 1 from {row["schemaname"]}."{row["tablename"]}"')
    await connection.close()


# ---- canaries: secrets that are planted, and looked for wherever something is kept or said

PACK = """\
pack: vault
components:
  web: {}
  books: {}
  cache: {}
probes:
  - {component: web, every_s: 0.2, http: {url: "http://127.0.0.1:1/", headers: {X-Key: {env: CANARY_HEADER}}}}
  - {component: books, every_s: 0.2, postgres: {dsn: {env: CANARY_DSN}}}
  - {component: cache, every_s: 0.2, redis: {url: {env: CANARY_URL}}}
"""


async def _everything_kept(platform: Platform) -> dict[str, str]:
    client, connection = await platform.connect_nats(), await platform.connect_postgres()
    try:
        return await in_streams(client) | await in_tables(connection)
    finally:
        await client.close()
        await connection.close()


async def test_no_secret_is_kept_or_said_anywhere(
    platform: Platform,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    canaries = {name: f"canary{name}{uuid4().hex}" for name in ("header", "dsn", "url", "bearer")}
    server = make_url(platform.dsn()).set(password=canaries["dsn"], username="learner")
    monkeypatch.setenv("CANARY_HEADER", canaries["header"])
    monkeypatch.setenv("CANARY_DSN", server.render_as_string(hide_password=False))
    monkeypatch.setenv("CANARY_URL", f"redis://:{canaries['url']}@127.0.0.1:1/0")
    answers: list[str] = []
    async with started(platform) as gateway, detector(platform):
        async with await gateway.token("viewer") as client:
            canaries["token"] = client.headers["authorization"].removeprefix("Bearer ")
            answers.append((await client.get("/api/tokens")).text)
        wrong = {"Authorization": f"Bearer {canaries['bearer']}"}
        answers.append((await gateway.client.get("/api/incidents", headers=wrong)).text)
        applied = await gateway.apply(PACK)
        assert applied.is_success, applied.text

        async def all_three_are_ill() -> bool:
            return {one["component"] for one in await gateway.get("/api/incidents")} == {"web", "books", "cache"}

        await eventually(all_three_are_ill, within_s=20)
        shown = ("incidents", "autonomous/system-state", "monitoring/health", "packs/vault", "audit", "tokens")
        answers += [(await gateway.client.get(f"/api/{route}")).text for route in shown]
        kept = await _everything_kept(platform)
    canaries |= {"admin": ADMIN, "database": platform.role_password("gateway")}
    said = capfd.readouterr()
    kept |= {"answers": "\n".join(answers), "logs": f"{said.out}{said.err}{caplog.text}"}
    kept["metrics"] = generate_latest().decode()
    assert (
        "web" in kept["table gateway.audit"] or "vault" in kept["table gateway.audit"]
    )  # something was looked through
    assert "detector.incident" in kept[f"stream {EVENTS}"]
    leaks = [
        f"{name} in {place}" for name, secret in canaries.items() for place, text in kept.items() if secret in text
    ]
    assert leaks == []
