"""nats.request on a real nats-server: only what the component allows, with its own credentials."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError
from sqlalchemy import make_url

from services.healer.clients.base import ActuatorError, IrreversibleError
from services.healer.clients.nats_actuator import RequestNats
from shared.packs.actions.calls import NatsRequest
from shared.packs.component import Component, NatsAccess
from tests.conftest import Platform
from tests.unit.healer.helpers import context_of


@dataclass
class Cache:
    """A program that takes requests and notes them."""

    client: Client
    reply: bytes = b'{"status": "ok", "flushed": 3}'
    headers: dict[str, str] | None = None
    asked: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)

    async def answer(self, message: Msg) -> None:
        self.asked.append((message.subject, message.data, dict(message.headers or {})))
        await self.client.publish(message.reply, self.reply, headers=self.headers)


@pytest.fixture
async def cache(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cache]:
    monkeypatch.setenv("CACHE_PASSWORD", make_url(platform.servers.nats_url("admin")).password or "")
    client = await platform.connect_nats()
    made = Cache(client)
    await client.subscribe("cache.>", cb=made.answer)
    await client.flush()
    await client.request("cache.ready", timeout=5)
    made.asked.clear()
    yield made
    await client.close()


def access(platform: Platform, **more: object) -> NatsAccess:
    url = make_url(platform.servers.nats_url("admin"))
    values = {
        "url": f"nats://{url.host}:{url.port}",
        "subjects": ["cache.*.flush", "nobody.>"],
        "user": "admin",
        "password": {"env": "CACHE_PASSWORD"},
    }
    return NatsAccess.model_validate(values | more)


def request(platform: Platform, subject: str = "cache.eu.flush", timeout_s: float = 5, **more: object) -> RequestNats:
    own = {key: more.pop(key) for key in ("url", "user", "password") if key in more}
    context = replace(context_of(Component(nats=access(platform, **own))), timeout_s=timeout_s)
    return RequestNats(context, NatsRequest.model_validate({"subject": subject, **more}))


async def test_a_request_carries_its_name_and_wants_the_reply_it_expects(platform: Platform, cache: Cache) -> None:
    step = request(platform, payload={"region": "eu"}, expect={"status": "ok"})
    await step.apply(await step.observe())
    await step.apply(await step.observe())
    subject, body, headers = cache.asked[0]
    assert (subject, json.loads(body)) == ("cache.eu.flush", {"region": "eu"})
    assert headers["Idempotency-Key"] == step.context.key
    assert len({asked[2]["Idempotency-Key"] for asked in cache.asked}) == 1
    with pytest.raises(IrreversibleError):
        await step.undo({}, {}, files_restored=False)


@pytest.mark.parametrize("expect", [{"status": "failed"}, {"more": 1}, "ok"])
async def test_another_reply_is_a_failure(platform: Platform, cache: Cache, expect: object) -> None:
    with pytest.raises(ActuatorError, match="replied otherwise"):
        await request(platform, expect=expect).apply({})


async def test_a_refusal_and_silence_are_failures(platform: Platform, cache: Cache) -> None:
    cache.headers = {"Nats-Service-Error": "not now"}
    with pytest.raises(ActuatorError, match="not now"):
        await request(platform).apply({})
    with pytest.raises(ActuatorError, match="NoRespondersError"):
        await request(platform, "nobody.there").apply({})


@pytest.mark.parametrize("subject", ["cache.flush", "cache.eu.flush.all", "orders.delete", "$SYS.REQ.SERVER.PING"])
async def test_what_the_component_does_not_allow_is_not_sent(platform: Platform, cache: Cache, subject: str) -> None:
    step = request(platform, subject)
    for refused in (step.observe(), step.apply({})):
        with pytest.raises(ActuatorError, match=r"nats\.subjects"):
            await refused
    assert cache.asked == []


async def test_errors_name_the_secret_and_never_show_it(
    platform: Platform, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", "canary-hunter2")
    with pytest.raises(ActuatorError, match=r"(?i)authorization") as refused:
        await request(platform).apply({})
    assert "canary" not in str(refused.value)
    monkeypatch.delenv("CACHE_PASSWORD")
    with pytest.raises(ActuatorError, match="CACHE_PASSWORD is not set"):
        await request(platform).apply({})
    with pytest.raises(ActuatorError, match="failed"):
        await request(platform, url="nats://127.0.0.1:9", user=None, password=None, timeout_s=1).apply({})


@pytest.mark.parametrize("url", ["nats://user:secret@host:4222", "http://host"])
def test_no_password_stands_in_the_address(url: str) -> None:
    with pytest.raises(ValidationError):
        NatsAccess(url=url, subjects=("a",))
