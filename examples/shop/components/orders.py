"""Orders: kept in PostgreSQL, paid through payments, handed to the worker as jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.shop import logs
from examples.shop.database import Database
from examples.shop.upstream import Caller
from examples.shop.web import AnswerError, Component, Context, read_object

_PAYMENTS_TIMEOUT_S = 0.8
_UNIT_PRICE_CENTS = 1250
_MAX_QUANTITY = 100


def build(context: Context) -> Component:
    database = Database(context.settings.require_database_url())
    upstreams = Caller(context.metrics)
    charge_url = f"{context.settings.url('payments')}/charge"
    outcomes = context.metrics.counter("orders", "Orders by how they ended here", ("outcome",))

    @asynccontextmanager
    async def resources() -> AsyncIterator[None]:
        async with database.opened(), upstreams.opened():
            yield

    async def place(request: Request) -> Response:
        sku, quantity = _wanted(await read_object(request))
        amount_cents = quantity * _UNIT_PRICE_CENTS
        async with database.connection() as connection:
            order_id = await connection.fetchval(
                "INSERT INTO orders (sku, quantity, amount_cents, status) VALUES ($1, $2, $3, 'new') RETURNING id",
                sku,
                quantity,
                amount_cents,
            )
        try:
            charge_id = await _charge(upstreams, charge_url, order_id, amount_cents)
        except AnswerError:
            outcomes.labels("payment_failed").inc()
            await _set_failed(database, order_id)
            raise
        async with database.connection() as connection, connection.transaction():
            await connection.execute(
                "UPDATE orders SET status = 'paid', charge_id = $2 WHERE id = $1", order_id, charge_id
            )
            await connection.execute("INSERT INTO jobs (order_id) VALUES ($1)", order_id)
        outcomes.labels("paid").inc()
        logs.info("order_paid", f"order {order_id} is paid", order_id=order_id, amount_cents=amount_cents)
        return JSONResponse({"id": order_id, "status": "paid"}, 201)

    async def show(request: Request) -> Response:
        async with database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT id, sku, quantity, amount_cents, status FROM orders WHERE id = $1",
                request.path_params["id"],
            )
        if row is None:
            raise AnswerError(404, f"no order {request.path_params['id']}")
        return JSONResponse(dict(row))

    return Component(
        routes=[("POST", "/orders", place), ("GET", "/orders/{id:int}", show)],
        resources=resources,
        ready=database.connected,
    )


def _wanted(body: dict[str, object]) -> tuple[str, int]:
    sku, quantity = body.get("sku"), body.get("quantity", 1)
    if not isinstance(sku, str) or not 0 < len(sku) <= 64:
        raise AnswerError(422, "sku must be a text of 1 to 64 characters")
    if not isinstance(quantity, int) or isinstance(quantity, bool) or not 0 < quantity <= _MAX_QUANTITY:
        raise AnswerError(422, f"quantity must be a whole number from 1 to {_MAX_QUANTITY}")
    return sku, quantity


async def _charge(upstreams: Caller, url: str, order_id: int, amount_cents: int) -> str:
    body = {"order_id": order_id, "amount_cents": amount_cents}
    reply = await upstreams.call("payments", "POST", url, _PAYMENTS_TIMEOUT_S, body)
    if reply.status != 200:
        raise upstreams.refused("payments", reply, url)
    return str(reply.object().get("charge_id"))


async def _set_failed(database: Database, order_id: int) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE orders SET status = 'payment_failed' WHERE id = $1", order_id)
