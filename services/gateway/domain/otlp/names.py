"""Metrics' names as Prometheus gives them to OpenTelemetry's, so that a pack's rules hold whichever way a series came.

After "OTLP Metric points to Prometheus" of OpenTelemetry's specification: other characters become `_`, the unit is
appended, a counter ends in `_total`. Readers know counters by their names, so a gauge never keeps a counter's ending.
"""

from __future__ import annotations

import re

MAX_CHARS = 170
"""What is made of histograms adds to it, up to the 200 of a sample's name."""
COUNTER_ENDINGS = ("_total", "_count", "_sum")
_OTHERS = re.compile(r"[^a-zA-Z0-9:]+")
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def base_name(name: str, unit: str, *, gauge: bool = False) -> str:
    """Empty: there is no name.

    >>> base_name("http.server.request.duration", "s"), base_name("http.requests", "{request}")
    ('http_server_request_duration_seconds', 'http_requests')
    >>> base_name("cpu.utilization", "1", gauge=True), base_name("network.io", "By/s")
    ('cpu_utilization_ratio', 'network_io_bytes_per_second')
    """
    words = _OTHERS.sub("_", name).strip("_")
    if not words:
        return ""
    if words[0].isdigit():
        words = f"_{words}"
    whole, _, per = unit.strip().partition("/")
    for suffix in (_unit(whole, gauge=gauge and not per), f"per_{_per(per)}" if _per(per) else ""):
        if suffix and not words.endswith(f"_{suffix}"):
            words = f"{words}_{suffix}"
    return words[:MAX_CHARS]


def counter_name(base: str) -> str:
    """
    >>> counter_name("http_requests"), counter_name("http_requests_total")
    ('http_requests_total', 'http_requests_total')
    """
    return base if base.endswith("_total") else f"{base}_total"


def gauge_name(base: str) -> str:
    """
    >>> gauge_name("jvm_memory_used_bytes"), gauge_name("jvm_thread_count")
    ('jvm_memory_used_bytes', 'jvm_thread_count_gauge')
    """
    return f"{base}_gauge" if base.endswith(COUNTER_ENDINGS) else base


def rate_name(base: str) -> str:
    """
    >>> rate_name("http_requests_total")
    'http_requests_per_second'
    """
    return f"{base.removesuffix('_total')}_per_second"


def _unit(unit: str, *, gauge: bool) -> str:
    if unit == "1":
        return "ratio" if gauge else ""
    if not unit or "{" in unit:
        return ""
    return _UNITS.get(unit) or _OTHERS.sub("_", unit).strip("_")


def _per(unit: str) -> str:
    return "" if "{" in unit else _PER.get(unit) or _OTHERS.sub("_", unit).strip("_")
