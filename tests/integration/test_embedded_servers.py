"""Embedded NATS and PostgreSQL, the real ones: they persist, come back after SIGKILL, and leave no process behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
from nats.js.api import StorageType, StreamConfig

from shared.embedded import (
    ChildFailedError,
    Command,
    DataDir,
    DataDirError,
    EmbeddedServers,
    NatsUser,
    PortInUseError,
    PostgresDatabase,
    ServerSetupError,
    Supervisor,
)
from shared.embedded.postgres import PostgresServer
from shared.embedded.postgres_install import find_install, usable_install
from shared.embedded.processes import Identity, spawn, unprivileged_identity

ADMIN = NatsUser("admin", publish=[">"], subscribe=[">"])
USERS = [
    ADMIN,
    NatsUser("detector", publish=["detector.>"], subscribe=["ingest.>", "_INBOX.>"]),
    NatsUser("gateway", publish=["cmd.>"], subscribe=["_INBOX.>"]),
    NatsUser("healer", subscribe=["cmd.healer.>"], replies=True),
]
DATABASES = [PostgresDatabase("homeostat", "owner", ["detector", "healer"])]
ROOT = Path(__file__).parents[2]


def servers(path: Path | DataDir, **options: object) -> EmbeddedServers:
    return EmbeddedServers(path, nats_users=USERS, databases=DATABASES, **options)  # type: ignore[arg-type]


async def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pids(running: EmbeddedServers) -> dict[str, int]:
    return {status.name: status.pid for status in running.supervisor.status() if status.pid is not None}


async def query(dsn: str, *statements: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def store_messages(url: str, count: int) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name="KEPT", subjects=["kept.>"], storage=StorageType.FILE))
    for i in range(count):
        await stream.publish("kept.x", str(i).encode())
    await client.close()


async def stored_messages(url: str) -> int:
    client = await nats.connect(url)
    try:
        return int((await client.jetstream().stream_info("KEPT")).state.messages)
    finally:
        await client.close()


async def test_data_ports_and_credentials_survive_a_restart(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as first:
        urls = first.nats_url("admin"), first.postgres_dsn("owner", "homeostat"), first.nats_monitor_url
        await store_messages(urls[0], 3)
        await query(urls[1], "CREATE TABLE kept AS SELECT 42 AS x", "SELECT 1")
        started = pids(first)
    assert not any(alive(pid) for pid in started.values())
    async with servers(tmp_path / "data") as second:
        assert (second.nats_url("admin"), second.postgres_dsn("owner", "homeostat"), second.nats_monitor_url) == urls
        assert await stored_messages(urls[0]) == 3
        assert await query(urls[1], "SELECT x FROM kept") == 42


async def test_killed_servers_come_back_on_their_ports_with_their_data(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        url, dsn = running.nats_url("admin"), running.postgres_dsn("owner", "homeostat")
        await store_messages(url, 3)
        await query(dsn, "CREATE TABLE kept AS SELECT 42 AS x", "SELECT 1")
        before = pids(running)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: all(status.restarts == 1 for status in running.supervisor.status()))
        await running.wait_ready(10)
        assert await stored_messages(url) == 3
        assert await query(dsn, "SELECT x FROM kept") == 42
        assert not set(before.values()) & set(pids(running).values())


async def test_a_back_end_busy_in_a_query_does_not_keep_a_killed_postgres_from_coming_back(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        dsn = running.postgres_dsn("owner", "homeostat")
        connection = await asyncpg.connect(dsn)
        back_end = connection.get_server_pid()
        spin = "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"
        busy = asyncio.create_task(connection.execute(spin))
        await until(lambda: psutil.Process(back_end).cpu_times().user > 0.05)
        active = f"SELECT state FROM pg_stat_activity WHERE pid = {back_end}"
        assert await query(running.postgres.superuser_dsn, active) == "active"
        os.kill(pids(running)["postgres"], signal.SIGKILL)
        await until(lambda: running.supervisor.status()[1].restarts == 1)
        await running.wait_ready(10)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await busy
        assert not alive(back_end)
        assert await query(dsn, "SELECT 1") == 1


async def test_a_stale_pid_file_whose_pid_lives_again_does_not_block_the_start(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        pid_file, identity = running.postgres.data / "postmaster.pid", running.postgres.identity
        content = pid_file.read_text()
    # PostgreSQL takes a live process of its own user for another postmaster.
    reused = spawn(Command(("sleep", "600"), identity=identity), tmp_path / "reused.log")
    try:
        pid_file.write_text(content.replace(content.split("\n")[0], str(reused.pid), 1))
        async with servers(tmp_path / "data") as running:
            assert running.supervisor.status()[1].restarts == 0
        assert reused.poll() is None
    finally:
        reused.kill()
        reused.wait()


async def test_nats_users_may_do_what_was_granted_and_no_more(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        errors: list[str] = []

        async def on_error(error: Exception) -> None:
            errors.append(str(error))

        detector = await nats.connect(running.nats_url("detector"), error_cb=on_error)
        admin = await nats.connect(running.nats_url("admin"))
        heard = await admin.subscribe(">")
        await admin.flush()
        await detector.publish("healer.forged.v1.x", b"")
        await detector.publish("detector.anomaly.v1.x", b"")
        await until(lambda: errors)
        assert (await heard.next_msg(timeout=5)).subject == "detector.anomaly.v1.x"
        assert "permissions violation" in errors[0].lower()

        healer = await nats.connect(running.nats_url("healer"))
        gateway = await nats.connect(running.nats_url("gateway"))

        async def answer(message: nats.aio.msg.Msg) -> None:
            await message.respond(b"done")

        await healer.subscribe("cmd.healer.>", cb=answer)
        await healer.flush()
        assert (await gateway.request("cmd.healer.stop", b"", timeout=5)).data == b"done"
        for client in (detector, admin, healer, gateway):
            await client.close()
        with pytest.raises(nats.errors.Error, match="Authorization Violation"):
            await nats.connect(
                running.nats_url("admin").replace("admin:", "admin:x"), allow_reconnect=False, error_cb=on_error
            )


async def test_roles_reach_their_database_only_with_their_password(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        owner, detector = (running.postgres_dsn(role, "homeostat") for role in ("owner", "detector"))
        await query(owner, "CREATE SCHEMA AUTHORIZATION detector", "SELECT 1")
        await query(detector, "CREATE TABLE mine (x int)", "SELECT 1")
        assert await query(detector, "SELECT schemaname FROM pg_tables WHERE tablename = 'mine'") == "detector"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query(running.postgres_dsn("healer", "homeostat"), "SELECT * FROM detector.mine")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(detector.replace("detector:", "detector:x"), "SELECT 1")
        await running.postgres.create_database("private", "other", "pw")
        await running.postgres.create_database("private", "other", "pw")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query(running.postgres_dsn("detector", "private"), "SELECT 1")
        with pytest.raises(KeyError, match="'nobody' is not defined"):
            running.postgres_dsn("nobody", "homeostat")


async def test_everything_listens_on_loopback_only_and_nothing_is_readable_by_others(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        for pid in pids(running).values():
            listening = [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
            assert listening
            assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
            secret = running.data_dir.secret("postgres.owner")
            assert secret not in " ".join(psutil.Process(pid).cmdline())
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        for private in (running.data_dir.path / "credentials.json", running.nats.config_path):
            assert stat.S_IMODE(private.stat().st_mode) == 0o600
        assert not (running.data_dir.postgres / "initdb.password").exists()
        if os.geteuid() == 0:
            assert psutil.Process(pids(running)["postgres"]).uids().effective != 0


PROGRAM = """
import asyncio, sys
from shared.embedded import EmbeddedServers, NatsUser, PostgresDatabase

