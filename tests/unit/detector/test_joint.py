"""Series that are each a little unusual at the same time are told as one anomaly of their component."""

from __future__ import annotations

import random

from services.detector.domain import adaptive
from services.detector.domain.components import JOINT_METRIC, ComponentState, ComponentTrack
from services.detector.domain.joint import NEWS, REST, Joint
from services.detector.domain.signals import AnomalyFound
from services.detector.domain.watch import Watched
from shared.contracts.ingest import Sample

SERIES = 12


def batch(rng: random.Random, shift: float) -> list[Sample]:
    return [Sample(name=f"level_{n}", value=rng.gauss(100.0, 2.0) + shift) for n in range(SERIES)]


def play(seed: int, shift: float, quiet: int = 600, shifted: int = 12) -> tuple[list[AnomalyFound], list[AnomalyFound]]:
    """What is told in a quiet stretch, and after all series moved by `shift`."""
    rng, track = random.Random(seed), ComponentTrack(ComponentState("web"), Watched())
    before = [a for n in range(quiet) for a in track.read(batch(rng, 0.0), float(n), float(n)).unusual]
    times = range(quiet, quiet + shifted)
    return before, [a for n in times for a in track.read(batch(rng, shift), float(n), float(n)).unusual]


def joint(found: list[AnomalyFound]) -> list[AnomalyFound]:
    return [each for each in found if each.metric == JOINT_METRIC]


def test_a_small_shift_of_many_series_is_told_as_one_anomaly_of_the_component() -> None:
    assert sum(bool(joint(play(seed, shift=3.0)[1])) for seed in range(12)) >= 8


def test_series_that_move_by_chance_are_rarely_told_together() -> None:
    told = sum(len(joint(play(seed, shift=0.0)[0])) for seed in range(12))
    assert told <= 12 * 600 * 10**-NEWS * 2


def test_it_names_the_series_that_moved_most_and_what_is_usual() -> None:
    found = next(each for seed in range(12) for each in joint(play(seed, shift=3.0)[1]))
    assert found.labels["series"].startswith("level_")
    assert found.observed > found.high
    assert found.score > 2.0


def test_after_news_it_rests() -> None:
    state = Joint()
    for n in range(500):
        assert state.update(0.1 * (n % 7)) < NEWS
    assert state.update(9.0) >= NEWS
    assert all(state.update(9.0) < NEWS for _ in range(REST))


def test_what_was_learned_survives_a_snapshot() -> None:
    rng, track = random.Random(1), ComponentTrack(ComponentState("web"), Watched())
    for n in range(150):
        track.read(batch(rng, 0.0), float(n), float(n))
    again = ComponentTrack(track.state(), Watched())
    assert again.kept.joints == track.kept.joints
    assert next(iter(again.kept.joints.values())).count == 150 - adaptive.WARM_UP
