"""The migrations make exactly the tables that the models describe, each in the schema of its own service."""

from __future__ import annotations

from importlib import import_module

import pytest

from shared.db import schema_differences
from shared.settings import SERVICES
from tests.conftest import Platform


@pytest.mark.parametrize("name", SERVICES)
async def test_a_migrated_database_agrees_with_the_models(platform: Platform, name: str) -> None:
    app = import_module(f"services.{name}.app")
    service = app.build(platform.settings(app.Settings))
    metadata = next(iter(service._tables.values())).metadata
    async with service.engine.connect() as connection:
        assert await connection.run_sync(lambda sync: schema_differences(metadata, sync)) == []
    await service.engine.dispose()
