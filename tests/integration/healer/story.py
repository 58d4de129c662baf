"""Decisions to carry out, the world they act on, and what the healer says of them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from nats.aio.client import Client
from nats.js.errors import NotFoundError
from pydantic import BaseModel

from services.healer.clients.processes import Identity, from_pid_file, heir_of, identity_of, send
from services.healer.clients.spawn import Spawner, lock_path
from shared.bus.streams import EVENTS
from shared.contracts.base import CaseKind, Category, Event, Severity
from shared.contracts.decider import Decision, Plan, Verdict
from shared.contracts.detector import DetectionMethod, Health, HealthStatus, Incident, Transition
from shared.contracts.healer import Outcome, RunProgress
from shared.packs.component import Component, Process
from shared.packs.playbook import Playbook
from tests.conftest import Platform

CONFIG = b'# by hand\n[upstream]\ntimeout_ms = 800\nname = "a"\n'


def now() -> datetime:
    return datetime.now(UTC)


async def until(condition: Callable[[], object], within_s: float = 20) -> None:
    """Waits for a condition, which may be a coroutine."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if result if not asyncio.iscoroutine(result) else await result:
            return
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        await asyncio.sleep(0.02)


@dataclass
class World:
    """A component that really runs: a process, a configuration file, a table."""

    folder: Path
    name: str = "web"
    component: Component = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_bytes(CONFIG)
        self.config.chmod(0o640)
        self.component = Component(
            config_path=str(self.config),
            process=Process(
                command=("sh", "-c", f"echo $$ >> {self.starts}; exec sleep 600"),
                pid_file=str(self.folder / "web.pid"),
                stop_timeout_s=5,
            ),
        )

    @property
    def config(self) -> Path:
        return self.folder / "web.toml"

    @property
    def starts(self) -> Path:
        return self.folder / "starts"

    @property
    def process(self) -> Process:
        assert self.component.process is not None
        return self.component.process

    def started_times(self) -> int:
        return len(self.starts.read_text().split()) if self.starts.exists() else 0

    async def start(self) -> Identity:
        before = self.started_times()
        identity = (await Spawner(dict(os.environ)).start(self.process)).identity
        await until(lambda: self.started_times() > before)
        return identity

    def running(self) -> list[Identity]:
        found = [Identity(pid, one.start_ticks) for pid in self._pids() if (one := identity_of(pid)) is not None]
        return [identity for identity in found if identity.is_alive]

    def _pids(self) -> set[int]:
        return {int(pid) for pid in self.starts.read_text().split()} if self.starts.exists() else set()

    def end(self) -> None:
        for identity in [*self.running(), heir_of(lock_path(self.process)), from_pid_file(self.process.pid_file)]:
            if identity is not None:
                with suppress(ProcessLookupError):
                    send(identity, signal.SIGKILL)


def playbook(*steps: dict[str, object], **more: object) -> Playbook:
    body: dict[str, object] = {
        "for": ["configuration"],
        "steps": list(steps),
        "validate": {"window_s": 0.6, "clear": "none"},
        **more,
    }
    return Playbook.model_validate(body)


def decision(world: World, spec: Playbook, **more: object) -> Decision:
    """An order to carry out `spec` on the world's component."""
    plan = Plan(
        pack="test", pack_version=1, playbook="mend", spec=spec, component=world.name, target=world.component,
        http_hosts=("127.0.0.1",),
    )  # fmt: skip
    values: dict[str, object] = {
        "at": now(),
        "component": world.name,
        "case_id": uuid4(),
        "case_kind": CaseKind.INCIDENT,
        "decision_id": uuid4(),
        "verdict": Verdict.EXECUTE,
        "reason": "confident",
        "category": Category.CONFIGURATION,
        "signature": "configuration:bad",
        "confidence": 0.9,
        "threshold": 0.85,
        "risk": 0.1,
        "risk_max": 0.4,
        "mode": "auto",
        "dry_run": False,
        "plan": plan,
        "explanation": "because",
    }
    return Decision.model_validate({**values, **more})


def incident(case_id: UUID, component: str, revision: int = 1, *, resolved: bool = False) -> Incident:
    return Incident(
        at=now(),
        component=component,
        case_id=case_id,
        revision=revision,
        transition=Transition.RESOLVED if resolved else Transition.OPENED,
        fingerprint="f",
        pattern="error-ratio",
        method=DetectionMethod.THRESHOLD,
        severity=Severity.CRITICAL,
        summary="errors",
        opened_at=now(),
        last_seen_at=now(),
        resolved_at=now() if resolved else None,
    )


def health(component: str, error_count: int, at: datetime | None = None) -> Health:
    at = at or now()
    return Health(at=at, component=component, status=HealthStatus.HEALTHY, since=at, error_count=error_count)


@dataclass
class Listener:
    """Publishes as the other services and reads what the healer has said, from the stream itself."""

    platform: Platform
    client: Client

    async def publish(self, event: Event) -> None:
        await self.client.jetstream().publish(event.subject, event.model_dump_json(by_alias=True).encode())

    async def all_of[E: Event](self, contract: type[E], decision_id: UUID | None = None) -> list[E]:
        jetstream = self.client.jetstream()
        state = (await jetstream.stream_info(EVENTS)).state
        found = []
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            with suppress(NotFoundError):
                message = await jetstream.get_msg(EVENTS, sequence)
                if (message.subject or "").startswith(f"{contract.SUBJECT}."):
                    found.append(contract.model_validate_json(message.data or b"{}"))
        return [event for event in found if decision_id is None or getattr(event, "decision_id", None) == decision_id]

    async def outcome(self, decision_id: UUID, within_s: float = 30) -> Outcome:
        """The outcome of a run, and the proof that there is only one."""
        found: list[Outcome] = []

        async def told() -> bool:
            found[:] = await self.all_of(Outcome, decision_id)
            return bool(found)

        await until(told, within_s)
        assert len(found) == 1
        return found[0]

    async def phase(self, decision_id: UUID, wanted: str, within_s: float = 20) -> None:
        """Waits until the run has said that it is in this phase."""

        async def told() -> bool:
            return wanted in {phase for phase, _step in await self.phases(decision_id)}

        await until(told, within_s)

    async def recorded(self, decision_id: UUID, step: str, within_s: float = 20) -> None:
        """Waits until a durable step of the run is over."""
        await self.phase(decision_id, "planned", within_s)  # by then the workflows' tables are there
        connection = await self.platform.connect_postgres("healer")
        query = "select count(*) from healer_dbos.operation_outputs where workflow_uuid = $1 and function_name = $2"
        try:
            await until(lambda: connection.fetchval(query, str(decision_id), step), within_s)
        finally:
            await connection.close()

    async def phases(self, decision_id: UUID) -> list[tuple[str, str]]:
        return [(one.phase.value, one.step) for one in await self.all_of(RunProgress, decision_id)]

    async def ask[T: BaseModel](self, verb: str, body: BaseModel, reply: type[T]) -> T:
        """A command of the gateway."""
        client = await self.platform.connect_nats("gateway")
        message = await client.request(f"cmd.healer.{verb}", body.model_dump_json().encode(), timeout=60)
        await client.close()
        assert not (message.headers or {}).get("Homeostat-Error"), message.headers
        return reply.model_validate_json(message.data)
