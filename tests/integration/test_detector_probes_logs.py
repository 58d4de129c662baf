"""Following what programs write: files over rotation and restarts, the systemd journal, a container's streams."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from services.detector.clients import files, tail
from shared.contracts.ingest import CheckKind, CheckResult
from tests.integration.detector_probing import Eventually, Heard, running

# ---- files


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as log:
        log.write(text.encode() if isinstance(text, str) else text)


async def test_lines_written_while_nobody_read_are_told_once_after_a_restart(
    tmp_path: Path, eventually: Eventually
) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.write_text("from before\n")
    probe = {"logs": {"path": str(path)}, "every_s": 60}
    async with running(heard, probe) as runner:
        await runner.sweep()
        append(path, "one\nhal")
        await eventually(lambda: heard.lines == ["one"])
    append(path, "f\ntwo\n")
    async with running(heard, probe):
        await eventually(lambda: heard.lines == ["one", "half", "two"])
    path.rename(tmp_path / "web.log.1")
    append(tmp_path / "web.log.1", "last words\n")
    append(path, "new file\n")
    async with running(heard, probe):
        await eventually(lambda: heard.lines == ["one", "half", "two", "last words", "new file"])
    path.unlink()
    append(path, "another\n")
    async with running(heard, probe) as runner:
        await eventually(lambda: heard.lines[-1] == "another")
        await runner.sweep()
    assert len(heard.lines) == 6


async def test_a_crash_repeats_at_most_what_was_read_since_the_place_was_kept(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "KEEP_EVERY_S", 0.0)
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    probe = {"logs": {"path": str(path)}, "every_s": 60}
    async with running(heard, probe) as runner:
        await runner.sweep()
        append(path, "one\n")
        await eventually(lambda: json.loads(heard.positions[f"web/logs/{path}"])[1] == 4)
        as_it_was = dict(heard.positions)
    append(path, "two\n")
    heard.positions = as_it_was
    async with running(heard, probe):
        await eventually(lambda: heard.lines == ["one", "two"])


async def test_a_place_on_another_machine_says_nothing_of_this_one(tmp_path: Path, eventually: Eventually) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.write_text("old news\n")
    heard.positions[f"web/logs/{path}"] = tail.Position(1, 500, 5, "0", "another-machine").text()
    async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
        await runner.sweep()
        append(path, "news\n")
        await eventually(lambda: heard.lines == ["news"])


async def test_what_was_written_while_nobody_read_is_bounded(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "MAX_CATCH_UP_BYTES", 100)
    path, heard = tmp_path / "web.log", Heard()
    path.write_text("begin\n")
    probe = {"logs": {"path": str(path)}, "every_s": 60}
    async with running(heard, probe) as runner:
        await runner.sweep()
    append(path, "".join(f"line {i:04}\n" for i in range(1_000)))
    async with running(heard, probe):
        await eventually(lambda: heard.lines and heard.lines[-1] == "line 0999")
    assert len(heard.lines) == 10


async def test_a_file_cut_and_written_beyond_where_we_were_is_read_from_its_beginning(
    tmp_path: Path, eventually: Eventually
) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
        await runner.sweep()
        append(path, "short\n")
        await eventually(lambda: heard.lines == ["short"])
        path.write_text("a longer line than before\nand another\n")
        await eventually(lambda: heard.lines[1:] == ["a longer line than before", "and another"])


async def test_a_writer_that_keeps_its_place_over_truncation_leaves_a_hole_that_is_no_line(
    tmp_path: Path, eventually: Eventually
) -> None:
    path, heard = tmp_path / "web.log", Heard()
    with path.open("wb", buffering=0) as log:
        async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
            await runner.sweep()
            log.write(b"x" * 300_000 + b"\n")
            await eventually(lambda: len(heard.lines) == 1)
            os.truncate(path, 0)
            log.write(b"after the hole\n")
            await eventually(lambda: heard.lines[1:] == ["after the hole"])


async def test_a_writer_that_goes_on_in_the_renamed_file_is_heard(tmp_path: Path, eventually: Eventually) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    with path.open("ab", buffering=0) as log:
        async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
            await runner.sweep()
            path.rename(tmp_path / "web.log.1")
            path.touch()
            log.write(b"one\n")
            await eventually(lambda: heard.lines == ["one"])
            log.write(b"two\n")
            await eventually(lambda: heard.lines == ["one", "two"])
            append(path, "three\n")
            await eventually(lambda: heard.lines == ["one", "two", "three"])


async def test_odd_bytes_and_endless_lines_cost_nobody_a_line(tmp_path: Path, eventually: Eventually) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
        await runner.sweep()
        append(path, b"\xff\xfe odd\n" + b"y" * 3_000_000 + b"\nafter\n")
        append(path, b'{"message": "half \\ud800"}\nlast\n')
        await eventually(lambda: heard.lines[-1:] == ["last"])
    assert heard.lines[0] == "\ufffd\ufffd odd"
    assert len(heard.lines[1]) == 8_192
    assert heard.lines[2:] == ["after", "half ?", "last"]


async def test_a_traceback_is_one_message_also_when_it_comes_in_pieces(tmp_path: Path, eventually: Eventually) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    async with running(heard, {"logs": {"path": str(path)}, "every_s": 60}) as runner:
        await runner.sweep()
        append(path, "Traceback (most recent call last):\n  File x\n")
        await runner.sweep()
        assert heard.lines == []
        append(path, "ValueError: no\n")
        await eventually(lambda: heard.lines)
    assert heard.lines == ["Traceback (most recent call last):\n  File x\nValueError: no"]
    assert heard.log_lines[0].level == "error"


async def test_a_traceback_that_is_held_when_the_detector_stops_is_told_by_the_next(
    tmp_path: Path, eventually: Eventually
) -> None:
    path, heard = tmp_path / "web.log", Heard()
    path.touch()
    probe = {"logs": {"path": str(path)}, "every_s": 60}
    async with running(heard, probe) as runner:
        await runner.sweep()
        append(path, "before\nTraceback (most recent call last):\n  File x\n")
        await eventually(lambda: heard.lines == ["before"])
    append(path, "ValueError: no\nafter\n")
    async with running(heard, probe):
        await eventually(lambda: heard.lines[-1] == "after")
    assert [line.partition("\n")[0] for line in heard.lines] == [
        "before",
        "Traceback (most recent call last):",
        "after",
    ]


# ---- the journal

REMOTE = "/lib/systemd/systemd-journal-remote"


@pytest.fixture
def write_journal(tmp_path: Path) -> Callable[..., None]:
    """Entries into real journal files, written as a machine's own service would."""
    if not Path(REMOTE).exists() or shutil.which("journalctl") is None:
        pytest.skip("journal tools are not installed: apt-get install -y systemd systemd-journal-remote")
    (tmp_path / "journal").mkdir()
    count = iter(range(1_000))

    def write(unit: str, *messages: str, priority: int = 6) -> None:
        entries = []
        for message in messages:
            number = next(count)
            entries.append(
                f"__REALTIME_TIMESTAMP={1_767_323_045_000_000 + number}\n__MONOTONIC_TIMESTAMP={1_000 + number}\n"
                "_BOOT_ID=0123456789abcdef0123456789abcdef\n_MACHINE_ID=0123456789abcdef0123456789abcdef\n"
                f"_HOSTNAME=test\n_SYSTEMD_UNIT={unit}\n_PID=1\nPRIORITY={priority}\nMESSAGE={message}\n\n"
            )
        subprocess.run(
            [REMOTE, "-o", str(tmp_path / "journal" / "test.journal"), "--split-mode=none", "-"],
            input="".join(entries).encode(),
            check=True,
            capture_output=True,
        )

    return write


