"""Containers, on a real engine."""

from __future__ import annotations

import signal

from services.cli.bench.faults.injuries import containers as c
from services.cli.bench.faults.injuries import processes as p
from services.cli.bench.faults.scenario import Deed, Expect, Family, Scenario

STARTED = ("start-exited",)
RESTARTED = ("restart-container",)


def _healed(name: str, strike: Deed, *playbooks: str, at: tuple[str, ...] = ("basket",)) -> Scenario:
    return Scenario(
        name=name,
        family=Family.CONTAINER,
        strike=strike,
        expect=Expect.HEALED,
        at=at,
        playbooks=playbooks,
        within_s=60,
    )


SCENARIOS = (
    _healed("a container is killed", c.killed("basket"), *STARTED),
    _healed("a container ends with status 3", c.killed("mail", signal.SIGUSR1), *STARTED, at=("mail",)),
    _healed("a container is paused", c.told("basket", "pause"), *RESTARTED),
    _healed("a container falls ill by its own check", c.ill("mail"), *RESTARTED, at=("mail",)),
    _healed(
        "a container and a process die at once",
        p.all_of(c.killed("basket"), p.kill("worker")),
        *STARTED,
        "restart-crashed",
        at=("basket", "worker"),
    ),
    Scenario(
        name="a container is taken away: there is nothing to start",
        family=Family.CONTAINER,
        strike=c.told("mail", "rm", "--force"),
        expect=Expect.ESCALATED,
        at=("mail",),
        playbooks=STARTED,
        watch_s=5,
    ),
)