async def main():
    users = [NatsUser("admin", publish=[">"], subscribe=[">"])]
    async with EmbeddedServers(sys.argv[1], nats_users=users, databases=[PostgresDatabase("d", "owner")]) as servers:
        print(*[status.pid for status in servers.supervisor.status()], flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def start_program(path: Path) -> tuple[asyncio.subprocess.Process, list[int]]:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(path)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    async with asyncio.timeout(30):
        return program, [int(word) for word in (await program.stdout.readline()).split()]


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
async def test_sigkill_of_the_supervisor_leaves_no_process_and_the_next_start_works(tmp_path: Path) -> None:
    for _ in range(2):
        program, direct = await start_program(tmp_path / "data")
        everyone = [process.pid for process in psutil.Process(program.pid).children(recursive=True)]
        assert set(direct) < set(everyone)
        program.kill()
        await program.wait()
        await until(lambda pids=everyone: not any(alive(pid) for pid in pids), deadline_s=3)
    program, _ = await start_program(tmp_path / "data")
    program.kill()  # and a start at once, while the servers of the last one are still dying
    await program.wait()
    async with EmbeddedServers(tmp_path / "data", nats_users=[ADMIN], databases=[PostgresDatabase("d", "owner")]) as s:
        assert await query(s.postgres_dsn("owner", "d"), "SELECT 1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
async def test_a_kill_during_the_first_start_is_recovered(tmp_path: Path) -> None:
    data = tmp_path / "data"
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(data)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    await until(lambda: (data / "postgres" / "data.new" / "base").exists())
    program.kill()
    await program.wait()
    assert not (data / "postgres" / "data").exists()
    async with servers(data) as running:
        assert await query(running.postgres_dsn("owner", "homeostat"), "SELECT 1") == 1


async def test_one_directory_serves_one_supervisor(tmp_path: Path) -> None:
    async with servers(tmp_path / "data"):
        with pytest.raises(DataDirError, match=rf"in use by another supervisor \(process {os.getpid()}\)"):
            await servers(tmp_path / "data").start()


async def test_a_directory_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataDirError, match=r"notes\.txt"):
        await servers(tmp_path).start()


@pytest.mark.parametrize("name", ["nats", "postgres"])
async def test_a_taken_port_is_reported_and_nothing_stays_behind(tmp_path: Path, name: str) -> None:
    children = set(psutil.Process().children(recursive=True))
    with DataDir.open(tmp_path / "data") as data, socket.socket() as other:
        port = data.port(name)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PortInUseError, match=rf"port {port} of {name} .*process {os.getpid()}"):
            async with servers(data):
                pass
    assert set(psutil.Process().children(recursive=True)) == children
    async with servers(tmp_path / "data"):
        pass


