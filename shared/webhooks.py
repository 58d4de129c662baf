"""Signed webhooks, as the Standard Webhooks specification (1.0.0) says.

What is signed is `<id>.<timestamp>.<body>`, with HMAC-SHA256; a receiver recomputes it, compares the time with its
clock, and drops an id that it has seen. `tests/unit/packs/test_webhooks.py` holds it to the specification's example.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

_PREFIX = "whsec_"


def secret_bytes(secret: str) -> bytes:
    """`whsec_<base64>` → its bytes; anything else is taken as it is."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def signed_headers(secret: str, message_id: str, timestamp_s: int, body: bytes) -> Mapping[str, str]:
    """The three headers of one message. `message_id` is the same at every repetition, `timestamp_s` that of sending."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(secret_bytes(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
