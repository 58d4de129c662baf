"""Playbooks practised on a target that really runs: what they mend, and whether their way back leads back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from services.decider.domain import Reason, Verdict
from services.decider.handlers import PracticeBook
from services.healer.app import build
from services.healer.settings import Settings
from shared.bus.streams import STATE
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import (
    ListPractices,
    Message,
    Outcome,
    PracticeReport,
    Practices,
    PracticesBegun,
    Practised,
    RunProgress,
    StartPractice,
)
from shared.packs.model import Pack
from shared.packs.practice import spec_hash
from shared.runtime import Service
from tests.conftest import Platform
from tests.integration.healer.story import CONFIG, Listener, World, now, until
from tests.unit.decider import scenes

BAD = CONFIG.replace(b"800", b"1")
RESTORE = {"file.restore_last_good": {"path": "${component.config_path}"}}
SET = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 800}}
STEP = {
    "config.step": {
        "path": "${component.config_path}",
        "key": "upstream.timeout_ms",
        "multiply": 2,
        "min": 1,
        "max": 900,
    }
}
RESTART: dict[str, object] = {"process.restart": {}}
START: dict[str, object] = {"process.start": {}}
WRITE_BAD = {"file.write": {"path": "${component.config_path}", "content": BAD.decode()}}
SET_BAD = {"file.set": {"path": "${component.config_path}", "key": "upstream.timeout_ms", "value": 1}}


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[World]:
    """The practice target: like the component in production, and nobody needs it."""
    made = World(tmp_path / "spare", name="spare")
    yield made
    made.end()


@asynccontextmanager
async def healer(
    platform: Platform, pack: dict[str, Any], listener: Listener, **more: object
) -> AsyncIterator[Service]:
    service = build(platform.settings(Settings, **more))
    body = Pack.model_validate(pack).model_dump(mode="json", by_alias=True)
    await listener.publish(PackApplied(at=now(), pack="test", version=1, applied_by="test", body=body))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def pack_of(
    world: World, spare: World, *steps: dict[str, Any], practice: dict[str, Any], **more: Any
) -> dict[str, Any]:
    spare.component = spare.component.model_copy(update={"practice": True})
    return {
        "pack": "test",
        "mode": "auto",
        "components": {one.name: one.component.model_dump(mode="json") for one in (world, spare)},
        "playbooks": {
            "mend": {
                "for": ["configuration"],
                "automation_level": "full-auto",
                "steps": list(steps),
                "practice": {"target": spare.name, "window_s": 0.2, **practice},
                **more,
            }
        },
    }


async def practised(listener: Listener) -> PracticeReport:
    """Asks for the practice of `mend` and waits for its end."""
    begun = await listener.ask("practice", StartPractice(playbook="mend", by="ann"), PracticesBegun)
    found: list[PracticeReport] = []

    async def over() -> bool:
        found[:] = [
            one
            for one in (await listener.ask("practices", ListPractices(), Practices)).practices
            if one.practice_id == begun.begun[0].practice_id and one.verdict is not None
        ]
        return bool(found)

    await until(over, within_s=240)
    return found[0]


async def newest_fact(listener: Listener) -> Practised:
    """What everybody else hears of the practice."""
    found: list[Practised] = []

    async def told() -> bool:
        with suppress(NotFoundError):
            message = await listener.client.jetstream().get_last_msg(STATE, "state.healer.practice.v1.*")
            found.append(Practised.model_validate_json(message.data or b""))
        return bool(found)

    await until(told, within_s=120)
    return found[-1]


async def test_a_playbook_that_mends_and_leads_back_passes_and_nobody_outside_hears_of_its_runs(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    pack = pack_of(world, spare, RESTORE, RESTART, practice={"fault": [WRITE_BAD]})
    async with healer(platform, pack, listener):
        report = await practised(listener)
        fact = await newest_fact(listener)
    assert (report.verdict, report.way_back, report.by) == ("passed", "proven", "ann"), report.reason
    assert [one.status for one in report.rounds] == ["succeeded", "rolled-back"]
    path = f"file:{spare.config}"
    helping, returning = report.rounds
    assert helping.before[path] == helping.after[path] != helping.broken[path]
    assert returning.after[path] == returning.broken[path]
    assert (fact.passed, fact.playbook, fact.practice_id) == (True, "mend", report.practice_id)
    assert fact.spec_hash == spec_hash(Pack.model_validate(pack).playbooks["mend"])
    assert spare.config.read_bytes() == world.config.read_bytes() == CONFIG
    assert len(spare.running()) == 1
    assert not world.running(), "production was not touched"
    assert not await listener.all_of(Outcome)
    assert not await listener.all_of(RunProgress)


async def test_a_practice_needs_no_lease_tells_nobody_and_asks_nothing_of_its_surroundings(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    """A newer lease of its target fences off runs under an older one; a practice runs under none."""
    never = [{"name": "in-trouble", "that": "health.status == 'critical'"}]
    tell = {"notify.send": {"channel": "ops", "message": "mending"}}
    restart = {**RESTART, "rollback": START}
    practice = {"fault": [SET_BAD]}
    more = {"preconditions": never, "success_criteria": never}
    pack = pack_of(world, spare, tell, SET, restart, practice=practice, **more)
    async with healer(platform, pack, listener):
        connection = await platform.connect_postgres("healer")
        await connection.execute("insert into fences (component, epoch) values ($1, 7)", spare.name)
        await connection.close()
        report = await practised(listener)
    assert (report.verdict, report.way_back) == ("passed", "proven"), report.reason
    assert not await listener.all_of(Message)


async def test_a_way_back_that_leads_elsewhere_is_caught_and_never_taken_without_a_person(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    """The program writes a file of its own when it ends, which the rollback doesn't know of."""
    kept = spare.folder / "kept"
    kept.touch()
    program = f"trap 'cat {spare.config} >> {kept}; exit' TERM; echo $$ >> {spare.starts}; while :; do sleep 0.05; done"
    process = spare.process.model_copy(update={"command": ("sh", "-c", program)})
    spare.component = spare.component.model_copy(update={"process": process})
    practice = {"fault": [SET_BAD], "state": [{"file": str(kept)}], "expect": "changed"}
    pack = pack_of(world, spare, SET, RESTART, practice=practice, risk=0.1)
    async with healer(platform, pack, listener):
        report = await practised(listener)
        fact = await newest_fact(listener)
    assert report.verdict == "failed", report.reason
    assert report.rounds[1].status == "rolled-back", "the healer itself believed it"
    assert report.reason == f"said to be rolled back, but file:{kept} is not as it was before the playbook"
    book = PracticeBook()
    await book.seen(fact.slug, fact)
    known = Pack.model_validate(pack)
    trouble = scenes.case(scenes.cause("configuration", component=world.name), component=world.name)
    alone, practised_ = (
        scenes.ruled(trouble, scenes.target(world.name, playbooks=known.playbooks, practised=facts))
        for facts in ({}, book.of("test"))
    )
    assert alone.verdict is Verdict.EXECUTE
    assert (practised_.verdict, practised_.reason) == (Verdict.ASK, Reason.NOT_PRACTISED)


