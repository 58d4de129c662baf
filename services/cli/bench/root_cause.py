"""Root cause ranking on recorded failures, by the diagnoser's own code, beside simple baselines in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import numpy as np

from services.cli.bench import _petshop, _sockshop
from services.cli.bench._baselines import (
    anomaly_traversal,
    by_component,
    finds_nothing,
    mean_z,
    median_shift,
    n_sigma,
    ranked_correlation,
)
from services.cli.bench._cases import Case, own_cases, place, ranked
from services.cli.bench.data import DataMissingError
from services.cli.bench.results import Report, Row

LATE_S = 60.0
SOON_S = 600.0
NOTES = (
    "Graph known: PetShop, 52 issues, top-1 / top-3 recall of the root, from the five readings around the alarm; calm: "
    "share of questions about normal operation answered with “nothing deviates”. No graph: Sock Shop, 50 cases, AC@1 "
    "of the series injected into, mean of the component's AC@1 to AC@5; 60 s late: the baselines then take the first "
    "minute of trouble for normal. Ours by the diagnoser's code and defaults through its bounded memory. Sock Shop's "
    "constants were chosen on the odd runs. PetShop's rules were chosen with all its issues in view: no part of it is "
    "held out, and odd and even only show how evenly it does; calm was looked at on its odd questions."
)
type Order = Callable[[Case], Sequence[str]]


async def run(data: Path | None = None) -> Report:
    """The table of this area."""
    rows: list[Row] = []
    if data is not None:
        if (data / "petshop").is_dir():
            rows += graph_known(data / "petshop")
        if (data / "sockshop").is_dir():
            rows += no_graph(data / "sockshop")
        rows += own(data)
    if not rows:
        raise DataMissingError(
            f"no data: give --data DIR with petshop/ (published at {_petshop.PUBLISHED}) or sockshop/ (published at "
            f"{_sockshop.PUBLISHED}) in it, or a folder a case with metrics.csv and case.json"
        )
    return Report("root-cause", datetime.now(UTC), "Root cause ranking", NOTES, rows)


# ---- graph known


def graph_known(folder: Path) -> list[Row]:
    cases = list(_petshop.cases(folder))
    ours = Row("PetShop: Homeostat", {**_recall(cases, suspects), **_halves(cases), **_calm(folder)})
    soon = Row(
        "PetShop: Homeostat, within 10 min of the alarm",
        _recall(cases, lambda case: suspects(case, until_s=case.noticed_s + SOON_S)),
    )
    baselines: list[tuple[str, Order]] = [
        ("ranked correlation", ranked_correlation),
        ("mean-z", mean_z),
        ("anomaly traversal", anomaly_traversal),
    ]
    rows = [ours, soon, *(Row(f"PetShop: {name}", _recall(cases, order)) for name, order in baselines)]
    rows[-1].figures["calm"] = fmean(finds_nothing(case) for case in _petshop.calm(folder))
    return rows


def suspects(case: Case, until_s: float = np.inf) -> list[str]:
    return [one.component for one in ranked(case, until_s=until_s).suspects]


def _recall(cases: Iterable[Case], order: Order) -> dict[str, float]:
    places = [place(order(case), case.root) for case in cases]
    return {"top-1": fmean(p < 1 for p in places), "top-3": fmean(p < 3 for p in places)}


def _halves(cases: Sequence[Case]) -> dict[str, float]:
    halves: dict[str, float] = {}
    for half, odd in (("odd", True), ("even", False)):
        found = _recall([case for case in cases if case.odd is odd], suspects)
        halves |= {f"{half} {name}": value for name, value in found.items()}
    return halves


def _calm(folder: Path) -> dict[str, float]:
    quiet = [(case.odd, not ranked(case).suspects) for case in _petshop.calm(folder)]
    return {
        "calm": fmean(said for _, said in quiet),
        "even calm": fmean(said for odd, said in quiet if not odd),
    }


# ---- no graph


def no_graph(folder: Path) -> list[Row]:
    cases = list(_sockshop.cases(folder))
    rows = []
    for late_s in (0.0, LATE_S):
        name = f", {late_s:g} s late" if late_s else ""
        rows += [
            Row(f"Sock Shop{name}: Homeostat", _accuracy(cases, late_s, our_order)),
            Row(f"Sock Shop{name}: robust median shift", _accuracy(cases, late_s, median_shift)),
            Row(f"Sock Shop{name}: NSigma", _accuracy(cases, late_s, n_sigma)),
        ]
    rows.append(
        Row(
            "Sock Shop: Homeostat, 1 min after the injection",
            _accuracy(cases, 0.0, lambda case, at: our_order(case, at, until_s=case.noticed_s + LATE_S)),
        )
    )
    return rows


def our_order(case: Case, noticed_s: float, until_s: float = np.inf) -> list[tuple[str, str]]:
    return [(one.component, one.metric) for one in ranked(case, noticed_s, until_s).series]


def _accuracy(
    cases: Sequence[Case], late_s: float, order: Callable[[Case, float], Sequence[tuple[str, str]]]
) -> dict[str, float]:
    figures: dict[str, list[float]] = {}
    for case in cases:
        series = list(order(case, case.noticed_s + late_s))
        right = place(series, (case.root, case.root_metric)) == 0
        at = place(by_component(series), case.root)
        figures.setdefault("metric AC@1", []).append(right)
        figures.setdefault(f"metric AC@1 {case.root_metric}", []).append(right)
        figures.setdefault(f"Avg@5 {case.root_metric}", []).append(fmean(at < k for k in range(1, 6)))
        figures.setdefault(f"{'odd' if case.odd else 'even'} AC@1", []).append(right)
    return {name: fmean(values) for name, values in figures.items()}


# ---- a user's own


def own(folder: Path) -> list[Row]:
    cases = own_cases(folder)
    if not cases:
        return []
    found = [(case, ranked(case)) for case in cases]
    at = [place([one.component for one in ranking.suspects], case.root) for case, ranking in found]
    figures = {"top-1": fmean(p < 1 for p in at), "top-3": fmean(p < 3 for p in at)}
    named = [
        place([(one.component, one.metric) for one in ranking.series], (case.root, case.root_metric)) == 0
        for case, ranking in found
        if case.root_metric
    ]
    if named:
        figures["metric AC@1"] = fmean(named)
    shifts = [median_shift(case, case.noticed_s) for case in cases]
    base = [place(by_component(order), case.root) for order, case in zip(shifts, cases, strict=True)]
    return [
        Row(f"{len(cases)} own cases: Homeostat", figures),
        Row(
            f"{len(cases)} own cases: robust median shift",
            {"top-1": fmean(p < 1 for p in base), "top-3": fmean(p < 3 for p in base)},
        ),
    ]
