"""The ways this shop breaks on demand, and how each is undone and proven undone.

A fault keeps a record of itself in `<data>/faults/` from before it strikes until its clean-up is
verified, so that another process, later, can still clean up.
"""

import base64
import hashlib
import json
import re
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import psutil

from examples.shop import supervise
from examples.shop.control import set_profile
from examples.shop.files import Record, timestamp, write_atomic
from examples.shop.settings import OperatorError, Settings

_CLEAN_TIMEOUT_S = 15.0
_POLL_S = 0.1


class FaultError(OperatorError):
    """A fault could not be injected, or its clean-up could not be verified; the message says why."""


@dataclass(frozen=True)
class Injection:
    """What was done: to which process (`pid` None for none), when (UTC, ISO 8601), and the particulars."""

    fault: str
    component: str
    at: str
    pid: int | None
    details: dict[str, object] = field(default_factory=dict)


class Fault(ABC):
    """One way to break the shop.

    `expected_cause` is the kind of cause a diagnosis should arrive at; None when there is no fault.
    """

    name: ClassVar[str]
    component: ClassVar[str]
    expected_cause: ClassVar[str | None]
    concerns_payments: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._file = settings.data_dir / "faults" / f"{self.name}.json"

    def inject(self) -> Injection:
        """Break it. Raises FaultError when the component is not in order, or the fault already in force."""
        if self._file.exists():
            raise FaultError(f"{self.name} is in force already: clean up first")
        process = supervise.find(self.settings, self.component)
        if process is None or not supervise.answers(self.settings, self.component, "/healthz"):
            raise FaultError(f"{self.component} is not running and healthy: nothing to break")
        original = self.settings.payments_config.read_bytes() if self.concerns_payments else None
        self._keep(self._injection(process.pid, {}), original)
        try:
            details = self._break(process)
        except (OSError, supervise.ShopError, psutil.Error, FaultError) as problem:
            self._file.unlink()
            raise FaultError(f"{self.name} on {self.component}: {problem}") from problem
        injection = self._injection(process.pid, details)
        self._keep(injection, original)
        return injection

    def clean(self, timeout_s: float = _CLEAN_TIMEOUT_S) -> None:
        """Undo what nobody healed, and verify; safe to repeat. Raises FaultError if the shop is not as before."""
        deadline = time.monotonic() + timeout_s
        try:
            self._undo()
        except (OSError, supervise.ShopError, psutil.Error) as problem:
            raise FaultError(f"clean-up of {self.name} failed: {problem}") from problem
        while problems := self.problems():
            if time.monotonic() > deadline:
                raise FaultError(f"clean-up of {self.name} failed: {'; '.join(problems)}")
            time.sleep(_POLL_S)
        self._file.unlink(missing_ok=True)

    def is_clean(self) -> bool:
        return not self.problems()

    def problems(self) -> list[str]:
        """What still differs from the state before the injection; empty when clean."""
        found = [
            f"{entry.component} is {entry.state}{'' if entry.healthy else ' and not healthy'}"
            for entry in supervise.status(self.settings)
            if entry.component == self.component and not entry.healthy
        ]
        original = self.original_config()
        if original is not None and self._config_bytes() != original:
            found.append(f"{self.settings.payments_config} differs from its original bytes")
        if self.concerns_payments and not found and not _charges_work(self.settings):
            # The file may be right and the process still work with what it read before.
            found.append("payments cannot charge")
        return found

    def injection(self) -> Injection | None:
        """The record of the injection in force, or None."""
        kept = self._kept()
        if kept is None:
            return None
        known: Mapping[str, object] = {key: kept[key] for key in ("fault", "component", "at", "pid", "details")}
        return Injection(**known)  # type: ignore[arg-type]

    def original_config(self) -> bytes | None:
        """The bytes of payments.toml before the injection, when this fault touches or misleads them."""
        kept = self._kept()
        encoded = kept.get("original") if kept else None
        return base64.b64decode(encoded) if isinstance(encoded, str) else None

    @abstractmethod
    def _break(self, process: psutil.Process) -> dict[str, object]: ...

    def _undo(self) -> None:
        """By default: the component runs, unsuspended and answering, or is started anew."""
        process = supervise.find(self.settings, self.component)
        if process is not None and process.status() == psutil.STATUS_STOPPED:
            process.resume()
        if process is None or not supervise.answers(self.settings, self.component, "/healthz", timeout_s=2.0):
            supervise.restart_component(self.settings, self.component)
        original = self.original_config()
        if original is not None and self._config_bytes() != original:
            write_atomic(self.settings.payments_config, original)
        if self.concerns_payments:
            _reload_payments(self.settings)

    def _config_bytes(self) -> bytes | None:
        path = self.settings.payments_config
        return path.read_bytes() if path.exists() else None

    def _injection(self, pid: int, details: dict[str, object]) -> Injection:
        return Injection(self.name, self.component, timestamp(), pid, details)

    def _keep(self, injection: Injection, original: bytes | None) -> None:
        record: Record = asdict(injection)
        if original is not None:
            record["original"] = base64.b64encode(original).decode()
        write_atomic(self._file, json.dumps(record, indent=1).encode())

    def _kept(self) -> Record | None:
        if not self._file.exists():
            return None
        record: Record = json.loads(self._file.read_bytes())
        return record


