"""Logs, traces and every metric name of Homeostat in one place, each with what it means and what to do about it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from uuid import UUID

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span
from prometheus_client import Counter, Gauge, Histogram
from structlog.typing import EventDict, WrappedLogger

from shared.settings import ServiceSettings

_FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# ---- the bus
EVENTS_HANDLED = Counter(
    "homeostat_events_handled_total",
    "Events handled to the end. Flat while consumer lag grows: the service is stuck, see its log.",
    ["service", "contract"],
)
EVENTS_DUPLICATE = Counter(
    "homeostat_events_duplicate_total",
    "Redelivered events that had been handled before. Harmless; many of them mean slow acknowledgements.",
    ["service", "contract"],
)
EVENTS_FAILED = Counter(
    "homeostat_events_failed_total",
    "Tries of a handler that failed and will be repeated. See the log for the error.",
    ["service", "contract"],
)
EVENTS_DEAD = Counter(
    "homeostat_events_dead_total",
    "Events set aside in the dead letter stream. List them with `homeostat dlq list`, mend the cause, replay.",
    ["service", "reason"],
)
HANDLE_SECONDS = Histogram(
    "homeostat_handle_seconds",
    "Time of one handler with its transaction. Slow: look at PostgreSQL first.",
    ["service", "contract"],
    buckets=_FAST,
)
OUTBOX_PUBLISHED = Counter(
    "homeostat_outbox_published_total", "Events published after their transaction committed.", ["service"]
)
OUTBOX_FAILED = Counter(
    "homeostat_outbox_failed_total",
    "Publishes that failed and are repeated by the sweep. Steady growth: NATS is unreachable.",
    ["service"],
)
CONSUMER_LAG = Gauge(
    "homeostat_consumer_lag",
    "Events waiting for this service. Growing: add replicas or find what is slow.",
    ["service", "consumer"],
)

# ---- what components promise
ERROR_BUDGET = Gauge(
    "homeostat_error_budget_left_ratio",
    "Share of a component's error budget of thirty days that is left; below 0: overdrawn. Falls fast: see incidents.",
    ["component", "objective"],
)

# ---- telemetry partitions
PARTITIONS_OWNED = Gauge(
    "homeostat_partitions_owned",
    "Partitions of the telemetry this replica works on. Their sum over replicas should be 32.",
    ["service"],
)
TELEMETRY_MESSAGES = Counter(
    "homeostat_telemetry_messages_total", "Metric, log and check messages folded into state.", ["service"]
)
CHECKPOINT_SECONDS = Histogram(
    "homeostat_checkpoint_seconds", "Time to write state and effects of a partition.", ["service"], buckets=_FAST
)

# ---- background work
LOOP_FAILURES = Counter(
    "homeostat_loop_failures_total",
    "Failures of a periodic job or a background loop, which went on afterwards. See the log.",
    ["service", "loop"],
)

# ---- the healer
RUNS = Counter(
    "homeostat_runs_total",
    "Playbook runs that ended. Many `failed` or `rolled-back` of one playbook: look at its outcomes, mend it.",
    ["playbook", "status", "reason"],
)
PRACTICES = Counter(
    "homeostat_practices_total",
    "Playbooks practised. `failed`: it did not mend its own fault, or its way back led elsewhere; people are asked "
    "before it runs: see `homeostat practice list`. `aborted` says nothing of it: its target could not be made ready.",
    ["pack", "playbook", "verdict"],
)
RUN_START_SECONDS = Histogram(
    "homeostat_run_start_seconds",
    "From the commit of a decision's run to its first step. Above 0.1 s: PostgreSQL is slow, or the healer is away.",
    buckets=_FAST,
)

ON_BACKUP = Gauge(
    "homeostat_on_backup_provider",
    "1 while a component uses another provider than its primary. For days: look why the primary isn't gone back to.",
    ["component"],
)

# ---- the diagnoser: how far its confidence can be trusted
DIAGNOSES_JUDGED = Counter(
    "homeostat_diagnoses_judged_total",
    "Diagnosed causes that a repair confirmed (right=true) or refuted. Many refuted of one category: mend its rules.",
    ["category", "right"],
)
DIAGNOSIS_BRIER = Gauge(
    "homeostat_diagnosis_brier",
    "Mean squared difference of told confidence and outcome: 0 is perfect. Above 0.25: worse than a coin, see "
    "`homeostat diagnosis calibration`.",
)
DIAGNOSIS_CALIBRATION_ERROR = Gauge(
    "homeostat_diagnosis_calibration_error",
    "Expected calibration error of told confidences. Above 0.1 with many cases: raise the policy's confidence.",
)
DIAGNOSIS_RELIABILITY = Gauge(
    "homeostat_diagnosis_reliability",
    "Share of right causes among those told with a confidence in the bin. Far below the bin: overconfident.",
    ["bin"],
)

# ---- the loop as a whole: the gateway counts each event once, when it writes it to the timeline
INCIDENTS = Counter(
    "homeostat_incidents_total",
    "What happened to incidents: opened, escalated, reopened, resolved. Many reopened: something flaps.",
    ["transition", "severity"],
)
DECISIONS = Counter(
    "homeostat_decisions_total",
    "Decisions by what is to be done and the rule that decided. Many `ask`: raise confidence, or answer sooner.",
    ["verdict", "reason"],
)
DECISION_BRIER = Gauge(
    "homeostat_decision_brier",
    "Mean squared difference of the chance to help and what came of it, 90 days. Above 0.25: worse than a coin.",
)
DECISION_CALIBRATION_ERROR = Gauge(
    "homeostat_decision_calibration_error",
    "Mean distance of chances foretold from shares that helped. Above 0.1: see `homeostat calibration`, retrain.",
)
DECISION_SHARES = Gauge(
    "homeostat_decision_share",
    "Decisions of 30 days: right when they acted, automated, with a person. Right below 0.9: see `homeostat accuracy`.",
    ["what"],
)
DECISION_RELIABILITY = Gauge(
    "homeostat_decision_reliability",
    "Share of runs that helped, by tenth of the foretold chance. Below its tenth: Homeostat is too sure of itself.",
    ["chance"],
)
LEARNING_DRIFTS = Counter(
    "homeostat_learning_drifts_total",
    "Changes of the truth that were noticed: a playbook helps otherwise than it used to. Read `homeostat knowledge "
    "insights`; if it helps less, mend the playbook.",
    ["playbook"],
)
LEARNING_MODELS = Counter(
    "homeostat_learning_models_total",
    "Models put in force because they were better on held-back outcomes, or taken out because they were worse. Often "
    "both: the truth changes faster than models can be fitted.",
    ["model", "verdict"],
)
LEARNING_MODEL_LOSS = Gauge(
    "homeostat_learning_model_loss",
    "Mean loss of the model in force on held-back outcomes. Rising: what worked works less; read the insights.",
    ["model"],
)
GOVERNOR_REFUSALS = Counter(
    "homeostat_governor_refusals_total",
    "Decisions not to act now, by the governor's limit. Many of one: see `homeostat governor`, then the pack's policy.",
    ["reason"],
)
LEASES_HELD = Gauge(
    "homeostat_leases_held", "Components that a run has the right to act on now. One that never falls: see the healer."
)
BUDGET_LEFT = Gauge(
    "homeostat_governor_budget_left",
    "Actions that are left to a pack in this hour. At 0 it waits: what it does over and over does not help.",
    ["pack"],
)
FENCED = Counter(
    "homeostat_fenced_total",
    "Steps that a run did not begin because its lease was over. Any: a healer was paused or cut off; see its log.",
)
PREDICTIONS = Counter(
    "homeostat_predictions_total",
    "Failures foretold, by metric; a prediction's later revisions don't count. None in months: check the limits.",
    ["metric"],
)

# ---- the gateway's door
HTTP_SECONDS = Histogram(
    "homeostat_http_seconds",
    "Time of a request by path template, method and status. Slow: PostgreSQL first; many 4xx: read the audit.",
    ["method", "path", "status"],
    buckets=_FAST,
)
STREAM_LISTENERS = Gauge(
    "homeostat_stream_listeners", "Readers of the live stream at this replica. At 100 it takes no more: add replicas."
)
STREAM_CUT = Counter(
    "homeostat_stream_cut_total",
    "Readers let go because they fell too far behind; they resume by themselves. Many: a slow network or client.",
)

# ---- notices to people
NOTICES = Counter(
    "homeostat_notices_total",
    "Notices by kind of channel and what became of them: sent, put-off, failed. Failed: `homeostat notify list`.",
    ["channel", "result"],
)
NOTICES_WAITING = Gauge(
    "homeostat_notices_waiting", "Notices not sent yet. Growing: a channel is away, or a storm meets its rate limit."
)
NOTICE_SECONDS = Histogram(
    "homeostat_notice_seconds",
    "From what happened to its being told. Above `group_s` of the channel for long: it is refused, or rate-limited.",
    ["channel"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)

# ---- reports of other systems
REPORTED = Counter(
    "homeostat_reported_total",
    "Readings, lines, incidents and other events taken from other systems, by protocol. Flat: look at the sender.",
    ["protocol", "kind"],
)
REPORTED_LEFT_OUT = Counter(
    "homeostat_reported_left_out_total",
    "Parts of reports that were not taken, by reason. `repeated` and `stale` are usual; else see the sender's log.",
    ["protocol", "reason"],
)
REPORTS_PUT_OFF = Counter(
    "homeostat_reports_put_off_total",
    "Reports whose sender was told to try again. `not-stored`: look at NATS; `busy`: add replicas of the gateway.",
    ["reason"],
)

tracer = trace.get_tracer("homeostat")

_trace_id: ContextVar[int | None] = ContextVar("trace_id", default=None)


class _CaseIds(RandomIdGenerator):
    """A case's id is its trace's id: what belongs to one case is one trace, over timers, restarts and workflows."""

    def generate_trace_id(self) -> int:
        return _trace_id.get() or super().generate_trace_id()


@contextmanager
def case_span(name: str, case_id: UUID) -> Iterator[Span]:
    """A span in the trace of a case, linked to what this process was doing; a no-op when already in that trace."""
    current = trace.get_current_span()
    outside = current.get_span_context()
    if outside.trace_id == case_id.int:
        yield current
        return
    token = _trace_id.set(case_id.int)
    links = [trace.Link(outside)] if outside.is_valid else []
    try:
        with tracer.start_as_current_span(name, context=Context(), links=links) as span:
            yield span
    finally:
        _trace_id.reset(token)


class _SpanFile(SpanExporter):
    """Appends spans to a file as JSON lines; one `write` a batch keeps lines of several processes whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(json.dumps(json.loads(span.to_json(indent=None))) + "\n" for span in spans)
        with self._path.open("a") as file:
            file.write(lines)
        return SpanExportResult.SUCCESS


def start_tracing(service: str, settings: ServiceSettings) -> TracerProvider:
    """Spans of this process go to the collector and file that the settings name; nowhere otherwise."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"homeostat-{service}"}), id_generator=_CaseIds()
    )
    if settings.otlp_endpoint:
        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    if settings.span_file:
        provider.add_span_processor(BatchSpanProcessor(_SpanFile(settings.span_file), schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    return provider


def _add_trace(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def start_logging(service: str, level: str) -> None:
    """JSON lines on standard output, for structlog and for libraries that use `logging`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "faststream", "alembic", "dbos", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
