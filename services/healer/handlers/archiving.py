"""Keeping house with backups: a month that is wholly past its retention goes into one archive file, and what nothing
refers to any more is deleted. Also reading everything back, to know that it is still there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from services.healer.clients import archives
from services.healer.clients.archives import ArchiveError, ArchiveFile, ArchiveWriter
from services.healer.clients.files import digest
from services.healer.domain.retention import first_whole_month
from services.healer.store import backups
from services.healer.store.hooks import after_commit
from services.healer.store.models import Backup
from services.healer.workflows.vault import Vault
from shared.contracts import healer as contract
from shared.outbox import Unit

log = structlog.get_logger()

ORPHAN_AGE = timedelta(days=1)
"""Bytes that nothing refers to are kept this long: a backup may be about to."""
_ARCHIVES = "archive:"


@dataclass(frozen=True, slots=True)
class Archiving:
    vault: Vault
    retention: timedelta
    archive_retention: timedelta

    async def clean_up(self, unit: Unit) -> None:
        """Archives at most one month, then deletes what is past its time and what nothing refers to."""
        if self.vault.directory is None:
            await backups.forget(unit.session, unit.now - self.retention)
        else:
            await self._archive_a_month(unit)
            await backups.forget(unit.session, unit.now - self.retention - self.archive_retention)
            for name in await backups.forget_empty_archives(unit.session):
                after_commit(unit.session, partial((self.vault.directory / name).unlink, missing_ok=True))
                log.info("archive past its retention", archive=name)
        await backups.forget_copies(unit.session, unit.now - self.retention)
        await backups.forget_orphans(unit.session, unit.now - ORPHAN_AGE)

    async def _archive_a_month(self, unit: Unit) -> None:
        oldest = await backups.oldest_unarchived(unit.session)
        month = first_whole_month(oldest, unit.now - self.retention)
        if month is None or self.vault.directory is None:
            return
        found = await backups.of_month(unit.session, *month)
        named = f"{month[0]:%Y-%m}"
        writer = await asyncio.to_thread(ArchiveWriter, self.vault.directory, named)
        try:
            made = await self._write(unit, writer, list(found))
        except ArchiveError as error:
            log.error("backups not archived; they stay where they are", month=named, error=str(error))
            return
        finally:
            await asyncio.to_thread(writer.give_up)
        await backups.note_archived(
            unit.session, [one.id for one in found], made.name, made.sha256, made.size_bytes, unit.now
        )
        log.info("backups archived", month=named, backups=len(found), archive=made.name, bytes=made.size_bytes)

    async def _write(self, unit: Unit, writer: ArchiveWriter, found: list[Backup]) -> ArchiveFile:
        for sha256 in sorted({str(file["sha256"]) for one in found for file in one.files} - {""}):
            try:
                await asyncio.to_thread(writer.add, sha256, await backups.blob(unit.session, sha256))
            except KeyError as error:
                raise ArchiveError(f"the bytes {sha256[:12]} are gone: see `homeostat backup verify`") from error
        return await asyncio.to_thread(writer.finish, [_described(one) for one in found])

    async def verify(self, request: contract.VerifyBackups, unit: Unit) -> contract.VerifiedBackups:
        """Reads a page of contents against their names; then the archives, one an answer; then what is missing."""
        if not request.after.startswith(_ARCHIVES):
            return await self._verify_blobs(request, unit)
        found = await backups.archive_after(unit.session, request.after.removeprefix(_ARCHIVES))
        if found is None:
            lost = await backups.lost(unit.session)
            bad = tuple(f"backup {one} has lost the bytes {sha256[:12]}" for one, sha256 in lost)
            return contract.VerifiedBackups(bad=bad)
        if self.vault.directory is None:
            wrong = [f"{found.name}: HOMEOSTAT_BACKUP_ARCHIVE_DIR is not set"]
        else:
            wrong = await asyncio.to_thread(archives.damaged, self.vault.directory / found.name, found.sha256)
        return contract.VerifiedBackups(
            archives=1, bytes_read=found.size_bytes, bad=tuple(wrong), next=_ARCHIVES + found.name
        )

    async def _verify_blobs(self, request: contract.VerifyBackups, unit: Unit) -> contract.VerifiedBackups:
        names = await backups.names_after(unit.session, request.after, request.limit)
        bad, read = [], 0
        for name in names:
            content = await backups.blob(unit.session, name)
            read += len(content)
            if digest(content) != name:
                bad.append(f"the database holds other bytes under {name[:12]}")
        following = names[-1] if len(names) == request.limit else _ARCHIVES
        return contract.VerifiedBackups(blobs=len(names), bytes_read=read, bad=tuple(bad), next=following)


def _described(one: Backup) -> dict[str, object]:
    return {
        "backup_id": one.id,
        "at": one.created_at.isoformat(),
        "component": one.component,
        "decision_id": str(one.run_id) if one.run_id else None,
        "reason": one.reason,
        "confidence": one.confidence,
        "files": one.files,
    }
