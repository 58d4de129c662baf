"""The whole platform on the real shop, as timelines: what breaks, what is concluded, what is done, what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from services.cli.demo.run import Stage, checkout, stage
from services.cli.demo.scenario import Scenarios
from services.cli.local import LocalPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[LocalPlatform, Stage]]:
    folder = tmp_path_factory.mktemp("e2e")
    platform = LocalPlatform(folder / "data", extra_databases=["shop"])
    async with platform, stage(platform, checkout(), Console(quiet=True), quiet=True) as opened:
        yield platform, opened


def scenarios(opened: Stage) -> Scenarios:
    return Scenarios(opened.shop, opened.recorder, lambda _text: None)


@pytest.mark.parametrize("fault", ["crash", "hang", "bad-config"])
async def test_a_fault_is_noticed_named_healed_and_validated(scene: tuple[LocalPlatform, Stage], fault: str) -> None:
    _, opened = scene
    row = await scenarios(opened).fault(fault)
    assert row.healed, row.problem
    assert row.cause_is_right, row.cause


async def test_the_trace_of_an_incident_spans_every_service(scene: tuple[LocalPlatform, Stage]) -> None:
    """`homeostat trace` tells the story, and one OpenTelemetry trace runs from what was seen to the outcome."""
    platform, opened = scene
    row = await scenarios(opened).fault("crash")
    command = [sys.executable, "-m", "services.cli", "trace", row.case_id, "--data-dir", str(platform.data_dir.path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: ASYNC221
    assert told.returncode == 0, told.stderr
    for word in ("orders", "crash", "restart-crashed", "succeeded"):
        assert word in told.stdout

    spans = [json.loads(line) for line in (platform.data_dir.logs / "spans.jsonl").read_text().splitlines()]
    services: dict[str, set[str]] = {}
    for span in spans:
        services.setdefault(span["context"]["trace_id"], set()).add(span["resource"]["attributes"]["service.name"])
    chain = {f"homeostat-{name}" for name in ("detector", "diagnoser", "decider", "healer", "learner", "gateway")}
    assert any(chain <= seen for seen in services.values()), services.values()


async def test_the_gateway_refuses_a_wrong_token_in_one_clear_answer(scene: tuple[LocalPlatform, Stage]) -> None:
    platform, _ = scene
    async with httpx.AsyncClient(base_url=platform.gateway_url) as client:
        refused = await client.get("/api/incidents", headers={"Authorization": "Bearer wrong"})
    assert refused.status_code == 401
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert "token" in refused.json()["detail"].lower()


async def test_bursts_of_traffic_are_left_alone(scene: tuple[LocalPlatform, Stage]) -> None:
    _, opened = scene
    row = await scenarios(opened).bursts(12)
    assert row.healed, row.problem


async def test_a_data_directory_that_is_in_use_is_refused(scene: tuple[LocalPlatform, Stage]) -> None:
    platform, _ = scene
    command = [sys.executable, "-m", "services.cli", "up", "--data-dir", str(platform.data_dir.path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: ASYNC221
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert str(platform.data_dir.path) in refused.stderr.replace("\n", "")


def test_a_data_directory_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "somebody-elses.txt").write_text("precious")
    command = [sys.executable, "-m", "services.cli", "up", "--data-dir", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert (tmp_path / "somebody-elses.txt").read_text() == "precious"
