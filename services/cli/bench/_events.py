"""How well alarms meet labelled events: measures that a lucky guess can't inflate (no point adjustment)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cli.bench._judges import Judgement
from services.cli.bench._series import Floats, Table

WEEK_S = 7 * 86_400.0
LEARNING = 0.15
"""Share of a table without a `split` that only teaches."""


@dataclass(frozen=True)
class Judged:
    """A table's counted rows, and what a detector said of them."""

    times: Floats
    label: NDArray[np.bool_] | None
    scores: Floats
    alarms: NDArray[np.bool_]

    @classmethod
    def of(cls, table: Table, judgement: Judgement) -> Judged:
        counted = table.test
        if counted is None:
            counted = np.arange(len(table.times)) >= int(LEARNING * len(table.times))
        label = None if table.label is None else table.label[counted]
        return cls(table.times[counted], label, judgement.scores[counted], judgement.alarms[counted])


def figures(judged: Sequence[Judged]) -> dict[str, float]:
    """Over all tables. Without labels only how often there is an alarm."""
    normal_s, false, delays, events = 0.0, 0, [], 0
    for each in judged:
        label = each.label if each.label is not None else np.zeros(len(each.times), bool)
        steps = np.diff(each.times, append=each.times[-1:])
        normal_s += float(steps[~label].sum())
        false += int((each.alarms & ~label).sum())
        for begin, end in spans(label):
            events += 1
            hits = np.flatnonzero(each.alarms[begin:end])
            if len(hits):
                delays.append(float(each.times[begin + hits[0]] - each.times[begin]))
    weekly = {"false alarms a week": false / normal_s * WEEK_S} if normal_s else {}
    labelled = [each for each in judged if each.label is not None]
    if not events:
        return {"alarms": false, **weekly}
    precision, recall = len(delays) / max(1, len(delays) + false), len(delays) / events
    return {
        "AUC-PR": average_precision(
            np.concatenate([each.scores for each in labelled]),
            np.concatenate([each.label for each in labelled if each.label is not None]),
        ),
        "event F1": 2 * precision * recall / (precision + recall) if delays else 0.0,
        "found": len(delays),
        "of": events,
        **({"median delay s": float(np.median(delays))} if delays else {}),
        **weekly,
    }


def spans(label: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of each run of labelled rows.

    >>> spans(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], label, [False]]).astype(int)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def average_precision(scores: Floats, label: NDArray[np.bool_]) -> float:
    """Area under the precision-recall curve, equal scores taken together.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(label[order])
    last_of_equals = np.append(np.diff(scores[order]) != 0.0, True)
    taken = np.arange(1, len(order) + 1)[last_of_equals]
    hits = hits[last_of_equals]
    return float(np.sum(np.diff(hits, prepend=0) * hits / taken) / hits[-1])
