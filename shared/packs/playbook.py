"""What may be done about a trouble: playbooks of steps, each with backup, validation and rollback."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shared.contracts.base import Category, Probability, Token
from shared.packs.actions.calls import HttpCall, NatsRequest, SqlStatement, WebhookPost
from shared.packs.actions.databases import (
    ConnectionLimit,
    JobsCleanUp,
    JobsMarkIncomplete,
    JobsRequeue,
    TerminateIdle,
)
from shared.packs.actions.files import ConfigStep, FileRestore, FileSet
from shared.packs.actions.kubernetes import CordonNode, RestartWorkload, RollBackDeployment, ScaleWorkload
from shared.packs.actions.programs import DockerAction, ProcessAction, SystemdUnit
from shared.packs.actions.repositories import GitRevert
from shared.packs.actions.routing import RoutingBreaker, RoutingFailback, RoutingFailover
from shared.packs.actions.stores import RedisConfigSet, RedisInvalidate
from shared.packs.actions.telling import NotifySend
from shared.packs.base import Expression, Part, Path, Seconds
from shared.packs.parameters import Parameter, ParameterName, Places, Value, put, refused_places, with_values
from shared.packs.practice import Practice

ALL_PERMISSIONS = "*"


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


class Condition(Part):
    """Something that must hold, in CEL, with a name for people. The README of the healer lists the variables."""

    name: Token
    that: Expression


class Retry(Part):
    """How often a step is tried, and how long to wait in between: `backoff_s`, then twice as long each time."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    backoff_s: Annotated[float, Field(ge=0, le=300)] = 1

    def pause_s(self, failed: int) -> float:
        """How long to wait after so many failed attempts.

        >>> [Retry(backoff_s=2).pause_s(failed) for failed in (1, 2, 3)]
        [2.0, 4.0, 8.0]
        """
        return min(self.backoff_s * 2.0 ** (failed - 1), PAUSE_MAX_S)


