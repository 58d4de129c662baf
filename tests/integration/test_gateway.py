"""The gateway on a real NATS and PostgreSQL: who may come in, what it records, and what it lets people do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from services.gateway.app import build, wire
from services.gateway.settings import Settings
from shared import telemetry
from shared.contracts.base import Category, Severity
from shared.contracts.decider import Answer, Answered, Decision, Verdict
from shared.contracts.detector import DetectionMethod, Health, HealthStatus, Incident, Observation, Swept, Transition
from shared.contracts.diagnoser import Cause, Diagnosis
from shared.contracts.gateway import ManualRequest
from shared.contracts.healer import Outcome, Phase, Result, RunProgress, SweepRequest
from shared.db import schema_differences, service_base
from shared.outbox import Unit
from shared.runtime import Service
from shared.settings import ServiceSettings
from tests.conftest import Platform

Eventually = Callable[..., Awaitable[None]]
ADMIN = "an-admin-token-for-tests-0123456789"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
PACK = """\
pack: shop
mode: auto
components:
  edge: {calls: [orders]}
  orders: {process: {command: [orders], pid_file: /run/orders.pid}}
playbooks:
  restart: {for: [crash], components: [orders], steps: [{process.start: {}}]}
"""


@dataclass
class Gateway:
    """A running gateway and a client that has the admin's token."""

    service: Service
    url: str
    client: httpx.AsyncClient
    platform: Platform

    async def get(self, path: str, **params: Any) -> Any:
        return self.good(await self.client.get(path, params=params))["data"]

    async def post(self, path: str, body: object = None, **more: Any) -> Any:
        return self.good(await self.client.post(path, json=body, **more))["data"]

    async def apply(self, text: str, **variables: str) -> httpx.Response:
        params = {"set": [f"{name}={value}" for name, value in variables.items()]}
        return await self.client.post("/api/packs/apply", content=text, params=params)

    @staticmethod
    def good(response: httpx.Response) -> Any:
        assert response.is_success, response.text
        body = response.json()
        assert body["status"] == "success"
        return body

    async def token(self, role: str) -> httpx.AsyncClient:
        made = await self.post("/api/tokens", {"name": f"a {role}", "role": role})
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {made['token']}"})


@asynccontextmanager
async def started(platform: Platform) -> AsyncIterator[Gateway]:
    settings = platform.settings(Settings, http_port=0, admin_token=SecretStr(ADMIN))
    service, server = wire(settings)
    await service.start()
    try:
        async with asyncio.timeout(5):
            await server.listening.wait()
        assert server.address is not None
        url = "http://{}:{}".format(*server.address)
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {ADMIN}"}) as client:
            yield Gateway(service, url, client, platform)
    finally:
        await service.stop()


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[Gateway]:
    async with started(platform) as running:
        yield running


@asynccontextmanager
async def peer(
    platform: Platform, name: str, register: Callable[[Service], None] = lambda _s: None
) -> AsyncIterator[Service]:
    """Another service of the platform, with the handlers that `register` gives it."""

    class PeerSettings(ServiceSettings):
        SERVICE: ClassVar[str] = name

    service = Service(name, platform.settings(PeerSettings), service_base().metadata)
    register(service)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


# ---- a case, as the services would tell it


def incident(
    case_id: UUID, revision: int, transition: Transition, after_s: float, component: str = "orders"
) -> Incident:
    at = START + timedelta(seconds=after_s)
    return Incident(
        at=at,
        component=component,
        case_id=case_id,
        revision=revision,
        transition=transition,
        fingerprint=f"{component}/process-exited",
        pattern="process-exited",
        method=DetectionMethod.PROBE,
        severity=Severity.CRITICAL,
        summary="the process is gone\x00",
        opened_at=START,
        last_seen_at=at,
        resolved_at=at if transition == Transition.RESOLVED else None,
        error_count=3,
        evidence=(Observation(name="process", observed="exited", expected="running", at=at, component=component),),
    )


