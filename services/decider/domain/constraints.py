"""What must hold before anything is compared: each limit of a run with whether it is kept, as an explicit list."""

from __future__ import annotations

from dataclasses import dataclass

from services.decider.domain.governor import refusals
from services.decider.domain.model import Inputs, Target
from services.decider.domain.options import Option
from services.decider.domain.vocabulary import MEANING, Reason
from shared.packs import AutomationLevel, Mode


@dataclass(frozen=True, slots=True)
class Constraint:
    """One limit. `rule` is the reason that it gives when it isn't kept; `limit` what is allowed, in words."""

    rule: Reason
    limit: str
    kept: bool
    words: str = ""
    """The particulars where it isn't kept."""


def constraints(inputs: Inputs, target: Target, option: Option) -> tuple[Constraint, ...]:
    """Every limit on running `option` on `target` now: what trust demands first, then what load does."""
    held = {refusal.reason: refusal.words for refusal in refusals(inputs, target, option)}
    limits = _allowed(target)
    limits |= {reason: MEANING[reason] for reason in held if reason not in limits}
    of_load = (Constraint(rule, limit, rule not in held, held.get(rule, "")) for rule, limit in limits.items())
    return (*_of_trust(target, option), *of_load)


def _of_trust(target: Target, option: Option) -> tuple[Constraint, ...]:
    by_level = Reason.PLAYBOOK_MANUAL if option.level is AutomationLevel.MANUAL else Reason.PLAYBOOK_SEMI_AUTO
    by_mode = Reason.MODE_OBSERVE if target.mode is Mode.OBSERVE else Reason.MODE_ASSIST
    return (
        Constraint(
            Reason.RISK_TOO_HIGH,
            f"risk of at most {option.risk_max:.0%}",
            option.risk <= option.risk_max,
            option.risk_words,
        ),
        Constraint(by_mode, "mode auto", target.mode is Mode.AUTO, f"{target.pack} is in mode {target.mode.value}"),
        Constraint(
            by_level,
            "a playbook that is full-auto, or has earned it",
            option.level is AutomationLevel.FULL_AUTO,
            f"{option.playbook} is {option.level.value}",
        ),
        Constraint(
            Reason.BELOW_THRESHOLD,
            f"confidence of at least {option.threshold:.0%}",
            option.confidence >= option.threshold,
            f"{option.confidence:.0%} sure",
        ),
    )


def _allowed(target: Target) -> dict[Reason, str]:
    policy = target.policy
    group = target.group
    least = policy.min_healthy.get(group.name) if group else None
    allowed = {
        Reason.SWITCHED_OFF: "the kill switch off",
        Reason.BUSY: "one run at a time on a component",
        Reason.FROZEN: f"not within {', '.join(policy.freeze)}" if policy.freeze else "no freeze is declared",
        Reason.COOLING_DOWN: "the playbook's cool-down over",
        Reason.BUDGET_SPENT: f"{policy.actions_per_hour} actions an hour in {target.pack}",
        Reason.COMPONENT_BUDGET_SPENT: f"{policy.component_actions_per_hour} actions an hour on {target.name}",
        Reason.TOO_MANY_TARGETS: f"{policy.max_targets_at_once} components at once in {target.pack}",
        Reason.STORM: "no storm of alarms",
    }
    if group is not None and least is not None:
        allowed[Reason.MIN_HEALTHY] = f"{least:.0%} of group {group.name} healthy"
    return allowed
