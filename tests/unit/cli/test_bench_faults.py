"""The judge of fault scenarios: what counts as healed, wrong, harmful and byte-exact; and the catalogue's own order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.cli.bench.faults.catalogue import ACTS
from services.cli.bench.faults.fleet import Fleet
from services.cli.bench.faults.injuries.processes import kill
from services.cli.bench.faults.judge import Snapshot, Trial, Verdicts, judge
from services.cli.bench.faults.pack import suite_pack
from services.cli.bench.faults.scenario import Expect, Family, Scenario
from services.cli.bench.faults.summary import report
from shared.contracts.base import CaseEvent, Category
from shared.contracts.decider import Decision, Verdict
from shared.contracts.healer import Outcome, Phase, Result, RunProgress
from shared.packs import Pack
from shared.packs.load import load_pack

STRUCK = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD, BAD, WORSE = b"timeout = 400\n", b"timeout = 4\n", b"timeout = 1\n"
CASE = UUID(int=1)


def at(seconds: float) -> datetime:
    return STRUCK + timedelta(seconds=seconds)


def scenario(expect: Expect, *, at: tuple[str, ...] = ("orders",), most_runs: int = 1) -> Scenario:
    return Scenario(
        name="one",
        family=Family.SINGLE,
        strike=kill("orders"),
        expect=expect,
        at=at,
        playbooks=("restart-crashed",),
        most_runs=most_runs,
    )


def run(
    component: str = "orders",
    result: Result = Result.SUCCEEDED,
    *,
    playbook: str = "restart-crashed",
    begins_s: float = 1.0,
    decision: UUID | None = None,
) -> list[CaseEvent]:
    """A step and an outcome, as the healer tells them."""
    id_ = decision or uuid4()
    common = {"component": component, "case_id": CASE, "decision_id": id_, "playbook": playbook}
    step = RunProgress(at=at(begins_s), phase=Phase.STEP, **common)
    outcome = Outcome(
        at=at(begins_s + 3),
        signature="crash:process-exited",
        category=Category.CRASH,
        confidence=0.9,
        result=result,
        reason="",
        started_at=at(begins_s),
        applied_at=at(begins_s + 0.1),
        finished_at=at(begins_s + 3),
        **common,
    )
    return [step, outcome]


def question(component: str = "orders") -> Decision:
    return Decision(
        at=at(9),
        component=component,
        case_id=CASE,
        decision_id=uuid4(),
        verdict=Verdict.ASK,
        reason="escalated",
        category=Category.CRASH,
        signature="crash:process-exited",
        confidence=0.5,
        threshold=0.85,
        risk=0.2,
        risk_max=0.4,
        mode="auto",
        dry_run=False,
        explanation="",
    )


def verdicts(
    declared: Scenario,
    events: Sequence[CaseEvent],
    *,
    starts: dict[str, int] | None = None,
    config: bytes = GOOD,
    broken: bytes = GOOD,
    left: Sequence[str] = (),
    forbidden_until: datetime | None = None,
    at_rollback: dict[str, bytes] | None = None,
) -> Verdicts:
    before = {"orders": 1, "edge": 1}
    return judge(
        Trial(
            declared,
            STRUCK,
            events,
            before=Snapshot(before, GOOD),
            broken=Snapshot(before, broken),
            after=Snapshot(starts or {"orders": 2, "edge": 1}, config),
            left=left,
            forbidden_until=forbidden_until,
            at_rollback=at_rollback or {},
        )
    )


def test_healed_by_the_right_playbook_is_as_declared_and_timed_from_the_fault() -> None:
    found = verdicts(scenario(Expect.HEALED), run())
    assert (found.as_declared, found.why) == (True, "")
    assert (found.restarted_s, found.validated_s) == (1.1, 4.0)


def test_a_success_that_leaves_customers_without_service_is_not_healed() -> None:
    assert not verdicts(scenario(Expect.HEALED), run(), left=["customers: GET / gives 502"]).as_declared


def test_two_faults_are_healed_when_both_are() -> None:
    declared = scenario(Expect.HEALED, at=("orders", "edge"))
    starts = {"orders": 2, "edge": 2}
    assert not verdicts(declared, run("orders"), starts=starts).as_declared
    assert verdicts(declared, [*run("orders"), *run("edge")], starts=starts).as_declared


def test_acting_on_what_was_no_part_of_the_fault_is_harmful() -> None:
    found = verdicts(scenario(Expect.HEALED), [*run("orders"), *run("edge")])
    assert "acted on edge" in found.harmful


def test_a_start_that_nobody_told_of_is_harmful() -> None:
    found = verdicts(scenario(Expect.HEALED), run(), starts={"orders": 2, "edge": 2})
    assert found.harmful == ("edge was started, and was no part of the fault",)


def test_another_playbook_than_the_one_that_was_meant_is_wrong_but_not_harmful() -> None:
    found = verdicts(scenario(Expect.HEALED), run(playbook="restart-hung"))
    assert found.wrong == ("restart-hung ran on orders",)
    assert not found.harmful


def test_more_runs_than_are_allowed_are_wrong() -> None:
    found = verdicts(scenario(Expect.HEALED), [*run(result=Result.FAILED), *run(begins_s=6)])
    assert found.wrong == ("restart-crashed ran 2 times on orders",)


def test_where_nothing_is_to_be_done_a_question_is_right_and_a_step_is_wrong() -> None:
    declared = scenario(Expect.UNTOUCHED)
    assert verdicts(declared, [question()], starts={"orders": 1}).as_declared
    assert verdicts(declared, run()).wrong


def test_acting_before_it_is_allowed_is_harmful() -> None:
    assert verdicts(scenario(Expect.HEALED), run(begins_s=1), forbidden_until=at(2)).harmful
    assert verdicts(scenario(Expect.HEALED), run(begins_s=3), forbidden_until=at(2)).as_declared


def test_a_rollback_that_leaves_other_bytes_than_there_were_is_harmful() -> None:
    id_ = uuid4()
    events = run(result=Result.ROLLED_BACK, decision=id_)
    declared = scenario(Expect.ROLLED_BACK)
    exact = verdicts(declared, events, broken=BAD, config=BAD, at_rollback={str(id_): BAD})
    assert (exact.as_declared, exact.rollbacks, exact.exact) == (True, 1, 1)
    other = verdicts(declared, events, broken=BAD, config=BAD, at_rollback={str(id_): WORSE})
    assert other.harmful == ("a rollback left other bytes than there were",)


def test_bytes_that_neither_the_system_nor_the_fault_wrote_are_harmful() -> None:
    assert verdicts(scenario(Expect.HEALED), run(), broken=BAD, config=WORSE).harmful


def test_where_nothing_can_help_leaving_it_or_undoing_what_was_tried_is_right() -> None:
    declared, id_ = scenario(Expect.HARMLESS), uuid4()
    undone = run(result=Result.ROLLED_BACK, decision=id_)
    assert verdicts(declared, [], starts={"orders": 1}).as_declared
    assert verdicts(declared, undone, broken=BAD, config=BAD, at_rollback={str(id_): BAD}).as_declared
    assert not verdicts(declared, run(), broken=BAD, config=GOOD).as_declared


def test_escalated_means_tried_and_then_asked() -> None:
    declared = scenario(Expect.ESCALATED)
    assert verdicts(declared, [*run(result=Result.FAILED), question()]).as_declared
    assert not verdicts(declared, [question()]).as_declared
    assert not verdicts(declared, run(result=Result.FAILED)).as_declared


def test_the_table_counts_families_and_says_what_was_not_as_declared() -> None:
    good = verdicts(scenario(Expect.HEALED), run())
    bad = verdicts(scenario(Expect.HEALED), [])
    made = report([good, bad])
    whole = next(row for row in made.rows if row.what == "all")
    assert (whole.figures["n"], whole.figures["as declared"], whole.figures["healed %"]) == (2, 1, 50)
    assert "not healed within" in made.notes


# ---- the catalogue

EVERY = [scenario for scenarios in ACTS.values() for scenario in scenarios]


def test_there_are_at_least_forty_scenarios_of_every_family_and_their_names_differ() -> None:
    assert len(EVERY) >= 40
    assert {one.family for one in EVERY} == set(Family)
    assert len({one.name for one in EVERY}) == len(EVERY)
    assert 6 <= sum(one.quick for one in EVERY) <= 10


@pytest.fixture(scope="module")
def pack() -> Pack:
    """The suite's, with everything that any act has in it."""
    return Fleet("test").adapted()(suite_pack(load_pack(Path("packs/shop.yaml"), {"data_dir": "/srv/shop"})))


def test_scenarios_name_components_and_playbooks_of_their_pack(pack: Pack) -> None:
    for one in EVERY:
        adapted = one.pack(pack) if one.pack else pack
        assert set(one.at) <= {*adapted.components, f"estate-{adapted.pack}"}, one.name
        assert set(one.playbooks) <= set(adapted.playbooks), one.name
        for name in one.to_heal if one.expect is Expect.HEALED else ():
            books = [adapted.playbooks[book] for book in one.playbooks]
            assert any(not book.components or name in book.components for book in books), (one.name, name)


def test_a_pack_that_is_written_out_whole_reads_back(pack: Pack) -> None:
    assert Pack.model_validate(pack.model_dump(mode="json", by_alias=True)) == pack
