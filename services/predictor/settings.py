"""The predictor's settings."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from services.predictor.domain.forecast import Sensitivity
from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "predictor"

    predictive_maintenance_enabled: bool = True
    """Whether readings are looked at; without, only old predictions are kept."""
    prediction_sensitivity: Sensitivity = Sensitivity.MEDIUM
    """How little evidence is enough: see the README for numbers."""
    auto_schedule_maintenance: bool = True
    """Whether good moments to act are told. Without, every prediction says `wait`."""
    prediction_evidence_min_s: float = Field(default=5.0, ge=0)
    """A climb must have been seen at least this long."""
    prediction_lead_s: float = Field(default=20.0, ge=0)
    """A deadline comes at least this long before the earliest likely time."""
    prediction_repeat_max_s: float = Field(default=600.0, ge=5)
    """A good moment that still holds is told again after a tenth of the time left, but at most after this long."""
    prediction_retention_days: float = Field(default=90, gt=0)
