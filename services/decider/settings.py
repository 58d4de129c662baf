"""How the decider is switched off, and how often it looks again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "decider"

    kill_switch_file: Path | None = None
    """While this file exists nothing is executed, whatever else is up or down."""
    decider_review_s: float = Field(default=30.0, gt=0, le=3_600)
    """Every open case is looked at again this often."""
    reopened_settle_s: float = Field(default=1.0, ge=0, le=60)
    """A reopened incident is decided after this, so that a new diagnosis may come first."""
    after_success_s: float = Field(default=60.0, ge=0, le=3_600)
    """An incident still open this long after a run that helped is decided again."""
    decider_keep_days: float = Field(default=365.0, gt=0, le=3_650)
    """Closed cases and their decisions are kept this long."""
