"""Unusual readings: the Numenta Anomaly Benchmark, false alarms on noise, and data of the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from services.cli.bench import _events, _judges, _nab, _noise
from services.cli.bench._series import LAYOUT, read_table
from services.cli.bench.data import DataMissingError
from services.cli.bench.results import Report, Row
from services.detector.domain.adaptive import NEWS

PUBLISHED_AT = "github.com/numenta/NAB"


async def run(data: Path | None) -> Report:
    """The table of this area. Raises DataMissingError."""
    return await asyncio.to_thread(measure, data)


def measure(data: Path | None) -> Report:
    if data is not None and (data / "nab").is_dir():
        return public(data / "nab")
    tables = sorted(data.glob("*.csv")) if data is not None else []
    if not tables:
        raise DataMissingError(
            f"no data: give --data DIR with nab/ in it (published at {PUBLISHED_AT}), or of your own: {LAYOUT}"
        )
    return own(tables)


def public(folder: Path) -> Report:
    """The 58 series: ours with the threshold chosen on the labels and with the default one, beside others."""
    series = _nab.load(folder)
    scorer = _nab.Scorer(series)
    rows = []
    judged = [_judges.ours(each.table) for each in series]
    scores = [each.told for each in judged]
    rows.append(Row("Homeostat, threshold chosen on the labels", scorer.leaderboard(scores).figures()))
    alarms = [each.alarms.astype(np.float64) for each in judged]
    rows.append(Row(f"Homeostat, default threshold {NEWS:g}", scorer.fixed(alarms, 1.0).figures()))
    for what, first in (("tuned on", 0), ("not tuned on", 1)):
        half = _nab.Scorer(series[first::2])
        rows.append(Row(f"– the half {what}, chosen", half.leaderboard(scores[first::2]).figures()))
        rows.append(Row(f"– the half {what}, default", half.fixed(alarms[first::2], 1.0).figures()))
    simple = [_judges.ewma(each.table) for each in series]
    rows.append(Row("EWMA, threshold chosen", scorer.leaderboard([each.scores for each in simple]).figures()))
    rows.append(
        Row("EWMA, 3 σ and a rest", scorer.fixed([each.alarms.astype(np.float64) for each in simple], 1.0).figures())
    )
    gaussian = _nab.published_scores(folder, series, "windowedGaussian")
    if gaussian is not None:
        rows.append(Row("windowed Gaussian, its scores, our scorer", scorer.leaderboard(gaussian).figures()))
    for name, told in _nab.published(folder).items():
        rows.append(Row(f"{name} (published)", dict(zip(_nab.PROFILES, told, strict=True))))
    return Report(
        area="metric-anomalies",
        at=datetime.now(UTC),
        title="Anomalies in metrics",
        notes="NAB score in its three profiles, 58 series, the first 15 % probationary; found and false alarms under "
        "the standard profile. A threshold chosen on the labels is what the leaderboard shows; the default one is what "
        "runs. Limits and views were tuned on every second series in order of name; figures of the others were seen "
        "while views were compared. Noise: alarms a week and series, a reading a minute, by the rate asked for.",
        rows=[*rows, *_noise.rows()],
    )


def own(paths: Sequence[Path]) -> Report:
    """Data of the user's own, a CSV a component."""
    tables = [read_table(path) for path in paths]
    rows = [
        Row(name, _events.figures([_events.Judged.of(table, judge(table)) for table in tables]))
        for name, judge in _judges.JUDGES.items()
    ]
    return Report(
        area="metric-anomalies",
        at=datetime.now(UTC),
        title=f"Anomalies in metrics of your own: {len(tables)} components",
        notes="Rows of split `test`, or all but the first 15 %, are counted. AUC-PR by row; an event is found when an "
        "alarm falls inside it, and every alarm outside is false: event F1 at the default threshold, nothing adjusted.",
        rows=rows,
    )
