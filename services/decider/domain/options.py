"""What could be done: every playbook that is for the cause, weighed, and why where it is out of the question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from services.decider.domain import confidence as conf
from services.decider.domain import risk as risks
from services.decider.domain.autonomy import level_of
from services.decider.domain.context import when_context
from services.decider.domain.model import Case, Cause, Inputs, Standing, Target
from services.decider.domain.scoring import Criterion, criteria, expected_time_s, score
from services.decider.domain.vocabulary import Reason
from shared.packs import AutomationLevel, Category, FileBackup, Playbook, Step, Validation
from shared.packs.actions.programs import ProcessAction
from shared.packs.expressions import condition_holds
from shared.packs.parameters import ParameterError, Value

PAGE_A_HUMAN = "page-a-human"
LEAST_CONFIDENCE = 0.3
"""What is less likely isn't even asked about."""
OF_A_SYMPTOM = frozenset({Category.DEPENDENCY_FAILURE, Category.TIMEOUT})
"""What may be done at a caller while the cause lies in its callee: live without it, never restart for it."""
TUNE_PREFIX = "tune-"
TUNE_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Option:
    """One playbook on one component for one cause."""

    component: str
    playbook: str
    spec: Playbook
    cause: Cause
    confidence: float
    threshold: float
    risk: float
    risk_words: str
    risk_max: float
    level: AutomationLevel
    criteria: tuple[Criterion, ...]
    score: float
    expected_success: float
    expected_time_s: float
    risk_terms: dict[str, float] = field(default_factory=dict)
    """What the risk is made of, each 0–1."""
    posterior: tuple[float, float] = (1.0, 1.0)
    """Pseudo-counts of runs that helped and did not."""
    standing: Standing | None = None
    """The right to act alone that it was given, or has lost."""
    follows: bool = False
    """The playbook that failed names it as what follows."""
    failed_before: bool = False
    """It ran in this case and did not help."""
    rejected_because: str = ""


def options(inputs: Inputs) -> list[Option]:
    """All that is worth mentioning, the best first; those with `rejected_because` may not be chosen."""
    found: dict[tuple[str, str], Option] = {}
    for cause, name, playbook, follows in _pairs(inputs):
        target = inputs.targets[cause.component]
        option = _weigh(inputs, target, cause, name, playbook, follows=follows)
        key = (option.component, option.playbook)
        if key not in found or option.score > found[key].score:
            found[key] = option
    return sorted(found.values(), key=_order)


def _order(option: Option) -> tuple[bool, float, bool, str, str]:
    """A playbook made for the component goes before one for any, where they are equal."""
    return (not option.follows, -option.score, not option.spec.components, option.playbook, option.component)


def _pairs(inputs: Inputs) -> Iterable[tuple[Cause, str, Playbook, bool]]:
    case = inputs.case
    if case.requested is not None:
        yield from _requested(inputs, case.requested.playbook)
        return
    if case.tuning is not None:
        yield from _tuning(inputs)
        return
    followup = follow_up(inputs)
    if followup is not None:
        yield (*followup, True)
    for cause in relevant_causes(case):
        target = inputs.targets.get(cause.component)
        if target is None:
            continue
        for name, playbook in target.playbooks.items():
            if is_for(playbook, cause):
                yield cause, name, playbook, False


def relevant_causes(case: Case) -> list[Cause]:
    """A symptom offers only what its own component can do about its dependency."""
    if case.symptom_of is None:
        return list(case.causes)
    return [c for c in case.causes if c.component == case.component and c.category in OF_A_SYMPTOM]


def is_for(playbook: Playbook, cause: Cause) -> bool:
    fits = not playbook.components or cause.component in playbook.components
    return fits and cause.category in playbook.applies_to


def has_remedy(inputs: Inputs, cause: Cause) -> bool:
    """Whether the pack of the cause's component has a playbook for it."""
    target = inputs.targets.get(cause.component)
    return target is not None and any(is_for(playbook, cause) for playbook in target.playbooks.values())


def follow_up(inputs: Inputs) -> tuple[Cause, str, Playbook] | None:
    """The playbook that the one which failed last names in `then`, if its pack has it and it has not failed too."""
    last = inputs.case.last_failure
    target = inputs.targets.get(last.component) if last else None
    if last is None or target is None:
        return None
    failed = target.playbooks.get(last.playbook)
    following = target.playbooks.get(failed.then) if failed is not None and failed.then else None
    if failed is None or failed.then is None or following is None:
        return None
    if (last.component, failed.then) in inputs.case.failed_since_success():
        return None
    causes = [c for c in inputs.case.causes if c.component == last.component and c.category in failed.applies_to]
    causes += [c for c in inputs.case.causes if c.component == last.component]
    return (causes[0], failed.then, following) if causes else None


