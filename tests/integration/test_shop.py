"""The shop with real processes and a real database: it works, breaks as announced, and is mended for certain."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from examples.shop import supervise
from examples.shop.control import RequestCounts, Shop
from examples.shop.faults import FAULTS, BadConfig, Bursts, Fault, FaultError, Leak, ProviderDown, clean_all
from examples.shop.files import parse_timestamp, read_newest_first
from examples.shop.settings import COMPONENTS
from shared.embedded import EmbeddedServers, PostgresDatabase
from shared.embedded.ports import is_free

pytestmark = pytest.mark.slow

STEADY_SHARE_OK = 0.99


def free_base_port() -> int:
    """Eight free ports in a row, below the range the kernel gives to outgoing connections."""
    rng = random.Random()
    for _ in range(100):
        base = rng.randrange(20_000, 32_000)
        if all(is_free(base + offset) for offset in range(len(COMPONENTS))):
            return base
    raise RuntimeError("no eight free ports in a row")


@dataclass(frozen=True)
class Open:
    """A running shop and the servers below it."""

    shop: Shop
    servers: EmbeddedServers
    database_url: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Open]:
    directory = tmp_path_factory.mktemp("shop")
    async with EmbeddedServers(directory / "servers", databases=[PostgresDatabase("shop", "shop")]) as servers:
        url = servers.postgres_dsn("shop", "shop")
        shop = Shop(directory / "data", free_base_port(), url)
        await asyncio.to_thread(shop.start)
        try:
            await asyncio.to_thread(shop.set_profile, "steady")
            yield Open(shop, servers, url)
        finally:
            await asyncio.to_thread(shop.stop)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(opened: Open) -> AsyncIterator[Shop]:
    """The running shop; whatever a failing test broke is mended for the next."""
    try:
        yield opened.shop
    finally:
        await asyncio.to_thread(clean_all, opened.shop.settings)
        opened.shop.reap()


async def until(condition: Callable[[], object], deadline_s: float = 15.0) -> None:
    deadline = asyncio.get_running_loop().time() + deadline_s
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, "not in time"
        await asyncio.sleep(0.05)


async def counts_after(shop: Shop, at: datetime, requests: int) -> RequestCounts:
    """What the next `requests` customers or more got."""
    await until(lambda: shop.requests_since(at).total >= requests, 30)
    return shop.requests_since(at)


async def assert_serves(shop: Shop) -> None:
    counts = await counts_after(shop, datetime.now(UTC), 40)
    assert counts.ok >= STEADY_SHARE_OK * counts.total, counts


async def assert_recovers(shop: Shop) -> None:
    """From some moment on nobody fails any more: the newest 40 requests, all begun from now on, are fine."""
    began = datetime.now(UTC)

    def recovered() -> bool:
        newest = list(islice(read_newest_first(shop.settings.requests_file), 40))
        return all(record["ok"] and parse_timestamp(str(record["at"])) > began for record in newest)

    await until(recovered, 30)


def failures_since(shop: Shop, at: datetime) -> set[tuple[object, object]]:
    return {
        (record["route"], record["status"])
        for record in read_newest_first(shop.settings.requests_file)
        if not record["ok"] and parse_timestamp(str(record["at"])) > at
    }


def resident_bytes(shop: Shop, component: str) -> int:
    return int(psutil.Process(shop.pid(component)).memory_info().rss)


async def test_customers_are_served_and_orders_fulfilled(opened: Open, shop: Shop) -> None:
    await assert_serves(shop)
    connection = await asyncpg.connect(opened.database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM orders WHERE status = 'fulfilled'") > 0
    finally:
        await connection.close()
    assert all(entry.healthy for entry in shop.status())


FAILURES = {
    "crash": {("POST /orders", 502), ("GET /orders/{id}", 502)},
    "hang": {("GET /products", 504)},
    "bad-config": {("POST /orders", 502)},
    "provider-down": {("POST /orders", 504)},
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_fault_fails_customers_until_it_is_cleaned_up(shop: Shop, name: str) -> None:
    fault = FAULTS[name](shop.settings)
    config = shop.settings.payments_config.read_bytes()
    pid = shop.pid(fault.component)
    struck = datetime.now(UTC)
    injection = await asyncio.to_thread(fault.inject)
    assert (injection.component, injection.pid) == (fault.component, pid)
    await until(lambda: shop.requests_since(struck).failed >= 5)
    assert failures_since(shop, struck) <= FAILURES[name]
    assert not await asyncio.to_thread(fault.is_clean)
    await asyncio.to_thread(fault.clean)
    assert await asyncio.to_thread(fault.is_clean)
    assert shop.settings.payments_config.read_bytes() == config
    await assert_serves(shop)


@pytest.mark.parametrize(("edit", "status"), [("path", 502), ("port", 502), ("timeout", 504)])
async def test_a_slip_in_the_configuration_fails_charges_while_payments_looks_fine(
    shop: Shop, edit: str, status: int
) -> None:
    pid, struck = shop.pid("payments"), datetime.now(UTC)
    await asyncio.to_thread(BadConfig(shop.settings, edit).inject)
    await until(lambda: shop.requests_since(struck).failed >= 3)
    assert failures_since(shop, struck) == {("POST /orders", status)}
    assert await asyncio.to_thread(supervise.answers, shop.settings, "payments", "/healthz")
    assert shop.pid("payments") == pid


async def test_restoring_the_file_alone_is_not_clean_until_payments_reads_it(shop: Shop) -> None:
    fault = BadConfig(shop.settings)
    struck = datetime.now(UTC)
    await asyncio.to_thread(fault.inject)
    await until(lambda: shop.requests_since(struck).failed >= 1)
    original = fault.original_config()
    assert original is not None
    shop.settings.payments_config.write_bytes(original)
    assert await asyncio.to_thread(fault.problems) == ["payments cannot charge"]
    payments = shop.pid("payments")
    assert payments is not None
    os.kill(payments, signal.SIGHUP)
    await until(fault.is_clean)


async def test_a_leak_grows_until_a_restart(shop: Shop) -> None:
    fault, before = Leak(shop.settings), resident_bytes(shop, "catalog")
    await asyncio.to_thread(fault.inject)
    await until(lambda: resident_bytes(shop, "catalog") > before + 12 * 2**20)
    assert not await asyncio.to_thread(fault.is_clean)
    await asyncio.to_thread(shop.restart, "catalog")
    assert await asyncio.to_thread(fault.is_clean)
    assert resident_bytes(shop, "catalog") < before + 6 * 2**20


async def test_switching_the_provider_heals_an_outage(shop: Shop) -> None:
    struck = datetime.now(UTC)
    await asyncio.to_thread(ProviderDown(shop.settings).inject)
    await until(lambda: shop.requests_since(struck).failed >= 3)
    path = shop.settings.payments_config
    path.write_text(path.read_text().replace('primary = "provider-a"', 'primary = "provider-b"'))
    payments = shop.pid("payments")
    assert payments is not None
    os.kill(payments, signal.SIGHUP)
    await assert_recovers(shop)


async def test_bursts_are_demanding_and_break_nothing(shop: Shop) -> None:
    try:
        began = datetime.now(UTC)
        await asyncio.to_thread(Bursts(shop.settings, 4.0).inject)
        counts = await counts_after(shop, began, 150)
        assert counts.ok >= STEADY_SHARE_OK * counts.total, counts
    finally:
        await asyncio.to_thread(clean_all, shop.settings)
        await asyncio.to_thread(shop.set_profile, "steady")


async def test_a_fault_is_not_injected_twice_nor_into_what_is_down(shop: Shop) -> None:
    crash: Fault = FAULTS["crash"](shop.settings)
    await asyncio.to_thread(crash.inject)
    with pytest.raises(FaultError, match="in force already"):
        await asyncio.to_thread(crash.inject)
    await asyncio.to_thread(crash.clean)
    await asyncio.to_thread(supervise.kill_component, shop.settings, "catalog")
    with pytest.raises(FaultError, match="not running"):
        await asyncio.to_thread(FAULTS["hang"](shop.settings).inject)
    await asyncio.to_thread(shop.restart, "catalog")


async def test_restarts_are_counted_exactly(shop: Shop) -> None:
    before, others = shop.starts("edge"), shop.starts("payments")
    for _ in range(2):
        await asyncio.to_thread(shop.restart, "edge")
    assert shop.starts("edge") == before + 2
    assert shop.starts("payments") == others


async def test_the_worker_takes_back_the_jobs_it_left(opened: Open, shop: Shop) -> None:
    await asyncio.to_thread(supervise.kill_component, shop.settings, "worker")
    connection = await asyncpg.connect(opened.database_url)
    try:
        job = await connection.fetchval(
            "WITH placed AS (INSERT INTO orders (sku, quantity, amount_cents, status)"
            " VALUES ('left', 1, 100, 'paid') RETURNING id)"
            " INSERT INTO jobs (order_id, state, claimed_by, attempts)"
            " SELECT id, 'running', 'worker', 1 FROM placed RETURNING id"
        )
        await asyncio.to_thread(shop.restart, "worker")
        deadline = asyncio.get_running_loop().time() + 10
        while await connection.fetchval("SELECT state FROM jobs WHERE id = $1", job) != "done":
            assert asyncio.get_running_loop().time() < deadline, "the job is not done in time"
            await asyncio.sleep(0.05)
        assert await connection.fetchval("SELECT attempts FROM jobs WHERE id = $1", job) == 2
        assert await connection.fetchval("SELECT status FROM orders WHERE sku = 'left'") == "fulfilled"
    finally:
        await connection.close()


async def test_the_shop_outlives_its_database(opened: Open, shop: Shop) -> None:
    pids = {name: shop.pid(name) for name in COMPONENTS}
    postgres = int((opened.servers.postgres.data / "postmaster.pid").read_text().split()[0])
    os.kill(postgres, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(psutil.Process(postgres).wait, 10)
    await opened.servers.wait_ready(30)
    await assert_recovers(shop)
    assert {name: shop.pid(name) for name in COMPONENTS} == pids


async def test_a_running_shop_is_not_started_again(shop: Shop) -> None:
    with pytest.raises(supervise.ShopError, match="already running"):
        await asyncio.to_thread(Shop(shop.settings.data_dir, free_base_port(), "postgresql://x/y").start)


async def test_logs_name_the_failure_as_people_search_for_it(shop: Shop, opened: Open) -> None:
    await asyncio.to_thread(FAULTS["crash"](shop.settings).inject)
    log: Path = shop.settings.log_file("edge")
    refused = [f'"error": "ConnectError: [Errno {number}]' for number in (61, 111)]
    await until(lambda: any(text in log.read_text() for text in refused))