async def test_lost_credentials_are_named_as_the_cause(tmp_path: Path) -> None:
    async with servers(tmp_path / "data"):
        pass
    (tmp_path / "data" / "credentials.json").unlink()
    with pytest.raises(ChildFailedError, match=r"Restore credentials\.json"):
        async with servers(tmp_path / "data"):
            pass


async def test_a_cluster_of_another_version_is_refused(tmp_path: Path) -> None:
    async with servers(tmp_path / "data") as running:
        version = running.postgres.data / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(ServerSetupError, match="has version 17, the installed server 18"):
        async with servers(tmp_path / "data"):
            pass


async def test_a_port_may_be_fixed(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "other") as other:
        port = other.port("free")
    async with servers(tmp_path / "data", ports={"nats": port}) as running:
        assert running.nats_url("admin").endswith(f":{port}")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


def closed_copy(tmp_path: Path) -> Path:
    """PostgreSQL's programs as an environment below a home directory closed to others holds them."""
    package = find_install().parent
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, home / libraries.name)
    return shutil.copytree(
        find_install(), home / package.name / find_install().name, ignore=shutil.ignore_patterns("include")
    )


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Path:
    """A temporary directory whose parents others may traverse, as those of /var/cache are."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o001:
            break
        directory.chmod(0o711)
    return tmp_path


@needs_root
async def test_root_may_keep_programs_and_data_behind_a_closed_directory(open_tmp_path: Path) -> None:
    tree, cache = closed_copy(open_tmp_path), open_tmp_path / "cache"
    identity = unprivileged_identity("nobody")
    copy = usable_install(tree, identity, cache_dir=cache)
    assert copy.is_relative_to(cache)
    assert usable_install(tree, identity, cache_dir=cache) == copy
    assert len(list(cache.iterdir())) == 1
    with DataDir.open(open_tmp_path / "home" / "data") as data:
        server = await PostgresServer.prepare(data, install=copy)
        async with Supervisor() as supervisor:
            supervisor.start(server.child())
            await supervisor.wait_running("postgres", 30)
            assert await query(server.superuser_dsn, "SELECT 1") == 1


@needs_root
def test_programs_nobody_can_reach_are_an_error_that_says_so(tmp_path: Path) -> None:
    tree = closed_copy(tmp_path)
    with pytest.raises(ServerSetupError, match=r"cannot run the programs .* or run Homeostat as an ordinary user"):
        usable_install(tree, Identity(65534, 65534), cache_dir=tmp_path / "home" / "cache")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ServerSetupError, match="can be written by other users"):
        usable_install(tree, Identity(65534, 65534), cache_dir=tmp_path / "open")
