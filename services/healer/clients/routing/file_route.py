"""A route that stands in a configuration file: one key is set, the file's other bytes stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.healer.clients.base import Context, Done, Facts, text
from services.healer.clients.file_actuators import SetKey, read_value
from shared.packs.actions.files import FileSet


@dataclass(frozen=True, slots=True)
class SetInFile:
    """Sets a key to what `choose` makes of its present value; chosen once, when looking."""

    context: Context
    path: str
    key: str
    choose: Callable[[str], str]
    """From the present value to the wanted one. Raises ActuatorError where there is none."""

    @property
    def resource(self) -> str:
        return f"file:{self.path}"

    @property
    def files(self) -> Sequence[str]:
        return (self.path,)

    def _setting(self, value: str) -> SetKey:
        return SetKey(self.context, FileSet(path=self.path, key=self.key, value=value))

    async def observe(self) -> Facts:
        wanted = self.choose(str(await read_value(self.path, self.key)))
        return {**await self._setting(wanted).observe(), "to": wanted}

    def describe(self, seen: Facts) -> str:
        return self._setting(text(seen, "to")).describe(seen)

    async def apply(self, seen: Facts) -> Done:
        return await self._setting(text(seen, "to")).apply(seen)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("put back from the backup", changed=False)
