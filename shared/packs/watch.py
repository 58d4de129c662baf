"""What to watch and what counts as trouble: probes, thresholds, log patterns, limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from shared.contracts.base import Category, Probability, Severity, Token
from shared.packs.base import Part, Path, Pattern, Seconds, parse_quantity
from shared.packs.component import SecretRef


class HttpProbe(Part):
    url: str
    expect_status: tuple[int, ...] = (200,)


class TcpProbe(Part):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)]


class ProcessProbe(Part):
    pid_file: Path


class PostgresProbe(Part):
    dsn: SecretRef
    statement: str = "select 1"


class LogProbe(Part):
    path: Path


class ScrapeProbe(Part):
    url: str
    metrics: tuple[str, ...] = ()
    """Names to keep; empty keeps all."""


class HostProbe(Part):
    disk_paths: tuple[Path, ...] = ("/",)


class DockerProbe(Part):
    container: str
    socket: Path = "/var/run/docker.sock"


class ConfigProbe(Part):
    """Watches a file and reports every change of its bytes as a change of the component."""

    path: Path


class Probe(Part):
    """One way of looking at one component; exactly one kind is set."""

    component: Token
    every_s: Seconds = 5
    timeout_ms: Annotated[float, Field(gt=0, le=60_000)] = 2_000
    slow_ms: Annotated[float, Field(gt=0)] = 5_000
    """An answer slower than this is `slow` (requirement B05)."""
    fail_after: Annotated[int, Field(ge=1, le=100)] = 2
    """Failures in a row before it counts; a process known to have exited counts at once."""
    clear_after: Annotated[int, Field(ge=1, le=100)] = 2
    http: HttpProbe | None = None
    tcp: TcpProbe | None = None
    process: ProcessProbe | None = None
    postgres: PostgresProbe | None = None
    logs: LogProbe | None = None
    scrape: ScrapeProbe | None = None
    host: HostProbe | None = None
    docker: DockerProbe | None = None
    config: ConfigProbe | None = None

    @property
    def kind(self) -> str:
        return next(name for name in PROBE_KINDS if getattr(self, name) is not None)

    @property
    def name(self) -> str:
        """Stable within a pack: `<component>/<kind>`, plus the target where a component has several of a kind."""
        target = ""
        if self.http or self.scrape:
            target = (self.http or self.scrape).url  # type: ignore[union-attr]
        elif self.tcp:
            target = f"{self.tcp.host}:{self.tcp.port}"
        elif self.logs or self.config:
            target = (self.logs or self.config).path  # type: ignore[union-attr]
        return f"{self.component}/{self.kind}" + (f"/{target}" if target else "")

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> Probe:
        given = [name for name in PROBE_KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a probe has exactly one of {', '.join(PROBE_KINDS)}; this one has {given or 'none'}")
        return self


PROBE_KINDS = ("http", "tcp", "process", "postgres", "logs", "scrape", "host", "docker", "config")


class Rule(Part):
    """A fixed threshold on a metric, or an expression over several. `component: "*"` means every component."""

    component: Token | Literal["*"] = "*"
    id: Token | None = None
    """An expression's name: the pattern of its incidents."""
    metric: str = ""
    labels: dict[str, Pattern] = {}
    """Label → regular expression that a series' label must match in full for the rule to hold for it."""
    above: float | None = None
    below: float | None = None
    clear_below: float | None = None
    """With `above`: once broken, the rule stays so until the metric is at or below this."""
    clear_above: float | None = None
    """With `below`: likewise, until it is at or above this."""
    expr: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None
    """Instead of a metric: a PromQL expression over the component's own series; each element of its result is a
    trouble. `homeostat pack import-rules` writes these."""
    for_s: Annotated[float, Field(ge=0)] = 0
    severity: Severity = Severity.WARNING
    rate: bool = False
    """Compare the metric's increase per second (for counters)."""
    summary: Annotated[str, Field(max_length=500)] = ""
    cause: Category = Category.UNKNOWN
    """Of a rule with an `id`: what is usually behind it, as evidence for the diagnosis."""

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        if self.expr is not None:
            given = [name for name in ("metric", "labels", "above", "below", "rate") if name in self.model_fields_set]
            if given or self.id is None:
                raise ValueError("a rule with `expr` has an `id`, and neither metric, labels, bounds nor rate")
            return self
        if not self.metric:
            raise ValueError("a rule has a `metric` or an `expr`: add one")
        if (self.above is None) == (self.below is None):
            raise ValueError("a rule has exactly one of `above` or `below`")
        self._check_clearing()
        return self

    def _check_clearing(self) -> None:
        if self.clear_below is not None and (self.above is None or self.clear_below > self.above):
            raise ValueError("`clear_below` goes with a higher `above`: change one of them")
        if self.clear_above is not None and (self.below is None or self.clear_above < self.below):
            raise ValueError("`clear_above` goes with a lower `below`: change one of them")


class Expect(Part):
    """Data that must keep coming. Without `metric`: anything at all of the component's metrics."""

    component: Token | Literal["*"] = "*"
    metric: str = ""
    labels: dict[str, Pattern] = {}
    within_s: Seconds = 300
    """Silence this long, after it once came, is trouble."""
    severity: Severity = Severity.WARNING


class Ratio(Part):
    """Share of failing requests, from two counters: `errors / total` over the last `window_s` seconds."""

    component: Token | Literal["*"] = "*"
    errors: str = "http_requests_total"
    errors_match: dict[str, str] = {"status": "5.."}
    """Label → regular expression that the error series' labels must match in full."""
    total: str = "http_requests_total"
    above: Probability = 0.2
    window_s: Seconds = 10
    min_events: Annotated[int, Field(ge=1)] = 10
    """Fewer requests than this in the window say nothing."""
    severity: Severity = Severity.CRITICAL


class LogPattern(Part):
    """A kind of error recognised in log lines by a regular expression."""

    id: Token
    match: Pattern
    severity: Severity = Severity.WARNING
    category: Category = Category.UNKNOWN
    burst: Annotated[int, Field(ge=1)] = 5
    """Lines within `window_s` before it is an incident; fewer are evidence."""
    window_s: Seconds = 30


class Limit(Part):
    """A level that a series must not reach, for the predictor."""

    component: Token
    metric: str
    limit: str | Annotated[float, Field(gt=0)]
    """A number, or bytes with a unit: `400Mi`."""
    horizon_s: Seconds = 3_600
    signature: str = "resource-exhaustion:limit"
    issue: str = "limit-reached"

    @field_validator("limit")
    @classmethod
    def _readable(cls, value: str | float) -> str | float:
        parse_quantity(value)
        return value

    @property
    def value(self) -> float:
        return parse_quantity(self.limit)


class Traffic(Part):
    """Which counter tells how busy a component is: quiet moments are found in its rate."""

    component: Token
    metric: str = "http_requests_total"
    window_s: Seconds = 300
    """How far back "usual" goes."""
    quiet_quantile: Probability = 0.3
