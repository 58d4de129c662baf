"""People are told, once, over restarts and refusals; and a click in Slack is an answer of a known person, once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from prometheus_client import generate_latest

from services.gateway.domain.notices.slack_answers import signature
from shared.contracts.base import Event
from shared.contracts.decider import Answer, Answered, Verdict
from shared.contracts.detector import Transition
from shared.outbox import Unit
from shared.runtime import Service
from shared.webhooks import signed_headers
from tests.conftest import Platform
from tests.integration.outside import MailServer, Receiver
from tests.integration.test_gateway import Gateway, decision, incident, peer, started
from tests.integration.test_secrets_and_permissions import _everything_kept as everything_kept

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    made = {name: f"canary{name}{uuid4().hex}" for name in ("HOOK", "SIGNING", "PAGER", "MAIL", "INCOMING")}
    for name, secret in made.items():
        monkeypatch.setenv(f"NOTICE_{name}", secret)
    return made


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made = Receiver()
    async with made.serve() as url:
        yield made, url


def pack(url: str, **channels: Any) -> dict[str, Any]:
    hook = {"webhook": {"url": f"{url}/hook", "secret": {"env": "NOTICE_HOOK"}}, "group_s": 0}
    named = channels or {"hooks": hook}
    restart = {"for": ["crash"], "steps": [{"process.start": {}}]}
    orders = {"process": {"command": ["orders"], "pid_file": "/run/orders.pid"}}
    rules = [{"channels": list(named)}]
    return {
        "pack": "shop",
        "components": {"orders": orders},
        "playbooks": {"restart": restart},
        "notify": {"channels": named, "rules": rules},
    }


async def apply(gateway: Gateway, body: dict[str, Any]) -> None:
    applied = await gateway.client.post("/api/packs/apply", json=body)
    assert applied.is_success, applied.text


async def say(platform: Platform, *events: Event) -> None:
    client = await platform.connect_nats()
    for event in events:
        await client.jetstream().publish(event.subject, event.model_dump_json().encode())
    await client.close()


async def told(gateway: Gateway, *states: str) -> list[Any]:
    return [one for one in await gateway.get("/api/notifications") if one["state"] in states]


async def test_a_signed_webhook_is_repeated_with_its_id_until_it_is_taken_and_over_a_restart_told_once(
    platform: Platform, eventually: Eventually, secrets: dict[str, str], receiver: tuple[Receiver, str]
) -> None:
    web, url = receiver
    web.statuses = [503]
    opened = incident(uuid4(), 1, Transition.OPENED, 0)
    async with started(platform) as gateway:
        await apply(gateway, pack(url))
        await say(platform, opened)

        async def is_put_off() -> bool:
            return [one["error"] for one in await told(gateway, "waiting")] == ["127.0.0.1 answered 503"]

        await eventually(is_put_off, within_s=15)
    async with started(platform) as gateway:  # it went away between the refusal and the repetition
        await say(platform, opened)

        async def is_sent() -> bool:
            return len(await told(gateway, "sent")) == 1

        await eventually(is_sent, within_s=15)
        first, second = web.requests
        assert first[1]["webhook-id"] == second[1]["webhook-id"] == second[1]["idempotency-key"]
        for _, headers, body in web.requests:
            stamp = int(headers["webhook-timestamp"])
            assert abs(stamp - time.time()) < 60
            expected = signed_headers(secrets["HOOK"], headers["webhook-id"], stamp, body)["webhook-signature"]
            assert headers["webhook-signature"] == expected
        (notice,) = json.loads(second[2])["notices"]
        assert (notice["id"], notice["kind"], notice["severity"]) == (str(opened.id), "incident-opened", "critical")


async def test_what_is_refused_for_good_is_kept_and_sent_again_when_asked(
    platform: Platform, eventually: Eventually, secrets: dict[str, str], receiver: tuple[Receiver, str]
) -> None:
    web, url = receiver
    web.statuses = [400]
    async with started(platform) as gateway:
        await apply(gateway, pack(url))
        await say(platform, incident(uuid4(), 1, Transition.OPENED, 0))

        async def is_given_up() -> bool:
            return len(await told(gateway, "failed")) == 1

        await eventually(is_given_up)
        (failed,) = await told(gateway, "failed")
        assert failed["error"] == "127.0.0.1 answered 400"
        await gateway.post(f"/api/notifications/{failed['id']}/retry")
        await eventually(lambda: len(web.requests) == 2)
        said = await gateway.post("/api/notifications/test", {"channel": "hooks"})
        assert said["message"] == "shop/hooks took the message"


async def test_pagerduty_and_mail_are_told_and_no_secret_is_kept(
    platform: Platform, eventually: Eventually, secrets: dict[str, str], receiver: tuple[Receiver, str], tmp_path: Path,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    web, url = receiver
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*make.split(), *files], check=True, capture_output=True)  # noqa: ASYNC221
    post = MailServer(tmp_path / "cert.pem", tmp_path / "key.pem", secrets["MAIL"])
    async with post.serve() as port, started(platform) as gateway:
        mail = {
            "host": "localhost", "port": port, "ca_file": str(tmp_path / "cert.pem"), "username": "us",
            "password": {"env": "NOTICE_MAIL"}, "sender": "homeostat@example.org", "to": ["ann@example.org"],
        }  # fmt: skip
        wrong = {**mail, "password": {"env": "NOTICE_HOOK"}}
        pager = {"pagerduty": {"routing_key": {"env": "NOTICE_PAGER"}, "url": url}}
        chat = {"slack": {"webhook": {"env": "NOTICE_INCOMING"}}, "group_s": 0}  # its secret is no address
        await apply(
            gateway,
            pack(url, pager=pager, mail={"email": mail, "group_s": 0}, bad={"email": wrong, "group_s": 0}, chat=chat),
        )
        case = uuid4()
        await say(platform, incident(case, 1, Transition.OPENED, 0))

        async def all_have_ended() -> bool:
            return len(await told(gateway, "sent", "failed")) == 4

        await eventually(all_have_ended, within_s=15)
        await say(platform, incident(case, 2, Transition.RESOLVED, 5))
        await eventually(lambda: len(web.bodies("/v2/enqueue")) == 2)
        events = [json.loads(body) for body in web.bodies("/v2/enqueue")]
        assert [one["event_action"] for one in events] == ["trigger", "resolve"]
        assert {one["dedup_key"] for one in events} == {f"homeostat/{case}"}
        assert {one["routing_key"] for one in events} == {secrets["PAGER"]}
        to, letter = post.letters[0]
        assert to == ["ann@example.org"]
        assert "Subject: [critical] orders:" in letter
        assert {one["channel"]: one["error"] for one in await told(gateway, "failed")} == {
            "bad": "localhost answered 535",
            "chat": "'' is not allowed: add it to `http_hosts` of the pack",
        }
        kept = await everything_kept(platform)
        said = capfd.readouterr()
        kept |= {"logs": f"{said.out}{said.err}{caplog.text}", "metrics": generate_latest().decode()}
        kept["answers"] = "".join(
            [(await gateway.client.get(f"/api/{one}")).text for one in ("notifications", "audit")]
        )
    leaks = [f"{name} in {place}" for name, secret in secrets.items() for place, text in kept.items() if secret in text]
    assert leaks == []


# ---- Slack


def click(
    user: str, decision_id: UUID, secret: str, verb: str = "approve", url: str = ""
) -> tuple[bytes, dict[str, str]]:
    action = {"action_id": f"homeostat-{verb}", "value": f"{decision_id}/1"}
    payload = {"type": "block_actions", "user": {"id": user}, "actions": [action], "response_url": url}
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time()))
    headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": signature(secret, stamp, body)}
    return body, {**headers, "content-type": "application/x-www-form-urlencoded", "authorization": ""}


async def test_a_click_of_a_mapped_person_answers_once_and_nobody_elses_does(
    platform: Platform,
    eventually: Eventually,
    secrets: dict[str, str],
    receiver: tuple[Receiver, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    web, url = receiver
    monkeypatch.setenv("NOTICE_INCOMING", f"{url}/services/T/B/{secrets['INCOMING']}")
    slack = {
        "webhook": {"env": "NOTICE_INCOMING"},
        "signing_secret": {"env": "NOTICE_SIGNING"},
        "users": {"U123": "ann"},
    }
    answers: list[Answer] = []

    async def answer(asked: Answer, _unit: Unit) -> Answered:
        answers.append(asked)
        return Answered(accepted=True, reason="approved", decision_id=asked.decision_id)

    def decider(service: Service) -> None:
        service.bus.answer("answer", Answer, answer)

    path = "/api/slack/interactions"
    async with peer(platform, "decider", decider), started(platform) as gateway:
        await apply(gateway, pack(url, ops={"slack": slack}))
        asked = decision(uuid4(), Verdict.ASK)
        await say(platform, asked)
        await eventually(lambda: len(web.requests) == 1)
        buttons = json.loads(web.requests[0][2])["blocks"][1]["elements"]
        assert {one["value"] for one in buttons} == {f"{asked.decision_id}/1"}

        body, headers = click("U123", asked.decision_id, secrets["SIGNING"], url=f"{url}/response")
        forged = {**headers, "x-slack-signature": "v0=" + "0" * 64}
        assert (await gateway.client.post(path, content=body, headers=forged)).status_code == 401
        other, others = click("U999", asked.decision_id, secrets["SIGNING"])
        assert (await gateway.client.post(path, content=other, headers=others)).status_code == 403
        assert answers == []

        assert (await gateway.client.post(path, content=body, headers=headers)).status_code == 200
        assert (await gateway.client.post(path, content=body, headers=headers)).status_code == 200
        ((by, verb, decided, revision),) = [(a.by, a.verb, a.decision_id, a.revision) for a in answers]
        assert (by, verb, decided, revision) == ("ann", "approve", asked.decision_id, 1)
        assert json.loads(web.bodies("/response")[0])["text"] == "approved by ann"
        deeds = [one for one in await gateway.get("/api/audit") if one["action"].endswith(path)]
        assert [(one["actor"], one["result"]) for one in deeds] == [("ann", "done"), ("", "refused"), ("", "refused")]
