"""The shape of a pack: all that a team writes to put its system under Homeostat's care.

Every class refuses unknown keys: a misspelt key must be an error with its line, never a silent default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.base import Category, Probability, Scalar, Token
from shared.packs.actions.files import FileSet
from shared.packs.base import (
    Criticality,
    Expression,
    Mode,
    Part,
    Path,
    Pattern,
    Seconds,
    parse_quantity,
)
from shared.packs.component import (
    Component,
    Process,
    SecretRef,
    Slo,
)
from shared.packs.notify import Notify
from shared.packs.playbook import (
    ACTUATORS,
    REVERSIBLE_ACTUATORS,
    AutomationLevel,
    FileBackup,
    Playbook,
    Step,
    Validation,
)
from shared.packs.policy import FreezeWindow, HoldOff, Policy, Weights
from shared.packs.schedule import Maintenance
from shared.packs.watch import (
    PROBE_KINDS,
    AnomalyRate,
    Bounds,
    ConfigProbe,
    DockerProbe,
    Expect,
    ExpectBody,
    HostProbe,
    HttpProbe,
    JournalProbe,
    Limit,
    LogPattern,
    LogProbe,
    PostgresProbe,
    Probe,
    ProcessProbe,
    PromqlProbe,
    Ratio,
    RedisProbe,
    Rule,
    ScrapeProbe,
    SqlProbe,
    TcpProbe,
    Traffic,
)

__all__ = [
    "ACTUATORS",
    "PROBE_KINDS",
    "REVERSIBLE_ACTUATORS",
    "AnomalyRate",
    "AutomationLevel",
    "Bounds",
    "Component",
    "ConfigProbe",
    "Criticality",
    "DockerProbe",
    "Expect",
    "ExpectBody",
    "Expression",
    "FileBackup",
    "FreezeWindow",
    "HoldOff",
    "HostProbe",
    "HttpProbe",
    "JournalProbe",
    "Knob",
    "KnobAction",
    "Limit",
    "LogPattern",
    "LogProbe",
    "Maintenance",
    "Mode",
    "Objective",
    "Pack",
    "Part",
    "Path",
    "Pattern",
    "Playbook",
    "Policy",
    "PostgresProbe",
    "Probe",
    "Process",
    "ProcessProbe",
    "PromqlProbe",
    "Ratio",
    "RedisProbe",
    "Rule",
    "ScrapeProbe",
    "Seconds",
    "SecretRef",
    "Signature",
    "Slo",
    "SqlProbe",
    "Step",
    "TcpProbe",
    "Traffic",
    "Validation",
    "Weights",
    "parse_quantity",
]


class Signature(Part):
    """A known problem: when the CEL expression holds, the cause is of this category."""

    id: Token
    when: Expression
    cause: Category
    confidence: Probability = 0.9
    component: Token | Literal["*"] = "*"


class Objective(Part):
    minimise: str
    guard: Expression | None = None


class KnobAction(Part):
    file_set: FileSet = Field(alias="file.set")


class Knob(Part):
    """A setting the optimizer may propose to change."""

    component: Token
    name: str
    unit: str = ""
    apply: KnobAction
    minimum: float = Field(alias="min")
    maximum: float = Field(alias="max")
    step_ratio: Annotated[float, Field(gt=1, le=10)] = 1.5
    objective: Objective


class Pack(Part):
    pack: Token
    description: str = ""
    mode: Mode = Mode.OBSERVE
    variables: dict[str, Scalar] = {}
    """Values for `${var.<name>}`, with their defaults; null: the value must be given when the pack is loaded."""
    components: Annotated[dict[Token, Component], Field(min_length=1)]
    probes: tuple[Probe, ...] = ()
    rules: tuple[Rule, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    anomalies: tuple[AnomalyRate, ...] = ()
    expects: tuple[Expect, ...] = ()
    log_patterns: tuple[LogPattern, ...] = ()
    limits: tuple[Limit, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    signatures: tuple[Signature, ...] = ()
    library: bool = True
    """Whether the product's library of known problems holds for these components."""
    library_without: tuple[Token, ...] = ()
    """Ids of its rules and log patterns that don't."""
    playbooks: dict[Token, Playbook] = {}
    knobs: tuple[Knob, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    notify: Notify = Field(default_factory=Notify)
    policy: Policy = Field(default_factory=Policy)
    http_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    """Hosts that probes, playbooks and notices may call."""
    good_after_s: Annotated[float, Field(gt=0)] = 600
    """A configuration file that has been in force this long without an incident is a last good version; one with which
    an incident came, after twelve times as long."""
