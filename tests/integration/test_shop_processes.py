"""One component as a process: quick to start, gone when asked, never mistaken for another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from examples.shop import supervise
from examples.shop.files import read_newest_first
from examples.shop.settings import Settings
from shared.embedded.ports import is_free

UNREACHABLE = "postgresql://shop:secret@127.0.0.1:1/shop"
START_S = 10.0  # on a busy machine; alone it takes a third of a second
LEAVE_S = 1.0


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    base = next(
        port for port in range(21_000 + os.getpid() % 9000, 32_000, 8) if all(map(is_free, range(port, port + 8)))
    )
    settings = Settings.load(tmp_path / "data", base, UNREACHABLE, env={})
    supervise.write_defaults(settings)
    try:
        yield settings
    finally:
        supervise.stop_all(settings)


def until(condition: Callable[[], object], deadline_s: float = START_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def started(settings: Settings, component: str) -> subprocess.Popen[bytes]:
    process = supervise.start_component(settings, component)
    until(lambda: supervise.answers(settings, component, "/healthz"))
    return process


@pytest.mark.parametrize("component", ["edge", "orders", "worker", "provider-b"])
def test_a_component_leaves_at_once_when_asked(settings: Settings, component: str) -> None:
    process = started(settings, component)
    assert int(settings.pid_file(component).read_text()) == process.pid
    asked = time.monotonic()
    process.terminate()
    assert process.wait(5) == 0
    assert time.monotonic() - asked < LEAVE_S
    assert not settings.pid_file(component).exists()


def test_a_component_leaves_also_before_it_is_ready(settings: Settings) -> None:
    process = supervise.start_component(settings, "catalog")
    until(lambda: settings.pid_file("catalog").exists())
    process.terminate()
    assert process.wait(5) == 0


def test_signals_for_a_reload_do_not_kill_a_component_that_is_still_loading(settings: Settings) -> None:
    process = supervise.start_component(settings, "payments")
    until(lambda: settings.pid_file("payments").exists())
    process.send_signal(signal.SIGHUP)
    until(lambda: supervise.answers(settings, "payments", "/readyz"))
    assert process.poll() is None


def test_orders_lives_without_its_database_and_says_that_it_cannot_work(settings: Settings) -> None:
    started(settings, "orders")
    assert not supervise.answers(settings, "orders", "/readyz")
    status, body = supervise.request(settings, "orders", "POST", "/orders", b'{"sku": "sku-001"}')
    assert (status, b"orders database" in body) == (503, True)


@pytest.mark.parametrize("content", [None, "not toml [", "[upstream]\nprimary = 3\n"])
def test_payments_lives_with_a_broken_configuration_and_recovers_by_reload(
    settings: Settings, content: str | None
) -> None:
    good = settings.payments_config.read_bytes()
    settings.payments_config.unlink()
    if content is not None:
        settings.payments_config.write_text(content)
    process = started(settings, "payments")
    assert supervise.request(settings, "payments", "POST", "/charge", b"{}")[0] == 503
    settings.payments_config.write_bytes(good)
    process.send_signal(signal.SIGHUP)
    until(lambda: supervise.answers(settings, "payments", "/readyz"))


def test_defaults_never_overwrite_what_an_operator_wrote(settings: Settings) -> None:
    settings.payments_config.write_text("mine")
    key = (settings.payments_config.parent / "provider.key").read_bytes()
    supervise.write_defaults(settings)
    assert settings.payments_config.read_text() == "mine"
    assert (settings.payments_config.parent / "provider.key").read_bytes() == key


def test_the_port_keeps_a_second_process_from_taking_over_the_pid_file(settings: Settings) -> None:
    first = started(settings, "catalog")
    second = supervise.start_component(settings, "catalog")
    assert second.wait(START_S) != 0
    assert int(settings.pid_file("catalog").read_text()) == first.pid
    assert [start["pid"] for start in read_newest_first(settings.starts_file)] == [first.pid]


def test_a_successor_started_before_the_end_takes_the_port_over(settings: Settings) -> None:
    first = started(settings, "catalog")
    second = supervise.start_component(settings, "catalog")
    first.terminate()
    assert first.wait(5) == 0
    until(lambda: supervise.answers(settings, "catalog", "/healthz"))
    assert int(settings.pid_file("catalog").read_text()) == second.pid


def test_a_pid_that_belongs_to_somebody_else_is_never_signalled(settings: Settings) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "serve", "catalog"])
    try:
        settings.pid_file("catalog").parent.mkdir(parents=True, exist_ok=True)
        settings.pid_file("catalog").write_text(str(stranger.pid))
        assert supervise.find(settings, "catalog") is None
        assert supervise.stop_all(settings) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_another_shops_component_is_not_ours(settings: Settings, tmp_path: Path) -> None:
    process = started(settings, "catalog")
    other = Settings.load(tmp_path / "other", settings.base_port, UNREACHABLE, env={})
    other.pid_file("catalog").parent.mkdir(parents=True)
    other.pid_file("catalog").write_text(str(process.pid))
    assert supervise.find(other, "catalog") is None
    assert supervise.stop_all(other) == []
    assert process.poll() is None


def test_stop_finds_suspended_processes_and_those_without_a_pid_file(settings: Settings) -> None:
    processes = [started(settings, name) for name in ("catalog", "provider-a")]
    psutil.Process(processes[0].pid).suspend()
    settings.pid_file("provider-a").unlink()
    assert supervise.stop_all(settings) == ["catalog", "provider-a"]
    assert [process.wait(5) for process in processes] == [0, 0]


def test_an_interrupted_run_leaves_nothing(settings: Settings) -> None:
    command = [sys.executable, "-m", "examples.shop", "run", "--data-dir", str(settings.data_dir)]
    command += ["--base-port", str(settings.base_port), "--database-url", UNREACHABLE]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    until(lambda: supervise.answers(settings, "edge", "/healthz"))
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=15)
    assert run.returncode == 0
    assert b"nothing is left" in output
    assert supervise.processes(settings) == {}


def test_a_mistake_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.shop", "run", "--data-dir", str(tmp_path)]
    env = {key: value for key, value in os.environ.items() if key != "SHOP_DATABASE_URL"}
    run = subprocess.run(command, capture_output=True, env=env, cwd=Path(__file__).parents[2], timeout=20, check=False)
    assert run.returncode == 1
    assert run.stderr.decode().splitlines()[0].startswith("shop: the shop needs a PostgreSQL database")
    assert len(run.stderr.splitlines()) == 1
