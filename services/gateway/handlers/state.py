"""Last values that the gateway follows for its answers: health of components, and what has been learned."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.contracts.detector import Health
from shared.contracts.gateway import Silence
from shared.contracts.learner import Knowledge


@dataclass
class Knowing:
    """Fed by the bus; empty until it is connected."""

    health: dict[str, Health] = field(default_factory=dict)
    knowledge: dict[str, Knowledge] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)

    async def health_seen(self, key: str, event: Health | None) -> None:
        if event is None:
            self.health.pop(key, None)
        else:
            self.health[key] = event

    async def knowledge_seen(self, key: str, event: Knowledge | None) -> None:
        if event is None:
            self.knowledge.pop(key, None)
        else:
            self.knowledge[key] = event

    async def silence_seen(self, key: str, event: Silence | None) -> None:
        if event is None:
            self.silences.pop(key, None)
        else:
            self.silences[key] = event
