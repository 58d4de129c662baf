"""Breaking things on purpose, in a practice target only. Breaking twice has the effect of once."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, replace

from services.healer.clients import files, processes
from services.healer.clients.base import ActuatorError, Context
from services.healer.clients.file_actuators import SetKey
from services.healer.clients.files import FileCopy, FileError
from services.healer.clients.process_actuators import declared
from services.healer.clients.processes import ProcessError
from services.healer.clients.spawn import Spawner, running
from services.healer.clients.sql_actuator import ExecuteSql
from shared.packs.practice import Fault, FileWrite

_WAIT_S = 5.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Breaker:
    """One interpolated fault, bound to the practice target."""

    fault: Fault
    context: Context
    spawner: Spawner

    @property
    def touches(self) -> set[str]:
        """Names of all that it breaks. Raises ActuatorError when the target lacks it."""
        if self.fault.file_write is not None:
            return {f"file:{files.absolute(self.fault.file_write.path)}"}
        if self.fault.file_set is not None:
            return {f"file:{files.absolute(self.fault.file_set.path)}"}
        if self.fault.sql_execute is not None:
            return {ExecuteSql(self.context, self.fault.sql_execute).resource}
        return {f"process:{declared(self.context).pid_file}"}

    async def inject(self) -> str:
        """Does it; returns what was done in words. Raises ActuatorError."""
        fault = self.fault
        if fault.file_write is not None:
            return await _write(fault.file_write)
        if fault.file_set is not None:
            action = fault.file_set.model_copy(update={"path": files.absolute(fault.file_set.path)})
            set_key = SetKey(self.context, action)
            return (await set_key.apply(await set_key.observe())).detail
        if fault.sql_execute is not None:
            return (await ExecuteSql(self.context, fault.sql_execute).apply({})).detail
        number = signal.SIGSTOP if fault.process_suspend is not None else signal.SIGKILL
        return await self._signal(number)

    async def _signal(self, number: signal.Signals) -> str:
        process = declared(self.context)
        try:
            identity = await asyncio.to_thread(running, process)
            if identity is None or not await asyncio.to_thread(processes.send, identity, number):
                return "was not running"
        except ProcessError as error:
            raise ActuatorError(str(error)) from error
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while identity.is_alive and not identity.is_stopped:
            if asyncio.get_running_loop().time() > deadline:
                raise ActuatorError(f"pid {identity.pid} goes on {_WAIT_S:g} s after {number.name}")
            await asyncio.sleep(_POLL_S)
        self.spawner.reap()
        return f"sent {number.name} to pid {identity.pid}"


async def _write(action: FileWrite) -> str:
    path, content = files.absolute(action.path), action.content.encode()
    try:
        now = await asyncio.to_thread(files.read, path)
        if not now.state.exists:
            raise ActuatorError(f"{path} doesn't exist: a fault breaks a file that is there")
        wanted = FileCopy(replace(now.state, sha256=files.digest(content)), content)
        await asyncio.to_thread(files.replace, wanted, now.state.sha256)
    except FileError as error:
        raise ActuatorError(str(error)) from error
    return f"wrote {len(content)} bytes to {path}"