def _requested(inputs: Inputs, name: str) -> Iterable[tuple[Cause, str, Playbook, bool]]:
    target = inputs.targets.get(inputs.case.component)
    playbook = target.playbooks.get(name) if target else None
    requested = inputs.case.requested
    if playbook is not None and requested is not None:
        cause = Cause(inputs.case.component, playbook.applies_to[0], 1.0, f"request:{name}")
        with suppress(ParameterError):  # its rejection says why
            playbook = playbook.given(requested.parameters)
        yield cause, name, playbook, False


def _tuning(inputs: Inputs) -> Iterable[tuple[Cause, str, Playbook, bool]]:
    """A recommended value becomes a playbook of its own: the knob's action with that value, undone if it hurts."""
    tuning, target = inputs.case.tuning, inputs.targets.get(inputs.case.component)
    knob = next((k for k in target.knobs if tuning and k.name == tuning.knob), None) if target else None
    if tuning is None or target is None or knob is None:
        return
    value = min(max(tuning.value, knob.minimum), knob.maximum)
    setting = knob.apply.file_set
    whole = isinstance(setting.value, int)  # the file's own type: a program that reads whole numbers refuses others
    steps = [Step(file_set=setting.model_copy(update={"value": round(value) if whole else value}))]
    if target.component.process is not None:
        steps.append(Step(process_reload=ProcessAction()))
    playbook = Playbook(
        applies_to=(Category.TUNING,),
        components=(target.name,),
        backup=(FileBackup(file=setting.path),),
        steps=tuple(steps),
        validation=Validation(window_s=TUNE_WINDOW_S, clear="none", error_count_after=0),
        risk=tuning.risk,
    )
    name = TUNE_PREFIX + knob.name.replace("_", "-").lower()
    yield inputs.case.causes[0], name, playbook, False


def _weigh(inputs: Inputs, target: Target, cause: Cause, name: str, playbook: Playbook, *, follows: bool) -> Option:
    record = inputs.record_of(cause.signature, name)
    sure = conf.sureness(cause.confidence, record, target.component.kind, target.policy, inputs.model)
    if inputs.case.requested:
        sure = replace(sure, confidence=cause.confidence)
    risk = risks.assess(playbook, target, inputs.now)
    standing = inputs.standing_of(target.pack, cause.signature, name)
    values = criteria(inputs.case, playbook, record, sure=sure, risk=risk.total, target=target)
    option = Option(
        component=target.name,
        playbook=name,
        spec=playbook,
        cause=cause,
        confidence=sure.confidence,
        threshold=conf.threshold(playbook, target.policy),
        risk=risk.total,
        risk_words=risk.words,
        risk_terms={"actions": risk.actions, **risk.terms},
        risk_max=target.policy.risk_max,
        level=level_of(playbook, standing),
        criteria=values,
        score=score(values),
        expected_success=sure.expected,
        posterior=(sure.helped, sure.failed),
        expected_time_s=round(expected_time_s(playbook, record), 1),
        standing=standing,
        follows=follows,
        failed_before=(target.name, name) in inputs.case.failed_since_success(),
    )
    return replace(option, rejected_because=_rejection(inputs, target, option))


def _rejection(inputs: Inputs, target: Target, option: Option) -> str:
    """Why the option is out of the question in this case; empty when it isn't."""
    case = inputs.case
    if case.requested is not None:
        fits = not option.spec.components or option.component in option.spec.components
        return _unfilled(option.spec, case.requested.parameters) if fits else f"it is not for {option.component}"
    declined = case.declined
    if (
        declined is not None
        and declined.reason is Reason.REJECTED
        and (declined.component, declined.playbook) == (option.component, option.playbook)
    ):
        return f"rejected by {declined.by}"
    if option.spec.when is not None:
        held = condition_holds(option.spec.when, when_context(inputs, target, option.cause))
        if not held:
            return f"its `when` does not hold{f' ({held.error})' if held.error else ''}: {option.spec.when}"
    if unfilled := _unfilled(option.spec, {}):
        return unfilled
    if unmet := _unmet(inputs, target, option):
        return unmet
    if option.failed_before:
        return "tried in this case, and did not help"
    if option.confidence < LEAST_CONFIDENCE:
        return f"only {option.confidence:.0%} sure"
    return ""


def _unfilled(playbook: Playbook, given: Mapping[str, Value]) -> str:
    """Why the playbook can't be run with these values of its parameters; empty when it can."""
    try:
        playbook.given(given)
    except ParameterError as error:
        return str(error)
    return ""


def _unmet(inputs: Inputs, target: Target, option: Option) -> str:
    """The first precondition that is known not to hold. What can't be told from here, the healer looks at itself."""
    context = when_context(inputs, target, option.cause)
    context["params"] = {name: one.default for name, one in option.spec.parameters.items()}
    for one in option.spec.preconditions:
        held = condition_holds(one.that, context)
        if not held and not held.error:
            return f"its precondition `{one.name}` does not hold: {one.that}"
    return ""