def diagnosis(case_id: UUID) -> Diagnosis:
    cause = Cause(
        component="orders",
        category=Category.CRASH,
        confidence=0.97,
        signature="crash:process-exited",
        evidence=("pid 7 is gone",),
    )
    return Diagnosis(
        at=START + timedelta(seconds=0.3),
        component="orders",
        case_id=case_id,
        revision=1,
        incident_revision=1,
        causes=(cause,),
        report="orders crashed",
    )


def decision(
    case_id: UUID, verdict: Verdict = Verdict.EXECUTE, decision_id: UUID | None = None, revision: int = 1
) -> Decision:
    return Decision(
        at=START + timedelta(seconds=0.5),
        component="orders",
        case_id=case_id,
        decision_id=decision_id or uuid4(),
        revision=revision,
        verdict=verdict,
        reason="confident",
        category=Category.CRASH,
        signature="crash:process-exited",
        confidence=0.97,
        threshold=0.85,
        risk=0.1,
        risk_max=0.4,
        mode="auto",
        dry_run=False,
        explanation="restarting has helped 9 times out of 9",
    )


def outcome(case_id: UUID, decision_id: UUID, result: Result = Result.SUCCEEDED) -> Outcome:
    return Outcome(
        at=START + timedelta(seconds=6),
        component="orders",
        case_id=case_id,
        decision_id=decision_id,
        playbook="restart",
        signature="crash:process-exited",
        category=Category.CRASH,
        confidence=0.97,
        result=result,
        reason="the incident is resolved",
        opened_at=START,
        started_at=START + timedelta(seconds=1),
        applied_at=START + timedelta(seconds=2),
        finished_at=START + timedelta(seconds=6),
    )


async def tell_story(platform: Platform, case_id: UUID, decision_id: UUID) -> None:
    """A crash from its first sign to its end, each part said by its own service."""
    told = [
        ("detector", incident(case_id, 1, Transition.OPENED, 0)),
        ("detector", incident(case_id, 2, Transition.EVIDENCE, 0.4)),
        ("diagnoser", diagnosis(case_id)),
        ("decider", decision(case_id, decision_id=decision_id)),
        (
            "healer",
            RunProgress(
                at=START + timedelta(seconds=2),
                component="orders",
                case_id=case_id,
                decision_id=decision_id,
                playbook="restart",
                phase=Phase.APPLIED,
            ),
        ),
        ("detector", incident(case_id, 3, Transition.RESOLVED, 5)),
        ("healer", outcome(case_id, decision_id)),
    ]
    for name, event in told:
        client = await platform.connect_nats(name)
        await client.jetstream().publish(event.subject, event.model_dump_json().encode())
        await client.close()


# ---- the door


async def test_health_needs_no_token_and_everything_else_does(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.url) as stranger:
        assert (await stranger.get("/livez")).json() == {"live": True}
        assert (await stranger.get("/readyz")).json() == {"ready": True, "problems": []}
        paths = (await gateway.client.get("/api/openapi.json")).json()["paths"]
        for path, operations in paths.items():
            if path in ("/livez", "/readyz"):
                continue
            concrete = path.replace("{decision_id}", str(uuid4())).replace("{incident_id}", str(uuid4()))
            concrete = concrete.replace("{token_id}", str(uuid4())).replace("{seq}", "1")
            for method in operations:
                refused = await stranger.request(method, concrete, json={})
                assert refused.status_code == 401, (method, path)
                speaks_otlp = path in (
                    "/v1/metrics",
                    "/v1/logs",
                    "/v1/traces",
                )  # whose refusals are a google.rpc.Status
                expected = "application/json" if speaks_otlp else "application/problem+json"
                assert refused.headers["content-type"] == expected, path
                scheme = "Slack-Signature" if path == "/api/slack/interactions" else "Bearer"
                assert refused.headers["www-authenticate"] == scheme, path


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("viewer", "GET", "/api/incidents", 200),
        ("viewer", "POST", "/api/autonomous/run-cycle", 403),
        ("viewer", "POST", "/api/tokens", 403),
        ("operator", "POST", "/api/packs/apply", 403),
        ("operator", "GET", "/api/audit", 403),
        ("operator", "GET", "/api/dlq", 200),
        ("admin", "GET", "/api/audit", 200),
    ],
)
async def test_each_role_may_what_it_may(gateway: Gateway, role: str, method: str, path: str, status: int) -> None:
    async with await gateway.token(role) as client:
        response = await client.request(
            method, path, json={"name": "x", "role": "viewer"} if method == "POST" else None
        )
        assert response.status_code == status, response.text
        if status == 403:
            problem = response.json()
            assert problem["type"] == "urn:homeostat:problem:role-too-low"
            assert "use a token of role" in problem["remedy"]


