"""Contents of backups, wherever they lie: in the database, or in an archive file once they are old."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from services.healer.clients import archives
from services.healer.clients.files import digest
from services.healer.store import backups
from services.healer.store.models import Backup
from shared.outbox import Unit


class LostContentError(Exception):
    """Bytes of a backup are gone, or are others than they were; the message says which and where."""


@dataclass(frozen=True, slots=True)
class Vault:
    directory: Path | None = None
    """Of the archives; None: old backups are deleted instead."""

    async def content(self, unit: Unit, kept: Backup, sha256: str, path: str) -> bytes:
        """Raises LostContentError."""
        if kept.archive is None:
            try:
                found = await backups.blob(unit.session, sha256)
            except KeyError as error:
                raise LostContentError(f"backup {kept.id!r} has lost the bytes of {path}") from error
            if digest(found) != sha256:
                raise LostContentError(f"backup {kept.id!r} holds other bytes of {path} than were kept")
            return found
        if self.directory is None:
            raise LostContentError(
                f"backup {kept.id!r} is in the archive {kept.archive}: set HOMEOSTAT_BACKUP_ARCHIVE_DIR to its folder"
            )
        try:
            return await asyncio.to_thread(archives.content, self.directory / kept.archive, sha256)
        except archives.ArchiveError as error:
            raise LostContentError(f"backup {kept.id!r}: {error}") from error
