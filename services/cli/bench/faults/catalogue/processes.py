"""Processes that die, hang, leak, starve, or are kept from starting: alone, together, and again and again."""

from __future__ import annotations

import signal

from services.cli.bench.faults.injuries import processes as p
from services.cli.bench.faults.pack import policy
from services.cli.bench.faults.scenario import Deed, Expect, Family, Scenario

STARTED = ("restart-crashed",)
RESTARTED = ("restart-hung",)


def _single(name: str, component: str, strike: Deed, *playbooks: str, quick: bool = False) -> Scenario:
    return Scenario(
        name=name,
        family=Family.SINGLE,
        strike=strike,
        expect=Expect.HEALED,
        at=(component,),
        playbooks=playbooks,
        quick=quick,
    )


CRASHES = (
    _single("orders is killed", "orders", p.kill("orders"), *STARTED, quick=True),
    _single("edge ends by a segmentation fault", "edge", p.kill("edge", signal.SIGSEGV), *STARTED),
    _single("payments aborts", "payments", p.kill("payments", signal.SIGABRT), *STARTED),
    _single("worker ends with status 0", "worker", p.kill("worker", signal.SIGTERM), *STARTED),
    _single("catalog is killed for want of memory", "catalog", p.out_of_memory("catalog"), *STARTED),
    _single("loadgen is killed", "loadgen", p.kill("loadgen"), *STARTED),
)
HANGS = (
    _single("catalog hangs", "catalog", p.hang("catalog"), *RESTARTED, quick=True),
    _single("orders hangs", "orders", p.hang("orders"), *RESTARTED),
    _single("worker hangs", "worker", p.hang("worker"), *RESTARTED),
)
SHORTAGES = (
    Scenario(
        name="catalog leaks memory",
        family=Family.SINGLE,
        strike=p.leak("catalog"),
        expect=Expect.HEALED,
        at=("catalog",),
        playbooks=("restart-before-limit",),
        within_s=90,
    ),
    Scenario(
        name="edge may open no more files",
        family=Family.SINGLE,
        strike=p.no_more_files("edge"),
        expect=Expect.HEALED,
        at=("edge",),
        playbooks=("restart-exhausted",),
        within_s=120,  # the known pattern wants to have seen it for a minute
    ),
)
TOGETHER = (
    Scenario(
        name="orders is killed and catalog hangs at once",
        family=Family.DOUBLE,
        strike=p.all_of(p.kill("orders"), p.hang("catalog")),
        expect=Expect.HEALED,
        at=("orders", "catalog"),
        playbooks=STARTED + RESTARTED,
        quick=True,
    ),
    Scenario(
        name="edge and worker are killed at once",
        family=Family.DOUBLE,
        strike=p.all_of(p.kill("edge"), p.kill("worker")),
        expect=Expect.HEALED,
        at=("edge", "worker"),
        playbooks=STARTED,
    ),
    Scenario(
        name="three die within a second, two may be mended at once",
        family=Family.DOUBLE,
        strike=p.all_of(p.kill("catalog"), p.kill("payments"), p.kill("loadgen"), apart_s=0.3),
        expect=Expect.HEALED,
        at=("catalog", "payments", "loadgen"),
        playbooks=STARTED,
        within_s=60,
    ),
    Scenario(
        name="payments hangs: orders and edge time out with it",
        family=Family.CORRELATED,
        strike=p.hang("payments"),
        expect=Expect.HEALED,
        at=("payments",),
        playbooks=RESTARTED,
        watch_s=3,
        quick=True,
    ),
    Scenario(
        name="orders dies under a rush: edge fails with it",
        family=Family.CORRELATED,
        strike=p.all_of(p.kill("orders"), p.hang("worker")),
        expect=Expect.HEALED,
        at=("orders", "worker"),
        playbooks=STARTED + RESTARTED,
        watch_s=3,
    ),
)
AGAIN = (
    Scenario(
        name="edge dies, and its port is taken: no start can help",
        family=Family.NO_REMEDY,
        strike=p.stolen_port("edge"),
        expect=Expect.ESCALATED,
        at=("edge",),
        playbooks=STARTED,
        most_runs=3,
        within_s=90,
        watch_s=5,
        pack=policy(max_attempts=3),
    ),
    Scenario(
        name="worker dies 5 s after each start",
        family=Family.FLAPPING,
        strike=p.again("worker", times=8, lives_s=5),
        expect=Expect.ESCALATED,
        at=("worker",),
        playbooks=STARTED,
        most_runs=3,
        within_s=90,
        watch_s=5,
        pack=policy(max_attempts=3),
    ),
    Scenario(
        name="loadgen dies 1 s after each start",
        family=Family.FLAPPING,
        strike=p.again("loadgen", times=8, lives_s=1),
        expect=Expect.ESCALATED,
        at=("loadgen",),
        playbooks=STARTED,
        most_runs=3,
        within_s=90,
        watch_s=5,
        pack=policy(max_attempts=3),
    ),
)
SCENARIOS = (*CRASHES, *HANGS, *SHORTAGES, *TOGETHER)
