"""The shop of `examples/`, with customers, less closely watched than in the demo."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from examples.shop import supervise
from examples.shop.control import Shop
from examples.shop.faults import FAULTS
from shared.contracts.base import Category, Severity
from shared.packs.load import load_pack
from tests.record.failures import Failure, Mend, System, free_port

NAMES = ("edge", "catalog", "orders", "payments", "provider_a", "provider_b", "worker", "loadgen")
SLOWER = 4.0
"""Probes ask so many times less often than in the demo's pack."""


@contextmanager
def system(folder: Path, database_url: str) -> Iterator[System]:
    folder.mkdir(parents=True, exist_ok=True)
    shop = Shop(folder, free_port() - len(NAMES), database_url)
    shop.start()

    def strike(name: str) -> Mend:
        fault = FAULTS[name](shop.settings)
        fault.inject()
        return fault.clean

    def suspend(component: str) -> Mend:
        process = supervise.find(shop.settings, component)
        assert process is not None
        process.suspend()
        return process.resume

    def kill(component: str) -> Mend:
        supervise.kill_component(shop.settings, component)
        return lambda: supervise.restart_component(shop.settings, component)

    critical = Severity.CRITICAL
    crash, hang, configuration = (Category.CRASH,), (Category.HANG,), (Category.CONFIGURATION,)
    away = (Category.CRASH, Category.HANG, Category.THIRD_PARTY, Category.DEPENDENCY_FAILURE, Category.TIMEOUT)
    try:
        yield System(
            _pack(folder, shop.settings.base_port),
            (
                Failure("shop-orders-killed", "orders", crash, lambda: strike("crash"), severity=critical),
                Failure("shop-catalog-suspended", "catalog", hang, lambda: strike("hang"), severity=critical),
                Failure("shop-payments-misconfigured", "payments", configuration, lambda: strike("bad-config")),
                Failure("shop-provider-away", "provider-a", away, lambda: strike("provider-down"), also=("payments",)),
                Failure("shop-edge-killed", "edge", crash, lambda: kill("edge"), severity=critical),
                Failure("shop-worker-suspended", "worker", hang, lambda: suspend("worker")),
                Failure("shop-payments-killed", "payments", crash, lambda: kill("payments"), severity=critical),
            ),
        )
    finally:
        shop.stop()


def _pack(folder: Path, base_port: int) -> dict[str, Any]:
    root = Path(__file__).parents[2]
    variables = {"data_dir": str(folder), "python": sys.executable, "root": str(root), "base_port": str(base_port)}
    variables |= {f"{name}_url": f"http://127.0.0.1:{base_port + index}" for index, name in enumerate(NAMES)}
    pack = load_pack(root / "packs" / "shop.yaml", variables)
    body: dict[str, Any] = pack.model_dump(mode="json", by_alias=True, exclude_none=True)
    for probe in body["probes"]:
        probe["every_s"] *= SLOWER
    for ratio in body["ratios"]:
        ratio["window_s"] *= SLOWER
    return {**body, "mode": "observe", "playbooks": {}, "knobs": []}
