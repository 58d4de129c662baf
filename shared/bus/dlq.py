"""Messages that could not be handled: set aside with the reason, listed, and handled again once the cause is mended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from pydantic import BaseModel

from shared import telemetry
from shared.bus.streams import DLQ

_PREFIX = "Homeostat-Dlq-"
TEXT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of the dead letter stream."""

    sequence: int
    service: str
    handler: str
    subject: str
    reason: str
    stream: str
    stream_sequence: int
    stored_at: datetime | None
    body: bytes
    headers: dict[str, str]


class Replay(BaseModel):
    """Request to `cmd.<service>.dlq-replay`."""

    sequence: int


class Replayed(BaseModel):
    handled: bool
    reason: str


async def bury(jetstream: JetStreamContext, service: str, handler: str, message: Msg, reason: str) -> None:
    """Puts a message into the dead letter stream once, however often this is called for it."""
    metadata = message.metadata
    headers = {key: value for key, value in (message.headers or {}).items() if not key.startswith("Nats-")}
    headers |= {
        "Nats-Msg-Id": f"dlq-{service}-{handler}-{metadata.stream}-{metadata.sequence.stream}",
        f"{_PREFIX}Subject": message.subject,
        f"{_PREFIX}Stream": metadata.stream,
        f"{_PREFIX}Sequence": str(metadata.sequence.stream),
        f"{_PREFIX}Handler": handler,
        f"{_PREFIX}Reason": " ".join(reason.split())[:TEXT_MAX],
    }
    await jetstream.publish(f"dlq.{service}.{handler}", message.data, headers=headers)
    telemetry.EVENTS_DEAD.labels(service, handler).inc()


async def read(jetstream: JetStreamContext, sequence: int) -> DeadLetter | None:
    """The dead letter at `sequence`; None when there is none."""
    try:
        raw = await jetstream.get_msg(DLQ, sequence)
    except NotFoundError:
        return None
    headers = dict(raw.headers or {})
    subject = raw.subject or ""
    return DeadLetter(
        sequence=sequence,
        service=subject.split(".")[1] if subject.count(".") else "",
        handler=headers.get(f"{_PREFIX}Handler", ""),
        subject=headers.get(f"{_PREFIX}Subject", ""),
        reason=headers.get(f"{_PREFIX}Reason", ""),
        stream=headers.get(f"{_PREFIX}Stream", ""),
        stream_sequence=int(headers.get(f"{_PREFIX}Sequence", 0)),
        stored_at=raw.time,
        body=raw.data or b"",
        headers={key: value for key, value in headers.items() if not key.startswith((_PREFIX, "Nats-"))},
    )


async def newest(jetstream: JetStreamContext, most: int = 100) -> list[DeadLetter]:
    """The newest dead letters, newest first."""
    state = (await jetstream.stream_info(DLQ)).state
    letters: list[DeadLetter] = []
    sequence = state.last_seq
    while sequence >= max(state.first_seq, 1) and len(letters) < most:
        letter = await read(jetstream, sequence)
        if letter is not None:
            letters.append(letter)
        sequence -= 1
    return letters


async def forget(jetstream: JetStreamContext, sequence: int) -> None:
    await jetstream.delete_msg(DLQ, sequence)
