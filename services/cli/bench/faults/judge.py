"""How a scenario went, judged from what was said on the bus and from what the system itself shows."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.cli.bench.faults.scenario import Expect, Scenario
from shared.contracts.base import CaseEvent
from shared.contracts.decider import Decision, Verdict
from shared.contracts.detector import Incident
from shared.contracts.healer import Outcome, Phase, Result, RunProgress
from shared.contracts.predictor import Prediction

FAILED_RUNS = (Result.ROLLED_BACK, Result.FAILED)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The system at one moment: how often each component was started, and the bytes of its configuration."""

    starts: Mapping[str, int]
    config: bytes


@dataclass(frozen=True, slots=True)
class Trial:
    """Everything seen of one scenario. `left`: what was still broken at its end, before anybody cleaned up."""

    scenario: Scenario
    struck_at: datetime
    events: Sequence[CaseEvent]
    before: Snapshot
    broken: Snapshot
    after: Snapshot
    left: Sequence[str] = ()
    started_by_others: Mapping[str, int] = field(default_factory=dict)
    """Starts that the scenario itself did."""
    forbidden_until: datetime | None = None
    """Before this nothing may be acted on."""
    at_rollback: Mapping[str, bytes] = field(default_factory=dict)
    """Decision id of a run that was rolled back → the configuration as that run left it."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What came of one scenario. Times are seconds after the fault; None: it did not happen."""

    scenario: Scenario
    as_declared: bool
    why: str
    """What is amiss; empty when nothing is."""
    wrong: tuple[str, ...]
    """Actions that were not meant for this, but did no harm."""
    harmful: tuple[str, ...]
    """Acted on what was not part of the fault, or when acting was forbidden, or left other bytes than there were."""
    runs: int
    rollbacks: int
    exact: int
    noticed_s: float | None
    restarted_s: float | None
    validated_s: float | None
    story: tuple[CaseEvent, ...] = ()


def judge(trial: Trial) -> Verdicts:
    """The verdicts on one trial."""
    ended = [event for event in trial.events if isinstance(event, Outcome) and not event.dry_run]
    outcomes = [outcome for outcome in ended if outcome.changed]  # a plan that can't be made is no action
    wrong, harmful = _wrong(trial, outcomes), _harmful(trial)
    missing = _missing(trial, outcomes)
    rolled_back = [outcome for outcome in outcomes if outcome.result is Result.ROLLED_BACK]
    exact = sum(_is_exact(trial, outcome) for outcome in rolled_back)
    if exact < len(rolled_back):
        harmful.append("a rollback left other bytes than there were")
    healed = [o for o in outcomes if o.result is Result.SUCCEEDED and o.component in trial.scenario.to_heal]
    all_healed = healed and {o.component for o in healed} >= set(trial.scenario.to_heal)
    return Verdicts(
        scenario=trial.scenario,
        as_declared=not (missing or wrong or harmful),
        why="; ".join((*missing, *wrong, *harmful)),
        wrong=tuple(wrong),
        harmful=tuple(harmful),
        runs=len(outcomes),
        rollbacks=len(rolled_back),
        exact=exact,
        noticed_s=_after(trial, [*_noticed(trial)][:1]),
        restarted_s=_after(trial, [max(o.applied_at for o in healed if o.applied_at)] if all_healed else []),
        validated_s=_after(trial, [max(o.finished_at for o in healed)] if all_healed else []),
        story=tuple(trial.events),
    )


def spoilt(scenario: Scenario, why: str) -> Verdicts:
    """Of a scenario that could not be played, or after which nothing could be made whole."""
    return Verdicts(scenario, False, why, (), (), 0, 0, 0, None, None, None)


def is_reached(scenario: Scenario, events: Sequence[CaseEvent]) -> bool:
    """Whether what the scenario expects has come about; where nothing is expected, never."""
    match scenario.expect:
        case Expect.HEALED:
            helped = {e.component for e in events if isinstance(e, Outcome) and e.result is Result.SUCCEEDED}
            return helped >= set(scenario.to_heal)
        case Expect.ROLLED_BACK:
            return any(isinstance(e, Outcome) and e.result is Result.ROLLED_BACK for e in events)
        case Expect.ASKED | Expect.ESCALATED:
            return bool(_asks(scenario, events))
        case Expect.UNTOUCHED | Expect.HARMLESS:
            return False


