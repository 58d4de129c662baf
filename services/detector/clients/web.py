"""Asks an address over HTTP: whether it answers, what it says, until when its certificate holds, and its clock."""

from __future__ import annotations

import json
import re
import ssl
from email.utils import parsedate_to_datetime

import httpx

from services.detector.clients.asking import Answer, ask, check_host, fetch, new_client
from services.detector.clients.reports import Reports, Seen, gauges
from shared.contracts.ingest import CheckKind, CheckResult
from shared.packs.model import ExpectBody, HttpProbe, Probe

DAY_S = 86_400.0
SEARCHED_CHARS = 65_536
"""A pattern is looked for in this much of an answer: one that backtracks must not hold up other probes."""


class HttpProber:
    """Availability and answer time of an address (requirement A04)."""

    def __init__(self, probe: Probe, reports: Reports, client: httpx.AsyncClient, hosts: frozenset[str]) -> None:
        assert probe.http is not None
        check_host(probe.http.url, hosts)
        self._probe, self._http, self._reports, self._hosts = probe, probe.http, reports, hosts
        self._own = new_client(probe.http.ca_file) if probe.http.ca_file else None
        self._client = self._own or client

    async def look(self) -> None:
        answers: list[Answer] = []

        async def question() -> str:
            answer = await fetch(
                self._client,
                self._http.url,
                method=self._http.method,
                headers=self._http.headers,
                redirects=self._http.follow_redirects,
                hosts=self._hosts,
            )
            answers.append(answer)
            return wrong_with(answer, self._http)

        seen = await ask(self._probe, question)
        await self._reports.check(self._probe.component, self._probe.name, CheckKind.HTTP, seen)
        for answer in answers:
            await self._tell_more(answer)

    async def close(self) -> None:
        if self._own is not None:
            await self._own.aclose()

    async def _tell_more(self, answer: Answer) -> None:
        values: dict[str, float] = {}
        offset_s = clock_offset_s(answer)
        if offset_s is not None:
            values["clock_offset_s"] = offset_s
        if answer.certificate_until:
            values["certificate_expires_in_s"] = ssl.cert_time_to_seconds(answer.certificate_until) - answer.asked_at
        if values:
            await self._reports.metrics(self._probe.component, gauges(values, probe=self._probe.name))
        if answer.certificate_until:
            seen = judge_certificate(values["certificate_expires_in_s"], self._http.certificate_warn_days)
            name = f"{self._probe.name}/{CheckKind.CERTIFICATE.value}"
            await self._reports.check(self._probe.component, name, CheckKind.CERTIFICATE, seen)


def wrong_with(answer: Answer, wanted: HttpProbe) -> str:
    """What is wrong with an answer; empty when it is as expected."""
    if answer.status not in wanted.expect_status:
        return f"status {answer.status}"
    return body_differs(answer.body, wanted.expect_body) if wanted.expect_body is not None else ""


def body_differs(body: bytes, expected: ExpectBody) -> str:
    """In what an answer's body is not as expected; empty when it is."""
    text = body.decode("utf-8", errors="replace")
    if expected.contains is not None and expected.contains not in text:
        return f"the answer does not contain {expected.contains[:80]!r}"
    if expected.matches is not None and not re.search(expected.matches, text[:SEARCHED_CHARS]):
        return f"the answer does not match {expected.matches[:80]!r}"
    if not expected.values:
        return ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    for place, value in expected.values.items():
        there, here = _inside(found, place)
        if not there:
            return f"the answer has no `{place}`"
        if here != value or isinstance(here, bool) is not isinstance(value, bool):
            return f"`{place}` is {str(here)[:80]!r} instead of {str(value)[:80]!r}"
    return ""


def _inside(found: object, place: str) -> tuple[bool, object]:
    """What stands at `checks.0.up`: keys of objects and positions in lists."""
    for step in place.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return False, None
    return True, found


def judge_certificate(left_s: float, warn_days: float) -> Seen:
    if left_s < warn_days * DAY_S:
        return Seen(CheckResult.ERROR, detail=f"the certificate expires in {left_s / DAY_S:.1f} days: renew it")
    return Seen(CheckResult.OK)


def clock_offset_s(answer: Answer) -> float | None:
    """How far the other side's clock is ahead, by its `Date`: 0 when the second that it names overlaps the time the
    answer took, and so never more than it surely is. None without a date, or where a cache may have kept it."""
    if "age" in answer.headers or "date" not in answer.headers:
        return None
    try:
        told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (ValueError, OverflowError):
        return None
    if told > answer.answered_at:
        return told - answer.answered_at
    return min(0.0, told + 1.0 - answer.asked_at)
