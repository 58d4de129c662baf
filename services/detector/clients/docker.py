"""Watches a container through the Docker Engine's API (1.41 and later): state, health, use, events as they come."""

from __future__ import annotations

import asyncio
import json
from typing import TypedDict, cast
from urllib.parse import quote

import httpx
import structlog

from services.detector.clients.asking import ask
from services.detector.clients.docker_logs import ContainerLogs
from services.detector.clients.reports import Memory, Reports, Seen, gauges
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


class _Pids(TypedDict, total=False):
    current: int
    limit: int


class _Stats(TypedDict, total=False):
    cpu_stats: _Cpu
    memory_stats: _Memory
    pids_stats: _Pids
    networks: dict[str, dict[str, int]]


class _Info(TypedDict, total=False):
    ContainersRunning: int


_NETWORK = {
    "rx_bytes": "container_network_receive_bytes_total",
    "tx_bytes": "container_network_transmit_bytes_total",
    "rx_errors": "container_network_receive_errors_total",
    "tx_errors": "container_network_transmit_errors_total",
    "rx_dropped": "container_network_receive_dropped_total",
    "tx_dropped": "container_network_transmit_dropped_total",
}


class DockerProber:
    """A `die` event is told at once; looking now and then finds what no event told."""

    def __init__(self, probe: Probe, reports: Reports, memory: Memory) -> None:
        assert probe.docker is not None
        self._probe, self._docker, self._reports = probe, probe.docker, reports
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=probe.docker.socket),
            base_url="http://docker",
            timeout=None,  # noqa: S113 - `ask` holds the time-out; the stream of events has none
        )
        self._cpu: tuple[int, int] | None = None
        self._lock = asyncio.Lock()
        self._tasks = [asyncio.create_task(self._listen(), name=f"docker-events-{probe.docker.container}")]
        self._logs: ContainerLogs | None = None
        if probe.docker.logs:
            self._logs = ContainerLogs(
                self._client, probe.component, probe.name, probe.docker.container, reports, memory
            )
            self._tasks.append(asyncio.create_task(self._logs.run(), name=f"docker-log-{probe.docker.container}"))

    async def look(self) -> None:
        """State first: what the container uses is told when the engine gets round to it, and holds up no event."""
        async with self._lock:
            seen = await self._check()
        if seen.result in (CheckResult.OK, CheckResult.SLOW):
            await self._use()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if self._logs is not None:
                await self._logs.close()
        finally:
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

        seen = await ask(self._probe, question, (ValueError,))
        if seen.result in (CheckResult.OK, CheckResult.SLOW):
            seen = judge(container.get("State", {}), seen)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.DOCKER, seen)
        if container:
            await self._reports.metrics(self._probe.component, gauges(state_figures(container)))
        return seen

    async def _use(self) -> None:
        """CPU and memory as `docker stats` shows them (requirement A06), and how many containers run (A01). Each may
        be slow or fail without the container being any worse for it."""
        path = f"/containers/{quote(self._docker.container, safe='')}/stats"
        stats, info = await asyncio.gather(
            self._figures(path, {"stream": "false", "one-shot": "true"}), self._figures("/info", {})
        )
        samples = self._samples(cast(_Stats, stats)) if stats else []
        running = cast(_Info, info).get("ContainersRunning")
        if running is not None:
            samples += gauges({"docker_containers_running": float(running)})
        await self._reports.metrics(self._probe.component, samples)

    async def _figures(self, path: str, params: dict[str, str]) -> dict[str, object]:
        try:
            async with asyncio.timeout(self._probe.timeout_ms / 1000):
                response = await self._client.get(path, params=params)
                return cast(dict[str, object], response.raise_for_status().json())
        except (OSError, httpx.HTTPError, ValueError) as error:  # a time-out is an OSError
            log.debug("docker told no figures", probe=self._probe.name, path=path, error=str(error))
            return {}

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
        if system:
            self._cpu = (used, system)
        pids = stats.get("pids_stats", {})
        if "current" in pids:
            values["container_pids"] = float(pids["current"])
        networks = stats.get("networks", {}).values()
        for key, name in _NETWORK.items():
            if networks:
                values[name] = float(sum(each.get(key, 0) for each in networks))
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


def judge(state: _State, seen: Seen) -> Seen:
    """What a container's state means: as its health check says, where it has one."""
    status = state.get("Status", "")
    if status in ("exited", "dead", "removing"):
        oom = ", killed for lack of memory" if state.get("OOMKilled") else ""
        return Seen(CheckResult.EXITED, seen.latency_ms, f"exit code {state.get('ExitCode')}{oom}")
    if status == "paused":
        return Seen(CheckResult.STOPPED, seen.latency_ms, "paused")
    if status != "running":
        return Seen(CheckResult.ERROR, seen.latency_ms, f"state {status or 'unknown'}")
    if state.get("Health", {}).get("Status") == "unhealthy":
        return Seen(CheckResult.ERROR, seen.latency_ms, "health check says unhealthy")
    return seen


def state_figures(container: _Container) -> dict[str, float]:
    """What the state says in numbers. `container_healthy` is there for containers with a health check."""
    state = container.get("State", {})
    values = {
        "container_running": float(state.get("Status") == "running"),
        "container_restarts_total": float(container.get("RestartCount", 0)),
        "container_oom_killed": float(bool(state.get("OOMKilled"))),
    }
    if state.get("Status") in ("exited", "dead"):
        values["container_exit_code"] = float(state.get("ExitCode", 0))
    health = state.get("Health", {}).get("Status", "none")
    if health not in ("none", "starting", ""):
        values["container_healthy"] = float(health == "healthy")
    return values