PAUSE_MAX_S = 600.0
ONCE = Retry(attempts=1, backoff_s=0)


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
    docker_stop: DockerAction | None = Field(None, alias="docker.stop")
    systemd_restart: SystemdUnit | None = Field(None, alias="systemd.restart")
    systemd_start: SystemdUnit | None = Field(None, alias="systemd.start")
    systemd_stop: SystemdUnit | None = Field(None, alias="systemd.stop")
    systemd_reload: SystemdUnit | None = Field(None, alias="systemd.reload")
    kubernetes_restart: RestartWorkload | None = Field(None, alias="kubernetes.restart")
    kubernetes_scale: ScaleWorkload | None = Field(None, alias="kubernetes.scale")
    kubernetes_rollback: RollBackDeployment | None = Field(None, alias="kubernetes.rollback")
    kubernetes_cordon: CordonNode | None = Field(None, alias="kubernetes.cordon")
    kubernetes_uncordon: CordonNode | None = Field(None, alias="kubernetes.uncordon")
    git_revert: GitRevert | None = Field(None, alias="git.revert")
    nats_request: NatsRequest | None = Field(None, alias="nats.request")
    routing_failover: RoutingFailover | None = Field(None, alias="routing.failover")
    routing_failback: RoutingFailback | None = Field(None, alias="routing.failback")
    routing_open: RoutingBreaker | None = Field(None, alias="routing.open")
    routing_half_open: RoutingBreaker | None = Field(None, alias="routing.half_open")
    routing_reset: RoutingBreaker | None = Field(None, alias="routing.reset")
    redis_invalidate: RedisInvalidate | None = Field(None, alias="redis.invalidate")
    redis_config_set: RedisConfigSet | None = Field(None, alias="redis.config_set")
    postgres_terminate_idle: TerminateIdle | None = Field(None, alias="postgres.terminate_idle")
    postgres_connection_limit: ConnectionLimit | None = Field(None, alias="postgres.connection_limit")
    jobs_requeue: JobsRequeue | None = Field(None, alias="jobs.requeue")
    jobs_mark_incomplete: JobsMarkIncomplete | None = Field(None, alias="jobs.mark_incomplete")
    jobs_clean_up: JobsCleanUp | None = Field(None, alias="jobs.clean_up")
    webhook_post: WebhookPost | None = Field(None, alias="webhook.post")
    notify_send: NotifySend | None = Field(None, alias="notify.send")
    timeout_s: Seconds = 30
    """For one attempt."""
    retry: Retry = ONCE
    rollback: Literal["auto", "none"] | Step = "auto"
    """How this step is undone: as its actuator does it, not at all, or by another action."""
    _parameters: Places = PrivateAttr(default_factory=dict)
    """Where parameters stand for what is no text; the fields hold samples there."""

    @property
    def reversible(self) -> bool:
        """Whether a rollback undoes it exactly."""
        keeps_rows = self.sql_execute is not None and self.sql_execute.backup is not None
        return keeps_rows or self.actuator in REVERSIBLE_ACTUATORS

    @property
    def actuator(self) -> str:
        """Dotted name of the action."""
        return next(name for name in ACTUATORS if self._of(name) is not None)

    @property
    def action(self) -> Part:
        """What is done, with its parameters."""
        return next(action for name in ACTUATORS if (action := self._of(name)) is not None)

    def _of(self, actuator: str) -> Part | None:
        action: Part | None = getattr(self, actuator.replace(".", "_"))
        return action

    @model_validator(mode="after")
    def _exactly_one_action(self) -> Step:
        given = [name for name in ACTUATORS if self._of(name) is not None]
        if len(given) != 1:
            raise ValueError(f"a step has exactly one of {', '.join(ACTUATORS)}; this one has {given or 'none'}")
        if isinstance(self.rollback, Step):
            if self.rollback.rollback != "auto" or self.rollback.retry != ONCE:
                raise ValueError("a step's rollback has no `rollback` or `retry` of its own: leave it out")
            if self.rollback.actuator.startswith(("file.", "config.")):
                raise ValueError("files are put back from their backup: leave the step's `rollback` out")
        return self

    @classmethod
    def with_parameters(cls, data: Mapping[str, object], samples: Mapping[str, Value]) -> Step:
        """The step, where `${param.<name>}` may stand for numbers too. Raises ValidationError as if it were filled."""
        undoing = data.get("rollback")
        if isinstance(undoing, Mapping):
            data = {**data, "rollback": cls.with_parameters(undoing, samples)}
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            places = refused_places(data, error, samples)
            if not places:
                raise
        step = cls.model_validate(put(data, {place: samples[name] for place, name in places.items()}))
        step._parameters.update(places)
        return step

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """With the placeholders where they stood."""
        plain: dict[str, object] = handler(self)
        if not self._parameters:
            return plain
        written = put(plain, {place: f"${{param.{name}}}" for place, name in self._parameters.items()})
        assert isinstance(written, dict)
        return written

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As it is without the serializer, which changes no shape."""
        plain = {key: value for key, value in schema.items() if key != "serialization"}
        return handler(plain)


ACTUATORS = tuple(field.alias for field in Step.model_fields.values() if field.alias and "." in field.alias)
REVERSIBLE_ACTUATORS = frozenset(
    {
        "config.step",
        "file.restore_last_good",
        "file.set",
        "git.revert",
        "jobs.clean_up",
        "jobs.mark_incomplete",
        "kubernetes.cordon",
        "kubernetes.uncordon",
        "notify.send",
        "postgres.connection_limit",
        "process.reload",
        "redis.config_set",
        "redis.invalidate",
        "systemd.reload",
        *(name for name in ACTUATORS if name.startswith("routing.")),
    }
)
"""Actions whose effect a rollback undoes exactly, given a backup (a reload only re-reads files; a route that an
application tells by HTTP is set back and read back; what people were told changes no system)."""


class Playbook(Part):
    applies_to: Annotated[tuple[Category, ...], Field(min_length=1, alias="for")]
    components: tuple[Token, ...] = ()
    """Components it is for; empty means any."""
    automation_level: AutomationLevel = AutomationLevel.SEMI_AUTO
    required_permissions: tuple[Token, ...] = ()
    """What whoever has it run must be permitted: a person by their token, Homeostat by `policy.permissions`."""
    parameters: Annotated[dict[ParameterName, Parameter], Field(max_length=50)] = {}
    """For `${param.<name>}` in steps and backups, and `params.<name>` in conditions."""
    when: Expression | None = None
    """Whether it comes into question, as the decider sees it."""
    preconditions: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    """What must hold the moment before it acts, and before each further attempt, as the healer sees it."""
    backup: tuple[FileBackup, ...] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]
    validation: Validation = Field(default_factory=Validation, alias="validate")
    success_criteria: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    """What must hold at the end of the validation window, beside what `validate` asks."""
    rollback: Literal["auto", "none"] = "auto"
    then: str | None = None
    """What follows a failure: another playbook, or `page-a-human`."""
    risk: Probability | None = None
    """Said by the author; by default estimated from the actions."""
    cost: Probability | None = None
    """What a run costs, from nothing to 1, said by the author; by default estimated from the work it interrupts."""
    confidence: Probability | None = None
    """Threshold of this playbook; by default the policy's."""
    cooldown_s: Annotated[float, Field(ge=0)] = 30
    practice: Practice | None = None
    """How its way there and back is proven, by `homeostat practice`."""
    actions_per_hour: Annotated[int, Field(ge=0)] | None = None
    """Runs of this playbook an hour in its whole pack; by default only the pack's and the component's budgets hold."""

    @property
    def reversible(self) -> bool:
        return all(step.reversible for step in self.steps)

    def given(self, values: Mapping[str, Value]) -> Playbook:
        """Itself with these values of its parameters, each of which has one then. Raises ParameterError."""
        return self.model_copy(update={"parameters": with_values(self.parameters, values)})

    def lacks(self, permissions: Collection[str]) -> tuple[str, ...]:
        """The permissions that it needs beside these; `*` is all."""
        return (
            ()
            if ALL_PERMISSIONS in permissions
            else tuple(one for one in self.required_permissions if one not in permissions)
        )

    @model_validator(mode="before")
    @classmethod
    def _with_parameters(cls, data: object) -> object:
        """Lets parameters stand where no text may. What is ill-formed is left as it is, to be told of."""
        steps = data.get("steps") if isinstance(data, Mapping) and data.get("parameters") else None
        if not isinstance(data, Mapping) or not isinstance(steps, list | tuple):
            return data
        return {**data, "steps": [_bound(step, _samples(data["parameters"])) for step in steps]}


def _samples(parameters: object) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, one in parameters.items() if isinstance(parameters, Mapping) else ():
        try:
            found[str(name)] = Parameter.model_validate(one).sample
        except ValidationError:
            continue  # told of where it stands
    return found


def _bound(step: object, samples: Mapping[str, Value]) -> object:
    if not isinstance(step, Mapping):
        return step
    try:
        return Step.with_parameters(step, samples)
    except ValidationError:
        return step
