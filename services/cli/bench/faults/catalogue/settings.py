"""Slips in a configuration, playbooks that are no cure for them, and cures that don't last."""

from __future__ import annotations

from services.cli.bench.faults.injuries import processes as p
from services.cli.bench.faults.injuries import settings as s
from services.cli.bench.faults.pack import changed_playbook, playbooks, policy
from services.cli.bench.faults.scenario import Deed, Expect, Family, Scenario

RESTORED = ("restore-config",)
CONFIG_PATH = "${component.config_path}"
_WORSE = {
    "for": ["configuration"],
    "components": ["payments"],
    "automation_level": "full-auto",
    "backup": [{"file": CONFIG_PATH}],
    "rollback": "auto",
    "cooldown_s": 0,
    "validate": {"window_s": 6, "clear": "incident", "error_count_after": 0},
}
WORSENS = {
    **_WORSE,
    "steps": [
        {"file.set": {"path": CONFIG_PATH, "key": "upstream.timeout_ms", "value": 1}},
        {"process.reload": {}},
    ],
}
"""An author's error: the time-out becomes so short that nothing works any more."""
STOPS_HALFWAY = {
    **_WORSE,
    "steps": [
        {"file.set": {"path": CONFIG_PATH, "key": "upstream.timeout_ms", "value": 900}},
        {"file.set": {"path": CONFIG_PATH, "key": "upstream.retries", "value": 3}},
        {"process.reload": {}},
    ],
}
"""Its second step asks for a key that isn't there: the first one has been done by then."""


def _slip(name: str, strike: Deed, *, quick: bool = False) -> Scenario:
    return Scenario(
        name=name,
        family=Family.SINGLE,
        strike=strike,
        expect=Expect.HEALED,
        at=("payments",),
        playbooks=RESTORED,
        quick=quick,
    )


SLIPS = (
    _slip("payments is given a path that isn't there", s.slip("path"), quick=True),
    _slip("payments is given a wrong port", s.slip("port")),
    _slip("payments is given a time-out of 4 ms", s.slip("timeout")),
    _slip("payments.toml is no TOML any more", s.appended("\n[upstream\n")),
    _slip("payments.toml is emptied", s.emptied()),
    _slip("payments is told of a key file that isn't there", s.replaced("provider.key", "missing.key")),
    Scenario(
        name="payments gets a wrong port while worker dies",
        family=Family.DOUBLE,
        strike=p.all_of(s.slip("port"), p.kill("worker")),
        expect=Expect.HEALED,
        at=("payments", "worker"),
        playbooks=(*RESTORED, "restart-crashed"),
        watch_s=3,
    ),
    Scenario(
        name="a wrong path in payments makes orders and edge fail too",
        family=Family.CORRELATED,
        strike=s.slip("path"),
        expect=Expect.HEALED,
        at=("payments",),
        playbooks=RESTORED,
        watch_s=6,
    ),
)
HARMLESS = (
    Scenario(
        name="payments.toml gets a comment",
        family=Family.NO_FAULT,
        strike=s.appended("# reviewed\n"),
        expect=Expect.UNTOUCHED,
        at=(),
        watch_s=10,
    ),
    Scenario(
        name="payments.toml gets a comment, then catalog dies",
        family=Family.SINGLE,
        strike=p.all_of(s.appended("# reviewed again\n"), p.kill("catalog"), apart_s=2),
        expect=Expect.HEALED,
        at=("catalog",),
        playbooks=("restart-crashed",),
    ),
)
WORSE = (
    Scenario(
        name="the only cure makes it worse",
        family=Family.WORSE,
        strike=s.slip("path"),
        expect=Expect.ROLLED_BACK,
        at=("payments",),
        playbooks=("worsens",),
        watch_s=12,
        pack=playbooks({"worsens": {**WORSENS, "then": "page-a-human"}}, without=("restore-config",)),
        quick=True,
    ),
    Scenario(
        name="the first cure makes it worse, the one after it helps",
        family=Family.WORSE,
        strike=s.slip("port"),
        expect=Expect.HEALED,
        at=("payments",),
        playbooks=("worsens-first", "restore-config"),
        within_s=60,
        pack=playbooks(
            {
                "worsens-first": {**WORSENS, "then": "restore-config"},
                "restore-config": {
                    **_WORSE,
                    "for": ["deployment"],
                    "steps": [
                        {"file.restore_last_good": {"path": CONFIG_PATH}},
                        {"process.reload": {}},
                    ],
                    "then": "page-a-human",
                },
            }
        ),
        alone=True,
    ),
    Scenario(
        name="the cure fails at its second step",
        family=Family.WORSE,
        strike=s.slip("path"),
        expect=Expect.ROLLED_BACK,
        at=("payments",),
        playbooks=("stops-halfway",),
        watch_s=12,
        pack=playbooks({"stops-halfway": {**STOPS_HALFWAY, "then": "page-a-human"}}, without=("restore-config",)),
        alone=True,
    ),
    Scenario(
        name="the cure restarts what reads a wrong file, and nothing changes",
        family=Family.WORSE,
        strike=s.slip("timeout"),
        expect=Expect.ESCALATED,
        at=("payments",),
        playbooks=("restarts-only",),
        watch_s=6,
        pack=playbooks(
            {"restarts-only": {**_WORSE, "backup": [], "steps": [{"process.restart": {}}], "then": "page-a-human"}},
            without=("restore-config",),
        ),
        alone=True,
    ),
)
LIES = (
    Scenario(
        name="the slip is written back 3 s after each validated repair",
        family=Family.LATE_LIE,
        strike=s.broken_again("path", after_s=3, times=6),
        expect=Expect.ESCALATED,
        at=("payments",),
        playbooks=RESTORED,
        most_runs=3,
        within_s=120,
        watch_s=5,
        pack=policy(max_attempts=3),
        alone=True,
    ),
    Scenario(
        name="worker dies 4 s into a validation of 6 s",
        family=Family.LATE_LIE,
        strike=p.again("worker", times=2, lives_s=4),
        expect=Expect.HEALED,
        at=("worker",),
        playbooks=("restart-crashed",),
        most_runs=3,
        within_s=60,
        pack=changed_playbook(
            "restart-crashed", validate={"window_s": 6, "clear": "incident", "error_count_after": 0}, then=None
        ),
        alone=True,
    ),
)
SCENARIOS = (*SLIPS, *HARMLESS, *WORSE, *LIES)
