"""Old backups: archived a month at a time, still listed and restored, and read back to know that they are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from services.healer.app import build
from services.healer.clients import files
from services.healer.clients.remote import Agents, Places
from services.healer.handlers import Archiving, BackupHandlers
from services.healer.settings import Settings
from services.healer.store import backups
from services.healer.store.models import Backup, Blob
from services.healer.workflows.journal import Journal
from services.healer.workflows.preparing import contents, described
from services.healer.workflows.vault import Vault
from shared.bus import CommandRefusedError
from shared.contracts.healer import ListBackups, Rollback, VerifyBackups
from shared.outbox import Units
from tests.conftest import Platform

JANUARY = datetime(2026, 1, 14, 12, tzinfo=UTC)


async def nobody(_subject: str, _body: bytes, _timeout_s: float) -> bytes | None:
    return None


async def no_fence() -> int:
    return 0


class House:
    """A store, a folder of archives, and a time that the test sets."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.now = JANUARY
        service = build(platform.settings(Settings))
        self.engine = service.engine
        self.units: Units = service.units
        self.units.clock = lambda: self.now
        self.vault = Vault(folder / "archives")
        self.archiving = Archiving(self.vault, timedelta(days=30), timedelta(days=365))
        self.handlers = BackupHandlers(
            Journal(self.units), Places(Agents(nobody, no_fence)), uuid4, lambda: False, self.vault
        )
        self.file = folder / "web.toml"

    async def keep(self, name: str, content: bytes) -> None:
        self.file.write_bytes(content)
        self.file.chmod(0o640)
        copy = files.read(str(self.file))
        async with self.units.begin() as unit:
            await backups.keep_blobs(unit.session, contents([copy]), unit.now)
            await backups.keep(
                unit.session, backup_id=name, run_id=None, component="web", reason="before it", confidence=0.9,
                files=[described(copy)], now=unit.now,
            )  # fmt: skip

    async def clean_up(self) -> None:
        async with self.units.begin() as unit:
            await self.archiving.clean_up(unit)

    async def count(self, table: type[Backup] | type[Blob]) -> int:
        async with self.units.begin() as unit:
            return await unit.session.scalar(select(func.count()).select_from(table)) or 0

    async def restore(self, name: str) -> None:
        async with self.units.begin() as unit:
            await self.handlers.roll_back(Rollback(backup_id=name, by="ann"), unit)

    async def verify(self) -> tuple[int, int, list[str]]:
        blobs = archives = 0
        bad: list[str] = []
        after: str | None = ""
        while after is not None:
            async with self.units.begin() as unit:
                page = await self.archiving.verify(VerifyBackups(after=after, limit=1), unit)
            blobs, archives, after = blobs + page.blobs, archives + page.archives, page.next
            bad += page.bad
        return blobs, archives, bad


@pytest.fixture
async def house(platform: Platform, tmp_path: Path) -> AsyncIterator[House]:
    made = House(platform, tmp_path)
    yield made
    await made.engine.dispose()


async def test_a_month_that_is_past_goes_into_one_file_and_comes_back_out_of_it(house: House) -> None:
    await house.keep("first", b"one")
    house.now += timedelta(days=10)
    await house.keep("second", b"two")
    house.now = datetime(2026, 2, 28, tzinfo=UTC)
    await house.clean_up()
    assert not house.vault.directory or not house.vault.directory.exists(), "January's end is not 30 days past"
    house.now = datetime(2026, 3, 4, tzinfo=UTC)
    await house.clean_up()
    assert house.vault.directory is not None
    (archive,) = house.vault.directory.iterdir()
    assert archive.name.startswith("backups-2026-01-")
    assert (await house.count(Backup), await house.count(Blob)) == (2, 0)
    await house.clean_up()
    assert list(house.vault.directory.iterdir()) == [archive], "once is enough"
    async with house.units.begin() as unit:
        listed = await house.handlers.newest(ListBackups(), unit)
    assert [(one.backup_id, one.archive, one.reason) for one in listed.backups] == [
        ("second", archive.name, "before it"),
        ("first", archive.name, "before it"),
    ]
    house.file.unlink()
    await house.restore("first")
    assert (house.file.read_bytes(), house.file.stat().st_mode & 0o777) == (b"one", 0o640)
    assert (await house.verify())[1:] == (1, [])


