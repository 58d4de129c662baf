"""Log lines as others publish them, to the patterns that a person asks for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from nats.aio.client import Client
from typer.testing import CliRunner

from services.cli.app import app
from services.detector.app import build
from services.detector.settings import Settings
from shared.contracts.detector import LogPattern, LogPatterns
from tests.conftest import Platform
from tests.integration.test_gateway import ADMIN, started

Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
async def outside(platform: Platform) -> AsyncIterator[Client]:
    """Another system beside a running detector."""
    service = build(platform.settings(Settings))
    await service.start()
    client = await platform.connect_nats()
    yield client
    await client.close()
    await service.stop()


async def publish(client: Client, component: str, *lines: tuple[str, str]) -> None:
    body = {"lines": [{"message": message, "level": level} for message, level in lines]}
    await client.jetstream().publish(f"ingest.logs.v1.{component}", json.dumps(body).encode())


async def patterns(client: Client, **request: object) -> tuple[LogPattern, ...]:
    reply = await client.request("cmd.detector.log-patterns", json.dumps(request).encode(), timeout=5)
    return LogPatterns.model_validate_json(reply.data).patterns


async def test_what_is_logged_again_and_again_is_one_pattern_and_can_be_asked_for(
    outside: Client, eventually: Eventually
) -> None:
    refused = [(f"dial tcp 10.0.0.{n}:5432: connection refused\x00", "error") for n in range(7)]
    await publish(outside, "web", ("charging order 7", "info"), *refused)
    await eventually(lambda: patterns(outside, component="web", errors_only=True))
    (pattern,) = await patterns(outside, component="web", errors_only=True)
    assert (pattern.lines, pattern.errors, pattern.category) == (7, 7, "network")
    assert pattern.template.startswith("dial tcp <*> : connection refused")
    assert pattern.before == ("charging order 7",)
    assert [each.template for each in await patterns(outside)][1:] == ["charging order <*>"]
    assert await patterns(outside, component="elsewhere") == ()


async def test_a_person_sees_the_worst_first_and_what_helps(
    platform: Platform, outside: Client, eventually: Eventually
) -> None:
    await publish(outside, "web", ("ready", "info"), ("write failed: No space left on device", "error"))
    await eventually(lambda: patterns(outside))
    async with started(platform) as gateway:
        env = {"HOMEOSTAT_URL": gateway.url, "HOMEOSTAT_TOKEN": ADMIN}
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["logs", "web"], env=env)
        none = await asyncio.to_thread(CliRunner().invoke, app, ["logs", "elsewhere"], env=env)
    assert shown.exit_code == none.exit_code == 0, shown.output + none.output
    assert "> write failed: No space left on device" in shown.output
    assert "free space" in shown.output
    assert "No log lines yet" in none.output
