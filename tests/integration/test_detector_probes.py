"""Probes against real processes, sockets, files, databases and containers: what they publish, and how fast."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from services.detector.clients import host, kernel
from services.detector.clients.lines import parse_line
from services.detector.clients.network import parse_page
from shared.contracts.ingest import CheckResult, Sample
from shared.packs.model import Probe
from tests.conftest import Platform
from tests.integration.detector_probing import HOSTS, Eventually, Heard, port_of, running, serve


@pytest.mark.parametrize(
    ("answer", "delay_s", "result"),
    [
        (b"200 OK|fine", 0.0, CheckResult.OK),
        (b"503 Service Unavailable|", 0.0, CheckResult.ERROR),
        (b"404 Not Found|", 0.0, CheckResult.ERROR),
        (b"200 OK|fine", 0.15, CheckResult.SLOW),
        (None, 0.0, CheckResult.TIMEOUT),
    ],
)
async def test_http(answer: bytes | None, delay_s: float, result: CheckResult, eventually: Eventually) -> None:
    server, heard = await serve(answer, delay_s), Heard()
    url = f"http://127.0.0.1:{port_of(server)}/healthz"
    async with running(heard, {"http": {"url": url}, "timeout_ms": 400, "slow_ms": 100}):
        await eventually(lambda: heard.checks)
    assert heard.results[0] is result
    server.close()


async def test_a_port_that_nobody_listens_on_refuses_and_one_that_is_open_is_ok(eventually: Eventually) -> None:
    server, heard = await serve(b"200 OK|"), Heard()
    port = port_of(server)
    probes = ({"http": {"url": f"http://127.0.0.1:{port}/"}}, {"tcp": {"port": port}})
    async with running(heard, *probes):
        await eventually(lambda: len(heard.checks) >= 2)
        assert set(heard.results) == {CheckResult.OK}
        server.close()
        await server.wait_closed()
        await eventually(
            lambda: {check.kind for check in heard.checks if check.result is CheckResult.REFUSED} >= {"http", "tcp"}
        )


async def test_a_host_that_the_pack_does_not_declare_is_not_called() -> None:
    heard = Heard()
    async with running(heard, {"http": {"url": "http://198.51.100.7/"}}) as runner:
        assert await runner.sweep() == 0
    assert heard.events == []


# ---- processes


@pytest.fixture
def sleeper() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


async def test_the_end_of_a_process_is_told_within_milliseconds_and_its_successor_followed(
    sleeper: Callable[[], subprocess.Popen[bytes]], tmp_path: Path, eventually: Eventually
) -> None:
    first, pid_file, heard = sleeper(), tmp_path / "web.pid", Heard()
    pid_file.write_text(str(first.pid))
    async with running(heard, {"process": {"pid_file": str(pid_file)}, "every_s": 60}) as runner:
        await runner.sweep()
        assert heard.results[-1] is CheckResult.OK
        assert heard.samples["resident_memory_bytes"] > 0
        assert heard.samples["threads"] == 1
        assert 0 < heard.samples["open_files_ratio"] < 1
        killed_at = time.monotonic()
        first.kill()
        await eventually(lambda: heard.results[-1] is CheckResult.EXITED, every_s=0.001)
        told_ms = 1000 * (heard.at[heard.events.index(heard.checks[-1])] - killed_at)
        assert told_ms < 50
        second = sleeper()
        pid_file.write_text(str(second.pid))
        await eventually(lambda: heard.results[-2:] == [CheckResult.OK, CheckResult.OK])


async def test_an_exit_while_the_kernel_killed_for_lack_of_memory_says_so(
    sleeper: Callable[[], subprocess.Popen[bytes]],
    tmp_path: Path,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process, pid_file, heard = sleeper(), tmp_path / "web.pid", Heard()
    pid_file.write_text(str(process.pid))
    kills = [3]
    monkeypatch.setattr(kernel, "oom_kills", lambda: kills[0])
    async with running(heard, {"process": {"pid_file": str(pid_file)}, "every_s": 60}) as runner:
        await runner.sweep()
        kills[0] = 4
        process.kill()
        await eventually(lambda: heard.results[-1] is CheckResult.EXITED)
    assert "lack of memory" in heard.checks[-1].detail


async def test_a_stopped_process_is_told_twice_and_so_is_its_going_on(
    sleeper: Callable[[], subprocess.Popen[bytes]], tmp_path: Path, eventually: Eventually
) -> None:
    process, pid_file, heard = sleeper(), tmp_path / "web.pid", Heard()
    pid_file.write_text(f"{process.pid}\n")
    async with running(heard, {"process": {"pid_file": str(pid_file)}, "every_s": 60}):
        await eventually(lambda: CheckResult.OK in heard.results)
        os.kill(process.pid, signal.SIGSTOP)
        await eventually(lambda: heard.results[-2:] == [CheckResult.STOPPED] * 2)
        os.kill(process.pid, signal.SIGCONT)
        await eventually(lambda: heard.results[-2:] == [CheckResult.OK] * 2)


async def test_pid_files_that_name_nothing_alive(tmp_path: Path, eventually: Eventually) -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    stale, reused, missing, odd = (tmp_path / name for name in ("stale", "reused", "missing", "odd"))
    stale.write_text(str(gone.pid))
    reused.write_text(str(os.getpid()))
    os.utime(reused, (1, 1))
    odd.write_text("not a number")
    for path, result in (
        (stale, CheckResult.EXITED),
        (reused, CheckResult.EXITED),
        (missing, CheckResult.ERROR),
        (odd, CheckResult.ERROR),
    ):
        heard = Heard()
        async with running(heard, {"process": {"pid_file": str(path)}}):
            await eventually(lambda heard=heard: heard.checks)
        assert heard.results[0] is result, heard.checks[0].detail


async def test_an_exit_that_could_not_be_published_is_told_when_the_bus_is_back(
    sleeper: Callable[[], subprocess.Popen[bytes]], tmp_path: Path, eventually: Eventually
) -> None:
    process, pid_file, heard = sleeper(), tmp_path / "web.pid", Heard()
    pid_file.write_text(str(process.pid))
    async with running(heard, {"process": {"pid_file": str(pid_file)}, "every_s": 60}) as runner:
        await runner.sweep()
        heard.fails = 1
        process.kill()
        await eventually(lambda: heard.results[-1] is CheckResult.EXITED)


# ---- files


async def test_a_log_is_followed_from_its_end_over_rotation_and_truncation(
    tmp_path: Path, eventually: Eventually
) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.write_text("from before\n")
    async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
        await runner.sweep()
        with path.open("a") as log:
            log.write("one\ntwo\nhal")
            log.flush()
            await eventually(lambda: heard.lines == ["one", "two"])
            log.write("f\n")
        path.rename(tmp_path / "web.log.1")
        with (tmp_path / "web.log.1").open("a") as log:
            log.write("last words\n")
        path.write_text("new file\n")
        await eventually(lambda: heard.lines == ["one", "two", "half", "last words", "new file"])
        path.write_text("cut\n")
        await eventually(lambda: heard.lines[-1] == "cut")
        path.unlink()
        path.write_text("appeared again\n")
        await eventually(lambda: heard.lines[-1] == "appeared again")


async def test_log_lines_are_not_lost_while_the_bus_is_away(tmp_path: Path, eventually: Eventually) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
        await runner.sweep()
        heard.fails = 3
        path.write_text("kept\n")
        await eventually(lambda: heard.lines == ["kept"])


def test_lines_in_json_and_in_plain_text() -> None:
    told = parse_line(
        json.dumps(
            {
                "ts": "2026-01-02T03:04:05+00:00",
                "level": "ERROR",
                "event": "charge",
                "message": "charge failed",
                "status": 502,
                "error": "Traceback (most recent call last):\n  File x\nConnectError: refused",
            }
        ).encode()
    )
    assert (told.level, told.message) == ("error", "charge failed: ConnectError: refused")
    assert told.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (told.fields["event"], told.fields["status"]) == ("charge", 502)
    assert parse_line(b"2026-01-02 WARN disk is slow").level == "warn"
    assert parse_line(b"{not json").message == "{not json"
    assert len(parse_line(b"x" * 100_000).message) == 8_192


async def test_a_changed_file_is_told_once_with_what_it_was_and_first_sight_is_no_change(
    tmp_path: Path, eventually: Eventually
) -> None:
    path, heard = tmp_path / "web.toml", Heard()
    path.write_text("a = 1")
    probe = {"config": {"path": str(path)}, "every_s": 60}
    async with running(heard, probe) as runner:
        await runner.sweep()
        assert heard.changes == []
        path.write_text("a = 2")
        await eventually(lambda: len(heard.changes) == 1)
        path.touch()
        await runner.sweep()
    path.write_text("a = 3")  # while nobody looks
    async with running(heard, probe) as runner:
        await runner.sweep()
        path.unlink()
        await eventually(lambda: len(heard.changes) == 3)
    first, second, third = heard.changes
    assert first.after == second.before
    assert second.after == third.before
    assert third.after == ""


# ---- pages, databases, machines, containers

PAGE = b"""200 OK|# TYPE http_requests counter
http_requests_total{status="200"} 12
http_requests_created{status="200"} 1e9
# TYPE in_flight gauge
in_flight 3
"""


async def test_a_page_of_metrics_is_passed_on_as_it_is(eventually: Eventually) -> None:
    server, heard = await serve(PAGE), Heard()
    async with running(heard, {"scrape": {"url": f"http://127.0.0.1:{port_of(server)}/metrics"}}):
        await eventually(lambda: heard.samples)
    assert heard.samples == {"http_requests_total": 12, "in_flight": 3}
    assert [sample.name for sample in parse_page(PAGE.decode().partition("|")[2], frozenset({"in_flight"}))] == [
        "in_flight"
    ]
    server.close()


async def test_a_page_that_is_none_is_an_error(eventually: Eventually) -> None:
    server, heard = await serve(b"200 OK|<html>sorry</html>"), Heard()
    async with running(heard, {"scrape": {"url": f"http://127.0.0.1:{port_of(server)}/metrics"}}):
        await eventually(lambda: heard.checks)
    assert heard.results[0] is CheckResult.ERROR
    server.close()


async def test_a_database(platform: Platform, eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    monkeypatch.setenv("TEST_SHOP_DSN", platform.dsn().replace("+psycopg", ""))
    async with running(heard, {"postgres": {"dsn": {"env": "TEST_SHOP_DSN"}}}):
        await eventually(lambda: "postgres_connections" in heard.samples)
    assert heard.results[0] is CheckResult.OK
    assert heard.samples["postgres_connections"] >= 1
    assert make_url(platform.dsn()).password not in " ".join(event.model_dump_json() for event in heard.events)
    heard = Heard()
    monkeypatch.setenv("TEST_SHOP_DSN", "postgresql://nobody:wrong@127.0.0.1:1/none")
    async with running(heard, {"postgres": {"dsn": {"env": "TEST_SHOP_DSN"}}}):
        await eventually(lambda: heard.checks)
    assert heard.results[0] is CheckResult.REFUSED


async def test_the_machine(eventually: Eventually) -> None:
    heard = Heard()
    async with running(heard, {"host": {}}):
        await eventually(lambda: "host_cpu_percent" in heard.samples)
    assert 0 < heard.samples["host_memory_percent"] <= 100
    assert 0 <= heard.samples["host_disk_percent"] <= 100
    assert heard.samples["host_memory_total_bytes"] > heard.samples["host_memory_used_bytes"]
    assert {"host_load5", "host_load_per_cpu", "host_swap_used_bytes", "host_open_files"} <= set(heard.samples)
    if kernel.pressure("memory"):
        told = [each.labels for each in heard.all_samples if each.name == "host_pressure_percent"]
        assert {each["resource"] for each in told} == {"cpu", "memory", "io"}
    if kernel.oom_kills() is not None:
        assert heard.samples["host_oom_kills_total"] >= 0
    if os.statvfs("/").f_files:
        assert 0 <= heard.samples["host_inodes_percent"] <= 100


async def test_a_disk_that_never_answers_holds_up_nothing_and_is_asked_once(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, asked, free = Heard(), [], threading.Event()

    def hang(path: str) -> list[Sample]:
        asked.append(path)
        free.wait(30)
        return []

    monkeypatch.setattr(host, "_disk", hang)
    try:
        async with running(heard, {"host": {"disk_paths": ["/gone"]}, "timeout_ms": 100}):
            await eventually(lambda: len(heard.checks) >= 3)
            assert heard.results[0] is CheckResult.ERROR
            assert "/gone: no answer within 100 ms" in heard.checks[0].detail
            assert asked == ["/gone"]
    finally:
        free.set()


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.mark.containers
async def test_a_container_that_dies_is_told_by_its_event(eventually: Eventually) -> None:
    image = os.environ.get("HOMEOSTAT_TEST_IMAGE", "debian:trixie-slim")
    name, heard = f"homeostat-test-{uuid4().hex[:8]}", Heard()
    await asyncio.to_thread(docker, "run", "-d", "--pull", "never", "--name", name, image, "sleep", "600")
    try:
        async with running(heard, {"docker": {"container": name}, "every_s": 60}) as runner:
            await runner.sweep()
            await runner.sweep()
            assert heard.results[-1] is CheckResult.OK
            assert heard.samples["docker_containers_running"] >= 1
            assert heard.samples["container_memory_bytes"] > 0
            assert "container_cpu_percent" in heard.samples
            await asyncio.to_thread(docker, "kill", name)
            await eventually(lambda: heard.results[-1] is CheckResult.EXITED)
            assert "137" in heard.checks[-1].detail
            await asyncio.to_thread(docker, "start", name)
            await eventually(lambda: heard.results[-1] is CheckResult.OK)
            await asyncio.to_thread(docker, "pause", name)
            await eventually(lambda: heard.results[-1] is CheckResult.STOPPED)
    finally:
        await asyncio.to_thread(docker, "rm", "-f", name)


# ---- the runner


async def test_a_probe_that_breaks_inside_harms_no_other(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.delenv("TEST_NO_DSN", raising=False)
    async with running(heard, {"postgres": {"dsn": {"env": "TEST_NO_DSN"}}}, {"host": {}}):
        await eventually(lambda: len(heard.checks) >= 3)
    assert {check.kind.value for check in heard.checks} == {"host"}


async def test_another_configuration_stops_starts_and_leaves_alone(eventually: Eventually) -> None:
    heard = Heard()
    server = await serve(b"200 OK|")
    url = f"http://127.0.0.1:{port_of(server)}/"
    host = Probe.model_validate({"component": "web", "every_s": 0.2, "host": {}})
    http = Probe.model_validate({"component": "web", "every_s": 0.2, "http": {"url": url}})
    async with running(heard) as runner:
        runner.configure([(host, HOSTS)])
        await eventually(lambda: heard.checks)
        runner.configure([(http, HOSTS)])
        assert runner.names == {http.name}
        await eventually(lambda: heard.checks[-1].kind.value == "http")
        runner.configure([])
        await asyncio.sleep(0)
        assert runner.names == frozenset()
    server.close()