async def test_a_unit_s_journal_is_followed_and_taken_up_after_a_restart(
    write_journal: Callable[..., None], tmp_path: Path, eventually: Eventually
) -> None:
    heard = Heard()
    probe = {"journal": {"unit": "web.service", "directory": str(tmp_path / "journal")}}

    async def begun() -> bool:
        """journalctl says nowhere that it has begun: it has when it tells something."""
        await asyncio.to_thread(write_journal, "web.service", "begun?")
        return bool(heard.lines)

    await asyncio.to_thread(write_journal, "web.service", "from before")
    async with running(heard, probe):
        await eventually(begun, every_s=0.2)
        await asyncio.to_thread(write_journal, "other.service", "not ours")
        await asyncio.to_thread(write_journal, "web.service", "one", "two", priority=3)
        await eventually(lambda: heard.lines[-2:] == ["one", "two"])
    assert set(heard.lines) == {"begun?", "one", "two"}
    assert heard.log_lines[-1].level == "error"
    assert heard.log_lines[-1].fields["unit"] == "web.service"
    assert (heard.checks[0].kind, heard.checks[0].result) == (CheckKind.JOURNAL, CheckResult.OK)
    await asyncio.to_thread(write_journal, "web.service", "while away")
    async with running(heard, probe):
        await eventually(lambda: heard.lines[-1] == "while away")
    assert [line for line in heard.lines if line != "begun?"] == ["one", "two", "while away"]


def stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journalctl that behaves as no real one can be made to."""
    program = folder / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


async def test_a_journalctl_that_ends_is_told_and_started_again_from_where_it_was(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    stand_in(
        tmp_path,
        f'echo "$@" >> {tmp_path}/calls\n'
        "echo 'not json'; head -c 3000000 /dev/zero | tr '\\0' x; echo\n"
        'echo \'{"__CURSOR": "c1", "MESSAGE": "hello"}\'; sleep 0.3; echo "no rights" >&2; exit 1',
        monkeypatch,
    )
    async with running(heard, {"journal": {"unit": "web.service"}}):
        await eventually(lambda: CheckResult.ERROR in heard.results)
        await eventually(lambda: (tmp_path / "calls").read_text().count("\n") >= 2)
    assert "hello" in heard.lines
    told = next(check for check in heard.checks if check.result is CheckResult.ERROR)
    assert "no rights" in told.detail
    first, second = (tmp_path / "calls").read_text().splitlines()[:2]
    assert "--lines=0" in first
    assert "--after-cursor=c1" in second


async def test_a_machine_without_journalctl_says_so(eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    monkeypatch.setenv("PATH", "/nowhere")
    async with running(heard, {"journal": {"unit": "web.service"}}):
        await eventually(lambda: CheckResult.ERROR in heard.results)
    assert "not installed" in heard.checks[-1].detail


# ---- containers


class Engine:
    """As much of a Docker Engine as the probe asks for; what a real one does only on a bad day included."""

    def __init__(self) -> None:
        self.stats_hang = False
        self.logs: list[tuple[str, int, str]] = []
        self.asked: list[str] = []
        self.state: dict[str, object] = {"Status": "running"}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.split(b" ")[1].decode(), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        self.asked.append(path)
        if "/stats" in path and self.stats_hang:
            await asyncio.sleep(600)
        if "/events" in path or "/logs" in path:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            sent = 0
            while "/logs" in path:
                for stamp, stream, text in self.logs[sent:]:
                    data = f"{stamp} {text}\n".encode()
                    frame = bytes([stream, 0, 0, 0]) + len(data).to_bytes(4) + data
                    writer.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
                    sent += 1
                await writer.drain()
                await asyncio.sleep(0.02)
            await asyncio.sleep(600)
        body: dict[str, object] = {"State": self.state, "RestartCount": 2, "Config": {"Tty": False}}
        if "/info" in path:
            body = {"ContainersRunning": 3}
        if "/stats" in path:
            body = {
                "memory_stats": {"usage": 60, "limit": 100, "stats": {"inactive_file": 10}},
                "pids_stats": {"current": 7},
                "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 6}, "eth1": {"rx_bytes": 5}},
            }
        text = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[tuple[Engine, str]]:
    made, socket = Engine(), str(folder / "docker.sock")
    server = await asyncio.start_unix_server(made.answer, socket)
    try:
        yield made, socket
    finally:
        server.close()


async def test_slow_figures_of_a_container_fail_neither_its_check_nor_the_probe(
    tmp_path: Path, eventually: Eventually
) -> None:
    heard = Heard()
    async with engine(tmp_path) as (made, socket):
        probe = {"docker": {"container": "web", "socket": socket}, "timeout_ms": 300}
        async with running(heard, probe):
            await eventually(lambda: "container_pids" in heard.samples)
            assert heard.samples["container_memory_percent"] == 50
            assert heard.samples["container_network_receive_bytes_total"] == 10
            assert heard.samples["container_restarts_total"] == 2
            assert heard.samples["docker_containers_running"] == 3
            made.stats_hang = True
            before = len(heard.checks)
            heard.events[:] = [event for event in heard.events if event in heard.checks]
            await eventually(lambda: len(heard.checks) >= before + 3)
            await eventually(lambda: "docker_containers_running" in heard.samples)
    assert set(heard.results) == {CheckResult.OK}
    assert "container_pids" not in heard.samples


async def test_a_container_s_streams_are_told_once_over_a_restart(tmp_path: Path, eventually: Eventually) -> None:
    heard = Heard()
    async with engine(tmp_path) as (made, socket):
        probe = {"docker": {"container": "web", "socket": socket, "logs": True}, "every_s": 60}
        made.logs += [("2099-01-01T00:00:00.000000001Z", 1, "one"), ("2099-01-01T00:00:00.000000002Z", 2, "ERROR two")]
        async with running(heard, probe):
            await eventually(lambda: heard.lines == ["one", "ERROR two"])
        assert [line.fields["stream"] for line in heard.log_lines] == ["stdout", "stderr"]
        assert heard.log_lines[1].level == "error"
        made.logs += [("2099-01-01T00:00:00.000000003Z", 2, "Traceback (most recent call last):")]
        made.logs += [("2099-01-01T00:00:00.000000004Z", 2, "  File x")]
        made.logs += [("2099-01-01T00:00:00.000000005Z", 2, "KeyError: 1")]
        async with running(heard, probe):
            await eventually(lambda: len(heard.lines) == 3)
        assert heard.lines[2].endswith("KeyError: 1")
        assert any("since=4070908800.000000002" in path for path in made.asked)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.mark.containers
async def test_a_real_container_s_streams(eventually: Eventually) -> None:
    image = os.environ.get("HOMEOSTAT_TEST_IMAGE", "debian:trixie-slim")
    name, heard = f"homeostat-test-{uuid4().hex[:8]}", Heard()
    script = "i=0; while true; do i=$((i+1)); echo out $i; echo err $i >&2; sleep 0.2; done"
    await asyncio.to_thread(docker, "run", "-d", "--pull", "never", "--name", name, image, "sh", "-c", script)
    probe = {"docker": {"container": name, "logs": True}, "every_s": 60}
    try:
        async with running(heard, probe) as runner:
            await runner.sweep()
            await eventually(lambda: len(heard.lines) >= 6)
            assert heard.samples["container_pids"] >= 1
            assert heard.samples["container_running"] == 1
        async with running(heard, probe):
            await eventually(lambda: len(heard.lines) >= 16)
        assert len(set(heard.lines)) == len(heard.lines)
        numbers = sorted(int(line.split()[1]) for line in heard.lines if line.startswith("out"))
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        await asyncio.to_thread(docker, "rm", "-f", name)
