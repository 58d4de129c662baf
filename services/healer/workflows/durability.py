"""Steps that are taken once: a run is repeated from what they left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dbos import DBOS

from services.healer.workflows.records import Record


async def durable[R: Record](name: str, kind: type[R], work: Callable[[], Awaitable[R]]) -> R:
    """Runs `work` once to its end, over restarts, and gives what it left: from the records where it has run."""

    async def body() -> str:
        return (await work()).model_dump_json()

    return kind.model_validate_json(await DBOS.run_step_async({"name": name}, body))
