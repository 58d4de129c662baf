"""Baseline of the known-patterns bench: the four fixed thresholds that monitoring begins with, and nothing else.

CPU above 90 %, memory above 90 %, a file system above 95 %, an answer slower than five seconds (requirements B02–B05);
figures of node_exporter are turned into percentages first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.cli.bench._patterns_player import Played
from services.cli.bench._patterns_suite import Scenario
from shared.contracts.ingest import Check, MetricBatch, Sample

PERCENT, DISK_PERCENT, SLOW_MS = 90.0, 95.0, 5_000.0
DIRECT = {"host_cpu_percent": PERCENT, "host_memory_percent": PERCENT, "host_disk_percent": DISK_PERCENT}


def fixed_alarms(scenario: Scenario, _played: Played) -> list[tuple[float, str]]:
    """(when, component) of each reading beyond a threshold."""
    found: list[tuple[float, str]] = []
    idle: dict[str, tuple[float, float, int]] = {}
    for now, event in scenario.messages():
        if isinstance(event, Check) and (event.latency_ms or 0.0) > SLOW_MS:
            found.append((now, event.component))
        if isinstance(event, MetricBatch) and (_is_busy(idle, event, now) or any(True for _ in _beyond(event.samples))):
            found.append((now, event.component))
    return found


def _is_busy(idle: dict[str, tuple[float, float, int]], batch: MetricBatch, now: float) -> bool:
    """CPU over the time since the last batch."""
    spare = [
        one.value for one in batch.samples if one.name == "node_cpu_seconds_total" and one.labels["mode"] == "idle"
    ]
    before = idle.get(batch.component)
    idle[batch.component] = (now, sum(spare), len(spare))
    if before is None or not spare or before[2] != len(spare) or now <= before[0]:
        return False
    return 100.0 * (1.0 - (sum(spare) - before[1]) / (now - before[0]) / len(spare)) > PERCENT


def _beyond(samples: Sequence[Sample]) -> Iterator[Sample]:
    named = {one.name: one.value for one in samples}
    for one in samples:
        if (
            one.value > DIRECT.get(one.name, float("inf"))
            or (one.name == "node_memory_MemAvailable_bytes" and one.value < 0.1 * named["node_memory_MemTotal_bytes"])
            or (one.name == "node_filesystem_avail_bytes" and one.value < 0.05 * named["node_filesystem_size_bytes"])
        ):
            yield one
