"""The components of a system: what each is, what it calls, and how it can be reached and started."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from shared.contracts.base import Token
from shared.packs.base import Criticality, Part, Path, Seconds


class Slo(Part):
    availability: Annotated[float, Field(gt=0, lt=1)] | None = None
    latency_p99_ms: Annotated[float, Field(gt=0)] | None = None


class SecretRef(Part):
    """Where a secret is, never the secret: an environment variable or a file of the service that needs it."""

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is named by exactly one of `env` or `file`")
        return self


class Process(Part):
    """How a component's process is started and recognised. Its pid file holds the pid in decimal."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    pid_file: Path
    cwd: Path | None = None
    env: dict[str, str] = {}
    log_file: Path | None = None
    stop_timeout_s: Seconds = 10


class Component(Part):
    kind: Annotated[str, Field(max_length=50)] = "service"
    calls: tuple[Token, ...] = ()
    criticality: Criticality = Criticality.MEDIUM
    group: Token | None = None
    slo: Slo | None = None
    process: Process | None = None
    container: str | None = None
    config_path: Path | None = None
    attributes: dict[str, str] = {}
    """Free names for `${component.<name>}` in playbooks."""
