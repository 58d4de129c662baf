"""Reads what a stream has kept of a stretch of time, once, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus.pull import Pull

IDLE_S = 30.0


async def stored(
    client: Client, service: str, stream: str, subjects: Sequence[str], since: datetime, until: datetime
) -> AsyncIterator[Msg]:
    """Messages of any of `subjects` stored in [since, until], oldest first; ends at the newest there was when asked.

    `service`: who reads, by the name of its NATS user.

    Raises:
        PullBrokenError: the server was lost on the way.
        nats.errors.Error: it can't be asked.
    """
    config = ConsumerConfig(
        name=f"{service}-stored-{uuid4().hex[:12]}",
        filter_subjects=list(subjects),
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=since,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=IDLE_S,
        mem_storage=True,
    )
    jetstream = client.jetstream()
    info = await jetstream.add_consumer(stream, config=config)
    left = info.num_pending or 0
    if not left:
        return
    try:
        async with Pull(client, stream, info.name, f"_INBOX.{service}.stored.{uuid4().hex}") as pull:
            while True:
                for message in await pull.batch():
                    if message.metadata.timestamp > until:
                        return
                    yield message
                    left -= 1
                    if left <= 0:
                        return
    finally:
        await jetstream.delete_consumer(stream, info.name)