async def test_every_refusal_and_every_deed_is_audited_and_the_chain_verifies(gateway: Gateway) -> None:
    async with await gateway.token("viewer") as viewer:
        await viewer.post("/api/autonomous/run-cycle")
    await gateway.client.get("/api/incidents", headers={"Authorization": "Bearer wrong"})
    entries = await gateway.get("/api/audit")
    assert [(one["actor"], one["action"], one["result"]) for one in entries] == [
        ("", "GET /api/incidents", "refused"),
        ("a viewer", "POST /api/autonomous/run-cycle", "refused"),
        ("bootstrap", "POST /api/tokens", "done"),
    ]
    assert entries[0]["detail"]["reason"] == "unknown-token"
    assert (await gateway.get("/api/audit/verify"))["intact"]


@pytest.mark.parametrize(
    ("tampering", "first"),
    [
        ("update audit set actor = 'nobody' where seq = 3", 3),
        ("delete from audit where seq = 3", 4),
        ("delete from audit where seq = 1", 2),
        ("delete from audit where seq = (select max(seq) from audit)", 5),
        ("truncate audit", 5),
        (
            "update audit set seq = seq + 100 where seq > 2; update audit set seq = seq - 99 where seq > 100; "
            "insert into audit select 3, gen_random_uuid(), at, actor, "
            "role, action, target, result, status, detail, prev_hash, hash from audit where seq = 2",
            3,
        ),
    ],
    ids=["changed", "removed", "first removed", "last removed", "all removed", "inserted"],
)
async def test_a_row_of_the_audit_that_is_changed_removed_or_inserted_is_named(
    gateway: Gateway, tampering: str, first: int
) -> None:
    """By somebody who may do everything in the database."""
    for _ in range(5):
        await gateway.client.get("/api/incidents", headers={"Authorization": "Bearer wrong"})
    whole = await gateway.get("/api/audit/verify")
    assert whole["intact"]
    kept = f"audit:{whole['heads']['audit']}"
    assert (await gateway.get("/api/audit/verify", kept=kept))["intact"]
    owner = await gateway.platform.connect_postgres()
    await owner.execute(f"set search_path to gateway; set session_replication_role to replica; {tampering}")
    await owner.close()
    found = await gateway.get("/api/audit/verify", kept=kept)
    assert (found["intact"], found["first_broken"]) == (False, {"audit": first})


async def test_a_revoked_or_expired_token_opens_nothing(gateway: Gateway) -> None:
    made = await gateway.post("/api/tokens", {"name": "short", "role": "viewer", "expires_in_days": 0.000001})
    await asyncio.sleep(0.15)
    late = await gateway.client.get("/api/incidents", headers={"Authorization": f"Bearer {made['token']}"})
    assert late.json()["type"] == "urn:homeostat:problem:expired-token"
    async with await gateway.token("viewer") as viewer:
        assert (await viewer.get("/api/incidents")).is_success
        (token,) = [one for one in await gateway.get("/api/tokens") if one["name"] == "a viewer"]
        assert (await gateway.client.delete(f"/api/tokens/{token['id']}")).is_success
        assert (await viewer.get("/api/incidents")).status_code == 401


