"""Watches a container through the Docker Engine's API (1.41 and later): state, health, use, events as they come."""

from __future__ import annotations

import asyncio
import json
from typing import TypedDict, cast
from urllib.parse import quote

import httpx
import structlog

from services.detector.clients.network import ask
from services.detector.clients.reports import Reports, Seen, gauges
from shared.contracts.ingest import CheckKind, CheckResult, Sample
from shared.packs.model import Probe

log = structlog.get_logger()

EVENTS = ["die", "start", "pause", "unpause", "oom", "health_status"]
AGAIN_S = 1.0


class _Health(TypedDict, total=False):
    Status: str


class _State(TypedDict, total=False):
    Status: str
    ExitCode: int
    OOMKilled: bool
    Health: _Health


class _Container(TypedDict, total=False):
    State: _State
    RestartCount: int


class _CpuUsage(TypedDict, total=False):
    total_usage: int


class _Cpu(TypedDict, total=False):
    cpu_usage: _CpuUsage
    system_cpu_usage: int
    online_cpus: int


class _Memory(TypedDict, total=False):
    usage: int
    limit: int
    stats: dict[str, int]


class _Stats(TypedDict, total=False):
    cpu_stats: _Cpu
    memory_stats: _Memory


class _Info(TypedDict, total=False):
    ContainersRunning: int


class DockerProber:
    """A `die` event is told at once; looking now and then finds what no event told."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.docker is not None
        self._probe, self._docker, self._reports = probe, probe.docker, reports
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=probe.docker.socket),
            base_url="http://docker",
            timeout=None,  # noqa: S113 - `ask` holds the time-out; the stream of events has none
        )
        self._cpu: tuple[int, int] | None = None
        self._events = asyncio.create_task(self._listen(), name=f"docker-events-{probe.docker.container}")
        self._lock = asyncio.Lock()

    async def look(self) -> None:
        async with self._lock:
            seen = await self._check()
            if seen.result is CheckResult.OK:
                await self._use()

    async def close(self) -> None:
        self._events.cancel()
        await asyncio.gather(self._events, return_exceptions=True)
        await self._client.aclose()

    async def _check(self) -> Seen:
        container: _Container = {}

        async def question() -> str:
            response = await self._client.get(f"/containers/{quote(self._docker.container, safe='')}/json")
            if response.status_code == httpx.codes.NOT_FOUND:
                return f"there is no container {self._docker.container}"
            response.raise_for_status()
            container.update(cast(_Container, response.json()))
            return ""

        seen = await ask(self._probe, question)
        if seen.result in (CheckResult.OK, CheckResult.SLOW):
            seen = judge(container["State"], seen.latency_ms)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.DOCKER, seen)
        return seen

    async def _use(self) -> None:
        """CPU and memory as `docker stats` shows them (requirement A06), and how many containers run (A01)."""
        path = f"/containers/{quote(self._docker.container, safe='')}/stats"
        async with asyncio.timeout(self._probe.timeout_ms / 1000):
            stats = await self._client.get(path, params={"stream": "false", "one-shot": "true"})
            info = await self._client.get("/info")
        if stats.status_code != httpx.codes.OK or info.status_code != httpx.codes.OK:
            return
        running = float(cast(_Info, info.json()).get("ContainersRunning", 0))
        samples = [Sample(name="docker_containers_running", value=running), *self._samples(cast(_Stats, stats.json()))]
        await self._reports.metrics(self._probe.component, samples)

    def _samples(self, stats: _Stats) -> list[Sample]:
        values: dict[str, float] = {}
        memory = stats.get("memory_stats", {})
        if "usage" in memory:
            cache = memory.get("stats", {}).get("inactive_file", 0)
            values["container_memory_bytes"] = float(memory["usage"] - cache)
            if memory.get("limit"):
                values["container_memory_percent"] = 100.0 * values["container_memory_bytes"] / memory["limit"]
        cpu = stats.get("cpu_stats", {})
        used, system = cpu.get("cpu_usage", {}).get("total_usage", 0), cpu.get("system_cpu_usage", 0)
        if self._cpu is not None and system > self._cpu[1]:
            share = (used - self._cpu[0]) / (system - self._cpu[1])
            values["container_cpu_percent"] = max(0.0, share * cpu.get("online_cpus", 1) * 100.0)
        self._cpu = (used, system)
        return gauges(values)

    async def _listen(self) -> None:
        """Looks whenever the engine says that something happened to the container."""
        filters = json.dumps({"type": ["container"], "container": [self._docker.container], "event": EVENTS})
        while True:
            try:
                async with self._client.stream("GET", "/events", params={"filters": filters}) as response:
                    response.raise_for_status()
                    async for _ in response.aiter_lines():
                        async with self._lock:
                            await self._check()
            except Exception as error:  # noqa: BLE001 - looking goes on by the clock; events come back when they can
                log.debug("docker events interrupted", probe=self._probe.name, error=str(error))
            await asyncio.sleep(AGAIN_S)


def judge(state: _State, latency_ms: float | None) -> Seen:
    """What a container's state means: as its health check says, where it has one."""
    status = state.get("Status", "")
    if status in ("exited", "dead", "removing"):
        oom = ", killed for lack of memory" if state.get("OOMKilled") else ""
        return Seen(CheckResult.EXITED, latency_ms, f"exit code {state.get('ExitCode')}{oom}")
    if status == "paused":
        return Seen(CheckResult.STOPPED, latency_ms, "paused")
    if status != "running":
        return Seen(CheckResult.ERROR, latency_ms, f"state {status}")
    if state.get("Health", {}).get("Status") == "unhealthy":
        return Seen(CheckResult.ERROR, latency_ms, "health check says unhealthy")
    return Seen(CheckResult.OK, latency_ms)
