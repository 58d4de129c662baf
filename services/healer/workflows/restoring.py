"""Putting a backup's files back, and knowing that they are back: by reading them, not by having written them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from services.healer.clients.files import FileCopy, FileError, FileState, inwards
from services.healer.clients.remote import Places
from services.healer.store import backups
from services.healer.workflows.journal import Journal
from services.healer.workflows.records import Restored
from services.healer.workflows.vault import LostContentError, Vault
from shared.outbox import Unit


class UnknownBackupError(Exception):
    """There is no such backup, or bytes of it are gone."""


@dataclass(frozen=True, slots=True)
class Restoring:
    journal: Journal
    vault: Vault
    places: Places

    async def load(self, backup_id: str) -> list[FileCopy]:
        """The files of a backup with their bytes. Raises UnknownBackupError."""

        async def find(unit: Unit) -> list[FileCopy]:
            return await load_files(unit, self.vault, backup_id)

        return await self.journal.write(find)

    async def put_back(
        self,
        backup_id: str,
        written: Mapping[str, Collection[str]],
        failed: Collection[str],
        stays: Collection[str] = (),
    ) -> Restored:
        """Puts back what a run has changed; may be repeated after a crash.

        `written`: per file the sha256 of what this run's steps wrote. `failed`: files whose only step failed, so
        that they may never have been written. `stays`: files that the playbook wants left as they are now. A file
        that somebody else has changed meanwhile is left alone.
        """
        try:
            copies = await self.load(backup_id)
        except UnknownBackupError as error:
            return Restored(errors=(str(error),))
        back = [copy for copy in copies if copy.state.path not in stays]
        return await put_back(self.places, back, written, failed)


async def put_back(
    places: Places, copies: Sequence[FileCopy], written: Mapping[str, Collection[str]], failed: Collection[str]
) -> Restored:
    """Files whose bytes are this run's are put back, and so are files that no step of it writes itself."""
    paths, errors = [], []
    for copy in inwards(copies):
        path = copy.state.path
        try:
            now = (await places.read(path)).state
            ours = written.get(path)
            if not now.is_as(copy.state) and ours is not None and now.sha256 not in {*ours, copy.state.sha256}:
                if path not in failed:
                    errors.append(f"{path} was changed by somebody else after this run: left as it is")
                continue
            if await places.replace(copy, now.sha256):
                paths.append(path)
            await places.verify(copy.state)
        except FileError as error:
            errors.append(str(error))
    return Restored(paths=tuple(paths), errors=tuple(errors))


async def load_files(unit: Unit, vault: Vault, backup_id: str) -> list[FileCopy]:
    """Raises UnknownBackupError."""
    kept = await backups.get(unit.session, backup_id)
    if kept is None:
        raise UnknownBackupError(f"there is no backup {backup_id!r}: see `homeostat backup list`")
    copies = []
    for file in kept.files:
        state = FileState(
            path=str(file["path"]),
            sha256=str(file["sha256"]),
            mode=int(str(file["mode"])),
            uid=int(str(file["uid"])),
            gid=int(str(file["gid"])),
            link=str(file["link"]) if "link" in file else None,
        )
        try:
            content = await vault.content(unit, kept, state.sha256, state.path) if state.exists else b""
        except LostContentError as error:
            raise UnknownBackupError(str(error)) from error
        copies.append(FileCopy(state, content))
    return copies
