"""Which rows of a job table are meant, and what becomes of them: as SQL over one row called `t`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.packs.actions.databases import JobsCleanUp, JobsMarkIncomplete, JobsRequeue, OnJobs


@dataclass(frozen=True, slots=True)
class RowChange:
    """Rows for which `where` holds are set as `assignments` says, or deleted where it is empty."""

    where: str
    assignments: str
    words: str
    """What is done, for people: `requeue jobs that …`."""


def quoted(name: str) -> str:
    """A name as SQL writes it.

    >>> quoted('my"status')
    '"my""status"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Text as SQL writes it, under `standard_conforming_strings`.

    >>> literal("it's")
    "'it''s'"
    """
    if "\0" in value:
        raise ValueError("a value can't hold a null character: leave it out")
    return "'" + value.replace("'", "''") + "'"


def change_of(action: OnJobs) -> RowChange:
    """What a step does to a table. Times are compared with the database's clock."""
    if isinstance(action, JobsRequeue):
        return _requeue(action)
    if isinstance(action, JobsMarkIncomplete):
        return _mark_incomplete(action)
    if isinstance(action, JobsCleanUp):
        return RowChange(
            f"{_one_of(action.status, action.failed)} and {_older(action.since, action.older_than_days * 86_400)}",
            "",
            f"delete jobs that are {' or '.join(action.failed)} since more than {action.older_than_days:g} days",
        )
    raise TypeError(f"{action!r} is nothing that is done to jobs")


def _requeue(action: JobsRequeue) -> RowChange:
    where = f"{_one_of(action.status, action.stuck)} and {_older(action.since, action.older_than_s)}"
    assignments = f"{quoted(action.status)} = {literal(action.to)}"
    if action.attempts is not None:
        counted = f"coalesce(t.{quoted(action.attempts)}, 0)"
        assignments += f", {quoted(action.attempts)} = {counted} + 1"
        if action.max_attempts is not None:
            where += f" and {counted} < {action.max_attempts}"
    words = f"set jobs that are {' or '.join(action.stuck)} for more than {action.older_than_s:g} s to {action.to}"
    return RowChange(where, assignments, words)


def _mark_incomplete(action: JobsMarkIncomplete) -> RowChange:
    missing = " or ".join(f"t.{quoted(column)} is null" for column in action.missing)
    where = f"({missing}) and t.{quoted(action.status)}::text is distinct from {literal(action.to)}"
    where += f" and {_older(action.since, action.older_than_s)}"
    if action.among:
        where += f" and {_one_of(action.status, action.among)}"
    words = f"mark rows without {' or '.join(action.missing)} as {action.to}"
    return RowChange(where, f"{quoted(action.status)} = {literal(action.to)}", words)


def _one_of(column: str, values: Sequence[str]) -> str:
    return f"t.{quoted(column)}::text in ({', '.join(literal(value) for value in values)})"


def _older(column: str, seconds: float) -> str:
    return f"t.{quoted(column)} < now() - make_interval(secs => {seconds!r})"
