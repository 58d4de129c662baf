"""What Prometheus, Alertmanager and senders of CloudEvents post: stored in the stream before it is acknowledged, once,
and refused in the protocol's way."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.cli.provision import provision_streams
from services.gateway.app import wire
from services.gateway.handlers.http.ingest.common import MAX_REPORT_BYTES
from services.gateway.settings import Settings
from shared.bus.streams import INGEST
from tests.conftest import Platform
from tests.integration.test_gateway import ADMIN, Gateway
from tests.unit.gateway.wire import STALE, V2_TYPE, request_v1, request_v2, series_v1, snappy, varint

Eventually = Callable[..., Awaitable[None]]
V1 = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
V2 = {"Content-Type": V2_TYPE, "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0"}
UP = {"__name__": "up", "instance": "a:80", "job": "shop"}
LABELS = {"alertname": "HighLatency", "service": "orders", "severity": "critical"}
WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


def now_ms(seconds: float = 0) -> int:
    return int((datetime.now(UTC) + timedelta(seconds=seconds)).timestamp() * 1000)


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@asynccontextmanager
async def serving(platform: Platform, **settings: Any) -> AsyncIterator[Gateway]:
    chosen = platform.settings(Settings, http_port=0, admin_token=SecretStr(ADMIN)).model_copy(update=settings)
    service, server = wire(chosen)
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
    async with serving(platform) as running:
        yield running


async def stored(platform: Platform) -> list[tuple[str, dict[str, Any]]]:
    """Everything in the stream: subject as published, and body."""
    client = await platform.connect_nats()
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(INGEST)).state
    found = []
    for sequence in range(state.first_seq, state.last_seq + 1) if state.messages else ():
        message = await jetstream.get_msg(INGEST, sequence)
        kind, _, component = message.subject.split(".")[1], *message.subject.split(".")[-2:]
        found.append((f"{kind}/{component}", json.loads(message.data or b"")))
    await client.close()
    return found


async def write(gateway: Gateway, body: bytes, headers: dict[str, str] = V1) -> httpx.Response:
    return await gateway.client.post("/api/v1/write", content=snappy(body), headers=headers)


# ---- remote write


async def test_remote_write_1_0_is_stored_as_readings_of_components(gateway: Gateway, platform: Platform) -> None:
    first, second = now_ms(-1), now_ms()
    other = {"__name__": "errors_total", "service": "Orders API"}
    body = request_v1(
        series_v1(UP, [(0.0, first), (1.0, second)]),
        series_v1(other, [(7.0, second)]),
        series_v1(UP, [(STALE, second)]),
    )
    answer = await write(gateway, body)
    assert (answer.status_code, answer.content) == (204, b"")
    (shop_name, shop), (orders_name, orders) = await stored(platform)
    assert (shop_name, orders_name) == ("metrics/shop", "metrics/orders-api")
    assert [(each["name"], each["value"]) for each in shop["samples"]] == [("up", 0.0), ("up", 1.0)]
    assert shop["samples"][0]["labels"] == {"instance": "a:80", "job": "shop"}
    assert [each["value"] for each in orders["samples"]] == [7.0]


async def test_remote_write_2_0_says_what_it_wrote(gateway: Gateway, platform: Platform) -> None:
    latency = {"__name__": "latency_seconds", "job": "shop"}
    body = request_v2((UP, [(1.0, now_ms())], []), (latency, [], [(7, 3.5, now_ms())]), exemplars=1)
    answer = await write(gateway, body, V2)
    assert answer.status_code == 204
    assert [answer.headers[WRITTEN.format(kind)] for kind in ("Samples", "Histograms", "Exemplars")] == ["1", "1", "0"]
    ((_, batch),) = await stored(platform)
    assert [each["name"] for each in batch["samples"]] == ["up", "latency_seconds_count", "latency_seconds_sum"]


async def test_what_is_sent_twice_is_stored_once(platform: Platform) -> None:
    at_ms = now_ms()
    replicas = [request_v1(series_v1({**UP, "prometheus_replica": name}, [(1.0, at_ms)])) for name in ("a", "b")]
    async with serving(platform) as gateway:
        for body in (*replicas, replicas[0]):
            assert (await write(gateway, body)).status_code == 204
        assert len(await stored(platform)) == 1
    async with serving(platform) as another:  # remembers nothing; the stream knows the batch by its id
        assert (await write(another, replicas[1])).status_code == 204
    assert len(await stored(platform)) == 1


async def test_samples_that_cannot_be_used_are_refused_and_the_others_stored(
    gateway: Gateway, platform: Platform
) -> None:
    body = request_v2((UP, [(1.0, now_ms())], []), ({"__name__": "up", "job": "b"}, [(1.0, now_ms(3600))], []))
    answer = await write(gateway, body, V2)
    assert (answer.status_code, answer.headers[WRITTEN.format("Samples")]) == (400, "1")
    assert "1 in-the-future (such as up)" in answer.json()["detail"]
    assert [name for name, _ in await stored(platform)] == ["metrics/shop"]


async def test_the_labels_that_name_a_component_are_a_setting(platform: Platform) -> None:
    async with serving(platform, gateway_component_labels=("team",)) as gateway:
        for team in ("red", "blue"):
            await write(gateway, request_v1(series_v1({**UP, "team": team}, [(1.0, now_ms())])))
    assert [name for name, _ in await stored(platform)] == ["metrics/red", "metrics/blue"]


async def _chunks(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 65_536 + 1):
        yield b"0" * 65_536


UNREADABLE: list[tuple[str, dict[str, str], bytes, int]] = [
    ("write", V1, b"no snappy", 400),
    ("write", V1, b"", 400),
    ("write", V1, snappy(b"no protobuf"), 400),
    ("write", V1, varint(0xFFFF_FFFF) + b"\x00a", 413),
    ("write", V1, b"0" * (MAX_REPORT_BYTES + 1), 413),
    ("write", {**V1, "Content-Encoding": "gzip"}, gzip.compress(b""), 415),
    ("write", {**V1, "Content-Type": "application/json"}, snappy(b""), 415),
    ("write", {**V1, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v9.X"}, snappy(b""), 415),
    ("write", {"Content-Encoding": "snappy"}, snappy(b""), 204),
    ("write", V2, snappy(b""), 204),
    ("alertmanager/webhook", {}, b"{", 400),
    ("alertmanager/webhook", {"Content-Encoding": "br"}, b"{}", 415),
    ("alertmanager/webhook", {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 40_000_000), 413),
    ("alertmanager/webhook", {"Content-Encoding": "gzip"}, b"no gzip", 400),
    ("events", {"Content-Type": "text/plain"}, b"hello", 415),
    ("events", {"Content-Type": "application/cloudevents+json"}, b"[]", 400),
]


async def test_what_cannot_be_read_has_its_standard_answer(gateway: Gateway, platform: Platform) -> None:
    for path, headers, body, status in UNREADABLE:
        answer = await gateway.client.post(f"/api/v1/{path}", content=body, headers=headers)
        assert answer.status_code == status, (path, headers, body[:20], answer.text)
        if status != 204:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["detail"]
    assert await stored(platform) == []


async def test_a_body_without_a_length_is_cut_off(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/v1/write", content=_chunks(3 * MAX_REPORT_BYTES), headers=V1)
    assert answer.status_code == 413


# ---- who may


async def test_a_sender_may_report_and_nothing_else(gateway: Gateway) -> None:
    sender, viewer, operator = [await gateway.token(role) for role in ("sender", "viewer", "operator")]
    body = snappy(request_v1(series_v1(UP, [(1.0, now_ms())])))

    async def status(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> int:
        return (await client.request(method, path, **more)).status_code

    async with sender, viewer, operator:
        for client, expected in ((sender, 204), (operator, 204), (viewer, 403)):
            assert await status(client, "POST", "/api/v1/write", content=body, headers=V1) == expected
        assert await status(sender, "POST", "/api/v2/alerts", json=[]) == 200
        for method, path in (("GET", "/api/events"), ("POST", "/api/healing/run"), ("GET", "/api/tokens")):
            assert await status(sender, method, path, json={}) in (403, 422), path
        assert await status(sender, "GET", "/api/events") == 403
    async with httpx.AsyncClient(base_url=gateway.url) as stranger:
        for path in ("/api/v1/write", "/api/v1/alertmanager/webhook", "/api/v2/alerts", "/api/v1/events"):
            assert await status(stranger, "POST", path, content=b"") == 401
    refused = [entry for entry in await gateway.get("/api/audit") if entry["result"] == "refused"]
    assert {entry["action"] for entry in refused} >= {"POST /api/v1/write", "GET /api/events", "POST /api/v2/alerts"}


# ---- NATS is away


class Wire:
    """The cable between a gateway and NATS, with a hand on the plug."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("nats://").rpartition(":")
        self._target = (host, int(port))
        self._ends: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def plug_in(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._ends += [writer, far_writer]

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65_536):
                    sink.write(data)
            except OSError:
                return

        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


