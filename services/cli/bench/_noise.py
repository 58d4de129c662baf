"""Series on which nothing ever happens: every alarm is false."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from services.cli.bench import _events, _judges
from services.cli.bench._series import Floats, Table
from services.cli.bench.results import Row

READINGS, EVERY_S, SERIES = 4 * 10_080, 60.0, 3
"""Four weeks of a reading a minute."""
ASKED = (0.5, 1.0, 5.0)
"""False alarms a week and series."""


def white(chance: np.random.Generator, count: int) -> Floats:
    return chance.normal(100.0, 5.0, count)


def wandering(chance: np.random.Generator, count: int) -> Floats:
    """AR(1), 0.9."""
    level = np.empty(count)
    last = 0.0
    for index, step in enumerate(chance.normal(0.0, 1.0, count).tolist()):
        last = 0.9 * last + step
        level[index] = last
    return 100.0 + level


def heavy(chance: np.random.Generator, count: int) -> Floats:
    return chance.lognormal(0.0, 1.0, count)


def seasonal(chance: np.random.Generator, count: int) -> Floats:
    day = 2.0 * np.pi * np.arange(count) * EVERY_S / 86_400.0
    return 100.0 + 30.0 * np.sin(day) + chance.normal(0.0, 3.0, count)


def counts(chance: np.random.Generator, count: int) -> Floats:
    return chance.poisson(2.0, count).astype(np.float64)


KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "white": white,
    "AR(1) 0.9": wandering,
    "log-normal": heavy,
    "daily wave": seasonal,
    "Poisson counts": counts,
}


def tables(draw: Callable[[np.random.Generator, int], Floats], seed: int) -> Iterator[Table]:
    for number in range(SERIES):
        values = draw(np.random.default_rng([seed, number]), READINGS)
        times = 1_700_000_000.0 + EVERY_S * np.arange(READINGS, dtype=np.float64)
        yield Table(f"noise-{number}", times, ("value",), values[:, None], None, None)


def weekly(draw: Callable[[np.random.Generator, int], Floats], asked: float | None) -> float:
    """False alarms a week and series."""
    judged = [_events.Judged.of(table, _judges.ours(table, asked)) for table in tables(draw, seed=15)]
    return _events.figures(judged)["false alarms a week"]


def rows() -> list[Row]:
    """False alarms a week and series: with the default limit, and where a rate is asked for."""
    return [
        Row(
            f"noise: {name}; false alarms a week",
            {"default": weekly(draw, None), **{f"asked {asked:g}": weekly(draw, asked) for asked in ASKED}},
        )
        for name, draw in KINDS.items()
    ]
