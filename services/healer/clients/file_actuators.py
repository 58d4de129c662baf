"""file.restore_last_good and file.set: a configuration file is replaced whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.healer.clients import files
from services.healer.clients.base import ActuatorError, Context, Done, Facts, number, text
from services.healer.clients.files import FileCopy, FileError, FileState
from services.healer.domain.documents import DocumentError, get_key, set_key
from shared.packs.model import FileSet


async def _read(path: str) -> FileCopy:
    try:
        return await asyncio.to_thread(files.read, path)
    except FileError as error:
        raise ActuatorError(str(error)) from error


async def _replace(wanted: FileCopy, seen: Facts) -> bool:
    """Writes and reads back."""
    try:
        changed = await asyncio.to_thread(files.replace, wanted, text(seen, "sha256"))
        await asyncio.to_thread(files.verify, wanted.state)
    except FileError as error:
        raise ActuatorError(str(error)) from error
    return changed


def _short(sha256: str) -> str:
    return sha256[:12] or "no file"


@dataclass(frozen=True, slots=True)
class RestoreLastGood:
    """Puts back the newest version of a file that was in force without an incident."""

    context: Context
    path: str

    @property
    def resource(self) -> str:
        return f"file:{self.path}"

    @property
    def files(self) -> Sequence[str]:
        return (self.path,)

    async def observe(self) -> Facts:
        now = (await _read(self.path)).state
        good = await self.context.last_good(self.path, now.sha256)
        if good is None:
            raise ActuatorError(
                f"no good version of {self.path} is known that differs from the file as it is: "
                "one is learned when the file has been in force for `good_after_s` without an incident"
            )
        wanted = good.state
        return {
            "sha256": now.sha256,
            "wanted_sha256": wanted.sha256,
            "mode": wanted.mode,
            "uid": wanted.uid,
            "gid": wanted.gid,
        }

    def describe(self, seen: Facts) -> str:
        return f"restore {self.path} from {_short(text(seen, 'sha256'))} to {_short(text(seen, 'wanted_sha256'))}"

    async def apply(self, seen: Facts) -> Done:
        state = FileState(
            self.path, text(seen, "wanted_sha256"), number(seen, "mode"), number(seen, "uid"), number(seen, "gid")
        )
        changed = await _replace(FileCopy(state, await self.context.blob(state.sha256)), seen)
        return Done(f"{self.path} is {_short(state.sha256)} again", changed)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("put back from the backup", changed=False)


@dataclass(frozen=True, slots=True)
class SetKey:
    """Sets one key of a TOML or JSON file; the rest of the file stays byte for byte."""

    context: Context
    action: FileSet

    @property
    def resource(self) -> str:
        return f"file:{self.action.path}"

    @property
    def files(self) -> Sequence[str]:
        return (self.action.path,)

    def _edited(self, now: FileCopy) -> FileCopy:
        if not now.state.exists:
            raise ActuatorError(f"{self.action.path} doesn't exist: file.set changes a file, it doesn't make one")
        try:
            content = set_key(now.content, self.action.path, self.action.key, self.action.value)
        except DocumentError as error:
            raise ActuatorError(str(error)) from error
        return FileCopy(replace(now.state, sha256=files.digest(content)), content)

    async def observe(self) -> Facts:
        now = await _read(self.action.path)
        wanted = self._edited(now)
        return {
            "sha256": now.state.sha256,
            "wanted_sha256": wanted.state.sha256,
            "from": get_key(now.content, self.action.path, self.action.key),
        }

    def describe(self, seen: Facts) -> str:
        return f"set {self.action.key} in {self.action.path} from {seen['from']!r} to {self.action.value!r}"

    async def apply(self, seen: Facts) -> Done:
        now = await _read(self.action.path)
        if now.state.sha256 == seen["wanted_sha256"]:
            return Done(f"{self.action.key} is {self.action.value!r} already", changed=False)
        await _replace(self._edited(now), seen)
        return Done(f"{self.action.key}: {seen['from']!r} → {self.action.value!r}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("put back from the backup", changed=False)