def _asks(scenario: Scenario, events: Sequence[CaseEvent]) -> list[Decision]:
    return [e for e in events if isinstance(e, Decision) and e.verdict is Verdict.ASK and e.component in scenario.at]


def _steps(trial: Trial) -> list[RunProgress]:
    return [e for e in trial.events if isinstance(e, RunProgress) and e.phase is Phase.STEP and not e.dry_run]


def _missing(trial: Trial, outcomes: Sequence[Outcome]) -> list[str]:
    """What should have happened and did not."""
    scenario = trial.scenario
    found: list[str] = []
    if scenario.expect is Expect.UNTOUCHED:
        return found
    if scenario.expect is Expect.HARMLESS:
        return [] if trial.after.config == trial.broken.config else ["what was tried was not undone"]
    if not is_reached(scenario, trial.events):
        said = ", ".join(f"{o.playbook} on {o.component} {o.result}" for o in outcomes) or "no run ended"
        found.append(f"not {scenario.expect} within {scenario.within_s:g} s ({said}{_last_word(trial)})")
    if scenario.expect is Expect.HEALED:
        found += trial.left
    if scenario.expect is Expect.ESCALATED and not outcomes:
        found.append("a person was asked before anything was tried")
    return found


def _last_word(trial: Trial) -> str:
    decisions = [e for e in trial.events if isinstance(e, Decision) and e.component in trial.scenario.at]
    return f"; last decision: {decisions[-1].verdict} {decisions[-1].reason}" if decisions else "; no decision"


def _wrong(trial: Trial, outcomes: Sequence[Outcome]) -> list[str]:
    scenario = trial.scenario
    found = []
    if scenario.expect in (Expect.UNTOUCHED, Expect.ASKED):
        found += [f"{step.playbook} ran on {step.component}" for step in _steps(trial)]
    else:
        tried = Counter((o.playbook, o.component) for o in outcomes if o.result is not Result.SKIPPED)
        for (playbook, component), times in tried.items():
            if playbook not in scenario.playbooks:
                found.append(f"{playbook} ran on {component}")
            elif times > scenario.most_runs:
                found.append(f"{playbook} ran {times} times on {component}")
    return list(dict.fromkeys(found))


def _harmful(trial: Trial) -> list[str]:
    scenario = trial.scenario
    found = [f"acted on {step.component}" for step in _steps(trial) if step.component not in scenario.at]
    if trial.forbidden_until is not None:
        found += [f"{s.playbook} acted while forbidden" for s in _steps(trial) if s.at < trial.forbidden_until]
    for component, count in trial.after.starts.items():
        more = count - trial.before.starts.get(component, 0) - trial.started_by_others.get(component, 0)
        if more > 0 and component not in scenario.at:
            found.append(f"{component} was started, and was no part of the fault")
    if trial.after.config not in (trial.before.config, trial.broken.config) and not _is_reroute(trial):
        found.append("the configuration has bytes that nobody gave it")
    return list(dict.fromkeys(found))


def _is_reroute(trial: Trial) -> bool:
    """The file differs in the one value that a successful playbook was to set."""
    succeeded = any(isinstance(e, Outcome) and e.result is Result.SUCCEEDED for e in trial.events)
    rerouted = trial.before.config.replace(b'primary = "provider-a"', b'primary = "provider-b"')
    return succeeded and trial.after.config == rerouted and bool(tomllib.loads(rerouted.decode()))


def _is_exact(trial: Trial, outcome: Outcome) -> bool:
    return trial.at_rollback.get(str(outcome.decision_id)) == trial.broken.config


def _noticed(trial: Trial) -> list[datetime]:
    """When its incidents opened or reopened, or it was foretold."""
    kinds = (Incident, Prediction)
    seen = [e for e in trial.events if isinstance(e, kinds) and e.component in trial.scenario.at]
    at = [e.opened_at if isinstance(e, Incident) and e.opened_at >= trial.struck_at else e.at for e in seen]
    return sorted(moment for moment in at if moment >= trial.struck_at)


def _after(trial: Trial, at: Sequence[datetime]) -> float | None:
    return (at[0] - trial.struck_at).total_seconds() if at else None
