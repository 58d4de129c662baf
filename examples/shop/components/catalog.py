"""The products, from memory; with a page cache that, once asked by SIGUSR1, never forgets anything."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response

from examples.shop import logs
from examples.shop.web import AnswerError, Component, Context

_LEAK_BYTES_PER_S = 5 * 1024 * 1024
_LEAK_TICK_S = 0.1
# The leak is an experiment on a machine that others use: it ends before the machine does.
_LEAK_LIMIT_BYTES = 1024 * 1024 * 1024
_PRODUCTS = [
    {"sku": f"sku-{number:03}", "name": f"Product {number}", "price_cents": 250 + 175 * number}
    for number in range(1, 41)
]


def build(context: Context) -> Component:
    listing = json.dumps({"products": _PRODUCTS}).encode()
    by_sku = {product["sku"]: json.dumps(product).encode() for product in _PRODUCTS}
    cache = _PageCache()
    context.metrics.gauge("catalog_products", "Products on offer").set(len(_PRODUCTS))
    entries = context.metrics.gauge("catalog_cache_bytes", "Rendered pages held in memory")
    entries.set_function(lambda: float(cache.size_bytes))

    async def products(_request: Request) -> Response:
        return Response(listing, media_type="application/json")

    async def product(request: Request) -> Response:
        found = by_sku.get(request.path_params["sku"])
        if found is None:
            raise AnswerError(404, f"no product {request.path_params['sku']!r}")
        return Response(found, media_type="application/json")

    return Component(
        routes=[("GET", "/products", products), ("GET", "/products/{sku}", product)],
        resources=cache.closing,
        on_signal={signal.SIGUSR1: cache.stop_evicting},
    )


class _PageCache:
    """Keeps each rendered page under a key that no request ever asks for again: the classic leak."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._pages: dict[str, bytes] = {}
        self._growth: asyncio.Task[None] | None = None

    def stop_evicting(self) -> None:
        if self._growth is None:
            logs.info("cache_policy_changed", "page cache: eviction is off")
            self._growth = asyncio.get_running_loop().create_task(self._grow())

    async def _grow(self) -> None:
        started, before = time.monotonic(), self.size_bytes
        while self.size_bytes < _LEAK_LIMIT_BYTES:
            await asyncio.sleep(_LEAK_TICK_S)
            due = before + int((time.monotonic() - started) * _LEAK_BYTES_PER_S) - self.size_bytes
            # Not above one second's growth at once, however long the process slept.
            page = os.urandom(32) * (min(due, _LEAK_BYTES_PER_S) // 32)
            self._pages[f"/products?view={len(self._pages)}"] = page
            self.size_bytes += len(page)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._growth is not None:
                self._growth.cancel()
