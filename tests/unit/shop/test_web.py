"""What every component does as a web server: health of itself, honest statuses, counted requests."""

from pathlib import Path

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.shop.metrics import Metrics
from examples.shop.settings import Settings
from examples.shop.web import AnswerError, Component, Context, build_app, read_object


async def shown(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["id"]})


async def echoed(request: Request) -> Response:
    return JSONResponse(await read_object(request))


async def late(_request: Request) -> Response:
    raise AnswerError(504, "catalog: took too long")


async def broken(_request: Request) -> Response:
    raise RuntimeError("a bug")


ROUTES = [
    ("GET", "/things/{id}", shown),
    ("POST", "/things", echoed),
    ("GET", "/late", late),
    ("GET", "/broken", broken),
]


def client(ready: bool = True) -> httpx.AsyncClient:
    context = Context("catalog", Settings(Path("unused")), Metrics())
    app = build_app(context, Component(ROUTES, ready=lambda: ready))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://catalog")


async def test_health_is_its_own_and_readiness_is_not() -> None:
    async with client(ready=False) as shop:
        assert (await shop.get("/healthz")).json() == {"component": "catalog", "status": "ok"}
        assert (await shop.get("/readyz")).status_code == 503


async def test_requests_are_counted_by_route_template_and_status() -> None:
    async with client() as shop:
        for number in range(3):
            assert (await shop.get(f"/things/{number}")).status_code == 200
        assert (await shop.get("/late")).status_code == 504
        assert (await shop.get("/broken")).status_code == 500
        text = (await shop.get("/metrics")).text
    counted = 'http_requests_total{{method="GET",path="{}",status="{}",status_class="{}"}} {}'
    assert counted.format("/things/{id}", 200, "2xx", 3.0) in text
    assert counted.format("/late", 504, "5xx", 1.0) in text
    assert counted.format("/broken", 500, "5xx", 1.0) in text
    assert 'http_request_duration_seconds_count{method="GET",path="/things/{id}"} 3.0' in text
    assert "http_requests_in_flight 0.0" in text
    assert "process_resident_memory_bytes" in text
    assert "healthz" not in text  # probes are not customers


async def test_a_failure_tells_the_caller_why() -> None:
    async with client() as shop:
        assert (await shop.get("/late")).json() == {"error": "catalog: took too long"}


async def test_a_body_that_is_no_object_is_the_callers_fault() -> None:
    async with client() as shop:
        for body in (b"", b"{", b"[1]", b"\xff", b'"text"'):
            assert (await shop.post("/things", content=body)).status_code == 400
        assert (await shop.post("/things", content=b'{"sku": "x"}')).json() == {"sku": "x"}
        assert (await shop.post("/things", content=b" " * 100_000)).status_code == 413
