"""What the gate passes on to the Docker engine, and that it passes on nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.image.docker_gate import Allowed, Gate, filtered_events, listen

SHOP = Allowed.parse("homeostat-shop-*, billing")


class Engine:
    """Stands in for Docker: answers everything and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "DELETE", "PUT"])])

    async def _answer(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        self.asked.append(f"{request.method} {request.url.path}{query}")
        if request.url.path == "/info":
            return JSONResponse({"ContainersRunning": 3, "Name": "secret-host", "RegistryConfig": {}})
        if request.url.path == "/containers/billing/start":
            return Response(status_code=304)
        return JSONResponse({"State": {"Running": True}})


@contextlib.asynccontextmanager
async def through(part: str, engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    behind = httpx.AsyncClient(transport=httpx.ASGITransport(engine.app), base_url="http://docker")
    gate = Gate(behind, SHOP, acts=part == "act").app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://docker") as client:
        yield client


async def test_looking_gives_state_use_and_a_count() -> None:
    engine = Engine()
    async with through("look", engine) as client:
        assert (await client.get("/containers/homeostat-shop-edge-1/json")).json() == {"State": {"Running": True}}
        assert (await client.get("/containers/billing/stats")).status_code == 200
        assert (await client.get("/info")).json() == {"ContainersRunning": 3}
    assert engine.asked == [
        "GET /containers/homeostat-shop-edge-1/json",
        "GET /containers/billing/stats?stream=false&one-shot=true",
        "GET /info",
    ]


async def test_acting_starts_stops_and_restarts() -> None:
    engine = Engine()
    async with through("act", engine) as client:
        assert (await client.post("/containers/billing/start")).status_code == 304
        assert (await client.post("/containers/billing/restart", params={"t": "10", "signal": "SIGKILL"})).is_success
        assert (await client.get("/containers/billing/json")).is_success
    assert engine.asked == [
        "POST /containers/billing/start",
        "POST /containers/billing/restart?t=10",
        "GET /containers/billing/json",
    ]


@pytest.mark.parametrize(
    ("part", "method", "path"),
    [
        ("look", "POST", "/containers/billing/restart"),
        ("look", "POST", "/containers/billing/start"),
        ("look", "GET", "/containers/json"),
        ("look", "GET", "/containers/homeostat-postgres-1/json"),
        ("look", "GET", "/containers/billing/logs"),
        ("look", "GET", "/containers/billing/../homeostat-postgres-1/json"),
        ("look", "GET", "/containers/billing%2F..%2Fhomeostat-postgres-1/json"),
        ("look", "GET", "/containers/homeostat-shop-x%3Fa/json"),
        ("look", "GET", "/v1.44/containers/billing/json"),
        ("act", "POST", "/containers/homeostat-postgres-1/stop"),
        ("act", "POST", "/containers/create"),
        ("act", "POST", "/containers/billing/exec"),
        ("act", "POST", "/containers/billing/kill"),
        ("act", "DELETE", "/containers/billing"),
        ("act", "GET", "/events"),
        ("act", "PUT", "/containers/billing/archive"),
    ],
)
async def test_everything_else_is_refused_before_the_engine_hears_of_it(part: str, method: str, path: str) -> None:
    engine = Engine()
    async with through(part, engine) as client:
        assert (await client.request(method, path)).status_code == 403
    assert engine.asked == []


async def test_events_come_only_of_listed_containers() -> None:
    engine = Engine()
    mine = json.dumps({"container": ["billing"], "event": ["die"]})
    theirs = json.dumps({"container": ["billing", "homeostat-postgres-1"]})
    async with through("look", engine) as client:
        assert (await client.get("/events", params={"filters": mine})).is_success
        assert (await client.get("/events", params={"filters": theirs})).status_code == 403
        assert (await client.get("/events")).status_code == 403
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "filters", [None, "", "[]", "{", '{"container": []}', '{"container": "billing"}', '{"container": {}}']
)
def test_events_without_names_are_refused(filters: str | None) -> None:
    assert filtered_events(SHOP, filters) is None


async def test_an_engine_that_is_away_is_told_as_such() -> None:
    away = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds="/nowhere/docker.sock"), base_url="http://docker")
    gate = Gate(away, SHOP, acts=True).app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://docker") as client:
        answer = await client.get("/containers/billing/json")
    assert answer.status_code == 502
    assert "the engine does not answer" in answer.text


@pytest.mark.parametrize("text", ["", " , ", "*", "?*", "c*", "dead*beef", "[a-z]*", "a/b", "shop-*,*"])
def test_a_list_that_would_let_everything_or_ids_through_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--containers"):
        Allowed.parse(text)


@given(st.text(alphabet="0123456789abcdef", min_size=1, max_size=64))
def test_no_id_passes(container_id: str) -> None:
    assert container_id not in SHOP


def test_only_user_and_group_may_speak_to_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    listen(path).close()
    listener = listen(path)  # also where a former process left its socket
    assert path.stat().st_mode & 0o777 == 0o660
    listener.close()
