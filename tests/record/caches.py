"""A Redis with a replica and an application's traffic."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from shared.contracts.base import Category, Severity
from tests.record.failures import Failure, Mend, System, free_port

MAX_CLIENTS = 64
MEMORY = 24 * 1024 * 1024


class Cache:
    """One redis-server that can be started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", *options]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=1)

    def kill(self) -> Mend:
        self.process.kill()
        self.process.wait()
        return self.start

    def suspend(self) -> Mend:
        self.process.send_signal(signal.SIGSTOP)
        return lambda: self.process.send_signal(signal.SIGCONT)

    def fill(self) -> Mend:
        """Writes until no more is taken."""
        client = self.client()
        with suppress(RedisError):
            for number in range(100_000):
                client.set(f"report:{number}", "x" * 4_096)
        return client.flushdb

    def occupy(self) -> Mend:
        """Connections until no more is taken."""
        held = []
        with suppress(RedisError):
            for _ in range(MAX_CLIENTS):
                client = self.client()
                client.ping()
                held.append(client)

        def leave() -> None:
            for client in held:
                client.close()

        return leave

    def lose_disk(self) -> Mend:
        """Snapshots go to a folder that is gone."""
        place = self.folder / "snapshots"
        place.mkdir()
        client = self.client()
        client.config_set("dir", str(place))
        client.set("config:version", "7")
        shutil.rmtree(place)
        with suppress(RedisError):
            client.bgsave()

        def mend() -> None:
            client.config_set("dir", str(self.folder))
            client.bgsave()

        return mend


class Application(threading.Thread):
    """Reads and writes a few keys without end."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(daemon=True)
        self._client, self._ended = cache.client(), threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(0.05):
            number = (number + 1) % 500
            with suppress(RedisError, OSError):
                if self._client.get(f"session:{number}") is None:
                    self._client.set(f"session:{number}", "y" * 200)

    def stop(self) -> None:
        self._ended.set()
        self.join()


@contextmanager
def system(folder: Path) -> Iterator[System]:
    """The cache `sessions` with its replica `sessions-replica`."""
    memory = ("--maxmemory", str(MEMORY), "--maxmemory-policy", "noeviction", "--maxclients", str(MAX_CLIENTS))
    primary = Cache(folder / "primary", *memory)
    replica = Cache(folder / "replica", "--replicaof", "127.0.0.1", str(primary.port))
    application = Application(primary)
    application.start()

    def cut_off() -> Mend:
        """The replica follows an address at which nobody is."""
        replica.client().replicaof("127.0.0.1", free_port())
        return lambda: replica.client().replicaof("127.0.0.1", primary.port)

    def probe(component: str, cache: Cache) -> dict[str, object]:
        url = f"redis://127.0.0.1:{cache.port}/0"
        return {"component": component, "every_s": 2, "timeout_ms": 1500, "redis": {"url": url}}

    pack = {
        "pack": "sessions",
        "components": {"sessions": {"kind": "cache"}, "sessions-replica": {"kind": "cache", "calls": ["sessions"]}},
        "probes": [probe("sessions", primary), probe("sessions-replica", replica)],
    }
    critical, starved = Severity.CRITICAL, (Category.POOL_STARVATION,)
    try:
        yield System(
            pack,
            (
                Failure("redis-memory-full", "sessions", (Category.RESOURCE_EXHAUSTION,), primary.fill, 120),
                Failure("redis-clients-used-up", "sessions", starved, primary.occupy, severity=critical),
                Failure("redis-snapshots-fail", "sessions", (Category.DISK,), primary.lose_disk, 120),
                Failure("redis-replica-cut-off", "sessions-replica", (Category.NETWORK,), cut_off),
                Failure("redis-suspended", "sessions", (Category.HANG, Category.TIMEOUT), primary.suspend),
                Failure("redis-killed", "sessions", (Category.CRASH,), primary.kill, severity=critical),
            ),
        )
    finally:
        application.stop()
        for cache in (primary, replica):
            cache.process.send_signal(signal.SIGCONT)
            cache.process.kill()
            cache.process.wait()
