"""A payment provider fails and recovers, for real: traffic fails over, is validated, and is led back by a decision."""

from __future__ import annotations

import asyncio
import signal
import tomllib
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from examples.shop import supervise
from examples.shop.faults import ProviderDown
from services.cli.demo.run import Stage, checkout, stage
from services.cli.local import LocalPlatform
from shared.contracts.base import CaseKind
from shared.contracts.decider import Decision, Verdict
from shared.contracts.healer import Outcome, Result, RouteChange, RouteChanged
from shared.packs import Pack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
RETURN_AFTER_S = 4.0


def sooner(pack: Pack) -> Pack:
    """The shop's pack, with a wait that a test can wait for."""
    payments = pack.components["payments"]
    assert payments.providers is not None
    providers = payments.providers.model_copy(update={"return_after_s": RETURN_AFTER_S})
    changed = payments.model_copy(update={"providers": providers})
    return pack.model_copy(update={"components": {**pack.components, "payments": changed}})


def provider_in_use(opened: Stage) -> str:
    return str(tomllib.loads(opened.shop.settings.payments_config.read_text())["upstream"]["primary"])


def changes(opened: Stage) -> list[RouteChanged]:
    return [event for event in opened.recorder.events if isinstance(event, RouteChanged)]


async def succeeded(opened: Stage, change: RouteChange, within_s: float) -> RouteChanged:
    """Waits for a run that changed the route so, and was validated."""

    def found() -> RouteChanged | None:
        good = {
            e.decision_id for e in opened.recorder.events if isinstance(e, Outcome) and e.result is Result.SUCCEEDED
        }
        return next((one for one in changes(opened) if one.change is change and one.decision_id in good), None)

    await opened.recorder.wait_for(lambda: found() is not None, within_s)
    event = found()
    assert event is not None, "\n".join(narrated(e) for e in opened.recorder.events)
    return event


def narrated(event: object) -> str:
    names = ("at", "component", "transition", "pattern", "verdict", "reason", "playbook", "result", "change")
    return f"{type(event).__name__} " + " ".join(str(getattr(event, name, "")) for name in names)


async def test_payments_fail_over_and_come_back_when_the_provider_is_well_again(tmp_path: Path) -> None:
    platform = LocalPlatform(tmp_path / "data", extra_databases=["shop"])
    async with platform, stage(platform, checkout(), Console(quiet=True), quiet=True, adapt=sooner) as opened:
        before = opened.shop.settings.payments_config.read_bytes()
        fault = ProviderDown(opened.shop.settings)
        injection = await asyncio.to_thread(fault.inject)

        away = await succeeded(opened, RouteChange.FAILOVER_TRIGGERED, 60)
        assert (away.from_provider, away.to_provider) == ("provider-a", "provider-b")
        assert provider_in_use(opened) == "provider-b"

        process = supervise.find(opened.shop.settings, fault.component)
        assert process is not None
        assert process.pid == injection.pid
        assert process.status() == psutil.STATUS_STOPPED
        assert len(changes(opened)) == 1  # nothing goes back to a provider that is down
        process.send_signal(signal.SIGCONT)

        back = await succeeded(opened, RouteChange.RETURNED, 60)
        assert back.case_kind is CaseKind.RECOVERY
        assert back.case_id != away.case_id
        assert opened.shop.settings.payments_config.read_bytes() == before
        (decided,) = [e for e in opened.recorder.events if isinstance(e, Decision) and e.case_id == back.case_id]
        assert decided.verdict is Verdict.EXECUTE
        assert len(changes(opened)) == 2
        await asyncio.to_thread(fault.clean)
