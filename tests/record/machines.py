"""A small machine: its file systems, a program with a limit of open files, and a site with a certificate."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.contracts.base import Category, Severity
from tests.record.failures import Failure, Mend, System, free_port, sh

INDEXER = """
import pathlib, sys, time, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
folder = pathlib.Path(sys.argv[1])
kept = []
while True:
    if (folder / 'leak').exists():
        try:
            kept.append(open('/dev/null'))
        except OSError as error:
            with open(folder / 'indexer.log', 'a') as log:
                print(f'{time.strftime("%FT%TZ", time.gmtime())} ERROR {error}', file=log)
            time.sleep(1)
    else:
        kept.clear()
    time.sleep(0.05)
"""
SITE = """
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Program:
    """A Python program with a pid file."""

    def __init__(self, folder: Path, name: str, text: str, *arguments: str) -> None:
        self._pid_file = folder / f"{name}.pid"
        self._text, self._arguments = text, arguments
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", self._text, *self._arguments], stderr=subprocess.DEVNULL)
        self._pid_file.write_text(f"{self.process.pid}\n")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self, *arguments: str) -> None:
        self.stop()
        self._arguments = arguments or self._arguments
        self.start()


def certificate(folder: Path, days: int) -> tuple[str, str]:
    """Paths of a certificate that is its own authority, and of its key."""
    pem, key = str(folder / f"site-{days}.pem"), str(folder / f"site-{days}.key")
    sh(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=site"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-days", str(days), "-keyout", key, "-out", pem),
    )
    return pem, key


@contextmanager
def system(folder: Path) -> Iterator[System]:
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / "archive"
    disk.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=2000", "tmpfs", str(disk))
    (folder / "indexer.log").touch()
    indexer = Program(folder, "indexer", INDEXER, str(folder))
    port = free_port()
    good, bad = certificate(folder, 90), certificate(folder, 1)
    trusted = folder / "trusted.pem"
    trusted.write_text("".join(Path(pem).read_text() for pem, _ in (good, bad)))
    site = Program(folder, "site", SITE, str(port), *good)

    def fill() -> Mend:
        (disk / "dump").write_bytes(b"\0" * (63 * 1024 * 1024))
        return (disk / "dump").unlink

    def litter() -> Mend:
        many = disk / "spool"
        many.mkdir()
        for number in range(1_980):
            (many / str(number)).touch()
        return lambda: sh("rm", "-r", str(many))

    def leak() -> Mend:
        (folder / "leak").touch()
        return (folder / "leak").unlink

    def expire_soon() -> Mend:
        site.restart(str(port), *bad)
        return lambda: site.restart(str(port), *good)

    def stop_site() -> Mend:
        site.stop()
        return site.start

    url = f"https://127.0.0.1:{port}/"
    pack = {
        "pack": "machine",
        "components": {"machine": {"kind": "host"}, "indexer": {"kind": "worker"}, "site": {"kind": "http-service"}},
        "probes": [
            {"component": "machine", "every_s": 5, "host": {"disk_paths": [str(disk)]}},
            {"component": "indexer", "every_s": 2, "process": {"pid_file": str(folder / "indexer.pid")}},
            {"component": "indexer", "every_s": 2, "logs": {"path": str(folder / "indexer.log")}},
            {"component": "site", "every_s": 3, "http": {"url": url, "ca_file": str(trusted)}},
        ],
    }
    critical = Severity.CRITICAL
    try:
        yield System(
            pack,
            (
                Failure("host-disk-full", "machine", (Category.DISK,), fill, 120, severity=critical),
                Failure("host-inodes-used-up", "machine", (Category.DISK,), litter, 120, severity=critical),
                Failure("process-open-files-used-up", "indexer", (Category.RESOURCE_EXHAUSTION,), leak, 120),
                Failure("certificate-expires-soon", "site", (Category.CERTIFICATE,), expire_soon),
                Failure("site-gone", "site", (Category.CRASH,), stop_site, severity=critical),
            ),
        )
    finally:
        indexer.stop()
        site.stop()
        sh("umount", str(disk))
