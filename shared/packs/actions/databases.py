"""PostgreSQL: connections, and tables that hold jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.packs.base import Part, Seconds
from shared.packs.component import SecretRef

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
ColumnName = Annotated[str, Field(pattern=f"^{_NAME}$")]
TableName = Annotated[str, Field(pattern=rf"^({_NAME}\.)?{_NAME}$")]
Value = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[float, Field(gt=0, le=3_650)]


class TerminateIdle(Part):
    """Ends client connections to the database that do nothing; never Homeostat's own."""

    dsn: SecretRef
    states: Annotated[
        tuple[Literal["idle", "idle in transaction", "idle in transaction (aborted)"], ...], Field(min_length=1)
    ] = ("idle", "idle in transaction", "idle in transaction (aborted)")
    older_than_s: Annotated[float, Field(ge=1, le=30 * 86_400)]
    """Since their last change of state."""
    max_connections: Annotated[int, Field(ge=1, le=500)] = 20
    """At most so many, the longest idle first."""
    role: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Only connections of this role; by default of any."""
    application_name: Annotated[str, Field(min_length=1, max_length=63)] | None = None


class ConnectionLimit(Part):
    """Sets how many connections a role may have, or a database; -1: as many as the server has."""

    dsn: SecretRef
    role: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    database: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    limit: Annotated[int, Field(ge=-1, le=10_000)]

    @model_validator(mode="after")
    def _of_one(self) -> ConnectionLimit:
        if (self.role is None) == (self.database is None):
            raise ValueError("a connection limit is that of exactly one of `role` and `database`: leave one out")
        if self.limit == 0:
            raise ValueError("a limit of 0 would lock everybody out: write 1 or more, or -1 for none")
        return self


class OnJobs(Part):
    """Rows of a table with a primary key; each is kept whole before it is changed."""

    dsn: SecretRef
    table: TableName
    status: ColumnName = "status"
    """The column that says how far a job is."""
    max_rows: Annotated[int, Field(ge=1, le=10_000)] = 100
    """At most so many at once, the first by primary key."""


class JobsRequeue(OnJobs):
    """Jobs that somebody took and never finished are given out again."""

    stuck: Annotated[tuple[Value, ...], Field(min_length=1)] = ("processing",)
    since: ColumnName
    """When the job was last touched; a timestamp without time zone is read as UTC."""
    older_than_s: Seconds
    to: Value = "queued"
    attempts: ColumnName | None = None
    """A column that counts attempts: raised by one."""
    max_attempts: Annotated[int, Field(ge=1)] | None = None
    """Jobs that have been tried so often are left."""

    @model_validator(mode="after")
    def _counts(self) -> JobsRequeue:
        if self.max_attempts is not None and self.attempts is None:
            raise ValueError("max_attempts needs the column that counts them: add `attempts`")
        if self.to in self.stuck:
            raise ValueError(f"{self.to!r} is itself called stuck: write another status in `to`")
        return self


class JobsMarkIncomplete(OnJobs):
    """Rows that lack what they should have get a status by which they are found and mended."""

    missing: Annotated[tuple[ColumnName, ...], Field(min_length=1)]
    """Columns of which any is null."""
    among: tuple[Value, ...] = ()
    """Only rows of these statuses; empty: of any."""
    since: ColumnName
    older_than_s: Seconds
    """Younger rows may still be on their way."""
    to: Value = "incomplete"


class JobsCleanUp(OnJobs):
    """Deletes jobs that failed long ago."""

    failed: Annotated[tuple[Value, ...], Field(min_length=1)] = ("failed",)
    since: ColumnName
    older_than_days: Days = 7
