"""The learner's settings."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "learner"

    learning_retention_days: float = Field(default=365, gt=0)
    """Older outcomes are forgotten: systems change, and what helped a year ago may not help now."""

    learning_train_s: float = Field(default=3_600, gt=0)
    """How often models are fitted to outcomes anew."""

    learning_judge_after_s: float = Field(default=120, ge=0)
    """So long after an incident is over it is judged whether it was worth an alarm: its outcome may come late."""
