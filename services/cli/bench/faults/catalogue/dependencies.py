"""Providers and the database: what lies beneath the shop, and takes it along."""

from __future__ import annotations

from services.cli.bench.faults.injuries import database as d
from services.cli.bench.faults.injuries import people
from services.cli.bench.faults.injuries import processes as p
from services.cli.bench.faults.scenario import Deed, Expect, Family, Scenario

REROUTED = ("use-other-provider",)
PAYS = ("provider-a", "payments")


def _rerouted(name: str, strike: Deed, family: Family = Family.CORRELATED, *, quick: bool = False) -> Scenario:
    return Scenario(
        name=name,
        family=family,
        strike=strike,
        expect=Expect.HEALED,
        at=PAYS,
        heals=("payments",),
        playbooks=REROUTED,
        within_s=60,
        quick=quick,
    )


PROVIDERS = (
    _rerouted("provider-a no longer answers", p.hang("provider-a"), quick=True),
    _rerouted("provider-a is gone", p.kill("provider-a")),
    _rerouted("provider-a answers every charge with 500", people.impostor("provider-a", 500)),
    _rerouted("provider-a answers later than payments waits", p.stutter("provider-a", stopped_s=1.5, running_s=0.05)),
    Scenario(
        name="both providers are gone: there is nowhere to go",
        family=Family.NO_REMEDY,
        strike=p.all_of(p.kill("provider-a"), p.kill("provider-b")),
        expect=Expect.HARMLESS,
        at=("provider-a", "provider-b", "payments"),
        playbooks=REROUTED,
        watch_s=25,
    ),
    Scenario(
        name="provider-a is gone and worker hangs",
        family=Family.DOUBLE,
        strike=p.all_of(p.kill("provider-a"), p.hang("worker")),
        expect=Expect.HEALED,
        at=(*PAYS, "worker"),
        heals=("payments", "worker"),
        playbooks=(*REROUTED, "restart-hung"),
        within_s=60,
        alone=True,
    ),
    Scenario(
        name="provider-b, which nobody uses, is gone",
        family=Family.NO_FAULT,
        strike=p.kill("provider-b"),
        expect=Expect.UNTOUCHED,
        at=("provider-b",),
        watch_s=12,
    ),
    Scenario(
        name="both providers refuse the key: no playbook is for that",
        family=Family.NO_REMEDY,
        strike=p.all_of(people.impostor("provider-a", 401), people.impostor("provider-b", 401)),
        expect=Expect.HARMLESS,
        at=("provider-a", "provider-b", "payments"),
        playbooks=REROUTED,
        watch_s=25,
    ),
)
DATABASE = (
    Scenario(
        name="an idle transaction locks the orders",
        family=Family.CORRELATED,
        strike=d.idle_lock(),
        expect=Expect.HEALED,
        at=("orders-db",),
        playbooks=("end-idle-blockers",),
        quick=True,
    ),
    Scenario(
        name="jobs belong to a worker that is no more",
        family=Family.SINGLE,
        strike=d.stranded_jobs(60),
        expect=Expect.HEALED,
        at=("orders-db",),
        playbooks=("requeue-jobs",),
    ),
    Scenario(
        name="a table is locked for a second",
        family=Family.NO_FAULT,
        strike=d.idle_lock(for_s=1.0),
        expect=Expect.UNTOUCHED,
        at=("orders-db",),
        watch_s=8,
    ),
    Scenario(
        name="the database ends every session of the shop",
        family=Family.NO_FAULT,
        strike=d.sessions_ended(),
        expect=Expect.UNTOUCHED,
        at=("orders-db",),
        watch_s=10,
    ),
    Scenario(
        name="the shop may no longer connect to its database",
        family=Family.NO_REMEDY,
        strike=d.no_connections(),
        expect=Expect.UNTOUCHED,
        at=("orders-db", "orders", "worker"),
        watch_s=12,
    ),
    Scenario(
        name="an idle transaction locks the jobs while catalog dies",
        family=Family.DOUBLE,
        strike=p.all_of(d.idle_lock("jobs"), p.kill("catalog")),
        expect=Expect.HEALED,
        at=("orders-db", "catalog"),
        playbooks=("end-idle-blockers", "restart-crashed"),
        within_s=60,
    ),
    Scenario(
        name="the database server is killed, Homeostat's own with it",
        family=Family.CORRELATED,
        strike=people.kill_server("postgres"),
        expect=Expect.UNTOUCHED,
        at=("orders-db",),
        watch_s=15,
    ),
)
SCENARIOS = (*PROVIDERS, *DATABASE)
