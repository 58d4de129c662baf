"""Probes that ask over the network: TCP ports, Prometheus pages and Prometheus servers."""

from __future__ import annotations

import asyncio
import json
import math

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.detector.clients.asking import ask, check_host, fetch
from services.detector.clients.reports import Reports
from shared.contracts.ingest import CheckKind, Sample
from shared.packs.model import Probe

PARSE_ASIDE_BYTES = 100_000
"""A page larger than this is parsed in a thread: it would hold up other probes."""


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
            answer = await fetch(self._client, self._scrape.url)
            if answer.status != httpx.codes.OK:
                return f"status {answer.status}"
            try:
                samples.extend(await self._parse(answer.body))
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


class PromqlProber:
    """One instant query now and then: the series it gives, as samples of one metric."""

    def __init__(self, probe: Probe, reports: Reports, client: httpx.AsyncClient, hosts: frozenset[str]) -> None:
        assert probe.promql is not None
        check_host(probe.promql.url, hosts)
        self._probe, self._promql, self._reports, self._client = probe, probe.promql, reports, client

    async def look(self) -> None:
        samples: list[Sample] = []

        async def question() -> str:
            answer = await fetch(
                self._client,
                f"{self._promql.url.rstrip('/')}/api/v1/query",
                headers=self._promql.headers,
                params={"query": self._promql.query, "timeout": f"{max(1, round(self._probe.timeout_ms))}ms"},
            )
            try:
                found = parse_query(answer.body, self._promql.metric)
            except ValueError as error:
                return f"status {answer.status}: {error}" if answer.status != httpx.codes.OK else str(error)
            limit = self._promql.max_series
            if len(found) > limit:
                return f"{len(found)} series, more than max_series = {limit}: narrow the query or raise it"
            samples.extend(found)
            broken = ((sample, self._promql.broken_by(sample.value)) for sample in found)
            return next((f"{_named(sample)} is {what}" for sample, what in broken if what), "")

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.PROMQL, seen)
        await self._reports.metrics(self._probe.component, samples)


def parse_query(body: bytes, metric: str) -> list[Sample]:
    """Samples of an instant query's answer, without what is not a number. Raises ValueError that says what is wrong."""
    try:
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ValueError(f"{answer.get('errorType', 'error')}: {answer.get('error', 'no reason given')}")
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "scalar":
            result = [{"metric": {}, "value": result}]
        elif kind != "vector":
            raise ValueError(f"the query gives a {kind}: ask for an instant vector or a scalar")
        samples = [
            Sample(
                name=metric,
                value=float(series["value"][1]),
                labels={name: str(value) for name, value in series["metric"].items() if name != "__name__"},
            )
            for series in result
        ]
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError("not the answer of a Prometheus API: check the url") from error
    return [sample for sample in samples if math.isfinite(sample.value)]


def _named(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name
