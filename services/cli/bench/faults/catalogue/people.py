"""Rushes, floods, deployments and nights off: no fault, or a fault at which nobody may act."""

from __future__ import annotations

from services.cli.bench.faults.injuries import database as d
from services.cli.bench.faults.injuries import people
from services.cli.bench.faults.injuries import processes as p
from services.cli.bench.faults.pack import maintenance, mode, policy
from services.cli.bench.faults.scenario import Deed, Expect, Family, Scenario

STARTED = ("restart-crashed",)
ALWAYS = ("Mon 00:00/Thu 00:00", "Thu 00:00/Mon 00:00")
"""The whole week."""


def _quiet(name: str, strike: Deed, watch_s: float = 12.0, *, quick: bool = False) -> Scenario:
    return Scenario(
        name=name, family=Family.NO_FAULT, strike=strike, expect=Expect.UNTOUCHED, watch_s=watch_s, quick=quick
    )


NO_FAULT = (
    _quiet("a rush of customers for 25 s", people.bursts(25), watch_s=25, quick=True),
    _quiet(
        "worker logs ten thousand lines of a new kind",
        people.log_flood(
            "worker", lambda n: {"level": "info", "message": f"reindexed shelf {n} in {n % 7} ms"}, 10_000
        ),
    ),
    _quiet(
        "catalog logs errors of a kind that nobody knows",
        people.log_flood("catalog", lambda n: {"level": "error", "message": f"glyph {n % 3} has no kerning pair"}, 400),
    ),
    _quiet("others keep the database busy", d.busy(2, 10)),
    _quiet("catalog stutters for a third of a second now and then", p.stutter("catalog", stopped_s=0.3, running_s=1.5)),
)


def _forbidden(name: str, strike: Deed, at: str, **more: object) -> Scenario:
    return Scenario(
        name=name,
        family=Family.FORBIDDEN,
        strike=strike,
        expect=Expect.UNTOUCHED,
        at=(at,),
        watch_s=10,
        **more,  # type: ignore[arg-type]
    )


FORBIDDEN = (
    _forbidden("worker dies in its maintenance", p.kill("worker"), "worker", pack=maintenance("worker")),
    _forbidden("orders dies while it is silenced", people.silenced("orders", p.kill("orders")), "orders"),
    _forbidden("catalog dies in a freeze", p.kill("catalog"), "catalog", pack=policy(freeze=ALWAYS)),
    _forbidden("edge dies and no action of the hour is left", p.kill("edge"), "edge", pack=policy(actions_per_hour=0)),
    _forbidden("loadgen dies in mode observe", p.kill("loadgen"), "loadgen", pack=mode("observe")),
    _forbidden(
        "worker is redeployed by hand in its maintenance",
        p.restart_by_hand("worker", away_s=3),
        "worker",
        pack=maintenance("worker"),
    ),
    Scenario(
        name="payments dies in mode assist: a person says yes",
        family=Family.FORBIDDEN,
        strike=p.kill("payments"),
        meanwhile=people.answer("approve"),
        expect=Expect.HEALED,
        at=("payments",),
        playbooks=STARTED,
        pack=mode("assist"),
    ),
    Scenario(
        name="catalog dies in mode assist: a person says no",
        family=Family.FORBIDDEN,
        strike=p.kill("catalog"),
        meanwhile=people.answer("reject"),
        expect=Expect.ASKED,
        at=("catalog",),
        watch_s=8,
        pack=mode("assist"),
    ),
    Scenario(
        name="orders dies with the kill switch on, which is lifted 6 s later",
        family=Family.FORBIDDEN,
        strike=people.switch_off_during(p.kill("orders")),
        meanwhile=people.lift_kill_switch(6),
        expect=Expect.HEALED,
        at=("orders",),
        playbooks=STARTED,
        quick=True,
    ),
    Scenario(
        name="five of ten die within a second: a storm, in which a person decides",
        family=Family.FORBIDDEN,
        strike=p.all_of(*(p.kill(name) for name in ("catalog", "orders", "payments", "worker", "edge"))),
        expect=Expect.UNTOUCHED,
        at=("catalog", "orders", "payments", "worker", "edge", "loadgen", "estate-shop"),
        watch_s=8,
        pack=policy(storm_min=5, storm_cool_s=5),
    ),
)
SCENARIOS = (*NO_FAULT, *FORBIDDEN)
