"""What to watch and what counts as trouble: probes, thresholds, log patterns, limits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from shared.contracts.base import Category, Probability, Scalar, Severity, Token
from shared.packs.base import Part, Path, Pattern, Seconds, parse_quantity
from shared.packs.component import RedisAddress, SecretRef


def _fits(pattern: str, remedy: str) -> Callable[[str], str]:
    """Checks a kind of name with a remedy of its own."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} can't stand here: {remedy}")
        return value

    return check


MetricName = Annotated[
    str, AfterValidator(_fits("[a-zA-Z_:][a-zA-Z0-9_:]{0,99}", "use letters, digits and _, as in `jobs_stuck`"))
]
HeaderName = Annotated[
    str, AfterValidator(_fits("[A-Za-z0-9-]{1,100}", "write a header's name, as in `Authorization`"))
]
UnitName = Annotated[
    str, AfterValidator(_fits(r"[A-Za-z0-9@._:\\][A-Za-z0-9@._:\\-]{0,255}", "write it as in `systemctl list-units`"))
]
Identifier = Annotated[
    str, AfterValidator(_fits("[^\\s-][^\\x00-\\x1f]{0,255}", "write it as in the journal's SYSLOG_IDENTIFIER"))
]
MAX_PROBE_NAME = 180
"""A check names its probe within 200 characters, and what a probe says besides adds a word."""


class Bounds(Part):
    """What a value must keep to, where a probe judges it; nothing set: it is only published."""

    above: float | None = None
    """A value above this is an error."""
    below: float | None = None
    """A value below this is an error."""

    @property
    def judges(self) -> bool:
        return self.above is not None or self.below is not None

    def broken_by(self, value: float) -> str:
        """What is wrong with `value`; empty when nothing is."""
        if self.above is not None and value > self.above:
            return f"{value:g}, above {self.above:g}"
        if self.below is not None and value < self.below:
            return f"{value:g}, below {self.below:g}"
        return ""

    @model_validator(mode="after")
    def _leaves_room(self) -> Bounds:
        if self.above is not None and self.below is not None and self.below > self.above:
            raise ValueError("no value is neither above `above` nor below `below`: make `below` the smaller of the two")
        return self


class ExpectBody(Part):
    """What the answer must hold; everything that is set must hold."""

    contains: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    matches: Pattern | None = None
    """A regular expression, found anywhere in the first 64 KiB."""
    values: dict[Annotated[str, Field(min_length=1, max_length=200)], Scalar] = {}
    """Place in a JSON answer → the value there: `{status: ok, checks.0.up: true}`."""

    @field_validator("matches")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression ({error.msg}): mend it, or write `contains`") from None
        return value

    @model_validator(mode="after")
    def _asks_something(self) -> ExpectBody:
        if self.contains is None and self.matches is None and not self.values:
            raise ValueError("nothing is expected: give `contains`, `matches` or `values`")
        return self


class HttpProbe(Part):
    url: str
    expect_status: tuple[int, ...] = (200,)
    expect_body: ExpectBody | None = None
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = "GET"
    headers: dict[HeaderName, str | SecretRef] = {}
    """Values are texts, or `{env: …}` and `{file: …}` for secrets, which are never sent to another host."""
    follow_redirects: Annotated[int, Field(ge=0, le=10)] = 0
    """So many redirects are followed, to declared hosts only; 0: a redirect is an answer like any other."""
    ca_file: Path | None = None
    """Certificates to trust instead of the well-known ones."""
    certificate_warn_days: Annotated[float, Field(ge=0, le=3_650)] = 14
    """An https certificate that is valid for less than this is a warning."""

    @model_validator(mode="after")
    def _has_a_body(self) -> HttpProbe:
        if self.expect_body is not None and self.method == "HEAD":
            raise ValueError("an answer to HEAD has no body: use GET, or leave out `expect_body`")
        return self


class TcpProbe(Part):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)]


class ProcessProbe(Part):
    pid_file: Path


class PostgresProbe(Part):
    dsn: SecretRef
    statement: str = "select 1"


