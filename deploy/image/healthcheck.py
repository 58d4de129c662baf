"""Asks this container's own health page; exit status 0 means well. Standard library only, so that asking is cheap.

Usage: python -I -S healthcheck.py [/path | http://127.0.0.1:port/path | unix:/socket:/path]
"""

from __future__ import annotations

import http.client
import os
import socket
import sys

_TIMEOUT_S = 4.0


def connect(target: str) -> tuple[http.client.HTTPConnection, str]:
    """A connection to who is asked, and the path to ask for."""
    if target.startswith("unix:"):
        address, _, path = target.removeprefix("unix:").partition(":")
        connection = http.client.HTTPConnection("localhost", timeout=_TIMEOUT_S)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(_TIMEOUT_S)
        connection.sock.connect(address)
        return connection, path
    if target.startswith("/"):
        target = f"http://127.0.0.1:{os.environ.get('HOMEOSTAT_HEALTH_PORT', '8081')}{target}"
    host, _, path = target.removeprefix("http://").partition("/")
    return http.client.HTTPConnection(host, timeout=_TIMEOUT_S), f"/{path}"


def answer(target: str) -> tuple[int, str]:
    """Status and the beginning of the body of a page on this machine. Raises OSError when nobody answers."""
    connection, path = connect(target)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(500).decode(errors="replace")
    finally:
        connection.close()


def main() -> int:
    target = sys.argv[1] if len(sys.argv) > 1 else "/livez"
    try:
        status, body = answer(target)
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"{target}: {error}\n")
        return 1
    sys.stdout.write(f"{target}: {status} {body}\n")
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
