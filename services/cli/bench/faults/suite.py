"""The acts one after the other, each on a platform and a shop of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from services.cli.bench.faults.catalogue import ACTS, CONTAINERS
from services.cli.bench.faults.fleet import EngineError, engine_answers, fleet
from services.cli.bench.faults.ground import Ground, GroundError
from services.cli.bench.faults.judge import Verdicts, spoilt
from services.cli.bench.faults.pack import suite_pack
from services.cli.bench.faults.player import play
from services.cli.bench.faults.rivals import compare
from services.cli.bench.faults.scenario import Scenario
from services.cli.bench.faults.summary import report
from services.cli.bench.results import Report
from services.cli.demo.run import checkout, stage
from services.cli.demo.timeline import line as timeline
from services.cli.local import LocalPlatform
from shared.packs import Pack

type Say = Callable[[str], None]


def chosen(*, quick: bool = False, only: tuple[str, ...] = ()) -> dict[str, tuple[Scenario, ...]]:
    """Acts with the scenarios whose name holds one of `only`; or (quick) one act of the most telling ones."""
    if quick:
        return {"quick": tuple(one for scenarios in ACTS.values() for one in scenarios if one.quick)}
    picked = {
        act: tuple(one for one in scenarios if not only or any(text in one.name for text in only))
        for act, scenarios in ACTS.items()
    }
    return {act: scenarios for act, scenarios in picked.items() if scenarios}


async def play_all(acts: Mapping[str, tuple[Scenario, ...]], say: Say) -> list[Verdicts]:
    """Every scenario of these acts, in order."""
    found: list[Verdicts] = []
    for act, scenarios in acts.items():
        if act == CONTAINERS and not _has_engine(say):
            continue
        waiting = list(scenarios)
        while waiting:  # once, but for a scenario after which nothing could be made whole
            played = await _on_new_ground(act, waiting, say)
            found += played
            del waiting[: len(played)]
    return found


def _has_engine(say: Say) -> bool:
    """Raises EngineError in CI, where an engine must be there: nothing is left out silently."""
    if engine_answers():
        return True
    if os.environ.get("CI") == "true":
        raise EngineError("no Docker engine answers: CI plays the scenarios with containers, too")
    say("[yellow]no Docker engine answers: the scenarios with containers are left out[/yellow]")
    return False


async def _on_new_ground(act: str, scenarios: Sequence[Scenario], say: Say) -> list[Verdicts]:
    """Until the ground can't be made whole again, or all are played; at least one."""
    found: list[Verdicts] = []
    with tempfile.TemporaryDirectory(prefix="homeostat-faults-") as folder:
        platform = LocalPlatform(Path(folder) / "data", extra_databases=["shop"])
        async with AsyncExitStack() as stack:
            containers = await stack.enter_async_context(fleet()) if act == CONTAINERS else None

            def adapt(pack: Pack) -> Pack:
                return suite_pack(pack) if containers is None else containers.adapted()(suite_pack(pack))

            await stack.enter_async_context(platform)
            opened = stage(platform, checkout(), Console(quiet=True), quiet=True, adapt=adapt)
            ground = Ground(platform, await stack.enter_async_context(opened), containers)
            for scenario in scenarios:
                try:
                    found.append(await play(ground, scenario))
                except (GroundError, OSError) as error:
                    found.append(spoilt(scenario, str(error)))
                    told(act, found[-1], say)
                    break
                told(act, found[-1], say)
    return found


def told(act: str, verdicts: Verdicts, say: Say) -> None:
    """One line; and where something is amiss, all that was said on the bus."""
    say(line(act, verdicts))
    if not verdicts.as_declared and verdicts.story:
        began = min(event.at for event in verdicts.story)
        for event in verdicts.story:
            say(f"      {timeline(event, began)}")


def line(act: str, verdicts: Verdicts) -> str:
    """One scenario in one line."""
    mark = "[green]ok[/green]  " if verdicts.as_declared else "[red]NOT[/red] "
    times = ", ".join(
        f"{name} {value:.2f} s"
        for name, value in (
            ("noticed", verdicts.noticed_s),
            ("acted", verdicts.restarted_s),
            ("validated", verdicts.validated_s),
        )
        if value is not None
    )
    amiss = f" [red]{verdicts.why}[/red]" if verdicts.why else ""
    return f"{mark}{act}: {verdicts.scenario.name} → {verdicts.scenario.expect} {times}{amiss}"


async def everything(say: Say = lambda _text: None) -> Report:
    """The whole suite, and its rivals."""
    return report(await play_all(ACTS, say), await compare(say))
