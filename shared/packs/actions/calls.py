"""HTTP calls, signed webhooks and SQL statements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.packs.actions.databases import TableName
from shared.packs.base import Part
from shared.packs.component import SecretRef
from shared.packs.watch import HeaderName

MAX_KEPT_ROWS = 10_000


class HttpCall(Part):
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[HeaderName, str | SecretRef] = {}
    """Values are texts, or `{env: …}` and `{file: …}` for secrets, which are read where the call is made."""
    body: dict[str, str | int | float | bool] | None = None
    expect_status: tuple[int, ...] = (200, 201, 202, 204)


class NatsRequest(Part):
    """Asks the component over NATS; where, as whom and what may be asked stands in its `nats`."""

    subject: Annotated[str, Field(pattern=r"^[^\s.*>]+(\.[^\s.*>]+)*$", max_length=200)]
    payload: str | dict[str, str | int | float | bool] = ""
    """Text as it is; a mapping is sent as JSON."""
    expect: str | dict[str, str | int | float | bool] | None = None
    """The reply as text; or what a reply in JSON must hold among other things. Without it any reply will do."""


class RowBackup(Part):
    """Rows that a statement will change, kept whole before it does; the table needs a primary key."""

    table: TableName
    where: Annotated[str, Field(min_length=1, max_length=5_000)]
    """As in a query; the table's alias is `t`."""


class WebhookPost(Part):
    """A signed request to another system, as one to retry failed payments or to begin a campaign.

    It is signed as the Standard Webhooks specification says, and carries the same `webhook-id` and `Idempotency-Key`
    at every repetition: the receiver does what it asks for once.
    """

    url: str
    secret: SecretRef
    body: dict[str, str | int | float | bool] = {}
    expect_status: tuple[int, ...] = (200, 201, 202, 204)


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
