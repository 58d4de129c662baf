"""Backups for people, and the steady look at configuration files that learns which versions are good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from services.healer.clients.files import FileCopy, FileError
from services.healer.clients.remote import Places, place
from services.healer.domain.goodness import Judgement, Watched, judge
from services.healer.domain.runs import backup_id
from services.healer.store import backups, cases, runs
from services.healer.store.models import Backup, GoodFile, WatchedFile
from services.healer.workflows.journal import Journal
from services.healer.workflows.preparing import contents, described
from services.healer.workflows.restoring import UnknownBackupError, load_files, put_back
from services.healer.workflows.vault import Vault
from shared.bus import CommandRefusedError
from shared.contracts import healer as contract
from shared.outbox import Unit
from shared.packs.book import PackBook

log = structlog.get_logger()


@dataclass(slots=True)
class BackupHandlers:
    journal: Journal
    places: Places
    ids: Callable[[], UUID]
    switched_off: Callable[[], bool]
    """The kill switch: while it is on, nothing is put back either."""
    vault: Vault

    async def newest(self, request: contract.ListBackups, unit: Unit) -> contract.Backups:
        """The newest backups, and how many there are."""
        found, total = await backups.newest(unit.session, request.component, request.limit)
        return contract.Backups(backups=tuple(_told(backup) for backup in found), total=total)

    async def roll_back(self, request: contract.Rollback, unit: Unit) -> contract.RolledBack:
        """Puts a backup's files back, after a backup of what is there now; refuses while a run is at work."""
        kept = await backups.get(unit.session, request.backup_id)
        if kept is None:
            raise CommandRefusedError(f"there is no backup {request.backup_id!r}: list them, the newest come first")
        if self.switched_off():
            raise CommandRefusedError("the kill switch is on: nothing is touched until it is off")
        await runs.lock_component(unit.session, kept.component)
        if active := await runs.active_on(unit.session, kept.component):
            raise CommandRefusedError(
                f"run {active} is at work on {kept.component}: wait for its outcome, then ask again"
            )
        try:
            copies = await load_files(unit, self.vault, request.backup_id)
            now = [await self.places.read(copy.state.path) for copy in copies]
        except (UnknownBackupError, FileError) as error:
            raise CommandRefusedError(str(error)) from error
        safety = await self._keep_what_is_there(kept, now, request.by)
        restored = await put_back(self.places, copies, {}, ())
        if restored.errors:
            raise CommandRefusedError(
                f"not all files are back: {'; '.join(restored.errors)}. What was there is in backup {safety}"
            )
        await backups.note_restored(unit.session, request.backup_id, request.by, unit.now)
        log.info("backup restored", backup_id=request.backup_id, by=request.by, files=restored.paths)
        return contract.RolledBack(backup_id=request.backup_id, restored=restored.paths, safety_backup_id=safety)

    async def _keep_what_is_there(self, kept: Backup, now: list[FileCopy], by: str) -> str:
        """Committed before anything is touched."""
        unique = self.ids()

        async def keep(unit: Unit) -> str:
            identifier = backup_id(unit.now, unique)
            await backups.keep_blobs(unit.session, contents(now), unit.now)
            await backups.keep(
                unit.session,
                backup_id=identifier,
                run_id=None,
                component=kept.component,
                reason=f"before {by} went back to {kept.id}",
                confidence=1.0,
                files=[described(copy) for copy in now],
                now=unit.now,
            )
            return identifier

        return await self.journal.write(keep)


def _told(backup: Backup) -> contract.Backup:
    return contract.Backup(
        backup_id=backup.id,
        at=backup.created_at,
        component=backup.component,
        decision_id=backup.run_id,
        reason=backup.reason,
        confidence=backup.confidence,
        files=tuple(contract.BackupFile.model_validate(file) for file in backup.files),
        restored_at=backup.restored_at,
        restored_by=backup.restored_by,
        archive=backup.archive,
    )


@dataclass(slots=True)
class GoodFiles:
    """Looks at the configuration file of every component and learns which versions of it are good."""

    packs: PackBook
    places: Places
    keep_versions: int
    _unreadable: set[str] = field(default_factory=set)

    async def look(self, unit: Unit) -> None:
        """One look at all files."""
        placed = {
            place(component.host, component.config_path): (name, applied.pack.good_after_s)
            for applied in self.packs.packs.values()
            for name, component in applied.pack.components.items()
            if component.config_path and not component.practice  # what is broken there on purpose is no good version
        }
        known = await backups.watched(unit.session, placed)
        trouble = await cases.last_trouble(unit.session, [name for name, _ in placed.values()], unit.now)
        for path, (component, good_after_s) in placed.items():
            copy = await self._read(path)
            if copy is not None and copy.state.exists:
                watched = _watched(known.get(path))
                judgement = judge(watched, copy.state.sha256, unit.now, good_after_s, trouble.get(component))
                await self._follow(unit, component, copy, judgement)

    async def _read(self, path: str) -> FileCopy | None:
        try:
            copy = await self.places.read(path)
        except FileError as error:
            if path not in self._unreadable:
                log.warning("configuration file can't be watched", path=path, error=str(error))
            self._unreadable.add(path)
            return None
        self._unreadable.discard(path)
        return copy

    async def _follow(self, unit: Unit, component: str, copy: FileCopy, judgement: Judgement) -> None:
        state = copy.state
        if judgement in {Judgement.WAIT, Judgement.KNOWN}:
            return
        good = judgement is not Judgement.WATCH
        await backups.watch(
            unit.session, path=state.path, component=component, sha256=state.sha256, since=unit.now, good=good
        )
        if good:
            await backups.keep_blobs(unit.session, contents([copy]), unit.now)
            version = GoodFile(
                path=state.path,
                sha256=state.sha256,
                component=component,
                mode=state.mode,
                uid=state.uid,
                gid=state.gid,
                good_at=unit.now,
            )
            await backups.add_good(unit.session, version, self.keep_versions)
            log.info("good version of a configuration file", path=state.path, sha256=state.sha256[:12])


def _watched(row: WatchedFile | None) -> Watched | None:
    return Watched(row.sha256, row.since, row.good) if row else None
