"""Acting on other hosts: an actuator whose hand is an agent there, and files that lie there.

A file on another host is named `agent://<agent>/etc/app.toml` wherever the healer keeps it, so that backups and good
versions of two hosts are never taken for one another, and nothing local is touched by mistake.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from services.healer.clients import files
from services.healer.clients.base import Actuator, ActuatorError, Context, Done, Facts, IrreversibleError
from services.healer.clients.files import FileCopy, FileError, FileState
from shared.contracts.agent import AgentOrder, AgentReply, FileContent, order_subject
from shared.packs.component import Component
from shared.packs.playbook import Step

log = structlog.get_logger()

SCHEME = "agent://"
TRY_S = 5.0
"""How long one request waits for its answer before it is asked again under the same key."""
LOOK_S = 5.0
PAUSE_S = 0.25

type Ask = Callable[[str, bytes, float], Awaitable[bytes | None]]
"""`(subject, body, timeout_s)` → the answer; None: nobody is there, or nobody answered in time."""


@dataclass(frozen=True, slots=True)
class Agents:
    """Orders to agents; each is repeated until it is answered, and its agent does it once."""

    ask: Ask
    fence: Callable[[], Awaitable[int]]
    """A number that grows, and that only a healer in charge of its runs can get."""

    async def order(self, agent: str, order: AgentOrder, within_s: float) -> AgentReply:
        """Raises ActuatorError or IrreversibleError."""
        if order.verb not in {"observe", "read"}:
            order = order.model_copy(update={"fence": await self.fence()})
        body = order.model_dump_json(by_alias=True).encode()
        deadline = asyncio.get_running_loop().time() + within_s
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            raw = await self.ask(order_subject(agent), body, min(TRY_S, left_s))
            if raw is not None:
                return _checked(AgentReply.model_validate_json(raw), agent)
            await asyncio.sleep(min(PAUSE_S, max(left_s, 0)))
        raise ActuatorError(
            f"the agent {agent} did not answer within {within_s:g} s: "
            f"start `homeostat agent --name {agent}` on its host"
        )


def _checked(reply: AgentReply, agent: str) -> AgentReply:
    if reply.irreversible:
        raise IrreversibleError(reply.error)
    if reply.error:
        raise ActuatorError(f"agent {agent}: {reply.error}")
    return reply


@dataclass(frozen=True, slots=True)
class RemoteActuator:
    """A step that an agent does; what it is called and what it touches is the same as here."""

    agent: str
    agents: Agents
    step: Step
    context: Context
    here: Actuator
    """The same step, bound here: for its names only."""

    @property
    def resource(self) -> str:
        return f"{self.agent}:{self.here.resource}"

    @property
    def files(self) -> Sequence[str]:
        return tuple(place(self.agent, path) for path in self.here.files)

    async def observe(self) -> Facts:
        good = [one for path in self.files for one in await self._good(path)]
        reply = await self.agents.order(self.agent, self._order("observe", good=tuple(good)), LOOK_S)
        return reply.facts

    def describe(self, seen: Facts) -> str:
        return f"{self.here.describe(seen)} on {self.agent}"

    async def apply(self, seen: Facts) -> Done:
        order = self._order("apply", seen=dict(seen), blobs=await self._blobs(seen))
        reply = await self.agents.order(self.agent, order, self.context.timeout_s)
        return Done(reply.detail, reply.changed)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        order = self._order("undo", seen=dict(before), now=dict(now), files_restored=files_restored)
        reply = await self.agents.order(self.agent, order, self.context.timeout_s)
        return Done(reply.detail, reply.changed)

    def _order(self, verb: str, **more: object) -> AgentOrder:
        values = {
            "key": self.context.key,
            "verb": verb,
            "component": self.context.component,
            "target": self.context.target,
            "timeout_s": self.context.timeout_s,
            "step": self.step,
            "http_hosts": tuple(self.context.http_hosts),
            **more,
        }
        return AgentOrder.model_validate(values)

    async def _good(self, path: str) -> list[FileContent]:
        """The two newest good versions: whichever differs from the file as it is there."""
        newest = await self.context.last_good(path, "")
        older = await self.context.last_good(path, newest.state.sha256) if newest else None
        return [told(one, content=False) for one in (newest, older) if one is not None]

    async def _blobs(self, seen: Facts) -> dict[str, str]:
        wanted = seen.get("wanted_sha256")
        if not isinstance(wanted, str) or not wanted:
            return {}
        try:
            return {wanted: b64encode(await self.context.blob(wanted)).decode()}
        except KeyError:
            return {}  # bytes that the step makes itself


# ---- files, wherever they are


def place(agent: str | None, path: str) -> str:
    """How the healer calls a file: `agent://web-2/etc/app.toml`, or its absolute path here."""
    if agent is None:
        return files.absolute(path)
    return path if path.startswith(SCHEME) else f"{SCHEME}{agent}{path}"


def _split(path: str) -> tuple[str, str] | None:
    """Agent and path there; None for a file of this host."""
    if not path.startswith(SCHEME):
        return None
    agent, _, rest = path.removeprefix(SCHEME).partition("/")
    return agent, f"/{rest}"


@dataclass(frozen=True, slots=True)
class Places:
    """Reads and replaces files here and there, with the same promises. All raise FileError."""

    agents: Agents

    async def read(self, path: str) -> FileCopy:
        where = _split(path)
        if where is None:
            return await asyncio.to_thread(files.read, path)
        order = _file_order("read", where[1], FileContent(path=where[1], sha256=""))
        reply = await self._ask(where[0], order)
        if reply.file is None:
            raise FileError(f"agent {where[0]} gave no file for {where[1]}")
        return _copy(reply.file, path)

    async def replace(self, wanted: FileCopy, expected_sha256: str) -> bool:
        where = _split(wanted.state.path)
        if where is None:
            return await asyncio.to_thread(files.replace, wanted, expected_sha256)
        there = FileCopy(replace(wanted.state, path=where[1]), wanted.content)
        order = _file_order("replace", where[1], told(there, content=True), expected_sha256)
        return (await self._ask(where[0], order)).changed

    async def verify(self, wanted: FileState) -> None:
        now = (await self.read(wanted.path)).state
        if not now.is_as(wanted):
            raise FileError(f"{wanted.path} reads back as {now}, not as {wanted}")

    async def _ask(self, agent: str, order: AgentOrder) -> AgentReply:
        try:
            return await self.agents.order(agent, order, LOOK_S)
        except ActuatorError as error:
            raise FileError(str(error)) from error


def _file_order(verb: str, path: str, file: FileContent, expected_sha256: str = "") -> AgentOrder:
    values = {
        "key": f"file:{path}",
        "verb": verb,
        "component": "files",
        "target": Component(),
        "file": file,
        "expected_sha256": expected_sha256,
    }
    return AgentOrder.model_validate(values)


def told(copy: FileCopy, *, content: bool) -> FileContent:
    """A file for the wire, with its path on its own host."""
    state = copy.state
    where = _split(state.path)
    return FileContent(
        path=where[1] if where else state.path,
        sha256=state.sha256,
        mode=state.mode,
        uid=state.uid,
        gid=state.gid,
        link=state.link,
        content=b64encode(copy.content).decode() if content else "",
    )


def _copy(file: FileContent, path: str) -> FileCopy:
    return FileCopy(FileState(path, file.sha256, file.mode, file.uid, file.gid, file.link), b64decode(file.content))
