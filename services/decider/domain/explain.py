"""A ruling in words and numbers: what, why, how sure, how risky, and why nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.decider.domain.model import Inputs
from services.decider.domain.options import Option
from services.decider.domain.vocabulary import MEANING, CaseKind, Reason, Verdict

if TYPE_CHECKING:
    from services.decider.domain.decide import Ruling

MAX_ALTERNATIVES = 5
_LEADS = {
    Verdict.EXECUTE: "Runs {0} on {1}",
    Verdict.ASK: "Asks whether to run {0} on {1}",
    Verdict.OBSERVE: "Would run {0} on {1}, and does not",
    Verdict.ABSTAIN: "Does not run {0} on {1}",
}


def explain(inputs: Inputs, ruling: Ruling) -> str:
    """A few sentences, each from a fact."""
    option = ruling.option
    if option is not None:
        lead = _LEADS[ruling.verdict].format(option.playbook, option.component)
    else:
        lead = {Verdict.ASK: "Asks for a person", Verdict.OBSERVE: "Watches"}.get(ruling.verdict, "Does nothing")
    detail = f" ({ruling.detail})" if ruling.detail else ""
    by = f" By {ruling.decided_by}." if ruling.decided_by != "homeostat" else ""
    lines = [f"{lead}: {MEANING[ruling.reason]}{detail}.{by}"]
    if ruling.cause.component and inputs.case.kind is not CaseKind.REQUEST:
        lines.append(
            f"Cause: {ruling.cause.category.value} of {ruling.cause.component} ({ruling.cause.signature}), "
            f"{ruling.cause.confidence:.0%} sure."
        )
    if option is not None:
        lines += _of_option(inputs, ruling, option)
    if ruling.probability < 1.0:
        lines.append(f"Taken with a probability of {ruling.probability:.0%} among what may be run alone.")
    if ruling.flip is not None:
        lines.append(f"It {ruling.flip.words}.")
    lines += _tried(inputs)
    others = [o for o in ruling.considered if option is None or (o.component, o.playbook) != _key(option)]
    lines += [f"Not {o.playbook} on {o.component} (score {o.score:.2f}): {why(o, option)}." for o in _few(others)]
    return "\n".join(lines)


def _of_option(inputs: Inputs, ruling: Ruling, option: Option) -> list[str]:
    record = inputs.record_of(option.cause.signature, option.playbook)
    known = (
        f"it helped in {record.successes} of {record.runs} runs ({option.confidence - option.cause.confidence:+.0%})"
        if record is not None and record.runs
        else "it has no record here yet"
    )
    if record is not None and record.overruled:
        known += f", and people said no to it {record.overruled} times"
    if record is not None and record.endorsed:
        known += f", and people would have run it {record.endorsed} times more"
    parts = ", ".join(f"{one.name} {one.worth:.2f}×{one.weight:.2f}" for one in option.criteria)
    return [
        f"Confidence {option.confidence:.0%}, needed {option.threshold:.0%}: {known}.",
        f"{option.risk_words[0].upper()}{option.risk_words[1:]}; the limit is {ruling.risk_max:.0%}.",
        f"Score {option.score:.2f} = {parts}. Expected to help with {option.expected_success:.0%} "
        f"within about {option.expected_time_s:.0f} s.",
    ]


def _tried(inputs: Inputs) -> list[str]:
    if not inputs.case.tried:
        return []
    told = ", ".join(f"{one.playbook} ({one.result.value})" for one in inputs.case.tried[-5:])
    return [f"Tried before in this case: {told}."]


def evidence(inputs: Inputs, ruling: Ruling) -> tuple[str, ...]:
    """The facts that a decision rests on, one a line: causes, records, runs of this case, health."""
    case = inputs.case
    told = [
        f"cause {one.category.value} of {one.component} ({one.signature}), {one.confidence:.0%} sure"
        for one in case.causes[:MAX_ALTERNATIVES]
    ]
    signatures = {one.signature for one in case.causes}
    told += [
        f"{one.playbook} helped in {one.successes} of {one.runs} runs on {one.signature}"
        for one in inputs.records
        if one.runs and one.signature in signatures
    ]
    told += [
        f"people said no to {one.playbook} on {one.signature} {one.overruled} times, and {one.endorsed} times that it "
        "would have been right"
        for one in inputs.records
        if one.overruled + one.endorsed and one.signature in signatures
    ]
    told += [f"{one.playbook} ended {one.result.value} on {one.component} in this case" for one in case.tried[-5:]]
    target = inputs.targets.get(ruling.component)
    if target is not None:
        told.append(f"{target.name} is {target.health}, with {target.error_count} errors lately")
        told.append(f"{target.dependents} of {target.others} components depend on {target.name}")
    return tuple(told)


def why(option: Option, chosen: Option | None) -> str:
    """Why an option was not chosen."""
    if option.rejected_because:
        return option.rejected_because
    if option.risk > option.risk_max:
        return f"risk {option.risk:.0%} is above {option.risk_max:.0%}"
    if chosen is None:
        return "nothing may be done now"
    if option.score > chosen.score and option.confidence >= option.threshold and option.level == "full-auto":
        return f"the strategy took {chosen.playbook} this time"
    if option.score > chosen.score:
        return f"it may not run without a person ({option.level.value}, {option.confidence:.0%} sure)"
    return f"it scores less than {chosen.playbook}"


def _key(option: Option) -> tuple[str, str]:
    return (option.component, option.playbook)


def _few(others: list[Option]) -> list[Option]:
    return others[:MAX_ALTERNATIVES]


def expected_outcome(ruling: Ruling) -> str:
    """What should come of it, to be compared with what does."""
    option = ruling.option
    if option is None or ruling.verdict is Verdict.ABSTAIN or ruling.reason is Reason.MODE_OBSERVE:
        return "nothing is touched"
    cleared = {"incident": "the incident is over", "prediction": "the prediction is gone", "none": "no new errors"}
    return (
        f"{cleared[option.spec.validation.clear]} within {option.expected_time_s:.0f} s "
        f"(with {option.expected_success:.0%})"
    )
