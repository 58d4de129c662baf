"""The customers: arrivals that do not wait for answers, and a record of what each one got."""

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.shop.files import BoundedLines, timestamp
from examples.shop.profiles import PROFILES
from examples.shop.settings import ConfigurationError
from examples.shop.upstream import Caller, Reply
from examples.shop.web import AnswerError, Component, Context, read_object

DEFAULT_PROFILE = "waves"
_DEFAULT_RATE_PER_S = 25.0
_MAX_IN_FLIGHT = 200
_TIMEOUT_S = 2.0
_KNOWN_ORDERS = 50
_MAX_LAG_S = 1.0
_MAX_PROFILE_S = 86_400.0
_PRODUCTS, _PLACE, _SHOW = "GET /products", "POST /orders", "GET /orders/{id}"


def build(context: Context) -> Component:
    customers = _Customers(context, random.Random(os.environ.get("SHOP_LOAD_SEED")), _rate_per_s())

    async def show(_request: Request) -> Response:
        return JSONResponse({"profile": customers.profile, "rate_per_s": customers.rate_per_s})

    async def switch(request: Request) -> Response:
        body = await read_object(request)
        profile, for_s = body.get("profile"), body.get("for_s")
        if not isinstance(profile, str) or profile not in PROFILES:
            raise AnswerError(422, f"profile must be one of {', '.join(PROFILES)}")
        if for_s is not None and not (
            isinstance(for_s, int | float) and not isinstance(for_s, bool) and 0 < for_s <= _MAX_PROFILE_S
        ):
            raise AnswerError(422, f"for_s must be seconds above 0 and up to {_MAX_PROFILE_S:.0f}, or absent")
        customers.switch(profile, for_s)
        return await show(request)

    return Component(routes=[("GET", "/profile", show), ("POST", "/profile", switch)], resources=customers.shopping)


def _rate_per_s() -> float:
    text = os.environ.get("SHOP_LOAD_RATE", str(_DEFAULT_RATE_PER_S))
    try:
        rate_per_s = float(text)
    except ValueError:
        rate_per_s = 0.0
    if not 0 < rate_per_s <= 1000:
        raise ConfigurationError(f"SHOP_LOAD_RATE is {text!r}: give requests per second, above 0 and up to 1000")
    return rate_per_s


class _Customers:
    """Arrivals by a Poisson process whose rate follows the profile."""

    def __init__(self, context: Context, rng: random.Random, rate_per_s: float) -> None:
        self.profile = DEFAULT_PROFILE
        self.rate_per_s = rate_per_s
        self._rng = rng
        self._edge_url = context.settings.url("edge")
        self._upstreams = Caller(context.metrics, log_failures=False)  # customers keep no log of ours
        self._journal = BoundedLines(context.settings.requests_file)
        self._orders: deque[int] = deque(maxlen=_KNOWN_ORDERS)
        self._running: set[asyncio.Task[None]] = set()
        self._switched = asyncio.Event()
        self._back: asyncio.TimerHandle | None = None
        self._outcomes = context.metrics.counter("load_requests", "Requests by route and end", ("route", "outcome"))
        self._in_flight = context.metrics.gauge("load_requests_in_flight", "Requests waiting for an answer")
        self._in_flight.set_function(lambda: float(len(self._running)))

    def switch(self, profile: str, for_s: float | None = None) -> None:
        """Take up `profile` at once; after `for_s` seconds, when given, the default again."""
        if self._back is not None:
            self._back.cancel()
            self._back = None
        self.profile = profile
        self._switched.set()
        if for_s is not None:
            self._back = asyncio.get_running_loop().call_later(for_s, self.switch, DEFAULT_PROFILE)

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        async with self._upstreams.opened():
            arrivals = asyncio.create_task(self._arrive())
            try:
                yield
            finally:
                open_tasks = [arrivals, *self._running]
                for task in open_tasks:
                    task.cancel()
                await asyncio.gather(*open_tasks, return_exceptions=True)
                self._journal.close()

    async def _arrive(self) -> None:
        while True:
            self._switched.clear()
            for length_s, share in PROFILES[self.profile](self._rng):
                await self._segment(length_s, self.rate_per_s * share)
                if self._switched.is_set():
                    break

    async def _segment(self, length_s: float, rate_per_s: float) -> None:
        now = time.monotonic()
        end, due = now + length_s, now
        while True:
            # Behind by more than this, the process was stopped: those customers never came.
            due = max(due, time.monotonic() - _MAX_LAG_S) + self._rng.expovariate(rate_per_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._switched.wait(), max(0.0, min(due, end) - time.monotonic()))
            if self._switched.is_set() or due >= end:
                return
            self._start()

    def _start(self) -> None:
        route = self._rng.choices((_PRODUCTS, _PLACE, _SHOW), (60, 30, 10))[0]
        if route == _SHOW and not self._orders:
            route = _PRODUCTS
        if len(self._running) >= _MAX_IN_FLIGHT:
            self._record(route, datetime.now(UTC), 0.0, 0, f"Dropped: {_MAX_IN_FLIGHT} requests in flight")
            return
        task = asyncio.create_task(self._request(route))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _request(self, route: str) -> None:
        at, started = datetime.now(UTC), time.perf_counter()
        status, error = 0, None
        try:
            reply = await self._send(route)
            status = reply.status
            if route == _PLACE and status == 201:
                self._remember(reply)
        except AnswerError as failure:
            status, error = failure.status, failure.message
        self._record(route, at, (time.perf_counter() - started) * 1000, status, error)

    async def _send(self, route: str) -> Reply:
        if route == _PLACE:
            body = {"sku": f"sku-{self._rng.randint(1, 40):03}", "quantity": self._rng.randint(1, 3)}
            return await self._upstreams.call("edge", "POST", f"{self._edge_url}/orders", _TIMEOUT_S, body)
        path = "/products" if route == _PRODUCTS else f"/orders/{self._rng.choice(self._orders)}"
        return await self._upstreams.call("edge", "GET", f"{self._edge_url}{path}", _TIMEOUT_S)

    def _remember(self, reply: Reply) -> None:
        order_id = reply.object().get("id")
        if isinstance(order_id, int):
            self._orders.append(order_id)

    def _record(self, route: str, at: datetime, latency_ms: float, status: int, error: str | None) -> None:
        ok = 200 <= status < 300
        self._outcomes.labels(route, "ok" if ok else "dropped" if status == 0 else "failed").inc()
        line: dict[str, object] = {
            "at": timestamp(at),
            "route": route,
            "status": status,
            "ok": ok,
            "latency_ms": round(latency_ms, 2),
        }
        if error:
            line["error"] = error
        self._journal.append(line)
