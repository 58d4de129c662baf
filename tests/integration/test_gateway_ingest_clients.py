"""Real Prometheus, Alertmanager and amtool report to a gateway, as docs/how-to/send-us-your-metrics-and-alerts.md
configures them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from services.detector.app import build as build_detector
from services.detector.settings import Settings as DetectorSettings
from services.gateway.handlers.http.deps import REPORTS_AT_ONCE
from services.gateway.settings import Settings
from shared.contracts.detector import Incident
from tests.conftest import Platform
from tests.integration.test_gateway_ingest_prometheus import V1, Wire, now_ms, serving, stored
from tests.unit.gateway.wire import request_v1, series_v1, snappy

pytestmark = pytest.mark.slow
Eventually = Callable[..., Awaitable[None]]

LEFT_OUT = "homeostat_reported_left_out_total"
PROMETHEUS = """\
global: {{scrape_interval: 500ms, evaluation_interval: 500ms, external_labels: {{prometheus_replica: a}}}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["{exporter}"]}}]
rule_files: [rules.yml]
remote_write:
  - url: {gateway}/api/v1/write
    authorization: {{credentials_file: token}}
    queue_config: {{batch_send_deadline: 500ms, min_backoff: 100ms, max_backoff: 500ms}}
alerting:
  alert_relabel_configs: [{{regex: prometheus_replica, action: labeldrop}}]
  alertmanagers:
    - authorization: {{credentials_file: token}}
      static_configs: [{{targets: ["{target}"]}}]
"""
RULES = """\
groups:
  - name: shop
    rules:
      - alert: ShopErrors
        expr: shop_errors > 5
        labels: {severity: critical, service: orders}
        annotations: {summary: "{{ $value }} errors"}
"""
ALERTMANAGER = """\
route: {{receiver: homeostat, group_by: [alertname], group_wait: 100ms, group_interval: 1s, repeat_interval: 15m}}
receivers:
  - name: homeostat
    webhook_configs:
      - url: {gateway}/api/v1/alertmanager/webhook
        send_resolved: true
        http_config: {{authorization: {{credentials_file: {token}}}}}