async def test_while_nats_is_away_senders_are_asked_to_come_again(platform: Platform, eventually: Eventually) -> None:
    cable = Wire(platform.settings(Settings).nats_url)
    await cable.plug_in()
    async with serving(platform, nats_url=f"nats://127.0.0.1:{cable.port}") as gateway:
        body = request_v1(series_v1(UP, [(1.0, now_ms())]))
        alerts = [{"labels": LABELS, "startsAt": at(-1), "endsAt": at(240)}]
        await cable.pull()
        await eventually(lambda: not gateway.service.bus.connected)
        answers = [await write(gateway, body), await gateway.client.post("/api/v2/alerts", json=alerts)]
        for answer in answers:
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answers[0].headers[WRITTEN.format("Samples")] == "0"
        assert await stored(platform) == []
        await cable.plug_in()
        await eventually(lambda: gateway.service.bus.connected)
        assert (await write(gateway, body)).status_code == 204
        assert (await gateway.client.post("/api/v2/alerts", json=alerts)).status_code == 200
    assert [name for name, _ in await stored(platform)] == ["metrics/shop", "incidents/orders"]
    await cable.pull()


async def test_what_the_stream_did_not_take_is_not_taken_for_known(gateway: Gateway, platform: Platform) -> None:
    body = request_v1(series_v1(UP, [(1.0, now_ms())]))
    client = await platform.connect_nats()
    await client.jetstream().delete_stream(INGEST)
    assert (await write(gateway, body)).status_code == 503
    address = platform.settings(Settings).nats_url
    await provision_streams(address, "admin", platform.servers.data_dir.secret("nats.admin"))
    assert (await write(gateway, body)).status_code == 204
    assert len(await stored(platform)) == 1
    await client.close()


