"""The door: what the shop's customers call."""

from starlette.requests import Request
from starlette.responses import Response

from examples.shop.upstream import Caller, Reply
from examples.shop.web import Component, Context, read_object

_TIMEOUT_S = 1.0


def build(context: Context) -> Component:
    catalog_url, orders_url = context.settings.url("catalog"), context.settings.url("orders")
    upstreams = Caller(context.metrics)

    async def products(_request: Request) -> Response:
        return _pass_on(await upstreams.call("catalog", "GET", f"{catalog_url}/products", _TIMEOUT_S))

    async def place_order(request: Request) -> Response:
        body = await read_object(request)
        return _pass_on(await upstreams.call("orders", "POST", f"{orders_url}/orders", _TIMEOUT_S, body))

    async def order(request: Request) -> Response:
        url = f"{orders_url}/orders/{request.path_params['id']}"
        return _pass_on(await upstreams.call("orders", "GET", url, _TIMEOUT_S))

    return Component(
        routes=[
            ("GET", "/products", products),
            ("POST", "/orders", place_order),
            ("GET", "/orders/{id:int}", order),
        ],
        resources=upstreams.opened,
    )


def _pass_on(reply: Reply) -> Response:
    return Response(reply.content, reply.status, media_type="application/json")
