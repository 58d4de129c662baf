"""HTTP calls and SQL statements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.packs.base import Part
from shared.packs.component import SecretRef


class HttpCall(Part):
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    body: dict[str, str | int | float | bool] | None = None
    expect_status: tuple[int, ...] = (200, 201, 202, 204)


class SqlStatement(Part):
    dsn: SecretRef
    statement: str
    max_rows: Annotated[int, Field(ge=1)] = 1_000
    """A statement that would touch more rows is undone and fails."""
