"""Carrying out one order: allowed, not stale, not switched off, and once however often it is asked for."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from services.agent.allow import Allow, NotAllowedError
from services.agent.journal import Journal
from services.healer.clients import files
from services.healer.clients.base import Actuator, ActuatorError, Context, IrreversibleError
from services.healer.clients.files import FileCopy, FileError, FileState
from services.healer.clients.registry import actuator_for
from services.healer.clients.spawn import Spawner
from shared.contracts.agent import FILE_BYTES_MAX, AgentOrder, AgentReply, FileContent

log = structlog.get_logger()

_LOOKING = {"observe", "read"}


@dataclass(slots=True)
class Orders:
    allow: Allow
    journal: Journal
    spawner: Spawner
    switched_off: Callable[[], bool]
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def carry_out(self, order: AgentOrder) -> AgentReply:
        """Never raises: whatever is wrong is in the reply. One order of a component at a time."""
        async with self._locks[order.component]:
            try:
                return await self._carry_out(order)
            except (ActuatorError, FileError, NotAllowedError) as error:
                return AgentReply(error=str(error), changed=False)
            except Exception as error:
                log.exception("order failed", key=order.key, verb=order.verb)
                return AgentReply(error=f"{type(error).__name__}: {error}", changed=False)

    async def _carry_out(self, order: AgentOrder) -> AgentReply:
        if order.verb in _LOOKING:
            return await self._look(order)
        if self.switched_off():
            raise NotAllowedError("the kill switch is on")
        newest = self.journal.pass_fence(order.component, order.fence)
        if order.fence < newest:
            raise NotAllowedError(f"stale: fence {order.fence} of {order.component} is older than {newest}")
        key = f"{order.key}/{order.verb}"
        again = f"{key}/{order.fence}"
        if (done := self.journal.reply_to(key) or self.journal.reply_to(again)) is not None:
            return done
        # Killed from here on, it is done again with the same sight: the actuators recognise what they did already.
        reply = await self._replace(order) if order.verb == "replace" else await self._act(order)
        if order.verb != "replace":  # which compares by itself, and may be wanted again
            # What failed may be tried anew, under a new fence; the same order, asked twice, fails once.
            self.journal.note(again if reply.error else key, reply)
        return reply

    async def _look(self, order: AgentOrder) -> AgentReply:
        if order.verb == "read":
            wanted = _file(order)
            self.allow.check_path(wanted.path)
            return AgentReply(file=told(await asyncio.to_thread(files.read, wanted.path)))
        return AgentReply(facts=dict(await self._actuator(order).observe()))

    async def _act(self, order: AgentOrder) -> AgentReply:
        actuator = self._actuator(order)
        try:
            async with asyncio.timeout(order.timeout_s):
                if order.verb == "apply":
                    done = await actuator.apply(order.seen)
                else:
                    done = await actuator.undo(order.seen, order.now, files_restored=order.files_restored)
        except IrreversibleError as error:
            return AgentReply(error=str(error), irreversible=True, changed=False)
        except TimeoutError:
            return AgentReply(error=f"took longer than timeout_s = {order.timeout_s:g}", changed=False)
        except ActuatorError as error:
            return AgentReply(error=str(error), changed=False)
        return AgentReply(detail=done.detail, changed=done.changed)

    async def _replace(self, order: AgentOrder) -> AgentReply:
        wanted = copy_of(_file(order))
        self.allow.check_path(wanted.state.path)
        changed = await asyncio.to_thread(files.replace, wanted, order.expected_sha256)
        await asyncio.to_thread(files.verify, wanted.state)
        return AgentReply(changed=changed)

    def _actuator(self, order: AgentOrder) -> Actuator:
        """Bound, and allowed. Raises ActuatorError or NotAllowedError."""
        if order.step is None:
            raise ActuatorError(f"{order.verb} needs a step")

        async def last_good(path: str, sha256: str) -> FileCopy | None:
            return next((copy_of(one) for one in order.good if one.path == path and one.sha256 != sha256), None)

        async def blob(sha256: str) -> bytes:
            return b64decode(order.blobs[sha256])

        async def keep(content: bytes) -> None:
            self.journal.keep(order.key, content)

        async def kept() -> bytes | None:
            return self.journal.kept(order.key)

        context = Context(
            component=order.component,
            target=order.target,
            key=order.key,
            timeout_s=order.timeout_s,
            http_hosts=order.http_hosts,
            last_good=last_good,
            blob=blob,
            keep=keep,
            kept=kept,
        )
        actuator = actuator_for(order.step, context, self.spawner)
        self.allow.check_step(order.step.actuator, actuator.resource, actuator.files, order.target.process)
        return actuator


def _file(order: AgentOrder) -> FileContent:
    if order.file is None:
        raise ActuatorError(f"{order.verb} needs a file")
    return order.file


def told(copy: FileCopy) -> FileContent:
    """Raises FileError for a file that doesn't fit into a message."""
    state = copy.state
    if len(copy.content) > FILE_BYTES_MAX:
        raise FileError(f"{state.path} is larger than {FILE_BYTES_MAX} bytes: no such file is changed on another host")
    return FileContent(
        path=state.path,
        sha256=state.sha256,
        mode=state.mode,
        uid=state.uid,
        gid=state.gid,
        link=state.link,
        content=b64encode(copy.content).decode(),
    )


def copy_of(file: FileContent) -> FileCopy:
    state = FileState(file.path, file.sha256, file.mode, file.uid, file.gid, file.link)
    return FileCopy(state, b64decode(file.content))
