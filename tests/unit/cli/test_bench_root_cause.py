"""Anyone's own cases, in the plain layout: metrics, and graph, logs and traces where there are any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.bench._cases import own_cases, ranked
from services.cli.bench.data import DataMissingError
from services.cli.bench.root_cause import own

BEGIN = 1_700_000_000
BROKEN_AT = 600


def value(second: int, usual: float, broken: float) -> float:
    return (broken if second >= BROKEN_AT else usual) * (1 + 0.01 * (second % 7))


def write_case(folder: Path, metrics: dict[str, tuple[float, float]], root: str, **about: object) -> Path:
    """`metrics`: usual and broken level by `component/metric`."""
    folder.mkdir()
    lines = [",".join(["timestamp", *metrics])]
    for second in range(0, 720, 5):
        cells = [f"{value(second, *levels):.6f}" for levels in metrics.values()]
        lines.append(",".join([str(BEGIN + second), *cells]))
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    case = {"injected_at": BEGIN + BROKEN_AT, "detected_at": BEGIN + BROKEN_AT + 30, "root_component": root, **about}
    (folder / "case.json").write_text(json.dumps(case))
    return folder


EFFECT = {"edge/latency_mean": (0.1, 0.5), "orders/latency_mean": (0.05, 0.45), "orders/cpu": (20.0, 21.0)}


def test_a_case_of_metrics_alone_is_ranked_by_size(tmp_path: Path) -> None:
    write_case(tmp_path / "one", {"edge/latency_mean": (0.1, 0.3), "db/cpu": (5.0, 95.0)}, "db", root_metric="cpu")
    (row, _) = own(tmp_path)
    assert row.figures == {"top-1": 1.0, "top-3": 1.0, "metric AC@1": 1.0}


def test_a_graph_is_used_when_there_is_one(tmp_path: Path) -> None:
    case = write_case(tmp_path / "one", EFFECT, "orders")
    (case / "graph.csv").write_text("caller,callee\nedge,orders\n")
    (found,) = own_cases(tmp_path)
    assert found.trouble.component == "edge"
    assert [one.component for one in ranked(found).suspects] == ["orders"]


def test_traces_tell_latencies_and_who_calls_whom(tmp_path: Path) -> None:
    case = write_case(tmp_path / "one", {"edge/cpu": (20.0, 20.0)}, "payments")
    rows = ["timestamp,trace_id,span_id,parent_id,component,operation,duration_ms,error"]
    for second in range(0, 720, 2):
        own_ms = value(second, 20.0, 400.0)
        for span, parent, component, spent in (("a", "", "edge", 30.0), ("b", "a", "payments", 0.0)):
            rows.append(f"{BEGIN + second},t{second},{span},{parent},{component},get,{own_ms + spent},false")
    (case / "traces.csv").write_text("\n".join(rows) + "\n")
    (found,) = own_cases(tmp_path)
    assert found.graph.callees("edge") == {"payments": 1}
    assert [one.component for one in ranked(found).suspects] == ["payments"]


def test_error_lines_of_a_log_are_evidence(tmp_path: Path) -> None:
    case = write_case(tmp_path / "one", {"edge/cpu": (20.0, 20.0)}, "orders")
    rows = ["timestamp,component,message"]
    for second in range(0, 720, 2):
        bad = second >= BROKEN_AT
        rows.append(f"{BEGIN + second},orders,{'ERROR cannot write' if bad else 'served'}")
        rows.append(f"{BEGIN + second},edge,served")
    (case / "logs.csv").write_text("\n".join(rows) + "\n")
    (found,) = own_cases(tmp_path)
    ranking = ranked(found)
    assert [(one.component, one.metric) for one in ranking.series] == [("orders", "log_errors")]


def test_a_case_without_its_root_says_what_is_missing(tmp_path: Path) -> None:
    case = write_case(tmp_path / "one", EFFECT, "orders")
    (case / "case.json").write_text(json.dumps({"detected_at": BEGIN}))
    with pytest.raises(DataMissingError, match="root_component"):
        own_cases(tmp_path)