class RedisProbe(Part):
    url: RedisAddress

    @property
    def target(self) -> str:
        """What tells it from others, without anything secret."""
        return self.url if isinstance(self.url, str) else self.url.env or self.url.file or ""


class SqlProbe(Bounds):
    """Counts what is wrong in a database, by one statement in a read-only transaction."""

    dsn: SecretRef
    statement: Annotated[str, Field(min_length=1, max_length=10_000)]
    """One row with one number; or numbers with named columns, and texts that label them, a row each."""
    metric: MetricName
    """Name of the number; with several numbers in a row, `<metric>_<column>`."""
    column: MetricName | None = None
    """Which of several numbers `above`, `below` and `expect` are about."""
    expect: Scalar = None
    """The value that must be there (a number, text or truth)."""
    max_rows: Annotated[int, Field(ge=1, le=1_000)] = 100

    @model_validator(mode="after")
    def _one_question(self) -> SqlProbe:
        if self.expect is not None and self.judges:
            raise ValueError("`expect` stands beside `above` or `below`: keep one of them")
        if self.column is not None and self.expect is None and not self.judges:
            raise ValueError("`column` judges nothing: add `above`, `below` or `expect`")
        return self


class PromqlProbe(Bounds):
    """Asks a Prometheus (or whoever speaks its API) one question now and then."""

    url: str
    """Of the server, without `/api/v1/query`."""
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    metric: MetricName
    headers: dict[HeaderName, str | SecretRef] = {}
    max_series: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class LogProbe(Part):
    path: Path


class JournalProbe(Part):
    """Follows the systemd journal of this machine."""

    unit: UnitName | None = None
    identifier: Identifier | None = None
    """The name under which a program logs (`journalctl -t`)."""
    directory: Path | None = None
    """Where journal files lie, if not where this machine keeps its own."""

    @model_validator(mode="after")
    def _of_something(self) -> JournalProbe:
        if self.unit is None and self.identifier is None:
            raise ValueError("the whole journal belongs to no component: give `unit` or `identifier`")
        return self

    @property
    def target(self) -> str:
        return self.unit or self.identifier or ""


class ScrapeProbe(Part):
    url: str
    metrics: tuple[str, ...] = ()
    """Names to keep; empty keeps all."""


class HostProbe(Part):
    disk_paths: tuple[Path, ...] = ("/",)


class DockerProbe(Part):
    container: str
    socket: Path = "/var/run/docker.sock"
    logs: bool = False
    """Also follow what the container writes to stdout and stderr."""


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
    redis: RedisProbe | None = None
    sql: SqlProbe | None = None
    promql: PromqlProbe | None = None
    journal: JournalProbe | None = None
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
        elif self.redis or self.journal:
            target = (self.redis or self.journal).target  # type: ignore[union-attr]
        elif self.sql or self.promql:
            target = (self.sql or self.promql).metric  # type: ignore[union-attr]
        return _bounded(f"{self.component}/{self.kind}" + (f"/{target}" if target else ""))

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> Probe:
        given = [name for name in PROBE_KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a probe has exactly one of {', '.join(PROBE_KINDS)}; this one has {given or 'none'}")
        return self


PROBE_KINDS = (
    "http",
    "tcp",
    "process",
    "postgres",
    "redis",
    "sql",
    "promql",
    "journal",
    "logs",
    "scrape",
    "host",
    "docker",
    "config",
)


def _bounded(name: str) -> str:
    """A long name keeps its beginning, and a digest that tells it from others that begin so."""
    if len(name) <= MAX_PROBE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: MAX_PROBE_NAME - len(digest) - 1]}~{digest}"


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
            # Values, not names: a pack that is written out whole names its defaults too, and must read back.
            bounds = self.above is not None or self.below is not None
            if self.metric or self.labels or bounds or self.rate or self.id is None:
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


class AnomalyRate(Part):
    """How often chance alone may raise an anomaly on each series: without it, the default limit holds."""

    component: Token | Literal["*"] = "*"
    metric: str = "*"
    alarms_per_week: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    """False alarms per series. A series whose chance behaviour stays far from unusual raises fewer."""


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
