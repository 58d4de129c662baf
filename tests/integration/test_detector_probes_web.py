"""Probes over HTTP: what an answer must say, redirects, secrets, certificates, clocks, and a Prometheus' API."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from shared.contracts.ingest import CheckKind, CheckResult
from tests.integration.detector_probing import Eventually, Heard, running

Headers = dict[str, str]


@dataclass
class Site:
    """A server that remembers what it was asked."""

    pages: dict[str, tuple[int, Headers, bytes]]
    port: int = 0
    asked: list[tuple[str, str, Headers]] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        method, path, _ = head[0].split(" ")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
        self.asked.append((method, path, headers))
        status, more, body = self.pages.get(path.partition("?")[0], (404, {}, b""))
        lines = [f"HTTP/1.1 {status} X", "connection: close", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in more.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def site(pages: dict[str, tuple[int, Headers, bytes]], tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    made = Site(pages)
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, ssl=tls)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()


@pytest.mark.parametrize(
    ("expected", "result"),
    [
        ({"values": {"status": "ok"}}, CheckResult.OK),
        ({"values": {"status": "down"}}, CheckResult.ERROR),
        ({"contains": "nowhere"}, CheckResult.ERROR),
    ],
)
async def test_what_an_answer_says_counts(
    expected: dict[str, object], result: CheckResult, eventually: Eventually
) -> None:
    heard = Heard()
    async with site({"/": (200, {}, b'{"status": "ok"}')}) as made:
        url = f"http://127.0.0.1:{made.port}/"
        async with running(heard, {"http": {"url": url, "expect_body": expected}}):
            await eventually(lambda: heard.checks)
    assert heard.results[0] is result, heard.checks[0].detail


async def test_methods_and_headers_whose_values_are_secrets(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setenv("TEST_TOKEN", "Bearer hunter2")
    async with site({"/": (204, {}, b"")}) as made:
        http = {
            "url": f"http://127.0.0.1:{made.port}/",
            "method": "HEAD",
            "expect_status": [204],
            "headers": {"Authorization": {"env": "TEST_TOKEN"}, "X-Plain": "yes"},
        }
        async with running(heard, {"http": http}):
            await eventually(lambda: heard.checks)
    method, _, headers = made.asked[0]
    assert (method, headers["authorization"], headers["x-plain"]) == ("HEAD", "Bearer hunter2", "yes")
    assert heard.results[0] is CheckResult.OK
    assert "hunter2" not in " ".join(event.model_dump_json() for event in heard.events)


async def test_redirects_are_followed_to_declared_hosts_only_and_take_no_secret_elsewhere(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "hunter2")
    headers = {"Authorization": {"env": "TEST_TOKEN"}}
    async with site({"/there": (200, {}, b"")}) as other:
        pages: dict[str, tuple[int, Headers, bytes]] = {
            "/same": (302, {"location": "/here"}, b""),
            "/here": (200, {}, b""),
            "/other": (302, {"location": f"http://127.0.0.1:{other.port}/there"}, b""),
            "/away": (302, {"location": "http://198.51.100.7/"}, b""),
            "/round": (302, {"location": "/round"}, b""),
        }
        async with site(pages) as made:
            for path, follow, result in (
                ("/same", 0, CheckResult.ERROR),
                ("/same", 1, CheckResult.OK),
                ("/other", 1, CheckResult.OK),
                ("/away", 1, CheckResult.ERROR),
                ("/round", 5, CheckResult.ERROR),
            ):
                heard = Heard()
                url = f"http://127.0.0.1:{made.port}{path}"
                async with running(heard, {"http": {"url": url, "follow_redirects": follow, "headers": headers}}):
                    await eventually(lambda heard=heard: heard.checks)
                assert heard.results[0] is result, (path, heard.checks[0].detail)
        assert "authorization" in made.asked[-1][2]
        assert "authorization" not in other.asked[0][2]


# ---- certificates and clocks


def certificate(folder: Path, days: int) -> ssl.SSLContext:
    """A server's context with a certificate of its own making, also its own authority."""
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "pem")]
    subprocess.run([*make.split(), "-days", str(days), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem", folder / "key")
    return context


@pytest.mark.parametrize(("days", "result"), [(90, CheckResult.OK), (5, CheckResult.ERROR)])
async def test_a_certificate_is_watched_beside_the_answer(
    days: int, result: CheckResult, tmp_path: Path, eventually: Eventually
) -> None:
    heard, tls = Heard(), certificate(tmp_path, days)
    async with site({"/": (200, {}, b"")}, tls) as made:
        http = {"url": f"https://127.0.0.1:{made.port}/", "ca_file": str(tmp_path / "pem")}
        async with running(heard, {"http": http}):
            await eventually(lambda: len(heard.checks) >= 2)
    told = {check.kind: check for check in heard.checks}
    assert told[CheckKind.HTTP].result is CheckResult.OK, told[CheckKind.HTTP].detail
    assert told[CheckKind.CERTIFICATE].result is result
    assert told[CheckKind.CERTIFICATE].probe == f"{told[CheckKind.HTTP].probe}/certificate"
    assert heard.samples["certificate_expires_in_s"] == pytest.approx(days * 86_400, abs=120)


async def test_a_certificate_of_nobody_is_an_error_of_the_answer(tmp_path: Path, eventually: Eventually) -> None:
    heard = Heard()
    async with (
        site({"/": (200, {}, b"")}, certificate(tmp_path, 90)) as made,
        running(heard, {"http": {"url": f"https://127.0.0.1:{made.port}/"}}),
    ):
        await eventually(lambda: heard.checks)
    assert heard.results[0] is CheckResult.ERROR
    assert "CERTIFICATE_VERIFY_FAILED" in heard.checks[0].detail


async def test_a_clock_that_is_off_is_seen(eventually: Eventually) -> None:
    for ahead_s, low, high in ((0.0, 0.0, 0.0), (60.0, 58.0, 60.5), (-60.0, -60.5, -57.0)):
        heard = Heard()
        async with (
            site({"/": (200, {"date": formatdate(time() + ahead_s, usegmt=True)}, b"")}) as made,
            running(heard, {"http": {"url": f"http://127.0.0.1:{made.port}/"}}) as runner,
        ):
            await runner.sweep()
        assert low <= heard.samples["clock_offset_s"] <= high


# ---- Prometheus


def vector(*series: tuple[dict[str, str], str]) -> bytes:
    result = [{"metric": labels, "value": [1.0, value]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


async def test_a_query_s_series_become_samples_and_bounds_judge_them(eventually: Eventually) -> None:
    pages: dict[str, tuple[int, Headers, bytes]] = {
        "/api/v1/query": (200, {}, vector(({"job": "a"}, "1"), ({"job": "b"}, "9")))
    }
    async with site(pages) as made:
        promql = {"url": f"http://127.0.0.1:{made.port}/", "query": 'sum by (job) (x{a="b"})', "metric": "jobs"}
        for bounds, result in (
            ({}, CheckResult.OK),
            ({"above": 5}, CheckResult.ERROR),
            ({"max_series": 1}, CheckResult.ERROR),
        ):
            heard = Heard()
            async with running(heard, {"promql": promql | bounds}):
                await eventually(lambda heard=heard: heard.checks)
            assert heard.results[0] is result, heard.checks[0].detail
            if bounds == {"above": 5}:
                assert "jobs{job=b} is 9, above 5" in heard.checks[0].detail
                assert [(each.labels["job"], each.value) for each in heard.all_samples][:2] == [("a", 1), ("b", 9)]
    assert "query=sum" in made.asked[0][1]


async def test_a_prometheus_that_refuses_the_query_or_is_none(eventually: Eventually) -> None:
    refusal = json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error at char 3"}).encode()
    for status, body, says in ((400, refusal, "bad_data: parse error"), (502, b"<html>", "check the url")):
        heard = Heard()
        async with site({"/api/v1/query": (status, {}, body)}) as made:
            promql = {"url": f"http://127.0.0.1:{made.port}", "query": "x x", "metric": "m"}
            async with running(heard, {"promql": promql}):
                await eventually(lambda heard=heard: heard.checks)
        assert heard.results[0] is CheckResult.ERROR
        assert says in heard.checks[0].detail


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[str]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: apt-get install -y --no-install-recommends prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms}\n"
        f"scrape_configs: [{{job_name: itself, static_configs: [{{targets: ['{address}']}}]}}]\n"
    )
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    yield f"http://{address}"
    process.kill()
    await process.wait()


@pytest.mark.slow
async def test_a_real_prometheus(prometheus: str, eventually: Callable[..., Awaitable[None]]) -> None:
    heard = Heard()
    good = {"url": prometheus, "query": "up", "metric": "targets_up", "below": 1}
    bad = {"url": prometheus, "query": "up[", "metric": "nonsense"}
    async with running(heard, {"promql": good}, {"promql": bad}):
        await eventually(lambda: heard.samples.get("targets_up") == 1, within_s=30)
        await eventually(lambda: any("bad_data" in check.detail for check in heard.checks))
    sample = next(each for each in heard.all_samples if each.name == "targets_up")
    assert sample.labels["job"] == "itself"
