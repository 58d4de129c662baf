"""How far decisions may be trusted, as the decider tells it: their reasons, and what people make of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue

from shared.contracts.base import CaseEvent, Event, Probability, Token, Wire
from shared.contracts.decider import Alternative, Counterfactual, Verdict
from shared.packs.model import AutomationLevel, Mode


class Explain(Wire):
    """Asks for all that a decision rests on (`cmd.decider.explain`)."""

    decision_id: UUID | None = None
    """By default the newest."""


class Constraint(Wire):
    """One limit on the run that was looked at; `rule` is the reason that is given where it isn't kept."""

    rule: str
    limit: str
    kept: bool
    words: str = ""


class Objectives(Wire):
    """What the pack wants: the weights of the criteria (shares of all), and what the component owes its users."""

    weights: dict[str, float]
    criticality: str
    availability: float | None = None
    latency_p99_ms: float | None = None


class Explained(Wire):
    """Reply to `Explain`: made from the decision's stored inputs, as recomputing it is."""

    decision_id: UUID
    at: AwareDatetime
    component: Token
    verdict: Verdict
    reason: str
    rule: str
    """What the reason means, in words."""
    decided_by: str
    playbook: str | None
    confidence: Probability
    threshold: Probability
    risk: Probability
    risk_max: Probability
    probability: Probability
    """With which the strategy takes this playbook in such a case."""
    objectives: Objectives | None = None
    """None where the component is in no pack."""
    constraints: tuple[Constraint, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    evidence: tuple[str, ...] = ()
    counterfactual: Counterfactual | None = None
    expected_outcome: str
    actual_outcome: dict[str, JsonValue] | None = None
    explanation: str
    model_version: Annotated[int, Field(ge=0)] = 0
    """Of the model of confidence; 0 is the one that comes with Homeostat."""


# ---- earned autonomy


class AutonomyEvidence(Wire):
    """Runs of the playbook on the problem; `low` is the lower end of the 95 % interval of the success rate."""

    runs: Annotated[int, Field(ge=0)]
    helped: Annotated[int, Field(ge=0)]
    low: Probability
    spent: Annotated[int, Field(ge=0)]
    budget: Annotated[int, Field(ge=1)]


class AutonomyChanged(Event):
    """A playbook was given, or lost, the right to act alone on a problem: a decision of its own, with its evidence."""

    SUBJECT: ClassVar[str] = "decider.autonomy.v1"
    KEY: ClassVar[str] = "pack"

    pack: Token
    signature: str
    playbook: str
    level: Mode
    """`auto`: it may; `assist`: a person approves each run."""
    before: Mode
    reason: str
    """`earned`, `error-budget-spent` or `by-person`."""
    by: str
    words: str = ""
    evidence: AutonomyEvidence
    cooling_until: AwareDatetime | None = None
    """It is not earned again before."""
    decision_id: UUID | None = None
    """Whose run turned it."""


class AutonomyRequest(Wire):
    """Asks where playbooks stand (`cmd.decider.autonomy`)."""

    pack: Token | None = None


class AutonomyStanding(Wire):
    """Where a playbook stands on the ladder observe → assist → auto for one problem."""

    pack: Token
    playbook: str
    signature: str
    """Empty: on every problem on which nothing was given or lost."""
    rung: Mode
    mode: Mode
    """Of its pack, above which no playbook stands."""
    declared: AutomationLevel
    reason: str = ""
    by: str = ""
    words: str = ""
    since: AwareDatetime | None = None
    cooling_until: AwareDatetime | None = None
    evidence: AutonomyEvidence | None = None


class Autonomy(Wire):
    """Reply to `AutonomyRequest`."""

    standings: tuple[AutonomyStanding, ...]


class SetAutonomy(Wire):
    """A person gives or takes the right to act alone (`cmd.decider.set-autonomy`)."""

    pack: Token
    playbook: str
    signature: Annotated[str, Field(min_length=1, max_length=500)]
    level: Literal[Mode.ASSIST, Mode.AUTO]
    by: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=3, max_length=1024)]


# ---- a person's override


class Override(Wire):
    """A person replaces what was decided (`cmd.decider.override`): `execute` with this or another playbook, or
    `abstain`. What can no longer be turned is kept as a label to learn from."""

    decision_id: UUID
    verdict: Literal[Verdict.EXECUTE, Verdict.ABSTAIN]
    playbook: str | None = None
    """To be run instead; by default the decision's own."""
    by: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=3, max_length=1024)]
    permissions: tuple[str, ...] = ()
    """What that person may do of what playbooks ask for in `required_permissions`; `*`: all of it."""


