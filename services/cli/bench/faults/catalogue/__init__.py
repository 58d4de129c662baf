"""All scenarios, in acts: each act begins with a new platform and a new shop, so that what was learned and counted in
one does not bear on another."""

from __future__ import annotations

from collections.abc import Mapping

from services.cli.bench.faults.catalogue import containers, dependencies, people, processes, settings
from services.cli.bench.faults.scenario import Scenario

CONTAINERS = "containers"
"""The act that needs an engine."""
ACTS: Mapping[str, tuple[Scenario, ...]] = {
    "processes": processes.SCENARIOS,
    "again": processes.AGAIN,
    "dependencies": dependencies.SCENARIOS,
    "settings": settings.SCENARIOS,
    "people": people.SCENARIOS,
    CONTAINERS: containers.SCENARIOS,
}
