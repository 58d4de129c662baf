"""A data directory is claimed once, locked while in use, and never taken from someone else."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from shared.embedded import DataDir, DataDirError, PortInUseError
from shared.embedded.ports import ephemeral_low


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_missing_directory_is_made_private_and_marked(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "deep" / "data") as data:
        assert json.loads((data.path / "homeostat.json").read_text()) == {"kind": "homeostat-data", "version": 1}
        assert mode(data.path) == 0o700
        assert all(path.is_dir() for path in (data.nats, data.postgres, data.logs, data.run))


@pytest.mark.parametrize("leftover", [(), ("lock",), ("lost+found",)])
def test_an_empty_directory_is_claimed(tmp_path: Path, leftover: tuple[str, ...]) -> None:
    for name in leftover:
        (tmp_path / name).touch()
    tmp_path.chmod(0o755)
    with DataDir.open(tmp_path) as data:
        assert mode(data.path) == 0o700


def test_a_directory_with_other_content_is_refused_and_left_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    tmp_path.chmod(0o755)
    with pytest.raises(DataDirError, match=r"thesis\.tex.*empty or does not exist"):
        DataDir.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert mode(tmp_path) == 0o755


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="is a file"):
        DataDir.open(tmp_path / "file")


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="Make it and its parents accessible"):
        DataDir.open(tmp_path / "file" / "data")


@pytest.mark.parametrize("marker", ["", "[]", '{"kind": "something-else", "version": 1}'])
def test_a_foreign_marker_is_refused(tmp_path: Path, marker: str) -> None:
    (tmp_path / "homeostat.json").write_text(marker)
    with pytest.raises(DataDirError, match="not ours"):
        DataDir.open(tmp_path)


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "homeostat.json").write_text('{"kind": "homeostat-data", "version": 2}')
    with pytest.raises(DataDirError, match="layout version 2"):
        DataDir.open(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataDirError, match="Permission denied"):
        DataDir.open(tmp_path / "data")
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 65534, 65534)
    with pytest.raises(DataDirError, match="belongs to user"):
        DataDir.open(tmp_path / "data")


def test_it_has_one_holder_at_a_time(tmp_path: Path) -> None:
    with DataDir.open(tmp_path), pytest.raises(DataDirError, match=rf"in use by .*process {os.getpid()}\)"):
        DataDir.open(tmp_path)
    DataDir.open(tmp_path).close()


def test_a_secret_is_made_once_kept_private_and_survives(tmp_path: Path) -> None:
    made = iter(["first", "second", "third"])
    with DataDir.open(tmp_path, new_secret=lambda: next(made)) as data:
        assert (data.secret("nats.a"), data.secret("nats.b"), data.secret("nats.a")) == ("first", "second", "first")
        assert mode(data.path / "credentials.json") == 0o600
    with DataDir.open(tmp_path) as data:
        assert data.secret("nats.b") == "second"


def test_secrets_are_long_and_differ(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        secrets = {data.secret(f"name{i}") for i in range(20)}
    assert len(secrets) == 20
    assert min(map(len, secrets)) >= 32


def test_credentials_that_others_could_read_are_closed_again(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        data.secret("a")
    (tmp_path / "credentials.json").chmod(0o644)
    DataDir.open(tmp_path).close()
    assert mode(tmp_path / "credentials.json") == 0o600


def test_damaged_credentials_are_reported_not_replaced(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        (tmp_path / "credentials.json").write_text("{ damaged")
        with pytest.raises(DataDirError, match=r"credentials\.json is not a readable JSON object"):
            data.secret("a")
    assert (tmp_path / "credentials.json").read_text() == "{ damaged"


def test_names_are_checked(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data, pytest.raises(ValueError, match="use 1 to 100 letters"):
        data.secret("../escape")


def test_a_port_persists_and_lies_outside_the_ephemeral_range(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        port, other = data.port("nats"), data.port("postgres")
        assert port != other
        assert 1024 < port < ephemeral_low()
    with DataDir.open(tmp_path) as data:
        assert data.port("nats") == port


@pytest.mark.parametrize("fixed", [False, True])
def test_a_port_held_by_someone_else_is_reported_with_its_owner(tmp_path: Path, fixed: bool) -> None:
    with DataDir.open(tmp_path) as data, socket.socket() as other:
        port = data.port("nats")
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PortInUseError, match=rf"port {port} of nats .*process {os.getpid()} .*Stop that process"):
            data.port("nats", fixed=port if fixed else None, grace_s=0)


def test_the_named_remedy_for_a_taken_port_works(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data, socket.socket() as other:
        port = data.port("nats")
        other.bind(("127.0.0.1", port))
        other.listen()
        ports = json.loads((tmp_path / "ports.json").read_text())
        del ports["nats"]
        (tmp_path / "ports.json").write_text(json.dumps(ports))
        assert data.port("nats", grace_s=0) != port
