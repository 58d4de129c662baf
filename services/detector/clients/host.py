"""The machine the detector runs on: processor, memory, disks (requirement A05), and where it is short of anything."""

from __future__ import annotations

import asyncio
import os

import psutil

from services.detector.clients import kernel
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
        self._asking: dict[str, asyncio.Task[list[Sample]]] = {}

    async def look(self) -> None:
        samples = gauges(_memory()) + gauges(_system()) + _pressure()
        if self._marked:
            samples += gauges({"host_cpu_percent": psutil.cpu_percent(None)})
        self._marked = True
        missing = []
        for path in self._host.disk_paths:
            try:
                samples += await self._disk(path)
            except TimeoutError:
                missing.append(f"{path}: no answer within {self._probe.timeout_ms:g} ms")
            except OSError as error:
                missing.append(f"{path}: {error.strerror}")
        await self._reports.metrics(self._probe.component, samples)
        seen = Seen(CheckResult.ERROR if missing else CheckResult.OK, detail="; ".join(missing))
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.HOST, seen)

    async def close(self) -> None:
        for task in self._asking.values():
            task.cancel()

    async def _disk(self, path: str) -> list[Sample]:
        """Aside, because a network file system whose server is gone answers never; and one question at a time."""
        task = self._asking.get(path)
        if task is None:
            task = self._asking[path] = asyncio.create_task(asyncio.to_thread(_disk, path))
        async with asyncio.timeout(self._probe.timeout_ms / 1000):
            try:
                return await asyncio.shield(task)
            finally:
                if task.done():
                    del self._asking[path]


def _memory() -> dict[str, float]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    values = {
        "host_memory_percent": memory.percent,
        "host_memory_total_bytes": float(memory.total),
        "host_memory_available_bytes": float(memory.available),
        "host_memory_used_bytes": float(memory.used),
        "host_swap_total_bytes": float(swap.total),
        "host_swap_used_bytes": float(swap.used),
        "host_swap_in_bytes_total": float(swap.sin),
        "host_swap_out_bytes_total": float(swap.sout),
    }
    if swap.total:
        values["host_swap_percent"] = swap.percent
    return values


def _system() -> dict[str, float]:
    load = os.getloadavg()
    values = {
        "host_load1": load[0],
        "host_load5": load[1],
        "host_load15": load[2],
        "host_load_per_cpu": load[0] / (os.cpu_count() or 1),
    }
    kills, files = kernel.oom_kills(), kernel.open_files()
    if kills is not None:
        values["host_oom_kills_total"] = float(kills)
    if files is not None:
        values["host_open_files"] = float(files[0])
        values["host_open_files_ratio"] = files[0] / files[1] if files[1] else 0.0
    return values


def _pressure() -> list[Sample]:
    """`some`: a task waited for the resource; `full`: all did."""
    samples = []
    for resource in kernel.RESOURCES:
        for kind, (percent, stalled_s) in kernel.pressure(resource).items():
            values = {"host_pressure_percent": percent, "host_pressure_stalled_seconds_total": stalled_s}
            samples += gauges(values, resource=resource, tasks=kind)
    return samples


def _disk(path: str) -> list[Sample]:
    """Of what an ordinary user can use, as df(1) counts. Some file systems count no inodes."""
    disk, file_system = psutil.disk_usage(path), os.statvfs(path)
    values = {
        "host_disk_percent": disk.percent,
        "host_disk_size_bytes": float(disk.total),
        "host_disk_free_bytes": float(disk.free),
        "host_disk_used_bytes": float(disk.used),
    }
    used = file_system.f_files - file_system.f_ffree
    usable = used + file_system.f_favail
    if usable > 0:
        values["host_inodes_percent"] = 100.0 * used / usable
        values["host_inodes_free"] = float(file_system.f_favail)
    return gauges(values, path=path)
