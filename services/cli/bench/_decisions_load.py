"""How long one decision takes while many incidents are open: the real decider, alone, with NATS and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import nats
import psutil
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import make_url

from services.cli.bench.bus import percentile
from services.cli.bench.results import Row
from services.cli.provision import nats_users, provision_all
from shared.contracts.base import Category, Event, Severity
from shared.contracts.decider import Decision
from shared.contracts.detector import DetectionMethod, Incident, Transition
from shared.contracts.diagnoser import Cause, Diagnosis
from shared.contracts.gateway import PackApplied
from shared.embedded import ChildSpec, Command, EmbeddedServers, PostgresDatabase
from shared.settings import SERVICES

OPEN = (10, 100, 1_000)
ASKED = 100
"""Decisions that are timed, one after another."""
PATIENCE_S = 300.0
PACK = "bench"


async def rows() -> list[Row]:
    found = []
    for open_incidents in OPEN:
        with tempfile.TemporaryDirectory(prefix="homeostat-bench-") as folder:
            async with _bench(Path(folder)) as bench:
                found.append(await bench.measure(open_incidents))
    return found


@asynccontextmanager
async def _bench(folder: Path) -> AsyncIterator[_Bench]:
    async with EmbeddedServers(
        folder / "data", nats_users=nats_users(), databases=[PostgresDatabase("homeostat", "homeostat")]
    ) as servers:
        secret = servers.data_dir.secret
        address = "nats://" + servers.nats_url("admin").rpartition("@")[2]
        admin = make_url(servers.postgres.superuser_dsn).set(database="homeostat")
        passwords = {name: secret(f"postgres.{name}") for name in SERVICES}
        await provision_all(admin, passwords, address, "admin", secret("nats.admin"))
        environment = {
            "HOMEOSTAT_NATS_URL": address,
            "HOMEOSTAT_NATS_PASSWORD": secret("nats.decider"),
            "HOMEOSTAT_POSTGRES_PORT": str(admin.port),
            "HOMEOSTAT_POSTGRES_PASSWORD": passwords["decider"],
        }
        servers.supervisor.start(
            ChildSpec(
                name="decider",
                command=Command(
                    argv=(sys.executable, "-m", "services.cli", "serve", "decider"), env={**os.environ, **environment}
                ),
                log_path=servers.data_dir.logs / "decider.log",
            )
        )
        client = await nats.connect(servers.nats_url("admin"), inbox_prefix=b"_INBOX.admin")
        try:
            bench = _Bench(servers, client, {})
            await client.subscribe(f"{Decision.SUBJECT}.>", cb=bench.heard)
            yield bench
        finally:
            await client.close()


@dataclass
class _Bench:
    servers: EmbeddedServers
    client: Client
    decided: dict[UUID, asyncio.Event]

    async def heard(self, message: Msg) -> None:
        self._done(Decision.model_validate_json(message.data).case_id).set()

    def _done(self, case_id: UUID) -> asyncio.Event:
        return self.decided.setdefault(case_id, asyncio.Event())

    async def measure(self, open_incidents: int) -> Row:
        """Incidents of as many components, one of which may be acted on: all others wait, and are looked at again and
        again. Then more come, one after another."""
        names = [f"service-{number}" for number in range(open_incidents + ASKED + 1)]
        await self._publish(PackApplied(at=_now(), pack=PACK, version=1, applied_by="bench", body=_pack(names)))
        await self._decide(names[-1])  # the first of everything is slower: not measured
        before = self._memory()
        await asyncio.gather(*(self._decide(name) for name in names[:open_incidents]))
        took = [await self._decide(name) for name in names[open_incidents:-1]]
        cpu = self._process().cpu_times()
        began = time.perf_counter()
        await asyncio.sleep(5.0)
        busy = self._process().cpu_times()
        share = (busy.user + busy.system - cpu.user - cpu.system) / (time.perf_counter() - began)
        figures = {
            "p50 ms": percentile(took, 50) * 1e3,
            "p99 ms": percentile(took, 99) * 1e3,
            "MB": self._memory(),
            "MB grown": self._memory() - before,
            "CPU while waiting": share,
        }
        return Row(f"whole decider: {open_incidents:,} open incidents", figures)

    async def _decide(self, component: str) -> float:
        """Seconds from the publication of a diagnosis until its decision is heard."""
        case_id, cause = uuid4(), Category.CRASH
        incident = Incident(
            at=_now(), component=component, case_id=case_id, revision=1, transition=Transition.OPENED,
            fingerprint=component, pattern="process-exited", method=DetectionMethod.PROBE, severity=Severity.WARNING,
            summary="it exited", opened_at=_now(), last_seen_at=_now(),
        )  # fmt: skip
        causes = (Cause(component=component, category=cause, confidence=0.97, signature="crash:process-exited"),)
        diagnosis = Diagnosis(
            at=_now(), component=component, case_id=case_id, revision=1, incident_revision=1, causes=causes, report="",
        )  # fmt: skip
        await self._publish(incident)
        began = time.perf_counter()
        await self._publish(diagnosis)
        async with asyncio.timeout(PATIENCE_S):
            await self._done(case_id).wait()
        return time.perf_counter() - began

    async def _publish(self, event: Event) -> None:
        await self.client.jetstream().publish(event.subject, event.model_dump_json(by_alias=True).encode())

    def _process(self) -> psutil.Process:
        (pid,) = [one.pid for one in self.servers.supervisor.status() if one.name == "decider"]
        assert pid is not None
        return psutil.Process(pid)

    def _memory(self) -> float:
        return float(self._process().memory_info().rss) / 1e6


def _now() -> datetime:
    return datetime.now(UTC)


def _pack(names: list[str]) -> dict[str, object]:
    steps: list[object] = [{"process.restart": {}}]
    return {
        "pack": PACK,
        "mode": "auto",
        "components": {name: {"process": {"command": [name], "pid_file": f"/run/{name}.pid"}} for name in names},
        "playbooks": {
            f"restart-{number}": {
                "for": ["crash"], "automation_level": "full-auto", "cooldown_s": 0, "steps": steps, "risk": number / 50,
            }
            for number in range(10)
        },
        "policy": {"max_targets_at_once": 1, "actions_per_hour": 100_000},
    }  # fmt: skip
