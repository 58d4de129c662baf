"""HTTP calls and SQL statements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.packs.actions.databases import TableName
from shared.packs.base import Part
from shared.packs.component import SecretRef

MAX_KEPT_ROWS = 10_000


class HttpCall(Part):
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    body: dict[str, str | int | float | bool] | None = None
    expect_status: tuple[int, ...] = (200, 201, 202, 204)


class RowBackup(Part):
    """Rows that a statement will change, kept whole before it does; the table needs a primary key."""

    table: TableName
    where: Annotated[str, Field(min_length=1, max_length=5_000)]
    """As in a query; the table's alias is `t`."""


class SqlStatement(Part):
    dsn: SecretRef
    statement: str
    max_rows: Annotated[int, Field(ge=1)] = 1_000
    """A statement that would touch more rows is undone and fails."""
    backup: RowBackup | None = None
    """With it a rollback puts the rows back. A statement that changes any others is undone at once, and fails."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> SqlStatement:
        if self.backup is not None and self.max_rows > MAX_KEPT_ROWS:
            raise ValueError(f"at most {MAX_KEPT_ROWS} rows can be kept: lower max_rows")
        return self
