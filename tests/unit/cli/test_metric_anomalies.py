"""The measures of the anomaly bench, on cases worked out by hand, and what it says of data it can't read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.cli.bench._events import Judged, figures
from services.cli.bench._judges import ours, rested
from services.cli.bench._nab import Labelled, Scorer
from services.cli.bench._series import LayoutError, Table, read_table
from services.cli.bench.data import DataMissingError
from services.cli.bench.metric_anomalies import measure

LENGTH = 1_000


def table(values: np.ndarray, label: np.ndarray | None = None) -> Table:
    times = 1_700_000_000.0 + 60.0 * np.arange(len(values), dtype=np.float64)
    return Table("web", times, ("depth",), values[:, None].astype(np.float64), label, None)


def scorer() -> Scorer:
    return Scorer([Labelled("a", table(np.zeros(LENGTH)), [(500, 599)])])


def detections(*rows: int) -> list[np.ndarray]:
    scores = np.zeros(LENGTH)
    scores[list(rows)] = 1.0
    return [scores]


def test_nothing_said_is_nought_and_a_detection_at_the_windows_begin_is_a_hundred() -> None:
    assert scorer().fixed(detections(), 1.0).scores == (0.0, 0.0, 0.0)
    assert scorer().fixed(detections(500), 1.0).scores == pytest.approx((100.0, 100.0, 100.0))


def test_only_the_first_detection_of_a_window_counts_and_a_late_one_earns_less() -> None:
    early, late = scorer().fixed(detections(500, 550), 1.0), scorer().fixed(detections(598), 1.0)
    assert early.scores == pytest.approx((100.0, 100.0, 100.0))
    assert 50.0 < late.scores[0] < 60.0


def test_a_false_alarm_far_from_any_window_costs_its_weight() -> None:
    result = scorer().fixed(detections(300, 500), 1.0)
    assert result.false_alarms == 1
    assert result.scores == pytest.approx((100 - 11 / 2, 100 - 22 / 2, 100 - 11 / 3))


def test_detections_while_learning_do_not_count() -> None:
    assert scorer().fixed(detections(10, 149), 1.0).false_alarms == 0


def test_the_leaderboard_takes_the_threshold_that_suits_best() -> None:
    scores = np.zeros(LENGTH)
    scores[[300, 520, 700]] = [0.4, 0.9, 0.2]
    best = scorer().leaderboard([scores])
    assert (best.found, best.false_alarms) == (1, 0)
    assert best.scores == scorer().fixed([scores], 0.9).scores


def test_events_are_found_by_alarms_inside_them_and_every_other_alarm_is_false() -> None:
    label = np.zeros(100, bool)
    label[40:50] = label[80:90] = True
    alarms = np.zeros(100, bool)
    alarms[[20, 43, 47]] = True
    judged = Judged(60.0 * np.arange(100, dtype=np.float64), label, alarms.astype(np.float64), alarms)
    told = figures([judged])
    assert (told["found"], told["of"], told["median delay s"]) == (1, 2, 180.0)
    assert told["event F1"] == pytest.approx(0.5)
    assert told["false alarms a week"] == pytest.approx(1 / (79 * 60.0) * 7 * 86_400)


def test_the_production_detector_finds_a_jump_in_a_users_file(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    rows = [f"{60 * minute},{chance.normal(50, 3):.2f},{chance.normal(9, 1):.2f},0" for minute in range(600)]
    rows += [f"{60 * minute},{chance.normal(90, 3):.2f},,1" for minute in range(600, 620)]
    (tmp_path / "web.csv").write_text("\n".join(["timestamp,depth,age,label", *rows]))
    (homeostat, *_) = measure(tmp_path).rows
    assert homeostat.figures["found"] == 1
    assert homeostat.figures["event F1"] > 0.6


def test_one_alarm_is_raised_for_a_trouble_that_stays_unusual() -> None:
    values = np.random.default_rng(1).normal(0.0, 1.0, 2_000)
    values[1_500:1_520] += 20.0
    judgement = ours(table(values))
    assert judgement.alarms[1_500:1_520].sum() == 1
    (alarm,) = 1_500 + np.flatnonzero(judgement.alarms[1_500:1_520])
    assert (judgement.told[alarm + 1 : 1_520] == 0.0).all()
    assert judgement.scores[1_500:1_520].min() > np.median(judgement.scores[:1_500])


def test_a_baselines_alarms_rest_as_ours_do() -> None:
    assert rested(np.array([3.0, 3.0]), 3.0).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,value\n1,2\n", "line 1: the header is time,value"),
        ("timestamp,value\n", "has no rows"),
        ("timestamp,value\n1,2\n1\n", "line 3: 1 cells"),
        ("timestamp,value\nyesterday,2\n", "line 2, column timestamp: 'yesterday'"),
        ("timestamp,value\n2,2\n1,2\n", "line 3: earlier"),
        ("timestamp,value,label\n1,2,maybe\n", "column label: 'maybe'"),
        ("timestamp,value,split\n1,2,half\n", "column split: 'half'"),
    ],
)
def test_a_file_of_another_layout_is_refused_with_its_line_and_what_was_expected(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "web.csv").write_text(text)
    with pytest.raises(LayoutError, match="expected a CSV a component") as refused:
        read_table(tmp_path / "web.csv")
    assert said in str(refused.value)


def test_a_folder_without_any_of_the_layouts_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="give --data DIR with nab/"):
        measure(tmp_path)
