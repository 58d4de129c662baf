"""Settings that every service shares. Each service adds its own in a subclass that only its `app.py` reads."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("detector", "diagnoser", "decider", "healer", "predictor", "optimizer", "learner", "gateway")


class SettingsError(Exception):
    """A setting is missing or unusable; the message names it and says how to mend it."""


class ServiceSettings(BaseSettings):
    """Read from `HOMEOSTAT_…` variables. A secret `X` may instead be a file named by `HOMEOSTAT_X_FILE`."""

    model_config = SettingsConfigDict(env_prefix="HOMEOSTAT_", extra="ignore")

    SERVICE: ClassVar[str]

    nats_url: str = "nats://127.0.0.1:4222"
    nats_password: SecretStr | None = None
    nats_password_file: Path | None = None
    postgres_host: str = "127.0.0.1"
    postgres_port: int = Field(default=5432, ge=1, le=65_535)
    postgres_database: str = "homeostat"
    postgres_password: SecretStr | None = None
    postgres_password_file: Path | None = None
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65_535)
    """0 serves no health page (tests)."""
    log_level: str = "INFO"
    otlp_endpoint: str | None = None
    """Base address of an OpenTelemetry collector, as `http://127.0.0.1:4318`; unset: spans stay here."""
    span_file: Path | None = None
    """Appends finished spans as JSON lines: tracing where there is no collector."""

    def nats_secret(self) -> str | None:
        return read_secret("nats_password", self.nats_password, self.nats_password_file)

    def postgres_secret(self) -> str | None:
        return read_secret("postgres_password", self.postgres_password, self.postgres_password_file)


def read_secret(name: str, value: SecretStr | None, file: Path | None) -> str | None:
    """The secret `name`, from the variable itself or from the file that holds it.

    Raises:
        SettingsError: the file can't be read.
    """
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        variable = f"HOMEOSTAT_{name.upper()}_FILE"
        raise SettingsError(f"{variable}: can't read {file} ({error.strerror}): mount the secret there") from error
