"""The healer's queries against a real database: one run at a time, newest revisions, and what pruning leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from services.healer.store import backups, cases, runs
from services.healer.store.models import Blob, CaseState, GoodFile, Run
from tests.conftest import Platform

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def engine(platform: Platform) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(platform.dsn("healer").replace("postgresql://", "postgresql+asyncpg://"))
    yield made
    await made.dispose()


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as made:
        yield made


def run(component: str = "web", *, at: datetime = NOW, dry_run: bool = False) -> Run:
    return Run(
        id=uuid4(), revision=1, case_id=uuid4(), case_kind="incident", component=component, pack="p",
        healing_strategy="mend", problem_signature="s", category="crash", confidence=0.9, dry_run=dry_run,
        practice=False, decision={}, status="queued", reason="", healing_actions=[], error_count_after=0, created_at=at,
    )  # fmt: skip


async def admitted(session: AsyncSession, *wanted: Run) -> list[UUID]:
    for one in wanted:
        assert await runs.admit(session, one)
    await session.commit()
    return [one.id for one in wanted]


async def finish(session: AsyncSession, run_id: UUID, at: datetime = NOW) -> Run | None:
    return await runs.finish(
        session, run_id, status="failed", reason="", actions=[], error_count_after=0, now=at, resolution_time_ms=1
    )


async def test_a_decision_is_admitted_once(session: AsyncSession) -> None:
    one = run()
    assert await runs.admit(session, one)
    assert not await runs.admit(session, one)


async def test_many_activating_at_once_let_one_run_at_a_time_first_come_first_served(
    engine: AsyncEngine, session: AsyncSession
) -> None:
    ids = await admitted(session, *(run(at=NOW + timedelta(seconds=second)) for second in range(5)))

    async def try_to_activate(run_id: UUID) -> bool:
        async with AsyncSession(engine) as own, own.begin():
            return await runs.activate(own, run_id, "web", NOW)

    for expected in ids:
        won = await asyncio.gather(*(try_to_activate(run_id) for run_id in ids))
        assert [run_id for run_id, has_won in zip(ids, won, strict=True) if has_won] == [expected]
        assert await runs.active_on(session, "web") == expected
        await finish(session, expected)
        await session.commit()


async def test_a_dry_run_and_another_component_do_not_wait(session: AsyncSession) -> None:
    first, dry, other = await admitted(session, run(), run(dry_run=True), run("db"))
    assert await runs.activate(session, first, "web", NOW)
    assert await runs.activate(session, dry, "web", NOW)
    assert await runs.activate(session, other, "db", NOW)


async def test_the_database_itself_refuses_two_running_runs(session: AsyncSession) -> None:
    await admitted(session, run(), run())
    for one in (await session.scalars(select(Run))).all():
        one.status = "running"
    with pytest.raises(IntegrityError, match="uq_runs_active_component"):
        await session.flush()


async def test_a_run_ends_once(session: AsyncSession) -> None:
    (one,) = await admitted(session, run())
    assert await finish(session, one) is not None
    assert await finish(session, one) is None


async def test_an_older_revision_of_a_case_changes_nothing(session: AsyncSession) -> None:
    case = uuid4()
    for revision, is_open in ((1, True), (3, False), (2, True)):
        await cases.note(
            session,
            CaseState(
                case_id=case, kind="incident", component="web", revision=revision, is_open=is_open, error_count=0,
                opened_at=NOW, closed_at=None if is_open else NOW, updated_at=NOW,
            ),
        )  # fmt: skip
    known = await cases.get(session, case)
    assert known is not None
    assert (known.revision, known.is_open) == (3, False)
    assert not await cases.any_open(session, "web", "incident")
    assert await cases.last_trouble(session, ["web", "db"], NOW + timedelta(days=1)) == {"web": NOW}


async def test_pruning_leaves_every_byte_that_something_refers_to(session: AsyncSession) -> None:
    contents = {name * 64: name.encode() for name in "abcd"}
    await backups.keep_blobs(session, contents, NOW)
    for name, age_days in (("a", 40), ("b", 10)):
        await backups.keep(
            session, backup_id=name, run_id=None, component="web", reason="", confidence=1.0,
            files=[{"path": "/x", "sha256": name * 64}], now=NOW - timedelta(days=age_days),
        )  # fmt: skip
    good = GoodFile(path="/y", sha256="c" * 64, component="web", mode=0o644, uid=0, gid=0, good_at=NOW)
    await backups.add_good(session, good, keep_versions=2)
    await backups.forget(session, NOW - timedelta(days=30))
    await backups.forget_orphans(session, NOW + timedelta(days=1))
    assert sorted((await session.scalars(select(Blob.sha256))).all()) == ["b" * 64, "c" * 64]
    found, total = await backups.newest(session, "web", 10)
    assert ([backup.id for backup in found], total) == (["b"], 1)


async def test_only_the_newest_good_versions_are_kept_and_a_renewed_one_is_newest(session: AsyncSession) -> None:
    async def add(name: str, second: int) -> None:
        version = GoodFile(
            path="/y",
            sha256=name * 64,
            component="web",
            mode=0o644,
            uid=0,
            gid=0,
            good_at=NOW + timedelta(seconds=second),
        )
        await backups.add_good(session, version, keep_versions=2)

    for second, name in enumerate("abca"):
        await add(name, second)
    newest = await backups.last_good(session, "/y", "none")
    assert newest is not None
    assert newest.sha256 == "a" * 64
    other = await backups.last_good(session, "/y", "a" * 64)
    assert other is not None
    assert other.sha256 == "c" * 64
