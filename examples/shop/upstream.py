"""Calls to other components: a time-out on each, a log line and a metric for each failure, honest statuses.

httpcore is the transport below httpx; used directly it loads in a third of the time, and a component
that restarts quickly loses fewer requests.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpcore

from examples.shop import logs
from examples.shop.metrics import Metrics
from examples.shop.web import AnswerError

# Shorter than the servers' keep-alive, so that no request meets a connection that is just closing.
_KEEP_ALIVE_S = 20.0
_MAX_CONNECTIONS = 256


@dataclass(frozen=True)
class Reply:
    """An upstream's answer below 500."""

    status: int
    content: bytes

    def object(self) -> dict[str, object]:
        """The body as JSON object; AnswerError 502 when the upstream sent something else."""
        try:
            body = json.loads(self.content)
        except ValueError as problem:
            raise AnswerError(502, f"the upstream's answer is not JSON: {problem}") from problem
        if not isinstance(body, dict):
            raise AnswerError(502, "the upstream's answer is not a JSON object")
        return body


class Caller:
    """One connection pool of a component; usable inside `async with opened()`."""

    def __init__(self, metrics: Metrics, log_failures: bool = True) -> None:
        self._metrics = metrics
        self._log_failures = log_failures
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEP_ALIVE_S,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        async with self._pool:
            yield

    async def call(
        self,
        upstream: str,
        method: str,
        url: str,
        timeout_s: float,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call `url` once.

        Raises AnswerError 504 when it took longer than `timeout_s`, 503 when the upstream says so itself,
        502 when it cannot be reached or fails otherwise.
        """
        started = time.perf_counter()
        status = "cancelled"
        try:
            reply = await self._exchange(method, url, timeout_s, body, headers)
            status = str(reply.status)
        except httpcore.TimeoutException as problem:
            status = type(problem).__name__
            raise self._failed(upstream, 504, f"{status}: {method} {url} took over {timeout_s * 1000:.0f} ms") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as problem:
            status = type(problem).__name__
            raise self._failed(upstream, 502, f"{status}: {_root(problem)} for url: {url}") from None
        finally:
            self._metrics.called(upstream, status, time.perf_counter() - started)
        if reply.status >= 500:
            raise self._failed(upstream, reply.status if reply.status in (503, 504) else 502, _http_error(reply, url))
        return reply

    def refused(self, upstream: str, reply: Reply, url: str) -> AnswerError:
        """For a caller to whom an answer from 400 to 499 is the upstream's or the configuration's fault."""
        return self._failed(upstream, 502, _http_error(reply, url))

    def _failed(self, upstream: str, status: int, reason: str) -> AnswerError:
        if self._log_failures:
            logs.error("upstream_failed", reason, upstream=upstream, status=status, error=reason)
        return AnswerError(status, f"{upstream}: {reason}")

    async def _exchange(
        self,
        method: str,
        url: str,
        timeout_s: float,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
    ) -> Reply:
        content = None if body is None else json.dumps(body).encode()
        all_headers: dict[str, str] = {"content-type": "application/json", **(headers or {})}
        timeouts = {"connect": timeout_s, "read": timeout_s, "write": timeout_s, "pool": timeout_s}
        response = await self._pool.request(
            method,
            url,
            headers=list(all_headers.items()),
            content=content,
            extensions={"timeout": timeouts},
        )
        return Reply(response.status, response.content)


def _http_error(reply: Reply, url: str) -> str:
    side = "Server" if reply.status >= 500 else "Client"
    return f"{reply.status} {side} Error: {_phrase(reply.status)} for url: {url}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _root(problem: BaseException) -> str:
    """What the system said: the outer exceptions, which carry the inner one, only say that it said something."""
    inner = problem.__cause__ or next(iter(problem.args), None)
    if isinstance(inner, BaseException):
        return _root(inner)
    return str(problem) or type(problem).__name__
