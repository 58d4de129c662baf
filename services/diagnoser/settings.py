"""How patient the diagnoser is, and how long it remembers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "diagnoser"

    settle_s: float = Field(default=1.0, ge=0, le=60)
    """Wait for the neighbours' alarms before an inconclusive incident is diagnosed."""
    symptom_grace_s: float = Field(default=15.0, ge=0, le=600)
    """A symptom may outlast its cause by this long before it is diagnosed on its own."""
    review_s: float = Field(default=15.0, gt=0, le=3_600)
    """Every open incident is looked at again this often: no lost message leaves it with a stale diagnosis."""
    anomaly_recent_s: float = Field(default=300.0, gt=0, le=86_400)
    """Older anomalies are no evidence."""
    diagnoser_keep_days: float = Field(default=7.0, gt=0, le=365)
    """Changes, anomalies, resolved incidents and their diagnoses are kept this long."""
    experience_keep_days: float = Field(default=365.0, gt=0, le=3_650)
    """What diagnoses turned out to be worth is remembered this long: confidence is calibrated by it."""
    observed_calls_hours: float = Field(default=24.0, gt=0, le=8_760)
    """A call that traces no longer show is believed for this long."""
    observed_calls_min: int = Field(default=3, ge=1, le=1_000_000)
    """A call that traces showed fewer times is not believed."""