async def test_what_is_lost_or_changed_is_found_and_never_restored(house: House) -> None:
    await house.keep("kept", b"one")
    await house.keep("changed", b"two")
    async with house.units.begin() as unit:
        await unit.session.execute(
            text("update blobs set content = 'other' where sha256 = :name"), {"name": files.digest(b"two")}
        )
        await unit.session.execute(text("delete from blobs where sha256 = :name"), {"name": files.digest(b"one")})
    _, _, bad = await house.verify()
    assert len(bad) == 2
    assert any("other bytes" in one for one in bad)
    assert any("backup kept has lost the bytes" in one for one in bad)
    with pytest.raises(CommandRefusedError, match="lost the bytes"):
        await house.restore("kept")
    assert house.file.read_bytes() == b"two"


async def test_a_damaged_archive_is_found(house: House) -> None:
    await house.keep("first", b"one")
    house.now = datetime(2026, 3, 4, tzinfo=UTC)
    await house.clean_up()
    assert house.vault.directory is not None
    (archive,) = house.vault.directory.iterdir()
    content = bytearray(archive.read_bytes())
    content[40] ^= 1
    archive.write_bytes(content)
    _, _, bad = await house.verify()
    assert any("not the file that was written" in one for one in bad)


async def test_archives_end_too_and_without_a_folder_old_backups_are_deleted(house: House) -> None:
    await house.keep("first", b"one")
    house.now = datetime(2026, 3, 4, tzinfo=UTC)
    await house.clean_up()
    house.now += timedelta(days=400)
    await house.keep("second", b"two")
    await house.clean_up()
    assert house.vault.directory is not None
    assert list(house.vault.directory.iterdir()) == []
    house.archiving = Archiving(Vault(None), timedelta(days=30), timedelta(days=365))
    house.now += timedelta(days=40)
    await house.clean_up()
    assert (await house.count(Backup), await house.count(Blob)) == (0, 0)


async def test_what_was_healed_and_what_helps_are_views_for_sql(house: House, platform: Platform) -> None:
    """Requirements M04 and M05."""
    insert = (
        "insert into runs (id, revision, case_id, case_kind, component, pack, healing_strategy, problem_signature,"
        " category, confidence, dry_run, decision, status, reason, healing_actions, error_count_after, created_at,"
        " resolved_at, resolution_time_ms) select gen_random_uuid(), 1, gen_random_uuid(), 'incident', 'web', 'shop',"
        " playbook, 'crash:gone', 'crash', 0.9, false, '{}', status, '', '[\"did it\"]', 0, now(), now(), ms"
        " from (values ('restart', 'succeeded', 100), ('restart', 'succeeded', 300), ('restart', 'failed', 900),"
        " ('reload', 'rolled-back', 50)) t (playbook, status, ms)"
    )
    async with house.units.begin() as unit:
        await unit.session.execute(text(insert))
    connection = await platform.connect_postgres("healer")
    (pattern,) = await connection.fetch("select *, proven_solutions[1] as best from healing_patterns")
    incidents = await connection.fetch("select * from healing_incidents")
    await connection.close()
    assert (float(pattern["success_rate"]), pattern["average_resolution_time_ms"]) == (0.5, 200)
    assert len(pattern["proven_solutions"]) == 1
    assert '"playbook": "restart"' in pattern["best"]
    assert {row["incident_type"] for row in incidents} == {"crash"}
    assert incidents[0]["healing_actions"] == ['"did it"']
