"""Stopping in order when told to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_stoppable[T](work: Coroutine[Any, Any, T]) -> T:
    """Runs `work`; SIGINT and SIGTERM cancel it, so that what it started is stopped in order.

    Raises:
        asyncio.CancelledError: it was cancelled that way.
    """

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await work

    return asyncio.run(guarded())
