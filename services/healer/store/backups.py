"""Backups, good versions of files, and the bytes that both refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.healer.store.models import Backup, BackupArchive, Blob, GoodFile, Json, StepCopy, WatchedFile


async def keep_blobs(session: AsyncSession, contents: Mapping[str, bytes], now: datetime) -> None:
    """Keeps bytes by their sha256."""
    if contents:
        rows = [{"sha256": name, "content": content, "created_at": now} for name, content in sorted(contents.items())]
        # refreshed, so that pruning does not take what a backup is about to refer to
        statement = insert(Blob).on_conflict_do_update(index_elements=[Blob.sha256], set_={"created_at": now})
        await session.execute(statement, rows)


async def blob(session: AsyncSession, sha256: str) -> bytes:
    """Raises KeyError when there is none."""
    content = await session.scalar(select(Blob.content).where(Blob.sha256 == sha256))
    if content is None:
        raise KeyError(sha256)
    return content


async def keep(
    session: AsyncSession,
    *,
    backup_id: str,
    run_id: UUID | None,
    component: str,
    reason: str,
    confidence: float,
    files: Sequence[Json],
    now: datetime,
) -> Backup:
    """Keeps a backup once; returns what is kept under this id."""
    statement = (
        insert(Backup)
        .values(
            id=backup_id,
            run_id=run_id,
            component=component,
            reason=reason,
            confidence=confidence,
            files=list(files),
            created_at=now,
            restored_by="",
        )
        .on_conflict_do_nothing()
    )
    await session.execute(statement)
    return (await session.execute(select(Backup).where(Backup.id == backup_id))).scalar_one()


async def get(session: AsyncSession, backup_id: str) -> Backup | None:
    return await session.get(Backup, backup_id)


async def newest(session: AsyncSession, component: str | None, limit: int) -> tuple[Sequence[Backup], int]:
    """The newest backups, and how many there are."""
    chosen = select(Backup) if component is None else select(Backup).where(Backup.component == component)
    found = (await session.scalars(chosen.order_by(Backup.created_at.desc()).limit(limit))).all()
    total = await session.scalar(select(func.count()).select_from(chosen.subquery()))
    return found, total or 0


async def note_restored(session: AsyncSession, backup_id: str, by: str, now: datetime) -> None:
    await session.execute(update(Backup).where(Backup.id == backup_id).values(restored_at=now, restored_by=by))


async def forget(session: AsyncSession, before: datetime) -> None:
    """Deletes backups that were made before `before`."""
    await session.execute(delete(Backup).where(Backup.created_at < before))


async def forget_copies(session: AsyncSession, before: datetime) -> None:
    """Deletes what steps kept before `before`."""
    await session.execute(delete(StepCopy).where(StepCopy.created_at < before))


async def forget_orphans(session: AsyncSession, before: datetime) -> None:
    """Deletes bytes that nothing refers to any more and that were last kept before `before`."""
    await session.execute(
        text(
            "delete from blobs b where b.created_at < :before"
            " and not exists (select 1 from good_files g where g.sha256 = b.sha256)"
            " and not exists (select 1 from step_copies c where c.sha256 = b.sha256)"
            " and not exists (select 1 from backups k, jsonb_array_elements(k.files) f"
            " where k.archive is null and f->>'sha256' = b.sha256)"
        ),
        {"before": before},
    )


# ---- what steps have kept of data


async def keep_step_copy(session: AsyncSession, copy: StepCopy) -> None:
    """Notes what a step has kept, in the place of what it kept before."""
    values = {column.key: getattr(copy, column.key) for column in StepCopy.__table__.columns}
    statement = insert(StepCopy).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=[StepCopy.run_id, StepCopy.step], set_=values))


async def step_copy(session: AsyncSession, run_id: UUID, step: int) -> bytes | None:
    """What a step has kept, None when nothing. Raises KeyError when its bytes are gone."""
    sha256 = await session.scalar(select(StepCopy.sha256).where(StepCopy.run_id == run_id, StepCopy.step == step))
    return None if sha256 is None else await blob(session, sha256)


# ---- archives


async def oldest_unarchived(session: AsyncSession) -> datetime | None:
    return await session.scalar(select(func.min(Backup.created_at)).where(Backup.archive.is_(None)))


async def of_month(session: AsyncSession, begin: datetime, end: datetime) -> Sequence[Backup]:
    """The backups of a month whose bytes are in the database, oldest first."""
    chosen = select(Backup).where(Backup.archive.is_(None), Backup.created_at >= begin, Backup.created_at < end)
    return (await session.scalars(chosen.order_by(Backup.created_at, Backup.id))).all()


async def note_archived(
    session: AsyncSession, ids: Sequence[str], name: str, sha256: str, size_bytes: int, now: datetime
) -> None:
    """From now on the bytes of these backups are in the archive `name`."""
    values = {"name": name, "sha256": sha256, "size_bytes": size_bytes, "created_at": now}
    await session.execute(insert(BackupArchive).values(values).on_conflict_do_nothing())
    await session.execute(
        update(Backup).where(Backup.id.in_(ids)).values(archive=name).execution_options(synchronize_session=False)
    )


async def forget_empty_archives(session: AsyncSession) -> Sequence[str]:
    """Names of the archives that held nothing but backups that were deleted; they are forgotten."""
    held = select(Backup.id).where(Backup.archive == BackupArchive.name).exists()
    statement = delete(BackupArchive).where(~held).returning(BackupArchive.name)
    return (await session.scalars(statement.execution_options(synchronize_session=False))).all()


# ---- reading everything back


async def names_after(session: AsyncSession, after: str, limit: int) -> Sequence[str]:
    """The next few contents by name."""
    chosen = select(Blob.sha256).where(Blob.sha256 > after).order_by(Blob.sha256)
    return (await session.scalars(chosen.limit(limit))).all()


async def archive_after(session: AsyncSession, after: str) -> BackupArchive | None:
    chosen = select(BackupArchive).where(BackupArchive.name > after).order_by(BackupArchive.name)
    return await session.scalar(chosen.limit(1))


async def lost(session: AsyncSession, limit: int = 100) -> list[tuple[str, str]]:
    """Backups, with the sha256 of bytes that should be in the database and aren't; of data that steps kept too."""
    found = await session.execute(
        text(
            "select w.id, w.sha256 from ("
            " select k.id, f->>'sha256' as sha256 from backups k, jsonb_array_elements(k.files) f"
            " where k.archive is null union all select 'of run ' || c.run_id, c.sha256 from step_copies c"
            ") w where w.sha256 <> '' and not exists (select 1 from blobs b where b.sha256 = w.sha256)"
            " order by 1, 2 limit :limit"
        ),
        {"limit": limit},
    )
    return [(str(row[0]), str(row[1])) for row in found]


