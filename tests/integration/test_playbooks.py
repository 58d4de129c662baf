"""Playbooks managed one by one, over HTTP and at the command line, and what people must be permitted to run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from shared.contracts.gateway import ManualRequest
from shared.outbox import Unit
from tests.conftest import Platform
from tests.integration.test_gateway import PACK, Gateway, peer, started
from tests.integration.test_gateway_cli import Run, homeostat

__all__ = ["homeostat"]

Eventually = Callable[..., Awaitable[None]]
RESTART = "/api/healing/playbooks/shop/restart"
SLOWER = """\
# yaml-language-server: $schema=contracts/playbook.schema.json
for: [hang]
automation_level: full-auto
required_permissions: [network]
parameters: {wait_s: {type: number, default: 2, min: 1, max: 9}}
steps: [{process.start: {}, timeout_s: "${param.wait_s}"}]
then: restart
"""


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[Gateway]:
    async with started(platform) as running:
        assert (await running.apply(PACK)).is_success
        yield running


async def put(gateway: Gateway, text: str, name: str = "slower", **params: str | int) -> httpx.Response:
    return await gateway.client.put(f"/api/healing/playbooks/shop/{name}", content=text, params=params)


async def test_a_playbook_s_change_is_a_version_of_its_pack_with_who_and_what(gateway: Gateway) -> None:
    preview = gateway.good(await put(gateway, SLOWER, dry_run="true"))["data"]
    assert (preview["version"], preview["changed"]) == (1, True)
    assert [one["name"] for one in await gateway.get("/api/healing/playbooks")] == ["restart"]
    done = gateway.good(await put(gateway, SLOWER))["data"]
    assert (done["version"], [one["where"] for one in done["changes"]]) == (2, ["playbooks.slower"])
    assert gateway.good(await put(gateway, SLOWER))["data"]["changed"] is False
    shown = await gateway.get("/api/healing/playbooks/shop/slower")
    assert (shown["ladder"], shown["permitted"]) == (["restart", "page-a-human"], False)
    assert shown["spec"]["steps"][0]["timeout_s"] == "${param.wait_s}"
    gateway.good(await put(gateway, SLOWER.replace("default: 2", "default: 3")))
    history = await gateway.get("/api/healing/playbooks/shop/slower/history")
    assert [(one["version"], one["applied_by"]) for one in history] == [(3, "bootstrap"), (2, "bootstrap")]
    assert [one["where"] for one in history[0]["changes"]] == ["parameters.wait_s.default"]
    (deed, *_) = await gateway.get("/api/audit", limit=1)
    assert (deed["actor"], deed["target"]) == ("bootstrap", "shop/slower")


async def test_what_a_playbook_breaks_is_told_at_its_line_and_nothing_changes(gateway: Gateway) -> None:
    refused = await put(gateway, SLOWER.replace("then: restart", "then: restrat"))
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["line"], error["where"]) == (7, "then")
    assert "did you mean `restart`" in error["remedy"]
    assert (await put(gateway, SLOWER, expected_version=7)).status_code == 409
    assert (await put(gateway, "steps: [")).status_code == 422
    assert (await gateway.get("/api/packs"))[0]["version"] == 1


async def test_a_rung_of_a_ladder_is_not_removed_from_under_another(gateway: Gateway) -> None:
    gateway.good(await put(gateway, SLOWER))
    refused = await gateway.client.delete(RESTART)
    assert (refused.status_code, refused.json()["detail"]) == (409, "slower would lead to nothing: `then: restart`")
    gateway.good(await gateway.client.delete("/api/healing/playbooks/shop/slower"))
    gateway.good(await gateway.client.delete(RESTART))
    assert await gateway.get("/api/healing/playbooks") == []
    assert (await gateway.get(f"{RESTART}/history"))[0]["spec"] is None


async def test_people_run_only_what_they_are_permitted_with_values_that_fit(
    gateway: Gateway, platform: Platform, eventually: Eventually
) -> None:
    gateway.good(await put(gateway, SLOWER))
    asked: list[ManualRequest] = []

    async def heard(event: ManualRequest, _unit: Unit) -> None:
        asked.append(event)

    async def ask(client: httpx.AsyncClient, **parameters: object) -> int:
        body = {"component": "orders", "playbook": "slower", "parameters": parameters}
        return (await client.post("/api/healing/run", json=body)).status_code

    async def knows() -> bool:
        return (await ask(gateway.client, wait_s=99)) == 422

    made = await gateway.post("/api/tokens", {"name": "net", "role": "operator", "permissions": ["network"]})
    permitted = {"Authorization": f"Bearer {made['token']}"}
    async with (
        peer(platform, "decider", lambda service: service.bus.on(ManualRequest, heard)),
        await gateway.token("operator") as plain,
        httpx.AsyncClient(base_url=gateway.url, headers=permitted) as network,
    ):
        await eventually(knows)
        assert await ask(plain, wait_s=3) == 403
        assert await ask(network, wait_s=3) == 202
        await eventually(lambda: asked)
    assert [(one.permissions, one.parameters) for one in asked] == [(("network",), {"wait_s": 3})]
    (refusal,) = [one for one in await gateway.get("/api/audit") if one["action"] == "POST /api/healing/run"][1:]
    assert (refusal["result"], refusal["status"]) == ("refused", 403)


async def test_the_command_line_shows_changes_and_tells_their_history(
    gateway: Gateway, homeostat: Run, tmp_path: Path
) -> None:
    file = tmp_path / "slower.yaml"
    await asyncio.to_thread(file.write_text, SLOWER)
    assert "+ playbooks.slower" in (await homeostat("playbook", "diff", "shop/slower", str(file))).output
    assert "version 2 of shop" in (await homeostat("playbook", "apply", "shop/slower", str(file))).output
    assert "is in force so already" in (await homeostat("playbook", "apply", "slower", str(file))).output
    assert "restart → page-a-human" in (await homeostat("playbook", "list")).output
    shown = (await homeostat("playbook", "show", "slower")).output
    await asyncio.to_thread(file.write_text, shown.replace("default: 2", "default: 5"))
    await homeostat("playbook", "apply", "slower", str(file))
    told = (await homeostat("playbook", "history", "slower")).output
    assert "version 3" in told
    assert "~ parameters.wait_s.default: 2 → 5" in told
    assert "no longer in force" in (await homeostat("playbook", "remove", "slower")).output
    assert "several" not in (await homeostat("playbook", "show", "slower", code=1)).output
    assert '"steps"' in (await homeostat("playbook", "schema")).output


async def test_the_playbooks_in_force_are_a_view_for_sql(gateway: Gateway, platform: Platform) -> None:
    """Requirement M06."""
    gateway.good(await put(gateway, SLOWER))
    connection = await platform.connect_postgres("gateway")
    (row,) = await connection.fetch("select * from recovery_playbooks where playbook_name = 'slower'")
    await connection.close()
    assert (row["incident_type"], row["automation_level"], row["required_permissions"]) == (
        "hang",
        "full-auto",
        ["network"],
    )
    assert "process.start" in row["recovery_steps"]
