"""Normal traffic for a long time: whatever is reported or done meanwhile is a false alarm."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from services.cli.bench.results import Report, Row
from services.cli.demo.run import Stage, checkout, stage
from services.cli.local import LocalPlatform
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Incident, Transition
from shared.contracts.predictor import Prediction

MINUTES = 60.0
SEED = 1
STRETCH_S = (20.0, 120.0)
"""Shortest and longest time of one profile of traffic."""
PROFILES = ("waves", "steady", "bursts")
DAY_MINUTES = 1_440.0


async def run(_data: Path | None = None, minutes: float = MINUTES) -> Report:
    """The table of this area."""
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-") as folder:
        platform = LocalPlatform(Path(folder) / "data", extra_databases=["shop"])
        async with platform, stage(platform, checkout(), Console(quiet=True), quiet=True) as scene:
            began = datetime.now(UTC)
            await _traffic(scene, minutes * 60, random.Random(SEED))
            return _report(scene, began, minutes)


async def _traffic(scene: Stage, seconds: float, rng: random.Random) -> None:
    """Waves, steady customers and rushes in turns of chance."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left_s := end - loop.time()) > 0:
        stretch_s = min(left_s, rng.uniform(*STRETCH_S))
        await asyncio.to_thread(scene.shop.set_profile, rng.choice(PROFILES), stretch_s)
        await asyncio.sleep(stretch_s)


def _report(scene: Stage, began: datetime, minutes: float) -> Report:
    incidents = [i for i in scene.recorder.of(Incident, began) if i.transition is Transition.OPENED]
    acted = [d for d in scene.recorder.of(Decision, began) if d.verdict is Verdict.EXECUTE]
    predicted = {p.case_id for p in scene.recorder.of(Prediction, began)}
    requests = scene.shop.requests_since(began)
    patterns = Counter(f"{incident.pattern} on {incident.component}" for incident in incidents)
    seen = "; ".join(f"{pattern} ({count})" for pattern, count in patterns.most_common(10)) or "none"
    figures = {
        "minutes": minutes,
        "requests": requests.total,
        "failed requests": requests.failed,
        "incidents": len(incidents),
        "incidents a day": len(incidents) * DAY_MINUTES / minutes,
        "predictions": len(predicted),
        "actions": len(acted),
    }
    return Report(
        area="soak",
        at=datetime.now(UTC),
        title="False alarms in normal traffic",
        notes="The shop with waves, steady traffic and bursts in turns of 20 to 120 s; nothing is broken. "
        f"Incidents: {seen}.",
        rows=[Row("Homeostat, the shop's own pack", figures)],
    )