# ---- good versions


async def watched(session: AsyncSession, paths: Iterable[str]) -> dict[str, WatchedFile]:
    found = await session.scalars(select(WatchedFile).where(WatchedFile.path.in_(list(paths))))
    return {file.path: file for file in found}


async def watch(session: AsyncSession, *, path: str, component: str, sha256: str, since: datetime, good: bool) -> None:
    """Notes the bytes that a file has now."""
    values = {"path": path, "component": component, "sha256": sha256, "since": since, "good": good}
    statement = insert(WatchedFile).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=[WatchedFile.path], set_=values))


async def add_good(session: AsyncSession, version: GoodFile, keep_versions: int) -> None:
    """Adds a good version, or renews it, and forgets all but the newest few of that file."""
    values = {column.key: getattr(version, column.key) for column in GoodFile.__table__.columns}
    statement = insert(GoodFile).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=[GoodFile.path, GoodFile.sha256], set_=values))
    kept = (
        select(GoodFile.sha256)
        .where(GoodFile.path == version.path)
        .order_by(GoodFile.good_at.desc())
        .limit(keep_versions)
    )
    await session.execute(
        delete(GoodFile)
        .where(GoodFile.path == version.path, GoodFile.sha256.not_in(kept))
        .execution_options(synchronize_session=False)
    )


async def last_good(session: AsyncSession, path: str, not_sha256: str) -> GoodFile | None:
    """The newest good version of a file that differs from the given bytes."""
    chosen = select(GoodFile).where(GoodFile.path == path, GoodFile.sha256 != not_sha256)
    return await session.scalar(chosen.order_by(GoodFile.good_at.desc()).limit(1))
