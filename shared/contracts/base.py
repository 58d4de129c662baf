"""What every message on the bus has in common.

A contract is one frozen class per subject. Its body is plain JSON, so that any NATS client can publish it by
hand; unknown fields are ignored, so that a newer publisher doesn't break an older reader.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

# One token of a NATS subject: a component may not hold dots, spaces or wildcards.
Token = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Utc = Annotated[datetime, AwareDatetime]
Scalar = str | int | float | bool | None


class Wire(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Event(Wire):
    """A message with an identity and the time it happened. `id` makes redelivery harmless."""

    SUBJECT: ClassVar[str] = ""
    """`<owner>.<event>.v<n>`, without the key."""
    KEY: ClassVar[str] = "component"
    """The field whose value is the last token of the subject."""

    id: UUID = Field(default_factory=uuid4)
    at: AwareDatetime

    @property
    def subject(self) -> str:
        """The whole subject, `<SUBJECT>.<key>`; a command has no key."""
        return f"{self.SUBJECT}.{getattr(self, self.KEY)}" if self.KEY else self.SUBJECT


class ComponentEvent(Event):
    """An event about one component."""

    component: Token


class CaseKind(StrEnum):
    """What set a chain of events off. A recovery: what had been worked around is well again."""

    INCIDENT = "incident"
    PREDICTION = "prediction"
    RECOMMENDATION = "recommendation"
    REQUEST = "request"
    RECOVERY = "recovery"


class CaseEvent(ComponentEvent):
    """An event in the story of one case: an incident, a prediction, a recommendation or a person's request."""

    case_id: UUID
    case_kind: CaseKind = CaseKind.INCIDENT


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class Category(StrEnum):
    """Kinds of cause that a diagnosis may name and a playbook may be for."""

    CRASH = "crash"
    HANG = "hang"
    CONFIGURATION = "configuration"
    RESOURCE_EXHAUSTION = "resource-exhaustion"
    DEPENDENCY_FAILURE = "dependency-failure"
    RATE_LIMIT = "rate-limit"
    DATABASE_CONNECTION = "database-connection"
    TIMEOUT = "timeout"
    OVERLOAD = "overload"
    DEPLOYMENT = "deployment"
    TUNING = "tuning"
    CRASH_LOOP = "crash-loop"
    MEMORY_LEAK = "memory-leak"
    DISK = "disk"
    QUOTA = "quota"
    CERTIFICATE = "certificate"
    CLOCK = "clock"
    LOCK_CONTENTION = "lock-contention"
    POOL_STARVATION = "pool-starvation"
    HOT_KEY = "hot-key"
    NETWORK = "network"
    DNS = "dns"
    THIRD_PARTY = "third-party"
    JOB_STUCK = "job-stuck"
    DATA_QUALITY = "data-quality"
    PROVIDER_RECOVERED = "provider-recovered"
    """No fault: a provider that was left is well again, and may be gone back to."""
    UNKNOWN = "unknown"
