"""The learner's settings."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "learner"

    learning_retention_days: float = Field(default=365, gt=0)
    """Older outcomes are forgotten: systems change, and what helped a year ago may not help now."""
