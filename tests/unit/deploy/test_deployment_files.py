"""Files of the deployment agree with the code and with each other."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

import shared.telemetry
from deploy.nats.render import TARGET, rendered
from shared.embedded.nats import find_nats_server
from shared.settings import SERVICES

DASHBOARD = Path("deploy/grafana/dashboards/homeostat.json")
RULES = Path("deploy/prometheus/rules.yml")
FOREIGN = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
ONE_SHOTS = {"migrate", "shop-init"}


def compose() -> Mapping[str, dict[str, object]]:
    services: Mapping[str, dict[str, object]] = YAML(typ="safe").load(Path("compose.yaml"))["services"]
    return services


def make_secrets(directory: Path) -> dict[str, str]:
    subprocess.run(["sh", "deploy/make-secrets.sh", str(directory)], check=True, capture_output=True)
    return {file.name: file.read_text() for file in directory.iterdir()}


def test_nats_has_the_permissions_of_the_code() -> None:
    assert TARGET.read_text() == rendered(), "run python deploy/nats/render.py"


@pytest.mark.parametrize("agents", ["", "web-2,db-1"])
def test_nats_takes_the_configuration_with_the_secrets_that_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agents: str
) -> None:
    monkeypatch.setenv("HOMEOSTAT_AGENTS", agents)
    secrets = make_secrets(tmp_path / "secrets")
    (tmp_path / "nats.conf").write_text(rendered())
    (tmp_path / "passwords.conf").write_text(secrets["nats-passwords.conf"])
    command = [str(find_nats_server()), "-t", "-c", str(tmp_path / "nats.conf")]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_secrets_stay_what_they_are_and_nobody_else_gets_at_them(tmp_path: Path) -> None:
    first = make_secrets(tmp_path / "secrets")
    (tmp_path / "secrets" / "nats-admin").unlink()
    second = make_secrets(tmp_path / "secrets")
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"nats-admin", "nats-passwords.conf"}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "secrets").iterdir()}
    assert modes == {0o444}
    passwords = [value for name, value in second.items() if name != "nats-passwords.conf"]
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in passwords)
    assert len(set(passwords)) == len(passwords)


def test_compose_names_every_secret_that_is_made_and_no_other(tmp_path: Path) -> None:
    named = set(YAML(typ="safe").load(Path("compose.yaml"))["secrets"])
    assert named == set(make_secrets(tmp_path / "secrets")) - {"nats-publisher"}


def test_every_container_runs_with_the_least_rights() -> None:
    for name, service in compose().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        for port in service.get("ports", []):  # type: ignore[attr-defined]
            assert port.startswith("127.0.0.1:"), name
        if not name.startswith("docker-"):
            assert "docker.sock" not in str(service.get("volumes")), name
        assert name in ONE_SHOTS or "test" in service["healthcheck"], name  # type: ignore[operator]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_its_own_secrets_only(service: str) -> None:
    sources = {secret["source"] for secret in compose()[service]["secrets"]}  # type: ignore[attr-defined]
    extra = {"gateway-admin-token"} if service == "gateway" else set()
    assert sources == {f"nats-{service}", f"postgres-{service}"} | extra


def metrics_of_the_code() -> set[str]:
    assert shared.telemetry.RUNS is not None
    names = set(FOREIGN)
    for family in REGISTRY.collect():
        if family.type == "counter":
            names.add(f"{family.name}_total")
        elif family.type == "histogram":
            names |= {f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count"}
        else:
            names.add(family.name)
    return names


def dashboard_expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def rule_expressions() -> Iterator[str]:
    for rule in YAML(typ="safe").load(RULES)["groups"][0]["rules"]:
        yield rule["expr"]


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:homeostat|process)_[a-z_]+|\bup\b", expression))


def test_dashboard_and_alerts_ask_for_metrics_that_exist() -> None:
    known = metrics_of_the_code()
    asked = {name for expression in (*dashboard_expressions(), *rule_expressions()) for name in metrics_in(expression)}
    assert asked - known == set()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {re.sub("_bucket$", "", name) for expression in dashboard_expressions() for name in metrics_in(expression)}
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in metrics_of_the_code() if name.startswith("homeostat_")}
    assert ours - shown == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_configuration_rules_and_queries(tmp_path: Path) -> None:
    queries = [
        re.sub(r"\$__(rate_interval|range)", "5m", expression).replace("$service", ".*")
        for expression in dashboard_expressions()
    ]
    rules = {"groups": [{"name": "d", "rules": [{"record": f"q{n}", "expr": q} for n, q in enumerate(queries)]}]}
    (tmp_path / "queries.yml").write_text(json.dumps(rules))
    for command in (
        ["promtool", "check", "config", "deploy/prometheus/prometheus.yml"],
        ["promtool", "test", "rules", "deploy/prometheus/rules_test.yml"],
        ["promtool", "check", "rules", str(tmp_path / "queries.yml")],
    ):
        checked = subprocess.run(command, check=False, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
