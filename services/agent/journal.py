"""What an agent has done, on its own disk: so that an order that is repeated is answered and not done again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from shared.contracts.agent import AgentReply

KEEP_DAYS = 30


@dataclass(slots=True)
class Journal:
    """A file that outlives the agent; every write is on the disk before it is relied on."""

    path: Path
    _database: sqlite3.Connection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = sqlite3.connect(self.path, isolation_level=None)
        self._database.executescript(
            "pragma journal_mode = wal; pragma synchronous = full;"
            "create table if not exists done (key text primary key, reply text, at text default current_timestamp);"
            "create table if not exists kept (key text primary key, content blob, at text default current_timestamp);"
            "create table if not exists fences (component text primary key, fence integer not null);"
        )

    def reply_to(self, key: str) -> AgentReply | None:
        """What was answered to an order that was carried out to its end."""
        row = self._database.execute("select reply from done where key = ? and reply is not null", (key,)).fetchone()
        return AgentReply.model_validate_json(row[0]) if row else None

    def note(self, key: str, reply: AgentReply) -> None:
        self._database.execute(
            "insert into done (key, reply) values (?, ?) on conflict (key) do update set reply = excluded.reply",
            (key, reply.model_dump_json()),
        )

    def keep(self, key: str, content: bytes) -> None:
        """What a step is about to change, on the host where it is: it is only put back from here."""
        self._database.execute(
            "insert into kept (key, content) values (?, ?) on conflict (key) do update set content = excluded.content",
            (key, content),
        )

    def kept(self, key: str) -> bytes | None:
        row = self._database.execute("select content from kept where key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    def pass_fence(self, component: str, fence: int) -> int:
        """The highest fence seen for a component, this one included: a lower `fence` than that is stale."""
        return int(
            self._database.execute(
                "insert into fences values (?, ?) on conflict (component) do update "
                "set fence = max(fence, excluded.fence) returning fence",
                (component, fence),
            ).fetchone()[0]
        )

    def prune(self) -> None:
        for table in ("done", "kept"):
            self._database.execute(
                f"delete from {table} where at < datetime('now', ?)",  # noqa: S608 - our own names
                (f"-{KEEP_DAYS} days",),
            )

    def close(self) -> None:
        self._database.close()
