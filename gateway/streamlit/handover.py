"""The last step before Streamlit: what it is told of the visitor, in place of what the wire said."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.middleware.exchange import Exchange, exchange_of
from gateway.streamlit.current import HEADER, reachable


class HandOver:
    """Hands an admitted exchange to Streamlit.

    http: the client's address stands where the peer's was.
    websocket: also, the origin is the host's own (a foreign one that the policy allows would make Streamlit look up its
        own address on the network, on the event loop), and the script can reach its exchange with `current()`.
    lifespan: passes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        client = (exchange.context.client.address, exchange.peer_port or 0)
        if scope["type"] == "http":
            await self.app({**scope, "client": client}, receive, send)
            return
        with reachable(exchange) as reference:
            headers = [*_with_own_origin(scope, exchange), (HEADER.encode(), reference.encode())]
            await self.app({**scope, "client": client, "headers": headers}, receive, send)


def _with_own_origin(scope: Scope, exchange: Exchange) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    host = next(value for name, value in headers if name == b"host")
    own = exchange.context.scheme.encode() + b"://" + host
    return [(name, own if name == b"origin" else value) for name, value in headers]