class Crash(Fault):
    """Orders dies without a word."""

    name, component, expected_cause = "crash", "orders", "process-crash"

    def _break(self, process: psutil.Process) -> dict[str, object]:
        process.kill()
        return {"signal": "SIGKILL"}


class Hang(Fault):
    """Catalog stays alive and answers nothing."""

    name, component, expected_cause = "hang", "catalog", "process-hang"

    def _break(self, process: psutil.Process) -> dict[str, object]:
        process.suspend()
        return {"signal": "SIGSTOP"}


class Leak(Fault):
    """Catalog's page cache stops evicting; a restart clears it."""

    name, component, expected_cause = "leak", "catalog", "memory-leak"

    def _break(self, process: psutil.Process) -> dict[str, object]:
        resident_bytes = process.memory_info().rss
        process.send_signal(signal.SIGUSR1)
        return {"signal": "SIGUSR1", "resident_bytes": resident_bytes}

    def problems(self) -> list[str]:
        found = super().problems()
        if self._still_leaking():
            found.append(f"{self.component} is the same process and leaks on")
        return found

    def _undo(self) -> None:
        if self._still_leaking():
            supervise.restart_component(self.settings, self.component)
        super()._undo()

    def _still_leaking(self) -> bool:
        injection, process = self.injection(), supervise.find(self.settings, self.component)
        return injection is not None and process is not None and process.pid == injection.pid


class ProviderDown(Fault):
    """The provider in use takes connections and answers nothing. Payments may be switched to the other one."""

    name, component, expected_cause = "provider-down", "provider-a", "dependency-unavailable"
    concerns_payments = True

    def _break(self, process: psutil.Process) -> dict[str, object]:
        process.suspend()
        return {"signal": "SIGSTOP"}


class BadConfig(Fault):
    """An operator edits payments.toml by mistake and reloads: charges fail, the process looks fine."""

    name, component, expected_cause = "bad-config", "payments", "configuration"
    concerns_payments = True
    edits: ClassVar[tuple[str, ...]] = ("path", "port", "timeout")

    def __init__(self, settings: Settings, edit: str = "path") -> None:
        super().__init__(settings)
        if edit not in self.edits:
            raise FaultError(f"no edit {edit!r}: give one of {', '.join(self.edits)}")
        self._edit = edit

    def _break(self, process: psutil.Process) -> dict[str, object]:
        before = self.settings.payments_config.read_bytes()
        after = spoil(before.decode(), self._edit).encode()
        if after == before:
            raise FaultError(f"{self.settings.payments_config} has no {self._edit} to edit: restore the default file")
        write_atomic(self.settings.payments_config, after)
        process.send_signal(signal.SIGHUP)
        return {
            "edit": self._edit,
            "path": str(self.settings.payments_config),
            "original_sha256": hashlib.sha256(before).hexdigest(),
        }


def spoil(text: str, edit: str) -> str:
    """payments.toml after an operator's slip; `text` itself where there is nothing to slip on."""
    if edit == "path":
        return re.sub(r'^path = ".*"', 'path = "/v2/charges"', text, count=1, flags=re.MULTILINE)
    if edit == "timeout":
        return re.sub(r"^timeout_ms = \d+", "timeout_ms = 4", text, count=1, flags=re.MULTILINE)
    in_use = re.search(r'^primary = "provider-([ab])"', text, flags=re.MULTILINE)
    if in_use is None:
        return text
    address = rf'^(url_{in_use[1]} = "[^"]*:)(\d+)'
    return re.sub(address, lambda found: f"{found[1]}{int(found[2]) + 50}", text, count=1, flags=re.MULTILINE)


class Bursts(Fault):
    """Irregular rushes of customers. No fault: the right thing to do is nothing."""

    name, component, expected_cause = "bursts", "loadgen", None

    def __init__(self, settings: Settings, for_s: float = 30.0) -> None:
        super().__init__(settings)
        self._for_s = for_s

    def _break(self, process: psutil.Process) -> dict[str, object]:
        set_profile(self.settings, "bursts", self._for_s)
        return {"for_s": self._for_s}

    def problems(self) -> list[str]:
        found = super().problems()
        if not found and self._profile() == "bursts":
            found.append("loadgen still sends bursts")
        return found

    def _undo(self) -> None:
        super()._undo()
        set_profile(self.settings, "waves")

    def _profile(self) -> object:
        return json.loads(supervise.request(self.settings, "loadgen", "GET", "/profile")[1])["profile"]


FAULTS: Mapping[str, type[Fault]] = {
    fault.name: fault for fault in (Crash, Hang, BadConfig, Leak, ProviderDown, Bursts)
}


def clean_all(settings: Settings) -> list[str]:
    """Clean up every fault that has a record; returns their names. Raises FaultError naming each that failed."""
    cleaned: list[str] = []
    failures: list[str] = []
    for name, fault in FAULTS.items():
        if fault(settings).injection() is None:
            continue
        try:
            fault(settings).clean()
        except FaultError as problem:
            failures.append(str(problem))
        else:
            cleaned.append(name)
    if failures:
        raise FaultError("; ".join(failures))
    return cleaned


def _charges_work(settings: Settings) -> bool:
    body = json.dumps({"order_id": 0, "amount_cents": 1}).encode()
    try:
        return supervise.request(settings, "payments", "POST", "/charge", body)[0] == 200
    except OSError:
        return False


def _reload_payments(settings: Settings) -> None:
    payments = supervise.find(settings, "payments")
    if payments is not None:
        payments.send_signal(signal.SIGHUP)
