"""The components of a system: what each is, what it calls, and how it can be reached and started."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.contracts.base import Token
from shared.packs.base import Criticality, Part, Path, Seconds


class Slo(Part):
    """What a component owes its users. Availability is counted with the component's first of `ratios` (5xx of
    `http_requests_total` without one), latency with a histogram."""

    availability: Annotated[float, Field(gt=0, lt=1)] | None = None
    latency_p99_ms: Annotated[float, Field(gt=0)] | None = None
    latency_metric: str = "http_request_duration_seconds"
    """A histogram in seconds; or a gauge whose name ends with `_ms`, whose readings are counted."""
    min_events: Annotated[int, Field(ge=1)] = 20
    """Fewer requests than this in the short window of an alarm say nothing."""
    window_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """All windows times this (1: an hour to three days, a budget of thirty days), for tests and demonstrations."""


class SecretRef(Part):
    """Where a secret is, never the secret: an environment variable or a file of the service that needs it."""

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is named by exactly one of `env` or `file`")
        return self


def _holds_no_password(value: str | SecretRef) -> str | SecretRef:
    if isinstance(value, str):
        address = urlsplit(value)
        if address.scheme not in ("redis", "rediss", "unix") or not (address.hostname or address.path):
            raise ValueError("not the address of a Redis: write redis://host:6379/0, or {env: NAME}")
        if address.password:
            raise ValueError("a password stands in the pack: name it by {env: NAME} or {file: PATH}")
    return value


RedisAddress = Annotated[str | SecretRef, AfterValidator(_holds_no_password)]
"""`redis://host:6379/0`, or the name of the secret that holds an address with a password."""


class Process(Part):
    """How a component's process is started and recognised. Its pid file holds the pid in decimal."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    pid_file: Path
    cwd: Path | None = None
    env: dict[str, str] = {}
    log_file: Path | None = None
    stop_timeout_s: Seconds = 10


class NatsAccess(Part):
    """Where a component takes requests, as whom they are sent, and which may be sent at all."""

    url: Annotated[str, Field(pattern=r"^(nats|tls)://[^@/]+$")]
    """`nats://host:4222`; a password never stands in it."""
    subjects: Annotated[tuple[Annotated[str, Field(pattern=r"^[^\s.]+(\.[^\s.]+)*$")], ...], Field(min_length=1)]
    """All that playbooks may send requests to; `*` is one token, `>` at the end is any number."""
    user: str | None = None
    password: SecretRef | None = None
    token: SecretRef | None = None

    @model_validator(mode="after")
    def _one_identity(self) -> NatsAccess:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` belong together: write both or neither")
        if self.token is not None and self.user is not None:
            raise ValueError("a token takes the place of `user` and `password`: leave one of them out")
        return self


class FileRoute(Part):
    """The route is a setting in a configuration file; a reload in the playbook has it read."""

    path: Path
    key: str
    """Holds the name of the provider in use."""
    breaker_key: str | None = None
    """Holds the state of a provider's circuit breaker, `closed`, `open` or `half-open`; `{provider}` in it stands for
    the provider's name, as in `breakers.{provider}`."""

    @model_validator(mode="after")
    def _names_the_provider(self) -> FileRoute:
        if self.breaker_key is not None and "{provider}" not in self.breaker_key:
            raise ValueError("breaker_key needs `{provider}` in it: each provider has a breaker of its own")
        return self


class HttpRoute(Part):
    """The route is told by the application itself, at one address.

    `GET` answers `{"provider": "a", "breakers": {"a": "closed"}}`; `PUT` takes `{"provider": "b"}` or
    `{"breakers": {"a": "half-open"}}`, with an `Idempotency-Key`, and answers 2xx once it holds.
    """

    url: str
    token: SecretRef | None = None
    """Sent as `Authorization: Bearer`."""


class Route(Part):
    """How it is known, and set, which provider a component uses."""

    file: FileRoute | None = None
    http: HttpRoute | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Route:
        if (self.file is None) == (self.http is None):
            raise ValueError("a route is told by exactly one of `file` and `http`")
        return self


class Providers(Part):
    """The interchangeable providers of a component, all of them components too, the one to use first."""

    primary: Token
    backups: Annotated[tuple[Token, ...], Field(min_length=1, max_length=20)]
    """By rank: the first that isn't ill is taken."""
    route: Route
    return_after_s: Seconds = 300
    """The primary must have been well for this long before the way back is taken; after each return within a day,
    twice as long as before."""

    @property
    def ranked(self) -> tuple[str, ...]:
        return (self.primary, *self.backups)

    @model_validator(mode="after")
    def _each_once(self) -> Providers:
        if len(set(self.ranked)) < len(self.ranked):
            raise ValueError("a provider stands twice: name the primary once, and each backup once")
        return self


class Component(Part):
    kind: Annotated[str, Field(max_length=50)] = "service"
    calls: tuple[Token, ...] = ()
    criticality: Criticality = Criticality.MEDIUM
    group: Token | None = None
    slo: Slo | None = None
    process: Process | None = None
    container: str | None = None
    config_path: Path | None = None
    host: Token | None = None
    """Name of the agent on whose host it is; unset: that of the healer. Its paths are absolute there."""
    practice: bool = False
    """Nobody needs it: playbooks are practised here, by breaking it on purpose. Its own alarms trouble nobody."""
    nats: NatsAccess | None = None
    providers: Providers | None = None
    attributes: dict[str, str] = {}
    """Free names for `${component.<name>}` in playbooks."""
