"""Payments: charges the provider its configuration names, and reads that configuration again at SIGHUP."""

import signal
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.shop import logs
from examples.shop.payments_config import PaymentsConfig, load
from examples.shop.settings import ConfigurationError
from examples.shop.upstream import Caller
from examples.shop.web import AnswerError, Component, Context, read_object


def build(context: Context) -> Component:
    upstreams = Caller(context.metrics)
    configuration = _Configuration(context)
    charges = context.metrics.counter("payments_charges", "Charges by provider and end", ("provider", "outcome"))

    async def charge(request: Request) -> Response:
        body = await read_object(request)
        config = configuration.current
        if config is None:
            raise AnswerError(503, "payments has no valid configuration; see its log")
        try:
            charge_id = await _charge(upstreams, config, body)
        except AnswerError:
            charges.labels(config.provider, "failed").inc()
            raise
        charges.labels(config.provider, "accepted").inc()
        logs.info("charge_accepted", f"{config.provider} accepted {charge_id}", order_id=body.get("order_id"))
        return JSONResponse({"charge_id": charge_id, "provider": config.provider})

    configuration.reload()
    return Component(
        routes=[("POST", "/charge", charge)],
        resources=upstreams.opened,
        ready=lambda: configuration.current is not None,
        on_signal={signal.SIGHUP: configuration.reload},
    )


class _Configuration:
    """The configuration in force: that of the last reload which could be read."""

    def __init__(self, context: Context) -> None:
        self.current: PaymentsConfig | None = None
        self._path = context.settings.payments_config
        self._reloads = context.metrics.counter("config_reloads", "Reloads of payments.toml", ("result",))
        self._loaded = context.metrics.gauge("config_loaded_timestamp_seconds", "When the file was last taken up")
        self._timeout = context.metrics.gauge("payments_timeout_ms", "Time-out of calls to the provider, in force")

    def reload(self) -> None:
        try:
            config = load(self._path)
        except ConfigurationError as problem:
            self._reloads.labels("refused").inc()
            logs.error("config_refused", f"ConfigurationError: {problem}", error=f"ConfigurationError: {problem}")
            return
        self.current = config
        self._reloads.labels("loaded").inc()
        self._loaded.set(time.time())
        self._timeout.set(config.timeout_ms)
        logs.info(
            "config_loaded",
            f"configuration loaded: {config.provider} at {config.charge_url}, {config.timeout_ms} ms",
            provider=config.provider,
        )


async def _charge(upstreams: Caller, config: PaymentsConfig, body: dict[str, object]) -> str:
    reply = await upstreams.call(
        config.provider,
        "POST",
        config.charge_url,
        config.timeout_ms / 1000,
        body,
        {"authorization": f"Bearer {config.api_key}"},
    )
    if reply.status != 200:
        raise upstreams.refused(config.provider, reply, config.charge_url)
    return str(reply.object().get("charge_id"))