async def test_no_token_is_stored(gateway: Gateway) -> None:
    made = await gateway.post("/api/tokens", {"name": "a", "role": "viewer"})
    connection = await gateway.platform.connect_postgres("gateway")
    rows = await connection.fetch("select token::text as row from token")
    audit = await connection.fetch("select audit::text as row from audit")
    await connection.close()
    for row in [*rows, *audit]:
        assert made["token"] not in row["row"]
        assert ADMIN not in row["row"]


async def test_a_new_admin_token_replaces_the_former_one(platform: Platform) -> None:
    async with started(platform):
        pass
    other = "another-admin-token-0123456789"
    service = build(platform.settings(Settings, http_port=0, admin_token=SecretStr(other)))
    await service.start()
    connection = await platform.connect_postgres("gateway")
    assert await connection.fetchval("select count(*) from token where revoked_at is null") == 1
    await connection.close()
    await service.stop()


# ---- what is refused, and how


async def test_wrong_requests_say_what_where_and_how(gateway: Gateway) -> None:
    client = gateway.client
    cases = {
        "/nowhere": (404, "not-found"),
        "/api/incidents?limit=0": (422, "invalid-request"),
        "/api/incidents?cursor=nonsense": (400, "bad-cursor"),
        f"/api/incidents/{uuid4()}": (404, "not-found"),
        "/api/trace/last": (404, "not-found"),
        "/api/trace/zz": (404, "not-found"),
        "/api/packs/none": (404, "not-found"),
    }
    for path, (status, kind) in cases.items():
        response = await client.get(path)
        problem = response.json()
        assert (response.status_code, problem["type"]) == (status, f"urn:homeostat:problem:{kind}"), path
        assert problem["detail"]
        assert problem["remedy"]
    assert (await client.put("/api/incidents")).json()["remedy"] == "use GET"
    too_large = await client.post("/api/packs/validate", content=b"#" * 1_100_000)
    assert too_large.status_code == 413
    assert too_large.json()["type"] == "urn:homeostat:problem:too-large"


async def test_requests_are_timed_by_their_path_template(gateway: Gateway) -> None:
    await gateway.client.get(f"/api/incidents/{uuid4()}")
    await gateway.client.request("NONSENSE", "/nowhere")
    timed = {
        (sample.labels["method"], sample.labels["path"], sample.labels["status"])
        for metric in telemetry.HTTP_SECONDS.collect()
        for sample in metric.samples
    }
    assert ("GET", "/api/incidents/{incident_id}", "404") in timed
    assert not any("NONSENSE" in labels for labels in timed)


# ---- the record


async def test_a_case_is_told_in_order_with_times_and_each_event_is_recorded_once(
    gateway: Gateway, eventually: Eventually
) -> None:
    case_id, decision_id = uuid4(), uuid4()
    await tell_story(gateway.platform, case_id, decision_id)

    async def all_told() -> bool:
        response = await gateway.client.get(f"/api/trace/{case_id}")
        return response.is_success and len(response.json()["data"]["moments"]) == 6

    await eventually(all_told)
    trace = await gateway.get(f"/api/trace/{case_id}")
    assert [(one["since_start_s"], one["act"], one["service"]) for one in trace["moments"]] == [
        (0.0, "seen", "detector"),
        (0.3, "concluded", "diagnoser"),
        (0.5, "decided", "decider"),
        (2.0, "done", "healer"),
        (5.0, "came of it", "detector"),
        (6.0, "came of it", "healer"),
    ]
    assert "restarting has helped 9 times out of 9" in trace["moments"][2]["lines"][0]
    assert (await gateway.get(f"/api/trace/{str(case_id)[:8]}"))["case_id"] == str(case_id)
    assert (await gateway.get("/api/trace/last"))["case_id"] == str(case_id)

    (found,) = await gateway.get("/api/incidents")
    assert (found["revision"], found["transition"]) == (3, "resolved")
    assert await gateway.get("/api/incidents", status="open") == []
    whole = await gateway.get(f"/api/incidents/{case_id}")
    assert whole["decisions"][0]["decision_id"] == str(decision_id)
    assert whole["outcomes"][0]["result"] == "succeeded"
    assert (await gateway.get("/api/audit/verify"))["intact"]


