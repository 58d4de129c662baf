"""The deployment as a user has it: built, brought up with least rights, healed through the Docker engine, and gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import nats
import pytest
from nats.errors import Error as NatsError

from shared.settings import SERVICES
from tests.containers.compose import ComposeError, Deployment, engine_answers, eventually

pytestmark = [
    pytest.mark.containers,
    pytest.mark.slow,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers"),
]

GATES = ("docker-look", "docker-act")
SHOP = ("edge", "catalog", "orders", "payments", "provider-a", "provider-b", "worker", "loadgen")
FROM_OUR_IMAGE = (*SERVICES, *(f"shop-{name}" for name in SHOP))
HEAL_DEADLINE_S = 90


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("deployment") / "secrets", profiles=("shop",))
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def gateway(deployment: Deployment) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {deployment.token}"}
    with httpx.Client(base_url=deployment.url, headers=headers, timeout=15) as client:
        yield client


@pytest.fixture(scope="module")
def pack(deployment: Deployment, gateway: httpx.Client) -> None:
    """packs/containers.yaml in force, and every container of it known to be well."""
    text = Path("packs/containers.yaml").read_text()
    applied = gateway.post("/api/packs/apply", params={"set": f"project={deployment.project}"}, content=text)
    assert applied.status_code == 200, applied.text

    def all_healthy() -> bool:
        components = gateway.get("/api/monitoring/health").json()["data"]["components"]
        return len(components) == len(SHOP) - 1 and all(one["status"] == "healthy" for one in components)

    eventually(all_healthy, within_s=60)


def status_of(process: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in process.splitlines() if ":\t" in line)


# ---- what runs, and with which rights


def test_every_service_is_ready_and_what_runs_once_has_ended_well(deployment: Deployment) -> None:
    for service in deployment.services():
        state = deployment.state(service)
        if service in ("migrate", "shop-init"):
            assert (state["Status"], state["ExitCode"]) == ("exited", 0), service
        else:
            assert state["Health"]["Status"] == "healthy", service


def test_gateway_and_nats_are_reached_from_this_machine_only_and_by_those_who_may(
    deployment: Deployment, gateway: httpx.Client
) -> None:
    published = {
        service: bindings
        for service in deployment.services()
        if (bindings := deployment.inspect(service)["HostConfig"]["PortBindings"])
    }
    assert published == {
        "gateway": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(deployment.port)}]},
        "nats": {"4222/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(deployment.nats_port)}]},
    }
    assert httpx.get(f"{deployment.url}/api/incidents").status_code == 401
    assert gateway.get("/api/incidents").status_code == 200


async def test_another_system_reports_and_follows_over_nats_and_may_do_no_more(deployment: Deployment) -> None:
    address = f"nats://127.0.0.1:{deployment.nats_port}"
    refused: list[Exception] = []

    async def remember(error: Exception) -> None:
        refused.append(error)

    with pytest.raises(NatsError):
        await nats.connect(address, user="publisher", password="wrong", allow_reconnect=False, error_cb=remember)
    refused.clear()
    password = (deployment.secrets / "nats-publisher").read_text()
    client = await nats.connect(
        address, user="publisher", password=password, inbox_prefix=b"_INBOX.publisher", error_cb=remember
    )
    report = {
        "at": datetime.now(UTC).isoformat(),
        "component": "elsewhere",
        "samples": [{"name": "load", "value": 1.0}],
    }
    stored = await client.jetstream().publish("ingest.metrics.v1.elsewhere", json.dumps(report).encode())
    assert stored.stream == "INGEST"
    await client.publish("decider.decision.v1.elsewhere", b"{}")
    await asyncio.to_thread(eventually, lambda: refused, within_s=10)
    await client.close()
    assert "permissions violation" in str(refused[0]).lower()


@pytest.mark.parametrize("service", FROM_OUR_IMAGE)
def test_a_container_of_ours_is_an_ordinary_user_that_can_change_nothing(deployment: Deployment, service: str) -> None:
    seen = deployment.inspect(service)
    assert seen["Config"]["User"] == "10001:10001"
    host = seen["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["Privileged"] is False
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not [mount for mount in seen["Mounts"] if "docker.sock" in mount["Source"]]

    process = status_of(deployment.execute(service, "cat", "/proc/self/status"))
    assert set(process["Uid"].split()) == {"10001"}
    assert int(process["CapEff"], 16) == int(process["CapBnd"], 16) == 0
    assert process["NoNewPrivs"] == "1"
    with pytest.raises(ComposeError, match="Read-only file system"):
        deployment.execute(service, "touch", "/app/x")


@pytest.mark.parametrize("service", [*GATES, "nats"])
def test_what_runs_as_root_has_no_capability_left(deployment: Deployment, service: str) -> None:
    process = status_of(deployment.execute(service, "cat", "/proc/1/status"))
    assert int(process["CapEff"], 16) == int(process["CapBnd"], 16) == 0
    assert process["NoNewPrivs"] == "1"
    assert deployment.inspect(service)["HostConfig"]["ReadonlyRootfs"] is True


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sees_its_own_secrets_only(deployment: Deployment, service: str) -> None:
    found = set(deployment.execute(service, "ls", "/run/secrets").split())
    assert found == {"nats", "postgres"} | ({"admin-token"} if service == "gateway" else set())


def test_a_system_under_care_reaches_neither_postgres_nor_nats(deployment: Deployment) -> None:
    for host, port in (("postgres", 5432), ("nats", 4222)):
        command = f"import socket; socket.create_connection(('{host}', {port}), 3)"
        deployment.execute("detector", "python", "-c", command)
        with pytest.raises(ComposeError, match="gaierror"):
            deployment.execute("shop-edge", "python", "-c", command)


ASK = """
import http.client, socket, sys
connection = http.client.HTTPConnection("docker")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/homeostat/docker.sock")
connection.request(sys.argv[1], sys.argv[2])
print(connection.getresponse().status)
"""


def test_the_healer_may_restart_what_is_listed_and_nothing_else(deployment: Deployment) -> None:
    def ask(service: str, method: str, path: str) -> int:
        return int(deployment.execute(service, "python", "-c", ASK, method, path))

    edge, postgres = deployment.container("shop-edge"), deployment.container("postgres")
    assert ask("healer", "GET", f"/containers/{edge}/json") == 200
    assert ask("healer", "POST", f"/containers/{edge}/start") == 304
    assert ask("healer", "GET", f"/containers/{postgres}/json") == 403
    assert ask("healer", "POST", f"/containers/{postgres}/stop") == 403
    assert ask("healer", "POST", f"/containers/{deployment.inspect('shop-edge')['Id']}/stop") == 403
    assert ask("healer", "POST", "/containers/create") == 403
    assert ask("detector", "GET", f"/containers/{edge}/json") == 200
    assert ask("detector", "POST", f"/containers/{edge}/start") == 403


# ---- what it is for


@pytest.mark.usefixtures("pack")
def test_a_killed_container_is_started_again_by_the_healer(deployment: Deployment, gateway: httpx.Client) -> None:
    inspected = deployment.inspect("shop-edge")
    assert inspected["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}  # so it's the healer
    before = inspected["State"]["StartedAt"]

    killed_at = datetime.now(UTC)
    deployment.kill("shop-edge")

    eventually(
        lambda: deployment.state("shop-edge")["Running"] and deployment.state("shop-edge")["StartedAt"] != before,
        within_s=HEAL_DEADLINE_S,
    )

    def outcome() -> dict[str, object]:
        incidents = gateway.get("/api/incidents", params={"component": "edge"}).json()["data"]
        stories = (gateway.get(f"/api/incidents/{one['case_id']}").json()["data"] for one in incidents)
        outcomes = (outcome for story in stories for outcome in story["outcomes"])
        return next((one for one in outcomes if datetime.fromisoformat(one["at"]) > killed_at), {})

    healed = eventually(outcome, within_s=HEAL_DEADLINE_S)
    assert healed["result"] == "succeeded", healed
    assert healed["playbook"] == "start-exited"
    eventually(lambda: deployment.state("shop-edge")["Health"]["Status"] == "healthy", within_s=60)


@pytest.mark.usefixtures("pack")
def test_after_a_restart_of_both_servers_all_are_ready_again_with_their_packs(
    deployment: Deployment, gateway: httpx.Client
) -> None:
    deployment.compose("restart", "postgres", "nats")

    def ready(service: str) -> bool:
        try:
            deployment.execute(service, "python", "-I", "-S", "/app/healthcheck.py", "/readyz")
        except ComposeError:
            return False
        return True

    for service in SERVICES:
        eventually(lambda service=service: ready(service), within_s=90)  # type: ignore[misc]
    assert [pack["pack"] for pack in gateway.get("/api/packs").json()["data"]] == ["containers"]
    assert deployment.state("healer")["Running"]


def test_migrating_again_changes_nothing(deployment: Deployment) -> None:
    told = deployment.compose("run", "--rm", "migrate")
    assert "new" not in told
    assert "streams: all there" in told
