"""Stands between Homeostat and the Docker engine, because whoever may speak to the engine's socket owns the machine.

Passes on only what the detector's probe and the healer's actuator need, and only for containers whose names are
listed; everything else is refused. Usage: python docker_gate.py look|act --containers 'shop-*,db-?' [--engine …]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

LISTEN = "/run/homeostat/docker.sock"
ENGINE = "/var/run/docker.sock"
ACTIONS = ("start", "stop", "restart")
_CONNECT_S = 5.0
_ANSWER_S = 60.0
"""Longer than a container's time to stop."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]+")
_NOT_IN_AN_ID = re.compile(r"[^0-9a-f*?]")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names of containers, with `*` and `?`."""

    patterns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """From `a,b-*`. Raises ValueError when that would allow nothing or everything."""
        patterns = tuple(part.strip() for part in text.split(",") if part.strip())
        if not patterns:
            raise ValueError("--containers names no container: give names or patterns such as 'shop-*'")
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(f"--containers: {pattern!r} fits no container's name")
            # The engine takes the beginning of an id for a name: `*`, or `c*`, would let those through.
            if ("*" in pattern or "?" in pattern) and not _NOT_IN_AN_ID.search(pattern):
                raise ValueError(f"--containers: {pattern!r} also fits ids: give a longer part of the name")
        return cls(patterns)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return False
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)


def filtered_events(allowed: Allowed, filters: str | None) -> str | None:
    """The `filters` of an events query that may pass, or None: it must ask for allowed containers only."""
    try:
        wanted = json.loads(filters or "")
    except ValueError:
        return None
    names = wanted.get("container") if isinstance(wanted, dict) else None
    if not isinstance(names, list) or not names or not all(name in allowed for name in names):
        return None
    return json.dumps({**wanted, "type": ["container"]})


class Gate:
    """The HTTP application in front of the engine."""

    def __init__(self, engine: httpx.AsyncClient, allowed: Allowed, *, acts: bool) -> None:
        self._engine = engine
        self._allowed = allowed
        self._acts = acts

    def app(self) -> Starlette:
        routes: list[BaseRoute] = [
            Route("/_ping", self._ping),
            Route("/containers/{name}/json", self._look),
        ]
        if self._acts:
            routes += [Route(f"/containers/{{name}}/{verb}", self._act, methods=["POST"]) for verb in ACTIONS]
        else:
            routes += [
                Route("/containers/{name}/stats", self._look),
                Route("/info", self._info),
                Route("/events", self._events),
            ]
        return Starlette(routes=routes, exception_handlers={404: _refused, 405: _refused}, lifespan=self._life)

    @contextlib.asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._engine:
            yield

    async def _ping(self, _request: Request) -> Response:
        return await self._pass_on("GET", "/_ping")

    async def _look(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._allowed:
            return _not_listed(name)
        query = {"stream": "false", "one-shot": "true"} if request.url.path.endswith("/stats") else {}
        return await self._pass_on("GET", request.url.path, query)

    async def _act(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._allowed:
            return _not_listed(name)
        wait_s = request.query_params.get("t", "")
        query = {"t": wait_s} if wait_s.isdecimal() else {}
        return await self._pass_on("POST", request.url.path, query)

    async def _info(self, _request: Request) -> Response:
        """How many containers run; the rest of this answer describes the machine to nobody."""
        try:
            answer = (await self._engine.get("/info")).json()
        except (httpx.HTTPError, ValueError) as error:
            return _away(error)
        return JSONResponse({"ContainersRunning": answer.get("ContainersRunning", 0)})

    async def _events(self, request: Request) -> Response:
        filters = filtered_events(self._allowed, request.query_params.get("filters"))
        if filters is None:
            return _message(403, "events are passed on for listed containers only: name them in `filters`")
        asked = self._engine.build_request("GET", "/events", params={"filters": filters})
        asked.extensions["timeout"] = {"connect": _CONNECT_S, "write": _CONNECT_S, "pool": _CONNECT_S, "read": None}
        try:
            answer = await self._engine.send(asked, stream=True)
        except httpx.HTTPError as error:
            return _away(error)
        return StreamingResponse(
            answer.aiter_bytes(),
            answer.status_code,
            media_type="application/json",
            background=BackgroundTask(answer.aclose),
        )

    async def _pass_on(self, method: str, path: str, query: dict[str, str] | None = None) -> Response:
        try:
            answer = await self._engine.request(method, path, params=query)
        except httpx.HTTPError as error:
            return _away(error)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))


async def _refused(request: Request, _error: Exception) -> Response:
    return _message(403, f"{request.method} {request.url.path} is not passed on to the engine")


def _not_listed(name: str) -> Response:
    return _message(403, f"container {name!r} is not listed in --containers")


def _away(error: Exception) -> Response:
    return _message(502, f"the engine does not answer: {error!r}")


def _message(status: int, text: str) -> Response:
    return JSONResponse({"message": text}, status)


def listen(path: Path) -> socket.socket:
    """A socket for this process's user and group, in place of what a former process left."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    former = os.umask(0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(former)
    listener.listen(64)
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="docker_gate.py", description=__doc__)
    parser.add_argument("part", choices=("look", "act"), help="look: state, use and events; act: start, stop, restart")
    parser.add_argument("--containers", required=True, help="names or patterns, separated by commas")
    parser.add_argument("--engine", default=ENGINE, help="the engine's socket")
    parser.add_argument("--listen", type=Path, default=Path(LISTEN), help="the socket offered")
    options = parser.parse_args(arguments)
    try:
        allowed = Allowed.parse(options.containers)
    except ValueError as error:
        parser.error(str(error))
    engine = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=options.engine),
        base_url="http://docker",
        timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
    )
    app = Gate(engine, allowed, acts=options.part == "act").app()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listen(options.listen)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
