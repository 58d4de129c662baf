"""The shapes of customer traffic, as endless sequences of (seconds, share of the base rate)."""

import random
from collections.abc import Callable, Iterator, Mapping

type Segments = Iterator[tuple[float, float]]

BUSY_S, QUIET_S, QUIET_SHARE = 8.0, 4.0, 0.2


def steady(_rng: random.Random) -> Segments:
    while True:
        yield 60.0, 1.0


def waves(_rng: random.Random) -> Segments:
    """Regular rise and fall: what a detector should learn and not report."""
    while True:
        yield BUSY_S, 1.0
        yield QUIET_S, QUIET_SHARE


def bursts(rng: random.Random) -> Segments:
    """Irregular rushes of 3 to 5 times the usual: demanding, and no fault."""
    while True:
        yield rng.uniform(1.0, 2.5), rng.uniform(3.0, 5.0)
        yield rng.uniform(2.0, 6.0), rng.uniform(0.5, 1.0)


PROFILES: Mapping[str, Callable[[random.Random], Segments]] = {
    "waves": waves,
    "steady": steady,
    "bursts": bursts,
}