async def test_an_older_revision_that_comes_late_does_not_win(gateway: Gateway, eventually: Eventually) -> None:
    case_id = uuid4()
    client = await gateway.platform.connect_nats("detector")
    for event in (incident(case_id, 3, Transition.RESOLVED, 5), incident(case_id, 1, Transition.OPENED, 0)):
        await client.jetstream().publish(event.subject, event.model_dump_json().encode())
    await client.close()
    connection = await gateway.platform.connect_postgres("gateway")

    async def both() -> bool:
        return bool(await connection.fetchval("select count(*) from timeline") == 2)

    await eventually(both)
    await connection.close()
    assert (await gateway.get(f"/api/incidents/{case_id}"))["incident"]["revision"] == 3


async def test_lists_come_in_pages_that_new_entries_do_not_shift(gateway: Gateway, eventually: Eventually) -> None:
    client = await gateway.platform.connect_nats("detector")

    async def open_incidents(numbers: range) -> None:
        for number in numbers:
            event = incident(uuid4(), 1, Transition.OPENED, number, component=f"c{number}")
            await client.jetstream().publish(event.subject, event.model_dump_json().encode())

    async def count() -> int:
        return len(await gateway.get("/api/incidents", limit=500))

    async def five() -> bool:
        return await count() == 5

    await open_incidents(range(5))
    await eventually(five)
    first = gateway.good(await gateway.client.get("/api/incidents", params={"limit": 2}))
    await open_incidents(range(5, 7))

    async def seven() -> bool:
        return await count() == 7

    await eventually(seven)
    rest = []
    cursor = first["next_cursor"]
    while cursor:
        page = gateway.good(await gateway.client.get("/api/incidents", params={"limit": 2, "cursor": cursor}))
        rest += page["data"]
        cursor = page["next_cursor"]
    await client.close()
    assert [one["component"] for one in first["data"] + rest] == ["c4", "c3", "c2", "c1", "c0"]


async def test_the_timeline_only_grows_and_tampering_is_found(gateway: Gateway, eventually: Eventually) -> None:
    await tell_story(gateway.platform, uuid4(), uuid4())
    owner = await gateway.platform.connect_postgres("gateway")

    async def recorded() -> bool:
        return bool(await owner.fetchval("select count(*) from timeline") == 7)

    await eventually(recorded)
    for statement in ("update timeline set component = 'x'", "delete from timeline", "truncate timeline"):
        with pytest.raises(asyncpg.RaiseError, match="only grows"):
            await owner.execute(statement)
    await owner.close()

    admin = await gateway.platform.connect_postgres()
    await admin.execute("set search_path to gateway; set session_replication_role to replica")
    await admin.execute('update timeline set body = body || \'{"severity": "warning"}\' where seq = 4')
    assert (await gateway.get("/api/audit/verify"))["first_broken"] == {"timeline": 4}
    await admin.execute("delete from timeline where seq = 3")
    assert (await gateway.get("/api/audit/verify"))["first_broken"] == {"timeline": 4}
    await admin.close()


async def test_figures_come_from_real_outcomes_only(gateway: Gateway, eventually: Eventually) -> None:
    assert (await gateway.get("/api/statistics", days=365))["success_rate"] is None
    client = await gateway.platform.connect_nats("healer")
    now = datetime.now(UTC)
    shift = now - START
    for result in (Result.SUCCEEDED, Result.SUCCEEDED, Result.ROLLED_BACK, Result.SKIPPED):
        event = outcome(uuid4(), uuid4(), result)
        fields = ("at", "opened_at", "started_at", "applied_at", "finished_at")
        event = event.model_copy(update={name: getattr(event, name) + shift for name in fields})
        await client.jetstream().publish(event.subject, event.model_dump_json().encode())
    await client.close()

    async def counted() -> bool:
        return bool((await gateway.get("/api/statistics"))["total_fixes"] == 3)

    await eventually(counted)
    figures = await gateway.get("/api/statistics")
    assert figures["by_type"]["restart"] == {
        "total": 3,
        "successes": 2,
        "rolled_back": 1,
        "success_rate": pytest.approx(2 / 3),
        "detect_to_fix_s": 2.0,
        "detect_to_recovery_s": 6.0,
    }


