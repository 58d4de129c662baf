"""Choosing ports that stay ours, and naming whoever took one.

Ports are chosen below the kernel's ephemeral range: a client that keeps reconnecting to a port inside the
range can be given that very port as its own source port, connect to itself, and lock the server out.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Collection
from pathlib import Path

from shared.embedded.errors import PortInUseError

LOOPBACK = "127.0.0.1"
LOWEST_PORT = 20_000
EPHEMERAL_LOW_DEFAULT = 32_768
MAX_TRIES = 64
RETRY_INTERVAL_S = 0.02
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def ephemeral_low() -> int:
    """Lowest port that the kernel may give to an outgoing connection."""
    try:
        return int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_LOW_DEFAULT


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: connections of the last run that linger in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port(taken: Collection[int], rng: random.Random) -> int:
    """A free loopback port not in `taken`, outside the ephemeral range where the machine has room for that."""
    high = ephemeral_low()
    if high - LOWEST_PORT > MAX_TRIES:
        for _ in range(MAX_TRIES):
            port = rng.randrange(LOWEST_PORT, high)
            if port not in taken and is_free(port):
                return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listener_of(port: int) -> str | None:
    """Describes the process listening on the port, or None where the system does not tell us."""
    import psutil  # only the embedded servers' extra has it; rendering a configuration must work without

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.laddr.port != port:
            continue
        if connection.pid is None:
            return None
        try:
            process = psutil.Process(connection.pid)
            command = " ".join(process.cmdline()) or process.name()
        except psutil.Error:
            return f"process {connection.pid}"
        return f"process {connection.pid} ({command[:120]})"
    return None


def require_free(name: str, port: int, *, grace_s: float, remedy: str) -> None:
    """Returns once the port is free; raises PortInUseError when it still is not after `grace_s` seconds.

    The grace lets servers of a supervisor killed a moment ago finish dying. Blocks the calling thread.
    """
    deadline_s = time.monotonic() + grace_s
    while not is_free(port):
        if time.monotonic() >= deadline_s:
            raise PortInUseError(name, port, listener_of(port), remedy)
        time.sleep(RETRY_INTERVAL_S)
