"""process.restart, start, stop and reload: the component's declared process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from services.healer.clients import processes
from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError, number
from services.healer.clients.processes import Identity, ProcessError
from services.healer.clients.spawn import Spawner, running
from shared.packs.model import Process


def declared(context: Context) -> Process:
    """The component's process. Raises ActuatorError when the pack declares none."""
    if context.target.process is None:
        raise ActuatorError(
            f"component {context.component} declares no process: add `process: {{command, pid_file}}` to it in the pack"
        )
    return context.target.process


def _seen(facts: Facts) -> Identity | None:
    return Identity(number(facts, "pid"), number(facts, "start_ticks")) if facts["pid"] is not None else None


@dataclass(frozen=True, slots=True)
class _OnProcess:
    """What the four have in common: the identity that was running when they looked."""

    context: Context
    spawner: Spawner
    process: Process

    @property
    def resource(self) -> str:
        return f"process:{self.process.pid_file}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        try:
            found = await asyncio.to_thread(running, self.process)
        except ProcessError as error:
            raise ActuatorError(str(error)) from error
        if found is None:
            return {"pid": None, "start_ticks": None, "stopped": False}
        return {"pid": found.pid, "start_ticks": found.start_ticks, "stopped": found.is_stopped}

    async def state(self) -> str:
        """Whether it runs, not as which process."""
        seen = await self.observe()
        return "down" if seen["pid"] is None else "suspended" if seen["stopped"] else "running"

    def _now(self, facts: Facts) -> str:
        if facts["pid"] is None:
            return "not running"
        return f"pid {facts['pid']}" + (", suspended" if facts["stopped"] else "")

    async def _start(self) -> Done:
        try:
            started = await self.spawner.start(self.process)
        except ProcessError as error:
            raise ActuatorError(f"{self.context.component}: {error}") from error
        pid = started.identity.pid
        return Done(f"started as pid {pid}") if started.is_new else Done(f"already running as pid {pid}", changed=False)

    async def _end(self, identity: Identity | None) -> Done:
        if identity is None:
            return Done("was not running", changed=False)
        try:
            how = await processes.end(identity, self.process.stop_timeout_s)
        except ProcessError as error:
            raise ActuatorError(f"{self.context.component}: {error}") from error
        finally:
            self.spawner.reap()
        return Done(f"pid {identity.pid} {how}")

    async def _replace(self, old: Identity | None) -> Done:
        """Ends `old` if it still is what runs, then starts one unless there is another."""
        ended = await self._end(old)
        started = await self._start()
        if not started.changed and old is not None:
            return Done(f"already restarted: {started.detail}", changed=False)
        return Done(f"{ended.detail}; {started.detail}")


class ProcessRestart(_OnProcess):
    """Ends exactly the process that was seen and starts a new one, once."""

    def describe(self, seen: Facts) -> str:
        return f"restart {self.context.component} ({self._now(seen)})"

    async def apply(self, seen: Facts) -> Done:
        return await self._replace(_seen(seen))

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Restarts again where files were put back, so that they are read; a restart itself has no way back."""
        if not files_restored:
            raise IrreversibleError(f"the restart of {self.context.component} can't be undone")
        return await self._replace(_seen(now))


class ProcessStart(_OnProcess):
    def describe(self, seen: Facts) -> str:
        return f"start {self.context.component} ({self._now(seen)})"

    async def apply(self, seen: Facts) -> Done:
        return await self._start()

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Never by stopping: what was down and was started is no worse off running, whatever else didn't help."""
        if before["pid"] is None:
            raise IrreversibleError(f"{self.context.component} was down before its start: it is left running")
        return Done("was running before: left running", changed=False)


class ProcessStop(_OnProcess):
    def describe(self, seen: Facts) -> str:
        return f"stop {self.context.component} ({self._now(seen)})"

    async def apply(self, seen: Facts) -> Done:
        return await self._end(_seen(seen))

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if before["pid"] is None:
            return Done("was not running before: left stopped", changed=False)
        return await self._start()


@dataclass(frozen=True, slots=True)
class ProcessReload(_OnProcess):
    """Sends a signal that makes the process read its files again; reading them twice is harmless."""

    signal_number: signal.Signals

    def describe(self, seen: Facts) -> str:
        return f"send {self.signal_number.name} to {self.context.component} ({self._now(seen)})"

    async def apply(self, seen: Facts) -> Done:
        identity = _seen(seen)
        try:
            sent = identity is not None and await asyncio.to_thread(processes.send, identity, self.signal_number)
        except ProcessError as error:
            raise ActuatorError(f"{self.context.component}: {error}") from error
        if identity is None or not sent:
            raise ActuatorError(f"{self.context.component} is not running: a reload needs a running process")
        return Done(f"sent {self.signal_number.name} to pid {identity.pid}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Reads the files again as they are after the way back."""
        return await self.apply(now)


def signal_named(name: str | None) -> signal.Signals:
    """`SIGHUP` unless said. Raises ActuatorError for a name that is none, or a signal that ends or suspends."""
    allowed = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT}
    wanted = name or "SIGHUP"
    known = {signal_number.name: signal_number for signal_number in allowed}
    if wanted not in known:
        raise ActuatorError(f"process.reload can't send {wanted!r}: use one of {', '.join(sorted(known))}")
    return known[wanted]
