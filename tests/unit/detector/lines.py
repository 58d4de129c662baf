"""Messages as the detector's tests write them: short, with plain seconds for time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.detector.domain.fold import PartitionState
from services.detector.domain.signals import (
    AnomalyFound,
    CheckSeen,
    Effect,
    ExternalSeen,
    HealthChanged,
    IncidentRevised,
    Result,
    Severity,
)
from services.detector.domain.watch import Watch, compile_packs
from shared.packs.model import Pack

T0 = 1_700_000_000.0


@dataclass
class Reading:
    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None


@dataclass
class Line:
    message: str
    level: str = "error"
    at: datetime | None = None


def watch(**sections: object) -> Watch:
    """A watch over components `web` and `db`, from the sections of a pack."""
    return compile_packs([Pack.model_validate({"pack": "test", "components": {"web": {}, "db": {}}} | sections)])


class Timeline:
    """Drives one partition second by second and keeps what came of it."""

    def __init__(self, watch_: Watch | None = None, fold: PartitionState | None = None) -> None:
        self.fold = fold or PartitionState(watch_ or watch())
        self.told: list[Effect] = []

    def check(self, second: float, result: str, *, component: str = "web", kind: str = "http", **more: object) -> None:
        seen = CheckSeen(component, f"{component}/{kind}", kind, Result(result), T0 + second, **more)  # type: ignore[arg-type]
        self.told += self.fold.check(seen, T0 + second)

    def metric(self, second: float, name: str, value: float, component: str = "web", **labels: str) -> None:
        self.told += self.fold.metrics(component, [Reading(name, value, labels)], T0 + second, T0 + second)

    def metrics(self, second: float, *readings: Reading, component: str = "web") -> None:
        self.told += self.fold.metrics(component, readings, T0 + second, T0 + second)

    def log(self, second: float, *messages: str, component: str = "web", level: str = "error") -> None:
        lines = [Line(message, level) for message in messages]
        self.told += self.fold.logs(component, lines, T0 + second, T0 + second)

    def external(
        self,
        second: float,
        firing: bool,
        external_id: str = "a1",
        component: str = "web",
        lasts_s: float | None = None,
    ) -> None:
        seen = ExternalSeen(
            component, "alerts", external_id, firing, Severity.CRITICAL, "external", "it burns", T0 + second,
            lasts_s=lasts_s,
        )  # fmt: skip
        self.told += self.fold.external(seen, T0 + second)

    @property
    def incidents(self) -> list[IncidentRevised]:
        return [effect for effect in self.told if isinstance(effect, IncidentRevised)]

    @property
    def transitions(self) -> list[str]:
        return [effect.transition.value for effect in self.incidents]

    @property
    def anomalies(self) -> list[AnomalyFound]:
        return [effect for effect in self.told if isinstance(effect, AnomalyFound)]

    @property
    def healths(self) -> list[HealthChanged]:
        return [effect for effect in self.told if isinstance(effect, HealthChanged)]
