"""Asks a Redis: connected, latency, memory, clients, evictions, persistence, replication (requirement A03)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from time import perf_counter

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError

from services.detector.clients.asking import ask, read_secret
from services.detector.clients.reports import Reports, gauges
from shared.contracts.ingest import CheckKind
from shared.packs.model import Probe

_SAME = {
    "used_memory": "redis_used_memory_bytes",
    "used_memory_rss": "redis_resident_memory_bytes",
    "maxmemory": "redis_max_memory_bytes",
    "mem_fragmentation_ratio": "redis_memory_fragmentation_ratio",
    "connected_clients": "redis_connected_clients",
    "blocked_clients": "redis_blocked_clients",
    "maxclients": "redis_max_clients",
    "connected_slaves": "redis_replicas",
    "evicted_keys": "redis_evicted_keys_total",
    "expired_keys": "redis_expired_keys_total",
    "keyspace_hits": "redis_keyspace_hits_total",
    "keyspace_misses": "redis_keyspace_misses_total",
    "rejected_connections": "redis_rejected_connections_total",
    "total_commands_processed": "redis_commands_total",
    "master_last_io_seconds_ago": "redis_replication_silent_s",
}
"""Figures of INFO that are passed on as they are."""

Info = Mapping[str, str | int | float]


class RedisProber:
    """A new connection each time: whether one is accepted is the first question."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.redis is not None
        self._probe, self._redis, self._reports = probe, probe.redis, reports

    async def look(self) -> None:
        values: dict[str, float] = {}

        async def question() -> str:
            client = self._connect()
            try:
                await client.ping()
                started = perf_counter()
                await client.ping()
                values["redis_latency_ms"] = (perf_counter() - started) * 1000
                try:
                    info: Info = await client.info()
                except NoPermissionError:
                    return ""  # it answers; more than that this user may not know
                values.update(figures(info))
                return wrong_with(info)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await client.aclose()

        seen = await ask(self._probe, question, (RedisError,))
        values["redis_connected"] = float("redis_latency_ms" in values)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.REDIS, seen)
        await self._reports.metrics(self._probe.component, gauges(values))

    def _connect(self) -> Redis:
        url = self._redis.url if isinstance(self._redis.url, str) else read_secret(self._redis.url, self._probe.name)
        timeout_s = self._probe.timeout_ms / 1000
        try:
            return Redis.from_url(
                url,
                single_connection_client=True,
                decode_responses=True,
                encoding_errors="replace",
                protocol=2,  # understood by every version; nothing of the newer one is needed
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                client_name="homeostat-detector",
            )
        except ValueError:  # its text would hold the address, and so the password
            raise RedisError("the address is none of a Redis: write redis://user:password@host:6379/0") from None


def figures(info: Info) -> dict[str, float]:
    """Metrics of an INFO answer; what a version doesn't tell is left out."""
    values = {name: float(info[key]) for key, name in _SAME.items() if isinstance(info.get(key), int | float)}
    if values.get("redis_max_memory_bytes"):
        values["redis_memory_ratio"] = values.get("redis_used_memory_bytes", 0.0) / values["redis_max_memory_bytes"]
    if values.get("redis_max_clients"):
        values["redis_clients_ratio"] = values.get("redis_connected_clients", 0.0) / values["redis_max_clients"]
    if info.get("role") == "slave":
        values["redis_replication_link_up"] = float(info.get("master_link_status") == "up")
    saved = [str(info[key]) for key in ("rdb_last_bgsave_status", "aof_last_write_status") if key in info]
    if saved:
        values["redis_persistence_ok"] = float(all(each == "ok" for each in saved))
    return values


def wrong_with(info: Info) -> str:
    """What makes an answering Redis unfit for use; empty when nothing does."""
    if info.get("loading"):
        return "still loading its data"
    if info.get("role") == "slave" and info.get("master_link_status") != "up":
        return f"the replication link to {info.get('master_host')}:{info.get('master_port')} is down"
    return ""