async def test_the_migrated_tables_are_those_of_the_models(platform: Platform) -> None:
    from sqlalchemy import create_engine, make_url

    from services.gateway.store import Base

    engine = create_engine(make_url(platform.dsn("gateway")).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert schema_differences(Base.metadata, connection) == []
    engine.dispose()


# ---- packs


async def test_a_pack_is_applied_versioned_and_reaches_the_services(gateway: Gateway, eventually: Eventually) -> None:
    async with peer(gateway.platform, "detector") as detector:
        first = (await gateway.apply(PACK)).json()["data"]
        assert (first["version"], first["changed"]) == (1, True)
        await eventually(lambda: detector.packs.component("orders"))
        again = (await gateway.apply(PACK)).json()["data"]
        assert (again["version"], again["changed"]) == (1, False)
        second = (await gateway.apply(PACK.replace("mode: auto", "mode: observe"))).json()["data"]
        assert second["version"] == 2
        assert second["changes"] == [{"kind": "changed", "where": "mode", "before": "auto", "after": "observe"}]
        await eventually(lambda: detector.packs.packs["shop"].version == 2)
        assert [one["version"] for one in await gateway.get("/api/packs/shop/history")] == [2, 1]
        assert (await gateway.get("/api/packs/shop"))["body"]["mode"] == "observe"
        assert (await gateway.client.delete("/api/packs/shop")).is_success
        await eventually(lambda: not detector.packs.packs)
        assert await gateway.get("/api/packs") == []


async def test_problems_of_a_pack_are_told_with_their_lines(gateway: Gateway) -> None:
    response = await gateway.apply(PACK + "mdoe: auto\n")
    problem = response.json()
    assert response.status_code == 422
    assert problem["errors"] == [
        {
            "where": "mdoe",
            "message": "unknown key `mdoe`",
            "remedy": problem["errors"][0]["remedy"],
            "line": 8,
            "column": 1,
        }
    ]
    assert "did you mean `mode`?" in problem["errors"][0]["remedy"]
    assert await gateway.get("/api/packs") == []


async def test_a_component_belongs_to_one_pack(gateway: Gateway) -> None:
    await gateway.apply(PACK)
    response = await gateway.apply("pack: other\ncomponents: {orders: {}, own: {}}\n")
    assert response.status_code == 409
    assert response.json()["errors"][0]["where"] == "components.orders"
    checked = await gateway.client.post("/api/packs/validate", content="pack: other\ncomponents: {orders: {}}\n")
    assert checked.json()["data"]["collisions"] == ["orders is a component of shop"]


async def test_concurrent_applies_of_colliding_packs_let_one_through(gateway: Gateway) -> None:
    packs = [f"pack: p{number}\ncomponents: {{orders: {{}}}}\n" for number in range(6)]
    answers = await asyncio.gather(*(gateway.apply(pack) for pack in packs))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]


async def test_variables_are_set_and_a_diff_changes_nothing(gateway: Gateway) -> None:
    text = PACK + "variables: {port: 1}\nprobes: [{component: edge, tcp: {port: '${var.port}'}}]\n"
    diff = await gateway.client.post("/api/packs/diff", content=text, params={"set": "port=81"})
    assert diff.json()["data"]["from_version"] is None
    assert await gateway.get("/api/packs") == []
    await gateway.apply(text, port="80")
    diff = await gateway.client.post("/api/packs/diff", content=text, params={"set": "port=81"})
    where = {change["where"] for change in diff.json()["data"]["changes"]}
    assert where == {"variables.port", "probes[]"}


