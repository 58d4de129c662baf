"""What the diagnoser concludes and why, free of I/O and wire types."""

from services.diagnoser.domain.diagnose import Diagnosis, Scene, diagnose
from services.diagnoser.domain.graph import CallGraph
from services.diagnoser.domain.revise import Reason, revise
from services.diagnoser.domain.signals import AnomalySeen, ChangeSeen, ComponentFacts, Fact, IncidentSeen, KnownProblem

__all__ = [
    "AnomalySeen",
    "CallGraph",
    "ChangeSeen",
    "ComponentFacts",
    "Diagnosis",
    "Fact",
    "IncidentSeen",
    "KnownProblem",
    "Reason",
    "Scene",
    "diagnose",
    "revise",
]
