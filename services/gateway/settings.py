"""The gateway's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

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

    gateway_component_labels: Annotated[tuple[str, ...], NoDecode, Field(max_length=32)] = ()
    """Labels, separated by commas, of which the first that is there names a series' or an alert's component; none:
    those of `domain/ingest/naming.py`."""

    @field_validator("gateway_component_labels", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return tuple(label.strip() for label in given.split(",") if label.strip()) if isinstance(given, str) else given

    def admin_secret(self) -> str | None:
        return read_secret("admin_token", self.admin_token, self.admin_token_file)
