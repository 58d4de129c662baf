"""What a played scenario is worth: seen in time, explained rightly, nobody else blamed, and over when it is over."""

from __future__ import annotations

from dataclasses import dataclass

from services.cli.bench._patterns_player import Moment, Played, Told
from services.cli.bench._patterns_suite import Label, Scenario
from services.diagnoser.domain import Diagnosis


@dataclass(frozen=True, slots=True)
class Verdict:
    """`said`: what the product took for the cause. `wrong`: what is amiss, in words; nothing: all is well."""

    scenario: str
    group: str
    detected: bool
    classified: bool
    delay_s: float | None
    said: str
    wrong: tuple[str, ...] = ()


def moments(label: Label) -> tuple[float, float]:
    """When a diagnosis must be right (at its deadline, or when the failure ends), and when the failure ends."""
    return min(label.onset + label.deadline_s, label.recovered), label.recovered


def judge(scenario: Scenario, played: Played) -> Verdict:
    """Of a scenario with a label."""
    label = scenario.label
    assert label is not None
    first = min((each.opened_now for each in _of(label, played)), default=None)
    detected = first is not None and first <= label.onset + label.deadline_s
    best = _best(label, played.moments[0])
    classified = (
        detected and best is not None and best.best.component == label.component and best.best.category in label.causes
    )
    said = f"{best.best.component}: {best.best.category.value} {best.best.confidence:.2f}" if best else "nothing"
    wrong = [] if detected else ["not detected in time"]
    if detected and not classified:
        wrong.append(f"taken for {said}")
    wrong += _amiss(label, played)
    delay_s = first - label.onset if detected and first is not None else None
    return Verdict(scenario.name, scenario.group, detected, classified, delay_s, said, tuple(wrong))


def _of(label: Label, played: Played) -> list[Told]:
    return [
        each for each in played.incidents if each.seen.component == label.component and each.opened_now >= label.onset
    ]


def _best(label: Label, moment: Moment) -> Diagnosis | None:
    """The surest diagnosis of the component that isn't told as a symptom of another: what a reader takes for the
    cause, and what is acted on."""
    own = [each for each in moment.diagnoses if each.component == label.component]
    causes = [each for each in own if each.symptom_of is None] or own
    return max(causes, key=lambda each: each.best.confidence, default=None)


def _amiss(label: Label, played: Played) -> list[str]:
    wrong = []
    early = [each for each in played.incidents if each.opened_now < label.onset]
    if early:
        wrong.append(f"{_words(early)} before anything was wrong")
    at_its_end = {found.incident_id: found for found in played.moments[1].diagnoses}
    blamed = [
        each
        for each in played.incidents
        if each not in early and _is_blamed(each, at_its_end.get(each.seen.id) or each.diagnosis, label)
    ]
    if blamed:
        wrong.append(f"{_words(blamed)} though innocent")
    left = [each for each in played.incidents if each.resolved_now is None]
    if left:
        wrong.append(f"{_words(left)} still open after recovery")
    if label.severity and not any(each.worst == label.severity for each in _of(label, played)) and _of(label, played):
        wrong.append(f"not told as {label.severity}")
    return wrong


def _is_blamed(told: Told, found: Diagnosis | None, label: Label) -> bool:
    """An incident of somebody else that isn't explained by the culprit, while that is in trouble."""
    if told.seen.component in (label.component, *label.also):
        return False
    return found is None or (found.symptom_of is None and found.best.component != label.component)


def _words(told: list[Told]) -> str:
    return ", ".join(sorted({f"{each.seen.component} {each.seen.pattern}" for each in told}))
