"""A component's route, set by runs and told by the healer, whoever has set it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from nats.js.errors import NotFoundError

from services.healer.app import build
from services.healer.settings import Settings
from shared.bus.streams import STATE
from shared.contracts.decider import Decision
from shared.contracts.gateway import PackApplied
from shared.contracts.healer import Result, Route, RouteChange, RouteChanged
from shared.packs.component import Providers
from tests.conftest import Platform
from tests.integration.healer.story import Listener, World, decision, incident, now, playbook, until

PROVIDERS = {"primary": "a", "backups": ["b"]}
AWAY = {"routing.failover": {}}


@pytest.fixture
def routed(world: World) -> World:
    route = {"file": {"path": str(world.config), "key": "upstream.name"}}
    providers = Providers.model_validate({**PROVIDERS, "route": route})
    world.component = world.component.model_copy(update={"providers": providers})
    return world


def packed(world: World) -> PackApplied:
    parts = {"kind": "external"}
    web = world.component.model_dump(mode="json", by_alias=True)
    body = {"pack": "p", "components": {"web": web, "a": parts, "b": parts}}
    return PackApplied(at=now(), pack="p", version=1, applied_by="test", body=body)


async def told(listener: Listener) -> Route:
    message = await listener.client.jetstream().get_last_msg(STATE, f"{Route.SUBJECT}.web")
    return Route.model_validate_json(message.data or b"")


async def test_a_failover_is_said_once_and_a_bad_one_is_taken_back_byte_for_byte(
    platform: Platform, listener: Listener, routed: World
) -> None:
    service = build(platform.settings(Settings, routes_s=0.05))
    await listener.publish(packed(routed))
    await service.start()
    try:
        before = routed.config.read_bytes()

        async def goes_to(provider: str) -> bool:
            try:
                return (await told(listener)).provider == provider
            except NotFoundError:
                return False

        good: Decision = decision(routed, playbook(AWAY))
        await listener.publish(good)
        assert (await listener.outcome(good.decision_id)).result is Result.SUCCEEDED
        (said,) = await listener.all_of(RouteChanged, good.decision_id)
        assert (said.change, said.from_provider, said.to_provider) == (RouteChange.FAILOVER_TRIGGERED, "a", "b")
        assert routed.config.read_bytes() == before.replace(b'"a"', b'"b"')
        await until(lambda: goes_to("b"))

        # a way back after which the trouble is still there
        trouble = incident(uuid4(), "web")
        await listener.publish(trouble)
        spec = playbook({"routing.failback": {}}, validate={"window_s": 0.6, "clear": "incident"})
        bad = decision(routed, spec, case_id=trouble.case_id)
        await listener.publish(bad)
        await listener.recorded(bad.decision_id, "settle")
        await listener.publish(incident(trouble.case_id, "web", 2))  # still seen bad in the second half
        assert (await listener.outcome(bad.decision_id)).result is Result.ROLLED_BACK
        assert routed.config.read_bytes() == before.replace(b'"a"', b'"b"')

        routed.config.write_bytes(before)  # by hand: it is seen all the same
        await until(lambda: goes_to("a"))
    finally:
        await service.stop()
