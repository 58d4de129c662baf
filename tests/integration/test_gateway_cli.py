"""The command line against a real gateway: what a person at a terminal sees and can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.bench._patterns_suite import scenarios
from shared.contracts.base import Category
from shared.contracts.decider import Answer, Answered, Verdict
from shared.contracts.detector import Transition
from shared.contracts.ingest import Check, CheckKind, CheckResult
from shared.outbox import Unit
from tests.conftest import Platform
from tests.integration.test_gateway import ADMIN, PACK, Gateway, decision, incident, peer, started, tell_story

Eventually = Callable[..., Awaitable[None]]
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[Gateway]:
    async with started(platform) as running:
        yield running


@pytest.fixture
def homeostat(gateway: Gateway) -> Run:
    """Runs a command as a person would, in a thread, so that the gateway in this loop can answer."""

    async def run(*arguments: str, code: int = 0, token: str = ADMIN) -> Result:
        env = {"HOMEOSTAT_URL": gateway.url, "HOMEOSTAT_TOKEN": token}
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments], env=env, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def pack_file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(PACK)
    return path


async def test_a_pack_is_compared_applied_listed_and_removed(homeostat: Run, pack_file: Path) -> None:
    assert "nothing: the pack is new" in (await homeostat("pack", "diff", str(pack_file))).output
    assert "in force as version 1" in (await homeostat("pack", "apply", str(pack_file))).output
    assert "in force so already" in (await homeostat("pack", "apply", str(pack_file))).output
    await asyncio.to_thread(pack_file.write_text, PACK.replace("mode: auto", "mode: observe"))
    assert '~ mode: "auto" → "observe"' in (await homeostat("pack", "diff", str(pack_file))).output
    assert "shop" in (await homeostat("pack", "list")).output
    assert "no longer in force" in (await homeostat("pack", "remove", "shop")).output
    assert "No packs" in (await homeostat("pack", "list")).output


async def test_a_failure_is_recorded_with_its_label_and_can_be_played_again(
    homeostat: Run, gateway: Gateway, pack_file: Path, tmp_path: Path
) -> None:
    await homeostat("pack", "apply", str(pack_file))
    async with peer(gateway.platform, "detector") as detector:
        for result in (CheckResult.OK, CheckResult.REFUSED):
            await detector.bus.publish(
                Check(at=datetime.now(UTC), component="orders", probe="orders-http", kind=CheckKind.HTTP, result=result)
            )
    folder = tmp_path / "recordings"
    since = ("--onset", "2s", "--recovered", "0s", "--out", str(folder))
    told = await homeostat("record", "orders-away", "--component", "orders", "--cause", "crash", *since)
    assert "2 messages" in told.output
    (scenario,) = scenarios(folder)
    assert scenario.label is not None
    assert (scenario.label.component, scenario.label.causes) == ("orders", (Category.CRASH,))
    assert [event.result for _, event in scenario.messages() if isinstance(event, Check)] == [
        CheckResult.OK,
        CheckResult.REFUSED,
    ]
    assert "process" not in await asyncio.to_thread((folder / "orders-away" / "scenario.yaml").read_text)


async def test_a_recording_without_a_label_or_of_nothing_is_refused_in_one_line(
    homeostat: Run, pack_file: Path, tmp_path: Path
) -> None:
    assert "needs its label" in (await homeostat("record", "x", "--component", "orders", code=2)).output
    await homeostat("pack", "apply", str(pack_file))
    where = ("--out", str(tmp_path))
    assert "nothing was reported" in (await homeostat("record", "x", "--before", "1s", *where, code=1)).output
    assert "can be kept" in (await homeostat("record", "x", "--before", "90d", *where, code=1)).output
    label = ("--component", "nobody", "--cause", "crash", "--onset", "1m", "--recovered", "0s")
    assert "has no component nobody" in (await homeostat("record", "x", *label, *where, code=2)).output


async def test_the_story_of_a_case_is_told_from_first_sign_to_end(
    homeostat: Run, gateway: Gateway, eventually: Eventually
) -> None:
    case_id = uuid4()
    await tell_story(gateway.platform, case_id, uuid4())

    async def told() -> bool:
        response = await gateway.client.get(f"/api/trace/{case_id}")
        return response.is_success and len(response.json()["data"]["moments"]) == 6

    await eventually(told)
    text = (await homeostat("trace", str(case_id)[:8])).output
    marks = ["seen", "concluded", "decided", "done", "came of it"]
    assert [mark for mark in marks if mark in text] == marks
    assert text.index("seen") < text.index("concluded") < text.index("decided") < text.index("came of it")
    for said in (
        "+0.3 s",
        "cause: crash of orders, 97 % sure",
        "restarting has helped 9 times out of 9",
        "restart helped",
    ):
        assert said in text
    assert (await homeostat("trace")).output == text
    story = json.loads((await homeostat("trace", "last", "--json")).output)
    assert story["case_id"] == str(case_id)
    assert str(case_id)[:8] in (await homeostat("incidents")).output
    assert "No incidents" in (await homeostat("incidents", "--open")).output
    assert "execute" in (await homeostat("decisions")).output


async def test_status_shows_what_is_wrong_and_who_is_asked_and_the_answer_is_passed_on(
    homeostat: Run, gateway: Gateway, pack_file: Path, eventually: Eventually
) -> None:
    asked: list[Answer] = []

    async def answer(request: Answer, _unit: Unit) -> Answered:
        asked.append(request)
        return Answered(accepted=True, reason="on its way", decision_id=request.decision_id)

    await homeostat("pack", "apply", str(pack_file))
    case_id = uuid4()
    async with (
        peer(gateway.platform, "detector") as detector,
        peer(gateway.platform, "decider", lambda s: s.bus.answer("answer", Answer, answer)) as decider,
    ):
        await detector.bus.publish(incident(case_id, 1, Transition.OPENED, 0))
        asking = decision(case_id, Verdict.ASK)
        await decider.bus.publish(asking)

        async def both() -> bool:
            state = await gateway.get("/api/autonomous/system-state")
            return bool(state["asking"] and state["open_incidents"])

        await eventually(both)
        text = (await homeostat("status")).output
        for said in ("shop v1 (auto)", "process-exited", "Who is asked", str(asking.decision_id)[:8]):
            assert said in text
        wrong = await homeostat("approve", "ffff0000", code=1)
        assert str(asking.decision_id)[:8] in wrong.stderr
        assert "approved" in (await homeostat("approve", "last", "-m", "go on")).output
    assert [(one.decision_id, one.comment) for one in asked] == [(asking.decision_id, "go on")]


async def test_events_are_followed_as_lines_or_json(homeostat: Run, gateway: Gateway, eventually: Eventually) -> None:
    await tell_story(gateway.platform, uuid4(), uuid4())

    async def recorded() -> bool:
        return bool(
            (await gateway.client.get("/api/trace/last")).is_success and len(await gateway.get("/api/incidents")) == 1
        )

    await eventually(recorded)
    lines = (await homeostat("events", "--after", "0", "--count", "2")).output.splitlines()
    assert len(lines) == 2
    assert "detector.incident" in lines[0]
    (line,) = (await homeostat("events", "--after", "0", "--count", "1", "--json")).output.splitlines()
    assert json.loads(line)["seq"] == "1"


async def test_dead_letters_are_shown_and_a_replay_that_fails_again_fails(
    homeostat: Run, gateway: Gateway, eventually: Eventually
) -> None:
    assert "No dead letters" in (await homeostat("dlq", "list")).output
    client = await gateway.platform.connect_nats("detector")
    await client.jetstream().publish("detector.incident.v1.orders", b"not json")
    await client.close()

    async def buried() -> bool:
        return bool(await gateway.get("/api/dlq"))

    await eventually(buried)
    assert "not JSON" in (await homeostat("dlq", "list")).output
    assert "still can't be handled" in (await homeostat("dlq", "replay", "--all", code=1)).stderr
    assert "give the number" in (await homeostat("dlq", "replay", code=2)).stderr


async def test_tokens_are_made_and_their_role_holds(homeostat: Run, pack_file: Path) -> None:
    viewer = (await homeostat("token", "create", "ann", "--role", "viewer")).output.strip()
    await homeostat("incidents", token=viewer)
    refused = await homeostat("pack", "apply", str(pack_file), token=viewer, code=1)
    assert "is of role viewer; this needs admin" in refused.stderr
    listed = json.loads((await homeostat("token", "list", "--json")).output)
    (token_id,) = [one["id"] for one in listed if one["name"] == "ann"]
    await homeostat("token", "revoke", token_id)
    assert "not known, or was revoked" in (await homeostat("incidents", token=viewer, code=1)).stderr


async def test_doctor_finds_what_is_missing_and_says_how_to_mend_it(homeostat: Run, pack_file: Path) -> None:
    text = (await homeostat("doctor")).output
    assert "packs: none is in force" in text
    assert "→ `homeostat pack apply <file>`" in text
    await homeostat("pack", "apply", str(pack_file))
    assert "shop v1 (auto)" in (await homeostat("doctor")).output
    wrong = (await homeostat("doctor", token="wrong", code=1)).output
    assert "token: the gateway does not accept it" in wrong


async def test_silences_are_added_listed_and_ended(homeostat: Run) -> None:
    made = await homeostat("silence", "add", "--component", "payments", "--for", "2h", "--reason", "moving")
    silence_id = made.output.split("silence end ")[1].split("`")[0]
    assert "moving" in (await homeostat("silence", "list")).output
    assert "has ended" in (await homeostat("silence", "end", silence_id)).output
    assert "No silences" in (await homeostat("silence", "list")).output
    assert "no duration" in (await homeostat("silence", "add", "--for", "a while", "--reason", "x", code=2)).output


async def test_incidents_are_shown_by_situation(homeostat: Run, gateway: Gateway, eventually: Eventually) -> None:
    client = await gateway.platform.connect_nats()
    one = incident(uuid4(), 1, Transition.OPENED, 0)
    await client.jetstream().publish(one.subject, one.model_dump_json().encode())
    await client.close()

    async def shown() -> bool:
        return "open: orders" in (await homeostat("incidents", "--grouped")).output

    await eventually(shown)
    assert "No incidents" in (await homeostat("incidents", "--grouped", "--component", "edge")).output


async def test_prometheus_rules_become_a_pack(homeostat: Run, tmp_path: Path) -> None:
    rules, written = tmp_path / "rules.yml", tmp_path / "pack.yaml"
    alerts = "{alert: Full, expr: disk_percent > 90, for: 5m}, {alert: Odd, expr: 'label_join(x)'}"
    await asyncio.to_thread(rules.write_text, f"groups: [{{name: a, rules: [{alerts}]}}]")
    said = (await homeostat("pack", "import-rules", str(rules), "-o", str(written))).output
    assert "not translated: Odd" in said
    assert "1 of 2 rules translated: 1 threshold" in said
    assert "is good" in (await homeostat("pack", "validate", str(written))).output


async def test_the_audit_is_listed_and_a_row_changed_behind_our_back_is_found(
    homeostat: Run, gateway: Gateway, pack_file: Path
) -> None:
    await homeostat("token", "create", "ann", "--role", "viewer")
    assert "tokens" in (await homeostat("audit", "list")).output
    assert "are whole" in (await homeostat("audit", "verify")).output
    connection = await gateway.platform.connect_postgres("postgres")
    await connection.execute("set session_replication_role = replica")  # as one who owns the server could
    await connection.execute("update gateway.audit set actor = 'nobody' where seq = 1")
    await connection.close()
    broken = await homeostat("audit", "verify", code=1)
    assert "audit from row 1 on" in broken.stderr
