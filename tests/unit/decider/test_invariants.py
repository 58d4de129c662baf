"""What no input whatever may bring about."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.decider.domain import (
    Approval,
    Case,
    CaseKind,
    Cause,
    Declined,
    Forecast,
    Group,
    Inputs,
    Ledger,
    Moment,
    Reason,
    Record,
    Requested,
    Result,
    Ruling,
    Standing,
    Target,
    Tried,
    Verdict,
    decide,
)
from services.decider.domain.confidence import shifted
from services.decider.domain.model import ConfidenceModel
from services.decider.domain.pacing import LONGEST_RETRY_S, retry_s
from services.decider.domain.record import dump_inputs, load_inputs
from services.decider.domain.scoring import shares_of
from services.decider.domain.strategy import STRATEGIES
from shared.packs import AutomationLevel, Category, Component, FreezeWindow, Mode, Playbook, Policy, Weights
from tests.unit.decider import scenes
from tests.unit.decider.scenes import NOW

NAMES = ("a", "b")
BOOKS = ("p", "q", "r")
STEPS = (
    {"process.restart": {}},
    {"process.start": {}},
    {"file.set": {"path": "/f", "key": "k", "value": 1}},
    {"http.call": {"url": "http://x"}},
)
share = st.floats(0, 1)

weights = st.builds(
    Weights,
    benefit=st.floats(0.01, 100),
    **{name: st.floats(0, 100) for name in ("confidence", "risk", "cost", "reversibility", "time")},
)

models = st.builds(
    ConfidenceModel, prior_runs=st.floats(1, 64), doubt=st.floats(0.01, 0.5), slope=st.floats(0.1, 3),
    offset=st.floats(-3, 3),
)  # fmt: skip

playbooks = st.builds(
    lambda levels, steps, risk, threshold, then, when: Playbook.model_validate(
        {
            "for": ["crash", "dependency-failure", "resource-exhaustion"],
            "automation_level": levels,
            "steps": steps,
            "risk": risk,
            "confidence": threshold,
            "then": then,
            "when": when,
        }
    ),
    st.sampled_from(AutomationLevel),
    st.lists(st.sampled_from(STEPS), min_size=1, max_size=3),
    st.none() | share,
    st.none() | share,
    st.sampled_from([None, "page-a-human", "q", "gone"]),
    st.sampled_from([None, "true", "case.attempts < 2", "nonsense("]),
)
policies = st.builds(
    Policy,
    confidence=share,
    confidence_reversible=share,
    risk_max=share,
    actions_per_hour=st.integers(0, 4),
    max_targets_at_once=st.integers(1, 3),
    max_attempts=st.integers(1, 4),
    min_healthy=st.sampled_from([{}, {"web": 0.5}, {"web": 1.0}]),
    freeze=st.sampled_from([(), ("Wed 11:00/Wed 13:00",), ("Thu 11:00/Fri 13:00",)]),
    earn_auto_after_runs=st.sampled_from([None, 5]),
    strategy=st.sampled_from(STRATEGIES),
    confidence_model=st.sampled_from(["posterior", "record-shift"]),
)
ledgers = st.builds(
    Ledger,
    granted_last_hour=st.integers(0, 5),
    busy_targets=st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, max_size=4).map(tuple),
    cooling_until=st.dictionaries(
        st.sampled_from(BOOKS), st.integers(-60, 60).map(lambda s: NOW + timedelta(seconds=s)), max_size=2
    ),
    asked_elsewhere=st.lists(st.sampled_from(BOOKS), max_size=2).map(tuple),
    incident_open=st.booleans(),
)


@st.composite
def inputs(draw: st.DrawFn) -> Inputs:
    targets = {
        name: Target(
            name=name,
            pack="shop",
            pack_version=1,
            mode=draw(st.sampled_from(Mode)),
            component=Component(),
            policy=draw(policies),
            playbooks=draw(st.dictionaries(st.sampled_from(BOOKS), playbooks, max_size=3)),
            dependents=draw(st.integers(0, 5)),
            others=5,
            health=draw(st.sampled_from(["healthy", "critical", "unknown"])),
            group=draw(st.none() | st.builds(Group, st.just("web"), st.just(4), st.integers(0, 3), st.integers(0, 2))),
            ledger=draw(ledgers),
        )
        for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
    }
    kind = draw(st.sampled_from([CaseKind.INCIDENT, CaseKind.PREDICTION, CaseKind.REQUEST]))
    causes = st.builds(
        Cause,
        st.sampled_from(NAMES),
        st.sampled_from([Category.CRASH, Category.DEPENDENCY_FAILURE, Category.UNKNOWN]),
        share,
        st.sampled_from(["s", "t"]),
    )
    runs = st.builds(Tried, st.sampled_from(BOOKS), st.sampled_from(NAMES), st.sampled_from(Result))
    forecast = st.builds(Forecast, st.just("m"), st.sampled_from(Moment), st.floats(0, 1e4), share)
    case = Case(
        id=UUID(int=1),
        kind=kind,
        component="a",
        opened_at=NOW - timedelta(seconds=draw(st.integers(0, 2_000))),
        is_open=draw(st.booleans()),
        causes=tuple(draw(st.lists(causes, max_size=3))),
        symptom_of=draw(st.none() | st.just(UUID(int=9))),
        culprit_unaided=draw(st.booleans()),
        forecast=draw(forecast) if kind is CaseKind.PREDICTION else None,
        requested=Requested(draw(st.sampled_from(BOOKS)), "ann") if kind is CaseKind.REQUEST else None,
        tried=tuple(draw(st.lists(runs, max_size=5))),
        declined=draw(
            st.none()
            | st.builds(
                Declined,
                st.sampled_from([Reason.REJECTED, Reason.EXPIRED]),
                st.sampled_from(BOOKS),
                st.sampled_from(NAMES),
            )
        ),
    )
    records = st.builds(
        lambda s, p, runs, rate: Record(s, p, runs, round(runs * rate), rate, (rate - 0.5) * 0.2),
        st.sampled_from(["s", "t"]),
        st.sampled_from(BOOKS),
        st.integers(0, 30),
        share,
    )
    approvals = st.builds(Approval, st.just("ann"), st.sampled_from(BOOKS), st.sampled_from(NAMES))
    return Inputs(
        now=NOW,
        case=case,
        targets=targets,
        records=tuple(draw(st.lists(records, max_size=3))),
        switched_off=draw(st.booleans()),
        approval=draw(st.none() | approvals),
    )


@settings(max_examples=200, deadline=None)
@given(inputs())
def test_nothing_runs_that_may_not(given_inputs: Inputs) -> None:
    ruling = decide(given_inputs)
    if ruling.verdict is not Verdict.EXECUTE:
        return
    option, case = ruling.option, given_inputs.case
    assert option is not None
    target = given_inputs.targets[ruling.component]
    ledger, policy = target.ledger, target.policy
    assert case.is_open
    assert not given_inputs.switched_off
    assert target.mode is not Mode.OBSERVE
    assert target.name not in ledger.busy_targets
    assert ledger.granted_last_hour < policy.actions_per_hour
    assert len(ledger.busy_targets) < policy.max_targets_at_once
    assert not any(FreezeWindow.parse(window).covers(NOW) for window in policy.freeze)
    if given_inputs.approval is None and case.kind is not CaseKind.REQUEST:
        assert ruling.reason is Reason.ACT
        assert target.mode is Mode.AUTO
        assert option.confidence >= option.threshold
        assert option.risk <= policy.risk_max
        assert ledger.cooling_until.get(option.playbook, NOW) <= NOW
        assert sum(one.result is not Result.SKIPPED for one in case.tried) < policy.max_attempts
    else:
        assert ruling.decided_by == "ann"


@settings(max_examples=200, deadline=None)
@given(
    sure=share, runs=st.integers(0, 10_000), below=st.floats(0, 0.999), risk=st.floats(0.05, 1),
    threshold=share, strategy=st.sampled_from(STRATEGIES), earned=st.booleans(), model=models, weighed=weights,
)  # fmt: skip
def test_no_confidence_buys_off_the_risk_limit(
    sure: float, runs: int, below: float, risk: float, threshold: float, strategy: str, earned: bool,
    model: ConfidenceModel, weighed: Weights,
) -> None:  # fmt: skip
    """However sure the diagnosis, however good the record, whatever the threshold, the strategy, the weights, the model
    and the rights that were earned: what is riskier than the limit is asked about, and a surer one all the same."""
    record = Record("crash:pattern", "restart", runs, runs, 1.0, 0.1)
    right = Standing("shop", "crash:pattern", "restart", Mode.AUTO, NOW, words="earned")

    def decided(risk_max: float, confidence: float) -> Ruling:
        policy = {"risk_max": risk_max, "confidence": threshold, "confidence_reversible": threshold,
                  "strategy": strategy, "weights": weighed.model_dump()}  # fmt: skip
        books = scenes.playbooks(restart=scenes.RESTART | {"risk": risk}, other=scenes.RESTART | {"risk": risk})
        return scenes.ruled(
            scenes.case(scenes.cause(confidence=confidence)), scenes.target(policy=policy, playbooks=books),
            records=(record,), standings=(right,) if earned else (), model=model,
        )  # fmt: skip

    taken = decided(1.0, sure).option
    assume(taken is not None)
    assert taken is not None
    for confidence in (sure, 1.0):
        ruling = decided(taken.risk * below, confidence)
        assert (ruling.verdict, ruling.reason) == (Verdict.ASK, Reason.RISK_TOO_HIGH)


@settings(max_examples=40, deadline=None)
@given(inputs())
def test_a_decision_is_made_again_from_its_record(given_inputs: Inputs) -> None:
    ruling = decide(given_inputs)
    again = decide(load_inputs(dump_inputs(given_inputs)))
    assert again == ruling


@settings(max_examples=40, deadline=None)
@given(inputs())
def test_every_ruling_explains_itself(given_inputs: Inputs) -> None:
    ruling = decide(given_inputs)
    assert ruling.explanation
    assert 0.0 <= ruling.confidence <= 1.0
    assert 0.0 <= ruling.risk <= 1.0
    assert ruling.dry_run == (ruling.verdict is Verdict.OBSERVE and ruling.option is not None)
    if ruling.verdict is Verdict.ASK:
        assert ruling.expires_s
    for option in ruling.considered:
        assert 0.0 <= option.score <= 1.0


@given(share, st.integers(1, 100), share)
def test_with_a_record_confidence_stays_between_half_and_one(base: float, runs: int, rate: float) -> None:
    record = Record("s", "p", runs, round(runs * rate), rate, (rate - 0.5) * 0.2)
    assert 0.5 <= shifted(base, record) <= 1.0


@given(st.integers(0, 10_000))
def test_retries_are_bounded(tries: int) -> None:
    assert 0 < retry_s(tries) <= LONGEST_RETRY_S


@settings(deadline=None)
@given(weights)
def test_whatever_the_weights_their_shares_add_up_to_one(declared: Weights) -> None:
    assert abs(sum(shares_of(declared).values()) - 1.0) < 1e-5


@settings(max_examples=60, deadline=None)
@given(share, share, st.integers(0, 30), st.integers(0, 30), policies)
def test_a_surer_diagnosis_never_turns_an_action_into_none(
    one: float, other: float, good: int, bad: int, policy: Policy
) -> None:
    less, more = sorted((one, other))
    books = {"p": Playbook.model_validate({"for": ["crash"], "automation_level": "full-auto", "steps": [STEPS[0]]})}
    record = Record("s", "p", good + bad, good, good / (good + bad or 1), 0.0)

    def verdict(sure: float) -> Verdict:
        cause = Cause("a", Category.CRASH, round(sure, 3), "s")
        case = Case(id=UUID(int=1), kind=CaseKind.INCIDENT, component="a", opened_at=NOW, causes=(cause,))
        home = Target("a", "shop", 1, Mode.AUTO, Component(), policy, books, health="critical")
        return decide(Inputs(now=NOW, case=case, targets={"a": home}, records=(record,))).verdict

    if verdict(less) is Verdict.EXECUTE:
        assert verdict(more) is Verdict.EXECUTE
