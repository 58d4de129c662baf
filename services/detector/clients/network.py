"""Probes that ask over the network: HTTP, TCP, PostgreSQL and Prometheus scrapes."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from time import perf_counter

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.detector.clients.reports import Reports, Seen, gauges
from shared.contracts.ingest import CheckKind, CheckResult, Sample
from shared.packs.model import Probe, SecretRef

MAX_BODY_BYTES = 10 * 1024 * 1024
PARSE_ASIDE_BYTES = 100_000
"""A page larger than this is parsed in a thread: it would hold up other probes."""


class NotAllowedError(Exception):
    """A probe may not do what it is declared to do; the text says how to mend the pack."""


async def ask(probe: Probe, question: Callable[[], Awaitable[str]]) -> Seen:
    """Asks within the probe's time-out. `question` gives what is wrong with the answer, or nothing."""
    started = perf_counter()
    try:
        async with asyncio.timeout(probe.timeout_ms / 1000):
            wrong = await question()
    except (TimeoutError, httpx.TimeoutException):
        return Seen(CheckResult.TIMEOUT, detail=f"no answer within {probe.timeout_ms:g} ms")
    except (OSError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
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


def new_client() -> httpx.AsyncClient:
    """No kept connections: a probe also asks whether new ones are accepted, and a restart leaves none behind."""
    return httpx.AsyncClient(
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=None,  # noqa: S113 - `ask` holds the time-out, of the whole exchange
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "homeostat-detector"},
    )


def check_host(url: str, hosts: frozenset[str]) -> None:
    """Raises NotAllowedError for a host that the pack doesn't declare."""
    host = httpx.URL(url).host
    if host not in hosts:
        raise NotAllowedError(f"{url}: host {host!r} is not declared: add it to `http_hosts` of the pack")


async def _read(client: httpx.AsyncClient, url: str) -> tuple[int, bytes]:
    async with client.stream("GET", url) as response:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise httpx.DecodingError(f"{url} answered more than {MAX_BODY_BYTES} bytes")
        return response.status_code, bytes(body)


class HttpProber:
    """Availability and answer time of an address."""

    def __init__(self, probe: Probe, reports: Reports, client: httpx.AsyncClient, hosts: frozenset[str]) -> None:
        assert probe.http is not None
        check_host(probe.http.url, hosts)
        self._probe, self._http, self._reports, self._client = probe, probe.http, reports, client

    async def look(self) -> None:
        async def question() -> str:
            status, _ = await _read(self._client, self._http.url)
            return "" if status in self._http.expect_status else f"status {status}"

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.HTTP, seen)


class TcpProber:
    """Whether a port accepts connections."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.tcp is not None
        self._probe, self._tcp, self._reports = probe, probe.tcp, reports

    async def look(self) -> None:
        async def question() -> str:
            _, writer = await asyncio.open_connection(self._tcp.host, self._tcp.port)
            writer.close()
            return ""

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.TCP, seen)


class PostgresProber:
    """Whether new connections are served, how fast, and how many there are (requirements A02, B23)."""

    def __init__(self, probe: Probe, reports: Reports) -> None:
        assert probe.postgres is not None
        self._probe, self._postgres, self._reports = probe, probe.postgres, reports

    async def look(self) -> None:
        values: dict[str, float] = {}

        async def question() -> str:
            connection = await asyncpg.connect(read_secret(self._postgres.dsn), timeout=self._probe.timeout_ms / 1000)
            try:
                started = perf_counter()
                await connection.fetch(self._postgres.statement)
                values["postgres_query_ms"] = (perf_counter() - started) * 1000
                values["postgres_connections"] = await connection.fetchval("select count(*) from pg_stat_activity")
                values["postgres_max_connections"] = float(await connection.fetchval("show max_connections"))
            finally:
                connection.terminate()
            return ""

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.POSTGRES, seen)
        if seen.latency_ms is not None:
            values["postgres_latency_ms"] = seen.latency_ms
            await self._reports.metrics(self._probe.component, gauges(values))


class ScrapeProber:
    """Reads a Prometheus page and passes its samples on, counters as they are."""

    def __init__(self, probe: Probe, reports: Reports, client: httpx.AsyncClient, hosts: frozenset[str]) -> None:
        assert probe.scrape is not None
        check_host(probe.scrape.url, hosts)
        self._probe, self._scrape, self._reports, self._client = probe, probe.scrape, reports, client
        self._wanted = frozenset(probe.scrape.metrics)

    async def look(self) -> None:
        samples: list[Sample] = []

        async def question() -> str:
            status, body = await _read(self._client, self._scrape.url)
            if status != httpx.codes.OK:
                return f"status {status}"
            try:
                samples.extend(await self._parse(body))
            except ValueError as error:
                return f"not a Prometheus page: {error}"
            return ""

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.SCRAPE, seen)
        await self._reports.metrics(self._probe.component, samples)

    async def _parse(self, body: bytes) -> list[Sample]:
        text = body.decode("utf-8", errors="replace")
        if len(body) > PARSE_ASIDE_BYTES:
            return await asyncio.to_thread(parse_page, text, self._wanted)
        return parse_page(text, self._wanted)


def parse_page(text: str, wanted: frozenset[str]) -> list[Sample]:
    """Samples of a page; `wanted` holds names of metrics or of samples, empty for all. Raises ValueError."""
    return [
        Sample(name=sample.name, value=sample.value, labels=sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created") and (not wanted or sample.name in wanted or family.name in wanted)
    ]


def read_secret(secret: SecretRef) -> str:
    """Read at each use, so that a rotated secret is taken up. Raises NotAllowedError when it isn't there."""
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if value is None:
            raise NotAllowedError(f"environment variable {secret.env} is not set for the detector")
        return value
    assert secret.file is not None
    try:
        with open(secret.file, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise NotAllowedError(f"secret file {secret.file} can't be read: {error.strerror}") from error