async def test_packs_that_the_bus_has_lost_are_said_again(gateway: Gateway, eventually: Eventually) -> None:
    await gateway.apply(PACK)
    await eventually(lambda: gateway.service.packs.packs)
    client = await gateway.platform.connect_nats()
    await client.jetstream().purge_stream("STATE")
    await client.close()
    gateway.service.packs._packs.clear()
    async with peer(gateway.platform, "detector") as detector:
        await eventually(lambda: detector.packs.component("orders"), within_s=20)


# ---- acting


async def test_a_request_for_healing_goes_to_the_decider_once_per_key(gateway: Gateway, eventually: Eventually) -> None:
    heard: list[ManualRequest] = []

    async def hear(event: ManualRequest, _unit: Unit) -> None:
        heard.append(event)

    await gateway.apply(PACK)
    await eventually(lambda: gateway.service.packs.component("orders"))
    async with peer(gateway.platform, "decider", lambda s: s.bus.on(ManualRequest, hear)):
        body = {"component": "orders", "playbook": "restart", "comment": "please"}
        first = await gateway.post("/api/healing/run", body, headers={"Idempotency-Key": "k1"})
        second = await gateway.post("/api/healing/run", body, headers={"Idempotency-Key": "k1"})
        assert first == second
        other = await gateway.post("/api/healing/run", body)
        await eventually(lambda: {str(one.case_id) for one in heard} == {first["case_id"], other["case_id"]})
        assert len(heard) == 2
        assert (heard[0].by, heard[0].playbook) == ("bootstrap", "restart")

    wrong = await gateway.client.post("/api/healing/run", json={"component": "ordres", "playbook": "restart"})
    assert "did you mean `orders`?" in wrong.json()["remedy"]
    wrong = await gateway.client.post("/api/healing/run", json={"component": "orders", "playbook": "restrat"})
    assert "did you mean `restart`?" in wrong.json()["remedy"]


async def test_approvals_reach_the_decider_and_its_refusal_reaches_the_person(
    gateway: Gateway,
) -> None:
    asked: list[Answer] = []

    async def answer(request: Answer, _unit: Unit) -> Answered:
        asked.append(request)
        accepted = len(asked) == 1
        reason = "approved" if accepted else "somebody else answered already"
        return Answered(accepted=accepted, reason=reason, decision_id=request.decision_id)

    decision_id = uuid4()
    async with peer(gateway.platform, "decider", lambda s: s.bus.answer("answer", Answer, answer)):
        done = await gateway.post(f"/api/decisions/{decision_id}/approve", {"comment": "go"})
        assert done["accepted"] is True
        late = await gateway.client.post(f"/api/decisions/{decision_id}/reject")
        assert late.status_code == 409
        assert late.json()["detail"] == "somebody else answered already"
    assert (asked[0].by, asked[0].comment, asked[0].verb) == ("bootstrap", "go", "approve")
    gone = await gateway.client.post(f"/api/decisions/{decision_id}/approve")
    assert gone.status_code == 502
    assert "the decider is not running" in gone.json()["detail"]
    results = [one["result"] for one in await gateway.get("/api/audit")]
    assert results == ["failed", "refused", "done"]


async def test_a_cycle_asks_every_service_in_order_and_reports_those_that_are_away(gateway: Gateway) -> None:
    async def sweep(request: SweepRequest, unit: Unit) -> Swept:
        return Swept(at=unit.now, service="healer", looked_at=3, summary=f"asked by {request.by}")

    async with peer(gateway.platform, "healer", lambda s: s.bus.answer("sweep", SweepRequest, sweep)):
        cycle = await gateway.post("/api/autonomous/run-cycle")
    assert [one["service"] for one in cycle["phases"]] == [
        "detector",
        "diagnoser",
        "decider",
        "healer",
        "predictor",
        "optimizer",
        "learner",
    ]
    assert cycle["complete"] is False
    healer = cycle["phases"][3]
    assert (healer["ok"], healer["looked_at"], healer["summary"]) == (True, 3, "asked by bootstrap")
    assert "not running" in cycle["phases"][0]["summary"]


# ---- the picture of now


