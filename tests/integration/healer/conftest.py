"""A world to heal and an ear on what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import Platform
from tests.integration.healer.story import Listener, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "web")
    yield made
    made.end()


@pytest.fixture
async def listener(platform: Platform) -> AsyncIterator[Listener]:
    client = await platform.connect_nats()
    yield Listener(platform, client)
    await client.close()
