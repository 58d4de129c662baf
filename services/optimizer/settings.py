"""The optimizer's settings."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "optimizer"

    auto_optimization_enabled: bool = True
    """Whether telemetry is looked at."""
    optimization_interval_ms: float = Field(default=120_000, ge=1_000)
    """Least time between two recommendations for one knob, and between measurements."""
    conservative_mode: bool = False
    """Half the steps, twice the margin."""
    optimization_window_s: float = Field(default=300, ge=12, le=86_400)
    """How far back latency is measured."""
    optimization_samples_min: int = Field(default=300, ge=100)
    """Fewer calls in the window say nothing about one in a hundred."""
    optimization_repeat_s: float = Field(default=3_600, ge=60)
    """A recommendation that still holds is given again after this long."""
    optimization_retention_days: float = Field(default=365, gt=0)
