"""Clicks that Slack sends back: whether they are Slack's, and what they say."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

TOLERANCE_S = 300
"""As Slack advises: a request whose time is further from ours than this is a replay."""
ACTIONS = {"homeostat-approve": "approve", "homeostat-reject": "reject"}


class SlackAnswerError(Exception):
    """The click means nothing here; the message says why."""


@dataclass(frozen=True, slots=True)
class Click:
    """Who said what to which question."""

    user_id: str
    verb: str
    decision_id: UUID
    revision: int
    response_url: str


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's request signature, version 0."""
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return f"v0={digest}"


def is_signed(secret: str, timestamp: str, given: str, body: bytes, now_s: float) -> bool:
    """Whether Slack signed exactly this body lately."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        return False
    return hmac.compare_digest(signature(secret, timestamp, body).encode(), given.encode())


def read_click(body: bytes) -> Click:
    """The click in a form's `payload`.

    Raises:
        SlackAnswerError: it is no click on one of our buttons.
    """
    try:
        payload: Any = json.loads(parse_qs(body.decode(), max_num_fields=10)["payload"][0])
        action = payload["actions"][0]
        decision, _, revision = str(action["value"]).partition("/")
        return Click(
            user_id=str(payload["user"]["id"]),
            verb=ACTIONS[action["action_id"]],
            decision_id=UUID(decision),
            revision=int(revision),
            response_url=str(payload.get("response_url") or ""),
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise SlackAnswerError("this is no answer to a question of ours") from error
