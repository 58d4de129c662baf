"""systemd.*: which units may be named, and what is said where there is no systemctl."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.healer.clients.base import ActuatorError
from services.healer.clients.systemd_actuators import UnitRestart
from shared.packs.actions.programs import SystemdUnit
from tests.unit.healer.helpers import context_of


@pytest.mark.parametrize(
    "unit", ["*.service", "web", "poweroff.target", "--all.service", "a b.service", "web?.service"]
)
def test_a_unit_is_one_name_and_no_target(unit: str) -> None:
    with pytest.raises(ValidationError):
        SystemdUnit(unit=unit)


async def test_without_systemctl_the_error_says_where_the_healer_must_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ActuatorError, match="on the machine whose units"):
        await UnitRestart(context_of(), SystemdUnit(unit="web.service")).observe()


async def test_what_systemd_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "systemctl"
    shim.write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 4\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ActuatorError, match=r"show web\.service failed: Access denied"):
        await UnitRestart(context_of(), SystemdUnit(unit="web.service", scope="user")).observe()
