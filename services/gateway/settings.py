"""The gateway's settings."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from shared.settings import ServiceSettings, read_secret


class Settings(ServiceSettings):
    SERVICE: ClassVar[str] = "gateway"

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65_535)
    """0 takes any free port (tests)."""
    admin_token: SecretStr | None = None
    admin_token_file: Path | None = None
    """The first admin's token, to make others with; kept hashed. Without it only tokens made before open the door."""
    timeline_days: float = Field(default=90, gt=0)
    audit_days: float = Field(default=365, gt=0)

    def admin_secret(self) -> str | None:
        return read_secret("admin_token", self.admin_token, self.admin_token_file)
