"""Counts what is wrong in a database: stuck, orphaned, incomplete or slow rows (requirements B14, B20-B26)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from services.detector.clients.asking import ask
from services.detector.clients.postgres import connect
from services.detector.clients.reports import Reports
from shared.contracts.ingest import CheckKind, Sample
from shared.packs.model import Probe, SqlProbe

MAX_LABEL = 100

Row = Mapping[str, object]


class SqlProber:
    """One statement in a read-only transaction, with a time-out and a bound on its rows. The extended protocol takes
    a single statement: nothing can be appended that ends the transaction."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.sql is not None
        self._probe, self._sql, self._reports = probe, probe.sql, reports

    async def look(self) -> None:
        samples: list[Sample] = []

        async def question() -> str:
            connection = await connect(self._sql.dsn, self._probe.timeout_ms, read_only=True)
            try:
                async with connection.transaction(readonly=True):
                    cursor = await connection.cursor(self._sql.statement)
                    rows = [dict(row) for row in await cursor.fetch(self._sql.max_rows + 1)]
            finally:
                connection.terminate()
            if len(rows) > self._sql.max_rows:
                return f"more than max_rows = {self._sql.max_rows} rows: count or group them, or raise it"
            samples.extend(samples_of(self._sql.metric, rows))
            return judge(self._sql, rows)

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.SQL, seen)
        await self._reports.metrics(self._probe.component, samples)


def number(value: object) -> float | None:
    """A value as a metric: truths as 1 and 0, durations in seconds; None for what is no number.

    >>> number(Decimal("1.5")), number(True), number(timedelta(minutes=2)), number("7"), number(float("nan"))
    (1.5, 1.0, 120.0, None, None)
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float | Decimal):
        found = float(value)
        return found if math.isfinite(found) else None
    return None


def samples_of(metric: str, rows: Sequence[Row]) -> list[Sample]:
    """A row's numbers under their columns' names, labelled by its texts; a single number under the metric's own."""
    samples = []
    for row in rows:
        values = {column: found for column, value in row.items() if (found := number(value)) is not None}
        labels = {column: value[:MAX_LABEL] for column, value in row.items() if isinstance(value, str)}
        alone = sum(not isinstance(value, str) for value in row.values()) == 1
        samples += [
            Sample(name=(metric if alone else f"{metric}_{column}")[:200], value=value, labels=labels)
            for column, value in values.items()
        ]
    return samples


def judge(sql: SqlProbe, rows: Sequence[Row]) -> str:
    """What is wrong with the rows; empty when they are as expected, or nothing is expected of them."""
    if sql.expect is None and not sql.judges:
        return ""
    if not rows:  # of what is grouped, nothing is nothing too many
        return "" if sql.expect is None and sql.below is None else "the statement gives no row"
    for row in rows:
        wrong = _judge_row(sql, row)
        if wrong:
            labels = ", ".join(f"{column}={value}" for column, value in row.items() if isinstance(value, str))
            return f"{wrong} ({labels[:100]})" if labels and sql.expect is None else wrong
    return ""


def _judge_row(sql: SqlProbe, row: Row) -> str:
    judged = sql.expect is not None and isinstance(sql.expect, str)
    columns = [sql.column] if sql.column else [c for c, value in row.items() if judged or not isinstance(value, str)]
    if len(columns) != 1 or columns[0] not in row:
        return f"which of {', '.join(row)} is judged: name one by `column`"
    value = row[columns[0]]
    name = f"{sql.metric} ({columns[0]})" if sql.column else sql.metric
    if sql.expect is not None:
        same = number(value) == number(sql.expect) if number(sql.expect) is not None else value == sql.expect
        return "" if same else f"{name} is {str(value)[:80]!r} instead of {str(sql.expect)[:80]!r}"
    found = number(value)
    if found is None:
        return f"{name} is {str(value)[:80]!r}, not a number"
    wrong = sql.broken_by(found)
    return f"{name} is {wrong}" if wrong else ""
