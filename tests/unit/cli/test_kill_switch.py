"""`stop-acting` and `resume-acting` work with nothing running at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.governor import ENVIRONMENT
from shared.kill_switch import KillSwitch


def homeostat(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a Homeostat was started once; no server is running."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "run").mkdir(parents=True)
    return tmp_path / "data"


def test_it_stops_and_resumes_without_any_server(data_dir: Path) -> None:
    switch = KillSwitch(data_dir / "run" / "kill-switch")
    stopped = homeostat("stop-acting", "--data-dir", str(data_dir), "-m", "deploying by hand")
    assert stopped.exit_code == 0, stopped.output
    assert switch.is_on()
    assert "deploying by hand" in (data_dir / "run" / "kill-switch").read_text()
    resumed = homeostat("resume-acting", "--data-dir", str(data_dir))
    assert (resumed.exit_code, switch.is_on()) == (0, False)
    assert "was off" in homeostat("resume-acting", "--data-dir", str(data_dir)).output


def test_it_stops_the_demo_and_the_containers_of_this_folder_too(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "demo" / "run").mkdir(parents=True)
    (tmp_path / "deploy" / "control").mkdir(parents=True)
    assert homeostat("stop-acting", "--data-dir", str(data_dir)).exit_code == 0
    places = (data_dir / "run", data_dir / "demo" / "run", tmp_path / "deploy" / "control")
    assert all(KillSwitch(place / "kill-switch").is_on() for place in places)


def test_who_pulled_it_first_stays_written(data_dir: Path) -> None:
    for reason in ("first", "second"):
        homeostat("stop-acting", "--data-dir", str(data_dir), "-m", reason)
    assert "first" in (data_dir / "run" / "kill-switch").read_text()


def test_where_there_is_nothing_to_stop_it_says_how_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = homeostat("stop-acting", "--data-dir", str(tmp_path / "nothing"))
    assert refused.exit_code == 1
    assert not any(tmp_path.rglob("kill-switch"))


def test_a_named_switch_is_the_only_one_that_is_pulled(data_dir: Path, tmp_path: Path) -> None:
    named = tmp_path / "elsewhere"
    command = [sys.executable, "-m", "services.cli", "stop-acting", "--data-dir", str(data_dir)]
    folder = Path(__file__).parents[3]
    subprocess.run(command, check=True, env={**os.environ, ENVIRONMENT: str(named)}, cwd=folder, capture_output=True)
    assert named.exists()
    assert not (data_dir / "run" / "kill-switch").exists()


def test_a_disk_without_room_has_room_for_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _words: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    KillSwitch(tmp_path / "switch").pull("why")
    assert KillSwitch(tmp_path / "switch").is_on()
