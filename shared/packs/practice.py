"""Practice: how a playbook's trouble is made in a target that nobody needs, to prove its way there and back."""

from __future__ import annotations

from hashlib import sha256
from json import dumps
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from shared.contracts.base import Token
from shared.packs.actions.calls import SqlStatement
from shared.packs.actions.files import FileSet
from shared.packs.base import Part, Path
from shared.packs.component import SecretRef

if TYPE_CHECKING:
    from shared.packs.playbook import Playbook


class FileWrite(Part):
    """Writes a file whole, keeping its mode and owner."""

    path: Path
    content: Annotated[str, Field(max_length=65_536)]


class Nothing(Part):
    """An action that needs no parameters."""


class Fault(Part):
    """One thing that is broken on purpose; exactly one is set."""

    file_write: FileWrite | None = Field(None, alias="file.write")
    file_set: FileSet | None = Field(None, alias="file.set")
    process_kill: Nothing | None = Field(None, alias="process.kill")
    """Ends the target's declared process at once, as a crash does."""
    process_suspend: Nothing | None = Field(None, alias="process.suspend")
    """Stops it from running without ending it, as a hang does."""
    sql_execute: SqlStatement | None = Field(None, alias="sql.execute")

    @property
    def kind(self) -> str:
        """Dotted name of what is done."""
        return next(name for name in FAULTS if getattr(self, name.replace(".", "_")) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Fault:
        given = [name for name in FAULTS if getattr(self, name.replace(".", "_")) is not None]
        if len(given) != 1:
            raise ValueError(f"a fault has exactly one of {', '.join(FAULTS)}; this one has {given or 'none'}")
        return self


FAULTS = tuple(field.alias for field in Fault.model_fields.values() if field.alias and "." in field.alias)


class Rows(Part):
    """Rows of a database. Their order counts: write `order by`."""

    dsn: SecretRef
    query: str


class Compared(Part):
    """State that must be as it was after the way back, beside what the playbook's own steps touch."""

    file: Path | None = None
    sql: Rows | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Compared:
        if (self.file is None) == (self.sql is None):
            raise ValueError("state is named by exactly one of `file` or `sql`")
        return self


class Practice(Part):
    """Where and how a playbook is practised: its trouble is made in `target`, the playbook runs once to its end and
    once with its validation broken on purpose, and the state of all it touches is compared."""

    target: Token
    """A component marked `practice: true`."""
    fault: Annotated[tuple[Fault, ...], Field(min_length=1, max_length=10)]
    state: tuple[Compared, ...] = ()
    reset: tuple[Fault, ...] = ()
    """What puts back what no backup holds, after each round; files and processes are put back without it."""
    expect: Literal["as-before", "changed"] = "as-before"
    """What the playbook makes of the fault: the state of before it, or only another one (as one step of a number)."""
    window_s: Annotated[float, Field(gt=0, le=300)] = 1
    """How long each round watches, instead of the playbook's own window."""


NOT_ACTING = {
    "applies_to", "components", "automation_level", "required_permissions", "when", "risk", "confidence", "cooldown_s",
    "then", "preconditions",
}  # fmt: skip
"""Fields that say when and by whom a playbook is run, not what it does."""


def spec_hash(playbook: Playbook) -> str:
    """What a practice proves something of: all that the playbook does, and how it was practised. Defaults are left
    out, so that a release that adds a field invalidates nothing."""
    body = playbook.model_dump(mode="json", by_alias=True, exclude=NOT_ACTING, exclude_defaults=True)
    return sha256(dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