# ---- alerts


def webhook(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "homeostat", "alerts": list(alerts)}


async def test_alerts_are_incidents_until_they_are_resolved(gateway: Gateway, platform: Platform) -> None:
    said = {"labels": LABELS, "annotations": {"summary": "p99 is 2 s"}, "startsAt": at(-60)}
    firing = webhook({**said, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"})
    resolved = {**said, "endsAt": at(-1)}
    for _ in range(2):  # peers of a highly available pair both send
        assert (await gateway.client.post("/api/v1/alertmanager/webhook", json=firing)).status_code == 200
    assert (await gateway.client.post("/api/v2/alerts", json=[resolved])).status_code == 200
    (name, first), (_, second) = await stored(platform)
    assert name == "incidents/orders"
    assert (first["pattern"], first["severity"], first["summary"]) == ("highlatency", "critical", "p99 is 2 s")
    assert (first["status"], second["status"]) == ("firing", "resolved")
    assert (first["source"], first["external_id"]) == (second["source"], second["external_id"])


async def test_an_alert_that_cannot_be_used_takes_no_other_with_it(gateway: Gateway, platform: Platform) -> None:
    answer = await gateway.client.post("/api/v2/alerts", json=[{"labels": {}}, {"labels": LABELS}])
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (400, "alerts.0")
    assert [name for name, _ in await stored(platform)] == ["incidents/orders"]


@pytest.mark.slow
async def test_ten_thousand_alerts_at_once_are_all_stored(gateway: Gateway, platform: Platform) -> None:
    """Also when a busy machine needs several tries: none is lost, none is stored twice."""
    alerts = [{"labels": {**LABELS, "pod": str(number)}, "startsAt": at(-1)} for number in range(10_000)]
    while (answer := await gateway.client.post("/api/v2/alerts", json=alerts, timeout=60)).status_code == 503:
        pass
    assert answer.status_code == 200
    client = await platform.connect_nats()
    assert (await client.jetstream().stream_info(INGEST)).state.messages == len(alerts)
    await client.close()


# ---- CloudEvents


def cloud_event(**more: Any) -> dict[str, Any]:
    data = {"kind": "deployment", "summary": "v2"}
    known = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "homeostat.ingest.changes", "subject": "orders"}
    return {**known, "data": data, **more}


async def test_cloud_events_come_structured_binary_and_in_batches(gateway: Gateway, platform: Platform) -> None:
    async def post(kind: str, body: object, **headers: str) -> httpx.Response:
        sent = {"Content-Type": kind, **headers}
        return await gateway.client.post("/api/v1/events", content=json.dumps(body), headers=sent)

    event = cloud_event()
    attributes = {f"ce-{name}": value for name, value in event.items() if name != "data"}
    assert (await post("application/cloudevents+json", event)).status_code == 204
    assert (await post("application/json", event["data"], **attributes)).status_code == 204
    two = [event, cloud_event(id="8", type="ingest.checks.v1", data={"probe": "p", "result": "ok"})]
    assert (await post("application/cloudevents-batch+json", two)).status_code == 204
    assert [name for name, _ in await stored(platform)] == ["changes/orders", "checks/orders"]

    bad = [cloud_event(id="9"), cloud_event(id="10", data={"kind": "gossip"})]
    answer = await post("application/cloudevents-batch+json", bad)
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (400, "events.1.data")
    assert len(await stored(platform)) == 2
