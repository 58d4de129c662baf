"""A payment provider, as the outside world would be: takes a moment, checks the key, knows one path."""

import asyncio
import hmac
import random
import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.shop.web import AnswerError, Component, Context, read_object

_TYPICAL_S = {"provider-a": 0.025, "provider-b": 0.045}
_SPREAD = 0.35
_LONGEST_S = 0.3


def build(context: Context) -> Component:
    typical_s = _TYPICAL_S[context.name]
    key_file = context.settings.payments_config.parent / "provider.key"
    expected = key_file.read_text().strip() if key_file.is_file() else None
    latency = random.Random()

    async def charge(request: Request) -> Response:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key or (expected and not hmac.compare_digest(key, expected)):
            raise AnswerError(401, "unknown API key")
        body = await read_object(request)
        amount_cents = body.get("amount_cents")
        if not isinstance(amount_cents, int) or amount_cents <= 0:
            raise AnswerError(422, "amount_cents must be a positive whole number")
        await asyncio.sleep(min(typical_s * latency.lognormvariate(0, _SPREAD), _LONGEST_S))
        return JSONResponse({"charge_id": f"{context.name}-{uuid.uuid4().hex[:12]}"})

    return Component(routes=[("POST", "/charge", charge)])
