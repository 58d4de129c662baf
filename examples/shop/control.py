"""The shop as an object, for programs that run it: the demo and the tests."""

import json
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from examples.shop import supervise
from examples.shop.files import parse_timestamp, read_newest_first
from examples.shop.settings import Settings
from examples.shop.supervise import ComponentStatus, ShopError

# Requests are recorded at their end and dated by their start: order is true to within a time-out.
_DISORDER = timedelta(seconds=10)


@dataclass(frozen=True)
class RequestCounts:
    """Customers' requests that began in a span of time, by how they ended."""

    ok: int
    failed: int

    @property
    def total(self) -> int:
        return self.ok + self.failed


class Shop:
    """One shop. The methods block, for at most the time-outs they name: in async code use `asyncio.to_thread`."""

    def __init__(self, data_dir: str | Path, base_port: int, database_url: str) -> None:
        self.settings = Settings.load(data_dir, base_port, database_url)
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, timeout_s: float = 30.0) -> None:
        """Start everything and wait until orders can be placed. Raises ShopError; nothing is left then."""
        self._children = supervise.start_all(self.settings, timeout_s)

    def stop(self) -> list[str]:
        """Stop everything, also what others restarted; returns what ran. Raises ShopError if something survived."""
        stopped = supervise.stop_all(self.settings)
        supervise.reap(self._children)
        self._children = []
        return stopped

    def restart(self, component: str, timeout_s: float = 10.0) -> None:
        """Kill and start one component, as an operator would. Raises ShopError when it stays down."""
        child = supervise.restart_component(self.settings, component, timeout_s)
        self.reap()
        self._children.append(child)

    def reap(self) -> None:
        """Take the exit status of components that ended, so that they do not stay as zombies."""
        self._children = [child for child in self._children if child.poll() is None]

    def status(self) -> list[ComponentStatus]:
        return supervise.status(self.settings)

    def set_profile(self, profile: str, for_s: float | None = None) -> None:
        """Switch the customers' traffic: waves, steady or bursts; after `for_s` seconds back to waves."""
        set_profile(self.settings, profile, for_s)

    def requests_between(self, since: datetime, until: datetime | None = None) -> RequestCounts:
        """Counts of requests that began at or after `since` and before `until`; both timezone-aware."""
        ok = failed = 0
        for record in read_newest_first(self.settings.requests_file):
            at = parse_timestamp(str(record["at"]))
            if at < since - _DISORDER:
                break
            if at < since or (until is not None and at >= until):
                continue
            if record["ok"]:
                ok += 1
            else:
                failed += 1
        return RequestCounts(ok, failed)

    def requests_since(self, at: datetime) -> RequestCounts:
        return self.requests_between(at)

    def starts(self, component: str) -> int:
        """How often `component` started in this data directory, ever."""
        return sum(1 for start in read_newest_first(self.settings.starts_file) if start["component"] == component)

    def pid(self, component: str) -> int | None:
        process = supervise.find(self.settings, component)
        return process.pid if process else None


def set_profile(settings: Settings, profile: str, for_s: float | None = None) -> None:
    """Raises ShopError when the load generator refuses or does not answer."""
    body = json.dumps({"profile": profile, "for_s": for_s}).encode()
    try:
        code, answer = supervise.request(settings, "loadgen", "POST", "/profile", body)
    except OSError as problem:
        raise ShopError(f"loadgen does not answer at {settings.url('loadgen')}: {problem}") from problem
    if code != 200:
        raise ShopError(f"loadgen refused the profile: {answer.decode(errors='replace')}")
