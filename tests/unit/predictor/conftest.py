"""A component whose memory is a function of time, watched by one partition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from services.predictor.domain.forecast import RULES, Sensitivity
from services.predictor.domain.partition import PROCESS_START, Partition, Reading, Revision, Watched
from services.predictor.domain.watch import Pace, Reason
from shared.packs.model import Limit, Traffic

MIB = 2.0**20


@dataclass
class World:
    """Readings of `memory` in MiB every `every_s` seconds against a limit of 400 MiB."""

    limit: Limit
    traffic: Traffic | None
    sensitivity: Sensitivity = Sensitivity.MEDIUM
    every_s: float = 1.0

    def __post_init__(self) -> None:
        self.partition = self.new()
        self.said: list[tuple[float, Revision]] = []
        self.now_s = 0.0

    def new(self) -> Partition:
        return Partition(RULES[self.sensitivity], Pace(), lambda _name: Watched({"memory": self.limit}, self.traffic))

    def run(
        self,
        memory_mib: Callable[[float], float],
        seconds: float,
        started_s: float | None = None,
        served: Callable[[float], float] | None = None,
    ) -> list[tuple[float, Revision]]:
        """What was said in the next `seconds`; time goes on where it stopped, for the functions from 0."""
        begun_s, said = self.now_s, []
        while self.now_s < begun_s + seconds:
            readings = [self.reading("memory", memory_mib(self.now_s - begun_s) * MIB)]
            if started_s is not None:
                readings.append(self.reading(PROCESS_START, started_s))
            if served is not None:
                readings.append(self.reading("http_requests_total", served(self.now_s - begun_s)))
            said += [(self.now_s, one) for one in self.partition.readings("catalog", readings, self.now_s)]
            self.now_s += self.every_s
        self.said += said
        return said

    def reading(self, metric: str, value: float) -> Reading:
        return Reading(metric, (), value, self.now_s)


@pytest.fixture
def world() -> Callable[..., World]:
    def build(horizon_s: float = 3_600, traffic: Traffic | None = None, **more: object) -> World:
        limit = Limit(component="catalog", metric="memory", limit="400Mi", horizon_s=horizon_s)
        return World(limit, traffic, **more)  # type: ignore[arg-type]

    return build


@pytest.fixture
def opened() -> Callable[[list[tuple[float, Revision]]], list[tuple[float, Revision]]]:
    return lambda said: [one for one in said if one[1].said.reason is Reason.OPENED]
