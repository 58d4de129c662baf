"""Starting, finding and stopping the shop's processes; nobody is signalled who is not surely ours."""

import http.client
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from examples.shop.files import write_atomic
from examples.shop.payments_config import default_text
from examples.shop.settings import COMPONENTS, OperatorError, Settings

_PACKAGE = "examples.shop"
_ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.05
_TERM_S = 1.5
_KILL_S = 2.0
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


class ShopError(OperatorError):
    """The shop did not do what was asked; the message says which component, and where to look."""


@dataclass(frozen=True)
class ComponentStatus:
    """`state`: running, stopped (suspended by a signal) or down. `healthy`: /healthz answered 200."""

    component: str
    state: str
    healthy: bool
    pid: int | None


def write_defaults(settings: Settings) -> None:
    """Create the configuration files that are absent, and copies to practise on; existing ones are the operator's."""
    directory = settings.payments_config.parent
    if not (directory / "provider.key").exists():
        write_atomic(directory / "provider.key", secrets.token_hex(16).encode() + b"\n", mode=0o600)
    if not settings.payments_config.exists():
        write_atomic(settings.payments_config, default_text(settings).encode())
    practice = settings.data_dir / "practice" / "config"
    for file in (settings.payments_config, directory / "provider.key"):
        if not (practice / file.name).exists():
            write_atomic(practice / file.name, file.read_bytes(), mode=file.stat().st_mode & 0o777)
    if settings.database_url:
        write_atomic(settings.database_url_file, settings.database_url.encode() + b"\n", mode=0o600)


def start_component(settings: Settings, component: str) -> subprocess.Popen[bytes]:
    """Start one component in a session of its own; its output goes to `<data>/logs/<component>.out`."""
    out = settings.data_dir / "logs" / f"{component}.out"
    out.parent.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ)
    if settings.database_url:
        env["SHOP_DATABASE_URL"] = settings.database_url
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), env.get("PYTHONPATH"))))
    command = [sys.executable, "-m", _PACKAGE, "serve", component]
    command += ["--data-dir", str(settings.data_dir), "--base-port", str(settings.base_port)]
    with out.open("ab") as stream:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, env=env, cwd=_ROOT
        )


def start_all(
    settings: Settings, timeout_s: float = 30.0, progress: Callable[[str], None] = lambda _line: None
) -> list[subprocess.Popen[bytes]]:
    """Start every component, customers last; returns once all can do their work.

    Raises ConfigurationError without a database, ShopError when the shop already runs or does not
    come up within `timeout_s`; in the latter case nothing is left running.
    """
    settings.require_database_url()
    if running := processes(settings):
        raise ShopError(f"already running in {settings.data_dir}: {_named(running)}; stop it first")
    write_defaults(settings)
    deadline = time.monotonic() + timeout_s
    children: list[subprocess.Popen[bytes]] = []
    try:
        for group in (COMPONENTS[:-1], COMPONENTS[-1:]):
            started = {name: start_component(settings, name) for name in group}
            children += started.values()
            _wait_ready(settings, started, deadline, progress)
    except BaseException:
        stop_all(settings)
        reap(children)
        raise
    return children


def _wait_ready(
    settings: Settings,
    started: dict[str, subprocess.Popen[bytes]],
    deadline: float,
    progress: Callable[[str], None],
) -> None:
    waiting = list(started)
    while waiting:
        for name in list(waiting):
            if answers(settings, name, "/readyz"):
                waiting.remove(name)
                progress(f"{name} is ready on port {settings.port(name)}")
            elif (status := started[name].poll()) is not None:
                raise ShopError(f"{name} ended with status {status}; see {settings.data_dir}/logs/{name}.out")
        if waiting and time.monotonic() > deadline:
            raise ShopError(f"not ready in time: {', '.join(waiting)}; see {settings.data_dir}/logs")
        time.sleep(_POLL_S if waiting else 0)


