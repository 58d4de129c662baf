"""SIGKILL at every point of a run: a successor goes on, and every effect is there once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from services.cli.provision import nats_users, provision_streams
from services.healer.clients.processes import from_pid_file
from services.healer.settings import Settings
from shared.contracts.decider import Decision
from shared.contracts.healer import Outcome, Result, RunProgress
from shared.embedded import EmbeddedServers
from shared.settings import SERVICES
from tests.conftest import TEMPLATE, Platform, _make_template
from tests.integration.healer.story import CONFIG, Listener, World, decision, incident, playbook, until

SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1200}}
RESTART = {"process.restart": {}}
COUNT = {"sql.execute": {"dsn": {"env": "WEB_DSN"}, "statement": "update web_counter set hits = hits + 1"}}
STEPS = ("plan", "back up", "act 0", "act 1", "act 2", "act 3", "applied", "settle", "judge", "finish")
POINTS = [f"{when} {step}" for step in STEPS for when in ("before", "after")]
POINTS += ["child started, pid not noted", "file renamed", "old process ended"]
UNDOING = [
    f"{when} {step}" for step in ("rolling back", "put back", "look back 1", "undo 1") for when in ("before", "after")
]

STARTED_S = 120
"""A process may take long to start on a busy machine."""

pytestmark = pytest.mark.slow


@asynccontextmanager
async def healer(platform: Platform, doom: str = "", doom_when: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    settings = platform.settings(Settings)
    environment = {
        "PATH": os.environ["PATH"],
        "DOOM": doom,
        "DOOM_WHEN": doom_when,
        "WEB_DSN": platform.dsn(),
        "HOMEOSTAT_NATS_URL": settings.nats_url,
        "HOMEOSTAT_NATS_PASSWORD": settings.nats_secret() or "",
        "HOMEOSTAT_POSTGRES_HOST": settings.postgres_host,
        "HOMEOSTAT_POSTGRES_PORT": str(settings.postgres_port),
        "HOMEOSTAT_POSTGRES_DATABASE": settings.postgres_database,
        "HOMEOSTAT_POSTGRES_PASSWORD": settings.postgres_secret() or "",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.healer.doomed", env=environment
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGKILL)
        await child.wait()


class Receiver:
    """An HTTP server that notes the idempotency keys it is sent."""

    def __init__(self, *statuses: int) -> None:
        """It answers with these in turn, then with 204."""
        self.keys: list[str] = []
        self.statuses = list(statuses)
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line for line in head.splitlines() if line.lower().startswith("idempotency-key:")]
        self.keys += [line.split(":", 1)[1].strip() for line in lines]
        status = self.statuses.pop(0) if self.statuses else 204
        writer.write(f"HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


async def killed_and_continued(
    platform: Platform, listener: Listener, order: Decision, doom: str, *, still_bad: bool = False
) -> Outcome:
    """The outcome of a run whose healer is killed at `doom`, and which another healer ends. `still_bad`: its incident
    is seen again in the second half of the window."""
    async with healer(platform, doom) as doomed:
        await listener.publish(order)
        if still_bad:
            await listener.recorded(order.decision_id, "settle", STARTED_S)
            await listener.publish(incident(order.case_id, order.component, 2))
        async with asyncio.timeout(STARTED_S):
            assert await doomed.wait() == -signal.SIGKILL, "the point was never reached"
        assert await listener.all_of(Outcome) == []
    async with healer(platform) as successor:
        outcome = await listener.outcome(order.decision_id, STARTED_S)
        await assert_told_once(listener, order)
        assert successor.returncode is None
    return outcome


async def assert_told_once(listener: Listener, order: Decision) -> None:
    told = await listener.phases(order.decision_id)
    assert sorted(told) == sorted(set(told)), "everything is told once"
    ids = [one.id for one in await listener.all_of(RunProgress)]
    assert len(ids) == len(set(ids))


async def make_counter(platform: Platform) -> None:
    connection = await platform.connect_postgres()
    await connection.execute("create table public.web_counter (hits int not null)")
    await connection.execute("insert into public.web_counter values (0)")
    await connection.close()


async def hits(platform: Platform) -> int:
    connection = await platform.connect_postgres()
    found = await connection.fetchval("select hits from public.web_counter")
    await connection.close()
    return int(found)


@pytest.mark.parametrize("doom", POINTS)
async def test_every_effect_is_there_once_wherever_the_healer_was_killed(
    platform: Platform, listener: Listener, world: World, doom: str
) -> None:
    old = await world.start()
    await make_counter(platform)
    async with Receiver().serving() as receiver:
        call = {"http.call": {"url": f"http://127.0.0.1:{receiver.port}/flush"}}
        order = decision(world, playbook(SET, RESTART, COUNT, call))
        outcome = await killed_and_continued(platform, listener, order, doom)
    assert outcome.result is Result.SUCCEEDED, outcome.reason
    assert world.config.read_bytes() == CONFIG.replace(b"800", b"1200")
    assert not old.is_alive
    assert len(world.running()) == 1
    assert world.started_times() == 2
    assert from_pid_file(world.process.pid_file) == world.running()[0]
    assert await hits(platform) == 1
    assert set(receiver.keys) == {f"{order.decision_id}/3"}
    assert [path.name for path in world.folder.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.parametrize("doom", UNDOING)
async def test_undoing_is_done_once_wherever_the_healer_was_killed(
    platform: Platform, listener: Listener, world: World, doom: str
) -> None:
    await world.start()
    case = uuid4()
    await listener.publish(incident(case, world.name))
    spec = playbook(SET, RESTART, validate={"window_s": 0.4, "clear": "incident"})
    order = decision(world, spec, case_id=case)
    outcome = await killed_and_continued(platform, listener, order, doom, still_bad=True)
    assert outcome.result is Result.ROLLED_BACK, outcome.reason
    assert world.config.read_bytes() == CONFIG
    assert world.config.stat().st_mode & 0o777 == 0o640
    assert len(world.running()) == 1
    assert world.started_times() == 3


@pytest.mark.parametrize("doom", ["after check 0.2", "before look 0.2", "before act 0.2", "after act 0.2"])
async def test_a_second_attempt_is_made_under_the_same_key_wherever_the_healer_was_killed(
    platform: Platform, listener: Listener, world: World, doom: str
) -> None:
    async with Receiver(503).serving() as receiver:
        call = {"http.call": {"url": f"http://127.0.0.1:{receiver.port}/flush"}}
        order = decision(world, playbook({**call, "retry": {"attempts": 2, "backoff_s": 0.05}}))
        outcome = await killed_and_continued(platform, listener, order, doom)
    assert outcome.result is Result.SUCCEEDED, outcome.reason
    repeated = doom == "after act 0.2"  # its record was lost with the process
    assert receiver.keys == [f"{order.decision_id}/0"] * (3 if repeated else 2)


@pytest.mark.parametrize("doom", ["before undo 0", "after undo 0"])
async def test_a_step_goes_back_by_its_own_action_once_wherever_the_healer_was_killed(
    platform: Platform, listener: Listener, world: World, doom: str
) -> None:
    await world.start()
    case = uuid4()
    await listener.publish(incident(case, world.name))
    restart = {**RESTART, "rollback": {"process.stop": {}}}
    order = decision(world, playbook(restart, validate={"window_s": 0.4, "clear": "incident"}), case_id=case)
    outcome = await killed_and_continued(platform, listener, order, doom, still_bad=True)
    assert outcome.result is Result.ROLLED_BACK, outcome.reason
    assert (world.running(), world.started_times()) == ([], 2)


async def slots_held(platform: Platform) -> int:
    connection = await platform.connect_postgres()
    count = await connection.fetchval(
        "select count(*) from pg_locks l join pg_stat_activity a using (pid) "
        "where l.locktype = 'advisory' and a.application_name = 'homeostat-healer-slot' and a.datname = $1",
        platform.database,
    )
    await connection.close()
    return int(count)


async def test_a_living_replica_takes_over_from_a_dead_one(
    platform: Platform, listener: Listener, world: World, tmp_path: Path
) -> None:
    await world.start()
    order = decision(world, playbook(RESTART, validate={"window_s": 1, "clear": "none"}))
    signal_file = tmp_path / "now"
    async with healer(platform, "after act 0", str(signal_file)) as doomed:
        await listener.publish(order)
        await until(lambda: world.started_times() == 2)
        async with healer(platform) as other:

            async def two_replicas() -> bool:
                return await slots_held(platform) == 2

            await until(two_replicas)
            signal_file.touch()
            assert await doomed.wait() == -signal.SIGKILL
            outcome = await listener.outcome(order.decision_id, 20)
            assert other.returncode is None
    assert outcome.result is Result.SUCCEEDED
    assert world.started_times() == 2
    assert len(world.running()) == 1


@pytest.fixture
async def own_platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """Servers that nobody else uses: they may be killed."""
    async with EmbeddedServers(tmp_path / "data", nats_users=nats_users()) as servers:
        passwords = {service: servers.data_dir.secret(f"postgres.{service}") for service in SERVICES}
        await asyncio.to_thread(_make_template, servers.postgres.superuser_dsn, passwords)
        made = Platform(servers, TEMPLATE)
        await provision_streams(servers.nats_url("admin"), None, None)
        yield made


@pytest.mark.parametrize("phase", ["validating", "step"])
async def test_a_run_survives_the_sudden_death_of_postgresql(own_platform: Platform, world: World, phase: str) -> None:
    old = await world.start()
    os.kill(old.pid, signal.SIGSTOP)
    case = uuid4()
    spec = playbook(SET, RESTART, validate={"window_s": 2, "clear": "none"})
    order = decision(world, spec, case_id=case)
    client = await own_platform.connect_nats()
    listener = Listener(own_platform, client)
    async with healer(own_platform) as alive:
        await listener.publish(order)
        await listener.phase(order.decision_id, phase)
        postgres = next(child for child in own_platform.servers.supervisor.status() if child.name == "postgres")
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        outcome = await listener.outcome(order.decision_id, 60)
        await assert_told_once(listener, order)
        assert alive.returncode is None
    await client.close()
    assert outcome.result is Result.SUCCEEDED, outcome.reason
    assert world.started_times() == 2
    assert len(world.running()) == 1
