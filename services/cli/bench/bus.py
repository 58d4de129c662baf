"""Incident published → first playbook step started, through all services, beside the bare floor in the same run."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import httpx
import nats

from services.cli.bench import floor
from services.cli.bench.results import Report, Row
from services.cli.demo.recorder import INBOX, Recorder
from services.cli.local import LocalPlatform
from shared.contracts.base import Severity
from shared.contracts.healer import Phase, RunProgress
from shared.contracts.ingest import ExternalIncident

LOADS = ((2.0, 20), (10.0, 50), (50.0, 100))
"""Incidents per second, and how many."""
FINISH_S = 120.0


async def run(_data: Path | None = None, loads: Sequence[tuple[float, int]] = LOADS) -> Report:
    """The table of this area."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-") as folder:
        async with AsyncExitStack() as stack:
            platform = await stack.enter_async_context(LocalPlatform(Path(folder) / "data", extra_databases=["floor"]))
            await chain(platform, Path(folder), 5.0, 5)  # the first of everything is slower: not measured
            for rate, count in loads:
                bare = await floor.measure(platform.servers.nats_url("admin"), platform.dsn("floor"), rate, count)
                ours = await chain(platform, Path(folder), rate, count)
                rows += _rows(rate, bare, ours)
    return Report(
        area="bus",
        at=datetime.now(UTC),
        title="Incident published → first playbook step started",
        notes="Milliseconds; eight services, NATS and PostgreSQL share the machine. The floor is four hops of pull, "
        "inbox and state in one commit, and publish, in one process with nats-py and asyncpg alone.",
        rows=rows,
    )


def _rows(rate: float, bare: Sequence[float], ours: Sequence[float]) -> list[Row]:
    bare_p50, bare_p99 = percentile(bare, 50) * 1e3, percentile(bare, 99) * 1e3
    p50, p99 = percentile(ours, 50) * 1e3, percentile(ours, 99) * 1e3
    return [
        Row(f"bare floor at {rate:g}/s", {"p50 ms": bare_p50, "p99 ms": bare_p99}),
        Row(
            f"Homeostat at {rate:g}/s",
            {"p50 ms": p50, "p99 ms": p99, "ratio p50": p50 / bare_p50, "ratio p99": p99 / bare_p99},
        ),
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def chain(platform: LocalPlatform, folder: Path, rate_per_s: float, count: int) -> list[float]:
    """Seconds from the publication of each incident to the start of its first step."""
    components = [f"b{int(rate_per_s)}-{number}" for number in range(count)]
    await _apply(platform, folder, components)
    started: dict[str, datetime] = {}

    def note(event: object) -> None:
        if isinstance(event, RunProgress) and event.phase is Phase.STEP:
            began = event.at - timedelta(milliseconds=event.duration_ms or 0.0)  # a step is told when it has been done
            started.setdefault(event.component, began)

    recorder = Recorder(on_event=note)
    await recorder.start(platform.servers.nats_url("publisher"))
    published = await _publish(platform, components, rate_per_s)
    done = await recorder.wait_for(lambda: len(started) == count, FINISH_S)
    await recorder.stop()
    await _resolve(platform, components)
    if not done:
        raise RuntimeError(f"only {len(started)} of {count} incidents reached their first step within {FINISH_S:g} s")
    return [(started[name] - published[name]).total_seconds() for name in components]


async def _apply(platform: LocalPlatform, folder: Path, components: Sequence[str]) -> None:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    for name in components:
        (scratch / f"{name}.json").write_text('{"runs": 0}')
    body = {
        "pack": "bench",
        "mode": "auto",
        "components": {name: {"kind": "bench", "config_path": str(scratch / f"{name}.json")} for name in components},
        "playbooks": {
            "mark": {
                "for": ["crash"],
                "automation_level": "full-auto",
                "steps": [{"file.set": {"path": "${component.config_path}", "key": "runs", "value": 1}}],
                "validate": {"window_s": 1, "clear": "none"},
                "rollback": "none",
            }
        },
        "policy": {
            "actions_per_hour": 1_000_000,
            "component_actions_per_hour": 1_000_000,
            "max_targets_at_once": 1_000_000,
            "storm_min": 1_000_000,
        },
    }
    async with httpx.AsyncClient(base_url=platform.gateway_url, timeout=30) as client:
        headers = {"Authorization": f"Bearer {platform.token}"}
        (await client.post("/api/packs/apply", json=body, headers=headers)).raise_for_status()
    await asyncio.sleep(
        2
    )  # every service has taken the pack up: they follow its subject, there is no reply to wait for


async def _resolve(platform: LocalPlatform, components: Sequence[str]) -> None:
    """Their source says that they are over: the next load starts with nothing open."""
    client = await nats.connect(platform.servers.nats_url("publisher"), inbox_prefix=INBOX)
    for name in components:
        await client.jetstream().publish(*_message(name, datetime.now(UTC), "resolved"))
    await client.close()
    await asyncio.sleep(3)  # for the runs' validation windows to end


def _message(name: str, at: datetime, status: Literal["firing", "resolved"]) -> tuple[str, bytes]:
    incident = ExternalIncident(
        at=at,
        component=name,
        source="bench",
        external_id=name,
        status=status,
        severity=Severity.CRITICAL,
        pattern="process-exited",
        summary="published by the bench",
    )
    return incident.subject, incident.model_dump_json().encode()


async def _publish(platform: LocalPlatform, components: Sequence[str], rate_per_s: float) -> dict[str, datetime]:
    client = await nats.connect(platform.servers.nats_url("publisher"), inbox_prefix=INBOX)
    jetstream = client.jetstream()
    loop = asyncio.get_running_loop()
    began = loop.time()
    published: dict[str, datetime] = {}
    for number, name in enumerate(components):
        await asyncio.sleep(max(0.0, began + number / rate_per_s - loop.time()))
        published[name] = datetime.now(UTC)
        await jetstream.publish(*_message(name, published[name], "firing"))
    await client.close()
    return published
