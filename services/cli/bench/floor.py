"""The bare floor of the chain: four hops of pull, inbox and state in one commit, publish. No framework, no domain.

It is what the same number of hops and commits costs with nats-py and asyncpg alone: the yardstick for ours.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

import asyncpg
import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

HOPS = 4
STREAM = "FLOOR"
BODY_BYTES = 321


async def measure(nats_url: str, dsn: str, rate_per_s: float, count: int) -> list[float]:
    """Seconds from the publication of each of `count` messages to the commit of its last hop."""
    async with AsyncExitStack() as stack:
        client = await nats.connect(nats_url)
        stack.push_async_callback(client.close)
        jetstream = client.jetstream()
        await _make_stream(jetstream)
        stack.push_async_callback(jetstream.delete_stream, STREAM)
        pool = await asyncpg.create_pool(dsn, min_size=HOPS, max_size=HOPS)
        stack.push_async_callback(pool.close)
        await pool.execute("drop table if exists floor_inbox, floor_state")
        await pool.execute("create table floor_inbox (id uuid, hop int, primary key (id, hop))")
        await pool.execute("create table floor_state (id uuid, hop int, body jsonb, primary key (id, hop))")
        stack.push_async_callback(pool.execute, "drop table floor_inbox, floor_state")
        arrived: dict[str, float] = {}
        hops = [asyncio.create_task(_hop(nats_url, pool, number, arrived)) for number in range(HOPS)]
        stack.push_async_callback(_end, hops)
        published = await _publish(client, rate_per_s, count)
        async with asyncio.timeout(60):
            while len(arrived) < count:
                await asyncio.sleep(0.01)
    return [arrived[key] - at for key, at in published.items()]


async def _make_stream(jetstream: JetStreamContext) -> None:
    with suppress(NotFoundError):
        await jetstream.delete_stream(STREAM)
    await jetstream.add_stream(StreamConfig(name=STREAM, subjects=["floor.>"]))


async def _publish(client: Client, rate_per_s: float, count: int) -> dict[str, float]:
    jetstream = client.jetstream()
    published: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate_per_s - time.perf_counter()))
        key = str(uuid4())
        published[key] = time.perf_counter()
        await jetstream.publish("floor.0", json.dumps({"id": key, "pad": "x" * BODY_BYTES}).encode())
    return published


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _hop(nats_url: str, pool: asyncpg.Pool[asyncpg.Record], hop: int, arrived: dict[str, float]) -> None:
    async with AsyncExitStack() as stack:
        client = await nats.connect(nats_url)
        stack.push_async_callback(client.close)
        await _work(client.jetstream(), pool, hop, arrived)


async def _work(
    jetstream: JetStreamContext, pool: asyncpg.Pool[asyncpg.Record], hop: int, arrived: dict[str, float]
) -> None:
    subscription = await jetstream.pull_subscribe(
        f"floor.{hop}", durable=f"hop-{hop}", stream=STREAM, config=ConsumerConfig(ack_wait=30)
    )
    while True:
        try:
            (message,) = await subscription.fetch(1, timeout=5)
        except TimeoutError:
            continue
        body = json.loads(message.data)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("insert into floor_inbox values ($1, $2) on conflict do nothing", body["id"], hop)
            await connection.execute(
                "insert into floor_state values ($1, $2, $3)", body["id"], hop, message.data.decode()
            )
        if hop + 1 < HOPS:
            await jetstream.publish(f"floor.{hop + 1}", message.data)
        else:
            arrived[body["id"]] = time.perf_counter()
        await message.ack()