async def test_a_start_that_cant_be_taken_back_passes_when_it_says_so(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    pack = pack_of(world, spare, START, practice={"fault": [{"process.kill": {}}]})
    async with healer(platform, pack, listener):
        report = await practised(listener)
    assert (report.verdict, report.way_back) == ("passed", "impossible"), report.reason
    assert [one.status for one in report.rounds] == ["succeeded", "failed"]
    assert len(spare.running()) == 1


async def test_one_step_of_a_number_need_only_change_it(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    pack = pack_of(world, spare, STEP, practice={"fault": [SET_BAD], "expect": "changed"})
    async with healer(platform, pack, listener):
        report = await practised(listener)
    assert (report.verdict, report.way_back) == ("passed", "proven"), report.reason
    assert spare.config.read_bytes() == CONFIG


async def test_a_playbook_that_does_not_mend_its_own_fault_fails(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    pack = pack_of(world, spare, RESTART, practice={"fault": [SET_BAD]})
    async with healer(platform, pack, listener):
        report = await practised(listener)
    assert report.verdict == "failed"
    assert f"file:{spare.config} is not as it was before the fault" in report.reason


@pytest.mark.parametrize("fault", ["of production", "step of production", "not a practice target"])
async def test_production_can_not_be_practised_on(
    platform: Platform, listener: Listener, world: World, spare: World, fault: str
) -> None:
    at_home = {"file.set": {"path": str(world.config), "key": "upstream.timeout_ms", "value": 800}}
    broken = {"file.write": {"path": str(world.config), "content": "x"}} if fault == "of production" else SET_BAD
    pack = pack_of(world, spare, at_home if fault == "step of production" else SET, practice={"fault": [broken]})
    if fault == "not a practice target":
        pack["components"][spare.name]["practice"] = False
    async with healer(platform, pack, listener):
        client = await platform.connect_nats("gateway")
        order = StartPractice(playbook="mend", by="ann").model_dump_json().encode()
        refused = (await client.request("cmd.healer.practice", order, timeout=60)).headers or {}
        await client.close()
    wanted = "no practice target" if fault == "not a practice target" else "which web has too"
    assert wanted in refused["Homeostat-Error"]
    assert world.config.read_bytes() == CONFIG


async def test_the_schedule_practises_what_is_due(
    platform: Platform, listener: Listener, world: World, spare: World
) -> None:
    pack = pack_of(world, spare, SET, practice={"fault": [SET_BAD]})
    pack["policy"] = {"practice_every_days": 7}
    found: list[PracticeReport] = []

    async def over() -> bool:
        found[:] = (await listener.ask("practices", ListPractices(), Practices)).practices
        return bool(found) and all(one.verdict for one in found)

    async with healer(platform, pack, listener):
        await until(over, within_s=240)
    assert [(one.by, one.verdict) for one in found] == [("schedule", "passed")]
