"""How probes ask: within a time-out, only whom the pack allows, with secrets read at the last moment."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, time
from typing import cast
from urllib.parse import urljoin

import asyncpg
import httpx

from services.detector.clients.reports import Seen
from shared.contracts.ingest import CheckResult
from shared.packs.model import Probe, SecretRef

MAX_BODY_BYTES = 10 * 1024 * 1024
USER_AGENT = "homeostat-detector"
TRIES_WHILE_LATE = 3
LATE_S, LATE_SHARE = 0.05, 0.1
"""A time-out noticed this much too late, at least, and by this share of its length, is doubted."""


_FAILURES = (OSError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError)


class NotAllowedError(Exception):
    """A probe may not do what it is declared to do; the text says how to mend the pack."""


async def ask(probe: Probe, question: Callable[[], Awaitable[str]], failures: tuple[type[Exception], ...] = ()) -> Seen:
    """Asks within the probe's time-out. `question` gives what is wrong with the answer, or nothing; `failures` are
    what it may raise beyond what sockets, HTTP and PostgreSQL raise.

    A time-out that this process noticed late says that it was held up itself, as on a starved machine: it asks again
    before it says so of others.
    """
    timeout_s = probe.timeout_ms / 1000
    for left in range(TRIES_WHILE_LATE - 1, -1, -1):
        started = perf_counter()
        seen = await _ask_once(probe, question, failures)
        late_s = perf_counter() - started - timeout_s
        if seen.result is not CheckResult.TIMEOUT or late_s < max(LATE_S, LATE_SHARE * timeout_s) or not left:
            return seen
    raise AssertionError("the last try answers")


async def _ask_once(
    probe: Probe, question: Callable[[], Awaitable[str]], failures: tuple[type[Exception], ...]
) -> Seen:
    started = perf_counter()
    try:
        async with asyncio.timeout(probe.timeout_ms / 1000):
            wrong = await question()
    except (TimeoutError, httpx.TimeoutException):
        return Seen(CheckResult.TIMEOUT, detail=f"no answer within {probe.timeout_ms:g} ms")
    except Exception as error:
        if not isinstance(error, (*_FAILURES, *failures)):
            raise
        refused = _is_refused(error)
        said = str(error).strip() or type(error).__name__
        return Seen(CheckResult.REFUSED if refused else CheckResult.ERROR, detail=said)
    latency_ms = (perf_counter() - started) * 1000
    if wrong:
        return Seen(CheckResult.ERROR, latency_ms, wrong)
    return Seen(CheckResult.SLOW if latency_ms > probe.slow_ms else CheckResult.OK, latency_ms)


def _is_refused(error: BaseException | None) -> bool:
    """Whether somebody said no, as the port of a process that has gone does: anywhere in the chain of causes."""
    if error is None:
        return False
    if isinstance(error, ConnectionRefusedError):
        return True
    if isinstance(error, ExceptionGroup):
        return all(_is_refused(each) for each in error.exceptions)
    if isinstance(error, OSError) and str(error).startswith("Multiple exceptions:"):  # asyncio, for several addresses
        return str(error).count("[Errno ") == str(error).count(f"[Errno {errno.ECONNREFUSED}]")
    return _is_refused(error.__cause__ or error.__context__)


def new_client(ca_file: str | None = None) -> httpx.AsyncClient:
    """No kept connections: a probe also asks whether new ones are accepted, and a restart leaves none behind."""
    return httpx.AsyncClient(
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=None,  # noqa: S113 - `ask` holds the time-out, of the whole exchange
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": USER_AGENT},
        verify=True if ca_file is None else ssl.create_default_context(cafile=ca_file),
    )


def check_host(url: str, hosts: frozenset[str]) -> None:
    """Raises NotAllowedError for a host that the pack doesn't declare."""
    host = httpx.URL(url).host
    if host not in hosts:
        raise NotAllowedError(f"{url}: host {host!r} is not declared: add it to `http_hosts` of the pack")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and the two sides of the moment it did."""

    status: int
    body: bytes
    headers: httpx.Headers
    asked_at: float
    answered_at: float
    """Unix time by this machine's clock; between the two the other side wrote its `Date`."""
    certificate_until: str = ""
    """`notAfter` of the certificate it came with."""


async def fetch(
    client: httpx.AsyncClient,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str | SecretRef] | None = None,
    params: Mapping[str, str] | None = None,
    redirects: int = 0,
    hosts: frozenset[str] = frozenset(),
) -> Answer:
    """One answer, bounded. Each redirect must lead to a declared host; to another origin no headers go along."""
    origin = _origin(url)
    for left in range(redirects, -1, -1):
        given = headers if headers and _origin(url) == origin else {}
        sent = {
            name: value if isinstance(value, str) else read_secret(value, "the header " + name)
            for name, value in given.items()
        }
        asked_at = time()
        async with client.stream(method, url, headers=sent, params=params or None) as response:
            target = response.headers.get("location")
            if left and response.is_redirect and target:
                url = urljoin(url, target)
                host = httpx.URL(url).host
                if host not in hosts:
                    raise httpx.RequestError(f"redirected to {host!r}, which is not in `http_hosts` of the pack")
                if response.status_code == httpx.codes.SEE_OTHER and method != "HEAD":
                    method = "GET"
                continue
            answered_at = time()
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise httpx.DecodingError(f"{url} answered more than {MAX_BODY_BYTES} bytes")
            return Answer(
                response.status_code, bytes(body), response.headers, asked_at, answered_at, _certificate(response)
            )
    raise AssertionError("the last round answers")


def _origin(url: str) -> tuple[str, str, int | None]:
    address = httpx.URL(url)
    return address.scheme, address.host, address.port


def _certificate(response: httpx.Response) -> str:
    stream = response.extensions.get("network_stream")
    encrypted = stream.get_extra_info("ssl_object") if stream is not None else None
    found = cast(dict[str, object] | None, encrypted.getpeercert()) if encrypted is not None else None
    return str((found or {}).get("notAfter", ""))


def read_secret(secret: SecretRef, of: str = "the probe") -> str:
    """Read at each use, so that a rotated secret is taken up. Raises NotAllowedError when it isn't there."""
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if value is None:
            raise NotAllowedError(
                f"environment variable {secret.env} is not set for the detector: set it ({of} needs it)"
            )
        return value
    assert secret.file is not None
    try:
        with open(secret.file, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise NotAllowedError(f"secret file {secret.file} can't be read: {error.strerror} ({of} needs it)") from error
