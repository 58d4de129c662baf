"""Prometheus rules as rules of a pack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.cli.promrules import import_file, pack_text
from shared.packs.load import parse_pack

RULES = """
groups:
- name: example
  rules:
  - record: job:requests:rate5m
    expr: sum by (job) (rate(requests_total[5m]))
  - alert: HostOutOfMemory
    expr: node_memory_free_percent{env="prod"} < 10
    for: 2m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.instance }} has {{ $value }} % left"}
  - alert: Errors
    expr: |
      sum(rate(requests_total{code=~"5.."}[5m])) / sum(rate(requests_total[5m])) > 0.05
    for: 10m
    labels: {severity: warning}
  - alert: ExporterGone
    expr: absent(up{job="node"})
    for: 5m
  - alert: Errors
    expr: 2 * 3 < queue_depth
  - alert: Odd
    expr: count_values("v", x) > 1
  - alert: Always
    expr: vector(1)
"""


def test_each_kind_becomes_what_a_pack_says_it_with() -> None:
    found = import_file(RULES)
    assert found.count() == "4 of 7 rules translated: 1 expectation, 1 expression, 2 thresholds"
    assert [(one.kind, one.entry.get("id")) for one in found.translated] == [
        ("rules", "host-out-of-memory"),
        ("expr", "errors"),
        ("expects", None),
        ("rules", "errors-2"),
    ]
    memory, _, gone, queue = (one.entry for one in found.translated)
    assert memory == {
        "id": "host-out-of-memory",
        "metric": "node_memory_free_percent",
        "labels": {"env": "prod"},
        "below": 10.0,
        "severity": "critical",
        "for_s": 120.0,
        "summary": "{{ $labels.instance }} has {{ $value }} % left",
    }
    assert gone == {"metric": "up", "labels": {"job": "node"}, "within_s": 300.0, "severity": "warning"}
    assert (queue["metric"], queue["above"]) == ("queue_depth", 6.0)


def test_what_cannot_be_said_is_named_with_its_reason() -> None:
    refused = {one.name: one.why for one in import_file(RULES).refused}
    assert refused.keys() == {"job:requests:rate5m", "Odd", "Always"}
    assert "recording rule" in refused["job:requests:rate5m"]
    assert "count_values" in refused["Odd"]
    assert "no metric" in refused["Always"]


def test_the_written_pack_is_good() -> None:
    pack = parse_pack(pack_text(import_file(RULES), "imported", "shop", "rules.yml"), {}, "rules")
    assert len(pack.rules) == 3
    assert pack.expects[0].metric == "up"


@pytest.mark.parametrize("text", ["", "groups: []", "a: [", "just words"])
def test_a_file_without_rules_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"no rules|not YAML"):
        import_file(text)


@pytest.mark.skipif(not os.environ.get("HOMEOSTAT_BENCH_DATA"), reason="HOMEOSTAT_BENCH_DATA names no public data")
def test_a_public_catalogue_of_alerts_is_translated_nearly_whole() -> None:
    file = Path(os.environ["HOMEOSTAT_BENCH_DATA"]) / "prom_alerts" / "rules.yml"
    found = import_file(file.read_text())
    total = len(found.translated) + len(found.refused)
    assert total > 1_000
    assert len(found.translated) / total > 0.95
    assert all(one.why for one in found.refused)
    assert len(parse_pack(pack_text(found, "imported", "shop", file.name), {}, "rules").rules) > 1_000
