"""All that Homeostat keeps, as text: every message of every stream and every row of every table."""

from __future__ import annotations

from contextlib import suppress

import asyncpg
import nats
from nats.aio.client import Client

from shared.bus.streams import DLQ, EVENTS, INGEST, STATE
from shared.settings import SERVICES


async def in_streams(client: Client) -> dict[str, str]:
    """By `stream <name>`; `client` may read all of them."""
    kept: dict[str, str] = {}
    jetstream = client.jetstream()
    for stream in (INGEST, EVENTS, STATE, DLQ):
        state = (await jetstream.stream_info(stream)).state
        lines = []
        for seq in range(max(1, state.first_seq), state.last_seq + 1):
            with suppress(nats.js.errors.NotFoundError):
                message = await jetstream.get_msg(stream, seq)
                lines.append(f"{message.subject} {message.headers} {(message.data or b'').decode()}")
        kept[f"stream {stream}"] = "\n".join(lines)
    return kept


async def in_tables(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, str]:
    """By `table <schema>.<name>`; `connection` is a superuser's."""
    kept: dict[str, str] = {}
    for schema, table in await connection.fetch(
        "select schemaname, tablename from pg_tables where schemaname = any($1)", list(SERVICES)
    ):
        rows = await connection.fetch(f'select to_jsonb(t)::text as row from {schema}."{table}" t')
        kept[f"table {schema}.{table}"] = "\n".join(row["row"] for row in rows)
    return kept
