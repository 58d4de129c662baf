"""docker.restart, docker.start and docker.stop, through the engine's API on its socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from shared.packs.actions.programs import DockerAction

_STOP_WAIT_S = 10


@dataclass(frozen=True, slots=True)
class _OnContainer:
    context: Context
    action: DockerAction

    @property
    def resource(self) -> str:
        return f"container:{self.action.container}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        """The moment the container was started tells one run of it from the next."""
        response = await self._call("GET", "json")
        try:
            state: Mapping[str, object] = response.json()["State"]
            return {"running": bool(state["Running"]), "started_at": str(state["StartedAt"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ActuatorError(f"{self.action.socket} is no Docker engine: unexpected answer {error!r}") from error

    async def state(self) -> str:
        """Whether it runs, not since when."""
        return "running" if (await self.observe())["running"] else "down"

    async def _call(self, method: str, verb: str, **query: str) -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(uds=self.action.socket)
        url = f"http://docker/containers/{quote(self.action.container, safe='')}/{verb}"
        try:
            async with httpx.AsyncClient(transport=transport, timeout=self.context.timeout_s) as client:
                response = await client.request(method, url, params=query)
        except httpx.HTTPError as error:
            raise ActuatorError(
                f"can't reach the Docker engine at {self.action.socket}: {error!r}; mount the socket into the healer"
            ) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            raise ActuatorError(f"there is no container {self.action.container!r}")
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise ActuatorError(f"the engine refused to {verb} {self.action.container}: {response.text[:200]}")
        return response


class DockerRestart(_OnContainer):
    """Its way back is another restart, and only where files were put back that it reads."""

    def describe(self, seen: Facts) -> str:
        return f"restart container {self.action.container} (started {seen['started_at']})"

    async def apply(self, seen: Facts) -> Done:
        now = await self.observe()
        if now["running"] and now["started_at"] != seen["started_at"]:
            return Done(f"{self.action.container} already restarted at {now['started_at']}", changed=False)
        await self._call("POST", "restart", t=str(_STOP_WAIT_S))
        return Done(f"restarted container {self.action.container}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if not files_restored:
            raise IrreversibleError(f"the restart of container {self.action.container} can't be undone")
        return await self.apply(now)


class DockerStart(_OnContainer):
    def describe(self, seen: Facts) -> str:
        return f"start container {self.action.container} ({'running' if seen['running'] else 'not running'})"

    async def apply(self, seen: Facts) -> Done:
        """The engine answers 304 when it runs already."""
        response = await self._call("POST", "start")
        changed = response.status_code != httpx.codes.NOT_MODIFIED
        return Done(f"container {self.action.container} {'started' if changed else 'runs already'}", changed)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Never by stopping: what was down and was started is no worse off running."""
        if not before["running"]:
            raise IrreversibleError(f"container {self.action.container} was down before its start: it is left running")
        return Done("was running before: left running", changed=False)


class DockerStop(_OnContainer):
    """SIGTERM, then SIGKILL; the container stays, and so does what is in it."""

    def describe(self, seen: Facts) -> str:
        return f"stop container {self.action.container} ({'running' if seen['running'] else 'not running'})"

    async def apply(self, seen: Facts) -> Done:
        """The engine answers 304 when it doesn't run."""
        response = await self._call("POST", "stop", t=str(_STOP_WAIT_S))
        changed = response.status_code != httpx.codes.NOT_MODIFIED
        return Done(f"container {self.action.container} {'stopped' if changed else 'is stopped already'}", changed)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if not before["running"]:
            return Done("was not running before: left stopped", changed=False)
        response = await self._call("POST", "start")
        changed = response.status_code != httpx.codes.NOT_MODIFIED
        return Done(f"container {self.action.container} {'started again' if changed else 'runs already'}", changed)
