"""file.restore_last_good, file.set and config.step: a configuration file is replaced whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.healer.clients import files
from services.healer.clients.base import ActuatorError, Context, Done, Facts, number, text
from services.healer.clients.files import FileCopy, FileError, FileState
from services.healer.domain.documents import DocumentError, Scalar, get_key, set_key
from services.healer.domain.stepping import StepError, stepped
from shared.packs.actions.files import ConfigStep, FileSet


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


def _value(now: FileCopy, key: str) -> Scalar:
    if not now.state.exists:
        raise ActuatorError(f"{now.state.path} doesn't exist: a key is changed in a file that is there")
    try:
        return get_key(now.content, now.state.path, key)
    except DocumentError as error:
        raise ActuatorError(str(error)) from error


async def read_value(path: str, key: str) -> Scalar:
    """The value of one key of a configuration file. Raises ActuatorError."""
    return _value(await _read(path), key)


def _edited(now: FileCopy, key: str, value: Scalar) -> FileCopy:
    if not now.state.exists:
        raise ActuatorError(f"{now.state.path} doesn't exist: a key is changed in a file that is there")
    try:
        content = set_key(now.content, now.state.path, key, value)
    except DocumentError as error:
        raise ActuatorError(str(error)) from error
    return FileCopy(replace(now.state, sha256=files.digest(content)), content)


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
            self.path,
            text(seen, "wanted_sha256"),
            number(seen, "mode"),
            number(seen, "uid"),
            number(seen, "gid"),
            link=None,
        )
        changed = await _replace(FileCopy(state, await self.context.blob(state.sha256)), seen)
        return Done(f"{self.path} is {_short(state.sha256)} again", changed)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("put back from the backup", changed=False)


@dataclass(frozen=True, slots=True)
class SetKey:
    """Sets one key of a TOML, YAML or INI file, whose rest stays byte for byte, or of a JSON file, which is written
    anew with its indentation."""

    context: Context
    action: FileSet

    @property
    def resource(self) -> str:
        return f"file:{self.action.path}"

    @property
    def files(self) -> Sequence[str]:
        return (self.action.path,)

    async def observe(self) -> Facts:
        now = await _read(self.action.path)
        wanted = _edited(now, self.action.key, self.action.value)
        return {
            "sha256": now.state.sha256,
            "wanted_sha256": wanted.state.sha256,
            "from": _value(now, self.action.key),
        }

    def describe(self, seen: Facts) -> str:
        return f"set {self.action.key} in {self.action.path} from {seen['from']!r} to {self.action.value!r}"

    async def apply(self, seen: Facts) -> Done:
        now = await _read(self.action.path)
        if now.state.sha256 == seen["wanted_sha256"]:
            return Done(f"{self.action.key} is {self.action.value!r} already", changed=False)
        await _replace(_edited(now, self.action.key, self.action.value), seen)
        return Done(f"{self.action.key}: {seen['from']!r} → {self.action.value!r}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("put back from the backup", changed=False)


@dataclass(frozen=True, slots=True)
class StepKey:
    """Moves one number of a configuration file by one step within its bounds.

    Where it goes is reckoned once, when looking: a repetition goes to the same place, never a step further.
    """

    context: Context
    action: ConfigStep

    @property
    def resource(self) -> str:
        return f"file:{self.action.path}"

    @property
    def files(self) -> Sequence[str]:
        return (self.action.path,)

    async def observe(self) -> Facts:
        now = await _read(self.action.path)
        old = _value(now, self.action.key)
        try:
            new = stepped(old, self.action)
        except StepError as error:
            raise ActuatorError(f"{self.action.key} in {self.action.path} {error}") from error
        wanted = _edited(now, self.action.key, new)
        return {"sha256": now.state.sha256, "wanted_sha256": wanted.state.sha256, "from": old, "to": new}

    def describe(self, seen: Facts) -> str:
        bounds = f"within {self.action.min:g} to {self.action.max:g}"
        return f"step {self.action.key} in {self.action.path} from {seen['from']} to {seen['to']} ({bounds})"

    async def apply(self, seen: Facts) -> Done:
        now = await _read(self.action.path)
        if now.state.sha256 == seen["wanted_sha256"]:
            return Done(f"{self.action.key} is {seen['to']} already", changed=False)
        to = seen["to"]
        if not isinstance(to, int | float):
            raise TypeError(f"fact 'to' is {to!r}, not a number")
        await _replace(_edited(now, self.action.key, to), seen)
        return Done(f"{self.action.key}: {seen['from']} → {to}")

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return Done("put back from the backup", changed=False)
