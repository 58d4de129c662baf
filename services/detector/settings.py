"""What an operator may set for the detector beyond its packs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "detector"

    detector_probes: bool = True
    """False: only listen to what others publish, probe nothing."""
    detector_probe_concurrency: int = Field(default=32, ge=1, le=1_000)
    """Probes that one replica runs at the same time."""
    detector_reopen_window_s: float = Field(default=120.0, ge=0)
    """An incident that returns within this time is reopened instead of told as a new one."""
    detector_flapping_after: int = Field(default=3, ge=1)
    """Reopenings that make an incident flapping: it must then stay away longer."""
    detector_repair_grace_s: float = Field(default=15.0, ge=0)
    """So long after a step of a repair, an exit of the process must be confirmed before it counts."""
    incident_retention_days: float = Field(default=90.0, gt=0)
