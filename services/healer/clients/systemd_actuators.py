"""systemd.restart, start, stop and reload: one unit, through systemctl."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from services.healer.clients.base import ActuatorError, Context, Done, Facts, IrreversibleError
from shared.packs.actions.programs import SystemdUnit

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "InvocationID", "CanReload")
_RUNS = ("active", "reloading", "activating")
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class _OnUnit:
    """What the four have in common. systemd names each run of a unit with an id of its own."""

    context: Context
    action: SystemdUnit

    @property
    def resource(self) -> str:
        return f"systemd:{self.action.unit}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        told = await self._systemctl("show", f"--property={','.join(_PROPERTIES)}", "--", self.action.unit)
        found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        if found.get("LoadState") != "loaded":
            raise ActuatorError(
                f"unit {self.action.unit} is {found.get('LoadState') or 'unknown'} to systemd: install it"
            )
        state = found.get("ActiveState", "")
        return {
            "running": state in _RUNS,
            "state": f"{state} ({found.get('SubState', '')})",
            "run": found.get("InvocationID", ""),
            "can_reload": found.get("CanReload") == "yes",
        }

    async def _systemctl(self, *arguments: str) -> str:
        """Waits for the job's end. Raises ActuatorError with what systemd says."""
        scope = ("--user",) if self.action.scope == "user" else ()
        names = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS")
        environment = {name: os.environ[name] for name in names if name in os.environ} | {"LC_ALL": "C.UTF-8"}
        command = ("systemctl", *scope, "--no-ask-password", "--no-pager", *arguments)
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise ActuatorError(
                f"systemctl can't be run: {error.strerror}; the healer must run on the machine whose units it acts on"
            ) from error
        out, problem = await child.communicate()
        if child.returncode:
            said = problem.decode(errors="replace").strip()[:_SHOWN]
            raise ActuatorError(
                f"systemctl {arguments[0]} {self.action.unit} failed: {said or f'status {child.returncode}'}"
            )
        return out.decode(errors="replace")

    async def _do(self, verb: str) -> None:
        await self._systemctl(verb, "--", self.action.unit)

    async def _start(self) -> Done:
        if (await self.observe())["running"]:
            return Done(f"{self.action.unit} runs already", changed=False)
        await self._do("start")
        return Done(f"started {self.action.unit}")


class UnitRestart(_OnUnit):
    def describe(self, seen: Facts) -> str:
        return f"restart {self.action.unit} ({seen['state']})"

    async def apply(self, seen: Facts) -> Done:
        now = await self.observe()
        if now["running"] and now["run"] != seen["run"]:
            return Done(f"{self.action.unit} was restarted already", changed=False)
        await self._do("restart")
        return Done(f"restarted {self.action.unit}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Restarts again where files were put back, so that they are read; a restart itself has no way back."""
        if not files_restored:
            raise IrreversibleError(f"the restart of {self.action.unit} can't be undone")
        return await self.apply(now)


class UnitStart(_OnUnit):
    def describe(self, seen: Facts) -> str:
        return f"start {self.action.unit} ({seen['state']})"

    async def apply(self, seen: Facts) -> Done:
        return await self._start()

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Never by stopping: what was down and was started is no worse off running."""
        if not before["running"]:
            raise IrreversibleError(f"{self.action.unit} was down before its start: it is left running")
        return Done("was running before: left running", changed=False)


class UnitStop(_OnUnit):
    def describe(self, seen: Facts) -> str:
        return f"stop {self.action.unit} ({seen['state']})"

    async def apply(self, seen: Facts) -> Done:
        now = await self.observe()
        if not now["running"]:
            return Done(f"{self.action.unit} is stopped already", changed=False)
        await self._do("stop")
        return Done(f"stopped {self.action.unit}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        if not before["running"]:
            return Done("was not running before: left stopped", changed=False)
        return await self._start()


class UnitReload(_OnUnit):
    """Has the unit read its files again; reading them twice is harmless."""

    async def observe(self) -> Facts:
        seen = await _OnUnit.observe(self)
        if not seen["can_reload"]:
            raise ActuatorError(
                f"{self.action.unit} can't be reloaded: it has no ExecReload, or doesn't run; restart it"
            )
        return seen

    def describe(self, seen: Facts) -> str:
        return f"reload {self.action.unit} ({seen['state']})"

    async def apply(self, seen: Facts) -> Done:
        await self._do("reload")
        return Done(f"reloaded {self.action.unit}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """Reads the files again as they are after the way back."""
        return await self.apply(now)
