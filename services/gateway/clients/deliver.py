"""One message on one channel. A repetition carries the same id, by which receivers that can know it drop it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ValidationError

from services.gateway.clients.letters import send_letter
from services.gateway.clients.outside import DeliveryError, post, read_secret
from services.gateway.domain.notices import render
from services.gateway.domain.notices.model import Notice
from shared.packs.notify import Channel, PagerDutyChannel, SlackChannel, WebhookChannel
from shared.webhooks import signed_headers


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out at once. `id` is the same at every repetition."""

    id: UUID
    notices: tuple[Notice, ...]
    at: datetime


async def deliver(channel: Channel, message: Message, http_hosts: Sequence[str]) -> None:
    """Sends `message`. Raises DeliveryError when it was not taken."""
    if channel.webhook is not None:
        await _webhook(channel.webhook, message, http_hosts)
    elif channel.slack is not None:
        await _slack(channel.slack, message, http_hosts)
    elif channel.pagerduty is not None:
        await _pagerduty(channel.pagerduty, message, http_hosts)
    elif channel.email is not None:
        await send_letter(
            channel.email,
            message_id=message.id,
            subject=render.subject(message.notices),
            text=render.text(message.notices),
        )


def _json(body: render.Json) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


async def _webhook(channel: WebhookChannel, message: Message, http_hosts: Sequence[str]) -> None:
    body = _json(render.webhook(message.notices))
    secret = read_secret(channel.secret)
    headers = signed_headers(secret, str(message.id), int(message.at.timestamp()), body)
    await post(channel.url, body, {**headers, "Idempotency-Key": str(message.id)}, http_hosts)


async def _pagerduty(channel: PagerDutyChannel, message: Message, http_hosts: Sequence[str]) -> None:
    key = read_secret(channel.routing_key)
    for notice in message.notices:
        await post(f"{channel.url.rstrip('/')}/v2/enqueue", _json(render.pagerduty(notice, key)), {}, http_hosts)


class _SlackReply(BaseModel):
    ok: bool
    error: str = ""


_SLACK_LATER = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})


async def _slack(channel: SlackChannel, message: Message, http_hosts: Sequence[str]) -> None:
    body = render.slack(message.notices, buttons=channel.signing_secret is not None)
    if channel.webhook is not None:
        await post(read_secret(channel.webhook), _json(body), {}, http_hosts)
        return
    assert channel.token is not None
    headers = {"Authorization": f"Bearer {read_secret(channel.token)}"}
    address = f"{channel.api_url.rstrip('/')}/chat.postMessage"
    response = await post(address, _json({"channel": channel.channel, **body}), headers, http_hosts)
    try:
        reply = _SlackReply.model_validate_json(response.content)
    except ValidationError:
        raise DeliveryError("Slack's answer can't be read") from None
    if not reply.ok:  # Slack says so with status 200
        raise DeliveryError(f"Slack answered {reply.error[:60]}", is_final=reply.error not in _SLACK_LATER)


async def replace_message(response_url: str, words: str, http_hosts: Sequence[str]) -> None:
    """Puts `words` in the place of a Slack message that was answered. Raises DeliveryError."""
    await post(response_url, _json({"replace_original": True, "text": render.slack_text(words)}), {}, http_hosts)
