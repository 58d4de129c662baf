"""A real PostgreSQL from a PyPI wheel, described as a child for the supervisor.

`postgres` itself is the supervised process, never `pg_ctl`, so that its end is seen and ours reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from shared.embedded.datadir import DataDir, write_private
from shared.embedded.errors import ChildFailedError, ServerSetupError
from shared.embedded.ports import LOOPBACK
from shared.embedded.postgres_install import MAJOR_VERSION, find_install, usable_install
from shared.embedded.processes import (
    Command,
    Identity,
    await_end,
    describe_exit,
    log_size_bytes,
    log_tail,
    run_to_end,
    unprivileged_identity,
)
from shared.embedded.supervisor import ChildSpec

SUPERUSER = "postgres"
PROGRAMS = frozenset({"postgres", "initdb"})
UNPRIVILEGED_USER = "nobody"
INITDB_TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 2.0
PROBE_INTERVAL_S = 0.02
STOP_DEADLINE_S = 15.0
SWEEP_DEADLINE_S = 1.0
# A directory that its user reaches as its working directory needs no permission on the directories above it, so
# the data may lie in a closed home directory although root must hand PostgreSQL to another user.
WORKING_DIRECTORY = "/proc/self/cwd"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket path is limited to 107 bytes, a data directory's is not
    "max_connections": "200",
    "shared_buffers": "128MB",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "jit": "off",  # compiling costs more than our short queries
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "cluster_name": "homeostat",
}


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server on loopback, its cluster in `directory`/data. Make one with `prepare`."""

    directory: Path
    log_path: Path
    port: int
    superuser_password: str
    install: Path
    identity: Identity | None

    @classmethod
    async def prepare(
        cls,
        data_dir: DataDir,
        *,
        port: int | None = None,
        unprivileged_user: str = UNPRIVILEGED_USER,
        install: Path | None = None,
    ) -> PostgresServer:
        """Takes port and password from the data directory and makes the cluster when there is none (0.5 s).

        Raises PortInUseError, ServerSetupError (programs or data unusable) or ChildFailedError (initdb).
        """
        identity = unprivileged_identity(unprivileged_user)
        data = data_dir.postgres / "data"
        if identity is not None:
            if sys.platform != "linux":
                raise ServerSetupError("PostgreSQL must not run as root. Run Homeostat as an ordinary user.")
            if data.exists():  # made under another setting of the user: only its owner may open it
                identity = Identity(data.stat().st_uid, data.stat().st_gid)
            os.chown(data_dir.postgres, identity.uid, identity.gid)
        server = cls(
            directory=data_dir.postgres,
            log_path=data_dir.logs / "postgres.log",
            port=data_dir.port("postgres", fixed=port),
            superuser_password=data_dir.secret(f"postgres.{SUPERUSER}"),
            install=usable_install(install or find_install(), identity),
            identity=identity,
        )
        if not data.exists():
            await server._initialise()
        server._require_version()
        return server

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def dsn(self, role: str, password: str, database: str) -> str:
        """`postgresql://role:password@127.0.0.1:port/database`."""
        user, secret, path = (quote(part, safe="") for part in (role, password, database))
        return f"postgresql://{user}:{secret}@{LOOPBACK}:{self.port}/{path}"

    @property
    def superuser_dsn(self) -> str:
        return self.dsn(SUPERUSER, self.superuser_password, "postgres")

    def child(self) -> ChildSpec:
        """How the supervisor runs this server."""
        settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(self.port)}.items()]
        program = self.install / "bin" / "postgres"
        return ChildSpec(
            name="postgres",
            command=self._command((str(program), "-D", self._data_argument(), *settings), cwd=self.data),
            log_path=self.log_path,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for the clients to leave
            stop_deadline_s=STOP_DEADLINE_S,
            wait_ready=self.wait_ready,
            sweep=self.sweep,
        )

    async def wait_ready(self) -> None:
        """Returns once a query is answered; ServerSetupError when our own password is refused."""
        while True:
            try:
                connection = await asyncpg.connect(self.superuser_dsn, timeout=PROBE_TIMEOUT_S, ssl=False)
                try:
                    await connection.fetchval("SELECT 1", timeout=PROBE_TIMEOUT_S)
                finally:
                    await connection.close(timeout=PROBE_TIMEOUT_S)
            except asyncpg.InvalidPasswordError as error:
                raise ServerSetupError(
                    f"PostgreSQL in {self.data} refuses the password kept in the data directory's credentials. "
                    "Restore credentials.json from the same backup as the data."
                ) from error
            except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
                await asyncio.sleep(PROBE_INTERVAL_S)
            else:
                return

    def sweep(self) -> None:
        """Ends what a killed postmaster left, and its pid file, which would block a start once its pid is reused.

        Back ends leave the process group, and one in the middle of a query outlives its postmaster; while it
        lives, a new postmaster refuses to start. The lock on the data directory makes sure they are ours.
        """
        end_processes_in(self.data)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    async def create_role(self, name: str, password: str) -> None:
        """Makes a login role, or gives an existing one this password."""
        connection = await self._connect("postgres")
        try:
            await _create_role(connection, name, password)
        finally:
            await connection.close()

    async def create_database(self, name: str, owner: str, password: str) -> None:
        """Makes a database that only its owner (made when missing) may connect to. May be repeated."""
        connection = await self._connect("postgres")
        try:
            await _create_role(connection, owner, password)
            quoted, quoted_owner = quote_identifier(name), quote_identifier(owner)
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
                await connection.execute(f"CREATE DATABASE {quoted} OWNER {quoted_owner}")
            await connection.execute(f"ALTER DATABASE {quoted} OWNER TO {quoted_owner}")
            await connection.execute(f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC")
        finally:
            await connection.close()

    async def admit_role(self, database: str, owner: str, role: str) -> None:
        """Lets `role` connect to the database, and `owner` make schemas on its behalf. May be repeated."""
        connection = await self._connect("postgres")
        try:
            await connection.execute(
                f"GRANT CONNECT, TEMPORARY ON DATABASE {quote_identifier(database)} TO {quote_identifier(role)}"
            )
            if role != owner:
                await connection.execute(f"GRANT {quote_identifier(role)} TO {quote_identifier(owner)}")
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection[asyncpg.Record]:
        dsn = self.dsn(SUPERUSER, self.superuser_password, database)
        return await asyncpg.connect(dsn, timeout=PROBE_TIMEOUT_S * 5, ssl=False)

    async def _initialise(self) -> None:
        """Runs initdb in a draft directory that is renamed when complete: a kill in between leaves no half cluster."""
        draft, password_file = self.directory / "data.new", self.directory / "initdb.password"
        log_path = self.log_path.with_name("initdb.log")
        if draft.exists():  # an initdb was killed, and what it had started may still be writing there
            end_processes_in(draft)
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        write_private(password_file, self.superuser_password + "\n")
        if self.identity is not None:
            os.chown(draft, self.identity.uid, self.identity.gid)
            os.chown(password_file, self.identity.uid, self.identity.gid)
        argv = (
            *(str(self.install / "bin" / "initdb"), "-D", self._data_argument(draft)),
            *("-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile=../{password_file.name}"),
            *("-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"),
        )
        start_bytes = log_size_bytes(log_path)
        try:
            returncode = await run_to_end(self._command(argv, cwd=draft), log_path, INITDB_TIMEOUT_S)
        except TimeoutError as error:
            reason = f"not done after {INITDB_TIMEOUT_S:g} s"
            raise ChildFailedError("initdb", reason, log_path, log_tail(log_path, start_bytes)) from error
        finally:
            password_file.unlink(missing_ok=True)
        if returncode != 0:
            raise ChildFailedError("initdb", describe_exit(returncode), log_path, log_tail(log_path, start_bytes))
        draft.rename(self.data)

    def _require_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip() if (self.data / "PG_VERSION").exists() else "none"
        if version != str(MAJOR_VERSION):
            raise ServerSetupError(
                f"the PostgreSQL cluster in {self.data} has version {version}, the installed server {MAJOR_VERSION}. "
                "Dump it with its own version and load it into a new data directory."
            )

    def _data_argument(self, data: Path | None = None) -> str:
        return str(data or self.data) if self.identity is None else WORKING_DIRECTORY

    def _command(self, argv: tuple[str, ...], cwd: Path) -> Command:
        return Command(
            argv=argv,
            cwd=cwd,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},  # PG* variables of ours must not reach it
            identity=self.identity,
            death_signal=signal.SIGQUIT,  # "immediate": it ends its back ends with it
        )


def end_processes_in(data: Path) -> None:
    """Kills the PostgreSQL processes whose working directory is `data`, as is that of all servers of a cluster."""
    import psutil  # only the embedded servers' extra has it

    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # By inode where there is /proc: the same path may be another directory in a container's view.
            where = f"/proc/{process.pid}/cwd" if sys.platform == "linux" else process.cwd()
            if process.name() in PROGRAMS and os.path.samefile(where, data):
                process.kill()
                killed.append(process.pid)
    for pid in killed:
        await_end(pid, SWEEP_DEADLINE_S)


def quote_identifier(name: str) -> str:
    """An SQL identifier; ValueError for names that PostgreSQL would refuse or truncate."""
    if not name or "\x00" in name or len(name.encode()) > 63:
        raise ValueError(f"PostgreSQL name {name!r}: use 1 to 63 bytes without NUL")
    return '"' + name.replace('"', '""') + '"'


async def _create_role(connection: asyncpg.Connection[asyncpg.Record], name: str, password: str) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if exists else "CREATE"
    statement = await connection.fetchval(
        "SELECT format('%s ROLE %I LOGIN PASSWORD %L', $1::text, $2::text, $3::text)", verb, name, password
    )
    await connection.execute(statement)
