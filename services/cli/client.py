"""The gateway as commands see it: where it is, asking it, and one clear line when it can't answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from services.cli.output import fail

if TYPE_CHECKING:
    import httpx

CONNECTION_FILE = "gateway.json"
TIMEOUT_S = 40.0
"""Longer than a whole cycle over all services may take."""
NOT_CONNECTED = (
    "Homeostat is not running here: start it with `homeostat up`, name its data directory with --data-dir, or set "
    "HOMEOSTAT_URL and HOMEOSTAT_TOKEN"
)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the gateway is. `source` says where that was found, for messages."""

    url: str
    token: str
    source: str
    health: Mapping[str, str] = field(default_factory=dict)
    """Base addresses of the services' health pages, where they are known."""


class ConnectionUnknownError(Exception):
    """Nobody said where the gateway is; the text says how to."""


def find_connection(data_dir: Path, environment: Mapping[str, str] | None = None) -> Connection:
    """From HOMEOSTAT_URL and HOMEOSTAT_TOKEN, else from what `up` (or `demo`) wrote into the data directory.

    Raises:
        ConnectionUnknownError: neither is there, or one is not usable.
    """
    env = os.environ if environment is None else environment
    if url := env.get("HOMEOSTAT_URL"):
        token = env.get("HOMEOSTAT_TOKEN", "")
        if not token:
            raise ConnectionUnknownError("HOMEOSTAT_URL is set but HOMEOSTAT_TOKEN is not: set both")
        return Connection(url.rstrip("/"), token, "HOMEOSTAT_URL")
    for folder in (data_dir, data_dir / "demo"):
        path = folder / CONNECTION_FILE
        try:
            known = json.loads(path.read_text())
            return Connection(known["url"], known["token"], str(path), known.get("health", {}))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConnectionUnknownError(f"{path} is not readable ({error}): start `homeostat up` again") from error
    raise ConnectionUnknownError(NOT_CONNECTED)


def connect(data_dir: Path) -> Client:
    """A client, or the command ends with one line."""
    try:
        return Client(find_connection(data_dir))
    except ConnectionUnknownError as error:
        raise fail(escape(str(error))) from None


class Client:
    """Asks the gateway. Every failure ends the command with one line that says what to do."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def get(self, path: str, **params: object) -> Any:  # noqa: ANN401 - JSON
        """The `data` of an answer."""
        return self._ask("GET", path, params=_given(params))["data"]

    def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        return self._ask("POST", path, json=body)["data"]

    def put(self, path: str, text: str, **params: object) -> Any:  # noqa: ANN401 - JSON
        """Sends YAML or JSON as it is."""
        headers = {"Content-Type": "application/yaml"}
        return self._ask("PUT", path, content=text.encode(), params=_given(params), headers_more=headers)["data"]

    def send(self, path: str, text: str, media_type: str) -> Any:  # noqa: ANN401 - JSON
        """Posts a text that is no JSON."""
        return self._ask("POST", path, content=text.encode(), headers_more={"Content-Type": media_type})["data"]

    def delete(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return self._ask("DELETE", path)["data"]

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - handed to httpx
        import httpx

        headers = self._headers() | more.pop("headers_more", {})
        try:
            response = httpx.request(method, self.connection.url + path, headers=headers, timeout=TIMEOUT_S, **more)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self.unreachable(error) from None
        if not response.is_success:
            raise refused(response)
        try:
            answer = response.json()
            return {"data": answer["data"], **answer}
        except (ValueError, KeyError, TypeError):
            where = escape(self.connection.url)
            raise fail(f"{where} does not answer like a Homeostat gateway: check HOMEOSTAT_URL") from None

    def follow(self, after: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Id, subject and body of events as they happen; ends when the connection does. `after`: the last id seen."""
        import httpx

        headers = self._headers() | ({"Last-Event-ID": after} if after is not None else {})
        timeout = httpx.Timeout(TIMEOUT_S, connect=5)
        with httpx.stream("GET", f"{self.connection.url}/api/events", headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                raise refused(response)
            found: dict[str, str] = {}
            for line in response.iter_lines():
                name, separator, value = line.partition(":")
                if line:
                    found[name] = value.removeprefix(" ") if separator else ""
                    continue
                if "data" in found:
                    yield found.get("id", ""), found.get("event", ""), json.loads(found["data"])
                found = {}

    def lines(self, path: str, params: Mapping[str, str | Sequence[str]]) -> Iterator[str]:
        """The lines of a long answer, as they come."""
        import httpx

        url = self.connection.url + path
        try:
            with httpx.stream("GET", url, params=params, headers=self._headers(), timeout=TIMEOUT_S) as response:
                if not response.is_success:
                    response.read()
                    raise refused(response)
                yield from response.iter_lines()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self.unreachable(error) from None

    def unreachable(self, error: Exception) -> Exception:
        reason = str(error) or type(error).__name__
        return fail(
            f"no gateway at {escape(self.connection.url)} ({escape(reason)}; from {escape(self.connection.source)}): "
            "is `homeostat up` running? `homeostat doctor` looks further"
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.connection.token}"}


def _given(params: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def refused(response: httpx.Response) -> Exception:
    """The problem of an answer as one line, with its parts below."""
    try:
        problem = response.json()
        detail, remedy, parts = problem["detail"], problem.get("remedy", ""), problem.get("errors", [])
    except (ValueError, KeyError, TypeError):
        return fail(f"{response.url} answered {response.status_code}: is this a Homeostat gateway?")
    lines = [f"{detail}{f': {remedy}' if remedy else ''}"]
    for part in parts:
        place = f"{part.get('line')}:{part.get('column')}: " if part.get("line") else ""
        mend = f": {part['remedy']}" if part.get("remedy") else ""
        lines.append(f"  {place}{part['where']}: {part['message']}{mend}")
    return fail(escape("\n".join(lines)))
