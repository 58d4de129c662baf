"""What may be done about a trouble: playbooks of steps, each with backup, validation and rollback."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.contracts.base import Category, Probability, Token
from shared.packs.base import Expression, Part, Path, Seconds
from shared.packs.component import SecretRef


class AutomationLevel(StrEnum):
    MANUAL = "manual"
    SEMI_AUTO = "semi-auto"
    FULL_AUTO = "full-auto"


class Validation(Part):
    """How it is known that a playbook helped."""

    window_s: Annotated[float, Field(gt=0, le=86_400)] = 120
    clear: Literal["incident", "prediction", "none"] = "incident"
    error_count_after: Annotated[int, Field(ge=0)] = 0
    """Errors of the component allowed in the second half of the window."""


class FileBackup(Part):
    file: Path


class ProcessAction(Part):
    """Acts on the component's declared process."""

    signal: str | None = None
    """For `process.reload`: the signal to send, `SIGHUP` unless said."""


class DockerAction(Part):
    container: str = "${component.container}"
    socket: Path = "/var/run/docker.sock"


class FileRestore(Part):
    path: Path


class FileSet(Part):
    """Sets one key of a TOML, JSON, YAML or INI file, keeping the rest of the file as it is."""

    path: Path
    key: str
    value: str | int | float | bool


class ConfigStep(Part):
    """Moves one number of a TOML, JSON, YAML or INI file by one step, never beyond its bounds."""

    path: Path
    key: str
    multiply: Annotated[float, Field(gt=0)] | None = None
    add: float | None = None
    min: float
    max: float

    @model_validator(mode="after")
    def _moves_within_bounds(self) -> ConfigStep:
        if (self.multiply is None) == (self.add is None):
            raise ValueError("config.step has exactly one of `multiply` and `add`")
        if self.multiply == 1 or self.add == 0:
            raise ValueError("config.step must move: `multiply` other than 1, or `add` other than 0")
        if self.min >= self.max:
            raise ValueError(f"config.step needs min < max, not {self.min:g} and {self.max:g}")
        return self


class HttpCall(Part):
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    body: dict[str, str | int | float | bool] | None = None
    expect_status: tuple[int, ...] = (200, 201, 202, 204)


class SqlStatement(Part):
    dsn: SecretRef
    statement: str
    max_rows: Annotated[int, Field(ge=1)] = 1_000
    """A statement that would touch more rows is undone and fails."""


class Step(Part):
    """One action; exactly one is set. The key is the actuator's name, as in `file.restore_last_good`."""

    process_start: ProcessAction | None = Field(None, alias="process.start")
    process_stop: ProcessAction | None = Field(None, alias="process.stop")
    process_restart: ProcessAction | None = Field(None, alias="process.restart")
    process_reload: ProcessAction | None = Field(None, alias="process.reload")
    docker_restart: DockerAction | None = Field(None, alias="docker.restart")
    docker_start: DockerAction | None = Field(None, alias="docker.start")
    file_restore_last_good: FileRestore | None = Field(None, alias="file.restore_last_good")
    file_set: FileSet | None = Field(None, alias="file.set")
    config_step: ConfigStep | None = Field(None, alias="config.step")
    http_call: HttpCall | None = Field(None, alias="http.call")
    sql_execute: SqlStatement | None = Field(None, alias="sql.execute")
    timeout_s: Seconds = 30

    @property
    def actuator(self) -> str:
        """Dotted name of the action."""
        return next(name for name in ACTUATORS if getattr(self, name.replace(".", "_")) is not None)

    @model_validator(mode="after")
    def _exactly_one_action(self) -> Step:
        given = [name for name in ACTUATORS if getattr(self, name.replace(".", "_")) is not None]
        if len(given) != 1:
            raise ValueError(f"a step has exactly one of {', '.join(ACTUATORS)}; this one has {given or 'none'}")
        return self


ACTUATORS = (
    "process.start",
    "process.stop",
    "process.restart",
    "process.reload",
    "docker.restart",
    "docker.start",
    "file.restore_last_good",
    "file.set",
    "config.step",
    "http.call",
    "sql.execute",
)
REVERSIBLE_ACTUATORS = frozenset({"file.restore_last_good", "file.set", "config.step", "process.reload"})
"""Actions whose effect a rollback undoes byte for byte, given a backup (a reload only re-reads files)."""


class Playbook(Part):
    applies_to: Annotated[tuple[Category, ...], Field(min_length=1, alias="for")]
    components: tuple[Token, ...] = ()
    """Components it is for; empty means any."""
    automation_level: AutomationLevel = AutomationLevel.SEMI_AUTO
    required_permissions: tuple[str, ...] = ()
    when: Expression | None = None
    backup: tuple[FileBackup, ...] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]
    validation: Validation = Field(default_factory=Validation, alias="validate")
    rollback: Literal["auto", "none"] = "auto"
    then: str | None = None
    """What follows a failure: another playbook, or `page-a-human`."""
    risk: Probability | None = None
    """Said by the author; by default estimated from the actions."""
    confidence: Probability | None = None
    """Threshold of this playbook; by default the policy's."""
    cooldown_s: Annotated[float, Field(ge=0)] = 30

    @property
    def reversible(self) -> bool:
        return all(step.actuator in REVERSIBLE_ACTUATORS for step in self.steps)
