"""What must be true after a round, read from the shop, the streams and the databases themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import asyncpg
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services.cli.local import DATABASE, LocalPlatform
from shared.bus.streams import DLQ, EVENTS
from shared.contracts.decider import Decision, Verdict
from shared.contracts.healer import Outcome, Result
from shared.settings import SERVICES


@dataclass(frozen=True)
class StreamMessage:
    """One message of the EVENTS stream."""

    subject: str
    body: dict[str, object]


async def events_since(client: Client, sequence: int) -> list[StreamMessage]:
    """Every message of the stream after `sequence`."""
    jetstream = client.jetstream()
    last = (await jetstream.stream_info(EVENTS)).state.last_seq
    if last <= sequence:
        return []
    name = f"chaos-{uuid4().hex[:8]}"
    config = ConsumerConfig(
        name=name,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=sequence + 1,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=30,
    )
    await jetstream.add_consumer(EVENTS, config=config)
    subscription = await jetstream.pull_subscribe_bind(consumer=name, stream=EVENTS)
    messages: list[StreamMessage] = []
    while True:
        (message,) = await subscription.fetch(1, timeout=5)
        messages.append(StreamMessage(message.subject, json.loads(message.data)))
        if message.metadata.sequence.stream >= last:
            break
    await jetstream.delete_consumer(EVENTS, name)
    return messages


async def last_event(client: Client) -> int:
    return (await client.jetstream().stream_info(EVENTS)).state.last_seq


async def dead_letters(client: Client) -> int:
    return (await client.jetstream().stream_info(DLQ)).state.messages


async def waiting_outbox(platform: LocalPlatform) -> int:
    """Rows that no relay has published yet, in all services."""
    connection = await _connect(platform)
    try:
        return sum([int(await connection.fetchval(f"select count(*) from {name}.outbox")) for name in SERVICES])
    finally:
        await connection.close()


async def missing_in_timeline(platform: LocalPlatform, messages: Sequence[StreamMessage], kinds: set[str]) -> list[str]:
    """Events of these contracts that are in the stream but not in the gateway's record."""
    connection = await _connect(platform)
    try:
        recorded = {str(row["id"]) for row in await connection.fetch("select id from gateway.timeline")}
    finally:
        await connection.close()
    return [
        f"{message.subject} {message.body['id']}"
        for message in messages
        if message.subject.rpartition(".")[0] in kinds and str(message.body["id"]) not in recorded
    ]


def executed(messages: Sequence[StreamMessage], component: str, since: datetime) -> list[Decision]:
    """Decisions to act on a component, each once."""
    decisions = {
        decision.decision_id: decision
        for message in messages
        if message.subject == f"{Decision.SUBJECT}.{component}"
        and (decision := Decision.model_validate(message.body)).verdict is Verdict.EXECUTE
        and decision.at >= since
    }
    return list(decisions.values())


def outcomes(messages: Sequence[StreamMessage], component: str) -> list[Outcome]:
    return [
        Outcome.model_validate(message.body)
        for message in messages
        if message.subject == f"{Outcome.SUBJECT}.{component}"
    ]


def repeated(messages: Sequence[StreamMessage]) -> list[str]:
    """Outcomes that were told more than once under different ids, or successes of one case that came twice."""
    runs = Counter(
        str(message.body["decision_id"]) for message in messages if message.subject.startswith(Outcome.SUBJECT)
    )
    cases = Counter(
        str(message.body["case_id"])
        for message in messages
        if message.subject.startswith(Outcome.SUBJECT) and message.body["result"] == Result.SUCCEEDED
    )
    return [f"run {key}: {n} outcomes" for key, n in runs.items() if n > 1] + [
        f"case {key}: healed {n} times" for key, n in cases.items() if n > 1
    ]


async def _connect(platform: LocalPlatform) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(platform.servers.postgres_dsn("postgres", DATABASE))