def stop_all(settings: Settings) -> list[str]:
    """Stop whatever runs of this shop, gently and then by force; returns the components that ran.

    Raises ShopError when a process survived even that.
    """
    found = processes(settings)
    for process in found.values():
        with suppress(*_GONE):
            process.terminate()
            process.resume()  # a suspended process takes the signal only then
    _wait_gone(list(found.values()), _TERM_S)
    left = processes(settings)  # also those that someone started meanwhile
    for process in left.values():
        with suppress(*_GONE):
            process.kill()
    _wait_gone(list(left.values()), _KILL_S)
    for name in COMPONENTS:
        settings.pid_file(name).unlink(missing_ok=True)
    if survivors := processes(settings):
        raise ShopError(f"still running after SIGKILL: {_named(survivors)}")
    return sorted({name for name, _pid in (*found, *left)})


def kill_component(settings: Settings, component: str) -> None:
    """SIGKILL every process of `component`, suspended ones included, and wait until they are gone."""
    found = [process for (name, _pid), process in processes(settings).items() if name == component]
    for process in found:
        with suppress(*_GONE):
            process.kill()
    _wait_gone(found, _KILL_S)


def restart_component(settings: Settings, component: str, timeout_s: float = 10.0) -> subprocess.Popen[bytes]:
    """Kill `component` and start it anew. Raises ShopError when it is not ready within `timeout_s`."""
    kill_component(settings, component)
    child = start_component(settings, component)
    _wait_ready(settings, {component: child}, time.monotonic() + timeout_s, lambda _line: None)
    return child


def reap(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Take the exit status of ended children, so that none stays as a zombie."""
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_KILL_S)


def find(settings: Settings, component: str) -> psutil.Process | None:
    """The live process the pid file names, or None: also when that pid belongs to somebody else now."""
    try:
        pid = int(settings.pid_file(component).read_text())
        process = psutil.Process(pid)
        return process if _belongs(process, settings) == component else None
    except (OSError, ValueError, *_GONE):
        return None


def processes(settings: Settings) -> dict[tuple[str, int], psutil.Process]:
    """All live processes of this shop by component and pid, whether or not a pid file knows them."""
    found: dict[tuple[str, int], psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(*_GONE):
            component = _belongs(process, settings)
            if component is not None:
                found[component, process.pid] = process
    return found


def status(settings: Settings) -> list[ComponentStatus]:
    """One entry per component, in their order."""
    return [_status(settings, name) for name in COMPONENTS]


def _status(settings: Settings, component: str) -> ComponentStatus:
    process = find(settings, component)
    if process is None:
        return ComponentStatus(component, "down", healthy=False, pid=None)
    with suppress(*_GONE):
        if process.status() == psutil.STATUS_STOPPED:
            return ComponentStatus(component, "stopped", healthy=False, pid=process.pid)
    return ComponentStatus(component, "running", answers(settings, component, "/healthz"), process.pid)


def answers(settings: Settings, component: str, path: str, timeout_s: float = 1.0) -> bool:
    """Whether GET `path` of `component` gives 200 in time."""
    try:
        return request(settings, component, "GET", path, timeout_s=timeout_s)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def request(
    settings: Settings, component: str, method: str, path: str, body: bytes | None = None, timeout_s: float = 2.0
) -> tuple[int, bytes]:
    """One HTTP request: status and body. Raises OSError or HTTPException when there is no answer."""
    address = urlsplit(settings.url(component))
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"content-type": "application/json", "connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _belongs(process: psutil.Process, settings: Settings) -> str | None:
    """The component this process serves for this shop: by its command line and its data directory."""
    command = process.cmdline()
    if _PACKAGE not in command or "serve" not in command or process.status() == psutil.STATUS_ZOMBIE:
        return None
    component = next(iter(command[command.index("serve") + 1 :]), "")
    if component not in COMPONENTS:
        return None
    if "--data-dir" in command[:-1]:
        data_dir = command[command.index("--data-dir") + 1]
    else:
        data_dir = process.environ().get("SHOP_DATA_DIR", "")
    return component if data_dir and Path(process.cwd(), data_dir) == settings.data_dir else None


def _wait_gone(gone: Sequence[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(_alive(process) for process in gone) and time.monotonic() < deadline:
        time.sleep(_POLL_S / 2)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _named(found: dict[tuple[str, int], psutil.Process]) -> str:
    return ", ".join(f"{name} (pid {pid})" for name, pid in sorted(found))
