"""The whole platform on the real shop, as timelines: what breaks, what is concluded, what is done, what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import nats
import pytest
from rich.console import Console

from services.cli.demo.run import Stage, checkout, stage
from services.cli.demo.scenario import Scenarios
from services.cli.local import LocalPlatform
from shared.contracts.healer import Outcome
from shared.packs import Pack
from shared.settings import SERVICES
from tests.kept import in_streams, in_tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


CANARIES = {"CANARY_PROBE": f"canary{uuid4().hex}", "CANARY_CALL": f"canary{uuid4().hex}"}
"""Secrets of the pack: they live in the environment of the services, and should be nowhere else."""


def with_secrets(pack: Pack) -> Pack:
    """A probe that sends a key, and a repair whose second step does."""
    body = pack.model_dump(mode="json", by_alias=True, exclude_none=True)
    url = f"{body['variables']['catalog_url']}/healthz"
    for probe in body["probes"]:
        if probe["component"] == "catalog" and "http" in probe:
            probe["http"]["headers"] = {"X-Key": {"env": "CANARY_PROBE"}}
    call = {"url": url, "method": "GET", "headers": {"X-Key": {"env": "CANARY_CALL"}}}
    body["playbooks"]["restart-crashed"]["steps"].append({"http.call": call})
    body["playbooks"]["restart-crashed"]["risk"] = 0.15
    return Pack.model_validate(body)


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[LocalPlatform, Stage]]:
    folder = tmp_path_factory.mktemp("e2e")
    platform = LocalPlatform(folder / "data", extra_databases=["shop"], environment=CANARIES)
    shop = stage(platform, checkout(), Console(quiet=True), quiet=True, adapt=with_secrets)
    async with platform, shop as opened:
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


async def test_no_secret_is_in_an_event_a_log_a_trace_an_error_or_an_audit_row(
    scene: tuple[LocalPlatform, Stage],
) -> None:
    """After a whole repair: the platform's own passwords and the pack's secrets, in all that is kept and shown."""
    platform, opened = scene
    if not any(opened.recorder.of(Outcome, opened.began)):  # no test before this one has broken anything
        await scenarios(opened).fault("crash")
    case = next(opened.recorder.of(Outcome, opened.began)).case_id
    credentials = json.loads((platform.data_dir.path / "credentials.json").read_text())
    secrets = credentials | CANARIES
    client = await nats.connect(platform.servers.nats_url("admin"), inbox_prefix=b"_INBOX.admin")
    connection = await asyncpg.connect(platform.servers.postgres_dsn("postgres", "homeostat"))
    try:
        kept = await in_streams(client) | await in_tables(connection)
    finally:
        await client.close()
        await connection.close()
    kept |= {f"log {file.name}": file.read_text() for file in platform.data_dir.logs.rglob("*") if file.is_file()}
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with httpx.AsyncClient(base_url=platform.gateway_url, headers=headers) as api:
        for path in (
            f"incidents/{case}",
            "packs/shop",
            "audit",
            "autonomous/decisions",
            "healing/playbooks",
        ):
            kept[f"answer {path}"] = (await api.get(f"/api/{path}")).text
    for url in platform.health_urls.values():
        kept[f"metrics {url}"] = httpx.get(f"{url}/metrics").text  # noqa: ASYNC210
    assert len(credentials) > len(SERVICES), "the platform's own passwords are looked for"
    assert "/healthz: 200" in kept["table healer.run_events"], "the call with the key was made"
    assert len(kept["log spans.jsonl"]) > 1_000
    leaks = [f"{name} in {place}" for name, secret in secrets.items() for place, text in kept.items() if secret in text]
    assert leaks == []


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
