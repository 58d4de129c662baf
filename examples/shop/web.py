"""What all components share as web servers: health, metrics, honest errors. A component adds its routes."""

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from examples.shop.metrics import Metrics
from examples.shop.settings import Settings

type Handler = Callable[[Request], Awaitable[Response]]
type Resources = Callable[[], AbstractAsyncContextManager[None]]

_MAX_BODY_BYTES = 64 * 1024


class AnswerError(Exception):
    """An answer other than success; `status` is an HTTP status, `message` goes to the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Context:
    """What a component is built from."""

    name: str
    settings: Settings
    metrics: Metrics


@asynccontextmanager
async def no_resources() -> AsyncIterator[None]:
    yield


@dataclass(frozen=True)
class Component:
    """A web server's content.

    `resources` is entered before the first request and left after the last; `ready` says whether the
    component can do its work now (its liveness is another matter, and never depends on others).
    """

    routes: Sequence[tuple[str, str, Handler]]
    resources: Resources = no_resources
    ready: Callable[[], bool] = lambda: True
    on_signal: Mapping[signal.Signals, Callable[[], None]] = field(default_factory=dict)


async def read_object(request: Request) -> dict[str, object]:
    """The request's JSON object; AnswerError 400 for anything else."""
    try:
        body = await request.json()
    except ValueError as problem:
        raise AnswerError(400, f"the body is not JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise AnswerError(400, "the body must be a JSON object")
    return body


def build_app(context: Context, component: Component) -> Starlette:
    """The ASGI application; health and metrics are not counted as requests."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"component": context.name, "status": "ok"})

    async def readyz(_request: Request) -> Response:
        ready = component.ready()
        return JSONResponse({"component": context.name, "ready": ready}, 200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(context.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with component.resources():
            yield

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    routes += [
        Route(path, _measured(context.metrics, method, path, handler), methods=[method])
        for method, path, handler in component.routes
    ]
    return Starlette(routes=routes, lifespan=lifespan, max_body_size=_MAX_BODY_BYTES)


def _measured(metrics: Metrics, method: str, path: str, handler: Handler) -> Handler:
    async def endpoint(request: Request) -> Response:
        started = time.perf_counter()
        status = 500
        metrics.in_flight.inc()
        try:
            response = await handler(request)
            status = response.status_code
        except AnswerError as failure:
            status = failure.status
            return JSONResponse({"error": failure.message}, failure.status)
        else:
            return response
        finally:
            metrics.in_flight.dec()
            metrics.answered(method, path, status, time.perf_counter() - started)

    return endpoint
