"""Commands without a Homeostat: clear lines, honest exit codes, no tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.cli.client import ConnectionUnknownError, find_connection

SHOP = Path(__file__).parents[3] / "packs" / "shop.yaml"


def run(*arguments: str, **env: str) -> Result:
    clean: dict[str, str | None] = {"HOMEOSTAT_URL": None, "HOMEOSTAT_TOKEN": None, "HOMEOSTAT_DATA_DIR": None}
    return CliRunner().invoke(app, [*arguments], env=clean | env, catch_exceptions=False)


class Strange(BaseHTTPRequestHandler):
    """Some other web server."""

    def do_GET(self) -> None:
        status = 500 if "incidents" in self.path else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_arguments: object) -> None:
        return


@pytest.fixture
def stranger() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# ---- where the gateway is


class TestConnection:
    def test_the_environment_comes_first(self, tmp_path: Path) -> None:
        (tmp_path / "gateway.json").write_text('{"url": "http://a", "token": "t"}')
        env = {"HOMEOSTAT_URL": "http://b/", "HOMEOSTAT_TOKEN": "u"}
        found = find_connection(tmp_path, env)
        assert (found.url, found.token) == ("http://b", "u")

    def test_else_what_up_or_demo_wrote(self, tmp_path: Path) -> None:
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "gateway.json").write_text('{"url": "http://d", "token": "t"}')
        assert find_connection(tmp_path, {}).url == "http://d"
        (tmp_path / "gateway.json").write_text('{"url": "http://a", "token": "t", "health": {"healer": "http://h"}}')
        found = find_connection(tmp_path, {})
        assert (found.url, found.health) == ("http://a", {"healer": "http://h"})

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "x"}'])
    def test_a_broken_file_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "gateway.json").write_text(text)
        with pytest.raises(ConnectionUnknownError, match=r"gateway\.json is not readable"):
            find_connection(tmp_path, {})

    def test_a_url_without_a_token_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectionUnknownError, match="HOMEOSTAT_TOKEN is not: set both"):
            find_connection(tmp_path, {"HOMEOSTAT_URL": "http://a"})


COMMANDS = [
    ("status",),
    ("incidents",),
    ("trace", "last"),
    ("decisions",),
    ("events",),
    ("logs",),
    ("report",),
    ("diagnosis", "calibration"),
    ("approve",),
    ("reject",),
    ("heal", "a", "b"),
    ("backups",),
    ("rollback", "b"),
    ("pack", "list"),
    ("pack", "diff", str(SHOP)),
    ("pack", "apply", str(SHOP)),
    ("pack", "remove", "shop"),
    ("dlq", "list"),
    ("dlq", "replay", "1"),
    ("token", "list"),
    ("token", "create", "a", "--role", "viewer"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_homeostat_a_command_says_so_in_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*command, "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Homeostat is not running here")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_unreachable_gateway_is_one_line_too(command: tuple[str, ...]) -> None:
    result = run(*command, HOMEOSTAT_URL="http://127.0.0.1:1", HOMEOSTAT_TOKEN="t")
    assert result.exit_code == 1
    assert "no gateway at http://127.0.0.1:1" in result.stderr
    assert "homeostat doctor" in result.stderr
    assert "Traceback" not in result.output


def test_another_web_server_is_not_taken_for_a_gateway(stranger: str) -> None:
    for command in ("incidents", "decisions"):
        result = run(command, HOMEOSTAT_URL=stranger, HOMEOSTAT_TOKEN="t")
        assert result.exit_code == 1
        assert "Homeostat gateway" in result.stderr
    found = run("doctor", HOMEOSTAT_URL=stranger, HOMEOSTAT_TOKEN="t")
    assert "does not answer like Homeostat" in found.output


@pytest.mark.parametrize(
    "command",
    [
        ("nonsense",),
        ("status", "--nonsense"),
        ("pack", "validate", "no-such-file.yaml"),
        ("pack", "validate", str(SHOP), "--set", "nothing"),
        ("heal", "only-one"),
        ("dlq", "replay"),
        ("token", "create", "ann", "--role", "king"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(command: tuple[str, ...]) -> None:
    assert run(*command).exit_code == 2


# ---- packs


def test_a_good_pack_validates_without_a_running_homeostat() -> None:
    result = run("pack", "validate", str(SHOP), "--set", "base_port=9200")
    assert result.exit_code == 0
    assert "is good: pack shop" in result.output


def test_problems_of_a_pack_come_with_file_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("pack: a\nmdoe: auto\ncomponents: {x: {calls: [y]}}\n")
    result = run("pack", "validate", str(path))
    assert result.exit_code == 1
    first, second, last = result.stderr.splitlines()
    assert first.startswith(f"{path}:2:1: mdoe: unknown key `mdoe`: did you mean `mode`?")
    assert second.startswith(f"{path}:3:26: components.x.calls[0]: no component is named `y`")
    assert last.endswith("has 2 problems")


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(run("pack", "schema").output)["title"] == "Homeostat pack"


# ---- doctor


class TestDoctor:
    def test_it_says_what_fails_and_how_to_mend_it(self, tmp_path: Path) -> None:
        result = run("doctor", "--data-dir", str(tmp_path))
        assert result.exit_code == 1
        assert "fail gateway: not known where it is" in result.output
        assert "start it with `homeostat up`" in result.output

    def test_servers_named_in_the_environment_are_tried(self, tmp_path: Path, stranger: str) -> None:
        port = stranger.rpartition(":")[2]
        result = run(
            "doctor", "--json", "--data-dir", str(tmp_path),
            HOMEOSTAT_NATS_URL="nats://127.0.0.1:1", HOMEOSTAT_POSTGRES_HOST="127.0.0.1", HOMEOSTAT_POSTGRES_PORT=port,
        )  # fmt: skip
        found = {one["name"]: one for one in json.loads(result.output)}
        assert found["NATS"]["result"] == "fail"
        assert "HOMEOSTAT_NATS_URL" in found["NATS"]["remedy"]
        assert found["PostgreSQL"]["result"] == "ok"

    def test_a_file_in_the_place_of_the_data_directory_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.touch()
        assert "is a file" in run("doctor", "--data-dir", str(path)).output


def test_help_does_not_load_what_only_commands_need() -> None:
    code = "import sys, services.cli.app; print([m for m in ('httpx', 'fastapi', 'sqlalchemy', 'nats', 'cel') if m in sys.modules])"  # noqa: E501
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
