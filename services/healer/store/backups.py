"""Backups, good versions of files, and the bytes that both refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.healer.store.models import Backup, Blob, GoodFile, Json, StepCopy, WatchedFile


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


async def prune(session: AsyncSession, backups_before: datetime, blobs_before: datetime) -> None:
    """Forgets old backups, and bytes that nothing refers to any more."""
    await session.execute(delete(Backup).where(Backup.created_at < backups_before))
    await session.execute(delete(StepCopy).where(StepCopy.created_at < backups_before))
    await session.execute(
        text(
            "delete from blobs b where b.created_at < :before"
            " and not exists (select 1 from good_files g where g.sha256 = b.sha256)"
            " and not exists (select 1 from step_copies c where c.sha256 = b.sha256)"
            " and not exists (select 1 from backups k, jsonb_array_elements(k.files) f where f->>'sha256' = b.sha256)"
        ),
        {"before": blobs_before},
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
