"""What a process of the gateway remembers between requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.domain.otlp.calls import CallMemory
from services.gateway.domain.otlp.distributions import LastDistributions


@dataclass
class OtlpMemory:
    """Lost with the process, and then learnt again."""

    distributions: LastDistributions = field(default_factory=LastDistributions)
    calls: CallMemory = field(default_factory=CallMemory)