async def test_the_state_of_the_system_is_one_picture(gateway: Gateway, eventually: Eventually) -> None:
    await gateway.apply(PACK)
    await eventually(lambda: gateway.service.packs.component("orders"))
    assert (await gateway.get("/api/monitoring/health"))["overall_status"] == "unknown"
    case_id, decision_id = uuid4(), uuid4()
    async with peer(gateway.platform, "detector") as detector, peer(gateway.platform, "decider") as decider:
        for component, status in (("edge", HealthStatus.HEALTHY), ("orders", HealthStatus.CRITICAL)):
            await detector.bus.publish(Health(at=START, component=component, status=status, since=START))
        await detector.bus.publish(incident(case_id, 1, Transition.OPENED, 0))
        await decider.bus.publish(decision(case_id, Verdict.ASK, decision_id))

        async def complete() -> bool:
            now = await gateway.get("/api/autonomous/system-state")
            return bool(now["asking"] and now["open_incidents"] and now["health"]["overall_status"] == "critical")

        await eventually(complete)
        state = await gateway.get("/api/autonomous/system-state")
        assert state["health"]["action_required"] is True
        assert state["health"]["checks"]["database"]["status"] == "healthy"
        assert [one["component"] for one in state["open_incidents"]] == ["orders"]
        assert state["asking"][0]["decision_id"] == str(decision_id)
        assert state["packs"][0]["pack"] == "shop"
        await decider.bus.publish(decision(case_id, Verdict.EXECUTE, decision_id, revision=2))

        async def answered() -> bool:
            return bool((await gateway.get("/api/autonomous/system-state"))["asking"] == [])

        await eventually(answered)


# ---- the live stream


async def next_event(lines: AsyncIterator[str]) -> tuple[str, str, Any]:
    """Id, subject and body of the next event; comments are passed over."""
    found: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "data" in found:
            return found["id"], found["event"], json.loads(found["data"])
        found[name] = value
    raise AssertionError("the stream ended")


async def test_events_are_followed_live_and_taken_up_again_where_it_broke_off(gateway: Gateway) -> None:
    async with peer(gateway.platform, "detector") as detector, asyncio.timeout(20):
        async with gateway.client.stream("GET", "/api/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith(":")
            first = incident(uuid4(), 1, Transition.OPENED, 0)
            await detector.bus.publish(first)
            place, subject, body = await next_event(lines)
            assert (subject, body["case_id"]) == ("detector.incident.v1", str(first.case_id))
        missed = [incident(uuid4(), 1, Transition.OPENED, n) for n in (1, 2)]
        for event in missed:
            await detector.bus.publish(event)
        async with gateway.client.stream("GET", "/api/events", headers={"Last-Event-ID": place}) as stream:
            lines = stream.aiter_lines()
            seen = [(await next_event(lines))[2]["case_id"] for _ in missed]
            assert seen == [str(event.case_id) for event in missed]


async def test_a_stopping_gateway_ends_its_streams(platform: Platform) -> None:
    async with (
        asyncio.timeout(30),
        started(platform) as gateway,
        gateway.client.stream("GET", "/api/events") as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        await gateway.service.stop()
        rest = [line async for line in lines]
        assert not any(line.startswith("data") for line in rest)


# ---- dead letters


async def test_dead_letters_are_listed_with_their_reason(gateway: Gateway, eventually: Eventually) -> None:
    client = await gateway.platform.connect_nats("detector")
    await client.jetstream().publish("detector.incident.v1.orders", b'{"component": "orders"}')
    await client.close()

    async def buried() -> bool:
        return bool(await gateway.get("/api/dlq"))

    await eventually(buried)
    (letter,) = await gateway.get("/api/dlq")
    assert letter["service"] == "gateway"
    assert "case_id: Field required" in letter["reason"]
    replayed = await gateway.client.post(f"/api/dlq/{letter['seq']}/replay")
    assert replayed.status_code == 502
    assert "still can't be handled" in replayed.json()["detail"]
    assert (await gateway.client.post("/api/dlq/999/replay")).status_code == 404
