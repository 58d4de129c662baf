"""file.*: whole files or nothing, mode and owner kept, and never over somebody else's change."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.healer.clients import files
from services.healer.clients.base import ActuatorError, Context
from services.healer.clients.file_actuators import RestoreLastGood, SetKey
from services.healer.clients.files import FileChangedError, FileCopy, FileError, FileState
from shared.packs.actions.files import FileSet
from tests.unit.healer.helpers import good_version

CONFIG = b'# tuned by hand\n[upstream]\ntimeout_ms = 800  # keep below the gateway\'s\nname = "provider-a"\n'
modes = st.integers(min_value=0, max_value=0o777).map(lambda mode: mode | 0o400)


@given(before=st.binary(max_size=4096), after=st.binary(max_size=4096), mode=modes, other_mode=modes)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_going_back_restores_bytes_and_mode(
    tmp_path: Path, before: bytes, after: bytes, mode: int, other_mode: int
) -> None:
    path = tmp_path / "any.conf"
    path.unlink(missing_ok=True)
    path.write_bytes(before)
    path.chmod(mode)
    backup = files.read(str(path))
    changed = FileCopy(replace(backup.state, sha256=files.digest(after), mode=other_mode), after)
    files.replace(changed, backup.state.sha256)
    files.verify(changed.state)
    files.replace(backup, changed.state.sha256)
    files.verify(backup.state)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o7777 == mode
    assert [entry.name for entry in tmp_path.iterdir()] == ["any.conf"], "no scratch file is left"


def test_a_file_that_was_not_there_is_gone_again(tmp_path: Path) -> None:
    path = tmp_path / "new.conf"
    absent = files.read(str(path))
    assert not absent.state.exists
    path.write_bytes(b"x")
    assert files.replace(absent, files.digest(b"x"))
    files.verify(absent.state)
    assert not path.exists()


def test_replacing_twice_changes_once(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_bytes(b"old")
    old = files.read(str(path))
    wanted = FileCopy(replace(old.state, sha256=files.digest(b"new")), b"new")
    assert files.replace(wanted, old.state.sha256)
    assert not files.replace(wanted, old.state.sha256)


def test_a_file_changed_by_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_bytes(b"old")
    old = files.read(str(path))
    path.write_bytes(b"an operator's work")
    with pytest.raises(FileChangedError, match="somebody else"):
        files.replace(FileCopy(replace(old.state, sha256=files.digest(b"new")), b"new"), old.state.sha256)
    assert path.read_bytes() == b"an operator's work"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.conf", tmp_path / "link.conf"
    real.write_bytes(b"old")
    link.symlink_to(real)
    old = files.read(str(link))
    files.replace(FileCopy(replace(old.state, sha256=files.digest(b"new")), b"new"), old.state.sha256)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["directory", "fifo", "large"])
def test_what_is_no_configuration_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    match name:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case _:
            with path.open("wb") as file:
                file.truncate(files.FILE_BYTES_MAX + 1)
    with pytest.raises(FileError, match=name):
        files.read(str(path))


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(FileError, match="absolute"):
        files.read("config.toml")


def test_verification_notices_a_wrong_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_bytes(b"x")
    state = files.read(str(path)).state
    path.chmod(0o600 if state.mode != 0o600 else 0o640)
    with pytest.raises(FileError, match="reads back"):
        files.verify(state)


async def test_set_changes_one_key_and_keeps_comments_mode_and_the_rest(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(CONFIG)
    path.chmod(0o640)
    setting = SetKey(context, FileSet(path=str(path), key="upstream.timeout_ms", value=1200.0))
    seen = await setting.observe()
    assert "800" in setting.describe(seen)
    done = await setting.apply(seen)
    assert done.changed
    assert path.read_bytes() == CONFIG.replace(b"800", b"1200")
    assert path.stat().st_mode & 0o777 == 0o640
    assert not (await setting.apply(seen)).changed


async def test_set_refuses_when_the_file_changed_since_the_plan(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(CONFIG)
    setting = SetKey(context, FileSet(path=str(path), key="upstream.timeout_ms", value=1200))
    seen = await setting.observe()
    path.write_bytes(CONFIG.replace(b"provider-a", b"provider-b"))
    with pytest.raises(ActuatorError, match="changed by somebody else"):
        await setting.apply(seen)
    assert b"timeout_ms = 800" in path.read_bytes()


@pytest.mark.parametrize("key", ["upstream.timeout", "downstream.timeout_ms", "upstream", "timeout_ms"])
async def test_set_refuses_a_key_that_is_not_there(context: Context, tmp_path: Path, key: str) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(CONFIG)
    with pytest.raises(ActuatorError, match=key.split(".")[0]):
        await SetKey(context, FileSet(path=str(path), key=key, value=1)).observe()
    assert path.read_bytes() == CONFIG


async def test_restore_last_good_puts_back_bytes_and_mode_once(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(CONFIG)
    path.chmod(0o640)
    good = files.read(str(path))
    last_good, blob = good_version(good)
    path.write_bytes(b"broken")
    path.chmod(0o644)
    restore = RestoreLastGood(replace(context, last_good=last_good, blob=blob), str(path))
    seen = await restore.observe()
    assert (await restore.apply(seen)).changed
    assert files.read(str(path)) == good
    assert not (await restore.apply(seen)).changed


async def test_restore_without_a_good_version_says_how_one_comes_to_be(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(CONFIG)
    with pytest.raises(ActuatorError, match="good_after_s"):
        await RestoreLastGood(context, str(path)).observe()


def test_state_of_no_file_is_told_apart_from_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert files.read(str(path)).state.exists
    assert files.read(str(tmp_path / "none")).state == FileState(str(tmp_path / "none"), "")
