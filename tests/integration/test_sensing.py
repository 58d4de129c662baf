"""Silences and storms over services, on real NATS and PostgreSQL: from what people or half an estate say, to what is
told and what is left undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats.aio.msg import Msg

from shared.contracts.base import Severity
from shared.contracts.decider import Verdict
from shared.contracts.detector import Storm, Transition
from shared.contracts.gateway import ManualRequest, Silence
from tests.conftest import Platform
from tests.integration.test_decider import diagnosis, incident, later, running
from tests.integration.test_decider import pack as decider_pack
from tests.integration.test_detector import Outside, detector
from tests.integration.test_gateway import Gateway, started

Eventually = Callable[..., Awaitable[None]]
NAMES = ("edge", "orders", "payments", "catalog", "worker", "store")


@pytest.fixture
async def outside(platform: Platform) -> Any:
    client = await platform.connect_nats()
    other = Outside(client)
    await other.listen()
    yield other
    await client.close()


def silence(component: str, *, minutes: float = 60, reason: str = "moving") -> Silence:
    now = datetime.now(UTC)
    return Silence(
        at=now,
        slot="s1",
        silence_id="6c1f2f4e-8f27-4f0e-b7d5-0a2a7b9a3c33",
        component=component,
        starts_at=now - timedelta(minutes=1),
        ends_at=now + timedelta(minutes=minutes),
        reason=reason,
        by="ann",
    )


# ---- the detector


async def test_what_is_silenced_is_recorded_and_marked_and_told_anew_when_the_silence_ends(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    async with detector(platform) as service:
        await outside.apply()
        await eventually(lambda: service.packs.packs)
        await outside.client.jetstream().publish(silence("web").subject, silence("web").model_dump_json().encode())

        async def marked() -> bool:
            report = {"probe": "web/process", "kind": "process", "result": "exited"}
            await outside.publish("checks", "web", at=datetime.now(UTC).isoformat(), **report)
            return bool(outside.incidents) and "moving" in outside.incidents[-1].silenced

        await eventually(marked, every_s=0.2)
        over = silence("web", minutes=0)
        await outside.client.jetstream().publish(over.subject, over.model_dump_json().encode())
        await eventually(lambda: outside.incidents[-1].silenced == "")
        assert outside.incidents[-1].is_open
        assert outside.incidents[-1].priority == "P2"


async def test_half_an_estate_that_fails_at_once_is_one_storm(
    platform: Platform, outside: Outside, eventually: Eventually
) -> None:
    storms: list[Storm] = []

    async def heard(message: Msg) -> None:
        storms.append(Storm.model_validate_json(message.data))

    await outside.client.subscribe("state.detector.storm.v1.*", cb=heard)
    async with detector(platform) as service:
        await outside.apply(components={name: {} for name in NAMES})
        await eventually(lambda: service.packs.packs)
        now = datetime.now(UTC).isoformat()
        for name in NAMES[:4]:
            await outside.publish("checks", name, at=now, probe=f"{name}/process", kind="process", result="exited")
        await eventually(lambda: len(outside.told) >= 4)
        assert storms == []
        await outside.publish("checks", "worker", at=now, probe="worker/process", kind="process", result="exited")
        await eventually(lambda: storms)
        assert (storms[0].pack, storms[0].on, storms[0].of) == ("shop", True, 6)
        assert set(storms[0].alarming) == set(NAMES[:5])
        await eventually(lambda: ("estate-shop", "storm", "opened") in outside.told)
        assert len([told for told in outside.told if told[1] == "storm" and told[2] == "opened"]) == 1


# ---- the decider


async def test_a_silenced_incident_is_only_observed_and_decided_once_the_silence_ends(
    platform: Platform, eventually: Eventually
) -> None:
    async with running(platform, eventually, decider_pack()) as world:
        silenced = incident(silenced="maintenance Sat 02:00/04:00")
        await world.says(silenced, diagnosis(silenced))
        (observed,) = await world.decided(silenced.case_id, "silenced")
        assert observed.verdict is Verdict.OBSERVE
        assert "maintenance" in observed.explanation
        await world.says(later(silenced, Transition.EVIDENCE, silenced=""))
        await world.decided(silenced.case_id, "silenced", "act")


async def test_a_storm_brakes_healing_but_not_people(platform: Platform, eventually: Eventually) -> None:
    async with running(platform, eventually, decider_pack()) as world:
        now = datetime.now(UTC)
        storm = Storm(at=now, pack="shop", on=True, since=now, alarming=("edge", "orders"), of=4)
        await world.says(storm)
        one = incident()

        async def braked() -> bool:
            return [each.reason for each in await world.decisions(one.case_id)] == ["storm"]

        probe = incident("catalog")
        await world.says(probe, diagnosis(probe))
        await eventually(lambda: _decided(world, probe.case_id))
        await world.says(one, diagnosis(one))
        await eventually(braked)
        asked = ManualRequest(at=now, component="edge", case_id=incident().case_id, playbook="restart", by="ann")
        await world.says(asked)
        await world.decided(asked.case_id, "manual")
        await world.says(storm.model_copy(update={"id": incident().case_id, "on": False}))

        async def released() -> bool:
            return [each.reason for each in await world.decisions(one.case_id)][-1] == "act"

        await eventually(released, within_s=20)


async def _decided(world: Any, case: Any) -> bool:
    return bool(await world.decisions(case))


# ---- the gateway


@pytest.fixture
async def gateway(platform: Platform) -> Any:
    async with started(platform) as running_gateway:
        yield running_gateway


async def test_silences_are_set_listed_told_and_ended_by_operators(gateway: Gateway, eventually: Eventually) -> None:
    viewer = await gateway.token("viewer")
    body = {"component": "payments", "pattern": "http-*", "for_s": 7_200, "reason": "the provider moves"}
    async with viewer:
        assert (await viewer.post("/api/silences", json=body)).status_code == 403
        made = await gateway.post("/api/silences", body)
        assert (await viewer.get("/api/silences")).json()["data"] == [made]
    lasts = datetime.fromisoformat(made["ends_at"]) - datetime.fromisoformat(made["starts_at"])
    assert lasts == timedelta(hours=2)

    async def kept() -> Silence | None:
        client = await gateway.platform.connect_nats()
        try:
            message = await client.jetstream().get_last_msg("STATE", "state.gateway.silence.v1.s1")
        except Exception:  # noqa: BLE001 - not there yet
            return None
        finally:
            await client.close()
        return Silence.model_validate_json(message.data or b"")

    async def holds() -> bool:
        found = await kept()
        return found is not None and found.silence_id == made["id"] and found.ends_at > datetime.now(UTC)

    async def over() -> bool:
        found = await kept()
        return found is not None and found.ends_at <= datetime.now(UTC)

    await eventually(holds)
    assert (await gateway.client.delete(f"/api/silences/{made['id']}")).is_success
    await eventually(over)
    assert await gateway.get("/api/silences") == []
    assert (await gateway.client.delete(f"/api/silences/{made['id']}")).status_code == 404
    deeds = [deed["action"] for deed in await gateway.get("/api/audit")]
    assert "POST /api/silences" in deeds
    async with gateway.service.units.begin() as unit:
        connection = await unit.session.connection()
        rows = await connection.exec_driver_sql(
            "select count(*) from timeline where subject = 'state.gateway.silence.v1'"
        )
        assert rows.scalar_one() == 2


async def test_slots_of_silences_are_used_again(gateway: Gateway) -> None:
    for _ in range(3):
        made = await gateway.post("/api/silences", {"for_s": 60, "reason": "short"})
        await gateway.client.delete(f"/api/silences/{made['id']}")
    async with gateway.service.units.begin() as unit:
        connection = await unit.session.connection()
        assert (await connection.exec_driver_sql("select count(*) from silence")).scalar_one() == 1


async def test_incidents_are_shown_as_situations(gateway: Gateway, eventually: Eventually) -> None:
    client = await gateway.platform.connect_nats()
    await gateway.apply("pack: shop\ncomponents: {edge: {calls: [orders]}, orders: {}, report: {}}\n")
    await eventually(lambda: gateway.service.packs.packs)
    cause = incident("orders")
    effect = incident("edge", severity=Severity.WARNING).model_copy(update={"pattern": "error-ratio"})
    other = incident("report")
    for one in (cause, effect, other):
        await client.jetstream().publish(one.subject, one.model_dump_json().encode())
    await client.close()

    async def shown() -> bool:
        return len(await gateway.get("/api/incidents")) == 3

    await eventually(shown)
    found = {
        one["group_id"]: [each["component"] for each in one["incidents"]]
        for one in await gateway.get("/api/situations")
    }
    assert found == {str(cause.case_id): ["orders", "edge"], str(other.case_id): ["report"]}
    members = await gateway.get("/api/incidents", group=str(effect.case_id))
    assert [one["component"] for one in members] == ["orders", "edge"]
    missing = await gateway.client.get("/api/incidents", params={"group": str(incident().case_id)})
    assert missing.status_code == 404