"""


def binary(name: str) -> str:
    """Path of a tool; in CI it must be there."""
    found = shutil.which(name)
    if found is None:
        said = f"{name} is not installed: apt-get install --no-install-recommends prometheus prometheus-alertmanager"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()
            print((folder / "log").read_text()[-4_000:])


class Exporter:
    """A program with metrics. `ticks` counts how often it was asked."""

    def __init__(self) -> None:
        self.ticks = 0
        self.errors = 0
        self.address = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.ticks += 1
        body = f"shop_ticks_total {self.ticks}\n"
        if self.errors >= 0:
            body += f"shop_errors {self.errors}\n"
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()


async def readings(platform: Platform, name: str) -> list[float]:
    found = await stored(platform)
    return [
        sample["value"]
        for subject, body in found
        if subject.startswith("metrics/")
        for sample in body["samples"]
        if sample["name"] == name
    ]


def ended_series() -> float:
    return REGISTRY.get_sample_value(LEFT_OUT, {"protocol": "remote-write", "reason": "stale"}) or 0.0


async def sender_token(client: httpx.AsyncClient, folder: Path, role: str = "sender") -> Path:
    made = (await client.post("/api/tokens", json={"name": "prometheus", "role": role})).json()["data"]
    token = folder / "token"
    token.write_text(made["token"])
    return token


@asynccontextmanager
async def incidents_heard(platform: Platform) -> AsyncIterator[list[Incident]]:
    """What a detector makes of it."""
    heard: list[Incident] = []
    client = await platform.connect_nats()
    service = build_detector(platform.settings(DetectorSettings))

    async def hear(message: object) -> None:
        heard.append(Incident.model_validate_json(message.data))  # type: ignore[attr-defined]

    await client.subscribe("detector.incident.v1.*", cb=hear)
    await client.flush()
    await service.start()
    try:
        yield heard
    finally:
        await service.stop()
        await client.close()


async def test_prometheus_writes_and_alerts_and_loses_nothing_to_an_outage(
    platform: Platform, eventually: Eventually, tmp_path: Path
) -> None:
    prometheus = binary("prometheus")
    cable, exporter = Wire(platform.settings(Settings).nats_url), Exporter()
    await cable.plug_in()
    async with (
        serving(platform, nats_url=f"nats://127.0.0.1:{cable.port}") as gateway,
        exporter.serving(),
        incidents_heard(platform) as heard,
    ):
        await sender_token(gateway.client, tmp_path)
        told = {"exporter": exporter.address, "gateway": gateway.url, "target": gateway.url.removeprefix("http://")}
        (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(**told))
        (tmp_path / "rules.yml").write_text(RULES)
        listen = f"--web.listen-address=127.0.0.1:{free_port()}"
        command = [prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data", listen]
        with running(command, tmp_path):

            async def ticks() -> int:
                return len(await readings(platform, "shop_ticks_total"))

            async def more_than(count: int) -> bool:
                return await ticks() > count

            await eventually(lambda: more_than(2), within_s=30)
            await cable.pull()
            away_since = exporter.ticks
            await eventually(lambda: exporter.ticks > away_since + 4, within_s=30)
            await cable.plug_in()
            await eventually(lambda: more_than(away_since + 6), within_s=30)
            values = await readings(platform, "shop_ticks_total")
            assert values == [float(tick) for tick in range(int(values[0]), int(values[0]) + len(values))]
            exporter.errors = 7
            await eventually(lambda: heard, within_s=30)
            assert (heard[0].component, heard[0].pattern, heard[0].severity) == ("orders", "shoperrors", "critical")
            assert heard[0].summary == "7 errors"
            ended_before = ended_series()
            exporter.errors = -1  # the series ends: a stale marker, and the alert is over
            await eventually(lambda: heard[-1].resolved_at is not None, within_s=30)
            await eventually(lambda: ended_series() > ended_before, within_s=30)
        assert set(await readings(platform, "shop_errors")) == {0.0, 7.0}
    subjects = {subject for subject, _ in await stored(platform)}
    assert "metrics/shop" in subjects
    await cable.pull()


async def test_alertmanager_posts_its_webhook(platform: Platform, eventually: Eventually, tmp_path: Path) -> None:
    alertmanager, amtool = binary("prometheus-alertmanager"), binary("amtool")
    async with serving(platform) as gateway, incidents_heard(platform) as heard:
        token = await sender_token(gateway.client, tmp_path)
        (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER.format(gateway=gateway.url, token=token))
        url = f"http://127.0.0.1:{free_port()}"
        listen = [f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address="]
        command = [alertmanager, "--config.file=alertmanager.yml", "--storage.path=data", *listen]
        with running(command, tmp_path):
            async with httpx.AsyncClient(base_url=url) as client:

                async def ready() -> bool:
                    try:
                        return (await client.get("/-/ready")).is_success
                    except httpx.TransportError:
                        return False

                await eventually(ready, within_s=30)
                add = [
                    amtool,
                    f"--alertmanager.url={url}",
                    "alert",
                    "add",
                    "HighLatency",
                    "service=cart",
                    "severity=page",
                ]
                await asyncio.to_thread(subprocess.run, [*add, "--annotation=summary=slow"], check=True, timeout=20)
                await eventually(lambda: heard, within_s=30)
                (known,) = (await client.get("/api/v2/alerts")).json()
                ((subject, told),) = await stored(platform)
                assert (subject, told["external_id"]) == ("incidents/cart", known["fingerprint"])
                assert (told["severity"], told["summary"]) == ("critical", "slow")
                ended = {"labels": known["labels"], "startsAt": known["startsAt"], "endsAt": known["updatedAt"]}
                assert (await client.post("/api/v2/alerts", json=[ended])).is_success
                await eventually(lambda: heard[-1].resolved_at is not None, within_s=30)


async def test_amtool_adds_an_alert_as_if_to_an_alertmanager(
    platform: Platform, eventually: Eventually, tmp_path: Path
) -> None:
    amtool = binary("amtool")
    async with serving(platform) as gateway:
        token = await sender_token(gateway.client, tmp_path)
        (tmp_path / "http.yml").write_text(f"authorization: {{credentials_file: {token}}}\n")
        with_token = [f"--alertmanager.url={gateway.url}", f"--http.config.file={tmp_path / 'http.yml'}"]
        command = [amtool, *with_token, "alert", "add", "DiskFull", "service=cart"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
    assert [subject for subject, _ in await stored(platform)] == ["incidents/cart"]


async def test_amtool_sees_what_is_wrong_as_if_in_an_alertmanager(
    platform: Platform, eventually: Eventually, tmp_path: Path
) -> None:
    amtool = binary("amtool")
    async with serving(platform) as gateway, incidents_heard(platform) as heard:
        token = await sender_token(gateway.client, tmp_path, "operator")
        (tmp_path / "http.yml").write_text(f"authorization: {{credentials_file: {token}}}\n")
        asking = [amtool, f"--alertmanager.url={gateway.url}", f"--http.config.file={tmp_path / 'http.yml'}"]

        async def told(*words: str) -> str:
            command = [*asking, "alert", *words]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
            assert done.returncode == 0, done.stderr
            return str(done.stdout)

        await told("add", "DiskFull", "service=cart", "severity=critical", "--annotation=summary=no room left")
        await eventually(lambda: heard, within_s=30)

        async def shown() -> bool:
            return bool((await gateway.client.get("/api/v2/alerts")).json())

        await eventually(shown)
        everything = await told("query", "-o", "extended")
        assert "cart" in everything
        assert "no room left" in everything
        assert "diskfull" in await told("query", "component=cart", "severity=~crit.*")
        assert "diskfull" not in await told("query", "severity=warning")
        refused = await gateway.client.get("/api/v2/alerts", params={"filter": "severity"})
        assert refused.status_code == 400
        assert (await gateway.client.get("/api/v2/status")).json()["versionInfo"]["version"]


async def test_when_all_places_are_taken_further_reports_are_put_off(platform: Platform) -> None:
    """Eight bodies that don't end hold every place; they are stored once they do."""
    series = snappy(request_v1(series_v1({"__name__": "up", "job": "shop"}, [(1.0, now_ms())])))
    end, taken = asyncio.Event(), asyncio.Semaphore(0)

    async def unending() -> AsyncIterator[bytes]:
        yield series[:5]
        taken.release()
        await end.wait()
        yield series[5:]

    async with serving(platform) as gateway:
        post = gateway.client.post
        slow = [
            asyncio.create_task(post("/api/v1/write", content=unending(), headers=V1)) for _ in range(REPORTS_AT_ONCE)
        ]
        for _ in slow:
            await taken.acquire()
        answer = await post("/api/v1/write", content=series, headers=V1, timeout=20)
        while answer.status_code == 204:  # it was faster than the last of the slow ones
            answer = await post("/api/v1/write", content=series, headers=V1, timeout=20)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        end.set()
        assert {(await each).status_code for each in slow} == {204}
    assert [subject for subject, _ in await stored(platform)] == ["metrics/shop"]
