"""The machine the detector runs on: processor, memory, disks (requirement A05)."""

from __future__ import annotations

import os

import psutil

from services.detector.clients.reports import Reports, Seen, gauges
from shared.contracts.ingest import CheckKind, CheckResult, Sample
from shared.packs.model import Probe


class HostProber:
    """Percentages for the limits, absolute numbers for whoever looks."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.host is not None
        self._probe, self._host, self._reports = probe, probe.host, reports
        psutil.cpu_percent(None)  # the first call only marks the start of the measurement
        self._marked = False

    async def look(self) -> None:
        samples = self._memory()
        if self._marked:
            samples += gauges({"host_cpu_percent": psutil.cpu_percent(None), "host_load1": os.getloadavg()[0]})
        self._marked = True
        missing = []
        for path in self._host.disk_paths:
            try:
                samples += _disk(path)
            except OSError as error:
                missing.append(f"{path}: {error.strerror}")
        await self._reports.metrics(self._probe.component, samples)
        seen = Seen(CheckResult.ERROR if missing else CheckResult.OK, detail="; ".join(missing))
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.HOST, seen)

    def _memory(self) -> list[Sample]:
        memory = psutil.virtual_memory()
        return gauges(
            {
                "host_memory_percent": memory.percent,
                "host_memory_total_bytes": float(memory.total),
                "host_memory_available_bytes": float(memory.available),
                "host_memory_used_bytes": float(memory.used),
            }
        )


def _disk(path: str) -> list[Sample]:
    """Of what an ordinary user can use, as df(1) counts."""
    disk = psutil.disk_usage(path)
    values = {
        "host_disk_percent": disk.percent,
        "host_disk_size_bytes": float(disk.total),
        "host_disk_free_bytes": float(disk.free),
        "host_disk_used_bytes": float(disk.used),
    }
    return gauges(values, path=path)
