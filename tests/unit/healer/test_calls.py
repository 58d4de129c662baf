"""http.call and docker.*: only where it is allowed, named so that a repetition is known, and honest about failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from services.healer.clients.base import ActuatorError, Context, IrreversibleError
from services.healer.clients.docker_actuators import DockerRestart, DockerStart
from services.healer.clients.http_actuator import CallHttp
from shared.packs.actions.calls import HttpCall
from shared.packs.actions.programs import DockerAction
from shared.packs.component import SecretRef


@dataclass
class Web:
    """A web server that notes what it is asked and answers what it is told to."""

    answer: Callable[[str, str], tuple[int, object]]
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split()
        self.asked.append((method, target, headers, body))
        status, answer = self.answer(method, target)
        payload = b"" if answer is None else json.dumps(answer).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n".encode())
        writer.write((answer["location"] if isinstance(answer, dict) and "location" in answer else "").encode())
        writer.write(b"\r\n" + payload)
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def on_port(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    @asynccontextmanager
    async def on_socket(self, path: Path) -> AsyncIterator[str]:
        async with await asyncio.start_unix_server(self.handle, str(path)):
            yield str(path)


async def test_a_call_carries_its_name_and_body(context: Context) -> None:
    web = Web(lambda _method, _target: (204, None))
    async with web.on_port() as address:
        action = HttpCall(url=f"{address}/pool/reset", headers={"X-Why": "healing"}, body={"size": 5})
        call = CallHttp(context, action)
        await call.apply(await call.observe())
        await call.apply(await call.observe())
    method, target, headers, body = web.asked[0]
    assert (method, target, json.loads(body)) == ("POST", "/pool/reset", {"size": 5})
    assert headers["x-why"] == "healing"
    assert {asked[2]["idempotency-key"] for asked in web.asked} == {context.key}


@pytest.mark.parametrize(
    "url", ["http://example.com/", "http://127.0.0.1.example.com/", "ftp://127.0.0.1/", "http://127.0.0.1@evil/", "/x"]
)
async def test_a_call_to_a_host_that_is_not_declared_is_refused_before_acting(context: Context, url: str) -> None:
    with pytest.raises(ActuatorError, match="http_hosts"):
        await CallHttp(context, HttpCall(url=url)).observe()


async def test_an_unexpected_status_is_a_failure_and_redirects_are_not_followed(context: Context) -> None:
    web = Web(lambda _method, _target: (302, {"location": "Location: http://127.0.0.1:9/\r\n"}))
    async with web.on_port() as address:
        call = CallHttp(context, HttpCall(url=address))
        with pytest.raises(ActuatorError, match="answered 302"):
            await call.apply(await call.observe())
    assert len(web.asked) == 1


async def test_a_secret_header_is_sent_but_not_repeated_in_an_error(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_KEY", "canary-1f2e3d")
    web = Web(lambda _method, _target: (403, {"detail": "canary-1f2e3d may not"}))
    async with web.on_port() as address:
        call = CallHttp(context, HttpCall(url=address, headers={"X-Key": SecretRef(env="CACHE_KEY")}))
        with pytest.raises(ActuatorError, match="answered 403") as refused:
            await call.apply(await call.observe())
    assert web.asked[0][2]["x-key"] == "canary-1f2e3d"
    assert "may not" in str(refused.value)
    assert "canary" not in str(refused.value)


async def test_a_call_whose_secret_is_missing_is_refused_before_acting(context: Context) -> None:
    call = CallHttp(context, HttpCall(url="http://127.0.0.1/", headers={"X-Key": SecretRef(env="NOT_SET_ANYWHERE")}))
    with pytest.raises(ActuatorError, match="NOT_SET_ANYWHERE"):
        await call.observe()


async def test_a_call_has_no_way_back(context: Context) -> None:
    with pytest.raises(IrreversibleError):
        await CallHttp(context, HttpCall(url="http://127.0.0.1/")).undo({}, {}, files_restored=False)


@dataclass
class Engine:
    """As much of a Docker engine as the actuators use."""

    started_at: str = "2026-01-01T00:00:00Z"
    running: bool = True
    restarts: int = 0

    def answer(self, method: str, target: str) -> tuple[int, object]:
        name, _, verb = target.removeprefix("/containers/").partition("?")[0].partition("/")
        if name != "web-1":
            return 404, {"message": "no such container"}
        match method, verb:
            case "GET", "json":
                return 200, {"State": {"Running": self.running, "StartedAt": self.started_at}}
            case "POST", "restart":
                self.restarts += 1
                self.started_at = f"2026-01-01T00:00:{self.restarts:02}Z"
                self.running = True
                return 204, None
            case "POST", "start":
                was, self.running = self.running, True
                return (304 if was else 204), None
            case "POST", "stop":
                was, self.running = self.running, False
                return (204 if was else 304), None
            case _:
                return 500, {"message": "unexpected"}


async def test_a_container_is_restarted_once_however_often_it_is_repeated(context: Context, tmp_path: Path) -> None:
    engine = Engine()
    async with Web(engine.answer).on_socket(tmp_path / "docker.sock") as socket:
        restart = DockerRestart(context, DockerAction(container="web-1", socket=socket))
        seen = await restart.observe()
        assert (await restart.apply(seen)).changed
        assert not (await restart.apply(seen)).changed
        with pytest.raises(IrreversibleError):
            await restart.undo(seen, await restart.observe(), files_restored=False)
    assert engine.restarts == 1


async def test_the_start_of_a_container_is_never_undone_by_stopping_it(context: Context, tmp_path: Path) -> None:
    engine = Engine(running=False)
    async with Web(engine.answer).on_socket(tmp_path / "docker.sock") as socket:
        start = DockerStart(context, DockerAction(container="web-1", socket=socket))
        before = await start.observe()
        assert (await start.apply(before)).changed
        assert not (await start.apply(before)).changed
        with pytest.raises(IrreversibleError, match="left running"):
            await start.undo(before, await start.observe(), files_restored=False)
    assert engine.running


async def test_an_engine_or_container_that_is_not_there_is_named(context: Context, tmp_path: Path) -> None:
    socket = str(tmp_path / "docker.sock")
    with pytest.raises(ActuatorError, match=r"docker\.sock"):
        await DockerRestart(context, DockerAction(container="web-1", socket=socket)).observe()
    async with Web(Engine().answer).on_socket(Path(socket)):
        with pytest.raises(ActuatorError, match="no container 'web-2'"):
            await DockerRestart(replace_container(context), DockerAction(container="web-2", socket=socket)).observe()


def replace_container(context: Context) -> Context:
    return replace(context, component="other")