class Overridden(CaseEvent):
    """A person's word on a decision, for the timeline and to learn from; also the reply to `Override`."""

    SUBJECT: ClassVar[str] = "decider.override.v1"

    decision_id: UUID
    signature: str
    was: Verdict
    was_playbook: str | None = None
    verdict: Verdict
    playbook: str | None = None
    by: str
    reason: str
    applied: bool
    """It changed what is done; otherwise it is a label only."""
    helped: bool | None = None
    """What the person says of the run that there was; None: there was none."""


# ---- what acting is worth, and how often decisions are right


class CreditRequest(Wire):
    """Asks what acting was worth beside leaving alone (`cmd.decider.credit`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 365


class CreditArm(Wire):
    cases: Annotated[int, Field(ge=0)]
    over_in_time: Probability
    """Share of the cases that were over within the time that was looked at, weighted by their probability."""


class CreditEffect(Wire):
    """How much more often a case was over in time because it was acted on, with its 95 % interval."""

    playbook: str
    """Empty: all of them."""
    acted: CreditArm
    held_off: CreditArm
    effect: float
    low: float
    high: float


class Credit(Wire):
    """Reply to `CreditRequest`; without effects while an arm has no case yet."""

    cases: Annotated[int, Field(ge=0)]
    effects: tuple[CreditEffect, ...] = ()


class AccuracyRequest(Wire):
    """Asks how often decisions were right, and how many needed no person (`cmd.decider.accuracy`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 365


class Share(Wire):
    """`part` of `whole`, with the 95 % interval of the share; null without any."""

    part: Annotated[int, Field(ge=0)]
    whole: Annotated[int, Field(ge=0)]
    share: Probability | None = None
    low: Probability | None = None
    high: Probability | None = None


class Accuracy(Wire):
    """Reply to `AccuracyRequest`, from what was recorded alone. What calls for action: a run, or a question to a
    person; what is only observed, or waits, counts in none."""

    right: Share
    """Of the decisions to act whose truth is known, those whose run helped and that nobody overruled."""
    automated: Share
    """Of the decisions that called for action, those that were made and done without a person."""
    with_a_person: Share
    """Of all runs and questions, people's own requests included, those in which a person took part."""


# ---- strategies


class StrategiesRequest(Wire):
    """Asks what each way to choose among safe playbooks is worth (`cmd.decider.strategies`)."""

    days: Annotated[float, Field(gt=0, le=3_650)] = 90


class StrategyWorth(Wire):
    """A strategy on the recorded choices: the share in which what it takes helps, with 95 % intervals."""

    strategy: str
    own: Share
    """Of the choices that it made itself, those that helped."""
    value: float
    """Doubly robust: what was foretold of what it takes, corrected by the errors made about what was taken."""
    low: float
    high: float
    snips: float
    """From what was taken alone, weighted by how much likelier this strategy would have taken it."""
    snips_low: float
    snips_high: float
    seen: Probability
    """Share of its choices that those which ran might have made too; of the rest only what was foretold is known."""


class PlaybookTried(Wire):
    """A playbook that was taken where others might have been."""

    signature: str
    playbook: str
    helped: Share


class Strategies(Wire):
    """Reply to `StrategiesRequest`, the worthiest first; without strategies while nothing was ever chosen."""

    choices: Annotated[int, Field(ge=0)]
    """Runs that have ended, where several playbooks might have been run alone."""
    strategies: tuple[StrategyWorth, ...] = ()
    playbooks: tuple[PlaybookTried, ...] = ()


# ---- models


class ModelsRequest(Wire):
    """Asks for the versions of the model of confidence (`cmd.decider.models`)."""


class DecisionModel(Wire):
    """One version: its parameters, the runs that it was made from, and how it foretold later ones beside the model that
    was in force."""

    version: Annotated[int, Field(ge=1)]
    parameters: dict[str, float]
    training_data: dict[str, JsonValue]
    performance_metrics: dict[str, JsonValue]
    active: bool
    deployed_at: AwareDatetime | None = None
    created_at: AwareDatetime


class DecisionModels(Wire):
    """Reply to `ModelsRequest`, newest first. `active` 0: the model that comes with Homeostat."""

    active: Annotated[int, Field(ge=0)]
    models: tuple[DecisionModel, ...] = ()


class Train(Wire):
    """Has a model fitted to recorded runs (`cmd.decider.train`)."""

    activate: bool = False
    """Put it in force at once, if it foretells later runs better than the present one."""


class UseModel(Wire):
    """Puts a version in force (`cmd.decider.use-model`)."""

    version: Annotated[int, Field(ge=0)]
    """0: the model that comes with Homeostat."""
